//! `pagewalk thrash`: how the processor is used while more and more processes share memory.
//!
//! ```text
//!   for 1, 2, 3 … processes ─► programs/src/jobs.c on a machine   without load control ─► report ─┐
//!                              whose threads wait for devices     with ────────────────► report ─┤
//!                                                                                                 ▼
//!                                                                           table, drawn curve, --json
//! ```
//!
//! The program is a part of pagewalk, so that nothing else is needed.

use std::ffi::OsString;
use std::io::Write;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use pagewalk_machine::report::Report;
use pagewalk_machine::{Machine, Stdio};
use pagewalk_report::Curve;
use tempfile::TempDir;

use crate::args::{Cli, Command, ThrashArgs};
use crate::console::Console;
use crate::failure::{FAILED, Failure};
use crate::number::count;
use crate::options::{Options, Target, target};
use crate::output::Output;
use crate::run::{print, stop_on_interrupt};

/// The program, built from `programs/src/jobs.c`.
const JOBS: &[u8] = include_bytes!("../../../programs/bin/jobs");

/// The most processes that the program makes.
const PROCESSES_MAX: u64 = 256;

/// Runs them all.
///
/// # Errors
/// What is wrong with the options, or which result could not be written.
pub fn run(args: &ThrashArgs) -> Result<ExitCode, Failure> {
    let most = match count(&args.processes) {
        Ok(most @ 1..=PROCESSES_MAX) => most,
        _ => {
            let problem = format!("give a number from 1 to {PROCESSES_MAX}");
            return Err(Failure::bad_value("processes", &args.processes, problem));
        }
    };
    let json = args.json.as_deref().map(target);
    let json_file = match &json {
        Some(Target::File(path)) => Some(Output::open("json", path)?),
        _ => None,
    };
    let place = unpack()?;
    let console = Console::new(!args.quiet);
    let stop = stop_on_interrupt()?;
    let mut runs = Vec::new();
    for processes in 1..=most {
        let [without, with] = [false, true].map(|control| {
            let options = options(args, &place, processes, control)?;
            run_one(options, &console, &stop)
        });
        if stop.load(Ordering::Relaxed) {
            break;
        }
        runs.push((processes, without?, with?));
    }
    console.clear();
    let Some(curve) = Curve::new(&runs) else {
        return Err(Failure::refused("thrash", "it was stopped before there was a result"));
    };
    match json {
        Some(Target::Stdout) => print(&pagewalk_report::thrash_json(&curve))?,
        _ => print(&pagewalk_report::thrash(&curve))?,
    }
    if let Some(file) = json_file {
        let _ = file.sink().write_all(pagewalk_report::thrash_json(&curve).as_bytes());
        file.finish()?;
    }
    Ok(ExitCode::from(if curve.is_fine() { 0 } else { FAILED }))
}

/// Puts the program where it can be run from.
fn unpack() -> Result<TempDir, Failure> {
    let refuse = |error: std::io::Error| Failure::refused("thrash: no temporary file", error);
    let place = tempfile::tempdir().map_err(refuse)?;
    std::fs::write(place.path().join("jobs"), JOBS).map_err(refuse)?;
    Ok(place)
}

/// The options of one run, checked as those of `pagewalk run`.
fn options(
    args: &ThrashArgs,
    place: &TempDir,
    processes: u64,
    control: bool,
) -> Result<Options, Failure> {
    let mut words: Vec<OsString> = vec!["pagewalk".into(), "run".into(), "--io=async".into()];
    for (option, value) in [("mmu", &args.mmu), ("policy", &args.policy), ("ram", &args.ram)] {
        words.extend(value.iter().map(|value| format!("--{option}={value}").into()));
    }
    words.extend(args.swap.iter().map(|swap| format!("--swap={swap}").into()));
    words.extend(control.then(|| "--load-control".into()));
    words.push(place.path().join("jobs").into());
    words.push(processes.to_string().into());
    words.extend([&args.kib, &args.rounds, &args.wait].map(|word| word.into()));
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Run(run)) => Options::new(*run),
        Ok(_) => unreachable!("the words begin with run"),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            Err(Failure::refused("thrash", first))
        }
    }
}

fn run_one(options: Options, console: &Console, stop: &Arc<AtomicBool>) -> Result<Report, Failure> {
    let mut machine =
        Machine::new(options.config, options.program, Stdio::null()).map_err(Failure::unusable)?;
    machine.run(&mut |progress| {
        console.show(&progress);
        match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    Ok(machine.report())
}
