//! The decoder against the listing: the same words are instructions, the rest is illegal.

mod common;

use common::encode::find;
use common::{Rng, rows};
use pagewalk_cpu::{OpCode, decode, expand};

/// Random words, and words that differ from an instruction in a few bits.
const WORDS: usize = 1 << 20;

fn is_listed(word: u32) -> bool {
    find(word).is_some_and(|row| row.is_legal(word))
}

#[test]
fn the_listing_is_complete() {
    let long = rows().iter().filter(|row| row.bytes == 4).count();
    let short = rows().iter().filter(|row| row.bytes == 2).count();
    // All codes but `Illegal` and `Next` are 32-bit instructions.
    assert_eq!((long, short), (OpCode::ALL.len() - 2, 36));
}

#[test]
fn each_row_decodes_to_a_code_of_its_own() {
    let mut seen = std::collections::HashMap::new();
    for row in rows().iter().filter(|row| row.bytes == 4) {
        let code = decode(row.value).code;
        assert_ne!(code, OpCode::Illegal, "{}", row.name);
        let letters = |text: &str| text.to_lowercase().replace(['.', '_'], "");
        assert_eq!(letters(row.name), letters(&format!("{code:?}")));
        assert_eq!(seen.insert(code, row.name), None, "{}", row.name);
    }
}

#[test]
fn words_are_legal_where_the_listing_says_so() {
    let mut rng = Rng::new(1);
    for _ in 0..WORDS {
        let mut word = rng.next() as u32 | 3;
        if rng.below(4) != 0 {
            let row = rng.pick(&rows().iter().collect::<Vec<_>>());
            word = word & !row.mask | row.value | 3;
            for _ in 0..rng.below(3) {
                word ^= 1 << (2 + rng.below(30));
            }
        }
        let legal = decode(word).code != OpCode::Illegal;
        assert_eq!(legal, is_listed(word), "{word:#010x} {:?}", decode(word));
    }
}

#[test]
fn parcels_are_legal_where_the_listing_says_so() {
    for parcel in (0..=u16::MAX).filter(|parcel| parcel & 3 != 3) {
        let word = expand(parcel);
        assert_eq!(word.is_some(), is_listed(parcel.into()), "{parcel:#06x}");
        let legal = word.is_none_or(|word| decode(word).code != OpCode::Illegal);
        assert!(legal, "{parcel:#06x} expands to {word:#x?}, which does not exist");
    }
}
