//! What one hart has of the memory system: its MMU, its caches, and its fast path.
//!
//! ```text
//!   registers   root, segments            loaded when another program is to run
//!   hardware    TLB, walk cache, caches   private: no other hart sees them
//!   host pages  readable, writable, executable: the first-level TLB's, for speed
//!   spaces      those of which the TLB may hold translations (Linux: mm_cpumask)
//! ```
//!
//! Invariants:
//! 1. A host page follows its TLB entry: dropped with it. Host pages are those of the space whose
//!    root is loaded; a load of the root drops them all.
//! 2. The TLB and the walk cache hold nothing of a space that is not among `spaces`.
//! 3. Epochs of different harts are never equal: the hart's number is in the upper bits.

use std::collections::BTreeSet;

use pagewalk_cpu::RefTime;
use pagewalk_kernel::AsidOwners;
use pagewalk_mmu::cache::Caches;
use pagewalk_mmu::tlb::{Dropped, Globals, Side, TlbConfig};
use pagewalk_mmu::{
    Asid, Fault, FaultCause, Mmu, PageSize, PhysAddr, Tables, VirtAddr, WalkCacheConfig,
    WalkCacheError,
};

use crate::host_pages::HostPages;
use crate::kernel_view::{KernelTraffic, KernelView};
use crate::ram::Ram;
use crate::report::CycleParts;
use crate::segmentation::Segmentation;
use crate::shootdown::Shootdowns;

/// What one hart has of the memory system.
#[derive(Clone, Debug)]
pub struct HartMemory {
    pub(crate) number: u32,
    pub(crate) mmu: Mmu,
    pub(crate) segmentation: Segmentation,
    pub(crate) caches: Option<Caches>,
    pub(crate) readable: HostPages,
    pub(crate) writable: HostPages,
    pub(crate) executable: HostPages,
    /// Moves when a translation of code goes; [`Ram::epoch`] adds the changes of code.
    pub(crate) epoch: u64,
    /// The slot that code is fetched through.
    pub(crate) code_slot: u32,
    /// References beyond the one that every access makes: into a second page.
    pub(crate) extra: Extra,
    /// References that went through [`Mmu::translate`].
    pub(crate) translated: u64,
    /// Why the last access failed.
    pub(crate) last_fault: Option<Fault>,
    /// The kernel's own view, if it has one.
    pub(crate) kernel: Option<Box<KernelView>>,
    /// Cycles outside the program, while another hart runs.
    pub(crate) outside: CycleParts,
    pub(crate) shootdowns: Shootdowns,
    asids: AsidOwners,
    spaces: BTreeSet<u16>,
    /// The space of the program that runs, once there was one.
    program: Option<(Asid, PhysAddr)>,
    /// Whether the space was not flushed as a whole since.
    is_current: bool,
    switches: Switches,
}

/// Switches from one program's space to another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// How many there were.
    pub spaces: u64,
    /// TLB entries that loads of the root register dropped: all on a TLB without tags, on others
    /// those of the former owner when an identifier changed hands.
    pub entries_flushed: u64,
}

/// References that accesses made into a second page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// By loads.
    pub loads: u64,
    /// By stores.
    pub stores: u64,
}

/// Where a hart's number is in its epoch: the bits below never overflow.
const EPOCH_BITS: u32 = 56;

impl HartMemory {
    /// Hart 0 after reset.
    pub(crate) fn new(tables: Tables, tlb: Option<TlbConfig>) -> Self {
        Self {
            number: 0,
            asids: AsidOwners::new(tlb.as_ref().map_or(0, |tlb| tlb.asid_bits)),
            mmu: Mmu::new(tables, tlb),
            segmentation: Segmentation::Off,
            caches: None,
            readable: HostPages::new(),
            writable: HostPages::new(),
            executable: HostPages::new(),
            epoch: 0,
            code_slot: 0,
            extra: Extra::default(),
            translated: 0,
            last_fault: None,
            kernel: None,
            outside: CycleParts::default(),
            shootdowns: Shootdowns::default(),
            spaces: BTreeSet::new(),
            program: None,
            is_current: false,
            switches: Switches::default(),
        }
    }

