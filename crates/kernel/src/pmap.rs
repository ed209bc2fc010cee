//! The machine-dependent half: what hardware's page tables can be asked to do.
//!
//! ```text
//!              enter                     evict(Some(slot))
//!   None ────────────────► Resident ──────────────────────► Swapped(slot)
//!     ▲ ▲                   │    ▲                            │   │
//!     │ └────evict(None)────┘    └──────────enter─────────────┘   │
//!     └──────────────────────── clear_range ──────────────────────┘
//!
//!              enter_large                  split
//!   None × 2ⁿ ────────────► one large page ───────► Resident × 2ⁿ
//! ```
//!
//! Seen page by page, a large page is 2ⁿ resident pages that share their rights and bits.
//!
//! Invariants:
//! 1. A `Pmap` says what backs a page *now*; what the program may do with it is in its region. Read
//!    rights back from hardware bits only to audit them.
//! 2. Every change that can leave a stale translation returns a [`FlushDebt`]; a frame whose
//!    mapping was removed is handed out only by [`Unmapped::flush`] or [`Gather::flush`].
//! 3. A `Pmap` takes table frames from the frame table and never fails for lack of them: callers
//!    ask [`Pmap::tables_missing`] and reserve before they start.
//! 4. Splitting a large page needs no frame: the table is taken when the page is mapped, and kept
//!    (Linux calls it deposited).

use crate::{AuditError, Flush, FrameTable, KernelMap, KernelMapping, Platform, SwapSlot};
use alloc::vec::Vec;
use bitflags::bitflags;
use pagewalk_mmu::{Asid, Level, PageSize, Pfn, PhysAddr, VirtAddr};

bitflags! {
    /// What a program may do with a page.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Prot: u8 {
        /// Load (PROT_READ).
        const READ = 1;
        /// Store (PROT_WRITE). Implies load, as on Linux/RISC-V.
        const WRITE = 2;
        /// Execute (PROT_EXEC). Implies load on hardware without execute-only pages.
        const EXEC = 4;
    }
}

/// What backs a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Nothing yet.
    None,
    /// A frame.
    Resident(Resident),
    /// A slot of the swap device.
    Swapped(SwapSlot),
}

/// A mapping to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// The frame.
    pub pfn: Pfn,
    /// What the hardware lets the program do, which can be less than its region allows (copy on
    /// write) or more (hardware without execute protection).
    pub prot: Prot,
    /// The referenced bit.
    pub referenced: bool,
    /// The modified bit.
    pub modified: bool,
}

/// Up to so many pages are flushed one by one, more with their space (Linux on x86:
/// tlb_single_page_flush_ceiling).
const FLUSH_PAGES_MAX: u64 = 33;

/// Translations that may still be cached. Only [`FlushDebt::discharge`] gets rid of it.
#[must_use = "stale translations stay in the TLB until the debt is discharged"]
#[derive(Debug)]
pub struct FlushDebt(Owed);

#[derive(Debug)]
enum Owed {
    Nothing,
    Pages {
        asid: Asid,
        from: VirtAddr,
        to: VirtAddr,
        page: PageSize,
    },
    Space(Asid),
    /// What is owed for several spaces that share a table: one debt for each, none of them `Many`.
    Many(Vec<Owed>),
}

/// What a discharge flushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Single pages.
    pub pages: u64,
    /// Whole spaces.
    pub spaces: u64,
}

impl FlushDebt {
    /// Nothing is stale.
    pub const fn none() -> Self {
        Self(Owed::Nothing)
    }

    /// The page at `va` is stale.
    pub const fn page(asid: Asid, va: VirtAddr, page: PageSize) -> Self {
        Self(Owed::Pages { asid, from: va, to: VirtAddr(va.0 + page.bytes()), page })
    }

    /// More of a space is stale than pages: pointers to tables.
    pub const fn space(asid: Asid) -> Self {
        Self(Owed::Space(asid))
    }

    /// Both debts; of pages of one space, what lies between them as well.
    pub fn and(self, other: Self) -> Self {
        use Owed::{Many, Nothing, Pages, Space};
        Self(match (self.0, other.0) {
            (Nothing, owed) | (owed, Nothing) => owed,
            (Many(debts), owed) | (owed, Many(debts)) => merge(debts, owed),
            (ours, theirs) if ours.asid() != theirs.asid() => merge(Vec::from([ours]), theirs),
            (Space(asid), _) | (_, Space(asid)) => Space(asid),
            (Pages { asid, from, to, page }, Pages { from: first, to: last, page: size, .. }) => {
                Pages { asid, from: from.min(first), to: to.max(last), page: page.min(size) }
            }
        })
    }

