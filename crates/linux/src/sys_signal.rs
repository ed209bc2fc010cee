//! Signals: actions, masks, the alternate stack, and sending.

use crate::account::SIGNAL;
use crate::call::{Args, Call, Then, int};
use crate::deliver;
use crate::errno::Errno;
use crate::memory::{read_array, read_u64};
use crate::process::Process;
use crate::regs::SP;
use crate::signal::{
    Action, AltStack, Cause, SI_KERNEL, SI_TKILL, SI_USER, Signal, SignalInfo, UNBLOCKABLE,
};
use crate::signal_frame::{INFO_BYTES, encode_siginfo};
use crate::wait::{Channel, Pid};

const SIGSET_BYTES: u64 = 8;
const SIG_BLOCK: i32 = 0;
const SIG_UNBLOCK: i32 = 1;
const SIG_SETMASK: i32 = 2;

pub(crate) fn rt_sigaction(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [number, new, old, set_bytes, ..] = args;
    if set_bytes != SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    let signal = Signal::new(u64::from(int(number) as u32))?;
    let before = call.process.signals.action(signal);
    if new != 0 {
        let bytes: [u8; 24] = read_array(call.memory, new)?;
        if signal.bit() & UNBLOCKABLE != 0 {
            return Err(Errno::EINVAL);
        }
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|j| bytes[8 * i + j]));
        let action = Action { handler: word(0), flags: word(1), mask: word(2) };
        call.process.signals.set_action(signal, action);
        if call.process.signals.is_ignored(signal) {
            call.forget_pending(signal);
        } else if call.pending_signals() & signal.bit() == 0 {
            call.process.timers.resume(signal, call.clock.now_ns());
        }
    }
    if old != 0 {
        call.write_pair(old, [before.handler, before.flags])?;
        let mask_at = old.checked_add(16).ok_or(Errno::EFAULT)?;
        call.memory.write(mask_at, &before.mask.to_le_bytes())?;
    }
    Ok(0)
}

pub(crate) fn rt_sigprocmask(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [how, new, old, set_bytes, ..] = args;
    if set_bytes != SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    let before = call.thread.signals.mask();
    if new != 0 {
        let set = read_u64(call.memory, new)?;
        let mask = match int(how) {
            SIG_BLOCK => before | set,
            SIG_UNBLOCK => before & !set,
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        call.thread.signals.set_mask(mask);
    }
    if old != 0 {
        call.memory.write(old, &before.to_le_bytes())?;
    }
    Ok(0)
}

pub(crate) fn rt_sigpending(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    if args[1] > SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    let set = call.thread.signals.pending.set() | call.process.signals.pending.set();
    let pending = (set & call.thread.signals.mask()).to_le_bytes();
    call.memory.write(args[0], &pending[..args[1] as usize])?;
    Ok(0)
}

/// Waits with another mask for a signal.
pub(crate) fn rt_sigsuspend(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    if args[1] != SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    let mask = read_u64(call.memory, args[0])?;
    call.mask_for_call(mask);
    Err(call.wait("rt_sigsuspend", Vec::new(), None, Errno::ERESTARTNOHAND))
}

pub(crate) fn sigaltstack(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [new, old, ..] = args;
    let sp = call.thread.regs.x[SP];
    let before = call.thread.signals.alt_stack;
    if new != 0 {
        let bytes: [u8; 24] = read_array(call.memory, new)?;
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|j| bytes[8 * i + j]));
        let stack = AltStack { base: word(0), flags: word(1) as u32, bytes: word(2) };
        deliver::set_alt_stack(call.thread, stack, sp)?;
    }
    if old != 0 {
        call.write_pair(old, [before.base, before.status(sp).into()])?;
        let bytes_at = old.checked_add(16).ok_or(Errno::EFAULT)?;
        call.memory.write(bytes_at, &before.bytes.to_le_bytes())?;
    }
    Ok(0)
}

