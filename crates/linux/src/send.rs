//! Sending signals: to a process, whose threads share it, or to one thread.
//!
//! ```text
//!   ignored by the process and not blocked ──► forgotten
//!   SIGCONT   ──► forgets stop signals; the process goes on, whatever it does with SIGCONT
//!   SIGSTOP … ──► forgets SIGCONT
//!   otherwise ──► pending; a thread that does not block it stops waiting
//! ```
//!
//! Source: kill(2), signal(7); Linux kernel/signal.c (prepare_signal, complete_signal).

use crate::account::SIGNAL;
use crate::call::Call;
use crate::errno::Errno;
use crate::process::Process;
use crate::signal::{Cause, SI_USER, Signal, SignalInfo};
use crate::sys_poll::POLLIN;
use crate::system::System;
use crate::thread::{State, Thread};
use crate::wait::{Channel, Pid};

/// SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU.
const STOPS: u64 =
    Signal::SIGSTOP.bit() | Signal::SIGTSTP.bit() | Signal::SIGTTIN.bit() | Signal::SIGTTOU.bit();

impl System {
    /// Sends a signal to a process that is in the table; one that has ended does not hear it.
    pub(crate) fn signal_process(&mut self, pid: Pid, info: SignalInfo) {
        let Some(mut process) = self.processes.remove(&pid) else { return };
        if process.ended.is_none() {
            let blocked = self.is_blocked(pid, info.signal);
            self.post_to_process(&mut process, info, blocked);
        }
        self.processes.insert(pid, process);
    }

    /// Sends a signal to a thread that is in the table.
    ///
    /// # Errors
    /// ESRCH if there is none, EAGAIN if too many are queued.
    pub(crate) fn signal_thread(&mut self, tid: Pid, info: SignalInfo) -> Result<(), Errno> {
        let pid = self.threads.get(&tid).ok_or(Errno::ESRCH)?.pid;
        if let Some(mut process) = self.processes.remove(&pid) {
            self.job_control(&mut process, info.signal);
            let result = self.post_to_thread(&process, tid, info);
            self.processes.insert(pid, process);
            return result;
        }
        Ok(())
    }

    fn post_to_thread(
        &mut self,
        process: &Process,
        tid: Pid,
        info: SignalInfo,
    ) -> Result<(), Errno> {
        let Some(thread) = self.threads.get_mut(&tid) else { return Err(Errno::ESRCH) };
        if process.signals.is_ignored(info.signal) && !thread.signals.is_blocked(info.signal) {
            return Ok(());
        }
        thread.signals.pending.add(info)?;
        self.wake_for(Channel::Signal(process.pid), POLLIN);
        let Some(thread) = self.threads.get(&tid) else { return Err(Errno::ESRCH) };
        if !thread.signals.is_blocked(info.signal) {
            self.interrupt(tid, info.signal);
        }
        Ok(())
    }

    /// The process is out of the table; `blocked` tells whether some thread of it blocks the signal.
    fn post_to_process(&mut self, process: &mut Process, info: SignalInfo, blocked: bool) {
        self.job_control(process, info.signal);
        if process.signals.is_ignored(info.signal) && !blocked {
            return;
        }
        // What is beyond the queue's bound is lost, as for any sender but sigqueue.
        if process.signals.pending.add(info).is_ok() {
            self.wake_for(Channel::Signal(process.pid), POLLIN);
            self.interrupt_one(process.pid, info.signal);
        }
    }

    /// The effects of SIGCONT and the stop signals that do not wait for delivery.
    fn job_control(&mut self, process: &mut Process, signal: Signal) {
        let (is_stop, is_continue) = (signal.bit() & STOPS != 0, signal == Signal::SIGCONT);
        let forgotten = match (is_stop, is_continue) {
            (true, _) => Signal::SIGCONT.bit(),
            (_, true) => STOPS,
            _ => 0,
        };
        if forgotten != 0 {
            process.signals.pending.remove(forgotten);
            let threads = self.threads.values_mut().filter(|thread| thread.pid == process.pid);
            threads.for_each(|thread| thread.signals.pending.remove(forgotten));
        }
        let wakes = is_continue || signal == Signal::SIGKILL;
        if wakes && process.is_stopped {
            process.is_stopped = false;
            let stopped: Vec<Pid> =
                self.threads_where(process.pid, |thread| thread.state == State::Stopped);
            stopped.into_iter().for_each(|tid| self.make_runnable(tid));
            if is_continue {
                self.note_continued(process);
            }
        }
    }

