//! The part of the text that tells of processes and threads, where there were several.

use pagewalk_machine::report::{MappedFileReport, ProcessReport};

use crate::number::grouped;
use crate::page::Page;

/// Files that the text names.
const FILES_SHOWN: usize = 8;
/// Columns of a path; of a longer one the end is shown.
const PATH_COLUMNS: usize = 48;

/// Adds the processes to a page.
pub fn show(page: &mut Page, report: &ProcessReport) {
    let detail = |page: &mut Page, label: &str, value: u64, note: &str| {
        page.detail(label, grouped(value), note.to_owned());
    };
    page.blank();
    page.figure("Processes", grouped(report.processes), String::new());
    let alive = format!("{} at one time, at most", grouped(report.peak_threads));
    detail(page, "threads", report.threads, &alive);
    detail(page, "programs executed", report.execs, "");
    detail(page, "context switches", report.context_switches, "");
    detail(page, "forks", report.forks, "");
    detail(page, "pages shared by forks", report.fork_shared, "");
    detail(page, "copies made by stores", report.copied, "");
    detail(page, "copies avoided", report.copies_avoided, "by the last owner of a page");
    let at_end = format!("{} at the end", grouped(report.shared_frames));
    detail(page, "frames shared, at most", report.peak_shared_frames, &at_end);
    show_files(page, &report.mapped_files);
}

/// The files whose pages were in memory once for several processes, those that saved most.
fn show_files(page: &mut Page, files: &[MappedFileReport]) {
    if files.is_empty() {
        return;
    }
    let cells = |words: [&str; 4]| words.map(str::to_owned).to_vec();
    let mut rows = vec![cells(["Shared files", "frames", "mappings", "saved"])];
    for file in files.iter().take(FILES_SHOWN) {
        let counts = [file.pages, file.mappings, file.pages_saved].map(grouped);
        rows.push([vec![format!("  {}", name(&file.path))], counts.to_vec()].concat());
    }
    page.blank();
    page.table(rows);
}

/// A path in a few columns, without what a terminal would take for a command.
fn name(path: &str) -> String {
    if path.is_empty() {
        return "memory without a name".to_owned();
    }
    let shown: Vec<char> = path.escape_debug().collect();
    match shown.len().checked_sub(PATH_COLUMNS) {
        Some(cut @ 1..) => ['…'].iter().chain(&shown[cut + 1..]).collect(),
        _ => shown.iter().collect(),
    }
}
