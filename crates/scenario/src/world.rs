//! A machine of words: it runs, one instruction after the other.
//!
//! An instruction of the machine is one turn of [`World::turn`]: who runs is chosen, the
//! instruction is executed, faults are handled and the instruction is made again, calls are served.

use pagewalk_cpu::toy::{Call, Op, Outcome, Rights, WordBus};
use pagewalk_kernel::{Errno, FaultResult, KernelError, Prot, SegvCode, Signal};
use pagewalk_mmu::{Access, AccessKind, PhysAddr, VirtAddr};
use pagewalk_step::Kind;

use crate::board::{Board, Wires};
use crate::journal::{Journal, What};
use crate::memory_call::{Manager, MemoryCall};
use crate::system::{Process, Status, System, Turn};

/// How often an access may fault before it is taken that it never succeeds.
const FAULTS_MAX: u32 = 64;

/// A machine of words.
#[derive(Clone, Debug)]
pub struct World {
    /// Memory, MMU and devices.
    pub board: Board,
    /// Processes and kernel.
    pub system: System,
}

/// Why an access was not made.
enum Stop {
    /// The process is killed for it.
    Kill(String),
}

impl World {
    /// Executes one instruction, or says that the run is over. `false` once it is.
    pub fn turn(&mut self, journal: &mut Journal) -> bool {
        if self.system.is_over {
            return false;
        }
        journal.set_process(self.system.running);
        let Some(process) = self.choose(journal) else {
            self.finish(journal);
            return true;
        };
        journal.set_process(Some(process));
        let code = self.system.processes[process].program.clone();
        if let Some(op) = code.code.get(self.system.processes[process].cpu.pc) {
            self.execute(process, op, journal);
        }
        self.note_done(process, journal);
        self.system.left = self.system.left.saturating_sub(1);
        self.keep_time(journal);
        true
    }

    /// A process whose code is at its end is done.
    fn note_done(&mut self, process: usize, journal: &mut Journal) {
        let Process { program, cpu, status, .. } = &mut self.system.processes[process];
        if *status == Status::Ready && cpu.pc >= program.code.len() {
            *status = Status::Done;
            self.wake_parent(process);
            journal.set_system(&self.system, journal.len());
        }
    }

    /// What the kernel does by the clock.
    fn keep_time(&mut self, journal: &mut Journal) {
        let since = journal.len();
        let Self { board, system } = self;
        let now = board.references;
        if let Some(kernel) = &mut system.kernel {
            if kernel.follows_time() {
                kernel.set_time(now);
            }
            kernel.daemon(&mut Wires { board, journal });
        }
        journal.set_system(&self.system, since);
    }

    /// Says who runs the next instruction, and lets the script have its way.
    fn choose(&mut self, journal: &mut Journal) -> Option<usize> {
        loop {
            let running = self.system.running.filter(|&running| self.system.is_ready(running));
            if let Some(running) = running
                && self.system.left > 0
            {
                return Some(running);
            }
            let next = if self.system.script.is_empty() {
                self.system.left = self.system.quantum;
                self.bring_back(journal);
                self.system.next_ready(self.system.running)?
            } else {
                match self.system.script.remove(0) {
                    Turn::Run(process, instructions) if self.system.is_ready(process) => {
                        self.system.left = instructions;
                        process
                    }
                    Turn::Run(..) => continue,
                    Turn::SwapOut(process) => {
                        self.swap_out(process, journal);
                        continue;
                    }
                    Turn::SwapIn(process) => {
                        self.swap_in(process, journal);
                        continue;
                    }
                }
            };
            if self.system.running != Some(next) {
                self.switch_to(next, journal);
            }
            return Some(next);
        }
    }

    fn switch_to(&mut self, process: usize, journal: &mut Journal) {
        let is_first = self.system.running.is_none();
        self.system.running = Some(process);
        let Self { board, system } = self;
        let wires = &mut Wires { board, journal };
        match (&system.kernel, &mut system.segments, system.processes[process].space) {
            (Some(kernel), _, Some(space)) => kernel.activate(wires, space),
            (_, Some(segments), Some(space)) => segments.activate(wires, space),
            _ => {}
        }
        journal.set_process(Some(process));
        journal.set_system(&self.system, journal.len());
        if !is_first || self.system.processes.len() > 1 {
            journal.note(What::Switch, &self.board);
        }
    }

