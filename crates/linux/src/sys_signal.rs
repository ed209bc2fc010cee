//! Signals: actions, masks, the alternate stack, and sending.

use crate::call::{Args, Call, Then, int};
use crate::deliver;
use crate::errno::Errno;
use crate::memory::{read_array, read_u64};
use crate::process::Process;
use crate::regs::SP;
use crate::signal::{
    Action, AltStack, Cause, SI_KERNEL, SI_TKILL, SI_USER, Signal, SignalInfo, UNBLOCKABLE,
};
use crate::wait::Pid;

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
    let others = call.system.processes.values().filter(|process| wanted(process));
    let mut targets: Vec<Pid> = others.map(|process| process.pid).collect();
    if wanted(call.process) {
        targets.push(me);
    }
    if targets.is_empty() {
        return Err(Errno::ESRCH);
    }
    if let Some(signal) = signal {
        let cause = Cause::Sender { code: SI_USER, pid: me };
        for target in targets {
            call.signal_process(target, SignalInfo { signal, cause });
        }
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
    let pid = match tid == call.thread.tid {
        true => call.process.pid,
        false => call.system.thread(tid).ok_or(Errno::ESRCH)?.pid,
    };
    if group.is_some_and(|group| group != pid) {
        return Err(Errno::ESRCH);
    }
    if let Some(signal) = signal {
        let cause = Cause::Sender { code: SI_TKILL, pid: call.process.pid };
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
