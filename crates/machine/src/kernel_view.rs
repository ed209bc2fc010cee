//! What the kernel itself refers to, and what that does to the TLB.
//!
//! ```text
//!   trap or system call ─► [load the kernel's root] ─► text, stack
//!                               │ the kernel works: every page that it touches is written down
//!                               ▼
//!                          [load the program's root] ◄─ the pages written down, in order
//!                     [ ]: only where the kernel has a space of its own
//! ```
//!
//! The kernel of this machine is not a program that the machine runs, so its references are a
//! model: at each entry a fetch from the first page of its map (its text) and a store to the last
//! (its stack); then one load or store for each page of RAM that it touches while it works, page
//! tables and programs' pages alike, successive touches of one page counting once. They are made
//! as the supervisor, through the map ([`KernelMap`]), and walk, hit, and push out entries as all
//! references do. Copying between a program and the kernel goes through the map as well.
//!
//! Invariants:
//! 1. Whatever the kernel does for a stop of the hart lies between [`Memory::enter_kernel`] and
//!    [`Memory::leave_kernel`]; outside of them (audits) nothing is written down.
//! 2. Without a map nothing changes: no counter, no entry.

use std::cell::RefCell;
use std::iter::Sum;

use pagewalk_cpu::RefTime;
use pagewalk_kernel::{KernelMap, KernelMapping};
use pagewalk_mmu::{Access, AccessKind, Asid, PhysAddr};

use crate::memory::Memory;

/// What the kernel's own references came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelTraffic {
    /// Times that the kernel was entered.
    pub entries: u64,
    /// Instruction fetches.
    pub fetches: u64,
    /// Loads.
    pub loads: u64,
    /// Stores.
    pub stores: u64,
    /// Those of them that the first level of the TLB could not serve.
    pub misses: u64,
    /// Loads of the root register, on the way in and out.
    pub root_loads: u64,
    /// TLB entries that these loads dropped.
    pub entries_flushed: u64,
}

impl KernelTraffic {
    /// Loads and stores.
    pub const fn data(&self) -> u64 {
        self.loads + self.stores
    }
}

impl Sum for KernelTraffic {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), |sum, item| Self {
            entries: sum.entries + item.entries,
            fetches: sum.fetches + item.fetches,
            loads: sum.loads + item.loads,
            stores: sum.stores + item.stores,
            misses: sum.misses + item.misses,
            root_loads: sum.root_loads + item.root_loads,
            entries_flushed: sum.entries_flushed + item.entries_flushed,
        })
    }
}

/// The kernel's view of memory.
#[derive(Clone, Debug)]
pub(crate) struct KernelView {
    map: KernelMap,
    /// Pages touched since the kernel was entered.
    touched: RefCell<Vec<Touch>>,
    inside: bool,
    /// The space to go back to.
    program: (Asid, PhysAddr),
    pub traffic: KernelTraffic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Touch {
    page: PhysAddr,
    kind: AccessKind,
}

impl KernelView {
    /// A view through `map`.
    pub const fn new(map: KernelMap) -> Self {
        Self {
            map,
            touched: RefCell::new(Vec::new()),
            inside: false,
            program: (Asid(0), PhysAddr(0)),
            traffic: KernelTraffic {
                entries: 0,
                fetches: 0,
                loads: 0,
                stores: 0,
                misses: 0,
                root_loads: 0,
                entries_flushed: 0,
            },
        }
    }

    fn is_separate(&self) -> bool {
        self.map.mapping == KernelMapping::Separate
    }

    /// The space to go back to is another one. `false` if that is not for later.
    pub fn postpone_root(&mut self, asid: Asid, table: PhysAddr) -> bool {
        let postponed = self.inside && self.is_separate();
        if postponed {
            self.program = (asid, table);
        }
        postponed
    }
}

impl Memory {
    /// The kernel is entered, `retired` instructions having been retired.
    #[inline]
    pub(crate) fn enter_kernel(&mut self, retired: u64) {
        if self.hart.kernel.is_some() {
            self.enter_view(retired);
        }
    }

    fn enter_view(&mut self, retired: u64) {
        let program = (self.mmu().asid(), self.mmu().root().table);
        let Some(view) = &mut self.hart.kernel else { return };
        view.traffic.entries += 1;
        view.inside = true;
        view.program = program;
        let map = view.map;
        if view.is_separate() {
            self.switch_root(KernelMap::ASID, map.root);
        }
        self.kernel_reference(PhysAddr(0), AccessKind::Execute, retired);
        let stack = PhysAddr(map.bytes - self.ram.page().bytes());
        self.kernel_reference(stack, AccessKind::Write, retired);
    }

    /// The kernel is left: what it touched is referred to, and the program's space is back.
    pub(crate) fn leave_kernel(&mut self, retired: u64) {
        let Some(view) = &mut self.hart.kernel else { return };
        view.inside = false;
        for touch in std::mem::take(view.touched.get_mut()) {
            self.kernel_reference(touch.page, touch.kind, retired);
        }
        if let Some(view) = &self.hart.kernel
            && view.is_separate()
        {
            let (asid, table) = view.program;
            self.switch_root(asid, table);
        }
    }

    /// The kernel touches the byte at `pa`.
    #[inline]
    pub(crate) fn kernel_touches(&self, pa: PhysAddr, kind: AccessKind) {
        if self.hart.kernel.is_some() {
            self.note_touch(pa, kind);
        }
    }

    #[inline(never)]
    fn note_touch(&self, pa: PhysAddr, kind: AccessKind) {
        let Some(view) = self.hart.kernel.as_ref().filter(|view| view.inside) else { return };
        let touch = Touch { page: PhysAddr(pa.0 & !(self.ram.page().bytes() - 1)), kind };
        let mut touched = view.touched.borrow_mut();
        if touched.last() != Some(&touch) {
            touched.push(touch);
        }
    }

    /// Whether the hart that runs is in the kernel.
    pub(crate) fn is_in_kernel(&self) -> bool {
        self.hart.kernel.as_ref().is_some_and(|view| view.inside)
    }

    fn kernel_reference(&mut self, pa: PhysAddr, kind: AccessKind, retired: u64) {
        let Some(view) = &mut self.hart.kernel else { return };
        *match kind {
            AccessKind::Execute => &mut view.traffic.fetches,
            AccessKind::Read => &mut view.traffic.loads,
            AccessKind::Write => &mut view.traffic.stores,
        } += 1;
        let va = view.map.address(pa);
        let before = self.mmu().counters().l1_misses.total();
        self.translate_for_kernel(va, Access::supervisor(kind), RefTime::fetch(retired));
        let misses = self.mmu().counters().l1_misses.total() - before;
        if let Some(view) = &mut self.hart.kernel {
            view.traffic.misses += misses;
        }
    }

    fn switch_root(&mut self, asid: Asid, table: PhysAddr) {
        let before = self.mmu().counters().entries_flushed;
        self.load_root_in_passing(asid, table);
        let dropped = self.mmu().counters().entries_flushed - before;
        if let Some(view) = &mut self.hart.kernel {
            view.traffic.root_loads += 1;
            view.traffic.entries_flushed += dropped;
        }
    }
}