    fn swap_out(&mut self, process: usize, journal: &mut Journal) {
        let since = journal.len();
        let Self { board, system } = self;
        if let (Some(kernel), Some(space)) = (&mut system.kernel, system.processes[process].space) {
            kernel.swap_out_space(&mut Wires { board, journal }, space);
            system.processes[process].status = Status::SwappedOut;
        }
        journal.set_system(&self.system, since);
        journal.note(What::Swapper { process, out: true }, &self.board);
    }

    fn swap_in(&mut self, process: usize, journal: &mut Journal) {
        if self.system.processes[process].status == Status::SwappedOut {
            self.system.processes[process].status = Status::Ready;
            journal.set_system(&self.system, journal.len());
            journal.note(What::Swapper { process, out: false }, &self.board);
        }
    }

    /// Those who were swapped out come back when nobody else can run.
    fn bring_back(&mut self, journal: &mut Journal) {
        if self.system.next_ready(self.system.running).is_none() {
            let out = |status: &Status| *status == Status::SwappedOut;
            let first = self.system.processes.iter().position(|process| out(&process.status));
            if let Some(process) = first {
                self.swap_in(process, journal);
            }
        }
    }

    fn finish(&mut self, journal: &mut Journal) {
        let waiting = self.system.processes.iter().any(|process| process.status == Status::Waiting);
        let reason = match waiting {
            true => "Nobody can run: all processes that are left wait.",
            false => "Nobody has anything more to do.",
        };
        self.system.is_over = true;
        journal.set_process(None);
        journal.set_system(&self.system, journal.len());
        journal.note(What::End { reason: reason.to_owned() }, &self.board);
    }

    fn execute(&mut self, process: usize, op: &Op, journal: &mut Journal) {
        journal.note(What::Instruction { op: *op }, &self.board);
        let mut cpu = self.system.processes[process].cpu.clone();
        let mut bus = Bus { board: &mut self.board, system: &mut self.system, process, journal };
        match cpu.execute(op, &mut bus) {
            Ok(outcome) => {
                self.board.instructions += 1;
                self.system.processes[process].cpu = cpu;
                journal.set_system(&self.system, journal.len());
                match outcome {
                    Outcome::Next => {}
                    Outcome::Call(call) => self.serve(process, call, journal),
                }
                if self.system.is_ready(process) {
                    journal.note(What::Retired { op: *op }, &self.board);
                }
            }
            Err(Stop::Kill(reason)) => self.kill(process, reason, journal),
        }
    }

    fn kill(&mut self, process: usize, reason: String, journal: &mut Journal) {
        journal.note(What::Killed { process, reason: reason.clone() }, &self.board);
        self.end(process, Status::Killed(reason), journal);
    }

    fn exit(&mut self, process: usize, journal: &mut Journal) {
        self.end(process, Status::Ended, journal);
        journal.note(What::Exit, &self.board);
    }

    /// Ends a process: its memory is free, and who waits for it may go on.
    fn end(&mut self, process: usize, status: Status, journal: &mut Journal) {
        let since = journal.len();
        let Self { board, system } = self;
        let space = system.processes[process].space.take();
        let wires = &mut Wires { board, journal };
        match (&mut system.kernel, &mut system.segments, space) {
            (Some(kernel), _, Some(space)) => kernel.destroy_space(wires, space),
            (_, Some(segments), Some(space)) => segments.destroy_space(wires, space),
            _ => {}
        }
        system.processes[process].status = status;
        self.wake_parent(process);
        journal.set_system(&self.system, since);
    }

