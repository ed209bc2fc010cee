//! The terminal: the guest's streams and the progress line share it.
//!
//! The line is shown on stderr if that is a terminal, from the first second on, and never behind
//! text: only while the guest's last byte was the end of a line. Before the guest writes, the line
//! is taken away.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use pagewalk_machine::{Progress, Stdio};

/// Runs that are shorter show no progress.
const QUIET_TIME: Duration = Duration::from_secs(1);

/// The terminal, or what stands in its place.
#[derive(Clone)]
pub struct Console {
    /// The progress line, if there is one.
    bar: Option<ProgressBar>,
    /// Whether the guest ended its last line.
    is_at_line_start: Arc<AtomicBool>,
    started: Instant,
}

impl Console {
    /// The console of this process, with a progress line if that is wanted and can be shown.
    pub fn new(wants_progress: bool) -> Self {
        let shows = wants_progress && io::stderr().is_terminal();
        Self {
            bar: shows.then(progress_bar),
            is_at_line_start: Arc::new(AtomicBool::new(true)),
            started: Instant::now(),
        }
    }

    /// The standard streams for the guest.
    pub fn stdio(&self) -> Stdio {
        Stdio {
            stdin: Box::new(io::stdin()),
            stdout: Box::new(GuestStream { console: self.clone(), stream: io::stdout() }),
            stderr: Box::new(GuestStream { console: self.clone(), stream: io::stderr() }),
            messages: Box::new(GuestStream { console: self.clone(), stream: io::stderr() }),
        }
    }

    /// Shows how far the run has come.
    pub fn show(&self, progress: &Progress) {
        let elapsed = self.started.elapsed();
        if let Some(bar) = &self.bar
            && elapsed >= QUIET_TIME
            && self.is_at_line_start.load(Ordering::Relaxed)
        {
            if bar.is_finished() {
                bar.reset();
            }
            bar.set_message(progress_text(progress, elapsed));
        }
    }

    /// Takes the progress line away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar
            && !bar.is_finished()
        {
            bar.finish_and_clear();
        }
    }
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}");
    ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn progress_text(progress: &Progress, elapsed: Duration) -> String {
    let millions_per_second = progress.instructions as f64 / elapsed.as_secs_f64() / 1e6;
    format!(
        "{} instructions, {millions_per_second:.0} million/s, {} page faults, {} s",
        HumanCount(progress.instructions),
        HumanCount(progress.faults),
        elapsed.as_secs(),
    )
}

/// stdout or stderr as the guest writes it: each write is out when it returns.
struct GuestStream<W> {
    console: Console,
    stream: W,
}

impl<W: Write> Write for GuestStream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The line comes back with the next progress, if there is room for it.
        self.console.clear();
        let written = self.stream.write(bytes)?;
        self.stream.flush()?;
        if let Some(&last) = bytes[..written].last() {
            self.console.is_at_line_start.store(last == b'\n', Ordering::Relaxed);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
