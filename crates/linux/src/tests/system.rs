//! Time, identity, limits, waiting, and the end.

use super::Outcome;
use super::{Guest, OUT, SCRATCH};
use crate::Errno;

fn error(errno: Errno) -> i64 {
    -i64::from(errno.0)
}

#[test]
fn time_is_virtual() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(113, &[1, OUT]), 0);
    assert_eq!((guest.word(OUT), guest.word(OUT + 8)), (5, 123));
    guest.put(SCRATCH, &[3u64.to_le_bytes(), 7u64.to_le_bytes()].concat());
    assert_eq!(guest.call(101, &[SCRATCH, 0]), 0, "nanosleep");
    assert_eq!(guest.clock.now_ns, 8_000_000_130);
    assert_eq!(guest.call(113, &[0, OUT]), 0);
    assert_eq!(guest.word(OUT), 1_735_689_608);
    assert_eq!(guest.call(113, &[99, OUT]), error(Errno::EINVAL));
    guest.put(SCRATCH, &[u64::MAX.to_le_bytes(), 0u64.to_le_bytes()].concat());
    assert_eq!(guest.call(101, &[SCRATCH, 0]), error(Errno::EINVAL));
    assert_eq!(guest.call(153, &[0]), 800, "times");
}

#[test]
fn randomness_is_the_seeds() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(278, &[OUT, 4, 0]), 4);
    assert_eq!(guest.get::<4>(OUT), [16, 17, 18, 19], "AT_RANDOM took the first 16");
    assert_eq!(guest.call(278, &[OUT, 4, 64]), error(Errno::EINVAL));
}

#[test]
fn the_system_has_a_name() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(160, &[OUT]), 0);
    assert_eq!(&guest.get::<6>(OUT), b"Linux\0");
    assert_eq!(&guest.get::<8>(OUT + 4 * 65), b"riscv64\0");
}

#[test]
fn limits_are_kept() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(261, &[0, 3, 0, OUT]), 0);
    assert_eq!((guest.word(OUT), guest.word(OUT + 8)), (0x2_0000, u64::MAX));
    assert_eq!(guest.call(261, &[0, 99, 0, OUT]), error(Errno::EINVAL));
    guest.put(SCRATCH, &[5u64.to_le_bytes(), 4u64.to_le_bytes()].concat());
    assert_eq!(guest.call(164, &[3, SCRATCH]), error(Errno::EINVAL), "soft above hard");
}

#[test]
fn an_unknown_call_is_named_once() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(217, &[]), error(Errno::ENOSYS));
    assert_eq!(guest.call(217, &[]), error(Errno::ENOSYS));
    assert_eq!(guest.call(u64::MAX, &[]), error(Errno::ENOSYS));
    let said = guest.said();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("system call add_key (217)"), "{said}");
    assert_eq!(guest.call(293, &[]), error(Errno::ENOSYS), "rseq");
    assert_eq!(guest.said(), said, "programs do without: no message");
}

#[test]
fn the_program_counter_moves_past_the_call() {
    let mut guest = Guest::new();
    guest.regs.pc = 0x1_0000;
    assert_eq!(guest.call(172, &[]), 2);
    assert_eq!(guest.regs.pc, 0x1_0004);
}

#[test]
fn exit_has_eight_bits() {
    let mut guest = Guest::new();
    assert_eq!(guest.enter(94, &[0x1ff]), Outcome::Exit(255));
    assert_eq!(Guest::new().enter(93, &[3]), Outcome::Exit(3));
}

#[test]
fn waiting_for_no_one_is_reported() {
    let mut guest = Guest::new();
    guest.put(SCRATCH, &7u32.to_le_bytes());
    assert_eq!(guest.call(98, &[SCRATCH, 0, 8, 0]), error(Errno::EAGAIN), "another value");
    assert_eq!(guest.call(98, &[SCRATCH, 1, 1]), 0, "no one to wake");
    guest.put(OUT, &[1u64.to_le_bytes(), 0u64.to_le_bytes()].concat());
    assert_eq!(guest.call(98, &[SCRATCH, 0, 7, OUT]), error(Errno::ETIMEDOUT));
    assert_eq!(guest.clock.now_ns, 6_000_000_123);
    let Outcome::Killed { reason, .. } = guest.enter(98, &[SCRATCH, 0x80, 7, 0]) else {
        panic!("must not wait for ever")
    };
    assert!(reason.contains("deadlock") && reason.contains("futex"), "{reason}");
}

