//! One translation in full: how the address is split, what the TLB answers, every reference to a
//! table, what the bits mean, and what comes out.
//!
//! ```text
//!   Scene (tables, memory, TLB) ──► explain ──► Explanation ──► text
//!     ▲                                │             └────────► json
//!     └─ a description (TOML, options), │
//!        a raw image, a snapshot        ▼
//!                                the very walker that runs programs, observed
//! ```
//!
//! Architecture invariants:
//! 1. Nothing is translated here: the steps are those that [`pagewalk_mmu`]'s walker showed, and
//!    the result is its result.
//! 2. Text and JSON are pure functions of one [`Explanation`].
//! 3. Numbers and bit names are the manuals'.

#![forbid(unsafe_code)]

mod bits;
mod builder;
mod controls;
mod decimal;
mod describe;
mod describe_unpaged;
mod explain;
mod memory;
mod r3000;
mod record;
mod recorder;
mod scene;
mod segment;
mod split;
mod text;
mod text_segment;
mod tlb;
mod walk_cache;

pub use decimal::DecimalTable;
pub use describe::{
    AccessLine, Description, DescriptionError, DescriptorLine, Map, RawEntry, SegmentLine, access,
};
pub use explain::{explain, explain_copy, explain_segmented_copy, explain_unpaged};
pub use memory::SparseMemory;
pub use record::{
    BitField, Check, Explanation, Outcome, Part, Permission, Range, Reference, Register,
    SegmentDescriptor, SegmentProbe, TlbAnswer, TlbException, TlbProbe, TlbSet, TlbWay, Update,
    WalkCacheProbe,
};
pub use scene::{Hardware, Query, Scene, Unpaged};
pub use segment::{DescriptorTable, SegmentUnit};
pub use text::{Base, text};

/// The explanations as indented JSON with a final newline.
pub fn json(explanations: &[Explanation]) -> String {
    let text = serde_json::to_string_pretty(explanations);
    // Serialising to memory fails only on maps whose keys are not strings, and there are none.
    text.expect("an explanation has no maps") + "\n"
}

/// The JSON Schema (draft 2020-12) of what [`json`] writes.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Vec<Explanation>);
    serde_json::to_string_pretty(&schema).expect("a schema has string keys") + "\n"
}
