//! Processes that are swapped out as a whole: none of their threads runs.
//!
//! ```text
//!              swap_out_process              when one of its threads would run
//!   in memory ─────────────────► swapped out ────────────────────────────────► SwappedOut
//!       ▲                             │                                             │
//!       └─────── swap_in_process ─────┴──────────── which can run again ◄───────────┘
//! ```
//!
//! Who waits for something else goes on waiting. Signals, SIGKILL too, are acted on when the process
//! is back. Whoever swaps processes out must bring them back after a time, whatever happens.

use crate::system::System;
use crate::thread::State;
use crate::wait::Pid;

impl System {
    /// From now on the threads of a process do not run.
    pub fn swap_out_process(&mut self, pid: Pid) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.is_swapped_out = true;
        }
    }

    /// The threads of a process run again.
    pub fn swap_in_process(&mut self, pid: Pid) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.is_swapped_out = false;
        }
        let threads = self.threads.values().filter(|thread| thread.pid == pid);
        let held = threads.filter(|thread| thread.state == State::SwappedOut);
        let held: Vec<Pid> = held.map(|thread| thread.tid).collect();
        held.into_iter().for_each(|tid| self.make_runnable(tid));
    }

    /// Whether the thread's process is swapped out.
    pub fn is_swapped_out(&self, tid: Pid) -> bool {
        let process = self.threads.get(&tid).and_then(|thread| self.processes.get(&thread.pid));
        process.is_some_and(|process| process.is_swapped_out)
    }

    /// Whether a thread waits for a page to be transferred, or for memory.
    pub fn waits_for_memory(&self) -> bool {
        self.waiters.wait_for_memory()
    }

    /// A process's nice value, that of its first thread.
    pub fn nice(&self, pid: Pid) -> i32 {
        self.threads.get(&pid).map_or(0, |thread| thread.scheduling.nice())
    }
}
