//! Load control: whole processes are swapped out while memory is too small for all, and back.
//!
//! ```text
//!   every 10 ms           share of the last 10 ms that was lost (`full`, pressure.rs)
//!     at least 50 %       the process to go: nicest, then longest in memory   ─► swapped out
//!     less than 5 %       the process to come: longest out, by 8 periods less for each step of nice,
//!                         if what all hold and it held fits memory            ◄─ swapped in
//!     whatever it is      who has been out for 50 periods                     ◄─ swapped in
//! ```
//!
//! As FreeBSD's (`vm/vm_swapout.c`: swapout_procs, swapper), priority and time decide; and as Denning
//! asks of a system that must not thrash, nobody comes in whose pages do not fit beside the others'.
//! Nobody goes again before it has been in for 10 periods, and one who could go always stays. A
//! process with less than a hundredth of memory is not worth it.
//!
//! Who is swapped out loses its pages in batches (`kernel/src/swap_out.rs`), one batch a period.

use std::collections::BTreeMap;

use pagewalk_linux::Pid;

use crate::machine::Machine;

const PERIOD_NS: u64 = 10_000_000;
const LOST_PERCENT_HIGH: u64 = 50;
const LOST_PERCENT_LOW: u64 = 5;
const PERIODS_IN_MIN: u64 = 10;
const PERIODS_OUT_MAX: u64 = 50;
/// What a step of nice is worth (FreeBSD: swtime + slptime - nice × 8).
const PERIODS_PER_NICE: i64 = 8;
const SMALLEST_PART: u64 = 100;

/// Who is swapped out, and since when.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadControl {
    /// The number of the period, and when it ends, in cycles.
    period: u64,
    ends_at: u64,
    /// When it began, and how many cycles had been lost by then.
    began: (u64, u64),
    out: BTreeMap<Pid, Out>,
    /// When processes came in, if they had been out.
    came_in: BTreeMap<Pid, u64>,
    /// Processes swapped out so far.
    pub swapped_out: u64,
    /// Processes swapped in so far.
    pub swapped_in: u64,
}

#[derive(Clone, Copy, Debug)]
struct Out {
    since: u64,
    /// Pages that it held.
    held: u64,
}

impl LoadControl {
    /// When something is to be done, if somebody is out.
    pub fn deadline(&self) -> Option<u64> {
        (!self.out.is_empty()).then_some(self.ends_at)
    }

    /// Whether a process may go that came in not long ago.
    fn has_been_in(&self, pid: Pid) -> bool {
        self.came_in.get(&pid).is_none_or(|&since| self.period - since >= PERIODS_IN_MIN)
    }

    /// Ends the period; the share of it that was lost, in percent.
    fn end_period(&mut self, now: u64, lost: u64, cycles: u64) -> u64 {
        let (began, lost_before) = self.began;
        let passed = now.saturating_sub(began).max(1);
        self.began = (now, lost);
        self.period += 1;
        self.ends_at = now.saturating_add(cycles.max(1));
        (lost - lost_before).saturating_mul(100) / passed
    }
}

impl Machine {
    /// Does what is due.
    pub(crate) fn control_load(&mut self, now: u64) {
        if !self.config.load_control || now < self.load_control.ends_at {
            return;
        }
        let cycles = self.config.cost.cycles(PERIOD_NS);
        let lost = self.load_control.end_period(now, self.pressure.full, cycles);
        self.forget_ended();
        self.in_kernel(|machine| machine.page_out_swapped());
        if lost >= LOST_PERCENT_HIGH {
            self.swap_one_out();
        }
        if let Some(pid) = self.next_in(lost < LOST_PERCENT_LOW) {
            self.swap_in(pid);
        }
    }

    fn forget_ended(&mut self) {
        let system = &self.system;
        let lives = |pid: Pid| system.process(pid).is_some_and(|process| !process.has_ended());
        self.load_control.out.retain(|&pid, _| lives(pid));
        self.load_control.came_in.retain(|&pid, _| lives(pid));
    }

    /// Another batch of the pages of those who are out.
    fn page_out_swapped(&mut self) {
        let out: Vec<Pid> = self.load_control.out.keys().copied().collect();
        for pid in out {
            if let Some(space) = self.system.process(pid).map(|process| process.space) {
                self.lend(|os, platform| os.swap_out(platform, space));
            }
        }
    }

    fn swap_one_out(&mut self) {
        let smallest = self.os.frames().total / SMALLEST_PART;
        let candidates: Vec<(Pid, u64)> = self
            .system
            .processes()
            .filter(|process| !self.load_control.out.contains_key(&process.pid))
            .map(|process| (process.pid, self.os.residency(process.space).rss()))
            .filter(|&(_, held)| held > smallest)
            .collect();
        if candidates.len() < 2 {
            return;
        }
        let came_in = |pid| self.load_control.came_in.get(&pid).copied().unwrap_or(0);
        let may_go = candidates.into_iter().filter(|&(pid, _)| self.load_control.has_been_in(pid));
        let goes = may_go.min_by_key(|&(pid, _)| (-self.system.nice(pid), came_in(pid), pid));
        let Some((pid, held)) = goes else { return };
        let since = self.load_control.period;
        self.load_control.out.insert(pid, Out { since, held });
        self.load_control.came_in.remove(&pid);
        self.load_control.swapped_out += 1;
        self.system.swap_out_process(pid);
        self.in_kernel(|machine| machine.page_out_swapped());
    }

    /// Who comes in: if there is room, or because it has been out for long.
    fn next_in(&self, has_room: bool) -> Option<Pid> {
        let control = &self.load_control;
        let rank = |pid: Pid, out: &Out| {
            (control.period - out.since) as i64
                - PERIODS_PER_NICE * i64::from(self.system.nice(pid))
        };
        let (&pid, out) = control
            .out
            .iter()
            .max_by_key(|&(&pid, out)| (rank(pid, out), std::cmp::Reverse(pid)))?;
        let overdue = control.period - out.since >= PERIODS_OUT_MAX;
        (overdue || (has_room && self.fits(out.held))).then_some(pid)
    }

    /// Whether so many pages fit beside what those hold who are in.
    fn fits(&self, held: u64) -> bool {
        let frames = self.os.frames();
        let others: u64 = self
            .system
            .processes()
            .filter(|process| !self.load_control.out.contains_key(&process.pid))
            .map(|process| self.os.residency(process.space).rss())
            .sum();
        others + held + frames.page_table <= frames.total
    }

    fn swap_in(&mut self, pid: Pid) {
        self.load_control.out.remove(&pid);
        self.load_control.came_in.insert(pid, self.load_control.period);
        self.load_control.swapped_in += 1;
        self.system.swap_in_process(pid);
    }
}
