//! TLBR, TLBWI, TLBWR, TLBP and RFE.
//!
//! ```text
//!   TLBR    EntryHi, EntryLo ◄── entry[Index]        TLBWI   entry[Index]  ◄── EntryHi, EntryLo
//!   TLBP    Index ◄── the entry that matches         TLBWR   entry[Random] ◄── EntryHi, EntryLo
//!           EntryHi, else P
//! ```
//!
//! The hardware lets software write a second entry for a page: only an address that matches both
//! shuts the TLB down.

use super::registers::{ENTRIES, EntryHi, EntryLo, Index, PAGE_SHIFT};
use super::{Cp0, PAGE};
use crate::tlb::{Allowed, Side, Slot, TlbEntry};
use crate::{AccessKind, Asid, Rights, Vpn};

impl Cp0 {
    /// TLBR: reads the entry that Index says.
    pub fn tlbr(&mut self) {
        (self.entry_hi, self.entry_lo) = self.read(self.index.slot());
    }

    /// TLBWI: writes the entry that Index says.
    pub fn tlbwi(&mut self) {
        self.write(self.index.slot(), self.entry_hi, self.entry_lo);
    }

    /// TLBWR: writes the entry that Random says after `instructions` instructions; returns its
    /// number.
    pub fn tlbwr(&mut self, instructions: u64) -> u32 {
        let slot = self.random(instructions).slot();
        self.write(slot, self.entry_hi, self.entry_lo);
        slot
    }

    /// TLBP: looks for an entry that matches EntryHi, whether V is set or not. Of two, the lower.
    pub fn tlbp(&mut self) {
        let (vpn, asid) = (self.entry_hi.vpn(), self.entry_hi.asid());
        self.index = match self.tlb.matches(Side::Data, vpn, asid).next() {
            Some(slot) => Index::of(slot.0),
            None => Index::new(Index::P),
        };
    }

    /// RFE: back to the mode before the last exception.
    pub const fn rfe(&mut self) {
        self.status = self.status.popped();
    }

    /// Overwrites the entry that Index says with one that nothing matches (TLBWI).
    pub fn invalidate_indexed(&mut self) {
        self.write_unmatched(self.index.slot());
    }

    /// Overwrites the entries of which `condition` holds with such that nothing matches, as
    /// software invalidates. Returns how many.
    pub(crate) fn invalidate(&mut self, condition: impl Fn(&TlbEntry) -> bool) -> u64 {
        let mut count = 0;
        for slot in 0..ENTRIES {
            let entry = self.tlb.entry(Side::Data, Slot(slot));
            if entry.is_some_and(|entry| entry.vpn != unmatched(slot) && condition(&entry)) {
                self.write_unmatched(slot);
                count += 1;
            }
        }
        count
    }

    /// Writes an entry that no address matches: its page is in kseg0, which is not mapped.
    pub(super) fn write_unmatched(&mut self, slot: u32) {
        self.write(slot, EntryHi::of(unmatched(slot), Asid(0)), EntryLo::default());
    }

    fn read(&self, slot: u32) -> (EntryHi, EntryLo) {
        let Some(entry) = self.tlb.entry(Side::Data, Slot(slot)) else {
            return Default::default();
        };
        let flag = |on, bit| if on { bit } else { 0 };
        let lo = (entry.pfn.0 as u32) << PAGE_SHIFT
            | flag(self.uncached >> slot & 1 != 0, EntryLo::N)
            | flag(entry.dirty, EntryLo::D)
            | flag(!entry.rights.is_empty(), EntryLo::V)
            | flag(entry.global, EntryLo::G);
        (EntryHi::of(entry.vpn, entry.asid), EntryLo::new(lo))
    }

    fn write(&mut self, slot: u32, hi: EntryHi, lo: EntryLo) {
        let valid = Rights::READ | Rights::WRITE | Rights::EXECUTE | Rights::USER;
        let (is_valid, dirty) = (lo.has(EntryLo::V), lo.has(EntryLo::D));
        let entry = TlbEntry {
            vpn: hi.vpn(),
            page: PAGE,
            asid: hi.asid(),
            global: lo.has(EntryLo::G),
            pfn: lo.pfn(),
            rights: if is_valid { valid } else { Rights::empty() },
            dirty,
            allowed: Allowed::judged(|access| {
                is_valid && (dirty || access.kind != AccessKind::Write)
            }),
        };
        let is_second = self.tlb.fill_slot(Side::Data, Slot(slot), entry);
        self.has_doubles |= is_second;
        let bit = 1 << slot;
        self.uncached = self.uncached & !bit | if lo.has(EntryLo::N) { bit } else { 0 };
    }
}

/// The page of the entry that stands in `slot` when nothing is there: each slot has its own.
const fn unmatched(slot: u32) -> Vpn {
    Vpn(0x8_0000 + slot as u64)
}
