//! System V semaphores: sets of counters, changed all at once or not at all.
//!
//! ```text
//!   semop(+n)   counter += n, waiters try again
//!   semop(−n)   counter ≥ n ? counter −= n : wait
//!   semop(0)    counter = 0 ? go on : wait
//!   SEM_UNDO    what the process changed is taken back when it ends
//! ```
//!
//! Invariants:
//! 1. Counters are 0 to [`VALUE_MAX`].
//! 2. The operations of one call happen together: the first that cannot makes all wait.
//!
//! Source: semget(2), semop(2), semctl(2); Linux ipc/sem.c.

use std::collections::BTreeMap;

use crate::account::{OBJECT, UNDO};
use crate::anonymous::ObjectId;
use crate::call::{Args, Call, int};
use crate::errno::Errno;
use crate::ipc::{
    Entry, IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT, MAY_READ, MAY_WRITE, Table,
};
use crate::process::Process;
use crate::stat::Layout;
use crate::system::System;
use crate::thread::State;
use crate::wait::Pid;

/// Sets at most (SEMMNI).
const SETS_MAX: usize = 32_000;
/// Semaphores of a set (SEMMSL).
const SET_MAX: usize = 32_000;
/// Semaphores of all sets (SEMMNS; Linux: as many as sets of the largest size).
const ALL_MAX: usize = 1_024_000;
/// Operations of a call (SEMOPM).
const OPERATIONS_MAX: u64 = 500;
/// A counter's highest value (SEMVMX).
const VALUE_MAX: i32 = 32_767;
const SEM_UNDO: u32 = 0x1000;

#[derive(Clone, Copy, Debug, Default)]
struct Semaphore {
    value: i32,
    /// Who changed it last.
    last: Pid,
}

/// A set.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    /// Who waits for it waits for this.
    object: ObjectId,
    semaphores: Vec<Semaphore>,
    operated_s: u64,
    changed_s: u64,
    /// Threads that may wait: for which semaphore, and whether for it to be zero.
    waiting: BTreeMap<Pid, (u16, bool)>,
}

/// All sets.
pub(crate) type Sets = Table<Set>;

/// What a process's end takes back: by set and semaphore.
pub(crate) type Undo = BTreeMap<(i32, u16), i32>;

/// One `struct sembuf`.
#[derive(Clone, Copy, Debug)]
struct Operation {
    number: u16,
    change: i32,
    flags: u32,
}

/// How a list of operations ended.
enum Tried {
    /// All were done.
    Done,
    /// This one has to wait.
    Waits(Operation),
}

pub(crate) fn semget(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let (key, count, flags) = (int(args[0]), int(args[1]), args[2] as u32);
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if count > SET_MAX {
        return Err(Errno::EINVAL);
    }
    let used: usize = call.system.sets.iter().map(|(_, set)| set.object.semaphores.len()).sum();
    call.charge(OBJECT)?;
    let now = call.seconds();
    let object = call.system.new_object();
    let id = call.system.sets.find_or_make(
        key,
        flags,
        &call.process.credentials,
        SETS_MAX,
        |set| if count > set.semaphores.len() { Err(Errno::EINVAL) } else { Ok(()) },
        || match count {
            0 => Err(Errno::EINVAL),
            count if used + count > ALL_MAX => Err(Errno::ENOSPC),
            count => Ok(Set {
                object,
                semaphores: vec![Semaphore::default(); count],
                operated_s: 0,
                changed_s: now,
                waiting: BTreeMap::new(),
            }),
        },
    )?;
    Ok(id as u64)
}

pub(crate) fn semop(call: &mut Call<'_>, mut args: Args) -> Result<u64, Errno> {
    args[3] = 0;
    semtimedop(call, args)
}

