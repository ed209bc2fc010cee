//! The guest's standard streams.

use std::io::{self, Read, Write};

/// Where the guest's file descriptors 0, 1 and 2 lead, and where messages about it go.
pub struct Stdio {
    /// The guest's standard input.
    pub stdin: Box<dyn Read + Send>,
    /// The guest's standard output.
    pub stdout: Box<dyn Write + Send>,
    /// The guest's standard error.
    pub stderr: Box<dyn Write + Send>,
    /// Messages for the user that are not the guest's.
    pub messages: Box<dyn Write + Send>,
}

impl Stdio {
    /// The host's own streams.
    pub fn host() -> Self {
        Self {
            stdin: Box::new(io::stdin()),
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            messages: Box::new(io::stderr()),
        }
    }

    /// No input; what is written is dropped.
    pub fn null() -> Self {
        Self {
            stdin: Box::new(io::empty()),
            stdout: Box::new(io::sink()),
            stderr: Box::new(io::sink()),
            messages: Box::new(io::sink()),
        }
    }
}
