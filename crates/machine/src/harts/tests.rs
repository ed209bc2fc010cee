//! Several spaces and several harts on one memory: nobody ever sees a stale translation.
//!
//! A kernel and a [`Memory`] are driven by hand: harts take turns, load this or that space, read
//! and write pages through the fast path and the slow one, while pages are unmapped, protected,
//! given back and swapped out. A map of what each space last stored knows every value that a load
//! must give; after each step [`Kernel::audit`](pagewalk_kernel::Kernel::audit) compares what every
//! hart's TLB and walk cache hold with the page tables.

use std::collections::BTreeMap;

use pagewalk_cpu::{AccessKind, Bus, MemFault, RefTime};
use pagewalk_kernel::{
    Advice, Config as KernelConfig, FaultResult, Layout, MapRequest, Placement, Prot, SpaceId,
};
use pagewalk_linux::Files;
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{VirtAddr, WalkCacheConfig};

use super::*;
use crate::CostModel;
use crate::config::SwapConfig;
use crate::device_queue::DeviceQueues;
use crate::hardware::Hardware;
use crate::listener::Listener;
use crate::os::PagedKernel;
use crate::platform::MachinePlatform;
use crate::ram::Ram;
use crate::swap_devices::SwapDevices;
use crate::time::Time;

/// Where each space has its pages, and how many.
const DONTNEED: Advice = Advice::DontNeed { locked: false };
const START: u64 = 0x10_0000;
const PAGES: u64 = 24;
const FRAMES: u64 = 64;
const RW: Prot = Prot::READ.union(Prot::WRITE);

/// A machine without programs.
struct Rig {
    memory: Memory,
    kernel: PagedKernel,
    swap: SwapDevices,
    queues: DeviceQueues,
    files: Files,
    listener: Listener,
    spaces: Vec<SpaceId>,
    /// What runs on each hart, by its place in `spaces`.
    running: Vec<Option<usize>>,
    retired: Vec<u64>,
    /// What was stored last, by space and page; absent: zero.
    stored: BTreeMap<(usize, u64), u64>,
    page: u64,
}

impl Rig {
    fn new(mmu: &str, tlb: &str, walk_cache: Option<&str>, harts: u32, spaces: usize) -> Self {
        let page = Hardware::by_name(mmu, 1 << 20).expect("a known MMU").base_page();
        let hardware = Hardware::by_name(mmu, FRAMES * page.bytes()).expect("a known MMU");
        let tables = *hardware.tables().expect("a machine with pages");
        let tlb = match tlb {
            "none" => None,
            "own" => Some(hardware.default_tlb()),
            spec => Some(TlbConfig::parse(spec).expect("a TLB")),
        };
        let mut memory = Memory::new(
            Ram::new(FRAMES, page),
            tables,
            tlb,
            false,
            Time::new(CostModel::default()),
        );
        if let Some(spec) = walk_cache {
            let config = WalkCacheConfig::parse(spec).expect("a walk cache");
            memory = memory.with_walk_cache(config).expect("one for these tables");
        }
        let swap = [SwapConfig::temporary(512 * page.bytes())];
        let swap = SwapDevices::open(&swap, page, &CostModel::default());
        let swap = swap.expect("a temporary file");
        let config =
            KernelConfig { frames: FRAMES, swap_slots: swap.slots(), ..Default::default() };
        let mut rig = Self {
            memory: memory.with_harts(harts),
            kernel: PagedKernel::new(tables, config).expect("enough RAM"),
            swap,
            queues: DeviceQueues::default(),
            files: Files::default(),
            listener: Listener::default(),
            spaces: Vec::new(),
            running: vec![None; harts as usize],
            retired: vec![0; harts as usize],
            stored: BTreeMap::new(),
            page: page.bytes(),
        };
        for _ in 0..spaces {
            rig.add_space();
        }
        rig
    }

