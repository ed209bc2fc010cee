//! Futexes: threads wait at a word of memory until another wakes them.
//!
//! ```text
//!   FUTEX_WAIT(word, value)   word == value ? wait at its key : EAGAIN
//!   FUTEX_WAKE(word, n)       the n that wait longest go on
//!   FUTEX_REQUEUE(a, n, b, m) n go on, m more wait at b from now on
//! ```
//!
//! Locks that are handed over (`FUTEX_LOCK_PI` and its kin) are in [`crate::sys_futex_lock`], waits at
//! several words in [`crate::sys_futex_waitv`].
//!
//! A word's key is its place: in its address space, or, for a word of shared memory, in what is
//! mapped, so that processes meet at different addresses.
//!
//! Source: futex(2).

use crate::call::{Args, Call};
use crate::clock::{BOOT_UNIX_S, NS_PER_S};
use crate::errno::Errno;
use crate::memory::{UserMemory, read_u32};
use crate::sys_futex_lock::{Lock, lock, requeue_to_lock, try_lock, unlock, wait_for_lock};
use crate::system::System;
use crate::thread::State;
use crate::wait::{Channel, FutexKey, Pid};

const COMMAND: u64 = 0x7f;
pub(crate) const PRIVATE: u64 = 128;
pub(crate) const CLOCK_REALTIME: u64 = 256;
const WAIT: u64 = 0;
const WAKE: u64 = 1;
const REQUEUE: u64 = 3;
const CMP_REQUEUE: u64 = 4;
const WAKE_OP: u64 = 5;
const WAIT_BITSET: u64 = 9;
const WAKE_BITSET: u64 = 10;
const LOCK_PI: u64 = 6;
const UNLOCK_PI: u64 = 7;
const TRYLOCK_PI: u64 = 8;
const WAIT_REQUEUE_PI: u64 = 11;
const CMP_REQUEUE_PI: u64 = 12;
const LOCK_PI2: u64 = 13;
pub(crate) const ANY_BIT: u32 = u32::MAX;

pub(crate) fn futex(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [at, operation, value, timeout, second, last] = args;
    if !at.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    if operation & PRIVATE == 0 {
        check_shared(call.memory, at)?;
        if matches!(operation & COMMAND, REQUEUE | CMP_REQUEUE | WAKE_OP) {
            check_shared(call.memory, second)?;
        }
    }
    if operation & CLOCK_REALTIME != 0
        && !matches!(operation & COMMAND, WAIT_BITSET | WAIT_REQUEUE_PI | LOCK_PI2)
    {
        return Err(Errno::ENOSYS);
    }
    let key = key(call.memory, at, operation & PRIVATE != 0);
    let count = value as u32 as i32;
    let command = operation & COMMAND;
    // Who waits for a lock is not woken, but given it.
    if matches!(command, WAKE | WAKE_BITSET | REQUEUE | CMP_REQUEUE | WAKE_OP)
        && call.system.waits_for_lock(key)
    {
        return Err(Errno::EINVAL);
    }
    match command {
        WAIT => wait(call, key, at, value as u32, timeout, operation, ANY_BIT),
        WAIT_BITSET => wait(call, key, at, value as u32, timeout, operation, last as u32),
        WAKE => Ok(call.system.wake_waiters(key, count, ANY_BIT)),
        WAKE_BITSET if last as u32 == 0 => Err(Errno::EINVAL),
        WAKE_BITSET => Ok(call.system.wake_waiters(key, count, last as u32)),
        command @ (REQUEUE | CMP_REQUEUE) => {
            if command == CMP_REQUEUE && read_u32(call.memory, at)? != last as u32 {
                return Err(Errno::EAGAIN);
            }
            let to = self::key(call.memory, second, operation & PRIVATE != 0);
            let moved_max = timeout as u32 as i32;
            if count < 0 || moved_max < 0 {
                return Err(Errno::EINVAL);
            }
            // Other than FUTEX_WAKE, this wakes none if none is asked for.
            let woken = match count {
                0 => 0,
                count => call.system.wake_waiters(key, count, ANY_BIT),
            };
            Ok(woken + call.system.requeue(key, to, moved_max))
        }
        WAKE_OP => wake_op(call, key, second, count, timeout as u32 as i32, last as u32, operation),
        LOCK_PI => {
            // Its time is on this clock without being told so.
            lock(call, Lock { key, at, timeout, operation: operation | CLOCK_REALTIME })
        }
        LOCK_PI2 => lock(call, Lock { key, at, timeout, operation }),
        TRYLOCK_PI => try_lock(call, key, at),
        UNLOCK_PI => unlock(call, key, at),
        WAIT_REQUEUE_PI => {
            let to = self::key(call.memory, second, operation & PRIVATE != 0);
            wait_for_lock(call, Lock { key, at, timeout, operation }, value as u32, to)
        }
        CMP_REQUEUE_PI => {
            if read_u32(call.memory, at)? != last as u32 {
                return Err(Errno::EAGAIN);
            }
            let to = self::key(call.memory, second, operation & PRIVATE != 0);
            match count {
                1 => requeue_to_lock(call, key, (to, second), timeout as u32 as i32),
                _ => Err(Errno::EINVAL),
            }
        }
        other => {
            call.host.say_once(&format!("futex operation {other} is not supported: ENOSYS"));
            Err(Errno::ENOSYS)
        }
    }
}

