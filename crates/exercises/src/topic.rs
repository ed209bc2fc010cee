//! The topics by their names, and the quizzes that they give.
//!
//! A topic is asked for by its name, or by its name and one of its variants: `replacement` draws
//! the policy, `replacement:lru` is always LRU.

use std::fmt;

use crate::draw::Draw;
use crate::ostep;
use crate::quiz::{Block, Question, Quiz};
use crate::topics::{self, Data};

/// A topic.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// What it asks, in a line.
    pub about: &'static str,
    /// The variants that can be asked for; without one, the seed chooses.
    pub variants: &'static [&'static str],
    /// Draws a quiz of a variant; `None` for those of OSTEP, which have streams of their own.
    pub(crate) make: Option<fn(&mut Draw, &'static str) -> Body>,
}

/// What a topic draws.
pub(crate) struct Body {
    pub title: String,
    pub given: Vec<Block>,
    pub data: Data,
    pub questions: Vec<Question>,
}

/// Why there is no such quiz.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// No topic has this name.
    Unknown(String),
    /// The topic has no such variant.
    Variant {
        /// The topic.
        topic: &'static str,
        /// What was asked for.
        given: String,
        /// The variants that there are.
        variants: &'static [&'static str],
    },
    /// A script of OSTEP would not take its options.
    Ostep {
        /// The topic.
        topic: String,
        /// What is wrong, and what would work.
        problem: String,
    },
    /// The topic takes no options.
    Options {
        /// The topic.
        topic: &'static str,
        /// The first option given.
        given: String,
    },
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let names: Vec<&str> = topics().iter().map(|topic| topic.name).collect();
                write!(f, "no topic {name:?}: give one of {}", names.join(", "))
            }
            Self::Variant { topic, given, variants: [] } => {
                write!(f, "{topic} has no variants: leave {given:?} out")
            }
            Self::Variant { topic, given, variants } => {
                write!(f, "{topic} has no variant {given:?}: give one of {}", variants.join(", "))
            }
            Self::Ostep { topic, problem } => write!(f, "{topic}: {problem}"),
            Self::Options { topic, given } => {
                write!(f, "{topic} has no option {given:?}; only topics of OSTEP take options")
            }
        }
    }
}

impl std::error::Error for TopicError {}

/// All topics, in the order in which one would learn them.
pub fn topics() -> &'static [Topic] {
    topics::ALL
}

/// The quiz of a topic and a seed.
///
/// # Errors
/// What there is instead, if there is no such topic, variant or option.
pub fn quiz(name: &str, seed: u64, options: &[String]) -> Result<Quiz, TopicError> {
    let (base, variant) = match name.split_once(':') {
        Some((base, variant)) => (base, Some(variant)),
        None => (name, None),
    };
    let shortened = |text: &str| text.chars().take(40).collect::<String>();
    let topic = topics().iter().find(|topic| topic.name == base);
    let topic = topic.ok_or_else(|| TopicError::Unknown(shortened(name)))?;
    if let Some(given) = options.first().filter(|_| topic.make.is_some()) {
        return Err(TopicError::Options { topic: topic.name, given: shortened(given) });
    }
    let mut draw = Draw::new(topic.name, seed);
    let variants = topic.variants;
    let variant = match variant {
        None if variants.is_empty() => "",
        None => draw.pick(variants),
        Some(given) => *variants.iter().find(|&&name| name == given).ok_or_else(|| {
            TopicError::Variant { topic: topic.name, given: shortened(given), variants }
        })?,
    };
    let Some(make) = topic.make else { return ostep::quiz(variant, seed, options) };
    let mut body = make(&mut draw, variant);
    for (number, question) in (1..).zip(&mut body.questions) {
        question.number = number;
    }
    let Body { title, given, data, questions } = body;
    Ok(Quiz { topic: name.into(), seed, options: Vec::new(), title, given, data, questions })
}
