//! Handlers: entered with the frame that Linux builds, left by rt_sigreturn.

use super::{Guest, OUT, Outcome, SCRATCH};
use crate::Errno;
use crate::memory::UserMemory;
use crate::regs::{A0, A1, A2, RA, SP};
use crate::signal::{SA_NODEFER, SA_ONSTACK, SA_RESETHAND, Signal};
use crate::system::{FIRST, SyncSignal};

const HANDLER: u64 = 0x1_0200;
const FAULT: SyncSignal = SyncSignal { signal: Signal::SIGSEGV, code: 1, addr: 0xdead_0000 };

fn set_action(guest: &mut Guest, signal: Signal, handler: u64, flags: u64) {
    for (i, word) in [handler, flags, 0].iter().enumerate() {
        guest.put(SCRATCH + 8 * i as u64, &word.to_le_bytes());
    }
    assert_eq!(guest.call(134, &[signal.number().into(), SCRATCH, 0, 8]), 0);
}

fn fault(guest: &mut Guest) -> Outcome {
    guest.system.thread_mut(FIRST).unwrap().regs = guest.regs.clone();
    guest.system.fault(FIRST, &mut guest.memory, FAULT);
    guest.outcome()
}

/// Runs the trampoline's two instructions.
fn return_from_handler(guest: &mut Guest) -> Outcome {
    let trampoline = guest.regs.x[RA];
    assert_eq!(guest.get::<8>(trampoline), [0x93, 0x08, 0xb0, 0x08, 0x73, 0, 0, 0]);
    guest.regs.pc = trampoline + 4;
    guest.enter(139, &[])
}

#[test]
fn a_handler_repairs_and_returns() {
    let mut guest = Guest::new();
    set_action(&mut guest, Signal::SIGSEGV, HANDLER, 4);
    guest.regs.pc = 0x1_0444;
    guest.regs.x[9] = 99;
    guest.regs.f[3] = 0x4000_0000_0000_0000;
    let before = guest.regs.clone();
    assert_eq!(fault(&mut guest), Outcome::Continue);
    assert_eq!(guest.regs.pc, HANDLER);
    assert_eq!(guest.regs.x[A0], 11);
    assert_eq!(guest.regs.x[A1], guest.regs.x[SP]);
    assert_eq!(guest.regs.x[A2], guest.regs.x[SP] + 128);
    assert!(guest.regs.x[SP].is_multiple_of(16));
    let info = guest.regs.x[A1];
    assert_eq!(guest.word(info + 16), 0xdead_0000, "si_addr");
    assert_ne!(guest.mask() & Signal::SIGSEGV.bit(), 0);
    // The handler changes the saved a0 and clobbers everything else.
    let saved_a0 = guest.regs.x[A2] + 176 + 80;
    guest.put(saved_a0, &1234u64.to_le_bytes());
    guest.regs.x[9] = 0;
    guest.regs.f[3] = 0;
    assert_eq!(return_from_handler(&mut guest), Outcome::Continue);
    let mut expected = before;
    expected.x[A0] = 1234;
    assert_eq!(guest.regs, expected);
    assert_eq!(guest.mask(), 0);
}

#[test]
fn without_a_handler_the_process_dies() {
    let mut guest = Guest::new();
    guest.regs.pc = 0x1_0444;
    let Outcome::Killed { signal, reason } = fault(&mut guest) else { panic!("must die") };
    assert_eq!(signal, Signal::SIGSEGV);
    assert!(reason.contains("SEGV_MAPERR") && reason.contains("0xdead0000"), "{reason}");
    assert!(reason.contains("pc 0x10444"), "{reason}");
}

#[test]
fn a_blocked_fault_kills() {
    let mut guest = Guest::new();
    set_action(&mut guest, Signal::SIGSEGV, HANDLER, 0);
    guest.put(SCRATCH, &u64::MAX.to_le_bytes());
    assert_eq!(guest.call(135, &[0, SCRATCH, 0, 8]), 0);
    assert!(matches!(fault(&mut guest), Outcome::Killed { signal: Signal::SIGSEGV, .. }));
}

#[test]
fn a_second_fault_in_the_handler_kills_unless_not_deferred() {
    for (flags, survives) in [(0, false), (SA_NODEFER, true), (SA_NODEFER | SA_RESETHAND, false)] {
        let mut guest = Guest::new();
        set_action(&mut guest, Signal::SIGSEGV, HANDLER, flags);
        assert_eq!(fault(&mut guest), Outcome::Continue);
        assert_eq!(fault(&mut guest) == Outcome::Continue, survives, "flags {flags:#x}");
    }
}

