//! `pagewalk policies`: the page-replacement policies that there are, or one program under each.
//!
//! ```text
//!   options ─► for each policy: a machine of its own ─► run ─► report, hash of the output
//!                     │                                              │
//!                     └─ standard input is empty                     ▼
//!                        standard output is hashed, not shown    table, --json
//! ```
//!
//! The runs come one after the other, over the same `--root`: a program that leaves files there finds
//! them in the next run. With `--gap` each is compared with OPT, and the ideal policies have runs,
//! too; OPT has one before, on a copy of the root (two_runs.rs).

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pagewalk_machine::report::Report;
use pagewalk_machine::{Machine, Stdio};
use pagewalk_replacement::PolicyKind;
use pagewalk_report::{Comparison, Written};

use crate::args::PoliciesArgs;
use crate::console::Console;
use crate::failure::{FAILED, Failure};
use crate::options::{Options, Target};
use crate::output::Output;
use crate::run::{not_seen, print, run_to_the_end, stop_on_interrupt};
use crate::two_runs;

/// Lists the policies, or compares them.
///
/// # Errors
/// What is wrong with the options, the machine or the program, or which result could not be written.
pub fn run(args: PoliciesArgs) -> Result<ExitCode, Failure> {
    if args.run.program.is_empty() {
        let as_json = args.run.json.is_some();
        print(&if as_json {
            pagewalk_report::policy_list_json()
        } else {
            pagewalk_report::policy_list()
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(policy) = &args.run.policy {
        let problem = "all policies are compared; leave it out";
        return Err(Failure::bad_value("policy", policy, problem));
    }
    let options = Options::new(args.run)?;
    check(&options)?;
    let json_file = match &options.json {
        Some(Target::File(path)) => Some(Output::open("json", path)?),
        _ => None,
    };
    let console = Console::new(!options.quiet);
    let stop = stop_on_interrupt()?;
    let mut runs = Vec::new();
    // Those that see references belong to a comparison that sees them anyway.
    let compared = |kind: &PolicyKind| options.gap || !kind.sees_references();
    for kind in PolicyKind::ALL.into_iter().filter(compared) {
        runs.push(run_under(kind, &options, &console, &stop)?);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    console.clear();
    let Some(comparison) = Comparison::new(&runs) else {
        return Err(Failure::refused("policies", "no run was made"));
    };
    match options.json {
        Some(Target::Stdout) => print(&pagewalk_report::policies_json(&comparison))?,
        _ => print(&pagewalk_report::policies(&comparison))?,
    }
    if let Some(file) = json_file {
        let _ = file.sink().write_all(pagewalk_report::policies_json(&comparison).as_bytes());
        file.finish()?;
    }
    let fine = comparison.same_output && comparison.runs.iter().all(|run| run.exit.code == 0);
    Ok(ExitCode::from(if fine { 0 } else { FAILED }))
}

/// Refuses what says nothing about several runs.
fn check(options: &Options) -> Result<(), Failure> {
    let refused = [
        ("events", options.events.is_some()),
        ("snapshot", options.snapshot.is_some()),
        ("explain-faults", options.explain_faults > 0),
        ("maps", options.maps),
        ("smaps", options.smaps),
        ("sizes", options.sizes.is_some()),
    ];
    if let Some((option, _)) = refused.into_iter().find(|(_, given)| *given) {
        let problem = "is of one run, and this makes several; give it to `pagewalk run`";
        return Err(Failure::refused(format_args!("--{option}"), problem));
    }
    match options.config.hardware.tables() {
        Some(_) => Ok(()),
        None => {
            let name = options.config.hardware.name();
            Err(Failure::bad_value("mmu", name, "no page is ever replaced; give one with pages"))
        }
    }
}

fn run_under(
    kind: PolicyKind,
    options: &Options,
    console: &Console,
    stop: &Arc<AtomicBool>,
) -> Result<(Report, Written), Failure> {
    let mut config = options.config.clone();
    config.policy = kind;
    let mut go = |machine: &mut Machine| run_to_the_end(machine, console, stop);
    let mut future = None;
    if two_runs::are_needed(&config) {
        let input = Box::new(io::empty());
        future = Some(two_runs::first_run(&config, &options.program, input, &mut go)?.recording);
    }
    let output = Hashed::default();
    let stdio = Stdio { stdout: Box::new(output.clone()), ..Stdio::null() };
    let mut machine =
        Machine::new(config, options.program.clone(), stdio).map_err(Failure::unusable)?;
    if options.audit {
        machine.audit_always();
    }
    if let Some(recording) = future {
        machine.foresee(recording).map_err(Failure::unusable)?;
    }
    if options.gap {
        machine.record_references().map_err(|error| not_seen("gap", &error))?;
    }
    go(&mut machine);
    if options.gap {
        machine.compare_with_opt().map_err(|error| not_seen("gap", &error))?;
    }
    Ok((machine.report(), output.written()))
}

/// A stream that is remembered by its hash and length.
#[derive(Clone, Default)]
struct Hashed(Arc<Mutex<(DefaultHasher, u64)>>);

impl Hashed {
    fn written(&self) -> Written {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.0.finish(), state.1)
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.write(bytes);
        state.1 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
