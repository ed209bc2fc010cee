//! Waiting for children: wait4 and waitid.
//!
//! Source: wait(2), waitid(2).

use crate::call::{Args, Call, int};
use crate::clock::NS_PER_S;
use crate::errno::Errno;
use crate::exit::{CLD_CONTINUED, CLD_EXITED, CLD_KILLED, CLD_STOPPED};
use crate::fd::O_NONBLOCK;
use crate::process::{Change, Process};
use crate::signal::Signal;
use crate::stat::Layout;
use crate::system::Outcome;
use crate::wait::{Channel, Pid};

const WNOHANG: u64 = 1;
const WUNTRACED: u64 = 2;
const WSTOPPED: u64 = 2;
const WEXITED: u64 = 4;
const WCONTINUED: u64 = 8;
const WNOWAIT: u64 = 0x100_0000;
/// __WNOTHREAD, __WALL, __WCLONE: all children are alike here.
const IGNORED: u64 = 0xe000_0000;

/// Which children.
#[derive(Clone, Copy)]
enum Which {
    Any,
    Process(Pid),
    Group(Pid),
}

impl Which {
    fn holds(self, process: &Process) -> bool {
        match self {
            Self::Any => true,
            Self::Process(pid) => process.pid == pid,
            Self::Group(group) => process.group == group,
        }
    }
}

/// What is told of a child.
struct Told {
    pid: Pid,
    uid: u32,
    /// CLD_EXITED …
    code: i32,
    /// The exit status or the signal.
    status: i32,
    cpu_ns: u64,
}

impl Told {
    /// The status word of wait4.
    fn word(&self) -> u32 {
        const CONTINUED: u32 = 0xffff;
        match self.code {
            CLD_EXITED => (self.status as u32 & 0xff) << 8,
            CLD_STOPPED => (self.status as u32) << 8 | 0x7f,
            CLD_CONTINUED => CONTINUED,
            _ => self.status as u32,
        }
    }
}

pub(crate) fn wait4(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [pid, status, options, usage, ..] = args;
    let options = options & 0xffff_ffff;
    if options & !(WNOHANG | WUNTRACED | WCONTINUED | IGNORED) != 0 {
        return Err(Errno::EINVAL);
    }
    let which = match int(pid) {
        i32::MIN => return Err(Errno::ESRCH),
        -1 => Which::Any,
        0 => Which::Group(call.process.group),
        pid if pid < 0 => Which::Group(pid.unsigned_abs()),
        pid => Which::Process(pid as u32),
    };
    let Some(told) = wait(call, which, options | WEXITED)? else { return Ok(0) };
    if status != 0 {
        call.memory.write(status, &told.word().to_le_bytes())?;
    }
    write_usage(call, usage, told.cpu_ns)?;
    Ok(told.pid.into())
}

pub(crate) fn waitid(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const P_ALL: i32 = 0;
    const P_PID: i32 = 1;
    const P_PGID: i32 = 2;
    const P_PIDFD: i32 = 3;
    const KNOWN: u64 = WNOHANG | WSTOPPED | WEXITED | WCONTINUED | WNOWAIT | IGNORED;
    let [kind, id, _, options, ..] = args;
    let options = options & 0xffff_ffff;
    if options & !KNOWN != 0 || options & (WSTOPPED | WEXITED | WCONTINUED) == 0 {
        return Err(Errno::EINVAL);
    }
    let which = match (int(kind), int(id)) {
        (P_ALL, _) => Which::Any,
        (P_PID, 1..) => Which::Process(id as u32),
        (P_PGID, 0) => Which::Group(call.process.group),
        (P_PGID, 1..) => Which::Group(id as u32),
        (P_PIDFD, 0..) => return wait_for_pidfd(call, args),
        _ => return Err(Errno::EINVAL),
    };
    tell(call, which, args).map(|_| 0)
}

