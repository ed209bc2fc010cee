//! A quiz as text for a terminal of 80 columns.

use crate::quiz::{Block, Question, Quiz, Table};

/// The width that lines are filled to.
const WIDTH: usize = 80;
/// What stands where an answer is wanted.
const BLANK: &str = "________";

/// The quiz as text; answers and derivations are shown where it has them.
pub fn text(quiz: &Quiz) -> String {
    let mut lines = vec![quiz.title.clone(), origin(quiz), String::new()];
    for block in &quiz.given {
        match block {
            Block::Text(text) => lines.extend(filled(text, "", "")),
            Block::Table(table) => lines.extend(table_lines(table)),
        }
        lines.push(String::new());
    }
    for question in &quiz.questions {
        lines.extend(question_lines(question));
        lines.push(String::new());
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Which quiz it is, as the command is asked for it.
pub(crate) fn origin(quiz: &Quiz) -> String {
    let options: String = quiz.options.iter().map(|word| format!(" {word}")).collect();
    format!(
        "Topic {}, seed {}{}{options}",
        quiz.topic,
        quiz.seed,
        match options.as_str() {
            "" => "",
            _ => ", options",
        }
    )
}

fn question_lines(question: &Question) -> Vec<String> {
    let number = format!("{}. ", question.number);
    let mut lines = filled(&question.text, &number, "   ");
    let name_of = |name: &str| format!("{}.{name}", question.number);
    let widest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let fields = &question.fields;
    let names = widest(&mut fields.iter().map(|field| name_of(&field.name).chars().count()));
    let labels = widest(&mut fields.iter().map(|field| field.label.chars().count()));
    for field in fields {
        let answer = field.answer.as_deref().unwrap_or(BLANK);
        let start = format!("   {:names$}  {:labels$}  ", name_of(&field.name), field.label);
        let indent = " ".repeat(start.chars().count());
        lines.extend(filled(answer, &start, &indent));
    }
    for sentence in &question.derivation {
        lines.extend(filled(sentence, "   - ", "     "));
    }
    lines
}

/// A table, its columns as wide as they need.
fn table_lines(table: &Table) -> Vec<String> {
    let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let columns: Vec<(usize, bool)> = (0..table.head.len())
        .map(|column| {
            let cells = || table.rows.iter().map(|row| cell(row, column));
            let widest = cells().chain([table.head[column].clone()]);
            (widest.map(|cell| cell.chars().count()).max().unwrap_or(0), cells().all(is_number))
        })
        .collect();
    let line = |row: &[String]| {
        let cells = columns.iter().enumerate().map(|(column, &(width, is_right))| match is_right {
            true => format!("{:>width$}", cell(row, column)),
            false => format!("{:<width$}", cell(row, column)),
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  "))
    };
    let caption = (!table.caption.is_empty()).then(|| table.caption.clone());
    let rule = columns.iter().map(|&(width, _)| "-".repeat(width)).collect::<Vec<_>>();
    let head = [line(&table.head), line(&rule)];
    caption.into_iter().chain(head).chain(table.rows.iter().map(|row| line(row))).collect()
}

fn is_number(cell: String) -> bool {
    cell.chars().all(|c| c.is_ascii_hexdigit() || "x-_.".contains(c))
        && cell.chars().next().is_none_or(|c| c.is_ascii_digit() || c == '-')
}

/// `text` in lines of at most [`WIDTH`], the first behind `start`, the others behind `indent`.
pub(crate) fn filled(text: &str, start: &str, indent: &str) -> Vec<String> {
    let mut lines = vec![start.to_owned()];
    let mut is_first_word = true;
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        let space = usize::from(!is_first_word);
        if !is_first_word && line + space + word.chars().count() > WIDTH {
            lines.push(indent.to_owned());
            is_first_word = true;
        }
        if let Some(line) = lines.last_mut() {
            if !is_first_word {
                line.push(' ');
            }
            line.push_str(word);
        }
        is_first_word = false;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_filled_and_no_word_is_lost() {
        let text = "word ".repeat(40);
        let lines = filled(&text, "1. ", "   ");
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= WIDTH));
        assert_eq!(lines.join(" ").matches("word").count(), 40);
        let long = "x".repeat(100);
        assert_eq!(filled(&long, "- ", "  "), [format!("- {long}")]);
        assert_eq!(filled("", "- ", ""), ["- "]);
    }
}
