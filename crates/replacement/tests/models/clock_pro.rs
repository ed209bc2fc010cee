//! CLOCK-Pro on a plain vector, which begins at the place of HAND_hot.

use crate::harness::{Machine, Model, Shown, ops, string};
use pagewalk_replacement::{Page, PolicyKind};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const FRAMES: u64 = 16;
const PAGES: u64 = 48;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry {
    Hot(u64),
    Cold(u64),
    Test(u64),
    /// Its name.
    Ghost(u64),
}

use Entry::{Cold, Ghost, Hot, Test};

impl Entry {
    fn frame(self) -> Option<u64> {
        match self {
            Hot(frame) | Cold(frame) | Test(frame) => Some(frame),
            Ghost(_) => None,
        }
    }
}

/// HAND_hot is at index 0, so the list head is the end; the other hands are indices.
#[derive(Default)]
struct ClockPro {
    ring: Vec<Entry>,
    cold_hand: usize,
    test_hand: usize,
    mc: usize,
    names: BTreeMap<u64, u64>,
    seen: BTreeSet<u64>,
    fresh: BTreeSet<u64>,
}

impl ClockPro {
    fn adapt(&mut self, by: isize) {
        self.mc = self.mc.saturating_add_signed(by).clamp(2, FRAMES as usize * 99 / 100);
    }

    fn hot(&self) -> usize {
        self.ring.iter().filter(|entry| matches!(entry, Hot(_))).count()
    }

    fn take(&mut self, frame: u64, shown: &mut Shown) -> Option<bool> {
        let now = shown.take(frame)? && !self.fresh.remove(&frame);
        Some(self.seen.remove(&frame) || now)
    }

    /// Takes an entry out; hands on it or behind it keep standing on what they stood, or next to it.
    fn out(&mut self, at: usize) -> Entry {
        let entry = self.ring.remove(at);
        for hand in [&mut self.cold_hand, &mut self.test_hand] {
            *hand -= usize::from(*hand > at);
            *hand %= self.ring.len().max(1);
        }
        entry
    }

    /// HAND_hot passes what is at index 0, which is at the end then.
    fn pass(&mut self) {
        let len = self.ring.len();
        self.ring.rotate_left(1);
        for hand in [&mut self.cold_hand, &mut self.test_hand] {
            *hand = (*hand + len - 1) % len;
        }
    }

    /// Ends the test of an entry; whether it left the ring.
    fn end_test(&mut self, at: usize) -> bool {
        match self.ring[at] {
            Ghost(_) => {
                self.out(at);
                self.adapt(-1);
                true
            }
            Test(frame) => {
                self.ring[at] = Cold(frame);
                self.adapt(-1);
                false
            }
            _ => false,
        }
    }

    fn demote(&mut self, shown: &mut Shown) -> bool {
        for _ in 0..2 * self.ring.len() {
            let Some(&first) = self.ring.first() else { return false };
            match first {
                Hot(frame) => {
                    let cold = self.take(frame, shown) == Some(false);
                    if cold {
                        self.ring[0] = Cold(frame);
                    }
                    self.pass();
                    if cold {
                        while self.hot() > 0 && !matches!(self.ring[0], Hot(_)) {
                            if !self.end_test(0) {
                                self.pass();
                            }
                        }
                        return true;
                    }
                }
                _ => {
                    if !self.end_test(0) {
                        self.pass();
                    }
                }
            }
        }
        false
    }

    fn sweep(&mut self, shown: &mut Shown) -> Option<u64> {
        for _ in 0..self.ring.len() {
            let at = self.cold_hand;
            self.cold_hand = (at + 1) % self.ring.len();
            let (Cold(frame) | Test(frame)) = self.ring[at] else { continue };
            match self.take(frame, shown) {
                None => {}
                Some(false) => return Some(frame),
                Some(true) => {
                    let tested = self.out(at) == Test(frame);
                    if tested {
                        self.adapt(1);
                    }
                    // At the end, before whatever HAND_hot stands on. A hand that went round to
                    // index 0 stays there.
                    self.ring.push(if tested { Hot(frame) } else { Test(frame) });
                }
            }
        }
        None
    }
}

