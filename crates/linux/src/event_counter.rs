//! eventfd: a counter that writers add to and readers take.
//!
//! ```text
//!   write(n): count + n ≤ 2⁶⁴ − 2 ? count += n : wait
//!   read:     count = 0 ? wait : (EFD_SEMAPHORE ? 1 : all of it)
//! ```
//!
//! Source: eventfd(2).

use crate::anonymous::{Anonymous, ObjectId};
use crate::call::{Args, Call};
use crate::errno::Errno;
use crate::fd::{O_CLOEXEC, O_NONBLOCK, O_RDWR};
use crate::sys_poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};

/// The highest value.
const COUNT_MAX: u64 = u64::MAX - 1;
const VALUE_BYTES: usize = 8;
const EFD_SEMAPHORE: u32 = 1;

/// The counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventCounter {
    count: u64,
    /// A reader takes one at a time.
    by_one: bool,
}

impl EventCounter {
    /// What poll tells of it.
    pub(crate) const fn events(&self) -> u16 {
        let readable = if self.count > 0 { POLLIN | POLLRDNORM } else { 0 };
        let writable = if self.count < COUNT_MAX { POLLOUT | POLLWRNORM } else { 0 };
        readable | writable
    }

    fn take(&mut self) -> Option<u64> {
        let taken = if self.by_one { self.count.min(1) } else { self.count };
        self.count -= taken;
        (taken > 0).then_some(taken)
    }

    fn add(&mut self, value: u64) -> bool {
        let fits = value <= COUNT_MAX - self.count;
        self.count += if fits { value } else { 0 };
        fits
    }
}

pub(crate) fn eventfd2(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let flags = args[1] as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK | EFD_SEMAPHORE) != 0 {
        return Err(Errno::EINVAL);
    }
    let count = u64::from(args[0] as u32);
    let counter = EventCounter { count, by_one: flags & EFD_SEMAPHORE != 0 };
    call.open_anonymous(Anonymous::Event(counter), O_RDWR | flags & !EFD_SEMAPHORE)
}

impl Call<'_> {
    pub(crate) fn read_event(
        &mut self,
        id: ObjectId,
        bytes: &mut [u8],
        nonblocking: bool,
    ) -> Result<usize, Errno> {
        let Some(Anonymous::Event(counter)) = self.system.anonymous.get_mut(&id) else {
            return Err(Errno::EBADF);
        };
        let to = bytes.get_mut(..VALUE_BYTES).ok_or(Errno::EINVAL)?;
        let Some(value) = counter.take() else {
            return Err(self.wait_for_object(id, "read from an eventfd", nonblocking));
        };
        to.copy_from_slice(&value.to_le_bytes());
        self.system.wake_for(id.channel(), POLLOUT | POLLWRNORM);
        Ok(VALUE_BYTES)
    }

    pub(crate) fn write_event(
        &mut self,
        id: ObjectId,
        bytes: &[u8],
        nonblocking: bool,
    ) -> Result<usize, Errno> {
        let Some(Anonymous::Event(counter)) = self.system.anonymous.get_mut(&id) else {
            return Err(Errno::EBADF);
        };
        let value = bytes.first_chunk().ok_or(Errno::EINVAL)?;
        let value = u64::from_le_bytes(*value);
        if value == u64::MAX {
            return Err(Errno::EINVAL);
        }
        if !counter.add(value) {
            return Err(self.wait_for_object(id, "write to an eventfd", nonblocking));
        }
        self.system.wake_for(id.channel(), POLLIN | POLLRDNORM);
        Ok(VALUE_BYTES)
    }

    /// Waits for an object, unless the description does not.
    pub(crate) fn wait_for_object(
        &mut self,
        id: ObjectId,
        what: &'static str,
        nonblocking: bool,
    ) -> Errno {
        if nonblocking {
            return Errno::EAGAIN;
        }
        self.wait(what, vec![id.channel()], None, Errno::ERESTARTSYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_bounded() {
        let mut counter = EventCounter { count: 1, by_one: false };
        assert!(counter.add(COUNT_MAX - 1));
        assert!(!counter.add(1));
        assert_eq!(counter.events() & POLLOUT, 0);
        assert_eq!(counter.take(), Some(COUNT_MAX));
        assert_eq!(counter.take(), None);
        assert_eq!(counter.events() & POLLIN, 0);
    }

    #[test]
    fn a_semaphore_gives_one_at_a_time() {
        let mut counter = EventCounter { count: 2, by_one: true };
        assert_eq!([counter.take(), counter.take(), counter.take()], [Some(1), Some(1), None]);
    }
}
