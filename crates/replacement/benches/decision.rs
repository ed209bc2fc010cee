//! What a replacement costs at a million frames: a victim, its eviction, and the load of another
//! page, with eight references for each and a tick every 262,144 replacements.
//!
//! References are made by the hardware, and not measured: 256 replacements follow 2,048 of them. The
//! time is the thread's on its processor, so that a busy machine shows in it as little as can be.
//!
//! Half of the pages loaded were evicted a while ago. A quarter of the pages are modified; what is
//! asked to be laundered is clean at once. Virtual time is the number of references.
//!
//! `none` is what the machine itself costs: no policy, and victims that are all over memory. It is
//! part of every other figure.
//!
//! `cargo bench -p pagewalk-replacement --bench decision`
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pagewalk_mmu::Pfn;
use pagewalk_replacement::{Page, PageId, PageKind, Pages, Policy, PolicyKind, Probe};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

const FRAMES: u64 = 1 << 20;
const TICK: u64 = FRAMES / 4;
const REFERENCES: u64 = 8;
const BATCH: u64 = 256;
/// Odd, so that it goes through all frames.
const STRIDE: u64 = 647_127;

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
    fn new(policy: Box<dyn Policy>) -> Self {
        let bits = Bits {
            referenced: vec![false; FRAMES as usize],
            modified: vec![false; FRAMES as usize],
        };
        let mut machine = Self { policy, bits, decisions: 0, state: 1 };
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

    /// What the programs do between a batch of replacements and the next.
    fn refer(&mut self) {
        for _ in 0..REFERENCES * BATCH {
            // Small frame numbers are the hot ones.
            let draw = self.draw();
            let end = FRAMES >> (draw % 8);
            let frame = self.draw() % end;
            self.bits.referenced[frame as usize] = true;
        }
    }

    fn replace(&mut self) {
        self.decisions += 1;
        self.policy.set_time(self.decisions * REFERENCES);
        if self.decisions.is_multiple_of(TICK) {
            self.policy.tick(&mut self.bits);
        }
        let victim = self.policy.victim(&mut self.bits).expect("no frame is busy");
        self.policy.evict(black_box(victim));
        let new = FRAMES + self.decisions;
        let name = if self.decisions.is_multiple_of(2) { new } else { new - new / 3 };
        self.load(victim, name);
    }

    /// The time that so many batches of replacements take.
    fn batches(&mut self, count: u64) -> Duration {
        let mut taken = Duration::ZERO;
        for _ in 0..count {
            self.refer();
            let start = on_processor();
            (0..BATCH).for_each(|_| self.replace());
            taken += on_processor() - start;
        }
        taken
    }
}

/// How long this thread has been on a processor.
fn on_processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// No policy: looks at one page, and takes it.
#[derive(Clone, Debug)]
struct Nothing(u64);

impl Policy for Nothing {
    fn insert(&mut self, _: Pfn) {}

    fn remove(&mut self, _: Pfn) {}

    fn victim(&mut self, pages: &mut dyn Pages) -> Option<Pfn> {
        self.0 = (self.0 + STRIDE) % FRAMES;
        pages.probe(Pfn(self.0));
        pages.modified(Pfn(self.0));
        Some(Pfn(self.0))
    }

    fn contains(&self, frame: Pfn) -> bool {
        frame.0 < FRAMES
    }

    fn len(&self) -> usize {
        FRAMES as usize
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }
}

fn decision(c: &mut Criterion) {
    let mut group = c.benchmark_group("decision");
    let nothing: (&str, Box<dyn Policy>) = ("none", Box::new(Nothing(0)));
    let kinds = PolicyKind::ALL.map(|kind| (kind.name(), kind.build(FRAMES, 1)));
    for (name, policy) in std::iter::once(nothing).chain(kinds) {
        let mut machine = Machine::new(policy);
        // Past the first turns, in which everything is as it was loaded.
        let _warm = machine.batches(2 * FRAMES / BATCH);
        group.throughput(Throughput::Elements(BATCH));
        group.bench_function(name, |b| b.iter_custom(|count| machine.batches(count)));
    }
    group.finish();
}

criterion_group!(benches, decision);
criterion_main!(benches);
