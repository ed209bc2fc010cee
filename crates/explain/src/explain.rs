//! Making an explanation.
//!
//! ```text
//!   segmentation, if any ──► TLB: what is compared ──► the MMU's own translation, observed
//!                                                          │ exception, where software loads
//!                                                          ▼
//!                                                       handler: fills the TLB
//! ```
//!
//! The tables are walked on a copy-on-write view of memory first, which tells the page and its
//! rights also where a TLB answers; then the MMU makes the access for good, so that TLB, walk cache
//! and tables are as after any access.

use pagewalk_mmu::hashed::HashedTable;
use pagewalk_mmu::radix::Root;
use pagewalk_mmu::{
    Access, AccessKind, ArchFault, Asid, Fault, FaultCause, Hit, Mmu, PhysAddr, Privilege, Rights,
    TableMemory, Tables, Translation, VirtAddr,
};

use crate::memory::Overlay;
use crate::r3000;
use crate::record::{Explanation, Outcome, Permission, SegmentProbe, TlbAnswer, TlbException};
use crate::recorder::Recorder;
use crate::scene::{Hardware, Query, Scene};
use crate::segment::{self, SegmentUnit};
use crate::split::split;
use crate::{tlb, walk_cache};

/// Makes an access and explains it.
pub fn explain(scene: &mut Scene, query: Query) -> Explanation {
    let Query { va, access } = query;
    let Scene { hardware, memory, now } = scene;
    *now += 1;
    match hardware {
        Hardware::Paged(mmu) => explain_access(mmu, memory, va, access, *now),
        Hardware::Unpaged(unpaged) => explain_unpaged(unpaged.unit(), va, access),
        Hardware::Segmented(table, mmu) => {
            let (probe, placed) = segment::through_selector(table, va, access);
            behind_segment(probe, placed, va, access, |linear| {
                explain_access(mmu, memory, linear, access, *now)
            })
        }
    }
}

/// Explains an access without making it: TLB and memory stay as they are.
pub fn explain_copy<M: TableMemory + ?Sized>(
    mmu: &Mmu,
    memory: &M,
    va: VirtAddr,
    access: Access,
    now: u64,
) -> Explanation {
    explain_access(&mut mmu.clone(), &mut Overlay::new(memory), va, access, now)
}

/// Explains an access without making it, where IA-32's segments stand in front of the pages.
pub fn explain_segmented_copy<M: TableMemory + ?Sized>(
    unit: SegmentUnit<'_>,
    mmu: &Mmu,
    memory: &M,
    va: VirtAddr,
    access: Access,
    now: u64,
) -> Explanation {
    let (probe, placed) = unit.probe(va, access);
    behind_segment(probe, placed, va, access, |linear| {
        explain_copy(mmu, memory, linear, access, now)
    })
}

/// Explains an access on a machine without pages.
pub fn explain_unpaged(unit: SegmentUnit<'_>, va: VirtAddr, access: Access) -> Explanation {
    let (probe, placed) = unit.probe(va, access);
    let outcome = match placed {
        Ok(PhysAddr(physical)) => Outcome::Placed { physical },
        Err(refusal) => refusal.outcome(),
    };
    Explanation { segment: Some(probe), ..unexplained(unit.mmu_name(), va, access, outcome) }
}

/// Pages, if segmentation let the access through.
fn behind_segment(
    probe: SegmentProbe,
    placed: Result<PhysAddr, segment::Refusal>,
    va: VirtAddr,
    access: Access,
    pages: impl FnOnce(VirtAddr) -> Explanation,
) -> Explanation {
    let behind = match placed {
        Ok(PhysAddr(linear)) => pages(VirtAddr(linear)),
        Err(refusal) => unexplained(SEGMENTS_PAGING, va, access, refusal.outcome()),
    };
    Explanation { mmu: SEGMENTS_PAGING.into(), address: va.0, segment: Some(probe), ..behind }
}

/// The name of IA-32's segments in front of its pages.
pub const SEGMENTS_PAGING: &str = "segments-paging";

/// An explanation of which only the end is known.
pub(crate) fn unexplained(
    mmu: &str,
    va: VirtAddr,
    access: Access,
    outcome: Outcome,
) -> Explanation {
    Explanation {
        mmu: mmu.into(),
        address: va.0,
        access: kind_name(access.kind).into(),
        privilege: privilege_name(access.privilege).into(),
        segment: None,
        split: Vec::new(),
        tlb: None,
        exceptions: Vec::new(),
        walk_cache: None,
        root: 0,
        references: Vec::new(),
        permission: None,
        updates: Vec::new(),
        outcome,
    }
}

