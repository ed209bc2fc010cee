//! Policies by name.

use crate::{Clock, Fifo, Policy, Random};
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Which policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// [`Clock`].
    #[default]
    Clock,
    /// [`Fifo`].
    Fifo,
    /// [`Random`].
    Random,
}

impl PolicyKind {
    /// All policies, in the order in which help texts list them.
    pub const ALL: [Self; 3] = [Self::Clock, Self::Fifo, Self::Random];

    /// The names of [`PolicyKind::ALL`].
    pub const NAMES: [&'static str; 3] = ["clock", "fifo", "random"];

    /// The policy's name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The policy called `name`.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// A new policy over `frames` frames; `seed` feeds those that draw.
    pub fn build(self, frames: u64, seed: u64) -> Box<dyn Policy> {
        match self {
            Self::Clock => Box::new(Clock::new(frames)),
            Self::Fifo => Box::new(Fifo::new(frames)),
            Self::Random => Box::new(Random::new(frames, seed)),
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PolicyKind {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        Self::by_name(name).ok_or_else(|| UnknownPolicy(name.into()))
    }
}

/// No policy has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPolicy(pub String);

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown replacement policy '{}': expected one of ", self.0)?;
        for (at, name) in PolicyKind::NAMES.iter().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownPolicy {}
