//! A scenario that is played: forwards and back, to any step.
//!
//! ```text
//!   turns      0 ───── 1 ───── 2 ───── … ───── n        an instruction each
//!   steps      0 1 2 … │ … │ …                          moments, numbered through
//!   kept       World       World       World            every so many turns
//! ```
//!
//! The whole story is run once, to count its moments. To see one, its turn is run again from the
//! last world that was kept before it, and its moments are kept. So a state depends on nothing but
//! the scenario and the step.

use std::sync::Arc;

use pagewalk_step::{Break, Grain, Happened, Kind, State, StepError, Stepper};

use crate::board::Board;
use crate::build::build;
use crate::error::ScenarioError;
use crate::journal::{Journal, Moment, What};
use crate::scenario::Scenario;
use crate::state::state;
use crate::tell::tell;
use crate::world::World;

/// A world is kept every so many turns at first; when there are more than so many worlds, half of
/// them go, and twice as many turns lie between those that stay.
const KEPT_EVERY: usize = 16;
const KEPT_MAX: usize = 256;

/// The most turns and moments: what takes longer is not a story.
const TURNS_MAX: usize = 100_000;
const MOMENTS_MAX: usize = 5_000_000;

/// A scenario that is played.
#[derive(Debug)]
pub struct Player {
    scenario: Scenario,
    /// The kind of each step, the start being the first.
    kinds: Vec<Kind>,
    /// The first step of each turn.
    turns: Vec<u32>,
    /// The world before every `every`th turn.
    worlds: Vec<World>,
    every: usize,
    step: u64,
    /// The moments of one turn: which, the board before it, and they.
    shown: Option<(usize, Board, Vec<Moment>)>,
    /// Why the story was cut off, if it was.
    cut: Option<String>,
}

impl Player {
    /// Runs a scenario to its end, and goes to its start.
    ///
    /// # Errors
    /// If the machine cannot be as it is wanted.
    pub fn new(scenario: Scenario) -> Result<Self, ScenarioError> {
        let mut world = build(&scenario)?;
        let mut journal = Journal::counting();
        let (mut turns, mut worlds, mut cut) = (Vec::new(), Vec::new(), None);
        let mut every = KEPT_EVERY;
        loop {
            if worlds.len() > KEPT_MAX {
                let mut n = 0;
                worlds.retain(|_| {
                    n += 1;
                    n % 2 == 1
                });
                every *= 2;
            }
            if turns.len().is_multiple_of(every) {
                worlds.push(world.clone());
            }
            let before = journal.len();
            if !world.turn(&mut journal) {
                break;
            }
            turns.push(before as u32 + 1);
            if turns.len() >= TURNS_MAX || journal.len() >= MOMENTS_MAX {
                let turns = turns.len();
                cut = Some(format!("the story is cut off after {turns} instructions"));
                break;
            }
        }
        let kinds = [Kind::Start].into_iter().chain(journal.kinds().iter().copied()).collect();
        Ok(Self { scenario, kinds, turns, worlds, every, step: 0, shown: None, cut })
    }

    /// What is played.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Why the story ends before its end, if it does.
    pub fn cut(&self) -> Option<&str> {
        self.cut.as_deref()
    }

    /// The last step.
    pub fn last_step(&self) -> u64 {
        self.kinds.len() as u64 - 1
    }

    /// The kind of a step.
    pub fn kind(&self, step: u64) -> Option<Kind> {
        self.kinds.get(step as usize).copied()
    }

    /// The step of the `n`th thing of a kind, from 1 on.
    pub fn step_of(&self, kind: Kind, n: u64) -> Option<u64> {
        let all = self.kinds.iter().zip(0..).filter(|(known, _)| **known == kind);
        all.map(|(_, step)| step).nth((n as usize).checked_sub(1)?)
    }

    /// The state at any step.
    ///
    /// # Errors
    /// If there is no such step.
    pub fn state_at(&mut self, step: u64) -> Result<State, StepError> {
        let position = (step, self.last_step());
        let (moment, before) = self.moment(step)?;
        Ok(state(&self.scenario, &moment, &before, position))
    }

    /// What a step did.
    ///
    /// # Errors
    /// If there is no such step.
    pub fn happened_at(&mut self, step: u64) -> Result<Happened, StepError> {
        let (moment, before) = self.moment(step)?;
        Ok(tell(&self.scenario, &moment, &before))
    }

    /// Runs the story again, and checks all of the kernel's books, the page tables and the TLB before
    /// each instruction.
    ///
    /// # Errors
    /// What does not hold, and after how many instructions.
    pub fn audit(&self) -> Result<(), String> {
        let mut world = self.start().clone();
        for turn in 0..self.turns.len() {
            world.audit().map_err(|error| format!("before turn {turn}: {error}"))?;
            world.turn(&mut Journal::counting());
        }
        world.audit().map_err(|error| format!("at the end: {error}"))
    }

