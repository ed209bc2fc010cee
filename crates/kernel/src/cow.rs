//! Private pages with several owners: who may store, who copies, who lets go.
//!
//! ```text
//!   owners of a private page:   its mappings  +  the names of its slot
//!
//!   store, one owner            writes in place; the slot is dropped; `cow_reused` if it was shared
//!   store, several              gets a copy; the others keep the frame or the slot
//!   last mapping gone           slot named ─► frame stays in the swap cache, to be found or evicted
//!                               else       ─► frame free, slot free
//!   last name of a slot gone    frame unmapped ─► frame free, slot free
//!                               else           ─► the frame keeps the slot
//! ```
//!
//! Whether a page may be stored to is its region's and its number of owners' to say. The right to
//! store in a page-table entry can lag behind: it is taken from all owners when they become
//! several, and given back to the last by its next store (`FrameTable::cow` remembers that).
//!
//! Invariant: a frame whose slot is named by others changes no more. If it is dirty, the slot is
//! only reserved, and is written when the frame is freed: the others find the frame until then.

use crate::fault::Fault;
use crate::{FrameTable, Kernel, Pmap, Prot, Region, SwapMap, SwapSlot, Use};
use pagewalk_mmu::Pfn;

/// Whether a private page has more than one owner.
pub(crate) fn is_shared(frames: &FrameTable, swap: &SwapMap, pfn: Pfn) -> bool {
    match frames.used(pfn) {
        Use::Anon { slot } => {
            frames.mappings(pfn) > 1 || slot.is_some_and(|slot| swap.names(slot) > 0)
        }
        _ => false,
    }
}

/// What an entry for the frame may allow: the region's rights, without stores if a store must copy
/// the page first.
pub(crate) fn prot_in(frames: &FrameTable, swap: &SwapMap, region: &Region, pfn: Pfn) -> Prot {
    let prot = region.prot_of(frames.used(pfn));
    if is_shared(frames, swap, pfn) { without_stores(prot) } else { prot }
}

/// The rights of a page that must be copied before it is stored to. Who may store may load.
pub(crate) fn without_stores(prot: Prot) -> Prot {
    if prot.contains(Prot::WRITE) { (prot - Prot::WRITE) | Prot::READ } else { prot }
}

impl<P: Pmap> Kernel<P> {
    /// What an entry of the region for the frame may allow.
    pub(crate) fn prot_of(&self, region: &Region, pfn: Pfn) -> Prot {
        prot_in(&self.frames, &self.swap, region, pfn)
    }

    /// Whether the fault, on a page that is in this frame, must copy it.
    pub(crate) fn must_copy(&self, fault: &Fault, pfn: Pfn) -> bool {
        let of_file = matches!(self.frames.used(pfn), Use::File { .. });
        fault.stores()
            && !fault.region.shared
            && (of_file || is_shared(&self.frames, &self.swap, pfn))
    }

    /// The frame stands for its slot, which page tables name: the pair goes to the swap cache.
    pub(crate) fn keep_slot(&mut self, pfn: Pfn, slot: SwapSlot) {
        self.frames.set_slot(pfn, Some(slot));
        self.swap_cache.insert(&self.frames, pfn);
        self.swap.keep(slot);
    }

    /// The frame leaves the swap cache; a slot that nobody names is free then.
    pub(crate) fn forget_slot(&mut self, pfn: Pfn) {
        if let Use::Anon { slot: Some(slot) } = self.frames.used(pfn) {
            self.swap_cache.remove(&self.frames, pfn);
            self.frames.set_slot(pfn, None);
            self.swap.unkeep(slot);
            if self.transfers.withdraw(pfn) {
                self.know_again(pfn);
            }
        }
    }

    /// The page is about to differ from its slot.
    pub(crate) fn drop_slot(&mut self, pfn: Pfn) {
        if matches!(self.frames.used(pfn), Use::Anon { slot: Some(_) }) {
            self.forget_slot(pfn);
            self.frames.set_dirty(pfn, true);
        }
    }

    /// A page-table entry no longer names the slot.
    pub(crate) fn drop_slot_name(&mut self, slot: SwapSlot) {
        match self.swap_cache.find(&self.frames, slot) {
            Some(pfn) => {
                self.drop_pair_name(pfn, slot);
                self.free_unowned(pfn);
            }
            None => self.swap.drop_names(slot, 1),
        }
    }

    /// A page-table entry no longer names the slot of a pair. After the last the pair is useless;
    /// the frame keeps a slot with its bytes, and a slot that was only reserved is free.
    pub(crate) fn drop_pair_name(&mut self, pfn: Pfn, slot: SwapSlot) {
        self.swap.drop_names(slot, 1);
        if self.swap.names(slot) > 0 {
            return;
        }
        match self.frames.dirty(pfn) {
            true => self.forget_slot(pfn),
            false => self.swap_cache.remove(&self.frames, pfn),
        }
    }

    /// Frees the frame of a private page if it has no owner left.
    pub(crate) fn free_unowned(&mut self, pfn: Pfn) {
        if let Use::Anon { slot } = self.frames.used(pfn)
            && self.frames.mappings(pfn) == 0
            && slot.is_none_or(|slot| self.swap.names(slot) == 0)
        {
            self.free_page(pfn);
        }
    }
}
