//! The handlers of software-loaded TLBs, on the kernel's own page tables: an access comes out as the
//! tables say, whatever the TLB has held before.

mod common;

use common::*;
use pagewalk_kernel::refill::{self, When};
use pagewalk_kernel::{AsidOwners, Config, FaultResult, MapRequest};
use pagewalk_mmu::r3000::{Cp0, EntryHi, Status, WIRED};
use pagewalk_mmu::radix::R3000;
use pagewalk_mmu::tlb::{Globals, TlbConfig};
use pagewalk_mmu::{
    Access, AccessKind, Asid, Fault, FaultCause, Hit, Level, Mmu, PhysAddr, VirtAddr,
};
use proptest::prelude::*;

/// A kernel's machine with an MMU beside it, whose TLB is filled by the handlers.
struct Machines {
    m: Machine,
    mmu: Mmu,
    asid: Asid,
    instructions: u64,
}

fn machines(name: &str, tlb: TlbConfig) -> Machines {
    let m = Machine::new(name, Config { frames: 2048, swap_slots: 64, ..Config::default() });
    let mut mmu = Mmu::new(m.mock.tables, Some(tlb));
    let asid = m.kernel.asid(m.space);
    mmu.load_root(asid, m.mock.roots[&asid], &m.mock).expect("a loadable root");
    Machines { m, mmu, asid, instructions: 0 }
}

fn r3000() -> Machines {
    machines("r3000", Cp0::tlb_config())
}

impl Machines {
    fn try_access(&mut self, va: u64, kind: AccessKind) -> Result<Hit, Fault> {
        self.instructions += 1;
        let when = When { now: self.instructions << 2, instructions: self.instructions };
        let (va, access) = (VirtAddr(va), Access::user(kind));
        self.mmu
            .translate(&mut self.m.mock, va, access, when.now)
            .or_else(|fault| refill::serve(&mut self.mmu, &mut self.m.mock, &fault, when))
    }

    /// What a walk of the tables says.
    fn walk(&mut self, va: u64, kind: AccessKind) -> Result<PhysAddr, FaultCause> {
        let tables = self.m.mock.tables;
        let root = *self.mmu.root();
        let (va, access) = (VirtAddr(va), Access::user(kind));
        let found = tables.walk_observed(&mut self.m.mock, &root, self.asid, va, access, &mut ());
        found.map(|found| found.pa).map_err(|fault| fault.cause)
    }

    /// An access until it succeeds. The kernel's flushes do not reach this TLB: where it takes
    /// something back, tests flush.
    fn access(&mut self, va: u64, kind: AccessKind) -> PhysAddr {
        for _ in 0..3 {
            match self.try_access(va, kind) {
                Ok(hit) => return hit.pa,
                Err(_) => {
                    let space = self.m.space;
                    let va = VirtAddr(va);
                    let result = self.m.kernel.fault(&mut self.m.mock, space, va, kind);
                    assert!(matches!(result, FaultResult::Resolved { .. }), "{result:?}");
                }
            }
        }
        panic!("{va:#x} is resolved again and again");
    }

    fn flush(&mut self, va: u64) {
        self.mmu.flush_page(VirtAddr(va), Some(self.asid), Globals::Drop);
    }

    fn counts(&self) -> [u64; 5] {
        let e = self.mmu.counters().exceptions;
        [e.refill, e.kernel_refill, e.invalid, e.modified, e.address]
    }
}