    /// Flushes what is owed.
    pub fn discharge(self, platform: &mut impl Platform) -> Flushed {
        match self.0 {
            Owed::Nothing => Flushed::default(),
            Owed::Pages { asid, from, to, page } => {
                let pages = (to.0 - from.0) >> page.shift();
                if pages > FLUSH_PAGES_MAX {
                    return Self::space(asid).discharge(platform);
                }
                for n in 0..pages {
                    let va = VirtAddr(from.0 + (n << page.shift()));
                    platform.flush(Flush::Page { asid, va });
                }
                Flushed { pages, spaces: 0 }
            }
            Owed::Space(asid) => {
                platform.flush(Flush::Space { asid });
                Flushed { pages: 0, spaces: 1 }
            }
            Owed::Many(debts) => debts.into_iter().fold(Flushed::default(), |sum, owed| {
                let Flushed { pages, spaces } = Self(owed).discharge(platform);
                Flushed { pages: sum.pages + pages, spaces: sum.spaces + spaces }
            }),
        }
    }
}

impl Owed {
    /// The one space that something is owed for.
    fn asid(&self) -> Option<Asid> {
        match *self {
            Self::Pages { asid, .. } | Self::Space(asid) => Some(asid),
            Self::Nothing | Self::Many(_) => None,
        }
    }
}

/// Adds a debt to those of several spaces.
fn merge(mut debts: Vec<Owed>, owed: Owed) -> Owed {
    let added = match owed {
        Owed::Many(more) => more,
        one => Vec::from([one]),
    };
    for new in added {
        match debts.iter_mut().find(|debt| debt.asid() == new.asid()) {
            Some(debt) => {
                let old = core::mem::replace(debt, Owed::Nothing);
                *debt = FlushDebt(old).and(FlushDebt(new)).0;
            }
            None => debts.push(new),
        }
    }
    Owed::Many(debts)
}

/// A removed mapping, whose frame may still be reached through a TLB.
#[must_use = "the frame is out of reach until the mapping is flushed"]
#[derive(Debug)]
pub struct Unmapped {
    debt: FlushDebt,
    was: Resident,
}

impl Unmapped {
    /// A mapping that was just removed.
    pub(crate) fn new(debt: FlushDebt, was: Resident) -> Self {
        Self { debt, was }
    }

    /// Flushes, and hands out what the mapping was.
    pub fn flush(self, platform: &mut impl Platform) -> (Resident, Flushed) {
        let flushed = self.debt.discharge(platform);
        (self.was, flushed)
    }
}

/// A large page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargePage {
    /// Its first address.
    pub va: VirtAddr,
    /// Its size.
    pub size: PageSize,
    /// Its first frame, and what all of its base pages share.
    pub first: Resident,
}

/// Something that a cleared range held.
#[derive(Clone, Copy, Debug)]
pub enum Gathered {
    /// A page.
    Page {
        /// Its address.
        va: VirtAddr,
        /// What it was mapped to.
        was: Resident,
    },
    /// A large page.
    Large(LargePage),
    /// A swap slot.
    Slot {
        /// The address of the page that it holds.
        va: VirtAddr,
        /// The slot.
        slot: SwapSlot,
    },
    /// A page table that is empty now.
    Table(Pfn),
}

/// How many entries a [`Gather`] holds before it wants to be flushed.
const GATHER_MAX: usize = 64;

/// What [`Pmap::clear_range`] removed: nothing of it can be freed before the flush (Linux calls
/// it `mmu_gather`).
#[derive(Debug)]
pub struct Gather {
    debt: FlushDebt,
    entries: Vec<Gathered>,
}

impl Default for Gather {
    fn default() -> Self {
        Self { debt: FlushDebt::none(), entries: Vec::with_capacity(GATHER_MAX) }
    }
}

