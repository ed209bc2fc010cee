//! What a replacement costs at a million frames: a victim, its eviction, and the load of another
//! page, with eight references in between and a tick every 262,144 replacements.
//!
//! Half of the pages loaded were evicted a while ago. A quarter of the pages are modified; what is
//! asked to be laundered is clean at once. Virtual time is the number of references.
//!
//! `cargo bench -p pagewalk-replacement --bench decision`
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use pagewalk_mmu::Pfn;
use pagewalk_replacement::{Page, PageId, PageKind, Pages, Policy, PolicyKind, Probe};
use std::hint::black_box;

const FRAMES: u64 = 1 << 20;
const TICK: u64 = FRAMES / 4;
const REFERENCES: u64 = 8;

#[derive(Default)]
struct Bits {
    referenced: Vec<bool>,
    modified: Vec<bool>,
}

impl Pages for Bits {
    fn probe(&mut self, frame: Pfn) -> Probe {
        match std::mem::take(&mut self.referenced[frame.0 as usize]) {
            true => Probe::Referenced,
            false => Probe::Unreferenced,
        }
    }

    fn modified(&mut self, frame: Pfn) -> bool {
        self.modified[frame.0 as usize]
    }

    fn launder(&mut self, frame: Pfn) {
        self.modified[frame.0 as usize] = false;
    }
}

struct Machine {
    policy: Box<dyn Policy>,
    bits: Bits,
    decisions: u64,
    state: u64,
}

impl Machine {
    fn new(kind: PolicyKind) -> Self {
        let bits = Bits {
            referenced: vec![false; FRAMES as usize],
            modified: vec![false; FRAMES as usize],
        };
        let mut machine = Self { policy: kind.build(FRAMES, 1), bits, decisions: 0, state: 1 };
        (0..FRAMES).for_each(|frame| machine.load(Pfn(frame), frame + 1));
        machine
    }

    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.state >> 33
    }

    fn load(&mut self, frame: Pfn, name: u64) {
        let kind = if name.is_multiple_of(2) { PageKind::Anon } else { PageKind::File };
        self.policy.insert_page(frame, Page { id: PageId(name), kind });
        self.bits.referenced[frame.0 as usize] = true;
        self.bits.modified[frame.0 as usize] = name.is_multiple_of(4);
    }

    fn replace(&mut self) {
        for _ in 0..REFERENCES {
            // Small frame numbers are the hot ones.
            let draw = self.draw();
            let end = FRAMES >> (draw % 8);
            let frame = self.draw() % end;
            self.bits.referenced[frame as usize] = true;
        }
        self.decisions += 1;
        self.policy.set_time(self.decisions * REFERENCES);
        if self.decisions.is_multiple_of(TICK) {
            self.policy.tick(&mut self.bits);
        }
        let victim = self.policy.victim(&mut self.bits).expect("no frame is busy");
        self.policy.evict(victim);
        let new = FRAMES + self.decisions;
        let name = if self.decisions.is_multiple_of(2) { new } else { new - new / 3 };
        self.load(victim, name);
    }
}

fn decision(c: &mut Criterion) {
    let mut group = c.benchmark_group("decision");
    for kind in PolicyKind::ALL {
        let mut machine = Machine::new(kind);
        // Past the first turns, in which everything is as it was loaded.
        (0..2 * FRAMES).for_each(|_| machine.replace());
        group.bench_function(kind.name(), |b| b.iter(|| black_box(machine.replace())));
    }
    group.finish();
}

criterion_group!(benches, decision);
criterion_main!(benches);
