//! A scenario that can be run: what a file said, checked.

use std::ops::Range;
use std::sync::Arc;

use pagewalk_cpu::toy::{Program, Reg};
use pagewalk_kernel::{Prot, Scope, ShareTables};
use pagewalk_mmu::Tables;
use pagewalk_mmu::segment::Shape;
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_replacement::PolicyKind;
use pagewalk_step::Kind;

use crate::error::ScenarioError;
use crate::geometry::Geometry;
use crate::system::Turn;

/// How addresses are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// Not at all.
    Physical,
    /// By a pair of registers.
    Bounds,
    /// By a table of such pairs.
    Segments(Shape),
    /// By page tables.
    Paged(Tables),
}

/// What is asked for in place of what the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The MMU.
    pub mmu: Option<String>,
    /// The TLB.
    pub tlb: Option<String>,
    /// The replacement policy.
    pub policy: Option<String>,
    /// Frames for pages.
    pub frames: Option<u64>,
}

impl Overrides {
    /// Whether the file is taken as it is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's name without its ending.
    pub name: String,
    /// What it is about, in a few words.
    pub title: String,
    /// … and in a few sentences.
    pub about: String,
    /// The rows of the table of features that it shows.
    pub features: Vec<String>,
    /// The text that it is from.
    pub source: Option<String>,
    /// How addresses are translated.
    pub translation: Translation,
    /// Words and pages.
    pub geometry: Geometry,
    /// Pages of a virtual address space, where the MMU leaves that open.
    pub pages: u64,
    /// Frames for pages.
    pub frames: u64,
    /// Which of them are given first.
    pub order: Vec<u64>,
    /// The TLB.
    pub tlb: Option<TlbConfig>,
    /// The replacement policy.
    pub policy: PolicyKind,
    /// Whether the story is about the policy, so that its queues are shown.
    pub shows_queues: bool,
    /// Whose pages are taken.
    pub scope: Scope,
    /// The most pages of a process.
    pub resident: Option<u64>,
    /// Swap slots.
    pub swap: u64,
    /// Instructions of a turn.
    pub quantum: u64,
    /// The turns at the beginning.
    pub script: Vec<Turn>,
    /// The first words of physical memory, where there are no pages.
    pub memory: Vec<u64>,
    /// Which page tables processes share.
    pub share_tables: ShareTables,
    /// Address spaces that there can be at once.
    pub spaces: u64,
    /// The base that addresses are written in: 10 or 16.
    pub base: u8,
    /// Files.
    pub files: Vec<DataFile>,
    /// Processes.
    pub processes: Vec<Process>,
    /// What must hold.
    pub expectations: Vec<Expectation>,
    pub(crate) place: Place,
}

impl Scenario {
    /// Whether programs use physical addresses, or bounds.
    pub const fn is_unpaged(&self) -> bool {
        !matches!(self.translation, Translation::Paged(_))
    }
}

/// Where a scenario was read from, for errors that turn up later.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub file: String,
    pub text: Arc<str>,
    pub machine: Range<usize>,
}

impl Place {
    pub(crate) fn error(&self, span: Range<usize>, problem: String) -> ScenarioError {
        let text = self.text.to_string();
        ScenarioError { file: self.file.clone(), text, span, problem, help: None }
    }
}

/// A file that processes map.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Its name.
    pub name: String,
    /// Its pages.
    pub pages: u64,
    /// Its words, page after page; what is missing is 0.
    pub words: Vec<u64>,
    /// The frames that its first pages are in at the start.
    pub frames: Vec<u64>,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// What it maps.
    pub maps: Vec<Map>,
    /// Its code.
    pub program: Arc<Program>,
    /// Registers that are not 0.
    pub registers: Vec<(Reg, u64)>,
    /// Addresses that it has loaded before the story begins.
    pub warm: Vec<u64>,
    /// The words that are its own.
    pub bounds: Option<(u64, u64)>,
}

/// A mapping.
#[derive(Clone, Debug)]
pub struct Map {
    /// The first page.
    pub page: u64,
    /// How many.
    pub pages: u64,
    /// The file, and the first page in it.
    pub file: Option<(usize, u64)>,
    /// What may be done.
    pub prot: Prot,
    /// Stores reach the file.
    pub shared: bool,
    /// The frames that its first pages are in at the start.
    pub frames: Vec<u64>,
    /// The words that those pages hold.
    pub words: Vec<u64>,
    /// They are on swap at the start.
    pub swapped: bool,
    pub(crate) span: Range<usize>,
}

/// What must hold at one step.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// After the n-th thing of this kind, from 1 on.
    pub after: (Kind, u64),
    /// What.
    pub checks: Vec<Check>,
    pub(crate) span: Range<usize>,
}

/// One thing that must hold.
#[derive(Clone, Debug)]
pub struct Check {
    /// What is looked at.
    pub what: Subject,
    /// What it must be, as text.
    pub value: String,
    pub(crate) span: Range<usize>,
}

/// What an expectation looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The word at a physical address.
    Memory(u64),
    /// A register of a process.
    Register(usize, Reg),
    /// A page of a process: `7 rw`, `swap 3`, `absent`.
    Page(usize, u64),
    /// A counter.
    Counter(String),
    /// How a process is: `ready`, `ended`, `killed`, …
    Status(usize),
    /// What a frame is used for: `free`, `page`, `file`, `page table`.
    Frame(u64),
    /// A swap slot: `free`, or how many entries name it and the frame that the cache has for it:
    /// `2`, `1 frame 7`.
    Slot(u64),
}
