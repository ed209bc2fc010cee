//! The virtual-memory homework of the textbook OSTEP (R. H. and A. C. Arpaci-Dusseau, "Operating
//! Systems: Three Easy Pieces"), written anew: the same options and seeds give the same problems and
//! answers as its published scripts do.
//!
//! ```text
//!   chapter             script                        topic
//!   vm-mechanism        relocation.py                 ostep:relocation
//!   vm-segmentation     segmentation.py               ostep:segmentation
//!   vm-paging           paging-linear-translate.py    ostep:linear
//!   vm-smalltables      paging-multilevel-translate.py  ostep:multilevel
//!   vm-beyondphys-policy  paging-policy.py            ostep:policy
//!   vm-freespace        malloc.py                     ostep:freespace
//! ```
//!
//! Numbers are drawn from the same stream (the Mersenne Twister) in the same order, and rounded as the
//! scripts round them; the sentences are our own. What makes a script fail, or run for ever, is refused with
//! the reason. A problem has at most [`QUESTIONS_MAX`] questions.

mod freespace;
mod linear;
mod multilevel;
mod options;
mod policy;
mod relocation;
mod segmentation;
mod twister;

use schemars::JsonSchema;
use serde::Serialize;

pub use freespace::{FreespaceData, FreespaceOperation};
pub use linear::LinearData;
pub use multilevel::MultilevelData;
pub use policy::PolicyData;
pub use relocation::RelocationData;
pub use segmentation::{SegmentationData, SegmentationRegisters};

use crate::quiz::Quiz;
use crate::topic::{Body, Topic, TopicError};
use options::{Given, Options};

/// The most that a problem asks.
pub const QUESTIONS_MAX: i64 = 1000;

pub(crate) const TOPIC: Topic = Topic {
    name: "ostep",
    about: "the virtual-memory homework of the textbook OSTEP, with its scripts' options and seeds",
    variants: &["relocation", "segmentation", "linear", "multilevel", "policy", "freespace"],
    make: None,
};

/// The problems by name: their options, and how they are made.
type Problem = (&'static str, &'static [Options], fn(&Given) -> Result<Body, String>);
const PROBLEMS: [Problem; 6] = [
    ("relocation", relocation::OPTIONS, relocation::make),
    ("segmentation", segmentation::OPTIONS, segmentation::make),
    ("linear", linear::OPTIONS, linear::make),
    ("multilevel", multilevel::OPTIONS, multilevel::make),
    ("policy", policy::OPTIONS, policy::make),
    ("freespace", freespace::OPTIONS, freespace::make),
];

/// What is given, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum OstepData {
    /// Base and limit.
    Relocation(RelocationData),
    /// Two segments.
    Segmentation(SegmentationData),
    /// A linear page table.
    Linear(LinearData),
    /// A page table of two levels.
    Multilevel(MultilevelData),
    /// Page replacement.
    Policy(PolicyData),
    /// A free list.
    Freespace(FreespaceData),
}

fn problem(name: &str, seed: u64, words: &[String]) -> Result<(Body, Given), String> {
    let (_, options, make) =
        PROBLEMS.iter().find(|problem| problem.0 == name).ok_or("no such problem")?;
    let given = Given::read(options, seed, words)?;
    Ok((make(&given)?, given))
}

/// The problem that a script makes of these words; a seed among them wins over `seed`.
pub(crate) fn quiz(variant: &str, seed: u64, words: &[String]) -> Result<Quiz, TopicError> {
    let topic = format!("{}:{variant}", TOPIC.name);
    let refused = |problem| TopicError::Ostep { topic: topic.clone(), problem };
    let (body, given) = problem(variant, seed, words).map_err(refused)?;
    let Body { title, given: blocks, data, questions } = body;
    let (seed, options) = (given.seed(), given.words());
    let mut quiz = Quiz { topic, seed, options, title, given: blocks, data, questions };
    for (number, question) in (1..).zip(&mut quiz.questions) {
        question.number = number;
    }
    Ok(quiz)
}

/// Whether the words ask for answers, as the scripts' `-c` does.
pub fn wants_answers(topic: &str, words: &[String]) -> bool {
    let name = topic.split_once(':').map_or("", |(_, variant)| variant);
    let options = PROBLEMS.iter().find(|problem| problem.0 == name).map(|problem| problem.1);
    let given = options.map(|options| Given::read(options, 0, words));
    given.is_some_and(|given| given.is_ok_and(|given| given.has('c')))
}
