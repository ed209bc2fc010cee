//! Policies by name: `NAME` or `NAME:KEY=VALUE,KEY=VALUE`.

use crate::{
    Aging, Car, Clock, ClockPro, Fifo, FreeBsd, FreeBsdConfig, FreeBsdLaundry,
    FreeBsdLaundryConfig, GClock, Linux, LirsScan, Lru, Mglru, Nru, NruPick, Opt, Pff, Policy,
    Random, SecondChance, Vms, WorkingSet, WsClock,
};
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;

/// The window of working sets, in units of virtual time.
const TAU: u64 = 10_000_000;
/// The time between faults above which PFF shrinks, in the same units.
const THRESHOLD: u64 = 1_000_000;

/// Which policy, with its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// [`Clock`].
    #[default]
    Clock,
    /// [`Fifo`].
    Fifo,
    /// [`Random`].
    Random,
    /// [`SecondChance`].
    SecondChance,
    /// [`GClock`].
    GClock {
        /// The width of a counter, 1 to 8.
        bits: u8,
    },
    /// [`Nru`].
    Nru {
        /// Which page of the lowest class.
        pick: NruPick,
    },
    /// [`Aging`].
    Aging,
    /// [`FreeBsd`].
    FreeBsd(FreeBsdConfig),
    /// [`FreeBsdLaundry`].
    FreeBsdLaundry(FreeBsdLaundryConfig),
    /// [`Linux`].
    Linux {
        /// How willingly anonymous pages are scanned, 0 to 200.
        swappiness: u8,
    },
    /// [`Car`].
    Car,
    /// [`ClockPro`].
    ClockPro,
    /// [`LirsScan`].
    LirsScan {
        /// The share of the frames that is not for LIR pages, in percent, 1 to 99.
        hirs: u8,
        /// Evicted pages that are remembered, in percent of the frames, 0 to 1000.
        ghosts: u16,
    },
    /// [`WorkingSet`].
    WorkingSet {
        /// The window, in units of virtual time.
        tau: u64,
    },
    /// [`WsClock`].
    WsClock {
        /// The window, in units of virtual time.
        tau: u64,
        /// Pages laundered in one search at most.
        launder: u32,
    },
    /// [`Pff`].
    Pff {
        /// The time between faults above which it shrinks, in units of virtual time.
        threshold: u64,
    },
    /// [`Vms`].
    Vms {
        /// The share of the standby and modified lists, in percent, 1 to 100.
        secondary: u8,
    },
    /// [`Mglru`].
    Mglru {
        /// How willingly anonymous pages are evicted, 0 to 200.
        swappiness: u8,
    },
    /// [`Lru`].
    Lru,
    /// [`Opt`].
    Opt,
}

impl PolicyKind {
    /// All policies with the parameters that they have by default, in the order in which help
    /// texts list them.
    pub const ALL: [Self; 20] = [
        Self::Clock,
        Self::Fifo,
        Self::Random,
        Self::SecondChance,
        Self::GClock { bits: 2 },
        Self::Nru { pick: NruPick::Random },
        Self::Aging,
        Self::FreeBsd(FreeBsdConfig::DEFAULT),
        Self::FreeBsdLaundry(FreeBsdLaundryConfig::DEFAULT),
        Self::Linux { swappiness: 60 },
        Self::Car,
        Self::ClockPro,
        Self::LirsScan { hirs: 1, ghosts: 100 },
        Self::WorkingSet { tau: TAU },
        Self::WsClock { tau: TAU, launder: 32 },
        Self::Pff { threshold: THRESHOLD },
        Self::Vms { secondary: 20 },
        Self::Mglru { swappiness: 60 },
        Self::Lru,
        Self::Opt,
    ];

