//! What happened, in sentences: made from the moment's data, the same for every scenario.
//!
//! The words are those of the texts: page and frame (PPN, PFN), page table and entry (PTE), valid,
//! referenced (A) and modified (D, dirty) bits.

use pagewalk_cpu::toy::Op;
use pagewalk_kernel::{Backing, FaultCause as Resolution, Flush, Mapping, Prot, SwapSlot};
use pagewalk_mmu::radix::Entry;
use pagewalk_mmu::segment::Descriptor;
use pagewalk_mmu::{AccessKind, FaultCause, Pfn, ProbeKind, Rights, Source, Step, VirtAddr};
use pagewalk_step::Happened;

use crate::board::Board;
use crate::journal::{Moment, What};
use crate::scenario::{Scenario, Translation};
use crate::system::Row;

/// What a moment was about, told. `before` is the board as it was just before.
pub fn tell(scenario: &Scenario, moment: &Moment, before: &Board) -> Happened {
    let teller = Teller { scenario, moment, before };
    let mut happened = teller.sentence();
    happened.process = moment.process.map(|process| process as u32 + 1);
    happened
}

/// Rights as a table shows them.
pub fn rights(prot: Prot) -> String {
    let letter = |right, letter| if prot.contains(right) { letter } else { '-' };
    [letter(Prot::READ, 'r'), letter(Prot::WRITE, 'w'), letter(Prot::EXEC, 'x')].iter().collect()
}

/// Rights without those that there are not.
pub fn short_rights(prot: Prot) -> String {
    short(&rights(prot))
}

/// `r-x` as `rx`, `---` as `none`.
pub fn short(rights: &str) -> String {
    match rights.replace('-', "") {
        none if none.is_empty() => "none".to_owned(),
        some => some,
    }
}

struct Teller<'a> {
    scenario: &'a Scenario,
    moment: &'a Moment,
    before: &'a Board,
}

