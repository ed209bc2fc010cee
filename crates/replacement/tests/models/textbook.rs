//! Second chance, GCLOCK, NRU and aging as textbooks write them.

use crate::harness::{Machine, Model, Op, Shown, ops, string};
use pagewalk_replacement::{Page, PolicyKind};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const FRAMES: u64 = 12;
const PAGES: u64 = 40;

fn policy(text: &str) -> Box<dyn pagewalk_replacement::Policy> {
    text.parse::<PolicyKind>().unwrap().build(FRAMES, 3)
}

/// The queue of (frame, referenced by loading).
#[derive(Default)]
struct SecondChance(VecDeque<(u64, bool)>);

impl Model for SecondChance {
    fn insert(&mut self, frame: u64, _: Page) {
        self.0.push_back((frame, true));
    }

    fn remove(&mut self, frame: u64) {
        self.0.retain(|entry| entry.0 != frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        for _ in 0..2 * self.0.len() {
            let (frame, fresh) = self.0.pop_front()?;
            let answer = shown.take(frame);
            self.0.push_back((frame, fresh && answer.is_none()));
            if !fresh && answer == Some(false) {
                return Some(frame);
            }
        }
        None
    }
}

/// The circle of all frames with their counts, and the hand.
struct GClock {
    circle: Vec<Option<u32>>,
    fresh: Vec<bool>,
    hand: usize,
    max: u32,
}

impl GClock {
    fn new(bits: u32) -> Self {
        let frames = FRAMES as usize;
        let circle = vec![None; frames];
        Self { circle, fresh: vec![false; frames], hand: 0, max: (1 << bits) - 1 }
    }

    fn count(&mut self, frame: usize, shown: &mut Shown) -> Option<u32> {
        let count = self.circle[frame]?;
        let used = shown.take(frame as u64)? | std::mem::take(&mut self.fresh[frame]);
        let count = (count + u32::from(used)).min(self.max);
        self.circle[frame] = Some(count);
        Some(count)
    }
}

impl Model for GClock {
    fn insert(&mut self, frame: u64, _: Page) {
        self.circle[frame as usize] = Some(0);
        self.fresh[frame as usize] = true;
    }

    fn remove(&mut self, frame: u64) {
        self.circle[frame as usize] = None;
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        let start = self.hand;
        for _ in 0..1000 * FRAMES {
            let frame = self.hand;
            self.hand = (self.hand + 1) % FRAMES as usize;
            match self.count(frame, shown) {
                Some(0) => return Some(frame as u64),
                Some(count) => self.circle[frame] = Some(count - 1),
                None => {}
            }
        }
        self.hand = start;
        None
    }

    fn tick(&mut self, shown: &mut Shown) {
        for frame in 0..FRAMES as usize {
            self.count(frame, shown);
        }
    }
}

/// Frames with R and M, the first of the lowest class.
#[derive(Default)]
struct Nru {
    frames: BTreeMap<u64, bool>,
    named: Option<u64>,
}

impl Model for Nru {
    fn insert(&mut self, frame: u64, _: Page) {
        self.frames.insert(frame, true);
    }

    fn remove(&mut self, frame: u64) {
        self.frames.remove(&frame);
        self.named = self.named.filter(|&named| named != frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        if let Some(frame) = self.named.take() {
            self.frames.insert(frame, true);
        }
        let class = |(&frame, &r): (&u64, &bool)| {
            let r = r || shown.referenced.contains(&frame);
            (!shown.busy.contains(&frame))
                .then_some((2 * u8::from(r) + u8::from(shown.is_modified(frame)), frame))
        };
        let lowest = self.frames.iter().filter_map(class).min()?;
        self.named = Some(lowest.1);
        self.named
    }

    fn tick(&mut self, shown: &mut Shown) {
        for (&frame, r) in &mut self.frames {
            if shown.take(frame).is_some() {
                *r = false;
            }
        }
    }
}

/// Frames with their counters, and the bits taken by looks.
#[derive(Default)]
struct Aging {
    frames: BTreeMap<u64, (u8, bool)>,
    named: Option<u64>,
}

impl Model for Aging {
    fn insert(&mut self, frame: u64, _: Page) {
        self.frames.insert(frame, (0x80, false));
    }

    fn remove(&mut self, frame: u64) {
        self.frames.remove(&frame);
        self.named = self.named.filter(|&named| named != frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        if let Some(frame) = self.named.take() {
            self.frames.get_mut(&frame).unwrap().0 = 0x80;
        }
        let idle = self.frames.iter().filter(|(frame, _)| !shown.busy.contains(frame));
        self.named = idle.map(|(&frame, entry)| (entry.0, frame)).min().map(|least| least.1);
        // The look at it takes its bit, which the tick shall find.
        if let Some(frame) = self.named {
            self.frames.get_mut(&frame).unwrap().1 |= shown.take(frame) == Some(true);
        }
        self.named
    }

    fn tick(&mut self, shown: &mut Shown) {
        for (&frame, (counter, seen)) in &mut self.frames {
            let used = shown.take(frame).unwrap_or(false) | std::mem::take(seen);
            *counter = *counter / 2 + if used { 128 } else { 0 };
        }
    }
}

proptest! {
    #[test]
    fn second_chance(ops in ops(PAGES, FRAMES)) {
        Machine::new(policy("second-chance"), SecondChance::default(), FRAMES).run(&ops);
    }

    #[test]
    fn gclock(ops in ops(PAGES, FRAMES), bits in 1..=8u32) {
        let policy = policy(&format!("gclock:bits={bits}"));
        Machine::new(policy, GClock::new(bits), FRAMES).run(&ops);
    }

    #[test]
    fn nru(ops in ops(PAGES, FRAMES)) {
        // The policy notices only at its next look at a page that it was laundered.
        let ops: Vec<Op> = ops.into_iter().filter(|op| !matches!(op, Op::WriteBack)).collect();
        Machine::new(policy("nru:pick=first"), Nru::default(), FRAMES).run(&ops);
    }

    #[test]
    fn aging(ops in ops(PAGES, FRAMES)) {
        Machine::new(policy("aging"), Aging::default(), FRAMES).run(&ops);
    }
}

#[test]
fn gclock_of_one_bit_is_clock() {
    let mut faults = [0; 2];
    for (text, faults) in ["clock", "gclock:bits=1"].into_iter().zip(&mut faults) {
        let mut machine = Machine::new(policy(text), GClock::new(1), FRAMES);
        string(5000, PAGES).into_iter().for_each(|page| machine.reference(page, false));
        *faults = machine.faults;
    }
    assert_eq!(faults[0], faults[1]);
}