    /// The world before the first step.
    fn start(&self) -> &World {
        &self.worlds[0]
    }

    /// A moment, and the board before it.
    fn moment(&mut self, step: u64) -> Result<(Moment, Board), StepError> {
        if step > self.last_step() {
            return Err(StepError::NoSuchStep { step, last: self.last_step() });
        }
        if step == 0 {
            let World { board, system } = self.start().clone();
            let system = Arc::new(system);
            let moment = Moment { what: What::Start, process: None, board: board.clone(), system };
            return Ok((moment, board));
        }
        let turn = self.turns.partition_point(|&first| u64::from(first) <= step) - 1;
        if self.shown.as_ref().is_none_or(|(shown, ..)| *shown != turn) {
            self.shown = Some(self.play(turn));
        }
        let Some((_, start, moments)) = &self.shown else { unreachable!("it was just shown") };
        let index = (step - u64::from(self.turns[turn])) as usize;
        let before = index.checked_sub(1).map_or(start, |before| &moments[before].board);
        Ok((moments[index].clone(), before.clone()))
    }

    /// Plays a turn, and keeps its moments.
    fn play(&self, turn: usize) -> (usize, Board, Vec<Moment>) {
        let mut world = self.worlds[turn / self.every].clone();
        for _ in 0..turn % self.every {
            world.turn(&mut Journal::counting());
        }
        let before = world.board.clone();
        let mut journal = Journal::keeping(&world.system);
        world.turn(&mut journal);
        (turn, before, journal.into_moments())
    }

    /// Whether a break holds at a step.
    fn holds(&mut self, wanted: &Break, step: u64) -> Result<bool, StepError> {
        if wanted.kind.is_some_and(|kind| self.kinds[step as usize] != kind) {
            return Ok(false);
        }
        let Break { process, addresses, frame, slot, counter, .. } = wanted;
        let happened = match (process, addresses, frame, slot) {
            (None, None, None, None) => None,
            _ => Some(self.happened_at(step)?),
        };
        let fits = happened.is_none_or(|happened| {
            let within = |address: u64, (from, to): (u64, u64)| (from..to).contains(&address);
            process.is_none_or(|process| happened.process == Some(process))
                && frame.is_none_or(|frame| happened.frame == Some(frame))
                && slot.is_none_or(|slot| happened.slot == Some(slot))
                && addresses
                    .is_none_or(|range| happened.address.is_some_and(|at| within(at, range)))
        });
        match counter {
            Some((name, value)) if fits => {
                let at = |state: State| state.counters.get(name).copied().unwrap_or(0);
                let now = at(self.state_at(step)?);
                let before = at(self.state_at(step.saturating_sub(1))?);
                Ok(before < *value && now >= *value)
            }
            _ => Ok(fits),
        }
    }

    /// The first step of `steps` at which a break holds.
    fn search(
        &mut self,
        steps: impl Iterator<Item = u64>,
        breaks: &[Break],
    ) -> Result<Option<u64>, StepError> {
        for step in steps {
            for wanted in breaks {
                if self.holds(wanted, step)? {
                    return Ok(Some(step));
                }
            }
        }
        Ok(None)
    }
}

impl Stepper for Player {
    fn step(&self) -> u64 {
        self.step
    }

    fn last(&self) -> Option<u64> {
        Some(self.last_step())
    }

    fn state(&mut self) -> State {
        let step = self.step;
        self.state_at(step).expect("the current step exists")
    }

    fn go_to(&mut self, step: u64) -> Result<(), StepError> {
        let last = self.last_step();
        if step > last {
            return Err(StepError::NoSuchStep { step, last });
        }
        self.step = step;
        Ok(())
    }

    fn forward(&mut self, grain: Grain) -> Result<bool, StepError> {
        let last = self.last_step();
        let found = (self.step + 1..=last).find(|&step| self.kinds[step as usize].is_stop(grain));
        self.step = found.unwrap_or(last);
        Ok(found.is_some())
    }

    fn back(&mut self, grain: Grain) -> Result<bool, StepError> {
        let found = (1..self.step).rev().find(|&step| self.kinds[step as usize].is_stop(grain));
        self.step = found.unwrap_or(0);
        Ok(found.is_some())
    }

    fn run(&mut self, breaks: &[Break]) -> Result<bool, StepError> {
        let (from, last) = (self.step + 1, self.last_step());
        let found = self.search(from..=last, breaks)?;
        self.step = found.unwrap_or(last);
        Ok(found.is_some())
    }

    fn run_back(&mut self, breaks: &[Break]) -> Result<bool, StepError> {
        let found = self.search((1..self.step).rev(), breaks)?;
        self.step = found.unwrap_or(0);
        Ok(found.is_some())
    }
}
