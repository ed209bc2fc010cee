//! A machine whose references are seen: what is made of them, and how it runs.
//!
//! ```text
//!   record_references ─► run ─► take_recording ─────► foresee ─► run      OPT, in two runs
//!                         └───► compare_with_opt ──► report               the gap to OPT
//!   measure_sizes ──────► run ─► finish_sizes                            sizes over time
//! ```
//!
//! All of these may be asked for at once, before the first instruction. They begin when they are
//! asked for: what the kernel referred to while it loaded the program is not among the references.

use std::io;

use pagewalk_cpu::{Stop, run, run_plain};

use super::bus::ObservedBus;
use super::future::Future;
use super::recording::{Recorder, Recording};
use super::sizes::{Running, Sizes, SizesConfig};
use super::{Observer, State};
use crate::machine::Machine;

/// A recording is exact from so many frames on; the less, the longer it is.
const EXACT_FROM: u64 = 64;

impl Machine {
    /// Records the references of the programs from now on, to compare the policy with OPT or to
    /// run the program again with the future known.
    ///
    /// # Errors
    /// On a machine without pages, and if there can be no temporary file.
    pub fn record_references(&mut self) -> io::Result<()> {
        let _until_now = self.os.take_most_page_frames();
        let exact_from = (self.os.frames().total / 4).clamp(1, EXACT_FROM);
        let recorder = Recorder::new(exact_from)?;
        self.observer()?.recording = State::Running(Box::new(recorder));
        Ok(())
    }

    /// What was recorded.
    ///
    /// # Errors
    /// If nothing was, or not all of it could be written.
    pub fn take_recording(&mut self) -> io::Result<Recording> {
        Ok(self.observer()?.take_recording()?.0)
    }

    /// Tells the policy the future: what the same program did on a machine of the same kind.
    ///
    /// # Errors
    /// On a machine without pages.
    pub fn foresee(&mut self, recording: Recording) -> io::Result<()> {
        self.observer()?.future = Some(Future::new(recording));
        Ok(())
    }

    /// Ends the recording, and has the report say how far the policy was from OPT.
    ///
    /// # Errors
    /// As [`Machine::take_recording`], and if the recording cannot be read again.
    pub fn compare_with_opt(&mut self) -> io::Result<()> {
        let peak_pages = self.os.frames().peak_pages;
        let frames = self.os.take_most_page_frames();
        let observer = self.observer()?;
        observer.note_frames(frames);
        observer.outcome = Some(observer.compare(peak_pages)?);
        Ok(())
    }

    /// Measures working sets and resident sets from now on, and writes them to `out`.
    ///
    /// # Errors
    /// On a machine without pages.
    pub fn measure_sizes(
        &mut self,
        config: SizesConfig,
        out: Box<dyn io::Write + Send>,
    ) -> io::Result<()> {
        self.observer()?.sizes = Some(Sizes::new(config, out));
        Ok(())
    }

    /// Writes the last sizes.
    ///
    /// # Errors
    /// The first that there was in writing.
    pub fn finish_sizes(&mut self) -> io::Result<()> {
        self.observer()?.sizes.take().map_or(Ok(()), |mut sizes| sizes.finish())
    }

    /// Has the policy see every reference, if it is one that must.
    pub(crate) fn show_references(&mut self) {
        if self.config.policy.sees_references() {
            // Without pages there is no policy.
            let _none = self.observer();
        }
    }

    /// The observer, made if there is none.
    fn observer(&mut self) -> io::Result<&mut Observer> {
        if self.config.hardware.tables().is_none() {
            let problem = "a machine without pages has no page references";
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        let frames = self.memory.ram.bytes() >> self.memory.ram.page().shift();
        let (page, large) = (self.memory.ram.page(), self.os.large_page());
        let feeds = self.config.policy.sees_references();
        let os = &self.os;
        Ok(self.listener.observer.get_or_insert_with(|| {
            let mut observer = Observer::new(frames, page, large, feeds);
            for (pfn, file, offset) in os.file_pages() {
                observer.names.is_files(pfn, file, offset);
            }
            Box::new(observer)
        }))
    }

    /// Runs the current hart as [`run`] does, every reference seen.
    pub(crate) fn run_observed(&mut self, limit: u64) -> Stop {
        let plain = self.config.slow || self.memory.is_plain();
        let resident = self.os.residency(self.current_space()).rss();
        let thread = self.schedule.current().thread.and_then(|tid| self.system.thread(tid));
        let running = thread.map(|thread| Running { pid: thread.pid, resident });
        let frames = self.os.take_most_page_frames();
        let Some(observer) = self.listener.observer.as_deref_mut() else { return Stop::Budget };
        observer.note_frames(frames);
        let policy = if observer.feeds_policy { self.os.policy_mut() } else { None };
        let system = &self.system;
        let is_alive = |pid| system.process(pid).is_some();
        observer.enter(self.hart.retired, running, is_alive);
        let mut bus = ObservedBus { memory: &mut self.memory, observer, policy };
        let stop = match plain {
            true => run_plain(&mut self.hart, &mut bus, limit),
            false => run(&mut self.hart, &mut bus, &mut self.blocks, limit),
        };
        bus.observer.leave(self.hart.retired, &mut bus.policy);
        stop
    }
}
