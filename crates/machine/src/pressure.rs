//! Memory pressure, as Linux's pressure stall information has it (Documentation/accounting/psi.rst).
//!
//! ```text
//!   some    a thread waits for a page or for memory
//!   full    and no hart runs anything meanwhile: time that is lost
//!
//!   thread A   ███░░░░░███░░░░░░██        █ runs   ░ waits for a page
//!   thread B   ░░░███░░░░░░░█████
//!   some       ◄────────────────►
//!   full             ◄►   ◄►
//! ```
//!
//! It is kept where threads wait for devices. Where harts do, all of a run's `disk` cycles are lost.

/// How long threads waited for memory, in cycles.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pressure {
    since: u64,
    now_some: bool,
    now_full: bool,
    /// Some thread did.
    pub some: u64,
    /// And nobody ran.
    pub full: u64,
}

impl Pressure {
    /// From `now` on some thread waits, or does not; and nobody runs.
    pub fn note(&mut self, now: u64, some: bool, idle: bool) {
        let passed = now.saturating_sub(self.since);
        self.some += if self.now_some { passed } else { 0 };
        self.full += if self.now_full { passed } else { 0 };
        self.since = self.since.max(now);
        (self.now_some, self.now_full) = (some, some && idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_for_what_was_so_when_it_passed() {
        let mut pressure = Pressure::default();
        pressure.note(10, true, false);
        pressure.note(30, true, true);
        pressure.note(35, false, true);
        pressure.note(99, true, true);
        assert_eq!((pressure.some, pressure.full), (25, 5));
        // Another hart's time is behind.
        pressure.note(90, false, false);
        pressure.note(100, false, false);
        assert_eq!((pressure.some, pressure.full), (25, 5));
    }
}
