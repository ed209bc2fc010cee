//! Positions in a run: a number of instructions, and things behind the last of them.

use std::fmt;

/// The bits of a step that count things.
const THING_BITS: u32 = 16;

/// The most things between two instructions that have positions of their own. What a call does
/// beyond (it may bring in millions of pages) is part of the last of them.
pub(crate) const THINGS_MAX: usize = (1 << THING_BITS) - 2;

/// A position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Instructions that are done.
    pub instructions: u64,
    /// Things that happened since the last of them; 65,535 at most.
    pub thing: u16,
}

impl Place {
    /// How many steps have numbers for each instruction.
    pub const STEPS: u64 = 1 << THING_BITS;

    /// Behind an instruction.
    pub const fn behind(instructions: u64) -> Self {
        Self { instructions, thing: 0 }
    }

    /// The position of a step.
    pub const fn of(step: u64) -> Self {
        Self { instructions: step >> THING_BITS, thing: (step & (Self::STEPS - 1)) as u16 }
    }

    /// The number of the step. The instructions of a run that a host can make have room in it.
    pub const fn step(self) -> u64 {
        self.instructions << THING_BITS | self.thing as u64
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.thing {
            0 => write!(f, "{}", self.instructions),
            thing => write!(f, "{}.{thing}", self.instructions),
        }
    }
}