    /// The same with a walk cache.
    pub(crate) fn with_walk_cache(self, config: WalkCacheConfig) -> Result<Self, WalkCacheError> {
        Ok(Self { mmu: self.mmu.with_walk_cache(config)?, ..self })
    }

    /// Another hart like this one, which is as after reset.
    pub(crate) fn another(&self, number: u32, ram: &mut Ram) -> Self {
        let segmentation = self.segmentation.of_hart(number, ram);
        Self { number, segmentation, epoch: u64::from(number) << EPOCH_BITS, ..self.clone() }
    }

    /// Its number; the first is 0.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Its MMU, to look at.
    pub const fn mmu(&self) -> &Mmu {
        &self.mmu
    }

    /// Its caches, to look at.
    pub const fn caches(&self) -> Option<&Caches> {
        self.caches.as_ref()
    }

    /// References into a second page.
    pub const fn extra(&self) -> Extra {
        self.extra
    }

    /// What it had to do with TLB shoot-downs.
    pub const fn shootdowns(&self) -> Shootdowns {
        self.shootdowns
    }

    /// How often it went from one space to another.
    pub const fn switches(&self) -> Switches {
        self.switches
    }

    /// Whether it runs a program in that space, so that the root need not be loaded. Never once the
    /// space was flushed as a whole: that may have been its end, and the next of its number has
    /// other tables.
    pub fn runs(&self, asid: Asid, table: PhysAddr) -> bool {
        self.is_current && self.program == Some((asid, table))
    }

    /// What the kernel's own references on it came to; nothing without a map.
    pub fn kernel_traffic(&self) -> KernelTraffic {
        self.kernel.as_ref().map_or_else(KernelTraffic::default, |view| view.traffic)
    }

    /// The space whose entries the TLB holds under an identifier, of which some hardware has few.
    pub fn space_of(&self, identifier: Asid) -> Option<Asid> {
        self.asids.owner(identifier)
    }

    /// Whether the TLB or the walk cache may hold translations of a space, or the space's root is
    /// loaded.
    pub fn may_hold(&self, space: Asid) -> bool {
        self.spaces.contains(&space.0)
    }

    /// Whether it may hold translations of any space.
    pub(crate) fn may_hold_any(&self) -> bool {
        !self.spaces.is_empty()
    }

    /// Whether it has anything that a shoot-down could be for.
    pub(crate) fn has_translation_caches(&self) -> bool {
        self.mmu.tlb().is_some() || self.mmu.walk_cache().is_some()
    }

    /// Whether every reference walks, and each walk leaves its trace in a cache.
    pub(crate) fn is_plain(&self) -> bool {
        let walks = self.mmu.tlb().is_none() && self.segmentation.is_paged();
        walks && (self.caches.is_some() || self.mmu.walk_cache().is_some())
    }

    /// References that the fast path served in place of walks, on a machine without a TLB; each
    /// would have walked all levels. `references` is the number of all that this hart made.
    pub fn unseen_walks(&self, references: u64) -> u64 {
        match self.mmu.tlb() {
            Some(_) => 0,
            None if !self.segmentation.is_paged() => 0,
            None => references - self.translated,
        }
    }

    /// Table entries that each of the unseen walks reads.
    pub fn reads_per_walk(&self) -> u64 {
        self.mmu.tables().reads_per_walk(self.mmu.root()).unwrap_or(0)
    }

    pub(crate) fn walks_are_equal(&self) -> bool {
        self.mmu.tables().reads_per_walk(self.mmu.root()).is_some()
    }

    /// It is to run a program in that space.
    pub(crate) fn enter_space(&mut self, asid: Asid, table: PhysAddr) {
        let before = self.program.replace((asid, table));
        self.is_current = true;
        self.switches.spaces += u64::from(before.is_some_and(|before| before.0 != asid));
    }

