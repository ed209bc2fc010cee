//! `pagewalk machines`: the real machines that there are descriptions of.

use std::process::ExitCode;

use pagewalk_machines::{Description, NAMES, built_in, json, json_list, list, load, show};

use crate::args::MachinesArgs;
use crate::failure::Failure;
use crate::run::print;

/// Lists the machines, or shows one.
///
/// # Errors
/// What is wrong with the name or the file; or if the text cannot be written.
pub fn run(args: &MachinesArgs) -> Result<ExitCode, Failure> {
    let text = match &args.name {
        None => all(args.json)?,
        Some(name) => one(&load(name).map_err(Failure::unusable)?, args.json),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn all(is_json: bool) -> Result<String, Failure> {
    let machines: Vec<Description> = NAMES
        .iter()
        .filter_map(|name| built_in(name))
        .collect::<Result<_, _>>()
        .map_err(Failure::unusable)?;
    Ok(if is_json { json_list(&machines) } else { list(&machines) })
}

fn one(machine: &Description, is_json: bool) -> String {
    if is_json { json(machine) } else { show(machine) }
}
