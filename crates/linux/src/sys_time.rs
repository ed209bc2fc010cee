//! Time: the virtual clock, which stands still while the host waits and jumps when the guest sleeps,
//! and the processor time of processes and threads.
//!
//! ```text
//!   clock ≥ 0      REALTIME MONOTONIC … the virtual clock, from 1970 or the start
//!   clock < 0      ┌─────────── ¬pid ───────────┬─ thread? ─┬─ 2 ─┐   of another process or thread
//!                  31                          3      2      1   0
//! ```
//!
//! Source: clock_gettime(2), clock_getcpuclockid(3); Linux include/linux/posix-timers.h.

use crate::call::{Args, Call, int};
use crate::clock::{BOOT_UNIX_S, NS_PER_S};
use crate::errno::Errno;
use crate::stack::CLOCK_TICKS_PER_S;
use crate::wait::Pid;

const CLOCK_REALTIME: i32 = 0;
const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
const CLOCK_MONOTONIC_RAW: i32 = 4;
const CLOCK_REALTIME_COARSE: i32 = 5;
const CLOCK_MONOTONIC_COARSE: i32 = 6;
const CLOCK_REALTIME_ALARM: i32 = 8;
const CLOCK_BOOTTIME_ALARM: i32 = 9;
const CLOCK_TAI: i32 = 11;
/// "The time is a point, not a span."
pub(crate) const TIMER_ABSTIME: u64 = 1;

/// What a clock goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockKind {
    /// The virtual clock.
    Time,
    /// What a process has run.
    Process(Pid),
    /// What a thread has run.
    Thread(Pid),
}

/// What a clock's number means.
///
/// # Errors
/// EINVAL if there is no such clock, process or thread.
pub(crate) fn clock_kind(call: &Call<'_>, clock: u64) -> Result<ClockKind, Errno> {
    const PER_THREAD: i32 = 4;
    /// CPUCLOCK_SCHED, with CPUCLOCK_PROF and CPUCLOCK_VIRT: they are one here.
    const CPU_CLOCKS: std::ops::RangeInclusive<i32> = 0..=2;
    match int(clock) {
        CLOCK_PROCESS_CPUTIME_ID => Ok(ClockKind::Process(call.process.pid)),
        CLOCK_THREAD_CPUTIME_ID => Ok(ClockKind::Thread(call.thread.tid)),
        CLOCK_REALTIME..=CLOCK_BOOTTIME_ALARM | CLOCK_TAI => Ok(ClockKind::Time),
        clock if clock < 0 && CPU_CLOCKS.contains(&(clock & 3)) => {
            let number = !(clock >> 3) as Pid;
            if clock & PER_THREAD != 0 {
                thread_clock(call, number)
            } else {
                process_clock(call, number)
            }
        }
        _ => Err(Errno::EINVAL),
    }
}

fn process_clock(call: &Call<'_>, pid: Pid) -> Result<ClockKind, Errno> {
    match pid {
        0 => Ok(ClockKind::Process(call.process.pid)),
        pid if call.is_alive(pid) => Ok(ClockKind::Process(pid)),
        _ => Err(Errno::EINVAL),
    }
}

fn thread_clock(call: &Call<'_>, tid: Pid) -> Result<ClockKind, Errno> {
    let own = |tid| call.system.thread(tid).is_some_and(|t| t.pid == call.process.pid);
    match tid {
        0 => Ok(ClockKind::Thread(call.thread.tid)),
        tid if tid == call.thread.tid || own(tid) => Ok(ClockKind::Thread(tid)),
        _ => Err(Errno::EINVAL),
    }
}

/// How much less a clock shows at the start of the virtual clock, in nanoseconds: 1970's distance.
pub(crate) const fn clock_start_ns(clock: i32) -> u64 {
    match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_REALTIME_ALARM | CLOCK_TAI => {
            BOOT_UNIX_S * NS_PER_S
        }
        _ => 0,
    }
}

/// The time of a clock in nanoseconds.
fn clock_ns(call: &Call<'_>, clock: u64) -> Result<u64, Errno> {
    Ok(match clock_kind(call, clock)? {
        ClockKind::Time => call.clock.now_ns().saturating_add(clock_start_ns(int(clock))),
        ClockKind::Process(pid) if pid == call.process.pid => call.process_cpu_ns(),
        ClockKind::Process(pid) => {
            let gone = call.system.process(pid).map_or(0, |process| process.cpu_ns_gone);
            gone + call.system.threads_cpu_ns(pid)
        }
        ClockKind::Thread(tid) if tid == call.thread.tid => call.thread.cpu_ns,
        ClockKind::Thread(tid) => call.system.thread(tid).map_or(0, |thread| thread.cpu_ns),
    })
}

