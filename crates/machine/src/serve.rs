//! What a hart stopped for, and who serves it.
//!
//! ```text
//!   Stop::Fault ──► Os::fault ──► resolved ──► the thread goes on
//!        ▲               ├──────► waits ─────► blocked; tried again when a device is done
//!        │               └──────► refused ───► signal, or nothing is left to give it: killed
//!   Stop::Ecall ──► System::serve
//!   Illegal, Ebreak, Misaligned ──► signal
//! ```

use pagewalk_cpu::{AccessKind, MemFault, Stop};
use pagewalk_kernel::{Attempt, FaultResult, Shortage, Signal as Refusal, Waited};
use pagewalk_linux::{FIRST, PendingFault, Pid, Signal, SyncSignal};
use pagewalk_mmu::{Access, VirtAddr};

use crate::machine::Machine;
use crate::watch::{FaultView, FaultWatcher};

/// Numbers above are no system calls: a program that makes them up is not counted by each.
const SYSCALLS_MAX: u64 = 4096;

impl Machine {
    /// Does what the hart stopped for; says whether its thread simply goes on.
    pub(crate) fn serve(&mut self, stop: Stop) -> bool {
        let Some(tid) = self.schedule.current().thread else { return false };
        match stop {
            Stop::Budget => {}
            Stop::Ecall => {
                self.save_registers(tid, ECALL_BYTES);
                self.serve_call(tid);
            }
            Stop::Fault(fault) => return self.fault(tid, fault),
            Stop::Ebreak => self.signal(tid, Signal::SIGTRAP, TRAP_BRKPT, self.hart.pc),
            Stop::Illegal => self.signal(tid, Signal::SIGILL, ILL_ILLOPC, self.hart.pc),
            Stop::Misaligned(fault) => self.signal(tid, Signal::SIGBUS, BUS_ADRALN, fault.va),
        }
        false
    }

    /// Says whether the fault was resolved.
    fn fault(&mut self, tid: Pid, fault: MemFault) -> bool {
        self.tally.traps += 1;
        let kind = match fault.kind {
            AccessKind::Fetch => pagewalk_mmu::AccessKind::Execute,
            AccessKind::Load => pagewalk_mmu::AccessKind::Read,
            AccessKind::Store => pagewalk_mmu::AccessKind::Write,
        };
        let waited = Waited::default();
        self.serve_fault(tid, PendingFault { va: VirtAddr(fault.va), kind, waited })
    }

    /// Serves a fault, perhaps not for the first time; says whether it was resolved.
    pub(crate) fn serve_fault(&mut self, tid: Pid, fault: PendingFault) -> bool {
        let PendingFault { va, kind, waited } = fault;
        let space = self.current_space();
        self.watch(va, kind, |watcher, view| watcher.before(view));
        let attempt = self.lend(|os, platform| os.fault(platform, space, va, kind, waited));
        self.watch(va, kind, |watcher, view| watcher.after(view, describe(&attempt)));
        let result = match attempt {
            Attempt::Done(FaultResult::Resolved { .. }) => return true,
            Attempt::Done(result) => result,
            Attempt::Wait { on, waited } => {
                self.save_registers(tid, 0);
                self.system.wait_for_page(tid, PendingFault { waited, ..fault }, on);
                self.follow(tid);
                return false;
            }
        };
        self.look_at_clock();
        match result {
            FaultResult::Resolved { .. } => {}
            FaultResult::Signal { signal: refusal, addr } => {
                let signal = match refusal {
                    Refusal::Segv(_) => Signal::SIGSEGV,
                    Refusal::Bus => Signal::SIGBUS,
                };
                self.deliver(tid, SyncSignal { signal, code: refusal.si_code(), addr: addr.0 });
            }
            FaultResult::OutOfMemory(shortage) => {
                let reason = self.out_of_memory(shortage);
                self.save_registers(tid, 0);
                self.with_system(|system, memory, _, _| system.out_of_memory(tid, memory, reason));
                self.follow(tid);
            }
        }
        false
    }

    /// Shows a fault to the watcher, if there is one.
    fn watch(
        &mut self,
        va: VirtAddr,
        kind: pagewalk_mmu::AccessKind,
        show: impl FnOnce(&mut dyn FaultWatcher, &FaultView<'_>),
    ) {
        if let Some(watcher) = &mut self.watcher.0 {
            let view = FaultView {
                instructions: self.hart.retired,
                pc: self.hart.pc,
                va,
                access: Access::user(kind),
                segmentation: self.memory.segmentation(),
                mmu: self.memory.mmu(),
                ram: &self.memory.ram,
            };
            show(watcher.as_mut(), &view);
        }
    }

    /// Says which processes were ended for lack of memory; of the first the run's end tells.
    pub(crate) fn tell_oom_ends(&mut self) {
        let ends = self.system.oom_ends();
        for end in ends[self.tally.oom_told..].iter().filter(|end| end.pid != FIRST) {
            let (pid, name) = (end.pid, end.name.escape_debug());
            self.host.say_once(&format!("process {pid} ({name}) was killed: {}", end.reason));
        }
        self.tally.oom_told = ends.len();
    }

    fn out_of_memory(&self, shortage: Shortage) -> String {
        format!("out of memory: {shortage}{}", self.fullness())
    }

    /// How full memory and swap are, in brackets.
    pub(crate) fn fullness(&self) -> String {
        let frames = self.os.frames();
        format!(
            " ({} of {} frames and {} of {} swap slots in use)",
            frames.total - frames.free,
            frames.total,
            self.os.swap_used(),
            self.os.swap_total(),
        )
    }

    fn signal(&mut self, tid: Pid, signal: Signal, code: i32, addr: u64) {
        self.tally.traps += 1;
        self.deliver(tid, SyncSignal { signal, code, addr });
    }

    fn deliver(&mut self, tid: Pid, signal: SyncSignal) {
        self.save_registers(tid, 0);
        self.with_system(|system, memory, _, _| system.fault(tid, memory, signal));
        self.follow(tid);
    }

    /// Serves the system call that a thread is in.
    pub(crate) fn serve_call(&mut self, tid: Pid) {
        let Some(thread) = self.system.thread(tid) else { return };
        if !thread.in_call {
            let number = thread.regs.x[A7];
            let is_number = number <= SYSCALLS_MAX;
            let counted = if is_number { number } else { u64::MAX };
            *self.tally.syscalls.entry(counted).or_default() += 1;
            self.tally.syscalls_total += 1;
            self.listener.syscall(tid, number, &thread.regs);
        }
        self.with_system(|system, memory, host, clock| system.serve(tid, memory, host, clock));
        self.follow(tid);
    }
}

/// How a fault ended, in a few words.
const fn describe(attempt: &Attempt) -> &'static str {
    let Attempt::Done(result) = attempt else { return "waits for a device" };
    match result {
        FaultResult::Resolved { major: false } => "resolved in memory",
        FaultResult::Resolved { major: true } => "resolved from a device",
        FaultResult::Signal { signal: Refusal::Segv(_), .. } => "refused: SIGSEGV",
        FaultResult::Signal { signal: Refusal::Bus, .. } => "refused: SIGBUS",
        FaultResult::OutOfMemory(_) => "out of memory",
    }
}

/// Bytes of an `ecall`.
const ECALL_BYTES: u64 = 4;

/// The register that holds a system call's number.
const A7: usize = 17;

// si_code values (Linux: include/uapi/asm-generic/siginfo.h).
const ILL_ILLOPC: i32 = 1;
const BUS_ADRALN: i32 = 1;
const TRAP_BRKPT: i32 = 1;
