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
use std::ops::{ControlFlow, RangeInclusive};
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
use crate::options::{Options, Target, target};
use crate::output::Output;
use crate::run::{print, stop_on_interrupt};

/// The program, built from `programs/src/jobs.c`.
const JOBS: &[u8] = include_bytes!("../../../programs/bin/jobs");

/// Runs them all.
///
/// # Errors
/// What is wrong with the options, or which result could not be written.
pub fn run(args: &ThrashArgs) -> Result<ExitCode, Failure> {
    let most = within("processes", &args.processes, 1..=256)?;
    within("kib", &args.kib, 4..=1 << 20)?;
    within("rounds", &args.rounds, 1..=60_000)?;
    within("wait", &args.wait, 0..=1_000_000)?;
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
    tell_failures(&runs);
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

/// A number as the program takes it (`programs/src/jobs.c`).
fn within(option: &str, text: &str, range: RangeInclusive<u64>) -> Result<u64, Failure> {
    let problem = format!("give a number from {} to {}", range.start(), range.end());
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| Failure::bad_value(option, text, problem))
}

/// Says which runs did not end as they should, and why.
fn tell_failures(runs: &[(u64, Report, Report)]) {
    for (processes, without, with) in runs {
        for exit in [&without.exit, &with.exit].into_iter().filter(|exit| exit.code != 0) {
            let reason = exit.reason.as_deref().unwrap_or("it says no more");
            // Who closed stderr does not want it.
            let _ = writeln!(
                std::io::stderr().lock(),
                "pagewalk: of {processes} processes one failed: exit code {}, {reason}",
                exit.code
            );
        }
    }
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
