//! What the kernel did, in sentences with its numbers.

use std::collections::BTreeMap;

use pagewalk_kernel::{FaultCause, SpaceId, Store, SwapSlot};
use pagewalk_linux::syscall_name;
use pagewalk_machine::Inspector;
use pagewalk_mmu::{AccessKind, Pfn, VirtAddr};
use pagewalk_step::{Happened, Kind};

use crate::events::{EXIT, EXIT_GROUP, What};

/// Whose pages frames hold, as far as the events of one entry into the kernel and the machine before
/// it tell.
pub(crate) struct Storyteller<'a> {
    /// The machine before the kernel was entered.
    pub before: Inspector<'a>,
    /// Frames that were given pages since.
    pub owners: &'a mut BTreeMap<u64, (SpaceId, VirtAddr)>,
    /// Spaces and their processes, those that are gone or new among them.
    pub processes: &'a mut BTreeMap<SpaceId, u32>,
    /// What the policy is called.
    pub policy: &'a str,
}

impl Storyteller<'_> {
    /// Tells all events of one entry.
    pub fn tell(&mut self, events: &[What]) -> Vec<Happened> {
        let mut things = Vec::new();
        for (n, event) in events.iter().enumerate() {
            things.extend(self.event(event, &events[n + 1..]));
            if let What::Fault { space, va, pfn, .. } = event {
                let va = VirtAddr(va.0 & !(self.before.page().bytes() - 1));
                self.owners.insert(pfn.0, (*space, va));
            }
        }
        things
    }

    fn process(&self, space: SpaceId) -> Option<u32> {
        self.processes.get(&space).copied()
    }

    fn of(&self, space: SpaceId) -> String {
        match self.process(space) {
            Some(pid) => format!("process {pid}"),
            None => "a process that is gone".into(),
        }
    }

    /// The page that a frame has: its process and address.
    fn owner(&self, pfn: Pfn) -> Option<(SpaceId, VirtAddr)> {
        self.owners.get(&pfn.0).copied().or_else(|| {
            let frame = self.before.frames([pfn]).pop()?;
            frame.mappings.first().copied()
        })
    }

    fn event(&self, event: &What, later: &[What]) -> Vec<Happened> {
        let about =
            |kind, space: Option<SpaceId>, va: Option<VirtAddr>, sentence: String| Happened {
                process: space.and_then(|space| self.process(space)),
                address: va.map(|va| va.0),
                frame: event.frame().map(|pfn| pfn.0),
                slot: event.slot(),
                ..Happened::new(kind, sentence)
            };
        match event {
            What::Fault { space, va, access, cause, pfn, major } => {
                self.resolved(*space, *va, *access, *cause, *pfn, *major)
            }
            What::Refused { space, va, access, signal } => {
                let sentence = format!(
                    "{} may not {} {:#x}: it gets {}.",
                    capital(&self.of(*space)),
                    verb(*access),
                    va.0,
                    signal_name(signal)
                );
                vec![about(Kind::Signal, Some(*space), Some(*va), sentence)]
            }
            What::OutOfMemory { space, va, shortage } => {
                let sentence = format!(
                    "No memory is left for the page of {:#x} of {}: {shortage}.",
                    va.0,
                    self.of(*space)
                );
                vec![about(Kind::Signal, Some(*space), Some(*va), sentence)]
            }
            What::OomKill { space, badness } => {
                let badness = badness.map(|pages| format!(", at a badness of {pages}"));
                let sentence = format!(
                    "{} is killed for lack of memory: it is the worst{}.",
                    capital(&self.of(*space)),
                    badness.unwrap_or_default()
                );
                vec![about(Kind::Signal, Some(*space), None, sentence)]
            }
            What::Submit { .. } => Vec::new(),
            What::PageIn { from, pfn } => vec![self.page_in(*from, *pfn, event, later)],
            What::PageOut { pfn, to } => vec![self.page_out(*pfn, *to, event)],
            What::Split { space, va, bytes } => {
                let sentence = format!(
                    "The large page of {bytes} bytes at {:#x} is split: a table maps its parts.",
                    va.0
                );
                vec![about(Kind::TableWrite, Some(*space), Some(*va), sentence)]
            }
            What::Collapse { space, va, bytes, pages } => {
                let sentence = format!(
                    "A large page of {bytes} bytes takes the place of the base pages from {:#x} \
                     on, {pages} of which are copied.",
                    va.0
                );
                vec![about(Kind::TableWrite, Some(*space), Some(*va), sentence)]
            }
            What::Evict { pfn, dirty, store, daemon } => {
                vec![self.evicted(*pfn, *dirty, *store, *daemon, event)]
            }
            What::EvictFrom { space, va, pfn, .. } => {
                let sentence = format!(
                    "{} gives up the page {:#x} in frame {}; others have it still.",
                    capital(&self.of(*space)),
                    va.0,
                    pfn.0
                );
                vec![about(Kind::Evict, Some(*space), Some(*va), sentence)]
            }
            What::IoError { store, pfn, write, error } => {
                let (kind, did) = match (store, write) {
                    (Store::Swap(_), true) => (Kind::SwapOut, "written to"),
                    (Store::Swap(_), false) => (Kind::SwapIn, "read from"),
                    (Store::File { .. }, true) => (Kind::FileWrite, "written to"),
                    (Store::File { .. }, false) => (Kind::FileRead, "read from"),
                };
                let sentence =
                    format!("Frame {} could not be {did} {}: {error}.", pfn.0, place(*store));
                vec![about(kind, None, None, sentence)]
            }
            What::Map { space, region } => {
                let sentence = format!(
                    "{} has {:#x} to {:#x} mapped: {}, {}.",
                    capital(&self.of(*space)),
                    region.start.0,
                    region.end.0,
                    crate::state::rights(region),
                    self.before.backing(region)
                );
                let mut happened = about(Kind::Map, Some(*space), Some(region.start), sentence);
                happened.why =
                    vec!["No page is in memory for that: each comes when it is used.".into()];
                vec![happened]
            }
            What::Unmap { space, region } => {
                let sentence = format!(
                    "{} has {:#x} to {:#x} mapped no more.",
                    capital(&self.of(*space)),
                    region.start.0,
                    region.end.0
                );
                vec![about(Kind::Unmap, Some(*space), Some(region.start), sentence)]
            }
            What::Protect { space, region, rights } => {
                let sentence = format!(
                    "The rights of {:#x} to {:#x} of {} are {rights} now.",
                    region.start.0,
                    region.end.0,
                    self.of(*space)
                );
                vec![about(Kind::Protect, Some(*space), Some(region.start), sentence)]
            }
            What::Fork { parent, child, pages, slots } => {
                let sentence = format!(
                    "{} is copied to {}: {pages} pages in memory and {slots} on swap have two \
                     owners now.",
                    capital(&self.of(*parent)),
                    self.of(*child)
                );
                let mut happened = about(Kind::Fork, Some(*parent), None, sentence);
                happened.why = vec!["No page is copied before one of them stores to it.".into()];
                vec![happened]
            }
            What::StackGrow { space, from, to } => {
                let sentence = format!(
                    "The stack of {} grows down from {:#x} to {:#x}.",
                    self.of(*space),
                    from.0,
                    to.0
                );
                vec![about(Kind::Map, Some(*space), Some(*to), sentence)]
            }
            What::Brk { space, from, to } => {
                let sentence = format!(
                    "The end of the heap of {} moves from {:#x} to {:#x}.",
                    self.of(*space),
                    from.0,
                    to.0
                );
                vec![about(Kind::Map, Some(*space), Some(*from.min(to)), sentence)]
            }
            What::Syscall { tid, number, arguments } => {
                vec![syscall(*tid, *number, arguments)]
            }
        }
    }

    fn resolved(
        &self,
        space: SpaceId,
        va: VirtAddr,
        access: AccessKind,
        cause: FaultCause,
        pfn: Pfn,
        major: bool,
    ) -> Vec<Happened> {
        let about = |kind, sentence: String| Happened {
            process: self.process(space),
            address: Some(va.0),
            frame: Some(pfn.0),
            ..Happened::new(kind, sentence)
        };
        let page = va.0 & !(self.before.page().bytes() - 1);
        let frame = pfn.0;
        let (first, how) = match cause {
            FaultCause::ZeroFill => (
                Some(about(Kind::ZeroFill, format!("Frame {frame} is filled with zeroes."))),
                "it is new, so it is all zeroes",
            ),
            FaultCause::ZeroFillLarge => (
                Some(about(
                    Kind::ZeroFill,
                    format!("The frames from {frame} on are filled with zeroes, for a large page."),
                )),
                "it is part of a new large page",
            ),
            FaultCause::CopyOnWrite => (
                Some(about(Kind::Copy, format!("The page is copied to frame {frame}."))),
                "it had several owners, and this one stores to it: it gets a copy of its own",
            ),
            FaultCause::File => (None, "it came from its file"),
            FaultCause::SwapIn => (None, "it came back from swap"),
            FaultCause::Reuse => (None, "its other owners are gone, so no copy is needed"),
            FaultCause::MinorMap => (None, "it was in memory already"),
            FaultCause::Update => (None, "it was there; its entry is brought up to date"),
        };
        let waited = if major { "A device was waited for." } else { "No device was waited for." };
        let resolved = Happened {
            why: vec![
                format!("The page: {how}."),
                format!("{waited} The {} is made again.", noun(access)),
            ],
            ..about(
                Kind::Resolved,
                format!("Page {page:#x} of {} is in frame {frame} now.", self.of(space)),
            )
        };
        first.into_iter().chain([resolved]).collect()
    }

    fn page_in(&self, from: Store, pfn: Pfn, event: &What, later: &[What]) -> Happened {
        // The fault that wanted it is resolved behind it.
        let wanted = later.iter().find_map(|event| match event {
            What::Fault { space, va, pfn: got, .. } if *got == pfn => Some((*space, *va)),
            _ => None,
        });
        let page = wanted.map_or_else(
            || "A page".into(),
            |(space, va)| {
                let page = va.0 & !(self.before.page().bytes() - 1);
                format!("Page {page:#x} of {}", self.of(space))
            },
        );
        let kind = if matches!(from, Store::Swap(_)) { Kind::SwapIn } else { Kind::FileRead };
        let why = match wanted {
            Some(_) => "The fault cannot be resolved without it: a major fault.",
            None => "Nobody has asked for it alone: it is read ahead, or for the kernel.",
        };
        Happened {
            process: wanted.and_then(|(space, _)| self.process(space)),
            address: wanted.map(|(_, va)| va.0),
            frame: Some(pfn.0),
            slot: event.slot(),
            why: vec![why.into()],
            ..Happened::new(
                kind,
                format!("{page} is read from {} into frame {}.", place(from), pfn.0),
            )
        }
    }

    fn page_out(&self, pfn: Pfn, to: Store, event: &What) -> Happened {
        let owner = self.owner(pfn);
        let page = match owner {
            Some((space, va)) => format!("Page {:#x} of {}", va.0, self.of(space)),
            None => "The page".into(),
        };
        let kind = if matches!(to, Store::Swap(_)) { Kind::SwapOut } else { Kind::FileWrite };
        Happened {
            process: owner.and_then(|(space, _)| self.process(space)),
            address: owner.map(|(_, va)| va.0),
            frame: Some(pfn.0),
            slot: event.slot(),
            why: vec!["It differs from what is there, or nothing is there yet.".into()],
            ..Happened::new(
                kind,
                format!("{page} is written from frame {} to {}.", pfn.0, place(to)),
            )
        }
    }

    fn evicted(
        &self,
        pfn: Pfn,
        dirty: bool,
        store: Option<Store>,
        daemon: bool,
        event: &What,
    ) -> Happened {
        let owner = self.owner(pfn);
        let page = match owner {
            Some((space, va)) => format!("Page {:#x} of {}", va.0, self.of(space)),
            None => "A page that nobody maps".into(),
        };
        let kept = match (dirty, store) {
            (true, Some(store)) => format!("and written to {}", place(store)),
            (false, Some(store)) => format!("and not written: {} has its bytes", place(store)),
            (_, None) => "and not kept: it was all zeroes, or given up".into(),
        };
        let (free, total) = self.before.free_frames();
        let because = match daemon {
            true => format!("because the page daemon keeps frames free: {free} of {total} were"),
            false => format!("because a frame was wanted and {free} of {total} were free"),
        };
        Happened {
            process: owner.and_then(|(space, _)| self.process(space)),
            address: owner.map(|(_, va)| va.0),
            frame: Some(pfn.0),
            slot: event.slot(),
            why: vec![format!("The policy, {}, chose frame {}.", self.policy, pfn.0)],
            ..Happened::new(
                Kind::Evict,
                format!("{page} is taken from frame {} {kept}, {because}.", pfn.0),
            )
        }
    }
}