    fn kernel<R>(
        &mut self,
        call: impl FnOnce(&mut PagedKernel, &mut MachinePlatform<'_>) -> R,
    ) -> R {
        let mut platform = MachinePlatform {
            memory: &mut self.memory,
            swap: &mut self.swap,
            queues: &mut self.queues,
            files: &self.files,
            listener: &mut self.listener,
        };
        call(&mut self.kernel, &mut platform)
    }

    fn layout(&self) -> Layout {
        Layout {
            user_start: VirtAddr(self.page),
            user_end: VirtAddr(START + 1024 * self.page),
            mmap_base: VirtAddr(START + 512 * self.page),
            stack_top: VirtAddr(START + 1000 * self.page),
            stack_limit: 16 * self.page,
        }
    }

    fn add_space(&mut self) {
        let layout = self.layout();
        let space = self.kernel(|kernel, platform| kernel.create_space(platform, layout));
        self.spaces.push(space.expect("enough memory"));
        self.map(self.spaces.len() - 1, 0, PAGES, RW);
        self.enter(self.spaces.len() - 1);
    }

    fn map(&mut self, space: usize, first: u64, pages: u64, prot: Prot) {
        let at = VirtAddr(START + first * self.page);
        let request = MapRequest {
            place: Placement::Fixed(at),
            ..MapRequest::anonymous(pages * self.page, prot)
        };
        let id = self.spaces[space];
        self.kernel(|kernel, platform| kernel.mmap(platform, id, request)).expect("room");
        self.forget(space, first, pages);
    }

    /// The pages of a space are zero again.
    fn forget(&mut self, space: usize, first: u64, pages: u64) {
        (first..first + pages).for_each(|page| _ = self.stored.remove(&(space, page)));
    }

    fn enter(&mut self, space: usize) {
        let id = self.spaces[space];
        let (asid, root) = (self.kernel.asid(id), self.kernel.root(id));
        self.memory.load_root(asid, root).expect("a well-formed root");
        let hart = self.memory.hart() as usize;
        self.running[hart] = Some(space);
    }

    /// Tries an access of the hart that runs until it is done, or refused.
    fn access<R>(
        &mut self,
        space: usize,
        mut access: impl FnMut(&mut Memory, RefTime) -> Result<R, MemFault>,
    ) -> Option<R> {
        for _ in 0..4 {
            let retired = &mut self.retired[self.memory.hart() as usize];
            *retired += 1;
            let fault = match access(&mut self.memory, RefTime::data(*retired)) {
                Ok(done) => return Some(done),
                Err(fault) => fault,
            };
            let kind = match fault.kind {
                AccessKind::Fetch => pagewalk_mmu::AccessKind::Execute,
                AccessKind::Load => pagewalk_mmu::AccessKind::Read,
                AccessKind::Store => pagewalk_mmu::AccessKind::Write,
            };
            let id = self.spaces[space];
            let result = self.kernel(|kernel, p| kernel.fault(p, id, VirtAddr(fault.va), kind));
            match result {
                FaultResult::Resolved { .. } => {}
                FaultResult::Signal { .. } => return None,
                FaultResult::OutOfMemory(shortage) => panic!("out of memory: {shortage}"),
            }
        }
        panic!("an access of space {space} faults without end")
    }

    fn store(&mut self, page: u64, value: u64) -> bool {
        let space = self.running[self.memory.hart() as usize].expect("a space");
        let va = START + page * self.page + 8;
        let done = self.access(space, |memory, now| memory.store(va, value, now)).is_some();
        if done {
            self.stored.insert((space, page), value);
        }
        done
    }

    /// Loads what is in a page, and says whether that was allowed.
    fn load(&mut self, page: u64) -> bool {
        let space = self.running[self.memory.hart() as usize].expect("a space");
        let va = START + page * self.page + 8;
        let Some((found, _)) = self.access(space, |memory, now| memory.load::<u64>(va, now)) else {
            return false;
        };
        let expected = self.stored.get(&(space, page)).copied().unwrap_or(0);
        let hart = self.memory.hart();
        assert_eq!(found, expected, "space {space}, page {page} on hart {hart}");
        true
    }

    fn audit(&mut self) {
        let checked = self.kernel(|kernel, platform| kernel.audit(platform));
        checked.unwrap_or_else(|error| panic!("{error}"));
    }

    fn entries(&self) -> Vec<usize> {
        let count = |hart| {
            let mmu = self.memory.hart_memory(hart).mmu();
            mmu.tlb().map_or(0, |tlb| tlb.entries().count())
        };
        (0..self.memory.harts()).map(count).collect()
    }
}

/// Numbers that look random.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }
}

