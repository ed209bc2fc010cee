//! What a report says of page tables that processes share.
//!
//! ```text
//!   saved     entries not copied × (read + write)     tables not made × zeroing a frame
//!             entries found × (trap + fault)
//!   less      entries copied after all                tables copied after all
//! ```

use pagewalk_kernel::ShareTables;

use crate::CostModel;
use crate::machine::Machine;
use crate::report::SharedTableReport;

impl Machine {
    pub(crate) fn shared_table_report(&self) -> Option<SharedTableReport> {
        let which = self.config.share_tables;
        if which == ShareTables::Off {
            return None;
        }
        let counters = self.os.counters();
        let (frames_saved, peak_frames_saved) = self.os.table_frames_saved();
        let mut report = SharedTableReport {
            which: which.name().to_owned(),
            shared: counters.tables_shared,
            entries_not_copied: counters.table_entries_shared,
            faults_saved: counters.table_entries_found,
            copied: counters.tables_copied,
            entries_copied: counters.table_entries_copied,
            frames_saved,
            peak_frames_saved,
            cycles_saved: 0,
        };
        report.cycles_saved = cycles_saved(&report, &self.config.cost);
        Some(report)
    }
}

/// What the field of that name says.
fn cycles_saved(report: &SharedTableReport, cost: &CostModel) -> i64 {
    let sum = |terms: &[(u64, u64)]| {
        let cycles = terms.iter().map(|&(count, cost)| i128::from(count) * i128::from(cost));
        cycles.sum::<i128>()
    };
    // Costs are bounded (`COST_MAX`): no sum of two is too large.
    let (entry, fault) = (cost.walk_read + cost.walk_write, cost.trap + cost.fault);
    let saved = sum(&[
        (report.entries_not_copied, entry),
        (report.shared, cost.zero_frame),
        (report.faults_saved, fault),
    ]);
    let made = sum(&[(report.entries_copied, entry), (report.copied, cost.zero_frame)]);
    let bounds = (i128::from(i64::MIN), i128::from(i64::MAX));
    (saved - made).clamp(bounds.0, bounds.1) as i64
}
