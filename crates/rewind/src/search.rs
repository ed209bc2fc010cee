//! Searching a run forwards and backwards.
//!
//! ```text
//!   forward   the rest of this window ─► run until a window may hold it ─► write that down, look
//!   back      this window up to here ─► from the checkpoint before, run and note the windows that
//!             may hold it ─► write the last of them down, look ─► the checkpoint before that …
//! ```
//!
//! What the kernel does is told while the machine runs at full speed. What single instructions do
//! (loads, stores, look-ups) is only seen by stopping at each: such a search goes thousands of times
//! more slowly, backwards in stretches that grow.
//!
//! A break without a kind is for whatever concerns its address, frame or slot; without an address,
//! for what the kernel does. Counters are compared as they are behind the window.

use std::collections::VecDeque;

use pagewalk_mmu::AccessKind;
use pagewalk_step::{Break, Happened, Kind, StepError};

use crate::events::What;
use crate::instruction;
use crate::place::Place;
use crate::rewind::Rewind;
use crate::window::Window;

/// The most windows that are noted on the way to a position that lies behind them.
const NOTED_MAX: usize = 64;

/// Stretches of single instructions that are searched backwards: the first, and the longest.
const STRETCH: u64 = 1 << 12;
const STRETCH_MAX: u64 = 1 << 22;

/// So many instructions between two looks at a counter that moves without the kernel.
const COUNTER_STRETCH: u64 = 1 << 16;

/// How a break is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pace {
    /// The kernel tells of it.
    Running,
    /// Each instruction must be looked at.
    Stepping,
}

impl Rewind {
    /// Goes to the next position at which a break holds; to the last if there is none.
    pub(crate) fn search_forward(&mut self, breaks: &[Break]) -> Result<bool, StepError> {
        let start = self.place;
        self.go_if_ended(start.instructions)?;
        if self.last == Some(start) {
            return Ok(false);
        }
        let mut next = start.instructions;
        let mut from = usize::from(start.thing);
        let counted = self.counted_before(breaks)?;
        loop {
            let window = self.expand(next)?;
            let is_last = window.is_last();
            let found = first(window, breaks, from);
            if let Some(thing) = found
                && self.counters_hold(breaks, next, thing)?
            {
                self.place = Place { instructions: next, thing };
                return Ok(true);
            }
            if is_last {
                let thing = self.expand(next)?.things.len() as u16;
                self.place = Place { instructions: next, thing };
                self.last = Some(self.place);
                return Ok(false);
            }
            if self.holds_behind(breaks, next + 1, &counted)? {
                self.place = Place::behind(next + 1);
                return Ok(true);
            }
            self.go(next + 1, 0)?;
            if self.machine.end().is_some() {
                self.place = Place::behind(next + 1);
                self.last = Some(self.place);
                let wants_end = breaks.iter().any(|wanted| wanted.kind == Some(Kind::End));
                return Ok(wants_end);
            }
            let Some(window) = self.next_candidate(breaks, next + 1, u64::MAX, &counted)? else {
                self.place = self.find_last()?;
                return Ok(breaks.iter().any(|wanted| wanted.kind == Some(Kind::End)));
            };
            (next, from) = (window, 0);
        }
    }

    /// Goes to the last position before this one at which a break holds; to the start if there is
    /// none.
    pub(crate) fn search_back(&mut self, breaks: &[Break]) -> Result<bool, StepError> {
        let start = self.place;
        if let Some(index) = start.thing.checked_sub(1) {
            let window = self.expand(start.instructions)?;
            if let Some(thing) = last(window, breaks, usize::from(index)) {
                self.place = Place { thing, ..start };
                return Ok(true);
            }
            if self.holds_at(breaks, start.instructions)? {
                self.place = Place::behind(start.instructions);
                return Ok(true);
            }
        }
        let mut end = start.instructions;
        let mut stretch = STRETCH;
        while end > 0 {
            let begin = match pace(breaks) {
                Pace::Running => self.checkpoints.last(end - 1).unwrap_or(0),
                Pace::Stepping => end.saturating_sub(stretch),
            };
            stretch = (2 * stretch).min(STRETCH_MAX);
            let mut noted = self.candidates(breaks, begin, end)?;
            // What is behind what was noted was looked at; what is before, was not if much was.
            let is_all = noted.len() < NOTED_MAX;
            let first_noted = noted.front().copied();
            while let Some(window) = noted.pop_back() {
                if window + 1 < start.instructions + u64::from(start.thing > 0)
                    && self.holds_at(breaks, window + 1)?
                {
                    self.place = Place::behind(window + 1);
                    return Ok(true);
                }
                let found = last(self.expand(window)?, breaks, usize::MAX);
                if let Some(thing) = found {
                    self.place = Place { instructions: window, thing };
                    return Ok(true);
                }
            }
            end = match (is_all, first_noted) {
                (false, Some(first)) => first,
                _ => begin,
            };
        }
        self.place = Place::default();
        Ok(false)
    }

