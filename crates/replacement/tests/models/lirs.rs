//! LIRS by looks, against vectors; and with every reference seen, against the paper's algorithm.

use crate::harness::{Machine, Model, Shown, ops, string};
use pagewalk_replacement::{Page, PolicyKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

const FRAMES: u64 = 30;
const PAGES: u64 = 70;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Frame(u64),
    Ghost(u64),
}
use Entry::{Frame, Ghost};

#[derive(Default)]
struct Scanned {
    lir_max: usize,
    ghosts_max: usize,
    /// Bottom first.
    stack: Vec<Entry>,
    lir: BTreeSet<u64>,
    queue: Vec<u64>,
    names: std::collections::BTreeMap<u64, u64>,
    /// By eviction.
    ghosts: Vec<u64>,
    fresh: BTreeSet<u64>,
}

impl Scanned {
    fn take(&mut self, frame: u64, shown: &mut Shown) -> Option<bool> {
        let used = shown.take(frame)?;
        Some(used && !self.fresh.remove(&frame))
    }

    fn top(&mut self, frame: u64) {
        self.stack.retain(|&entry| entry != Frame(frame));
        self.stack.push(Frame(frame));
    }

    fn end(&mut self, frame: u64) {
        self.queue.retain(|&other| other != frame);
        self.queue.push(frame);
    }

    fn make_lir(&mut self, frame: u64) {
        self.lir.insert(frame);
        self.queue.retain(|&other| other != frame);
        self.top(frame);
    }

    fn used(&mut self, frame: u64) {
        if self.lir.contains(&frame) {
            self.top(frame);
        } else if self.stack.contains(&Frame(frame)) {
            self.make_lir(frame);
        } else {
            self.top(frame);
            self.end(frame);
        }
        self.prune();
    }

    fn prune(&mut self) {
        let is_lir = |entry: &Entry| matches!(entry, Frame(frame) if self.lir.contains(frame));
        let bottom = self.stack.iter().position(is_lir).unwrap_or(self.stack.len());
        for entry in self.stack.drain(..bottom) {
            if let Ghost(name) = entry {
                self.ghosts.retain(|&other| other != name);
            }
        }
    }

    fn settle(&mut self, shown: &mut Shown) {
        while self.lir.len() > self.lir_max && self.demote(shown) {}
    }

    fn demote(&mut self, shown: &mut Shown) -> bool {
        for _ in 0..2 * self.lir.len() {
            let Some(&Frame(frame)) = self.stack.first() else { return false };
            if self.take(frame, shown) == Some(false) {
                self.lir.remove(&frame);
                self.stack.remove(0);
                self.end(frame);
                self.prune();
                return true;
            }
            self.top(frame);
            self.prune();
        }
        false
    }
}

impl Model for Scanned {
    fn insert(&mut self, frame: u64, page: Page) {
        let name = page.id.0;
        self.names.insert(frame, name);
        self.fresh.insert(frame);
        let was_there = self.ghosts.contains(&name);
        self.ghosts.retain(|&other| other != name);
        self.stack.retain(|&entry| entry != Ghost(name));
        if was_there || self.lir.len() < self.lir_max {
            self.make_lir(frame);
        } else {
            self.top(frame);
            self.end(frame);
        }
        self.prune();
    }

    fn remove(&mut self, frame: u64) {
        self.stack.retain(|&entry| entry != Frame(frame));
        self.queue.retain(|&other| other != frame);
        self.lir.remove(&frame);
        self.fresh.remove(&frame);
        self.prune();
    }

