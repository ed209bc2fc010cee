//! The machine: everything put together, and the loop that runs it.
//!
//! ```text
//!   schedule (schedule.rs): a hart and a thread for it
//!        │
//!        ▼
//!   run the hart ──► Stop::Fault ──► Os::fault ──► resolved ──► run again
//!        ▲                                └─► refused ─► signal ──┐
//!        │      ──► Stop::Ecall ──► System::serve ────────────────┤
//!        │      ──► Illegal, Ebreak, Misaligned ─► signal ────────┤
//!        └──── page daemon, virtual time ◄────────────────────────┘
//! ```
//!
//! One machine is one run: the same configuration, program and input give the same report and the
//! same events, byte for byte.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use pagewalk_cpu::{Blocks, Hart, Stop, run, run_plain};
use pagewalk_kernel::{DeviceWait, SpaceId};
use pagewalk_linux::{
    Clock, Host, HostInode, Moved, Outcome, Pid, Regs, Root, Signal, System, UserMemory,
};
use pagewalk_mmu::Mmu;

use crate::build_report::total;
use crate::config::{Config, Program};
use crate::cost::CostModel;
use crate::device_queue::DeviceQueues;
use crate::error::MachineError;
use crate::event_watcher::EventWatcher;
use crate::guest_clock::{GuestClock, SplitMix64};
use crate::listener::Listener;
use crate::livelock::Livelock;
use crate::load_control::LoadControl;
use crate::memory::Memory;
use crate::os::Os;
use crate::platform::MachinePlatform;
use crate::pressure::Pressure;
use crate::ram::Ram;
use crate::report::CycleParts;
use crate::schedule::{Dispatched, Schedule};
use crate::stdio::Stdio;
use crate::swap_devices::SwapDevices;
use crate::time::outside;
use crate::watch::{FaultWatcher, Watcher};

/// The most instructions between two reports of progress.
const PROGRESS_INSTRUCTIONS: u64 = 20_000_000;

/// The most faults and system calls between two reports of progress: a machine that only pages
/// retires few instructions.
const PROGRESS_STOPS: u64 = 4096;

/// How often time may pass without anybody running: a timer that nobody waits for goes off for ever.
const IDLE_MAX: u64 = 1 << 20;

/// How often harts may stop without retiring an instruction. An instruction needs a few faults; one
/// that needs more pages at once than there are frames would fault for ever.
const STUCK_STOPS: u64 = 1 << 21;

/// A machine with a program.
#[derive(Debug)]
pub struct Machine {
    pub(crate) config: Config,
    pub(crate) command: Vec<String>,
    /// The hart that runs or ran last.
    pub(crate) hart: Hart,
    /// The harts and who runs on them; `hart` stands for the current one's registers.
    pub(crate) schedule: Schedule,
    pub(crate) blocks: Blocks,
    pub(crate) memory: Memory,
    pub(crate) os: Os,
    /// The first process's address space.
    pub(crate) space: SpaceId,
    pub(crate) system: System,
    pub(crate) host: Host,
    pub(crate) swap: SwapDevices,
    pub(crate) queues: DeviceQueues,
    pub(crate) pressure: Pressure,
    pub(crate) load_control: LoadControl,
    pub(crate) livelock: Livelock,
    pub(crate) listener: Listener,
    random: SplitMix64,
    pub(crate) tally: Tally,
    pub(crate) end: Option<End>,
    pub(crate) watcher: Watcher,
    /// What the current hart's thread may still run of what it was dispatched for.
    turn: Option<Turn>,
    /// Whether each stop of a hart ends with an audit.
    audits: bool,
}

/// What a hart was dispatched for. A caller who stops the machine in the middle of a turn does not
/// end it: so where a run is stopped makes no difference to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    /// What the hart had retired at its beginning.
    start: u64,
    /// What it will have retired at its end.
    end: u64,
}

