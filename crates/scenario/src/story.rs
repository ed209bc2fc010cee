//! A story as text: what happens, step by step, and the machine whenever it has changed.

use std::fmt::Write;

use pagewalk_step::{Base, Grain, Happened, ProcessStatus, State, picture};

use crate::player::Player;
use crate::scenario::Scenario;
use crate::state::machine;

/// The width of all text.
const COLUMNS: usize = 80;

/// How a story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoryOptions {
    /// How far apart its steps are.
    pub grain: Grain,
    /// From the end to the start.
    pub backwards: bool,
    /// With the machine as it is after each step.
    pub pictures: bool,
}

/// The story, from its start to its end or the other way round.
pub fn story(player: &mut Player, options: &StoryOptions) -> String {
    let mut text = introduction(player.scenario());
    let base = base(player.scenario());
    let mut steps: Vec<u64> = (1..=player.last_step())
        .filter(|&step| player.kind(step).is_some_and(|kind| kind.is_stop(options.grain)))
        .collect();
    steps.insert(0, 0);
    if options.backwards {
        steps.reverse();
    }
    let mut shown = String::new();
    for (n, &step) in steps.iter().enumerate() {
        let Ok(state) = player.state_at(step) else { continue };
        if step > 0 {
            text += &told(&state);
        }
        let now = picture(&plain(&state), COLUMNS, base);
        let is_edge = n == 0 || n + 1 == steps.len();
        if now != shown && (options.pictures || is_edge) {
            text += &picture(&state, COLUMNS, base);
            shown = now;
        }
        if step == player.last_step() {
            text += &counted(&state);
        }
    }
    if let Some(cut) = player.cut() {
        _ = writeln!(text, "{cut}");
    }
    text
}

/// One step: where it is, what happened, and the machine.
pub fn scene(state: &State, scenario: &Scenario) -> String {
    told(state) + &picture(state, COLUMNS, base(scenario)) + &counted(state)
}

/// Title, what it is about, and the machine.
fn introduction(scenario: &Scenario) -> String {
    let source = match (&scenario.source, scenario.features.as_slice()) {
        (Some(text), []) => format!(" (text {text})"),
        (Some(text), rows) => format!(" (text {text}; {})", rows.join(", ")),
        (None, []) => String::new(),
        (None, rows) => format!(" ({})", rows.join(", ")),
    };
    let mut text = format!("{}{source}\n\n", scenario.title);
    for paragraph in scenario.about.split("\n\n") {
        wrap(&mut text, "", paragraph);
    }
    text.push('\n');
    wrap(&mut text, "", &format!("The machine: {}.", machine(scenario)));
    text.push('\n');
    text
}

/// What a step did, in sentences.
fn told(state: &State) -> String {
    let Happened { kind, sentence, why, .. } = &state.happened;
    let of = state.steps.map_or_else(String::new, |steps| format!(" of {steps}"));
    let mut text = format!("step {}{of} · {}\n", state.step, kind.name());
    wrap(&mut text, "  ", sentence);
    for why in why {
        wrap(&mut text, "    ", why);
    }
    text
}

/// The counters that a story is mostly about, if they are not 0.
fn counted(state: &State) -> String {
    const NAMES: [(&str, &str); 7] = [
        ("references", "references"),
        ("table_reads", "entries read"),
        ("tlb_misses", "TLB misses"),
        ("pgfault", "page faults"),
        ("pgmajfault", "of them major"),
        ("pswpin", "pages read from swap"),
        ("pswpout", "pages written to swap"),
    ];
    let counter = |&(name, words): &(&str, &str)| {
        state.counters.get(name).map(|value| format!("{words} {value}"))
    };
    let counters: Vec<String> = NAMES.iter().filter_map(counter).collect();
    let mut text = String::new();
    wrap(&mut text, "", &counters.join(", "));
    text
}

/// The state without marks of what is new, and without whose turn it is where: a picture is drawn
/// when anything else has changed.
fn plain(state: &State) -> State {
    let mut plain = state.clone();
    for process in &mut plain.processes {
        process.status = ProcessStatus::Ready;
        process.code.clear();
        process.registers.iter_mut().for_each(|register| register.is_new = false);
        process.pages.iter_mut().for_each(|page| page.is_new = false);
    }
    for frame in &mut plain.frames {
        frame.words.iter_mut().for_each(|word| word.is_new = false);
    }
    plain.tlb.iter_mut().for_each(|entry| entry.is_new = false);
    plain
}

fn base(scenario: &Scenario) -> Base {
    if scenario.base == 16 { Base::Hexadecimal } else { Base::Decimal }
}

/// Adds a paragraph, at most [`COLUMNS`] wide.
fn wrap(text: &mut String, indent: &str, paragraph: &str) {
    let mut line = indent.to_owned();
    for word in paragraph.split_whitespace() {
        let is_first = line.len() == indent.len();
        if !is_first && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            *text += line.trim_end();
            text.push('\n');
            line = indent.to_owned();
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line += word;
    }
    *text += line.trim_end();
    text.push('\n');
}
