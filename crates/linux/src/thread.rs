//! A thread: registers, its own signals, and whether it can run.
//!
//! ```text
//!              scheduled                    wait()
//!   Runnable ◄────────────► Running(hart) ─────────► Blocked(wait)
//!      ▲                        │                        │
//!      │                        └──► gone                │ woken, time, signal
//!      └─────────────────────────────────────────────────┘
//!   Runnable ◄──SIGCONT── Stopped ◄── SIGSTOP and kin, when it would run
//! ```

use pagewalk_kernel::Waited;
use pagewalk_mmu::{AccessKind, VirtAddr};

use crate::regs::Regs;
use crate::signal::ThreadSignals;
use crate::sys_sched::Scheduling;
use crate::wait::{Pid, Progress, Wait};

/// Whether a thread can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a hart.
    Runnable,
    /// A hart runs it.
    Running,
    /// It waits for something else.
    Blocked(Wait),
    /// Its process is stopped.
    Stopped,
    /// It could run, but its process is swapped out.
    SwappedOut,
}

/// A fault that is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingFault {
    /// The address.
    pub va: VirtAddr,
    /// The access.
    pub kind: AccessKind,
    /// What it has waited for.
    pub waited: Waited,
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its number.
    pub tid: Pid,
    /// Its process.
    pub pid: Pid,
    /// Its registers, while no hart has them.
    pub regs: Regs,
    /// Whether it can run.
    pub state: State,
    /// A system call of it is not done: `regs.pc` is at its `ecall`.
    pub in_call: bool,
    /// The access that faulted and waits for a page or for memory: `regs.pc` is at its instruction.
    pub fault: Option<PendingFault>,
    pub(crate) progress: Progress,
    pub(crate) signals: ThreadSignals,
    /// Cleared and woken when the thread ends (CLONE_CHILD_CLEARTID).
    pub(crate) clear_child_tid: u64,
    /// The head of the list of robust futexes, and its length as it was given.
    pub(crate) robust_list: (u64, u64),
    pub(crate) scheduling: Scheduling,
    /// The harts that it asks for, one bit each.
    pub(crate) affinity: u64,
    /// PR_SET_NAME.
    pub(crate) name: [u8; 16],
    /// Nanoseconds that it ran.
    pub cpu_ns: u64,
    /// How often it was given a hart that had run another.
    pub switches: u64,
}

impl Thread {
    /// A thread that can run.
    pub(crate) fn new(tid: Pid, pid: Pid, regs: Regs, name: [u8; 16]) -> Self {
        Self {
            tid,
            pid,
            regs,
            state: State::Runnable,
            in_call: false,
            fault: None,
            progress: Progress::default(),
            signals: ThreadSignals::default(),
            clear_child_tid: 0,
            robust_list: (0, 0),
            scheduling: Scheduling::default(),
            affinity: u64::MAX,
            name,
            cpu_ns: 0,
            switches: 0,
        }
    }
}
