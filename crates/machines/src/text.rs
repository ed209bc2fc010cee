//! Descriptions as text for a terminal, at most [`COLUMNS`] wide.

use crate::check::list as sizes;
use crate::description::{DataCache, Description, Loading, Provenance, Side, TlbArray, WalkCache};
use crate::size::compact;

/// The width of all text.
const COLUMNS: usize = 100;
/// Where the text of a labelled line begins.
const LABEL: usize = 14;

/// A table of machines, one a line.
pub fn list(machines: &[Description]) -> String {
    let head = ["NAME", "YEAR", "MMU", "TLB ENTRIES BY PAGE SIZE"].map(str::to_owned);
    let row = |machine: &Description| {
        let year = machine.year.to_string();
        [machine.name.clone(), year, machine.mmu.name.clone(), machine.tlb_summary()]
    };
    let rows: Vec<[String; 4]> = [head].into_iter().chain(machines.iter().map(row)).collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |[name, year, mmu, tlb]: &[String; 4]| {
        let [a, b, c] = widths;
        cut(&format!("{name:a$}  {year:b$}  {mmu:c$}  {tlb}")) + "\n"
    };
    rows.iter().map(line).collect()
}

/// Everything about one machine.
pub fn show(machine: &Description) -> String {
    let mut page = String::new();
    let out = &mut page;
    let title =
        format!("{} ({}), {} {}", machine.title, machine.name, machine.vendor, machine.year);
    wrap(out, 0, &title);
    wrap(out, 0, &machine.summary);
    mmu(out, machine);
    tlb(out, machine);
    caches(out, machine);
    memory(out, machine);
    costs(out, machine);
    not_modelled(out, machine);
    sources(out, machine);
    options(out, machine);
    page
}

impl Description {
    /// The TLB in one line: the entries of each array by side and level, `L1i 128+8 (4K, 2M)`.
    pub(crate) fn tlb_summary(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for level in 1..=2 {
            for side in [Side::Instruction, Side::Data, Side::Unified] {
                let arrays = self.tlb.arrays.iter().filter(|array| {
                    (array.level, array.side) == (level, side) && array.not_modelled.is_none()
                });
                let entries: Vec<String> = arrays.map(|array| array_summary(self, array)).collect();
                if !entries.is_empty() {
                    parts.push(format!("L{level}{} {}", side.letter(), entries.join(" + ")));
                }
            }
        }
        if self.tlb.load == Loading::Software {
            parts.push("loaded by software".into());
        }
        parts.join(", ")
    }
}

fn array_summary(machine: &Description, array: &TlbArray) -> String {
    match array.pages == machine.mmu.pages {
        true => array.entries.to_string(),
        false => format!("{}x{}", array.entries, array.pages_text("")),
    }
}

fn mmu(out: &mut String, machine: &Description) {
    let mmu = &machine.mmu;
    let text = format!(
        "{}: addresses of {} bits virtual and {} physical, pages of {}",
        mmu.name,
        mmu.virtual_bits,
        mmu.physical_bits,
        sizes(&mmu.pages)
    );
    out.push('\n');
    labelled(out, "MMU", &text, None, &mmu.provenance);
}

fn tlb(out: &mut String, machine: &Description) {
    let tlb = &machine.tlb;
    let load = match tlb.load {
        Loading::Hardware => "loaded by hardware",
        Loading::Software => "loaded by software",
    };
    let tags = match tlb.asid_bits {
        0 => "no address-space identifiers".to_owned(),
        bits => format!("address-space identifiers of {bits} bits"),
    };
    out.push('\n');
    labelled(out, "TLB", &format!("{load}, {tags}"), tlb.note.as_deref(), &tlb.provenance);
    for array in &tlb.arrays {
        let label = format!("  L{} {}", array.level, side(array.side));
        let policy = array.replacement.map(|policy| format!(", {}", policy.name()));
        let text = format!(
            "{}, for pages of {}{}",
            geometry(array.entries, array.ways),
            sizes(&array.pages),
            policy.unwrap_or_default()
        );
        labelled(out, &label, &text, array.note.as_deref(), &array.provenance);
    }
}

fn caches(out: &mut String, machine: &Description) {
    if !machine.walk_caches.is_empty() || !machine.caches.is_empty() {
        out.push('\n');
    }
    for cache in &machine.walk_caches {
        walk_cache(out, cache);
    }
    for cache in &machine.caches {
        data_cache(out, cache);
    }
}

fn walk_cache(out: &mut String, cache: &WalkCache) {
    let text = format!(
        "{}: {}, each leads to {}",
        cache.name,
        geometry(cache.entries, cache.ways),
        compact(cache.reach.0)
    );
    labelled(out, "Walk cache", &text, cache.note.as_deref(), &cache.provenance);
}

fn data_cache(out: &mut String, cache: &DataCache) {
    let label = format!("Cache L{}{}", cache.level, cache.side.letter());
    let ways = match cache.ways {
        1 => "direct-mapped".to_owned(),
        ways => format!("{ways} ways"),
    };
    let latency = cache.latency.map(|latency| format!(", {}", cycles(latency)));
    let text = format!(
        "{}, {ways}, lines of {} bytes{}",
        compact(cache.bytes),
        cache.line,
        latency.unwrap_or_default()
    );
    labelled(out, &label, &text, cache.note.as_deref(), &cache.provenance);
}