pub(crate) fn semtimedop(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [id, operations, count, timeout, ..] = args;
    let id = int(id);
    let count = u64::from(count as u32);
    if count == 0 || id < 0 {
        return Err(Errno::EINVAL);
    }
    if count > OPERATIONS_MAX {
        return Err(Errno::E2BIG);
    }
    let operations = read_operations(call, operations, count)?;
    let timeout_ns = call.read_timespec(timeout)?;
    let again = call.thread.progress.again;
    // A set that is gone when the call is made again was removed under it.
    let missing = if again { Errno::EIDRM } else { Errno::EINVAL };
    let alters = operations.iter().any(|operation| operation.change != 0);
    let tid = call.thread.tid;
    let entry = call.system.sets.get_mut(id).map_err(|_| missing)?;
    entry.object.waiting.remove(&tid);
    if operations.iter().any(|one| usize::from(one.number) >= entry.object.semaphores.len()) {
        return Err(Errno::EFBIG);
    }
    let wanted = if alters { MAY_WRITE } else { MAY_READ };
    entry.permissions.check(&call.process.credentials, wanted)?;
    let undone = operations.iter().filter(|operation| operation.flags & SEM_UNDO != 0);
    call.charge(UNDO * undone.count() as u64)?;
    match try_all(call, id, &operations)? {
        Tried::Done => Ok(0),
        Tried::Waits(blocked) => wait(call, id, blocked, timeout_ns),
    }
}

fn read_operations(call: &mut Call<'_>, at: u64, count: u64) -> Result<Vec<Operation>, Errno> {
    let mut bytes = vec![0; count as usize * 6];
    call.memory.read(at, &mut bytes)?;
    let (records, _) = bytes.as_chunks::<6>();
    let operation = |&[n0, n1, c0, c1, f0, f1]: &[u8; 6]| Operation {
        number: u16::from_le_bytes([n0, n1]),
        change: i16::from_le_bytes([c0, c1]).into(),
        flags: u16::from_le_bytes([f0, f1]).into(),
    };
    Ok(records.iter().map(operation).collect())
}

/// Does all operations, or none.
fn try_all(call: &mut Call<'_>, id: i32, operations: &[Operation]) -> Result<Tried, Errno> {
    let (now, pid) = (call.seconds(), call.process.pid);
    let set = &mut call.system.sets.get_mut(id)?.object;
    let mut values: BTreeMap<u16, i32> = BTreeMap::new();
    let mut undo: Undo = BTreeMap::new();
    for &operation in operations {
        let Operation { number, change, flags } = operation;
        let semaphore = &set.semaphores[usize::from(number)];
        let value = values.entry(number).or_insert(semaphore.value);
        let changed = *value + change;
        if (change == 0 && *value != 0) || changed < 0 {
            let nowait = flags & IPC_NOWAIT != 0;
            return if nowait { Err(Errno::EAGAIN) } else { Ok(Tried::Waits(operation)) };
        }
        if changed > VALUE_MAX {
            return Err(Errno::ERANGE);
        }
        *value = changed;
        if flags & SEM_UNDO != 0 {
            let before = call.process.undo.get(&(id, number)).copied().unwrap_or(0);
            let adjusted = undo.entry((id, number)).or_insert(before);
            *adjusted -= change;
            if adjusted.abs() > VALUE_MAX {
                return Err(Errno::ERANGE);
            }
        }
    }
    for operation in operations {
        let semaphore = &mut set.semaphores[usize::from(operation.number)];
        semaphore.value = values[&operation.number];
        semaphore.last = pid;
    }
    set.operated_s = now;
    let (object, alters) = (set.object, operations.iter().any(|one| one.change != 0));
    for (key, adjustment) in undo {
        match adjustment {
            0 => call.process.undo.remove(&key),
            _ => call.process.undo.insert(key, adjustment),
        };
    }
    if alters {
        call.system.wake(object.channel());
    }
    Ok(Tried::Done)
}

fn wait(
    call: &mut Call<'_>,
    id: i32,
    blocked: Operation,
    timeout_ns: Option<u64>,
) -> Result<u64, Errno> {
    let deadline = call.deadline(timeout_ns);
    if timeout_ns.is_some() && call.is_over(deadline) {
        return Err(Errno::EAGAIN);
    }
    let tid = call.thread.tid;
    let set = &mut call.system.sets.get_mut(id)?.object;
    let object = set.object;
    set.waiting.insert(tid, (blocked.number, blocked.change == 0));
    Err(call.wait("semop", vec![object.channel()], deadline, Errno::EINTR))
}

