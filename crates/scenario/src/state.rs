//! The state at a moment, as data.

use std::collections::BTreeMap;

use pagewalk_kernel::{Backing, Mapping, SegmentKernel, SpaceId, Use};
use pagewalk_mmu::tlb::Side;
use pagewalk_mmu::{Pfn, Rights, VirtAddr};
use pagewalk_step::{
    CodeLine, FrameState, PageState, Presence, ProcessState, ProcessStatus, QueueState, Region,
    Register, SlotState, State, TlbEntryState, Word,
};

use crate::board::Board;
use crate::journal::{Moment, What};
use crate::scenario::{Scenario, Translation};
use crate::system::{Process, Status, System};
use crate::tell::{rights, tell};

/// The state at a moment; `before` is the board just before it, and `position` the step and the last.
pub fn state(scenario: &Scenario, moment: &Moment, before: &Board, position: (u64, u64)) -> State {
    let viewer = Viewer { scenario, moment, before, board: &moment.board, system: &moment.system };
    State {
        title: scenario.title.clone(),
        step: position.0,
        steps: Some(position.1),
        instructions: moment.board.instructions,
        happened: tell(scenario, moment, before),
        machine: machine(scenario),
        page_size: scenario.geometry.page_words,
        processes: (0..moment.system.processes.len()).map(|n| viewer.process(n)).collect(),
        frames: viewer.frames(),
        tlb: viewer.tlb(),
        swap: viewer.swap(),
        queues: viewer.queues(),
        counters: viewer.counters(),
        output: String::new(),
    }
}

/// The machine in a line.
pub fn machine(scenario: &Scenario) -> String {
    let words = match scenario.geometry.page_words {
        1 => "1 word".to_owned(),
        words => format!("{words} words"),
    };
    match &scenario.translation {
        Translation::Physical => "no translation".to_owned(),
        Translation::Bounds => "base and bounds".to_owned(),
        Translation::Segments(shape) => format!(
            "{} segments of up to {} words",
            shape.segments(),
            shape.segment_bytes() / scenario.geometry.word
        ),
        Translation::Paged(tables) => {
            let tlb = scenario.tlb.as_ref().map_or("no TLB".to_owned(), |tlb| format!("TLB {tlb}"));
            format!(
                "{}, pages of {words}, {} frames, {tlb}, policy {}",
                tables.name(),
                scenario.frames,
                scenario.policy
            )
        }
    }
}

/// Of frames with more words than so many, those that are not 0 are shown, so many at most.
const WORDS_MAX: u64 = 64;

struct Viewer<'a> {
    scenario: &'a Scenario,
    moment: &'a Moment,
    before: &'a Board,
    board: &'a Board,
    system: &'a System,
}

