//! The handlers that load a TLB where the hardware does not.
//!
//! On the R3000 the page table is linear in kseg2, which is mapped by the TLB too:
//!
//! ```text
//!   user access ──► UTLB miss ──► the handler at 8000_0000, nine instructions:
//!
//!                                    mfc0  k0, Context      the address of the page's entry
//!                                    mfc0  k1, EPC
//!                        ┌─────────► lw    k0, 0(k0) ────────► kseg2 miss
//!                        │           nop                          │
//!                        │           mtc0  k0, EntryLo            ▼ general vector:
//!                        │           nop                       EntryLo ◄── root[page of the table]
//!                        │           tlbwr                     TLBWR
//!                        │           jr    k1                  EntryHi ◄── the user's page again
//!                        │           rfe                          │
//!                        └────────────────────────────────────────┘
//!   user access ──► V clear, or a store and D clear ──► general vector:
//!                      TLBP; an entry of the table that allows the access now: TLBWI
//!                            else: that entry is overwritten, and it is a page fault
//! ```
//!
//! The handler loads whatever the table holds: absent entries have V clear, so the access traps
//! again. Pages of the table take up entries of the TLB that the program then does not have.
//!
//! A TLB of another architecture that is said to be loaded by software has a handler which walks
//! the tables as that architecture's hardware would.
//!
//! Invariants:
//! 1. A handler writes no page twice: refills follow misses, TLBWI the entry that TLBP found.
//! 2. When a handler gives up, the TLB has no entry of the page left, so that what the page-fault
//!    handler does is seen.
//! 3. Handlers end in the mode that they were called from: each exception is followed by an RFE.

use pagewalk_mmu::r3000::{Cp0, EntryHi, EntryLo, Exception, PAGE, Vector};
use pagewalk_mmu::radix::R3000;
use pagewalk_mmu::{
    AccessKind, ArchFault, EntryWidth, Fault, FaultCause, Hit, Level, Mmu, PhysAddr, Step,
    TableMemory, VirtAddr, WalkObserver,
};

/// Instructions of the R3000's refill handler, as listed above.
pub const REFILL_INSTRUCTIONS: u64 = 9;

/// Instructions of the general handler when it serves a TLB exception by itself: the estimate that
/// Jacob and Mudge make for Ultrix ("A Look at Several Memory Management Units, TLB-Refill
/// Mechanisms, and Page Table Organizations", ASPLOS 1998).
pub const GENERAL_INSTRUCTIONS: u64 = 20;

/// Of those of the refill handler: up to and with its load, and from there to TLBWR. Random counts
/// on while handlers run, so the entry of the table's page is not overwritten by the page's own.
const REFILL_TO_LOAD: u64 = 3;
const REFILL_TO_WRITE: u64 = 3;
/// Of those of the general handler: up to its TLB write.
const GENERAL_TO_WRITE: u64 = 15;

/// When an access is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// In references, as [`Mmu::translate`] takes it.
    pub now: u64,
    /// Instructions before the one that makes it.
    pub instructions: u64,
}

/// Serves the exception `fault` of a TLB that software loads, and completes the access.
///
/// # Errors
/// The page fault that it turns out to be.
pub fn serve<M: TableMemory + ?Sized>(
    mmu: &mut Mmu,
    memory: &mut M,
    fault: &Fault,
    when: When,
) -> Result<Hit, Fault> {
    let result = match mmu.cp0() {
        Some(_) => serve_r3000(mmu, memory, *fault, when),
        None => walk_and_fill(mmu, memory, fault, when),
    };
    if result.is_err() {
        mmu.count_fault();
    }
    result
}

/// Walks the tables as the architecture's hardware would.
fn walk_and_fill<M: TableMemory + ?Sized>(
    mmu: &mut Mmu,
    memory: &mut M,
    fault: &Fault,
    when: When,
) -> Result<Hit, Fault> {
    let found = mmu.walk_by_software(memory, fault.va, fault.access, &mut ())?;
    Ok(mmu.fill(fault.va, fault.access, &found, when.now))
}

fn serve_r3000<M: TableMemory + ?Sized>(
    mmu: &mut Mmu,
    memory: &mut M,
    mut fault: Fault,
    when: When,
) -> Result<Hit, Fault> {
    loop {
        let ArchFault::R3000 { vector, .. } = fault.arch else {
            unreachable!("an exception of the R3000");
        };
        match (vector, fault.cause) {
            (Vector::Utlb, FaultCause::TlbMiss) => refill(mmu, memory, &fault, when)?,
            (_, FaultCause::NotPresent | FaultCause::DirtyClear) => {
                update(mmu, memory, &fault)?;
            }
            (_, FaultCause::NonCanonical | FaultCause::Privilege) => {
                cp0(mmu).rfe();
                return Err(fault);
            }
            _ => unreachable!("{fault:?} in user mode, from a TLB that these handlers loaded"),
        }
        match mmu.retry(fault.va, fault.access, when.now) {
            Ok(hit) => return Ok(hit),
            Err(next) => fault = next,
        }
    }
}

