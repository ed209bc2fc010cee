//! What happens, moment by moment, and what the machine was like at each.
//!
//! ```text
//!   instruction ─► split ─► TLB ─► table ─► fault ─► … ─► load
//!        │           │       │       │        │             │
//!      Moment     Moment   Moment  Moment   Moment       Moment     each with the board
//!      └──────── system before ───────────────┘└── after ──┘        and the system's books
//! ```
//!
//! Most runs only count moments, by kind: looking at one keeps those of its instruction.

use std::sync::Arc;

use pagewalk_cpu::toy::Op;
use pagewalk_kernel::{FaultCause as Resolution, FileId, Flush, Prot, SpaceId, SwapSlot};
use pagewalk_mmu::segment::Descriptor;
use pagewalk_mmu::{AccessKind, Fault, Pfn, PhysAddr, Probe, Source, Step as TableStep, VirtAddr};
use pagewalk_step::Kind;

use crate::board::Board;
use crate::system::System;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum What {
    /// Nothing yet.
    Start,
    /// Another process runs.
    Switch,
    /// A process was swapped out as a whole, or is back.
    Swapper { process: usize, out: bool },
    /// An instruction begins.
    Instruction { op: Op },
    /// An address is split.
    Split { address: u64, kind: AccessKind },
    /// The TLB knew.
    TlbHit { address: u64, source: Source },
    /// The TLB did not know.
    TlbMiss { address: u64 },
    /// An entry was read.
    TableRead { step: TableStep },
    /// A word of a hashed table was read.
    Probe { probe: Probe },
    /// Referenced and modified bits were set.
    TableUpdate,
    /// The TLB took a translation.
    TlbFill { address: u64, by_software: bool },
    /// The address is translated.
    Translated { address: u64, pa: PhysAddr },
    /// A page fault.
    Fault { address: u64, fault: Fault },
    /// A bounds trap, or an address beyond memory, where there are no pages.
    Trap { address: u64, limit: u64 },
    /// The system looks for the region.
    Region { address: u64 },
    /// A frame was filled with zeroes.
    Zero { pfn: Pfn },
    /// A frame was copied.
    Copy { from: Pfn, to: Pfn },
    /// A page of a file was read.
    FileRead { file: FileId, page: u64, pfn: Pfn },
    /// A page of a file was written.
    FileWrite { file: FileId, page: u64, pfn: Pfn },
    /// A slot was read.
    SwapRead { slot: SwapSlot, pfn: Pfn },
    /// A slot was written.
    SwapWrite { slot: SwapSlot, pfn: Pfn },
    /// A page left memory.
    Evict { pfn: Pfn, slot: Option<SwapSlot>, was_dirty: bool },
    /// A page left one process, and stays for others.
    EvictFrom { space: SpaceId, va: VirtAddr, pfn: Pfn, slot: Option<SwapSlot> },
    /// A segment's descriptor was loaded.
    Descriptor { number: u32, old: Option<Descriptor>, new: Option<Descriptor> },
    /// The system wrote an entry.
    TableWrite { at: PhysAddr, raw: u64 },
    /// Translations were invalidated.
    Flush { what: Flush },
    /// The fault was resolved.
    Resolved { va: VirtAddr, cause: Option<Resolution>, pfn: Option<Pfn> },
    /// A word was loaded.
    Load { address: u64, pa: PhysAddr, value: u64 },
    /// A word was stored.
    Store { address: u64, pa: PhysAddr, old: u64, value: u64 },
    /// An instruction is done.
    Retired { op: Op },
    /// A process was made.
    Fork { child: usize, pages: u64 },
    /// Memory was mapped.
    Map { address: u64, pages: u64 },
    /// Memory was unmapped.
    Unmap { address: u64, pages: u64 },
    /// Rights were changed.
    Protect { address: u64, pages: u64, prot: Prot },
    /// A call was refused.
    Refused { reason: String },
    /// A process waits.
    Waits,
    /// A process was killed.
    Killed { process: usize, reason: String },
    /// A process ended.
    Exit,
    /// The run is over.
    End { reason: String },
}