#[test]
fn a_refill_takes_two_entries_where_the_table_is_not_mapped_yet() {
    let mut r = r3000();
    let va = r.m.map_anon(3);
    r.m.load(va).unwrap();
    r.m.store(va + PAGE, 1).unwrap();
    let pa = r.access(va, AccessKind::Read);
    assert_eq!(Ok(pa), r.walk(va, AccessKind::Read));
    assert_eq!(r.counts(), [1, 1, 0, 0, 0], "the page, and the table's page");
    assert_eq!(r.mmu.counters().walk_reads, 2);
    r.access(va + PAGE, AccessKind::Write);
    assert_eq!(r.counts(), [2, 1, 0, 0, 0], "its neighbour's entry is in the same page");
    r.access(va, AccessKind::Read);
    assert_eq!(r.counts(), [2, 1, 0, 0, 0]);
    let cp0 = r.mmu.cp0().expect("an R3000");
    assert!(cp0.status().has(Status::KUC), "back in user mode");
    let used = cp0.tlb().entries().filter(|(_, entry)| !entry.rights.is_empty());
    let mut pages: Vec<u64> = used.map(|(_, entry)| entry.vpn.0 << 12).collect();
    pages.sort_unstable();
    let table = u64::from(R3000::PTE_BASE) + (va >> 22 << 12);
    assert_eq!(pages, [va, va + PAGE, table]);
}

#[test]
fn faults_are_told_by_what_the_table_says() {
    let mut r = r3000();
    let space = r.m.space;
    let va = r.m.map_anon(3);
    let fault = r.try_access(va, AccessKind::Read).expect_err("no table");
    assert_eq!((fault.cause, fault.level), (FaultCause::NotPresent, Some(Level(1))));
    r.m.store(va, 1).unwrap();
    let fault = r.try_access(va + PAGE, AccessKind::Write).expect_err("no page");
    assert_eq!((fault.cause, fault.level), (FaultCause::NotPresent, Some(Level(0))));
    r.m.load(va + 2 * PAGE).unwrap();
    let fault = r.try_access(va + 2 * PAGE, AccessKind::Write).expect_err("a clean page");
    assert_eq!(fault.cause, FaultCause::DirtyClear);
    let at = VirtAddr(va);
    for (prot, cause) in [
        (pagewalk_kernel::Prot::READ, FaultCause::Protection),
        (pagewalk_kernel::Prot::empty(), FaultCause::Privilege),
    ] {
        r.m.kernel.mprotect(&mut r.m.mock, space, at, PAGE, prot).unwrap();
        r.flush(va);
        let fault = r.try_access(va, AccessKind::Write).expect_err("not allowed");
        assert_eq!(fault.cause, cause);
    }
    for (va, cause) in [(0x8000_0000, FaultCause::Privilege), (1 << 40, FaultCause::NonCanonical)] {
        let fault = r.try_access(va, AccessKind::Read).expect_err("not the user's");
        assert_eq!(fault.cause, cause);
    }
    let cp0 = r.mmu.cp0().expect("an R3000");
    assert!(cp0.status().has(Status::KUC), "back in user mode");
    assert_eq!(r.mmu.counters().faults, r.mmu.counters().walks.total());
    // No absent page leaves an entry behind: what the kernel does about it is seen at once.
    assert!(cp0.tlb().entries().all(|(_, entry)| entry.vpn.0 >= 0x8_0000
        || entry.vpn.0 == va / PAGE && entry.rights.is_empty()
        || !entry.rights.is_empty()));
}

/// The entry is behind its table: the handler writes it anew, in its place.
#[test]
fn a_modified_exception_is_served_where_the_table_allows_the_store_by_now() {
    let mut r = r3000();
    let va = r.m.map_anon(1);
    r.m.load(va).unwrap();
    r.access(va, AccessKind::Read);
    r.m.store(va, 7).unwrap();
    assert_eq!(r.counts(), [1, 1, 0, 0, 0]);
    let hit = r.try_access(va, AccessKind::Write).expect("the table says modified");
    assert_eq!(Ok(hit.pa), r.walk(va, AccessKind::Write));
    assert_eq!(r.counts(), [1, 1, 0, 1, 0]);
    let cp0 = r.mmu.cp0_mut().expect("an R3000");
    cp0.set_entry_hi(EntryHi::of(VirtAddr(va).vpn(pagewalk_mmu::r3000::PAGE), r.asid));
    cp0.tlbp();
    assert!(!cp0.index().is_miss() && cp0.index().slot() >= WIRED);
}