/// The handler at the UTLB vector.
fn refill<M: TableMemory + ?Sized>(
    mmu: &mut Mmu,
    memory: &M,
    fault: &Fault,
    when: When,
) -> Result<(), Fault> {
    cp0(mmu).execute(REFILL_TO_LOAD);
    let entry_at = VirtAddr(u64::from(cp0(mmu).context().get()));
    let pa = match translate_kernel(mmu, entry_at, when) {
        Ok(pa) => pa,
        Err(_) => {
            let mapped = refill_table(mmu, memory, when);
            cp0(mmu).rfe();
            if !mapped {
                cp0(mmu).rfe();
                let level = Some(Level(1));
                return Err(Fault { level, cause: FaultCause::NotPresent, ..*fault });
            }
            let again = translate_kernel(mmu, entry_at, when);
            again.unwrap_or_else(|exception| unreachable!("{exception:?} of a page just mapped"))
        }
    };
    let entry = load(mmu, memory, pa);
    let cp0 = cp0(mmu);
    cp0.execute(REFILL_TO_WRITE);
    cp0.set_entry_lo(entry);
    cp0.tlbwr(when.instructions);
    cp0.execute(REFILL_INSTRUCTIONS - REFILL_TO_LOAD - REFILL_TO_WRITE);
    cp0.rfe();
    Ok(())
}

/// The general handler at a miss in kseg2: maps the page of the table that BadVAddr is in.
/// Restores EntryHi, which the handler it interrupted has yet to write. `false` if there is no
/// such page.
fn refill_table<M: TableMemory + ?Sized>(mmu: &mut Mmu, memory: &M, when: When) -> bool {
    cp0(mmu).execute(GENERAL_TO_WRITE);
    let root = mmu.root().table;
    let offset = u64::from(cp0(mmu).bad_vaddr() - R3000::PTE_BASE);
    let at = PhysAddr(root.0 + (offset >> PAGE.shift()) * EntryWidth::Four.bytes());
    let entry = load(mmu, memory, at);
    let cp0 = cp0(mmu);
    if !entry.has(EntryLo::V) {
        return false;
    }
    cp0.set_entry_lo(entry);
    cp0.tlbwr(when.instructions);
    cp0.execute(GENERAL_INSTRUCTIONS - GENERAL_TO_WRITE);
    let user = VirtAddr((offset / EntryWidth::Four.bytes()) << PAGE.shift());
    cp0.set_entry_hi(EntryHi::of(user.vpn(PAGE), cp0.entry_hi().asid()));
    true
}

/// The general handler when an entry refused: the table may allow the access by now.
fn update<M: TableMemory + ?Sized>(
    mmu: &mut Mmu,
    memory: &mut M,
    fault: &Fault,
) -> Result<(), Fault> {
    cp0(mmu).execute(GENERAL_INSTRUCTIONS);
    let mut last = Last::default();
    let found = mmu.walk_by_software(memory, fault.va, fault.access, &mut last);
    let cp0 = cp0(mmu);
    cp0.tlbp();
    debug_assert!(!cp0.index().is_miss(), "the entry that refused");
    let result = match found {
        Ok(_) => {
            cp0.set_entry_lo(EntryLo::new(last.0));
            cp0.tlbwi();
            Ok(())
        }
        Err(found) => {
            cp0.invalidate_indexed();
            Err(Fault { level: found.level, cause: found.cause, ..*fault })
        }
    };
    cp0.rfe();
    result
}

/// An access of the handler's own.
fn translate_kernel(mmu: &mut Mmu, va: VirtAddr, when: When) -> Result<PhysAddr, Exception> {
    match cp0(mmu).translate(va, AccessKind::Read, when.now) {
        Ok(mapped) => Ok(mapped.pa),
        Err(exception) => {
            mmu.note(exception);
            Err(exception)
        }
    }
}

fn load<M: TableMemory + ?Sized>(mmu: &mut Mmu, memory: &M, at: PhysAddr) -> EntryLo {
    mmu.count_handler_references(1, 0);
    let raw = memory.read_entry(at, EntryWidth::Four).expect("page tables lie in RAM");
    EntryLo::new(raw as u32)
}

fn cp0(mmu: &mut Mmu) -> &mut Cp0 {
    mmu.cp0_mut().expect("an R3000")
}

/// The entry that a walk read last.
#[derive(Default)]
struct Last(u32);

impl WalkObserver for Last {
    fn step(&mut self, step: &Step) {
        self.0 = step.raw as u32;
    }
}
