//! The timers of a process: the three of setitimer, and those of timer_create.
//!
//! ```text
//!             set                  deadline                     signal taken
//!   disarmed ────► armed(next) ─────────────► fired, signal sent ───────────► armed(next + k·interval)
//!                                                    │ no interval             overrun k − 1
//!                                                    └───────────────────────► disarmed
//! ```
//!
//! Invariants:
//! 1. A timer on the virtual clock that fired sends nothing more until its signal was taken; what
//!    it missed it counts. So time in which nothing happens costs nothing.
//! 2. A timer on processor time goes on at once: that time passes only if something runs.
//!
//! Source: setitimer(2), timer_create(2), timer_getoverrun(2); Linux kernel/time/posix-timers.c.

use std::collections::BTreeMap;

use crate::alarm::forward;
use crate::errno::Errno;
use crate::signal::{Cause, SI_KERNEL, Signal, SignalInfo};
use crate::wait::Pid;

/// Timers of one process at most (Linux counts them as pending signals).
const TIMERS_MAX: usize = 1024;
/// The highest overrun that is told (DELAYTIMER_MAX).
const OVERRUN_MAX: u64 = i32::MAX as u64;

/// What a timer goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The virtual clock.
    Time,
    /// What all threads of the process have run.
    Process,
    /// What one thread has run.
    Thread(Pid),
}

/// Whom a timer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notify {
    /// Nobody.
    Nobody,
    /// The process.
    Process(Signal),
    /// One thread of it.
    Thread(Signal, Pid),
}

/// When a timer goes off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The next time, on the timer's basis; `None` if it is not armed.
    pub next_ns: Option<u64>,
    /// 0 if it goes off once.
    pub interval_ns: u64,
    /// It went off, and its signal was not taken yet.
    has_fired: bool,
}

impl Setting {
    pub(crate) fn new(next_ns: Option<u64>, interval_ns: u64) -> Self {
        Self { next_ns, interval_ns, has_fired: false }
    }

    /// Interval and time left, as the calls tell them.
    pub(crate) fn shown(&self, now_ns: u64) -> [u64; 2] {
        let next = match (self.next_ns, self.has_fired) {
            (Some(next), true) if self.interval_ns > 0 => {
                Some(forward(next, self.interval_ns, now_ns).0)
            }
            (_, true) => None,
            (next, false) => next,
        };
        [self.interval_ns, next.map_or(0, |next| next.saturating_sub(now_ns).max(1))]
    }

    fn deadline(&self) -> Option<u64> {
        self.next_ns.filter(|_| !self.has_fired)
    }

    fn is_due(&self, now_ns: u64) -> bool {
        self.deadline().is_some_and(|next| next <= now_ns)
    }

    /// It goes off. Returns how many periods it missed, if it goes on at once.
    fn fire(&mut self, basis: Basis, now_ns: u64) -> u64 {
        self.has_fired = true;
        if basis == Basis::Time { 0 } else { self.heard(now_ns) }
    }

    /// Its signal was taken: it goes on. Returns how many periods it missed.
    fn heard(&mut self, now_ns: u64) -> u64 {
        let Some(next) = self.next_ns.filter(|_| self.has_fired) else { return 0 };
        self.has_fired = false;
        if self.interval_ns == 0 {
            self.next_ns = None;
            return 0;
        }
        let (next, passed) = forward(next, self.interval_ns, now_ns);
        self.next_ns = Some(next);
        passed.saturating_sub(1).min(OVERRUN_MAX)
    }
}

/// A timer of timer_create.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PosixTimer {
    pub basis: Basis,
    /// Virtual nanoseconds at which its clock was 0.
    pub clock_start_ns: u64,
    pub notify: Notify,
    pub value: u64,
    pub setting: Setting,
    pub overrun: u32,
}

/// The timers of setitimer.
pub(crate) const ITIMER_REAL: usize = 0;
pub(crate) const ITIMER_VIRTUAL: usize = 1;
pub(crate) const ITIMER_PROF: usize = 2;

/// A process's timers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    pub interval: [Setting; 3],
    pub posix: BTreeMap<u32, PosixTimer>,
    last_id: u32,
    /// Deadlines may have changed since [`Timers::take_changed`].
    is_changed: bool,
}

impl Timers {
    /// Adds a timer and gives its number.
    pub(crate) fn add(&mut self, timer: PosixTimer) -> Result<u32, Errno> {
        if self.posix.len() >= TIMERS_MAX {
            return Err(Errno::EAGAIN);
        }
        let free = (0..=i32::MAX as u32).find(|id| !self.posix.contains_key(id));
        // Linux goes on from the last number; after exec it begins again.
        let next = (self.last_id..=i32::MAX as u32).find(|id| !self.posix.contains_key(id));
        let id = next.or(free).ok_or(Errno::EAGAIN)?;
        self.last_id = id + 1;
        self.posix.insert(id, timer);
        Ok(id)
    }

    /// Another program begins: the timers of timer_create are not its own.
    pub(crate) fn exec(&mut self) {
        self.posix.clear();
        self.last_id = 0;
        self.is_changed = true;
    }

    /// Settings changed.
    pub(crate) const fn touch(&mut self) {
        self.is_changed = true;
    }