    /// The windows from `begin` to before `end` that may hold a break, the last of them.
    fn candidates(
        &mut self,
        breaks: &[Break],
        begin: u64,
        end: u64,
    ) -> Result<VecDeque<u64>, StepError> {
        let mut noted = VecDeque::new();
        let mut from = begin;
        while from < end {
            let Some(window) = self.next_candidate(breaks, from, end, &[])? else { break };
            noted.push_back(window);
            if noted.len() > NOTED_MAX {
                noted.pop_front();
            }
            from = window + 1;
        }
        Ok(noted)
    }

    /// The first window from `from` to before `end` that may hold a break; `None` if there is none,
    /// or the run ends before.
    fn next_candidate(
        &mut self,
        breaks: &[Break],
        from: u64,
        end: u64,
        counted: &[Option<u64>],
    ) -> Result<Option<u64>, StepError> {
        self.go(from, 0)?;
        self.log.take();
        match pace(breaks) {
            Pace::Running => self.run_to_candidate(breaks, end, counted),
            Pace::Stepping => self.step_to_candidate(breaks, end),
        }
    }

    fn run_to_candidate(
        &mut self,
        breaks: &[Break],
        end: u64,
        counted: &[Option<u64>],
    ) -> Result<Option<u64>, StepError> {
        let counts = counted.iter().any(Option::is_some);
        let wants_switches = breaks.iter().any(|wanted| {
            wanted.kind == Some(Kind::Switch) || wanted.kind.is_none() && wanted.process.is_some()
        });
        let mut running = self.machine.inspect().current();
        loop {
            let now = self.machine.instructions();
            if now >= end || self.machine.end().is_some() {
                return Ok(self.ended_in(now, end));
            }
            if !self.machine.is_dispatched() {
                self.machine.dispatch_next();
                self.reached(u64::MAX)?;
                let runs = self.machine.inspect().current();
                if wants_switches && runs.is_some() && runs != running {
                    return Ok(Some(now));
                }
                running = runs.or(running);
            }
            let stretch = if counts { now.saturating_add(COUNTER_STRETCH) } else { u64::MAX };
            let stop = self.checkpoints.next(now).min(end).min(stretch);
            self.machine.advance(stop, 1);
            let told = self.log.take();
            let found = told.iter().find(|told| breaks.iter().any(|b| may_be(b, &told.what)));
            let found = found.map(|told| told.window);
            self.reached(stop)?;
            if let Some(window) = found.filter(|&window| window < end) {
                return Ok(Some(window));
            }
            if counts && self.has_counted(breaks, counted) {
                return self.find_count(breaks, counted, now);
            }
        }
    }

    fn step_to_candidate(&mut self, breaks: &[Break], end: u64) -> Result<Option<u64>, StepError> {
        let wants_walks = breaks.iter().any(|wanted| wanted.kind.is_some_and(is_of_walk));
        loop {
            let now = self.machine.instructions();
            if now >= end || self.machine.end().is_some() {
                return Ok(self.ended_in(now, end));
            }
            while !self.machine.is_dispatched()
                && self.machine.end().is_none()
                && self.log.is_empty()
            {
                self.machine.dispatch_next();
            }
            let next = instruction::next(&mut self.machine);
            let walks = if wants_walks { self.walks() } else { 0 };
            self.machine.advance(now + 1, u64::MAX);
            let told = self.log.take();
            let told = told.iter().any(|told| breaks.iter().any(|b| may_be(b, &told.what)));
            let walked = wants_walks && self.walks() != walks;
            self.reached(now + 1)?;
            let is_next = |next: &instruction::Next| {
                breaks.iter().any(|wanted| may_be_of(wanted, next, walked))
            };
            if told || next.as_ref().is_some_and(is_next) {
                return Ok(Some(now));
            }
        }
    }

    /// The window in which the run ends without an instruction, if it is before `end`.
    fn ended_in(&mut self, now: u64, end: u64) -> Option<u64> {
        (now < end && self.machine.end().is_some() && !self.ends_behind(now)).then_some(now)
    }

