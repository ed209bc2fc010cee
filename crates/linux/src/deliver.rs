//! Delivering signals: from a pending signal to a handler's first instruction, and back.
//!
//! As `arch/riscv/kernel/signal.c`: setup_rt_frame, get_sigframe, restore_sigcontext. The frame's
//! layout is in `signal_frame`.

use crate::errno::Errno;
use crate::memory::UserMemory;
use crate::process::Process;
use crate::regs::{A0, A1, A2, RA, Regs, SP};
use crate::signal::{
    Action, AltStack, Cause, DefaultAction, SA_NODEFER, SA_ONSTACK, SA_RESETHAND, SA_RESTART,
    SI_KERNEL, SI_TKILL, SIG_DFL, SIG_IGN, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, Signal,
    SignalInfo,
};
use crate::signal_frame::{self, Context, FRAME_BYTES, UCONTEXT};
use crate::system::Outcome;
use crate::thread::Thread;

/// The smallest alternate stack.
pub(crate) const MINSIGSTKSZ: u64 = 2048;

/// What delivering signals did to the process.
pub(crate) enum Delivered {
    /// It goes on, in a handler or where it was.
    Nothing,
    /// It stops.
    Stopped(Signal),
    /// It ends.
    Ended(Outcome),
}

/// A call that a signal cut short.
pub(crate) struct Interrupted {
    /// What it ended with.
    pub errno: Errno,
    /// Where it is.
    pub pc: u64,
    /// Its first argument.
    pub argument: u64,
    /// When it gives up.
    pub deadline_ns: Option<u64>,
}

/// Delivers all pending signals that are not blocked. The last one's handler runs first, as on
/// Linux. `interrupted` is a call that a signal cut short; it is made again if no handler runs or the handler's action asks for it. `now_ns` is
/// when timers go on whose signal is taken.
pub(crate) fn pending(
    process: &mut Process,
    thread: &mut Thread,
    memory: &mut dyn UserMemory,
    mut interrupted: Option<Interrupted>,
    now_ns: u64,
) -> Delivered {
    while let Some(mut info) = thread.signals.take(&mut process.signals) {
        process.timers.heard(&mut info, now_ns);
        if has_handler(process, info.signal) {
            restart(thread, interrupted.take(), Some(process.signals.action(info.signal)));
        }
        match deliver(process, thread, memory, info) {
            Delivered::Nothing => {}
            Delivered::Stopped(signal) => {
                restart(thread, interrupted.take(), None);
                return Delivered::Stopped(signal);
            }
            end @ Delivered::Ended(_) => return end,
        }
    }
    restart(thread, interrupted, None);
    // The mask of rt_sigsuspend and its kin ends with the call.
    if let Some(mask) = thread.signals.suspended_mask.take() {
        thread.signals.set_mask(mask);
    }
    Delivered::Nothing
}

/// What becomes of a call that was interrupted, before a handler with this action runs or none.
fn restart(thread: &mut Thread, call: Option<Interrupted>, handler: Option<Action>) {
    let Some(Interrupted { errno, pc, argument, deadline_ns }) = call else { return };
    let again = match handler {
        None => true,
        Some(_) if errno == Errno::ERESTARTNOINTR => true,
        Some(action) => errno == Errno::ERESTARTSYS && action.flags & SA_RESTART != 0,
    };
    if again {
        thread.regs.pc = pc;
        thread.regs.x[A0] = argument;
        if handler.is_none() {
            // As restart_syscall: the time that has passed counts.
            thread.progress.deadline_ns = deadline_ns;
        }
    } else {
        thread.regs.x[A0] = Errno::EINTR.to_register();
    }
}

fn has_handler(process: &Process, signal: Signal) -> bool {
    !matches!(process.signals.action(signal).handler, SIG_DFL | SIG_IGN)
}

/// Delivers a signal that cannot wait.
pub(crate) fn force(
    process: &mut Process,
    thread: &mut Thread,
    memory: &mut dyn UserMemory,
    info: SignalInfo,
) -> Delivered {
    if thread.signals.is_blocked(info.signal) || !has_handler(process, info.signal) {
        return killed(info, thread.regs.pc);
    }
    deliver(process, thread, memory, info)
}

fn deliver(
    process: &mut Process,
    thread: &mut Thread,
    memory: &mut dyn UserMemory,
    info: SignalInfo,
) -> Delivered {
    let action = process.signals.action(info.signal);
    match (action.handler, info.signal.default_action()) {
        (SIG_IGN, _) | (SIG_DFL, DefaultAction::Ignore) => Delivered::Nothing,
        (SIG_DFL, DefaultAction::Stop) => Delivered::Stopped(info.signal),
        (SIG_DFL, DefaultAction::Kill) => match process.verdict.take() {
            Some(reason) if info.signal == Signal::SIGKILL => {
                Delivered::Ended(Outcome::Killed { signal: info.signal, reason })
            }
            _ => killed(info, thread.regs.pc),
        },
        _ => call_handler(process, thread, memory, info, action),
    }
}

