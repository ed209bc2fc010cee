//! The table of machines in docs/machines.md, made from the descriptions.

use crate::check::list as sizes;
use crate::description::Description;
use crate::size::compact;

/// The line before the table.
pub const DOCUMENT_BEGIN: &str = "<!-- table of machines: made from machines/*.toml -->";
/// The line behind it.
pub const DOCUMENT_END: &str = "<!-- end of the table of machines -->";

/// The table in Markdown.
pub fn document_table(machines: &[Description]) -> String {
    let mut text = String::from(
        "| name | machine | year | `--mmu` | pages | TLB entries | ASID bits | RAM | figures checked |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for machine in machines {
        let (checked, all) = machine.checked_figures();
        text += &format!(
            "| `{}` | {} | {} | `{}` | {} | {} | {} | {} | {checked} of {all} |\n",
            machine.name,
            machine.title,
            machine.year,
            machine.mmu.name,
            sizes(&machine.mmu.pages),
            machine.tlb_summary(),
            machine.tlb.asid_bits,
            compact(machine.memory.ram),
        );
    }
    text
}

impl Description {
    /// How many of its figures have been compared with their sources, and how many there are.
    pub fn checked_figures(&self) -> (usize, usize) {
        let single = [&self.mmu.provenance, &self.tlb.provenance, &self.memory.provenance];
        let arrays = self.tlb.arrays.iter().map(|array| &array.provenance);
        let walk_caches = self.walk_caches.iter().map(|cache| &cache.provenance);
        let caches = self.caches.iter().map(|cache| &cache.provenance);
        let costs = self.costs.values().map(|figure| &figure.provenance);
        let all = single.into_iter().chain(arrays).chain(walk_caches).chain(caches).chain(costs);
        let checked: Vec<bool> = all.map(|provenance| provenance.checked).collect();
        (checked.iter().filter(|&&checked| checked).count(), checked.len())
    }
}