impl Gather {
    /// Whether it is time to flush.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= GATHER_MAX
    }

    /// Whether there is nothing to flush.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry, with what its removal owes.
    pub fn push(&mut self, entry: Gathered, debt: FlushDebt) {
        self.entries.push(entry);
        self.debt = core::mem::replace(&mut self.debt, FlushDebt::none()).and(debt);
    }

    /// Flushes once for all, and hands out what was gathered.
    pub fn flush(&mut self, platform: &mut impl Platform) -> (Vec<Gathered>, Flushed) {
        let debt = core::mem::replace(&mut self.debt, FlushDebt::none());
        let flushed = debt.discharge(platform);
        // As many will be gathered next time.
        (core::mem::replace(&mut self.entries, Vec::with_capacity(GATHER_MAX)), flushed)
    }
}

/// One address space's page tables.
pub trait Pmap: Clone {
    /// What the spaces of one machine share: the format and its controls.
    type Hardware: Clone + core::fmt::Debug;

    /// The base page.
    fn page(hardware: &Self::Hardware) -> PageSize;

    /// How many frames the tables can name.
    fn frames_max(hardware: &Self::Hardware) -> u64;

    /// The first address beyond the lower (user) half, or beyond the space.
    fn user_end_max(hardware: &Self::Hardware) -> VirtAddr;

    /// How many slots an absent entry can name.
    fn slots_max(hardware: &Self::Hardware) -> u64;

    /// Table frames that the machine's own tables take, which all spaces share (an inverted or
    /// hashed page table). They are the frames from 0 on, and hold zeroes at first: an empty table.
    fn machine_tables(hardware: &Self::Hardware) -> u64 {
        let _ = hardware;
        0
    }

    /// The kernel's part of a space: where it begins and how large it can be. `None` if the
    /// hardware gives the kernel no translation to be seen.
    fn kernel_window(hardware: &Self::Hardware) -> Option<(VirtAddr, u64)> {
        let _ = hardware;
        None
    }

    /// Table frames that a map of `bytes` bytes of RAM for the kernel takes.
    fn kernel_tables(hardware: &Self::Hardware, bytes: u64) -> u64 {
        let _ = (hardware, bytes);
        0
    }

    /// Makes the kernel's map in the frames from `first` on.
    fn build_kernel(
        hardware: &Self::Hardware,
        platform: &mut impl Platform,
        mapping: KernelMapping,
        first: Pfn,
        bytes: u64,
    ) -> Option<KernelMap> {
        let _ = (hardware, platform, mapping, first, bytes);
        None
    }

    /// Lets the space see the kernel's map.
    fn share_kernel(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        map: &KernelMap,
    ) {
        let _ = (platform, frames, map);
    }

    /// Lets the last entry of the top table point to that table, so that the space's tables are
    /// pages of the space; returns the first address that they take. `None` if the format has no
    /// such entries.
    fn map_itself(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
    ) -> Option<VirtAddr> {
        let _ = (platform, frames);
        None
    }

    /// Table frames that a new, empty space takes.
    fn tables_initial(hardware: &Self::Hardware) -> u64;

    /// How many of the frames of [`Pmap::tables_initial`] must be in a row, the first a multiple of
    /// [`Pmap::root_alignment`]: a root table larger than a frame.
    fn root_frames(hardware: &Self::Hardware) -> u64 {
        let _ = hardware;
        1
    }

    /// What the number of the root's first frame is a multiple of, a power of two.
    fn root_alignment(hardware: &Self::Hardware) -> u64 {
        Self::root_frames(hardware)
    }

    /// Table frames that one page may need in the worst case.
    fn tables_per_path(hardware: &Self::Hardware) -> u64;

    /// An empty space. The caller has reserved [`Pmap::tables_initial`] frames, of which
    /// [`Pmap::root_frames`] are in a row.
    fn create(
        hardware: &Self::Hardware,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        asid: Asid,
    ) -> Self;

    /// The root table's address, as the root register holds it.
    fn root(&self) -> PhysAddr;

    /// How many frames the tables take.
    fn tables(&self) -> u64;

    /// Frees the tables that an empty space still has.
    fn destroy(self, platform: &mut impl Platform, frames: &mut FrameTable);

    /// What backs the page at `va`.
    fn lookup(&self, platform: &impl Platform, va: VirtAddr) -> Mapping;

    /// The table of `level` that holds the entry of `va`, if there is one for this space alone.
    fn table(&self, platform: &impl Platform, va: VirtAddr, level: Level) -> Option<Pfn> {
        let _ = (platform, va, level);
        None
    }

