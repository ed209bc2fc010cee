//! The memory management unit: TLB, walker and root register put together.
//!
//! ```text
//!   access ──► L1 ──miss──► L2 ──miss──► walk ──► fault
//!              │            │             │
//!              │ ◄── copy ──┘ ◄── fill ───┘
//!              ▼
//!             allowed by the entry's rights, and dirty if a store?
//!              │ yes              │ no
//!              ▼                  ▼
//!        physical address       drop the entry, walk, fill
//! ```
//!
//! An entry that stands in an access's way is never believed: the access walks, as x86 does before
//! it raises a page fault (Intel SDM vol. 3A, 4.10.4.1). So software may *widen* an entry of a page
//! table (more rights, dirty set) without an invalidation; after it has *narrowed* one (fewer
//! rights, another frame, not present, dirty or accessed cleared), it must invalidate. The user
//! bit narrows whichever way it changes: it gives to user mode what SMEP, SMAP or a clear SUM
//! then take from the supervisor. So do write rights where they take away execution (AArch64).
//!
//! With a TLB that software loads (`TlbConfig::software`, and the R3000's own) nothing walks by
//! itself: there the access ends in an exception, whose handler fills the TLB.
//!
//! Invariants:
//! 1. Only successful walks fill the TLB: a fault is never cached.
//! 2. An entry with a clear dirty bit never serves a store.
//! 3. An entry's rights are judged once, when it is filled, for every access that there can be:
//!    the control bits that a format judges by do not change while an [`Mmu`] lives.

mod counters;
mod software;
mod walks;

pub use counters::{KindCounts, MmuCounters, TlbExceptions};

use crate::r3000::Cp0;
use crate::radix::Root;
use crate::tlb::{Allowed, Globals, Key, Line, Side, Slot, Tlb, TlbConfig, TlbEntry};
use crate::{
    Access, Asid, Fault, FaultCause, PageSize, PhysAddr, Rights, TableMemory, Tables, Translation,
    VirtAddr, WalkCache, WalkCacheConfig, WalkCacheError, WalkObserver,
};
use alloc::boxed::Box;

/// A memory management unit.
#[derive(Clone, Debug)]
pub struct Mmu {
    tables: Tables,
    base_page: PageSize,
    /// In a box, so that the test for it at each hit is one of a pointer: in place, a constant of 64
    /// bits would take a register from the interpreter's loop.
    tlb: Option<Box<Tlb>>,
    /// The R3000's registers and its TLB, which is its only one: `tlb` is `None`.
    cp0: Option<Box<Cp0>>,
    walk_cache: Option<WalkCache>,
    root: Root,
    asid: Asid,
    /// What a page with some rights allows, by the rights' bits (invariant 3).
    allowed: [Allowed; RIGHTS],
    counters: MmuCounters,
}

/// The number of sets of rights.
const RIGHTS: usize = 1 << u8::BITS;

/// A translated access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The physical address.
    pub pa: PhysAddr,
    /// The page's size.
    pub page: PageSize,
    /// Its slot in the first-level TLB of the access's [`Side`]; `None` if there is no TLB, or
    /// none that holds pages of this size.
    pub slot: Option<Slot>,
    /// Who knew.
    pub source: Source,
}

/// Where a translation came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The first-level TLB.
    L1,
    /// The second-level TLB.
    L2,
    /// The page table.
    Walk,
    /// Nobody: the segment is not mapped (R3000: kseg0, kseg1).
    Unmapped,
}

impl Mmu {
    /// An MMU after reset: root at physical address 0, address space 0. Without a TLB every access
    /// walks. The R3000's page table with [`Cp0::tlb_config`] makes an R3000.
    pub fn new(tables: Tables, tlb: Option<TlbConfig>) -> Self {
        let base_page = tables.base_page();
        let cp0 = software::is_r3000(&tables, tlb.as_ref()).then(Box::default);
        let tlb = tlb.filter(|_| cp0.is_none());
        Self {
            tables,
            base_page,
            tlb: tlb.map(|config| Box::new(Tlb::new(config, base_page))),
            cp0,
            walk_cache: None,
            root: Root { table: PhysAddr(0), upper: None, registers: None },
            asid: Asid(0),
            allowed: core::array::from_fn(|bits| {
                let rights = Rights::from_bits_retain(bits as u8);
                Allowed::judged(|access| tables.permit(rights, access).is_ok())
            }),
            counters: MmuCounters::default(),
        }
    }

