//! Ends: of threads, of processes, and what parents hear of them.
//!
//! ```text
//!   thread ends ──► robust futexes, clear_child_tid ──► the last of its process? ──► process ends
//!   process ends ─► other threads gone ─► descriptors closed ─► memory let go ─► children to init
//!                                                                                   │
//!          the first process: the machine ends                                      ▼
//!          parent waits or ignores: gone at once ◄── SIGCHLD, Channel::Child ◄── zombie
//! ```
//!
//! Source: exit(2), wait(2), set_robust_list(2); Linux kernel/exit.c.

use std::collections::BTreeSet;

use crate::alarm::Owner;
use crate::memory::{UserMemory, read_u32, read_u64};
use crate::process::{Change, Process};
use crate::signal::{Cause, SA_NOCLDSTOP, SA_NOCLDWAIT, SI_USER, SIG_IGN, Signal, SignalInfo};
use crate::sys_futex::key;
use crate::sys_futex_lock::{OWNER_DIED, TID_MASK, WAITERS};
use crate::system::{FIRST, INIT, Outcome, System};
use crate::thread::Thread;
use crate::timers::Timers;
use crate::wait::{Channel, FifoWait, Pid};

// si_code of SIGCHLD (asm-generic/siginfo.h).
pub(crate) const CLD_EXITED: i32 = 1;
pub(crate) const CLD_KILLED: i32 = 2;
pub(crate) const CLD_STOPPED: i32 = 5;
pub(crate) const CLD_CONTINUED: i32 = 6;

/// Entries of a robust list that are looked at (ROBUST_LIST_LIMIT).
const ROBUST_MAX: usize = 2048;

impl System {
    /// A thread ended by itself; its process ends with its last.
    pub(crate) fn exit_thread(
        &mut self,
        mut process: Box<Process>,
        thread: &Thread,
        status: i32,
        memory: &mut dyn UserMemory,
    ) {
        if thread.tid == process.pid {
            process.leader_status = status;
        }
        let others = self.threads.values().any(|other| other.pid == process.pid);
        if !others {
            let outcome = Outcome::Exit(process.leader_status);
            return self.exit_process(process, thread, outcome, memory);
        }
        process.cpu_ns_gone += thread.cpu_ns;
        self.let_go(thread, memory);
        self.processes.insert(process.pid, process);
    }

    /// A process ends, by one of its threads.
    pub(crate) fn exit_process(
        &mut self,
        mut process: Box<Process>,
        thread: &Thread,
        outcome: Outcome,
        memory: &mut dyn UserMemory,
    ) {
        let pid = process.pid;
        process.cpu_ns_gone += thread.cpu_ns;
        process.cpu_ns_gone += self.end_other_threads(pid);
        // Others see it only in memory that is not the process's alone.
        self.let_go(thread, memory);
        self.release_process_locks(pid);
        for fd in process.fds.open_descriptors().collect::<Vec<_>>() {
            if let Ok(id) = process.fds.close(fd) {
                self.release(id, memory);
            }
        }
        if pid == FIRST {
            // Its memory stays to be looked at.
            self.finish(outcome.clone());
        } else {
            self.leave_space(&process, memory);
        }
        process.borrows_memory = false;
        self.wake(Channel::Vfork(pid));
        self.wake(Channel::End(pid));
        self.reparent_children(&process);
        process.ended = Some(outcome);
        process.timers = Timers::default();
        self.undo_semaphores(&mut process);
        self.alarms.set(Owner::Process(pid), None);
        self.cpu_timed.remove(&pid);
        process.is_stopped = false;
        self.tell_parent(process);
    }

