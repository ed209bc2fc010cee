//! Futexes that are handed over: the kernel itself writes the new owner into the word.
//!
//! ```text
//!   bit      31          30           29 ... 0
//!        ┌─────────┬────────────┬─────────────────┐
//!   word │ WAITERS │ OWNER_DIED │ the owner's TID │   0: free
//!        └─────────┴────────────┴─────────────────┘
//!
//!   FUTEX_LOCK_PI          free ? take it : wait at it until it is handed over
//!   FUTEX_UNLOCK_PI        the one that waits longest is the owner; nobody: free
//!   FUTEX_WAIT_REQUEUE_PI  wait at a condition's word; owner of the lock when it returns
//!   FUTEX_CMP_REQUEUE_PI   the first of them gets the lock or waits for it; the others wait for it
//! ```
//!
//! Linux lends the owner the priority of who waits; here all priorities are equal ([`sys_sched`]),
//! and there is none to lend.
//!
//! Invariants:
//! 1. WAITERS is set in the word while a thread waits at it, so that its owner makes a call to
//!    unlock it.
//! 2. A thread that was handed a lock has `progress.woken`, and its TID is in the word already.
//!
//! Source: futex(2), "Priority-inheritance futexes"; Linux Documentation/locking/futex-requeue-pi.rst.
//!
//! [`sys_sched`]: crate::sys_sched

use crate::call::Call;
use crate::errno::Errno;
use crate::memory::{UserMemory, read_u32};
use crate::sys_futex::{ANY_BIT, now};
use crate::system::System;
use crate::thread::State;
use crate::wait::{Channel, FutexKey, LockWait, Pid};

/// Somebody waits.
pub(crate) const WAITERS: u32 = 1 << 31;
/// The last owner ended and had not unlocked it.
pub(crate) const OWNER_DIED: u32 = 1 << 30;
/// The owner.
pub(crate) const TID_MASK: u32 = (1 << 30) - 1;

/// What a call that may wait was given.
pub(crate) struct Lock {
    pub key: FutexKey,
    pub at: u64,
    pub timeout: u64,
    pub operation: u64,
}

/// FUTEX_LOCK_PI, FUTEX_LOCK_PI2.
pub(crate) fn lock(call: &mut Call<'_>, lock: Lock) -> Result<u64, Errno> {
    if call.thread.progress.woken {
        return Ok(0);
    }
    if !call.thread.progress.again {
        set_deadline(call, &lock)?;
        if take(call, lock.key, lock.at)? {
            return Ok(0);
        }
        let word = read_u32(call.memory, lock.at)?;
        call.memory.write(lock.at, &(word | WAITERS).to_le_bytes())?;
    }
    wait(call, lock.key, LockWait::Owner)
}

/// FUTEX_TRYLOCK_PI.
pub(crate) fn try_lock(call: &mut Call<'_>, key: FutexKey, at: u64) -> Result<u64, Errno> {
    if take(call, key, at)? { Ok(0) } else { Err(Errno::EAGAIN) }
}

/// FUTEX_UNLOCK_PI.
pub(crate) fn unlock(call: &mut Call<'_>, key: FutexKey, at: u64) -> Result<u64, Errno> {
    if read_u32(call.memory, at)? & TID_MASK != call.thread.tid {
        return Err(Errno::EPERM);
    }
    if call.system.waits_for_no_lock(key) {
        return Err(Errno::EINVAL);
    }
    call.system.hand_over(call.memory, key, at, 0).map(|_| 0)
}

/// FUTEX_WAIT_REQUEUE_PI: waits at a word, to be moved to a lock and be given that.
pub(crate) fn wait_for_lock(
    call: &mut Call<'_>,
    condition: Lock,
    value: u32,
    to: FutexKey,
) -> Result<u64, Errno> {
    if call.thread.progress.woken {
        return Ok(0);
    }
    if !call.thread.progress.again {
        if condition.key == to {
            return Err(Errno::EINVAL);
        }
        set_deadline(call, &condition)?;
        if read_u32(call.memory, condition.at)? != value {
            return Err(Errno::EAGAIN);
        }
    }
    wait(call, condition.key, LockWait::Requeue(to))
}