#[test]
fn the_alternate_stack_is_used_and_reported() {
    let mut guest = Guest::new();
    let stack = OUT + 0x1000;
    for (i, word) in [stack, 0, 0x2000].iter().enumerate() {
        guest.put(SCRATCH + 8 * i as u64, &word.to_le_bytes());
    }
    assert_eq!(guest.call(132, &[SCRATCH, 0]), 0);
    set_action(&mut guest, Signal::SIGSEGV, HANDLER, SA_ONSTACK);
    let before = guest.regs.x[SP];
    // The ordinary stack has overflowed.
    guest.regs.x[SP] = 0x10;
    assert_eq!(fault(&mut guest), Outcome::Continue);
    assert_eq!(guest.regs.x[SP], (stack + 0x2000 - 1088) & !15);
    assert_eq!(guest.call(132, &[0, OUT]), 0);
    assert_eq!(guest.word(OUT + 8), 1, "SS_ONSTACK");
    assert_eq!(guest.call(132, &[SCRATCH, 0]), -i64::from(Errno::EPERM.0));
    assert_eq!(return_from_handler(&mut guest), Outcome::Continue);
    assert_eq!(guest.regs.x[SP], 0x10);
    assert_ne!(before, 0x10);
}

#[test]
fn no_room_for_the_frame_kills_and_says_what_helps() {
    let mut guest = Guest::new();
    set_action(&mut guest, Signal::SIGSEGV, HANDLER, 0);
    guest.regs.x[SP] = 0x10;
    let Outcome::Killed { reason, .. } = fault(&mut guest) else { panic!("must die") };
    assert!(reason.contains("sigaltstack"), "{reason}");
}

#[test]
fn abort_is_seen_by_its_handler_after_the_call() {
    let mut guest = Guest::new();
    set_action(&mut guest, Signal::SIGABRT, HANDLER, 0);
    guest.regs.pc = 0x1_0500;
    assert_eq!(
        guest.call(131, &[FIRST.into(), FIRST.into(), 6]),
        6,
        "a0 is the handler's argument"
    );
    assert_eq!(guest.regs.pc, HANDLER);
    assert_eq!(return_from_handler(&mut guest), Outcome::Continue);
    assert_eq!((guest.regs.pc, guest.regs.x[A0]), (0x1_0504, 0));
}

#[test]
fn a_blocked_signal_waits() {
    let mut guest = Guest::new();
    guest.put(SCRATCH, &Signal::SIGTERM.bit().to_le_bytes());
    assert_eq!(guest.call(135, &[0, SCRATCH, OUT, 8]), 0);
    assert_eq!(guest.call(129, &[FIRST.into(), 15]), 0, "kill");
    assert_eq!(guest.call(136, &[OUT, 8]), 0, "rt_sigpending");
    assert_eq!(guest.word(OUT), Signal::SIGTERM.bit());
    let unblocked = guest.enter(135, &[1, SCRATCH, 0, 8]);
    assert!(matches!(unblocked, Outcome::Killed { signal: Signal::SIGTERM, .. }));
}

#[test]
fn suspend_returns_to_the_old_mask() {
    let mut guest = Guest::new();
    set_action(&mut guest, Signal::SIGUSR1, HANDLER, 0);
    guest.put(SCRATCH, &Signal::SIGUSR1.bit().to_le_bytes());
    assert_eq!(guest.call(135, &[0, SCRATCH, 0, 8]), 0);
    assert_eq!(guest.call(129, &[FIRST.into(), 10]), 0);
    guest.put(SCRATCH, &0u64.to_le_bytes());
    assert_eq!(guest.enter(133, &[SCRATCH, 8]), Outcome::Continue);
    assert_eq!(guest.regs.pc, HANDLER);
    assert_eq!(return_from_handler(&mut guest), Outcome::Continue);
    assert_eq!(guest.regs.x[A0] as i64, -i64::from(Errno::EINTR.0));
    assert_eq!(guest.mask(), Signal::SIGUSR1.bit());
    // With nothing pending no one could ever wake it.
    assert!(matches!(guest.enter(133, &[SCRATCH, 8]), Outcome::Killed { .. }));
}

#[test]
fn a_forged_frame_kills() {
    let mut guest = Guest::new();
    guest.regs.x[SP] = 0x10;
    assert!(matches!(guest.enter(139, &[]), Outcome::Killed { signal: Signal::SIGSEGV, .. }));
    let mut guest = Guest::new();
    guest.memory.write(OUT, &[0xff; 1088]).unwrap();
    guest.regs.x[SP] = OUT;
    assert!(matches!(guest.enter(139, &[]), Outcome::Killed { .. }));
}
