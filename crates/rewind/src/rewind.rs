//! The stepper: a machine, its checkpoints, and the position that is looked at.
//!
//! ```text
//!   place ──► thing of a window ──► operations ──► machine     state: go there, look
//!     ▲                                                ▲
//!     └── forward, back, run: only the place moves     └── run on, or a copy of a checkpoint
//! ```

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pagewalk_machine::{Config, Machine, MachineError, Program};
use pagewalk_step::{Break, Grain, Happened, Kind, State, StepError, Stepper};

use crate::checkpoints::{Checkpoints, Limits, Saved};
use crate::events::Log;
use crate::files::Keeper;
use crate::instruction;
use crate::place::Place;
use crate::state::{Held, Scene, build};
use crate::streams::Streams;
use crate::window::{Window, Writer, done, operate, start};

/// So many stops of a hart between two looks at whether to go on.
const STOPS: u64 = 4096;

/// Asks a stepper to stop what it is doing. It stays where it was.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Forgets what was asked before.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether somebody asked since this was called last.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Why there is nothing to step through.
#[derive(Debug)]
pub enum StartError {
    /// The machine or the program.
    Machine(MachineError),
    /// The host: a temporary file, or a copy.
    Host(io::Error),
    /// What was asked for cannot be gone back in: the reason, in a sentence.
    NotRepeatable(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Machine(error) => error.fmt(f),
            Self::Host(error) => error.fmt(f),
            Self::NotRepeatable(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StartError {}

impl From<MachineError> for StartError {
    fn from(error: MachineError) -> Self {
        Self::Machine(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}

/// A program that can be walked through.
#[derive(Debug)]
pub struct Rewind {
    pub(crate) title: String,
    pub(crate) policy: String,
    pub(crate) machine: Machine,
    /// Operations that the machine has made since the last instruction.
    operations: u32,
    pub(crate) log: Log,
    pub(crate) streams: Streams,
    keeper: Option<Keeper>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) place: Place,
    /// What happens behind the instruction that was looked at last.
    pub(crate) window: Option<Window>,
    /// The last instruction that was arrived behind.
    arrived: Option<Arrived>,
    /// The last position, once it was reached.
    pub(crate) last: Option<Place>,
    interrupt: Interrupt,
}

/// How the machine came to be behind an instruction.
#[derive(Debug)]
struct Arrived {
    instructions: u64,
    happened: Happened,
    before: Before,
}

/// What there was before the last instruction, to tell what is new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Before {
    pub x: Option<(u32, [u64; 32])>,
    pub tlb: Option<Vec<Held>>,
}

impl Rewind {
    /// A program at its beginning. What it does to files below `program.root` is done to that
    /// directory, which must be the stepper's alone.
    ///
    /// # Errors
    /// What is wrong with the machine or the program, or with the host.
    pub fn new(
        config: Config,
        program: Program,
        stdin: Box<dyn Read + Send>,
        limits: Limits,
    ) -> Result<Self, StartError> {
        if config.policy.needs_future() || config.policy.sees_references() {
            let name = config.policy.name();
            return Err(StartError::NotRepeatable(format!(
                "--policy {name} is told of references while the program runs, which copies of the \
                 machine are not: give a policy that works as a real kernel's does"
            )));
        }
        let streams = Streams::new(stdin)?;
        let title = program.args.join(" ");
        let policy = config.policy.name().to_owned();
        let mut keeper = program.root.clone().map(Keeper::new);
        let mut machine = Machine::new(config, program, streams.stdio())?;
        let log = Log::default();
        machine.tell_events(Box::new(log.clone()));
        let mut checkpoints = Checkpoints::new(limits);
        checkpoints.keep(0, Saved::of(&mut machine, streams.mark(), keeper.as_mut())?);
        Ok(Self {
            title,
            policy,
            machine,
            operations: 0,
            log,
            streams,
            keeper,
            checkpoints,
            place: Place::default(),
            window: None,
            arrived: None,
            last: None,
            interrupt: Interrupt::default(),
        })
    }

    /// What stops a long run.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// The position.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Has the machine be that of a copy.
    fn load(&mut self, from: LoadFrom) -> Result<(), StepError> {
        let saved = match from {
            LoadFrom::Window => self.window.as_mut().map(|window| &mut window.base),
            LoadFrom::Checkpoint(until) => {
                let last = self.checkpoints.last(until);
                last.and_then(|at| self.checkpoints.at(at))
            }
        };
        let Some(saved) = saved else { return Err(failed("there is no copy of the machine")) };
        if let (Some(keeper), Some(files)) = (&mut self.keeper, &mut saved.files) {
            let loaded = keeper.load(&mut saved.machine, files);
            loaded.map_err(|error| failed(&format!("the program's files: {error}")))?;
        }
        let mut machine = saved.machine.snapshot().map_err(|error| failed(&error))?;
        self.streams.go_to(&saved.streams);
        machine.tell_events(Box::new(self.log.clone()));
        self.machine = machine;
        self.operations = 0;
        self.log.take();
        Ok(())
    }

    /// Has the machine be so many operations behind the last of so many instructions.
    ///
    /// # Errors
    /// If the run ends before, or was interrupted.
    pub(crate) fn go(&mut self, instructions: u64, operations: u32) -> Result<(), StepError> {
        let here = (self.machine.instructions(), self.operations);
        let wanted = (instructions, operations);
        if here > wanted {
            let is_base =
                self.window.as_ref().is_some_and(|window| window.instructions == instructions);
            self.load(match is_base {
                true => LoadFrom::Window,
                false => LoadFrom::Checkpoint(instructions),
            })?;
            self.run_to(instructions, true)?;
        } else if here.0 < instructions {
            // A copy that lies between saves the way.
            let nearest = self.checkpoints.last(instructions);
            if nearest.is_some_and(|at| at > here.0) {
                self.load(LoadFrom::Checkpoint(instructions))?;
            }
            self.run_to(instructions, false)?;
        }
        if self.machine.instructions() < instructions {
            return Err(self.no_such(Place::behind(instructions)));
        }
        while self.operations < operations && self.machine.end().is_none() {
            self.operate();
        }
        Ok(())
    }

    fn operate(&mut self) -> Option<instruction::Next> {
        let before = self.machine.instructions();
        let next = operate(&mut self.machine);
        self.operations = match self.machine.instructions() == before {
            true => self.operations + 1,
            false => 0,
        };
        next
    }

    /// Runs forwards, making checkpoints.
    fn run_to(&mut self, instructions: u64, rewinding: bool) -> Result<(), StepError> {
        let mut near = match rewinding {
            true => self.checkpoints.begin_near(self.machine.instructions(), instructions),
            false => Vec::new(),
        };
        while self.machine.instructions() < instructions && self.machine.end().is_none() {
            let now = self.machine.instructions();
            let stop = self.checkpoints.next(now).min(instructions);
            let stop = near.iter().copied().filter(|&at| at > now).min().unwrap_or(stop).min(stop);
            self.machine.advance(stop, STOPS);
            self.log.take();
            self.reached(stop)?;
            if near.contains(&self.machine.instructions()) {
                near.retain(|&at| at != self.machine.instructions());
                let saved = self.copy()?;
                self.checkpoints.keep_near(self.machine.instructions(), saved);
            }
        }
        if self.machine.instructions() >= instructions {
            self.operations = 0;
        }
        Ok(())
    }

    /// The machine has run, perhaps to `stop`: is there to be a checkpoint, and is it to go on?
    pub(crate) fn reached(&mut self, stop: u64) -> Result<(), StepError> {
        if self.interrupt.take() {
            // Wherever the machine is now: nobody knows how many operations that was.
            self.load(LoadFrom::Checkpoint(0))?;
            return Err(failed("interrupted"));
        }
        let now = self.machine.instructions();
        if now == stop && self.machine.end().is_none() && self.checkpoints.wants(now) {
            let saved = self.copy()?;
            self.checkpoints.keep(now, saved);
        }
        // In the middle of a window nobody has counted the operations.
        self.operations = if now == stop { 0 } else { u32::MAX };
        Ok(())
    }

    fn copy(&mut self) -> Result<Saved, StepError> {
        Saved::of(&mut self.machine, self.streams.mark(), self.keeper.as_mut())
            .map_err(|error| failed(&error))
    }

    /// Has what happens behind an instruction written down.
    pub(crate) fn expand(&mut self, instructions: u64) -> Result<&Window, StepError> {
        let is_there =
            self.window.as_ref().is_some_and(|window| window.instructions == instructions);
        if !is_there {
            self.go(instructions, 0)?;
            let Self { machine, log, streams, policy, keeper, .. } = self;
            let keeper = keeper.as_mut();
            let window = Writer { machine, log, streams, policy, keeper }.window();
            let window = window.map_err(|error| failed(&error))?;
            self.operations = if window.is_last() { window.operations } else { 0 };
            self.window = Some(window);
        }
        self.window.as_ref().ok_or_else(|| failed("there is no window"))
    }

    /// Has the machine be behind an instruction, and knows which that was.
    fn arrive(&mut self, instructions: u64) -> Result<(), StepError> {
        let is_known =
            self.arrived.as_ref().is_some_and(|arrived| arrived.instructions == instructions);
        if is_known {
            return self.go(instructions, 0);
        }
        let Some(before) = instructions.checked_sub(1) else {
            self.go(0, 0)?;
            let (happened, before) = (start(), Before::default());
            self.arrived = Some(Arrived { instructions, happened, before });
            return Ok(());
        };
        if self.machine.instructions() != before {
            self.go(before, 0)?;
        }
        let mut tlb = None;
        let mut last = None;
        while self.machine.instructions() == before && self.machine.end().is_none() {
            tlb = Some(crate::state::tlb(&self.machine.inspect()));
            last = self.operate();
        }
        if self.machine.instructions() == before {
            return Err(self.no_such(Place::behind(instructions)));
        }
        let (happened, x) = match &last {
            Some(next) => (done(next, &self.machine), Some((next.tid, next.x))),
            None => (Happened::new(Kind::Retired, "An instruction is done."), None),
        };
        let before = Before { x, tlb };
        self.arrived = Some(Arrived { instructions, happened, before });
        Ok(())
    }

    /// There is no such position: the run ends before.
    fn no_such(&mut self, place: Place) -> StepError {
        match self.find_last() {
            Ok(last) => StepError::NoSuchStep { step: place.step(), last: last.step() },
            Err(error) => error,
        }
    }

    /// The last position of a run whose end the machine has reached.
    pub(crate) fn find_last(&mut self) -> Result<Place, StepError> {
        if let Some(last) = self.last {
            return Ok(last);
        }
        while self.machine.end().is_none() {
            let stop = self.checkpoints.next(self.machine.instructions());
            self.machine.advance(stop, STOPS);
            self.log.take();
            self.reached(stop)?;
        }
        let instructions = self.machine.instructions();
        // The end came with the instruction, or behind it.
        self.operations = u32::MAX;
        self.go(instructions, 0)?;
        let last = match self.machine.end() {
            Some(_) => Place::behind(instructions),
            None => {
                let things = self.expand(instructions)?.things.len() as u16;
                Place { instructions, thing: things }
            }
        };
        self.last = Some(last);
        Ok(last)
    }

    /// Goes to a position, and has the machine be as it is there.
    fn look(&mut self) -> Result<(Happened, Before), StepError> {
        let Place { instructions, thing } = self.place;
        if thing == 0 {
            self.arrive(instructions)?;
            let arrived = self.arrived.as_ref();
            let arrived = arrived.ok_or_else(|| failed("the machine did not arrive"))?;
            return Ok((arrived.happened.clone(), arrived.before.clone()));
        }
        let window = self.expand(instructions)?;
        let (is_last, all) = (window.is_last(), window.operations);
        let found = window.things.get(usize::from(thing) - 1).cloned();
        let found = found.ok_or_else(|| failed("there is no such step"))?;
        match found.operations == all && !is_last {
            true => self.go(instructions + 1, 0)?,
            false => self.go(instructions, found.operations)?,
        }
        Ok((found.happened, Before::default()))
    }

    /// The next position of any kind; `None` at the end.
    fn next_place(&mut self) -> Result<Option<Place>, StepError> {
        let Place { instructions, thing } = self.place;
        if self.last == Some(self.place) {
            return Ok(None);
        }
        self.go_if_ended(instructions)?;
        if self.last == Some(self.place) {
            return Ok(None);
        }
        let window = self.expand(instructions)?;
        let (things, is_last) = (window.things.len(), window.is_last());
        Ok(match usize::from(thing) < things {
            true => Some(Place { instructions, thing: thing + 1 }),
            false if is_last => {
                self.last = Some(self.place);
                None
            }
            false => Some(Place::behind(instructions + 1)),
        })
    }

    /// Notes the end if the run ends with the instruction that the position is behind.
    pub(crate) fn go_if_ended(&mut self, instructions: u64) -> Result<(), StepError> {
        if self.place.thing == 0 && self.last.is_none() {
            self.go(instructions, 0)?;
            if self.machine.end().is_some() {
                self.last = Some(Place::behind(instructions));
            }
        }
        Ok(())
    }

    /// The position before, of any kind; `None` at the start.
    fn place_before(&mut self) -> Result<Option<Place>, StepError> {
        let Place { instructions, thing } = self.place;
        if let Some(before) = thing.checked_sub(1) {
            return Ok(Some(Place { instructions, thing: before }));
        }
        let Some(before) = instructions.checked_sub(1) else { return Ok(None) };
        let things = self.expand(before)?.things.len() as u16;
        Ok(Some(Place { instructions: before, thing: things }))
    }

    /// The kind of thing that happened at the position.
    fn kind(&mut self) -> Result<Kind, StepError> {
        let Place { instructions, thing } = self.place;
        match thing.checked_sub(1) {
            Some(index) => {
                let window = self.expand(instructions)?;
                let found = window.things.get(usize::from(index));
                Ok(found.map_or(Kind::Retired, |thing| thing.happened.kind))
            }
            None if instructions == 0 => Ok(Kind::Start),
            None if self.last == Some(self.place) => Ok(Kind::End),
            None => Ok(Kind::Retired),
        }
    }

    /// Does something that may fail, after which the position is as before if it did.
    pub(crate) fn or_stay<R>(
        &mut self,
        go: impl FnOnce(&mut Self) -> Result<R, StepError>,
    ) -> Result<R, StepError> {
        let place = self.place;
        go(self).inspect_err(|_| self.place = place)
    }

    /// What a search for the next or the last fault looks for.
    fn fault_breaks() -> [Break; 3] {
        [Kind::Fault, Kind::Signal, Kind::End]
            .map(|kind| Break { kind: Some(kind), ..Break::default() })
    }

    fn forward_instruction(&mut self) -> Result<bool, StepError> {
        let instructions = self.place.instructions;
        if self.last == Some(self.place) {
            return Ok(false);
        }
        self.go_if_ended(instructions)?;
        if self.last == Some(self.place) {
            return Ok(false);
        }
        match self.arrive(instructions + 1) {
            Ok(()) => self.place = Place::behind(instructions + 1),
            Err(StepError::NoSuchStep { last, .. }) => self.place = Place::of(last),
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

/// Which copy.
enum LoadFrom {
    /// That at the beginning of the window.
    Window,
    /// The last at or before so many instructions.
    Checkpoint(u64),
}

pub(crate) fn failed(reason: &(impl std::fmt::Display + ?Sized)) -> StepError {
    StepError::Failed(reason.to_string())
}

impl Stepper for Rewind {
    fn step(&self) -> u64 {
        self.place.step()
    }

    fn last(&self) -> Option<u64> {
        self.last.map(Place::step)
    }

    fn steps_per_instruction(&self) -> Option<u64> {
        Some(Place::STEPS)
    }

    fn state(&mut self) -> State {
        let (happened, before) = match self.look() {
            Ok(found) => found,
            // The position was gone to before: only the host can have failed since.
            Err(error) => (Happened::new(Kind::End, error.to_string()), Before::default()),
        };
        let scene = Scene {
            title: &self.title,
            place: self.place,
            output: self.streams.text(),
            happened,
            before,
        };
        build(&mut self.machine, scene)
    }

    fn go_to(&mut self, step: u64) -> Result<(), StepError> {
        let place = Place::of(step);
        self.or_stay(|this| {
            if let Some(last) = this.last.filter(|last| *last < place) {
                return Err(StepError::NoSuchStep { step, last: last.step() });
            }
            match place.thing.checked_sub(1) {
                None => this.arrive(place.instructions)?,
                Some(index) => {
                    let things = this.expand(place.instructions)?.things.len();
                    if usize::from(index) >= things {
                        let n = place.instructions;
                        return Err(failed(&format!(
                            "there is no {place}: behind instruction {n} the last is {n}.{things}"
                        )));
                    }
                }
            }
            this.place = place;
            this.go_if_ended(place.instructions)
        })
    }

    fn forward(&mut self, grain: Grain) -> Result<bool, StepError> {
        self.or_stay(|this| match grain {
            Grain::Instruction => this.forward_instruction(),
            Grain::Fault => {
                let start = this.place;
                this.run(&Self::fault_breaks())?;
                Ok(this.place != start)
            }
            Grain::End => {
                let start = this.place;
                this.place = this.find_last()?;
                Ok(this.place != start)
            }
            Grain::Reference | Grain::Access | Grain::Event => {
                let start = this.place;
                while let Some(place) = this.next_place()? {
                    this.place = place;
                    if this.kind()?.is_stop(grain) {
                        break;
                    }
                }
                Ok(this.place != start)
            }
        })
    }

    fn back(&mut self, grain: Grain) -> Result<bool, StepError> {
        self.or_stay(|this| match grain {
            Grain::Instruction => {
                let Place { instructions, thing } = this.place;
                if this.place == Place::default() {
                    return Ok(false);
                }
                this.place = Place::behind(instructions - u64::from(thing == 0));
                Ok(true)
            }
            Grain::Fault => {
                let start = this.place;
                this.run_back(&Self::fault_breaks())?;
                Ok(this.place != start)
            }
            Grain::End => {
                let start = this.place;
                this.place = Place::default();
                Ok(this.place != start)
            }
            Grain::Reference | Grain::Access | Grain::Event => {
                let start = this.place;
                while let Some(place) = this.place_before()? {
                    this.place = place;
                    if this.kind()?.is_stop(grain) {
                        break;
                    }
                }
                Ok(this.place != start)
            }
        })
    }

    fn run(&mut self, breaks: &[Break]) -> Result<bool, StepError> {
        self.or_stay(|this| this.search_forward(breaks))
    }

    fn run_back(&mut self, breaks: &[Break]) -> Result<bool, StepError> {
        self.or_stay(|this| this.search_back(breaks))
    }
}
