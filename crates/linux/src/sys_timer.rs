//! Timers: setitimer, timer_create and their kin, and what happens when they go off.
//!
//! Source: setitimer(2), timer_create(2), timer_settime(2), timer_getoverrun(2).

use crate::account::TIMER;
use crate::alarm::Owner;
use crate::call::{Args, Call, int};
use crate::clock::NS_PER_S;
use crate::errno::Errno;
use crate::memory::{read_array, read_u64};
use crate::process::Process;
use crate::signal::Signal;
use crate::sys_time::{ClockKind, TIMER_ABSTIME, clock_kind, clock_start_ns};
use crate::system::System;
use crate::timers::{Basis, ITIMER_PROF, ITIMER_REAL, Notify, PosixTimer, Setting};
use crate::wait::Pid;

const US_PER_S: u64 = 1_000_000;
const NS_PER_US: u64 = 1000;

pub(crate) fn getitimer(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let which = which(args[0])?;
    let [interval, left] = call.process.timers.interval[which].shown(interval_now(call, which));
    write_interval(call, args[1], [interval, left])
}

pub(crate) fn setitimer(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [kind, new, old, ..] = args;
    let which = which(kind)?;
    let (interval_ns, value_ns) = match new {
        // Linux takes a null pointer for zeroes.
        0 => (0, 0),
        at => (read_timeval(call, at)?, read_timeval(call, at.saturating_add(16))?),
    };
    let now = interval_now(call, which);
    let before = call.process.timers.interval[which].shown(now);
    let next = (value_ns > 0).then(|| now.saturating_add(value_ns));
    call.process.timers.interval[which] = Setting::new(next, interval_ns);
    call.process.timers.touch();
    if old != 0 {
        write_interval(call, old, before)?;
    }
    Ok(0)
}

fn which(argument: u64) -> Result<usize, Errno> {
    match int(argument) {
        which @ 0..=2 => Ok(which as usize),
        _ => Err(Errno::EINVAL),
    }
}

fn interval_now(call: &Call<'_>, which: usize) -> u64 {
    debug_assert!(which <= ITIMER_PROF, "checked by the caller");
    if which == ITIMER_REAL { call.clock.now_ns() } else { call.process_cpu_ns() }
}

fn read_timeval(call: &mut Call<'_>, at: u64) -> Result<u64, Errno> {
    let seconds = read_u64(call.memory, at)?;
    let us = read_u64(call.memory, at.checked_add(8).ok_or(Errno::EFAULT)?)?;
    if seconds > i64::MAX as u64 || us >= US_PER_S {
        return Err(Errno::EINVAL);
    }
    Ok(seconds.saturating_mul(NS_PER_S).saturating_add(us * NS_PER_US))
}

fn write_interval(call: &mut Call<'_>, at: u64, setting: [u64; 2]) -> Result<u64, Errno> {
    for (n, ns) in setting.into_iter().enumerate() {
        let at = at.checked_add(16 * n as u64).ok_or(Errno::EFAULT)?;
        // A set timer never shows as 0.
        let us = ns.div_ceil(NS_PER_US);
        call.write_pair(at, [us / US_PER_S, us % US_PER_S])?;
    }
    Ok(0)
}

pub(crate) fn timer_create(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [clock, event, id_at, ..] = args;
    let basis = match clock_kind(call, clock)? {
        ClockKind::Time => Basis::Time,
        ClockKind::Process(pid) if pid == call.process.pid => Basis::Process,
        ClockKind::Thread(tid) => Basis::Thread(tid),
        ClockKind::Process(_) => return Err(Errno::EOPNOTSUPP),
    };
    let (notify, value) = match event {
        0 => (Notify::Process(Signal::SIGALRM), None),
        at => read_event(call, at)?,
    };
    let timer = PosixTimer {
        basis,
        clock_start_ns: clock_start_ns(int(clock)),
        notify,
        value: value.unwrap_or(0),
        setting: Setting::default(),
        overrun: 0,
    };
    call.charge(TIMER).map_err(|_| Errno::EAGAIN)?;
    let id = call.process.timers.add(timer)?;
    // Without a sigevent the signal carries the timer's number.
    if let (None, Some(timer)) = (value, call.process.timers.posix.get_mut(&id)) {
        timer.value = id.into();
    }
    let written = call.memory.write(id_at, &id.to_le_bytes());
    if written.is_err() {
        call.process.timers.posix.remove(&id);
    }
    written.map(|()| 0)
}

/// A `struct sigevent`: value, signal, notification, thread.
fn read_event(call: &mut Call<'_>, at: u64) -> Result<(Notify, Option<u64>), Errno> {
    const SIGEV_SIGNAL: i32 = 0;
    const SIGEV_NONE: i32 = 1;
    const SIGEV_THREAD: i32 = 2;
    const SIGEV_THREAD_ID: i32 = 4;
    let bytes: [u8; 20] = read_array(call.memory, at)?;
    let word = |at: usize| i32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let value = u64::from_le_bytes(std::array::from_fn(|i| bytes[i]));
    let signal = Signal::new(u64::from(word(8) as u32));
    let notify = match word(12) {
        SIGEV_NONE => Notify::Nobody,
        SIGEV_SIGNAL | SIGEV_THREAD => Notify::Process(signal?),
        SIGEV_THREAD_ID => {
            let tid = word(16) as Pid;
            let of = |tid| call.system.thread(tid).map(|thread| thread.pid);
            let mine = tid == call.thread.tid || of(tid) == Some(call.process.pid);
            if !mine {
                return Err(Errno::EINVAL);
            }
            Notify::Thread(signal?, tid)
        }
        _ => return Err(Errno::EINVAL),
    };
    Ok((notify, Some(value)))
}

