//! timerfd: a timer whose expirations are read.
//!
//! ```text
//!   settime ──► armed ──deadline──► expired, readable ──read──► 8 bytes: how often; armed again
//!                                                               if it has an interval
//! ```
//!
//! Source: timerfd_create(2); Linux fs/timerfd.c.

use crate::alarm::{Owner, forward};
use crate::anonymous::{Anonymous, ObjectId};
use crate::call::{Args, Call, descriptor, int};
use crate::clock::NS_PER_S;
use crate::errno::Errno;
use crate::fd::{O_CLOEXEC, O_NONBLOCK, O_RDWR};
use crate::sys_poll::{POLLIN, POLLRDNORM};
use crate::sys_time::{self, TIMER_ABSTIME};
use crate::system::System;

const VALUE_BYTES: usize = 8;
const TFD_TIMER_CANCEL_ON_SET: u64 = 2;

/// The timer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TimerFile {
    clock: i32,
    /// When it expires, or expired, in virtual nanoseconds; `None` if it is not set.
    next_ns: Option<u64>,
    interval_ns: u64,
    /// It has expired and not been read.
    has_expired: bool,
    /// How often it has expired, as far as is known.
    pub(crate) expirations: u64,
}

impl TimerFile {
    /// Its time has come.
    fn expire(&mut self) {
        self.has_expired = true;
        self.expirations += 1;
    }

    /// Counts the periods that have passed since it expired, and goes on.
    fn catch_up(&mut self, now_ns: u64) {
        let Some(next) = self.next_ns.filter(|_| self.has_expired) else { return };
        self.has_expired = false;
        if self.interval_ns == 0 {
            self.next_ns = None;
            return;
        }
        let (next, passed) = forward(next, self.interval_ns, now_ns);
        self.next_ns = Some(next);
        // The first of them was counted when it happened.
        self.expirations = self.expirations.saturating_add(passed).saturating_sub(1);
    }

    /// When something happens by itself.
    fn deadline(&self) -> Option<u64> {
        self.next_ns.filter(|_| !self.has_expired)
    }

    /// Time left, and the interval.
    fn setting(&self, now_ns: u64) -> [u64; 2] {
        // A set timer never shows as 0, which would be one that is not set.
        let left = self.next_ns.map_or(0, |next| next.saturating_sub(now_ns).max(1));
        [self.interval_ns, left]
    }
}

pub(crate) fn timerfd_create(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    const CLOCKS: [i32; 5] = [0, 1, 7, 8, 9];
    let (clock, flags) = (int(args[0]), args[1] as u32);
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 || !CLOCKS.contains(&clock) {
        return Err(Errno::EINVAL);
    }
    let timer = TimerFile { clock, ..TimerFile::default() };
    call.open_anonymous(Anonymous::Timer(timer), O_RDWR | flags)
}

pub(crate) fn timerfd_settime(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, flags, new, old, ..] = args;
    if flags & !(TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let (interval_ns, value_ns) = call.read_setting(new)?;
    let now = call.clock.now_ns();
    let id = timer_id(call, fd)?;
    let Some(timer) = call.system.timer_file(id) else { return Err(Errno::EINVAL) };
    timer.catch_up(now);
    let before = timer.setting(now);
    let next = match (value_ns, flags & TIMER_ABSTIME) {
        (0, _) => None,
        (ns, 0) => Some(now.saturating_add(ns)),
        (ns, _) => Some(ns.saturating_sub(sys_time::clock_start_ns(timer.clock))),
    };
    *timer = TimerFile { clock: timer.clock, next_ns: next, interval_ns, ..TimerFile::default() };
    if next.is_some_and(|next| next <= now) {
        // A time that has passed is one that has come.
        call.system.alarms.set(Owner::File(id), None);
        call.system.expire_file(id);
    } else {
        call.system.alarms.set(Owner::File(id), next);
    }
    if old != 0 {
        call.write_setting(old, before)?;
    }
    Ok(0)
}

pub(crate) fn timerfd_gettime(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let now = call.clock.now_ns();
    let id = timer_id(call, args[0])?;
    let Some(timer) = call.system.timer_file(id) else { return Err(Errno::EINVAL) };
    timer.catch_up(now);
    let (setting, deadline) = (timer.setting(now), timer.deadline());
    call.system.alarms.set(Owner::File(id), deadline);
    call.write_setting(args[1], setting)?;
    Ok(0)
}

fn timer_id(call: &mut Call<'_>, fd: u64) -> Result<ObjectId, Errno> {
    match call.anonymous(descriptor(fd))? {
        (id, Anonymous::Timer(_)) => Ok(id),
        _ => Err(Errno::EINVAL),
    }
}

impl System {
    fn timer_file(&mut self, id: ObjectId) -> Option<&mut TimerFile> {
        match self.anonymous.get_mut(&id) {
            Some(Anonymous::Timer(timer)) => Some(timer),
            _ => None,
        }
    }

    /// A timer file's time has come.
    pub(crate) fn expire_file(&mut self, id: ObjectId) {
        if let Some(timer) = self.timer_file(id) {
            timer.expire();
            self.wake_for(id.channel(), POLLIN | POLLRDNORM);
        }
    }
}

impl Call<'_> {
    pub(crate) fn read_timer(
        &mut self,
        id: ObjectId,
        bytes: &mut [u8],
        nonblocking: bool,
    ) -> Result<usize, Errno> {
        let now = self.clock.now_ns();
        let Some(timer) = self.system.timer_file(id) else { return Err(Errno::EBADF) };
        let to = bytes.get_mut(..VALUE_BYTES).ok_or(Errno::EINVAL)?;
        timer.catch_up(now);
        let (times, deadline) = (std::mem::take(&mut timer.expirations), timer.deadline());
        self.system.alarms.set(Owner::File(id), deadline);
        if times == 0 {
            return Err(self.wait_for_object(id, "read from a timerfd", nonblocking));
        }
        to.copy_from_slice(&times.to_le_bytes());
        Ok(VALUE_BYTES)
    }

    /// Reads a `struct itimerspec`: interval and value in nanoseconds.
    pub(crate) fn read_setting(&mut self, at: u64) -> Result<(u64, u64), Errno> {
        let interval = self.read_timespec(at)?.ok_or(Errno::EFAULT)?;
        let value = self.read_timespec(at.checked_add(16).ok_or(Errno::EFAULT)?)?;
        Ok((interval, value.ok_or(Errno::EFAULT)?))
    }

    /// Writes a `struct itimerspec`.
    pub(crate) fn write_setting(&mut self, at: u64, setting: [u64; 2]) -> Result<(), Errno> {
        for (n, ns) in setting.into_iter().enumerate() {
            let at = at.checked_add(16 * n as u64).ok_or(Errno::EFAULT)?;
            self.write_pair(at, [ns / NS_PER_S, ns % NS_PER_S])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_counted_when_it_is_read() {
        let mut timer = TimerFile { next_ns: Some(100), interval_ns: 50, ..TimerFile::default() };
        timer.expire();
        assert_eq!((timer.expirations, timer.deadline()), (1, None));
        timer.catch_up(210);
        assert_eq!((timer.expirations, timer.deadline()), (3, Some(250)));
        assert_eq!(timer.setting(220), [50, 30]);
    }

    #[test]
    fn without_an_interval_it_expires_once() {
        let mut timer = TimerFile { next_ns: Some(100), ..TimerFile::default() };
        timer.expire();
        timer.catch_up(1000);
        assert_eq!((timer.expirations, timer.deadline()), (1, None));
        assert_eq!(timer.setting(1000), [0, 0]);
    }
}
