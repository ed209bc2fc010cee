//! The part of a report that tells of segments.

use pagewalk_kernel::segments::{Domain, SegmentCounters, SegmentSummary};
use pagewalk_kernel::{Geometry, SegmentKernel};
use pagewalk_mmu::Rights;
use pagewalk_mmu::segment::Direction;
use pagewalk_mmu::segment::ia32::{Kind, Register};

use crate::machine::Machine;
use crate::report::{BlockReport, SegmentReport, SegmentRow};
use crate::segmentation::{FlatSegments, Segmentation};

impl Machine {
    /// The segments, if the machine has any.
    pub(crate) fn segment_report(&self) -> Option<SegmentReport> {
        match self.memory.segmentation() {
            Segmentation::Ia32(segments) => Some(flat(segments)),
            _ => self.os.segments().map(|kernel| self.unpaged(kernel)),
        }
    }

    fn unpaged(&self, kernel: &SegmentKernel) -> SegmentReport {
        let domains = kernel.domains(self.space).iter();
        SegmentReport {
            table: domains.map(|domain| self.row(kernel, domain)).collect(),
            descriptors: match kernel.geometry() {
                Geometry::Table(shape) => u64::from(shape.segments()),
                _ => 0,
            },
            peak_used: kernel.segment_counters().peak_segments,
            blocks: Some(blocks(
                &kernel.summary(),
                kernel.segment_counters(),
                kernel.page().bytes(),
            )),
        }
    }

    fn row(&self, kernel: &SegmentKernel, domain: &Domain) -> SegmentRow {
        let rights = match kernel.geometry() {
            Geometry::Table(_) => kernel.rights_in(self.space, domain.start..domain.end),
            // Whatever the program asked for, the hardware allows everything.
            _ => Rights::READ | Rights::WRITE | Rights::EXECUTE,
        };
        let (name, descriptors) = match kernel.geometry() {
            Geometry::Identity => ("memory".to_owned(), 0),
            Geometry::BaseBounds => ("bounds".to_owned(), 1),
            Geometry::Table(shape) => {
                let first = domain.start.0 / shape.segment_bytes();
                let end = domain.end.0.div_ceil(shape.segment_bytes());
                (first.to_string(), end - first)
            }
        };
        SegmentRow {
            name,
            descriptors,
            start: domain.start.0,
            bytes: domain.bytes(),
            at: domain.frame.base(kernel.page()).0,
            rights: letters(rights),
            grows_down: domain.direction == Direction::Down,
        }
    }
}

fn blocks(summary: &SegmentSummary, counters: &SegmentCounters, page_bytes: u64) -> BlockReport {
    let free = summary.frames_free;
    let scattered = free - summary.frames_largest;
    BlockReport {
        total: summary.frames * page_bytes,
        free: free * page_bytes,
        largest_free: summary.frames_largest * page_bytes,
        free_blocks: summary.free_blocks,
        fragmentation: if free == 0 { 0.0 } else { scattered as f64 / free as f64 },
        wasted: summary.frames_wasted * page_bytes,
        moves: counters.moves,
        bytes_moved: counters.bytes_moved,
        compactions: counters.compactions,
        refused_memory: counters.refused_memory,
        refused_segments: counters.refused_segments,
    }
}

fn flat(segments: &FlatSegments) -> SegmentReport {
    let row = |(name, register): (&str, Register)| {
        let descriptor = segments.register(register);
        let rights = match descriptor.kind() {
            Kind::Code { readable: true, .. } => Rights::READ | Rights::EXECUTE,
            Kind::Code { readable: false, .. } => Rights::EXECUTE,
            Kind::Data { writable: true, .. } => Rights::READ | Rights::WRITE,
            _ => Rights::READ,
        };
        SegmentRow {
            name: name.to_owned(),
            descriptors: 1,
            start: 0,
            bytes: u64::from(descriptor.limit()) + 1,
            at: u64::from(descriptor.base()),
            rights: letters(rights),
            grows_down: false,
        }
    };
    let table: Vec<SegmentRow> = [("cs", Register::Cs), ("ds", Register::Ds)].map(row).into();
    let used = table.len() as u64;
    SegmentReport { table, descriptors: 0, peak_used: used, blocks: None }
}

/// Rights as `/proc/PID/maps` shows them.
fn letters(rights: Rights) -> String {
    let bits = [(Rights::READ, 'r'), (Rights::WRITE, 'w'), (Rights::EXECUTE, 'x')];
    bits.map(|(bit, letter)| if rights.contains(bit) { letter } else { '-' }).iter().collect()
}
