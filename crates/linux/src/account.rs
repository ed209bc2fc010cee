//! The kernel's own memory: what processes and what they hold take of the host, beside their pages.
//!
//! ```text
//!   charge(bytes):  bound + bytes ≤ budget ? ── yes ──► bound += bytes
//!                        │ no
//!                        ▼
//!                   bound = everything counted anew ── still too much ──► ENOMEM
//! ```
//!
//! A call charges what it is about to make; nobody gives anything back: what is gone is not there
//! when everything is counted, and that is only when the bound reaches the budget. The budget grows
//! with RAM, as Linux's kernel memory comes out of it. What has a small bound of its own (names in
//! tmpfs, file locks, semaphores) and what the kernel keeps (regions, frames, slots) is not counted
//! here: ARCHITECTURE.md adds it all up.
//!
//! Invariant: what is counted never exceeds the budget by more than one call makes unasked: wake-ups
//! and signals that are pending once.

use crate::anonymous::Anonymous;
use crate::call::Call;
use crate::errno::Errno;
use crate::fd::Description;
use crate::memory::UserMemory;
use crate::process::Process;
use crate::system::System;
use crate::thread::{State, Thread};

/// What there is on a machine without RAM.
const BUDGET_BYTES: u64 = 64 << 20;
/// Of RAM, so much more: one part in two.
const RAM_PART: u64 = 2;

/// What one costs, in bytes of the host, with what tables and allocators add. A process's space is
/// in it, its regions are not.
pub(crate) const PROCESS: u64 = 8192;
pub(crate) const THREAD: u64 = 2048;
pub(crate) const DESCRIPTION: u64 = 512;
pub(crate) const SLOT: u64 = 16;
pub(crate) const PIPE: u64 = 192;
pub(crate) const SOCKET: u64 = 1024;
pub(crate) const MESSAGE: u64 = 384;
pub(crate) const SIGNAL: u64 = 64;
pub(crate) const TIMER: u64 = 320;
pub(crate) const WATCH: u64 = 512;
pub(crate) const CHANNEL: u64 = 256;
pub(crate) const UNDO: u64 = 64;
pub(crate) const OBJECT: u64 = 512;

/// Refusals in a row after which not each of them counts everything anew.
const PATIENCE: u32 = 16;
/// Refusals without a new count at most.
const SKIPS_MAX: u32 = 1024;

/// How much is charged.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    budget: u64,
    /// What is in use is not more.
    bound: u64,
    /// Refusals in a row, and how many more come without a count: a program that asks again and
    /// again shall not have everything counted each time.
    refusals: u32,
    skips: u32,
}

impl Account {
    /// An account of a machine with so much RAM.
    pub(crate) const fn new(ram_bytes: u64) -> Self {
        let budget = BUDGET_BYTES.saturating_add(ram_bytes / RAM_PART);
        Self { budget, bound: 0, refusals: 0, skips: 0 }
    }

    /// Charges `bytes`; `count` tells what is in use.
    fn charge(&mut self, bytes: u64, count: impl FnOnce() -> u64) -> Result<(), Errno> {
        if self.bound.saturating_add(bytes) > self.budget {
            if self.skips > 0 {
                self.skips -= 1;
                return Err(Errno::ENOMEM);
            }
            self.bound = count();
        }
        if self.bound.saturating_add(bytes) > self.budget {
            self.refusals = self.refusals.saturating_add(1);
            self.skips = self.refusals.saturating_sub(PATIENCE).min(SKIPS_MAX);
            return Err(Errno::ENOMEM);
        }
        self.refusals = 0;
        self.bound += bytes;
        Ok(())
    }
}

impl Call<'_> {
    /// Charges the kernel memory that the call is about to take.
    ///
    /// # Errors
    /// ENOMEM if the machine has no more of it.
    pub(crate) fn charge(&mut self, bytes: u64) -> Result<(), Errno> {
        let mut account = self.system.account.clone();
        let result = account.charge(bytes, || {
            self.system.kernel_bytes() + process_bytes(self.process) + thread_bytes(self.thread)
        });
        self.system.account = account;
        result
    }
}

