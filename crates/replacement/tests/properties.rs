//! Every policy keeps the invariants of the crate, whatever the calls.

use pagewalk_mmu::Pfn;
use pagewalk_replacement::{PolicyKind, Probe};
use proptest::prelude::*;
use std::collections::BTreeSet;

const FRAMES: u64 = 70; // more than one word of a bit set

#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    Remove(u64),
    Victim { busy: u128, referenced: u128, evict: bool },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..FRAMES).prop_map(Op::Insert),
        1 => (0..FRAMES).prop_map(Op::Remove),
        3 => (any::<u128>(), any::<u128>(), any::<bool>())
            .prop_map(|(busy, referenced, evict)| Op::Victim { busy, referenced, evict }),
    ]
}

proptest! {
    #[test]
    fn victims_are_known_and_not_busy(
        ops in prop::collection::vec(op(), 1..200),
        which in 0..PolicyKind::ALL.len(),
    ) {
        let mut policy = PolicyKind::ALL[which].build(FRAMES, 7);
        let mut known = BTreeSet::new();
        for op in ops {
            match op {
                Op::Insert(frame) if known.insert(frame) => policy.insert(Pfn(frame)),
                Op::Insert(_) => {}
                Op::Remove(frame) => {
                    known.remove(&frame);
                    policy.remove(Pfn(frame));
                }
                Op::Victim { busy, mut referenced, evict } => {
                    let victim = policy.victim(&mut |frame: Pfn| {
                        assert!(known.contains(&frame.0));
                        let bit = 1 << frame.0;
                        if busy & bit != 0 {
                            return Probe::Busy;
                        }
                        let was = referenced & bit != 0;
                        referenced &= !bit;
                        if was { Probe::Referenced } else { Probe::Unreferenced }
                    });
                    let idle = known.iter().any(|frame| busy & (1 << frame) == 0);
                    prop_assert_eq!(victim.is_some(), idle, "{:?}", policy);
                    if let Some(frame) = victim {
                        prop_assert!(known.contains(&frame.0) && busy & (1 << frame.0) == 0);
                        prop_assert!(policy.contains(frame));
                        if evict {
                            known.remove(&frame.0);
                            policy.remove(frame);
                        }
                    }
                }
            }
            prop_assert_eq!(policy.len(), known.len());
            prop_assert!((0..FRAMES).all(|f| policy.contains(Pfn(f)) == known.contains(&f)));
        }
    }
}

/// Faults of `policy` on a reference string with `frames` frames and an exact referenced bit.
fn faults(kind: PolicyKind, frames: u64, string: &[u32]) -> usize {
    let mut policy = kind.build(frames, 0);
    let mut resident: Vec<Option<u32>> = vec![None; frames as usize];
    let mut referenced = vec![false; frames as usize];
    let mut faults = 0;
    for &page in string {
        let frame = match resident.iter().position(|&held| held == Some(page)) {
            Some(frame) => frame,
            None => {
                faults += 1;
                let free = resident.iter().position(Option::is_none);
                let frame = free.unwrap_or_else(|| {
                    let victim = policy.victim(&mut |frame: Pfn| {
                        let bit = &mut referenced[frame.0 as usize];
                        if std::mem::take(bit) { Probe::Referenced } else { Probe::Unreferenced }
                    });
                    let victim = victim.expect("no frame is busy");
                    policy.remove(victim);
                    victim.0 as usize
                });
                resident[frame] = Some(page);
                policy.insert(Pfn(frame as u64));
                frame
            }
        };
        referenced[frame] = true;
    }
    faults
}

#[test]
fn fifo_shows_beladys_anomaly() {
    let string = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5];
    assert_eq!(faults(PolicyKind::Fifo, 3, &string), 9);
    assert_eq!(faults(PolicyKind::Fifo, 4, &string), 10);
}

#[test]
fn clock_equals_a_plain_model() {
    // The textbook's loop over an array of (page, bit), written again without frame sets.
    fn model(frames: usize, string: &[u32]) -> usize {
        let mut ring: Vec<(u32, bool)> = Vec::new();
        let (mut hand, mut faults) = (0, 0);
        for &page in string {
            if let Some(entry) = ring.iter_mut().find(|entry| entry.0 == page) {
                entry.1 = true;
                continue;
            }
            faults += 1;
            if ring.len() < frames {
                ring.push((page, true));
                continue;
            }
            while std::mem::take(&mut ring[hand].1) {
                hand = (hand + 1) % frames;
            }
            ring[hand] = (page, true);
            hand = (hand + 1) % frames;
        }
        faults
    }
    let mut state = 1u64;
    let string: Vec<u32> = (0..5000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let draw = (state >> 33) as u32;
            if draw & 1 == 0 { draw / 2 % 8 } else { draw / 2 % 64 }
        })
        .collect();
    for frames in [1, 2, 3, 7, 20, 40] {
        let expected = model(frames, &string);
        assert_eq!(faults(PolicyKind::Clock, frames as u64, &string), expected, "{frames}");
    }
}

#[test]
fn names_are_unique_and_parse() {
    for kind in PolicyKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let error = "lru".parse::<PolicyKind>().unwrap_err().to_string();
    let names = PolicyKind::NAMES.join(", ");
    assert_eq!(error, format!("unknown replacement policy 'lru': expected one of {names}"));
}