/// What the machine itself counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Exceptions that were no system calls.
    pub traps: u64,
    /// Transfers that were done while others ran.
    pub interrupts: u64,
    /// System calls, by number; all that can be none under the highest.
    pub syscalls: BTreeMap<u64, u64>,
    /// System calls in all.
    pub syscalls_total: u64,
    /// Stops since an instruction was retired last.
    pub stuck: u64,
    /// Cycles slept.
    pub slept: u64,
    /// Processes ended for lack of memory that were told of.
    pub oom_told: usize,
    /// The most frames of page tables at once.
    pub peak_page_tables: u64,
    /// The most pages that large pages mapped at once.
    pub peak_anon_huge: u64,
    /// The most swap slots in use at once.
    pub peak_swap: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The program exited with this status.
    Exited(i32),
    /// A signal killed it.
    Killed {
        /// Which.
        signal: Signal,
        /// Why, in a sentence.
        reason: String,
    },
    /// The instruction budget was used up.
    Budget,
    /// Somebody stopped it.
    Interrupted,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Instructions retired.
    pub instructions: u64,
    /// Page faults.
    pub faults: u64,
    /// Page faults that waited for a device.
    pub major_faults: u64,
}

impl Machine {
    /// Builds the machine and loads the program.
    ///
    /// # Errors
    /// What cannot be, and what would.
    pub fn new(config: Config, program: Program, stdio: Stdio) -> Result<Self, MachineError> {
        crate::boot::boot(config, program, stdio)
    }

    pub(crate) fn assemble(
        config: Config,
        command: Vec<String>,
        parts: crate::boot::Parts,
    ) -> Self {
        let random = parts.random;
        let mut machine = Self {
            command,
            hart: Hart::new(),
            blocks: Blocks::new(),
            os: parts.os,
            space: parts.space,
            schedule: Schedule::new(parts.memory.harts()),
            memory: parts.memory,
            system: parts.system,
            host: parts.host,
            swap: parts.swap,
            queues: parts.queues,
            pressure: Pressure::default(),
            load_control: LoadControl::default(),
            livelock: Livelock::default(),
            listener: parts.listener,
            random,
            tally: Tally::default(),
            end: None,
            watcher: Watcher::default(),
            turn: None,
            audits: false,
            config,
        };
        machine.show_references();
        machine.settle();
        machine
    }

    /// Sends the event stream to `out`.
    pub fn set_events(&mut self, out: Box<dyn io::Write + Send>) {
        self.listener.send_to(out);
    }

    /// Tells `watcher` of events from now on.
    pub fn tell_events(&mut self, watcher: Box<dyn EventWatcher>) {
        self.listener.tell(watcher);
    }

    /// Shows `watcher` every page fault from now on.
    pub fn watch_faults(&mut self, watcher: Box<dyn FaultWatcher>) {
        self.watcher = Watcher(Some(watcher));
    }

    /// The MMU, to look at.
    pub const fn mmu(&self) -> &Mmu {
        self.memory.mmu()
    }

    /// Physical memory, to look at.
    pub const fn ram(&self) -> &Ram {
        &self.memory.ram
    }

    /// Flushes the event stream.
    ///
    /// # Errors
    /// The stream's first error.
    pub fn finish_events(&mut self) -> io::Result<()> {
        self.listener.finish()
    }

