//! The part of the text that tells which processes were ended for lack of memory.

use pagewalk_machine::report::OomKillReport;

use crate::number::grouped;
use crate::page::Page;

/// Processes that the text names.
const SHOWN: usize = 8;

/// Adds them to a page, if there were any.
pub fn show(page: &mut Page, kills: &[OomKillReport]) {
    if kills.is_empty() {
        return;
    }
    page.blank();
    page.heading("Killed for lack of memory (badness in pages)");
    for kill in kills.iter().take(SHOWN) {
        let label = format!("process {} ({})", kill.pid, kill.name.escape_debug());
        let badness = match kill.badness {
            Some(badness) if badness < 0 => format!("-{}", grouped(badness.unsigned_abs())),
            Some(badness) => grouped(badness.unsigned_abs()),
            None => "none".to_owned(),
        };
        page.detail(&label, badness, kill.reason.clone());
    }
    if kills.len() > SHOWN {
        page.detail("others", grouped((kills.len() - SHOWN) as u64), String::new());
    }
}
