//! The book shows what the commands beside its pictures print, and each feature has a command.

use std::fmt::Write;
use std::path::{Path, PathBuf};

mod common;
use common::{Done, pagewalk, repository};

/// All pages of the book.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of pages") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn run(command: &str) -> Done {
    let words = command.strip_prefix("pagewalk ").unwrap_or_else(|| panic!("{command}: a command"));
    pagewalk(words.split(' ').map(|word| word.trim_matches('\'')))
}

/// A page with what its commands print now. A block is `$ pagewalk …` and its standard output; a
/// line `…` in it stands for whatever comes between.
fn printed(text: &str) -> (String, usize) {
    let mut updated = String::new();
    let mut rest = text;
    let mut count = 0;
    while let Some((before, block)) = rest.split_once("```console\n") {
        let (block, after) = block.split_once("```").expect("the end of a block");
        let (command, expected) = block.split_once('\n').expect("a command and its output");
        let done = run(command.strip_prefix("$ ").expect("a command"));
        let output = if matches(expected, &done.stdout) { expected } else { &done.stdout };
        write!(updated, "{before}```console\n{command}\n{output}```").expect("memory");
        rest = after;
        count += 1;
    }
    (updated + rest, count)
}

/// Whether the output is what is expected, where a line `…` stands for any lines.
fn matches(expected: &str, output: &str) -> bool {
    let mut rest = output;
    let parts: Vec<&str> = expected.split("…\n").collect();
    for (n, part) in parts.iter().enumerate() {
        let at = match n {
            0 if rest.starts_with(part) => Some(0),
            0 => None,
            _ if n + 1 == parts.len() => rest.ends_with(part).then(|| rest.len() - part.len()),
            _ => rest.find(part),
        };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
    }
    parts.len() > 1 || rest.is_empty()
}

/// With UPDATE_DOCS=1 the pages are brought up to date instead.
#[test]
fn every_output_in_the_book_is_what_comes_out() {
    let updates = std::env::var_os("UPDATE_DOCS").is_some();
    let mut checked = 0;
    for page in pages(&repository().join("docs")) {
        let text = std::fs::read_to_string(&page).expect("a page");
        let (updated, count) = printed(&text);
        checked += count;
        if updates && updated != text {
            std::fs::write(&page, &updated).expect("the page can be written");
        } else if updated != text {
            let differs = text.lines().zip(updated.lines()).find(|(old, new)| old != new);
            panic!("{} is out of date (UPDATE_DOCS=1 updates it): {differs:#?}", page.display());
        }
    }
    assert!(checked >= 20, "{checked} commands");
}

#[test]
fn links_in_the_book_lead_somewhere() {
    for page in pages(&repository().join("docs")) {
        let text = std::fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1).filter_map(|link| link.split(')').next()) {
            let file = link.split('#').next().unwrap_or("");
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let target = page.parent().expect("a folder").join(file);
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}

/// docs/features.md has a row for each feature, and each row a command that works.
#[test]
fn every_feature_has_a_command_that_shows_it() {
    let text = std::fs::read_to_string(repository().join("docs/features.md")).expect("the table");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| H") || line.starts_with("| O"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let expected: Vec<String> =
        (1..=18).map(|n| format!("H{n}")).chain((1..=22).map(|n| format!("O{n}"))).collect();
    assert_eq!(numbers, expected);
    for row in rows {
        let commands: Vec<&str> =
            row[2].split('`').filter(|part| part.starts_with("pagewalk ")).collect();
        assert!(!commands.is_empty(), "{} has no command", row[0]);
        for command in commands {
            let done = run(command);
            let wanted = if row[2].contains("ends with 1") { 1 } else { 0 };
            assert_eq!(done.status, wanted, "{command}: {}", done.stderr);
            assert!(!(done.stdout.is_empty() && done.stderr.is_empty()), "{command} says nothing");
        }
    }
}
