//! What is wrong with a description, and where.

use std::{error, fmt, ops::Range};

/// What is wrong with a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescriptionError {
    /// The file's name, as it was given.
    pub file: String,
    /// The line and the column, both from 1 on, the column in characters; `None` if the file could
    /// not be read.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and what would work.
    pub problem: String,
}

impl DescriptionError {
    /// The problem with the bytes `span` of the file's `text`.
    pub(crate) fn at(
        file: &str,
        text: &str,
        span: Range<usize>,
        problem: impl Into<String>,
    ) -> Self {
        // A span may end, or even begin, behind the text: what is missing there has no place.
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self { file: file.into(), place: Some((line, column)), problem: problem.into() }
    }

    /// The problem with the file itself.
    pub(crate) fn unread(file: &str, problem: impl Into<String>) -> Self {
        Self { file: file.into(), place: None, problem: problem.into() }
    }
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => {
                write!(f, "{}:{line}:{column}: {}", self.file, self.problem)
            }
            None => write!(f, "{}: {}", self.file, self.problem),
        }
    }
}

impl error::Error for DescriptionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let place = |start| DescriptionError::at("f", "aé\nxy", start..start, "").place;
        assert_eq!(place(0), Some((1, 1)));
        assert_eq!(place(3), Some((1, 3)));
        assert_eq!(place(2), Some((1, 2)), "inside of a character is its beginning");
        assert_eq!(place(5), Some((2, 2)));
        assert_eq!(place(99), Some((2, 3)));
    }
}
