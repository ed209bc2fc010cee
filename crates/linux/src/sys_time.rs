//! Time: the virtual clock, which stands still while the host waits and jumps when the guest sleeps.

use crate::call::{Args, Call, int};
use crate::clock::{BOOT_UNIX_S, NS_PER_S};
use crate::errno::Errno;
use crate::stack::CLOCK_TICKS_PER_S;

const CLOCK_REALTIME: i32 = 0;
const CLOCK_REALTIME_COARSE: i32 = 5;
const CLOCK_TAI: i32 = 11;
const TIMER_ABSTIME: u64 = 1;

/// The time of a clock in nanoseconds. Processor time is all the time: nothing else runs.
fn clock_ns(call: &Call<'_>, clock: u64) -> Result<u64, Errno> {
    let now = call.clock.now_ns();
    match int(clock) {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_TAI => {
            Ok(now.saturating_add(BOOT_UNIX_S * NS_PER_S))
        }
        // MONOTONIC, PROCESS_CPUTIME_ID, THREAD_CPUTIME_ID, MONOTONIC_RAW, _COARSE, BOOTTIME.
        1..=4 | 6 | 7 => Ok(now),
        // The processor-time clock of the process itself, by clock_getcpuclockid.
        -6 | -2 => Ok(now),
        _ => Err(Errno::EINVAL),
    }
}

pub(crate) fn clock_gettime(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let ns = clock_ns(call, args[0])?;
    call.write_pair(args[1], [ns / NS_PER_S, ns % NS_PER_S])?;
    Ok(0)
}

pub(crate) fn clock_getres(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    clock_ns(call, args[0])?;
    if args[1] != 0 {
        call.write_pair(args[1], [0, 1])?;
    }
    Ok(0)
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
    let now = clock_ns(call, clock)?;
    let ns = call.read_timespec(request)?.ok_or(Errno::EFAULT)?;
    if flags & TIMER_ABSTIME != 0 {
        return sleep(call, Some(ns.saturating_sub(now)), 0);
    }
    sleep(call, Some(ns), remaining)
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

pub(crate) fn times(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let ticks = call.clock.now_ns() / (NS_PER_S / CLOCK_TICKS_PER_S);
    if args[0] != 0 {
        call.write_pair(args[0], [ticks, 0])?;
        call.write_pair(args[0].checked_add(16).ok_or(Errno::EFAULT)?, [0, 0])?;
    }
    Ok(ticks)
}