    /// Who waits for a process that is over may go on, if it was the last.
    fn wake_parent(&mut self, process: usize) {
        let processes = &mut self.system.processes;
        let Some(parent) = processes[process].parent else { return };
        let mut children = processes.iter().filter(|other| other.parent == Some(parent));
        let all_over = children.all(|child| child.status.is_over());
        if all_over && processes[parent].status == Status::Waiting {
            processes[parent].status = Status::Ready;
        }
    }

    fn serve(&mut self, process: usize, call: Call<u64>, journal: &mut Journal) {
        match call {
            Call::Exit => self.exit(process, journal),
            Call::Yield => self.system.left = 1,
            Call::Wait => self.wait(process, journal),
            Call::Fork(reg) => match self.fork(process, journal) {
                Ok(child) => {
                    self.system.processes[process].cpu.set(reg, child as u64 + 1);
                    self.system.processes[child].cpu.set(reg, 0);
                    journal.set_system(&self.system, journal.len());
                }
                Err(reason) => {
                    self.system.processes[process].cpu.set(reg, u64::MAX);
                    self.refuse(reason, journal);
                }
            },
            Call::Map(address, pages, rights) => {
                let (len, prot) = (self.system.geometry.len(pages), prot_of(rights));
                let what = What::Map { address, pages };
                self.memory_call(process, address, journal, what, |call| call.map(len, prot));
            }
            Call::Unmap(address, pages) => {
                let (len, what) = (self.system.geometry.len(pages), What::Unmap { address, pages });
                self.memory_call(process, address, journal, what, |call| call.unmap(len));
            }
            Call::Protect(address, pages, rights) => {
                let (len, prot) = (self.system.geometry.len(pages), prot_of(rights));
                let what = What::Protect { address, pages, prot };
                self.memory_call(process, address, journal, what, |call| call.protect(len, prot));
            }
            Call::Evict(address) => {
                // The moments of the eviction say it all.
                let what = What::Refused { reason: String::new() };
                self.memory_call(process, address, journal, what, |call| call.evict());
            }
        }
    }

    fn refuse(&mut self, reason: String, journal: &mut Journal) {
        journal.set_system(&self.system, journal.len());
        journal.note(What::Refused { reason }, &self.board);
    }

    fn wait(&mut self, process: usize, journal: &mut Journal) {
        let is_child = |other: &&Process| other.parent == Some(process);
        if self.system.processes.iter().filter(is_child).any(|child| !child.status.is_over()) {
            self.system.processes[process].status = Status::Waiting;
            journal.set_system(&self.system, journal.len());
            journal.note(What::Waits, &self.board);
        }
    }

    fn fork(&mut self, parent: usize, journal: &mut Journal) -> Result<usize, String> {
        let since = journal.len();
        let Self { board, system } = self;
        let (Some(kernel), Some(space)) = (&mut system.kernel, system.processes[parent].space)
        else {
            return Err("without pages there is no fork".to_owned());
        };
        let made = kernel.fork_space(&mut Wires { board, journal }, space);
        let space = made.map_err(|error| match error {
            KernelError::OutOfMemory(shortage) => shortage.to_string(),
            error => error.to_string(),
        })?;
        let child = system.processes.len();
        let mut process = system.processes[parent].clone();
        let copies = system.processes.iter().filter(|other| other.parent == Some(parent)).count();
        process.name = format!("{}{}", process.name, "'".repeat(copies + 1));
        (process.space, process.parent, process.status) =
            (Some(space), Some(parent), Status::Ready);
        system.processes.push(process);
        let residency = kernel.residency(space);
        let pages = residency.rss() + residency.swapped;
        journal.set_system(&self.system, since);
        journal.note(What::Fork { child, pages }, &self.board);
        Ok(child)
    }

