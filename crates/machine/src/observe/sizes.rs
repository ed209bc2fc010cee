//! Working sets and resident sets over time, process by process.
//!
//! ```text
//!   instructions of the process     step        2 step       3 step            end
//!   ────────────────────────────────┼────────────┼────────────┼─────────────────┤
//!                                   row          row          row               row
//! ```
//!
//! Time is the process's own: the instructions that its threads have retired, on whatever hart. The
//! working set is Denning's W(t, tau), exact: every reference of the process counts, those that the
//! kernel makes on its behalf at the time of its last instruction. The resident set is what the
//! process had in memory when it last left the kernel.
//!
//! Invariants:
//! 1. A row for the time t comes after all references of t and before any of t + 1.
//! 2. Each process has a row at each multiple of `step` up to its end, and one at its end; the end
//!    of a process may be noticed late.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use pagewalk_replacement::WorkingSets;

/// Processes that are remembered before those that have ended are looked for.
const PROCESSES_KEPT: usize = 256;

/// How sizes are measured and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizesConfig {
    /// The working set's window in instructions, at least 1.
    pub tau: u64,
    /// Instructions between two rows, at least 1.
    pub step: u64,
    /// How rows are written.
    pub format: SizesFormat,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizesFormat {
    /// Comma-separated values, a header first.
    Csv,
    /// An object a line.
    JsonLines,
}

/// What the machine tells of a process when a hart goes on with it.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// Its number.
    pub pid: u32,
    /// Its pages in memory.
    pub resident: u64,
}

#[derive(Debug)]
struct Process {
    /// Instructions that it had retired when the hart went on with it.
    time: u64,
    next_row: u64,
    windows: WorkingSets,
    resident: u64,
    faults: u64,
    major_faults: u64,
}

/// Measures and writes; see the module.
pub struct Sizes {
    config: SizesConfig,
    out: Box<dyn Write + Send>,
    error: Option<io::Error>,
    processes: BTreeMap<u32, Process>,
    current: u32,
    /// Instructions that the current hart had retired when it went on.
    start: u64,
}

impl fmt::Debug for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sizes").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Sizes {
    /// Writes rows to `out`.
    pub fn new(config: SizesConfig, out: Box<dyn Write + Send>) -> Self {
        let config = SizesConfig { tau: config.tau.max(1), step: config.step.max(1), ..config };
        let mut sizes =
            Self { config, out, error: None, processes: BTreeMap::new(), current: 0, start: 0 };
        if config.format == SizesFormat::Csv {
            sizes.write("process,time,working_set,resident_set,faults,major_faults,missing\n");
        }
        sizes
    }

    /// A hart that has retired so many instructions goes on with a process; `is_alive` says of a
    /// process whether it still is there.
    pub fn enter(&mut self, running: Running, retired: u64, is_alive: impl Fn(u32) -> bool) {
        if self.processes.len() >= PROCESSES_KEPT {
            self.end(|pid| !is_alive(pid));
        }
        let SizesConfig { tau, step, .. } = self.config;
        let process = self.processes.entry(running.pid).or_insert_with(|| Process {
            time: 0,
            next_row: step,
            windows: WorkingSets::new(tau),
            resident: 0,
            faults: 0,
            major_faults: 0,
        });
        process.resident = running.resident;
        self.current = running.pid;
        self.start = retired;
    }

    /// The hart stops.
    pub fn leave(&mut self, retired: u64) {
        let passed = retired - self.start;
        if let Some(process) = self.processes.get_mut(&self.current) {
            process.time += passed;
        }
        self.start = retired;
    }

    /// When the next row is due, as the number of instructions that the hart has retired then.
    pub fn next_row(&self) -> u64 {
        match self.processes.get(&self.current) {
            Some(process) => self.start + (process.next_row - process.time),
            None => u64::MAX,
        }
    }

    /// A page is referenced by the instruction that is number `retired` of the hart, from 1 on.
    #[inline]
    pub fn reference(&mut self, page: u32, retired: u64) {
        let now = retired - self.start;
        if let Some(process) = self.processes.get_mut(&self.current) {
            process.windows.reference(page, process.time + now);
        }
    }

    /// A fault of the current process was resolved.
    pub fn fault(&mut self, major: bool) {
        if let Some(process) = self.processes.get_mut(&self.current) {
            process.faults += 1;
            process.major_faults += u64::from(major);
        }
    }

    /// Writes the row that is due.
    pub fn row(&mut self) {
        let pid = self.current;
        if let Some(process) = self.processes.get_mut(&pid) {
            let time = process.next_row;
            process.next_row += self.config.step;
            let line = line(self.config.format, pid, time, process);
            self.write(&line);
        }
    }

    /// Writes the last row of each process.
    ///
    /// # Errors
    /// The first that there was in writing.
    pub fn finish(&mut self) -> io::Result<()> {
        self.end(|_| true);
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }

    /// Writes the last rows of processes, and forgets them.
    fn end(&mut self, is_over: impl Fn(u32) -> bool) {
        let over: Vec<u32> = self.processes.keys().copied().filter(|&pid| is_over(pid)).collect();
        for pid in over {
            if let Some(mut process) = self.processes.remove(&pid) {
                let line = line(self.config.format, pid, process.time, &mut process);
                self.write(&line);
            }
        }
    }

    fn write(&mut self, line: &str) {
        if self.error.is_none() {
            self.error = self.out.write_all(line.as_bytes()).err();
        }
    }
}

