//! LRU, OPT and the reduction of reference strings, against brute force and plain models.

use pagewalk_mmu::Pfn;
use pagewalk_replacement::{Belady, NEVER, PolicyKind, Probe, Reducer, WorkingSets};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A string: pages with the times of their references.
type Timed = Vec<(u32, u64)>;

fn timed(string: &[u32]) -> Timed {
    string.iter().zip(1..).map(|(&page, time)| (page, time)).collect()
}

/// For each reference when the page's next one is, read from the end.
fn next_uses(string: &[(u32, u64)]) -> Vec<u64> {
    let mut seen = BTreeMap::new();
    let next = string.iter().rev().map(|&(page, time)| seen.insert(page, time).unwrap_or(NEVER));
    let mut next: Vec<u64> = next.collect();
    next.reverse();
    next
}

/// At which times OPT faults.
fn opt_faults(string: &[(u32, u64)], frames: u64) -> Vec<u64> {
    let mut opt = Belady::new(frames);
    let next = next_uses(string);
    let faults =
        string.iter().zip(next).filter(|&(&(page, time), next)| opt.reference(page, time, next));
    let faults: Vec<u64> = faults.map(|((_, time), _)| *time).collect();
    assert_eq!(opt.faults(), faults.len() as u64);
    faults
}

/// At which times LRU faults: a vector, the most recent page last.
fn lru_faults(string: &[(u32, u64)], frames: u64) -> Vec<u64> {
    let mut stack = Vec::new();
    let mut faults = Vec::new();
    for &(page, time) in string {
        match stack.iter().position(|&held| held == page) {
            Some(at) => _ = stack.remove(at),
            None => {
                faults.push(time);
                if stack.len() as u64 == frames {
                    stack.remove(0);
                }
            }
        }
        stack.push(page);
    }
    faults
}

/// The fewest faults that any schedule has: all sets of pages that can be in memory, step by step.
fn fewest_faults(string: &[u32], frames: usize) -> u64 {
    let mut states = BTreeMap::from([(BTreeSet::new(), 0)]);
    for &page in string {
        let mut reached = BTreeMap::new();
        let mut reach = |set: BTreeSet<u32>, faults: u64| {
            let best = reached.entry(set).or_insert(faults);
            *best = faults.min(*best);
        };
        for (set, faults) in states {
            if set.contains(&page) {
                reach(set, faults);
                continue;
            }
            if set.len() < frames {
                reach(&set | &BTreeSet::from([page]), faults + 1);
                continue;
            }
            for victim in &set {
                let mut left = set.clone();
                left.remove(victim);
                left.insert(page);
                reach(left, faults + 1);
            }
        }
        states = reached;
    }
    states.into_values().min().unwrap_or(0)
}

/// Faults of a policy that is told of every reference and of the next one.
fn policy_faults(kind: PolicyKind, string: &[(u32, u64)], frames: u64) -> Vec<u64> {
    let mut policy = kind.build(frames, 0);
    let mut held: Vec<Option<u32>> = vec![None; frames as usize];
    let mut bits = vec![false; frames as usize];
    let mut faults = Vec::new();
    for (&(page, time), next) in string.iter().zip(next_uses(string)) {
        policy.set_time(time);
        let frame = held.iter().position(|&held| held == Some(page)).unwrap_or_else(|| {
            faults.push(time);
            let frame = held.iter().position(Option::is_none).unwrap_or_else(|| {
                let mut look = |frame: Pfn| match std::mem::take(&mut bits[frame.0 as usize]) {
                    true => Probe::Referenced,
                    false => Probe::Unreferenced,
                };
                let victim = policy.victim(&mut look).expect("no frame is busy");
                policy.evict(victim);
                victim.0 as usize
            });
            held[frame] = Some(page);
            policy.insert(Pfn(frame as u64));
            frame
        });
        bits[frame] = true;
        policy.reference(Pfn(frame as u64), next);
    }
    faults
}