    /// A call about pages; 0 or 1 is left in r0.
    fn memory_call(
        &mut self,
        process: usize,
        address: u64,
        journal: &mut Journal,
        what: What,
        call: impl FnOnce(MemoryCall<'_>) -> Result<(), Errno>,
    ) {
        let since = journal.len();
        let va = self.system.geometry.va(address);
        let Self { board, system } = self;
        let wires = Wires { board, journal };
        let manager = match (&mut system.kernel, &mut system.segments) {
            (Some(kernel), _) => Some(Manager::Pages(kernel)),
            (_, Some(kernel)) => Some(Manager::Segments(kernel)),
            _ => None,
        };
        let result = match (manager, system.processes[process].space, va) {
            (Some(manager), Some(space), Some(va)) => {
                call(MemoryCall { manager, wires, space, va }).map_err(|error| error.to_string())
            }
            (None, ..) => Err("nobody manages memory here".to_owned()),
            _ => Err("the address is beyond the address space".to_owned()),
        };
        if let Some(reg) = pagewalk_cpu::toy::Reg::new(0) {
            let answer = u64::from(result.is_err());
            system.processes[process].cpu.set(reg, answer);
            system.processes[process].shown |= 1;
        }
        journal.set_system(&self.system, since);
        match (result, what) {
            (Ok(()), What::Refused { .. }) => {}
            (Ok(()), what) => journal.note(what, &self.board),
            (Err(reason), _) => journal.note(What::Refused { reason }, &self.board),
        }
    }

    /// Checks everything that can be checked of the kernel.
    ///
    /// # Errors
    /// What does not hold.
    pub fn audit(&mut self) -> Result<(), String> {
        let Self { board, system } = self;
        let mut journal = Journal::counting();
        let wires = Wires { board, journal: &mut journal };
        match (&system.kernel, &system.segments) {
            (Some(kernel), _) => kernel.audit(&wires).map_err(|error| error.to_string()),
            (_, Some(segments)) => segments.audit(&wires),
            _ => Ok(()),
        }
    }
}

const fn prot_of(rights: Rights) -> Prot {
    match rights {
        Rights::None => Prot::empty(),
        Rights::Read => Prot::READ,
        Rights::ReadWrite => Prot::READ.union(Prot::WRITE),
    }
}

/// Memory as a process sees it.
struct Bus<'a> {
    board: &'a mut Board,
    system: &'a mut System,
    process: usize,
    journal: &'a mut Journal,
}

