//! What is wired is no victim: locked pages, page tables, the kernel's and the machine's own frames,
//! pages under transfer. Every policy is asked for far more memory than it can have, by faults and by
//! direct orders.

mod common;

use common::*;
use pagewalk_kernel::{
    Advice, Config, DeviceWait, KernelMapping, Lock, Mapping, Scope, SpaceId, Use,
};
use pagewalk_mmu::{Pfn, VirtAddr};
use pagewalk_replacement::PolicyKind;

const LOCKED: u64 = 12;

fn frames_of(m: &Machine, space: SpaceId, va: u64, pages: u64) -> Vec<Pfn> {
    let frame = |page| match m.kernel.lookup(&m.mock, space, VirtAddr(va + page * PAGE)) {
        Mapping::Resident(now) => now.pfn,
        other => panic!("page {page} is {other:?}"),
    };
    (0..pages).map(frame).collect()
}

/// Frames that no policy may touch: tables of spaces, of the machine and of the kernel.
fn wired(m: &Machine) -> Vec<Pfn> {
    let is_wired = |pfn: &Pfn| {
        matches!(m.kernel.frame_table().used(*pfn), Use::MachineTable | Use::Table { .. })
    };
    (0..m.kernel.frames().total).map(Pfn).filter(is_wired).collect()
}

/// The frames that events say were evicted, as they write them.
fn evicted(m: &mut Machine) -> Vec<String> {
    let events = std::mem::take(&mut m.mock.events);
    let frame = |event: String| {
        let rest = event.strip_prefix("Evict { pfn: ")?;
        rest.split(", dirty").next().map(str::to_owned)
    };
    events.into_iter().filter_map(frame).collect()
}

fn names(gone: &[String], pfn: Pfn) -> bool {
    gone.contains(&format!("{pfn:?}"))
}

fn try_everything(name: &str, config: Config) {
    let what = format!("{name} {:?} {:?} {:?}", config.policy, config.scope, config.device_wait);
    let mut m = Machine::new(name, config);
    let space = m.space;
    let locked = m.map_anon(LOCKED);
    (0..LOCKED).for_each(|page| m.store(locked + page * PAGE, page as u8 + 1).unwrap());
    m.kernel.mlock(&mut m.mock, space, VirtAddr(locked), LOCKED * PAGE, Lock::Now).unwrap();
    let frames = frames_of(&m, space, locked, LOCKED);
    let own = wired(&m);
    let machine: Vec<Pfn> = own
        .iter()
        .copied()
        .filter(|&pfn| m.kernel.frame_table().used(pfn) == Use::MachineTable)
        .collect();
    m.mock.events.clear();
    // The hog's pages are touched in two orders, and its page tables are many.
    let pages = 2 * config.frames;
    let mut evictions = 0;
    let hog = m.map_anon(pages);
    for step in 0..2 * pages {
        let page = if step < pages { step } else { (step * 37) % pages };
        let before = wired(&m);
        let _short = m.store(hog + page * PAGE, 7);
        let gone = evicted(&mut m);
        evictions += gone.len() as u64;
        assert!(!frames.iter().any(|&pfn| names(&gone, pfn)), "{what}: a locked page: {gone:?}");
        // What was a table and is one still was not evicted in between.
        let tables = wired(&m);
        let both = before.iter().filter(|pfn| tables.contains(pfn));
        let lost: Vec<_> = both.filter(|&&pfn| names(&gone, pfn)).collect();
        assert!(lost.is_empty(), "{what}: a page table: {lost:?}");
        if step % 16 == 0 {
            m.audit();
        }
    }
    assert!(evictions > pages / 2, "{what}: {evictions} evictions were seen");
    // Orders to evict them are refused as well.
    for page in 0..LOCKED {
        let va = VirtAddr(locked + page * PAGE);
        assert_eq!(m.kernel.evict_from(&mut m.mock, space, va), None, "{what}");
        let _refused = m.kernel.madvise(&mut m.mock, space, va, PAGE, Advice::PageOut);
    }
    assert_eq!(frames_of(&m, space, locked, LOCKED), frames, "{what}");
    for pfn in machine {
        assert_eq!(m.kernel.frame_table().used(pfn), Use::MachineTable, "{what}");
    }
    for page in 0..LOCKED {
        assert_eq!(m.load(locked + page * PAGE), Ok(page as u8 + 1), "{what}");
    }
    m.audit();
}

#[test]
fn no_policy_evicts_what_is_wired() {
    for policy in PolicyKind::ALL.into_iter().filter(|policy| !policy.sees_references()) {
        for (scope, device_wait) in [
            (Scope::Global, DeviceWait::Hart),
            (Scope::Global, DeviceWait::Thread),
            (Scope::Process, DeviceWait::Hart),
        ] {
            let frames = frames_min("sv39") + 40;
            let config = Config { frames, policy, scope, device_wait, ..Config::default() };
            try_everything("sv39", config);
        }
    }
}

#[test]
fn no_machine_evicts_its_own_tables() {
    for name in formats() {
        let frames = frames_min(name) + 40;
        try_everything(name, Config { frames, ..Config::default() });
    }
    let kernel = KernelMapping::Shared;
    let frames = frames_min("sv39") + 60;
    try_everything("sv39", Config { frames, kernel, ..Config::default() });
}