/// A word that several processes may know has a key only where its page can be had: it is stored
/// to, or belongs to what is shared (Linux: get_futex_key).
fn check_shared(memory: &mut dyn UserMemory, at: u64) -> Result<(), Errno> {
    let word = read_u32(memory, at)?;
    match memory.write(at, &word.to_le_bytes()) {
        Err(error) if memory.shared_place(at).is_none() => Err(error),
        _ => Ok(()),
    }
}

fn wait(
    call: &mut Call<'_>,
    key: FutexKey,
    at: u64,
    value: u32,
    timeout: u64,
    operation: u64,
    bits: u32,
) -> Result<u64, Errno> {
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    if call.thread.progress.woken {
        return Ok(0);
    }
    if !call.thread.progress.again {
        let timeout_ns = call.read_timespec(timeout)?;
        // WAIT takes a span, WAIT_BITSET a point of time.
        let from_now = timeout_ns.map(|ns| match operation & COMMAND {
            WAIT => ns,
            _ => ns.saturating_sub(now(call, operation)),
        });
        call.deadline(from_now);
        if read_u32(call.memory, at)? != value {
            return Err(Errno::EAGAIN);
        }
    }
    let deadline = call.thread.progress.deadline_ns;
    if call.is_over(deadline) {
        return Err(Errno::ETIMEDOUT);
    }
    // A requeued thread goes on waiting where it was put.
    let (key, bits) = *call.thread.progress.futex.get_or_insert((key, bits));
    let _ = bits;
    let interrupted = match deadline {
        Some(_) => Errno::ERESTARTNOHAND,
        None => Errno::ERESTARTSYS,
    };
    Err(call.wait("futex", vec![Channel::Futex(key)], deadline, interrupted))
}

/// The clock that an absolute timeout is on.
pub(crate) fn now(call: &Call<'_>, operation: u64) -> u64 {
    let now = call.clock.now_ns();
    match operation & CLOCK_REALTIME {
        0 => now,
        _ => now.saturating_add(BOOT_UNIX_S * NS_PER_S),
    }
}

