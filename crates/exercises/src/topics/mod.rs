//! The topics, one file each: what is drawn, what is asked, where the answers come from.

pub mod access_time;
pub mod base_bounds;
pub mod fork;
pub mod freebsd;
pub mod inverted;
pub mod linear;
pub mod real;
pub mod replacement;
mod replacement_why;
pub mod segments;
pub mod small;
mod small_format;
pub mod swap_cache;
pub mod table_size;
pub mod tlb;
pub mod working_set;

use pagewalk_mmu::{Access, AccessKind};
use schemars::JsonSchema;
use serde::Serialize;

use crate::draw::Draw;
use crate::topic::Topic;

/// All topics.
pub(crate) const ALL: &[Topic] = &[
    base_bounds::TOPIC,
    segments::TOPIC,
    linear::TOPIC,
    small::TOPIC,
    real::TOPIC,
    inverted::INVERTED,
    inverted::HASHED,
    tlb::TOPIC,
    access_time::TOPIC,
    table_size::TOPIC,
    replacement::TOPIC,
    working_set::TOPIC,
    fork::TOPIC,
    swap_cache::TOPIC,
    crate::ostep::TOPIC,
];

/// What is given, for programs: each topic has its own shape.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Data {
    /// Of `base-bounds`.
    BaseBounds(base_bounds::BaseBoundsData),
    /// Of `segments`.
    Segments(segments::SegmentsData),
    /// Of `linear`.
    Linear(linear::LinearData),
    /// Of `multilevel`.
    Small(small::SmallData),
    /// Of `processor`.
    Real(real::RealData),
    /// Of `inverted` and `hashed`.
    Chain(inverted::ChainData),
    /// Of `tlb`.
    Tlb(tlb::TlbData),
    /// Of `access-time`.
    AccessTime(access_time::AccessTimeData),
    /// Of `replacement`.
    Replacement(replacement::ReplacementData),
    /// Of `replacement:freebsd`.
    FreeBsd(freebsd::FreeBsdData),
    /// Of `working-set`.
    WorkingSet(working_set::WorkingSetData),
    /// Of `fork`.
    Fork(fork::ForkData),
    /// Of `swap-cache`.
    SwapCache(swap_cache::SwapCacheData),
    /// Of `ostep`.
    Ostep(crate::ostep::OstepData),
    /// Of `table-size`.
    TableSize(table_size::TableSizeData),
}

/// What a program does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
}

impl Kind {
    /// Any, loads most often.
    fn draw(draw: &mut Draw) -> Self {
        draw.pick(&[Self::Read, Self::Read, Self::Write, Self::Execute])
    }

    /// The user's access of this kind.
    const fn access(self) -> Access {
        Access::user(match self {
            Self::Read => AccessKind::Read,
            Self::Write => AccessKind::Write,
            Self::Execute => AccessKind::Execute,
        })
    }

    /// What a program does, in a sentence.
    const fn does(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Write => "writes to",
            Self::Execute => "fetches an instruction from",
        }
    }

    /// The letter of its right.
    const fn letter(self) -> char {
        match self {
            Self::Read => 'r',
            Self::Write => 'w',
            Self::Execute => 'x',
        }
    }

    /// What its right allows.
    const fn gerund(self) -> &'static str {
        match self {
            Self::Read => "reading",
            Self::Write => "writing",
            Self::Execute => "executing",
        }
    }
}

/// An access to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccessData {
    /// What is done.
    pub kind: Kind,
    /// The virtual address.
    pub address: u64,
}

/// `count` things, with the word in the right number.
pub(crate) fn plural(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}
