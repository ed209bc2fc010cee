//! TLB shoot-downs: invalidations that other harts have to make as well.
//!
//! ```text
//!   hart 0: unmaps a page     flush here ─┬─► one request to all harts that may hold it   sent + 1
//!                                         │
//!   hart 1: runs the space  ◄─────────────┤ interrupt, flush                          received + 1
//!   hart 2: ran it, has not flushed since ◄ interrupt, flush                          received + 1
//!   hart 3: never ran it                    nothing
//! ```
//!
//! This is Linux's scheme on RISC-V (arch/riscv/mm/tlbflush.c): the harts in the space's
//! `mm_cpumask` are asked, whether they run the space at the moment or not, and whoever asked waits
//! until all are done. A hart is in the mask from the load of the space's root until the space is
//! flushed from its TLB as a whole while another's root is loaded; on a TLB without tags, until
//! another's root is loaded.
//!
//! Invariant: when a flush returns, no hart holds a translation that it is about. So no hart ever
//! uses a stale one, however the harts take turns.

use pagewalk_mmu::{Asid, VirtAddr};

use crate::hart_memory::HartMemory;
use crate::memory::Memory;

/// What a hart had to do with shoot-downs, by the names of Linux's `/proc/vmstat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shootdowns {
    /// Requests that it made of one or more others (`nr_tlb_remote_flush`).
    pub sent: u64,
    /// Requests of others that it served, each an interrupt (`nr_tlb_remote_flush_received`).
    pub received: u64,
}

impl Memory {
    /// Invalidates the translation of one page in one address space, on every hart.
    pub fn flush_page(&mut self, asid: Asid, va: VirtAddr) {
        let page = self.ram.page();
        self.hart.flush_page(asid, va, page);
        self.shoot_down(|hart| hart.may_hold(asid), |hart| hart.flush_page(asid, va, page));
    }

    /// Invalidates all translations of one address space, on every hart.
    pub fn flush_asid(&mut self, asid: Asid) {
        self.hart.flush_asid(asid);
        self.shoot_down(|hart| hart.may_hold(asid), |hart| hart.flush_asid(asid));
    }

    /// Invalidates all translations, on every hart.
    pub fn flush_all(&mut self) {
        self.hart.flush_all();
        self.shoot_down(HartMemory::may_hold_any, HartMemory::flush_all);
    }

    fn shoot_down(
        &mut self,
        concerns: impl Fn(&HartMemory) -> bool,
        flush: impl Fn(&mut HartMemory),
    ) {
        let mut asked = false;
        for hart in self.parked.iter_mut().filter(|hart| concerns(hart)) {
            flush(hart);
            // Without a TLB only host pages are dropped, of which the machine knows nothing.
            if hart.has_translation_caches() {
                hart.shootdowns.received += 1;
                asked = true;
            }
        }
        self.hart.shootdowns.sent += u64::from(asked);
    }
}
