//! Sockets, event descriptors, timers and System V objects, as one process sees them.

use super::{Guest, OUT, Outcome, SCRATCH};
use crate::Errno;
use proptest::prelude::*;

const SOCKET: u64 = 198;
const SOCKETPAIR: u64 = 199;
const BIND: u64 = 200;
const LISTEN: u64 = 201;
const CONNECT: u64 = 203;
const SENDMSG: u64 = 211;
const UNLINKAT: u64 = 35;
const CLOSE: u64 = 57;
const AF_UNIX: u64 = 1;
const STREAM: u64 = 1;
const NONBLOCK: u64 = 0o4000;
const AT_FDCWD: u64 = -100i64 as u64;

fn error(errno: Errno) -> i64 {
    -i64::from(errno.0)
}

/// Puts a `sockaddr_un` and gives its length.
fn name(guest: &mut Guest, path: &str) -> u64 {
    guest.put(SCRATCH, &[&1u16.to_le_bytes()[..], path.as_bytes(), &[0]].concat());
    path.len() as u64 + 3
}

#[test]
fn a_path_is_free_when_its_socket_is_unlinked() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(SOCKET, &[AF_UNIX, STREAM, 0]), 3);
    assert_eq!(guest.call(SOCKET, &[AF_UNIX, STREAM, 0]), 4);
    let len = name(&mut guest, "/s");
    assert_eq!(guest.call(CONNECT, &[4, SCRATCH, len]), error(Errno::ENOENT));
    assert_eq!(guest.call(BIND, &[3, SCRATCH, len]), 0);
    assert_eq!(guest.call(CONNECT, &[4, SCRATCH, len]), error(Errno::ECONNREFUSED));
    assert_eq!(guest.call(LISTEN, &[3, 5]), 0);
    assert_eq!(guest.call(CONNECT, &[4, SCRATCH, len]), 0);
    assert_eq!(guest.call(SOCKET, &[AF_UNIX, STREAM, 0]), 5);
    assert_eq!(guest.call(BIND, &[5, SCRATCH, len]), error(Errno::EADDRINUSE));
    let path = guest.path("/s");
    assert_eq!(guest.call(79, &[AT_FDCWD, path, OUT, 0]), 0, "newfstatat");
    let mode = u32::from_le_bytes(guest.get(OUT + 16));
    assert_eq!(mode & 0o170_000, 0o140_000);
    assert_eq!(guest.call(UNLINKAT, &[AT_FDCWD, path, 0]), 0);
    let len = name(&mut guest, "/s");
    assert_eq!(guest.call(BIND, &[5, SCRATCH, len]), 0);
    guest.write_host("file", b"");
    let len = name(&mut guest, "/file");
    assert_eq!(guest.call(BIND, &[4, SCRATCH, len]), error(Errno::EADDRINUSE));
}

/// A socket that is sent to itself and closed everywhere stays; one chain of them goes at once.
#[test]
fn sockets_in_sockets_are_closed_without_recursion() {
    let mut guest = Guest::new();
    let pair = SCRATCH + 0x100;
    let (header, iov, control) = (SCRATCH, SCRATCH + 0x40, SCRATCH + 0x80);
    let mut words = [0u64; 7];
    (words[2], words[3], words[4], words[5]) = (iov, 1, control, 20);
    // Each pair's second end holds the second end of the pair before.
    assert_eq!(guest.call(SOCKETPAIR, &[AF_UNIX, STREAM | NONBLOCK, 0, pair]), 0);
    for _ in 0..5000 {
        let [first, other] = [guest.get::<4>(pair), guest.get(pair + 4)].map(u32::from_le_bytes);
        assert_eq!(guest.call(SOCKETPAIR, &[AF_UNIX, STREAM | NONBLOCK, 0, pair]), 0);
        let sender = u64::from(u32::from_le_bytes(guest.get(pair)));
        guest.put(header, &words.map(u64::to_le_bytes).concat());
        guest.put(iov, &[pair, 1].map(u64::to_le_bytes).concat());
        let rights = [&20u64.to_le_bytes()[..], &1u32.to_le_bytes(), &1u32.to_le_bytes()];
        guest.put(control, &[&rights.concat()[..], &other.to_le_bytes()].concat());
        assert_eq!(guest.call(SENDMSG, &[sender, header, 0]), 1);
        for fd in [u64::from(first), u64::from(other)] {
            assert_eq!(guest.call(CLOSE, &[fd]), 0);
        }
    }
    assert_eq!(guest.system.sockets.rights, 5000);
    assert_eq!(guest.enter(94, &[0]), Outcome::Exit(0));
    assert_eq!(guest.system.sockets.rights, 0);
}

#[test]
fn an_alarm_ends_a_wait() {
    let mut guest = Guest::new();
    // setitimer(ITIMER_REAL, 1 s), rt_sigsuspend(nothing blocked): SIGALRM kills.
    guest.put(SCRATCH, &[0, 0, 1, 0u64].map(u64::to_le_bytes).concat());
    assert_eq!(guest.call(103, &[0, SCRATCH, 0]), 0);
    guest.put(OUT, &0u64.to_le_bytes());
    let Outcome::Killed { signal, .. } = guest.enter(133, &[OUT, 8]) else { panic!("killed") };
    assert_eq!(signal.name(), "SIGALRM");
    assert_eq!(guest.clock.now_ns, 6_000_000_123);
}

/// Calls of this file's kind, which mostly go by descriptors.
const CALLS: [u64; 62] = [
    19, 20, 21, 22, 23, 57, 63, 64, 73, 74, 85, 86, 87, 102, 103, 107, 108, 109, 110, 111, 113,
    115, 129, 131, 137, 138, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198, 198,
    199, 199, 200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 242, 243, 269, 270,
    424, 434, 441,
];

fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0u64..12,
        4 => (0u64..64).prop_map(|word| SCRATCH + 8 * word),
        1 => prop::sample::select(&[0o1000, 0o4000, u64::MAX, 1 << 31, 0x40, 0x4000, 17, 30][..]),
    ]
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..20,
        2 => (0u64..64).prop_map(|word| SCRATCH + 8 * word),
        1 => Just(0x0100_007f_9090_0002),
        1 => Just(0x6161_6161_0000_0001),
        1 => any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Any sequence of these calls comes to an end, and lets go of everything with the process.
    #[test]
    fn no_sequence_panics_or_leaks(
        calls in prop::collection::vec(
            (prop::sample::select(&CALLS[..]), prop::array::uniform6(argument())), 1..60),
        words in prop::collection::vec(word(), 64),
    ) {
        let mut guest = Guest::new();
        guest.put(SCRATCH, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
        let goes_on = calls.iter().all(|(number, args)| {
            guest.enter(*number, args) == Outcome::Continue
        });
        if goes_on {
            guest.enter(94, &[0]);
        }
        if matches!(guest.system.end(), Some(crate::Outcome::Exit(_))) {
            prop_assert!(guest.system.anonymous.is_empty());
            prop_assert_eq!(guest.system.watches.count(), 0);
            prop_assert_eq!(guest.system.next_deadline(), None);
        }
    }
}
