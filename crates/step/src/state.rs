//! The state of a machine at one step, as data: what every picture of it is drawn from.
//!
//! ```text
//!   ┌─ processes ──────────────────┐  ┌─ frames ─┐  ┌─ TLB ─┐  ┌─ swap ─┐
//!   │ code, registers              │  │ 0  free  │  │       │  │ slot   │
//!   │ regions    pages ─► frame    │  │ 7  17    │  │       │  │        │
//!   └──────────────────────────────┘  └──────────┘  └───────┘  └────────┘
//! ```
//!
//! Numbers are numbers: whoever shows them chooses hexadecimal, decimal or binary.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Happened;

/// A machine at one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// What is run: the scenario's or the program's name.
    pub title: String,
    /// The step, from 0, the state before anything happened.
    pub step: u64,
    /// The last step, where it is known.
    pub steps: Option<u64>,
    /// Instructions that are done.
    pub instructions: u64,
    /// What the last step did.
    pub happened: Happened,
    /// The machine in a line: its MMU, its pages, its policy.
    pub machine: String,
    /// Units of an address in a page: words on a machine of words, else bytes.
    pub page_size: u64,
    /// All processes, in the order of their numbers.
    pub processes: Vec<ProcessState>,
    /// Physical memory, frame by frame. A machine with many frames shows those that matter.
    pub frames: Vec<FrameState>,
    /// The TLBs' entries that are valid.
    pub tlb: Vec<TlbEntryState>,
    /// Swap slots in use.
    pub swap: Vec<SlotState>,
    /// What the replacement policy keeps, where it can be shown.
    pub queues: Vec<QueueState>,
    /// Counters that are not 0, by their names.
    pub counters: BTreeMap<String, u64>,
    /// What the program has written so far, its end if that is long.
    pub output: String,
}

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessStatus {
    /// It runs.
    Running,
    /// It could run.
    Ready,
    /// It waits.
    Waiting,
    /// It is swapped out as a whole.
    SwappedOut,
    /// It has nothing more to do, and keeps its memory.
    Done,
    /// It ended by itself.
    Ended,
    /// It was killed.
    Killed,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessState {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: ProcessStatus,
    /// Why it is so, if that is not plain: what killed it, what it waits for.
    pub reason: Option<String>,
    /// The address-space identifier that its TLB entries have.
    pub asid: Option<u16>,
    /// Its code, or the part around the next instruction.
    pub code: Vec<CodeLine>,
    /// Its registers: all, or those that it has used.
    pub registers: Vec<Register>,
    /// Its regions, lowest first.
    pub regions: Vec<Region>,
    /// Its page table as the tables in memory have it now: pages of its regions, lowest first, all
    /// or those that matter.
    pub pages: Vec<PageState>,
}

/// A line of code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CodeLine {
    /// Where it is: its address, or its number from 0 on machines of words.
    pub at: u64,
    /// The instruction.
    pub text: String,
    /// Whether it is executed now, or next.
    pub is_current: bool,
}

/// A register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Register {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub value: u64,
    /// Whether the current instruction wrote it.
    pub is_new: bool,
}

/// A region of an address space (VAD, vm_area_struct, vm_map_entry).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Region {
    /// The first address.
    pub start: u64,
    /// The first address behind it.
    pub end: u64,
    /// What the program may do: `r`, `w` and `x` or `-`, then `p` for private or `s` for shared.
    pub rights: String,
    /// Where its pages come from: zeroes, or a file's name and the offset in it.
    pub backing: String,
}

/// Where a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// In a frame, and its entry is valid.
    Resident,
    /// On swap: its entry names a slot.
    Swapped,
    /// Nowhere: its entry is empty.
    Absent,
}

/// A page of a process, and its entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageState {
    /// The page number.
    pub page: u64,
    /// Where it is.
    pub presence: Presence,
    /// The frame (PPN, PFN), if it is resident.
    pub frame: Option<u64>,
    /// The slot, if it is swapped.
    pub slot: Option<u64>,
    /// What the entry allows: `r`, `w`, `x` or `-`.
    pub rights: String,
    /// The referenced bit (A).
    pub is_referenced: bool,
    /// The modified bit (D, dirty).
    pub is_modified: bool,
    /// Whether the last step changed the entry.
    pub is_new: bool,
}

/// A word of memory that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Word {
    /// Its physical address: for machines of words in words.
    pub at: u64,
    /// What it holds.
    pub value: u64,
    /// Whether the last step changed it.
    pub is_new: bool,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FrameState {
    /// Its number.
    pub frame: u64,
    /// What it is used for: `free`, `page`, `file`, `page table`, `device`, `absent`.
    pub used: String,
    /// The pages that map it: process and page number.
    pub pages: Vec<(u32, u64)>,
    /// The slot whose bytes it has too, or that is kept for it.
    pub slot: Option<u64>,
    /// Whether it differs from what its file or slot holds.
    pub is_dirty: bool,
    /// What it holds, word by word: empty if the frame is too large to be shown, or free.
    pub words: Vec<Word>,
}

/// A valid entry of a TLB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlbEntryState {
    /// Which TLB: `L1`, `L1i`, `L1d`, `L2` …, with the hart in front if there are several.
    pub tlb: String,
    /// The set.
    pub set: u64,
    /// The way.
    pub way: u64,
    /// The address space; `None` if the entry is global, or the TLB is not tagged.
    pub asid: Option<u16>,
    /// The page number.
    pub page: u64,
    /// The frame.
    pub frame: u64,
    /// The page's size, in the units of [`State::page_size`].
    pub size: u64,
    /// What it allows.
    pub rights: String,
    /// Whether the last step filled it.
    pub is_new: bool,
}

/// A swap slot in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotState {
    /// Its number.
    pub slot: u64,
    /// How many page-table entries name it.
    pub entries: u64,
    /// The frame that the swap cache has for it: the pair (S, P).
    pub cached: Option<u64>,
    /// Whether its page was written to it.
    pub is_written: bool,
}

/// A queue of the replacement policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueState {
    /// Its name: `active`, `inactive`, …
    pub name: String,
    /// Its frames, the next victim first.
    pub frames: Vec<u64>,
}
