//! Locks on files: POSIX record locks, locks of open file descriptions, flock.
//!
//! ```text
//!   file ─► [ 0 … 99  read   process 2 ] [ 40 … 60 read  process 5 ] [ 100 …  write process 2 ]
//!   flock ─► whole file, by description; it does not meet the others
//! ```
//!
//! Invariants:
//! 1. No two locks of a file of which one is for writing overlap, unless one owner has both.
//! 2. An owner's locks of a file do not overlap; neighbours of one kind are one lock.
//! 3. Every owner waits for locks of at most one file at a time, so that who waits for whom is a
//!    forest, in which a circle would be a deadlock.
//!
//! Source: fcntl(2), flock(2); Linux fs/locks.c.

use std::collections::{BTreeMap, BTreeSet};

use crate::errno::Errno;
use crate::fd::DescriptionId;
use crate::wait::Pid;

/// Locks of one machine: they take memory of the host, and all of a file are looked at for each.
const LOCKS_MAX: usize = 1 << 14;

/// A file, whatever it is opened by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockedFile {
    /// Of the host, or in memory, for fcntl.
    Records(u32),
    /// The same, for flock.
    Whole(u32),
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A process (F_SETLK).
    Process(Pid),
    /// An open file description (F_OFD_SETLK, flock).
    Description(DescriptionId),
}

/// A lock on bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who has it.
    pub owner: Owner,
    /// The first byte.
    pub start: u64,
    /// The last byte; `u64::MAX` is the end of the file, wherever that will be.
    pub last: u64,
    /// Nobody else may have a lock there.
    pub is_write: bool,
}

impl Lock {
    fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    fn conflicts(&self, other: &Self) -> bool {
        self.owner != other.owner && (self.is_write || other.is_write) && self.overlaps(other)
    }
}

/// All locks.
#[derive(Clone, Debug, Default)]
pub struct Locks {
    by_file: BTreeMap<LockedFile, Vec<Lock>>,
    /// For whom each process waits.
    waits: BTreeMap<Pid, BTreeSet<Pid>>,
}

impl Locks {
    /// A lock that keeps another from being had: the lowest.
    pub fn conflict(&self, file: LockedFile, wanted: &Lock) -> Option<Lock> {
        let held = self.by_file.get(&file)?;
        held.iter().filter(|lock| lock.conflicts(wanted)).min_by_key(|lock| lock.start).copied()
    }

    /// Whether an owner has a lock of a file, and if it is for writing.
    pub fn held(&self, file: LockedFile, owner: Owner) -> Option<bool> {
        let held = self.by_file.get(&file)?;
        held.iter().find(|lock| lock.owner == owner).map(|lock| lock.is_write)
    }

    /// Takes a lock, which nothing conflicts with, in place of what its owner had there.
    ///
    /// # Errors
    /// ENOLCK if there are too many.
    pub fn set(&mut self, file: LockedFile, wanted: Lock) -> Result<(), Errno> {
        if self.by_file.values().map(Vec::len).sum::<usize>() >= LOCKS_MAX {
            return Err(Errno::ENOLCK);
        }
        self.clear(file, &wanted);
        let held = self.by_file.entry(file).or_default();
        let mut merged = wanted;
        held.retain(|lock| {
            let joins = lock.owner == merged.owner
                && lock.is_write == merged.is_write
                && lock.start <= merged.last.saturating_add(1)
                && merged.start <= lock.last.saturating_add(1);
            if joins {
                merged.start = merged.start.min(lock.start);
                merged.last = merged.last.max(lock.last);
            }
            !joins
        });
        held.push(merged);
        held.sort_by_key(|lock| (lock.start, lock.owner));
        Ok(())
    }

    /// Gives up what an owner has in a range; whether that was anything.
    pub fn clear(&mut self, file: LockedFile, range: &Lock) -> bool {
        let Some(held) = self.by_file.get_mut(&file) else { return false };
        let mut changed = false;
        let mut left = Vec::with_capacity(held.len() + 1);
        for lock in held.drain(..) {
            if lock.owner != range.owner || !lock.overlaps(range) {
                left.push(lock);
                continue;
            }
            changed = true;
            if lock.start < range.start {
                left.push(Lock { last: range.start - 1, ..lock });
            }
            if lock.last > range.last {
                left.push(Lock { start: range.last + 1, ..lock });
            }
        }
        *held = left;
        if held.is_empty() {
            self.by_file.remove(&file);
        }
        changed
    }