#[test]
fn streams_are_ready_and_output_arrives() {
    let mut guest = Guest::new();
    guest.put(OUT, &[1, 0, 0, 0, 4, 0, 0, 0, 77, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(guest.call(73, &[OUT, 2, 0, 0]), 2, "ppoll");
    assert_eq!(guest.get::<2>(OUT + 6), [4, 0], "POLLOUT");
    assert_eq!(guest.get::<2>(OUT + 14), [0x20, 0], "POLLNVAL");
    guest.put(OUT, b"to the user");
    assert_eq!(guest.call(64, &[1, OUT, 11]), 11);
    assert_eq!(guest.stdout.lock().unwrap().as_slice(), b"to the user");
    assert_eq!(guest.call(29, &[1, 0x5401, OUT]), error(Errno::ENOTTY));
    assert_eq!(guest.call(63, &[0, OUT, 10]), 0, "empty input");
}

#[test]
fn scheduling_is_told_as_it_was_asked_for() {
    const SETPARAM: u64 = 118;
    const SETSCHEDULER: u64 = 119;
    const GETSCHEDULER: u64 = 120;
    const GETPARAM: u64 = 121;
    const PRIORITY_MAX: u64 = 125;
    const PRIORITY_MIN: u64 = 126;
    let mut guest = Guest::new();
    let bounds = |guest: &mut Guest, policy| {
        (guest.call(PRIORITY_MIN, &[policy]), guest.call(PRIORITY_MAX, &[policy]))
    };
    assert_eq!(bounds(&mut guest, 0), (0, 0), "OTHER");
    assert_eq!(bounds(&mut guest, 1), (1, 99), "FIFO");
    assert_eq!(bounds(&mut guest, 9), (error(Errno::EINVAL), error(Errno::EINVAL)));
    assert_eq!(guest.call(GETSCHEDULER, &[0]), 0);
    guest.put(SCRATCH, &7u32.to_le_bytes());
    assert_eq!(guest.call(SETSCHEDULER, &[0, 0, SCRATCH]), error(Errno::EINVAL), "OTHER has none");
    assert_eq!(guest.call(SETSCHEDULER, &[0, 2, SCRATCH]), 0);
    assert_eq!(guest.call(GETSCHEDULER, &[0]), 2, "RR");
    assert_eq!(guest.call(GETPARAM, &[0, OUT]), 0);
    assert_eq!(guest.get::<4>(OUT), 7u32.to_le_bytes());
    guest.put(SCRATCH, &100u32.to_le_bytes());
    assert_eq!(guest.call(SETPARAM, &[0, SCRATCH]), error(Errno::EINVAL));
    assert_eq!(guest.call(GETSCHEDULER, &[99]), error(Errno::ESRCH));
    assert_eq!(guest.call(140, &[0, 0, 5]), 0, "setpriority");
    assert_eq!(guest.call(141, &[0, 0]), 15, "getpriority");
}

#[test]
fn a_lock_that_is_handed_over_has_its_owner_in_the_word() {
    const FUTEX: u64 = 98;
    const LOCK: u64 = 6;
    const UNLOCK: u64 = 7;
    const TRY_LOCK: u64 = 8;
    let mut guest = Guest::new();
    let tid = guest.call(178, &[]) as u32;
    guest.put(SCRATCH, &[0; 4]);
    assert_eq!(guest.call(FUTEX, &[SCRATCH, UNLOCK]), error(Errno::EPERM), "it is not its owner");
    assert_eq!(guest.call(FUTEX, &[SCRATCH, LOCK]), 0);
    assert_eq!(guest.get::<4>(SCRATCH), tid.to_le_bytes());
    assert_eq!(guest.call(FUTEX, &[SCRATCH, LOCK]), error(Errno::EDEADLK));
    assert_eq!(guest.call(FUTEX, &[SCRATCH, UNLOCK]), 0);
    assert_eq!(guest.get::<4>(SCRATCH), [0; 4]);
    guest.put(SCRATCH, &4000u32.to_le_bytes());
    assert_eq!(guest.call(FUTEX, &[SCRATCH, TRY_LOCK]), error(Errno::ESRCH), "no such owner");
    guest.put(SCRATCH, &(1u32 << 30).to_le_bytes());
    assert_eq!(guest.call(FUTEX, &[SCRATCH, TRY_LOCK]), 0, "its owner died");
    assert_eq!(guest.get::<4>(SCRATCH), (tid | 1 << 30).to_le_bytes());
}

#[test]
fn a_wait_at_several_words_compares_all() {
    const WAITV: u64 = 449;
    let mut guest = Guest::new();
    let entry = |value: u64, at: u64, flags: u64| {
        [value.to_le_bytes(), at.to_le_bytes(), flags.to_le_bytes()].concat()
    };
    guest.put(OUT, &[1, 0, 0, 0, 2, 0, 0, 0]);
    guest.put(SCRATCH, &[entry(1, OUT, 130), entry(3, OUT + 4, 130)].concat());
    assert_eq!(guest.call(WAITV, &[SCRATCH, 2, 0, 0, 0]), error(Errno::EAGAIN));
    assert_eq!(guest.call(WAITV, &[SCRATCH, 0, 0, 0, 0]), error(Errno::EINVAL), "none");
    assert_eq!(guest.call(WAITV, &[SCRATCH, 129, 0, 0, 0]), error(Errno::EINVAL), "too many");
    assert_eq!(guest.call(WAITV, &[SCRATCH, 2, 1, 0, 0]), error(Errno::EINVAL), "flags");
    guest.put(SCRATCH, &entry(1, OUT, 0));
    assert_eq!(guest.call(WAITV, &[SCRATCH, 1, 0, 0, 0]), error(Errno::EINVAL), "no size");
    guest.put(SCRATCH, &entry(1, OUT + 2, 130));
    assert_eq!(guest.call(WAITV, &[SCRATCH, 1, 0, 0, 0]), error(Errno::EINVAL), "unaligned");
}
