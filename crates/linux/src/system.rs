//! The system: all processes and threads of a machine, and what they share.
//!
//! ```text
//!   boot ──► process 2, thread 2 ──► next_thread() ─► a hart runs it ─► serve() │ fault()
//!                                        ▲                                │
//!                                        └── preempt(), wake(), expire() ◄┘
//! ```
//!
//! Init, number 1, is the machine itself: it adopts orphans and waits for them. The machine ends
//! with its first process, number 2; what still runs then is stopped where it is.
//!
//! Invariants:
//! 1. A thread is in the run queue if and only if it is `Runnable`; among the waiters if and only
//!    if it is `Blocked`.
//! 2. Threads run in the order in which they became runnable: nothing depends on the host.
//! 3. A description, a pipe, an address space lives as long as a process holds it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pagewalk_kernel::{SpaceId, TransferId};

use crate::account::Account;
use crate::alarm::Alarms;
use crate::anonymous::AnonymousTable;
use crate::call::{Call, Then};
use crate::cgroups::GroupNames;
use crate::clock::Clock;
use crate::deliver::{self, Delivered, Interrupted};
use crate::epoll::Watches;
use crate::errno::Errno;
use crate::fd::{DescriptionId, Descriptions, Object};
use crate::files::FileId;
use crate::host::{Host, unix_ns};
use crate::load::LoadError;
use crate::locks::Locks;
use crate::memory::UserMemory;
use crate::oom::OomLog;
use crate::path::Location;
use crate::pipe::Pipes;
use crate::process::{Image, Process, Program};
use crate::procfs::{self, Scene, Settings};
use crate::regs::{A0, A7, ECALL_BYTES};
use crate::signal::{Cause, Signal, SignalInfo};
use crate::socket::Sockets;
use crate::sys_msg::Queues;
use crate::sys_sem::Sets;
use crate::sys_shm::Segments;
use crate::table;
use crate::thread::{PendingFault, State, Thread};
use crate::tmpfs::{Gone, Tmpfs};
use crate::vfs::View;
use crate::wait::{Channel, Pid, Wait, Waiters};

/// Who adopts orphans.
pub const INIT: Pid = 1;
/// The first program's process.
pub const FIRST: Pid = 2;
/// Processes and threads at once: each takes memory of the host.
pub(crate) const THREADS_MAX: usize = 8192;
/// Paths kept of memory objects that are mapped or open.
const OBJECT_NAMES_MAX: usize = 1 << 12;
/// Numbers go around here (Linux: PID_MAX_DEFAULT).
const PID_MAX: Pid = 32768;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By itself.
    Exit(i32),
    /// A signal ended it.
    Killed {
        /// Which.
        signal: Signal,
        /// Why, for a person.
        reason: String,
    },
}

/// A signal that an instruction caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncSignal {
    /// SIGSEGV, SIGBUS, SIGILL, SIGTRAP or SIGFPE.
    pub signal: Signal,
    /// si_code.
    pub code: i32,
    /// si_addr.
    pub addr: u64,
}

/// How many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Processes.
    pub processes: u64,
    /// Threads.
    pub threads: u64,
    /// Threads alive at one time, at most.
    pub threads_max: u64,
    /// Programs that processes went on as.
    pub execs: u64,
}

/// All processes and threads.
#[derive(Clone, Debug)]
pub struct System {
    pub(crate) processes: BTreeMap<Pid, Box<Process>>,
    pub(crate) threads: BTreeMap<Pid, Box<Thread>>,
    pub(crate) descriptions: Descriptions,
    pub(crate) pipes: Pipes,
    pub(crate) locks: Locks,
    /// Trees of files in memory.
    pub(crate) tmpfs: Tmpfs,
    /// The paths by which memory objects were opened last, for maps.
    pub(crate) object_names: BTreeMap<FileId, Vec<u8>>,
    /// /tmp is a tree in memory: the root has none.
    pub(crate) has_own_tmp: bool,
    pub(crate) settings: Settings,
    /// The directories of groups.
    pub(crate) groups: GroupNames,
    pub(crate) waiters: Waiters,
    pub(crate) anonymous: AnonymousTable,
    pub(crate) last_object: u64,
    pub(crate) watches: Watches,
    pub(crate) alarms: Alarms,
    pub(crate) sockets: Sockets,
    pub(crate) segments: Segments,
    pub(crate) sets: Sets,
    pub(crate) queues: Queues,
    /// The kernel's own memory.
    pub(crate) account: Account,
    /// Swap devices that /dev names.
    pub(crate) swap_devices: usize,
    /// Processes with timers that go by processor time.
    pub(crate) cpu_timed: BTreeSet<Pid>,
    /// The virtual time when it was heard of last.
    pub(crate) now_ns: u64,
    run_queue: VecDeque<Pid>,
    last_id: Pid,
    end: Option<Outcome>,
    pub(crate) made: Made,
    pub(crate) oom: OomLog,
}

