//! What the kernel told, in the order in which it happened.

use std::sync::{Arc, Mutex, PoisonError};

use pagewalk_kernel::{Event, FaultCause, IoError, Region, SpaceId, Store};
use pagewalk_machine::EventWatcher;
use pagewalk_mmu::{AccessKind, Pfn, VirtAddr};
use pagewalk_step::Kind;

/// The most events that are kept for one entry into the kernel. A call can bring in all of memory.
const KEPT_MAX: usize = 1 << 16;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// After so many instructions.
    pub window: u64,
    pub what: What,
}

/// What happened, without what the kernel lent.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Fault {
        space: SpaceId,
        va: VirtAddr,
        access: AccessKind,
        cause: FaultCause,
        pfn: Pfn,
        major: bool,
    },
    Refused {
        space: SpaceId,
        va: VirtAddr,
        access: AccessKind,
        signal: String,
    },
    OutOfMemory {
        space: SpaceId,
        va: VirtAddr,
        shortage: String,
    },
    Submit {
        store: Store,
        pfn: Pfn,
    },
    OomKill {
        space: SpaceId,
        badness: Option<i64>,
    },
    PageIn {
        from: Store,
        pfn: Pfn,
    },
    PageOut {
        pfn: Pfn,
        to: Store,
    },
    Split {
        space: SpaceId,
        va: VirtAddr,
        bytes: u64,
    },
    Collapse {
        space: SpaceId,
        va: VirtAddr,
        bytes: u64,
        pages: u64,
    },
    Evict {
        pfn: Pfn,
        dirty: bool,
        store: Option<Store>,
        daemon: bool,
    },
    EvictFrom {
        space: SpaceId,
        va: VirtAddr,
        pfn: Pfn,
        store: Option<Store>,
    },
    IoError {
        store: Store,
        pfn: Pfn,
        write: bool,
        error: IoError,
    },
    Map {
        space: SpaceId,
        region: Region,
    },
    Unmap {
        space: SpaceId,
        region: Region,
    },
    Protect {
        space: SpaceId,
        region: Region,
        rights: String,
    },
    Fork {
        parent: SpaceId,
        child: SpaceId,
        pages: u64,
        slots: u64,
    },
    StackGrow {
        space: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
    },
    Brk {
        space: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
    },
    Syscall {
        tid: u32,
        number: u64,
        arguments: [u64; 6],
    },
}

impl What {
    /// The kinds of things that this makes happen.
    pub fn kinds(&self) -> &'static [Kind] {
        match self {
            Self::Fault { cause, .. } => match cause {
                FaultCause::ZeroFill | FaultCause::ZeroFillLarge => {
                    &[Kind::Fault, Kind::ZeroFill, Kind::Resolved]
                }
                FaultCause::CopyOnWrite => &[Kind::Fault, Kind::Copy, Kind::Resolved],
                _ => &[Kind::Fault, Kind::Resolved],
            },
            Self::Refused { .. } | Self::OutOfMemory { .. } => &[Kind::Fault, Kind::Signal],
            Self::OomKill { .. } => &[Kind::Signal],
            // Who waits for it has faulted.
            Self::Submit { .. } => &[Kind::Fault],
            Self::PageIn { from: Store::Swap(_), .. } => &[Kind::SwapIn],
            Self::PageIn { from: Store::File { .. }, .. } => &[Kind::FileRead],
            Self::PageOut { to: Store::Swap(_), .. } => &[Kind::SwapOut],
            Self::PageOut { to: Store::File { .. }, .. } => &[Kind::FileWrite],
            Self::IoError { store: Store::Swap(_), write: true, .. } => &[Kind::SwapOut],
            Self::IoError { store: Store::Swap(_), .. } => &[Kind::SwapIn],
            Self::IoError { write: true, .. } => &[Kind::FileWrite],
            Self::IoError { .. } => &[Kind::FileRead],
            Self::Evict { .. } | Self::EvictFrom { .. } => &[Kind::Evict],
            Self::Split { .. } | Self::Collapse { .. } => &[Kind::TableWrite],
            Self::Map { .. } | Self::StackGrow { .. } | Self::Brk { .. } => &[Kind::Map],
            Self::Unmap { .. } => &[Kind::Unmap],
            Self::Protect { .. } => &[Kind::Protect],
            Self::Fork { .. } => &[Kind::Fork],
            Self::Syscall { number: EXIT | EXIT_GROUP, .. } => &[Kind::Exit],
            Self::Syscall { .. } => &[Kind::SystemCall],
        }
    }

    /// The frame that it is about.
    pub const fn frame(&self) -> Option<Pfn> {
        match self {
            Self::Fault { pfn, .. }
            | Self::Submit { pfn, .. }
            | Self::PageIn { pfn, .. }
            | Self::PageOut { pfn, .. }
            | Self::Evict { pfn, .. }
            | Self::EvictFrom { pfn, .. }
            | Self::IoError { pfn, .. } => Some(*pfn),
            _ => None,
        }
    }

    /// The swap slot that it is about.
    pub fn slot(&self) -> Option<u64> {
        let store = match self {
            Self::Submit { store, .. } | Self::IoError { store, .. } => Some(*store),
            Self::PageIn { from, .. } => Some(*from),
            Self::PageOut { to, .. } => Some(*to),
            Self::Evict { store, .. } | Self::EvictFrom { store, .. } => *store,
            _ => None,
        };
        match store {
            Some(Store::Swap(slot)) => Some(u64::from(slot.0)),
            _ => None,
        }
    }
}

