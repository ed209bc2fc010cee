//! What is stepped through: a scenario of this name, a scenario's file, or a program.

use std::io::{self, IsTerminal, Read};

use pagewalk_rewind::{Interrupt, Limits, Rewind};
use pagewalk_scenario::{Overrides, find};
use pagewalk_step::Stepper;

use crate::args::{RunArgs, StepArgs};
use crate::demo;
use crate::failure::Failure;
use crate::number::size;
use crate::options::Options;
use crate::two_runs::{copy_of, temporary};

/// Something to step through.
pub struct Opened {
    pub stepper: Box<dyn Stepper>,
    /// What stops a long search.
    pub interrupt: Option<Interrupt>,
    /// The program's own copy of its root directory, which goes with it.
    _root: Option<tempfile::TempDir>,
}

/// Opens what the arguments name.
///
/// # Errors
/// What is wrong with it.
pub fn open(args: StepArgs) -> Result<Opened, Failure> {
    refuse_reports(&args.run)?;
    let name = args.run.program[0].to_string_lossy().into_owned();
    match open_scenario(&name, &args.run)? {
        Some(stepper) => Ok(Opened { stepper, interrupt: None, _root: None }),
        None => open_program(args),
    }
}

/// The scenario of this name or in this file; `None` if it is neither.
fn open_scenario(name: &str, args: &RunArgs) -> Result<Option<Box<dyn Stepper>>, Failure> {
    if find(name).is_none() && !demo::is_file(name) {
        return Ok(None);
    }
    let overrides = Overrides {
        mmu: args.mmu.clone(),
        tlb: args.tlb.clone(),
        policy: args.policy.clone(),
        frames: None,
    };
    Ok(Some(Box::new(demo::open(name, &overrides)?)))
}

fn open_program(args: StepArgs) -> Result<Opened, Failure> {
    let memory = args.memory.as_str();
    let bytes_max =
        size(memory).map_err(|problem| Failure::bad_value("memory", memory, problem))?;
    let Options { mut config, mut program, .. } = Options::new(args.run)?;
    let root = program.root.as_deref().map(|root| copy_of(root, "step")).transpose()?;
    program.root = root.as_ref().map(|root| root.path().to_owned());
    config.swap = config.swap.iter().map(temporary).collect();
    // The terminal is for the commands.
    let stdin: Box<dyn Read + Send> = match io::stdin().is_terminal() {
        true => Box::new(io::empty()),
        false => Box::new(io::stdin()),
    };
    let limits = Limits { bytes_max, ..Limits::default() };
    let stepper = Rewind::new(config, program, stdin, limits).map_err(Failure::unusable)?;
    let interrupt = Some(stepper.interrupt());
    Ok(Opened { stepper: Box::new(stepper), interrupt, _root: root })
}

/// Options of `run` that are about its report.
fn refuse_reports(args: &RunArgs) -> Result<(), Failure> {
    let given = [
        ("events", args.events.is_some()),
        ("explain-faults", args.explain_faults.is_some()),
        ("snapshot", args.snapshot.is_some()),
        ("gap", args.gap),
        ("sizes", args.sizes.is_some()),
        ("maps", args.maps),
        ("smaps", args.smaps),
        ("audit", args.audit),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((option, _)) => {
            let problem = "it is about the report of a whole run: give it to pagewalk run";
            Err(Failure::refused(format_args!("--{option}"), problem))
        }
    }
}
