//! Whoever can go to any step of a run.

use std::fmt;

use crate::{Kind, State};

/// How far one step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    /// To the next thing of any kind: each reference to a table is one.
    Reference,
    /// To the next access, translation or fault.
    Access,
    /// To the next thing that a story of the run would tell.
    Event,
    /// To the end of an instruction.
    Instruction,
    /// To the next fault.
    Fault,
    /// To the end of the run.
    End,
}

impl Grain {
    /// All of them, finest first.
    pub const ALL: [Self; 6] =
        [Self::Reference, Self::Access, Self::Event, Self::Instruction, Self::Fault, Self::End];

    /// The name, as the command spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Access => "access",
            Self::Event => "event",
            Self::Instruction => "instruction",
            Self::Fault => "fault",
            Self::End => "end",
        }
    }

    /// The grain of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grain| grain.name() == name)
    }
}

/// What a run is stopped for. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Break {
    /// Things of this kind.
    pub kind: Option<Kind>,
    /// … of this process.
    pub process: Option<u32>,
    /// … that concern an address of this range: from, and the first behind.
    pub addresses: Option<(u64, u64)>,
    /// … that concern this frame.
    pub frame: Option<u64>,
    /// … that concern this slot.
    pub slot: Option<u64>,
    /// … once this counter has reached a value: its name, as a state's counters have it.
    pub counter: Option<(String, u64)>,
}

/// Why a step cannot be gone to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepError {
    /// There is no such step.
    NoSuchStep {
        /// What was asked for.
        step: u64,
        /// The last.
        last: u64,
    },
    /// The run cannot be repeated, or not from here: the reason, in a sentence.
    Failed(String),
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchStep { step, last } => {
                write!(f, "there is no step {step}: the last is {last}")
            }
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StepError {}

/// A run that can be walked through.
pub trait Stepper {
    /// The current step.
    fn step(&self) -> u64;

    /// The last step, where it is known: a real program's is not until it was reached.
    fn last(&self) -> Option<u64>;

    /// Where steps are not counted one by one, how many numbers each instruction has: step `s` is
    /// then the thing `s mod N` behind instruction `s / N`.
    fn steps_per_instruction(&self) -> Option<u64> {
        None
    }

    /// The state at the current step.
    fn state(&mut self) -> State;

    /// Goes to a step.
    ///
    /// # Errors
    /// If there is none, or the way there fails; the current step stays.
    fn go_to(&mut self, step: u64) -> Result<(), StepError>;

    /// Goes forward by one step of `grain`. `false`: the run is over, and the last step is the
    /// current one.
    ///
    /// # Errors
    /// If the way there fails; the current step stays.
    fn forward(&mut self, grain: Grain) -> Result<bool, StepError>;

    /// Goes back by one step of `grain`, to where a step forward of that grain would have stopped.
    /// `false`: the start is the current step.
    ///
    /// # Errors
    /// If the way there fails; the current step stays.
    fn back(&mut self, grain: Grain) -> Result<bool, StepError>;

    /// Goes forward to the next step at which one of `breaks` holds. `false`: there is none, and
    /// the last step is the current one.
    ///
    /// # Errors
    /// If the way there fails; the current step stays.
    fn run(&mut self, breaks: &[Break]) -> Result<bool, StepError>;

    /// Goes back to the last step before this one at which one of `breaks` holds. `false`: there is
    /// none, and the start is the current step.
    ///
    /// # Errors
    /// If the way there fails; the current step stays.
    fn run_back(&mut self, breaks: &[Break]) -> Result<bool, StepError>;
}