fn reduced(string: &[(u32, u64)], k: u64) -> Timed {
    let mut kept = Vec::new();
    let mut reducer = Reducer::new(k);
    let mut tell = |page, time| kept.push((page, time));
    for &(page, time) in string {
        reducer.reference(page, time, &mut tell);
    }
    reducer.finish(&mut tell);
    kept
}

/// Strings with locality: a few pages for a while, then others.
fn strings(pages: u32, len: usize) -> impl Strategy<Value = Vec<u32>> {
    let phase = (0..pages, 1..=pages, prop::collection::vec(0..pages, 1..20));
    prop::collection::vec(phase, 1..len / 10).prop_map(move |phases| {
        let drawn = phases.into_iter().flat_map(move |(from, width, draws)| {
            draws.into_iter().map(move |draw| (from + draw % width) % pages)
        });
        drawn.collect()
    })
}

/// [`fewest_faults`] where the number of frames is another at each reference.
fn fewest_faults_in_changing_memory(string: &[(u32, usize)]) -> u64 {
    let mut states = BTreeMap::from([(BTreeSet::new(), 0)]);
    for &(page, frames) in string {
        let mut reached = BTreeMap::new();
        for (set, faults) in states {
            let set: BTreeSet<u32> = set;
            let faults = faults + u64::from(!set.contains(&page));
            let all: Vec<u32> = set.iter().copied().filter(|&held| held != page).collect();
            // Any of the others may stay, as long as there is room.
            for kept in (0_u32..1 << all.len()).filter(|kept| (kept.count_ones() as usize) < frames)
            {
                let stays = all.iter().enumerate().filter(|(n, _)| kept >> n & 1 == 1);
                let mut next: BTreeSet<u32> = stays.map(|(_, &held)| held).collect();
                next.insert(page);
                let best = reached.entry(next).or_insert(faults);
                *best = faults.min(*best);
            }
        }
        states = reached;
    }
    states.into_values().min().unwrap_or(0)
}

proptest! {
    #[test]
    fn opt_has_the_fewest_faults_in_changing_memory(
        string in prop::collection::vec((0_u32..6, 1_usize..5), 0..14),
    ) {
        let pages: Vec<u32> = string.iter().map(|&(page, _)| page).collect();
        let pages = timed(&pages);
        let mut opt = Belady::new(1);
        for ((&(page, time), next), &(_, frames)) in
            pages.iter().zip(next_uses(&pages)).zip(&string)
        {
            opt.set_frames(frames as u64);
            opt.reference(page, time, next);
        }
        prop_assert_eq!(opt.faults(), fewest_faults_in_changing_memory(&string));
    }

    #[test]
    fn opt_has_the_fewest_faults(
        string in prop::collection::vec(0_u32..6, 0..16), frames in 1_u64..5,
    ) {
        let faults = opt_faults(&timed(&string), frames).len() as u64;
        prop_assert_eq!(faults, fewest_faults(&string, frames as usize));
    }

    #[test]
    fn no_policy_beats_opt(string in strings(12, 200), frames in 1_u64..10) {
        let string = timed(&string);
        let opt = opt_faults(&string, frames);
        for kind in PolicyKind::ALL {
            let faults = policy_faults(kind, &string, frames).len();
            prop_assert!(faults >= opt.len(), "{kind}: {faults}, OPT: {}", opt.len());
        }
        prop_assert_eq!(policy_faults(PolicyKind::Opt, &string, frames).len(), opt.len());
    }

    #[test]
    fn lru_equals_a_plain_model_and_keeps_inclusion(string in strings(12, 200), frames in 1_u64..10) {
        let string = timed(&string);
        let few = policy_faults(PolicyKind::Lru, &string, frames);
        prop_assert_eq!(&few, &lru_faults(&string, frames));
        let more: BTreeSet<_> =
            policy_faults(PolicyKind::Lru, &string, frames + 1).into_iter().collect();
        // A hit with few frames is one with more, reference by reference.
        prop_assert!(more.is_subset(&few.into_iter().collect()));
    }

    #[test]
    fn a_reduced_string_has_the_same_faults_at_the_same_times(
        string in strings(20, 600), k in 1_u64..12,
    ) {
        let string = timed(&string);
        let kept = reduced(&string, k);
        let all: BTreeSet<_> = string.iter().collect();
        prop_assert!(kept.iter().all(|reference| all.contains(reference)));
        prop_assert!(kept.is_sorted_by_key(|&(_, time)| time));
        for frames in k..22 {
            prop_assert_eq!(lru_faults(&kept, frames), lru_faults(&string, frames));
            prop_assert_eq!(opt_faults(&kept, frames), opt_faults(&string, frames));
        }
    }
}