    /// Ends everything: what the system still holds of the machine's memory after that, it has lost.
    pub fn tear_down(&mut self, memory: &mut dyn UserMemory) {
        let threads: Vec<Pid> = self.threads.keys().copied().collect();
        for tid in threads {
            self.make_runnable(tid);
            self.threads.remove(&tid);
        }
        let mut spaces = BTreeSet::new();
        for (_, mut process) in std::mem::take(&mut self.processes) {
            for fd in process.fds.open_descriptors().collect::<Vec<_>>() {
                if let Ok(id) = process.fds.close(fd) {
                    self.release(id, memory);
                }
            }
            let has_space = process.ended.is_none() || process.pid == FIRST;
            spaces.extend(has_space.then_some(process.space));
        }
        spaces.into_iter().for_each(|space| memory.destroy_space(space));
        for file in self.tmpfs.clear() {
            // The tree had a handle of it.
            let _released = memory.release_object(file);
        }
        for segment in std::mem::take(&mut self.segments).into_objects() {
            // It has a handle: its own.
            let _released = memory.release_object(segment.file());
        }
    }

    /// Ends the other threads of a process, which has been taken out; returns how long they ran.
    pub(crate) fn end_other_threads(&mut self, pid: Pid) -> u64 {
        let others: Vec<Pid> =
            self.threads.values().filter(|other| other.pid == pid).map(|other| other.tid).collect();
        let mut cpu_ns = 0;
        for tid in others {
            self.make_runnable(tid);
            if let Some(thread) = self.threads.remove(&tid) {
                self.abandon_call(&thread);
                cpu_ns += thread.cpu_ns;
            }
        }
        cpu_ns
    }

    /// Frees the process's address space unless another process is in it.
    pub(crate) fn leave_space(&mut self, process: &Process, memory: &mut dyn UserMemory) {
        if !self.is_shared(process.space, process.pid) {
            memory.destroy_space(process.space);
        }
    }

    /// The process stopped: its parent may want to know.
    pub(crate) fn note_stopped(&mut self, process: &mut Process, signal: Signal) {
        process.change = Some(Change::Stopped(signal));
        self.tell_change(process, CLD_STOPPED, signal.number().into());
    }

    /// The process goes on.
    pub(crate) fn note_continued(&mut self, process: &mut Process) {
        process.change = Some(Change::Continued);
        let status = Signal::SIGCONT.number().into();
        self.tell_change(process, CLD_CONTINUED, status);
    }

    /// A zombie that was waited for is gone.
    pub(crate) fn reap(&mut self, pid: Pid) -> Option<Box<Process>> {
        self.forget_pid(pid);
        self.processes.remove(&pid)
    }

    fn tell_change(&mut self, process: &Process, code: i32, status: i32) {
        let parent = process.parent;
        let wants = self
            .processes
            .get(&parent)
            .is_some_and(|parent| parent.signals.action(Signal::SIGCHLD).flags & SA_NOCLDSTOP == 0);
        if wants {
            let cause =
                Cause::Child { code, pid: process.pid, uid: process.credentials.user.real, status };
            self.signal_process(parent, SignalInfo { signal: Signal::SIGCHLD, cause });
        }
        self.wake(Channel::Child(parent));
    }

    /// Robust futexes that the thread holds are marked, and whoever joins it is woken.
    fn let_go(&mut self, thread: &Thread, memory: &mut dyn UserMemory) {
        self.abandon_call(thread);
        // A list that cannot be read is its owner's business.
        let _unreadable = self.mark_robust_list(thread, memory);
        let at = thread.clear_child_tid;
        if at != 0 && memory.write(at, &[0; 4]).is_ok() {
            self.wake_futex(memory, at, 1);
        }
    }

    /// A call of this thread that waits will not be made again.
    fn abandon_call(&mut self, thread: &Thread) {
        if let Some(FifoWait { pipe, end, .. }) = thread.progress.fifo {
            self.pipes.close(pipe, end);
        }
    }