/// System calls that end a thread, and a process (asm-generic/unistd.h).
pub(crate) const EXIT: u64 = 93;
pub(crate) const EXIT_GROUP: u64 = 94;

/// Who hears; copies share what was heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Told>>>);

impl Log {
    /// What was told since this was asked last.
    pub fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nothing was told since.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn push(&self, window: u64, what: What) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < KEPT_MAX {
            told.push(Told { window, what });
        }
    }
}

impl EventWatcher for Log {
    fn kernel(&mut self, window: u64, event: &Event<'_>) {
        self.push(window, owned(event));
    }

    fn syscall(&mut self, window: u64, tid: u32, number: u64, arguments: [u64; 6]) {
        self.push(window, What::Syscall { tid, number, arguments });
    }
}

fn owned(event: &Event<'_>) -> What {
    match *event {
        Event::Fault { space, va, kind: access, cause, pfn, major } => {
            What::Fault { space, va, access, cause, pfn, major }
        }
        Event::Signal { space, va, kind: access, signal } => {
            What::Refused { space, va, access, signal: format!("{signal:?}") }
        }
        Event::OutOfMemory { space, va, shortage } => {
            What::OutOfMemory { space, va, shortage: shortage.to_string() }
        }
        Event::Submit { store, pfn, .. } => What::Submit { store, pfn },
        Event::OomKill { kill } => What::OomKill { space: kill.victim, badness: kill.badness },
        Event::PageIn { from, pfn } => What::PageIn { from, pfn },
        Event::PageOut { pfn, to, .. } => What::PageOut { pfn, to },
        Event::Split { space, va, bytes } => What::Split { space, va, bytes },
        Event::Collapse { space, va, bytes, pages } => What::Collapse { space, va, bytes, pages },
        Event::Evict { pfn, dirty, store, daemon } => What::Evict { pfn, dirty, store, daemon },
        Event::EvictFrom { space, va, pfn, slot } => {
            What::EvictFrom { space, va, pfn, store: slot.map(Store::Swap) }
        }
        Event::IoError { store, pfn, write, error } => What::IoError { store, pfn, write, error },
        Event::Map { space, region } => What::Map { space, region: *region },
        Event::Unmap { space, region } => What::Unmap { space, region: *region },
        Event::Protect { space, region, prot } => {
            What::Protect { space, region: *region, rights: crate::state::letters(prot) }
        }
        Event::Fork { parent, child, pages, slots, .. } => {
            What::Fork { parent, child, pages, slots }
        }
        Event::StackGrow { space, from, to } => What::StackGrow { space, from, to },
        Event::Brk { space, from, to } => What::Brk { space, from, to },
    }
}
