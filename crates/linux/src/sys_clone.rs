//! New processes and threads: clone, clone3 (fork and vfork are uses of them).
//!
//! ```text
//!   CLONE_THREAD            a thread of the same process          (with CLONE_VM and CLONE_SIGHAND)
//!   CLONE_VM | CLONE_VFORK  a process in the parent's memory; the parent waits until it lets go
//!   otherwise               a process with a copy of the memory, shared until somebody stores
//! ```
//!
//! Source: clone(2).

use crate::account::{THREAD, process_bytes};
use crate::call::{Args, Call};
use crate::credentials::CAP_SYS_ADMIN;
use crate::errno::Errno;
use crate::memory::read_u64;
use crate::regs::{A0, SP, TP};
use crate::signal::Signal;
use crate::system::THREADS_MAX;
use crate::thread::Thread;
use crate::wait::{Channel, Pid};
use pagewalk_kernel::SpaceId;

const CSIGNAL: u64 = 0xff;
const CLONE_VM: u64 = 0x100;
const CLONE_FS: u64 = 0x200;
pub(crate) const CLONE_FILES: u64 = 0x400;
const CLONE_SIGHAND: u64 = 0x800;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_THREAD: u64 = 0x1_0000;
const CLONE_SYSVSEM: u64 = 0x4_0000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
const CLONE_DETACHED: u64 = 0x40_0000;
const CLONE_CHILD_SETTID: u64 = 0x100_0000;
const CLONE_IO: u64 = 0x8000_0000;
const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
/// CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET: those that need privilege.
const NAMESPACES: u64 = 0x6e02_0080;

const KNOWN: u64 = CSIGNAL
    | CLONE_VM
    | CLONE_FS
    | CLONE_FILES
    | CLONE_SIGHAND
    | CLONE_PIDFD
    | CLONE_VFORK
    | CLONE_PARENT
    | CLONE_THREAD
    | CLONE_SYSVSEM
    | CLONE_SETTLS
    | CLONE_PARENT_SETTID
    | CLONE_CHILD_CLEARTID
    | CLONE_DETACHED
    | CLONE_CHILD_SETTID
    | CLONE_IO
    | CLONE_CLEAR_SIGHAND;

/// What is wanted, whichever call says it.
struct Request {
    flags: u64,
    /// Where the descriptor of CLONE_PIDFD is written.
    pidfd: u64,
    exit_signal: u64,
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
}

pub(crate) fn clone(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    // RISC-V's order (CONFIG_CLONE_BACKWARDS): flags, stack, parent_tid, tls, child_tid.
    let [flags, stack, parent_tid, tls, child_tid, _] = args;
    let (flags, exit_signal) = (flags & 0xffff_ffff & !CSIGNAL, flags & CSIGNAL);
    if flags & CLONE_PIDFD != 0 && flags & CLONE_PARENT_SETTID != 0 {
        return Err(Errno::EINVAL);
    }
    let pidfd = parent_tid;
    start(call, &Request { flags, pidfd, exit_signal, stack, parent_tid, child_tid, tls })
}

pub(crate) fn clone3(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const BYTES_MIN: u64 = 64;
    const PAGE: u64 = 4096;
    let [at, bytes, ..] = args;
    if bytes > PAGE {
        return Err(Errno::E2BIG);
    }
    if bytes < BYTES_MIN {
        return Err(Errno::EINVAL);
    }
    let mut word = |n: u64| read_u64(call.memory, at.checked_add(8 * n).ok_or(Errno::EFAULT)?);
    let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls] =
        [word(0)?, word(1)?, word(2)?, word(3)?, word(4)?, word(5)?, word(6)?, word(7)?];
    for n in BYTES_MIN / 8..bytes / 8 {
        // set_tid and cgroup, which are not here, and what later kernels add.
        if word(n)? != 0 {
            return Err(if n < 11 { Errno::EINVAL } else { Errno::E2BIG });
        }
    }
    let mut rest = [0; 7];
    let rest = &mut rest[..(bytes % 8) as usize];
    call.memory.read(at.checked_add(bytes & !7).ok_or(Errno::EFAULT)?, rest)?;
    if rest.iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    let bad_stack = (stack == 0) != (stack_bytes == 0);
    if flags & (CSIGNAL | CLONE_DETACHED) != 0 || exit_signal & !CSIGNAL != 0 || bad_stack {
        return Err(Errno::EINVAL);
    }
    let stack = stack.checked_add(stack_bytes).ok_or(Errno::EINVAL)?;
    start(call, &Request { flags, pidfd, exit_signal, stack, parent_tid, child_tid, tls })
}

