//! The `pagewalk` command.
//!
//! ```text
//!   arguments ─► args (raw, clap) ─► options (validated) ─► run ─► machine ─► report
//!        │                │                                  │
//!        └─ help, version └────────── failure ◄──────────────┘
//!                                        │
//!                                        ▼ one line on stderr, exit status
//! ```
//!
//! 1. stdout belongs to the guest and to data (`--json -`, `machines`, `policies`, `schema`, `completions`, `man`);
//!    everything that is said to a person goes to stderr.
//! 2. Exit status: 0 fine, 1 the guest or the writing of results failed, 2 wrong usage or input,
//!    in which case nothing has been written.
//! 3. A result file appears under its name when it is complete, or not at all.

#![forbid(unsafe_code)]

mod args;
mod base;
mod console;
mod demo;
mod explain;
mod failure;
mod faults;
mod generate;
mod grade;
mod machines;
mod number;
mod options;
mod output;
mod policies;
mod quiz;
mod run;
mod snapshot;
mod step;
mod thrash;
mod two_runs;

use std::process::ExitCode;

use args::{Cli, Command};
use failure::Failure;
use options::Options;

fn main() -> ExitCode {
    let cli = match Cli::from_words(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return failure::refused_by_parser(&error),
    };
    execute(cli.command).unwrap_or_else(|failure| failure.tell())
}

fn execute(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(args) => run::run(Options::new(*args)?),
        Command::Explain(args) => explain::run(&args),
        Command::Step(args) => step::run(*args),
        Command::Thrash(args) => thrash::run(&args),
        Command::Machines(args) => machines::run(&args),
        Command::Policies(args) => policies::run(*args),
        Command::Demo(args) => demo::run(&args),
        Command::Quiz(args) => quiz::run(args),
        Command::Grade(args) => grade::run(&args),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { command } => generate::man(command.as_deref()),
        Command::Schema { of } => generate::schema(&of),
    }
}