    /// A thread that does not block the signal stops waiting: the leader if it can.
    fn interrupt_one(&mut self, pid: Pid, signal: Signal) {
        let open = self.threads_where(pid, |thread| !thread.signals.is_blocked(signal));
        let waits = |tid: &Pid| {
            let thread = self.threads.get(tid);
            thread.is_some_and(|thread| matches!(thread.state, State::Blocked(_)))
        };
        // One that runs will take it by itself.
        let running = open.iter().any(|tid| !waits(tid));
        match open.iter().find(|tid| waits(tid)) {
            Some(&tid) if !running => self.interrupt(tid, signal),
            _ => {}
        }
    }

    fn interrupt(&mut self, tid: Pid, signal: Signal) {
        let is_blocked = |thread: &Thread| matches!(thread.state, State::Blocked(_));
        let stopped = |thread: &Thread| thread.state == State::Stopped;
        let Some(thread) = self.threads.get(&tid) else { return };
        if is_blocked(thread) || (stopped(thread) && signal == Signal::SIGKILL) {
            self.make_runnable(tid);
        }
    }

    fn is_blocked(&self, pid: Pid, signal: Signal) -> bool {
        let mut threads = self.threads.values().filter(|thread| thread.pid == pid);
        threads.any(|thread| thread.signals.is_blocked(signal))
    }

    fn threads_where(&self, pid: Pid, wanted: impl Fn(&Thread) -> bool) -> Vec<Pid> {
        let threads = self.threads.values().filter(|thread| thread.pid == pid && wanted(thread));
        threads.map(|thread| thread.tid).collect()
    }
}

impl Call<'_> {
    /// Sends a signal to any process, the caller's too.
    pub(crate) fn signal_process(&mut self, pid: Pid, info: SignalInfo) {
        // What does not fit is lost, as what is beyond a queue's bound.
        if info.signal.is_queued() && self.charge(SIGNAL).is_err() {
            return;
        }
        if pid != self.process.pid {
            return self.system.signal_process(pid, info);
        }
        let blocked =
            self.thread.signals.is_blocked(info.signal) || self.system.is_blocked(pid, info.signal);
        let mine = !self.thread.signals.is_blocked(info.signal);
        self.system.job_control(self.process, info.signal);
        if self.process.signals.is_ignored(info.signal) && !blocked {
            return;
        }
        let queued = self.process.signals.pending.add(info).is_ok();
        self.system.wake_for(Channel::Signal(pid), POLLIN);
        if queued && !mine {
            self.system.interrupt_one(pid, info.signal);
        }
    }

    /// Sends a signal to any thread, the caller's too.
    ///
    /// # Errors
    /// ESRCH if there is none, EAGAIN if too many are queued.
    pub(crate) fn signal_thread(&mut self, tid: Pid, info: SignalInfo) -> Result<(), Errno> {
        if info.signal.is_queued() {
            self.charge(SIGNAL).map_err(|_| Errno::EAGAIN)?;
        }
        let is_mine =
            self.system.threads.get(&tid).is_some_and(|thread| thread.pid == self.process.pid);
        if tid == self.thread.tid {
            self.system.job_control(self.process, info.signal);
            let blocked = self.thread.signals.is_blocked(info.signal);
            if self.process.signals.is_ignored(info.signal) && !blocked {
                return Ok(());
            }
            self.system.wake_for(Channel::Signal(self.process.pid), POLLIN);
            return self.thread.signals.pending.add(info);
        }
        if is_mine {
            self.system.job_control(self.process, info.signal);
            return self.system.post_to_thread(self.process, tid, info);
        }
        self.system.signal_thread(tid, info)
    }

    /// Sends the caller's own thread a signal that says what it did wrong (SIGPIPE, SIGXFSZ).
    pub(crate) fn signal_self(&mut self, signal: Signal) {
        let cause = Cause::Sender {
            code: SI_USER,
            pid: self.process.pid,
            uid: self.process.credentials.user.real,
        };
        // Pending once: there is always room.
        let _queued = self.signal_thread(self.thread.tid, SignalInfo { signal, cause });
    }
}
