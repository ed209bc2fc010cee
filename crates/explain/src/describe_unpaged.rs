//! The parts of a description that are not page tables: bounds, segments, descriptors, walk caches.

use std::ops::Range;

use pagewalk_mmu::segment::ia32::Selector;
use pagewalk_mmu::segment::{
    BaseBounds, Descriptor, Direction, Identity, SegmentCause, SegmentTable, Shape,
};
use pagewalk_mmu::{Mmu, PhysAddr, Privilege, Rights, WalkCacheConfig};
use toml::Spanned;

use crate::builder::rights;
use crate::describe::{Description, Problem, SegmentLine};
use crate::explain::SEGMENTS_PAGING;
use crate::scene::Unpaged;
use crate::segment::{DESCRIPTORS_MAX, DescriptorTable};

const NONE: &str = "none";
const BASE_BOUNDS: &str = "base-bounds";
const SEGMENTS: &str = "segments";

/// The machines without pages.
pub const UNPAGED: [&str; 3] = [NONE, BASE_BOUNDS, SEGMENTS];

/// Memory without translation, unless its size is said: as much as `run` has.
const MEMORY_BYTES: u64 = 64 << 20;

impl Description {
    /// The hardware, if it has no pages.
    pub(crate) fn unpaged(&self) -> Result<Option<Unpaged>, Problem> {
        let name = self.mmu.get_ref().as_str();
        self.check_parts(name)?;
        Ok(Some(match name {
            NONE => {
                let bytes = self.memory.as_ref().map_or(MEMORY_BYTES, |bytes| *bytes.get_ref());
                if bytes == 0 {
                    return Err((span(&self.memory), "no memory: give at least a byte".into()));
                }
                Unpaged::Identity(Identity::new(0..bytes))
            }
            BASE_BOUNDS => Unpaged::Bounds(self.bounds_registers()?),
            SEGMENTS => Unpaged::Table(self.segment_table()?),
            _ => return Ok(None),
        }))
    }

    /// Refuses what the hardware called `name` has not.
    fn check_parts(&self, name: &str) -> Result<(), Problem> {
        let is_unpaged = UNPAGED.contains(&name);
        let parts = [
            ("base", self.base.as_ref().map(Spanned::span), name == BASE_BOUNDS, BASE_BOUNDS),
            ("bounds", self.bounds.as_ref().map(Spanned::span), name == BASE_BOUNDS, BASE_BOUNDS),
            ("segment", self.segment.first().map(Spanned::span), name == SEGMENTS, SEGMENTS),
            (
                "descriptor",
                self.descriptor.first().map(Spanned::span),
                name == SEGMENTS_PAGING,
                SEGMENTS_PAGING,
            ),
            (
                "selector",
                self.selector.as_ref().map(Spanned::span),
                name == SEGMENTS_PAGING,
                SEGMENTS_PAGING,
            ),
            ("map", self.map.first().map(Spanned::span), !is_unpaged, "page tables"),
            ("entry", self.entry.first().map(Spanned::span), !is_unpaged, "page tables"),
            ("root", self.root.as_ref().map(Spanned::span), !is_unpaged, "page tables"),
            ("page", self.page.as_ref().map(Spanned::span), !is_unpaged, "page tables"),
            ("tlb", self.tlb.as_ref().map(Spanned::span), !is_unpaged, "page tables"),
            ("walk_cache", self.walk_cache.as_ref().map(Spanned::span), !is_unpaged, "page tables"),
        ];
        for (part, given, fits, of) in parts {
            if let (Some(span), false) = (given, fits) {
                return Err((span, format!("{name} has no {part}: that is a part of {of}")));
            }
        }
        if let (Some(control), true) = (self.controls.keys().next(), is_unpaged) {
            return Err((control.span(), format!("{name} has no control bits")));
        }
        Ok(())
    }

    fn bounds_registers(&self) -> Result<BaseBounds, Problem> {
        let base = self.base.as_ref().map_or(0, |base| *base.get_ref());
        let Some(bounds) = &self.bounds else {
            return Err((self.mmu.span(), "no bounds: give bounds, as [first, end]".into()));
        };
        let &(first, end) = bounds.get_ref();
        if first >= end {
            let problem = format!("nothing lies from {first} up to {end}: give [first, end]");
            return Err((bounds.span(), problem));
        }
        let mut registers = BaseBounds::new();
        let block = PhysAddr(base.wrapping_add(first));
        let loaded = registers.load(Privilege::Supervisor, block, first, end);
        loaded.expect("the supervisor may load bounds");
        Ok(registers)
    }

    fn segment_table(&self) -> Result<SegmentTable, Problem> {
        let shape = Shape::DEFAULT;
        let mut table = SegmentTable::new(shape);
        for line in &self.segment {
            let segment = line.get_ref();
            let descriptor = descriptor(segment).map_err(|problem| (line.span(), problem))?;
            table.load(Privilege::Supervisor, segment.number, Some(descriptor)).map_err(
                |cause| {
                    let problem = match cause {
                        SegmentCause::OutsideTable => format!(
                            "no segment {}: give a number up to {}",
                            segment.number,
                            shape.segments() - 1
                        ),
                        _ => format!(
                            "bounds {} exceed a segment: give up to {}",
                            segment.bounds,
                            shape.segment_bytes()
                        ),
                    };
                    (line.span(), problem)
                },
            )?;
        }
        Ok(table)
    }

    /// The GDT, if this hardware has one.
    pub(crate) fn descriptor_table(&self) -> Result<Option<DescriptorTable>, Problem> {
        if self.mmu.get_ref() != SEGMENTS_PAGING {
            return Ok(None);
        }
        let mut descriptors = Vec::new();
        for line in &self.descriptor {
            let descriptor = line.get_ref();
            if descriptor.index >= DESCRIPTORS_MAX {
                let (index, last) = (descriptor.index, DESCRIPTORS_MAX - 1);
                let problem = format!("no descriptor {index}: give an index up to {last}");
                return Err((line.span(), problem));
            }
            descriptors.push((descriptor.index, descriptor.raw));
        }
        let selector = self.selector.as_ref().map(|selector| {
            let raw = *selector.get_ref();
            let of_gdt = u16::try_from(raw).map(Selector).ok().filter(|known| !known.is_local());
            of_gdt.ok_or_else(|| {
                let problem =
                    format!("{raw:#x} selects nothing of the GDT: give 16 bits, TI clear");
                (selector.span(), problem)
            })
        });
        Ok(Some(DescriptorTable::new(descriptors, selector.transpose()?)))
    }

    /// The MMU with the walk cache that is described.
    pub(crate) fn with_walk_cache(&self, mmu: Mmu) -> Result<Mmu, Problem> {
        let Some(text) = &self.walk_cache else { return Ok(mmu) };
        let config = WalkCacheConfig::parse(text.get_ref());
        let with_cache = config.and_then(|config| mmu.with_walk_cache(config));
        with_cache.map_err(|error| (text.span(), error.to_string()))
    }
}

fn descriptor(line: &SegmentLine) -> Result<Descriptor, String> {
    let rights = rights(line.rights.as_deref())?;
    if line.rights.is_some() && rights.contains(Rights::USER) {
        return Err("segments know no u: give some of r, w, x".into());
    }
    Ok(Descriptor {
        base: line.base,
        bounds: line.bounds,
        direction: if line.down { Direction::Down } else { Direction::Up },
        rights,
    })
}

fn span<T>(value: &Option<Spanned<T>>) -> Range<usize> {
    value.as_ref().map_or(0..0, Spanned::span)
}
