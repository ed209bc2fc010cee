//! FreeBSD's and Linux's queues, from the formulas that their sources document.

use crate::harness::{Machine, Model, Shown, ops};
use pagewalk_replacement::{Page, PageKind, PolicyKind};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const FRAMES: u64 = 24;
const PAGES: u64 = 60;

fn policy(text: &str) -> Box<dyn pagewalk_replacement::Policy> {
    text.parse::<PolicyKind>().unwrap().build(FRAMES, 3)
}

#[derive(Clone, Copy)]
struct Counted {
    frame: u64,
    act_count: u32,
    trips: u32,
}

#[derive(Default)]
struct FreeBsd {
    init: u32,
    advance: u32,
    decline: u32,
    active: VecDeque<Counted>,
    inactive: VecDeque<Counted>,
    /// At the head of the inactive queue, laundered.
    asked: VecDeque<Counted>,
    cache: VecDeque<Counted>,
    named: Option<u64>,
}

impl FreeBsd {
    fn queues(&mut self) -> [&mut VecDeque<Counted>; 4] {
        [&mut self.active, &mut self.inactive, &mut self.asked, &mut self.cache]
    }

    fn activated(&self, page: Counted) -> Counted {
        let act_count = (page.act_count + self.advance + 1).min(64);
        Counted { act_count, trips: 0, ..page }
    }

    fn look_active(&mut self, shown: &mut Shown) {
        let Some(mut page) = self.active.pop_front() else { return };
        match shown.take(page.frame) {
            None => {}
            Some(true) => page.act_count = (page.act_count + self.advance + 1).min(64),
            Some(false) => page.act_count = page.act_count.saturating_sub(self.decline),
        }
        if page.act_count == 0 { &mut self.inactive } else { &mut self.active }.push_back(page);
    }

    fn look_cache(&mut self, shown: &mut Shown) -> Option<u64> {
        for _ in 0..self.cache.len() {
            let page = self.cache.pop_front()?;
            match shown.take(page.frame) {
                None => self.cache.push_back(page),
                Some(true) => self.active.push_back(self.activated(page)),
                Some(false) if shown.is_modified(page.frame) => self.inactive.push_back(page),
                Some(false) => {
                    self.cache.push_front(page);
                    return Some(page.frame);
                }
            }
        }
        None
    }

    fn look_inactive(&mut self, shown: &mut Shown) -> Option<u64> {
        // No scan here launders more than the limit of 32: there are fewer frames.
        let asked = std::mem::take(&mut self.asked);
        let laundered = asked.len();
        let mut left = asked.into_iter().chain(std::mem::take(&mut self.inactive)).enumerate();
        let mut kept = VecDeque::new();
        let mut found = None;
        for (at, mut page) in left.by_ref() {
            match shown.take(page.frame) {
                None => kept.push_back(page),
                Some(true) => self.active.push_back(self.activated(page)),
                Some(false) if !shown.is_modified(page.frame) => {
                    page.trips = 0;
                    self.cache.push_back(page);
                    break;
                }
                Some(false) if at < laundered => {
                    found = Some(page.frame);
                    self.asked.push_back(page);
                    break;
                }
                Some(false) if page.trips == 0 => {
                    page.trips = 1;
                    kept.push_back(page);
                }
                Some(false) => {
                    self.asked.push_back(page);
                    shown.laundered.push(page.frame);
                }
            }
        }
        for (at, page) in left {
            if at < laundered { &mut self.asked } else { &mut self.inactive }.push_back(page);
        }
        self.inactive.extend(kept);
        found
    }
}

impl Model for FreeBsd {
    fn insert(&mut self, frame: u64, _: Page) {
        self.active.push_back(Counted { frame, act_count: self.init, trips: 0 });
    }

    fn remove(&mut self, frame: u64) {
        self.queues().into_iter().for_each(|queue| queue.retain(|page| page.frame != frame));
        self.named = self.named.filter(|&named| named != frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        if let Some(frame) = self.named.take() {
            self.remove(frame);
            self.insert(frame, Page::default());
        }
        // v_inactive_target is 3/2 (4 * 4), but a third of the pages at most.
        let mut wanted = (FRAMES / 3) as usize;
        for round in 0..100 {
            self.named = self.look_cache(shown);
            if self.named.is_none() {
                for _ in 0..self.active.len() {
                    if self.inactive.len() + self.asked.len() < wanted {
                        self.look_active(shown);
                    }
                }
                self.named = self.look_inactive(shown);
            }
            if self.named.is_some() {
                break;
            }
            if round > 0 && self.cache.is_empty() {
                wanted = FRAMES as usize;
            }
        }
        self.named
    }

    fn tick(&mut self, shown: &mut Shown) {
        (0..self.active.len()).for_each(|_| self.look_active(shown));
    }
}

#[derive(Default)]
struct Linux {
    swappiness: u64,
    /// Old to young: [anonymous, of files].
    inactive: [Vec<u64>; 2],
    active: [Vec<u64>; 2],
    pages: BTreeMap<u64, Page>,
    marked: BTreeSet<u64>,
    workingset: BTreeSet<u64>,
    /// By name: the age at the eviction, whether it was of the working set.
    shadows: BTreeMap<u64, (u64, bool)>,
    age: u64,
    costs: [u64; 2],
    refaulted: [bool; 2],
    plan: [usize; 2],
}

impl Linux {
    fn kind(&self, frame: u64) -> usize {
        usize::from(self.pages[&frame].kind != PageKind::Anon)
    }