/// The timer of that number, and the time on its basis.
fn timer<'a>(call: &'a mut Call<'_>, id: u64) -> Result<(&'a mut PosixTimer, u64), Errno> {
    let id = id as u32;
    let basis = call.process.timers.posix.get(&id).ok_or(Errno::EINVAL)?.basis;
    let now = call.time_on(basis);
    call.process.timers.posix.get_mut(&id).map(|timer| (timer, now)).ok_or(Errno::EINVAL)
}

pub(crate) fn timer_settime(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [id, flags, new, old, ..] = args;
    let (interval_ns, value_ns) = call.read_setting(new)?;
    let (timer, now) = timer(call, id)?;
    let before = timer.setting.shown(now);
    let next = match (value_ns, flags & TIMER_ABSTIME) {
        (0, _) => None,
        (ns, 0) => Some(now.saturating_add(ns)),
        (ns, _) => Some(ns.saturating_sub(timer.clock_start_ns)),
    };
    timer.setting = Setting::new(next, interval_ns);
    timer.overrun = 0;
    call.process.timers.touch();
    call.process.signals.pending.forget_timer(id as u32);
    call.thread.signals.pending.forget_timer(id as u32);
    if old != 0 {
        call.write_setting(old, before)?;
    }
    Ok(0)
}

pub(crate) fn timer_gettime(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let (timer, now) = timer(call, args[0])?;
    let setting = timer.setting.shown(now);
    call.write_setting(args[1], setting)?;
    Ok(0)
}

pub(crate) fn timer_getoverrun(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    timer(call, args[0]).map(|(timer, _)| timer.overrun.into())
}

pub(crate) fn timer_delete(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let id = args[0] as u32;
    call.process.timers.posix.remove(&id).ok_or(Errno::EINVAL)?;
    call.process.timers.touch();
    call.process.signals.pending.forget_timer(id);
    call.thread.signals.pending.forget_timer(id);
    Ok(0)
}

impl Call<'_> {
    /// What the caller's process has run.
    pub(crate) fn process_cpu_ns(&self) -> u64 {
        let running = self.system.threads_cpu_ns(self.process.pid) + self.thread.cpu_ns;
        self.process.cpu_ns_gone + running
    }

    /// The time on a timer's basis.
    fn time_on(&self, basis: Basis) -> u64 {
        match basis {
            Basis::Time => self.clock.now_ns(),
            Basis::Process => self.process_cpu_ns(),
            Basis::Thread(tid) if tid == self.thread.tid => self.thread.cpu_ns,
            Basis::Thread(tid) => self.system.thread(tid).map_or(0, |thread| thread.cpu_ns),
        }
    }
}

impl System {
    /// What the threads of a process that are in the table have run.
    pub(crate) fn threads_cpu_ns(&self, pid: Pid) -> u64 {
        self.threads.values().filter(|thread| thread.pid == pid).map(|thread| thread.cpu_ns).sum()
    }

    /// Enters a process's next deadlines.
    pub(crate) fn note_timers(&mut self, process: &Process) {
        self.alarms.set(Owner::Process(process.pid), process.timers.deadline());
        if process.timers.goes_by_cpu() {
            self.cpu_timed.insert(process.pid);
        } else {
            self.cpu_timed.remove(&process.pid);
        }
    }

    /// Lets the timers go off whose time has come.
    pub(crate) fn expire_timers(&mut self) {
        while let Some(owner) = self.alarms.take_expired(self.now_ns) {
            match owner {
                Owner::File(id) => self.expire_file(id),
                Owner::Process(pid) => self.fire_timers(pid),
            }
        }
        for pid in self.cpu_timed.clone() {
            self.fire_timers(pid);
        }
    }

    fn fire_timers(&mut self, pid: Pid) {
        let (now, running) = (self.now_ns, self.threads_cpu_ns(pid));
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let gone = process.cpu_ns_gone;
        let threads = &self.threads;
        let sent = process.timers.fire(|basis| match basis {
            Basis::Time => now,
            Basis::Process => gone + running,
            Basis::Thread(tid) => threads.get(&tid).map_or(0, |thread| thread.cpu_ns),
        });
        for (thread, info) in sent {
            // A signal that is lost is told as an overrun when the timer is looked at.
            match thread {
                Some(tid) => drop(self.signal_thread(tid, info)),
                None => self.signal_process(pid, info),
            }
        }
        if let Some(process) = self.processes.remove(&pid) {
            self.note_timers(&process);
            self.processes.insert(pid, process);
        }
    }
}
