//! The harts of a machine: one runs, the others are parked.
//!
//! ```text
//!   hart          parked                    switch_hart(2)
//!   ┌───┐    ┌───┬───┬───┐                  ┌───┐    ┌───┬───┬───┐
//!   │ 0 │    │ 1 │ 2 │ 3 │       ──►        │ 2 │    │ 1 │ 0 │ 3 │
//!   └───┘    └───┴───┴───┘                  └───┘    └───┴───┴───┘
//! ```
//!
//! The one that runs is in place, so that its fast path costs what it costs on a machine of one;
//! a switch swaps it with another. Where a hart is parked says nothing: its number is its own.

use std::iter;
use std::mem::swap;

use pagewalk_kernel::KernelMap;
use pagewalk_mmu::{Asid, Mmu, MmuCounters, PhysAddr};

use crate::hart_memory::{HartMemory, Switches};
use crate::kernel_view::{KernelTraffic, KernelView};
use crate::memory::Memory;
use crate::segmentation::Segmentation;
use crate::shootdown::Shootdowns;

#[cfg(test)]
mod tests;

/// The most harts of a machine.
pub const HARTS_MAX: u32 = 64;

impl Memory {
    /// The same with so many harts, all as after reset.
    ///
    /// # Panics
    /// If there are to be none, or more than [`HARTS_MAX`].
    pub fn with_harts(mut self, harts: u32) -> Self {
        assert!((1..=HARTS_MAX).contains(&harts), "{harts} harts");
        assert!(!self.hart.may_hold_any(), "the first hart has run already");
        self.parked = (1..harts).map(|n| self.hart.another(n, &mut self.ram)).collect();
        self
    }

    /// The number of harts.
    pub fn harts(&self) -> u32 {
        self.parked.len() as u32 + 1
    }

    /// The number of the hart that runs.
    pub const fn hart(&self) -> u32 {
        self.hart.number
    }

    /// Lets another hart run. Reservations end: the caller drops them.
    ///
    /// # Panics
    /// If there is no such hart, or the one that runs is in the kernel.
    pub fn switch_hart(&mut self, number: u32) {
        if number == self.hart.number {
            return;
        }
        debug_assert!(!self.is_in_kernel(), "a hart leaves the kernel before another runs");
        let place = self.parked.iter().position(|hart| hart.number == number);
        let place = place.expect("the machine has that hart");
        self.hart.outside = self.time.park();
        swap(&mut self.hart, &mut self.parked[place]);
        self.time.resume(&self.hart.outside);
    }

    /// What a hart has of the memory system.
    ///
    /// # Panics
    /// If there is no such hart.
    pub fn hart_memory(&self, number: u32) -> &HartMemory {
        let found = self.hart_memories().find(|hart| hart.number == number);
        found.expect("the machine has that hart")
    }

    /// Whether the hart that runs has that space loaded.
    pub fn runs(&self, asid: Asid, table: PhysAddr) -> bool {
        self.hart.runs(asid, table)
    }

    /// All harts' parts, the one that runs first.
    pub fn hart_memories(&self) -> impl Iterator<Item = &HartMemory> {
        iter::once(&self.hart).chain(&self.parked)
    }

    /// All harts' MMUs, that of the one that runs first.
    pub fn mmus(&self) -> impl Iterator<Item = &Mmu> {
        self.hart_memories().map(HartMemory::mmu)
    }

    /// What all MMUs have counted.
    pub fn mmu_counters(&self) -> MmuCounters {
        self.mmus().map(|mmu| *mmu.counters()).sum()
    }

    /// References that the fast path served in place of walks, on a machine without a TLB, and the
    /// table entries that each of those walks would have read. `references` is the number of all
    /// that all harts made.
    pub fn unseen_walks(&self, references: u64) -> (u64, u64) {
        let parked: u64 = self.parked.iter().map(|hart| hart.translated).sum();
        // Elsewhere none are unseen, and the number of references is none of this one's business.
        (self.hart.unseen_walks(references.saturating_sub(parked)), self.hart.reads_per_walk())
    }

    /// What all harts had to do with shoot-downs.
    pub fn shootdowns(&self) -> Shootdowns {
        self.hart_memories().fold(Shootdowns::default(), |sum, hart| Shootdowns {
            sent: sum.sent + hart.shootdowns.sent,
            received: sum.received + hart.shootdowns.received,
        })
    }

    /// Switches of all harts from one program's space to another's.
    pub fn switches(&self) -> Switches {
        self.hart_memories().fold(Switches::default(), |sum, hart| Switches {
            spaces: sum.spaces + hart.switches().spaces,
            entries_flushed: sum.entries_flushed + hart.switches().entries_flushed,
        })
    }

    /// What the kernel's own references came to on all harts; nothing without a map.
    pub fn kernel_traffic(&self) -> KernelTraffic {
        self.hart_memories().map(HartMemory::kernel_traffic).sum()
    }

    /// From now on the kernel refers to its memory through `map`.
    pub(crate) fn set_kernel_map(&mut self, map: KernelMap) {
        for hart in iter::once(&mut self.hart).chain(&mut self.parked) {
            hart.kernel = Some(Box::new(KernelView::new(map)));
        }
    }

    /// Moves the limit of the code segment, if there is one, on every hart that runs the same
    /// space.
    pub fn set_code_end(&mut self, end: u64) {
        let space = self.hart.mmu.asid();
        let parked = self.parked.iter_mut();
        let others = parked.filter(|hart| hart.may_hold_any() && hart.mmu.asid() == space);
        for hart in iter::once(&mut self.hart).chain(others) {
            if let Segmentation::Ia32(segments) = &mut hart.segmentation {
                segments.set_code_end(&mut self.ram, end);
                hart.drop_everything();
            }
        }
    }

    /// A frame's decoded code is kept from now on: no hart may store to it unnoticed.
    pub(crate) fn drop_writable(&mut self, frame: PhysAddr) {
        let bytes = self.ram.page().bytes();
        for hart in iter::once(&mut self.hart).chain(&mut self.parked) {
            hart.writable.remove_offsets(frame.0, bytes);
        }
    }
}
