//! An exercise: what is given, what is asked, and why the answers are what they are.
//!
//! ```text
//!   Quiz ── given: sentences and tables        the same facts as data, for programs
//!     └─ Question 1 ── field page      form: a number         answer 0x123
//!                   ├─ field physical  form: a number or fault answer 0xabc4
//!                   └─ derivation: sentences
//! ```
//!
//! A field is named by its question and its own name: `1.page`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::form::Form;
use crate::topics::Data;

/// A quiz.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Quiz {
    /// The topic, as `pagewalk quiz` takes it.
    pub topic: String,
    /// What everything was drawn from.
    pub seed: u64,
    /// The options of a topic that takes any, as words of the command line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// What it is about, in a few words.
    pub title: String,
    /// What is given, for people.
    pub given: Vec<Block>,
    /// What is given, for programs.
    pub data: Data,
    /// What is asked.
    pub questions: Vec<Question>,
}

/// A part of what is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A table.
    Table(Table),
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The names of the columns.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Question {
    /// Its number, from 1.
    pub number: usize,
    /// The question.
    pub text: String,
    /// What is to be answered.
    pub fields: Vec<Field>,
    /// Why the answers are what they are; empty where answers are not shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derivation: Vec<String>,
}

/// One answer that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Field {
    /// Its name, unique in its question.
    pub name: String,
    /// What is wanted, in a few words.
    pub label: String,
    /// In which form.
    pub form: Form,
    /// The answer: the right one, or `null` for whoever answers to put theirs here.
    pub answer: Option<String>,
}

impl Block {
    /// A paragraph.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A table.
    pub fn table(caption: &str, head: &[&str], rows: Vec<Vec<String>>) -> Self {
        let head = head.iter().map(|&name| name.into()).collect();
        Self::Table(Table { caption: caption.into(), head, rows })
    }
}

impl Question {
    /// A question; its number is given by its place.
    pub fn new(text: impl Into<String>) -> Self {
        Self { number: 0, text: text.into(), fields: Vec::new(), derivation: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, label: &str, form: Form, answer: impl Into<String>) -> Self {
        let answer = Some(answer.into());
        self.fields.push(Field { name: name.into(), label: label.into(), form, answer });
        self
    }

    /// Adds a sentence to the derivation.
    #[must_use]
    pub fn because(mut self, sentence: impl Into<String>) -> Self {
        self.derivation.push(sentence.into());
        self
    }

    /// Adds sentences to the derivation.
    #[must_use]
    pub fn because_all(mut self, sentences: impl IntoIterator<Item = String>) -> Self {
        self.derivation.extend(sentences);
        self
    }
}

impl Quiz {
    /// The same without answers and derivations.
    #[must_use]
    pub fn without_answers(mut self) -> Self {
        for question in &mut self.questions {
            question.derivation.clear();
            question.fields.iter_mut().for_each(|field| field.answer = None);
        }
        self
    }

    /// All fields with their full names (`1.page`).
    pub fn fields(&self) -> impl Iterator<Item = (String, &Field)> {
        self.questions.iter().flat_map(|question| {
            let number = question.number;
            question.fields.iter().map(move |field| (format!("{number}.{}", field.name), field))
        })
    }

    /// The quiz as indented JSON with a final newline.
    pub fn json(&self) -> String {
        // Serialising to memory fails only on maps whose keys are not strings, and there are none.
        serde_json::to_string_pretty(self).expect("a quiz has no maps") + "\n"
    }
}
