//! Working sets, PFF and VMS's lists, on plain vectors.

use crate::harness::{Machine, Model, Shown, ops};
use pagewalk_replacement::{Page, Policy, PolicyKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

const FRAMES: u64 = 40;
const PAGES: u64 = 90;

fn policy(text: &str) -> Box<dyn Policy> {
    text.parse::<PolicyKind>().unwrap().build(FRAMES, 3)
}

/// (last use, frame), oldest first.
#[derive(Default)]
struct Uses {
    order: Vec<(u64, u64)>,
    now: u64,
}

impl Uses {
    fn touch(&mut self, frame: u64) {
        self.order.retain(|entry| entry.1 != frame);
        self.order.push((self.now, frame));
    }

    fn age(&self, frame: u64) -> u64 {
        self.now - self.order.iter().find(|entry| entry.1 == frame).unwrap().0
    }

    fn frames(&self) -> Vec<u64> {
        let mut frames: Vec<u64> = self.order.iter().map(|entry| entry.1).collect();
        frames.sort();
        frames
    }
}

struct WorkingSet {
    uses: Uses,
    tau: u64,
    named: Option<u64>,
}

impl WorkingSet {
    fn oldest(&mut self, any: bool, shown: &mut Shown) -> Option<u64> {
        if let Some(frame) = self.named.take() {
            self.uses.touch(frame);
        }
        for _ in 0..2 * self.uses.order.len() {
            let &(last_used, frame) = self.uses.order.first()?;
            // In the window (t − τ, t].
            if !any && last_used + self.tau > self.uses.now {
                return None;
            }
            if shown.take(frame) == Some(false) {
                self.named = Some(frame);
                return self.named;
            }
            self.uses.touch(frame);
        }
        None
    }
}

impl Model for WorkingSet {
    fn insert(&mut self, frame: u64, _: Page) {
        self.uses.touch(frame);
    }

    fn remove(&mut self, frame: u64) {
        self.uses.order.retain(|entry| entry.1 != frame);
        self.named = self.named.filter(|&named| named != frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        self.oldest(true, shown)
    }

    fn surplus(&mut self, shown: &mut Shown) -> Option<u64> {
        self.oldest(false, shown)
    }

    fn tick(&mut self, shown: &mut Shown) {
        for frame in self.uses.frames() {
            if shown.take(frame) != Some(false) {
                self.uses.touch(frame);
            }
        }
    }

    fn set_time(&mut self, now: u64) {
        self.uses.now = now;
    }
}

struct WsClock {
    uses: Uses,
    tau: u64,
    launder: usize,
    hand: u64,
    named: Option<u64>,
}

impl WsClock {
    fn look(&mut self, frame: u64, shown: &mut Shown) -> Option<bool> {
        let used = shown.take(frame)?;
        if used {
            self.uses.touch(frame);
        }
        Some(used)
    }

    fn turn(&mut self, shown: &mut Shown) -> Option<u64> {
        let mut frames = self.uses.frames();
        let behind = frames.iter().filter(|&&frame| frame < self.hand).count();
        frames.rotate_left(behind);
        let mut asked = 0;
        for frame in frames {
            self.hand = frame + 1;
            if self.look(frame, shown) != Some(false) || self.uses.age(frame) <= self.tau {
                continue;
            }
            if !shown.is_modified(frame) {
                return Some(frame);
            }
            if asked == self.launder {
                return None;
            }
            asked += 1;
            shown.laundered.push(frame);
        }
        None
    }

    fn oldest(&mut self, shown: &mut Shown) -> Option<u64> {
        let mut modified = Vec::new();
        for (_, frame) in self.uses.order.clone() {
            if self.look(frame, shown) == Some(false) {
                if !shown.is_modified(frame) {
                    return Some(frame);
                }
                if (1..=self.launder).contains(&modified.len()) {
                    shown.laundered.push(frame);
                }
                modified.push(frame);
            }
        }
        modified.first().copied()
    }
}

impl Model for WsClock {
    fn insert(&mut self, frame: u64, _: Page) {
        self.uses.touch(frame);
    }

    fn remove(&mut self, frame: u64) {
        self.uses.order.retain(|entry| entry.1 != frame);
        self.named = self.named.filter(|&named| named != frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        if let Some(frame) = self.named.take() {
            self.uses.touch(frame);
        }
        let any_old = self.uses.order.iter().any(|&(used, _)| self.uses.now - used > self.tau);
        self.named = if any_old { self.turn(shown) } else { None };
        for _ in 0..2 {
            if self.named.is_none() {
                self.named = self.oldest(shown);
            }
        }
        self.named
    }

    fn tick(&mut self, shown: &mut Shown) {
        for frame in self.uses.frames() {
            self.look(frame, shown);
        }
    }

    fn set_time(&mut self, now: u64) {
        self.uses.now = now;
    }
}

#[derive(Default)]
struct Pff {
    queue: Vec<u64>,
    used: BTreeSet<u64>,
    threshold: u64,
    now: u64,
    last_fault: u64,
    /// Frames that the shrinking has yet to look at begin here.
    from: Option<u64>,
}

impl Model for Pff {
    fn insert(&mut self, frame: u64, _: Page) {
        self.queue.push(frame);
        self.used.insert(frame);
        if self.now - self.last_fault > self.threshold {
            self.from = Some(0);
        }
        self.last_fault = self.now;
    }

    fn remove(&mut self, frame: u64) {
        self.queue.retain(|&other| other != frame);
        self.used.remove(&frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        for _ in 0..2 * self.queue.len() {
            let frame = self.queue.remove(0);
            self.queue.push(frame);
            match shown.take(frame) {
                Some(false) => return Some(frame),
                Some(true) => _ = self.used.insert(frame),
                None => {}
            }
        }
        None
    }

    fn surplus(&mut self, shown: &mut Shown) -> Option<u64> {
        let from = self.from.take()?;
        for frame in from..FRAMES {
            if !self.queue.contains(&frame) {
                continue;
            }
            let used = self.used.remove(&frame);
            if shown.take(frame) == Some(false) && !used {
                self.from = Some(frame + 1);
                self.queue.retain(|&other| other != frame);
                self.queue.push(frame);
                return Some(frame);
            }
        }
        None
    }

    fn set_time(&mut self, now: u64) {
        self.now = now;
    }
}

#[derive(Default)]
struct Vms {
    working_set: Vec<u64>,
    standby: Vec<u64>,
    modified: Vec<u64>,
    asked: BTreeSet<u64>,
    secondary: usize,
    named: Option<u64>,
}

impl Vms {
    fn trim(&mut self, wanted: usize, shown: &mut Shown) {
        for _ in 0..self.working_set.len() {
            if self.standby.len() + self.modified.len() < wanted {
                let frame = self.working_set.remove(0);
                match shown.take(frame) {
                    None => self.working_set.push(frame),
                    Some(_) if shown.is_modified(frame) => self.modified.push(frame),
                    Some(_) => self.standby.push(frame),
                }
            }
        }
    }

    fn take_standby(&mut self, shown: &mut Shown) -> Option<u64> {
        for _ in 0..self.standby.len() {
            let frame = self.standby.remove(0);
            match shown.take(frame) {
                None => self.standby.push(frame),
                Some(true) => self.admit(frame),
                Some(false) if shown.is_modified(frame) => self.modified.push(frame),
                Some(false) => {
                    self.standby.insert(0, frame);
                    return Some(frame);
                }
            }
        }
        None
    }

    fn take_modified(&mut self, shown: &mut Shown) -> Option<u64> {
        let (mut dirty, mut clean) = (Vec::new(), 0);
        for _ in 0..self.modified.len().min(16) {
            let frame = self.modified.remove(0);
            match shown.take(frame) {
                None => self.modified.push(frame),
                Some(true) => self.admit(frame),
                Some(false) if shown.is_modified(frame) => {
                    self.modified.push(frame);
                    dirty.push(frame);
                }
                Some(false) => {
                    clean += 1;
                    self.asked.remove(&frame);
                    self.standby.push(frame);
                }
            }
        }
        for &frame in dirty.iter().skip(1) {
            if self.asked.insert(frame) {
                shown.laundered.push(frame);
            }
        }
        dirty.first().copied().filter(|_| clean == 0)
    }

    fn admit(&mut self, frame: u64) {
        self.asked.remove(&frame);
        self.working_set.push(frame);
    }
}

impl Model for Vms {
    fn insert(&mut self, frame: u64, _: Page) {
        self.admit(frame);
    }

    fn remove(&mut self, frame: u64) {
        for list in [&mut self.working_set, &mut self.standby, &mut self.modified] {
            list.retain(|&other| other != frame);
        }
        self.asked.remove(&frame);
        self.named = self.named.filter(|&named| named != frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        if let Some(frame) = self.named.take() {
            self.remove(frame);
            self.admit(frame);
        }
        let all = self.working_set.len() + self.standby.len() + self.modified.len();
        self.trim((all * self.secondary).div_ceil(100), shown);
        for _ in 0..100 {
            self.named = self.take_standby(shown);
            if self.named.is_none() {
                self.named = self.take_modified(shown);
            }
            if self.named.is_some() {
                break;
            }
            self.trim(self.standby.len() + self.modified.len() + 1, shown);
        }
        self.named
    }
}

proptest! {
    #[test]
    fn working_set(ops in ops(PAGES, FRAMES), tau in 1..100u64) {
        let model = WorkingSet { uses: Uses::default(), tau, named: None };
        Machine::new(policy(&format!("ws:tau={tau}")), model, FRAMES).run(&ops);
    }

    #[test]
    fn wsclock(ops in ops(PAGES, FRAMES), tau in 1..100u64, launder in 0..6usize) {
        let model = WsClock { uses: Uses::default(), tau, launder, hand: 0, named: None };
        let policy = policy(&format!("wsclock:tau={tau},launder={launder}"));
        Machine::new(policy, model, FRAMES).run(&ops);
    }

    #[test]
    fn pff(ops in ops(PAGES, FRAMES), threshold in 1..10u64) {
        let model = Pff { threshold, ..Pff::default() };
        Machine::new(policy(&format!("pff:threshold={threshold}")), model, FRAMES).run(&ops);
    }

    #[test]
    fn vms(ops in ops(PAGES, FRAMES), secondary in 1..=100usize) {
        let model = Vms { secondary, ..Vms::default() };
        Machine::new(policy(&format!("vms:secondary={secondary}")), model, FRAMES).run(&ops);
    }

    /// Denning: with every reference seen, the set is the pages of the last τ references.
    #[test]
    fn the_working_set_is_the_pages_of_the_last_references(
        string in prop::collection::vec(1..30u64, 1..200),
        tau in 1..40usize,
    ) {
        let mut machine = Machine::ideal(policy(&format!("ws:tau={tau}")), FRAMES);
        for (at, &page) in string.iter().enumerate() {
            machine.reference(page, false);
            machine.trim();
            let window = &string[(at + 1).saturating_sub(tau)..=at];
            let expected: BTreeSet<u64> = window.iter().copied().collect();
            prop_assert_eq!(machine.pages(), expected);
        }
    }
}
