//! Lines of text with aligned columns.
//!
//! ```text
//!   Program       sort /in /out                                    fact: wrapped under itself
//!
//!   Cycles                        2,345  21.49 per instruction     figure: label, value, note
//!     compute                     1,000  42.64 % of cycles         … indented
//!   TLB              lookups       hits     misses                 table: a heading row, and rows
//!     L1 data             12         11          1                   whose columns are aligned
//! ```
//!
//! The columns of all figures of a page are as wide as its widest label and value; those of a table
//! as wide as its widest cell.

use std::fmt::Write;

/// No line is wider, as long as counts stay below 10^15.
pub const COLUMNS: usize = 100;

/// Where the text of a fact begins.
const FACT_INDENT: usize = 14;

/// Spaces between columns.
const GAP: &str = "  ";

/// A page under construction.
#[derive(Default)]
pub struct Page {
    lines: Vec<Line>,
}

enum Line {
    Blank,
    Fact { label: &'static str, text: String },
    Figure { label: String, value: String, note: String },
    Table(Vec<Vec<String>>),
}

impl Page {
    /// Adds an empty line.
    pub fn blank(&mut self) {
        self.lines.push(Line::Blank);
    }

    /// Adds a fact in words; it is wrapped where it is too long.
    pub fn fact(&mut self, label: &'static str, text: String) {
        self.lines.push(Line::Fact { label, text });
    }

    /// Adds a heading: a label that stands for itself.
    pub fn heading(&mut self, label: &str) {
        self.row(label.into(), String::new(), String::new());
    }

    /// Adds a figure at the left edge.
    pub fn figure(&mut self, label: &str, value: String, note: String) {
        self.row(label.into(), value, note);
    }

    /// Adds a figure below the one before, indented.
    pub fn detail(&mut self, label: &str, value: String, note: String) {
        self.row(format!("  {label}"), value, note);
    }

    /// Adds a table; its first row is the heading, its first column the labels.
    pub fn table(&mut self, rows: Vec<Vec<String>>) {
        self.lines.push(Line::Table(rows));
    }

    /// The page as text.
    pub fn render(&self) -> String {
        let (label_width, value_width) = self.figure_widths();
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Blank => text.push('\n'),
                Line::Fact { label, text: fact } => push_fact(&mut text, label, fact),
                Line::Figure { label, value, note } => {
                    let line = format!("{label:label_width$}{GAP}{value:>value_width$}{GAP}{note}");
                    push_line(&mut text, &line);
                }
                Line::Table(rows) => push_table(&mut text, rows, label_width),
            }
        }
        text
    }

    fn row(&mut self, label: String, value: String, note: String) {
        self.lines.push(Line::Figure { label, value, note });
    }

    fn figure_widths(&self) -> (usize, usize) {
        self.lines.iter().fold((0, 0), |(labels, values), line| match line {
            Line::Figure { label, value, .. } => {
                (labels.max(width(label)), values.max(width(value)))
            }
            _ => (labels, values),
        })
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The label of a table is as wide as that of a figure if there is room.
fn push_table(text: &mut String, rows: &[Vec<String>], label_width: usize) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let values: usize = widths.iter().skip(1).map(|value| value + GAP.len()).sum();
    let room = COLUMNS.saturating_sub(values);
    let label_width = label_width.min(room).max(widths.first().copied().unwrap_or(0));
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let written = match column {
                0 => write!(line, "{cell:label_width$}"),
                _ => write!(line, "{GAP}{cell:>value_width$}", value_width = widths[column]),
            };
            written.expect("writing to a string does not fail");
        }
        push_line(text, &line);
    }
}

/// Wraps at spaces; a word that is wider than the room is cut.
fn push_fact(text: &mut String, label: &str, fact: &str) {
    let room = COLUMNS - FACT_INDENT;
    let mut label = label;
    let mut line = String::new();
    let mut flush = |line: &mut String| {
        // A label that is too long still has a space behind it.
        push_line(text, &format!("{label:width$} {line}", width = FACT_INDENT - 1));
        label = "";
        line.clear();
    };
    for word in fact.split(' ') {
        let mut rest: Vec<char> = word.chars().collect();
        if !line.is_empty() && width(&line) + 1 + rest.len() > room {
            flush(&mut line);
        }
        while rest.len() > room {
            line.extend(rest.drain(..room));
            flush(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(rest);
    }
    flush(&mut line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut page = Page::default();
        page.figure("Cycles", "12,345".into(), "all".into());
        page.detail("compute", "1".into(), String::new());
        page.table(vec![
            vec!["TLB".into(), "hits".into(), "misses".into()],
            vec!["  L1".into(), "1".into(), "1,000,000".into()],
        ]);
        let expected = "\
Cycles     12,345  all
  compute       1
TLB        hits     misses
  L1          1  1,000,000
";
        assert_eq!(page.render(), expected);
    }

    #[test]
    fn long_facts_are_wrapped_and_long_words_cut() {
        let mut page = Page::default();
        page.fact("Program", format!("sort {} {} end", "a".repeat(80), "b".repeat(200)));
        let text = page.render();
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        let joined: String = text.split_whitespace().skip(1).collect();
        assert_eq!(joined, format!("sort{}{}end", "a".repeat(80), "b".repeat(200)));
    }
}
