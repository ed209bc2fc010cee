//! The kernel's events as JSON fields.

use pagewalk_kernel::{Event, FaultCause, Prot, Region, Store};
use pagewalk_mmu::AccessKind;
use serde_json::{Map, Value, json};

use crate::listener::{hex, object};

/// An event's name and fields.
pub(crate) fn fields(event: &Event<'_>) -> (&'static str, Map<String, Value>) {
    let (name, value) = match *event {
        Event::Fault { space, va, kind, cause, pfn, major } => (
            "fault",
            json!({
                "space": space.0, "va": hex(va.0), "access": access(kind),
                "cause": cause_name(cause), "pfn": pfn.0, "major": major,
            }),
        ),
        Event::Signal { space, va, kind, signal } => (
            "signal",
            json!({
                "space": space.0, "va": hex(va.0), "access": access(kind),
                "signal": format!("{signal:?}"),
            }),
        ),
        Event::OutOfMemory { space, va, shortage } => (
            "out-of-memory",
            json!({ "space": space.0, "va": hex(va.0), "short": format!("{shortage:?}") }),
        ),
        Event::Submit { store: at, pfn, write } => {
            ("submit", json!({ "at": store(at), "pfn": pfn.0, "write": write }))
        }
        Event::OomKill { kill } => (
            "oom-kill",
            json!({
                "space": kill.victim.0, "asked": kill.asked.0, "badness": kill.badness,
                "oom_score_adj": kill.score_adj, "candidates": kill.candidates,
                "resident": kill.held.rss(), "swapped": kill.held.swapped,
                "page_tables": kill.held.page_tables,
            }),
        ),
        Event::PageIn { from, pfn } => ("page-in", json!({ "from": store(from), "pfn": pfn.0 })),
        Event::PageOut { pfn, to, bytes } => {
            ("page-out", json!({ "to": store(to), "pfn": pfn.0, "bytes": bytes }))
        }
        Event::Split { space, va, bytes } => {
            ("split", json!({ "space": space.0, "va": hex(va.0), "bytes": bytes }))
        }
        Event::Collapse { space, va, bytes, pages } => (
            "collapse",
            json!({ "space": space.0, "va": hex(va.0), "bytes": bytes, "pages": pages }),
        ),
        Event::Evict { pfn, dirty, store: to, daemon } => (
            "evict",
            json!({ "pfn": pfn.0, "dirty": dirty, "store": to.map(store), "daemon": daemon }),
        ),
        Event::EvictFrom { space, va, pfn, slot } => (
            "evict-from",
            json!({
                "space": space.0, "va": hex(va.0), "pfn": pfn.0,
                "store": slot.map(|slot| store(Store::Swap(slot))),
            }),
        ),
        Event::IoError { store: at, pfn, write, error } => (
            "io-error",
            json!({ "at": store(at), "pfn": pfn.0, "write": write, "error": error.to_string() }),
        ),
        Event::Map { space, region } => ("map", region_fields(space.0, region)),
        Event::Unmap { space, region } => ("unmap", region_fields(space.0, region)),
        Event::Protect { space, region, prot } => {
            let mut value = region_fields(space.0, region);
            value["now"] = json!(letters(prot));
            ("protect", value)
        }
        Event::Fork { parent, child, pages, slots, tables } => (
            "fork",
            json!({
                "space": parent.0, "child": child.0, "pages": pages, "slots": slots,
                "tables": tables,
            }),
        ),
        Event::StackGrow { space, from, to } => {
            ("stack-grow", json!({ "space": space.0, "from": hex(from.0), "to": hex(to.0) }))
        }
        Event::Brk { space, from, to } => {
            ("brk", json!({ "space": space.0, "from": hex(from.0), "to": hex(to.0) }))
        }
    };
    (name, object(value))
}

/// The name of a cause in events and reports.
pub(crate) const fn cause_name(cause: FaultCause) -> &'static str {
    match cause {
        FaultCause::ZeroFill => "zero-fill",
        FaultCause::ZeroFillLarge => "zero-fill-large",
        FaultCause::File => "file",
        FaultCause::SwapIn => "swap-in",
        FaultCause::CopyOnWrite => "copy-on-write",
        FaultCause::Reuse => "copy-on-write-reuse",
        FaultCause::MinorMap => "map-cached",
        FaultCause::Update => "update",
    }
}

const fn access(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::Read => "read",
        AccessKind::Write => "write",
        AccessKind::Execute => "execute",
    }
}

fn store(store: Store) -> Value {
    match store {
        Store::File { file, offset } => json!({ "file": file.0, "offset": offset }),
        Store::Swap(slot) => json!({ "slot": slot.0 }),
    }
}

fn region_fields(space: u32, region: &Region) -> Value {
    json!({
        "space": space,
        "start": hex(region.start.0),
        "end": hex(region.end.0),
        "prot": letters(region.prot),
        "shared": region.shared,
    })
}

/// Protection as `/proc/PID/maps` shows it.
fn letters(prot: Prot) -> String {
    [(Prot::READ, 'r'), (Prot::WRITE, 'w'), (Prot::EXEC, 'x')]
        .map(|(bit, letter)| if prot.contains(bit) { letter } else { '-' })
        .iter()
        .collect()
}
