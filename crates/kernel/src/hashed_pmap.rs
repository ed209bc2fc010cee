//! A page table that is one for the whole machine, as a [`Pmap`].
//!
//! ```text
//!   this space: record                          all spaces: table, in the machine's frames
//!   ┌──────┬──────────────────────────┐         ┌──────────────────────────────────────┐
//!   │ page │ frame, rights            │ ──────► │ asid, page, frame, rights, R, M      │
//!   │ page │ frame, rights  displaced │ ─ ─ ─ ► │   (another's entry is in its place)  │
//!   │ page │ swap slot                │         └──────────────────────────────────────┘
//!   └──────┴──────────────────────────┘
//! ```
//!
//! The table cannot be the only record, as a radix tree is. It has no place for absent pages: the
//! *record* of their slots is what text books call the external page table. It has no order, which
//! "what is mapped from here on" needs. And it may have no place for a page: an inverted table has
//! one entry for a frame that two pages share, a PowerPC has room for sixteen in the two groups of
//! a page. So a space keeps an ordered record of all of its pages (NetBSD's pvo entries, Mach's
//! resident page lists), and the table is a cache of it that hardware can read.
//!
//! A page that is used takes the place of another if need be, which is *displaced*: the fault at its
//! next use puts it back ([`Pmap::refill`]; NetBSD's `pmap_pteg_spill`) and displaces the next.
//!
//! Invariants:
//! 1. An entry of the table says what its space's record says; referenced and modified bits are in
//!    the entry alone.
//! 2. A displaced page is not modified: what its entry said went to the frame table (`dirty`), and
//!    no TLB holds it as dirty. (TLBs may hold it as clean: what it translates to is still right.
//!    So one instruction can use one frame under two names if there is a TLB.) Its referenced bit
//!    is lost.
//! 3. A space takes no table frames of its own.

use crate::audit::AuditError;
use crate::pmap::{Gather, Gathered, TableInUse, Unmapped};
use crate::radix_pmap::{prot_of, rights_of};
use crate::{FlushDebt, FrameTable, Mapping, Platform, Pmap, Prot, Resident, SwapSlot};
use alloc::collections::BTreeMap;
use alloc::format;
use core::fmt::Debug;
use pagewalk_mmu::hashed::{Format, HashedTable, Mapped};
use pagewalk_mmu::radix::Leaf;
use pagewalk_mmu::{Asid, PageSize, Pfn, PhysAddr, Rights, VirtAddr, Vpn};

/// Where the table lies: in the frames from 0 on.
const TABLE: PhysAddr = PhysAddr(0);

/// What backs a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Resident { pfn: Pfn, rights: Rights },
    Swapped(SwapSlot),
}

/// One space's pages in a machine-wide table.
#[derive(Clone, Debug)]
pub struct HashedPmap<H = Format> {
    table: H,
    root: PhysAddr,
    asid: Asid,
    record: BTreeMap<Vpn, Record>,
    /// How many pages were displaced: chooses the next, so that pages which one instruction needs
    /// do not displace each other for ever.
    turn: u64,
}

impl<H: HashedTable + Clone + Debug> HashedPmap<H> {
    fn page_size(&self) -> PageSize {
        self.table.base_page()
    }

    fn vpn(&self, va: VirtAddr) -> Vpn {
        va.vpn(self.page_size())
    }

    fn debt(&self, vpn: Vpn) -> FlushDebt {
        FlushDebt::page(self.asid, vpn.base(self.page_size()), self.page_size())
    }

    fn resident(&self, va: VirtAddr) -> Option<(Pfn, Rights)> {
        match self.record.get(&self.vpn(va)) {
            Some(&Record::Resident { pfn, rights }) => Some((pfn, rights)),
            _ => None,
        }
    }

    fn in_table(&self, platform: &impl Platform, vpn: Vpn) -> Option<Leaf> {
        self.table.find(platform, self.root, self.asid, vpn)
    }

    /// What the record and the table say together.
    fn mapping(&self, platform: &impl Platform, vpn: Vpn, record: Record) -> Mapping {
        match record {
            Record::Swapped(slot) => Mapping::Swapped(slot),
            Record::Resident { pfn, rights } => {
                let entry = self.in_table(platform, vpn);
                Mapping::Resident(resident(pfn, rights, entry))
            }
        }
    }