    /// Table frames that entering a page at `va` would take.
    fn tables_missing(&self, platform: &impl Platform, va: VirtAddr) -> u64;

    /// Gives the hardware a mapping that the pmap holds and the hardware had no room for. `false`
    /// if there is none: the fault has another reason.
    fn refill(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> bool {
        let _ = (platform, frames, va);
        false
    }

    /// Maps the page at `va`, which has no resident mapping. Nothing is owed: the hardware here
    /// never caches absent entries (RISC-V's Svvptc; x86 always).
    fn enter(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        new: Resident,
    );

    /// The large page that the hardware can map beside base pages: the next larger one, if there is
    /// any.
    fn large_page(hardware: &Self::Hardware) -> Option<PageSize> {
        let _ = hardware;
        None
    }

    /// The large page that `va` lies in.
    fn large_at(&self, platform: &impl Platform, va: VirtAddr) -> Option<LargePage> {
        let _ = (platform, va);
        None
    }

    /// Whether the large page around `va` could be entered: nothing of it is mapped or swapped, nor
    /// has it a table. Then [`Pmap::tables_missing`] frames are what [`Pmap::enter_large`] takes.
    fn has_room_for_large(&self, platform: &impl Platform, va: VirtAddr) -> bool {
        let _ = (platform, va);
        false
    }

    /// Maps a large page, where there is room for it, to frames in a row.
    fn enter_large(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        first: Resident,
    ) {
        let _ = (platform, frames, first);
        unreachable!("{va}: a large page without large pages")
    }

    /// Turns the large page that `va` lies in into base pages with the same frames, rights and
    /// bits. Takes no frame. `None` if there is no large page.
    fn split(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> Option<(LargePage, FlushDebt)> {
        let _ = (platform, frames, va);
        None
    }

    /// Unmaps the page at `va`, leaving `slot` (or nothing) in its entry. `None` if it was not
    /// resident. Keeps the tables. A large page must have been split.
    fn evict(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        slot: Option<SwapSlot>,
    ) -> Option<Unmapped>;

    /// Takes the slot out of an absent entry, keeping the tables.
    fn take_slot(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> Option<SwapSlot>;

    /// Puts a slot in the entry of `va`, which has nothing.
    fn put_slot(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        slot: SwapSlot,
    );

    /// Unmaps everything in `[from, to)` and frees the tables that become empty. Stops when
    /// `gather` is full, and returns where to go on. No large page lies across the ends.
    fn clear_range(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        from: VirtAddr,
        to: VirtAddr,
        gather: &mut Gather,
    ) -> Option<VirtAddr>;

    /// Sets the protection of every resident page in `[from, to)` to what `prot` says for its
    /// frame; that of a large page, a part of which lies there, as a whole.
    fn protect_range(
        &mut self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        from: VirtAddr,
        to: VirtAddr,
        prot: &mut dyn FnMut(Pfn) -> Prot,
    ) -> FlushDebt;

    /// Copies entries of `range`, its end not included, to `child`, which has none there. For each that is not empty
    /// `share` says what the child's becomes; a page that is shared loses, in this space too, the
    /// rights that `share` does not give it, and its modified bit.
    ///
    /// Takes frames for the child's tables as long as there are some: returns where to go on if
    /// there are too few, and what is owed for this space. There are no large pages in the range.
    fn share_range(
        &mut self,
        child: &mut Self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        range: (VirtAddr, VirtAddr),
        share: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> Mapping,
    ) -> (Option<VirtAddr>, FlushDebt);

    /// The first page in `[from, to)` that has a mapping, and the mapping.
    fn next_mapping(
        &self,
        platform: &impl Platform,
        from: VirtAddr,
        to: VirtAddr,
    ) -> Option<(VirtAddr, Mapping)>;

    /// Whether the page, or the large page that it is part of, was referenced since the last call;
    /// clears the bit. The debt makes the
    /// answer exact: while the TLB holds the page, the hardware does not set the bit again.
    fn take_referenced(
        &mut self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        va: VirtAddr,
    ) -> Option<FlushDebt>;

    /// Clears the modified bit of the page, if it is set.
    fn take_modified(
        &mut self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        va: VirtAddr,
    ) -> Option<FlushDebt>;

    /// Sets the referenced bit, and on a store the modified bit, as the hardware would for an
    /// access that the mapping allows. The debt matters to hardware that faults on clear bits (Svade)
    /// and may hold the page with them clear.
    fn touch(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        store: bool,
    ) -> FlushDebt;

    /// What one of the lowest page tables maps, if spaces can share those tables.
    fn shared_span(hardware: &Self::Hardware) -> Option<PageSize> {
        let _ = hardware;
        None
    }

    /// The table with the entry of `va`, if others refer to it as well. What is done to its entries
    /// is done for all; debts are owed for all.
    #[inline]
    fn shared_at(&self, va: VirtAddr) -> Option<TableShared> {
        let _ = va;
        None
    }

    /// The first address of the first shared table that has entries of `[from, to)`.
    fn next_shared(&self, from: VirtAddr, to: VirtAddr) -> Option<VirtAddr> {
        let _ = (from, to);
        None
    }

    /// Shows what the table of `va` maps, entry by entry; empty ones are left out.
    fn visit_table(
        &self,
        platform: &impl Platform,
        va: VirtAddr,
        show: &mut impl FnMut(VirtAddr, Mapping),
    ) {
        let _ = (platform, va, show);
    }

    /// Gets the table of `va`, which is this space's alone, ready to be shared. If it is to be
    /// copied on write, nobody may store through it from then on: the rights go from the entry
    /// that points to it where the format has some there, else from the entries of private pages.
    fn begin_sharing(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        on_write: OnWrite,
    ) -> FlushDebt {
        let _ = (platform, frames, on_write);
        unreachable!("{va}: a shared table without shared tables")
    }

    /// Refers to another space's table, where this one has none. Takes the frames of the tables
    /// above ([`Pmap::tables_missing`] but one).
    fn refer_to(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        shared: TableShared,
    ) {
        let _ = (platform, frames, shared);
        unreachable!("{va}: a shared table without shared tables")
    }

    /// Gives this space a copy of the shared table of `va`, in a frame that the caller reserved. For
    /// each entry that is not empty `copy` says what stays, and what the copy's is.
    fn copy_table(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        copy: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> (Mapping, Mapping),
    ) -> FlushDebt {
        let _ = (platform, frames, copy);
        unreachable!("{va}: a shared table without shared tables")
    }

    /// No longer refers to the shared table of `va`, which stays the others', and frees the tables
    /// above that become empty.
    fn drop_table(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        gather: &mut Gather,
    ) -> FlushDebt {
        let _ = (platform, frames, gather);
        unreachable!("{va}: a shared table without shared tables")
    }

    /// The shared table of `va` is this space's alone from now on.
    fn end_sharing(&mut self, platform: &mut impl Platform, va: VirtAddr) -> FlushDebt {
        let _ = platform;
        unreachable!("{va}: a shared table without shared tables")
    }

    /// Checks what the space refers to together with others against what the frame table says, and
    /// returns how many tables those are.
    ///
    /// # Errors
    /// What is wrong first.
    fn audit_shared(
        &self,
        platform: &impl Platform,
        frames: &FrameTable,
    ) -> Result<u64, AuditError> {
        let _ = (platform, frames);
        Ok(0)
    }

    /// Shows every frame of the space's tables, the root first.
    fn visit_tables(&self, platform: &impl Platform, visit: &mut dyn FnMut(TableInUse));

    /// Checks the machine's own tables against what its spaces say.
    ///
    /// # Errors
    /// What is wrong first.
    fn audit_machine_tables(
        hardware: &Self::Hardware,
        platform: &impl Platform,
        spaces: &[&Self],
    ) -> Result<(), AuditError> {
        let _ = (hardware, platform, spaces);
        Ok(())
    }
}

/// What happens to a shared table when one of its sharers stores to a page that it maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnWrite {
    /// The sharer gets a copy of the table first.
    Copy,
    /// Nothing: the page is all sharers'.
    Keep,
}

/// A page table that others refer to as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableShared {
    /// Its frame.
    pub table: Pfn,
    /// What a store does to it.
    pub on_write: OnWrite,
}

/// A frame of a page table as [`Pmap::visit_tables`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableInUse {
    /// The frame.
    pub pfn: Pfn,
    /// Entries in it that are not empty.
    pub live: u32,
}