impl Teller<'_> {
    /// An address as the scenario writes addresses.
    fn number(&self, number: u64) -> String {
        match self.scenario.base {
            16 => format!("{number:#x}"),
            _ => number.to_string(),
        }
    }

    /// A word's value.
    fn value(&self, value: u64) -> String {
        match self.scenario.base {
            16 => format!("{value:#x}"),
            _ if self.scenario.geometry.word == 8 => (value as i64).to_string(),
            _ => value.to_string(),
        }
    }

    fn name(&self, process: usize) -> &str {
        self.moment.system.processes.get(process).map_or("?", |process| &process.name)
    }

    fn who(&self) -> &str {
        self.moment.process.map_or("nobody", |process| self.name(process))
    }

    fn page_of(&self, va: VirtAddr) -> u64 {
        va.vpn(self.scenario.geometry.page).0
    }

    fn plain(&self, sentence: String) -> Happened {
        Happened::new(self.moment.what.kind(), sentence)
    }

    fn at(&self, address: u64, sentence: String) -> Happened {
        Happened { address: Some(address), ..self.plain(sentence) }
    }

    fn of_frame(&self, pfn: Pfn, sentence: String) -> Happened {
        Happened { frame: Some(pfn.0), ..self.plain(sentence) }
    }

    fn because(happened: Happened, why: &[&str]) -> Happened {
        Happened { why: why.iter().map(|&why| why.to_owned()).collect(), ..happened }
    }

    fn sentence(&self) -> Happened {
        let who = self.who();
        match &self.moment.what {
            What::Start => self.plain(self.scenario.title.clone()),
            What::Switch => self.switch(),
            What::Swapper { process, out: true } => Self::because(
                self.plain(format!("{} is swapped out as a whole.", self.name(*process))),
                &["It gets no cycles, and all frames that it alone used are free for others."],
            ),
            What::Swapper { process, out: false } => Self::because(
                self.plain(format!("{} may run again.", self.name(*process))),
                &["Its pages come back one by one, as it touches them."],
            ),
            What::Instruction { op } => self.plain(format!("{who} executes `{op}`.")),
            What::Split { address, kind } => self.split(*address, *kind),
            What::TlbHit { address, source } => self.tlb_hit(*address, *source),
            What::TlbMiss { address } => Self::because(
                self.at(
                    *address,
                    format!("TLB miss: no entry for page {} allows it.", self.page(*address)),
                ),
                &["The page table in memory must be asked."],
            ),
            What::TableRead { step } => self.table_read(step),
            What::Probe { probe } => self.probe(probe),
            What::TableUpdate => self.plain(
                "The MMU notes the access in the entry: referenced bit (A), and for a store the \
                 modified bit (D)."
                    .to_owned(),
            ),
            What::TlbFill { address, by_software } => {
                let (page, by) = (
                    self.page(*address),
                    if *by_software { "the operating system's refill handler" } else { "the MMU" },
                );
                self.at(
                    *address,
                    format!("The translation of page {page} goes into the TLB: {by} put it there."),
                )
            }
            What::Translated { address, pa } => self.translated(*address, *pa),
            What::Fault { address, fault } => self.fault(*address, fault.cause),
            What::Trap { address, limit } => self.trap(*address, *limit),
            What::Region { address } => self.region(*address),
            What::Zero { pfn } => Self::because(
                self.of_frame(*pfn, format!("Frame {} is taken and filled with zeroes.", pfn.0)),
                &[
                    "A new page is all zeroes: what the frame held before is nobody else's business.",
                ],
            ),
            What::Copy { from, to } => self.copy(*from, *to),
            What::FileRead { file, page, pfn } => {
                let name = &self.scenario.files[file.0 as usize].name;
                self.of_frame(
                    *pfn,
                    format!("Page {page} of file {name} is read into frame {}.", pfn.0),
                )
            }
            What::FileWrite { file, page, pfn } => {
                let name = &self.scenario.files[file.0 as usize].name;
                self.of_frame(
                    *pfn,
                    format!("Frame {} is written to page {page} of file {name}.", pfn.0),
                )
            }
            What::SwapRead { slot, pfn } => {
                let sentence = format!("Swap slot {} is read into frame {}.", slot.0, pfn.0);
                Happened { slot: Some(slot.0.into()), ..self.of_frame(*pfn, sentence) }
            }
            What::SwapWrite { slot, pfn } => {
                let sentence = format!("Frame {} is written to swap slot {}.", pfn.0, slot.0);
                Happened { slot: Some(slot.0.into()), ..self.of_frame(*pfn, sentence) }
            }
            What::Evict { pfn, slot, was_dirty } => self.evict(*pfn, *slot, *was_dirty),
            What::EvictFrom { space, va, pfn, slot } => {
                let process = self.moment.system.process_of(*space);
                let name = process.map_or("?", |process| self.name(process));
                let page = self.page_of(*va);
                let entry = match slot {
                    Some(slot) => format!(" Its entry names swap slot {} now.", slot.0),
                    None => String::new(),
                };
                let sentence =
                    format!("Page {page} leaves {name}; others have frame {} still.{entry}", pfn.0);
                let slot = slot.map(|slot| slot.0.into());
                Happened { slot, ..self.of_frame(*pfn, sentence) }
            }
            What::Descriptor { number, old, new } => self.descriptor(*number, *old, *new),
            What::TableWrite { at, raw } => self.table_write(at.0, *raw),
            What::Flush { what } => self.flush(*what),
            What::Resolved { va, cause, pfn } => self.resolved(*va, *cause, *pfn),
            What::Load { address, pa, value } => {
                let word = self.number(self.scenario.geometry.physical(*pa));
                let value = self.value(*value);
                self.at(
                    *address,
                    format!("{who} loads the word at physical address {word}: {value}."),
                )
            }
            What::Store { address, pa, old, value } => {
                let word = self.number(self.scenario.geometry.physical(*pa));
                let (old, value) = (self.value(*old), self.value(*value));
                let sentence =
                    format!("{who} stores {value} at physical address {word}, where {old} was.");
                self.at(*address, sentence)
            }
            What::Retired { op } => self.retired(op),
            What::Fork { child, pages } => Self::because(
                self.plain(format!("{who} forks: {} is a copy of it.", self.name(*child))),
                &[
                    &format!("The two share {}; no page was copied.", many(*pages, "page")),
                    "Pages that either may store to are read-only in both page tables now: the \
                     first store is when a copy is made.",
                ],
            ),
            What::Map { address, pages } => Self::because(
                self.at(
                    *address,
                    format!(
                        "{who} maps {} from {} on.",
                        many(*pages, "page"),
                        self.number(*address)
                    ),
                ),
                &["No frame is taken yet: pages come when they are touched."],
            ),
            What::Unmap { address, pages } => self.at(
                *address,
                format!("{who} unmaps {} from {} on.", many(*pages, "page"), self.number(*address)),
            ),
            What::Protect { address, pages, prot } => {
                let rights = short_rights(*prot);
                let from = self.number(*address);
                self.at(
                    *address,
                    format!(
                        "{who} may do this with {} from {from} on: {rights}.",
                        many(*pages, "page")
                    ),
                )
            }
            What::Refused { reason } => self.plain(format!("The system refuses: {reason}.")),
            What::Waits => self.plain(format!("{who} waits for the processes that it made.")),
            What::Killed { process, reason } => {
                self.plain(format!("{} is killed: {reason}.", self.name(*process)))
            }
            What::Exit => Self::because(
                self.plain(format!("{who} ends.")),
                &["Frames and swap slots that it alone used are free again."],
            ),
            What::End { reason } => self.plain(reason.clone()),
        }
    }

    fn page(&self, address: u64) -> String {
        self.number(self.scenario.geometry.split(address).0)
    }

    fn switch(&self) -> Happened {
        let why: &[&str] = match (&self.scenario.translation, &self.scenario.tlb) {
            (Translation::Physical, _) => &["Memory is the same for all processes."],
            (Translation::Segments(_), _) => &["Its table of segments is loaded."],
            (Translation::Bounds, _) => &["Its base and bounds are loaded into the registers."],
            (_, Some(tlb)) if tlb.is_tagged() => &[
                "Its page table is in force. TLB entries are tagged with their address space (ASID): those of others stay, and do not match.",
            ],
            (_, Some(_)) => {
                &["Its page table is in force. The TLB's entries have no tags: they are flushed."]
            }
            (_, None) => &["Its page table is in force."],
        };
        Self::because(self.plain(format!("{} runs.", self.who())), why)
    }

    fn split(&self, address: u64, kind: AccessKind) -> Happened {
        let (verb, shown) = (
            if kind == AccessKind::Write { "store to" } else { "load from" },
            self.number(address),
        );
        if let Translation::Segments(shape) = self.scenario.translation {
            let words = shape.segment_bytes() / self.scenario.geometry.word;
            let (number, offset) = (address / words, address % words);
            return self.at(
                address,
                format!("A {verb} address {shown}: segment {number}, offset {offset}."),
            );
        }
        let Translation::Paged(_) = self.scenario.translation else {
            return self.at(address, format!("A {verb} address {shown}."));
        };
        let (page, offset) = self.scenario.geometry.split(address);
        let sentence = format!(
            "A {verb} virtual address {shown}: page {}, offset {}.",
            self.number(page),
            self.number(offset)
        );
        let words = self.scenario.geometry.page_words;
        let why = format!("{shown} = {} × {words} + {}.", self.number(page), self.number(offset));
        Self::because(self.at(address, sentence), &[&why])
    }

    fn tlb_hit(&self, address: u64, source: Source) -> Happened {
        let level = if source == Source::L2 { "second-level TLB" } else { "TLB" };
        let sentence = format!("TLB hit: the {level} has page {}.", self.page(address));
        Self::because(self.at(address, sentence), &["No table is read."])
    }

    fn table_read(&self, step: &Step) -> Happened {
        let levels = self.before.mmu.as_ref().map_or(1, |mmu| mmu.tables().levels());
        let table = match (levels, step.level.0) {
            (1, _) => "page table".to_owned(),
            (_, 0) => "page table (the lowest level)".to_owned(),
            (2, _) => "page directory".to_owned(),
            (_, level) => format!("table of level {level}"),
        };
        let meaning = match &step.entry {
            Entry::Leaf(leaf) => {
                format!("frame {}, {}", leaf.pfn.0, in_words(leaf.rights))
            }
            Entry::NotPresent => "not valid".to_owned(),
            Entry::Table { .. } => "the next table".to_owned(),
            _ => "an entry that the hardware refuses".to_owned(),
        };
        let sentence =
            format!("Entry {} of the {table} is read: {meaning}.", self.number(step.index));
        let place = match step.at {
            Some(at) => format!(
                "It lies at byte {:#x} of physical memory; its bits are {:#x}.",
                at.0, step.raw
            ),
            None => format!("It is in a register of the MMU; its bits are {:#x}.", step.raw),
        };
        Self::because(self.plain(sentence), &[&place])
    }

    fn probe(&self, probe: &pagewalk_mmu::Probe) -> Happened {
        let (what, then) = match (probe.what, probe.matches) {
            (ProbeKind::Anchor, true) => ("The head of the chain that the hash picks", "an entry"),
            (ProbeKind::Anchor, false) => {
                ("The head of the chain that the hash picks", "the chain is empty")
            }
            (ProbeKind::Tag, true) => ("An entry's process and page", "they match"),
            (ProbeKind::Tag, false) => ("An entry's process and page", "they are others"),
            (ProbeKind::Data, _) => ("The entry's frame and rights", "found"),
            (ProbeKind::Link, true) => ("The link to the chain's next entry", "there is one"),
            (ProbeKind::Link, false) => ("The link to the chain's next entry", "the chain ends"),
        };
        let place = format!(
            "It lies at byte {:#x} of physical memory; its bits are {:#x}.",
            probe.at.0, probe.raw
        );
        Self::because(self.plain(format!("{what} is read: {then}.")), &[&place])
    }

    fn translated(&self, address: u64, pa: pagewalk_mmu::PhysAddr) -> Happened {
        let geometry = self.scenario.geometry;
        let physical = self.number(geometry.physical(pa));
        let shown = self.number(address);
        match self.scenario.translation {
            Translation::Physical => self.at(
                address,
                format!("Address {shown} is the physical address: nothing translates it."),
            ),
            Translation::Bounds => {
                let (base, limit) = self.bounds();
                let why = format!("{shown} is below the bound {limit}; the base {base} is added.");
                Self::because(
                    self.at(address, format!("Address {shown} is physical address {physical}.")),
                    &[&why],
                )
            }
            Translation::Segments(_) => Self::because(
                self.at(address, format!("Address {shown} is physical address {physical}.")),
                &["The offset is within the segment's bounds; its base is added."],
            ),
            Translation::Paged(_) => {
                let pfn = pa.pfn(geometry.page);
                let (page, offset) = geometry.split(address);
                let sentence = format!(
                    "Page {} is in frame {}: physical address {physical}.",
                    self.number(page),
                    self.number(pfn.0)
                );
                let why = format!(
                    "{physical} = {} × {} + {}.",
                    self.number(pfn.0),
                    geometry.page_words,
                    self.number(offset)
                );
                let happened = Happened { frame: Some(pfn.0), ..self.at(address, sentence) };
                Self::because(happened, &[&why])
            }
        }
    }

    fn bounds(&self) -> (u64, u64) {
        let process = self.moment.process.and_then(|n| self.moment.system.processes.get(n));
        process.and_then(|process| process.bounds).unwrap_or((0, 0))
    }

    fn fault(&self, address: u64, cause: FaultCause) -> Happened {
        let (who, page) = (self.who(), self.page(address));
        if let FaultCause::Segment(cause) = cause {
            let sentence =
                format!("Trap at address {} of {who}: {}.", self.number(address), cause.describe());
            return self.at(address, sentence);
        }
        let reason = match cause {
            FaultCause::NotPresent => "the entry is not valid".to_owned(),
            FaultCause::Protection => "the entry does not allow this access".to_owned(),
            FaultCause::Privilege => "the page is not for programs".to_owned(),
            FaultCause::NonCanonical => "the MMU has no such address".to_owned(),
            FaultCause::DirtyClear => {
                "the modified bit is clear, and software must see the first store".to_owned()
            }
            FaultCause::AccessedClear => {
                "the referenced bit is clear, and software must see the first access".to_owned()
            }
            other => other.describe().to_owned(),
        };
        Self::because(
            self.at(address, format!("Page fault at page {page} of {who}: {reason}.")),
            &[
                "The CPU interrupts the program and forces into the operating system, which decides what to do.",
            ],
        )
    }

    fn trap(&self, address: u64, limit: u64) -> Happened {
        let why = match self.scenario.translation {
            Translation::Bounds => "The bounds register says how many words the process has.",
            _ => "The address names no memory.",
        };
        let sentence =
            format!("Trap: {} is not below {}.", self.number(address), self.number(limit));
        Self::because(self.at(address, sentence), &[why])
    }

    fn region(&self, address: u64) -> Happened {
        let geometry = self.scenario.geometry;
        let space = self.moment.process.and_then(|n| self.moment.system.processes[n].space);
        let kernel = self.moment.system.kernel.as_ref();
        let va = geometry.va(address);
        let region = match (kernel, space, va) {
            (Some(kernel), Some(space), Some(va)) => kernel.region(space, va),
            _ => None,
        };
        let shown = self.number(address);
        let Some(region) = region else {
            return self.at(
                address,
                format!(
                    "The operating system finds no region of {} with address {shown}.",
                    self.who()
                ),
            );
        };
        let (first, last) = (self.page_of(region.start), self.page_of(VirtAddr(region.end.0 - 1)));
        let backing = match region.backing {
            Backing::Anonymous => "zeroes".to_owned(),
            Backing::File { file, offset } => match self.scenario.files.get(file.0 as usize) {
                Some(known) => {
                    format!("file {} from page {} on", known.name, self.page_of(VirtAddr(offset)))
                }
                None => "shared memory".to_owned(),
            },
        };
        let sharing = if region.shared { "shared" } else { "private" };
        let sentence = format!(
            "The operating system finds the region of address {shown}: the address is valid."
        );
        let why = format!(
            "Pages {first} to {last}, {}, {sharing}, of {backing}.",
            short_rights(region.prot)
        );
        Self::because(self.at(address, sentence), &[&why])
    }

    fn copy(&self, from: Pfn, to: Pfn) -> Happened {
        let words = self.words(&self.moment.board, to);
        let sentence =
            format!("Frame {} is taken, and frame {} is copied to it: {words}.", to.0, from.0);
        Self::because(
            self.of_frame(to, sentence),
            &["The page was shared; whoever stores to it needs a copy of its own."],
        )
    }

    /// A frame's words, the first of them if they are many.
    fn words(&self, board: &Board, pfn: Pfn) -> String {
        const SHOWN: usize = 8;
        let geometry = self.scenario.geometry;
        let words: Vec<String> =
            geometry.words(board.ram.frame(pfn)).take(SHOWN).map(|word| self.value(word)).collect();
        let more = if geometry.page_words > SHOWN as u64 { " …" } else { "" };
        words.join(" ") + more
    }

    fn evict(&self, pfn: Pfn, slot: Option<SwapSlot>, was_dirty: bool) -> Happened {
        let sentence = match slot {
            Some(slot) => format!(
                "The page in frame {} leaves memory: it is in swap slot {} now.",
                pfn.0, slot.0
            ),
            None => format!("The page in frame {} leaves memory.", pfn.0),
        };
        let why = match (slot, was_dirty) {
            (_, true) => "It was modified, so that it had to be written first.",
            (Some(_), false) => {
                "It was not modified since it was written last: nothing had to be written again."
            }
            (None, false) => "It was not modified: it can be had again from where it came.",
        };
        let happened =
            Happened { slot: slot.map(|slot| slot.0.into()), ..self.of_frame(pfn, sentence) };
        Self::because(happened, &[why])
    }

    /// The pages whose entries differ from before.
    fn changes(&self) -> Vec<(usize, Row, Row)> {
        let system = &self.moment.system;
        let mut changes = Vec::new();
        for process in 0..system.processes.len() {
            let now = system.rows(process, &self.moment.board);
            let then = system.rows(process, self.before);
            let pairs = then.into_iter().zip(now).filter(|(then, now)| then != now);
            changes.extend(pairs.map(|(then, now)| (process, then, now)));
        }
        changes
    }

    fn table_write(&self, at: u64, raw: u64) -> Happened {
        let changes = self.changes();
        let place = format!(
            "The entry lies at byte {at:#x} of physical memory; its bits are {raw:#x} now."
        );
        let Some((process, then, now)) = changes.first() else {
            return Self::because(
                self.plain("The operating system writes an entry of a table.".to_owned()),
                &[&place],
            );
        };
        let name = self.name(*process);
        let page = self.number(now.page);
        let sentence = match (then.mapping, now.mapping) {
            (Mapping::Resident(was), Mapping::Resident(is))
                if was.pfn == is.pfn && was.prot != is.prot =>
            {
                format!(
                    "Page table of {name}: page {page} stays in frame {}, and allows {} instead of {}.",
                    is.pfn.0,
                    short_rights(is.prot),
                    short_rights(was.prot)
                )
            }
            (Mapping::Resident(was), Mapping::Resident(is)) if was.pfn == is.pfn => {
                format!(
                    "Page table of {name}: the referenced and modified bits of page {page} change."
                )
            }
            (_, Mapping::Resident(is)) => {
                format!(
                    "Page table of {name}: page {page} is in frame {} ({}).",
                    is.pfn.0,
                    short_rights(is.prot)
                )
            }
            (_, Mapping::Swapped(slot)) => {
                format!(
                    "Page table of {name}: page {page} is in swap slot {}; the entry is not valid.",
                    slot.0
                )
            }
            (_, Mapping::None) => {
                format!("Page table of {name}: the entry of page {page} is not valid any more.")
            }
        };
        let frame = match now.mapping {
            Mapping::Resident(is) => Some(is.pfn.0),
            _ => None,
        };
        let slot = match now.mapping {
            Mapping::Swapped(slot) => Some(slot.0.into()),
            _ => None,
        };
        let address = Some(now.page * self.scenario.geometry.page_words);
        Self::because(Happened { address, frame, slot, ..self.plain(sentence) }, &[&place])
    }

    fn descriptor(
        &self,
        number: u32,
        old: Option<Descriptor>,
        new: Option<Descriptor>,
    ) -> Happened {
        let words = |bytes: u64| bytes / self.scenario.geometry.word;
        let moved = "What is behind a segment in memory is in the way of its growth: it was copied to \
                     where there is room, and the program's addresses stay the same.";
        match (old, new) {
            (_, None) => self.plain(format!("Segment {number} is not valid any more.")),
            (old, Some(new)) => {
                let sentence = format!(
                    "Segment {number} begins at {} and has {}.",
                    words(new.base),
                    many(words(new.bounds), "word")
                );
                let has_moved = old.is_some_and(|old| old.base != new.base);
                let why: &[&str] = if has_moved { &[moved] } else { &[] };
                Self::because(self.plain(sentence), why)
            }
        }
    }

    fn flush(&self, what: Flush) -> Happened {
        let sentence = match what {
            Flush::Page { va, .. } => {
                format!("The translation of page {} is taken out of the TLB.", self.page_of(va))
            }
            Flush::Space { .. } => {
                "All translations of the address space are taken out of the TLB.".to_owned()
            }
            Flush::All => "The TLB is flushed.".to_owned(),
        };
        Self::because(
            self.plain(sentence),
            &["The entry in memory has changed: what the TLB remembers of it would be wrong."],
        )
    }

    fn resolved(&self, va: VirtAddr, cause: Option<Resolution>, pfn: Option<Pfn>) -> Happened {
        let how = match cause {
            Some(Resolution::ZeroFill | Resolution::ZeroFillLarge) => "a new page of zeroes",
            Some(Resolution::File) => "the page was read from its file",
            Some(Resolution::SwapIn) => "the page came back from swap",
            Some(Resolution::CopyOnWrite) => "a copy of its own (copy on write)",
            Some(Resolution::Reuse) => {
                "nobody else has the page any more, so that no copy is needed"
            }
            Some(Resolution::MinorMap) => "the page was in memory already: an entry was enough",
            Some(Resolution::Update) => "rights and bits of the entry are brought up to date",
            None => "the entry is put back where the hardware finds it",
        };
        let page = self.page_of(va);
        let sentence = format!("The page fault at page {page} is resolved: {how}.");
        let address = Some(self.scenario.geometry.address(va));
        let happened = Happened { address, frame: pfn.map(|pfn| pfn.0), ..self.plain(sentence) };
        Self::because(happened, &["The instruction is made again, as if it had never begun."])
    }

    fn retired(&self, op: &Op) -> Happened {
        let process = self.moment.process.and_then(|n| self.moment.system.processes.get(n));
        let written = match *op {
            Op::Load(reg, _) | Op::Set(reg, _) | Op::Compute(_, reg, ..) => Some(reg),
            _ => None,
        };
        match (process, written) {
            (Some(process), Some(reg)) => {
                let value = self.value(process.cpu.get(reg));
                self.plain(format!("`{op}` is done: {reg} of {} is {value}.", process.name))
            }
            _ => self.plain(format!("`{op}` is done.")),
        }
    }
}

/// A number of things.
fn many(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Rights of an entry in words.
fn in_words(rights: Rights) -> &'static str {
    match (rights.contains(Rights::READ), rights.contains(Rights::WRITE)) {
        (_, true) => "load and store",
        (true, false) => "load only",
        (false, false) => "no access",
    }
}
