//! The frame table: one small entry per physical frame.
//!
//! ```text
//!              allocate ┌──────────► Table ───────┐ free
//!   Free ───────────────┼──────────► Anon  ───────┼──────► Free
//!    ▲                  └──────────► File  ───────┘
//!    └ the list runs through `link`; frames fill in the order of their numbers at first, and a
//!      frame freed last is used first, so that a new page goes in the victim's frame
//! ```
//!
//! Frames in a row are taken as a whole, for large pages and large tables: see `frame/runs.rs`.
//!
//! The mappings of a frame, of which most have one, are in the entry and chained from `link`: see
//! `frame/reverse.rs`. Who has a page table together with others is in `frame/sharers.rs`.
//!
//! Invariants:
//! 1. A frame is `Free` if and only if it is on the free list; a free frame has no mapping.
//! 2. `mappings` equals the number of page-table entries that name the frame.
//! 3. An `Anon` frame that is not dirty holds what its slot holds, or zeroes if it has no slot
//!    and is not lazily freed.
//! 4. Frames that hold page tables are not evictable.
//! 5. An `Anon` frame that some entry allows stores to has no other mapping, and nobody else names
//!    its slot.
//! 6. The frames of a large page are `Anon`, without slot and in a row; each has one mapping, that of
//!    its own base page.

mod order;
mod reverse;
mod runs;
mod sharers;
mod zeroed;

use crate::{FileId, SpaceId, SwapSlot};
use alloc::vec::Vec;
use bitflags::bitflags;
use pagewalk_mmu::{Pfn, VirtAddr};
use reverse::Chains;
use runs::Blocks;
use sharers::SharedTables;

pub use sharers::Sharer;

/// The end of a chain.
const END: u32 = u32::MAX;

/// What a frame is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nothing.
    Free,
    /// A part of the table that all spaces share; never freed.
    MachineTable,
    /// A page table with this many entries in use.
    Table {
        /// Entries that are not empty.
        live: u32,
    },
    /// A page is being read into it by a device.
    Transit,
    /// A private page of a program.
    Anon {
        /// The slot that holds the same bytes while the frame is clean.
        slot: Option<SwapSlot>,
    },
    /// A page of a file, in the page cache.
    File {
        /// The file.
        file: FileId,
        /// The page's index in the file.
        index: u32,
        /// Bytes that are the file's; the rest lies beyond its end.
        valid: u32,
    },
}

/// Whether a frame is mapped by itself, or with others by a large page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// By itself.
    #[default]
    Base,
    /// It is the first of a large page.
    First,
    /// It is a further one of a large page.
    Further,
}

/// One mapping of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReverseMapping {
    /// In this space,
    pub space: SpaceId,
    /// at this page.
    pub va: VirtAddr,
}

bitflags! {
    /// What happened to a private page.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Marks: u8 {
        /// It was shared, and entries may lack the right to store because of that.
        const COW = 1;
        /// Clean without a slot, and not zeroes: its program gave it up (MADV_FREE).
        const LAZY = 2;
        /// Its bytes are those of several pages that were merged, and nobody stores to it.
        const MERGED = 4;
        /// It was read ahead from swap, and nobody has wanted it yet.
        const READ_AHEAD = 8;
        /// The frame is free, and all zeroes (`frame/zeroed.rs`).
        const ZEROED = 16;
        /// The frame is free, on no list, and has its turn (`frame/order.rs`).
        const HELD = 32;
    }
}

#[derive(Clone, Debug)]
struct Frame {
    used: Use,
    /// The first mapping's address, and its space: apart, so that nothing is padded.
    first_va: VirtAddr,
    /// Free: the number of the free frame before this one, unless this is the list's head.
    first_space: SpaceId,
    /// Free: the next free frame. Otherwise: the second mapping, in the slab (`frame/reverse.rs`).
    link: u32,
    mappings: u32,
    dirty: bool,
    part: Part,
    /// The chain is in the index.
    indexed: bool,
    marks: Marks,
}

impl Frame {
    const fn new(used: Use, link: u32) -> Self {
        let (first_va, first_space) = (NOWHERE.va, NOWHERE.space);
        let (mappings, part) = (0, Part::Base);
        let (dirty, indexed, marks) = (false, false, Marks::empty());
        Self { used, first_va, first_space, link, mappings, dirty, part, indexed, marks }
    }