pub(crate) fn rt_sigreturn(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    if deliver::sigreturn(call.thread, call.memory).is_err() {
        let cause = Cause::Fault { code: SI_KERNEL, addr: 0 };
        let info = SignalInfo { signal: Signal::SIGSEGV, cause };
        call.thread.signals.force(&mut call.process.signals, info);
    }
    call.then = Then::Resume;
    Ok(0)
}

pub(crate) fn kill(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let (pid, signal) = (int(args[0]), optional_signal(args[1])?);
    let me = call.process.pid;
    let wanted = |process: &Process| match pid {
        0 => process.group == call.process.group,
        // Everyone but the caller and init.
        -1 => process.pid != me,
        ..-1 => process.group == pid.unsigned_abs(),
        _ => process.pid == pid as u32,
    };
    let others = call.system.processes.values().map(AsRef::as_ref).filter(|p| wanted(p));
    let all = others.chain(Some(&*call.process).filter(|p| wanted(p)));
    let may = |process: &Process| may_signal(call, process, signal);
    let found: Vec<(Pid, bool)> = all.map(|process| (process.pid, may(process))).collect();
    if found.is_empty() {
        return Err(Errno::ESRCH);
    }
    if found.iter().all(|&(_, allowed)| !allowed) {
        return Err(Errno::EPERM);
    }
    if let Some(signal) = signal {
        let cause = call.sender(SI_USER);
        for (target, _) in found.into_iter().filter(|&(_, allowed)| allowed) {
            call.signal_process(target, SignalInfo { signal, cause });
        }
    }
    Ok(0)
}

/// Whether the caller may send a process a signal.
fn may_signal(call: &Call<'_>, process: &Process, signal: Option<Signal>) -> bool {
    let continues = signal == Some(Signal::SIGCONT) && process.session == call.process.session;
    continues || call.process.credentials.may_signal(&process.credentials)
}

/// Waits for one of a set of signals, blocked ones, and takes it without a handler.
pub(crate) fn rt_sigtimedwait(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [set, info_at, timeout, set_bytes, ..] = args;
    if set_bytes != SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    let set = read_u64(call.memory, set)? & !UNBLOCKABLE;
    let timeout_ns = call.read_timespec(timeout)?;
    if let Some(info) = call.take_signal(set) {
        if info_at != 0 {
            let mut bytes = [0; INFO_BYTES];
            encode_siginfo(&mut bytes, info);
            call.memory.write(info_at, &bytes)?;
        }
        return Ok(info.signal.number().into());
    }
    let deadline = call.deadline(timeout_ns);
    if call.is_over(deadline) {
        return Err(Errno::EAGAIN);
    }
    let channels = vec![Channel::Signal(call.process.pid)];
    Err(call.wait("rt_sigtimedwait", channels, deadline, Errno::EINTR))
}

pub(crate) fn rt_sigqueueinfo(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    call.queue_to_process(args[0] as u32, args[1], args[2])
}

pub(crate) fn rt_tgsigqueueinfo(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [group, thread, number, info, ..] = args;
    if int(group) <= 0 || int(thread) <= 0 {
        return Err(Errno::EINVAL);
    }
    let (group, tid) = (group as u32, thread as u32);
    let pid = call.process_of_thread(tid)?;
    if pid != group {
        return Err(Errno::ESRCH);
    }
    let cause = call.read_cause(info, pid)?;
    if let Some(signal) = optional_signal(number)? {
        call.signal_thread(tid, SignalInfo { signal, cause })?;
    }
    Ok(0)
}

pub(crate) fn tkill(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    send_thread(call, None, args[0], args[1])
}

pub(crate) fn tgkill(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    if int(args[0]) <= 0 {
        return Err(Errno::EINVAL);
    }
    send_thread(call, Some(int(args[0]) as u32), args[1], args[2])
}

