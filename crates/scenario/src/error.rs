//! What is wrong with a scenario, and where.

use std::fmt;
use std::ops::Range;

/// What is wrong with a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file's name, as it was given.
    pub file: String,
    /// The file's text.
    pub text: String,
    /// The bytes of the text that are wrong; empty if nothing in particular is.
    pub span: Range<usize>,
    /// What is wrong.
    pub problem: String,
    /// What would work, if that is not plain.
    pub help: Option<String>,
}

impl ScenarioError {
    /// The line and the column, both from 1 on, the column in characters.
    pub fn place(&self) -> (usize, usize) {
        let mut start = self.span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The line that is wrong, and how many of its characters are pointed at.
    fn line(&self) -> (&str, usize) {
        let (number, column) = self.place();
        let line = self.text.lines().nth(number - 1).unwrap_or("");
        let rest = line.chars().count().saturating_sub(column - 1);
        let len = self
            .text
            .get(self.span.clone())
            .map_or(1, |wrong| wrong.lines().next().unwrap_or("").chars().count());
        (line, len.clamp(1, rest.max(1)))
    }
}

/// File, line and column, then the line with what is wrong underlined.
impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.place();
        write!(f, "{}:{line}:{column}: {}", self.file, self.problem)?;
        let (text, len) = self.line();
        let margin = " ".repeat(line.to_string().len());
        // Tabs stay tabs, so that the mark stands below its place.
        let indent: String =
            text.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
        write!(f, "\n {margin} |\n {line} | {text}\n {margin} | {indent}{}", "^".repeat(len))?;
        match &self.help {
            Some(help) => write!(f, "\n {margin} = {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ScenarioError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_shown_with_a_mark() {
        let error = ScenarioError {
            file: "a.toml".into(),
            text: "x = 1\n\tframes = 9\n".into(),
            span: 16..17,
            problem: "there is no frame 9".into(),
            help: Some("frames are 0 to 7".into()),
        };
        let expected = "a.toml:2:11: there is no frame 9\n   |\n 2 | \tframes = 9\n   | \t         ^\n   \
                        = frames are 0 to 7";
        assert_eq!(error.to_string(), expected);
    }
}
