//! A hundred seeds of every topic against an independent computation.
//!
//! What is computed here knows only the `data` of a quiz, as JSON, and the texts and manuals: no
//! engine of the workspace. Each file has the topics of one kind.

mod bookkeeping;
mod hardware;
mod numbers;
mod policies;
mod processors;

use std::collections::BTreeMap;

use pagewalk_exercises::{all_topics, quiz};
use serde_json::Value;

/// Seeds of each variant.
const SEEDS: u64 = 100;

/// The answers by the names of their fields.
pub type Answers = BTreeMap<String, String>;

/// Answers under construction.
#[derive(Default)]
pub struct Computed(Answers);

impl Computed {
    /// The answer to a field of question `number`, from 1.
    pub fn put(&mut self, number: usize, field: &str, answer: impl ToString) {
        self.0.insert(format!("{number}.{field}"), answer.to_string());
    }
}

/// A number of the data.
pub fn int(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Numbers of the data.
pub fn ints(value: &Value) -> Vec<u64> {
    array(value).iter().map(int).collect()
}

/// An array of the data.
pub fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no array"))
}

/// A text of the data.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// A number, or a word where there is none.
pub fn or(number: Option<u64>, word: &str) -> String {
    number.map_or(word.into(), |number| number.to_string())
}

/// Numbers with spaces between.
pub fn spaced(all: &[u64]) -> String {
    if all.is_empty() {
        return "none".into();
    }
    all.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

/// An answer with its numbers in decimal, sizes in bytes.
fn plain(answer: &str) -> String {
    if let Some(digits) = answer.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).unwrap().to_string();
    }
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("PiB", 50), ("bytes", 0)];
    for (unit, shift) in units {
        if let Some(number) = answer.strip_suffix(unit) {
            return (number.trim().parse::<u64>().unwrap() << shift).to_string();
        }
    }
    answer.into()
}

/// Computes the answers from the data.
type Compute = fn(&Value, &mut Computed);

fn check(topic: &str, compute: Compute) {
    for seed in 0..SEEDS {
        let quiz = quiz(topic, seed, &[]).unwrap();
        let data = serde_json::to_value(&quiz.data).unwrap();
        let mut computed = Computed::default();
        compute(&data, &mut computed);
        let asked: Answers = quiz
            .fields()
            .map(|(name, field)| (name, plain(field.answer.as_deref().unwrap())))
            .collect();
        assert_eq!(asked, computed.0, "{topic}, seed {seed}: {data:#}");
    }
}

/// The topics that have a computation here; sets are compared in the order of the answer.
const COMPUTED: [(&str, Compute); 14] = [
    ("base-bounds", hardware::base_bounds),
    ("segments", hardware::segments),
    ("linear", hardware::linear),
    ("multilevel", hardware::multilevel),
    ("processor", processors::processor),
    ("inverted", hardware::chains),
    ("hashed", hardware::chains),
    ("tlb", hardware::tlb),
    ("access-time", numbers::access_time),
    ("table-size", numbers::table_size),
    ("replacement", policies::replacement),
    ("working-set", policies::working_set),
    ("fork", bookkeeping::fork),
    ("swap-cache", bookkeeping::swap_cache),
];

#[test]
fn every_answer_is_computed_again() {
    for (topic, compute) in COMPUTED {
        let known = all_topics().iter().find(|known| known.name == topic).expect(topic);
        check(topic, compute);
        for variant in known.variants {
            check(&format!("{topic}:{variant}"), compute);
        }
    }
}

/// OSTEP's are compared with the scripts (ostep.rs).
#[test]
fn every_topic_is_here() {
    let here: Vec<&str> = COMPUTED.iter().map(|one| one.0).collect();
    for topic in all_topics() {
        assert!(here.contains(&topic.name) || topic.name == "ostep", "{}", topic.name);
    }
}

/// The seeds are not all one exercise, and each derivation says something.
#[test]
fn seeds_differ_and_derivations_explain() {
    for (topic, _) in COMPUTED {
        let quizzes: Vec<_> = (0..20).map(|seed| quiz(topic, seed, &[]).unwrap()).collect();
        for pair in quizzes.windows(2) {
            assert_ne!(pair[0].data, pair[1].data, "{topic}");
        }
        for question in quizzes.iter().flat_map(|quiz| &quiz.questions) {
            assert!(!question.derivation.is_empty(), "{topic}: {}", question.text);
            for sentence in &question.derivation {
                let end = sentence.chars().last();
                assert!(matches!(end, Some('.' | '%')), "{topic}: {sentence}");
            }
        }
    }
}