    /// Enters a page in the table, in the place of others if need be.
    fn install(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        vpn: Vpn,
        leaf: Leaf,
    ) {
        let Self { table, root, asid, turn, .. } = self;
        while table.insert(platform, *root, *asid, vpn, leaf).is_err() {
            let displaced = table
                .make_room(platform, *root, *asid, vpn, leaf.pfn, *turn)
                .expect("a table without room has entries in the way");
            *turn += 1;
            displace(platform, frames, table.base_page(), displaced);
        }
    }

    /// Takes a page out of the table, and says what it was mapped to.
    fn uninstall(
        &self,
        platform: &mut impl Platform,
        vpn: Vpn,
        pfn: Pfn,
        rights: Rights,
    ) -> Resident {
        let entry = self.table.remove(platform, self.root, self.asid, vpn);
        resident(pfn, rights, entry)
    }

    /// Changes the entry of a page, if it has one.
    fn update(
        &self,
        platform: &mut impl Platform,
        vpn: Vpn,
        change: impl FnOnce(&mut Leaf),
    ) -> Option<Leaf> {
        self.table.update(platform, self.root, self.asid, vpn, change)
    }

    fn first_in(&self, from: VirtAddr, to: VirtAddr) -> Option<(Vpn, Record)> {
        let range = self.vpn(from)..self.vpn(to);
        (!range.is_empty()).then(|| self.record.range(range).next())?.map(|(&vpn, &r)| (vpn, r))
    }
}

/// Keeps what must not be lost of an entry that made room.
fn displace(platform: &mut impl Platform, frames: &mut FrameTable, page: PageSize, entry: Mapped) {
    let Mapped { asid, vpn, leaf } = entry;
    if leaf.dirty {
        frames.set_dirty(leaf.pfn, true);
        // The TLB counts it; the kernel counts the flushes that it asks for.
        let _flushed = FlushDebt::page(asid, vpn.base(page), page).discharge(platform);
    }
}

fn resident(pfn: Pfn, rights: Rights, entry: Option<Leaf>) -> Resident {
    let (referenced, modified) = entry.map_or((false, false), |leaf| (leaf.accessed, leaf.dirty));
    Resident { pfn, prot: prot_of(rights), referenced, modified }
}

fn leaf(pfn: Pfn, rights: Rights, accessed: bool, dirty: bool) -> Leaf {
    Leaf { pfn, rights, global: false, accessed, dirty, cache_disable: false, write_through: false }
}

impl<H: HashedTable + Clone + Debug> Pmap for HashedPmap<H> {
    type Hardware = H;

    fn page(hardware: &H) -> PageSize {
        hardware.base_page()
    }

    fn frames_max(hardware: &H) -> u64 {
        hardware.frames_max()
    }

    fn user_end_max(hardware: &H) -> VirtAddr {
        VirtAddr(1 << hardware.va_bits())
    }

    fn slots_max(_: &H) -> u64 {
        1 << 31
    }

    fn machine_tables(hardware: &H) -> u64 {
        hardware.table_bytes().div_ceil(hardware.base_page().bytes())
    }

    fn tables_initial(_: &H) -> u64 {
        0
    }

    fn tables_per_path(_: &H) -> u64 {
        0
    }

    fn create(hardware: &H, platform: &mut impl Platform, _: &mut FrameTable, asid: Asid) -> Self {
        let root = hardware.root(TABLE);
        platform.root_changed(asid, root);
        Self { table: hardware.clone(), root, asid, record: BTreeMap::new(), turn: 0 }
    }

    fn root(&self) -> PhysAddr {
        self.root
    }

    fn tables(&self) -> u64 {
        0
    }

    fn destroy(self, _: &mut impl Platform, _: &mut FrameTable) {
        debug_assert!(self.record.is_empty(), "a space is emptied before it ends");
    }

    fn lookup(&self, platform: &impl Platform, va: VirtAddr) -> Mapping {
        let vpn = self.vpn(va);
        let record = self.record.get(&vpn);
        record.map_or(Mapping::None, |&record| self.mapping(platform, vpn, record))
    }

