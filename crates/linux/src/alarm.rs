//! Alarms: when timers of processes and timer files go off next.
//!
//! ```text
//!   a process's timers ─┐ earliest ──► Alarms { (deadline, owner) … } ──► System::next_deadline
//!   a timer file ───────┘                       │ expire(now)
//!                                               ▼
//!                         signals are sent, files become readable, the owner's next deadline set
//! ```
//!
//! Invariants:
//! 1. An owner has at most one entry: its earliest deadline.
//! 2. A timer that has gone off has no deadline until it was heard of: its signal taken, its file
//!    read. So time in which nothing happens costs nothing, however short an interval is.

use std::collections::{BTreeMap, BTreeSet};

use crate::anonymous::ObjectId;
use crate::wait::Pid;

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// A process's, of setitimer or timer_create.
    Process(Pid),
    /// A timerfd.
    File(ObjectId),
}

/// All deadlines of timers, in virtual nanoseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms {
    by_deadline: BTreeSet<(u64, Owner)>,
    of: BTreeMap<Owner, u64>,
}

impl Alarms {
    /// Says when an owner's next timer goes off.
    pub(crate) fn set(&mut self, owner: Owner, deadline_ns: Option<u64>) {
        let before = match deadline_ns {
            Some(deadline) => self.of.insert(owner, deadline),
            None => self.of.remove(&owner),
        };
        if before == deadline_ns {
            return;
        }
        if let Some(before) = before {
            self.by_deadline.remove(&(before, owner));
        }
        if let Some(deadline) = deadline_ns {
            self.by_deadline.insert((deadline, owner));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.by_deadline.first().map(|&(deadline, _)| deadline)
    }

    /// Takes an owner whose deadline is not after `now_ns`.
    pub(crate) fn take_expired(&mut self, now_ns: u64) -> Option<Owner> {
        let &(deadline, owner) = self.by_deadline.first()?;
        if deadline > now_ns {
            return None;
        }
        self.set(owner, None);
        Some(owner)
    }
}

/// The first of the points `from + k · interval` that is after `now`, and how many are not.
/// `interval` must not be 0.
pub(crate) fn forward(from_ns: u64, interval_ns: u64, now_ns: u64) -> (u64, u64) {
    debug_assert!(interval_ns > 0, "a periodic timer has an interval");
    let passed = now_ns.checked_sub(from_ns).map_or(0, |late| late / interval_ns + 1);
    (from_ns.saturating_add(passed.saturating_mul(interval_ns)), passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_one_deadline() {
        let mut alarms = Alarms::default();
        let (a, b) = (Owner::Process(2), Owner::File(ObjectId(1)));
        alarms.set(a, Some(20));
        alarms.set(b, Some(15));
        alarms.set(a, Some(10));
        assert_eq!(alarms.next_deadline(), Some(10));
        assert_eq!(alarms.take_expired(9), None);
        assert_eq!(alarms.take_expired(30), Some(a));
        assert_eq!(alarms.take_expired(30), Some(b));
        assert_eq!(alarms.take_expired(30), None);
        alarms.set(a, None);
        assert_eq!(alarms.next_deadline(), None);
    }

    #[test]
    fn periods_that_passed_are_counted() {
        assert_eq!(forward(100, 10, 99), (100, 0));
        assert_eq!(forward(100, 10, 100), (110, 1));
        assert_eq!(forward(100, 10, 135), (140, 4));
        assert_eq!(forward(1, 1, u64::MAX), (u64::MAX, u64::MAX));
    }
}
