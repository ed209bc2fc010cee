//! signalfd: pending signals, read as structures.
//!
//! Whoever reads takes its own process's signals, wherever the descriptor came from.
//!
//! Source: signalfd(2).

use crate::anonymous::Anonymous;
use crate::call::{Args, Call, descriptor, int};
use crate::errno::Errno;
use crate::fd::{O_CLOEXEC, O_NONBLOCK, O_RDWR};
use crate::memory::read_u64;
use crate::signal::{Cause, SI_TIMER, SignalInfo, UNBLOCKABLE};
use crate::stat::Layout;
use crate::wait::Channel;

const INFO_BYTES: usize = 128;

pub(crate) fn signalfd4(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [fd, mask, mask_bytes, flags, ..] = args;
    let flags = flags as u32;
    if mask_bytes != 8 || flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let set = read_u64(call.memory, mask)? & !UNBLOCKABLE;
    if int(fd) == -1 {
        return call.open_anonymous(Anonymous::Signals(set), O_RDWR | flags);
    }
    match call.anonymous(descriptor(fd))? {
        (_, Anonymous::Signals(old)) => *old = set,
        _ => return Err(Errno::EINVAL),
    }
    let pid = call.process.pid;
    call.system.wake(Channel::Signal(pid));
    Ok(fd)
}

impl Call<'_> {
    /// The signals that wait for the thread or its process.
    pub(crate) fn pending_signals(&self) -> u64 {
        self.thread.signals.pending.set() | self.process.signals.pending.set()
    }

    /// Takes a pending signal of a set, blocked or not.
    pub(crate) fn take_signal(&mut self, set: u64) -> Option<SignalInfo> {
        let own = self.thread.signals.pending.take(set);
        let mut info = own.or_else(|| self.process.signals.pending.take(set))?;
        self.process.timers.heard(&mut info, self.clock.now_ns());
        Some(info)
    }

    pub(crate) fn read_signals(
        &mut self,
        set: u64,
        bytes: &mut [u8],
        nonblocking: bool,
    ) -> Result<usize, Errno> {
        if bytes.len() < INFO_BYTES {
            return Err(Errno::EINVAL);
        }
        let mut done = 0;
        for to in bytes.chunks_exact_mut(INFO_BYTES) {
            let Some(info) = self.take_signal(set) else { break };
            to.copy_from_slice(&encode(info));
            done += INFO_BYTES;
        }
        match done {
            0 if nonblocking => Err(Errno::EAGAIN),
            0 => {
                let channels = vec![Channel::Signal(self.process.pid)];
                Err(self.wait("read from a signalfd", channels, None, Errno::ERESTARTSYS))
            }
            done => Ok(done),
        }
    }
}

/// `struct signalfd_siginfo`.
fn encode(info: SignalInfo) -> [u8; INFO_BYTES] {
    const CODE: usize = 8;
    const PID: usize = 12;
    const UID: usize = 16;
    const TIMER: usize = 24;
    const OVERRUN: usize = 32;
    const STATUS: usize = 40;
    const INT: usize = 44;
    const PTR: usize = 48;
    const ADDR: usize = 72;
    let mut out = Layout::<INFO_BYTES>::new();
    out.u32(0, info.signal.number().into());
    match info.cause {
        Cause::Fault { code, addr } => {
            out.u32(CODE, code as u32);
            out.u64(ADDR, addr);
        }
        Cause::Sender { code, pid, uid } => {
            out.u32(CODE, code as u32);
            out.u32(PID, pid);
            out.u32(UID, uid);
        }
        Cause::Queued { code, pid, uid, value } => {
            out.u32(CODE, code as u32);
            out.u32(PID, pid);
            out.u32(UID, uid);
            out.u32(INT, value as u32);
            out.u64(PTR, value);
        }
        Cause::Child { code, pid, uid, status } => {
            out.u32(CODE, code as u32);
            out.u32(PID, pid);
            out.u32(UID, uid);
            out.u32(STATUS, status as u32);
        }
        Cause::Timer { id, overrun, value } => {
            out.u32(CODE, SI_TIMER as u32);
            out.u32(TIMER, id);
            out.u32(OVERRUN, overrun);
            out.u32(INT, value as u32);
            out.u64(PTR, value);
        }
    }
    out.0
}