/// FUTEX_WAKE_OP: changes a second word, wakes at the first, and at the second if its old value
/// compares.
fn wake_op(
    call: &mut Call<'_>,
    first: FutexKey,
    second_at: u64,
    count: i32,
    second_count: i32,
    code: u32,
    operation: u64,
) -> Result<u64, Errno> {
    let second = key(call.memory, second_at, operation & PRIVATE != 0);
    let sign_extend = |value: u32| ((value << 20) as i32 >> 20) as u32;
    let (argument, compared) = (sign_extend(code >> 12 & 0xfff), sign_extend(code & 0xfff));
    let argument = if code >> 31 != 0 { 1u32.wrapping_shl(argument) } else { argument };
    let old = read_u32(call.memory, second_at)?;
    let new = match code >> 28 & 7 {
        0 => argument,
        1 => old.wrapping_add(argument),
        2 => old | argument,
        3 => old & !argument,
        4 => old ^ argument,
        _ => return Err(Errno::ENOSYS),
    };
    call.memory.write(second_at, &new.to_le_bytes())?;
    let (a, b) = (old as i32, compared as i32);
    let holds = match code >> 24 & 0xf {
        0 => a == b,
        1 => a != b,
        2 => a < b,
        3 => a <= b,
        4 => a > b,
        5 => a >= b,
        _ => return Err(Errno::ENOSYS),
    };
    let woken = call.system.wake_waiters(first, count, ANY_BIT);
    let more = if holds { call.system.wake_waiters(second, second_count, ANY_BIT) } else { 0 };
    Ok(woken + more)
}

pub(crate) fn set_robust_list(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const HEAD_BYTES: u64 = 24;
    if args[1] != HEAD_BYTES {
        return Err(Errno::EINVAL);
    }
    call.thread.robust_list = (args[0], args[1]);
    Ok(0)
}

pub(crate) fn get_robust_list(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let tid = args[0] as u32;
    let (head, len) = match tid == 0 || tid == call.thread.tid {
        true => call.thread.robust_list,
        false => call.system.thread(tid).ok_or(Errno::ESRCH)?.robust_list,
    };
    call.memory.write(args[1], &head.to_le_bytes())?;
    call.memory.write(args[2], &len.to_le_bytes())?;
    Ok(0)
}

/// The place that a word stands for.
pub(crate) fn key(memory: &dyn UserMemory, at: u64, private: bool) -> FutexKey {
    let shared = if private { None } else { memory.shared_place(at) };
    match shared {
        Some((file, offset)) => FutexKey::Shared { file: file.0, offset },
        None => FutexKey::Private { space: memory.space().0, at },
    }
}

impl System {
    /// Wakes threads that wait at a word, whoever takes it for shared or private.
    pub(crate) fn wake_futex(&mut self, memory: &dyn UserMemory, at: u64, count: i32) {
        let [private, shared] = [key(memory, at, true), key(memory, at, false)];
        self.wake_waiters(private, count, ANY_BIT);
        if shared != private {
            self.wake_waiters(shared, count, ANY_BIT);
        }
    }

    fn wake_waiters(&mut self, key: FutexKey, count: i32, bits: u32) -> u64 {
        let matches = |tid: &Pid| {
            let futex = self.threads.get(tid).and_then(|thread| thread.progress.futex);
            futex.is_some_and(|(_, wanted)| wanted & bits != 0)
        };
        // Linux wakes one even if zero are asked for.
        let count = count.max(1) as usize;
        let waiting = self.waiters.at(Channel::Futex(key));
        let woken: Vec<Pid> = waiting.filter(matches).take(count).collect();
        for &tid in &woken {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.progress.woken = true;
                thread.progress.woken_at = Some(key);
            }
            self.make_runnable(tid);
        }
        woken.len() as u64
    }

    fn requeue(&mut self, from: FutexKey, to: FutexKey, count: i32) -> u64 {
        let waiting = self.waiters.at(Channel::Futex(from));
        // Who waits at several words stays where it is.
        let is_single = |tid: &Pid| {
            let state = self.threads.get(tid).map(|thread| &thread.state);
            matches!(state, Some(State::Blocked(wait)) if wait.channels.len() == 1)
        };
        let moved: Vec<Pid> = waiting.filter(is_single).take(count as usize).collect();
        for &tid in &moved {
            let Some(thread) = self.threads.get_mut(&tid) else { continue };
            let State::Blocked(wait) = &mut thread.state else { continue };
            self.waiters.remove(tid, wait);
            wait.channels = vec![Channel::Futex(to)];
            self.waiters.add(tid, wait);
            if let Some((key, _)) = &mut thread.progress.futex {
                *key = to;
            }
        }
        moved.len() as u64
    }
}