fn memory(out: &mut String, machine: &Description) {
    let memory = &machine.memory;
    let latency = memory.latency.map(|latency| format!(", {} away", cycles(latency)));
    let text = format!(
        "{}{}; real ones had {}",
        compact(memory.ram),
        latency.unwrap_or_default(),
        sizes(&memory.typical)
    );
    out.push('\n');
    labelled(out, "RAM", &text, memory.note.as_deref(), &memory.provenance);
}

fn costs(out: &mut String, machine: &Description) {
    if !machine.costs.is_empty() {
        heading(out, "Costs (docs/cost-model.md; those not listed are the model's)");
    }
    for (key, figure) in &machine.costs {
        let text = format!("{key} = {}", figure.value);
        line(out, 2, 4, &with_source(&text, figure.note.as_deref(), &figure.provenance));
    }
}

fn not_modelled(out: &mut String, machine: &Description) {
    let texts = machine.not_modelled();
    if !texts.is_empty() {
        heading(out, "Not modelled");
    }
    for text in texts {
        line(out, 2, 4, &text);
    }
}

fn sources(out: &mut String, machine: &Description) {
    heading(out, "Sources");
    for (name, source) in &machine.sources {
        let url = source.url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
        line(out, 2, 4, &format!("[{name}] {}{url}", source.title));
    }
}

fn cycles(number: u64) -> String {
    if number == 1 { "1 cycle".into() } else { format!("{number} cycles") }
}

/// The options that it stands for, each on a line of its own, whatever its length: to be copied.
fn options(out: &mut String, machine: &Description) {
    let setup = machine.setup();
    heading(out, "As options of pagewalk run");
    let options = [
        ("--mmu", Some(&setup.mmu)),
        ("--tlb", Some(&setup.tlb)),
        ("--walk-cache", setup.walk_cache.as_ref()),
        ("--cache", setup.cache.as_ref()),
        ("--ram", Some(&setup.ram)),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            out.push_str(&format!("  {option} {value}\n"));
        }
    }
    if let Some((page, bits)) = machine.mmu.linear {
        let text = format!("and, by --machine alone: pages of {page}, addresses of {bits} bits");
        line(out, 2, 4, &text);
    }
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Instruction => "instr.",
        Side::Data => "data",
        Side::Unified => "both",
    }
}

fn geometry(entries: u32, ways: u32) -> String {
    match ways {
        _ if entries == 1 => "1 entry".to_owned(),
        1 => format!("{entries} entries, direct-mapped"),
        ways if ways == entries => format!("{entries} entries, fully associative"),
        ways => format!("{entries} entries, {ways} ways"),
    }
}

fn heading(out: &mut String, text: &str) {
    out.push('\n');
    wrap(out, 0, text);
}

fn labelled(
    out: &mut String,
    label: &str,
    text: &str,
    note: Option<&str>,
    provenance: &Provenance,
) {
    let text = with_source(text, note, provenance);
    line(out, 0, LABEL, &format!("{label:LABEL$}{text}"));
}

/// The text, its note, and `[source, place; not checked]`.
fn with_source(text: &str, note: Option<&str>, provenance: &Provenance) -> String {
    let note = note.map(|note| format!("; {note}")).unwrap_or_default();
    let place = provenance.place.as_ref().map(|place| format!(", {place}")).unwrap_or_default();
    let checked = if provenance.checked { "" } else { "; not checked" };
    format!("{text}{note} [{}{place}{checked}]", provenance.source)
}

fn wrap(out: &mut String, indent: usize, text: &str) {
    line(out, indent, indent, text);
}

/// Writes `text` over as many lines as it needs; the first begins in column `first`, the others in
/// `rest`. What a terminal would obey is escaped.
fn line(out: &mut String, first: usize, rest: usize, text: &str) {
    let mut used = first;
    out.push_str(&" ".repeat(first));
    // Blanks at the beginning, and behind labels, stay.
    let mut is_empty = true;
    for word in text.split(' ') {
        let word: String = word.chars().map(escape).collect();
        let length = word.chars().count();
        if used + 1 + length > COLUMNS && word.is_empty() {
            continue;
        }
        if !is_empty && used + 1 + length > COLUMNS {
            let kept = out.trim_end_matches(' ').len();
            out.truncate(kept);
            out.push('\n');
            out.push_str(&" ".repeat(rest));
            used = rest;
        } else if !is_empty {
            out.push(' ');
            used += 1;
        }
        out.push_str(&word);
        used += length;
        is_empty = false;
    }
    out.push('\n');
}

fn escape(c: char) -> String {
    if c.is_control() { c.escape_default().to_string() } else { c.into() }
}

/// A line that fits, with an ellipsis where it does not.
fn cut(text: &str) -> String {
    let text: String = text.trim_end().chars().map(escape).collect();
    match text.chars().count() > COLUMNS {
        true => text.chars().take(COLUMNS - 1).chain(['…']).collect(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_never_lost() {
        let mut out = String::new();
        let text = "word ".repeat(60);
        line(&mut out, 2, 4, text.trim_end());
        assert_eq!(out.split_whitespace().count(), 60);
        assert!(out.starts_with("  word") && out.lines().nth(1).unwrap().starts_with("    word"));
    }

    proptest! {
        #[test]
        fn lines_of_short_words_fit(words in prop::collection::vec("[a-z\u{1b}]{0,12}", 0..80)) {
            let mut out = String::new();
            line(&mut out, 3, 14, &words.join(" "));
            // Escapes are longer than what they stand for.
            for line in out.lines() {
                prop_assert!(line.chars().count() <= COLUMNS.max(14 + 72), "{}", line);
            }
            let escape = '\u{1b}';
            prop_assert!(!out.contains(escape));
        }
    }
}