    /// Loads the root register. Host pages stay: whoever runs a program now drops them.
    pub(crate) fn load_root(
        &mut self,
        asid: Asid,
        table: PhysAddr,
        ram: &Ram,
    ) -> Result<(), FaultCause> {
        let flushed = self.mmu.counters().entries_flushed;
        if let Some(before) = self.asids.take(asid) {
            self.mmu.flush_asid(asid);
            self.spaces.remove(&before.0);
        }
        self.mmu.load_root(asid, table, ram)?;
        self.switches.entries_flushed += self.mmu.counters().entries_flushed - flushed;
        if !self.is_tagged() {
            self.spaces.clear();
        }
        self.spaces.insert(asid.0);
        Ok(())
    }

    /// Whether translations of a space stay when another's root is loaded.
    fn is_tagged(&self) -> bool {
        match self.mmu.tlb() {
            Some(tlb) => tlb.config().is_tagged(),
            None => self.mmu.walk_cache().is_some(),
        }
    }

    /// Invalidates the translation of one page in one address space; `page` is the base page.
    pub(crate) fn flush_page(&mut self, asid: Asid, va: VirtAddr, page: PageSize) {
        self.mmu.flush_page(va, Some(asid), Globals::Drop);
        if self.mmu.tlb().is_none() {
            self.drop_pages(va.page_base(page).0, page.bytes());
        }
        self.follow_dropped();
    }

    /// Invalidates all translations of one address space.
    pub(crate) fn flush_asid(&mut self, asid: Asid) {
        self.mmu.flush_asid(asid);
        self.drop_everything();
        if self.mmu.asid() != asid {
            self.spaces.remove(&asid.0);
        }
        self.is_current &= self.program.is_none_or(|program| program.0 != asid);
    }

    /// Invalidates all translations.
    pub(crate) fn flush_all(&mut self) {
        self.mmu.flush_all();
        self.drop_everything();
        let loaded = self.mmu.asid().0;
        self.spaces.retain(|&space| space == loaded);
    }

    /// Writes the time of a reference to the slot that serves it.
    #[inline(always)]
    pub(crate) fn stamp(&mut self, side: Side, slot: u32, now: RefTime) {
        if let Some(stamps) = self.mmu.stamps_mut(side) {
            stamps[slot as usize] = now.0;
        }
    }

    /// Drops the host pages of what has left the first-level TLB.
    pub(crate) fn follow_dropped(&mut self) {
        let Some(tlb) = self.mmu.tlb_mut() else { return };
        for dropped in tlb.take_dropped() {
            match dropped {
                Dropped::Everything => {
                    self.readable.clear();
                    self.writable.clear();
                    self.executable.clear();
                    self.epoch += 1;
                }
                Dropped::Entry { side, slot, va, page } => {
                    let (va, bytes) = (va.0, page.bytes());
                    if side != Some(Side::Instruction) {
                        self.readable.remove(va, bytes, slot.0);
                        self.writable.remove(va, bytes, slot.0);
                    }
                    if side != Some(Side::Data) && self.executable.remove(va, bytes, slot.0) {
                        self.epoch += 1;
                    }
                }
            }
        }
    }

    /// Drops all host pages.
    pub(crate) fn drop_everything(&mut self) {
        if let Some(tlb) = self.mmu.tlb_mut() {
            tlb.take_dropped().for_each(drop);
        }
        self.readable.clear();
        self.writable.clear();
        self.executable.clear();
        self.epoch += 1;
    }

    /// Drops the host pages of a page, on a machine without a TLB: they name slot 0.
    fn drop_pages(&mut self, va: u64, bytes: u64) {
        self.readable.remove(va, bytes, 0);
        self.writable.remove(va, bytes, 0);
        if self.executable.remove(va, bytes, 0) {
            self.epoch += 1;
        }
    }
}
