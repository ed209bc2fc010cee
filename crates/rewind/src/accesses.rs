//! A translation, thing by thing.
//!
//! ```text
//!   Split ─► TlbHit ────────────────────────────────► Translated
//!        └─► TlbMiss ─► TableRead … ─► TableUpdate ─► TlbFill ─► Translated
//!                                 └──► Fault
//! ```

use pagewalk_explain::{
    Explanation, Outcome, Reference, SegmentUnit, TlbAnswer, explain_copy, explain_segmented_copy,
    explain_unpaged,
};
use pagewalk_machine::{Inspector, Segmentation};
use pagewalk_mmu::{Access, AccessKind, VirtAddr};
use pagewalk_step::{Happened, Kind};

/// An access of a program, to be explained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub process: u32,
    pub address: u64,
    pub access: AccessKind,
    /// Instructions that are done.
    pub now: u64,
}

/// What the hardware does for an access, and whether that ends in a fault. The machine stays as it is.
pub(crate) fn things(look: &Inspector<'_>, wanted: Wanted) -> (Vec<Happened>, bool) {
    let explanation = explained(look, wanted);
    let page_bytes = look.page().bytes();
    let told = Teller { wanted, page_bytes, explanation: &explanation };
    let faults = matches!(explanation.outcome, Outcome::Fault { .. });
    (told.all(), faults)
}

fn explained(look: &Inspector<'_>, wanted: Wanted) -> Explanation {
    let (va, access) = (VirtAddr(wanted.address), Access::user(wanted.access));
    let (mmu, ram, now) = (look.mmu(), look.ram(), wanted.now);
    match look.segmentation() {
        Segmentation::Off => explain_copy(mmu, ram, va, access, now),
        Segmentation::Ia32(flat) => {
            let unit = SegmentUnit::Ia32(flat.segments());
            explain_segmented_copy(unit, mmu, ram, va, access, now)
        }
        Segmentation::Identity(bus) => explain_unpaged(SegmentUnit::Identity(bus), va, access),
        Segmentation::Bounds(bounds) => explain_unpaged(SegmentUnit::Bounds(bounds), va, access),
        Segmentation::Table(table) => explain_unpaged(SegmentUnit::Table(table), va, access),
    }
}

/// Who an access is told by.
struct Teller<'a> {
    wanted: Wanted,
    page_bytes: u64,
    explanation: &'a Explanation,
}

