//! The report as text, in the manner of `perf stat` and `time -v`.
//!
//! One function per section, in the order of the page. What each figure means is said once, in
//! [`pagewalk_machine::report`] and, for readers, in docs/report.md.

use std::collections::BTreeMap;

use pagewalk_machine::report::{
    CacheLookups, CycleParts, ExitReport, FaultReport, KernelReport, MachineReport, MemoryReport,
    References, RefillReport, Report, TlbLevel,
};

use crate::number::{duration, grouped, percent, quotient, size};
use crate::page::Page;
use crate::{harts, processes, replacement, swap};

/// System calls that are listed by name; the others are added up.
const SYSCALLS_LISTED: usize = 8;

/// The report as text with a final newline, at most [`crate::COLUMNS`] columns wide.
pub fn text(report: &Report) -> String {
    let mut page = Page::default();
    run(&mut page, report);
    cycles(&mut page, report);
    references(&mut page, report);
    tlb(&mut page, report);
    harts::show(&mut page, &report.harts);
    if let Some(processes) = &report.processes {
        processes::show(&mut page, processes);
    }
    walks(&mut page, report);
    caches(&mut page, report);
    refills(&mut page, report);
    if let Some(report) = &report.kernel {
        kernel(&mut page, report);
    }
    faults(&mut page, &report.faults);
    memory(&mut page, &report.memory, &report.machine);
    if let Some(tables) = &report.shared_tables {
        crate::shared_tables::show(&mut page, tables);
    }
    if let Some(segments) = &report.segments {
        crate::segments::show(&mut page, segments);
    }
    if let Some(report) = &report.replacement {
        replacement::show(&mut page, report);
    }
    if let Some(opt) = &report.opt {
        crate::opt::show(&mut page, opt);
    }
    if let Some(foresight) = &report.foresight {
        crate::opt::show_foresight(&mut page, foresight);
    }
    devices(&mut page, report);
    syscalls(&mut page, &report.syscalls);
    page.render()
}

/// Whether there is anything to say of a TLB, walks and swap.
fn has_pages(report: &Report) -> bool {
    report.machine.levels > 0
}

fn run(page: &mut Page, report: &Report) {
    page.fact("Program", command_line(&report.command));
    page.fact("Machine", machine(&report.machine));
    page.fact("Policy", policy(&report.machine));
    if let Some(bytes) = report.machine.huge_page_bytes {
        page.fact("Large pages", format!("{}, {} each", report.machine.huge, size(bytes)));
    }
    page.fact("TLB", report.machine.tlb.clone());
    let parts = [("Walk cache", &report.machine.walk_cache), ("Caches", &report.machine.cache)];
    for (label, geometry) in parts.into_iter().filter(|(_, geometry)| *geometry != "none") {
        page.fact(label, geometry.clone());
    }
    page.fact("Ended", ended(&report.exit));
}

/// The arguments, each quoted if it is not plain; nothing in it can control a terminal.
fn command_line(args: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quote = |arg: &String| {
        if !arg.is_empty() && arg.chars().all(is_plain) { arg.clone() } else { format!("{arg:?}") }
    };
    args.iter().map(quote).collect::<Vec<_>>().join(" ")
}

fn machine(machine: &MachineReport) -> String {
    let swap = match machine.swap_bytes {
        0 => "no swap".into(),
        bytes => format!("{} of swap", size(bytes)),
    };
    let harts = match machine.harts {
        1 => String::new(),
        several => format!("{several} harts, "),
    };
    let name = machine.name.as_ref().map(|name| format!("{}: ", name.escape_debug()));
    let name = name.unwrap_or_default();
    let (mmu, ram) = (&machine.mmu, size(machine.ram_bytes));
    format!("{name}{harts}{mmu}, {}{ram} of RAM, {swap}", pages(machine))
}

fn pages(machine: &MachineReport) -> String {
    match machine.levels {
        0 => "no pages, ".into(),
        levels => format!("{levels} levels, pages of {}, ", size(machine.page_bytes)),
    }
}

fn policy(machine: &MachineReport) -> String {
    let path = if machine.slow { ", plain path" } else { "" };
    let rule = match &machine.fit {
        Some(fit) => format!("{fit} fit"),
        None => format!("{} replacement", machine.policy),
    };
    format!("{rule}, seed {}{path}", machine.seed)
}