fn line(format: SizesFormat, pid: u32, time: u64, process: &mut Process) -> String {
    let working_set = process.windows.size(time);
    let Process { resident, faults, major_faults, .. } = *process;
    let missing = process.windows.missing();
    match format {
        SizesFormat::Csv => {
            format!("{pid},{time},{working_set},{resident},{faults},{major_faults},{missing}\n")
        }
        SizesFormat::JsonLines => format!(
            "{{\"process\":{pid},\"time\":{time},\"working_set\":{working_set},\
             \"resident_set\":{resident},\"faults\":{faults},\"major_faults\":{major_faults},\
             \"missing\":{missing}}}\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn running(pid: u32, resident: u64) -> Running {
        Running { pid, resident }
    }

    #[test]
    fn time_is_each_processs_own() {
        for (format, expected) in [
            (
                SizesFormat::Csv,
                "process,time,working_set,resident_set,faults,major_faults,missing\n\
                 1,10,1,5,1,0,2\n1,12,0,6,1,0,2\n2,5,1,7,1,1,1\n",
            ),
            (
                SizesFormat::JsonLines,
                "{\"process\":1,\"time\":10,\"working_set\":1,\"resident_set\":5,\"faults\":1,\
                 \"major_faults\":0,\"missing\":2}\n\
                 {\"process\":1,\"time\":12,\"working_set\":0,\"resident_set\":6,\"faults\":1,\
                 \"major_faults\":0,\"missing\":2}\n\
                 {\"process\":2,\"time\":5,\"working_set\":1,\"resident_set\":7,\"faults\":1,\
                 \"major_faults\":1,\"missing\":1}\n",
            ),
        ] {
            let out = Kept::default();
            let config = SizesConfig { tau: 4, step: 10, format };
            let mut sizes = Sizes::new(config, Box::new(out.clone()));
            sizes.enter(running(1, 4), 100, |_| true);
            sizes.reference(7, 101);
            sizes.fault(false);
            sizes.leave(106); // 6 instructions of process 1
            sizes.enter(running(2, 7), 106, |_| true);
            sizes.reference(8, 111);
            sizes.fault(true);
            sizes.leave(111);
            sizes.enter(running(1, 5), 111, |_| true);
            assert_eq!(sizes.next_row(), 115);
            sizes.reference(9, 112);
            sizes.row();
            sizes.leave(117);
            sizes.enter(running(1, 6), 117, |_| true);
            sizes.finish().unwrap();
            assert_eq!(out.text(), expected);
        }
    }

    #[test]
    fn processes_that_ended_are_forgotten() {
        let out = Kept::default();
        let config = SizesConfig { tau: 4, step: 10, format: SizesFormat::Csv };
        let mut sizes = Sizes::new(config, Box::new(out.clone()));
        for pid in 0..1000 {
            sizes.enter(running(pid, 1), 0, |other| other >= 500);
        }
        assert!(sizes.processes.len() < 600);
        sizes.finish().unwrap();
        assert_eq!(out.text().lines().count(), 1001);
    }
}