impl Teller<'_> {
    fn happened(&self, kind: Kind, sentence: String) -> Happened {
        Happened {
            process: Some(self.wanted.process),
            address: Some(self.wanted.address),
            ..Happened::new(kind, sentence)
        }
    }

    fn all(&self) -> Vec<Happened> {
        let told = self.explanation;
        let mut things = Vec::new();
        things.extend(self.segment());
        things.extend(self.split());
        things.extend(self.tlb());
        things.extend(self.walk_cache());
        things.extend(told.references.iter().map(|reference| self.reference(reference)));
        for update in &told.updates {
            let sentence = format!(
                "The entry at {:#x} gets {} set: it was {:#x} and is {:#x}.",
                update.at,
                update.set.join(" and "),
                update.before,
                update.after
            );
            let frame = Some(update.at / self.page_bytes);
            things.push(Happened { frame, ..self.happened(Kind::TableUpdate, sentence) });
        }
        things.extend(self.outcome());
        things
    }

    fn verb(&self) -> &'static str {
        match self.wanted.access {
            AccessKind::Read => "load from",
            AccessKind::Write => "store to",
            AccessKind::Execute => "fetch from",
        }
    }

    fn segment(&self) -> Option<Happened> {
        let probe = self.explanation.segment.as_ref()?;
        let sentence = match (probe.base, probe.address) {
            (Some(base), Some(address)) => format!(
                "{}: the base {base:#x} is added to {:#x}, which gives {address:#x}.",
                probe.unit, probe.offset
            ),
            (None, Some(address)) => format!("{}: {address:#x} stays as it is.", probe.unit),
            (_, None) => format!("{}: a check of {:#x} fails.", probe.unit, probe.offset),
        };
        let why = probe.checks.iter().map(|check| {
            let answer = if check.passed { "yes" } else { "no" };
            format!("{}: {answer}.", check.what)
        });
        Some(Happened { why: why.collect(), ..self.happened(Kind::Split, sentence) })
    }

    fn split(&self) -> Option<Happened> {
        let parts = &self.explanation.split;
        let (offset, page) = parts.split_last()?;
        let listed: Vec<_> =
            page.iter().map(|part| format!("{} {:#x}", part.name, part.value)).collect();
        let sentence = format!(
            "The address of the {} {:#x} is split: {}, {} {:#x}.",
            self.verb().split(' ').next().unwrap_or_default(),
            self.wanted.address,
            listed.join(", "),
            offset.name,
            offset.value
        );
        Some(self.happened(Kind::Split, sentence))
    }

    fn tlb(&self) -> Option<Happened> {
        let probe = self.explanation.tlb.as_ref()?;
        let (kind, sentence) = match probe.answer {
            TlbAnswer::L1Hit => (Kind::TlbHit, "has it: the tables are not read"),
            TlbAnswer::L2Hit => (Kind::TlbHit, "has it in its second level, the first gets it too"),
            TlbAnswer::Refused => (Kind::TlbHit, "has it, and it does not allow the access"),
            TlbAnswer::Miss => (Kind::TlbMiss, "does not have it"),
            TlbAnswer::Unmapped => (Kind::TlbHit, "is not asked: the address is not mapped"),
        };
        let sentence = format!(
            "The TLB is asked for page {:#x} of address space {}: it {sentence}.",
            probe.page_number, probe.asid
        );
        let why = probe.compared.iter().map(|set| {
            let entries = match set.entries.len() {
                0 => "nothing".into(),
                _ => {
                    let pages = set.entries.iter().map(|way| format!("{:#x}", way.page_number));
                    format!("pages {}", pages.collect::<Vec<_>>().join(", "))
                }
            };
            format!("{}, set {} of {}, holds {entries}.", set.array, set.set, set.sets)
        });
        Some(Happened { why: why.collect(), ..self.happened(kind, sentence) })
    }

    fn walk_cache(&self) -> Option<Happened> {
        let probe = self.explanation.walk_cache.as_ref()?;
        let (entry, table) = (probe.entry.as_ref()?, probe.table?);
        let sentence = format!(
            "The cache of table pointers knows the {entry}: the walk starts at the table at \
             {table:#x}."
        );
        Some(self.happened(Kind::TlbHit, sentence))
    }

    fn reference(&self, read: &Reference) -> Happened {
        let index = read.index.map(|index| format!(" {index:#x}")).unwrap_or_default();
        let place = match read.at {
            Some(at) => format!(" at {at:#x}"),
            None => " in a register".into(),
        };
        let sentence =
            format!("{}{index}{place} is {:#x}: {}.", read.entry, read.raw, read.decision);
        let set = read.bits.iter().filter(|field| field.value != 0);
        let fields: Vec<_> = set
            .map(|field| match field.high == field.low {
                true => field.name.clone(),
                false => format!("{} = {:#x}", field.name, field.value),
            })
            .collect();
        let why =
            if fields.is_empty() { Vec::new() } else { vec![format!("{}.", fields.join(", "))] };
        let frame = read.at.map(|at| at / self.page_bytes);
        Happened { frame, why, ..self.happened(Kind::TableRead, sentence) }
    }

    fn outcome(&self) -> Vec<Happened> {
        let va = self.wanted.address;
        match &self.explanation.outcome {
            Outcome::Translated { physical, frame, offset, .. } => {
                let sentence =
                    format!("{va:#x} is at {physical:#x}: frame {frame}, offset {offset:#x}.");
                let translated =
                    Happened { frame: Some(*frame), ..self.happened(Kind::Translated, sentence) };
                let missed = self.explanation.tlb.as_ref();
                let missed = missed.filter(|probe| probe.answer == TlbAnswer::Miss);
                let fill = missed.map(|probe| Happened {
                    frame: Some(*frame),
                    ..self.happened(
                        Kind::TlbFill,
                        format!(
                            "The TLB takes the translation: page {:#x} is in frame {frame}.",
                            probe.page_number
                        ),
                    )
                });
                fill.into_iter().chain([translated]).collect()
            }
            Outcome::Placed { physical } => {
                vec![self.happened(Kind::Translated, format!("{va:#x} is at {physical:#x}."))]
            }
            Outcome::Fault { cause, exception, .. } => {
                let sentence = format!(
                    "The {} {va:#x} cannot be made: {cause}. The hardware raises: {exception}.",
                    self.verb()
                );
                let why =
                    vec!["The instruction has changed nothing; the kernel is entered.".into()];
                vec![Happened { why, ..self.happened(Kind::Fault, sentence) }]
            }
        }
    }
}
