//! `pagewalk step`: a scenario or a program, forwards and backwards.
//!
//! ```text
//!   open: scenario, program ─► Stepper ─┬─► --json: the state at --at
//!                                       ├─► --do: commands, one after the other ─► text
//!                                       └─► a terminal: keys and the same commands
//! ```
//!
//! 1. What a key does a command does as well, and prints what it found: so scripts and tests see
//!    what people see.
//! 2. Everything shown is made from one [`State`](pagewalk_step::State).
//! 3. The user's files are read, never changed.

mod app;
mod draw;
mod open;
mod panels;
mod session;
mod terminal;
#[cfg(test)]
mod tests;
mod verbs;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use crate::args::StepArgs;
use crate::failure::{FAILED, Failure};
use crate::options::Target;
use crate::output::Output;
use crate::run::print;
use session::Session;

/// Steps through what is named.
///
/// # Errors
/// What is wrong with the options, the scenario or the program; or which result could not be
/// written.
pub fn run(args: StepArgs) -> Result<ExitCode, Failure> {
    let json = args.run.json.clone();
    let (commands, at) = (args.commands.clone(), args.at.clone());
    let is_shown = json.is_some() || commands.is_some();
    let has_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !is_shown && !has_terminal {
        return Err(Failure::refused(
            "step",
            "there is no terminal: give --do 'COMMANDS', such as --do 'run swap-in; cause; state', \
             or --json - for the state at --at",
        ));
    }
    let json = json.as_deref().map(crate::options::target);
    let json_file = match &json {
        Some(Target::File(path)) => Some(Output::open("json", path)?),
        _ => None,
    };
    let opened = open::open(args)?;
    let mut session = Session::new(opened);
    if let Some(place) = &at {
        session.go(place).map_err(|problem| Failure::bad_value("at", place, problem))?;
    }
    let mut failed = false;
    for command in commands.iter().flat_map(|text| verbs::split(text)) {
        match session.execute(command) {
            Ok(text) => print(&text)?,
            Err(problem) => {
                failed = true;
                print(&format!("{command}: {problem}\n"))?;
                break;
            }
        }
        if session.is_over {
            break;
        }
    }
    if json.is_some() {
        let text = pagewalk_step::json(&session.state());
        match json_file {
            None => print(&text)?,
            Some(file) => {
                let _ = io::Write::write_all(&mut file.sink(), text.as_bytes());
                file.finish()?;
            }
        }
    }
    if !is_shown {
        terminal::run(session).map_err(|error| Failure::not_written("the terminal", error))?;
    }
    Ok(ExitCode::from(if failed { FAILED } else { 0 }))
}
