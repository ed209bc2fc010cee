//! Descriptions of real machines' memory management: MMU, TLBs, caches, costs and RAM, each figure
//! with its source.
//!
//! ```text
//!   machines/skylake.toml ──► File ──check──► Description ──► Setup ──► a machine to run on
//!        (text)              (as     │          (what the       (what the simulator
//!                          written)  ▼        processor has)    makes of it)
//!                          file:line:column: what is wrong; what would work
//! ```
//!
//! Invariants:
//! 1. A [`Description`] is checked: whatever can be made from one can be built.
//! 2. Every figure names its source, and whether somebody has looked it up there.
//! 3. What the simulator cannot express stays in the description, and is told by
//!    [`Description::not_modelled`].
//! 4. No input panics.

#![forbid(unsafe_code)]

mod built_in;
mod check;
mod check_parts;
mod description;
mod document;
mod error;
mod facts;
mod file;
mod json;
mod setup;
mod size;
mod text;

pub use built_in::{NAMES, built_in, load};
pub use description::{
    DataCache, Description, Figure, Loading, MachineMmu, Memory, Provenance, Reach, Side, Source,
    TlbArray, TlbDescription, WalkCache,
};
pub use document::{DOCUMENT_BEGIN, DOCUMENT_END, document_table};
pub use error::DescriptionError;
pub use json::{json, json_list};
pub use setup::{CostError, Setup, overlay};
pub use text::{list, show};