/// Pages of the table go like any other entry, and come back.
#[test]
fn pages_of_the_table_compete_for_entries() {
    let mut r = r3000();
    let va = r.m.map_anon(60);
    let mut state = 1u64;
    for _ in 0..5000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        r.instructions += state >> 60;
        r.access(va + (state >> 33) % 60 * PAGE, AccessKind::Read);
    }
    let [refill, kernel_refill, ..] = r.counts();
    // One of 56 entries, at each refill.
    assert!((28..112).contains(&(refill / kernel_refill)), "{:?}", r.counts());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// After any history an access gives what a walk gives: the same address, or the same fault.
    #[test]
    fn an_access_comes_out_as_the_tables_say(
        which in 0..4usize,
        steps in prop::collection::vec((0..70u64, 0..6u8, any::<bool>()), 1..300),
    ) {
        let tlb = TlbConfig::parse("l1i=1x4,l1d=2x2:random,l2=4x2,software").unwrap();
        let mut r = match which {
            0 | 1 => r3000(),
            2 => machines(SVADE, tlb),
            _ => machines("x86-64", tlb),
        };
        let va = r.m.map_anon(35);
        // The second half beyond a border of tables.
        let far = r.m.map(MapRequest {
            place: at((va & !0x3f_ffff) - (1 << 24)),
            ..MapRequest::anonymous(35 * PAGE, RW)
        });
        for (page, action, store) in steps {
            let va = if page < 35 { va + page * PAGE } else { far + (page - 35) * PAGE };
            let kind = if store { AccessKind::Write } else { AccessKind::Read };
            match action {
                0 => {
                    let space = r.m.space;
                    let at = VirtAddr(va);
                    r.m.kernel.madvise(&mut r.m.mock, space, at, PAGE, DONTNEED).unwrap();
                    r.flush(va);
                }
                1 => drop(r.m.load(va)),
                2 => _ = r.access(va, kind),
                _ => {
                    let expected = r.walk(va, kind);
                    let found = r.try_access(va, kind);
                    prop_assert_eq!(found.map(|hit| hit.pa).map_err(|f| f.cause), expected);
                }
            }
        }
        let counters = *r.mmu.counters();
        prop_assert_eq!(counters.walks.total(), counters.l1_misses.total() - counters.l2_hits.total());
    }
}

/// Two hundred spaces on six bits: whoever runs sees pages of its own alone.
#[test]
fn identifiers_are_recycled_without_a_leak() {
    let mut r = r3000();
    let mut owners = AsidOwners::new(6);
    let spaces: Vec<_> = (0..200)
        .map(|_| {
            let space = r.m.kernel.create_space(&mut r.m.mock, LAYOUT).expect("enough memory");
            r.m.space = space;
            let va =
                r.m.map(MapRequest { place: at(0x10_0000), ..MapRequest::anonymous(PAGE, RW) });
            r.m.store(va, 1).unwrap();
            space
        })
        .collect();
    let mut state = 1u64;
    let mut recycled = 0;
    for _ in 0..4000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        r.m.space = spaces[(state >> 33) as usize % spaces.len()];
        r.asid = r.m.kernel.asid(r.m.space);
        if owners.take(r.asid).is_some() {
            recycled += 1;
            r.mmu.flush_asid(r.asid);
        }
        r.mmu.load_root(r.asid, r.m.mock.roots[&r.asid], &r.m.mock).expect("a loadable root");
        let pa = r.access(0x10_0000, AccessKind::Write);
        assert_eq!(Ok(pa), r.walk(0x10_0000, AccessKind::Write), "space {}", r.asid);
    }
    assert!(recycled > 1000, "{recycled}");
    assert!(r.mmu.counters().l1_misses.total() < 4000, "some entries were found again");
}
