//! Explaining an access on the MIPS R3000: exceptions, and the handlers that a kernel has for them.
//!
//! ```text
//!   access ──► TLB ──► exception ──► handler: EntryLo ◄── page table, TLBWR ──► access again
//!                          │
//!                          └─ V or D clear, a page that the table does not have: a page fault
//! ```
//!
//! The handler reads the page table by physical addresses. One of a real kernel reads it through
//! kseg2, and so may miss in the TLB itself.

use pagewalk_mmu::r3000::{Cp0, EntryHi, EntryLo, PAGE, Segment, Status};
use pagewalk_mmu::radix::{Format, R3000, Radix};
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{
    Access, ArchFault, EntryWidth, Fault, FaultCause, Hit, Level, Mmu, PhysAddr, Step, TableMemory,
    Tables, VirtAddr, WalkObserver,
};

use crate::explain::unexplained;
use crate::memory::Overlay;
use crate::record::{Explanation, Outcome, Part, Register, TlbAnswer, TlbException, TlbProbe};
use crate::recorder::Recorder;
use crate::split::part;
use crate::tlb;

/// The exceptions of one access that are served: of a miss, of the entry that was loaded then, and
/// of the one that was written over that.
const EXCEPTIONS_MAX: usize = 3;

/// The TLB that the R3000 has, if these are its tables.
pub fn own_tlb(tables: &Tables) -> Option<TlbConfig> {
    matches!(tables, Tables::Radix(Format::R3000(_))).then(Cp0::tlb_config)
}

/// Makes an access and explains it.
pub fn explain<M: TableMemory + ?Sized>(
    mmu: &mut Mmu,
    memory: &M,
    va: VirtAddr,
    access: Access,
    now: u64,
) -> Explanation {
    let tables = *mmu.tables();
    let mut probe = probe(mmu, va, access);
    let mut recorder = Recorder::new(&tables);
    let mut exceptions = Vec::new();
    let mut result = mmu.translate(&mut Overlay::new(memory), va, access, now);
    if let Some(probe) = &mut probe {
        probe.answer = match &result {
            Err(fault) if is_address_error(fault) => TlbAnswer::Unmapped,
            result => tlb::answer(probe, result.as_ref().ok()),
        };
    }
    while let Err(fault) = &mut result
        && exceptions.len() < EXCEPTIONS_MAX
    {
        // The handler changes the registers.
        let mut exception = exception(mmu, fault);
        let served = serve(mmu, memory, fault, &mut recorder, now);
        exception.handler = served.text;
        exceptions.push(exception);
        if !served.again {
            break;
        }
        result = mmu.retry(va, access, now);
    }
    Explanation {
        split: split(va),
        tlb: probe,
        exceptions,
        root: mmu.root().table.0,
        references: recorder.references,
        ..unexplained(tables.name(), va, access, outcome(va, &result))
    }
}

/// What a handler did.
struct Served {
    text: String,
    /// The access is made again.
    again: bool,
}

impl Served {
    fn page_fault(text: &str) -> Self {
        Self { text: format!("{text}: a page fault"), again: false }
    }
}

/// The handler of `fault`, which gets the cause that the table gives if it is a page fault.
fn serve<M: TableMemory + ?Sized>(
    mmu: &mut Mmu,
    memory: &M,
    fault: &mut Fault,
    recorder: &mut Recorder<'_>,
    now: u64,
) -> Served {
    match fault.cause {
        FaultCause::TlbMiss if recorder.references.is_empty() => {
            // The handler loads what the table holds, whatever it says of the access.
            let judged = read_table(mmu, memory, fault, recorder);
            let level = if is_user(fault.va) { 0 } else { 1 };
            let entry = recorder.deepest(Level(level)).map(|raw| EntryLo::new(raw as u32));
            let Some(lo) = entry.filter(|lo| level == 0 || lo.has(EntryLo::V)) else {
                let found = judged.err();
                fault.cause = found.map_or(FaultCause::NotPresent, |found| found.cause);
                fault.level = found.and_then(|found| found.level);
                return Served::page_fault("the root has no page of the table there");
            };
            let Some(cp0) = mmu.cp0_mut() else { unreachable!("an R3000") };
            cp0.set_entry_lo(lo);
            let slot = cp0.tlbwr(now);
            cp0.rfe();
            let text =
                format!("TLBWR writes entry {slot}: EntryLo {:#010x} from the table", lo.get());
            Served { text, again: true }
        }
        FaultCause::NotPresent | FaultCause::DirtyClear => update(mmu, memory, fault, recorder),
        _ => Served { text: "none that helps".into(), again: false },
    }
}

