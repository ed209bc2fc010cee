//! What happens between two instructions, thing by thing.
//!
//! ```text
//!   n.0   begins · split · TLB … · fault │ evict · swap-in · resolved │ begins · split … · load   (n+1).0
//!        └──────── machine 0 ───────────┘└──────── machine 1 ────────┘└─ machine 1 ─┘ machine 2
//! ```
//!
//! A machine is moved by operations: the scheduler does one thing, or the hart runs until it stops or
//! has retired the instruction. Each thing says behind how many operations the machine is as it was
//! when the thing had happened.

use std::collections::BTreeMap;
use std::io;

use pagewalk_kernel::SpaceId;
use pagewalk_machine::{End, Machine};
use pagewalk_mmu::{AccessKind, VirtAddr};
use pagewalk_step::{Happened, Kind};

use crate::accesses::{self, Wanted};
use crate::checkpoints::Saved;
use crate::events::{Log, What};
use crate::files::Keeper;
use crate::instruction::{self, Next};
use crate::place::THINGS_MAX;
use crate::sentences::Storyteller;
use crate::streams::Streams;

/// A thing, and the machine that shows it.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub happened: Happened,
    /// Operations that the machine has made since the window began.
    pub operations: u32,
}

/// A window.
#[derive(Debug)]
pub(crate) struct Window {
    /// Instructions done before it.
    pub instructions: u64,
    /// The machine at its beginning.
    pub base: Saved,
    pub things: Vec<Thing>,
    /// Operations to its end.
    pub operations: u32,
    /// The instruction that ends it; none if the run ends in it.
    pub retired: Option<Happened>,
}

impl Window {
    /// Whether the run ends in it: no instruction follows.
    pub const fn is_last(&self) -> bool {
        self.retired.is_none()
    }
}

/// Does the machine's next operation; returns the instruction that the hart was to execute, if it was
/// a hart's.
pub(crate) fn operate(machine: &mut Machine) -> Option<Next> {
    if !machine.is_dispatched() {
        machine.dispatch_next();
        return None;
    }
    let next = instruction::next(machine);
    machine.advance(machine.instructions() + 1, 1);
    next
}

/// How a run ended, in a sentence.
pub(crate) fn end_sentence(end: &End) -> String {
    match end {
        End::Exited(status) => format!("The program has ended with status {}.", status & 0xff),
        End::Killed { signal, reason } => {
            format!("The program was killed by {}: {reason}.", signal.name())
        }
        End::Budget => "The instruction budget is used up.".into(),
        End::Interrupted => "The run was interrupted.".into(),
    }
}

/// Writes down what happens.
pub(crate) struct Writer<'a> {
    pub machine: &'a mut Machine,
    pub log: &'a Log,
    pub streams: &'a Streams,
    pub policy: &'a str,
    pub keeper: Option<&'a mut Keeper>,
}

impl Writer<'_> {
    /// Runs to the end of a window, at whose beginning the machine is.
    ///
    /// # Errors
    /// If the machine cannot be copied.
    pub fn window(self) -> io::Result<Window> {
        let Writer { machine, log, streams, policy, keeper } = self;
        let instructions = machine.instructions();
        let mut base = Saved::of(machine, streams.mark(), keeper)?;
        let mut things: Vec<Thing> = Vec::new();
        let mut owners = BTreeMap::new();
        let mut processes = BTreeMap::new();
        note_processes(&mut processes, machine);
        let mut operations = 0;
        let mut retired = None;
        let mut running = machine.inspect().current();
        log.take();
        while machine.end().is_none() && machine.instructions() == instructions {
            if machine.is_dispatched() {
                let told = begins(machine, instructions);
                things.extend(told.into_iter().map(|happened| Thing { happened, operations }));
            }
            let next = operate(machine);
            operations += 1;
            note_processes(&mut processes, machine);
            let events: Vec<What> = log.take().into_iter().map(|told| told.what).collect();
            let mut story = Storyteller {
                before: base.machine.inspect(),
                owners: &mut owners,
                processes: &mut processes,
                policy,
            };
            let mut told = story.tell(&events);
            let now = machine.inspect().current();
            if now != running
                && let Some((tid, pid)) = now
            {
                told.push(switched(tid, pid));
            }
            running = now.or(running);
            if machine.instructions() > instructions
                && let Some(next) = &next
            {
                told.extend(accessed(next, machine));
                retired = Some(done(next, machine));
            }
            things.extend(told.into_iter().map(|happened| Thing { happened, operations }));
            // The last thing is what the rest is part of.
            things.truncate(THINGS_MAX);
        }
        if retired.is_none()
            && let Some(end) = machine.end()
        {
            let happened = Happened::new(Kind::End, end_sentence(end));
            things.push(Thing { happened, operations });
        }
        Ok(Window { instructions, base, things, operations, retired })
    }
}

