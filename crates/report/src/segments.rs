//! The part of the text that tells of segments and of blocks of memory.

use crate::number::{grouped, percent, size};
use crate::page::Page;
use pagewalk_machine::report::{BlockReport, SegmentReport, SegmentRow};

/// Rows listed; the rest is counted.
const ROWS_LISTED: usize = 24;

/// Adds the segments to a page.
pub fn show(page: &mut Page, segments: &SegmentReport) {
    page.blank();
    let heading = ["Segments", "from", "bytes", "at", "rights"];
    let rows = segments.table.iter().take(ROWS_LISTED).map(row);
    let table = std::iter::once(heading.map(String::from).to_vec()).chain(rows);
    page.table(table.collect());
    if segments.table.len() > ROWS_LISTED {
        let others = segments.table.len() - ROWS_LISTED;
        page.detail("others", grouped(others as u64), String::new());
    }
    let of_all = match segments.descriptors {
        0 => String::new(),
        all => format!("of {} descriptors", grouped(all)),
    };
    page.detail("peak in use", grouped(segments.peak_used), of_all);
    if let Some(memory) = &segments.blocks {
        blocks(page, memory);
    }
}

fn row(row: &SegmentRow) -> Vec<String> {
    let name = match row.descriptors {
        0 | 1 => format!("  {}", row.name),
        several => format!("  {} (+{})", row.name, several - 1),
    };
    let direction = if row.grows_down { " down" } else { "" };
    vec![
        name,
        format!("{:#x}", row.start),
        grouped(row.bytes),
        format!("{:#x}", row.at),
        format!("{}{direction}", row.rights),
    ]
}

fn blocks(page: &mut Page, memory: &BlockReport) {
    let of_total = |bytes: u64| {
        let share = percent(bytes, memory.total);
        if memory.total == 0 { size(bytes) } else { format!("{}, {share} of memory", size(bytes)) }
    };
    let scattered = memory.free - memory.largest_free.min(memory.free);
    let fragmentation = match memory.free {
        0 => String::new(),
        free => {
            format!("{} of free memory, in {} blocks", percent(scattered, free), memory.free_blocks)
        }
    };
    page.blank();
    page.heading("Memory blocks at the end (bytes)");
    page.detail("free", grouped(memory.free), of_total(memory.free));
    page.detail("largest free block", grouped(memory.largest_free), of_total(memory.largest_free));
    page.detail("fragmented", grouped(scattered), fragmentation);
    page.detail("in no mapping", grouped(memory.wasted), of_total(memory.wasted));
    page.figure("Moves", grouped(memory.moves), format!("{} copied", size(memory.bytes_moved)));
    page.detail("compactions", grouped(memory.compactions), String::new());
    page.detail("refused for memory", grouped(memory.refused_memory), String::new());
    page.detail("refused for segments", grouped(memory.refused_segments), String::new());
}