    fn cost(&mut self, kind: usize, cost: u64) {
        self.costs[kind] += cost;
        while self.costs[0] + self.costs[1] > self.pages.len() as u64 / 4 {
            self.costs = self.costs.map(|cost| cost / 2);
        }
    }

    fn make_plan(&mut self, alike: bool) {
        let [anon, file] = [0, 1].map(|k| (self.inactive[k].len() + self.active[k].len()) as u64);
        let total = self.costs[0] + self.costs[1];
        let (anon_cost, file_cost) = (total + self.costs[0], total + self.costs[1]);
        let total = anon_cost + file_cost;
        let mut ap = self.swappiness * (total + 1) / (anon_cost + 1);
        let mut fp = (200 - self.swappiness) * (total + 1) / (file_cost + 1);
        if alike {
            (ap, fp) = (1, 1);
        }
        let looks = match (anon * ap, file * fp) {
            (_, 0) => {
                if anon > 0 {
                    64
                } else {
                    0
                }
            }
            (a, f) => (64 * a).div_ceil(a + f) as usize,
        };
        self.plan = [looks, 64 - looks];
    }

    fn look(&mut self, kind: usize, deactivate: bool, shown: &mut Shown) -> Option<u64> {
        if deactivate {
            for _ in 0..self.active[kind].len().min(32) {
                let frame = self.active[kind].remove(0);
                let answer = shown.take(frame);
                if answer.is_none()
                    || answer == Some(true) && self.pages[&frame].kind == PageKind::Text
                {
                    self.active[kind].push(frame);
                    self.cost(kind, 1);
                } else {
                    self.inactive[kind].push(frame);
                    self.workingset.insert(frame);
                }
            }
        }
        if self.inactive[kind].is_empty() {
            return None;
        }
        let frame = self.inactive[kind].remove(0);
        let Some(young) = shown.take(frame) else {
            self.inactive[kind].push(frame);
            return None;
        };
        let marked = self.marked.remove(&frame);
        let modified = shown.is_modified(frame);
        match (young, marked) {
            (true, _) if marked || self.pages[&frame].kind == PageKind::Text => {
                self.active[kind].push(frame);
                self.age += 1;
                self.cost(kind, 1);
                None
            }
            (true, _) => {
                self.marked.insert(frame);
                self.inactive[kind].push(frame);
                self.cost(kind, 1);
                None
            }
            (false, true) if kind == 1 && modified => {
                shown.laundered.push(frame);
                self.inactive[kind].push(frame);
                self.cost(kind, 1);
                None
            }
            (false, _) => {
                self.inactive[kind].push(frame);
                if modified {
                    self.cost(kind, 32);
                }
                Some(frame)
            }
        }
    }
}

impl Model for Linux {
    fn insert(&mut self, frame: u64, page: Page) {
        self.pages.insert(frame, page);
        let kind = self.kind(frame);
        if let Some((then, workingset)) = self.shadows.remove(&page.id.0) {
            // The page itself stands in its inactive list when its refault is judged, not in the
            // other type's.
            let room = self.active[0].len() + self.active[1].len() + self.inactive[1 - kind].len();
            if self.age - then <= room as u64 {
                self.active[kind].push(frame);
                self.age += 1;
                self.refaulted[kind] = true;
                if workingset {
                    self.workingset.insert(frame);
                    self.cost(kind, 32);
                }
                return;
            }
        }
        self.inactive[kind].push(frame);
    }

    fn remove(&mut self, frame: u64) {
        let lists = self.inactive.iter_mut().chain(&mut self.active);
        lists.for_each(|list| list.retain(|&other| other != frame));
        self.marked.remove(&frame);
        self.workingset.remove(&frame);
        self.pages.remove(&frame);
    }

    fn evict(&mut self, frame: u64) {
        // No bound here: what the policy forgets must never matter.
        let entry = (self.age, self.workingset.contains(&frame));
        self.shadows.insert(self.pages[&frame].id.0, entry);
        self.age += 1;
        self.remove(frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        let lap = self.pages.len() + 64;
        (0..6 * lap).find_map(|step| {
            let forced = step > 2 * lap;
            if self.plan == [0, 0] {
                self.make_plan(forced);
            }
            let kind = usize::from(self.plan[0] == 0);
            self.plan[kind] -= 1;
            // Far less than a GiB: the ratio is 1.
            let low = self.inactive[kind].len() < self.active[kind].len();
            let refaulted = std::mem::take(&mut self.refaulted[kind]);
            self.look(kind, low || refaulted || forced, shown)
        })
    }
}

proptest! {
    #[test]
    fn freebsd(ops in ops(PAGES, FRAMES), init in 1..=64u32, advance in 0..=64u32, decline in 1..=64u32) {
        let policy = policy(&format!("freebsd:init={init},advance={advance},decline={decline}"));
        Machine::new(policy, FreeBsd { init, advance, decline, ..Default::default() }, FRAMES).run(&ops);
    }

    #[test]
    fn linux(ops in ops(PAGES, FRAMES), swappiness in 0..=200u64) {
        let policy = policy(&format!("linux:swappiness={swappiness}"));
        Machine::new(policy, Linux { swappiness, ..Default::default() }, FRAMES).run(&ops);
    }
}