/// Steps of a run.
const STEPS: u64 = 500;

/// Everything that there is, in random order; an audit after each step.
fn stress(rig: &mut Rig, seed: u64, steps: u64) {
    let mut draw = Draw(seed);
    let spaces = rig.spaces.len();
    for step in 1..=steps {
        let page = draw.below(PAGES);
        let space = draw.below(spaces as u64) as usize;
        let (id, at) = (rig.spaces[space], VirtAddr(START + page * rig.page));
        let bytes = (1 + draw.below(3)).min(PAGES - page) * rig.page;
        let what = draw.below(40);
        let hot = (7..13).contains(&what) && draw.below(2) == 0;
        if hot {
            // Both host pages are there, unless stores are forbidden.
            rig.enter(space);
            rig.store(page, step);
            rig.load(page);
        }
        match what {
            0..=3 => {
                let hart = draw.below(rig.memory.harts().into()) as u32;
                rig.memory.switch_hart(hart);
                if rig.running[hart as usize].is_none() {
                    rig.enter(space);
                }
            }
            4..=6 => rig.enter(space),
            7 => {
                // Pages that are not mapped are skipped, and told of.
                let _told = rig.kernel(|kernel, p| kernel.madvise(p, id, at, bytes, DONTNEED));
                rig.forget(space, page, bytes / rig.page);
            }
            8 => {
                rig.kernel(|kernel, p| kernel.munmap(p, id, at, bytes)).expect("room for regions");
                rig.forget(space, page, bytes / rig.page);
            }
            9 | 10 => rig.map(space, page, bytes / rig.page, RW),
            11 | 12 => {
                // Ends at the first page that is not mapped.
                let prot = if draw.below(2) == 0 { Prot::READ } else { RW };
                let _ended = rig.kernel(|kernel, p| kernel.mprotect(p, id, at, bytes, prot));
            }
            13..=26 => _ = rig.store(page, step),
            _ => _ = rig.load(page),
        }
        if hot {
            rig.load(page);
        }
        rig.kernel(|kernel, p| kernel.daemon(p));
        rig.audit();
    }
    let counters = rig.kernel.counters();
    assert!(counters.pswpout > 0, "no pressure, no test");
}

/// Formats, with TLBs that have tags for all spaces, for some, or for none.
const MACHINES: &[(&str, &str, Option<&str>)] = &[
    ("sv39", "l1=4x4", None),
    ("sv39", "l1=4x4,asid=1", None),
    ("sv48", "l1i=1x4,l1d=2x4,l2=8x4,asid=2", Some("all=8")),
    ("x86-64", "l1i=1x4,l1d=2x4,l2=8x4,untagged", Some("l1=4,l2=2,l3=2")),
    ("x86-64", "none", None),
    ("sv39", "none", Some("all=8")),
    ("pae", "8", None),
    ("ia32", "l1=1x8:plru,software,asid=2", None),
    ("aarch64", "l1=1x16,asid=1", None),
    ("inverted", "l1=4x4,untagged", None),
    ("ppc", "l1=4x4", None),
    ("r3000", "own", None),
];

#[test]
fn harts_that_take_turns_never_see_a_stale_page() {
    for (n, &(mmu, tlb, walk_cache)) in (1..).zip(MACHINES) {
        for harts in [1, 2, 3] {
            let mut rig = Rig::new(mmu, tlb, walk_cache, harts, 5);
            stress(&mut rig, n, STEPS);
            let Shootdowns { sent, received } = rig.memory.shootdowns();
            let expected = harts > 1 && (tlb != "none" || walk_cache.is_some());
            assert_eq!((sent > 0, received >= sent), (expected, true), "{mmu}, {tlb}, {harts}");
        }
    }
}

