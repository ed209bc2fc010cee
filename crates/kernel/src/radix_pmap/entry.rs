//! What the kernel puts in entries: pages, swap slots, rights.
//!
//! ```text
//!   absent entry, as the format's software bits (`Radix::encode_absent`):
//!      n        2 1      0
//!     ┌──────────┬────────┐
//!     │   slot   │  kind  │     kind 0: the entry is empty; kind 1: a page on swap
//!     └──────────┴────────┘
//! ```
//!
//! The slot's number names the device as well: devices have their parts of one row (`swap.rs`).
//!
//! A page that its region forbids altogether (PROT_NONE) stays mapped as a page of the supervisor:
//! all formats can say that, and the program faults.

use super::RadixPmap;
use crate::{Mapping, Prot, Resident, SwapSlot};
use pagewalk_mmu::radix::{Entry, Leaf, Radix};
use pagewalk_mmu::{Level, Rights};

/// Bits of an absent entry that say what it is.
pub(super) const KIND_BITS: u8 = 2;
/// A page on swap.
const SWAPPED: u64 = 1;

impl<F: Radix> RadixPmap<F> {
    /// What an entry of `level` maps that is no table; a large page as its first base page.
    pub(super) fn decode_leaf(&self, level: Level, raw: u64) -> Mapping {
        match self.format.decode(level, raw) {
            Entry::Leaf(leaf) => Mapping::Resident(Resident {
                pfn: leaf.pfn,
                prot: prot_of(self.format.granted(&leaf, raw)),
                referenced: leaf.accessed,
                modified: leaf.dirty,
            }),
            Entry::NotPresent => {
                let payload = self.format.decode_absent(raw);
                if payload == 0 {
                    return Mapping::None;
                }
                debug_assert_eq!(payload & ((1 << KIND_BITS) - 1), SWAPPED);
                Mapping::Swapped(SwapSlot((payload >> KIND_BITS) as u32))
            }
            other => unreachable!("{other:?} at level {level:?}, where no table is"),
        }
    }

    /// A leaf of `level`.
    pub(super) fn encode(&self, level: Level, new: Resident) -> u64 {
        let leaf = Leaf {
            pfn: new.pfn,
            rights: rights_of(new.prot),
            global: false,
            accessed: new.referenced,
            dirty: new.modified,
            cache_disable: false,
            write_through: false,
        };
        self.format.encode_leaf(level, leaf)
    }

    pub(super) fn encode_slot(&self, slot: Option<SwapSlot>) -> u64 {
        let payload = slot.map_or(0, |slot| u64::from(slot.0) << KIND_BITS | SWAPPED);
        self.format.encode_absent(payload)
    }
}

/// What the hardware is asked to grant.
pub(crate) fn rights_of(prot: Prot) -> Rights {
    if prot.is_empty() {
        return Rights::READ;
    }
    let mut rights = Rights::USER;
    rights.set(Rights::READ, prot.intersects(Prot::READ | Prot::WRITE));
    rights.set(Rights::WRITE, prot.contains(Prot::WRITE));
    rights.set(Rights::EXECUTE, prot.contains(Prot::EXEC));
    rights
}

/// What the hardware's rights let the program do.
pub(crate) fn prot_of(rights: Rights) -> Prot {
    let mut prot = Prot::empty();
    if rights.contains(Rights::USER) {
        prot.set(Prot::READ, rights.contains(Rights::READ));
        prot.set(Prot::WRITE, rights.contains(Rights::WRITE));
        prot.set(Prot::EXEC, rights.contains(Rights::EXECUTE));
    }
    prot
}