/// The child that a pidfd names; one that does not block does not wait.
fn wait_for_pidfd(call: &mut Call<'_>, mut args: Args) -> Result<u64, Errno> {
    let which = match call.pid_of(args[1]) {
        Ok(pid) => Which::Process(pid),
        // It has been waited for.
        Err(Errno::ESRCH) => return Err(Errno::ECHILD),
        Err(errno) => return Err(errno),
    };
    let nonblocking = call.file(args[1])?.flags & O_NONBLOCK != 0;
    let waits = args[3] & WNOHANG == 0;
    args[3] |= if nonblocking { WNOHANG } else { 0 };
    let has_told = tell(call, which, args)?;
    if nonblocking && waits && !has_told { Err(Errno::EAGAIN) } else { Ok(0) }
}

/// The second half of waitid; says whether there was something to tell.
fn tell(call: &mut Call<'_>, which: Which, args: Args) -> Result<bool, Errno> {
    let [_, _, info, options, usage, _] = args;
    let told = wait(call, which, options & 0xffff_ffff)?;
    if info != 0 {
        let mut out = Layout::<128>::new();
        if let Some(told) = &told {
            out.u32(0, Signal::SIGCHLD.number().into());
            out.u32(8, told.code as u32);
            out.u32(16, told.pid);
            out.u32(20, told.uid);
            out.u32(24, told.status as u32);
        }
        call.memory.write(info, &out.0)?;
    }
    write_usage(call, usage, told.as_ref().map_or(0, |told| told.cpu_ns))?;
    Ok(told.is_some())
}

fn write_usage(call: &mut Call<'_>, at: u64, cpu_ns: u64) -> Result<(), Errno> {
    if at == 0 {
        return Ok(());
    }
    let mut out = Layout::<144>::new();
    out.u64(0, cpu_ns / NS_PER_S);
    out.u64(8, cpu_ns % NS_PER_S / 1000);
    call.memory.write(at, &out.0)
}

/// The next child with something to tell; `None` if there is nothing yet and WNOHANG is set.
fn wait(call: &mut Call<'_>, which: Which, options: u64) -> Result<Option<Told>, Errno> {
    let me = call.process.pid;
    let children = |process: &&Process| process.parent == me && which.holds(process);
    let all = call.system.processes.values().map(AsRef::as_ref);
    let mut candidates = all.filter(children).peekable();
    if candidates.peek().is_none() {
        return Err(Errno::ECHILD);
    }
    let Some(told) = candidates.find_map(|process| news(process, options)) else {
        if options & WNOHANG != 0 {
            return Ok(None);
        }
        let channels = vec![Channel::Child(me)];
        return Err(call.wait("wait4", channels, None, Errno::ERESTARTSYS));
    };
    if options & WNOWAIT == 0 {
        take(call, &told);
    }
    Ok(Some(told))
}

fn news(process: &Process, options: u64) -> Option<Told> {
    let cpu_ns = process.cpu_ns_gone + process.cpu_ns_children;
    let uid = process.credentials.user.real;
    let told = |code, status| Some(Told { pid: process.pid, uid, code, status, cpu_ns });
    match (&process.ended, &process.change) {
        (Some(Outcome::Exit(status)), _) if options & WEXITED != 0 => told(CLD_EXITED, *status),
        (Some(Outcome::Killed { signal, .. }), _) if options & WEXITED != 0 => {
            told(CLD_KILLED, signal.number().into())
        }
        (None, Some(Change::Stopped(signal))) if options & WSTOPPED != 0 => {
            told(CLD_STOPPED, signal.number().into())
        }
        (None, Some(Change::Continued)) if options & WCONTINUED != 0 => {
            told(CLD_CONTINUED, Signal::SIGCONT.number().into())
        }
        _ => None,
    }
}

/// It has been told: a zombie is gone, a change is known.
fn take(call: &mut Call<'_>, told: &Told) {
    if matches!(told.code, CLD_EXITED | CLD_KILLED) {
        call.process.cpu_ns_children += told.cpu_ns;
        let _reaped = call.system.reap(told.pid);
    } else if let Some(process) = call.system.processes.get_mut(&told.pid) {
        process.change = None;
    }
}
