//! `pagewalk run`: one program, from its first instruction to its report.
//!
//! ```text
//!   open result files ─► build the machine ─► run ─► report: stderr, --json ─► --events
//!        (exit 2 up to here, nothing written)   ▲
//!                                               └ Ctrl-C stops it; the report still comes
//!   with OPT: a first run before, which shows nothing (two_runs.rs)
//! ```

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pagewalk_machine::report::Report;
use pagewalk_machine::{Machine, Progress};

use crate::console::Console;
use crate::failure::{FAILED, Failure};
use crate::faults::FaultTexts;
use crate::options::{Options, Target, plain};
use crate::output::Output;
use crate::{snapshot, two_runs};

/// The exit status of a process that a second Ctrl-C ended: 128 + SIGINT, as shells show it.
const INTERRUPTED: i32 = 130;

/// Runs the program.
///
/// # Errors
/// What is wrong with the machine or the program, or which result could not be written.
pub fn run(options: Options) -> Result<ExitCode, Failure> {
    let Options {
        config,
        program,
        json,
        events,
        explain_faults,
        snapshot,
        gap,
        sizes,
        quiet,
        audit,
        maps,
        smaps,
    } = options;
    let json_file = match &json {
        Some(Target::File(path)) => Some(Output::open("json", path)?),
        _ => None,
    };
    let events_file = events.map(|path| Output::open("events", &path)).transpose()?;
    let snapshot_file = snapshot.map(|path| Output::open("snapshot", &path)).transpose()?;
    let sizes = sizes.map(|(path, sizes)| Ok((Output::open("sizes", &path)?, sizes)));
    let sizes = sizes.transpose()?;
    let console = Console::new(!quiet);
    let stop = stop_on_interrupt()?;
    let mut stdio = console.stdio();
    let mut future = None;
    if two_runs::are_needed(&config) {
        let mut go = |machine: &mut Machine| run_to_the_end(machine, &console, &stop);
        let first = two_runs::first_run(&config, &program, stdio.stdin, &mut go)?;
        stdio.stdin = first.stdin;
        future = Some(first.recording);
    }
    let mut machine = Machine::new(config, program, stdio).map_err(Failure::unusable)?;
    if let Some(recording) = future {
        machine.foresee(recording).map_err(Failure::unusable)?;
    }
    if let Some((file, sizes)) = &sizes {
        let sink = Box::new(file.sink());
        machine.measure_sizes(*sizes, sink).map_err(|error| not_seen("sizes", &error))?;
    }
    if gap {
        machine.record_references().map_err(|error| not_seen("gap", &error))?;
    }
    if let Some(file) = &events_file {
        machine.set_events(Box::new(file.sink()));
    }

    let faults = FaultTexts::new(explain_faults);
    if explain_faults > 0 {
        machine.watch_faults(Box::new(faults.clone()));
    }

    if audit {
        machine.audit_always();
    }

    run_to_the_end(&mut machine, &console, &stop);
    console.clear();
    if audit && let Err(what) = machine.audit() {
        let _ = writeln!(io::stderr().lock(), "pagewalk: the audit failed: {what}");
    }
    // Who closed stderr does not want it.
    let _ = io::stderr().lock().write_all(faults.text().as_bytes());
    if gap {
        machine.compare_with_opt().map_err(|error| not_seen("gap", &error))?;
    }
    let report = machine.report();
    if !quiet {
        tell(&report);
    }
    for (_, with_usage) in [(maps, false), (smaps, true)].into_iter().filter(|(is, _)| *is) {
        // Who closed stderr does not want it.
        let _ = write!(io::stderr().lock(), "\n{}", machine.maps(with_usage));
    }
    if json == Some(Target::Stdout) {
        print(&pagewalk_report::json(&report))?;
    }
    if let Some(file) = json_file {
        let _ = file.sink().write_all(pagewalk_report::json(&report).as_bytes());
        file.finish()?;
    }
    if let Some((file, _)) = sizes {
        let _ = machine.finish_sizes();
        file.finish()?;
    }
    if let Some(file) = events_file {
        file.finish()?;
    }
    if let Some(file) = snapshot_file {
        let _ = snapshot::save(&machine, &mut file.sink());
        file.finish()?;
    }
    Ok(ExitCode::from(if report.exit.code == 0 { 0 } else { FAILED }))
}

/// Why references cannot be seen.
pub fn not_seen(option: &str, error: &io::Error) -> Failure {
    Failure::refused(format_args!("--{option}"), plain(error))
}

/// Runs a machine until it or somebody ends it.
pub fn run_to_the_end(machine: &mut Machine, console: &Console, stop: &AtomicBool) {
    machine.run(&mut |progress: Progress| {
        console.show(&progress);
        match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
}

/// A flag that Ctrl-C (or a polite request to end) raises. The second time ends the process: the
/// guest may be waiting for input.
pub fn stop_on_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    let handler = move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Failure::refused("Ctrl-C", error))?;
    Ok(stop)
}

/// Writes to stdout, after everything that the guest wrote there.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::not_written("standard output", plain(&error)))
}

/// Shows the report. Who closed stderr does not want it.
fn tell(report: &Report) {
    let _ = write!(io::stderr().lock(), "\n{}", pagewalk_report::text(report));
}
