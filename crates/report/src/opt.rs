//! The part of the text that compares the policy with OPT, where that was asked for.

use pagewalk_machine::report::{ForesightReport, OptReport};

use crate::number::grouped;
use crate::page::Page;

/// Adds the comparison to a page.
pub fn show(page: &mut Page, report: &OptReport) {
    page.blank();
    page.figure("Gap to OPT", format!("{:.3}", report.gap), "faults per fault of OPT".into());
    let mut detail = |label: &str, value: u64, note: String| {
        page.detail(label, grouped(value), note);
    };
    let kept = format!("{} kept", grouped(report.references_kept));
    detail("page references", report.references, kept);
    detail("pages", report.pages, String::new());
    let least = format!("{} at least: page tables come and go", grouped(report.frames_least));
    detail("frames", report.frames, least);
    detail("first references", report.cold_faults, "faults with any policy".into());
    detail("refaults", report.refaults, format!("{} of OPT", grouped(report.opt_refaults)));
    detail("faults", report.faults, format!("{} of OPT", grouped(report.opt_faults)));
    if let Some(cut) = report.cut_at {
        detail("recording full after", cut, "page references".into());
    }
}

/// Adds whether OPT knew the future.
pub fn show_foresight(page: &mut Page, report: &ForesightReport) {
    page.blank();
    page.heading("Second run");
    page.detail("page references", grouped(report.references), String::new());
    match report.apart_at {
        None => page.detail("other than in the first", "0".into(), String::new()),
        Some(at) => {
            page.detail("other from number", grouped(at), "on; from there on LRU".into());
        }
    }
    if let Some(reason) = &report.reason {
        page.detail("reason", String::new(), reason.escape_debug().to_string());
    }
}
