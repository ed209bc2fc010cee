//! Making an explanation.
//!
//! The walk is watched on a copy-on-write view of memory first; then the MMU makes the access for
//! good, so that its TLB and the tables are as after any access.

use pagewalk_mmu::radix::Root;
use pagewalk_mmu::{
    Access, AccessKind, Asid, Fault, FaultCause, PhysAddr, Privilege, Rights, Source, TableMemory,
    Tables, Translation, VirtAddr,
};

use crate::memory::Overlay;
use crate::record::{Explanation, Outcome, Permission, TlbAnswer, TlbProbe};
use crate::recorder::Recorder;
use crate::scene::{Query, Scene};
use crate::split::split;

/// Makes an access and explains it.
pub fn explain(scene: &mut Scene, query: Query) -> Explanation {
    let Query { va, access } = query;
    let mmu = &mut scene.mmu;
    let mut explanation =
        explain_walk(mmu.tables(), &scene.memory, mmu.root(), mmu.asid(), va, access);
    let rewalks = mmu.counters().rewalks;
    scene.now += 1;
    let result = mmu.translate(&mut scene.memory, va, access, scene.now);
    let answer = match &result {
        Ok(hit) if hit.source == Source::L1 => TlbAnswer::L1Hit,
        Ok(hit) if hit.source == Source::L2 => TlbAnswer::L2Hit,
        _ if mmu.counters().rewalks > rewalks => TlbAnswer::Refused,
        _ => TlbAnswer::Miss,
    };
    if matches!(answer, TlbAnswer::L1Hit | TlbAnswer::L2Hit) {
        explanation.references.clear();
        explanation.updates.clear();
    }
    explanation.tlb = mmu.tlb().map(|tlb| TlbProbe {
        geometry: tlb.config().to_string(),
        page_number: va.vpn(mmu.tables().base_page()).0,
        asid: mmu.asid().0,
        answer,
        compared: Vec::new(),
    });
    explanation
}

/// Explains a walk of the tables, without a TLB; nothing is changed.
pub fn explain_walk<M: TableMemory + ?Sized>(
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
    Explanation {
        mmu: tables.name().into(),
        address: va.0,
        access: kind_name(access.kind).into(),
        privilege: privilege_name(access.privilege).into(),
        split: split(tables, va, page),
        tlb: None,
        root: root.table.0,
        permission: permission(&result, &recorder),
        outcome: outcome(va, &result),
        references: recorder.references,
        updates: recorder.updates,
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

fn rights_text(rights: Rights) -> String {
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
