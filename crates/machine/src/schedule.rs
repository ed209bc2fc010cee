//! The scheduler: which hart runs next, and which thread on it.
//!
//! ```text
//!                 ┌──────────── the hart whose time is earliest ────────────┐
//!   dispatch ───► │ its thread goes on                                      ├─► Run
//!                 │ or has used its quantum, and others wait: behind them   │
//!                 │ or is gone, waits, stopped: the next of the run queue   ├─► Call, Run
//!                 │ there is none: idle until a deadline or another's time  ├─► Idle
//!                 │ no deadline, nobody runs                                ├─► Deadlock
//!                 └─────────────────────────────────────────────────────────┘
//! ```
//!
//! Each hart has its own virtual time. The one that is behind runs, for a slice, so that the harts
//! stay together and what one does is seen by the others in the order of time. With one hart a
//! slice is a quantum.
//!
//! Invariants:
//! 1. A thread is on at most one hart; it is `Running` if and only if it is on one.
//! 2. A hart that runs a thread has the root of its process's space loaded.
//! 3. Reservations (LR/SC) end when a hart is left or given another thread.

use pagewalk_cpu::Hart;
use pagewalk_kernel::DeviceWait;
use pagewalk_linux::{PendingFault, Pid, State};

use crate::build_report::total;
use crate::machine::Machine;
use crate::report::{CycleParts, References};

/// Instructions that a thread may run while others wait.
const QUANTUM: u64 = 1_000_000;

/// Instructions that a hart may be ahead of the others.
const SLICE: u64 = 2_000;

/// What is to be done next.
pub(crate) enum Dispatched {
    /// The current hart's thread runs so many instructions.
    Run {
        /// At most.
        instructions: u64,
    },
    /// The current hart's thread makes its call again.
    Call(Pid),
    /// The current hart's thread tries its fault again.
    Fault(Pid, PendingFault),
    /// Time passed.
    Idle,
    /// Nobody will ever run again.
    Deadlock,
}

/// A hart as the scheduler sees it.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Its registers and counters, while another is current.
    hart: Hart,
    /// Who runs on it.
    pub thread: Option<Pid>,
    /// Instructions left of the quantum.
    left: u64,
    /// Instructions that it has retired.
    pub retired: u64,
    /// Its time when it was left, or its thread last entered the kernel.
    cycles: u64,
    /// How often it was given another thread than the one before.
    pub switches: u64,
    last: Option<Pid>,
}

/// The harts of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    slots: Vec<Slot>,
    current: usize,
    /// How often time passed since somebody ran.
    idles: u64,
}

impl Schedule {
    /// So many harts, idle.
    pub fn new(harts: u32) -> Self {
        let slot = Slot {
            hart: Hart::new(),
            thread: None,
            left: 0,
            retired: 0,
            cycles: 0,
            switches: 0,
            last: None,
        };
        Self { slots: vec![slot; harts as usize], current: 0, idles: 0 }
    }

    /// The number of the hart that runs.
    pub fn current_number(&self) -> u32 {
        self.current as u32
    }

    /// The hart that runs.
    pub fn current(&self) -> &Slot {
        &self.slots[self.current]
    }

    /// All harts, by number.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Instructions that all harts have retired.
    pub fn instructions(&self) -> u64 {
        self.slots.iter().map(|slot| slot.retired).sum()
    }

    /// The registers of a thread that a hart other than the current one runs.
    pub fn hart_of(&self, tid: Pid) -> Option<&Hart> {
        let others = self.slots.iter().enumerate().filter(|&(n, _)| n != self.current);
        others.map(|(_, slot)| slot).find(|slot| slot.thread == Some(tid)).map(|slot| &slot.hart)
    }

    /// Context switches of all harts.
    pub fn switches(&self) -> u64 {
        self.slots.iter().map(|slot| slot.switches).sum()
    }

    /// How often time passed since somebody ran.
    pub fn idles(&self) -> u64 {
        self.idles
    }

    /// The current hart retired instructions.
    pub fn retired(&mut self, instructions: u64) {
        self.idles = 0;
        let slot = &mut self.slots[self.current];
        slot.retired += instructions;
        slot.left = slot.left.saturating_sub(instructions);
    }

    /// It is now that late on the current hart; returns the time before.
    pub fn set_cycles(&mut self, cycles: u64) -> u64 {
        std::mem::replace(&mut self.slots[self.current].cycles, cycles)
    }

    fn slot(&mut self) -> &mut Slot {
        &mut self.slots[self.current]
    }

    /// The hart whose time is earliest.
    fn earliest(&self) -> usize {
        let by_time = |&n: &usize| (self.slots[n].cycles, n);
        (0..self.slots.len()).min_by_key(by_time).unwrap_or(0)
    }