    /// Runs to the end, which stays the end: a machine that has ended does nothing more. `progress`
    /// is asked now and then whether to go on.
    pub fn run(&mut self, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> End {
        let budget = self.config.instructions_max.unwrap_or(u64::MAX);
        loop {
            if let Some(end) = &self.end {
                return end.clone();
            }
            let limit = self.instructions().saturating_add(PROGRESS_INSTRUCTIONS).min(budget);
            self.run_slice(limit, PROGRESS_STOPS);
            if self.end.is_some() {
                continue;
            }
            if self.instructions() >= budget {
                self.end = Some(End::Budget);
            } else if progress(self.progress()).is_break() {
                self.end = Some(End::Interrupted);
            }
        }
    }

    /// Runs until `limit` instructions have been retired in all, or the program ends.
    pub fn run_until(&mut self, limit: u64) {
        while self.end.is_none() && self.instructions() < limit {
            self.run_slice(limit, PROGRESS_STOPS);
        }
    }

    /// Runs until `limit` instructions have been retired in all, harts have stopped `stops` times,
    /// or the run ends: also by its budget, which [`Machine::run_until`] leaves alone.
    ///
    /// Where a run is stopped makes no difference to it: it goes on as if it had not been.
    pub fn advance(&mut self, limit: u64, stops: u64) {
        let budget = self.config.instructions_max.unwrap_or(u64::MAX);
        self.run_slice(limit.min(budget), stops);
        if self.end.is_none() && self.instructions() >= budget {
            self.end = Some(End::Budget);
        }
    }

    /// Whether the next thing is an instruction of the current hart's thread.
    pub const fn is_dispatched(&self) -> bool {
        self.turn.is_some() && self.end.is_none()
    }

    /// Has the scheduler do its next thing, unless an instruction is next: it chooses who runs,
    /// takes up a call or a fault that waited, or lets time pass.
    pub fn dispatch_next(&mut self) {
        if self.end.is_none() && self.turn.is_none() {
            self.dispatch_one();
        }
    }

    /// Ends a run in which nothing but faults and waiting goes on: neither an instruction budget nor
    /// a program's own loop would.
    fn note_stop(&mut self, progressed: bool) {
        self.tally.stuck = if progressed { 0 } else { self.tally.stuck + 1 };
        if self.tally.stuck >= STUCK_STOPS && self.end.is_none() {
            let reason = format!("no instruction was retired in {STUCK_STOPS} faults");
            self.end = Some(End::Killed { signal: Signal::SIGKILL, reason });
        }
    }

    /// Runs until `limit` instructions have been retired in all, the first process ends, or harts
    /// have stopped `stops` times.
    fn run_slice(&mut self, limit: u64, stops: u64) {
        let mut left = stops;
        while self.end.is_none() && left > 0 {
            let retired = self.instructions();
            if retired >= limit {
                return;
            }
            match self.turn.take() {
                Some(turn) => left -= self.run_hart(turn, limit - retired, left),
                None => left -= self.dispatch_one(),
            }
        }
    }

    /// Does what the scheduler says, or begins the turn that it gives; returns whether that was a
    /// stop.
    fn dispatch_one(&mut self) -> u64 {
        self.listener.set_window(self.instructions());
        match self.dispatch() {
            Dispatched::Run { instructions } => {
                let start = self.hart.retired;
                self.turn = Some(Turn { start, end: start.saturating_add(instructions) });
                return 0;
            }
            Dispatched::Call(tid) => self.in_kernel(|machine| machine.serve_call(tid)),
            Dispatched::Fault(tid, fault) => self.in_kernel(|machine| {
                let _goes_on = machine.serve_fault(tid, fault);
            }),
            Dispatched::Idle if self.schedule.idles() < IDLE_MAX => {}
            Dispatched::Idle | Dispatched::Deadlock => {
                let reason = self.deadlock();
                self.end = Some(End::Killed { signal: Signal::SIGKILL, reason });
            }
        }
        self.note_stop(false);
        1
    }

    /// What everybody waits for: perhaps for somebody who was killed.
    fn deadlock(&self) -> String {
        let waits = self.system.deadlock();
        match self.os.counters().oom_kill {
            0 => waits,
            1 => format!("{waits}; a process was killed before, for lack of memory"),
            kills => format!("{waits}; {kills} processes were killed before, for lack of memory"),
        }
    }

    /// Runs the current hart's turn for so many instructions, at most `stops` times; returns how
    /// often it stopped for the kernel.
    ///
    /// After a fault that was resolved the same thread goes on without asking the scheduler; where
    /// there are other harts, only until it has made progress: else two harts could take the
    /// entries of a shared table from each other for ever.
    fn run_hart(&mut self, turn: Turn, instructions: u64, stops: u64) -> u64 {
        let limit = self.hart.retired.saturating_add(instructions).min(turn.end);
        // Nobody else runs, and nothing happens meanwhile.
        let is_alone = self.memory.harts() == 1 && self.config.device_wait == DeviceWait::Hart;
        for stopped in 1..=stops {
            let before = self.hart.retired;
            let stop = if self.listener.observer.is_some() {
                self.run_observed(limit)
            } else if self.config.slow || self.memory.is_plain() {
                run_plain(&mut self.hart, &mut self.memory, limit)
            } else {
                run(&mut self.hart, &mut self.memory, &mut self.blocks, limit)
            };
            let retired = self.hart.retired - before;
            self.schedule.retired(retired);
            if stop == Stop::Budget {
                self.tally.stuck = 0;
                self.turn = (self.hart.retired < turn.end).then_some(turn);
                return stopped - 1;
            }
            self.listener.set_window(self.instructions() - u64::from(stop == Stop::Ecall));
            let mut goes_on = false;
            match stop {
                Stop::Fault(_) if is_alone && self.listener.is_alone() => {
                    self.inside_kernel(|machine| goes_on = machine.serve(stop));
                }
                _ => self.in_kernel(|machine| goes_on = machine.serve(stop)),
            }
            self.note_stop(retired > 0);
            let is_free = is_alone || self.hart.retired == turn.start;
            if !goes_on || !is_free || self.end.is_some() || self.hart.retired >= turn.end {
                return stopped;
            }
        }
        self.turn = Some(turn);
        stops
    }

    /// The end, once there is one.
    pub const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Instructions retired so far, by all harts.
    pub fn instructions(&self) -> u64 {
        self.schedule.instructions()
    }

    /// Checks the whole system: frames, mappings, slots, queues, and that no TLB holds a stale
    /// translation.
    ///
    /// # Errors
    /// What does not hold, by frame, address or slot.
    pub fn audit(&mut self) -> Result<(), String> {
        let platform = MachinePlatform {
            memory: &mut self.memory,
            swap: &mut self.swap,
            queues: &mut self.queues,
            files: &self.host.files,
            listener: &mut self.listener,
        };
        self.os.audit(&platform)?;
        if let (Some(observer), Some(policy)) = (&self.listener.observer, self.os.policy_mut()) {
            observer.audit(policy)?;
        }
        self.swap.audit(|slot| self.os.slot_content(slot))
    }

    /// Audits after every stop of a hart from now on. A run in which something does not hold ends
    /// there, and says what.
    pub const fn audit_always(&mut self) {
        self.audits = true;
    }

    /// Ends all processes, frees their memory and checks that nothing is held any more.
    ///
    /// # Errors
    /// What does not hold, or is held.
    pub fn tear_down(&mut self) -> Result<(), String> {
        self.lend(Os::complete_all);
        self.with_system(|system, memory, _, _| system.tear_down(memory));
        self.lend(Os::after_stop);
        self.audit()?;
        let (frames, slots) = (self.os.frames(), self.os.swap_used());
        match (frames.anon, slots) {
            (0, 0) => Ok(()),
            (anon, slots) => Err(format!("{anon} private pages and {slots} swap slots are lost")),
        }
    }

    /// A copy of the machine as it is now, with a swap device of its own. The streams are shared.
    ///
    /// # Errors
    /// If the swap device cannot be copied.
    pub fn snapshot(&self) -> io::Result<Self> {
        Ok(Self {
            config: self.config.clone(),
            command: self.command.clone(),
            hart: self.hart.clone(),
            blocks: self.blocks.clone(),
            memory: self.memory.clone(),
            os: self.os.clone(),
            space: self.space,
            schedule: self.schedule.clone(),
            system: self.system.clone(),
            host: self.host.snapshot(),
            swap: self.swap.snapshot()?,
            queues: self.queues.clone(),
            pressure: self.pressure,
            load_control: self.load_control.clone(),
            livelock: self.livelock,
            listener: self.listener.snapshot(),
            random: self.random.clone(),
            tally: self.tally.clone(),
            end: self.end.clone(),
            watcher: Watcher::default(),
            turn: self.turn,
            audits: self.audits,
        })
    }

    /// How often files below the root were changed, or may have been: by this machine or its copies.
    pub fn file_changes(&self) -> u64 {
        self.host.changes()
    }

    /// Files that the program has open and that have lost all their names.
    ///
    /// # Errors
    /// The host's.
    pub fn nameless_files(&self) -> io::Result<Vec<(HostInode, File)>> {
        self.host.nameless()
    }

    /// Has another root directory, with the same files: `moved` says which is which.
    ///
    /// # Errors
    /// If one cannot be opened there.
    pub fn move_files(
        &mut self,
        root: &Path,
        moved: &BTreeMap<HostInode, Moved>,
    ) -> io::Result<()> {
        let root = Root::open(Some(root), None).map_err(|(_, error)| error)?;
        self.host.move_to(root, moved)
    }

    /// The swap devices, to inject faults into.
    pub fn swap_mut(&mut self) -> &mut SwapDevices {
        &mut self.swap
    }

    /// Virtual time passed on the current hart, by where it went.
    pub(crate) fn cycle_parts(&self) -> CycleParts {
        let total = total(&self.references_of(self.memory.hart()));
        self.memory.time.parts(self.hart.retired, total, &self.memory)
    }

    fn progress(&self) -> Progress {
        let counters = self.os.counters();
        Progress {
            instructions: self.instructions(),
            faults: counters.pgfault,
            major_faults: counters.pgmajfault,
        }
    }

    /// Enters the kernel on the current hart, and leaves it again.
    pub(crate) fn in_kernel(&mut self, work: impl FnOnce(&mut Self)) {
        self.look_at_clock();
        self.inside_kernel(work);
    }

    /// The thread is charged for its time, and the listener told what time it is.
    pub(crate) fn look_at_clock(&mut self) {
        let now = self.cycle_parts().total();
        self.charge(now);
        self.listener.set_now(self.instructions(), now);
    }

    /// [`Machine::in_kernel`], for work of which nobody hears when it was done. What the thread is
    /// not charged for here, it is charged for next time.
    fn inside_kernel(&mut self, work: impl FnOnce(&mut Self)) {
        if self.os.follows_time() {
            let working = self.cycle_parts().working();
            self.os.set_time(working);
        }
        if self.os.collapses() {
            let now = self.cycle_parts().total();
            self.os.set_elapsed(self.config.cost.nanoseconds(now));
        }
        self.memory.enter_kernel(self.hart.retired);
        self.swap.begin_batch();
        work(self);
        let failure = self.swap.take_failure();
        if let Some(failure) = &failure {
            self.host.say_once(failure);
        }
        self.watch_for_livelock();
        if self.os.has_oom_kills() {
            let situation = self.fullness();
            self.with_system(|system, memory, _, _| system.end_oom_victims(memory, &situation));
        }
        if self.system.oom_ends().len() > self.tally.oom_told {
            self.tell_oom_ends();
        }
        if let Some(outcome) = self.system.end() {
            self.end = Some(match outcome.clone() {
                Outcome::Exit(status) => End::Exited(status),
                Outcome::Killed { signal: signal @ Signal::SIGBUS, reason } => {
                    let because = failure.map(|failure| format!(": {failure}"));
                    End::Killed { signal, reason: reason + &because.unwrap_or_default() }
                }
                Outcome::Killed { signal, reason } => End::Killed { signal, reason },
            });
        }
        self.lend(Os::after_stop);
        if self.memory.code_end().is_some() {
            let space = self.current_space();
            self.lend(|os, platform| os.follow_code(platform, space));
        }
        if self.end.is_some() {
            let space = self.current_space();
            self.lend(|os, platform| os.finish(platform, space));
        }
        self.memory.leave_kernel(self.hart.retired);
        self.settle();
        if self.audits
            && let Err(what) = self.audit()
        {
            let reason = format!("the audit failed: {what}");
            self.end = Some(End::Killed { signal: Signal::SIGKILL, reason });
        }
    }

    /// The current hart's thread has run until now.
    pub(crate) fn charge(&mut self, now: u64) {
        let before = self.schedule.set_cycles(now);
        let running = self.schedule.current().thread;
        if let Some(thread) = running.and_then(|tid| self.system.thread_mut(tid)) {
            let cost = &self.config.cost;
            thread.cpu_ns += cost.nanoseconds(now) - cost.nanoseconds(before);
        }
    }

    /// The space of the thread that the current hart runs, or ran last.
    pub(crate) fn current_space(&self) -> SpaceId {
        let running = self.schedule.current().thread;
        running.and_then(|tid| self.system.space_of(tid)).unwrap_or(self.space)
    }

    /// Lends the system the memory of the current thread, the host and the clock.
    pub(crate) fn with_system(
        &mut self,
        call: impl FnOnce(&mut System, &mut dyn UserMemory, &mut Host, &mut dyn Clock),
    ) {
        let cost: CostModel = self.memory.time.cost;
        let (now, space) = (self.cycle_parts().total(), self.current_space());
        let (hart, harts) = (self.schedule.current_number(), self.memory.harts());
        let random = &mut self.random;
        let mut clock = GuestClock { hart, harts, cycles: now, cost: &cost, random };
        let files = self.host.files.clone();
        let mut platform = MachinePlatform {
            memory: &mut self.memory,
            swap: &mut self.swap,
            queues: &mut self.queues,
            files: &files,
            listener: &mut self.listener,
        };
        let (system, host) = (&mut self.system, &mut self.host);
        self.os.with_memory(&mut platform, space, |memory| {
            call(system, memory, host, &mut clock);
        });
    }

    /// The regions of all processes that there are, in the words of /proc/PID/maps, or of smaps
    /// `with_usage`; under each process's number if there are several.
    pub fn maps(&mut self, with_usage: bool) -> String {
        let mut text = String::new();
        self.with_system(|system, memory, host, _| text = system.maps(memory, host, with_usage));
        text
    }

    /// Lends the operating system what is below it.
    pub(crate) fn lend<R>(
        &mut self,
        call: impl FnOnce(&mut Os, &mut MachinePlatform<'_>) -> R,
    ) -> R {
        let mut platform = MachinePlatform {
            memory: &mut self.memory,
            swap: &mut self.swap,
            queues: &mut self.queues,
            files: &self.host.files,
            listener: &mut self.listener,
        };
        call(&mut self.os, &mut platform)
    }

    /// Brings virtual time up to what the kernel has counted.
    pub(crate) fn settle(&mut self) {
        self.space = self.system.first_space().unwrap_or(self.space);
        let tables = self.os.frames().page_table;
        self.tally.peak_page_tables = self.tally.peak_page_tables.max(tables);
        let anon_huge = self.os.residency(self.space).anon_huge;
        self.tally.peak_anon_huge = self.tally.peak_anon_huge.max(anon_huge);
        self.tally.peak_swap = self.tally.peak_swap.max(self.os.swap_used());
        self.memory.time.outside = outside(
            &self.memory.time.cost,
            self.os.counters(),
            &self.tally,
            &self.listener.traffic,
            self.memory.ram.page(),
        );
    }

    /// The thread has its registers back; its `pc` is so many bytes before the hart's.
    pub(crate) fn save_registers(&mut self, tid: Pid, behind: u64) {
        let hart = &self.hart;
        let Some(thread) = self.system.thread_mut(tid) else { return };
        thread.regs = Regs {
            x: std::array::from_fn(|n| hart.x(n)),
            f: std::array::from_fn(|n| hart.f(n)),
            fcsr: hart.fcsr(),
            pc: hart.pc.wrapping_sub(behind),
        };
    }

    /// The hart has the thread's registers.
    pub(crate) fn load_registers(&mut self, tid: Pid) {
        let Some(thread) = self.system.thread(tid) else { return };
        let regs = &thread.regs;
        for n in 0..32 {
            self.hart.set_x(n, regs.x[n]);
            self.hart.set_f(n, regs.f[n]);
        }
        self.hart.set_fcsr(regs.fcsr);
        self.hart.pc = regs.pc;
    }
}
