//! A machine of a few frames that runs a policy and a plain model of it side by side.

use pagewalk_mmu::Pfn;
use pagewalk_replacement::{Page, PageId, PageKind, Pages, Policy, Probe};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A policy written naively from its paper. Frames are known in it exactly when they are to the
/// policy.
pub trait Model {
    fn insert(&mut self, frame: u64, page: Page);
    fn remove(&mut self, frame: u64);
    fn evict(&mut self, frame: u64) {
        self.remove(frame);
    }
    fn victim(&mut self, shown: &mut Shown) -> Option<u64>;
    fn surplus(&mut self, _shown: &mut Shown) -> Option<u64> {
        None
    }
    fn tick(&mut self, _shown: &mut Shown) {}
    fn set_time(&mut self, _now: u64) {}
    /// Whether its victims are to be compared.
    fn decides(&self) -> bool {
        true
    }
}

/// No model: the policy decides alone.
impl Model for () {
    fn insert(&mut self, _: u64, _: Page) {}
    fn remove(&mut self, _: u64) {}
    fn victim(&mut self, _: &mut Shown) -> Option<u64> {
        None
    }
    fn decides(&self) -> bool {
        false
    }
}

/// What hardware shows of the frames; policy and model have one each, as looks take bits.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    pub busy: BTreeSet<u64>,
    pub referenced: BTreeSet<u64>,
    pub modified: BTreeSet<u64>,
    pub laundered: Vec<u64>,
    known: BTreeSet<u64>,
}

impl Shown {
    /// Takes the referenced bit; `None` if the frame is busy.
    pub fn take(&mut self, frame: u64) -> Option<bool> {
        assert!(self.known.contains(&frame), "frame {frame} is not known");
        (!self.busy.contains(&frame)).then(|| self.referenced.remove(&frame))
    }

    pub fn is_modified(&self, frame: u64) -> bool {
        self.modified.contains(&frame)
    }

    /// The pages asked for are written.
    fn write_back(&mut self) {
        for frame in std::mem::take(&mut self.laundered) {
            self.modified.remove(&frame);
        }
    }

    fn gone(&mut self, frame: u64) {
        self.known.remove(&frame);
        self.referenced.remove(&frame);
        self.modified.remove(&frame);
        self.laundered.retain(|&asked| asked != frame);
    }
}

impl Pages for Shown {
    fn probe(&mut self, frame: Pfn) -> Probe {
        match self.take(frame.0) {
            None => Probe::Busy,
            Some(true) => Probe::Referenced,
            Some(false) => Probe::Unreferenced,
        }
    }

    fn modified(&mut self, frame: Pfn) -> bool {
        assert!(self.known.contains(&frame.0), "frame {frame} is not known");
        self.is_modified(frame.0)
    }

    fn launder(&mut self, frame: Pfn) {
        assert!(self.known.contains(&frame.0), "frame {frame} is not known");
        self.laundered.push(frame.0);
    }
}

/// What happens to the machine.
#[derive(Clone, Debug)]
pub enum Op {
    /// A load from a page, or a store to it.
    Use {
        page: u64,
        store: bool,
    },
    /// The owner frees a page.
    Free(u64),
    /// A victim is chosen and its eviction fails, or the page daemon is ahead of need.
    Reclaim {
        fails: bool,
    },
    /// What the policy gives up by itself goes.
    Trim,
    Tick,
    Pin(u64),
    Unpin,
    /// The writes that were asked for are done.
    WriteBack,
}

/// Sequences of mostly references to `pages` pages in `frames` frames.
pub fn ops(pages: u64, frames: u64) -> impl Strategy<Value = Vec<Op>> {
    let near = (1..=pages).prop_flat_map(|end| 1..=end);
    let op = prop_oneof![
        40 => (near, any::<bool>()).prop_map(|(page, store)| Op::Use { page, store }),
        1 => (1..=pages).prop_map(Op::Free),
        2 => any::<bool>().prop_map(|fails| Op::Reclaim { fails }),
        1 => Just(Op::Trim),
        3 => Just(Op::Tick),
        1 => (0..frames).prop_map(Op::Pin),
        1 => Just(Op::Unpin),
        2 => Just(Op::WriteBack),
    ];
    prop::collection::vec(op, 1..400)
}

/// The machine: a policy and its model, with the pages that their common decisions leave resident.
pub struct Machine<M> {
    policy: Box<dyn Policy>,
    model: M,
    shown: [Shown; 2],
    resident: Vec<Option<u64>>,
    now: u64,
    /// A harvest after every reference: the policy sees them all.
    ideal: bool,
    pub faults: u64,
}

impl Machine<()> {
    /// A machine in which the policy sees every reference, as papers have it, and decides alone.
    pub fn ideal(policy: Box<dyn Policy>, frames: u64) -> Self {
        Self { ideal: true, ..Self::new(policy, (), frames) }
    }
}

impl<M: Model> Machine<M> {
    pub fn new(policy: Box<dyn Policy>, model: M, frames: u64) -> Self {
        let resident = vec![None; frames as usize];
        let shown = [Shown::default(), Shown::default()];
        Self { policy, model, shown, resident, now: 0, ideal: false, faults: 0 }
    }