    fn previous(&self) -> u32 {
        self.first_space.0
    }

    fn set_previous(&mut self, pfn: u32) {
        self.first_space = SpaceId(pfn);
    }

    fn first(&self) -> ReverseMapping {
        ReverseMapping { space: self.first_space, va: self.first_va }
    }

    fn set_first(&mut self, mapping: ReverseMapping) {
        (self.first_space, self.first_va) = (mapping.space, mapping.va);
    }
}

// With its page's name and the 64 bytes that a policy takes at most, 112 bytes: 2.7 % of a frame of
// 4 KiB.
const _: () = assert!(size_of::<Frame>() <= 40);

/// The state of all frames.
#[derive(Clone, Debug)]
pub struct FrameTable {
    /// The frames that were ever used: the table grows with use, not with RAM.
    frames: Vec<Frame>,
    total: u32,
    /// Free frames that were used before, the last freed first.
    free_head: u32,
    /// Likewise, those that are zeroes.
    zero_head: u32,
    /// How many those are.
    zeroed: u64,
    blocks: Blocks,
    /// Frames that pages get before any other, the next one last.
    held: Vec<u32>,
    free: u64,
    used_max: u64,
    pages_max: u64,
    /// The fewest frames of page tables since somebody asked.
    tables_min: u64,
    /// Frames with more than one mapping.
    shared: u64,
    shared_max: u64,
    tables: u64,
    transit: u64,
    anon: u64,
    file: u64,
    /// Frames with a mapping.
    mapped: u64,
    chains: Chains,
    tables_shared: SharedTables,
}

/// The entry of every frame that is not in the table yet.
static NEVER_USED: Frame = Frame::new(Use::Free, END);

const NOWHERE: ReverseMapping = ReverseMapping { space: SpaceId(0), va: VirtAddr(0) };

impl FrameTable {
    /// All frames free, to be filled in the order of their numbers. Runs of 2^`run_order` frames
    /// are found fast.
    pub(crate) fn new(frames: u32, run_order: u8) -> Self {
        Self {
            // Reserved, not touched.
            frames: Vec::with_capacity(frames as usize),
            total: frames,
            free_head: END,
            zero_head: END,
            zeroed: 0,
            blocks: Blocks::new(frames, run_order),
            held: Vec::new(),
            free: u64::from(frames),
            used_max: 0,
            pages_max: 0,
            tables_min: 0,
            shared: 0,
            shared_max: 0,
            tables: 0,
            transit: 0,
            anon: 0,
            file: 0,
            mapped: 0,
            chains: Chains::default(),
            tables_shared: SharedTables::default(),
        }
    }

    /// All frames.
    pub fn total(&self) -> u64 {
        u64::from(self.total)
    }

    /// Frames that are free.
    pub fn free(&self) -> u64 {
        self.free
    }

    /// Frames in use, by kind, and the most that ever were.
    pub fn summary(&self) -> FrameSummary {
        FrameSummary {
            total: self.total(),
            free: self.free,
            anon: self.anon,
            file: self.file,
            page_table: self.tables,
            wired: self.tables + self.transit,
            peak_used: self.used_max,
            peak_pages: self.pages_max,
            shared: self.shared,
            peak_shared: self.shared_max,
        }
    }

    /// Frames that hold a page of a program or of a file and that nothing maps.
    pub fn unmapped(&self) -> u64 {
        self.anon + self.file - self.mapped
    }

    /// The fewest frames that held page tables at one time since this was asked last.
    pub(crate) fn take_fewest_tables(&mut self) -> u64 {
        core::mem::replace(&mut self.tables_min, self.tables)
    }

    /// What a frame is used for.
    pub fn used(&self, pfn: Pfn) -> Use {
        self.at(pfn).used
    }

    /// How many page-table entries name the frame.
    pub fn mappings(&self, pfn: Pfn) -> u32 {
        self.at(pfn).mappings
    }

    /// Whether the frame is known to differ from its backing store. A modified bit in one of its
    /// mappings says so too, and is not seen here.
    pub fn dirty(&self, pfn: Pfn) -> bool {
        self.at(pfn).dirty
    }