    /// Whether deadlines may have changed, since this was asked last.
    pub(crate) const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.is_changed, false)
    }

    /// When the next timer on the virtual clock goes off.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let real = self.interval[ITIMER_REAL].deadline();
        let posix = self.posix.values().filter(|timer| timer.basis == Basis::Time);
        posix.filter_map(|timer| timer.setting.deadline()).chain(real).min()
    }

    /// Whether some timer goes by processor time.
    pub(crate) fn goes_by_cpu(&self) -> bool {
        let by_cpu =
            |timer: &PosixTimer| timer.basis != Basis::Time && timer.setting.deadline().is_some();
        self.interval[ITIMER_VIRTUAL..].iter().any(|setting| setting.deadline().is_some())
            || self.posix.values().any(by_cpu)
    }

    /// Marks the timers that are due, and says which signals they send to whom: a thread, or the
    /// process. `time_of` gives the time on a basis.
    pub(crate) fn fire(
        &mut self,
        time_of: impl Fn(Basis) -> u64,
    ) -> Vec<(Option<Pid>, SignalInfo)> {
        const SIGNALS: [Signal; 3] = [Signal::SIGALRM, Signal::SIGVTALRM, Signal::SIGPROF];
        self.is_changed = true;
        let mut sent = Vec::new();
        for (n, setting) in self.interval.iter_mut().enumerate() {
            let basis = if n == ITIMER_REAL { Basis::Time } else { Basis::Process };
            if setting.is_due(time_of(basis)) {
                setting.fire(basis, time_of(basis));
                let cause = Cause::Sender { code: SI_KERNEL, pid: 0, uid: 0 };
                sent.push((None, SignalInfo { signal: SIGNALS[n], cause }));
            }
        }
        for (&id, timer) in &mut self.posix {
            let now = time_of(timer.basis);
            if !timer.setting.is_due(now) {
                continue;
            }
            let missed = timer.setting.fire(timer.basis, now);
            timer.overrun = missed as u32;
            let cause = Cause::Timer { id, overrun: timer.overrun, value: timer.value };
            match timer.notify {
                // Nobody will take a signal: it goes on by itself when it is looked at.
                Notify::Nobody => {}
                Notify::Process(signal) => sent.push((None, SignalInfo { signal, cause })),
                Notify::Thread(signal, tid) => sent.push((Some(tid), SignalInfo { signal, cause })),
            }
        }
        sent
    }

    /// A signal is no longer ignored, and none of it is pending: timers whose signals were lost go
    /// on.
    pub(crate) fn resume(&mut self, signal: Signal, now_ns: u64) {
        if signal == Signal::SIGALRM {
            self.interval[ITIMER_REAL].heard(now_ns);
        }
        for timer in self.posix.values_mut() {
            let sends = match timer.notify {
                Notify::Nobody => false,
                Notify::Process(its) | Notify::Thread(its, _) => its == signal,
            };
            if sends && timer.basis == Basis::Time {
                timer.overrun = timer.setting.heard(now_ns) as u32;
            }
        }
        self.is_changed = true;
    }

    /// A signal was taken: if a timer sent it, that goes on, and the signal tells what it missed.
    pub(crate) fn heard(&mut self, info: &mut SignalInfo, now_ns: u64) {
        match (&mut info.cause, info.signal) {
            (Cause::Sender { code: SI_KERNEL, .. }, Signal::SIGALRM) => {
                self.interval[ITIMER_REAL].heard(now_ns);
            }
            (Cause::Timer { id, overrun, .. }, _) => {
                let by_time = |timer: &&mut PosixTimer| timer.basis == Basis::Time;
                let Some(timer) = self.posix.get_mut(id).filter(by_time) else { return };
                timer.overrun = timer.setting.heard(now_ns) as u32;
                *overrun = timer.overrun;
            }
            _ => return,
        }
        self.is_changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(next_ns: u64, interval_ns: u64) -> Timers {
        let mut timers = Timers::default();
        timers.interval[ITIMER_REAL] = Setting::new(Some(next_ns), interval_ns);
        timers
    }

    #[test]
    fn it_goes_on_when_its_signal_is_taken() {
        let mut timers = alarm(100, 10);
        assert!(timers.fire(|_| 99).is_empty());
        let mut sent = timers.fire(|_| 100);
        assert_eq!((sent.len(), timers.deadline()), (1, None));
        assert!(timers.fire(|_| 1000).is_empty(), "one signal is enough");
        timers.heard(&mut sent[0].1, 125);
        assert_eq!(timers.deadline(), Some(130));
        assert_eq!(timers.interval[ITIMER_REAL].shown(126), [10, 4]);
    }

    #[test]
    fn what_was_missed_is_told() {
        let mut timers = Timers::default();
        let notify = Notify::Process(Signal::SIGUSR1);
        let setting = Setting::new(Some(100), 10);
        let timer = PosixTimer {
            basis: Basis::Time,
            clock_start_ns: 0,
            notify,
            value: 7,
            setting,
            overrun: 0,
        };
        assert_eq!(timers.add(timer), Ok(0));
        assert_eq!(timers.add(timer), Ok(1));
        timers.posix.remove(&1);
        let mut sent = timers.fire(|_| 100);
        timers.heard(&mut sent[0].1, 135);
        assert_eq!(sent[0].1.cause, Cause::Timer { id: 0, overrun: 3, value: 7 });
        assert_eq!(timers.deadline(), Some(140));
    }

    #[test]
    fn processor_time_goes_on_at_once() {
        let mut timers = Timers::default();
        timers.interval[ITIMER_PROF] = Setting::new(Some(100), 10);
        assert!(timers.goes_by_cpu());
        let cpu = |ns| move |basis| if basis == Basis::Process { ns } else { 0 };
        assert_eq!(timers.fire(cpu(105)).len(), 1);
        assert!(timers.fire(cpu(109)).is_empty());
        assert_eq!(timers.fire(cpu(110)).len(), 1);
        assert_eq!(timers.deadline(), None, "the clock does not matter");
    }
}