pub(crate) fn clock_gettime(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let ns = clock_ns(call, args[0])?;
    call.write_pair(args[1], [ns / NS_PER_S, ns % NS_PER_S])?;
    Ok(0)
}

pub(crate) fn clock_getres(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    clock_kind(call, args[0])?;
    if args[1] != 0 {
        call.write_pair(args[1], [0, 1])?;
    }
    Ok(0)
}

/// The virtual clock is nobody's to set: time would not be a function of what runs any more.
pub(crate) fn clock_settime(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let kind = clock_kind(call, args[0])?;
    call.read_timespec(args[1])?.ok_or(Errno::EFAULT)?;
    let settable = kind == ClockKind::Time && int(args[0]) == CLOCK_REALTIME;
    Err(if settable { Errno::EPERM } else { Errno::EINVAL })
}

pub(crate) fn settimeofday(_: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    Err(Errno::EPERM)
}

pub(crate) fn gettimeofday(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let ns = clock_ns(call, CLOCK_REALTIME as u64)?;
    if args[0] != 0 {
        call.write_pair(args[0], [ns / NS_PER_S, ns % NS_PER_S / 1000])?;
    }
    if args[1] != 0 {
        call.memory.write(args[1], &[0; 8])?;
    }
    Ok(0)
}

pub(crate) fn nanosleep(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let ns = call.read_timespec(args[0])?.ok_or(Errno::EFAULT)?;
    sleep(call, Some(ns), args[1])
}

pub(crate) fn clock_nanosleep(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [clock, flags, request, remaining, ..] = args;
    match (clock_kind(call, clock)?, int(clock)) {
        (ClockKind::Thread(_), _) | (_, CLOCK_MONOTONIC_RAW) => return Err(Errno::EOPNOTSUPP),
        (_, CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE) => return Err(Errno::EOPNOTSUPP),
        (ClockKind::Process(_), _) => return sleep_by_cpu(call, args),
        (ClockKind::Time, _) => {}
    }
    let ns = call.read_timespec(request)?.ok_or(Errno::EFAULT)?;
    if flags & TIMER_ABSTIME != 0 {
        let now = clock_ns(call, clock)?;
        return sleep(call, Some(ns.saturating_sub(now)), 0);
    }
    sleep(call, Some(ns), remaining)
}

/// Processor time passes only while other threads of the process run: it is looked at again and
/// again, as often as a tick of Linux's comes.
fn sleep_by_cpu(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const TICK_NS: u64 = NS_PER_S / CLOCK_TICKS_PER_S;
    let [clock, flags, request, ..] = args;
    let now = clock_ns(call, clock)?;
    let ns = call.read_timespec(request)?.ok_or(Errno::EFAULT)?;
    let span = if flags & TIMER_ABSTIME != 0 { ns.saturating_sub(now) } else { ns };
    let until = *call.thread.progress.deadline_ns.get_or_insert(now.saturating_add(span));
    if until <= now {
        return Ok(0);
    }
    let next_look = call.clock.now_ns().saturating_add(TICK_NS.min(until - now));
    Err(call.wait("clock_nanosleep", Vec::new(), Some(next_look), Errno::ERESTARTNOHAND))
}

/// Sleeps; a handler that runs ends it, and what is left is told.
fn sleep(call: &mut Call<'_>, ns: Option<u64>, remaining: u64) -> Result<u64, Errno> {
    let deadline = call.deadline(ns);
    if call.is_over(deadline) {
        return Ok(0);
    }
    if call.is_interrupted() && remaining != 0 {
        let left = deadline.map_or(0, |at| at.saturating_sub(call.clock.now_ns()));
        call.write_pair(remaining, [left / NS_PER_S, left % NS_PER_S])?;
    }
    Err(call.wait("nanosleep", Vec::new(), deadline, Errno::ERESTARTNOHAND))
}

/// Processor time of the process and of its children that were waited for, in ticks.
pub(crate) fn times(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const TICK_NS: u64 = NS_PER_S / CLOCK_TICKS_PER_S;
    if args[0] != 0 {
        let (own, children) = (call.process_cpu_ns(), call.process.cpu_ns_children);
        call.write_pair(args[0], [own / TICK_NS, 0])?;
        let at = args[0].checked_add(16).ok_or(Errno::EFAULT)?;
        call.write_pair(at, [children / TICK_NS, 0])?;
    }
    Ok(call.clock.now_ns() / TICK_NS)
}
