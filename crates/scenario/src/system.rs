//! The system: processes, whose turn it is, and the kernel below them.
//!
//! ```text
//!   schedule (script, then round robin) ─► process ─► Cpu::execute ─► load, store
//!                                             ▲                          │ fault
//!                                             └── again ◄─ Kernel::fault ┘
//! ```

use std::sync::Arc;

use pagewalk_cpu::toy::{Cpu, Program};
use pagewalk_kernel::{AnyPmap, Kernel, Mapping, SegmentKernel, SpaceId, Vmstat};
use pagewalk_mmu::MmuCounters;

use crate::board::{Board, Wires};
use crate::geometry::Geometry;
use crate::journal::Journal;

/// How a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It can run.
    Ready,
    /// It waits for the processes that it made.
    Waiting,
    /// It is swapped out.
    SwappedOut,
    /// Its code is at its end.
    Done,
    /// It ended.
    Ended,
    /// It was killed, for this reason.
    Killed(String),
}

impl Status {
    /// Whether nobody waits for it any more.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Ended | Self::Killed(_))
    }
}

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Its code.
    pub program: Arc<Program>,
    /// Its registers.
    pub cpu: Cpu,
    /// The registers that its code names, or that were set for it, by their bits.
    pub shown: u16,
    /// Its address space, until it ends; `None` without pages.
    pub space: Option<SpaceId>,
    /// The words that are its own, where there are bounds: the first, and how many.
    pub bounds: Option<(u64, u64)>,
    /// How it is.
    pub status: Status,
    /// Who made it.
    pub parent: Option<usize>,
}

/// One thing that the script wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A process runs for so many instructions.
    Run(usize, u64),
    /// A process is swapped out.
    SwapOut(usize),
    /// A process may come back.
    SwapIn(usize),
}

/// Everything that is not on the board.
#[derive(Clone, Debug)]
pub struct System {
    /// Words and pages.
    pub geometry: Geometry,
    /// The kernel; `None` without pages.
    pub kernel: Option<Kernel<AnyPmap>>,
    /// The manager of memory in segments.
    pub segments: Option<SegmentKernel>,
    /// All processes that ever were.
    pub processes: Vec<Process>,
    /// Who runs.
    pub running: Option<usize>,
    /// How many instructions its turn has left.
    pub left: u64,
    /// What the script still wants, the next first.
    pub script: Vec<Turn>,
    /// Instructions of a turn after the script.
    pub quantum: u64,
    /// What the kernel had counted at the start.
    pub baseline: Vmstat,
    /// … and the MMU.
    pub mmu_baseline: MmuCounters,
    /// Whether it is over.
    pub is_over: bool,
}

/// A page of a process, as the tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The page.
    pub page: u64,
    /// What the tables say.
    pub mapping: Mapping,
}

/// The most pages of a process that are shown.
const ROWS_MAX: usize = 4096;

impl System {
    /// The process that has a space.
    pub fn process_of(&self, space: SpaceId) -> Option<usize> {
        self.processes.iter().position(|process| process.space == Some(space))
    }

    /// The pages of a process's regions, as the tables on `board` have them.
    pub fn rows(&self, process: usize, board: &Board) -> Vec<Row> {
        let (Some(kernel), Some(space)) = (&self.kernel, self.processes[process].space) else {
            return Vec::new();
        };
        let page = kernel.page();
        let mut scratch = (board.clone(), Journal::counting());
        let wires = Wires { board: &mut scratch.0, journal: &mut scratch.1 };
        let pages = kernel
            .regions(space)
            .flat_map(|region| region.start.vpn(page).0..region.end.vpn(page).0);
        pages
            .take(ROWS_MAX)
            .map(|number| {
                let va = pagewalk_mmu::Vpn(number).base(page);
                Row { page: number, mapping: kernel.lookup(&wires, space, va) }
            })
            .collect()
    }

    /// Whether a process can run.
    pub fn is_ready(&self, process: usize) -> bool {
        self.processes[process].status == Status::Ready
    }

    /// The next process after `from` that is ready, in the order of their numbers.
    pub fn next_ready(&self, from: Option<usize>) -> Option<usize> {
        let count = self.processes.len();
        let first = from.map_or(0, |from| from + 1);
        (first..first + count).map(|n| n % count.max(1)).find(|&n| self.is_ready(n))
    }
}
