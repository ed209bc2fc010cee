//! The check of everything: free blocks, domains, regions, registers.
//!
//! 1. Free blocks are in order, not empty, apart, and in the pool.
//! 2. Each frame of the pool is in one free block or in the block of one domain.
//! 3. Domains are in order, whole pages, and share no unit; they start or end at units as they grow.
//! 4. Each region lies in domains; each domain ends where its last region does.
//! 5. The registers of the active space say what its domains and regions say, and no more.

use super::{Domain, Geometry, Registers, SegmentKernel, SegmentPlatform};
use crate::SpaceId;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use pagewalk_mmu::VirtAddr;
use pagewalk_mmu::segment::Direction;

impl SegmentKernel {
    /// Checks everything.
    ///
    /// # Errors
    /// What does not hold, by frame or address.
    pub fn audit(&self, platform: &impl SegmentPlatform) -> Result<(), String> {
        self.audit_frames()?;
        for number in (0..self.spaces.len()).filter(|&number| self.spaces[number].is_some()) {
            let id = SpaceId(number as u32);
            self.audit_domains(id)?;
            self.audit_regions(id)?;
        }
        match self.active {
            Some(id) => self.audit_registers(platform, id),
            None => Ok(()),
        }
    }

    fn audit_frames(&self) -> Result<(), String> {
        let pool = self.blocks.pool();
        let free = self.blocks.free();
        if let Some(two) = free.windows(2).find(|two| two[0].end >= two[1].start) {
            return Err(format!("free blocks {:?} and {:?} touch", two[0], two[1]));
        }
        let mut all: Vec<Range<u64>> = free.to_vec();
        let domains = self.spaces.iter().flatten().flat_map(|space| &space.domains);
        all.extend(domains.map(|domain| domain.block(self.page)));
        all.sort_unstable_by_key(|block| block.start);
        let mut at = pool.start;
        for block in all {
            if block.start != at || block.is_empty() {
                return Err(format!("block {block:?} where frame {at} is next"));
            }
            at = block.end;
        }
        if at == pool.end { Ok(()) } else { Err(format!("frames {at}.. are nowhere")) }
    }

    fn audit_domains(&self, id: SpaceId) -> Result<(), String> {
        let unit = self.unit();
        let domains = self.domains(id);
        let mut end = self.layout(id).user_start.0;
        for domain in domains {
            let units = domain.units(unit);
            if units.start.max(self.layout(id).user_start.0) < end {
                return Err(format!("{domain:?} shares a unit with the one below"));
            }
            let at_unit = match domain.direction {
                Direction::Up => domain.start.0 == units.start.max(self.layout(id).user_start.0),
                Direction::Down => domain.end.0 == units.end,
            };
            if !at_unit || domain.start >= domain.end {
                return Err(format!("{domain:?} does not begin or end at a unit"));
            }
            if self.geometry == Geometry::Identity
                && domain.frame.base(self.page).0 != domain.start.0
            {
                return Err(format!("{domain:?} is not where its addresses are"));
            }
            end = units.end;
        }
        Ok(())
    }

    fn audit_regions(&self, id: SpaceId) -> Result<(), String> {
        let space = self.space(id);
        for region in space.regions.iter() {
            let outside =
                self.pages(region.start, region.end).find(|&va| space.domain_of(va).is_none());
            if let Some(va) = outside {
                return Err(format!("{region}: no domain at {va}"));
            }
        }
        for domain in &space.domains {
            let within = |va: VirtAddr| space.regions.find(va).is_some();
            let used = match domain.direction {
                Direction::Up => within(VirtAddr(domain.end.0 - 1)),
                Direction::Down => within(domain.start),
            };
            if !used {
                return Err(format!("{domain:?} has more than its regions need"));
            }
        }
        Ok(())
    }

    fn audit_registers(&self, platform: &impl SegmentPlatform, id: SpaceId) -> Result<(), String> {
        match platform.registers() {
            Registers::None => Ok(()),
            Registers::Bounds(loaded) => {
                let expected = self
                    .domains(id)
                    .first()
                    .map(|domain| (domain.frame.base(self.page).0, domain.start.0, domain.end.0));
                let block = loaded.base().wrapping_add(loaded.lower());
                let found = (block, loaded.lower(), loaded.upper());
                if found == expected.unwrap_or((0, 0, 0)) {
                    Ok(())
                } else {
                    Err(format!("bounds {found:x?} loaded, not {expected:x?}"))
                }
            }
            Registers::Table(table) => {
                let unit = self.unit();
                for number in 0..table.shape().segments() {
                    let start = u64::from(number) * unit;
                    let units = start..start + unit;
                    let has =
                        |domain: &&Domain| domain.start.0 < units.end && units.start < domain.end.0;
                    let owner = self.domains(id).iter().find(has);
                    let rights = self.space(id).rights_in(units.clone());
                    let expected =
                        owner.map(|domain| domain.descriptor(start, unit, rights, self.page));
                    let found = table.descriptor(number).copied();
                    if found != expected {
                        return Err(format!(
                            "segment {number}: {found:x?} loaded, not {expected:x?}"
                        ));
                    }
                }
                Ok(())
            }
        }
    }
}