    pub fn run(&mut self, ops: &[Op]) {
        for op in ops {
            self.step(op);
            let known: BTreeSet<u64> = self.frames().collect();
            assert_eq!(self.policy.len(), known.len());
            assert!(
                (0..self.resident.len() as u64)
                    .all(|frame| self.policy.contains(Pfn(frame)) == known.contains(&frame))
            );
        }
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Use { page, store } => self.reference(page, store),
            Op::Free(page) => {
                if let Some(frame) = self.frame(page) {
                    self.resident[frame as usize] = None;
                    self.policy.remove(Pfn(frame));
                    self.model.remove(frame);
                    self.shown.iter_mut().for_each(|shown| shown.gone(frame));
                }
            }
            Op::Reclaim { fails } => {
                if let Some(frame) = self.victim()
                    && !fails
                {
                    self.evict(frame);
                }
            }
            Op::Trim => self.trim(),
            Op::Tick => self.tick(),
            Op::Pin(frame) => self.shown.iter_mut().for_each(|shown| {
                shown.busy.insert(frame);
            }),
            Op::Unpin => self.shown.iter_mut().for_each(|shown| shown.busy.clear()),
            Op::WriteBack => self.shown.iter_mut().for_each(Shown::write_back),
        }
    }

    /// The program uses a page; where it is not resident, it is loaded, if a frame is to be had.
    pub fn reference(&mut self, page: u64, store: bool) {
        self.now += 1;
        self.policy.set_time(self.now);
        self.model.set_time(self.now);
        let frame = match self.frame(page) {
            Some(frame) => frame,
            None => match self.load(page) {
                Some(frame) => frame,
                None => return,
            },
        };
        for shown in &mut self.shown {
            shown.referenced.insert(frame);
            if store {
                shown.modified.insert(frame);
            }
        }
        if self.ideal {
            self.tick();
        }
    }

    /// What the policy gives up by itself goes.
    pub fn trim(&mut self) {
        while let Some(frame) = self.surplus() {
            self.evict(frame);
        }
    }

    /// The pages that are resident.
    pub fn pages(&self) -> BTreeSet<u64> {
        self.resident.iter().copied().flatten().collect()
    }

    fn load(&mut self, page: u64) -> Option<u64> {
        self.faults += 1;
        let free = self.resident.iter().position(Option::is_none);
        let frame = match free {
            Some(frame) => frame as u64,
            None => {
                let frame = self.victim()?;
                self.evict(frame);
                frame
            }
        };
        let kind = [PageKind::Anon, PageKind::File, PageKind::Text][(page % 3) as usize];
        let told = Page { id: PageId(page), kind };
        self.resident[frame as usize] = Some(page);
        self.shown.iter_mut().for_each(|shown| {
            shown.known.insert(frame);
        });
        self.policy.insert_page(Pfn(frame), told);
        self.model.insert(frame, told);
        Some(frame)
    }

    fn tick(&mut self) {
        self.policy.tick(&mut self.shown[0]);
        self.model.tick(&mut self.shown[1]);
        self.agree();
    }

    fn victim(&mut self) -> Option<u64> {
        let chosen = self.policy.victim(&mut self.shown[0]).map(|frame| frame.0);
        if self.model.decides() {
            let expected = self.model.victim(&mut self.shown[1]);
            assert_eq!(chosen, expected, "the model differs from {:#?}", self.policy);
            self.agree();
        }
        let idle = self.frames().any(|frame| !self.shown[0].busy.contains(&frame));
        assert_eq!(chosen.is_some(), idle, "{:#?}", self.policy);
        self.check(chosen)
    }

    fn surplus(&mut self) -> Option<u64> {
        let chosen = self.policy.surplus(&mut self.shown[0]).map(|frame| frame.0);
        if self.model.decides() {
            let expected = self.model.surplus(&mut self.shown[1]);
            assert_eq!(chosen, expected, "the model differs from {:#?}", self.policy);
            self.agree();
        }
        self.check(chosen)
    }

    fn check(&self, chosen: Option<u64>) -> Option<u64> {
        if let Some(frame) = chosen {
            assert!(self.policy.contains(Pfn(frame)), "a victim stays known");
            assert!(!self.shown[0].busy.contains(&frame), "a busy frame was chosen");
        }
        chosen
    }

    fn evict(&mut self, frame: u64) {
        self.resident[frame as usize] = None;
        self.policy.evict(Pfn(frame));
        self.model.evict(frame);
        self.shown.iter_mut().for_each(|shown| shown.gone(frame));
    }

    fn agree(&self) {
        assert_eq!(self.shown[0].laundered, self.shown[1].laundered, "laundered");
    }

    fn frame(&self, page: u64) -> Option<u64> {
        self.resident.iter().position(|&held| held == Some(page)).map(|frame| frame as u64)
    }

    fn frames(&self) -> impl Iterator<Item = u64> {
        (0..).zip(&self.resident).filter(|(_, held)| held.is_some()).map(|(frame, _)| frame)
    }
}

/// A reference string with a hot set and the rest, from a multiplicative generator.
pub fn string(len: usize, pages: u64) -> Vec<u64> {
    let mut state = 1u64;
    let draws = std::iter::from_fn(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some(state >> 33)
    });
    let page = |draw: u64| if draw & 1 == 0 { draw / 2 % (pages / 8) } else { draw / 2 % pages };
    draws.map(|draw| 1 + page(draw)).take(len).collect()
}
