//! Signals: actions, masks, the alternate stack, and sending to oneself.

use crate::call::{Args, Call, int};
use crate::deliver;
use crate::errno::Errno;
use crate::memory::{read_array, read_u64};
use crate::process::PID;
use crate::regs::{A0, SP};
use crate::signal::{
    Action, AltStack, Cause, SI_KERNEL, SI_TKILL, SI_USER, Signal, SignalInfo, UNBLOCKABLE,
};

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
    let before = call.process.signals.mask();
    if new != 0 {
        let set = read_u64(call.memory, new)?;
        let mask = match int(how) {
            SIG_BLOCK => before | set,
            SIG_UNBLOCK => before & !set,
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        call.process.signals.set_mask(mask);
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
    let signals = &call.process.signals;
    let pending = (signals.pending() & signals.mask()).to_le_bytes();
    call.memory.write(args[0], &pending[..args[1] as usize])?;
    Ok(0)
}

/// Waits with another mask for a signal: one that is pending, for no other can come.
pub(crate) fn rt_sigsuspend(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    if args[1] != SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    let mask = read_u64(call.memory, args[0])?;
    let signals = &mut call.process.signals;
    if signals.pending() & !(mask & !UNBLOCKABLE) == 0 {
        return Err(call.deadlock("rt_sigsuspend"));
    }
    signals.suspended_mask = Some(signals.mask());
    signals.set_mask(mask);
    Err(Errno::EINTR)
}

pub(crate) fn sigaltstack(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    let [new, old, ..] = args;
    let sp = call.regs.x[SP];
    let before = call.process.signals.alt_stack;
    if new != 0 {
        let bytes: [u8; 24] = read_array(call.memory, new)?;
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|j| bytes[8 * i + j]));
        let stack = AltStack { base: word(0), flags: word(1) as u32, bytes: word(2) };
        deliver::set_alt_stack(call.process, stack, sp)?;
    }
    if old != 0 {
        call.write_pair(old, [before.base, before.status(sp).into()])?;
        let bytes_at = old.checked_add(16).ok_or(Errno::EFAULT)?;
        call.memory.write(bytes_at, &before.bytes.to_le_bytes())?;
    }
    Ok(0)
}

/// Returns what a0 was, so that writing the result to a0 changes nothing.
pub(crate) fn rt_sigreturn(call: &mut Call<'_>, _: Args) -> Result<u64, Errno> {
    if deliver::sigreturn(call.process, call.memory, call.regs).is_err() {
        let cause = Cause::Fault { code: SI_KERNEL, addr: 0 };
        let info = SignalInfo { signal: Signal::SIGSEGV, cause };
        // The result goes to a0 of the interrupted program before its handler's frame is made.
        call.process.signals.force_pending(info);
    }
    Ok(call.regs.x[A0])
}

pub(crate) fn kill(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    // 0: the process group; -1: everyone but init. Both are this process, or no one.
    match int(args[0]) {
        0 => send(call, args[1], SI_USER),
        pid if pid.unsigned_abs() == PID && pid != -1 => send(call, args[1], SI_USER),
        _ => Err(Errno::ESRCH),
    }
}

pub(crate) fn tkill(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    send_thread(call, args[0], args[1])
}

pub(crate) fn tgkill(call: &mut Call<'_>, args: Args) -> Result<u64, Errno> {
    if int(args[0]) <= 0 {
        return Err(Errno::EINVAL);
    }
    if int(args[0]) as u32 != PID {
        return Err(Errno::ESRCH);
    }
    send_thread(call, args[1], args[2])
}

fn send_thread(call: &mut Call<'_>, thread: u64, number: u64) -> Result<u64, Errno> {
    match int(thread) {
        ..=0 => Err(Errno::EINVAL),
        id if id as u32 == PID => send(call, number, SI_TKILL),
        _ => Err(Errno::ESRCH),
    }
}

fn send(call: &mut Call<'_>, number: u64, code: i32) -> Result<u64, Errno> {
    // Signal 0 only asks whether one might.
    if int(number) == 0 {
        return Ok(0);
    }
    let signal = Signal::new(u64::from(int(number) as u32))?;
    call.process.signals.raise(SignalInfo { signal, cause: Cause::Sender { code, pid: PID } });
    Ok(0)
}