    /// Gives up all that an owner has of a file; whether that was anything.
    pub fn release(&mut self, file: LockedFile, owner: Owner) -> bool {
        self.clear(file, &Lock { owner, start: 0, last: u64::MAX, is_write: false })
    }

    /// Gives up all that an owner has; of which files.
    pub fn release_all(&mut self, owner: Owner) -> Vec<LockedFile> {
        let files: Vec<LockedFile> = self.by_file.keys().copied().collect();
        files.into_iter().filter(|&file| self.release(file, owner)).collect()
    }

    /// A process is about to wait for whoever holds what it wants.
    ///
    /// # Errors
    /// EDEADLK if one of those waits for it, however indirectly.
    pub fn wait(&mut self, pid: Pid, file: LockedFile, wanted: &Lock) -> Result<(), Errno> {
        let held = self.by_file.get(&file).map_or(&[][..], Vec::as_slice);
        let holders: BTreeSet<Pid> = held
            .iter()
            .filter(|lock| lock.conflicts(wanted))
            .filter_map(|lock| match lock.owner {
                Owner::Process(holder) => Some(holder),
                Owner::Description(_) => None,
            })
            .collect();
        let mut seen = BTreeSet::new();
        let mut next: Vec<Pid> = holders.iter().copied().collect();
        while let Some(holder) = next.pop() {
            if holder == pid {
                return Err(Errno::EDEADLK);
            }
            if seen.insert(holder) {
                next.extend(self.waits.get(&holder).into_iter().flatten());
            }
        }
        self.waits.insert(pid, holders);
        Ok(())
    }

    /// A process does not wait any more.
    pub fn end_wait(&mut self, pid: Pid) {
        self.waits.remove(&pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: LockedFile = LockedFile::Records(7);

    fn lock(pid: Pid, start: u64, last: u64, is_write: bool) -> Lock {
        Lock { owner: Owner::Process(pid), start, last, is_write }
    }

    #[test]
    fn locks_are_split_and_joined() {
        let mut locks = Locks::default();
        locks.set(FILE, lock(2, 0, 99, true)).unwrap();
        locks.set(FILE, lock(2, 40, 59, false)).unwrap();
        assert_eq!(
            locks.by_file[&FILE],
            [lock(2, 0, 39, true), lock(2, 40, 59, false), lock(2, 60, 99, true)]
        );
        assert_eq!(locks.conflict(FILE, &lock(3, 45, 50, false)), None);
        assert_eq!(locks.conflict(FILE, &lock(3, 30, u64::MAX, false)), Some(lock(2, 0, 39, true)));
        locks.set(FILE, lock(2, 40, 59, true)).unwrap();
        assert_eq!(locks.by_file[&FILE], [lock(2, 0, 99, true)]);
        assert!(locks.clear(FILE, &lock(2, 0, u64::MAX, false)));
        assert!(locks.by_file.is_empty());
    }

    #[test]
    fn circles_of_waiting_are_refused() {
        let mut locks = Locks::default();
        locks.set(FILE, lock(2, 0, 0, true)).unwrap();
        locks.set(FILE, lock(3, 1, 1, true)).unwrap();
        locks.set(FILE, lock(4, 2, 2, true)).unwrap();
        assert_eq!(locks.wait(2, FILE, &lock(2, 1, 1, true)), Ok(()));
        assert_eq!(locks.wait(3, FILE, &lock(3, 2, 2, true)), Ok(()));
        assert_eq!(locks.wait(4, FILE, &lock(4, 0, 0, false)), Err(Errno::EDEADLK));
        locks.end_wait(3);
        assert_eq!(locks.wait(4, FILE, &lock(4, 0, 0, false)), Ok(()));
    }

    #[test]
    fn an_owner_lets_go_of_everything() {
        let mut locks = Locks::default();
        let other = LockedFile::Whole(7);
        locks.set(FILE, lock(2, 0, 9, true)).unwrap();
        locks.set(other, lock(2, 0, 9, true)).unwrap();
        locks.set(FILE, lock(3, 10, 19, true)).unwrap();
        assert_eq!(locks.release_all(Owner::Process(2)), [FILE, other]);
        assert!(locks.conflict(FILE, &lock(2, 0, 9, true)).is_none());
        assert!(locks.conflict(FILE, &lock(2, 10, 10, true)).is_some());
    }
}