impl Model for ClockPro {
    fn insert(&mut self, frame: u64, page: Page) {
        self.adapt(0);
        self.names.insert(frame, page.id.0);
        self.fresh.insert(frame);
        let ghost = self.ring.iter().position(|&entry| entry == Ghost(page.id.0));
        if let Some(at) = ghost {
            self.out(at);
            self.adapt(1);
        }
        self.ring.push(if ghost.is_some() { Hot(frame) } else { Test(frame) });
    }

    fn remove(&mut self, frame: u64) {
        if let Some(at) = self.ring.iter().position(|entry| entry.frame() == Some(frame)) {
            self.out(at);
        }
        self.seen.remove(&frame);
        self.fresh.remove(&frame);
    }

    fn evict(&mut self, frame: u64) {
        let at = |ring: &[Entry]| ring.iter().position(|entry| entry.frame() == Some(frame));
        if self.ring[at(&self.ring).unwrap()] == Test(frame) {
            let ghosts = |ring: &[Entry]| ring.iter().filter(|e| matches!(e, Ghost(_))).count();
            while ghosts(&self.ring) >= FRAMES as usize {
                let hand = self.test_hand;
                if !self.end_test(hand) {
                    self.test_hand = (hand + 1) % self.ring.len();
                }
            }
            // In its place; hands on the frame go to what is behind it.
            let at = at(&self.ring).unwrap();
            let len = self.ring.len();
            self.ring[at] = Ghost(self.names[&frame]);
            for hand in [&mut self.cold_hand, &mut self.test_hand] {
                if *hand == at {
                    *hand = (at + 1) % len;
                }
            }
            if at == 0 && len > 1 {
                self.pass();
            }
        }
        self.remove(frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        (0..3).find_map(|_| {
            while self.hot() > FRAMES as usize - self.mc && self.demote(shown) {}
            let found = self.sweep(shown);
            if found.is_none() {
                self.demote(shown);
            }
            found
        })
    }

    fn tick(&mut self, shown: &mut Shown) {
        for frame in self.ring.iter().filter_map(|entry| entry.frame()) {
            if shown.take(frame) == Some(true) && !self.fresh.remove(&frame) {
                self.seen.insert(frame);
            }
        }
    }
}

proptest! {
    #[test]
    fn clock_pro(ops in ops(PAGES, FRAMES)) {
        let policy = PolicyKind::ClockPro.build(FRAMES, 0);
        Machine::new(policy, ClockPro::default(), FRAMES).run(&ops);
    }
}

/// What it is for: a loop a little larger than memory, on which LRU and CLOCK always miss.
#[test]
fn a_loop_larger_than_memory_hits() {
    let faults = |kind: PolicyKind| {
        let mut machine = Machine::ideal(kind.build(100, 0), 100);
        (0..20_000).for_each(|at| machine.reference(1 + at % 120, false));
        machine.faults
    };
    assert_eq!(faults(PolicyKind::Clock), 20_000);
    assert!(faults(PolicyKind::ClockPro) < 10_000, "{}", faults(PolicyKind::ClockPro));
}

#[test]
fn a_scan_leaves_the_hot_pages() {
    let faults = |kind: PolicyKind| {
        let mut machine = Machine::ideal(kind.build(100, 0), 100);
        let hot = string(4000, 480).into_iter().map(|page| page % 60);
        for (at, page) in hot.enumerate() {
            machine.reference(1 + page, false);
            machine.reference(1000 + at as u64, false);
        }
        machine.faults
    };
    assert!(faults(PolicyKind::ClockPro) < faults(PolicyKind::Clock));
}