impl System {
    /// A system whose first process runs `program`, in the address space that `memory` shows.
    ///
    /// # Errors
    /// If it is not an executable that this machine can hold.
    pub fn boot(
        memory: &mut dyn UserMemory,
        host: &mut Host,
        clock: &mut dyn Clock,
        program: Program,
    ) -> Result<Self, LoadError> {
        let image = Image::load(memory, host, clock, program)?;
        let mut descriptions = Descriptions::default();
        let process = Process::first(FIRST, &image, memory, &mut descriptions);
        let thread = Thread::new(FIRST, FIRST, image.regs, image.name);
        Ok(Self {
            processes: BTreeMap::from([(FIRST, Box::new(process))]),
            threads: BTreeMap::from([(FIRST, Box::new(thread))]),
            descriptions,
            pipes: Pipes::default(),
            locks: Locks::default(),
            tmpfs: Tmpfs::new(unix_ns(clock)),
            object_names: BTreeMap::new(),
            has_own_tmp: host.root.metadata(&Location::default().child(b"tmp")).is_err(),
            settings: Settings::default(),
            groups: GroupNames::new(memory.root_group().is_some()),
            waiters: Waiters::default(),
            anonymous: AnonymousTable::new(),
            last_object: 0,
            watches: Watches::default(),
            alarms: Alarms::default(),
            sockets: Sockets::default(),
            segments: Segments::default(),
            sets: Sets::default(),
            queues: Queues::default(),
            account: Self::account_of(memory),
            // Where there is no device, its name still is there.
            swap_devices: memory.swap_devices().len().max(1),
            cpu_timed: BTreeSet::new(),
            now_ns: 0,
            run_queue: VecDeque::from([FIRST]),
            last_id: FIRST,
            end: None,
            made: Made { processes: 1, threads: 1, threads_max: 1, execs: 0 },
            oom: OomLog::default(),
        })
    }

    /// How many processes and threads there were.
    pub const fn made(&self) -> Made {
        self.made
    }

    /// How the first process ended, if it did.
    pub const fn end(&self) -> Option<&Outcome> {
        self.end.as_ref()
    }

    /// A thread that can run, which runs from now on.
    pub fn next_thread(&mut self) -> Option<Pid> {
        while let Some(tid) = self.run_queue.pop_front() {
            let Some(thread) = self.threads.get_mut(&tid) else { continue };
            let process = self.processes.get(&thread.pid);
            if process.is_some_and(|process| process.is_stopped) {
                thread.state = State::Stopped;
                continue;
            }
            if process.is_some_and(|process| process.is_swapped_out) {
                thread.state = State::SwappedOut;
                continue;
            }
            thread.state = State::Running;
            return Some(tid);
        }
        None
    }

    /// Whether a thread waits for a hart.
    pub fn has_runnable(&self) -> bool {
        !self.run_queue.is_empty()
    }

