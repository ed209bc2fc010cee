//! TLBs that software loads: what the hardware does at a miss, and what a handler may do to it.
//!
//! ```text
//!   access ──► TLB ──no entry, or one that refuses──► exception
//!                                                        │ handler, an operating system's
//!              TLB ◄── fill ◄─────────────────────────── page table
//! ```
//!
//! A handler is free to look where it likes. [`Mmu::walk_by_software`] and [`Mmu::fill`] are for one
//! that walks the tables as the architecture's hardware would; the R3000's works through [`Cp0`].

use super::walks::{Counted, References};
use super::{Hit, Mmu, Source, TlbExceptions};
use crate::r3000::{ASID_MAX, Context, Cp0, EntryHi, ExcCode, Exception, PAGE, Vector};
use crate::radix::{Format, R3000};
use crate::tlb::{Line, Side, TlbConfig};
use crate::{
    Access, ArchFault, Asid, Fault, FaultCause, TableMemory, Tables, Translation, VirtAddr,
    WalkObserver,
};

impl Mmu {
    /// Whether a miss is an exception, and the TLB loaded by software.
    pub fn is_software_loaded(&self) -> bool {
        self.cp0.is_some() || self.tlb.as_ref().is_some_and(|tlb| tlb.config().software)
    }

    /// Coprocessor 0, if this is an R3000.
    pub fn cp0(&self) -> Option<&Cp0> {
        self.cp0.as_deref()
    }

    /// Coprocessor 0, for handlers.
    pub fn cp0_mut(&mut self) -> Option<&mut Cp0> {
        self.cp0.as_deref_mut()
    }

    /// The walk of the page table that a handler makes: as the hardware would, but for filling the
    /// TLB. Its references are counted, and shown to `observer`.
    ///
    /// # Errors
    /// The fault that the tables hold.
    pub fn walk_by_software<M: TableMemory + ?Sized, O: WalkObserver>(
        &mut self,
        memory: &mut M,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        let mut counted = Counted { references: References::default(), observer };
        let (tables, root) = (&self.tables, &self.root);
        let found = tables.walk_observed(memory, root, self.asid, va, access, &mut counted);
        let References { reads, writes } = counted.references;
        self.count_handler_references(reads, writes);
        found
    }

    /// Counts the references that a handler made to page tables by itself.
    pub const fn count_handler_references(&mut self, reads: u64, writes: u64) {
        self.counters.walk_reads += reads;
        self.counters.walk_writes += writes;
    }

    /// Puts a translation of the page of `va` into the TLB, at both levels, in place of an entry
    /// that refused: the access is done then.
    pub fn fill(&mut self, va: VirtAddr, access: Access, found: &Translation, now: u64) -> Hit {
        let (side, vpn) = (Side::of(access.kind), va.vpn(self.base_page));
        let entry = self.entry(va, found);
        let slot = self.tlb.as_mut().and_then(|tlb| {
            tlb.drop_found(side, vpn, self.asid);
            tlb.fill(side, entry, now)
        });
        Hit { pa: found.pa, page: found.page, slot, source: Source::Walk }
    }

    /// The access once more, after a handler of the R3000 ran: as [`Mmu::translate`], but neither a
    /// reference nor a miss of its own.
    ///
    /// # Errors
    /// The next exception.
    pub fn retry(&mut self, va: VirtAddr, access: Access, now: u64) -> Result<Hit, Fault> {
        self.ask_r3000(va, access, now)
    }

    /// An access was found to be a page fault.
    pub const fn count_fault(&mut self) {
        self.counters.faults += 1;
    }
}

impl Mmu {
    /// The exception of a TLB that software loads, counted. The walk that it counts is the
    /// handler's, which is to come.
    pub(super) fn tlb_exception(
        &mut self,
        va: VirtAddr,
        access: Access,
        refusing: Option<Line>,
    ) -> Fault {
        self.counters.walks.count(access.kind);
        self.counters.rewalks += u64::from(refusing.is_some());
        let permit = |line: Line| self.tables.permit(line.rights(), access);
        let cause = match refusing.map(permit) {
            None => FaultCause::TlbMiss,
            Some(Ok(())) => FaultCause::DirtyClear,
            Some(Err(cause)) => cause,
        };
        count(&mut self.counters.exceptions, cause, true);
        Fault { va, access, level: None, cause, arch: ArchFault::SoftwareTlb }
    }

    pub(super) fn translate_r3000(
        &mut self,
        va: VirtAddr,
        access: Access,
        now: u64,
    ) -> Result<Hit, Fault> {
        let result = self.ask_r3000(va, access, now);
        if let Err(fault) = &result {
            self.counters.l1_misses.count(access.kind);
            self.counters.walks.count(access.kind);
            let despite_an_entry =
                matches!(fault.cause, FaultCause::NotPresent | FaultCause::DirtyClear);
            self.counters.rewalks += u64::from(despite_an_entry);
        }
        result
    }

    fn ask_r3000(&mut self, va: VirtAddr, access: Access, now: u64) -> Result<Hit, Fault> {
        let Some(cp0) = self.cp0.as_deref_mut() else {
            unreachable!("asked where there is an R3000");
        };
        cp0.set_mode(access.privilege);
        match cp0.translate(va, access.kind, now) {
            Ok(mapped) => Ok(Hit {
                pa: mapped.pa,
                page: PAGE,
                slot: mapped.slot,
                source: if mapped.slot.is_some() { Source::L1 } else { Source::Unmapped },
            }),
            Err(exception) => {
                self.note(exception);
                Err(exception.fault(va, access))
            }
        }
    }

    /// Counts an exception of the R3000: also for handlers, whose own accesses raise them.
    pub const fn note(&mut self, exception: Exception) {
        let exceptions = &mut self.counters.exceptions;
        match exception.code {
            ExcCode::Adel | ExcCode::Ades => exceptions.address += 1,
            _ => count(exceptions, exception.cause, matches!(exception.vector, Vector::Utlb)),
        }
    }
}

/// Counts an exception by its cause; misses by whether they are a user page's.
const fn count(exceptions: &mut TlbExceptions, cause: FaultCause, user: bool) {
    match cause {
        FaultCause::TlbMiss | FaultCause::TlbShutdown if user => exceptions.refill += 1,
        FaultCause::TlbMiss | FaultCause::TlbShutdown => exceptions.kernel_refill += 1,
        FaultCause::DirtyClear => exceptions.modified += 1,
        _ => exceptions.invalid += 1,
    }
}

/// Whether these are an R3000's tables and its TLB.
pub(super) fn is_r3000(tables: &Tables, tlb: Option<&TlbConfig>) -> bool {
    let has_tables = matches!(tables, Tables::Radix(Format::R3000(_)));
    has_tables && tlb.is_some_and(|config| *config == Cp0::tlb_config())
}

/// The bits of a space's number that EntryHi holds.
pub(super) const fn identifier(asid: Asid) -> Asid {
    Asid(asid.0 & ASID_MAX)
}

/// What a kernel does when another space is to run: EntryHi's ASID, Context's PTEBase.
pub(super) fn enter_space(cp0: &mut Cp0, asid: Asid) {
    cp0.set_entry_hi(EntryHi::of(cp0.entry_hi().vpn(), asid));
    cp0.set_context(Context::new(R3000::PTE_BASE));
}