    fn mark_robust_list(
        &mut self,
        thread: &Thread,
        memory: &mut dyn UserMemory,
    ) -> Result<(), crate::Errno> {
        let (head, _) = thread.robust_list;
        if head == 0 {
            return Ok(());
        }
        let mut entry = read_u64(memory, head)? & !1;
        let offset = read_u64(memory, head.wrapping_add(8))?;
        let pending = read_u64(memory, head.wrapping_add(16))? & !1;
        for _ in 0..ROBUST_MAX {
            if entry == head {
                break;
            }
            let next = read_u64(memory, entry)? & !1;
            if entry != pending {
                self.mark_dead(thread.tid, memory, entry.wrapping_add(offset))?;
            }
            entry = next;
        }
        match pending {
            0 => Ok(()),
            _ => self.mark_dead(thread.tid, memory, pending.wrapping_add(offset)),
        }
    }

    fn mark_dead(
        &mut self,
        tid: Pid,
        memory: &mut dyn UserMemory,
        at: u64,
    ) -> Result<(), crate::Errno> {
        let word = read_u32(memory, at)?;
        if word & TID_MASK != tid {
            return Ok(());
        }
        for key in [key(memory, at, true), key(memory, at, false)] {
            if self.waits_for_lock(key) {
                return self.hand_over(memory, key, at, OWNER_DIED).map(|_| ());
            }
        }
        memory.write(at, &(word & WAITERS | OWNER_DIED).to_le_bytes())?;
        if word & WAITERS != 0 {
            self.wake_futex(memory, at, 1);
        }
        Ok(())
    }

    /// Who adopts the orphans of a process: the nearest subreaper above it, or init.
    fn reaper(&self, process: &Process) -> Pid {
        let mut above = process.parent;
        while let Some(ancestor) = self.processes.get(&above) {
            if ancestor.attributes.is_subreaper && ancestor.ended.is_none() {
                return above;
            }
            above = ancestor.parent;
        }
        INIT
    }

    /// Children get another parent, and hear of their old one's end if they asked for that. What
    /// has ended already is gone with init, which waits for everybody.
    fn reparent_children(&mut self, process: &Process) {
        let reaper = self.reaper(process);
        let uid = process.credentials.user.real;
        let cause = Cause::Sender { code: SI_USER, pid: process.pid, uid };
        let children: Vec<Pid> =
            self.processes.values().filter(|p| p.parent == process.pid).map(|p| p.pid).collect();
        for pid in children {
            let Some(child) = self.processes.get_mut(&pid) else { continue };
            child.parent = reaper;
            match (&child.ended, child.attributes.death_signal) {
                (Some(_), _) if reaper == INIT => drop(self.reap(pid)),
                (Some(_), _) => self.wake(Channel::Child(reaper)),
                (None, Some(signal)) => self.signal_process(pid, SignalInfo { signal, cause }),
                (None, None) => {}
            }
        }
    }

    fn tell_parent(&mut self, process: Box<Process>) {
        let (pid, parent) = (process.pid, process.parent);
        let action = self.processes.get(&parent).map(|p| p.signals.action(Signal::SIGCHLD));
        let Some(action) = action else {
            // The first process's status is the machine's, and its memory stays to be looked at.
            self.processes.insert(pid, process);
            return;
        };
        let Some(outcome) = &process.ended else { return };
        let (code, status) = match outcome {
            Outcome::Exit(status) => (CLD_EXITED, *status),
            Outcome::Killed { signal, .. } => (CLD_KILLED, signal.number().into()),
        };
        let unwanted = action.handler == SIG_IGN || action.flags & SA_NOCLDWAIT != 0;
        let exit_signal = process.exit_signal;
        let uid = process.credentials.user.real;
        if !unwanted || exit_signal != Some(Signal::SIGCHLD) {
            self.processes.insert(pid, process);
        }
        if let Some(signal) = exit_signal {
            let cause = Cause::Child { code, pid, uid, status };
            self.signal_process(parent, SignalInfo { signal, cause });
        }
        self.wake(Channel::Child(parent));
    }
}
