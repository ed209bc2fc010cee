//! What an explanation says, as data.

use schemars::JsonSchema;
use serde::Serialize;

/// One translation, in the order in which it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Explanation {
    /// The MMU, as `--mmu` names it.
    pub mmu: String,
    /// The virtual address.
    pub address: u64,
    /// `read`, `write` or `execute`.
    pub access: String,
    /// `user` or `supervisor`.
    pub privilege: String,
    /// What segmentation made of it, before any page; absent if there is none.
    pub segment: Option<SegmentProbe>,
    /// How the address is split, highest part first; behind segmentation, the linear address. Empty
    /// without pages.
    pub split: Vec<Part>,
    /// What the TLB answered; absent if there is none.
    pub tlb: Option<TlbProbe>,
    /// The exceptions of a TLB that software loads, in order, and what their handlers did.
    pub exceptions: Vec<TlbException>,
    /// What the walk cache knew; absent if there is none, or nothing was walked.
    pub walk_cache: Option<WalkCacheProbe>,
    /// The address of the table at which the walk starts.
    pub root: u64,
    /// Every reference to a table, in order; empty if the TLB knew.
    pub references: Vec<Reference>,
    /// Whether the page allows the access; absent if no page was found.
    pub permission: Option<Permission>,
    /// Referenced and modified bits that the hardware set.
    pub updates: Vec<Update>,
    /// What came out.
    pub outcome: Outcome,
}

/// A part of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Part {
    /// What the manual calls it.
    pub name: String,
    /// Its highest bit; absent where pages are no power of two.
    pub high: Option<u8>,
    /// Its lowest bit.
    pub low: Option<u8>,
    /// Its value.
    pub value: u64,
}

/// A look-up in segmentation's registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SegmentProbe {
    /// What translates: `memory bus`, `bounds registers`, `segment table`, or the segment register
    /// (`DS`, `CS`).
    pub unit: String,
    /// What chooses the segment: parts of the address, or of the selector in the register.
    pub split: Vec<Part>,
    /// The descriptor that was chosen; absent if there is none.
    pub descriptor: Option<SegmentDescriptor>,
    /// The checks, in order, up to the first that failed.
    pub checks: Vec<Check>,
    /// What the base is added to.
    pub offset: u64,
    /// What is added, modulo 2^64 (IA-32: 2^32); absent if nothing is.
    pub base: Option<u64>,
    /// The sum: a physical address, or where pages follow, a linear one. Absent if a check failed.
    pub address: Option<u64>,
}

/// A segment's descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SegmentDescriptor {
    /// Its number in its table.
    pub number: u64,
    /// Its eight bytes, where it has such.
    pub raw: Option<u64>,
    /// What the bits mean, highest first; base and limit are assembled below.
    pub bits: Vec<BitField>,
    /// Where offset 0 lies.
    pub base: u64,
    /// The first and the last valid offset; absent if there is none.
    pub offsets: Option<(u64, u64)>,
    /// Of `r`, `w`, `x`.
    pub rights: String,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// What is checked.
    pub what: String,
    /// The numbers that are compared, if any are.
    pub range: Option<Range>,
    /// Whether the access may go on.
    pub passed: bool,
}

/// A number that must lie between two others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Range {
    /// The number.
    pub value: u64,
    /// The least that it may be.
    pub first: u64,
    /// The most.
    pub last: u64,
}

/// A look-up in the TLB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlbProbe {
    /// The geometry, as `--tlb` takes it.
    pub geometry: String,
    /// What it has not is an exception, not a walk.
    pub loaded_by_software: bool,
    /// The base page that was looked up.
    pub page_number: u64,
    /// The address space that was looked up.
    pub asid: u16,
    /// The sets that were compared, the first level's before the second's.
    pub compared: Vec<TlbSet>,
    /// What was found.
    pub answer: TlbAnswer,
}