fn ended(exit: &ExitReport) -> String {
    let how = match &exit.signal {
        Some(signal) => format!("killed by {signal}, exit code {}", exit.code),
        None => format!("exit code {}", exit.code),
    };
    match &exit.reason {
        Some(reason) => format!("{how}: {}", reason.escape_debug()),
        None => how,
    }
}

fn cycles(page: &mut Page, report: &Report) {
    let parts = &report.cycle_parts;
    let per_instruction = per(report.cycles, report.instructions, "instruction");
    page.blank();
    page.figure("Instructions", grouped(report.instructions), String::new());
    page.figure("Cycles", grouped(report.cycles), per_instruction);
    let has_caches = !report.caches.is_empty();
    for (label, part) in named_parts(parts).into_iter().filter(|(l, _)| has_caches || *l != CACHES)
    {
        page.detail(label, grouped(part), share(part, parts.total(), "cycles"));
    }
    page.detail("sum of the parts", grouped(parts.total()), String::new());
    page.figure(
        "Virtual time",
        grouped(report.time_ns),
        format!("ns; {}", duration(report.time_ns)),
    );
}

/// The part that only machines with caches have.
const CACHES: &str = "caches";

fn named_parts(parts: &CycleParts) -> [(&'static str, u64); 10] {
    // Taken apart by name, so that a part that is added cannot be forgotten here.
    let CycleParts { compute, tlb, walks, caches, refills, .. } = *parts;
    let CycleParts { faults, syscalls, reclaim, disk, idle, .. } = *parts;
    [
        ("compute", compute),
        ("TLB", tlb),
        ("walks", walks),
        (CACHES, caches),
        ("TLB handlers", refills),
        ("faults", faults),
        ("system calls", syscalls),
        ("reclaim", reclaim),
        ("disk", disk),
        ("idle", idle),
    ]
}

fn references(page: &mut Page, report: &Report) {
    let references = &report.references;
    let total = references.fetches + references.loads + references.stores;
    let share = |part| share(part, total, "references");
    page.blank();
    page.figure("References", grouped(total), String::new());
    page.detail("instruction fetches", grouped(references.fetches), share(references.fetches));
    page.detail("loads", grouped(references.loads), share(references.loads));
    page.detail("stores", grouped(references.stores), share(references.stores));
}

fn tlb(page: &mut Page, report: &Report) {
    if !has_pages(report) {
        return;
    }
    let tlb = &report.tlb;
    let levels = [
        ("L1", &tlb.l1),
        ("L1 instruction", &tlb.l1i),
        ("L1 data", &tlb.l1d),
        ("L2", &tlb.l2),
        ("L2 instruction", &tlb.l2i),
        ("L2 data", &tlb.l2d),
    ];
    let rows: Vec<_> = levels
        .into_iter()
        .filter_map(|(label, level)| level.as_ref().map(|level| tlb_row(label, level)))
        .collect();
    page.blank();
    if rows.is_empty() {
        page.figure("TLB", "none".into(), String::new());
    } else {
        let heading = ["TLB", "lookups", "hits", "misses", "misses/lookups"];
        page.table([vec![heading.map(String::from).to_vec()], rows].concat());
        page.detail("flushes", grouped(tlb.flushes), String::new());
        page.detail("entries flushed", grouped(tlb.entries_flushed), String::new());
        if tlb.space_switches > 0 {
            let dropped = format!("{} entries flushed", grouped(tlb.entries_flushed_by_switches));
            page.detail("switches of spaces", grouped(tlb.space_switches), dropped);
        }
    }
    let per_access = format!("{:.4}", tlb.references_per_access);
    page.detail("memory references", per_access, "per reference of the program".into());
}

fn tlb_row(label: &str, level: &TlbLevel) -> Vec<String> {
    vec![
        format!("  {label}"),
        grouped(level.lookups),
        grouped(level.hits),
        grouped(level.misses),
        percent(level.misses, level.lookups),
    ]
}

fn walks(page: &mut Page, report: &Report) {
    if !has_pages(report) {
        return;
    }
    let walks = &report.walks;
    let per_walk = |count| per(count, walks.walks, "walk");
    let share = share(walks.rewalks, walks.walks, "walks");
    page.blank();
    page.figure("Page-table walks", grouped(walks.walks), String::new());
    page.detail("entries read", grouped(walks.reads), per_walk(walks.reads));
    page.detail("entries written", grouped(walks.writes), per_walk(walks.writes));
    page.detail("despite an entry", grouped(walks.rewalks), share);
    if let Some(cache) = &walks.cache {
        for (level, &hits) in &cache.hits {
            let note = self::share(hits, walks.walks, "walks");
            page.detail(&format!("from a level-{level} entry"), grouped(hits), note);
        }
        page.detail("from the root", grouped(cache.misses), String::new());
    }
    if !report.caches.is_empty() {
        let cycles = report.cycle_parts.walks;
        page.detail("cycles", grouped(cycles), per_walk(cycles));
    }
}

/// The data caches, level by level.
fn caches(page: &mut Page, report: &Report) {
    if report.caches.is_empty() {
        return;
    }
    let heading = ["Caches", "lookups", "hits", "misses", "misses/lookups"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    for (n, level) in (1..).zip(&report.caches) {
        rows.push(cache_row(&format!("L{n} data"), &level.data));
        rows.push(cache_row(&format!("L{n} walks"), &level.walks));
    }
    page.blank();
    page.table(rows);
    for (n, level) in (1..).zip(&report.caches) {
        page.detail(&format!("L{n} write-backs"), grouped(level.writebacks), String::new());
    }
}

fn cache_row(label: &str, lookups: &CacheLookups) -> Vec<String> {
    let CacheLookups { lookups, hits, misses, .. } = *lookups;
    let counts = [lookups, hits, misses].map(grouped);
    [vec![format!("  {label}")], counts.to_vec(), vec![percent(misses, lookups)]].concat()
}

/// Where software loads the TLB: what brought its handlers in.
fn refills(page: &mut Page, report: &Report) {
    let Some(refills) = &report.refills else { return };
    let RefillReport { refill, kernel_refill, invalid, modified, address } = *refills;
    let total = refill + kernel_refill + invalid + modified + address;
    page.blank();
    page.figure("TLB exceptions", grouped(total), String::new());
    let rows = [
        ("refill", refill, "refill vector: no entry"),
        ("refill of the table", kernel_refill, "general vector: no entry for its page"),
        ("invalid", invalid, "general vector: entry not valid"),
        ("modified", modified, "general vector: store, entry not dirty"),
        ("address error", address, "general vector: not the user's"),
    ];
    for (label, count, note) in rows {
        page.detail(label, grouped(count), note.into());
    }
}

fn kernel(page: &mut Page, kernel: &KernelReport) {
    let References { fetches, loads, stores } = kernel.references;
    let references = fetches + loads + stores;
    page.blank();
    page.figure("Kernel's references", grouped(references), format!("kernel {}", kernel.mapping));
    page.detail("entries", grouped(kernel.entries), per(references, kernel.entries, "entry"));
    let share = share(kernel.tlb_misses, references, "its references");
    page.detail("L1 TLB misses", grouped(kernel.tlb_misses), share);
    page.detail("root loads", grouped(kernel.root_loads), String::new());
    page.detail("entries flushed", grouped(kernel.entries_flushed), "by root loads".into());
    page.detail("page tables", grouped(kernel.page_tables), "frames".into());
}

fn faults(page: &mut Page, faults: &FaultReport) {
    let total = faults.minor + faults.major;
    let share = |part| share(part, total, "faults");
    page.blank();
    page.figure("Page faults", grouped(total), String::new());
    page.detail("minor", grouped(faults.minor), share(faults.minor));
    page.detail("major", grouped(faults.major), share(faults.major));
    if !faults.by_cause.is_empty() {
        page.heading("  by cause");
    }
    for (cause, &count) in &faults.by_cause {
        page.detail(&format!("  {cause}"), grouped(count), share(count));
    }
    let resolved: u64 = faults.by_cause.values().sum();
    if total > resolved {
        page.detail("  not resolved", grouped(total - resolved), share(total - resolved));
    }
}

fn memory(page: &mut Page, memory: &MemoryReport, machine: &MachineReport) {
    let MachineReport { page_bytes, huge_page_bytes, .. } = *machine;
    let large_pages = huge_page_bytes.is_some();
    let of_ram = |frames: u64| {
        let bytes = size(frames.saturating_mul(page_bytes));
        format!("{bytes}, {}", share(frames, memory.frames, "RAM"))
    };
    let mut section = |heading, rows: &[(&str, u64)]| {
        page.blank();
        page.heading(heading);
        for &(label, frames) in rows {
            page.detail(label, grouped(frames), of_ram(frames));
        }
    };
    let MemoryReport { frames, peak_used, peak_resident, peak_page_tables, .. } = *memory;
    let MemoryReport { anon_huge, peak_anon_huge, .. } = *memory;
    let MemoryReport { anon, file, page_cache, page_tables, free, .. } = *memory;
    // Machines without large pages are not told of them.
    let large = |rows: &[(&'static str, u64)]| if large_pages { rows.to_vec() } else { vec![] };
    section(
        "Memory at its peaks (frames)",
        &[
            vec![("in use", peak_used), ("resident", peak_resident)],
            large(&[("in large pages", peak_anon_huge)]),
            vec![("page tables", peak_page_tables), ("RAM", frames)],
        ]
        .concat(),
    );
    section(
        "Memory at the end (frames)",
        &[
            vec![("resident, anonymous", anon)],
            large(&[("in large pages", anon_huge)]),
            vec![
                ("resident, files", file),
                ("page cache", page_cache),
                ("page tables", page_tables),
                ("free", free),
            ],
        ]
        .concat(),
    );
    crate::oom::show(page, &memory.oom_kills);
}

fn devices(page: &mut Page, report: &Report) {
    if has_pages(report) {
        swap_space(page, report);
        pressure(page, report);
    }
    let files = &report.files;
    let bytes = |pages: u64| size(pages.saturating_mul(report.machine.page_bytes));
    page.blank();
    page.heading("Files (pages)");
    page.detail("read", grouped(files.pages_in), bytes(files.pages_in));
    page.detail("written", grouped(files.pages_out), bytes(files.pages_out));
    page.detail("failed transfers", grouped(files.errors), String::new());
}

fn swap_space(page: &mut Page, report: &Report) {
    let swap = &report.swap;
    let bytes = |pages: u64| size(pages.saturating_mul(report.machine.page_bytes));
    page.blank();
    page.heading("Swap (pages)");
    if swap.slots > 0 {
        let of_swap = |slots| format!("{}, {}", bytes(slots), share(slots, swap.slots, "swap"));
        page.detail("peak in use", grouped(swap.peak_used), of_swap(swap.peak_used));
        page.detail("in use at the end", grouped(swap.used), of_swap(swap.used));
    }
    page.detail("read", grouped(swap.pages_in), bytes(swap.pages_in));
    page.detail("written", grouped(swap.pages_out), bytes(swap.pages_out));
    page.detail("failed transfers", grouped(swap.errors), String::new());
    swap::show(page, report);
}

/// How long threads waited for memory, where it is they who wait.
fn pressure(page: &mut Page, report: &Report) {
    let Some(pressure) = &report.pressure else { return };
    let of_all = |cycles| share(cycles, report.cycles, "cycles");
    page.blank();
    page.heading("Memory pressure (cycles)");
    page.detail("some thread waited", grouped(pressure.some_cycles), of_all(pressure.some_cycles));
    page.detail("and nobody ran", grouped(pressure.full_cycles), of_all(pressure.full_cycles));
    if pressure.swapped_out > 0 {
        page.detail("processes swapped out", grouped(pressure.swapped_out), String::new());
        page.detail("… and in again", grouped(pressure.swapped_in), String::new());
    }
}

/// The most frequent first; equal counts by name.
fn syscalls(page: &mut Page, syscalls: &BTreeMap<String, u64>) {
    let mut by_count: Vec<(&String, u64)> = syscalls.iter().map(|(name, &n)| (name, n)).collect();
    by_count.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
    let total = by_count.iter().map(|&(_, count)| count).sum();
    page.blank();
    page.figure("System calls", grouped(total), String::new());
    for (name, count) in by_count.iter().take(SYSCALLS_LISTED) {
        page.detail(name, grouped(*count), String::new());
    }
    let others: u64 = by_count.iter().skip(SYSCALLS_LISTED).map(|&(_, count)| count).sum();
    if others > 0 {
        page.detail("others", grouped(others), String::new());
    }
}

/// A share in words, or nothing where there is no whole.
pub fn share(part: u64, whole: u64, name: &str) -> String {
    if whole == 0 { String::new() } else { format!("{} of {name}", percent(part, whole)) }
}

/// A rate in words, or nothing where there is no whole.
fn per(count: u64, whole: u64, name: &str) -> String {
    if whole == 0 { String::new() } else { format!("{} per {name}", quotient(count, whole, 2)) }
}