impl Viewer<'_> {
    fn process(&self, number: usize) -> ProcessState {
        let process = &self.system.processes[number];
        let (status, reason) = self.status(number, process);
        ProcessState {
            id: number as u32 + 1,
            name: process.name.clone(),
            status,
            reason,
            asid: self.asid(process),
            code: Self::code(process),
            registers: self.registers(process, number),
            regions: self.regions(process),
            pages: self.pages(number),
        }
    }

    fn status(&self, number: usize, process: &Process) -> (ProcessStatus, Option<String>) {
        match &process.status {
            Status::Ready if self.system.running == Some(number) => (ProcessStatus::Running, None),
            Status::Ready => (ProcessStatus::Ready, None),
            Status::Waiting => (ProcessStatus::Waiting, Some("for whom it made".to_owned())),
            Status::SwappedOut => (ProcessStatus::SwappedOut, None),
            Status::Done => (ProcessStatus::Done, None),
            Status::Ended => (ProcessStatus::Ended, None),
            Status::Killed(reason) => (ProcessStatus::Killed, Some(reason.clone())),
        }
    }

    fn asid(&self, process: &Process) -> Option<u16> {
        let kernel = self.system.kernel.as_ref()?;
        Some(kernel.asid(process.space?).0)
    }

    /// Between instructions the current line is the one that comes.
    fn code(process: &Process) -> Vec<CodeLine> {
        let is_done = matches!(process.status, Status::Ended | Status::Killed(_));
        let line = |(at, text): (usize, &String)| CodeLine {
            at: at as u64,
            text: text.clone(),
            is_current: !is_done && at == process.cpu.pc,
        };
        process.program.lines.iter().enumerate().map(line).collect()
    }

    fn registers(&self, process: &Process, number: usize) -> Vec<Register> {
        let written = match (&self.moment.what, self.moment.process == Some(number)) {
            (What::Retired { op }, true) => written(op),
            _ => None,
        };
        let regs = (0..pagewalk_cpu::toy::REGISTERS).filter_map(pagewalk_cpu::toy::Reg::new);
        regs.filter(|reg| process.shown & 1 << reg.number() != 0)
            .map(|reg| Register {
                name: reg.to_string(),
                value: process.cpu.get(reg),
                is_new: written == Some(reg),
            })
            .collect()
    }

    fn regions(&self, process: &Process) -> Vec<Region> {
        if let (Some(segments), Some(space)) = (&self.system.segments, process.space) {
            return self.segments(segments, space);
        }
        let (Some(kernel), Some(space)) = (&self.system.kernel, process.space) else {
            return process.bounds.map(bounds).into_iter().collect();
        };
        let geometry = self.scenario.geometry;
        let words = |va: VirtAddr| va.vpn(geometry.page).0 * geometry.page_words;
        let region = |region: &pagewalk_kernel::Region| Region {
            start: words(region.start),
            end: words(region.end),
            rights: rights(region.prot) + if region.shared { "s" } else { "p" },
            backing: match region.backing {
                Backing::Anonymous => "zeroes".to_owned(),
                Backing::File { file, offset } => {
                    let name = self.scenario.files.get(file.0 as usize);
                    let name = name.map_or("shared memory", |file| &file.name);
                    format!("{name} from page {}", VirtAddr(offset).vpn(geometry.page).0)
                }
            },
        };
        kernel.regions(space).map(region).collect()
    }

    /// What a process has in segments: regions, and where their domains are.
    fn segments(&self, kernel: &SegmentKernel, space: SpaceId) -> Vec<Region> {
        let geometry = self.scenario.geometry;
        let word = |va: VirtAddr| va.vpn(geometry.page).0;
        let region = |region: &pagewalk_kernel::Region| {
            let domain = kernel.domains(space).iter().find(|domain| domain.contains(region.start));
            let at = domain.map_or(0, |domain| domain.frame_of(region.start, geometry.page).0);
            Region {
                start: word(region.start),
                end: word(region.end),
                rights: rights(region.prot) + "p",
                backing: format!("physical memory from {at}"),
            }
        };
        kernel.regions(space).map(region).collect()
    }

    fn pages(&self, number: usize) -> Vec<PageState> {
        let before = self.system.rows(number, self.before);
        let rows = self.system.rows(number, self.board);
        let rows = rows.into_iter().zip(before);
        rows.map(|(row, before)| {
            let is_new = row != before;
            let (frame, slot, presence) = match row.mapping {
                Mapping::Resident(now) => (Some(now.pfn.0), None, Presence::Resident),
                Mapping::Swapped(slot) => (None, Some(slot.0.into()), Presence::Swapped),
                Mapping::None => (None, None, Presence::Absent),
            };
            let now = match row.mapping {
                Mapping::Resident(now) => Some(now),
                _ => None,
            };
            PageState {
                page: row.page,
                presence,
                frame,
                slot,
                rights: now.map_or(String::new(), |now| rights(now.prot)),
                is_referenced: now.is_some_and(|now| now.referenced),
                is_modified: now.is_some_and(|now| now.modified),
                is_new,
            }
        })
        .collect()
    }

    fn frames(&self) -> Vec<FrameState> {
        let mut owners: BTreeMap<u64, Vec<(u32, u64)>> = BTreeMap::new();
        for number in 0..self.system.processes.len() {
            for row in self.system.rows(number, self.board) {
                if let Mapping::Resident(now) = row.mapping {
                    owners.entry(now.pfn.0).or_default().push((number as u32 + 1, row.page));
                }
            }
        }
        let frames = (0..self.board.ram.len()).map(Pfn);
        frames
            .filter_map(|pfn| self.frame(pfn, owners.remove(&pfn.0).unwrap_or_default()))
            .collect()
    }

    /// A frame; `None` for one that is not for pages and not in use.
    fn frame(&self, pfn: Pfn, pages: Vec<(u32, u64)>) -> Option<FrameState> {
        let table = self.system.kernel.as_ref().map(|kernel| kernel.frame_table());
        let used = table.map_or(Use::Anon { slot: None }, |table| table.used(pfn));
        if pfn.0 >= self.board.page_frames && used == Use::Free {
            return None;
        }
        let is_free = |free: &std::ops::Range<u64>| free.contains(&pfn.0);
        let used = match &self.system.segments {
            Some(kernel) if kernel.blocks().free().iter().any(is_free) => Use::Free,
            _ => used,
        };
        let name = match used {
            Use::Free => "free",
            Use::MachineTable | Use::Table { .. } => "page table",
            Use::Transit => "device",
            Use::Anon { .. } => "page",
            Use::File { .. } => "file",
        };
        let is_modified = |kernel: &pagewalk_kernel::Kernel<_>| kernel.frame_table().dirty(pfn);
        let shows = matches!(used, Use::Anon { .. } | Use::File { .. } | Use::Transit);
        Some(FrameState {
            frame: pfn.0,
            used: name.to_owned(),
            slot: match used {
                Use::Anon { slot } => slot.map(|slot| slot.0.into()),
                _ => None,
            },
            is_dirty: self.system.kernel.as_ref().is_some_and(is_modified),
            words: if shows { self.words(pfn) } else { Vec::new() },
            pages,
        })
    }

    fn words(&self, pfn: Pfn) -> Vec<Word> {
        let geometry = self.scenario.geometry;
        let start = geometry.frame_start(pfn);
        let (now, then) = (self.board.ram.frame(pfn), self.before.ram.frame(pfn));
        let words = geometry.words(now).zip(geometry.words(then)).zip(start..);
        words
            .map(|((value, old), at)| Word { at, value, is_new: value != old })
            .filter(|word| geometry.page_words <= WORDS_MAX || word.value != 0 || word.is_new)
            .take(WORDS_MAX as usize)
            .collect()
    }

    fn tlb(&self) -> Vec<TlbEntryState> {
        let Some(tlb) = self.board.mmu.as_ref().and_then(|mmu| mmu.tlb()) else {
            return Vec::new();
        };
        let before: Vec<_> = self
            .before
            .mmu
            .as_ref()
            .and_then(|mmu| mmu.tlb())
            .into_iter()
            .flat_map(|tlb| tlb.entries().collect::<Vec<_>>())
            .collect();
        let mut places: BTreeMap<String, u64> = BTreeMap::new();
        tlb.entries()
            // After reset, and where software leaves them so, entries allow nothing.
            .filter(|(_, entry)| !entry.rights.is_empty())
            .map(|(place, entry)| {
                let side = match place.side {
                    Some(Side::Instruction) => "i",
                    Some(Side::Data) => "d",
                    None => "",
                };
                let name = format!("L{}{side}", place.level);
                let next = places.entry(name.clone()).or_default();
                let number = std::mem::replace(next, *next + 1);
                let letter =
                    |right, letter| if entry.rights.contains(right) { letter } else { '-' };
                let is_tagged = tlb.config().is_tagged() && !entry.global;
                TlbEntryState {
                    tlb: name,
                    set: 0,
                    way: number,
                    asid: is_tagged.then_some(entry.asid.0),
                    page: entry.vpn.0,
                    frame: entry.pfn.0,
                    size: (entry.page.bytes() >> self.scenario.geometry.page.shift())
                        * self.scenario.geometry.page_words,
                    rights: [
                        letter(Rights::READ, 'r'),
                        letter(Rights::WRITE, 'w'),
                        letter(Rights::EXECUTE, 'x'),
                    ]
                    .iter()
                    .collect(),
                    is_new: !before.contains(&(place, entry)),
                }
            })
            .collect()
    }

    fn swap(&self) -> Vec<SlotState> {
        let Some(kernel) = &self.system.kernel else { return Vec::new() };
        let slots = (0..self.board.swap.len() as u32).map(pagewalk_kernel::SwapSlot);
        slots
            .filter(|&slot| kernel.swap().is_used(slot))
            .map(|slot| SlotState {
                slot: slot.0.into(),
                entries: kernel.swap().names(slot).into(),
                cached: kernel.cached_frame(slot).map(|pfn| pfn.0),
                is_written: self.board.swap[slot.0 as usize].is_some(),
            })
            .collect()
    }

    fn queues(&self) -> Vec<QueueState> {
        let kernel = self.system.kernel.as_ref().filter(|_| self.scenario.shows_queues);
        let queues = kernel.map(|kernel| kernel.policy_queues());
        let queues = queues.unwrap_or_default().into_iter();
        queues
            .map(|(name, frames)| QueueState {
                name: name.to_owned(),
                frames: frames.into_iter().map(|pfn| pfn.0).collect(),
            })
            .collect()
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = BTreeMap::new();
        if let Some(kernel) = &self.system.kernel {
            let now = kernel.counters().iter().zip(self.system.baseline.iter());
            for ((name, value), (_, start)) in now {
                counters.insert(name.to_owned(), value.saturating_sub(start));
            }
        }
        counters.insert("references".to_owned(), self.board.references);
        if let Some(mmu) = &self.board.mmu {
            let (seen, start) = (mmu.counters(), &self.system.mmu_baseline);
            counters.insert("walks".to_owned(), seen.walks.total() - start.walks.total());
            counters.insert("table_reads".to_owned(), seen.walk_reads - start.walk_reads);
            counters
                .insert("tlb_misses".to_owned(), seen.l1_misses.total() - start.l1_misses.total());
        }
        counters.retain(|_, value| *value > 0);
        counters
    }
}

/// The register that an instruction writes.
fn written(op: &pagewalk_cpu::toy::Op) -> Option<pagewalk_cpu::toy::Reg> {
    use pagewalk_cpu::toy::{Call, Op};
    match *op {
        Op::Load(reg, _) | Op::Set(reg, _) | Op::Compute(_, reg, ..) => Some(reg),
        Op::Call(Call::Fork(reg)) => Some(reg),
        _ => None,
    }
}

/// The words of a process behind bounds, as a region.
fn bounds((base, words): (u64, u64)) -> Region {
    let backing = format!("physical memory from {base}");
    Region { start: 0, end: words, rights: "rwxp".to_owned(), backing }
}
