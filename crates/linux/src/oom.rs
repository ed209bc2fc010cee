//! Ends for lack of memory: which processes the memory manager's victims are, and what is told of
//! them.
//!
//! ```text
//!   a fault finds no memory ──► the kernel takes a space's memory (kernel/src/oom.rs)
//!        its own: the process ends where it is          another's: verdict, SIGKILL; the process
//!        (System::out_of_memory)                        ends when it would run next
//! ```
//!
//! All processes in the space end: those of vfork share it.

use pagewalk_kernel::{OomKill, SpaceId};

use crate::memory::UserMemory;
use crate::process::Process;
use crate::signal::{Cause, SI_KERNEL, Signal, SignalInfo};
use crate::system::{INIT, Outcome, System};
use crate::wait::Pid;

/// Ends that are told one by one; more are only counted.
const TOLD_MAX: usize = 64;

/// A process that was ended for lack of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomEnd {
    /// Its number.
    pub pid: Pid,
    /// Its name (comm).
    pub name: String,
    /// How bad it was, in pages; `None` if no process could be chosen.
    pub badness: Option<i64>,
    /// Its `oom_score_adj`.
    pub score_adj: i16,
    /// What was short, and what it held.
    pub reason: String,
}

/// Ends for lack of memory, the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct OomLog(Vec<OomEnd>);

impl System {
    /// The processes that were ended for lack of memory, in order: the first 64.
    pub fn oom_ends(&self) -> &[OomEnd] {
        &self.oom.0
    }

    /// Ends the processes whose memory was taken for others; `situation` says how full the machine
    /// is.
    pub fn end_oom_victims(&mut self, memory: &mut dyn UserMemory, situation: &str) {
        for kill in memory.take_oom_kills() {
            let reason = format!("out of memory: {}{situation}; {kill}", kill.shortage);
            for pid in self.processes_in(kill.victim) {
                self.condemn(pid, &kill, reason.clone());
            }
        }
    }

    /// How a process ends that found no memory itself, and is out of the table. `None` if it goes
    /// on: it failed on the memory of another, which was chosen.
    pub(crate) fn killed_for_memory(
        &mut self,
        process: &Process,
        memory: &mut dyn UserMemory,
        mut reason: String,
    ) -> Option<Outcome> {
        let kills = memory.take_oom_kills();
        let mut ends = kills.is_empty();
        for kill in kills {
            if kill.victim == process.space {
                ends = true;
                reason = format!("{reason}; {kill}");
                self.log_oom(process, &kill, reason.clone());
            }
            let because = format!("out of memory: {}; {kill}", kill.shortage);
            for pid in self.processes_in(kill.victim) {
                self.condemn(pid, &kill, because.clone());
            }
        }
        ends.then_some(Outcome::Killed { signal: Signal::SIGKILL, reason })
    }

    /// Live processes in a space, but for one that is out of the table.
    fn processes_in(&self, space: SpaceId) -> Vec<Pid> {
        self.processes().filter(|process| process.space == space).map(|p| p.pid).collect()
    }

    fn condemn(&mut self, pid: Pid, kill: &OomKill, reason: String) {
        let Some(mut process) = self.processes.remove(&pid) else { return };
        self.log_oom(&process, kill, reason.clone());
        process.verdict = Some(reason);
        self.processes.insert(pid, process);
        let cause = Cause::Sender { code: SI_KERNEL, pid: INIT, uid: 0 };
        self.signal_process(pid, SignalInfo { signal: Signal::SIGKILL, cause });
    }

    fn log_oom(&mut self, process: &Process, kill: &OomKill, reason: String) {
        if self.oom.0.len() >= TOLD_MAX {
            return;
        }
        let leader = self.threads.get(&process.pid);
        let name = leader.map_or(process.last_name, |thread| thread.name);
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        self.oom.0.push(OomEnd {
            pid: process.pid,
            name: String::from_utf8_lossy(&name[..end]).into_owned(),
            badness: kill.badness,
            score_adj: kill.score_adj,
            reason,
        });
    }
}
