//! Fork, copy-on-write and the swap cache, with counts that go up and down.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Computed, array, int, ints, or, spaced, text};

pub fn fork(data: &Value, out: &mut Computed) {
    let pages = ints(&data["pages"]);
    let mut counts = vec![0_u64; int(&data["frames"]) as usize];
    // (process, page): frame, writable.
    let mut entries: BTreeMap<(String, u64), (u64, bool)> = BTreeMap::new();
    for (page, frame) in (0..).zip(&pages) {
        counts[*frame as usize] += 1;
        entries.insert(("A".into(), page), (*frame, true));
    }
    let events = array(&data["events"]);
    for (n, event) in (1..).zip(events) {
        match text(&event["event"]) {
            "fork" => {
                let (parent, child) = (text(&event["parent"]), text(&event["child"]));
                for page in 0..pages.len() as u64 {
                    let entry = entries.get_mut(&(parent.into(), page)).unwrap();
                    entry.1 = false;
                    let shared = *entry;
                    counts[shared.0 as usize] += 1;
                    entries.insert((child.into(), page), shared);
                }
                let first = entries[&(child.into(), 0)].0;
                out.put(n, "copied", 0);
                out.put(n, "used", counts.iter().filter(|&&count| count > 0).count());
                out.put(n, "count", counts[first as usize]);
            }
            "write" => {
                let key = (text(&event["process"]).to_owned(), int(&event["page"]));
                let (mut frame, writable) = entries[&key];
                let copies = !writable && counts[frame as usize] > 1;
                if copies {
                    counts[frame as usize] -= 1;
                    frame = counts.iter().position(|&count| count == 0).unwrap() as u64;
                    counts[frame as usize] = 1;
                }
                entries.insert(key, (frame, true));
                out.put(n, "fault", if writable { "no" } else { "yes" });
                out.put(n, "copied", if copies { "yes" } else { "no" });
                out.put(n, "frame", frame);
            }
            _ => {
                let process = text(&event["process"]);
                let mut freed = Vec::new();
                for page in 0..pages.len() as u64 {
                    let (frame, _) = entries.remove(&(process.into(), page)).unwrap();
                    counts[frame as usize] -= 1;
                    if counts[frame as usize] == 0 {
                        freed.push(frame);
                    }
                }
                freed.sort_unstable();
                out.put(n, "freed", spaced(&freed));
            }
        }
    }
    let used: Vec<u64> = (0..counts.len() as u64).filter(|&f| counts[f as usize] > 0).collect();
    let shown: Vec<u64> = used.iter().map(|&frame| counts[frame as usize]).collect();
    out.put(events.len() + 1, "frames", spaced(&used));
    out.put(events.len() + 1, "counts", spaced(&shown));
}

/// Where a page-table entry leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Frame(u64),
    Slot(u64),
}

/// Text 002: pairs in a cache, entries in page tables; counts are counted.
pub fn swap_cache(data: &Value, out: &mut Computed) {
    let (mut frames, mut slots) = (ints(&data["free_frames"]), ints(&data["free_slots"]));
    let processes = array(&data["processes"]).iter();
    let mut tables: BTreeMap<&str, Entry> =
        processes.map(|name| (text(name), Entry::Frame(int(&data["frame"])))).collect();
    let mut pair: Option<(u64, u64)> = None;
    for (n, event) in (1..).zip(array(&data["events"])) {
        let process = text(&event["process"]);
        let count = |tables: &BTreeMap<&str, Entry>, entry| {
            tables.values().filter(|&&held| held == entry).count() as u64
        };
        let mut transfer = "none";
        let (frame, slot) = match tables[process] {
            Entry::Frame(frame) => {
                assert_eq!(text(&event["event"]), "evict");
                let slot = pair.map_or_else(|| slots.remove(0), |pair| pair.0);
                pair = Some((slot, frame));
                tables.insert(process, Entry::Slot(slot));
                if count(&tables, Entry::Frame(frame)) == 0 {
                    transfer = "write";
                    pair = None;
                    frames.push(frame);
                }
                (frame, slot)
            }
            Entry::Slot(slot) => {
                assert_eq!(text(&event["event"]), "reference");
                let cached = pair.filter(|pair| pair.0 == slot).map(|pair| pair.1);
                let frame = cached.unwrap_or_else(|| {
                    transfer = "read";
                    frames.remove(0)
                });
                pair = Some((slot, frame));
                tables.insert(process, Entry::Frame(frame));
                if count(&tables, Entry::Slot(slot)) == 0 {
                    pair = None;
                    slots.push(slot);
                }
                (frame, slot)
            }
        };
        out.put(n, "transfer", transfer);
        out.put(n, "pair", pair.map_or(or(None, "none"), |(slot, frame)| spaced(&[slot, frame])));
        out.put(n, "frame_count", count(&tables, Entry::Frame(frame)));
        out.put(n, "slot_count", count(&tables, Entry::Slot(slot)));
    }
}