/// The sizes at each time, those until the window is empty included, and the missing pages.
fn working_sets(string: &[u32], tau: u64) -> (Vec<usize>, u64) {
    let mut windows = WorkingSets::new(tau);
    let mut sizes = Vec::new();
    for (&page, now) in string.iter().zip(1..) {
        windows.reference(page, now);
        sizes.push(windows.size(now));
    }
    let end = string.len() as u64;
    sizes.extend((end + 1..=end + tau).map(|now| windows.size(now)));
    (sizes, windows.missing())
}

proptest! {
    #[test]
    fn working_sets_are_the_pages_of_the_window(string in strings(12, 200), tau in 1_u64..40) {
        let (sizes, missing) = working_sets(&string, tau);
        let window = |now: usize| {
            let from = (now + 1).saturating_sub(tau as usize).min(string.len());
            string[from..(now + 1).min(string.len())].iter().collect::<BTreeSet<_>>()
        };
        for (now, size) in sizes.iter().enumerate() {
            prop_assert_eq!(*size, window(now).len(), "after reference {}", now);
        }
        let misses = (0..string.len()).filter(|&n| n == 0 || !window(n - 1).contains(&string[n]));
        prop_assert_eq!(missing, misses.count() as u64);
    }

    /// s(tau + 1) = s(tau) + m(tau) / N, multiplied by N.
    #[test]
    fn average_sizes_grow_by_the_missing_pages(string in strings(12, 200), tau in 1_u64..40) {
        let sum = |tau| working_sets(&string, tau).0.iter().sum::<usize>() as u64;
        prop_assert_eq!(sum(tau + 1), sum(tau) + working_sets(&string, tau).1);
    }
}

/// A reduction for more frames than there are is none: what is exact from 3 frames on is not in 1.
#[test]
fn below_its_frames_a_reduction_loses_faults() {
    let string = timed(&[0, 1, 2, 0, 1, 2, 0, 1, 2]);
    let kept = reduced(&string, 3);
    assert_eq!(kept.len(), 6);
    assert!(lru_faults(&kept, 1).len() < lru_faults(&string, 1).len());
}

/// A loop over pages that all fit is kept in its first and its last round.
#[test]
fn a_million_references_to_few_pages_leave_two_of_each() {
    let mut told = 0;
    let mut reducer = Reducer::new(64);
    for time in 0..1_000_000 {
        reducer.reference((time % 50) as u32, time, &mut |_, _| told += 1);
    }
    assert_eq!(told, 0, "nothing is final while all is recent");
    reducer.finish(&mut |_, _| told += 1);
    assert_eq!(told, 100);
}

#[test]
fn opt_on_beladys_string() {
    let string = timed(&[1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5]);
    let faults = |kind, frames| policy_faults(kind, &string, frames).len();
    assert_eq!((faults(PolicyKind::Fifo, 3), faults(PolicyKind::Fifo, 4)), (9, 10));
    assert_eq!((faults(PolicyKind::Lru, 3), faults(PolicyKind::Lru, 4)), (10, 8));
    assert_eq!((faults(PolicyKind::Opt, 3), faults(PolicyKind::Opt, 4)), (7, 6));
}