    /// Whether the last position is right behind an instruction.
    fn ends_behind(&mut self, instructions: u64) -> bool {
        self.find_last().is_ok_and(|last| last == Place::behind(instructions))
    }

    /// What the first levels of all harts did not know.
    fn walks(&mut self) -> u64 {
        let look = self.machine.inspect();
        look.mmus().iter().map(|(_, mmu)| mmu.counters().l1_misses.total()).sum()
    }

    /// Each break's counter at the position, if it has not come to its value there.
    fn counted_before(&mut self, breaks: &[Break]) -> Result<Vec<Option<u64>>, StepError> {
        if breaks.iter().all(|wanted| wanted.counter.is_none()) {
            return Ok(vec![None; breaks.len()]);
        }
        self.go(self.place.instructions, 0)?;
        let counters = self.machine.counters();
        let before = breaks.iter().map(|wanted| {
            let (name, value) = wanted.counter.as_ref().filter(|_| is_count(wanted))?;
            let now = counters.get(name).copied().unwrap_or(0);
            (now < *value).then_some(now)
        });
        Ok(before.collect())
    }

    /// Whether a counter that had not come to its value has.
    fn has_counted(&self, breaks: &[Break], counted: &[Option<u64>]) -> bool {
        let counters = self.machine.counters();
        breaks.iter().zip(counted).any(|(wanted, before)| {
            before.is_some()
                && wanted
                    .counter
                    .as_ref()
                    .is_some_and(|(name, value)| counters.get(name).is_some_and(|now| now >= value))
        })
    }

    /// The window with which a counter comes to its value, which it does after `from`.
    fn find_count(
        &mut self,
        breaks: &[Break],
        counted: &[Option<u64>],
        from: u64,
    ) -> Result<Option<u64>, StepError> {
        self.go(from, 0)?;
        loop {
            let now = self.machine.instructions();
            self.machine.advance(now + 1, u64::MAX);
            self.log.take();
            self.reached(now + 1)?;
            if self.has_counted(breaks, counted) || self.machine.end().is_some() {
                return Ok(Some(now));
            }
        }
    }

    /// Whether a break holds right behind an instruction that was arrived at by running.
    fn holds_behind(
        &mut self,
        breaks: &[Break],
        instructions: u64,
        counted: &[Option<u64>],
    ) -> Result<bool, StepError> {
        if self.holds_at(breaks, instructions)? {
            return Ok(true);
        }
        if counted.iter().all(Option::is_none) {
            return Ok(false);
        }
        self.go(instructions, 0)?;
        Ok(self.has_counted(breaks, counted))
    }

    /// Whether a break holds right behind an instruction: that it is done.
    fn holds_at(&mut self, breaks: &[Break], instructions: u64) -> Result<bool, StepError> {
        let Some(window) = instructions.checked_sub(1) else {
            return Ok(breaks.iter().any(|wanted| wanted.kind == Some(Kind::Start)));
        };
        let wants = |wanted: &Break| matches!(wanted.kind, Some(Kind::Retired | Kind::End));
        if !breaks.iter().any(wants) {
            return Ok(false);
        }
        let retired = self.expand(window)?.retired.clone();
        Ok(retired.is_some_and(|retired| {
            breaks.iter().filter(|wanted| wants(wanted)).any(|wanted| holds(wanted, &retired))
        }))
    }

    /// Whether the counters of the breaks that hold at a thing have come to their values.
    fn counters_hold(
        &mut self,
        breaks: &[Break],
        window: u64,
        thing: u16,
    ) -> Result<bool, StepError> {
        let happened = self.expand(window)?.things[usize::from(thing) - 1].happened.clone();
        let holding: Vec<&Break> =
            breaks.iter().filter(|wanted| holds(wanted, &happened)).collect();
        if holding.iter().any(|wanted| wanted.counter.is_none()) {
            return Ok(true);
        }
        self.go(window, 0)?;
        self.machine.advance(window + 1, u64::MAX);
        self.log.take();
        self.reached(window + 1)?;
        let counters = self.machine.counters();
        Ok(holding
            .iter()
            .filter_map(|wanted| wanted.counter.as_ref())
            .any(|(name, value)| counters.get(name).is_some_and(|now| now >= value)))
    }
}

/// How all of the breaks can be looked for.
fn pace(breaks: &[Break]) -> Pace {
    breaks.iter().map(pace_of).max().unwrap_or(Pace::Running)
}

