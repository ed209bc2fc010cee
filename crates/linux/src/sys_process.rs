//! The process itself: identity, groups, limits, usage, the end. Everybody is root of the machine's
//! own little system.

use crate::call::{Args, Call, Then, int};
use crate::clock::NS_PER_S;
use crate::errno::Errno;
use crate::fd::MAX_DESCRIPTORS;
use crate::memory::{CHUNK_BYTES, read_u64};
use crate::process::Process;
use crate::stat::Layout;
use crate::system::Outcome;
use pagewalk_kernel::MemoryLimits;

/// RLIM_INFINITY.
const INFINITY: u64 = u64::MAX;
const RLIMIT_DATA: usize = 2;
const RLIMIT_STACK: usize = 3;
const RLIMIT_RSS: usize = 5;
const RLIMIT_NOFILE: usize = 7;
const RLIMIT_MEMLOCK: usize = 8;
const RLIMIT_AS: usize = 9;
const LIMIT_COUNT: usize = 16;
/// What a process without CAP_IPC_LOCK may lock (Linux: MLOCK_LIMIT).
const MEMLOCK_BYTES: u64 = 8 << 20;

/// Resource limits, soft and hard. Those on memory are the kernel's to enforce; others are kept
/// for the program to read.
#[derive(Clone, Debug)]
pub(crate) struct Limits([[u64; 2]; LIMIT_COUNT]);

impl Limits {
    pub(crate) fn new(stack_bytes: u64) -> Self {
        let mut limits = [[INFINITY; 2]; LIMIT_COUNT];
        limits[RLIMIT_STACK] = [stack_bytes, INFINITY];
        limits[RLIMIT_MEMLOCK] = [MEMLOCK_BYTES; 2];
        limits[RLIMIT_NOFILE] = [MAX_DESCRIPTORS as u64; 2];
        Self(limits)
    }

    /// A limit, soft and hard; infinite if there is none of that number.
    pub(crate) fn get(&self, index: usize) -> [u64; 2] {
        self.0.get(index).copied().unwrap_or([INFINITY; 2])
    }

    /// How many bytes may be locked in memory.
    pub(crate) fn locked_bytes(&self) -> u64 {
        self.0[RLIMIT_MEMLOCK][0]
    }

    /// The soft limits that bound an address space.
    pub(crate) fn of_memory(&self) -> MemoryLimits {
        let soft = |index: usize| self.0[index][0];
        // As Linux: no data at all is not meant (Valgrind asks for it), the hard limit holds.
        let [data, data_max] = self.0[RLIMIT_DATA];
        MemoryLimits {
            address_space: soft(RLIMIT_AS),
            data: if data == 0 { data_max } else { data },
            stack: soft(RLIMIT_STACK),
            resident: soft(RLIMIT_RSS),
        }
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

pub(crate) fn getpid(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(call.process.pid.into())
}

pub(crate) fn gettid(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(call.thread.tid.into())
}

pub(crate) fn getppid(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Ok(call.process.parent.into())
}

/// Shows the process of that number, 0 being the caller's.
fn with_process<T>(
    call: &Call<'_>,
    pid: u64,
    show: impl FnOnce(&Process) -> T,
) -> Result<T, Errno> {
    match int(pid) {
        0 => Ok(show(call.process)),
        pid if pid as u32 == call.process.pid => Ok(show(call.process)),
        pid => call.system.process(pid as u32).map(show).ok_or(Errno::ESRCH),
    }
}

pub(crate) fn getpgid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    with_process(call, args[0], |process| process.group.into())
}

pub(crate) fn getsid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    with_process(call, args[0], |process| process.session.into())
}

/// Joins or makes a process group within the session.
pub(crate) fn setpgid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let me = call.process.pid;
    let pid = if int(args[0]) == 0 { me } else { int(args[0]) as u32 };
    let group = if int(args[1]) == 0 { pid } else { int(args[1]) as u32 };
    if int(args[1]) < 0 {
        return Err(Errno::EINVAL);
    }
    let session = call.process.session;
    let exists = group == pid
        || call.process.group == group
        || call.system.processes().any(|p| p.group == group && p.session == session);
    if pid == me {
        return match (session == me, exists) {
            (true, _) | (_, false) => Err(Errno::EPERM),
            _ => {
                call.process.group = group;
                Ok(0)
            }
        };
    }
    let child = call.system.processes.get_mut(&pid).filter(|p| p.parent == me);
    let child = child.ok_or(Errno::ESRCH)?;
    if child.has_execed {
        return Err(Errno::EACCES);
    }
    if child.session != session || child.session == pid || !exists {
        return Err(Errno::EPERM);
    }
    child.group = group;
    Ok(0)
}

