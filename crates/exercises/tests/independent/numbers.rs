//! Average access times and sizes of tables.

use serde_json::Value;

use super::{Computed, int, text};

/// A fraction to two digits after the point, half up.
fn two(numerator: u64, denominator: u64) -> String {
    let cents = (200 * numerator + denominator) / (2 * denominator);
    format!("{}.{:02}", cents / 100, cents % 100)
}

pub fn access_time(data: &Value, out: &mut Computed) {
    let get = |name: &str| int(&data[name]);
    match text(&data["variant"]) {
        "references" => {
            let (lookups, hits, levels) = (get("lookups"), get("hits"), get("levels"));
            out.put(1, "hit_ratio", two(100 * hits, lookups));
            out.put(1, "misses", lookups - hits);
            out.put(2, "hit", 1);
            out.put(2, "miss", levels + 1);
            // Every access refers to its data, and a miss to the tables besides.
            out.put(2, "average", two(lookups + (lookups - hits) * levels, lookups));
            out.put(2, "without", levels + 1);
        }
        "time" => {
            let (tlb, memory, levels) = (get("tlb_ns"), get("memory_ns"), get("levels"));
            let miss_percent = 100 - get("hit_percent");
            let average = 100 * (tlb + memory) + miss_percent * levels * memory;
            out.put(1, "hit", tlb + memory);
            out.put(1, "miss", tlb + memory + levels * memory);
            out.put(1, "average", two(average, 100));
            out.put(1, "without", memory + levels * memory);
            out.put(2, "factor", two(100 * (memory + levels * memory), average));
        }
        _ => {
            let fault = get("fault_us") * 1000 + get("write_us") * 10 * get("dirty_percent");
            let (one_in, memory) = (get("one_in"), get("memory_ns"));
            out.put(1, "fault", fault);
            out.put(2, "average", two(one_in * memory + fault, one_in));
            out.put(2, "slowdown", two(one_in * memory + fault, one_in * memory));
        }
    }
}

pub fn table_size(data: &Value, out: &mut Computed) {
    let get = |name: &str| int(&data[name]);
    let (page, entry) = (get("page_bytes"), get("entry_bytes"));
    let space = 2_u64.pow(get("virtual_bits") as u32);
    let pages = space / page;
    let frames = get("physical_bytes") / page;
    out.put(1, "offset_bits", page.ilog2());
    out.put(1, "page_bits", pages.ilog2());
    out.put(1, "frames", frames);
    let used = get("used_bytes").div_ceil(page);
    assert!(used <= pages, "the process fits its address space");
    if text(&data["variant"]) == "levels" {
        let per_table = page / entry;
        let mut reach = page;
        let (mut levels, mut tables) = (0, 0);
        // A table of each level reaches over so many bytes.
        while reach < space {
            reach *= per_table;
            levels += 1;
            tables += get("used_bytes").div_ceil(reach);
        }
        out.put(2, "per_table", per_table);
        out.put(2, "index_bits", per_table.ilog2());
        out.put(2, "levels", levels);
        out.put(3, "pages", used);
        out.put(3, "tables", tables);
        out.put(3, "bytes", tables * page);
        out.put(3, "linear", pages * entry);
        return;
    }
    out.put(2, "entries", pages);
    out.put(2, "bytes", pages * entry);
    if text(&data["variant"]) == "linear" {
        out.put(3, "pages", used);
        out.put(3, "waste", (page - get("used_bytes") % page) % page);
        out.put(3, "unused", pages - used);
    } else {
        out.put(3, "linear", get("processes") * pages * entry);
        out.put(3, "entries", frames);
        out.put(3, "inverted", frames * entry);
    }
}
