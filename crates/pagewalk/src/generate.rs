//! Shell completions, manual pages and the report's schema, all from their one definition.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;
use crate::failure::Failure;
use crate::options::plain;
use crate::run::print;

/// Prints the completion script of a shell.
///
/// # Errors
/// If it cannot be written.
pub fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pagewalk", &mut script);
    print_bytes(&script)
}

/// Prints the manual page of the whole command or of one subcommand.
///
/// # Errors
/// If there is no such subcommand, or the page cannot be written.
pub fn man(subcommand: Option<&str>) -> Result<ExitCode, Failure> {
    let mut command = Cli::command();
    // Gives subcommands their full names.
    command.build();
    let page = match subcommand {
        None => Man::new(command),
        Some(name) => {
            let found = command.find_subcommand(name).cloned();
            Man::new(found.ok_or_else(|| unknown_subcommand(&command, name))?)
        }
    };
    let mut text = Vec::new();
    let rendered = page.render(&mut text);
    rendered.map_err(|error| Failure::not_written("standard output", plain(&error)))?;
    print_bytes(&text)
}

/// Prints the JSON Schema of what a subcommand writes.
///
/// # Errors
/// If it cannot be written.
pub fn schema(of: &str) -> Result<ExitCode, Failure> {
    print(&match of {
        "explain" => pagewalk_explain::schema(),
        "quiz" => pagewalk_exercises::schema(),
        "grade" => pagewalk_exercises::grade_schema(),
        "policies" => pagewalk_report::policies_schema(),
        "step" => pagewalk_step::schema(),
        "thrash" => pagewalk_report::thrash_schema(),
        _ => pagewalk_report::schema(),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn unknown_subcommand(command: &clap::Command, name: &str) -> Failure {
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    Failure::refused(format_args!("man '{name}'"), format_args!("give one of {}", names.join(", ")))
}

fn print_bytes(text: &[u8]) -> Result<ExitCode, Failure> {
    print(&String::from_utf8_lossy(text))?;
    Ok(ExitCode::SUCCESS)
}