impl What {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Start => Kind::Start,
            Self::Switch => Kind::Switch,
            Self::Swapper { .. } | Self::Refused { .. } | Self::Waits => Kind::SystemCall,
            Self::Instruction { .. } => Kind::Instruction,
            Self::Split { .. } => Kind::Split,
            Self::TlbHit { .. } => Kind::TlbHit,
            Self::TlbMiss { .. } => Kind::TlbMiss,
            Self::TableRead { .. } | Self::Probe { .. } => Kind::TableRead,
            Self::TableUpdate => Kind::TableUpdate,
            Self::TlbFill { .. } => Kind::TlbFill,
            Self::Translated { .. } => Kind::Translated,
            Self::Fault { .. } | Self::Trap { .. } => Kind::Fault,
            Self::Region { .. } => Kind::Region,
            Self::Zero { .. } => Kind::ZeroFill,
            Self::Copy { .. } => Kind::Copy,
            Self::FileRead { .. } => Kind::FileRead,
            Self::FileWrite { .. } => Kind::FileWrite,
            Self::SwapRead { .. } => Kind::SwapIn,
            Self::SwapWrite { .. } => Kind::SwapOut,
            Self::Evict { .. } | Self::EvictFrom { .. } => Kind::Evict,
            Self::TableWrite { .. } | Self::Descriptor { .. } => Kind::TableWrite,
            Self::Flush { .. } => Kind::Flush,
            Self::Resolved { .. } => Kind::Resolved,
            Self::Load { .. } => Kind::Load,
            Self::Store { .. } => Kind::Store,
            Self::Retired { .. } => Kind::Retired,
            Self::Fork { .. } => Kind::Fork,
            Self::Map { .. } => Kind::Map,
            Self::Unmap { .. } => Kind::Unmap,
            Self::Protect { .. } => Kind::Protect,
            Self::Killed { .. } => Kind::Signal,
            Self::Exit => Kind::Exit,
            Self::End { .. } => Kind::End,
        }
    }

    /// Whether the system's books are those from after the fault, or the call, from here on.
    const fn shows_result(&self) -> bool {
        matches!(
            self,
            Self::Zero { .. }
                | Self::Copy { .. }
                | Self::FileRead { .. }
                | Self::SwapRead { .. }
                | Self::SwapWrite { .. }
                | Self::Evict { .. }
                | Self::EvictFrom { .. }
                | Self::Resolved { .. }
        )
    }
}

/// The machine at a moment, and what had just happened.
#[derive(Clone, Debug)]
pub struct Moment {
    /// What happened.
    pub what: What,
    /// The process that ran.
    pub process: Option<usize>,
    /// Memory, MMU and devices behind it.
    pub board: Board,
    /// The system's books.
    pub system: Arc<System>,
}

/// What a run remembers of its moments.
#[derive(Debug, Default)]
pub struct Journal {
    kinds: Vec<Kind>,
    kept: Option<Kept>,
    process: Option<usize>,
}

#[derive(Debug)]
struct Kept {
    moments: Vec<Moment>,
    system: Arc<System>,
}

impl Journal {
    /// A journal that keeps only the kinds.
    pub fn counting() -> Self {
        Self::default()
    }

    /// A journal that keeps everything, from a machine on.
    pub fn keeping(system: &System) -> Self {
        let kept = Kept { moments: Vec::new(), system: Arc::new(system.clone()) };
        Self { kept: Some(kept), ..Self::default() }
    }

    /// The kinds of all moments.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// All moments, if they were kept.
    pub fn into_moments(self) -> Vec<Moment> {
        self.kept.map(|kept| kept.moments).unwrap_or_default()
    }

    /// Whether boards are kept, so that one is worth a copy.
    pub fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    /// Who runs from now on.
    pub fn set_process(&mut self, process: Option<usize>) {
        self.process = process;
    }

    /// Something happened, which left the board like this.
    pub fn note(&mut self, what: What, board: &Board) {
        self.kinds.push(what.kind());
        if let Some(kept) = &mut self.kept {
            let (board, system) = (board.clone(), kept.system.clone());
            kept.moments.push(Moment { what, process: self.process, board, system });
        }
    }

    /// How many moments there were.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// The system's books are like this from now on; for the moments from `since` on, from the one on
    /// that shows what came of it.
    pub fn set_system(&mut self, system: &System, since: usize) {
        let Some(kept) = &mut self.kept else { return };
        kept.system = Arc::new(system.clone());
        let since = &mut kept.moments[since..];
        let result = since.iter().position(|moment| moment.what.shows_result());
        let from = result.unwrap_or(since.len());
        for moment in &mut since[from..] {
            moment.system = kept.system.clone();
        }
    }
}