/// Three pages of each space; back in the first one, their entries are there or they are not.
#[test]
fn what_a_switch_costs_is_what_the_tags_say() {
    // Five spaces, numbered from 1 on, by turns: with one bit 1, 3 and 5 share an identifier.
    for (tlb, flushed_at_switches) in
        [("64", false), ("64,asid=3", false), ("64,asid=1", true), ("64,untagged", true)]
    {
        let tlb = tlb.replace("64", "l1=1x64");
        let mut rig = Rig::new("sv39", &tlb, None, 1, 5);
        let turn = |rig: &mut Rig| {
            for space in 0..5 {
                rig.enter(space);
                for page in 0..3 {
                    assert!(rig.store(page, space as u64 + 1) && rig.load(page));
                }
                rig.audit();
            }
        };
        turn(&mut rig);
        let before = (rig.memory.switches(), rig.memory.mmu_counters().walks.total());
        turn(&mut rig);
        let after = (rig.memory.switches(), rig.memory.mmu_counters().walks.total());
        assert_eq!(after.0.spaces - before.0.spaces, 5, "{tlb}");
        let flushed = after.0.entries_flushed - before.0.entries_flushed;
        let walks = after.1 - before.1;
        assert_eq!((flushed > 0, walks > 0), (flushed_at_switches, flushed_at_switches), "{tlb}");
        if tlb.ends_with("untagged") {
            assert_eq!((flushed, walks), (15, 15));
        }
    }
}

/// Hart 1 runs the space, hart 2 ran it, hart 3 never did.
#[test]
fn a_shoot_down_reaches_who_may_hold_the_space() {
    let mut rig = Rig::new("sv39", "l1=1x64", None, 4, 2);
    for (hart, spaces) in [(2, [0, 1]), (1, [1, 0]), (3, [1, 1]), (0, [0, 0])] {
        rig.memory.switch_hart(hart);
        for space in spaces {
            rig.enter(space);
            assert!(rig.load(0));
        }
    }
    let counts = |rig: &Rig| {
        [0, 1, 2, 3].map(|n| {
            let Shootdowns { sent, received } = rig.memory.hart_memory(n).shootdowns();
            (sent, received)
        })
    };
    let (before, held) = (counts(&rig), rig.entries());
    let id = rig.spaces[0];
    let (at, bytes) = (VirtAddr(START), rig.page);
    rig.kernel(|kernel, p| kernel.madvise(p, id, at, bytes, DONTNEED)).expect("mapped");
    let (after, left) = (counts(&rig), rig.entries());
    let deltas = [0, 1, 2, 3].map(|n| (after[n].0 - before[n].0, after[n].1 - before[n].1));
    assert_eq!(deltas, [(1, 0), (0, 1), (0, 1), (0, 0)]);
    let dropped: Vec<usize> = held.iter().zip(&left).map(|(held, left)| held - left).collect();
    assert_eq!(dropped, [1, 1, 1, 0]);
    rig.audit();
    // Each pays for its own part: the sender, and each of those who were interrupted.
    let cost = rig.memory.time.cost;
    let tlb = |hart| rig.memory.time.parts_of(hart, 0, 0, &rig.memory).tlb;
    let switches = |hart| rig.memory.hart_memory(hart).switches().spaces * cost.root_load;
    let paid = |hart: u32| tlb(hart) - switches(hart);
    let expected =
        |hart: usize| after[hart].0 * cost.shootdown_send + after[hart].1 * cost.shootdown_receive;
    assert_eq!([0, 1, 2, 3].map(paid), [0, 1, 2, 3].map(expected));
}

