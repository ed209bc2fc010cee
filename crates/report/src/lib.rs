//! Reports of a run, as text for people and as JSON for programs.
//!
//! ```text
//!   machine::Report ──► text ──► page ──► lines of at most 100 columns
//!          │
//!          ├──────────► json      the figures themselves, under a versioned schema
//!          └──────────► schema    what that JSON looks like, as JSON Schema
//! ```
//!
//! Architecture invariants:
//! 1. Everything is a pure function of the report: no clock, no terminal, no locale.
//! 2. Nothing is measured or counted here. What the text derives (shares, ratios, bytes), it
//!    derives in whole numbers, so that it rounds the same way on every host.
//! 3. A ratio names its denominator.
//! 4. Text that comes from the user (a program's arguments) is escaped, never sent to the terminal
//!    as it is.

#![forbid(unsafe_code)]

mod harts;
mod json;
mod number;
mod oom;
mod opt;
mod page;
mod policies;
mod processes;
mod replacement;
mod segments;
mod shared_tables;
mod swap;
mod text;
mod thrash;

pub use json::{json, schema};
pub use page::COLUMNS;
pub use policies::{
    Comparison, PolicyRun, Written, policies, policies_json, policies_schema, policy_list,
    policy_list_json,
};
pub use text::text;
pub use thrash::{Curve, Measured, Point, thrash, thrash_json, thrash_schema};