fn syscall(tid: u32, number: u64, arguments: &[u64; 6]) -> Happened {
    let name = syscall_name(number).unwrap_or("a call that does not exist");
    let shown: Vec<_> = arguments.iter().map(|argument| format!("{argument:#x}")).collect();
    let (kind, sentence) = match number {
        EXIT | EXIT_GROUP => {
            let status = arguments[0] & 0xff;
            (Kind::Exit, format!("Process {tid} ends with status {status}."))
        }
        _ => (Kind::SystemCall, format!("Process {tid} calls {name}({}).", shown.join(", "))),
    };
    Happened { process: Some(tid), ..Happened::new(kind, sentence) }
}

fn place(store: Store) -> String {
    match store {
        Store::Swap(SwapSlot(slot)) => format!("slot {slot}"),
        Store::File { offset, .. } => format!("its file at {offset:#x}"),
    }
}

const fn verb(access: AccessKind) -> &'static str {
    match access {
        AccessKind::Read => "load from",
        AccessKind::Write => "store to",
        AccessKind::Execute => "execute code at",
    }
}

const fn noun(access: AccessKind) -> &'static str {
    match access {
        AccessKind::Read => "load",
        AccessKind::Write => "store",
        AccessKind::Execute => "fetch",
    }
}

/// `Segv(Unmapped)` as programs know it.
fn signal_name(signal: &str) -> &'static str {
    if signal.starts_with("Bus") { "SIGBUS" } else { "SIGSEGV" }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