fn pace_of(wanted: &Break) -> Pace {
    match wanted.kind {
        None if wanted.addresses.is_some() => Pace::Stepping,
        None => Pace::Running,
        Some(
            Kind::Instruction
            | Kind::Split
            | Kind::TlbHit
            | Kind::TlbMiss
            | Kind::TableRead
            | Kind::TableUpdate
            | Kind::TlbFill
            | Kind::Translated
            | Kind::Load
            | Kind::Store
            | Kind::Retired,
        ) => Pace::Stepping,
        Some(_) => Pace::Running,
    }
}

/// Things that happen only if a first level did not know.
const fn is_of_walk(kind: Kind) -> bool {
    matches!(kind, Kind::TlbMiss | Kind::TableRead | Kind::TableUpdate | Kind::TlbFill)
}

/// Whether a break is for a counter and nothing else: for the moment when it comes to its value.
fn is_count(wanted: &Break) -> bool {
    let Break { kind, process, addresses, frame, slot, counter } = wanted;
    counter.is_some()
        && (kind, process, addresses, frame, slot) == (&None, &None, &None, &None, &None)
}

/// Whether a break holds at a thing, but for its counter.
fn holds(wanted: &Break, happened: &Happened) -> bool {
    let in_range = |(from, to): (u64, u64)| {
        happened.address.is_some_and(|address| (from..to).contains(&address))
    };
    !is_count(wanted)
        && wanted.kind.is_none_or(|kind| kind == happened.kind)
        && wanted.process.is_none_or(|process| Some(process) == happened.process)
        && wanted.addresses.is_none_or(in_range)
        && wanted.frame.is_none_or(|frame| Some(frame) == happened.frame)
        && wanted.slot.is_none_or(|slot| Some(slot) == happened.slot)
        && (wanted.kind.is_some() || wanted.addresses.is_some() || is_of_kernel(happened.kind))
}

/// Whether the kernel does it.
fn is_of_kernel(kind: Kind) -> bool {
    pace_of(&Break { kind: Some(kind), ..Break::default() }) == Pace::Running
}

/// Whether what the kernel told may be what a break is for.
fn may_be(wanted: &Break, what: &What) -> bool {
    !is_count(wanted)
        && wanted.kind.is_none_or(|kind| what.kinds().contains(&kind))
        && wanted.frame.is_none_or(|frame| what.frame().is_none_or(|pfn| pfn.0 == frame))
        && wanted.slot.is_none_or(|slot| what.slot().is_none_or(|of| of == slot))
}

/// Whether what an instruction does itself may be what a break is for.
fn may_be_of(wanted: &Break, next: &instruction::Next, walked: bool) -> bool {
    let in_range = |(from, to): (u64, u64)| {
        let is_in = |address: u64| (from..to).contains(&address);
        // An instruction may lie in two pages, whose second is fetched from as well.
        is_in(next.pc)
            || is_in(next.pc.wrapping_add(2))
            || next.data.is_some_and(|data| is_in(data.address))
    };
    let is_kind = match wanted.kind {
        None => wanted.addresses.is_some(),
        Some(Kind::Load) => next.data.is_some_and(|data| data.access == AccessKind::Read),
        Some(Kind::Store) => next.data.is_some_and(|data| data.access == AccessKind::Write),
        Some(kind) if is_of_walk(kind) => walked,
        Some(kind) => pace_of(&Break { kind: Some(kind), ..Break::default() }) == Pace::Stepping,
    };
    is_kind
        && wanted.process.is_none_or(|process| process == next.pid)
        && wanted.addresses.is_none_or(in_range)
}

/// The number of the first thing from `from` on at which a break holds.
fn first(window: &Window, breaks: &[Break], from: usize) -> Option<u16> {
    let mut things = window.things.iter().enumerate().skip(from);
    let found =
        things.find(|(_, thing)| breaks.iter().any(|wanted| holds(wanted, &thing.happened)))?;
    u16::try_from(found.0 + 1).ok()
}

/// The number of the last thing of the first `most` at which a break holds.
fn last(window: &Window, breaks: &[Break], most: usize) -> Option<u16> {
    let things = window.things.iter().enumerate().take(most);
    let mut found =
        things.filter(|(_, thing)| breaks.iter().any(|wanted| holds(wanted, &thing.happened)));
    let found = found.next_back()?;
    u16::try_from(found.0 + 1).ok()
}