    /// Whether the frame's program gave it up lazily. It counts only while the frame is clean: a
    /// store takes the page back.
    pub fn lazy(&self, pfn: Pfn) -> bool {
        self.at(pfn).marks.contains(Marks::LAZY)
    }

    /// Whether the frame belongs to a large page.
    pub fn part(&self, pfn: Pfn) -> Part {
        self.at(pfn).part
    }

    /// Takes a free frame; its bytes are whatever they were.
    pub(crate) fn allocate(&mut self, used: Use) -> Option<Pfn> {
        let held = if self.held.is_empty() { None } else { self.take_held(used) };
        let pfn = match self.free_head {
            _ if held.is_some() => held?,
            END => match self.use_first() {
                Some(pfn) => pfn,
                None => self.take_last()?,
            },
            head => {
                self.free_head = self.frames[head as usize].link;
                self.blocks.remove(head);
                head
            }
        };
        self.occupy(pfn, used);
        Some(Pfn(u64::from(pfn)))
    }

    /// Takes a frame where there are none but those that are kept for something.
    fn take_last(&mut self) -> Option<u32> {
        let head = self.zero_head;
        if self.frames.get(head as usize).is_none() {
            return self.held.pop();
        }
        self.unlink(head);
        Some(head)
    }

    /// Notes that a frame is in use, which is on no list.
    fn occupy(&mut self, pfn: u32, used: Use) {
        let frame = &mut self.frames[pfn as usize];
        debug_assert_eq!(frame.used, Use::Free);
        *frame = Frame::new(used, END);
        self.free -= 1;
        self.used_max = self.used_max.max(self.total() - self.free);
        *self.count(used) += 1;
        self.pages_max = self.pages_max.max(self.anon + self.file);
    }

    /// Makes an entry for the lowest frame that was never used, if there is one.
    fn use_first(&mut self) -> Option<u32> {
        let pfn = self.frames.len() as u32;
        if pfn == self.total {
            return None;
        }
        self.frames.push(Frame::new(Use::Free, END));
        Some(pfn)
    }

    /// Frees a frame that nothing maps.
    pub(crate) fn release(&mut self, pfn: Pfn) {
        let frame = self.at_mut(pfn);
        let used = frame.used;
        assert!(frame.mappings == 0, "frame {pfn} is freed while it is mapped");
        assert!(used != Use::Free, "frame {pfn} is freed twice");
        *frame = Frame::new(Use::Free, END);
        self.link(pfn.0 as u32);
        self.free += 1;
        *self.count(used) -= 1;
        self.tables_min = self.tables_min.min(self.tables);
    }

    /// Whether the private page was shared, so that entries may lack the right to store although
    /// their region has it. The next store finds out, and copies the page or clears this.
    pub(crate) fn cow(&self, pfn: Pfn) -> bool {
        self.at(pfn).marks.contains(Marks::COW)
    }

    pub(crate) fn set_cow(&mut self, pfn: Pfn, cow: bool) {
        let marks = &mut self.at_mut(pfn).marks;
        marks.set(Marks::COW, cow);
        // Who stores to it again has it alone.
        marks.set(Marks::MERGED, cow && marks.contains(Marks::MERGED));
    }

    /// What happened to the page in `from` happened to that in `to`, which is the same page.
    pub(crate) fn copy_marks(&mut self, from: Pfn, to: Pfn) {
        let Frame { marks, dirty, .. } = *self.at(from);
        let frame = self.at_mut(to);
        (frame.marks, frame.dirty) = (marks, dirty);
    }

    /// Whether the frame is one for several pages that were merged.
    pub(crate) fn merged(&self, pfn: Pfn) -> bool {
        self.at(pfn).marks.contains(Marks::MERGED)
    }

    pub(crate) fn set_merged(&mut self, pfn: Pfn) {
        self.at_mut(pfn).marks |= Marks::MERGED;
    }

    pub(crate) fn clear_merged(&mut self, pfn: Pfn) {
        self.at_mut(pfn).marks -= Marks::MERGED;
    }

