//! Waiting: what a thread waits for, and who is woken when it happens.
//!
//! ```text
//!   handler: nothing there yet ──► Call::wait(channels, deadline) ──► Blocked, the call not done
//!                                                                        │
//!   another thread: Waiters::wake(channel)  │  deadline  │  a signal ─────┘
//!                                                                        ▼
//!   the call is made again from its start: it finds what it waited for, or waits again
//! ```
//!
//! Invariants:
//! 1. A call that waits has changed nothing but the notes in [`Progress`]; so it can be made again.
//! 2. Whoever changes what a channel stands for wakes the channel. Waking in vain does no harm.
//! 3. Threads are woken in the order in which they began to wait.

use pagewalk_kernel::TransferId;

use crate::pipe::{PipeEnd, PipeId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A process's or thread's number.
pub type Pid = u32;

/// The memory word that threads wait at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FutexKey {
    /// A word of one address space.
    Private {
        /// The space's number.
        space: u32,
        /// The word's address.
        at: u64,
    },
    /// A word of a file or memory object, wherever it is mapped.
    Shared {
        /// The file.
        file: u32,
        /// The word's offset in it.
        offset: u64,
    },
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// A pipe's bytes or ends changed.
    Pipe(usize),
    /// What an object of this number is ready for changed (sockets, eventfds, timers …).
    Object(u64),
    /// A child of this process changed state.
    Child(Pid),
    /// This process, made by vfork, let its parent's memory go.
    Vfork(Pid),
    /// This process ended.
    End(Pid),
    /// A futex was woken.
    Futex(FutexKey),
    /// A signal came for this process or a thread of it.
    Signal(Pid),
    /// A lock of this file was released.
    Lock(u32),
    // This and what follows is of memory: `Waiters::wait_for_memory` goes by the order.
    /// The transfer of a page is done.
    Transfer(TransferId),
    /// Memory may be free.
    Memory,
}

/// What a blocked thread waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// Any of these; none at all to wait for signals or time alone.
    pub channels: Vec<Channel>,
    /// Virtual nanoseconds since the start.
    pub deadline_ns: Option<u64>,
    /// What it does, for messages.
    pub what: &'static str,
}

/// How a thread waits for a futex that its owner hands over (priority inheritance).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// At the lock, until it is given it.
    Owner,
    /// At another word, until it is moved to this lock.
    Requeue(FutexKey),
}

/// An end of a FIFO that counts as open while its opener waits for the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FifoWait {
    /// The pipe.
    pub pipe: PipeId,
    /// The end.
    pub end: PipeEnd,
    /// How often the other end had been opened when the wait began: once more is enough, even if
    /// whoever it was has closed it already.
    pub others: u64,
}

/// What a call that waits must remember until it is made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// When it gives up, if it is bounded: computed when it was made first.
    pub deadline_ns: Option<u64>,
    /// Bytes moved so far.
    pub moved: u64,
    /// Messages moved so far (sendmmsg, recvmmsg).
    pub messages: u64,
    /// Its futex was woken.
    pub woken: bool,
    /// It has been made before.
    pub again: bool,
    /// The word that it waits at, if it is a futex call: one of them, if it waits at several.
    pub futex: Option<(FutexKey, u32)>,
    /// All words that it waits at, if they are several.
    pub several: Vec<FutexKey>,
    /// The word that it was woken at.
    pub woken_at: Option<FutexKey>,
    /// What it waits for at its futex, if that is a lock that is handed over.
    pub lock: Option<LockWait>,
    /// It was moved to the lock from another word.
    pub requeued: bool,
    /// The end that it opens, if it is a FIFO's.
    pub fifo: Option<FifoWait>,
    /// The process that it made and waits for (vfork).
    pub child: Option<Pid>,
}

/// Who waits for what.
#[derive(Clone, Debug, Default)]
pub struct Waiters {
    by_channel: BTreeMap<Channel, VecDeque<Pid>>,
    by_deadline: BTreeSet<(u64, Pid)>,
}

impl Waiters {
    /// Enters a thread.
    pub fn add(&mut self, thread: Pid, wait: &Wait) {
        for &channel in &wait.channels {
            self.by_channel.entry(channel).or_default().push_back(thread);
        }
        if let Some(deadline) = wait.deadline_ns {
            self.by_deadline.insert((deadline, thread));
        }
    }

    /// Takes a thread out everywhere.
    pub fn remove(&mut self, thread: Pid, wait: &Wait) {
        for channel in &wait.channels {
            if let Some(queue) = self.by_channel.get_mut(channel) {
                queue.retain(|&waiting| waiting != thread);
                if queue.is_empty() {
                    self.by_channel.remove(channel);
                }
            }
        }
        if let Some(deadline) = wait.deadline_ns {
            self.by_deadline.remove(&(deadline, thread));
        }
    }

    /// Who waits for a channel, the longest first.
    pub fn at(&self, channel: Channel) -> impl Iterator<Item = Pid> + '_ {
        self.by_channel.get(&channel).into_iter().flatten().copied()
    }

    /// Whether somebody waits for a transfer or for memory.
    pub fn wait_for_memory(&self) -> bool {
        let first = Channel::Transfer(TransferId(0));
        self.by_channel.range(first..).next().is_some()
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        self.by_deadline.first().map(|&(deadline, _)| deadline)
    }

    /// A thread whose deadline is not after `now_ns`.
    pub fn expired(&self, now_ns: u64) -> Option<Pid> {
        self.by_deadline.first().filter(|&&(at, _)| at <= now_ns).map(|&(_, thread)| thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_waiting_comes_first() {
        let mut waiters = Waiters::default();
        let pipe = |channels: &[Channel]| Wait { channels: channels.to_vec(), ..Wait::default() };
        waiters.add(5, &pipe(&[Channel::Pipe(1), Channel::Pipe(2)]));
        waiters.add(3, &pipe(&[Channel::Pipe(1)]));
        assert_eq!(waiters.at(Channel::Pipe(1)).collect::<Vec<_>>(), [5, 3]);
        waiters.remove(5, &pipe(&[Channel::Pipe(1), Channel::Pipe(2)]));
        assert_eq!(waiters.at(Channel::Pipe(1)).collect::<Vec<_>>(), [3]);
        assert_eq!(waiters.at(Channel::Pipe(2)).count(), 0);
    }

    #[test]
    fn deadlines_expire_in_order() {
        let mut waiters = Waiters::default();
        let until = |ns| Wait { deadline_ns: Some(ns), ..Wait::default() };
        waiters.add(1, &until(20));
        waiters.add(2, &until(10));
        assert_eq!(waiters.next_deadline(), Some(10));
        assert_eq!(waiters.expired(9), None);
        assert_eq!(waiters.expired(25), Some(2));
        waiters.remove(2, &until(10));
        assert_eq!(waiters.expired(25), Some(1));
    }
}