    /// A running thread lets others run.
    pub fn preempt(&mut self, tid: Pid) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.state = State::Runnable;
            self.run_queue.push_back(tid);
        }
    }

    /// A thread, if it is alive.
    pub fn thread(&self, tid: Pid) -> Option<&Thread> {
        self.threads.get(&tid).map(AsRef::as_ref)
    }

    /// A thread, to give it the registers that its hart left.
    pub fn thread_mut(&mut self, tid: Pid) -> Option<&mut Thread> {
        self.threads.get_mut(&tid).map(AsMut::as_mut)
    }

    /// A process, which may have ended.
    pub fn process(&self, pid: Pid) -> Option<&Process> {
        self.processes.get(&pid).map(AsRef::as_ref)
    }

    /// The processes that have not ended, by number.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values().map(AsRef::as_ref).filter(|process| process.ended.is_none())
    }

    /// The threads of a process that are alive, by number.
    pub fn threads_of(&self, pid: Pid) -> impl Iterator<Item = &Thread> {
        self.threads.values().map(AsRef::as_ref).filter(move |thread| thread.pid == pid)
    }

    /// The name of a process, as /proc/PID/comm has it: that of its first thread.
    pub fn name_of(&self, pid: Pid) -> String {
        let leader = self.threads.get(&pid).map(|thread| thread.name);
        let last = || self.processes.get(&pid).map(|process| process.last_name);
        let name = leader.or_else(last).unwrap_or_default();
        let name: Vec<u8> = name.into_iter().take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&name).into_owned()
    }

    /// The address space that a thread runs in.
    pub fn space_of(&self, tid: Pid) -> Option<SpaceId> {
        let thread = self.threads.get(&tid)?;
        self.processes.get(&thread.pid).map(|process| process.space)
    }

    /// The address space of the first process, which execve replaces.
    pub fn first_space(&self) -> Option<SpaceId> {
        self.processes.get(&FIRST).map(|process| process.space)
    }

    /// When the next thread stops waiting by itself, in virtual nanoseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        let alarm = self.alarms.next_deadline();
        self.waiters.next_deadline().into_iter().chain(alarm).min()
    }

    /// Wakes the threads whose time has come, and lets timers go off.
    pub fn expire(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        self.expire_timers();
        while let Some(tid) = self.waiters.expired(now_ns) {
            self.make_runnable(tid);
        }
    }

    /// What everybody waits for, if nobody will ever run again.
    pub fn deadlock(&self) -> String {
        let mut waits: Vec<String> = Vec::new();
        for thread in self.threads.values() {
            let what = match &thread.state {
                State::Blocked(wait) => wait.what,
                State::Stopped => "being stopped",
                State::SwappedOut => "being swapped out",
                State::Runnable | State::Running => continue,
            };
            waits.push(format!("thread {} in {what}", thread.tid));
        }
        format!("deadlock: every thread waits for ever: {}", waits.join(", "))
    }

    /// Serves the system call of a thread: number in a7, arguments in a0 to a5, `pc` at the `ecall`.
    pub fn serve(
        &mut self,
        tid: Pid,
        memory: &mut dyn UserMemory,
        host: &mut Host,
        clock: &mut dyn Clock,
    ) {
        self.now_ns = self.now_ns.max(clock.now_ns());
        let Some((mut process, mut thread)) = self.take(tid) else { return };
        let (number, args) = (thread.regs.x[A7], thread.regs.arguments());
        let call_pc = thread.regs.pc;
        thread.regs.pc = call_pc.wrapping_add(ECALL_BYTES);
        thread.in_call = false;
        let mut call = Call {
            system: self,
            process: &mut process,
            thread: &mut thread,
            memory,
            host,
            clock,
            then: Then::Return,
        };
        let result = match table::find(&mut call, number) {
            Ok(handler) => handler(&mut call, args),
            Err(errno) => Err(errno),
        };
        let mut then = std::mem::take(&mut call.then);
        if let Some(shortage) = memory.shortage() {
            let reason = format!("out of memory: {shortage}");
            if let Some(outcome) = self.killed_for_memory(&process, memory, reason) {
                then = Then::ExitProcess(outcome);
            }
        }
        if let Then::Wait(wait) = then {
            thread.regs.pc = call_pc;
            self.block(process, thread, wait);
            return;
        }
        let deadline_ns = std::mem::take(&mut thread.progress).deadline_ns;
        match then {
            Then::Return | Then::Yield => {
                let restart = match result {
                    Err(errno) if errno.restarts() => {
                        Some(Interrupted { errno, pc: call_pc, argument: args[0], deadline_ns })
                    }
                    _ => None,
                };
                thread.regs.x[A0] = result.unwrap_or_else(Errno::to_register);
                self.deliver(process, thread, memory, restart, then == Then::Yield);
            }
            Then::Resume => {
                // execve makes the thread its process's leader, under another number.
                let leader = (thread.tid != tid).then_some(thread.tid);
                self.deliver(process, thread, memory, None, false);
                leader.into_iter().for_each(|tid| self.preempt(tid));
            }
            Then::ExitThread(status) => self.exit_thread(process, &thread, status, memory),
            Then::ExitProcess(outcome) => self.exit_process(process, &thread, outcome, memory),
            Then::Wait(_) => unreachable!("handled above"),
        }
    }

    /// Delivers a signal that the instruction at `pc` caused. If it is blocked or ignored the
    /// process is killed: it could not go on.
    pub fn fault(&mut self, tid: Pid, memory: &mut dyn UserMemory, fault: SyncSignal) {
        let Some((mut process, mut thread)) = self.take(tid) else { return };
        let cause = Cause::Fault { code: fault.code, addr: fault.addr };
        let info = SignalInfo { signal: fault.signal, cause };
        match deliver::force(&mut process, &mut thread, memory, info) {
            Delivered::Ended(outcome) => self.exit_process(process, &thread, outcome, memory),
            _ => self.put_back(process, thread),
        }
    }

    /// A page of a thread could not be had: its process is killed.
    pub fn out_of_memory(&mut self, tid: Pid, memory: &mut dyn UserMemory, reason: String) {
        let Some((process, thread)) = self.take(tid) else { return };
        match self.killed_for_memory(&process, memory, reason) {
            Some(outcome) => self.exit_process(process, &thread, outcome, memory),
            None => self.put_back(process, thread),
        }
    }

    /// A thread waits until its fault can be tried again: for a transfer, or for memory.
    pub fn wait_for_page(&mut self, tid: Pid, fault: PendingFault, on: Option<TransferId>) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let channel = on.map_or(Channel::Memory, Channel::Transfer);
        let what = if on.is_some() { "reading a page" } else { "waiting for memory" };
        let wait = Wait { channels: vec![channel], deadline_ns: None, what };
        self.waiters.add(tid, &wait);
        thread.fault = Some(fault);
        thread.state = State::Blocked(wait);
    }

    /// A transfer is done, and memory may be free: who waits for it goes on.
    pub fn transfer_done(&mut self, id: TransferId, memory: bool) {
        self.wake(Channel::Transfer(id));
        if memory {
            self.wake(Channel::Memory);
        }
    }

    /// Whether a signal waits to be delivered to a thread.
    pub fn is_signalled(&self, tid: Pid) -> bool {
        let Some(thread) = self.threads.get(&tid) else { return false };
        let process = self.processes.get(&thread.pid);
        process.is_some_and(|process| thread.signals.deliverable(&process.signals) != 0)
    }

    /// Delivers what signals wait for a thread that is about to run its program.
    pub fn enter(&mut self, tid: Pid, memory: &mut dyn UserMemory) {
        if let Some((process, thread)) = self.take(tid) {
            self.deliver(process, thread, memory, None, false);
        }
    }

    /// Wakes all threads that wait for a channel, whatever happened there.
    pub(crate) fn wake(&mut self, channel: Channel) {
        self.wake_for(channel, u16::MAX);
    }

    /// Wakes all threads that wait for a channel, where the events of poll began to hold.
    pub(crate) fn wake_for(&mut self, channel: Channel, events: u16) {
        self.note_events(channel, events);
        let woken: Vec<Pid> = self.waiters.at(channel).collect();
        woken.into_iter().for_each(|tid| self.make_runnable(tid));
    }

    /// Makes a blocked or stopped thread runnable.
    pub(crate) fn make_runnable(&mut self, tid: Pid) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        match std::mem::replace(&mut thread.state, State::Runnable) {
            State::Blocked(wait) => self.waiters.remove(tid, &wait),
            State::Stopped | State::SwappedOut => {}
            before => {
                thread.state = before;
                return;
            }
        }
        self.run_queue.push_back(tid);
    }

    /// A number for a new process or thread.
    pub(crate) fn new_id(&mut self, caller: [Pid; 2]) -> Result<Pid, Errno> {
        if self.threads.len() + self.processes.len() >= 2 * THREADS_MAX {
            return Err(Errno::EAGAIN);
        }
        let names_group = |id: Pid| self.processes().any(|p| p.group == id || p.session == id);
        let taken = |&id: &Pid| {
            caller.contains(&id)
                || self.processes.contains_key(&id)
                || self.threads.contains_key(&id)
                || names_group(id)
        };
        let after = (self.last_id + 1..PID_MAX).chain(FIRST + 1..=self.last_id);
        let id = after.into_iter().find(|id| !taken(id)).ok_or(Errno::EAGAIN)?;
        self.last_id = id;
        Ok(id)
    }

    /// Adds a thread, which can run.
    pub(crate) fn add_thread(&mut self, thread: Thread) {
        self.made.processes += u64::from(thread.tid == thread.pid);
        self.made.threads += 1;
        self.run_queue.push_back(thread.tid);
        self.threads.insert(thread.tid, Box::new(thread));
        // The one that makes it is out of the table.
        self.made.threads_max = self.made.threads_max.max(self.threads.len() as u64 + 1);
    }

    /// One descriptor less names a description; the last lets go of what it holds.
    pub(crate) fn release(&mut self, id: DescriptionId, memory: &mut dyn UserMemory) {
        // A socket's messages hold descriptions, which may be sockets.
        let mut released = vec![id];
        while let Some(id) = released.pop() {
            let Some(description) = self.descriptions.release(id) else { continue };
            self.unwatch_description(id);
            self.release_description_locks(id);
            match description.object {
                Object::Pipe(pipe, end) => {
                    self.pipes.close(pipe, end);
                    self.wake(pipe.channel());
                }
                Object::Anonymous(id) => self.close_anonymous(id),
                Object::Socket(id) => released.extend(self.close_socket(id)),
                Object::File(file) => {
                    let node = self.tmpfs.of_file(file);
                    let gone = node.and_then(|id| self.tmpfs.close(id));
                    self.let_go_node(gone, memory);
                }
                _ => {}
            }
        }
    }

    /// The regions of all processes in the words of /proc/PID/maps, or of smaps `with_usage`; under
    /// each process's number if there are several.
    pub fn maps(&self, memory: &dyn UserMemory, host: &Host, with_usage: bool) -> String {
        let view = View { system: self, own: None, host };
        procfs::all_maps(&Scene { view, memory, now_ns: self.now_ns }, with_usage)
    }

    /// Lets go what nothing in the trees of memory leads to any more.
    pub(crate) fn let_go_node(&mut self, gone: Option<Gone>, memory: &mut dyn UserMemory) {
        match gone {
            // A handle that the tree had is there to be released.
            Some(Gone::File(file)) => drop(memory.release_object(file)),
            Some(Gone::Fifo(pipe)) => self.pipes.forget_name(pipe),
            None => {}
        }
    }

    /// Says by what path maps tells a memory object.
    pub(crate) fn name_object(&mut self, memory: &dyn UserMemory, file: FileId, path: &[u8]) {
        if self.object_names.len() >= OBJECT_NAMES_MAX {
            self.object_names.retain(|&file, _| memory.object_len(file).is_ok());
        }
        if self.object_names.len() < OBJECT_NAMES_MAX {
            self.object_names.insert(file, path.to_vec());
        }
    }

    /// The path by which the guest knew a file or memory object; empty if it has none.
    pub fn path_of(&self, file: FileId, host: &Host) -> String {
        let path = match self.object_names.get(&file) {
            Some(path) => path.as_slice().into(),
            None => host.files.path(file),
        };
        String::from_utf8_lossy(&path).into_owned()
    }

    /// The number that was given to a process or thread last.
    pub(crate) const fn last_id(&self) -> Pid {
        self.last_id
    }

    /// Whether a process has the file open or runs it.
    pub(crate) fn names_file(&self, file: FileId) -> bool {
        self.descriptions.names_file(file)
            || self.processes.values().any(|process| process.executable == file)
    }

    /// Whether a process other than `pid` is in an address space.
    pub(crate) fn is_shared(&self, space: SpaceId, pid: Pid) -> bool {
        let mut others = self.processes().filter(|process| process.pid != pid);
        others.any(|process| process.space == space)
    }

    /// The first process has ended, and with it the machine.
    pub(crate) fn finish(&mut self, outcome: Outcome) {
        self.end = Some(outcome);
    }

    /// Takes a thread and its process out of the tables.
    fn take(&mut self, tid: Pid) -> Option<(Box<Process>, Box<Thread>)> {
        let thread = self.threads.remove(&tid)?;
        match self.processes.remove(&thread.pid) {
            Some(process) => Some((process, thread)),
            None => unreachable!("thread {tid} without its process"),
        }
    }

    pub(crate) fn put_back(&mut self, mut process: Box<Process>, thread: Box<Thread>) {
        if process.timers.take_changed() {
            self.note_timers(&process);
        }
        self.processes.insert(process.pid, process);
        self.threads.insert(thread.tid, thread);
    }

    fn block(&mut self, process: Box<Process>, mut thread: Box<Thread>, wait: Wait) {
        self.waiters.add(thread.tid, &wait);
        thread.in_call = true;
        thread.progress.again = true;
        thread.state = State::Blocked(wait);
        self.put_back(process, thread);
    }

    /// Delivers pending signals, and puts the thread back if it lives on. `restart` says that its
    /// call was interrupted.
    fn deliver(
        &mut self,
        mut process: Box<Process>,
        mut thread: Box<Thread>,
        memory: &mut dyn UserMemory,
        restart: Option<Interrupted>,
        yields: bool,
    ) {
        let delivered = deliver::pending(&mut process, &mut thread, memory, restart, self.now_ns);
        match delivered {
            Delivered::Ended(outcome) => self.exit_process(process, &thread, outcome, memory),
            Delivered::Stopped(signal) => {
                process.is_stopped = true;
                self.note_stopped(&mut process, signal);
                thread.state = State::Stopped;
                self.put_back(process, thread);
            }
            Delivered::Nothing => {
                let tid = thread.tid;
                self.put_back(process, thread);
                if yields {
                    self.preempt(tid);
                }
            }
        }
    }
}
