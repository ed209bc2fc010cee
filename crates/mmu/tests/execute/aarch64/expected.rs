//! What our walker says to a state.

use super::layout::{AREA, AREA_BYTES, LOADED, RAM, RAM_BYTES, STORED, TABLES, number, signature};
use super::state::State;
use pagewalk_mmu::radix::walk;
use pagewalk_mmu::{
    AccessKind, ArchFault, EntryWidth, FaultCause, Level, OutOfMemory, PhysAddr, Privilege,
    TableMemory,
};

/// Synchronous external abort, not on a walk.
const EXTERNAL_ABORT: u8 = 0x10;

/// How an access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The access was made, and an `svc` with this number followed: of the guest's own after a
    /// load or store, of the page that answered a fetch.
    Done { svc: u16 },
    /// An abort.
    Abort { class: u8, write: bool, status: u8, far: u64 },
}

/// What a state gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    /// What was loaded.
    pub loaded: u64,
    /// The word at [`Expected::word_at`] afterwards.
    pub word: u64,
    pub path: [u64; 4],
}

/// What our walker says.
pub struct Expected {
    pub answer: Answer,
    /// The word that the access is to, if it is to the answering area: what a store changes.
    pub word_at: u64,
    /// Why our walker refuses the access, and at which level.
    pub refusal: Option<(FaultCause, Option<Level>)>,
}

/// The tables of a state; nothing else is ever read.
struct Memory([(PhysAddr, u64); 4]);

impl TableMemory for Memory {
    fn read_entry(&self, at: PhysAddr, _: EntryWidth) -> Result<u64, OutOfMemory> {
        if let Some((_, raw)) = self.0.iter().find(|(place, _)| *place == at) {
            return Ok(*raw);
        }
        assert!(!(RAM..RAM + RAM_BYTES).contains(&at.0), "the walk of {at} leaves the tables");
        Err(OutOfMemory(at))
    }

    fn write_entry(&mut self, at: PhysAddr, _: EntryWidth, raw: u64) -> Result<(), OutOfMemory> {
        assert!(at.0 >= TABLES);
        let entry = self.0.iter_mut().find(|(place, _)| *place == at).ok_or(OutOfMemory(at))?;
        entry.1 = raw;
        Ok(())
    }
}

pub fn expected(state: &State) -> Expected {
    let mut memory = Memory(state.path);
    let walked = walk(&state.format, &mut memory, &state.root, state.va, state.access);
    let abort = |fault: ArchFault| match fault {
        ArchFault::Aarch64 { exception_class: class, write, fault_status: status } => {
            Outcome::Abort { class, write, status, far: state.va.0 }
        }
        other => panic!("{other:?} is not AArch64's"),
    };
    let kind = state.access.kind;
    let (outcome, pa) = match walked {
        Err(fault) => (abort(fault.arch), None),
        Ok(found) if !(AREA..AREA + AREA_BYTES).contains(&found.pa.0) => {
            assert!(!(RAM..RAM + RAM_BYTES).contains(&found.pa.0), "{state:x?} leaves the area");
            let class = if kind == AccessKind::Execute { 0x20 } else { 0x24 }
                | u8::from(state.access.privilege == Privilege::Supervisor);
            let write = kind == AccessKind::Write;
            (Outcome::Abort { class, write, status: EXTERNAL_ABORT, far: state.va.0 }, None)
        }
        Ok(found) => {
            let svc = match kind {
                AccessKind::Read => LOADED,
                AccessKind::Write => STORED,
                AccessKind::Execute => number(found.pa.0),
            };
            (Outcome::Done { svc }, Some(found.pa.0))
        }
    };
    let word_at = pa.unwrap_or(AREA);
    let word = match (pa, kind) {
        (Some(pa), AccessKind::Write) => !signature(pa),
        _ => signature(word_at),
    };
    let loaded = pa.filter(|_| kind == AccessKind::Read).map_or(0, signature);
    let answer = Answer { outcome, loaded, word, path: memory.0.map(|(_, raw)| raw) };
    Expected { answer, word_at, refusal: walked.err().map(|fault| (fault.cause, fault.level)) }
}
