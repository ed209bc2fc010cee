//! The part of the text that tells of page replacement.

use pagewalk_machine::report::ReplacementReport;

use crate::number::{grouped, percent};
use crate::page::Page;

/// Adds what the policy did to a page.
pub fn show(page: &mut Page, report: &ReplacementReport) {
    let refaults = report.refaults_anon + report.refaults_file;
    let looks = report.scans + report.harvests;
    page.blank();
    page.heading("Replacement (pages)");
    let mut detail = |label: &str, count: u64, note: String| {
        page.detail(label, grouped(count), note);
    };
    if let Some(limit) = report.resident_limit {
        detail("limit of each process", limit, String::new());
    }
    if let Some(limit) = report.group_limit {
        detail("limit of all processes", limit, "their page tables counted".into());
        detail("given up to each other", report.group_steals, "at that limit".into());
    }
    if report.own_steals > 0 {
        detail("given up to itself", report.own_steals, "by a process at its limit".into());
    }
    detail("scanned", report.scans, "because frames were short".into());
    if report.harvests > 0 {
        detail("harvested", report.harvests, "looked at periodically".into());
    }
    let found = (looks > 0).then(|| format!("{} of looks", percent(report.referenced, looks)));
    detail("found referenced", report.referenced, found.unwrap_or_default());
    detail("stolen", report.steals, String::new());
    if report.given_up > 0 {
        detail("given up", report.given_up, "although no frame was wanted".into());
    }
    detail("laundered", report.launders, "written ahead of need".into());
    let distance = report.refault_distance.map(|pages| format!("{pages:.1} evictions later"));
    detail("refaults", refaults, distance.unwrap_or_default());
    if let (Some(up), Some(down)) = (report.activations, report.deactivations) {
        detail("activated", up, String::new());
        detail("deactivated", down, String::new());
    }
}
