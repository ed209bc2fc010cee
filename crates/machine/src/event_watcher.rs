//! Who hears of events as they happen, in the process that runs the machine.
//!
//! ```text
//!     instruction n retired          n + 1            n + 2
//!   ──────────┬────────────────────────┬────────────────┬──►
//!             │       window n         │   window n+1   │
//!             └ faults, switches, and the system call ─┘
//!               that instruction n + 1 is
//! ```
//!
//! Unlike the stream of JSON lines, which tells when things happened in virtual time, a watcher is
//! told between which two instructions they did: where a run that is made again finds them.

use std::fmt;

use pagewalk_kernel::Event;
use pagewalk_linux::Pid;

/// Hears of events. Copies of a machine have none.
pub trait EventWatcher: Send {
    /// The kernel did something, after so many instructions had been retired. What a system call
    /// does happens in the window that its instruction ends.
    fn kernel(&mut self, window: u64, event: &Event<'_>);

    /// A thread makes a system call.
    fn syscall(&mut self, window: u64, tid: Pid, number: u64, arguments: [u64; 6]);
}

/// At most one watcher.
#[derive(Default)]
pub(crate) struct Watching(pub Option<Box<dyn EventWatcher>>);

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "EventWatcher" } else { "no watcher" })
    }
}