impl Bus<'_> {
    fn note(&mut self, what: What) {
        self.journal.note(what, self.board);
    }

    /// The physical address of a word, once its page is there.
    fn reach(&mut self, address: u64, kind: AccessKind) -> Result<PhysAddr, Stop> {
        self.note(What::Split { address, kind });
        if self.board.segments.is_some() {
            return self.reach_in_segment(address, kind);
        }
        if self.system.kernel.is_none() {
            return self.reach_unpaged(address);
        }
        let Some(va) = self.system.geometry.va(address) else {
            return Err(Stop::Kill(format!("address {address} is beyond every address space")));
        };
        for _ in 0..FAULTS_MAX {
            match self.board.translate(va, address, kind, self.journal) {
                Ok(hit) => {
                    self.note(What::Translated { address, pa: hit.pa });
                    return Ok(hit.pa);
                }
                Err(fault) => {
                    self.note(What::Fault { address, fault });
                    self.resolve(address, va, kind)?;
                }
            }
        }
        Err(Stop::Kill(format!("the access to {address} faulted {FAULTS_MAX} times")))
    }

    /// Without pages the address is physical, or becomes so by the process's bounds.
    fn reach_unpaged(&mut self, address: u64) -> Result<PhysAddr, Stop> {
        let geometry = self.system.geometry;
        let memory = self.board.ram.len() * geometry.page_words;
        let (base, limit) = self.system.processes[self.process].bounds.unwrap_or((0, memory));
        if address >= limit {
            self.note(What::Trap { address, limit });
            let reason = match self.system.processes[self.process].bounds {
                Some(_) => format!("address {address} is out of bounds: it has {limit} words"),
                None => format!("there is no memory at {address}: there are {limit} words"),
            };
            return Err(Stop::Kill(reason));
        }
        let (frame, offset) = geometry.split(base + address);
        let pa = PhysAddr((frame << geometry.page.shift()) + offset * geometry.word);
        self.note(What::Translated { address, pa });
        Ok(pa)
    }

    /// The address chooses a segment, whose bounds are checked and whose base is added.
    fn reach_in_segment(&mut self, address: u64, kind: AccessKind) -> Result<PhysAddr, Stop> {
        let geometry = self.system.geometry;
        let (Some(table), Some(va)) = (&self.board.segments, geometry.va(address)) else {
            return Err(Stop::Kill(format!("address {address} is in no segment")));
        };
        match table.translate(va.0, geometry.word, Access::user(kind)) {
            Ok(placed) => {
                let pa = PhysAddr(placed.address);
                self.note(What::Translated { address, pa });
                Ok(pa)
            }
            Err(fault) => {
                self.note(What::Fault { address, fault });
                Err(Stop::Kill(format!("the access to {address} trapped: {}", fault.cause)))
            }
        }
    }

    /// The page-fault handler.
    fn resolve(&mut self, address: u64, va: VirtAddr, kind: AccessKind) -> Result<(), Stop> {
        let since = self.journal.len();
        self.note(What::Region { address });
        let Some(space) = self.system.processes[self.process].space else {
            return Err(Stop::Kill("the process has no memory any more".to_owned()));
        };
        let Some(kernel) = &mut self.system.kernel else { unreachable!("pages have a kernel") };
        let wires = &mut Wires { board: self.board, journal: self.journal };
        let result = kernel.fault(wires, space, va, kind);
        match result {
            FaultResult::Resolved { .. } => {
                if !self.journal.kinds()[since..].contains(&Kind::Resolved) {
                    self.note(What::Resolved { va, cause: None, pfn: None });
                }
                self.journal.set_system(self.system, since);
                self.bury();
                Ok(())
            }
            FaultResult::Signal { signal, .. } => {
                self.journal.set_system(self.system, since);
                Err(Stop::Kill(told(signal, address)))
            }
            FaultResult::OutOfMemory(shortage) => {
                self.journal.set_system(self.system, since);
                Err(Stop::Kill(format!("there is no memory for it: {shortage}")))
            }
        }
    }

    /// Whoever was killed for lack of memory is gone.
    fn bury(&mut self) {
        let Some(kernel) = &mut self.system.kernel else { return };
        for kill in kernel.take_oom_kills() {
            if let Some(process) = self.system.process_of(kill.victim) {
                let reason = format!("memory is short, and it had {} pages", kill.held.rss());
                self.journal.note(What::Killed { process, reason: reason.clone() }, self.board);
                self.system.processes[process].status = Status::Killed(reason);
            }
        }
    }
}

/// A signal in words.
fn told(signal: Signal, address: u64) -> String {
    match signal {
        Signal::Segv(SegvCode::MapErr) => {
            format!("address {address} is in no region of its address space (SIGSEGV)")
        }
        Signal::Segv(SegvCode::AccErr) => {
            format!("its region does not allow that at address {address} (SIGSEGV)")
        }
        Signal::Bus => format!("the page of address {address} cannot be had (SIGBUS)"),
    }
}

impl WordBus for Bus<'_> {
    type Fault = Stop;

    fn load(&mut self, address: u64) -> Result<u64, Stop> {
        let pa = self.reach(address, AccessKind::Read)?;
        let geometry = self.system.geometry;
        let frame = self.board.ram.frame(pa.pfn(geometry.page));
        let offset = VirtAddr(pa.0).offset(geometry.page) / geometry.word;
        let value = geometry.get(frame, offset);
        self.board.references += 1;
        self.note(What::Load { address, pa, value });
        Ok(value)
    }

    fn store(&mut self, address: u64, value: u64) -> Result<(), Stop> {
        let pa = self.reach(address, AccessKind::Write)?;
        let geometry = self.system.geometry;
        let frame = self.board.ram.frame_mut(pa.pfn(geometry.page));
        let offset = VirtAddr(pa.0).offset(geometry.page) / geometry.word;
        let old = geometry.get(frame, offset);
        geometry.put(frame, offset, value);
        let value = geometry.get(frame, offset);
        self.board.references += 1;
        self.note(What::Store { address, pa, old, value });
        Ok(())
    }
}