    /// Whether the page was read ahead, and nobody has wanted it yet.
    pub(crate) fn read_ahead(&self, pfn: Pfn) -> bool {
        self.at(pfn).marks.contains(Marks::READ_AHEAD)
    }

    pub(crate) fn set_read_ahead(&mut self, pfn: Pfn, read_ahead: bool) {
        self.at_mut(pfn).marks.set(Marks::READ_AHEAD, read_ahead);
    }

    pub(crate) fn set_part(&mut self, pfn: Pfn, part: Part) {
        self.at_mut(pfn).part = part;
    }

    pub(crate) fn set_lazy(&mut self, pfn: Pfn) {
        self.at_mut(pfn).marks |= Marks::LAZY;
    }

    pub(crate) fn set_dirty(&mut self, pfn: Pfn, dirty: bool) {
        self.at_mut(pfn).dirty = dirty;
    }

    /// Changes a frame's slot.
    pub(crate) fn set_slot(&mut self, pfn: Pfn, new: Option<SwapSlot>) {
        match &mut self.at_mut(pfn).used {
            Use::Anon { slot } => *slot = new,
            other => unreachable!("{other:?} has no slot"),
        }
    }

    /// Changes how many bytes of a file's page are the file's.
    pub(crate) fn set_valid(&mut self, pfn: Pfn, bytes: u32) {
        if let Use::File { valid, .. } = &mut self.at_mut(pfn).used {
            *valid = bytes;
        }
    }

    /// Entries in use of a page table.
    pub(crate) fn live(&self, table: Pfn) -> u32 {
        match self.at(table).used {
            Use::Table { live } => live,
            other => unreachable!("frame {table} is {other:?}, not a page table"),
        }
    }

    /// Adds to the entries in use of a page table, and returns them.
    pub(crate) fn add_live(&mut self, table: Pfn, delta: i32) -> u32 {
        match &mut self.at_mut(table).used {
            Use::Table { live } => {
                *live = live.wrapping_add_signed(delta);
                *live
            }
            other => unreachable!("frame {table} is {other:?}, not a page table"),
        }
    }

    /// The free frames in the order of the list, for the audit: stops at a loop.
    pub(crate) fn free_list(&self) -> impl Iterator<Item = Pfn> + '_ {
        let held = self.held.iter().rev().map(|&pfn| Pfn(u64::from(pfn)));
        let used_before = held.chain(self.list(self.free_head)).chain(self.list(self.zero_head));
        used_before.chain((self.frames.len() as u64..self.total()).map(Pfn))
    }

    /// The frames of a list from its head on; stops at a loop.
    fn list(&self, head: u32) -> impl Iterator<Item = Pfn> + '_ {
        let mut next = head;
        (0..=self.frames.len()).map_while(move |_| {
            let frame = self.frames.get(next as usize)?;
            let pfn = Pfn(u64::from(next));
            next = frame.link;
            Some(pfn)
        })
    }

    fn count(&mut self, used: Use) -> &mut u64 {
        match used {
            Use::MachineTable | Use::Table { .. } => &mut self.tables,
            Use::Transit => &mut self.transit,
            Use::Anon { .. } => &mut self.anon,
            Use::File { .. } => &mut self.file,
            Use::Free => unreachable!("a frame is not allocated as free"),
        }
    }

    fn at(&self, pfn: Pfn) -> &Frame {
        debug_assert!(pfn.0 < self.total());
        self.frames.get(pfn.0 as usize).unwrap_or(&NEVER_USED)
    }

    fn at_mut(&mut self, pfn: Pfn) -> &mut Frame {
        &mut self.frames[pfn.0 as usize]
    }
}

/// How the frames are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FrameSummary {
    /// All frames.
    pub total: u64,
    /// Not in use.
    pub free: u64,
    /// Private pages.
    pub anon: u64,
    /// Page cache.
    pub file: u64,
    /// Page tables.
    pub page_table: u64,
    /// Never evicted: the page tables, and frames that devices read into.
    pub wired: u64,
    /// The most that were ever in use at one time.
    pub peak_used: u64,
    /// The most that ever held pages, private or of files, at one time.
    pub peak_pages: u64,
    /// Mapped more than once.
    pub shared: u64,
    /// The most that were ever mapped more than once at one time.
    pub peak_shared: u64,
}
