//! CAR as its paper writes it: over pages and exact references, and with what hardware shows.

use crate::harness::{Machine, Model, Shown, ops, string};
use pagewalk_replacement::{Page, PolicyKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

const FRAMES: u64 = 16;
const PAGES: u64 = 48;

fn policy(text: &str, frames: u64) -> Box<dyn pagewalk_replacement::Policy> {
    text.parse::<PolicyKind>().unwrap().build(frames, 3)
}

/// Faults of the paper's CAR (figure 2), line by line.
fn car_faults(c: usize, string: &[u64]) -> u64 {
    let [mut t1, mut t2]: [Vec<(u64, bool)>; 2] = Default::default();
    let [mut b1, mut b2]: [Vec<u64>; 2] = Default::default();
    let (mut p, mut faults) = (0.0f64, 0);
    for &x in string {
        if let Some(entry) = t1.iter_mut().chain(&mut t2).find(|entry| entry.0 == x) {
            entry.1 = true;
            continue;
        }
        faults += 1;
        let known = b1.contains(&x) || b2.contains(&x);
        if t1.len() + t2.len() == c {
            loop {
                let from_t1 = t1.len() as f64 >= p.max(1.0);
                let (page, bit) = if from_t1 { t1.remove(0) } else { t2.remove(0) };
                if bit {
                    t2.push((page, false));
                } else {
                    if from_t1 { &mut b1 } else { &mut b2 }.push(page);
                    break;
                }
            }
            if !known && t1.len() + b1.len() == c {
                b1.remove(0);
            } else if !known && t1.len() + t2.len() + b1.len() + b2.len() == 2 * c {
                b2.remove(0);
            }
        }
        let [in_b1, in_b2] = [b1.len() as f64, b2.len() as f64];
        if !known {
            t1.push((x, false));
        } else if let Some(at) = b1.iter().position(|&page| page == x) {
            p = (p + (in_b2 / in_b1).max(1.0)).min(c as f64);
            b1.remove(at);
            t2.push((x, false));
        } else {
            p = (p - (in_b1 / in_b2).max(1.0)).max(0.0);
            b2.retain(|&page| page != x);
            t2.push((x, false));
        }
    }
    faults
}

/// CAR over frames, with busy ones and frames freed at any time.
#[derive(Default)]
struct Car {
    t: [Vec<(u64, u64)>; 2],
    b: [Vec<u64>; 2],
    seen: BTreeSet<u64>,
    fresh: BTreeSet<u64>,
    p: f64,
}

impl Model for Car {
    fn insert(&mut self, frame: u64, page: Page) {
        let (name, c) = (page.id.0, FRAMES as usize);
        self.fresh.insert(frame);
        let [b1, b2] = [0, 1].map(|list| self.b[list].len() as f64);
        if self.b[0].contains(&name) {
            self.p = (self.p + (b2 / b1).max(1.0)).min(c as f64);
        } else if self.b[1].contains(&name) {
            self.p = (self.p - (b1 / b2).max(1.0)).max(0.0);
        } else {
            let total: usize = self.b.iter().map(Vec::len).sum::<usize>();
            if self.t[0].len() + self.b[0].len() >= c {
                self.b[0].remove(0);
            } else if self.t[0].len() + self.t[1].len() + total >= 2 * c {
                self.b[1].remove(0);
            }
            self.t[0].push((frame, name));
            return;
        }
        self.b.iter_mut().for_each(|list| list.retain(|&other| other != name));
        self.t[1].push((frame, name));
    }

    fn remove(&mut self, frame: u64) {
        self.t.iter_mut().for_each(|list| list.retain(|entry| entry.0 != frame));
        self.seen.remove(&frame);
        self.fresh.remove(&frame);
    }

    fn evict(&mut self, frame: u64) {
        for list in 0..2 {
            if let Some(&(_, name)) = self.t[list].iter().find(|entry| entry.0 == frame) {
                if self.b[0].len() + self.b[1].len() > FRAMES as usize {
                    let longer = usize::from(self.b[0].len() < self.b[1].len());
                    self.b[longer].remove(0);
                }
                self.b[list].push(name);
            }
        }
        self.remove(frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        let mut busy = [0; 2];
        loop {
            let open = [0, 1].map(|list| busy[list] < self.t[list].len());
            if open == [false, false] {
                return None;
            }
            let wish = usize::from((self.t[0].len() as f64) < self.p.max(1.0));
            let list = if open[wish] { wish } else { 1 - wish };
            let entry = self.t[list].remove(0);
            match shown.take(entry.0) {
                None => {
                    busy[list] += 1;
                    self.t[list].push(entry);
                }
                Some(bit) => {
                    let bit = bit && !self.fresh.remove(&entry.0);
                    if self.seen.remove(&entry.0) || bit {
                        self.t[1].push(entry);
                        busy[1] = 0;
                    } else {
                        self.t[list].push(entry);
                        return Some(entry.0);
                    }
                }
            }
        }
    }

    fn tick(&mut self, shown: &mut Shown) {
        for &(frame, _) in self.t.iter().flatten() {
            if shown.take(frame) == Some(true) && !self.fresh.remove(&frame) {
                self.seen.insert(frame);
            }
        }
    }
}

proptest! {
    #[test]
    fn car(ops in ops(PAGES, FRAMES)) {
        Machine::new(policy("car", FRAMES), Car::default(), FRAMES).run(&ops);
    }

    /// A harvest after each reference makes hardware's bit exact.
    #[test]
    fn car_is_the_papers(c in 1..20u64, string in prop::collection::vec(1..40u64, 1..600)) {
        let mut machine = Machine::ideal(policy("car", c), c);
        string.iter().for_each(|&page| machine.reference(page, false));
        prop_assert_eq!(machine.faults, car_faults(c as usize, &string));
    }
}

#[test]
fn car_is_the_papers_on_a_long_string() {
    for c in [8, 20, 50] {
        let string = string(20_000, 160);
        let mut machine = Machine::ideal(policy("car", c), c);
        string.iter().for_each(|&page| machine.reference(page, false));
        assert_eq!(machine.faults, car_faults(c as usize, &string), "{c}");
    }
}
