//! Arguments that no honest program has.

use super::Outcome;
use super::{Guest, OUT, SCRATCH};
use crate::table;
use proptest::prelude::*;

/// Values at which arithmetic breaks, and a few that lead somewhere.
const NASTY: [u64; 20] = [
    0,
    1,
    2,
    3,
    4,
    8,
    64,
    4095,
    4096,
    0x1f_ffff,
    OUT,
    SCRATCH,
    SCRATCH + 4096 * 15 - 1,
    i32::MAX as u64,
    u32::MAX as u64,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 4095,
    u64::MAX - 99,
    u64::MAX,
];

fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => prop::sample::select(&NASTY[..]),
        1 => any::<u64>(),
        1 => (0u64..0x1000).prop_map(|offset| SCRATCH + offset),
    ]
}

/// Numbers of calls that exist.
fn number() -> impl Strategy<Value = u64> {
    (0u64..460).prop_filter("must be a call", |n| table::name(*n).is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Any sequence of calls returns, ends the process, or kills it; nothing leaves the root.
    #[test]
    fn no_sequence_of_calls_panics(
        calls in prop::collection::vec((number(), prop::array::uniform6(argument())), 1..40),
        junk in prop::collection::vec(any::<u8>(), 256),
    ) {
        let mut guest = Guest::new();
        guest.write_host("a", b"content");
        guest.put(OUT, &junk);
        guest.put(SCRATCH, b"a\0../b\0/c/../d\0");
        for (number, args) in calls {
            if guest.enter(number, &args) != Outcome::Continue {
                break;
            }
        }
        let outside = std::fs::read_dir(guest.root.parent().unwrap()).unwrap().count();
        prop_assert_eq!(outside, 2, "the root and the program");
    }
}
