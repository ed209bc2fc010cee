//! The answer sheet: a text file that a student fills in and hands in; or the quiz's JSON.
//!
//! ```text
//!   # The questions, as comments.
//!   topic = linear                  { "topic": "linear", "seed": 3,
//!   seed = 3                          "answers": { "1.page": "0x123" } }
//!   options = -n 5       (OSTEP)
//!   1.page = 0x123                  { "topic": "linear", "seed": 3,
//!   1.physical =                      "questions": [ { "number": 1, "fields":
//!                                       [ { "name": "page", "answer": "0x123" } ] } ] }
//! ```
//!
//! What begins with `{` is JSON, in either shape; anything else is a sheet. Lines of a sheet are
//! `name = answer`; those that are empty or begin with `#` say nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::quiz::Quiz;
use crate::text::text;

/// What a student handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// The topic.
    pub topic: String,
    /// The seed.
    pub seed: u64,
    /// The options of the topic.
    pub options: Vec<String>,
    /// The answers by the full names of their fields; those left empty are absent.
    pub answers: BTreeMap<String, String>,
}

/// Why something is no answer sheet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// Not JSON although it begins as JSON does, or not as [`Quiz::json`] writes it.
    #[error("line {line}, column {column}: {problem}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// A line without an equals sign.
    #[error("line {line}: {text:?} is no answer: write NAME = ANSWER, or begin a comment with #")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What stands there, shortened.
        text: String,
    },
    /// A name twice.
    #[error("line {line}: {name} is there twice: keep one")]
    Twice {
        /// The line, from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// It is not said which quiz it answers.
    #[error("no {0}: give a sheet as `pagewalk quiz TOPIC --sheet` or --json writes it")]
    Missing(&'static str),
    /// The seed is no number.
    #[error("the seed {0:?} is no number from 0 to 18446744073709551615")]
    Seed(String),
}

/// An empty sheet for a quiz.
pub fn sheet(quiz: &Quiz) -> String {
    let questions = text(&quiz.clone().without_answers());
    let mut sheet: String =
        questions.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
    sheet.push_str("#\n# Write each answer behind its =, then: pagewalk grade FILE\n");
    sheet.push_str("# Numbers may be written as 1492, 0x5d4, 0b101 or 2^20.\n\n");
    sheet.push_str(&format!("topic = {}\nseed = {}\n", quiz.topic, quiz.seed));
    if !quiz.options.is_empty() {
        sheet.push_str(&format!("options = {}\n", quiz.options.join(" ")));
    }
    for (name, field) in quiz.fields() {
        let brief = match field.form.brief() {
            brief if brief.is_empty() || field.label.contains(" or ") => String::new(),
            brief => format!(": {brief}"),
        };
        sheet.push_str(&format!("\n# {}{brief}\n{name} =\n", field.label));
    }
    sheet
}

impl Sheet {
    /// Reads what was handed in.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn read(text: &str) -> Result<Self, SheetError> {
        match text.trim_start().starts_with('{') {
            true => read_json(text),
            false => read_lines(text),
        }
    }
}

fn read_lines(text: &str) -> Result<Sheet, SheetError> {
    let mut answers = BTreeMap::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let Some((name, answer)) = content.split_once('=') else {
            return Err(SheetError::Line { line, text: content.chars().take(40).collect() });
        };
        let name = name.trim().to_ascii_lowercase();
        if answers.insert(name.clone(), answer.trim().to_owned()).is_some() {
            return Err(SheetError::Twice { line, name: name.chars().take(40).collect() });
        }
    }
    let topic = answers.remove("topic").ok_or(SheetError::Missing("topic"))?;
    let seed = answers.remove("seed").ok_or(SheetError::Missing("seed"))?;
    let seed = seed.parse().map_err(|_| SheetError::Seed(seed.chars().take(40).collect()))?;
    let options = answers.remove("options").unwrap_or_default();
    let options = options.split_whitespace().map(str::to_owned).collect();
    answers.retain(|_, answer| !answer.is_empty());
    Ok(Sheet { topic, seed, options, answers })
}

#[derive(Deserialize)]
struct JsonSheet {
    topic: String,
    seed: u64,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default)]
    answers: BTreeMap<String, Value>,
    #[serde(default)]
    questions: Vec<JsonQuestion>,
}

#[derive(Deserialize)]
struct JsonQuestion {
    number: u64,
    #[serde(default)]
    fields: Vec<JsonField>,
}

#[derive(Deserialize)]
struct JsonField {
    name: String,
    #[serde(default)]
    answer: Value,
}

fn read_json(text: &str) -> Result<Sheet, SheetError> {
    let sheet: JsonSheet = serde_json::from_str(text).map_err(|error| SheetError::Json {
        line: error.line(),
        column: error.column(),
        // serde_json puts the place behind its message.
        problem: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
    })?;
    let fields = sheet.questions.into_iter().flat_map(|question| {
        let named = move |field: JsonField| (format!("{}.{}", question.number, field.name), field);
        question.fields.into_iter().map(named).map(|(name, field)| (name, field.answer))
    });
    let all = sheet.answers.into_iter().chain(fields);
    let answers = all.filter_map(|(name, value)| Some((name.to_ascii_lowercase(), plain(value)?)));
    Ok(Sheet {
        topic: sheet.topic,
        seed: sheet.seed,
        options: sheet.options,
        answers: answers.collect(),
    })
}

/// A JSON value as one would write it on a sheet; `None` if it is empty.
fn plain(value: Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.trim().to_owned(),
        Value::Array(all) => match all.len() {
            0 => "none".into(),
            _ => all.into_iter().filter_map(plain).collect::<Vec<_>>().join(" "),
        },
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}
