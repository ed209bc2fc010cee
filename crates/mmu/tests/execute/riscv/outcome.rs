//! What a state comes to: by our walk over the same entries, and by the guest's report.

use super::states::{DENIED, DENIED_BYTES, Instruction, RAM, RAM_BYTES, State};
use pagewalk_mmu::radix::{Radix, Scheme, walk};
use pagewalk_mmu::{
    AccessKind, ArchFault, EntryWidth, Fault, FaultCause, OutOfMemory, PhysAddr, Privilege,
    TableMemory,
};
use std::cell::Cell;

/// What came of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This page answered.
    Page(u64),
    /// mcause and mtval.
    Fault { cause: u64, tval: u64 },
}

impl State {
    /// What our walk says, what QEMU says instead if that is known to differ, and the entries
    /// afterwards.
    pub fn expected(&self) -> (Outcome, Option<Outcome>, Vec<u64>) {
        let mut memory = Entries { path: self.path.clone(), refused: Cell::new(PhysAddr(0)) };
        let root = self.format.load_root(&memory, self.root()).expect("satp's PPN fits");
        let result = walk(&self.format, &mut memory, &root, self.va, self.access);
        let outcome = match result {
            Ok(translation) => self.arrive(translation.pa),
            Err(Fault { arch: ArchFault::RiscV { scause }, .. }) => self.fault(scause),
            Err(fault) => panic!("not a RISC-V fault: {}", fault.arch),
        };
        let deviation = self.deviation(result.map(|t| t.pa), memory.refused.get());
        (outcome, deviation, memory.path.iter().map(|&(_, raw)| raw).collect())
    }

    /// The access to `pa`: an access fault where there is no memory, or PMP denies it.
    fn arrive(&self, pa: PhysAddr) -> Outcome {
        if is_accessible(pa) {
            return Outcome::Page(pa.0 & !0xfff);
        }
        self.fault(access_fault(self.access.kind))
    }

    fn fault(&self, scause: u8) -> Outcome {
        Outcome::Fault { cause: scause.into(), tval: self.va.0 }
    }

    /// Where QEMU 7.2 differs from the manual. `refused` is where there was no table.
    ///
    /// 1. A page fault if a table lies outside memory. "Virtual Address Translation Process", step
    ///    2: "If accessing pte violates a PMA or PMP check, raise an access-fault exception": it
    ///    does so where PMP denies a table.
    /// 2. Sv32: bits 33:32 of a leaf's physical address are lost, which section "Sv32: Addressing
    ///    and Memory Protection" has.
    /// 3. The load's access fault for an AMO outside memory. Table "scause values": 7 is
    ///    "Store/AMO access fault".
    fn deviation(&self, result: Result<PhysAddr, Fault>, refused: PhysAddr) -> Option<Outcome> {
        let is_amo = self.instruction == Instruction::Amo;
        match result {
            Err(Fault { cause: FaultCause::NoMemory, .. }) if !is_denied(refused) => {
                Some(self.fault(page_fault(self.access.kind)))
            }
            Ok(pa) if self.format.scheme == Scheme::Sv32 && pa.0 >> 32 != 0 => {
                Some(self.arrive(PhysAddr(pa.0 & 0xffff_ffff)))
            }
            Ok(pa) if is_amo && !is_accessible(pa) && !is_denied(pa) => {
                Some(self.fault(access_fault(AccessKind::Read)))
            }
            _ => None,
        }
    }

    /// What the guest reports in its record, and the entries afterwards.
    pub fn observed(&self, record: &[u8]) -> (Outcome, Vec<u64>) {
        let bytes = self.word_bytes();
        let word = |index: usize| {
            let mut word = [0; 8];
            word[..bytes].copy_from_slice(&record[index * bytes..][..bytes]);
            u64::from_le_bytes(word)
        };
        let success = match (self.access.kind, self.access.privilege) {
            (AccessKind::Execute, Privilege::User) => 8,
            (AccessKind::Execute, Privilege::Supervisor) => 9,
            _ => u64::MAX >> (64 - 8 * bytes),
        };
        let outcome = match word(4) {
            cause if cause == success => Outcome::Page(word(6) & 0xffff_f000),
            cause => Outcome::Fault { cause, tval: word(5) },
        };
        (outcome, (0..self.path.len()).map(|level| word(9 + 2 * level)).collect())
    }
}

/// Table "Supervisor cause register (scause) values": the access faults.
fn access_fault(kind: AccessKind) -> u8 {
    match kind {
        AccessKind::Execute => 1,
        AccessKind::Read => 5,
        AccessKind::Write => 7,
    }
}

/// And the page faults.
fn page_fault(kind: AccessKind) -> u8 {
    match kind {
        AccessKind::Execute => 12,
        AccessKind::Read => 13,
        AccessKind::Write => 15,
    }
}

/// The entries on the way, in a memory that ends where the guest's does.
struct Entries {
    path: Vec<(u64, u64)>,
    refused: Cell<PhysAddr>,
}

fn is_denied(pa: PhysAddr) -> bool {
    (DENIED..DENIED + DENIED_BYTES).contains(&pa.0)
}

fn is_accessible(pa: PhysAddr) -> bool {
    (RAM..RAM + RAM_BYTES).contains(&pa.0) && !is_denied(pa)
}

impl Entries {
    fn place(&self, at: PhysAddr) -> Result<usize, OutOfMemory> {
        if !is_accessible(at) {
            self.refused.set(at);
            return Err(OutOfMemory(at));
        }
        let place = self.path.iter().position(|&(entry_at, _)| entry_at == at.0);
        Ok(place.unwrap_or_else(|| panic!("{at} is on no way: {:x?}", self.path)))
    }
}

impl TableMemory for Entries {
    fn read_entry(&self, at: PhysAddr, _: EntryWidth) -> Result<u64, OutOfMemory> {
        Ok(self.path[self.place(at)?].1)
    }

    fn write_entry(&mut self, at: PhysAddr, _: EntryWidth, raw: u64) -> Result<(), OutOfMemory> {
        let place = self.place(at)?;
        self.path[place].1 = raw;
        Ok(())
    }
}