pub(crate) fn semctl(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const GETPID: i32 = 11;
    const GETVAL: i32 = 12;
    const GETALL: i32 = 13;
    const GETNCNT: i32 = 14;
    const GETZCNT: i32 = 15;
    const SETVAL: i32 = 16;
    const SETALL: i32 = 17;
    const SEM_STAT: i32 = 18;
    const SEM_INFO: i32 = 19;
    const SEM_STAT_ANY: i32 = 20;
    let (id, number, command, at) = (int(args[0]), int(args[1]), int(args[2]), args[3]);
    match command {
        IPC_INFO | SEM_INFO => return write_limits(call, at, command == SEM_INFO),
        SEM_STAT | SEM_STAT_ANY => {
            let id = call.system.sets.id_at(id)?;
            write_status(call, id, at, if command == SEM_STAT { MAY_READ } else { 0 })?;
            return Ok(id as u64);
        }
        IPC_STAT => return write_status(call, id, at, MAY_READ).map(|()| 0),
        IPC_SET => {
            let mut permissions = own(call, id)?.permissions.clone();
            permissions.set(call, at)?;
            let now = call.seconds();
            let entry = call.system.sets.get_mut(id)?;
            entry.permissions = permissions;
            entry.object.changed_s = now;
            return Ok(0);
        }
        IPC_RMID => {
            own(call, id)?;
            if let Some(set) = call.system.sets.remove(id) {
                call.system.wake(set.object.channel());
            }
            forget_undo(call, |set, _| set == id);
            return Ok(0);
        }
        _ => {}
    }
    let writes = matches!(command, SETVAL | SETALL);
    let entry = call.system.sets.get(id)?;
    let wanted = if writes { MAY_WRITE } else { MAY_READ };
    entry.permissions.check(&call.process.credentials, wanted)?;
    let semaphores = &entry.object.semaphores;
    let one = usize::try_from(number).ok().and_then(|n| semaphores.get(n)).copied();
    match command {
        GETALL => {
            let values = semaphores.iter().map(|semaphore| semaphore.value as u16);
            let bytes: Vec<u8> = values.flat_map(u16::to_le_bytes).collect();
            call.memory.write(at, &bytes).map(|()| 0)
        }
        SETALL => set_all(call, id, at),
        GETVAL => Ok(one.ok_or(Errno::EINVAL)?.value as u64),
        GETPID => Ok(one.ok_or(Errno::EINVAL)?.last.into()),
        GETNCNT | GETZCNT => {
            one.ok_or(Errno::EINVAL)?;
            Ok(waiting(call, &entry.object, number as u16, command == GETZCNT))
        }
        SETVAL => {
            one.ok_or(Errno::EINVAL)?;
            set_values(call, id, &[(number as u16, int(at))])
        }
        _ => Err(Errno::EINVAL),
    }
}

fn own<'a>(call: &'a Call<'_>, id: i32) -> Result<&'a Entry<Set>, Errno> {
    let entry = call.system.sets.get(id)?;
    entry.permissions.check_owner(&call.process.credentials)?;
    Ok(entry)
}

fn set_all(call: &mut Call<'_>, id: i32, at: u64) -> Result<u64, Errno> {
    let count = call.system.sets.get(id)?.object.semaphores.len();
    let mut bytes = vec![0; 2 * count];
    call.memory.read(at, &mut bytes)?;
    let values = bytes.as_chunks().0.iter().map(|&word| i32::from(u16::from_le_bytes(word)));
    let numbered: Vec<(u16, i32)> = (0..=u16::MAX).zip(values).collect();
    set_values(call, id, &numbered)
}