/// A full flush of a space that a hart does not run any more ends its part in the space.
#[test]
fn a_flushed_hart_is_asked_no_more() {
    let mut rig = Rig::new("sv39", "l1=1x64", None, 2, 2);
    let asid = rig.kernel.asid(rig.spaces[0]);
    rig.memory.switch_hart(1);
    rig.enter(0);
    rig.enter(1);
    rig.memory.switch_hart(0);
    rig.enter(0);
    assert!(rig.memory.hart_memory(1).may_hold(asid));
    rig.memory.flush_asid(asid);
    assert!(!rig.memory.hart_memory(1).may_hold(asid));
    assert!(rig.memory.hart_memory(0).may_hold(asid), "it runs on, and fills its TLB again");
    let asked = rig.memory.shootdowns();
    rig.memory.flush_asid(asid);
    rig.memory.flush_page(asid, VirtAddr(START));
    assert_eq!(rig.memory.shootdowns(), asked);
    rig.memory.switch_hart(1);
    rig.enter(0);
    rig.memory.switch_hart(0);
    rig.memory.flush_page(asid, VirtAddr(START));
    assert_eq!(rig.memory.shootdowns().received, asked.received + 1);
}

/// A space that ended while a hart had its root, and another that got its number.
#[test]
fn a_root_is_loaded_anew_for_the_next_space_of_its_number() {
    for (mmu, hart) in [("sv39", 0), ("pae", 0), ("sv39", 1), ("pae", 1)] {
        let mut rig = Rig::new(mmu, "l1=1x64", None, 2, 1);
        rig.memory.switch_hart(1);
        rig.enter(0);
        assert!(rig.store(0, 7));
        rig.memory.switch_hart(hart);
        let gone = rig.spaces.remove(0);
        let (asid, root) = (rig.kernel.asid(gone), rig.kernel.root(gone));
        assert!(rig.memory.hart_memories().all(|hart| hart.runs(asid, root)));
        rig.kernel(|kernel, p| kernel.destroy_space(p, gone));
        assert!(!rig.memory.hart_memories().any(|hart| hart.runs(asid, root)));
        rig.stored.clear();
        rig.add_space();
        assert_eq!(rig.spaces, [gone]);
        rig.memory.switch_hart(1 - hart);
        rig.enter(0);
        assert!(rig.load(0) && rig.store(0, 8) && rig.load(0));
        rig.audit();
    }
}

/// What passes outside the programs passes for the hart that runs, and its total is what it was.
#[test]
fn each_hart_has_its_own_time() {
    let mut rig = Rig::new("sv39", "l1=1x64", None, 3, 1);
    let outside = |rig: &Rig, hart| rig.memory.time.parts_of(hart, 0, 0, &rig.memory).faults;
    let start: Vec<u64> = (0..3).map(|hart| outside(&rig, hart)).collect();
    for (hart, cycles) in [(0, 5), (2, 7), (1, 11), (2, 13)] {
        rig.memory.switch_hart(hart);
        rig.memory.time.outside.faults += cycles;
    }
    let passed: Vec<u64> = (0..3).map(|hart| outside(&rig, hart) - start[hart as usize]).collect();
    assert_eq!(passed, [5, 11, 20]);
}

/// Code that one hart has decoded, stored to by another.
#[test]
fn code_that_another_hart_changes_is_noticed() {
    let mut rig = Rig::new("sv39", "l1=1x64", None, 2, 1);
    rig.memory.switch_hart(1);
    rig.enter(0);
    assert!(rig.store(0, 1) && rig.store(0, 2), "the second through the fast path");
    rig.memory.switch_hart(0);
    let id = rig.spaces[0];
    let (at, bytes) = (VirtAddr(START), rig.page);
    let prot = RW.union(Prot::EXEC);
    rig.kernel(|kernel, p| kernel.mprotect(p, id, at, bytes, prot)).expect("mapped");
    rig.memory.switch_hart(1);
    assert!(rig.store(0, 3) && rig.store(0, 4));
    rig.memory.switch_hart(0);
    let code = rig.access(0, |memory, now| memory.fetch(START, now)).expect("executable");
    rig.memory.watch_code(code.pa);
    let epochs = [0, 1].map(|hart| {
        rig.memory.switch_hart(hart);
        rig.memory.epoch()
    });
    assert_ne!(epochs[0], epochs[1], "blocks of one hart are not another's");
    assert!(rig.store(0, 5));
    rig.memory.switch_hart(0);
    assert_ne!(rig.memory.epoch(), epochs[0]);
    assert_eq!(rig.memory.take_changed_code().map(|pa| pa / bytes), Some(code.pa / bytes));
}
