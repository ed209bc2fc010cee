//! What a step did, as a kind that can be searched for and as sentences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Grain;

/// What kind of thing happened.
///
/// The order within an instruction is that of the machine: the instruction begins, its address is
/// split, the TLB is asked, tables are read, a fault is raised and handled, the access is made.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing yet: the state before the first step.
    Start,
    /// Another process, or thread, runs from now on.
    Switch,
    /// An instruction begins.
    Instruction,
    /// A virtual address is split into page and offset.
    Split,
    /// The TLB, or a cache of table pointers, knew.
    TlbHit,
    /// The TLB did not know.
    TlbMiss,
    /// An entry of a page table, or a word of a hashed one, was read by the hardware.
    TableRead,
    /// The hardware wrote an entry: referenced and modified bits.
    TableUpdate,
    /// The TLB took a translation.
    TlbFill,
    /// The address is translated.
    Translated,
    /// The hardware raised a page fault, or another trap.
    Fault,
    /// The system found the region that an address lies in, or none.
    Region,
    /// A frame was filled with zeroes.
    ZeroFill,
    /// A frame was copied to another.
    Copy,
    /// A page was read from a file.
    FileRead,
    /// A page was written to a file.
    FileWrite,
    /// A page was read from swap.
    SwapIn,
    /// A page was written to swap.
    SwapOut,
    /// A page was taken from its frame.
    Evict,
    /// The system wrote an entry of a page table.
    TableWrite,
    /// Cached translations were invalidated.
    Flush,
    /// The fault was resolved: the instruction is made again.
    Resolved,
    /// A word was loaded.
    Load,
    /// A word was stored.
    Store,
    /// An instruction is done.
    Retired,
    /// A process was made from another.
    Fork,
    /// Memory was mapped.
    Map,
    /// Memory was unmapped.
    Unmap,
    /// Rights were changed.
    Protect,
    /// A process asked the system for something else.
    SystemCall,
    /// A process was sent a signal, or killed.
    Signal,
    /// A process ended.
    Exit,
    /// The run is over.
    End,
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 33] = [
        Self::Start,
        Self::Switch,
        Self::Instruction,
        Self::Split,
        Self::TlbHit,
        Self::TlbMiss,
        Self::TableRead,
        Self::TableUpdate,
        Self::TlbFill,
        Self::Translated,
        Self::Fault,
        Self::Region,
        Self::ZeroFill,
        Self::Copy,
        Self::FileRead,
        Self::FileWrite,
        Self::SwapIn,
        Self::SwapOut,
        Self::Evict,
        Self::TableWrite,
        Self::Flush,
        Self::Resolved,
        Self::Load,
        Self::Store,
        Self::Retired,
        Self::Fork,
        Self::Map,
        Self::Unmap,
        Self::Protect,
        Self::SystemCall,
        Self::Signal,
        Self::Exit,
        Self::End,
    ];

    /// The name, as JSON and the command spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Switch => "switch",
            Self::Instruction => "instruction",
            Self::Split => "split",
            Self::TlbHit => "tlb-hit",
            Self::TlbMiss => "tlb-miss",
            Self::TableRead => "table-read",
            Self::TableUpdate => "table-update",
            Self::TlbFill => "tlb-fill",
            Self::Translated => "translated",
            Self::Fault => "fault",
            Self::Region => "region",
            Self::ZeroFill => "zero-fill",
            Self::Copy => "copy",
            Self::FileRead => "file-read",
            Self::FileWrite => "file-write",
            Self::SwapIn => "swap-in",
            Self::SwapOut => "swap-out",
            Self::Evict => "evict",
            Self::TableWrite => "table-write",
            Self::Flush => "flush",
            Self::Resolved => "resolved",
            Self::Load => "load",
            Self::Store => "store",
            Self::Retired => "retired",
            Self::Fork => "fork",
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Protect => "protect",
            Self::SystemCall => "system-call",
            Self::Signal => "signal",
            Self::Exit => "exit",
            Self::End => "end",
        }
    }

    /// The kind of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a walk in steps of `grain` stops behind it.
    pub const fn is_stop(self, grain: Grain) -> bool {
        match grain {
            Grain::Reference => true,
            Grain::Access => matches!(
                self,
                Self::Translated
                    | Self::Fault
                    | Self::Load
                    | Self::Store
                    | Self::Retired
                    | Self::Exit
                    | Self::End
            ),
            Grain::Instruction => {
                matches!(self, Self::Retired | Self::Signal | Self::Exit | Self::End)
            }
            Grain::Event => !matches!(
                self,
                Self::Split
                    | Self::TlbHit
                    | Self::TlbMiss
                    | Self::TableRead
                    | Self::TableUpdate
                    | Self::TlbFill
                    | Self::Region
                    | Self::Instruction
            ),
            Grain::Fault => matches!(self, Self::Fault | Self::Signal | Self::End),
            Grain::End => matches!(self, Self::End),
        }
    }
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Happened {
    /// The kind of thing.
    pub kind: Kind,
    /// The process that it happened to, by its number, if it did to one.
    pub process: Option<u32>,
    /// The virtual address that it was about, if there was one: for machines of words in words.
    pub address: Option<u64>,
    /// The frame that it was about.
    pub frame: Option<u64>,
    /// The swap slot that it was about.
    pub slot: Option<u64>,
    /// It, in one sentence.
    pub sentence: String,
    /// Why, and what it means, in further sentences.
    pub why: Vec<String>,
}

impl Happened {
    /// Something that has no address, frame or slot.
    pub fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        let (process, address, frame, slot) = (None, None, None, None);
        Self { kind, process, address, frame, slot, sentence: sentence.into(), why: Vec::new() }
    }
}
