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
    /// How the address is split, highest part first.
    pub split: Vec<Part>,
    /// What the TLB answered; absent if there is none.
    pub tlb: Option<TlbProbe>,
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

/// A look-up in the TLB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlbProbe {
    /// The geometry, as `--tlb` takes it.
    pub geometry: String,
    /// The base page that was looked up.
    pub page_number: u64,
    /// The address space that was looked up.
    pub asid: u16,
    /// What was found.
    pub answer: TlbAnswer,
    /// The entries that were compared, by array.
    pub compared: Vec<TlbWay>,
}

/// What the TLB answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlbAnswer {
    /// The first level has the page.
    L1Hit,
    /// The second level has the page.
    L2Hit,
    /// An entry has the page and does not allow the access: the tables are asked.
    Refused,
    /// No entry has the page.
    Miss,
}

/// One entry that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlbWay {
    /// The array: `L1 data`, `L1 instruction`, `L1` or `L2`.
    pub array: String,
    /// The set that the page number picked.
    pub set: u32,
    /// The first base page of the entry.
    pub page_number: u64,
    /// The entry's address space.
    pub asid: u16,
    /// Valid in every address space.
    pub global: bool,
    /// The page's size in bytes.
    pub page_bytes: u64,
    /// Whether page and address space match.
    pub matches: bool,
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
