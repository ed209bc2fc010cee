//! Answers against the right ones, field by field.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::sheet::{Sheet, SheetError};
use crate::topic::{TopicError, quiz};

/// What a student's answers are worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Grade {
    /// The topic.
    pub topic: String,
    /// The seed.
    pub seed: u64,
    /// How many fields are right.
    pub right: usize,
    /// How many there are.
    pub of: usize,
    /// Each field, in the order of the questions.
    pub fields: Vec<Marked>,
}

/// A field and its mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Marked {
    /// The field's full name (`1.page`).
    pub name: String,
    /// What was wanted, in a few words.
    pub label: String,
    /// The mark.
    pub mark: Mark,
    /// What was answered; `null` if nothing was.
    pub given: Option<String>,
    /// The form that is wanted, where the answer is in none such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// The right answer, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

/// A mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It is the right answer.
    Right,
    /// It is not.
    Wrong,
    /// It is not in the form that is wanted, which says nothing about whether it is right.
    Form,
    /// There is none.
    Missing,
}

/// Why there is no grade.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GradeError {
    /// It is no answer sheet.
    #[error(transparent)]
    Sheet(#[from] SheetError),
    /// There is no such quiz.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// An answer to something that was not asked.
    #[error("{name}: no such field; those of this quiz are {first} to {last}")]
    Unknown {
        /// The name, shortened.
        name: String,
        /// The first field of the quiz.
        first: String,
        /// The last.
        last: String,
    },
}

/// Grades what a file of answers says; `expected` shows the right answers, too.
///
/// # Errors
/// If it is not about a quiz that there is, or answers what was not asked.
pub fn grade(text: &str, expected: bool) -> Result<Grade, GradeError> {
    let sheet = Sheet::read(text)?;
    let quiz = quiz(&sheet.topic, sheet.seed, &sheet.options)?;
    let names: Vec<String> = quiz.fields().map(|(name, _)| name).collect();
    let known: BTreeSet<&String> = names.iter().collect();
    if let Some(name) = sheet.answers.keys().find(|name| !known.contains(name)) {
        return Err(GradeError::Unknown {
            name: name.chars().take(40).collect(),
            first: names.first().cloned().unwrap_or_default(),
            last: names.last().cloned().unwrap_or_default(),
        });
    }
    let fields: Vec<Marked> = quiz
        .fields()
        .map(|(name, field)| {
            let right = field.answer.clone().unwrap_or_default();
            let given = sheet.answers.get(&name).cloned();
            let mut wanted = None;
            let mark = match given.as_deref().map(|given| field.form.is_same(given, &right)) {
                None => Mark::Missing,
                Some(Ok(true)) => Mark::Right,
                Some(Ok(false)) => Mark::Wrong,
                Some(Err(wrong)) => {
                    wanted = Some(wrong.wanted);
                    Mark::Form
                }
            };
            let expected = expected.then_some(right);
            Marked { name, label: field.label.clone(), mark, given, wanted, expected }
        })
        .collect();
    let right = fields.iter().filter(|field| field.mark == Mark::Right).count();
    Ok(Grade { topic: quiz.topic, seed: quiz.seed, right, of: fields.len(), fields })
}

impl Grade {
    /// Whether everything is right.
    pub const fn is_full(&self) -> bool {
        self.right == self.of
    }

    /// The grade as text: a line for each field, and how many are right.
    pub fn text(&self) -> String {
        let width = self.fields.iter().map(|field| field.name.chars().count()).max().unwrap_or(0);
        let lines = self.fields.iter().map(|field| {
            let mark = match field.mark {
                Mark::Right => "right",
                Mark::Wrong => "wrong",
                Mark::Form => "wrong form",
                Mark::Missing => "missing",
            };
            let is_right = field.mark == Mark::Right;
            let wanted = field.wanted.as_deref().map(|wanted| format!("write {wanted}"));
            let expected = field.expected.as_deref().filter(|_| !is_right);
            let expected = expected.map(|right| format!("expected {right}"));
            let parts = [field.given.clone(), wanted, expected];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            let line = format!("{:width$}  {mark:<10}  {}", field.name, parts.join("; "));
            line.trim_end().to_owned() + "\n"
        });
        let lines: String = lines.collect();
        format!(
            "{lines}\n{} of {} right ({}, seed {})\n",
            self.right, self.of, self.topic, self.seed
        )
    }

    /// The grade as indented JSON with a final newline.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a grade has no maps") + "\n"
    }
}
