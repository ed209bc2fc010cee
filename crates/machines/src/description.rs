//! What a processor has, checked.

use std::collections::BTreeMap;

use pagewalk_machine::CostModel;
use pagewalk_mmu::PageSize;
use pagewalk_mmu::tlb::Replacement;
use serde::{Deserialize, Serialize, Serializer};

use crate::size::compact;

/// A machine's memory management, as [`crate::load`] or [`Description::parse`] has checked it.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// The name on the command line: `skylake`.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The year of its introduction.
    pub year: u16,
    /// Who made it.
    pub vendor: String,
    /// What it is remembered for, in a sentence or two.
    pub summary: String,
    /// What translates addresses.
    pub mmu: MachineMmu,
    /// The TLBs.
    pub tlb: TlbDescription,
    /// Caches of upper page-table entries.
    pub walk_caches: Vec<WalkCache>,
    /// Caches of memory.
    pub caches: Vec<DataCache>,
    /// Main memory.
    pub memory: Memory,
    /// Costs by their keys in the cost model; the others keep the model's defaults.
    pub costs: BTreeMap<String, Figure>,
    /// The sources by the names that figures give.
    pub sources: BTreeMap<String, Source>,
    /// The same as costs of the simulator.
    #[serde(skip)]
    pub(crate) cost_model: CostModel,
}

/// Where a figure comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// A key of [`Description::sources`].
    pub source: String,
    /// The section, table or page.
    pub place: Option<String>,
    /// Whether the figure has been compared with the source; `false`: written from memory.
    pub checked: bool,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name: author, title, number, edition.
    pub title: String,
    /// Where it is found.
    pub url: Option<String>,
}

/// What translates addresses.
#[derive(Clone, Debug, Serialize)]
pub struct MachineMmu {
    /// The simulator's name for it, as `--mmu` takes it.
    pub name: String,
    /// The page and the width of addresses, where the name leaves them open.
    #[serde(skip)]
    pub(crate) linear: Option<(PageSize, u8)>,
    /// What the real one does differently.
    pub differs: Option<String>,
    /// The width of a virtual address in bits.
    pub virtual_bits: u8,
    /// The width of a physical address in bits.
    pub physical_bits: u8,
    /// The page sizes in bytes, smallest first.
    pub pages: Vec<u64>,
    /// Where this comes from.
    pub provenance: Provenance,
}

/// Who loads a TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loading {
    /// A walker in hardware or microcode.
    Hardware,
    /// The operating system, in a miss handler.
    Software,
}

/// Which references a structure serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Instruction fetches.
    Instruction,
    /// Loads and stores.
    Data,
    /// Both.
    Unified,
}

impl Side {
    /// The letter that option texts use; nothing for both sides.
    pub(crate) const fn letter(self) -> &'static str {
        match self {
            Self::Instruction => "i",
            Self::Data => "d",
            Self::Unified => "",
        }
    }
}

/// The TLBs.
#[derive(Clone, Debug, Serialize)]
pub struct TlbDescription {
    /// Who loads them.
    pub load: Loading,
    /// The bits of an address-space identifier (ASID, PCID) in each entry; 0: none, so that a
    /// change of address space drops what is not global.
    pub asid_bits: u8,
    /// What else there is to know.
    pub note: Option<String>,
    /// Where this comes from.
    pub provenance: Provenance,
    /// The arrays, first level first.
    pub arrays: Vec<TlbArray>,
}

/// One array of a TLB.
#[derive(Clone, Debug, Serialize)]
pub struct TlbArray {
    /// The level, 1 or 2.
    pub level: u8,
    /// What it serves.
    pub side: Side,
    /// The page sizes that it holds, in bytes.
    pub pages: Vec<u64>,
    /// Its entries.
    pub entries: u32,
    /// The ways of a set.
    pub ways: u32,
    /// How a full set makes room, if that is known.
    #[serde(serialize_with = "policy_name")]
    pub replacement: Option<Replacement>,
    /// What else there is to know.
    pub note: Option<String>,
    /// Why the simulator has not this array.
    pub not_modelled: Option<String>,
    /// Where this comes from.
    pub provenance: Provenance,
}

fn policy_name<S: Serializer>(
    policy: &Option<Replacement>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    policy.map(Replacement::name).serialize(serializer)
}

/// What one entry of a walk cache leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Reach(pub u64);

/// A cache of upper page-table entries.
#[derive(Clone, Debug, Serialize)]
pub struct WalkCache {
    /// What the vendor calls it.
    pub name: String,
    /// The bytes of address space below one of its entries: 2 MiB for an x86-64 PDE.
    pub reach: Reach,
    /// The level of its entries, from 1 on, base pages being level 0: an x86-64 PDE has level 1.
    pub level: u8,
    /// Its entries.
    pub entries: u32,
    /// The ways of a set.
    pub ways: u32,
    /// What else there is to know.
    pub note: Option<String>,
    /// Why the simulator has not this cache.
    pub not_modelled: Option<String>,
    /// Where this comes from.
    pub provenance: Provenance,
}

/// A cache of memory.
#[derive(Clone, Debug, Serialize)]
pub struct DataCache {
    /// The level, from 1 on.
    pub level: u8,
    /// What it serves.
    pub side: Side,
    /// Its bytes.
    pub bytes: u64,
    /// The ways of a set.
    pub ways: u32,
    /// The bytes of a line.
    pub line: u32,
    /// Cycles from a load to its use, if the line is here.
    pub latency: Option<u64>,
    /// What else there is to know.
    pub note: Option<String>,
    /// Why the simulator has not this cache.
    pub not_modelled: Option<String>,
    /// Where this comes from.
    pub provenance: Provenance,
}

/// Main memory.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// The bytes of RAM that a simulated machine has, unless asked otherwise.
    pub ram: u64,
    /// The bytes that real ones had.
    pub typical: Vec<u64>,
    /// Cycles from a load to its use, if the line is in memory.
    pub latency: Option<u64>,
    /// What else there is to know.
    pub note: Option<String>,
    /// Where this comes from.
    pub provenance: Provenance,
}

/// A number with its source.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The number, in the unit that its key has.
    pub value: u64,
    /// What else there is to know.
    pub note: Option<String>,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl DataCache {
    /// Whether the simulator's caches have it: loads, stores and walks go through them, and fetches
    /// do not.
    pub(crate) fn is_modelled(&self) -> bool {
        self.not_modelled.is_none() && self.side != Side::Instruction
    }
}

impl TlbArray {
    /// The page sizes as text: `4K+2M`; `bytes` is put behind those that have no unit.
    pub(crate) fn pages_text(&self, bytes: &str) -> String {
        let text = |&size: &u64| match compact(size) {
            number if number.ends_with(|c: char| c.is_ascii_digit()) => number + bytes,
            text => text,
        };
        self.pages.iter().map(text).collect::<Vec<_>>().join("+")
    }
}
