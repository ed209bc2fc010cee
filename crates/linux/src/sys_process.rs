//! The process itself: identity, limits, usage, the end. There is one process with one thread,
//! root of its own little system.

use crate::call::{Args, Call, int};
use crate::clock::NS_PER_S;
use crate::errno::Errno;
use crate::fd::MAX_DESCRIPTORS;
use crate::memory::{CHUNK_BYTES, read_array, read_u32, read_u64};
use crate::process::{Outcome, PID};
use crate::stat::Layout;

/// RLIM_INFINITY.
const INFINITY: u64 = u64::MAX;
const RLIMIT_STACK: usize = 3;
const RLIMIT_NOFILE: usize = 7;
const LIMIT_COUNT: usize = 16;

/// Resource limits, soft and hard. The stack's is the machine's own; others are kept for the
/// program to read.
#[derive(Clone, Debug)]
pub(crate) struct Limits([[u64; 2]; LIMIT_COUNT]);

impl Limits {
    pub(crate) fn new(stack_bytes: u64) -> Self {
        let mut limits = [[INFINITY; 2]; LIMIT_COUNT];
        limits[RLIMIT_STACK] = [stack_bytes, INFINITY];
        limits[RLIMIT_NOFILE] = [MAX_DESCRIPTORS as u64; 2];
        Self(limits)
    }
}

/// Calls that programs try and do without: they fail without a message.
pub(crate) fn absent(_: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Err(Errno::ENOSYS)
}

/// Calls with nothing to do or to tell in a machine of one process of root's.
pub(crate) fn zero(_: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(0)
}

/// Waiting for a child: there is none.
pub(crate) fn no_child(_: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Err(Errno::ECHILD)
}

pub(crate) fn getpid(_: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(PID.into())
}

pub(crate) fn getppid(_: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(0)
}

pub(crate) fn getpgid(_: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    match int(args[0]) {
        0 => Ok(PID.into()),
        pid if pid as u32 == PID => Ok(PID.into()),
        _ => Err(Errno::ESRCH),
    }
}

/// The address would be cleared and woken for other threads when this one ends; there are none.
pub(crate) fn set_tid_address(_: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(PID.into())
}

pub(crate) fn exit(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.end = Some(Outcome::Exit(int(args[0]) & 0xff));
    Ok(0)
}

pub(crate) fn exit_group(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    exit(call, args)
}

pub(crate) fn getrandom(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const KNOWN_FLAGS: u64 = 7;
    let [to, len, flags, ..] = args;
    if flags & !KNOWN_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    // As Linux, which stops at 32 MiB less one.
    let len = len.min(0x1ff_ffff);
    let mut bytes = vec![0; len.min(CHUNK_BYTES as u64) as usize];
    let mut done = 0;
    while done < len {
        let piece = &mut bytes[..(len - done).min(CHUNK_BYTES as u64) as usize];
        call.clock.random(piece);
        match call.memory.write(to.checked_add(done).ok_or(Errno::EFAULT)?, piece) {
            Err(_) if done > 0 => break,
            result => result?,
        }
        done += piece.len() as u64;
    }
    Ok(done)
}

pub(crate) fn uname(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const FIELD: usize = 65;
    let fields = ["Linux", "pagewalk", "6.1.0", "#1 pagewalk", "riscv64", "(none)"];
    let mut bytes = [0; FIELD * 6];
    for (field, text) in bytes.chunks_exact_mut(FIELD).zip(fields) {
        field[..text.len()].copy_from_slice(text.as_bytes());
    }
    call.memory.write(args[0], &bytes)?;
    Ok(0)
}

pub(crate) fn sysinfo(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let usage = call.memory.usage();
    let page = call.memory.page_bytes();
    let mut out = Layout::<112>::new();
    out.u64(0, call.clock.now_ns() / NS_PER_S);
    let amounts =
        [(32, usage.total), (40, usage.free), (64, usage.swap_total), (72, usage.swap_free)];
    for (at, pages) in amounts {
        out.u64(at, pages.saturating_mul(page));
    }
    out.u32(80, 1); // procs, 16 bits wide and followed by padding
    out.u32(104, 1); // mem_unit
    call.memory.write(args[0], &out.0)?;
    Ok(0)
}

pub(crate) fn getrusage(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const SELF: i32 = 0;
    const CHILDREN: i32 = -1;
    const THREAD: i32 = 1;
    let mut out = Layout::<144>::new();
    match int(args[0]) {
        SELF | THREAD => {
            let usage = call.memory.usage();
            let ns = call.clock.now_ns();
            out.u64(0, ns / NS_PER_S);
            out.u64(8, ns % NS_PER_S / 1000);
            out.u64(32, usage.peak_resident.saturating_mul(call.memory.page_bytes()) / 1024);
            out.u64(64, usage.minor_faults);
            out.u64(72, usage.major_faults);
        }
        CHILDREN => {}
        _ => return Err(Errno::EINVAL),
    }
    call.memory.write(args[1], &out.0)?;
    Ok(0)
}

