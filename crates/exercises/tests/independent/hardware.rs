//! Bounds, segments, page tables and TLBs, as text books describe them.

use serde_json::Value;

use super::{Computed, array, int, ints, or, spaced, text};

pub fn base_bounds(data: &Value, out: &mut Computed) {
    let bounds = int(&data["bounds"]);
    let accesses = ints(&data["accesses"]);
    for (n, address) in (1..).zip(&accesses) {
        let physical = (*address < bounds).then(|| int(&data["base"]) + address);
        out.put(n, "physical", or(physical, "trap"));
    }
    let last = accesses.len() + 1;
    let moved = int(&data["moved_to"]);
    out.put(last, "base", moved);
    out.put(last, "bounds", bounds);
    out.put(last, "physical", moved + int(&data["after_move"]));
}

fn letter(kind: &Value) -> char {
    match text(kind) {
        "read" => 'r',
        "write" => 'w',
        _ => 'x',
    }
}

pub fn segments(data: &Value, out: &mut Computed) {
    let size = 2_u64.pow(int(&data["offset_bits"]) as u32);
    for (n, access) in (1..).zip(array(&data["accesses"])) {
        let address = int(&access["address"]);
        let (number, offset) = (address / size, address % size);
        let found = array(&data["segments"]).iter().find(|one| int(&one["number"]) == number);
        let (physical, cause) = match found {
            None => (None, "invalid"),
            Some(segment) => {
                let is_below = offset < int(&segment["bounds"]);
                let is_valid = is_below != segment["grows_down"].as_bool().unwrap();
                let is_allowed = text(&segment["rights"]).contains(letter(&access["kind"]));
                match (is_valid, is_allowed) {
                    (false, _) => (None, "bounds"),
                    (true, false) => (None, "rights"),
                    (true, true) => (Some(int(&segment["base"]) + offset), "none"),
                }
            }
        };
        out.put(n, "segment", number);
        out.put(n, "offset", offset);
        out.put(n, "physical", or(physical, "trap"));
        out.put(n, "cause", cause);
    }
}

pub fn linear(data: &Value, out: &mut Computed) {
    let size = int(&data["page_size"]);
    for (n, access) in (1..).zip(array(&data["accesses"])) {
        let address = int(&access["address"]);
        let (page, offset) = (address / size, address % size);
        let entry = array(&data["entries"]).iter().find(|entry| int(&entry["page"]) == page);
        let allows =
            |entry: &&Value| text(&access["kind"]) == "read" || text(&entry["rights"]) == "rw";
        let physical = entry.filter(allows).map(|entry| int(&entry["frame"]) * size + offset);
        out.put(n, "page", page);
        out.put(n, "offset", offset);
        out.put(n, "physical", or(physical, "fault"));
    }
}

/// Text 004's `pmap`, with as many levels as there are.
pub fn multilevel(data: &Value, out: &mut Computed) {
    let page = 2_u64.pow(int(&data["offset_bits"]) as u32);
    let widths = ints(&data["index_bits"]);
    for (n, access) in (1..).zip(array(&data["accesses"])) {
        let address = int(&access["address"]);
        let mut rest = address / page;
        let mut indices = Vec::new();
        for width in widths.iter().rev() {
            indices.insert(0, rest % 2_u64.pow(*width as u32));
            rest /= 2_u64.pow(*width as u32);
        }
        let mut frame = Some(int(&data["root"]));
        let mut read = Vec::new();
        for (level, index) in indices.iter().enumerate() {
            let Some(at) = frame else { break };
            let tables = array(&data["tables"]);
            let table = tables.iter().find(|table| int(&table["frame"]) == at).unwrap();
            let entry = int(&table["entries"][*index as usize]);
            let is_last = level + 1 == indices.len();
            let refuses = is_last && text(&access["kind"]) == "write" && entry & 2 == 0;
            read.push(*index);
            frame = (entry & 1 == 1 && !refuses).then_some(entry >> 8);
        }
        out.put(n, "indices", spaced(&read));
        out.put(n, "offset", address % page);
        out.put(n, "physical", or(frame.map(|frame| frame * page + address % page), "fault"));
    }
}

/// Text 003's look-up; of the hashed table, too.
pub fn chains(data: &Value, out: &mut Computed) {
    let size = int(&data["page_bytes"]);
    let anchors = array(&data["anchors"]);
    for (n, lookup) in (1..).zip(array(&data["lookups"])) {
        let (address, hash) = (int(&lookup["address"]), int(&lookup["hash"]));
        let mut next = match anchors.is_empty() {
            true => Some(hash),
            false => anchors[hash as usize].as_u64(),
        };
        let mut compared = Vec::new();
        let mut frame = None;
        while let Some(index) = next {
            let entries = array(&data["entries"]);
            let Some(entry) = entries.iter().find(|entry| int(&entry["index"]) == index) else {
                break;
            };
            compared.push(index);
            next = entry["next"].as_u64();
            if entry["pid"] == lookup["pid"] && int(&entry["page"]) == address / size {
                frame = Some(entry["frame"].as_u64().unwrap_or(index));
                break;
            }
        }
        out.put(n, "page", address / size);
        out.put(n, "compared", spaced(&compared));
        out.put(n, "physical", or(frame.map(|frame| frame * size + address % size), "fault"));
    }
}

pub fn tlb(data: &Value, out: &mut Computed) {
    let (sets, ways) = (int(&data["sets"]), int(&data["ways"]) as usize);
    let size = int(&data["page_bytes"]);
    // Each set has the next victim first.
    let mut tlb: Vec<Vec<(u64, u64)>> = vec![Vec::new(); sets as usize];
    let (mut hits, mut last) = (0, None);
    let references = array(&data["references"]);
    for (n, reference) in (1..).zip(references) {
        let (asid, address) = (int(&reference["asid"]), int(&reference["address"]));
        let page = address / size;
        if data["tagged"] == false && last.is_some_and(|last| last != asid) {
            tlb.iter_mut().for_each(Vec::clear);
        }
        last = Some(asid);
        let set = &mut tlb[(page % sets) as usize];
        let place = set.iter().position(|entry| *entry == (asid, page));
        match place {
            Some(place) if data["replacement"] == "lru" => {
                let entry = set.remove(place);
                set.push(entry);
            }
            Some(_) => {}
            None => {
                if set.len() == ways {
                    set.remove(0);
                }
                set.push((asid, page));
            }
        }
        hits += u64::from(place.is_some());
        let pages = array(&data["pages"]);
        let mapped =
            pages.iter().find(|one| int(&one["asid"]) == asid && int(&one["page"]) == page);
        out.put(n, "set", page % sets);
        out.put(n, "tag", page / sets);
        out.put(n, "result", if place.is_some() { "hit" } else { "miss" });
        out.put(n, "physical", int(&mapped.unwrap()["frame"]) * size + address % size);
    }
    out.put(references.len() + 1, "hits", hits);
    out.put(references.len() + 1, "misses", references.len() as u64 - hits);
}
