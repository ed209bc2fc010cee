//! One system call on its way: what handlers work with.
//!
//! While a call is served, its process and thread are out of the [`System`]'s tables and here;
//! all other processes and threads are there.

use crate::account::{CHANNEL, SLOT, description_bytes};
use crate::clock::Clock;
use crate::errno::Errno;
use crate::fd::{Description, FILES_MAX, Object};
use crate::host::Host;
use crate::memory::UserMemory;
use crate::process::Process;
use crate::system::{Outcome, System};
use crate::thread::Thread;
use crate::wait::{Channel, Wait};

/// The arguments a0 to a5.
pub(crate) type Args = [u64; 6];

/// A handler: the value for a0, or an error number.
pub(crate) type Handler = fn(&mut Call<'_>, Args) -> Result<u64, Errno>;

/// What becomes of the thread after its call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Then {
    /// It goes on behind the call, with the result in a0.
    #[default]
    Return,
    /// It goes on with the registers as the handler left them (rt_sigreturn, execve).
    Resume,
    /// It waits, and makes the call again.
    Wait(Wait),
    /// It lets others run first.
    Yield,
    /// It ends.
    ExitThread(i32),
    /// Its process ends.
    ExitProcess(Outcome),
}

/// A system call in progress.
pub(crate) struct Call<'a> {
    pub system: &'a mut System,
    pub process: &'a mut Process,
    pub thread: &'a mut Thread,
    pub memory: &'a mut dyn UserMemory,
    pub host: &'a mut Host,
    pub clock: &'a mut dyn Clock,
    /// What the handler decided.
    pub then: Then,
}

impl Call<'_> {
    /// Waits for any of `channels` or until `deadline_ns`, unless a signal can be delivered: the
    /// handler returns the error that this gives. `interrupted` is what the call ends with if a
    /// signal comes: EINTR, ERESTARTSYS or ERESTARTNOHAND. Waiting for many things at once takes
    /// memory: ENOMEM if there is none.
    pub(crate) fn wait(
        &mut self,
        what: &'static str,
        channels: Vec<Channel>,
        deadline_ns: Option<u64>,
        interrupted: Errno,
    ) -> Errno {
        if self.is_interrupted() {
            return interrupted;
        }
        // One is in what the thread costs.
        if channels.len() > 1
            && let Err(errno) = self.charge(CHANNEL * channels.len() as u64)
        {
            return errno;
        }
        self.then = Then::Wait(Wait { channels, deadline_ns, what });
        interrupted
    }

    /// Whether the handler decided to wait.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self.then, Then::Wait(_))
    }

    /// Whether a signal waits to be delivered to the thread.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.thread.signals.deliverable(&self.process.signals) != 0
    }

    /// When a wait of `timeout_ns` that began when the call was made first is over.
    pub(crate) fn deadline(&mut self, timeout_ns: Option<u64>) -> Option<u64> {
        if self.thread.progress.deadline_ns.is_none() {
            let now = self.clock.now_ns();
            self.thread.progress.deadline_ns = timeout_ns.map(|ns| now.saturating_add(ns));
        }
        self.thread.progress.deadline_ns
    }

    /// Whether a deadline is over.
    pub(crate) fn is_over(&self, deadline_ns: Option<u64>) -> bool {
        deadline_ns.is_some_and(|at| at <= self.clock.now_ns())
    }

    /// The open file description behind a descriptor.
    pub(crate) fn file(&self, fd: u64) -> Result<&Description, Errno> {
        self.system.descriptions.get(self.process.fds.description(fd)?)
    }

    /// The open file description behind a descriptor, to be changed.
    pub(crate) fn file_mut(&mut self, fd: u64) -> Result<&mut Description, Errno> {
        self.system.descriptions.get_mut(self.process.fds.description(fd)?)
    }

    /// What a descriptor names.
    pub(crate) fn object(&self, fd: u64) -> Result<Object, Errno> {
        self.file(fd).map(|description| description.object.clone())
    }

    /// Gives a new description a descriptor; if there is none, what it holds is let go.
    ///
    /// # Errors
    /// EMFILE and ENFILE if the process or the machine has too many, ENOMEM.
    pub(crate) fn open(
        &mut self,
        description: Description,
        close_on_exec: bool,
    ) -> Result<u64, Errno> {
        let bytes = description_bytes(&description) + SLOT * self.process.fds.growth(0);
        let id = self.system.descriptions.add(description);
        let room = match self.system.descriptions.len() > FILES_MAX {
            true => Err(Errno::ENFILE),
            false => self.charge(bytes),
        };
        let opened = room.and_then(|()| self.process.fds.open(id, close_on_exec, 0));
        if opened.is_err() {
            self.system.release(id, self.memory);
        }
        opened
    }

    /// Closes a descriptor.
    pub(crate) fn close(&mut self, fd: u64) -> Result<(), Errno> {
        let id = self.process.fds.close(fd)?;
        if let Object::File(file) = self.system.descriptions.get(id)?.object {
            self.system.close_locks(self.process.pid, file);
        }
        self.system.release(id, self.memory);
        Ok(())
    }

    /// Reads a `struct timespec` as nanoseconds; `None` for a null pointer.
    pub(crate) fn read_timespec(&mut self, at: u64) -> Result<Option<u64>, Errno> {
        use crate::clock::NS_PER_S;
        use crate::memory::read_u64;
        if at == 0 {
            return Ok(None);
        }
        let seconds = read_u64(self.memory, at)?;
        let ns = read_u64(self.memory, at.checked_add(8).ok_or(Errno::EFAULT)?)?;
        if seconds > i64::MAX as u64 || ns >= NS_PER_S {
            return Err(Errno::EINVAL);
        }
        Ok(Some(seconds.saturating_mul(NS_PER_S).saturating_add(ns)))
    }

    /// Writes two 64-bit words: a `timespec`, a `timeval`, an `rlimit`.
    pub(crate) fn write_pair(&mut self, at: u64, pair: [u64; 2]) -> Result<(), Errno> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&pair[0].to_le_bytes());
        bytes[8..].copy_from_slice(&pair[1].to_le_bytes());
        self.memory.write(at, &bytes)
    }
}

/// A 32-bit argument in a 64-bit register: the upper half is not the kernel's business.
pub(crate) const fn int(argument: u64) -> i32 {
    argument as i32
}

/// A descriptor argument; negative ones become numbers that are never open.
pub(crate) const fn descriptor(argument: u64) -> u64 {
    int(argument) as i64 as u64
}
