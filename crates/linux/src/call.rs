//! One system call on its way: what handlers work with.

use crate::clock::Clock;
use crate::errno::Errno;
use crate::host::Host;
use crate::memory::UserMemory;
use crate::process::{Outcome, Process};
use crate::regs::Regs;
use crate::signal::Signal;

/// The arguments a0 to a5.
pub(crate) type Args = [u64; 6];

/// A handler: the value for a0, or an error number.
pub(crate) type Handler = fn(&mut Call<'_>, Args) -> Result<u64, Errno>;

/// A system call in progress.
pub(crate) struct Call<'a> {
    pub process: &'a mut Process,
    pub memory: &'a mut dyn UserMemory,
    pub host: &'a mut Host,
    pub clock: &'a mut dyn Clock,
    pub regs: &'a mut Regs,
    /// Set by calls after which the process is no more.
    pub end: Option<Outcome>,
}

impl Call<'_> {
    /// The process waits for what cannot happen any more: nothing else runs in this machine.
    pub(crate) fn deadlock(&mut self, what: &str) -> Errno {
        self.end = Some(Outcome::Killed {
            signal: Signal::SIGKILL,
            reason: format!("deadlock: the only thread waits for ever in {what}"),
        });
        Errno::EINTR
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
