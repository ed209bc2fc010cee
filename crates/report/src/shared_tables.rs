//! The part of the text that tells of page tables that processes share, and what that saves.

use pagewalk_machine::report::SharedTableReport;

use crate::number::grouped;
use crate::page::Page;

/// Adds them to a page.
pub fn show(page: &mut Page, tables: &SharedTableReport) {
    let plain = |page: &mut Page, label: &str, value: u64| {
        page.detail(label, grouped(value), String::new());
    };
    page.blank();
    page.heading(&format!("Shared page tables ({})", tables.which));
    plain(page, "references to others' tables", tables.shared);
    plain(page, "entries not copied", tables.entries_not_copied);
    plain(page, "faults saved, at most", tables.faults_saved);
    let entries = format!("{} entries", grouped(tables.entries_copied));
    page.detail("tables copied after all", grouped(tables.copied), entries);
    let at_end = format!("{} at the end", grouped(tables.frames_saved));
    page.detail("frames saved, at most", grouped(tables.peak_frames_saved), at_end);
    let saved = tables.cycles_saved;
    let sign = if saved < 0 { "-" } else { "" };
    let note = "by the cost model; no part of the cycles above".to_owned();
    page.detail("cycles saved", format!("{sign}{}", grouped(saved.unsigned_abs())), note);
}