/// Sets counters; what processes would take back of them is void.
fn set_values(call: &mut Call<'_>, id: i32, values: &[(u16, i32)]) -> Result<u64, Errno> {
    if values.iter().any(|&(_, value)| !(0..=VALUE_MAX).contains(&value)) {
        return Err(Errno::ERANGE);
    }
    let (now, pid) = (call.seconds(), call.process.pid);
    let set = &mut call.system.sets.get_mut(id)?.object;
    for &(number, value) in values {
        if let Some(semaphore) = set.semaphores.get_mut(usize::from(number)) {
            *semaphore = Semaphore { value, last: pid };
        }
    }
    set.changed_s = now;
    let object = set.object;
    let first = values.first().map_or(0, |&(number, _)| number);
    let numbers = first..=first.saturating_add(values.len() as u16 - 1);
    forget_undo(call, |set, number| set == id && numbers.contains(&number));
    call.system.wake(object.channel());
    Ok(0)
}

fn forget_undo(call: &mut Call<'_>, which: impl Fn(i32, u16) -> bool) {
    let forget = |process: &mut Process| {
        process.undo.retain(|&(set, number), _| !which(set, number));
    };
    forget(call.process);
    call.system.processes.values_mut().for_each(|process| forget(process));
}

/// How many threads wait for a semaphore: to grow, or to be zero.
fn waiting(call: &Call<'_>, set: &Set, number: u16, zero: bool) -> u64 {
    let channel = set.object.channel();
    let waits = |tid: &Pid| match call.system.thread(*tid).map(|thread| &thread.state) {
        Some(State::Blocked(wait)) => wait.channels.contains(&channel),
        _ => false,
    };
    let of = set.waiting.iter().filter(|&(_, &what)| what == (number, zero));
    of.filter(|(tid, _)| waits(tid)).count() as u64
}

/// `struct semid64_ds`.
fn write_status(call: &mut Call<'_>, id: i32, at: u64, wanted: u32) -> Result<(), Errno> {
    let entry = call.system.sets.get(id)?;
    entry.permissions.check(&call.process.credentials, wanted)?;
    let mut out = Layout::<88>::new();
    entry.permissions.encode(&mut out);
    out.u64(48, entry.object.operated_s);
    out.u64(56, entry.object.changed_s);
    out.u64(64, entry.object.semaphores.len() as u64);
    call.memory.write(at, &out.0)
}

/// `struct seminfo`.
fn write_limits(call: &mut Call<'_>, at: u64, in_use: bool) -> Result<u64, Errno> {
    const UNDO_BYTES: u32 = 20;
    let all = ALL_MAX as u32;
    let sets = call.system.sets.len() as u32;
    let used: usize = call.system.sets.iter().map(|(_, set)| set.object.semaphores.len()).sum();
    let [undo_bytes, at_exit] = match in_use {
        true => [sets, used as u32],
        false => [UNDO_BYTES, VALUE_MAX as u32],
    };
    let (operations, values) = (OPERATIONS_MAX as u32, VALUE_MAX as u32);
    let (sets_max, set_max) = (SETS_MAX as u32, SET_MAX as u32);
    let words =
        [all, sets_max, all, all, set_max, operations, operations, undo_bytes, values, at_exit];
    let mut out = Layout::<40>::new();
    for (n, word) in words.into_iter().enumerate() {
        out.u32(4 * n, word);
    }
    call.memory.write(at, &out.0)?;
    Ok(call.system.sets.highest_place() as u64)
}

impl System {
    /// A process ended: what it changed with SEM_UNDO is taken back.
    pub(crate) fn undo_semaphores(&mut self, process: &mut Process) {
        for ((id, number), adjustment) in std::mem::take(&mut process.undo) {
            let Ok(entry) = self.sets.get_mut(id) else { continue };
            let set = &mut entry.object;
            let Some(semaphore) = set.semaphores.get_mut(usize::from(number)) else { continue };
            semaphore.value = (semaphore.value + adjustment).clamp(0, VALUE_MAX);
            semaphore.last = process.pid;
            let object = set.object;
            self.wake(object.channel());
        }
    }
}