fn call_handler(
    process: &mut Process,
    thread: &mut Thread,
    memory: &mut dyn UserMemory,
    info: SignalInfo,
    action: Action,
) -> Delivered {
    let (signals, regs) = (&mut thread.signals, &mut thread.regs);
    let mask = signals.suspended_mask.take().unwrap_or(signals.mask());
    let context = Context { regs: regs.clone(), mask, alt_stack: signals.alt_stack };
    let frame = frame_address(regs.x[SP], action, &signals.alt_stack);
    let written = frame
        .ok_or(Errno::EFAULT)
        .and_then(|at| memory.write(at, &signal_frame::encode(info, &context)).map(|()| at));
    if let Some(shortage) = memory.shortage() {
        let reason = format!("out of memory: {shortage}");
        return Delivered::Ended(Outcome::Killed { signal: Signal::SIGKILL, reason });
    }
    let Ok(frame) = written else { return no_room(info, regs) };
    if action.flags & SA_RESETHAND != 0 {
        process.signals.set_action(info.signal, Action { handler: SIG_DFL, ..action });
    }
    let itself = if action.flags & SA_NODEFER == 0 { info.signal.bit() } else { 0 };
    signals.set_mask(signals.mask() | action.mask | itself);
    if action.flags & SA_ONSTACK != 0 && signals.alt_stack.flags & SS_AUTODISARM != 0 {
        signals.alt_stack = AltStack::default();
    }
    regs.x[A0] = info.signal.number().into();
    regs.x[A1] = frame;
    regs.x[A2] = frame + UCONTEXT as u64;
    regs.x[RA] = process.trampoline;
    regs.x[SP] = frame;
    regs.pc = action.handler;
    Delivered::Nothing
}

/// Where the frame goes; `None` if that would overflow the alternate stack.
fn frame_address(sp: u64, action: Action, alt: &AltStack) -> Option<u64> {
    let bytes = FRAME_BYTES as u64;
    let on_alt = alt.in_use(sp);
    if on_alt && !alt.holds(sp.checked_sub(bytes)?) {
        return None;
    }
    let enter_alt = action.flags & SA_ONSTACK != 0 && alt.bytes != 0 && !on_alt;
    let top = if enter_alt { alt.base.checked_add(alt.bytes)? } else { sp };
    Some(top.checked_sub(bytes)? & !15)
}

/// The frame cannot be written: Linux turns that into a SIGSEGV that cannot be caught.
fn no_room(info: SignalInfo, regs: &Regs) -> Delivered {
    Delivered::Ended(Outcome::Killed {
        signal: Signal::SIGSEGV,
        reason: format!(
            "no room on the stack (sp {:#x}) for the handler of {}; a handler for stack overflow \
             needs sigaltstack and SA_ONSTACK",
            regs.x[SP],
            info.signal.name()
        ),
    })
}

fn killed(info: SignalInfo, pc: u64) -> Delivered {
    let name = info.signal.name();
    let reason = match info.cause {
        Cause::Fault { code: SI_KERNEL, .. } => format!("{name} from the kernel, pc {pc:#x}"),
        Cause::Fault { code, addr } => {
            format!("{name} ({}) at address {addr:#x}, pc {pc:#x}", code_name(info.signal, code))
        }
        Cause::Sender { code: SI_TKILL, .. } => format!("{name} by tgkill, pc {pc:#x}"),
        Cause::Sender { pid, .. } => format!("{name} by kill from process {pid}, pc {pc:#x}"),
        Cause::Queued { pid, .. } => format!("{name} by sigqueue from process {pid}, pc {pc:#x}"),
        Cause::Child { pid, .. } => format!("{name} for its child {pid}, pc {pc:#x}"),
        Cause::Timer { id, .. } => format!("{name} from its timer {id}, pc {pc:#x}"),
    };
    Delivered::Ended(Outcome::Killed { signal: info.signal, reason })
}

/// The name of an si_code (siginfo.h).
fn code_name(signal: Signal, code: i32) -> &'static str {
    match (signal, code) {
        (Signal::SIGSEGV, 1) => "SEGV_MAPERR: nothing is mapped there",
        (Signal::SIGSEGV, 2) => "SEGV_ACCERR: the mapping does not allow this access",
        (Signal::SIGBUS, 1) => "BUS_ADRALN: misaligned",
        (Signal::SIGBUS, 2) => "BUS_ADRERR: no such part of the mapped file",
        (Signal::SIGBUS, 3) => "BUS_OBJERR: the page could not be read",
        (Signal::SIGILL, 1) => "ILL_ILLOPC: illegal instruction",
        (Signal::SIGTRAP, 1) => "TRAP_BRKPT: breakpoint",
        _ => "other",
    }
}

/// rt_sigreturn: goes back to what the signal interrupted.
pub(crate) fn sigreturn(thread: &mut Thread, memory: &mut dyn UserMemory) -> Result<(), Errno> {
    let mut frame = [0; FRAME_BYTES];
    memory.read(thread.regs.x[SP], &mut frame)?;
    let context = signal_frame::decode(&frame).ok_or(Errno::EFAULT)?;
    thread.signals.set_mask(context.mask);
    // A stack that the handler broke is no reason to die: Linux ignores it as well.
    let _ = set_alt_stack(thread, context.alt_stack, context.regs.x[SP]);
    thread.regs = context.regs;
    Ok(())
}

/// sigaltstack's second half; `sp` tells whether the present one is in use.
pub(crate) fn set_alt_stack(thread: &mut Thread, new: AltStack, sp: u64) -> Result<(), Errno> {
    let mode = new.flags & !SS_AUTODISARM;
    if thread.signals.alt_stack.in_use(sp) {
        return Err(Errno::EPERM);
    }
    if mode & !(SS_ONSTACK | SS_DISABLE) != 0 {
        return Err(Errno::EINVAL);
    }
    thread.signals.alt_stack = if mode == SS_DISABLE {
        AltStack::default()
    } else if new.bytes < MINSIGSTKSZ {
        return Err(Errno::ENOMEM);
    } else {
        AltStack { flags: new.flags & SS_AUTODISARM, ..new }
    };
    Ok(())
}