    /// The earliest time of a hart other than the current one that runs a thread.
    fn earliest_busy(&self) -> Option<u64> {
        let others = self.slots.iter().enumerate().filter(|&(n, _)| n != self.current);
        others.filter(|(_, slot)| slot.thread.is_some()).map(|(_, slot)| slot.cycles).min()
    }
}

impl Machine {
    /// Chooses the hart and its thread.
    pub(crate) fn dispatch(&mut self) -> Dispatched {
        self.choose_hart();
        self.complete_transfers();
        let now = self.cycle_parts().total();
        self.charge(now);
        self.system.expire(self.config.cost.nanoseconds(now));
        self.control_load(now);
        self.leave_thread();
        let dispatched = self.dispatch_thread(now);
        if self.config.device_wait == DeviceWait::Thread {
            self.note_pressure();
        }
        dispatched
    }

    /// What passes from now on counts as waiting for memory, if somebody does and nobody runs.
    fn note_pressure(&mut self) {
        let now = self.cycle_parts().total();
        let runs = self.schedule.slots.iter().any(|slot| slot.thread.is_some());
        self.pressure.note(now, self.system.waits_for_memory(), !runs);
    }

    /// Chooses the thread, and what it does.
    fn dispatch_thread(&mut self, now: u64) -> Dispatched {
        if self.schedule.current().thread.is_none() {
            let Some(tid) = self.system.next_thread() else { return self.idle(now) };
            self.give(tid);
        }
        let Some(tid) = self.schedule.current().thread else { return Dispatched::Idle };
        if self.system.thread(tid).is_some_and(|thread| thread.in_call) {
            return Dispatched::Call(tid);
        }
        if self.system.is_signalled(tid) {
            self.in_kernel(|machine| {
                machine.save_registers(tid, 0);
                // The instruction that faulted is made again, after the handler.
                machine.system.thread_mut(tid).map(|thread| thread.fault.take());
                machine.with_system(|system, memory, _, _| system.enter(tid, memory));
                machine.follow(tid);
            });
            return Dispatched::Idle;
        }
        let fault = self.system.thread_mut(tid).and_then(|thread| thread.fault.take());
        if let Some(fault) = fault {
            return Dispatched::Fault(tid, fault);
        }
        let left = self.schedule.current().left;
        let slice = if self.schedule.slots.len() > 1 { SLICE } else { left };
        // Hardly an instruction takes less than a cycle.
        let interrupt = self.queues.next().map_or(u64::MAX, |done| done.saturating_sub(now).max(1));
        Dispatched::Run { instructions: left.min(slice).min(interrupt) }
    }

    /// The current hart is interrupted by the devices that are done.
    fn complete_transfers(&mut self) {
        if self.queues.next().is_none() {
            return;
        }
        let now = self.cycle_parts().total();
        while let Some(id) = self.queues.take_done(now) {
            self.tally.interrupts += 1;
            self.in_kernel(|machine| {
                machine.queues.set_completing(true);
                let memory = machine.lend(|os, platform| os.complete(platform, id));
                machine.queues.set_completing(false);
                machine.system.transfer_done(id, memory);
            });
        }
    }

    /// Takes the hart that is behind the others.
    fn choose_hart(&mut self) {
        if self.schedule.slots.len() == 1 {
            return;
        }
        let now = self.cycle_parts().total();
        self.charge(now);
        let next = self.schedule.earliest();
        if next == self.schedule.current {
            return;
        }
        self.hart.drop_reservation();
        std::mem::swap(&mut self.hart, &mut self.schedule.slot().hart);
        self.schedule.current = next;
        std::mem::swap(&mut self.hart, &mut self.schedule.slot().hart);
        self.memory.switch_hart(next as u32);
    }

    /// The current hart lets go of a thread that no longer runs, or has run long enough.
    fn leave_thread(&mut self) {
        let Some(tid) = self.schedule.current().thread else { return };
        let runs = self.system.thread(tid).is_some_and(|thread| thread.state == State::Running);
        if !runs {
            self.schedule.slot().thread = None;
        } else if self.config.load_control && self.system.is_swapped_out(tid) {
            self.save_registers(tid, 0);
            self.system.preempt(tid);
            self.schedule.slot().thread = None;
        } else if self.schedule.current().left == 0 {
            if self.system.has_runnable() {
                self.save_registers(tid, 0);
                self.system.preempt(tid);
                self.schedule.slot().thread = None;
            } else {
                self.schedule.slot().left = QUANTUM;
            }
        }
    }

    /// Puts a thread on the current hart.
    fn give(&mut self, tid: Pid) {
        let slot = self.schedule.slot();
        slot.thread = Some(tid);
        slot.left = QUANTUM;
        if slot.last != Some(tid) {
            slot.switches += u64::from(slot.last.is_some());
            slot.last = Some(tid);
            self.hart.drop_reservation();
        }
        if !self.os.is_active(&self.memory, self.current_space()) {
            self.in_kernel(Self::enter_space);
        }
        self.load_registers(tid);
    }

