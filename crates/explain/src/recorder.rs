//! Writes down what the walker shows.

use pagewalk_mmu::radix::{Entry, Format, Radix};
use pagewalk_mmu::{
    EntryWidth, Level, PageSize, PhysAddr, Probe, ProbeKind, Rights, Step, Tables, WalkObserver,
};

use crate::bits::{entry_fields, probe_fields, set_names};
use crate::record::{Reference, Update};
use crate::split::level_names;

/// An observer of one walk.
pub struct Recorder<'a> {
    tables: &'a Tables,
    /// The references so far.
    pub references: Vec<Reference>,
    /// The entries written so far.
    pub updates: Vec<Update>,
    /// What all levels so far allow together.
    pub rights: Rights,
    /// The level and the place of the table whose entry was read first.
    pub start: Option<(Level, PhysAddr)>,
    /// The level of the entry that was read last.
    level: Option<Level>,
    /// The page of the leaf, once it was read.
    pub page: Option<PageSize>,
}

impl<'a> Recorder<'a> {
    /// Nothing seen yet.
    pub const fn new(tables: &'a Tables) -> Self {
        Self {
            tables,
            references: Vec::new(),
            updates: Vec::new(),
            rights: Rights::all(),
            start: None,
            level: None,
            page: None,
        }
    }
}

impl<'a> Recorder<'a> {
    /// The tables that are walked.
    pub const fn tables(&self) -> &'a Tables {
        self.tables
    }

    /// The bits that were read last, if they are of the table of this level.
    pub fn deepest(&self, level: Level) -> Option<u64> {
        let last = self.references.last()?;
        (self.level == Some(level)).then_some(last.raw)
    }
}

impl WalkObserver for Recorder<'_> {
    fn step(&mut self, step: &Step) {
        let Tables::Radix(format) = self.tables else { return };
        if let (true, Some(at)) = (self.references.is_empty(), step.at) {
            let offset = step.index * format.geometry().entry.bytes();
            self.start = Some((step.level, PhysAddr(at.0.wrapping_sub(offset))));
        }
        self.level = Some(step.level);
        match step.entry {
            Entry::Table { rights, .. } => self.rights &= rights,
            Entry::Leaf(leaf) => {
                self.rights &= leaf.rights;
                self.page = Some(format.geometry().level(step.level).page());
            }
            Entry::NotPresent | Entry::Invalid(_) => {}
        }
        let (_, entry) = level_names(format, step.level);
        self.references.push(Reference {
            entry,
            index: Some(step.index),
            at: step.at.map(|at| at.0),
            raw: step.raw,
            width: format.geometry().entry.bytes() as u8 * 8,
            bits: entry_fields(format, step.level, step.raw, &step.entry),
            decision: decision(format, step),
        });
    }

    fn probe(&mut self, probe: &Probe) {
        let (entry, decision) = match (probe.what, probe.matches) {
            (ProbeKind::Anchor, true) => ("hash anchor", "the chain begins here"),
            (ProbeKind::Anchor, false) => ("hash anchor", "empty: page fault"),
            (ProbeKind::Tag, true) => ("tag", "matches"),
            (ProbeKind::Tag, false) => ("tag", "does not match: go on"),
            (ProbeKind::Data, _) => ("data", "the frame and its rights"),
            (ProbeKind::Link, true) => ("link", "the chain goes on"),
            (ProbeKind::Link, false) => ("link", "the chain ends: page fault"),
        };
        self.references.push(Reference {
            entry: entry.into(),
            index: None,
            at: Some(probe.at.0),
            raw: probe.raw,
            width: match probe.width {
                EntryWidth::Four => 32,
                EntryWidth::Eight => 64,
            },
            bits: match self.tables {
                Tables::Hashed(table) => probe_fields(table, probe.what, probe.raw),
                Tables::Radix(_) => Vec::new(),
            },
            decision: decision.into(),
        });
    }

    fn update(&mut self, at: PhysAddr, raw: u64) {
        let Some(read) = self.references.iter().find(|reference| reference.at == Some(at.0)) else {
            return;
        };
        let set = set_names(&read.bits, raw & !read.raw);
        self.updates.push(Update { at: at.0, before: read.raw, after: raw, set });
    }
}

/// What the hardware does after it has read an entry.
fn decision(format: &Format, step: &Step) -> String {
    let geometry = format.geometry();
    match step.entry {
        Entry::NotPresent => "not present: page fault".into(),
        Entry::Invalid(cause) => format!("{cause}: fault"),
        Entry::Table { next, .. } => format!("next table at {next}"),
        Entry::Leaf(leaf) => {
            let page = geometry.level(step.level).page();
            let base = leaf.pfn.base(geometry.base_page());
            format!("maps a page of {page} at {base} (frame {})", leaf.pfn)
        }
    }
}