/// The general handler when an entry refused: the table may allow the access.
fn update<M: TableMemory + ?Sized>(
    mmu: &mut Mmu,
    memory: &M,
    fault: &mut Fault,
    recorder: &mut Recorder<'_>,
) -> Served {
    let mut again = Recorder::new(recorder.tables());
    let found = read_table(mmu, memory, fault, &mut again);
    if recorder.references.is_empty() {
        recorder.references.append(&mut again.references);
    }
    let Some(cp0) = mmu.cp0_mut() else { unreachable!("an R3000") };
    if let Err(found) = found {
        (fault.cause, fault.level) = (found.cause, found.level);
        return Served::page_fault("the table does not allow the access either");
    }
    let needed = match fault.cause {
        FaultCause::DirtyClear => EntryLo::V | EntryLo::D,
        _ => EntryLo::V,
    };
    let entry = again.deepest(Level(0)).map(|raw| EntryLo::new(raw as u32));
    let Some(lo) = entry.filter(|lo| lo.has(needed)) else {
        return Served::page_fault("the table has nothing better");
    };
    cp0.tlbp();
    let slot = cp0.index().slot();
    cp0.set_entry_lo(lo);
    cp0.tlbwi();
    cp0.rfe();
    let text = format!("TLBWI writes entry {slot}: EntryLo {:#010x} from the table", lo.get());
    Served { text, again: true }
}

/// Reads the table's entry for the page of a fault: in kuseg the page's own, in kseg2 the root's.
fn read_table<M: TableMemory + ?Sized>(
    mmu: &Mmu,
    memory: &M,
    fault: &Fault,
    recorder: &mut Recorder<'_>,
) -> Result<(), Fault> {
    let (tables, root, asid) = (mmu.tables(), mmu.root(), mmu.asid());
    if is_user(fault.va) {
        let mut view = Overlay::new(memory);
        let Fault { va, access, .. } = *fault;
        return tables.walk_observed(&mut view, root, asid, va, access, recorder).map(|_| ());
    }
    let level = Level(1);
    let Some(mapped) = R3000::mapped_by(fault.va) else { return Ok(()) };
    let index = R3000.geometry().level(level).index(mapped);
    let at = PhysAddr(root.table.0 + index * EntryWidth::Four.bytes());
    if let Ok(raw) = memory.read_entry(at, EntryWidth::Four) {
        let entry = R3000.decode(level, raw);
        recorder.step(&Step { level, at: Some(at), index, raw, entry });
    }
    Ok(())
}

/// Whether the address is the kernel's alone: no page is looked for.
const fn is_address_error(fault: &Fault) -> bool {
    matches!(fault.cause, FaultCause::NonCanonical | FaultCause::Privilege)
}

fn is_user(va: VirtAddr) -> bool {
    u32::try_from(va.0).is_ok_and(|address| Segment::of(address) == Segment::Kuseg)
}

/// The exception as it is when the handler begins.
fn exception(mmu: &Mmu, fault: &Fault) -> TlbException {
    let Some(cp0) = mmu.cp0() else { unreachable!("an R3000") };
    let ArchFault::R3000 { vector, .. } = fault.arch else { unreachable!("an R3000's exception") };
    let register = |name: &str, value: u32, meaning: String| Register {
        name: name.into(),
        value: u64::from(value),
        meaning,
    };
    let mut registers = vec![register("BadVAddr", cp0.bad_vaddr(), "the address".into())];
    if !is_address_error(fault) {
        let hi: EntryHi = cp0.entry_hi();
        let meaning = format!("page {:#x}, ASID {}", hi.vpn().0, hi.asid().0);
        registers.push(register("EntryHi", hi.get(), meaning));
        let meaning = "where the table's entry is in kseg2".into();
        registers.push(register("Context", cp0.context().get(), meaning));
    }
    TlbException {
        exception: fault.arch.to_string(),
        cause: fault.cause.to_string(),
        vector: Some(u64::from(vector.address(cp0.status().has(Status::BEV)))),
        registers,
        handler: String::new(),
    }
}

/// What the look-up compares; entries that no address can match are left out.
fn probe(mmu: &Mmu, va: VirtAddr, access: Access) -> Option<TlbProbe> {
    let mut probe = tlb::probe(mmu.tlb()?, access.kind, va, PAGE, mmu.asid());
    for set in &mut probe.compared {
        set.entries.retain(|entry| {
            let address = u32::try_from(entry.page_number << PAGE.shift());
            let segment = address.map(Segment::of);
            matches!(segment, Ok(Segment::Kuseg | Segment::Kseg2))
        });
    }
    Some(probe)
}

fn split(va: VirtAddr) -> Vec<Part> {
    let part = |name, high, low| part(name, va.0, high, low);
    let Ok(address) = u32::try_from(va.0) else {
        return vec![part("no address", 63, 32), part("", 31, 0)];
    };
    match Segment::of(address) {
        Segment::Kuseg => vec![
            part("kuseg", 31, 31),
            part("table", 30, 22),
            part("page", 21, 12),
            part("offset", 11, 0),
        ],
        Segment::Kseg0 => vec![part("kseg0", 31, 29), part("physical address", 28, 0)],
        Segment::Kseg1 => vec![part("kseg1", 31, 29), part("physical address", 28, 0)],
        Segment::Kseg2 => vec![part("kseg2", 31, 30), part("page", 29, 12), part("offset", 11, 0)],
    }
}

fn outcome(va: VirtAddr, result: &Result<Hit, Fault>) -> Outcome {
    match result {
        Ok(Hit { pa: PhysAddr(physical), slot: None, .. }) => {
            Outcome::Placed { physical: *physical }
        }
        Ok(Hit { pa, page, .. }) => Outcome::Translated {
            physical: pa.0,
            frame: pa.pfn(*page).0,
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