pub(crate) fn setsid(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    let pid = call.process.pid;
    let leads = call.process.group == pid || call.system.processes().any(|p| p.group == pid);
    if leads {
        return Err(Errno::EPERM);
    }
    (call.process.group, call.process.session) = (pid, pid);
    Ok(pid.into())
}

/// The address that is cleared and woken when the thread ends.
pub(crate) fn set_tid_address(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.thread.clear_child_tid = args[0];
    Ok(call.thread.tid.into())
}

pub(crate) fn exit(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.then = Then::ExitThread(int(args[0]) & 0xff);
    Ok(0)
}

pub(crate) fn exit_group(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.then = Then::ExitProcess(Outcome::Exit(int(args[0]) & 0xff));
    Ok(0)
}

/// Lets the other threads that can run go first.
pub(crate) fn sched_yield(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    call.then = Then::Yield;
    Ok(0)
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
    // procs, 16 bits wide and followed by padding
    out.u32(80, call.system.threads.len() as u32 + 1);
    out.u32(104, 1); // mem_unit
    call.memory.write(args[0], &out.0)?;
    Ok(0)
}

pub(crate) fn getrusage(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const SELF: i32 = 0;
    const CHILDREN: i32 = -1;
    const THREAD: i32 = 1;
    let mut out = Layout::<144>::new();
    let ns = match int(args[0]) {
        SELF => call.process_cpu_ns(),
        THREAD => call.thread.cpu_ns,
        CHILDREN => call.process.cpu_ns_children,
        _ => return Err(Errno::EINVAL),
    };
    out.u64(0, ns / NS_PER_S);
    out.u64(8, ns % NS_PER_S / 1000);
    if int(args[0]) != CHILDREN {
        let usage = call.memory.usage();
        out.u64(32, usage.peak_resident.saturating_mul(call.memory.page_bytes()) / 1024);
        out.u64(64, usage.minor_faults);
        out.u64(72, usage.major_faults);
    }
    call.memory.write(args[1], &out.0)?;
    Ok(0)
}

fn limit_index(resource: u64) -> Result<usize, Errno> {
    usize::try_from(resource).ok().filter(|&i| i < LIMIT_COUNT).ok_or(Errno::EINVAL)
}

fn read_limit(call: &mut Call<'_>, index: usize, from: u64) -> Result<[u64; 2], Errno> {
    let soft = read_u64(call.memory, from)?;
    let hard = read_u64(call.memory, from.checked_add(8).ok_or(Errno::EFAULT)?)?;
    if soft > hard {
        return Err(Errno::EINVAL);
    }
    if index == RLIMIT_NOFILE && hard > MAX_DESCRIPTORS as u64 {
        return Err(Errno::EPERM);
    }
    Ok([soft, hard])
}

/// The limits that the memory manager enforces.
const OF_MEMORY: [usize; 4] = [RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_RSS];

/// Tells whoever enforces it of a limit.
fn apply_limit(call: &mut Call<'_>, index: usize) {
    if index == RLIMIT_NOFILE {
        call.process.fds.set_limit(call.process.limits.0[index][0]);
    }
    if OF_MEMORY.contains(&index) {
        call.memory.set_limits(call.process.limits.of_memory());
    }
}

pub(crate) fn getrlimit(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let pair = call.process.limits.0[limit_index(args[0])?];
    call.write_pair(args[1], pair)?;
    Ok(0)
}

pub(crate) fn setrlimit(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let index = limit_index(args[0])?;
    call.process.limits.0[index] = read_limit(call, index, args[1])?;
    apply_limit(call, index);
    Ok(0)
}

pub(crate) fn prlimit64(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [pid, resource, new, old, ..] = args;
    let index = limit_index(resource)?;
    let before = with_process(call, pid, |process| process.limits.0[index])?;
    if new != 0 {
        let pair = read_limit(call, index, new)?;
        match int(pid) as u32 {
            pid if pid == 0 || pid == call.process.pid => {
                call.process.limits.0[index] = pair;
                apply_limit(call, index);
            }
            pid => {
                let other = call.system.processes.get_mut(&pid).ok_or(Errno::ESRCH)?;
                other.limits.0[index] = pair;
                if index == RLIMIT_NOFILE {
                    other.fds.set_limit(pair[0]);
                }
                if OF_MEMORY.contains(&index) && other.ended.is_none() {
                    let (own, limits) = (call.memory.space(), other.limits.of_memory());
                    call.memory.switch_space(other.space);
                    call.memory.set_limits(limits);
                    call.memory.switch_space(own);
                }
            }
        }
    }
    if old != 0 {
        call.write_pair(old, before)?;
    }
    Ok(0)
}
