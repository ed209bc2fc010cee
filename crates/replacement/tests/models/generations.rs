//! MGLRU with a number for each page, as Linux's documentation tells it.

use crate::harness::{Machine, Model, Shown, ops};
use pagewalk_replacement::{Page, PageKind, PolicyKind};
use proptest::prelude::*;
use std::collections::BTreeMap;

const FRAMES: u64 = 24;
const PAGES: u64 = 60;

/// A resident page; all stand in the order in which they came into their generation.
#[derive(Clone, Copy)]
struct Resident {
    frame: u64,
    kind: usize,
    name: u64,
    generation: u64,
}

#[derive(Default)]
struct Mglru {
    swappiness: u64,
    pages: Vec<Resident>,
    max_seq: u64,
    min_seq: [u64; 2],
    /// By name: the generation that was the oldest at the eviction.
    shadows: BTreeMap<u64, u64>,
    /// By type: refaulted, evicted, and the averages of refaulted and of both.
    counts: [[u64; 4]; 2],
}

impl Mglru {
    fn count(&self, of: impl Fn(&Resident) -> bool) -> usize {
        self.pages.iter().filter(|page| of(page)).count()
    }

    fn move_to(&mut self, at: usize, generation: u64) {
        let page = self.pages.remove(at);
        self.pages.push(Resident { generation, ..page });
    }

    fn drop_empty(&mut self) {
        for kind in 0..2 {
            while self.min_seq[kind] + 2 <= self.max_seq
                && self.count(|p| p.kind == kind && p.generation == self.min_seq[kind]) == 0
            {
                self.min_seq[kind] += 1;
            }
        }
    }

    fn wants_aging(&self) -> bool {
        let min_seq = self.min_seq[0].min(self.min_seq[1]);
        match (self.max_seq + 1).saturating_sub(min_seq) {
            0..=2 => true,
            3 => {
                let young = self.count(|page| page.generation == self.max_seq);
                let old = self.count(|page| page.generation + 2 == self.max_seq);
                young * 2 > self.pages.len() || old * 4 < self.pages.len()
            }
            _ => false,
        }
    }

    fn age(&mut self, shown: &mut Shown) {
        let mut frames: Vec<u64> = self.pages.iter().map(|page| page.frame).collect();
        frames.sort();
        for frame in frames {
            if shown.take(frame) == Some(true) {
                let at = self.pages.iter().position(|page| page.frame == frame).unwrap();
                self.move_to(at, self.max_seq);
            }
        }
        for kind in 0..2 {
            if self.max_seq - self.min_seq[kind] == 3 {
                let oldest = self.min_seq[kind];
                let joins = |page: &Resident| page.kind == kind && page.generation == oldest;
                let (mut joining, others): (Vec<_>, Vec<_>) =
                    self.pages.iter().copied().partition(joins);
                joining.iter_mut().for_each(|page| page.generation += 1);
                self.pages = joining.into_iter().chain(others).collect();
                self.min_seq[kind] += 1;
            }
            let [refaulted, evicted, average, total] = self.counts[kind];
            self.counts[kind] = [0, 0, (average + refaulted) / 2, (total + evicted) / 2];
        }
        self.max_seq += 1;
        self.drop_empty();
    }

    fn kind_to_scan(&self) -> usize {
        if self.count(|page| page.kind == 0) == 0 {
            return 1;
        }
        if self.count(|page| page.kind == 1) == 0 {
            return 0;
        }
        if self.swappiness > 0 && self.min_seq[0] < self.min_seq[1] {
            return 0;
        }
        if self.swappiness <= 1 {
            return 1;
        }
        if self.swappiness == 200 {
            return 0;
        }
        let [anon, file] = self.counts.map(|c| (c[0] + c[2], c[1] + c[3]));
        let little = file.0 < 64;
        let left = file.0 * (anon.1 + 64) * self.swappiness;
        let right = (anon.0 + 1) * file.1 * (200 - self.swappiness);
        usize::from(little || left <= right)
    }

    fn scan(&mut self, kind: usize, shown: &mut Shown) -> Option<u64> {
        let oldest = self.min_seq[kind];
        let frames: Vec<u64> = self
            .pages
            .iter()
            .filter(|page| page.kind == kind && page.generation == oldest)
            .map(|page| page.frame)
            .collect();
        for frame in frames {
            let at = self.pages.iter().position(|page| page.frame == frame).unwrap();
            let answer = shown.take(frame);
            self.move_to(at, if answer == Some(true) { self.max_seq } else { oldest });
            if answer == Some(false) {
                return Some(frame);
            }
        }
        None
    }
}

impl Model for Mglru {
    fn insert(&mut self, frame: u64, page: Page) {
        let (kind, name) = (usize::from(page.kind != PageKind::Anon), page.id.0);
        self.pages.push(Resident { frame, kind, name, generation: self.max_seq });
        if let Some(then) = self.shadows.remove(&name) {
            self.counts[kind][0] += u64::from(self.max_seq - then < 4);
        }
    }

    fn remove(&mut self, frame: u64) {
        self.pages.retain(|page| page.frame != frame);
    }

    fn evict(&mut self, frame: u64) {
        let page = *self.pages.iter().find(|page| page.frame == frame).unwrap();
        self.counts[page.kind][1] += 1;
        self.shadows.insert(page.name, self.min_seq[page.kind]);
        self.remove(frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        (0..8).find_map(|_| {
            self.drop_empty();
            if self.wants_aging() {
                self.age(shown);
            }
            let kind = self.kind_to_scan();
            let found = self.scan(kind, shown).or_else(|| self.scan(1 - kind, shown));
            if found.is_none() {
                self.age(shown);
            }
            found
        })
    }
}

proptest! {
    #[test]
    fn mglru(ops in ops(PAGES, FRAMES), swappiness in 0..=200u64) {
        let policy = format!("mglru:swappiness={swappiness}").parse::<PolicyKind>().unwrap();
        let model = Mglru { swappiness, max_seq: 1, ..Mglru::default() };
        Machine::new(policy.build(FRAMES, 0), model, FRAMES).run(&ops);
    }
}