/// What a process with one thread asks for is its own already; there are no namespaces.
pub(crate) fn unshare(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const OWN: u64 = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM;
    const NEEDS_ONE_THREAD: u64 = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
    const NEWUSER: u64 = 0x1000_0000;
    let flags = args[0];
    if flags & !(OWN | NEEDS_ONE_THREAD | NAMESPACES | NEWUSER) != 0 {
        return Err(Errno::EINVAL);
    }
    let pid = call.process.pid;
    let is_alone = !call.system.threads.values().any(|thread| thread.pid == pid);
    if flags & NEEDS_ONE_THREAD != 0 && !is_alone {
        return Err(Errno::EINVAL);
    }
    if flags & NAMESPACES != 0 && !call.process.credentials.can(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    if flags & (NAMESPACES | NEWUSER) != 0 {
        call.host
            .say_once(&format!("unshare of a namespace ({flags:#x}) is not supported: EINVAL"));
        return Err(Errno::EINVAL);
    }
    if flags & OWN != 0 && !is_alone {
        call.host.say_once("unshare by one of several threads is not supported: EINVAL");
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

fn start(call: &mut Call<'_>, request: &Request) -> Result<u64, Errno> {
    if let Some(child) = call.thread.progress.child {
        return wait_for_vfork(call, child);
    }
    check(call, request)?;
    if call.system.threads.len() >= THREADS_MAX {
        return Err(Errno::EAGAIN);
    }
    // Linux: EAGAIN for the number of threads, ENOMEM for what they take.
    call.charge(match request.flags & CLONE_THREAD != 0 {
        true => THREAD,
        false => THREAD + process_bytes(call.process),
    })?;
    let tid = call.system.new_id([call.process.pid, call.thread.tid])?;
    match request.flags & CLONE_THREAD != 0 {
        true => start_thread(call, request, tid),
        false => start_process(call, request, tid),
    }
}

/// The combinations that Linux refuses, and what this system does not have.
fn check(call: &mut Call<'_>, request: &Request) -> Result<(), Errno> {
    let has = |flag| request.flags & flag != 0;
    let unpaired = (has(CLONE_THREAD) && !has(CLONE_SIGHAND))
        || (has(CLONE_SIGHAND) && !has(CLONE_VM))
        || (has(CLONE_CLEAR_SIGHAND) && has(CLONE_SIGHAND))
        || (has(CLONE_PIDFD) && (has(CLONE_THREAD) || has(CLONE_DETACHED)))
        || (has(CLONE_THREAD) && request.exit_signal != 0 && has(CLONE_PARENT));
    if unpaired || (request.exit_signal != 0 && Signal::new(request.exit_signal).is_err()) {
        return Err(Errno::EINVAL);
    }
    let unknown = request.flags & !KNOWN;
    if unknown & NAMESPACES != 0 && !call.process.credentials.can(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    if unknown != 0 {
        let text = format!("clone with a namespace flag ({unknown:#x}) is not supported: EINVAL");
        call.host.say_once(&text);
        return Err(Errno::EINVAL);
    }
    if has(CLONE_FILES) && !has(CLONE_THREAD) && !has(CLONE_VFORK) {
        call.host.say_once("clone with CLONE_FILES: the new process gets copies of descriptors");
    }
    Ok(())
}

fn start_thread(call: &mut Call<'_>, request: &Request, tid: Pid) -> Result<u64, Errno> {
    let thread = child_thread(call, request, tid, call.process.pid);
    set_tids(call, request, tid, None);
    call.system.add_thread(thread);
    Ok(tid.into())
}

fn start_process(call: &mut Call<'_>, request: &Request, pid: Pid) -> Result<u64, Errno> {
    let shares_memory = request.flags & CLONE_VM != 0;
    let pidfd = match request.flags & CLONE_PIDFD != 0 {
        true => Some(open_pidfd(call, request, pid)?),
        false => None,
    };
    let space = match shares_memory {
        true => call.process.space,
        false => call.memory.fork_space().inspect_err(|&error| {
            pidfd.map(|fd| call.close(fd));
            if error == Errno::ENOSYS {
                call.host.say_once("fork needs pages, which this machine has not: ENOSYS");
            }
        })?,
    };
    let mut process = call.process.forked(pid, space, &mut call.system.descriptions);
    if let Some(fd) = pidfd {
        let inherited = process.fds.close(fd)?;
        call.system.release(inherited, call.memory);
    }
    process.exit_signal = Signal::new(request.exit_signal).ok();
    if request.flags & CLONE_PARENT != 0 {
        process.parent = call.process.parent;
    }
    if request.flags & CLONE_CLEAR_SIGHAND != 0 {
        process.signals.reset_handlers();
    }
    process.borrows_memory = request.flags & CLONE_VFORK != 0;
    let mut thread = child_thread(call, request, pid, pid);
    if !shares_memory {
        thread.signals.alt_stack = call.thread.signals.alt_stack;
    }
    set_tids(call, request, pid, (!shares_memory).then_some(space));
    call.system.processes.insert(pid, Box::new(process));
    call.system.add_thread(thread);
    if request.flags & CLONE_VFORK != 0 {
        call.thread.progress.child = Some(pid);
        return wait_for_vfork(call, pid);
    }
    Ok(pid.into())
}

/// The parent's descriptor for the new process; the child does not get it.
fn open_pidfd(call: &mut Call<'_>, request: &Request, pid: Pid) -> Result<u64, Errno> {
    let fd = call.open_pidfd(pid, 0)?;
    call.memory.write(request.pidfd, &(fd as u32).to_le_bytes()).inspect_err(|_| {
        let _closed = call.close(fd);
    })?;
    Ok(fd)
}

/// The parent of vfork goes on when the child no longer uses its memory. No signal ends the wait
/// but SIGKILL.
fn wait_for_vfork(call: &mut Call<'_>, child: Pid) -> Result<u64, Errno> {
    let borrows = call.system.process(child).is_some_and(|child| child.borrows_memory);
    let killed = call.thread.signals.deliverable(&call.process.signals) & Signal::SIGKILL.bit();
    if !borrows || killed != 0 {
        return Ok(child.into());
    }
    call.then = crate::call::Then::Wait(crate::wait::Wait {
        channels: vec![Channel::Vfork(child)],
        deadline_ns: None,
        what: "vfork",
    });
    Ok(0)
}

fn child_thread(call: &Call<'_>, request: &Request, tid: Pid, pid: Pid) -> Thread {
    let mut regs = call.thread.regs.clone();
    regs.x[A0] = 0;
    if request.stack != 0 {
        regs.x[SP] = request.stack;
    }
    if request.flags & CLONE_SETTLS != 0 {
        regs.x[TP] = request.tls;
    }
    let mut thread = Thread::new(tid, pid, regs, call.thread.name);
    thread.scheduling = call.thread.scheduling.on_fork();
    thread.signals.set_mask(call.thread.signals.mask());
    thread.affinity = call.thread.affinity;
    if request.flags & CLONE_CHILD_CLEARTID != 0 {
        thread.clear_child_tid = request.child_tid;
    }
    thread
}

/// Writes the new number where it is wanted; Linux overlooks addresses that cannot be written.
fn set_tids(call: &mut Call<'_>, request: &Request, tid: Pid, child_space: Option<SpaceId>) {
    let bytes = tid.to_le_bytes();
    if request.flags & CLONE_PARENT_SETTID != 0 {
        let _unwritable = call.memory.write(request.parent_tid, &bytes);
    }
    if request.flags & CLONE_CHILD_SETTID != 0 {
        let own = call.process.space;
        call.memory.switch_space(child_space.unwrap_or(own));
        let _unwritable = call.memory.write(request.child_tid, &bytes);
        call.memory.switch_space(own);
    }
}