    /// The same MMU with an empty walk cache, tagged as the TLB is.
    ///
    /// # Errors
    /// If the page tables have no pointers of the levels that it is for.
    pub fn with_walk_cache(self, config: WalkCacheConfig) -> Result<Self, WalkCacheError> {
        let asid_mask = self.tlb.as_ref().map_or(u16::MAX, |tlb| tlb.config().asid_mask());
        let cache = WalkCache::new(config, &self.tables, asid_mask)?;
        Ok(Self { walk_cache: Some(cache), ..self })
    }

    /// Translates `va` for `access` at time `now`, which grows with every reference in program
    /// order.
    ///
    /// # Errors
    /// The fault that the processor raises.
    #[inline]
    pub fn translate<M: TableMemory + ?Sized>(
        &mut self,
        memory: &mut M,
        va: VirtAddr,
        access: Access,
        now: u64,
    ) -> Result<Hit, Fault> {
        self.translate_observed(memory, va, access, now, &mut ())
    }

    /// [`Mmu::translate`], with each reference of the walk, if there is one, shown to `observer`.
    ///
    /// # Errors
    /// The fault that the processor raises.
    #[inline]
    pub fn translate_observed<M: TableMemory + ?Sized, O: WalkObserver>(
        &mut self,
        memory: &mut M,
        va: VirtAddr,
        access: Access,
        now: u64,
        observer: &mut O,
    ) -> Result<Hit, Fault> {
        if let Some(tlb) = &mut self.tlb
            && let Some((slot, key, line)) = tlb.reference_hinted(va, self.asid, access, now)
        {
            let pa = line.translate(va);
            return Ok(Hit { pa, page: key.page(), slot: Some(slot), source: Source::L1 });
        }
        self.translate_unhinted(memory, va, access, now, observer)
    }

    /// Loads the root register: the walker's tables and the address space from now on. An untagged
    /// TLB loses all entries that are not global; a tagged one keeps everything, and whoever gives
    /// an ASID to another address space invalidates it.
    ///
    /// # Errors
    /// The cause, if the format refuses the root; the MMU is unchanged then.
    pub fn load_root<M: TableMemory + ?Sized>(
        &mut self,
        asid: Asid,
        table: PhysAddr,
        memory: &M,
    ) -> Result<(), FaultCause> {
        let root = self.tables.load_root(memory, table)?;
        self.root = Root { upper: self.root.upper, ..root };
        self.asid = asid;
        self.counters.root_loads += 1;
        if let Some(cp0) = &mut self.cp0 {
            software::enter_space(cp0, asid);
        }
        if self.tlb.as_ref().is_some_and(|tlb| !tlb.config().is_tagged()) {
            self.flush_non_global();
        }
        Ok(())
    }

    /// Loads the base register of the upper half, where the format has one (AArch64 TTBR1_EL1);
    /// it stays when [`Mmu::load_root`] loads the other.
    ///
    /// # Errors
    /// The cause, if the format refuses the address; the MMU is unchanged then.
    pub fn load_upper_root<M: TableMemory + ?Sized>(
        &mut self,
        table: PhysAddr,
        memory: &M,
    ) -> Result<(), FaultCause> {
        self.root.upper = Some(self.tables.load_root(memory, table)?.table);
        Ok(())
    }

    /// Invalidates everything.
    pub fn flush_all(&mut self) {
        self.counters.flushes_all += 1;
        self.flush(Tlb::flush_all, |_| true);
        self.flush_walk_cache(None);
    }

    /// Invalidates all entries that are not global.
    pub fn flush_non_global(&mut self) {
        self.counters.flushes_non_global += 1;
        self.flush(Tlb::flush_non_global, |entry| !entry.global);
        self.flush_walk_cache(None);
    }