fn limit_index(resource: u64) -> Result<usize, Errno> {
    usize::try_from(resource).ok().filter(|&i| i < LIMIT_COUNT).ok_or(Errno::EINVAL)
}

fn set_limit(call: &mut Call<'_>, index: usize, from: u64) -> Result<(), Errno> {
    let soft = read_u64(call.memory, from)?;
    let hard = read_u64(call.memory, from.checked_add(8).ok_or(Errno::EFAULT)?)?;
    if soft > hard {
        return Err(Errno::EINVAL);
    }
    if index == RLIMIT_NOFILE && hard > MAX_DESCRIPTORS as u64 {
        return Err(Errno::EPERM);
    }
    call.process.limits.0[index] = [soft, hard];
    Ok(())
}

pub(crate) fn getrlimit(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let pair = call.process.limits.0[limit_index(args[0])?];
    call.write_pair(args[1], pair)?;
    Ok(0)
}

pub(crate) fn setrlimit(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    set_limit(call, limit_index(args[0])?, args[1])?;
    Ok(0)
}

pub(crate) fn prlimit64(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [pid, resource, new, old, ..] = args;
    if int(pid) != 0 && int(pid) as u32 != PID {
        return Err(Errno::ESRCH);
    }
    let index = limit_index(resource)?;
    let before = call.process.limits.0[index];
    if new != 0 {
        set_limit(call, index, new)?;
    }
    if old != 0 {
        call.write_pair(old, before)?;
    }
    Ok(0)
}

pub(crate) fn sched_getaffinity(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const MASK_BYTES: u64 = 8;
    let [_, len, to, ..] = args;
    if len < MASK_BYTES || !len.is_multiple_of(MASK_BYTES) {
        return Err(Errno::EINVAL);
    }
    call.memory.write(to, &1u64.to_le_bytes())?;
    Ok(MASK_BYTES)
}

pub(crate) fn getcpu(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    for at in [args[0], args[1]].into_iter().filter(|&at| at != 0) {
        call.memory.write(at, &[0; 4])?;
    }
    Ok(0)
}

/// With one thread no one waits, so waking finds no one and waiting has no one to wake it.
pub(crate) fn futex(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const COMMAND: u64 = 0x7f;
    const WAIT: u64 = 0;
    const WAKE: u64 = 1;
    const WAIT_BITSET: u64 = 9;
    const WAKE_BITSET: u64 = 10;
    let [at, operation, value, timeout, ..] = args;
    if !at.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    match operation & COMMAND {
        WAKE | WAKE_BITSET => Ok(0),
        command @ (WAIT | WAIT_BITSET) => {
            let timeout_ns = call.read_timespec(timeout)?;
            if read_u32(call.memory, at)? != value as u32 {
                return Err(Errno::EAGAIN);
            }
            let Some(ns) = timeout_ns else {
                return Err(call.deadlock("futex"));
            };
            let absolute = command == WAIT_BITSET;
            let now = if absolute { futex_now(call, operation) } else { 0 };
            call.clock.sleep(ns.saturating_sub(now));
            Err(Errno::ETIMEDOUT)
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// The clock that an absolute futex timeout is on.
fn futex_now(call: &Call<'_>, operation: u64) -> u64 {
    const CLOCK_REALTIME: u64 = 256;
    let now = call.clock.now_ns();
    if operation & CLOCK_REALTIME == 0 {
        return now;
    }
    now.saturating_add(crate::clock::BOOT_UNIX_S * NS_PER_S)
}

pub(crate) fn membarrier(_: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    /// MEMBARRIER_CMD_GLOBAL and the private expedited pair.
    const SUPPORTED: u64 = 1 | 8 | 16;
    match args[0] {
        0 => Ok(SUPPORTED),
        command if command.is_power_of_two() && command & SUPPORTED != 0 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

pub(crate) fn prctl(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const SET_NAME: i32 = 15;
    const GET_NAME: i32 = 16;
    const GET_DUMPABLE: i32 = 3;
    match int(args[0]) {
        SET_NAME => {
            let mut name: [u8; 16] = read_array(call.memory, args[1])?;
            name[15] = 0;
            call.process.name = name;
            Ok(0)
        }
        GET_NAME => call.memory.write(args[1], &call.process.name.clone()).map(|()| 0),
        GET_DUMPABLE => Ok(1),
        _ => Err(Errno::EINVAL),
    }
}