fn note_processes(processes: &mut BTreeMap<SpaceId, u32>, machine: &mut Machine) {
    for (space, pid) in machine.inspect().spaces() {
        processes.insert(space, pid);
    }
}

fn switched(tid: u32, pid: u32) -> Happened {
    let who = match tid == pid {
        true => format!("Process {pid}"),
        false => format!("Thread {tid} of process {pid}"),
    };
    Happened { process: Some(pid), ..Happened::new(Kind::Switch, format!("{who} runs now.")) }
}

/// An instruction begins: what the hardware does for its accesses, up to the first fault.
fn begins(machine: &mut Machine, now: u64) -> Vec<Happened> {
    let Some(next) = instruction::next(machine) else { return Vec::new() };
    let look = machine.inspect();
    let mut told = vec![Happened {
        process: Some(next.pid),
        address: Some(next.pc),
        ..Happened::new(
            Kind::Instruction,
            format!("Process {} begins {} at {:#x}.", next.pid, next.text(), next.pc),
        )
    }];
    let fetch = Wanted { process: next.pid, address: next.pc, access: AccessKind::Execute, now };
    let page = look.page().bytes();
    let last = next.pc.wrapping_add(next.code.as_ref().map_or(1, |code| code.bytes) - 1);
    let second = (last & !(page - 1) != next.pc & !(page - 1))
        .then_some(Wanted { address: last & !(page - 1), ..fetch });
    let data = next.data.map(|data| Wanted { address: data.address, access: data.access, ..fetch });
    for wanted in [Some(fetch), second, data].into_iter().flatten() {
        let (things, faults) = accesses::things(&look, wanted);
        told.extend(things);
        if faults {
            break;
        }
    }
    told
}

/// An instruction is done: the last, if the run has ended.
pub(crate) fn done(next: &Next, machine: &Machine) -> Happened {
    let about = Happened {
        process: Some(next.pid),
        address: Some(next.pc),
        ..Happened::new(Kind::Retired, "")
    };
    match machine.end() {
        Some(end) => Happened { kind: Kind::End, sentence: end_sentence(end), ..about },
        None => Happened {
            kind: Kind::Retired,
            sentence: format!("{} at {:#x} is done.", next.text(), next.pc),
            ..about
        },
    }
}

/// The beginning of the run.
pub(crate) fn start() -> Happened {
    let sentence = "The program is loaded; its first instruction is next.";
    let why = vec![
        "Its regions are there, and hardly a page is in memory: the rest comes when it is used."
            .into(),
    ];
    Happened { why, ..Happened::new(Kind::Start, sentence) }
}

/// The load or store of an instruction that is done.
fn accessed(next: &Next, machine: &mut Machine) -> Option<Happened> {
    let data = next.data?;
    let code = next.code.as_ref()?;
    let look = machine.inspect();
    let bytes = look.bytes(next.space, data.address, data.bytes as usize);
    let value = bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    let physical = look.physical(next.space, data.address);
    let frame = physical.map(|physical| physical / look.page().bytes());
    let (kind, did) = match data.access {
        AccessKind::Write => (Kind::Store, "stored at"),
        _ => (Kind::Load, "loaded from"),
    };
    let place = physical.map(|physical| format!(", physical {physical:#x}")).unwrap_or_default();
    let what = match data.bytes {
        1 => "The byte",
        2 => "The halfword",
        4 => "The word",
        _ => "The doubleword",
    };
    let sentence = format!("{}: {what} {value:#x} is {did} {:#x}{place}.", code.text, data.address);
    Some(Happened {
        process: Some(next.pid),
        address: Some(VirtAddr(data.address).0),
        frame,
        ..Happened::new(kind, sentence)
    })
}