    /// Invalidates an address space, except for global entries.
    pub fn flush_asid(&mut self, asid: Asid) {
        self.counters.flushes_asid += 1;
        self.flush(
            |tlb| tlb.flush_asid(asid),
            |entry| !entry.global && entry.asid == software::identifier(asid),
        );
        self.flush_walk_cache(Some(asid));
    }

    /// Invalidates the page that holds `va`, of whatever size, in one address space or (`None`) in
    /// all.
    pub fn flush_page(&mut self, va: VirtAddr, asid: Option<Asid>, globals: Globals) {
        let vpn = va.vpn(self.base_page);
        self.counters.flushes_page += 1;
        self.flush(
            |tlb| tlb.flush_page(vpn, asid, globals),
            |entry| entry.vpn == vpn && entry.is_covered(asid.map(software::identifier), globals),
        );
        self.flush_walk_cache(asid);
    }

    /// The root in force.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// The address space in force.
    pub const fn asid(&self) -> Asid {
        self.asid
    }

    /// The page tables.
    pub const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The TLB, if there is one.
    pub fn tlb(&self) -> Option<&Tlb> {
        self.tlb.as_deref().or_else(|| self.cp0.as_deref().map(Cp0::tlb))
    }

    /// The stamps of the first level of `side` ([`Tlb::stamps_mut`]), if anything reads them: the
    /// R3000's TLB has victims named by Random, whatever was used last.
    #[inline(always)]
    pub fn stamps_mut(&mut self, side: Side) -> Option<&mut [u64]> {
        self.tlb.as_mut().map(|tlb| tlb.stamps_mut(side))
    }

    /// The TLB, to take what was dropped.
    #[inline]
    pub fn tlb_mut(&mut self) -> Option<&mut Tlb> {
        match &mut self.tlb {
            Some(tlb) => Some(tlb),
            None => self.cp0.as_deref_mut().map(Cp0::tlb_mut),
        }
    }

    /// What was done so far.
    pub const fn counters(&self) -> &MmuCounters {
        &self.counters
    }
}

impl Mmu {
    /// A translation where there is no TLB, or none but the R3000's.
    fn translate_without_tlb<M: TableMemory + ?Sized, O: WalkObserver>(
        &mut self,
        memory: &mut M,
        va: VirtAddr,
        access: Access,
        now: u64,
        observer: &mut O,
    ) -> Result<Hit, Fault> {
        if self.cp0.is_some() {
            return self.translate_r3000(va, access, now);
        }
        let found = self.walk(memory, va, access, now, observer)?;
        Ok(Hit { pa: found.pa, page: found.page, slot: None, source: Source::Walk })
    }

    /// A translation of which the TLB had no hint.
    #[inline(never)]
    fn translate_unhinted<M: TableMemory + ?Sized, O: WalkObserver>(
        &mut self,
        memory: &mut M,
        va: VirtAddr,
        access: Access,
        now: u64,
        observer: &mut O,
    ) -> Result<Hit, Fault> {
        let Some(tlb) = &mut self.tlb else {
            return self.translate_without_tlb(memory, va, access, now, observer);
        };
        let side = Side::of(access.kind);
        // An access that faulted is made again.
        if tlb.is_noted_absent(side, va, self.asid) {
            self.counters.l1_misses.count(access.kind);
            return self.translate_unheld(memory, va, access, now, Answer::Absent, observer);
        }
        match tlb.reference_l1(side, va, self.asid, now) {
            Some((slot, key, line)) if line.allowed.contains(access) => {
                let pa = line.translate(va);
                Ok(Hit { pa, page: key.page(), slot: Some(slot), source: Source::L1 })
            }
            found => {
                let refusing = found.map(|(_, _, line)| line);
                self.translate_after_l1(memory, va, access, now, refusing, observer)
            }
        }
    }

    /// The rest of a translation with a TLB whose first level has no entry, or one that is
    /// `refusing` this access.
    fn translate_after_l1<M: TableMemory + ?Sized, O: WalkObserver>(
        &mut self,
        memory: &mut M,
        va: VirtAddr,
        access: Access,
        now: u64,
        refusing: Option<Line>,
        observer: &mut O,
    ) -> Result<Hit, Fault> {
        self.counters.l1_misses.count(access.kind);
        let answer = match refusing {
            Some(line) => Answer::Refused(line),
            None => self.ask_l2(va, access, now),
        };
        if let Answer::Usable(slot, key, line) = answer {
            self.counters.l2_hits.count(access.kind);
            return Ok(Hit { pa: line.translate(va), page: key.page(), slot, source: Source::L2 });
        }
        self.translate_unheld(memory, va, access, now, answer, observer)
    }