    fn evict(&mut self, frame: u64) {
        let at = self.stack.iter().position(|&entry| entry == Frame(frame));
        if let Some(at) = at
            && !self.lir.contains(&frame)
            && self.ghosts_max > 0
        {
            self.stack[at] = Ghost(self.names[&frame]);
            self.ghosts.push(self.names[&frame]);
            if self.ghosts.len() > self.ghosts_max {
                let oldest = self.ghosts.remove(0);
                self.stack.retain(|&entry| entry != Ghost(oldest));
            }
        }
        self.remove(frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        self.settle(shown);
        let mut busy = 0;
        loop {
            if busy == self.queue.len() {
                if !self.demote(shown) {
                    return None;
                }
                busy = 0;
            }
            let frame = self.queue[0];
            self.end(frame);
            match self.take(frame, shown) {
                None => busy += 1,
                Some(false) => return Some(frame),
                Some(true) => {
                    self.used(frame);
                    self.settle(shown);
                    busy = 0;
                }
            }
        }
    }

    fn tick(&mut self, shown: &mut Shown) {
        self.settle(shown);
        let in_stack = self.stack.iter().filter_map(|entry| match entry {
            Frame(frame) => Some(*frame),
            Ghost(_) => None,
        });
        let alone = self.queue.iter().filter(|&&frame| !self.stack.contains(&Frame(frame)));
        let all: Vec<u64> = in_stack.chain(alone.copied()).collect();
        for frame in all {
            if self.take(frame, shown) == Some(true) {
                self.used(frame);
                self.settle(shown);
            }
        }
    }
}

/// The paper's algorithm over page names: the faults of a string.
fn faults(string: &[u64], frames: usize, lirs: usize) -> u64 {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Lir,
        Hir,
        Gone,
    }
    let mut stack: Vec<u64> = Vec::new(); // bottom first
    let mut queue: Vec<u64> = Vec::new();
    let mut states = vec![State::Gone; 1 + *string.iter().max().unwrap() as usize];
    let mut faults = 0;
    for &page in string {
        let state = states[page as usize];
        let in_stack = stack.contains(&page);
        let resident = states.iter().filter(|&&state| state != State::Gone).count();
        let lir = states.iter().filter(|&&state| state == State::Lir).count();
        if state == State::Gone {
            faults += 1;
            if resident == frames {
                states[queue.remove(0) as usize] = State::Gone;
            }
        }
        stack.retain(|&other| other != page);
        stack.push(page);
        let warm = state == State::Gone && lir < lirs;
        match state {
            State::Lir => {}
            _ if in_stack || warm => {
                states[page as usize] = State::Lir;
                queue.retain(|&other| other != page);
                if lir == lirs {
                    let bottom = stack.remove(0);
                    states[bottom as usize] = State::Hir;
                    queue.push(bottom);
                }
            }
            _ => {
                states[page as usize] = State::Hir;
                queue.retain(|&other| other != page);
                queue.push(page);
            }
        }
        while stack.first().is_some_and(|&page| states[page as usize] != State::Lir) {
            stack.remove(0);
        }
    }
    faults
}

fn policy(frames: u64, hirs: u8, ghosts: u16) -> Box<dyn pagewalk_replacement::Policy> {
    let name = format!("lirs-scan:hirs={hirs},ghosts={ghosts}");
    name.parse::<PolicyKind>().unwrap().build(frames, 0)
}

fn ideal_faults(string: &[u64], frames: u64, hirs: u8) -> u64 {
    let mut machine = Machine::ideal(policy(frames, hirs, 1000), frames);
    string.iter().for_each(|&page| machine.reference(page, false));
    machine.faults
}

#[test]
fn it_is_the_papers_where_every_reference_is_seen() {
    let string = string(20_000, 120);
    // Ten times as many ghosts as frames are all pages.
    for (frames, hirs) in [(12, 50), (13, 1), (20, 25), (40, 10), (64, 50)] {
        let lirs = frames - (frames * u64::from(hirs) / 100).max(1);
        let expected = faults(&string, frames as usize, lirs as usize);
        assert_eq!(ideal_faults(&string, frames, hirs), expected, "{frames} frames, {hirs} %");
    }
}

#[test]
fn a_loop_larger_than_memory_hits() {
    // LRU hits nothing; LIRS keeps all but one of its frames' pages.
    let string: Vec<u64> = (0..100).flat_map(|_| 1..=30).collect();
    let faults = ideal_faults(&string, 20, 1);
    assert!(faults < 1250, "{faults} of {}", string.len());
}

proptest! {
    #[test]
    fn lirs_scan(ops in ops(PAGES, FRAMES), hirs in 1..=99_u8, ghosts in 0..=150_u16) {
        let frames = FRAMES as usize;
        let model = Scanned {
            lir_max: frames - (frames * usize::from(hirs) / 100).max(1),
            ghosts_max: frames * usize::from(ghosts) / 100,
            ..Default::default()
        };
        Machine::new(policy(FRAMES, hirs, ghosts), model, FRAMES).run(&ops);
    }

    #[test]
    fn lirs_on_short_strings(
        string in prop::collection::vec(1..12_u64, 1..200), frames in 2..8_u64,
    ) {
        let expected = faults(&string, frames as usize, frames as usize - 1);
        prop_assert_eq!(ideal_faults(&string, frames, 1), expected);
    }
}