fn send_thread(
    call: &mut Call<'_>,
    group: Option<Pid>,
    thread: u64,
    number: u64,
) -> Result<u64, Errno> {
    let tid = int(thread) as u32;
    if int(thread) <= 0 {
        return Err(Errno::EINVAL);
    }
    let signal = optional_signal(number)?;
    let pid = call.process_of_thread(tid)?;
    if group.is_some_and(|group| group != pid) {
        return Err(Errno::ESRCH);
    }
    let other = call.system.process(pid);
    if other.is_some_and(|process| !may_signal(call, process, signal)) {
        return Err(Errno::EPERM);
    }
    if let Some(signal) = signal {
        let cause = call.sender(SI_TKILL);
        call.signal_thread(tid, SignalInfo { signal, cause })?;
    }
    Ok(0)
}

/// A signal's number; 0 only asks whether one might send.
fn optional_signal(number: u64) -> Result<Option<Signal>, Errno> {
    match int(number) {
        0 => Ok(None),
        number => Signal::new(u64::from(number as u32)).map(Some),
    }
}

impl Call<'_> {
    /// The caller as the one who sent a signal.
    fn sender(&self, code: i32) -> Cause {
        let uid = self.process.credentials.user.real;
        Cause::Sender { code, pid: self.process.pid, uid }
    }

    fn process_of_thread(&self, tid: Pid) -> Result<Pid, Errno> {
        match tid == self.thread.tid {
            true => Ok(self.process.pid),
            false => Ok(self.system.thread(tid).ok_or(Errno::ESRCH)?.pid),
        }
    }

    /// kill for one process.
    pub(crate) fn send_to_process(&mut self, pid: Pid, number: u64) -> Result<u64, Errno> {
        kill(self, [pid.into(), number, 0, 0, 0, 0])
    }

    /// sigqueue for one process, with the `siginfo_t` that the program made.
    pub(crate) fn queue_to_process(
        &mut self,
        pid: Pid,
        number: u64,
        info: u64,
    ) -> Result<u64, Errno> {
        let cause = self.read_cause(info, pid)?;
        let signal = optional_signal(number)?;
        let is_me = pid == self.process.pid;
        let other = || self.system.process(pid).ok_or(Errno::ESRCH);
        if !is_me && !may_signal(self, other()?, signal) {
            return Err(Errno::EPERM);
        }
        let Some(signal) = signal else { return Ok(0) };
        let pending = match is_me {
            true => &self.process.signals.pending,
            false => &other()?.signals.pending,
        };
        if pending.is_full() {
            return Err(Errno::EAGAIN);
        }
        if signal.is_queued() {
            self.charge(SIGNAL).map_err(|_| Errno::EAGAIN)?;
        }
        self.signal_process(pid, SignalInfo { signal, cause });
        Ok(0)
    }

    /// The cause that a program's `siginfo_t` tells. Only to itself may it say that the kernel or
    /// kill sent it.
    fn read_cause(&mut self, at: u64, target: Pid) -> Result<Cause, Errno> {
        let bytes: [u8; 32] = read_array(self.memory, at)?;
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let value = u64::from_le_bytes(std::array::from_fn(|i| bytes[24 + i]));
        let code = word(8) as i32;
        if (code >= 0 || code == SI_TKILL) && target != self.process.pid {
            return Err(Errno::EPERM);
        }
        Ok(Cause::Queued { code, pid: word(16), uid: word(20), value })
    }

    /// Blocks other signals for the time of the call.
    pub(crate) fn mask_for_call(&mut self, mask: u64) {
        let signals = &mut self.thread.signals;
        if signals.suspended_mask.is_none() {
            signals.suspended_mask = Some(signals.mask());
        }
        signals.set_mask(mask);
    }

    /// A signal is ignored from now on: no thread of the process will hear of it.
    fn forget_pending(&mut self, signal: Signal) {
        self.thread.signals.pending.remove(signal.bit());
        let pid = self.process.pid;
        let others = self.system.threads.values_mut().filter(|thread| thread.pid == pid);
        others.for_each(|thread| thread.signals.pending.remove(signal.bit()));
    }
}