    /// The current hart's thread has been in the kernel: its registers and its space may be others
    /// now, or it may run no more.
    pub(crate) fn follow(&mut self, tid: Pid) {
        let runs = self.system.thread(tid).is_some_and(|thread| thread.state == State::Running);
        if !runs {
            self.schedule.slot().thread = None;
            return;
        }
        self.enter_space();
        self.load_registers(tid);
    }

    /// Loads the root of the current thread's space, if the hart has another's.
    fn enter_space(&mut self) {
        let space = self.current_space();
        if !self.os.is_active(&self.memory, space) {
            self.lend(|os, platform| os.activate(platform, space));
        }
    }

    /// Lets time pass on the current hart until something can happen.
    fn idle(&mut self, now: u64) -> Dispatched {
        let deadline = self.system.next_deadline().map(|ns| self.config.cost.cycles_until(ns));
        let others = self.schedule.earliest_busy();
        let done = self.queues.next().into_iter().chain(self.load_control.deadline()).min();
        let Some(until) = deadline.into_iter().chain(others).chain(done).min() else {
            return Dispatched::Deadlock;
        };
        self.note_pressure();
        let until = self.collapse_while_idle(now, until);
        let now = self.cycle_parts().total();
        let now = if self.config.zero_ahead { self.zero_ahead(now, until) } else { now };
        // Another hart that is as late goes first.
        let passed = until.saturating_sub(now).max(1);
        self.schedule.idles += 1;
        self.tally.slept = self.tally.slept.saturating_add(passed);
        self.settle();
        let now = self.cycle_parts().total();
        self.schedule.set_cycles(now);
        Dispatched::Idle
    }

    /// Runs the daemon that makes large pages, if its time has come; returns until when the hart can
    /// sleep then.
    fn collapse_while_idle(&mut self, now: u64, until: u64) -> u64 {
        let Some(due_ns) = self.os.collapse_due_ns() else { return until };
        let due = self.config.cost.cycles_until(due_ns);
        if due <= now {
            self.in_kernel(|_| {});
        }
        let due = self.os.collapse_due_ns().map(|due_ns| self.config.cost.cycles_until(due_ns));
        due.map_or(until, |due| until.min(due))
    }

    /// Uses time in which the current hart has nothing else to do to zero free frames: as many as fit.
    /// Returns what time it is then.
    fn zero_ahead(&mut self, now: u64, until: u64) -> u64 {
        let frames_max = until.saturating_sub(now) / self.config.cost.zero_frame.max(1);
        if frames_max == 0 {
            return now;
        }
        self.in_kernel(|machine| {
            machine.lend(|os, platform| os.zero_ahead(platform, frames_max));
        });
        self.cycle_parts().total()
    }

    /// References that programs made on a hart, by kind.
    pub(crate) fn references_of(&self, number: u32) -> References {
        let is_current = number as usize == self.schedule.current;
        let slot = &self.schedule.slots[number as usize];
        let hart = if is_current { &self.hart } else { &slot.hart };
        let extra = self.memory.hart_memory(number).extra();
        References {
            fetches: hart.fetches,
            loads: hart.loads + extra.loads,
            stores: hart.stores + extra.stores,
        }
    }

    /// References that the programs made, by kind, on all harts.
    pub(crate) fn references(&self) -> References {
        let all = (0..self.memory.harts()).map(|hart| self.references_of(hart));
        all.fold(References { fetches: 0, loads: 0, stores: 0 }, |sum, hart| References {
            fetches: sum.fetches + hart.fetches,
            loads: sum.loads + hart.loads,
            stores: sum.stores + hart.stores,
        })
    }

    /// Virtual time of a hart, by where it went.
    pub(crate) fn cycle_parts_of(&self, hart: u32) -> CycleParts {
        let references = total(&self.references_of(hart));
        let retired = self.schedule.slots[hart as usize].retired;
        self.memory.time.parts_of(hart, retired, references, &self.memory)
    }

    /// The sum of all harts' virtual times, by where they went.
    pub(crate) fn cycle_parts_of_all(&self) -> CycleParts {
        let all = (0..self.memory.harts()).map(|hart| self.cycle_parts_of(hart));
        all.fold(CycleParts::default(), |sum, hart| sum.zip(&hart, u64::saturating_add))
    }

    /// Virtual time that has passed: that of the hart which is ahead.
    pub(crate) fn elapsed_cycles(&self) -> u64 {
        let all = (0..self.memory.harts()).map(|hart| self.cycle_parts_of(hart).total());
        all.max().unwrap_or(0)
    }
}
