//! The part of the text that tells of processes and threads, where there were several.

use pagewalk_machine::report::ProcessReport;

use crate::number::grouped;
use crate::page::Page;

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
}