impl System {
    /// The account of the machine behind `memory`.
    pub(crate) fn account_of(memory: &dyn UserMemory) -> Account {
        Account::new(memory.usage().total.saturating_mul(memory.page_bytes()))
    }

    /// What all that is in the tables takes.
    fn kernel_bytes(&self) -> u64 {
        let processes: u64 = self.processes.values().map(|process| process_bytes(process)).sum();
        let threads: u64 = self.threads.values().map(|thread| thread_bytes(thread)).sum();
        let descriptions: u64 = self.descriptions.iter().map(description_bytes).sum();
        let epoll_sets = self.anonymous.values().filter(|one| matches!(one, Anonymous::Epoll(_)));
        processes
            + threads
            + descriptions
            + self.pipes.bytes()
            + self.sockets.bytes()
            + self.queues.iter().map(|(_, entry)| OBJECT + entry.object.host_bytes()).sum::<u64>()
            + OBJECT * (self.segments.len() + self.sets.len()) as u64
            + TIMER * self.anonymous.len() as u64
            + OBJECT * epoll_sets.count() as u64
            + WATCH * self.watches.count() as u64
    }
}

/// What a process takes, its threads aside.
pub(crate) fn process_bytes(process: &Process) -> u64 {
    let strings = [&process.executable_path, &process.command_line, &process.environment];
    PROCESS
        + SLOT * process.fds.slots_len() as u64
        + strings.map(|string| string.len() as u64).iter().sum::<u64>()
        + process.cwd.host_bytes()
        + 4 * process.credentials.groups.len() as u64
        + UNDO * process.undo.len() as u64
        + TIMER * process.timers.posix.len() as u64
        + SIGNAL * process.signals.pending.len() as u64
}

fn thread_bytes(thread: &Thread) -> u64 {
    let channels = match &thread.state {
        State::Blocked(wait) => wait.channels.len(),
        _ => 0,
    };
    THREAD
        + SIGNAL * thread.signals.pending.len() as u64
        + CHANNEL * (channels + thread.progress.several.len()) as u64
}

/// What an open file description takes: its path, and text or names that it shows.
pub(crate) fn description_bytes(description: &Description) -> u64 {
    DESCRIPTION + description.path.len() as u64 + description.object.host_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_can_be_had_again() {
        let mut account = Account::new(0);
        assert_eq!(account.charge(BUDGET_BYTES, || unreachable!("there is room")), Ok(()));
        assert_eq!(account.charge(1, || BUDGET_BYTES), Err(Errno::ENOMEM));
        assert_eq!(account.charge(1, || BUDGET_BYTES - 1), Ok(()));
        assert_eq!(account.charge(1, || BUDGET_BYTES), Err(Errno::ENOMEM));
        assert_eq!(account.charge(u64::MAX, || 0), Err(Errno::ENOMEM));
    }

    #[test]
    fn the_budget_grows_with_ram() {
        let mut account = Account::new(1 << 30);
        assert_eq!(account.charge(BUDGET_BYTES + (1 << 29), || 0), Ok(()));
        assert_eq!(account.charge(1, || BUDGET_BYTES + (1 << 29)), Err(Errno::ENOMEM));
    }

    #[test]
    fn asking_again_and_again_does_not_count_each_time() {
        let mut account = Account::new(0);
        assert_eq!(account.charge(BUDGET_BYTES, || 0), Ok(()));
        let mut counts = 0;
        for _ in 0..100_000 {
            let count = || {
                counts += 1;
                BUDGET_BYTES
            };
            assert_eq!(account.charge(1, count), Err(Errno::ENOMEM));
        }
        assert!(counts < 600, "{counts}");
        // Who waits long enough is heard.
        let served = (0..=SKIPS_MAX).any(|_| account.charge(1, || 0).is_ok());
        assert!(served);
    }
}