/// FUTEX_CMP_REQUEUE_PI, its comparison made: the lock is `to`, its key and address.
pub(crate) fn requeue_to_lock(
    call: &mut Call<'_>,
    from: FutexKey,
    (to, at): (FutexKey, u64),
    more_max: i32,
) -> Result<u64, Errno> {
    if from == to || more_max < 0 {
        return Err(Errno::EINVAL);
    }
    let waiting: Vec<Pid> = call.system.waiters.at(Channel::Futex(from)).collect();
    let is_meant = |tid| call.system.lock_wait(tid) == Some(LockWait::Requeue(to));
    if !waiting.iter().all(|&tid| is_meant(tid)) {
        return Err(Errno::EINVAL);
    }
    let Some(&first) = waiting.first() else { return Ok(0) };
    let word = read_u32(call.memory, at)?;
    let owner = word & TID_MASK;
    if owner == first {
        return Err(Errno::EDEADLK);
    }
    let given = usize::from(owner == 0);
    if given == 0 && !exists(call, owner) {
        return Err(Errno::ESRCH);
    }
    let moved: Vec<Pid> =
        waiting.into_iter().take(1usize.saturating_add(more_max as usize)).collect();
    for &tid in &moved {
        call.system.move_to_lock(tid, to);
    }
    if given == 1 {
        call.system.hand_over(call.memory, to, at, word & OWNER_DIED)?;
    } else {
        call.memory.write(at, &(word | WAITERS).to_le_bytes())?;
    }
    Ok(moved.len() as u64)
}

/// The time-out of all these calls is a point of time.
fn set_deadline(call: &mut Call<'_>, lock: &Lock) -> Result<(), Errno> {
    let until = call.read_timespec(lock.timeout)?;
    let now = now(call, lock.operation);
    call.deadline(until.map(|ns| ns.saturating_sub(now)));
    Ok(())
}

/// Takes the lock if it is free.
fn take(call: &mut Call<'_>, key: FutexKey, at: u64) -> Result<bool, Errno> {
    let word = read_u32(call.memory, at)?;
    let owner = word & TID_MASK;
    if owner == call.thread.tid {
        return Err(Errno::EDEADLK);
    }
    if owner != 0 {
        return if exists(call, owner) { Ok(false) } else { Err(Errno::ESRCH) };
    }
    let waiters = if call.system.waits_for_lock(key) { WAITERS } else { 0 };
    let taken = call.thread.tid | word & OWNER_DIED | waiters;
    call.memory.write(at, &taken.to_le_bytes())?;
    Ok(true)
}

fn exists(call: &Call<'_>, tid: Pid) -> bool {
    tid == call.thread.tid || call.system.thread(tid).is_some()
}

fn wait(call: &mut Call<'_>, key: FutexKey, for_lock: LockWait) -> Result<u64, Errno> {
    let deadline = call.thread.progress.deadline_ns;
    if call.is_over(deadline) {
        return Err(Errno::ETIMEDOUT);
    }
    // A thread that was moved goes on waiting where it was put.
    let (key, _) = *call.thread.progress.futex.get_or_insert((key, ANY_BIT));
    let for_lock = *call.thread.progress.lock.get_or_insert(for_lock);
    let was_moved = for_lock == LockWait::Owner && call.thread.progress.requeued;
    let interrupted = if was_moved { Errno::EAGAIN } else { Errno::ERESTARTNOINTR };
    Err(call.wait("futex lock", vec![Channel::Futex(key)], deadline, interrupted))
}

impl System {
    /// Gives the lock at `at` to the thread that waits longest, with `flags` kept in the word, or
    /// frees it. Whether there was one.
    pub(crate) fn hand_over(
        &mut self,
        memory: &mut dyn UserMemory,
        key: FutexKey,
        at: u64,
        flags: u32,
    ) -> Result<bool, Errno> {
        let mut waiting = self.waiters.at(Channel::Futex(key));
        let next = waiting.next();
        let waiters = if waiting.next().is_some() { WAITERS } else { 0 };
        let word = next.map_or(flags, |tid| tid | waiters | flags);
        drop(waiting);
        memory.write(at, &word.to_le_bytes())?;
        if let Some(tid) = next {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.progress.woken = true;
            }
            self.make_runnable(tid);
        }
        Ok(next.is_some())
    }

    /// Whether a thread waits here for a lock, or to be moved to one.
    pub(crate) fn waits_for_lock(&self, key: FutexKey) -> bool {
        self.waiters.at(Channel::Futex(key)).any(|tid| self.lock_wait(tid).is_some())
    }

    fn waits_for_no_lock(&self, key: FutexKey) -> bool {
        self.waiters.at(Channel::Futex(key)).any(|tid| self.lock_wait(tid).is_none())
    }

    fn lock_wait(&self, tid: Pid) -> Option<LockWait> {
        self.threads.get(&tid)?.progress.lock
    }

    fn move_to_lock(&mut self, tid: Pid, to: FutexKey) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let State::Blocked(wait) = &mut thread.state else { return };
        self.waiters.remove(tid, wait);
        wait.channels = vec![Channel::Futex(to)];
        self.waiters.add(tid, wait);
        thread.progress.futex = Some((to, ANY_BIT));
        thread.progress.lock = Some(LockWait::Owner);
        thread.progress.requeued = true;
    }
}