    fn tables_missing(&self, _: &impl Platform, _: VirtAddr) -> u64 {
        0
    }

    fn refill(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> bool {
        let vpn = self.vpn(va);
        let Some((pfn, rights)) = self.resident(va) else { return false };
        if self.in_table(platform, vpn).is_some() {
            return false;
        }
        self.install(platform, frames, vpn, leaf(pfn, rights, false, false));
        true
    }

    fn enter(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        new: Resident,
    ) {
        let (vpn, pfn) = (self.vpn(va), new.pfn);
        let rights = self.table.granted(rights_of(new.prot));
        let old = self.record.insert(vpn, Record::Resident { pfn, rights });
        debug_assert!(!matches!(old, Some(Record::Resident { .. })), "{va} is mapped");
        let leaf = leaf(pfn, rights, new.referenced, new.modified);
        if new.referenced {
            return self.install(platform, frames, vpn, leaf);
        }
        // Nobody waits for the page (its eviction failed): it displaces no other.
        let full = self.table.insert(platform, self.root, self.asid, vpn, leaf).is_err();
        if full && new.modified {
            frames.set_dirty(pfn, true);
        }
    }

    fn evict(
        &mut self,
        platform: &mut impl Platform,
        _: &mut FrameTable,
        va: VirtAddr,
        slot: Option<SwapSlot>,
    ) -> Option<Unmapped> {
        let vpn = self.vpn(va);
        let (pfn, rights) = self.resident(va)?;
        let was = self.uninstall(platform, vpn, pfn, rights);
        match slot {
            Some(slot) => self.record.insert(vpn, Record::Swapped(slot)),
            None => self.record.remove(&vpn),
        };
        Some(Unmapped::new(self.debt(vpn), was))
    }

    fn take_slot(
        &mut self,
        _: &mut impl Platform,
        _: &mut FrameTable,
        va: VirtAddr,
    ) -> Option<SwapSlot> {
        let vpn = self.vpn(va);
        let Some(&Record::Swapped(slot)) = self.record.get(&vpn) else { return None };
        self.record.remove(&vpn);
        Some(slot)
    }

    fn put_slot(
        &mut self,
        _: &mut impl Platform,
        _: &mut FrameTable,
        va: VirtAddr,
        slot: SwapSlot,
    ) {
        let old = self.record.insert(self.vpn(va), Record::Swapped(slot));
        debug_assert_eq!(old, None, "{va} has a mapping");
    }

    fn clear_range(
        &mut self,
        platform: &mut impl Platform,
        _: &mut FrameTable,
        from: VirtAddr,
        to: VirtAddr,
        gather: &mut Gather,
    ) -> Option<VirtAddr> {
        while let Some((vpn, record)) = self.first_in(from, to) {
            let va = vpn.base(self.page_size());
            if gather.is_full() {
                return Some(va);
            }
            match record {
                Record::Resident { pfn, rights } => {
                    let was = self.uninstall(platform, vpn, pfn, rights);
                    gather.push(Gathered::Page { va, was }, self.debt(vpn));
                }
                Record::Swapped(slot) => {
                    gather.push(Gathered::Slot { va, slot }, FlushDebt::none())
                }
            }
            self.record.remove(&vpn);
        }
        None
    }

    fn protect_range(
        &mut self,
        platform: &mut impl Platform,
        _: &FrameTable,
        from: VirtAddr,
        to: VirtAddr,
        prot: &mut dyn FnMut(Pfn) -> Prot,
    ) -> FlushDebt {
        let mut debt = FlushDebt::none();
        let mut next = from;
        while let Some((vpn, record)) = self.first_in(next, to) {
            next = Vpn(vpn.0 + 1).base(self.page_size());
            let Record::Resident { pfn, rights: old } = record else { continue };
            let rights = self.table.granted(rights_of(prot(pfn)));
            if rights != old {
                self.record.insert(vpn, Record::Resident { pfn, rights });
                let _displaced = self.update(platform, vpn, |leaf| leaf.rights = rights);
                debt = debt.and(self.debt(vpn));
            }
        }
        debt
    }

    fn share_range(
        &mut self,
        child: &mut Self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        (from, to): (VirtAddr, VirtAddr),
        share: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> Mapping,
    ) -> (Option<VirtAddr>, FlushDebt) {
        let mut debt = FlushDebt::none();
        let (asid, page) = (self.asid, self.page_size());
        let Self { table, root, record, .. } = self;
        let range = from.vpn(page)..to.vpn(page);
        for (&vpn, record) in record.range_mut(range) {
            let va = vpn.base(page);
            let (pfn, old) = match *record {
                Record::Swapped(slot) => {
                    if let Mapping::Swapped(slot) = share(frames, va, Mapping::Swapped(slot)) {
                        child.record.insert(vpn, Record::Swapped(slot));
                    }
                    continue;
                }
                Record::Resident { pfn, rights } => (pfn, rights),
            };
            let mut ask = |entry| {
                let now = Mapping::Resident(resident(pfn, old, entry));
                match share(frames, va, now) {
                    Mapping::Resident(new) => Some(table.granted(rights_of(new.prot))),
                    _ => None,
                }
            };
            // The entry is looked for once: this is most of what a fork costs.
            let mut granted = None;
            let was = table.update(platform, *root, asid, vpn, |leaf| {
                granted = ask(Some(*leaf));
                if let Some(rights) = granted {
                    (leaf.rights, leaf.dirty) = (rights, false);
                }
            });
            let granted = if was.is_some() { granted } else { ask(None) };
            let Some(rights) = granted else { continue };
            // A translation may be cached although its entry was displaced.
            if rights != old || was.is_some_and(|leaf| leaf.dirty) {
                debt = debt.and(FlushDebt::page(asid, va, page));
            }
            *record = Record::Resident { pfn, rights };
            // It gets its entry in the table when it is used: nobody waits for it yet.
            child.record.insert(vpn, *record);
        }
        (None, debt)
    }

    fn next_mapping(
        &self,
        platform: &impl Platform,
        from: VirtAddr,
        to: VirtAddr,
    ) -> Option<(VirtAddr, Mapping)> {
        let (vpn, record) = self.first_in(from, to)?;
        Some((vpn.base(self.page_size()), self.mapping(platform, vpn, record)))
    }

    fn take_referenced(
        &mut self,
        platform: &mut impl Platform,
        _: &FrameTable,
        va: VirtAddr,
    ) -> Option<FlushDebt> {
        let vpn = self.vpn(va);
        let was = self.update(platform, vpn, |leaf| leaf.accessed = false)?;
        was.accessed.then(|| self.debt(vpn))
    }

    fn take_modified(
        &mut self,
        platform: &mut impl Platform,
        _: &FrameTable,
        va: VirtAddr,
    ) -> Option<FlushDebt> {
        let vpn = self.vpn(va);
        let was = self.update(platform, vpn, |leaf| leaf.dirty = false)?;
        was.dirty.then(|| self.debt(vpn))
    }

    fn touch(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        store: bool,
    ) -> FlushDebt {
        // An access that finds its page displaced brings it back.
        self.refill(platform, frames, va);
        let vpn = self.vpn(va);
        let was = self.update(platform, vpn, |leaf| {
            leaf.accessed = true;
            leaf.dirty |= store;
        });
        match was {
            Some(was) if !was.accessed || (store && !was.dirty) => self.debt(vpn),
            _ => FlushDebt::none(),
        }
    }

    fn visit_tables(&self, _: &impl Platform, _: &mut dyn FnMut(TableInUse)) {}

    /// The table says what the records say.
    fn audit_machine_tables(
        hardware: &H,
        platform: &impl Platform,
        spaces: &[&Self],
    ) -> Result<(), AuditError> {
        let mut result = Ok(());
        let walked = hardware.audit(platform, hardware.root(TABLE), &mut |entry| {
            let Mapped { asid, vpn, leaf } = entry;
            let space = spaces.iter().find(|space| space.asid == asid);
            let recorded = space.and_then(|space| space.record.get(&vpn));
            let expected = Record::Resident { pfn: leaf.pfn, rights: leaf.rights };
            if recorded != Some(&expected) && result.is_ok() {
                result = Err(AuditError(format!("{entry:?} is recorded as {recorded:?}")));
            }
        });
        walked.map_err(|broken| AuditError(format!("{broken}")))?;
        result
    }
}
