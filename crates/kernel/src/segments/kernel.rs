//! The manager: its parts, and how programs' address spaces come and go.

use super::{Blocks, Domain, Fit, Geometry, SegmentCounters, SegmentPlatform, SegmentSummary};
use crate::segments::domain::rights_of;
use crate::{Backing, Errno, Layout, MapRequest, Prot, Region, RegionSet, SpaceId, Vmstat};
use alloc::vec::Vec;
use core::ops::Range;
use pagewalk_mmu::{PageSize, PhysAddr, Rights, VirtAddr};

/// The memory manager of a machine without pages.
#[derive(Clone, Debug)]
pub struct SegmentKernel {
    pub(super) geometry: Geometry,
    pub(super) page: PageSize,
    pub(super) fit: Fit,
    pub(super) blocks: Blocks,
    pub(super) spaces: Vec<Option<SegmentSpace>>,
    /// The space whose registers are loaded.
    pub(super) active: Option<SpaceId>,
    pub(super) counters: Vmstat,
    pub(super) segment_counters: SegmentCounters,
}

/// A program's address space.
#[derive(Clone, Debug)]
pub(super) struct SegmentSpace {
    pub layout: Layout,
    pub regions: RegionSet,
    /// Lowest first.
    pub domains: Vec<Domain>,
    /// Where the heap starts.
    pub heap_start: VirtAddr,
    /// Where the heap ends, to the byte.
    pub heap_end: VirtAddr,
}

impl SegmentSpace {
    /// The domain that has the address.
    pub(super) fn domain_of(&self, va: VirtAddr) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.contains(va))
    }

    /// What the regions in a range allow, all together.
    pub(super) fn rights_in(&self, range: Range<u64>) -> Rights {
        let regions = self.regions.iter_from(VirtAddr(range.start));
        let within = regions.take_while(|region| region.start.0 < range.end);
        rights_of(within.fold(Prot::empty(), |all, region| all | region.prot))
    }
}

impl SegmentKernel {
    /// A manager of `frames`, numbers of frames of size `page`, without programs.
    pub fn new(geometry: Geometry, page: PageSize, frames: Range<u64>, fit: Fit) -> Self {
        Self {
            geometry,
            page,
            fit,
            blocks: Blocks::new(frames),
            spaces: Vec::new(),
            active: None,
            counters: Vmstat::default(),
            segment_counters: SegmentCounters::default(),
        }
    }

    /// Makes an empty address space, which is not the active one.
    pub fn create_space(&mut self, layout: Layout) -> SpaceId {
        let index = self.spaces.iter().position(Option::is_none).unwrap_or(self.spaces.len());
        if index == self.spaces.len() {
            self.spaces.push(None);
        }
        self.spaces[index] = Some(SegmentSpace {
            layout,
            regions: RegionSet::default(),
            domains: Vec::new(),
            heap_start: layout.user_start,
            heap_end: layout.user_start,
        });
        SpaceId(index as u32)
    }

    /// Ends an address space. Stores to shared mappings are written back; what cannot be, is
    /// counted as an error of its file, and lost.
    pub fn destroy_space(&mut self, platform: &mut impl SegmentPlatform, id: SpaceId) {
        // The errors have been counted and told; there is nobody left who could try again.
        let _told = self.finish(platform, id);
        if self.active == Some(id) {
            self.geometry.clear(platform);
            self.active = None;
        }
        if let Some(space) = self.spaces[id.0 as usize].take() {
            for domain in &space.domains {
                self.blocks.release(domain.frame.0, domain.frames(self.page));
            }
        }
    }

    /// Loads the registers for a space: a switch of programs.
    pub fn activate(&mut self, platform: &mut impl SegmentPlatform, id: SpaceId) {
        self.geometry.clear(platform);
        self.active = Some(id);
        for domain in self.space(id).domains.clone() {
            self.load_registers(platform, id, domain.units(self.unit()));
        }
    }

    /// The space whose registers are loaded.
    pub const fn active(&self) -> Option<SpaceId> {
        self.active
    }

    /// Makes a domain of memory anywhere in a space: text 004's `map_domain(size, permissions)`.
    ///
    /// # Errors
    /// `Enomem` if segments or memory have run out.
    pub fn map_domain(
        &mut self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        bytes: u64,
        permissions: Prot,
    ) -> Result<VirtAddr, Errno> {
        self.mmap(platform, id, MapRequest::anonymous(bytes, permissions))
    }

    /// What happened so far, by the names that a kernel with pages uses.
    pub fn counters(&self) -> &Vmstat {
        &self.counters
    }