    /// The rest of a translation with a TLB that has no entry, or one that refuses this access.
    fn translate_unheld<M: TableMemory + ?Sized, O: WalkObserver>(
        &mut self,
        memory: &mut M,
        va: VirtAddr,
        access: Access,
        now: u64,
        answer: Answer,
        observer: &mut O,
    ) -> Result<Hit, Fault> {
        let side = Side::of(access.kind);
        if let Some(tlb) = &mut self.tlb {
            if tlb.config().l2.is_some() {
                self.counters.l2_misses.count(access.kind);
            }
            if tlb.config().software {
                return Err(self.tlb_exception(va, access, answer.refusing()));
            }
            if let Answer::Refused(_) = answer {
                self.counters.rewalks += 1;
                tlb.drop_found(side, va.vpn(self.base_page), self.asid);
            }
        }
        let found = match self.walk(memory, va, access, now, observer) {
            Ok(found) => found,
            Err(fault) => {
                if let Some(tlb) = &mut self.tlb {
                    // An entry that refused was dropped.
                    tlb.note_absent(side, va, self.asid);
                }
                return Err(fault);
            }
        };
        let entry = self.entry(va, &found);
        let slot = self.tlb.as_mut().and_then(|tlb| tlb.fill(side, entry, now));
        Ok(Hit { pa: found.pa, page: found.page, slot, source: Source::Walk })
    }

    /// Asks the second level; an entry that the access may use is copied into the first.
    #[inline]
    fn ask_l2(&mut self, va: VirtAddr, access: Access, now: u64) -> Answer {
        let Some(tlb) = &mut self.tlb else { return Answer::Absent };
        let side = Side::of(access.kind);
        match tlb.reference_l2(side, va, self.asid, now) {
            Some((key, line)) if line.allowed.contains(access) => {
                Answer::Usable(tlb.copy_to_l1(side, key, line, now), key, line)
            }
            Some((_, line)) => Answer::Refused(line),
            None => Answer::Absent,
        }
    }

    /// The entry that the TLB holds of a walk's result (invariants 2 and 3).
    fn entry(&self, va: VirtAddr, found: &Translation) -> TlbEntry {
        let allowed = self.allowed[usize::from(found.rights.bits())];
        TlbEntry {
            vpn: va.page_base(found.page).vpn(self.base_page),
            page: found.page,
            asid: self.asid,
            global: found.global,
            pfn: found.pfn,
            rights: found.rights,
            dirty: found.dirty,
            allowed: if found.dirty { allowed } else { allowed.without_stores() },
        }
    }

    /// Flushes the TLB. The R3000 has no such instruction: its entries that are `covered` are
    /// overwritten.
    fn flush(&mut self, flush: impl FnOnce(&mut Tlb) -> u64, covered: impl Fn(&TlbEntry) -> bool) {
        if let Some(tlb) = &mut self.tlb {
            self.counters.entries_flushed += flush(tlb);
        }
        if let Some(cp0) = &mut self.cp0 {
            self.counters.entries_flushed += cp0.invalidate(covered);
        }
    }

    /// Drops what the walk cache holds for a space, or (`None`) for all.
    fn flush_walk_cache(&mut self, asid: Option<Asid>) {
        if let Some(cache) = &mut self.walk_cache {
            cache.flush(asid);
        }
    }
}

/// What the second level says.
enum Answer {
    /// The first-level slot that now has the entry, if any, and the entry.
    Usable(Option<Slot>, Key, Line),
    /// There is an entry, but the access may not use it.
    Refused(Line),
    Absent,
}

impl Answer {
    const fn refusing(&self) -> Option<Line> {
        match self {
            Self::Refused(line) => Some(*line),
            _ => None,
        }
    }
}