/// Makes an access through TLB and tables, and explains it.
fn explain_access<M: TableMemory + ?Sized>(
    mmu: &mut Mmu,
    memory: &mut M,
    va: VirtAddr,
    access: Access,
    now: u64,
) -> Explanation {
    if mmu.cp0().is_some() {
        return r3000::explain(mmu, memory, va, access, now);
    }
    let (tables, asid) = (*mmu.tables(), mmu.asid());
    let mut explanation = explain_walk(&tables, memory, mmu.root(), asid, va, access);
    let base = tables.base_page();
    let mut probe = mmu.tlb().map(|tlb| tlb::probe(tlb, access.kind, va, base, asid));
    let pointers: Vec<_> = mmu.walk_cache().into_iter().flat_map(|c| c.pointers()).collect();

    let mut recorder = Recorder::new(&tables);
    let mut result = mmu.translate_observed(memory, va, access, now, &mut recorder);
    if let Some(probe) = &mut probe {
        probe.answer = tlb::answer(probe, result.as_ref().ok());
    }
    if let Err(fault) = result
        && fault.arch == ArchFault::SoftwareTlb
    {
        result = mmu
            .walk_by_software(memory, va, access, &mut recorder)
            .map(|found| mmu.fill(va, access, &found, now));
        explanation.exceptions.push(software_exception(&fault, &result));
    }
    explanation.walk_cache = mmu
        .walk_cache()
        .filter(|_| !recorder.references.is_empty())
        .map(|cache| walk_cache::probe(cache, &pointers, &tables, &recorder));
    explanation.references = recorder.references;
    explanation.updates = recorder.updates;
    if let Some(probe) = &probe
        && matches!(probe.answer, TlbAnswer::L1Hit | TlbAnswer::L2Hit)
        && let (Some(rights), Some(permission)) = (tlb::rights(probe), &mut explanation.permission)
    {
        permission.rights = rights.into();
    }
    explanation.tlb = probe;
    explanation
}

/// The exception of a TLB that software loads, where hardware would walk.
fn software_exception(fault: &Fault, result: &Result<Hit, Fault>) -> TlbException {
    TlbException {
        exception: fault.arch.to_string(),
        cause: fault.cause.to_string(),
        vector: None,
        registers: Vec::new(),
        handler: match result {
            Ok(_) => "walks the tables and fills the TLB",
            Err(_) => "walks the tables: a page fault",
        }
        .into(),
    }
}

/// Explains a walk of the tables, without a TLB; nothing is changed.
fn explain_walk<M: TableMemory + ?Sized>(
    tables: &Tables,
    memory: &M,
    root: &Root,
    asid: Asid,
    va: VirtAddr,
    access: Access,
) -> Explanation {
    let mut recorder = Recorder::new(tables);
    let mut view = Overlay::new(memory);
    let result = tables.walk_observed(&mut view, root, asid, va, access, &mut recorder);
    let page = match &result {
        Ok(translation) => translation.page,
        Err(_) => recorder.page.unwrap_or(tables.base_page()),
    };
    if let Tables::Hashed(table) = tables
        && let Some(leaf) = table.find(memory, root.table, asid, va.vpn(table.base_page()))
    {
        recorder.rights = leaf.rights;
    }
    Explanation {
        split: split(tables, va, page),
        root: root.table.0,
        permission: permission(&result, &recorder),
        references: recorder.references,
        updates: recorder.updates,
        ..unexplained(tables.name(), va, access, outcome(va, &result))
    }
}

/// The manuals' word for an access.
pub(crate) const fn kind_name(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::Read => "read",
        AccessKind::Write => "write",
        AccessKind::Execute => "execute",
    }
}

pub(crate) const fn privilege_name(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::User => "user",
        Privilege::Supervisor => "supervisor",
    }
}

fn permission(result: &Result<Translation, Fault>, recorder: &Recorder<'_>) -> Option<Permission> {
    match result {
        Ok(translation) => Some(Permission {
            rights: rights_text(translation.rights),
            allowed: true,
            reason: None,
        }),
        Err(fault) => match fault.cause {
            FaultCause::Protection | FaultCause::Privilege => Some(Permission {
                rights: rights_text(recorder.rights),
                allowed: false,
                reason: Some(fault.cause.to_string()),
            }),
            _ => None,
        },
    }
}

pub(crate) fn rights_text(rights: Rights) -> String {
    let letters =
        [(Rights::READ, 'r'), (Rights::WRITE, 'w'), (Rights::EXECUTE, 'x'), (Rights::USER, 'u')];
    letters
        .map(|(right, letter)| if rights.contains(right) { letter } else { '-' })
        .iter()
        .collect()
}

fn outcome(va: VirtAddr, result: &Result<Translation, Fault>) -> Outcome {
    match result {
        Ok(Translation { pa: PhysAddr(physical), page, pfn, .. }) => Outcome::Translated {
            physical: *physical,
            frame: pfn.0,
            page_bytes: page.bytes(),
            offset: va.offset(*page),
        },
        Err(fault) => Outcome::Fault {
            cause: fault.cause.to_string(),
            exception: fault.arch.to_string(),
            level: fault.level.map(|level| level.0),
        },
    }
}
