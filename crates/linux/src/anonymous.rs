//! Objects that descriptors name and no path does: event counters, epoll sets, timers, signals,
//! processes (Linux: anonymous inodes).
//!
//! ```text
//!   descriptor ─► Description { Object::Anonymous(id) } ─► System::anonymous[id]
//!   wakes and watches go by Channel::Object(id)
//! ```
//!
//! Invariants:
//! 1. Numbers are never used twice, so that a stale one names nothing.
//! 2. An object goes with the last description that names it.

use std::collections::BTreeMap;

use crate::account::OBJECT;
use crate::alarm::Owner;
use crate::call::Call;
use crate::epoll::Epoll;
use crate::errno::Errno;
use crate::event_counter::EventCounter;
use crate::fd::{Description, O_CLOEXEC, Object};
use crate::sys_poll::{POLLIN, POLLRDNORM};
use crate::system::System;
use crate::timer_file::TimerFile;
use crate::wait::{Channel, Pid};

/// An object's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId(pub(crate) u64);

impl ObjectId {
    /// The number itself, which may serve as an inode's.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    /// What wakes those who wait for the object.
    pub(crate) const fn channel(self) -> Channel {
        Channel::Object(self.0)
    }
}

/// What is behind the number.
#[derive(Clone, Debug)]
pub(crate) enum Anonymous {
    /// eventfd
    Event(EventCounter),
    /// epoll
    Epoll(Epoll),
    /// timerfd
    Timer(TimerFile),
    /// signalfd: the signals that can be read.
    Signals(u64),
    /// pidfd: the process, until it has been waited for.
    Process(Option<Pid>),
}

impl Anonymous {
    /// Its name in /proc/self/fd.
    const fn path(&self) -> &'static [u8] {
        match self {
            Self::Event(_) => b"anon_inode:[eventfd]",
            Self::Epoll(_) => b"anon_inode:[eventpoll]",
            Self::Timer(_) => b"anon_inode:[timerfd]",
            Self::Signals(_) => b"anon_inode:[signalfd]",
            Self::Process(_) => b"anon_inode:[pidfd]",
        }
    }
}

/// All of them.
pub(crate) type AnonymousTable = BTreeMap<ObjectId, Anonymous>;

impl System {
    /// A number for a new object.
    pub(crate) fn new_object(&mut self) -> ObjectId {
        self.last_object += 1;
        ObjectId(self.last_object)
    }

    /// The last description that named it is gone.
    pub(crate) fn close_anonymous(&mut self, id: ObjectId) {
        match self.anonymous.remove(&id) {
            Some(Anonymous::Epoll(epoll)) => self.watches.remove_set(id, &epoll),
            Some(Anonymous::Timer(_)) => self.alarms.set(Owner::File(id), None),
            _ => {}
        }
    }
}

impl Call<'_> {
    /// Makes an object and a descriptor for it. `flags` are those of open(2).
    pub(crate) fn open_anonymous(&mut self, object: Anonymous, flags: u32) -> Result<u64, Errno> {
        self.charge(OBJECT)?;
        let id = self.system.new_object();
        let path = object.path();
        self.system.anonymous.insert(id, object);
        let description = Description::new(Object::Anonymous(id), flags & !O_CLOEXEC, path);
        self.open(description, flags & O_CLOEXEC != 0)
    }

    /// The object behind a descriptor, and its number.
    pub(crate) fn anonymous(&mut self, fd: u64) -> Result<(ObjectId, &mut Anonymous), Errno> {
        let Object::Anonymous(id) = self.file(fd)?.object else { return Err(Errno::EINVAL) };
        let object = self.system.anonymous.get_mut(&id).ok_or(Errno::EBADF)?;
        Ok((id, object))
    }

    /// read(2) of one.
    pub(crate) fn read_anonymous(
        &mut self,
        id: ObjectId,
        bytes: &mut [u8],
        nonblocking: bool,
    ) -> Result<usize, Errno> {
        match self.system.anonymous.get(&id) {
            Some(Anonymous::Event(_)) => self.read_event(id, bytes, nonblocking),
            Some(Anonymous::Timer(_)) => self.read_timer(id, bytes, nonblocking),
            Some(&Anonymous::Signals(set)) => self.read_signals(set, bytes, nonblocking),
            _ => Err(Errno::EINVAL),
        }
    }

    /// write(2) of one.
    pub(crate) fn write_anonymous(
        &mut self,
        id: ObjectId,
        bytes: &[u8],
        nonblocking: bool,
    ) -> Result<usize, Errno> {
        match self.system.anonymous.get(&id) {
            Some(Anonymous::Event(_)) => self.write_event(id, bytes, nonblocking),
            _ => Err(Errno::EINVAL),
        }
    }

    /// What poll tells of one.
    pub(crate) fn anonymous_events(&self, id: ObjectId) -> u16 {
        let ready = match self.system.anonymous.get(&id) {
            Some(Anonymous::Event(counter)) => return counter.events(),
            Some(Anonymous::Epoll(epoll)) => self.has_ready(epoll),
            Some(Anonymous::Timer(timer)) => timer.expirations > 0,
            Some(&Anonymous::Signals(set)) => self.pending_signals() & set != 0,
            Some(&Anonymous::Process(pid)) => pid.is_none_or(|pid| !self.is_alive(pid)),
            None => false,
        };
        if ready { POLLIN | POLLRDNORM } else { 0 }
    }

    /// What is woken when that changes.
    pub(crate) fn anonymous_channel(&self, id: ObjectId) -> Channel {
        match self.system.anonymous.get(&id) {
            Some(Anonymous::Signals(_)) => Channel::Signal(self.process.pid),
            Some(&Anonymous::Process(Some(pid))) => Channel::End(pid),
            _ => id.channel(),
        }
    }
}
