//! The part of the text that tells of the harts one by one, where there are several.

use crate::number::grouped;
use crate::page::Page;
use pagewalk_machine::report::{HartReport, References};

/// Adds the harts to a page.
pub fn show(page: &mut Page, harts: &[HartReport]) {
    if harts.is_empty() {
        return;
    }
    let work = ["Harts", "instructions", "cycles", "references", "L1 TLB misses", "walks"];
    table(page, &work, harts, |hart| {
        let References { fetches, loads, stores } = hart.references;
        let misses = hart.tlb.as_ref().map_or("none".to_owned(), |tlb| grouped(tlb.misses));
        let references = grouped(fetches + loads + stores);
        [grouped(hart.instructions), grouped(hart.cycles), references, misses, grouped(hart.walks)]
            .into()
    });
    let turns = ["", "switches", "of spaces", "shoot-downs sent", "received"];
    table(page, &turns, harts, |hart| {
        let switches = [hart.context_switches, hart.space_switches];
        let shootdowns = [hart.shootdowns_sent, hart.shootdowns_received];
        switches.into_iter().chain(shootdowns).map(grouped).collect()
    });
}

fn table(
    page: &mut Page,
    heading: &[&str],
    harts: &[HartReport],
    cells: impl Fn(&HartReport) -> Vec<String>,
) {
    let heading = heading.iter().map(|&label| label.to_owned()).collect();
    let rows = harts
        .iter()
        .enumerate()
        .map(|(number, hart)| [vec![format!("  hart {number}")], cells(hart)].concat());
    page.blank();
    page.table(std::iter::once(heading).chain(rows).collect());
}