/// What the TLB answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlbAnswer {
    /// The first level has the page.
    L1Hit,
    /// The second level has the page.
    L2Hit,
    /// An entry has the page and does not allow the access.
    Refused,
    /// No entry has the page.
    Miss,
    /// It was not asked: the address is not mapped (R3000: kseg0, kseg1), or not the user's.
    Unmapped,
}

/// A set that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlbSet {
    /// The array: `L1`, `L1 data`, `L1 instruction` or `L2`.
    pub array: String,
    /// The set that the page number picked.
    pub set: u64,
    /// The number of sets.
    pub sets: u64,
    /// The number of ways.
    pub ways: u64,
    /// The page size in bytes whose page number picked the set.
    pub page_bytes: u64,
    /// The rest of that page number, which the ways are compared by.
    pub tag: u64,
    /// The entries that the set holds.
    pub entries: Vec<TlbWay>,
}

/// One entry that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlbWay {
    /// The way.
    pub way: u64,
    /// The first base page of the entry.
    pub page_number: u64,
    /// The page's size in bytes.
    pub page_bytes: u64,
    /// The entry's address space.
    pub asid: u16,
    /// Valid in every address space.
    pub global: bool,
    /// The first frame, in base pages.
    pub frame: u64,
    /// What the page allows; nothing if the entry is not valid (R3000: V clear).
    pub rights: String,
    /// Stores may go by the entry, as far as the dirty bit says.
    pub dirty: bool,
    /// Whether page and address space match.
    pub matches: bool,
}

/// An exception of a TLB that software loads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlbException {
    /// The exception as the architecture reports it.
    pub exception: String,
    /// Why, in words common to all machines.
    pub cause: String,
    /// Where the processor goes on, where the architecture says so.
    pub vector: Option<u64>,
    /// What the registers say then.
    pub registers: Vec<Register>,
    /// What the handler does.
    pub handler: String,
}

/// A register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Register {
    /// The manual's name.
    pub name: String,
    /// Its value.
    pub value: u64,
    /// What it means, in a few words.
    pub meaning: String,
}

/// A look-up in the walk cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WalkCacheProbe {
    /// The geometry, as `--walk-cache` takes it.
    pub geometry: String,
    /// The entry that was found there, by its name in the manual; absent after a miss.
    pub entry: Option<String>,
    /// The table that it points to, where the walk starts.
    pub table: Option<u64>,
}

/// One reference to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reference {
    /// What the manual calls the entry.
    pub entry: String,
    /// Its index in the table, where it has one.
    pub index: Option<u64>,
    /// Where it lies in physical memory; absent if a register holds it.
    pub at: Option<u64>,
    /// The bits read.
    pub raw: u64,
    /// Their number.
    pub width: u8,
    /// What they mean, highest first.
    pub bits: Vec<BitField>,
    /// What the hardware does next.
    pub decision: String,
}

/// A named field of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BitField {
    /// The manual's name.
    pub name: String,
    /// Its highest bit.
    pub high: u8,
    /// Its lowest bit.
    pub low: u8,
    /// Its value.
    pub value: u64,
}

/// The check of the rights of all levels together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Permission {
    /// What the page allows: `r`, `w`, `x` and `u` for user pages, `-` for what it does not.
    pub rights: String,
    /// Whether the access may go on.
    pub allowed: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// An entry that the hardware wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Update {
    /// Where it lies.
    pub at: u64,
    /// The bits before.
    pub before: u64,
    /// The bits after.
    pub after: u64,
    /// The names of the bits that were set.
    pub set: Vec<String>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// A physical address.
    Translated {
        /// The physical address.
        physical: u64,
        /// The first frame of the page, in base pages.
        frame: u64,
        /// The page's size in bytes.
        page_bytes: u64,
        /// The offset in the page.
        offset: u64,
    },
    /// A physical address, without pages.
    Placed {
        /// The physical address.
        physical: u64,
    },
    /// An exception.
    Fault {
        /// Why, in words common to all machines.
        cause: String,
        /// The exception as the architecture reports it.
        exception: String,
        /// The level whose entry decided, 0 being the lowest.
        level: Option<u8>,
    },
}