    /// The names of [`PolicyKind::ALL`].
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = Self::ALL[at].name();
            at += 1;
        }
        names
    };

    /// The policy's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Fifo => "fifo",
            Self::Random => "random",
            Self::SecondChance => "second-chance",
            Self::GClock { .. } => "gclock",
            Self::Nru { .. } => "nru",
            Self::Aging => "aging",
            Self::FreeBsd(_) => "freebsd",
            Self::FreeBsdLaundry(_) => "freebsd-laundry",
            Self::Linux { .. } => "linux",
            Self::Car => "car",
            Self::ClockPro => "clock-pro",
            Self::LirsScan { .. } => "lirs-scan",
            Self::WorkingSet { .. } => "ws",
            Self::WsClock { .. } => "wsclock",
            Self::Pff { .. } => "pff",
            Self::Vms { .. } => "vms",
            Self::Mglru { .. } => "mglru",
            Self::Lru => "lru,ideal",
            Self::Opt => "opt",
        }
    }

    /// The policy called `name`, with its default parameters.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it must be told of every reference ([`Policy::reference`]).
    pub const fn sees_references(self) -> bool {
        matches!(self, Self::Lru | Self::Opt)
    }

    /// Whether it must be told the future: what a first run of the same program found.
    pub const fn needs_future(self) -> bool {
        matches!(self, Self::Opt)
    }

    /// The parameters that the policy takes and the values that are allowed, as help texts say it.
    pub const fn parameters(self) -> &'static str {
        match self {
            Self::GClock { .. } => "bits=1..8",
            Self::Nru { .. } => "pick=random|first",
            Self::FreeBsd(_) => "init=1..64, advance=0..64, decline=1..64",
            Self::FreeBsdLaundry(_) => "interval=1.., weight=1..64, rate=10..65535",
            Self::Linux { .. } | Self::Mglru { .. } => "swappiness=0..200",
            Self::LirsScan { .. } => "hirs=1..99, ghosts=0..1000",
            Self::WorkingSet { .. } => "tau=1..",
            Self::WsClock { .. } => "tau=1.., launder=0..65535",
            Self::Pff { .. } => "threshold=1..",
            Self::Vms { .. } => "secondary=1..100",
            _ => "",
        }
    }

    /// A new policy over `frames` frames; `seed` feeds those that draw.
    pub fn build(self, frames: u64, seed: u64) -> Box<dyn Policy> {
        match self {
            Self::Clock => Box::new(Clock::new(frames)),
            Self::Fifo => Box::new(Fifo::new(frames)),
            Self::Random => Box::new(Random::new(frames, seed)),
            Self::SecondChance => Box::new(SecondChance::new(frames)),
            Self::GClock { bits } => Box::new(GClock::new(frames, bits)),
            Self::Nru { pick } => Box::new(Nru::new(frames, pick, seed)),
            Self::Aging => Box::new(Aging::new(frames)),
            Self::FreeBsd(config) => Box::new(FreeBsd::new(frames, config)),
            Self::FreeBsdLaundry(config) => Box::new(FreeBsdLaundry::new(frames, config)),
            Self::Linux { swappiness } => Box::new(Linux::new(frames, swappiness)),
            Self::Car => Box::new(Car::new(frames)),
            Self::ClockPro => Box::new(ClockPro::new(frames)),
            Self::LirsScan { hirs, ghosts } => Box::new(LirsScan::new(frames, hirs, ghosts)),
            Self::WorkingSet { tau } => Box::new(WorkingSet::new(frames, tau)),
            Self::WsClock { tau, launder } => Box::new(WsClock::new(frames, tau, launder)),
            Self::Pff { threshold } => Box::new(Pff::new(frames, threshold)),
            Self::Vms { secondary } => Box::new(Vms::new(frames, secondary)),
            Self::Mglru { swappiness } => Box::new(Mglru::new(frames, swappiness)),
            Self::Lru => Box::new(Lru::new(frames)),
            Self::Opt => Box::new(Opt::new(frames)),
        }
    }

    /// Sets a parameter; `None` if there is no such parameter, or not with this value.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match (self, key) {
            (Self::GClock { bits }, "bits") => *bits = number(value, 1..=8)? as u8,
            (Self::Nru { pick }, "pick") => {
                *pick = match value {
                    "random" => NruPick::Random,
                    "first" => NruPick::First,
                    _ => return None,
                }
            }
            (Self::FreeBsd(config), "init") => config.init = number(value, 1..=64)? as u8,
            (Self::FreeBsd(config), "advance") => config.advance = number(value, 0..=64)? as u8,
            (Self::FreeBsd(config), "decline") => config.decline = number(value, 1..=64)? as u8,
            (Self::FreeBsdLaundry(config), "interval") => {
                config.interval = number(value, 1..=u64::MAX)?;
            }
            (Self::FreeBsdLaundry(config), "weight") => {
                config.weight = number(value, 1..=64)? as u8;
            }
            (Self::FreeBsdLaundry(config), "rate") => {
                config.rate = number(value, 10..=65535)? as u32;
            }
            (Self::Linux { swappiness } | Self::Mglru { swappiness }, "swappiness") => {
                *swappiness = number(value, 0..=200)? as u8
            }
            (Self::LirsScan { hirs, .. }, "hirs") => *hirs = number(value, 1..=99)? as u8,
            (Self::LirsScan { ghosts, .. }, "ghosts") => *ghosts = number(value, 0..=1000)? as u16,
            (Self::WorkingSet { tau } | Self::WsClock { tau, .. }, "tau") => {
                *tau = number(value, 1..=u64::MAX)?;
            }
            (Self::WsClock { launder, .. }, "launder") => {
                *launder = number(value, 0..=65535)? as u32
            }
            (Self::Pff { threshold }, "threshold") => *threshold = number(value, 1..=u64::MAX)?,
            (Self::Vms { secondary }, "secondary") => *secondary = number(value, 1..=100)? as u8,
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::GClock { bits } => write!(f, ":bits={bits}"),
            Self::Nru { pick: NruPick::Random } => f.write_str(":pick=random"),
            Self::Nru { pick: NruPick::First } => f.write_str(":pick=first"),
            Self::FreeBsd(FreeBsdConfig { init, advance, decline }) => {
                write!(f, ":init={init},advance={advance},decline={decline}")
            }
            Self::FreeBsdLaundry(FreeBsdLaundryConfig { interval, weight, rate }) => {
                write!(f, ":interval={interval},weight={weight},rate={rate}")
            }
            Self::Linux { swappiness } | Self::Mglru { swappiness } => {
                write!(f, ":swappiness={swappiness}")
            }
            Self::LirsScan { hirs, ghosts } => write!(f, ":hirs={hirs},ghosts={ghosts}"),
            Self::WorkingSet { tau } => write!(f, ":tau={tau}"),
            Self::WsClock { tau, launder } => write!(f, ":tau={tau},launder={launder}"),
            Self::Pff { threshold } => write!(f, ":threshold={threshold}"),
            Self::Vms { secondary } => write!(f, ":secondary={secondary}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for PolicyKind {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let (name, parameters) = match text.split_once(':') {
            Some((name, parameters)) => (name, Some(parameters)),
            None => (text, None),
        };
        let mut kind =
            Self::by_name(name).ok_or_else(|| PolicyError::UnknownPolicy(name.into()))?;
        for given in parameters.into_iter().flat_map(|list| list.split(',')) {
            let set = given.split_once('=').and_then(|(key, value)| kind.set(key, value));
            set.ok_or_else(|| PolicyError::Parameter { kind, given: given.into() })?;
        }
        Ok(kind)
    }
}

/// A whole number within `allowed`.
fn number(text: &str, allowed: RangeInclusive<u64>) -> Option<u64> {
    text.parse().ok().filter(|number| allowed.contains(number))
}

/// What is wrong with the name of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// No policy has this name.
    UnknownPolicy(String),
    /// The policy does not take this.
    Parameter {
        /// The policy.
        kind: PolicyKind,
        /// What was given as `KEY=VALUE`.
        given: String,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPolicy(name) => {
                write!(f, "unknown replacement policy '{name}': expected one of ")?;
                for (at, name) in PolicyKind::NAMES.iter().enumerate() {
                    write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Parameter { kind, given } => {
                write!(f, "replacement policy '{}' does not take '{given}': ", kind.name())?;
                match kind.parameters() {
                    "" => f.write_str("it has no parameters"),
                    parameters => write!(f, "expected {parameters}"),
                }
            }
        }
    }
}

impl core::error::Error for PolicyError {}
