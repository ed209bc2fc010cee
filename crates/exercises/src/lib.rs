//! Exercises on virtual memory: drawn from a seed, with answers, derivations and grades.
//!
//! ```text
//!   topic, seed ──► topics / ostep ──► Quiz ──► text, answer sheet, JSON, HTML
//!                     ▲        │
//!                     │        └─ answers come from the engines: mmu, replacement, explain
//!   answers in a file ──► grade ──► the same Quiz again, field by field ──► Grade
//! ```
//!
//! Invariants:
//! 1. A quiz is a pure function of topic, options and seed; each field has one right answer.
//! 2. What is given for people and what is given for programs are made from the same values; an
//!    answer follows from either alone.
//! 3. Nothing that a file of answers says can make grading panic, or take more than it is long.

#![forbid(unsafe_code)]

mod draw;
mod form;
mod grade;
mod html;
pub mod ostep;
mod quiz;
mod sheet;
mod text;
mod topic;
pub mod topics;

pub use form::{Form, WrongForm};
pub use grade::{Grade, GradeError, Mark, Marked, grade};
pub use html::html;
pub use quiz::{Block, Field, Question, Quiz, Table};
pub use sheet::{Sheet, SheetError, sheet};
pub use text::text;
pub use topic::{Topic, TopicError, quiz, topics as all_topics};

/// The JSON Schema (draft 2020-12) of what [`Quiz::json`] writes.
pub fn schema() -> String {
    schema_of(&schemars::schema_for!(Quiz))
}

/// The JSON Schema of what [`Grade::json`] writes.
pub fn grade_schema() -> String {
    schema_of(&schemars::schema_for!(Grade))
}

fn schema_of(schema: &schemars::Schema) -> String {
    serde_json::to_string_pretty(schema).expect("a schema has string keys") + "\n"
}
