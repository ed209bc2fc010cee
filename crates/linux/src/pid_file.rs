//! pidfd: a descriptor for a process, ready to read when it has ended.
//!
//! Invariant: once the process has been waited for, the descriptor names nobody, whoever gets its
//! number next.
//!
//! Source: pidfd_open(2), pidfd_send_signal(2), clone(2).

use crate::anonymous::Anonymous;
use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{O_CLOEXEC, O_NONBLOCK, O_RDWR, Object};
use crate::system::System;
use crate::wait::Pid;

pub(crate) fn pidfd_open(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let flags = args[1] as u32;
    if int(args[0]) <= 0 || flags & !O_NONBLOCK != 0 {
        return Err(Errno::EINVAL);
    }
    let pid = int(args[0]) as Pid;
    if pid != call.process.pid && call.system.process(pid).is_none() {
        // The number of a thread that does not lead its process.
        let is_thread = call.thread.tid == pid || call.system.thread(pid).is_some();
        return Err(if is_thread { Errno::EINVAL } else { Errno::ESRCH });
    }
    call.open_pidfd(pid, flags)
}

pub(crate) fn pidfd_send_signal(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, signal, info, flags, ..] = args;
    if flags as u32 != 0 {
        return Err(Errno::EINVAL);
    }
    let pid = match call.pid_of(fd) {
        Err(Errno::EBADF) => pid_of_directory(call, fd)?,
        other => other?,
    };
    if info == 0 {
        return call.send_to_process(pid, signal);
    }
    call.queue_to_process(pid, signal, info)
}

/// The process whose directory in /proc is open.
fn pid_of_directory(call: &Call<'_>, fd: u64) -> Result<Pid, Errno> {
    let Object::Directory(directory) = &call.file(descriptor(fd))?.object else {
        return Err(Errno::EBADF);
    };
    let path = directory.location.guest_path();
    let number = path.strip_prefix(b"/proc/").and_then(|name| std::str::from_utf8(name).ok());
    number.and_then(|number| number.parse().ok()).ok_or(Errno::EBADF)
}

impl Call<'_> {
    /// A new descriptor for a process; it closes on exec.
    pub(crate) fn open_pidfd(&mut self, pid: Pid, flags: u32) -> Result<u64, Errno> {
        self.open_anonymous(Anonymous::Process(Some(pid)), O_RDWR | O_CLOEXEC | flags)
    }

    /// The process that a descriptor names.
    ///
    /// # Errors
    /// EBADF if it names no process, ESRCH if that has been waited for.
    pub(crate) fn pid_of(&self, fd: u64) -> Result<Pid, Errno> {
        let Object::Anonymous(id) = self.file(descriptor(fd))?.object else {
            return Err(Errno::EBADF);
        };
        match self.system.anonymous.get(&id) {
            Some(&Anonymous::Process(pid)) => pid.ok_or(Errno::ESRCH),
            _ => Err(Errno::EBADF),
        }
    }

    /// Whether a process exists and has not ended.
    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        let other = || self.system.process(pid).is_some_and(|process| process.ended.is_none());
        pid == self.process.pid || other()
    }
}

impl System {
    /// A process has been waited for: nobody has its number.
    pub(crate) fn forget_pid(&mut self, pid: Pid) {
        for object in self.anonymous.values_mut() {
            if let Anonymous::Process(named @ Some(_)) = object
                && *named == Some(pid)
            {
                *named = None;
            }
        }
    }
}
