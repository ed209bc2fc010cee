//! What a scenario says must hold, compared with what does.

use pagewalk_step::{Kind, Presence, ProcessStatus, State};

use crate::error::ScenarioError;
use crate::player::Player;
use crate::scenario::{Check, Expectation, Subject};
use crate::tell::short;

/// The expectations of a scenario that do not hold, each with its place.
///
/// # Errors
/// Likewise, if there is no such moment.
pub fn check(player: &mut Player) -> Vec<ScenarioError> {
    let scenario = player.scenario().clone();
    let mut wrong = Vec::new();
    for Expectation { after: (kind, n), checks, span } in &scenario.expectations {
        let step = match (kind, n) {
            (Kind::End, _) => Some(player.last_step()),
            (Kind::Start, _) => Some(0),
            (kind, n) => player.step_of(*kind, *n),
        };
        let Some(step) = step else {
            let problem = format!("there is no {} {n}", kind.name());
            wrong.push(scenario.place.error(span.clone(), problem));
            continue;
        };
        let Ok(state) = player.state_at(step) else { continue };
        for Check { what, value, span } in checks {
            let found = look(&state, what);
            if found != *value {
                let problem = format!("expected {value}, but it is {found} at step {step}");
                wrong.push(scenario.place.error(span.clone(), problem));
            }
        }
    }
    wrong
}

/// What is there, as an expectation writes it.
fn look(state: &State, what: &Subject) -> String {
    let process = |number: &usize| state.processes.get(*number);
    let none = || "nothing".to_owned();
    match what {
        Subject::Memory(at) => {
            let words = state.frames.iter().flat_map(|frame| &frame.words);
            words
                .into_iter()
                .find(|word| word.at == *at)
                .map_or_else(none, |word| word.value.to_string())
        }
        Subject::Register(number, reg) => {
            let registers = process(number).map(|process| &process.registers).into_iter().flatten();
            let found = registers.into_iter().find(|register| register.name == reg.to_string());
            found.map_or_else(none, |register| (register.value as i64).to_string())
        }
        Subject::Page(number, page) => {
            let pages = process(number).map(|process| &process.pages).into_iter().flatten();
            let found = pages.into_iter().find(|row| row.page == *page);
            found.map_or_else(none, |row| match row.presence {
                Presence::Resident => {
                    format!("{} {}", row.frame.unwrap_or(0), short(&row.rights))
                }
                Presence::Swapped => format!("swap {}", row.slot.unwrap_or(0)),
                Presence::Absent => "absent".to_owned(),
            })
        }
        Subject::Counter(name) => state.counters.get(name).copied().unwrap_or(0).to_string(),
        Subject::Status(number) => process(number).map_or_else(none, |process| {
            match process.status {
                ProcessStatus::Running => "running",
                ProcessStatus::Ready => "ready",
                ProcessStatus::Waiting => "waiting",
                ProcessStatus::SwappedOut => "swapped-out",
                ProcessStatus::Done => "done",
                ProcessStatus::Ended => "ended",
                ProcessStatus::Killed => "killed",
            }
            .to_owned()
        }),
        Subject::Frame(number) => {
            let found = state.frames.iter().find(|frame| frame.frame == *number);
            found.map_or_else(none, |frame| frame.used.clone())
        }
        Subject::Slot(number) => {
            let found = state.swap.iter().find(|slot| slot.slot == *number);
            found.map_or_else(
                || "free".to_owned(),
                |slot| match slot.cached {
                    Some(frame) => format!("{} frame {frame}", slot.entries),
                    None => slot.entries.to_string(),
                },
            )
        }
    }
}