    /// What happened to segments so far.
    pub fn segment_counters(&self) -> &SegmentCounters {
        &self.segment_counters
    }

    /// The kind of hardware.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The fit.
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// The free memory.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// The size of a frame, and the unit of regions.
    pub fn page(&self) -> PageSize {
        self.page
    }

    /// A space's bounds.
    pub fn layout(&self, id: SpaceId) -> Layout {
        self.space(id).layout
    }

    /// A space's regions, lowest first.
    pub fn regions(&self, id: SpaceId) -> impl DoubleEndedIterator<Item = &Region> {
        self.space(id).regions.iter()
    }

    /// A space's domains, lowest first.
    pub fn domains(&self, id: SpaceId) -> &[Domain] {
        &self.space(id).domains
    }

    /// What the regions in a range of a space allow, all together: the rights of a segment there.
    pub fn rights_in(&self, id: SpaceId, range: Range<VirtAddr>) -> Rights {
        self.space(id).rights_in(range.start.0..range.end.0)
    }

    /// How memory lies now.
    pub fn summary(&self) -> SegmentSummary {
        let frames = |bytes: u64| bytes >> self.page.shift();
        let spaces = || self.spaces.iter().flatten();
        let of_regions = |file: bool| -> u64 {
            let regions = spaces().flat_map(|space| space.regions.iter());
            let chosen =
                regions.filter(|region| matches!(region.backing, Backing::File { .. }) == file);
            chosen.map(|region| frames(region.len())).sum()
        };
        let pool = self.blocks.pool();
        let (anon, file) = (of_regions(false), of_regions(true));
        let free = self.blocks.free_frames();
        SegmentSummary {
            segments: self.segments_in_use(),
            frames: pool.end - pool.start,
            frames_free: free,
            frames_largest: self.blocks.largest(),
            free_blocks: self.blocks.free().len() as u64,
            frames_wasted: pool.end - pool.start - free - anon - file,
            frames_anon: anon,
            frames_file: file,
        }
    }

    /// Segments of all spaces; a domain is one where units have no number.
    fn segments_in_use(&self) -> u64 {
        let unit = self.unit();
        let domains = self.spaces.iter().flatten().flat_map(|space| &space.domains);
        let of = |domain: &Domain| match self.geometry {
            Geometry::Table(_) => {
                let units = domain.units(unit);
                (units.end - units.start) / unit
            }
            _ => 1,
        };
        domains.map(of).sum()
    }

    /// Notes peaks after memory was given.
    pub(super) fn note_peaks(&mut self) {
        let pool = self.blocks.pool();
        let used = pool.end - pool.start - self.blocks.free_frames();
        let segments = self.segments_in_use();
        let counters = &mut self.segment_counters;
        counters.peak_frames = counters.peak_frames.max(used);
        counters.peak_segments = counters.peak_segments.max(segments);
    }

    pub(super) fn unit(&self) -> u64 {
        self.geometry.unit(self.page)
    }

    /// # Panics
    /// If the space does not exist: identifiers come from [`SegmentKernel::create_space`] alone.
    pub(super) fn space(&self, id: SpaceId) -> &SegmentSpace {
        self.spaces[id.0 as usize].as_ref().expect("a space in use")
    }

    pub(super) fn space_mut(&mut self, id: SpaceId) -> &mut SegmentSpace {
        self.spaces[id.0 as usize].as_mut().expect("a space in use")
    }

    /// Brings the registers of the active space up to date with the domains that have units in a
    /// range of addresses, and with the regions there.
    pub(super) fn load_registers(
        &self,
        platform: &mut impl SegmentPlatform,
        id: SpaceId,
        range: Range<u64>,
    ) {
        if self.active != Some(id) {
            return;
        }
        let space = self.space(id);
        match self.geometry {
            Geometry::Identity => {}
            Geometry::BaseBounds => match space.domains.first() {
                Some(domain) => {
                    platform.load_bounds(domain.frame.base(self.page), domain.start.0, domain.end.0)
                }
                None => platform.load_bounds(PhysAddr(0), 0, 0),
            },
            Geometry::Table(_) => {
                let unit = self.unit();
                let first = range.start & !(unit - 1);
                for start in (first..range.end).step_by(unit as usize) {
                    let units = start..start + unit;
                    let owner = space
                        .domains
                        .iter()
                        .find(|domain| domain.start.0 < units.end && units.start < domain.end.0);
                    let rights = space.rights_in(units);
                    let descriptor =
                        owner.map(|domain| domain.descriptor(start, unit, rights, self.page));
                    platform.load_descriptor((start / unit) as u32, descriptor);
                }
            }
        }
    }
}
