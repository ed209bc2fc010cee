//! Transfers that devices are at: when each is done.
//!
//! ```text
//!   submit at t       begin = max(t, when the first of its lanes is free)     done = begin + service
//!
//!   lane 0   ──┤ transfer 1 ├──┤ transfer 3      ├──
//!   lane 1   ────┤ transfer 2          ├────────────
//! ```
//!
//! A device works at as many transfers at a time as it has lanes: a disk has one arm, flash several
//! chips. Transfers are done in the order of time, and of their numbers where that is the same.

use std::collections::{BTreeMap, BTreeSet};

use pagewalk_kernel::TransferId;

/// What serves a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// The device's number.
    pub device: usize,
    /// Transfers that it works at together.
    pub lanes: usize,
}

impl Server {
    /// What has the files: one transfer after the other.
    pub const FILES: Self = Self { device: usize::MAX, lanes: 1 };
}

/// All transfers that are under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceQueues {
    by_time: BTreeSet<(u64, TransferId)>,
    by_id: BTreeMap<TransferId, u64>,
    /// By device, when each lane is free.
    free_at: BTreeMap<usize, Vec<u64>>,
    is_completing: bool,
}

impl DeviceQueues {
    /// A transfer is asked for at `now`, which takes so many cycles.
    pub fn submit(&mut self, id: TransferId, server: Server, now: u64, cycles: u64) {
        let done = self.occupy(server, now, cycles);
        self.by_time.insert((done, id));
        self.by_id.insert(id, done);
    }

    /// A transfer is asked for at `now`, for which nobody waits; when it is done.
    pub fn occupy(&mut self, server: Server, now: u64, cycles: u64) -> u64 {
        let lanes = self.free_at.entry(server.device).or_default();
        lanes.resize(server.lanes.max(1), 0);
        let Some(free_at) = lanes.iter_mut().min() else { return now };
        *free_at = now.max(*free_at).saturating_add(cycles);
        *free_at
    }

    /// Whether no device but that of the files is at work at `now`.
    pub fn is_swap_idle(&self, now: u64) -> bool {
        let swap = self.free_at.iter().filter(|&(&device, _)| device != Server::FILES.device);
        swap.flat_map(|(_, lanes)| lanes).all(|&free_at| free_at <= now)
    }

    /// When the next transfer is done.
    pub fn next(&self) -> Option<u64> {
        self.by_time.first().map(|&(done, _)| done)
    }

    /// Whether the kernel completes a transfer, which takes no time any more.
    pub const fn is_completing(&self) -> bool {
        self.is_completing
    }

    /// Says so.
    pub const fn set_completing(&mut self, completing: bool) {
        self.is_completing = completing;
    }

    /// Takes a transfer that is done by `now`, the earliest first.
    pub fn take_done(&mut self, now: u64) -> Option<TransferId> {
        let (_, id) = *self.by_time.first().filter(|&&(done, _)| done <= now)?;
        self.take(id);
        Some(id)
    }

    /// Takes a transfer; when it is done.
    pub fn take(&mut self, id: TransferId) -> Option<u64> {
        let done = self.by_id.remove(&id)?;
        self.by_time.remove(&(done, id));
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_works_at_as_many_as_it_has_lanes() {
        let (disk, flash) = (Server { device: 0, lanes: 1 }, Server { device: 1, lanes: 2 });
        let mut queues = DeviceQueues::default();
        for id in 1..=3 {
            queues.submit(TransferId(id), disk, 5, 100);
            queues.submit(TransferId(10 + id), flash, 5, 100);
        }
        assert_eq!((queues.take_done(104), queues.next()), (None, Some(105)));
        let done: Vec<u64> = std::iter::from_fn(|| queues.take_done(205)).map(|id| id.0).collect();
        assert_eq!(done, [1, 11, 12, 2, 13]);
        assert!(!queues.is_swap_idle(304) && queues.is_swap_idle(305));
        assert_eq!(queues.take(TransferId(3)), Some(305));
        assert_eq!(queues.next(), None);
    }
}
