//! The state of a machine as data: what of it matters at a position.
//!
//! A machine with a gigabyte of memory has too many pages, frames and slots to show. Those shown are
//! what the last thing was about, what the next instruction uses, their neighbours, and then the
//! lowest, up to the numbers below.

use std::collections::{BTreeMap, BTreeSet};

use pagewalk_cpu::{REGISTERS, disassemble};
use pagewalk_kernel::{Prot, Region as KernelRegion, SpaceId, SwapSlot, Use};
use pagewalk_linux::State as ThreadState;
use pagewalk_machine::{Inspector, Machine, PageView, ProcessView, ThreadView, Where};
use pagewalk_mmu::tlb::{Place as TlbPlace, TlbEntry};
use pagewalk_mmu::{Pfn, Rights, VirtAddr};
use pagewalk_step::{
    CodeLine, FrameState, Happened, Kind, PageState, Presence, ProcessState, ProcessStatus,
    QueueState, Region, Register, SlotState, State, TlbEntryState, Word,
};

use crate::instruction;
use crate::place::Place;
use crate::rewind::Before;

/// The most pages of a process, frames, and slots that are shown.
const PAGES_MAX: usize = 64;
const FRAMES_MAX: usize = 128;
const SLOTS_MAX: usize = 128;

/// The most pages that are looked at to find those that are somewhere.
const LOOKED_AT_MAX: u64 = 4096;

/// Lines of code before and behind the next instruction.
const LINES_BEFORE: usize = 5;
const LINES_BEHIND: usize = 10;

/// What is known beside the machine.
pub(crate) struct Scene<'a> {
    pub title: &'a str,
    pub place: Place,
    pub output: String,
    pub happened: Happened,
    pub before: Before,
}

/// Makes the state.
pub(crate) fn build(machine: &mut Machine, scene: Scene<'_>) -> State {
    let next = instruction::next(machine);
    let report = machine.counters();
    let counters = report.into_iter().filter(|(_, value)| *value != 0).collect();
    let description = describe(machine);
    let look = machine.inspect();
    let data = next.as_ref().and_then(|next| next.data).map(|data| data.address);
    let builder = Builder {
        focus: scene.happened.address.into_iter().chain(data).collect(),
        spaces: look.spaces().into_iter().collect(),
        look,
        scene: &scene,
        data,
    };
    let processes = builder.processes();
    let frames = builder.frames(&processes);
    let (swap, tlb, queues) = (builder.swap(), builder.tlb(), builder.queues());
    State {
        title: scene.title.to_owned(),
        step: scene.place.step(),
        // Known without having gone there only at the end: the state says what is there alone.
        steps: (scene.happened.kind == Kind::End).then(|| scene.place.step()),
        instructions: scene.place.instructions,
        machine: description,
        page_size: builder.look.page().bytes(),
        processes,
        frames,
        tlb,
        swap,
        queues,
        counters,
        output: scene.output,
        happened: scene.happened,
    }
}

fn describe(machine: &Machine) -> String {
    let report = machine.report().machine;
    let name = report.name.map(|name| format!("{name}: ")).unwrap_or_default();
    format!(
        "{name}{}, pages of {} bytes, {} KiB of RAM, TLB {}, policy {}",
        report.mmu,
        report.page_bytes,
        report.ram_bytes >> 10,
        report.tlb,
        report.policy
    )
}

/// An entry of a TLB: the hart, the level, set and way, and what it holds.
pub(crate) type Held = (u32, TlbPlace, u64, u64, TlbEntry);

/// All entries of all TLBs, to tell which are new.
pub(crate) fn tlb(look: &Inspector<'_>) -> Vec<Held> {
    let mmus = look.mmus();
    let placed = mmus.iter().flat_map(|(hart, mmu)| {
        let entries = mmu.tlb().into_iter().flat_map(|tlb| tlb.placed());
        entries.map(move |(place, set, way, entry)| (*hart, place, set, way, entry))
    });
    placed.collect()
}

/// `rw-` of rights.
pub(crate) fn letters(prot: Prot) -> String {
    [(Prot::READ, 'r'), (Prot::WRITE, 'w'), (Prot::EXEC, 'x')]
        .map(|(right, letter)| if prot.contains(right) { letter } else { '-' })
        .iter()
        .collect()
}

/// `rw-p` of a region.
pub(crate) fn rights(region: &KernelRegion) -> String {
    letters(region.prot) + if region.shared { "s" } else { "p" }
}

struct Builder<'a, 'm> {
    look: Inspector<'m>,
    scene: &'a Scene<'a>,
    /// Addresses of the current process that matter.
    focus: BTreeSet<u64>,
    data: Option<u64>,
    spaces: BTreeMap<SpaceId, u32>,
}

impl Builder<'_, '_> {
    fn processes(&self) -> Vec<ProcessState> {
        self.look.processes().iter().map(|process| self.process(process)).collect()
    }

    fn process(&self, process: &ProcessView) -> ProcessState {
        let running = process.threads.iter().find(|thread| thread.is_current);
        let thread = running.or(process.threads.first());
        let regions = self.look.regions(process.space);
        let (status, reason) = status(process);
        ProcessState {
            id: process.pid,
            name: process.name.clone(),
            status,
            reason,
            asid: process.asid.map(|asid| asid.0),
            code: thread.map_or_else(Vec::new, |thread| self.code(process.space, thread.pc)),
            registers: thread.map_or_else(Vec::new, |thread| self.registers(thread)),
            pages: self.pages(process.space, &regions, thread),
            regions: regions
                .iter()
                .map(|region| Region {
                    start: region.start.0,
                    end: region.end.0,
                    rights: rights(region),
                    backing: self.look.backing(region),
                })
                .collect(),
        }
    }

    /// The lines around the next instruction. What is before it is found by trying from where on the
    /// instructions lead to it.
    fn code(&self, space: SpaceId, pc: u64) -> Vec<CodeLine> {
        let lines_from = |start: u64, end: u64, most: usize| {
            let mut at = start;
            let mut lines = Vec::new();
            while at < end && lines.len() < most {
                let bytes = self.look.bytes(space, at, 4);
                let Some(found) = disassemble(&bytes, at) else { break };
                lines.push(CodeLine { at, text: found.text, is_current: at == pc });
                at = at.wrapping_add(found.bytes);
            }
            (lines, at)
        };
        let reach = 4 * LINES_BEFORE as u64;
        let starts = (1..=reach / 2).rev().filter_map(|back| pc.checked_sub(2 * back));
        let before =
            starts.map(|start| lines_from(start, pc, usize::MAX)).find(|(_, at)| *at == pc);
        let mut lines = before.map(|(lines, _)| lines).unwrap_or_default();
        lines.drain(..lines.len().saturating_sub(LINES_BEFORE));
        lines.extend(lines_from(pc, u64::MAX, LINES_BEHIND).0);
        if !lines.iter().any(|line| line.is_current) {
            let text = "(its page is not in memory)".into();
            lines.push(CodeLine { at: pc, text, is_current: true });
        }
        lines
    }

    fn registers(&self, thread: &ThreadView) -> Vec<Register> {
        let before = self.scene.before.x.filter(|(tid, _)| *tid == thread.tid);
        let pc = Register { name: "pc".into(), value: thread.pc, is_new: false };
        let others = (1..32).map(|n| Register {
            name: REGISTERS[n].into(),
            value: thread.x[n],
            is_new: before.is_some_and(|(_, x)| x[n] != thread.x[n]),
        });
        std::iter::once(pc).chain(others).collect()
    }

    /// The pages that matter, then those that are somewhere, lowest first.
    fn pages(
        &self,
        space: SpaceId,
        regions: &[KernelRegion],
        thread: Option<&ThreadView>,
    ) -> Vec<PageState> {
        let bytes = self.look.page().bytes();
        let mut wanted = BTreeSet::new();
        let is_mapped = |page: u64| regions.iter().any(|region| region.contains(VirtAddr(page)));
        if let Some(thread) = thread {
            let own = [thread.pc, thread.x[2]].into_iter();
            let focus = self.focus.iter().copied().filter(|_| thread.is_current);
            for address in own.chain(focus) {
                let page = address & !(bytes - 1);
                let near = [page.wrapping_sub(bytes), page, page.wrapping_add(bytes)];
                wanted.extend(near.into_iter().filter(|&page| is_mapped(page)));
            }
        }
        let mut looked_at = 0;
        for region in regions {
            let mut page = region.start.0;
            while page < region.end.0 && wanted.len() < PAGES_MAX && looked_at < LOOKED_AT_MAX {
                let is_somewhere = self
                    .look
                    .page_at(space, VirtAddr(page))
                    .is_some_and(|view| view.at != Where::Nowhere);
                if is_somewhere {
                    wanted.insert(page);
                }
                looked_at += 1;
                page += bytes;
            }
        }
        let views = wanted.iter().filter_map(|&page| self.look.page_at(space, VirtAddr(page)));
        views.map(|view| self.page(space, &view)).collect()
    }

    fn page(&self, space: SpaceId, view: &PageView) -> PageState {
        let (presence, frame, slot) = match view.at {
            Where::Frame(pfn) => (Presence::Resident, Some(pfn.0), None),
            Where::Slot(slot) => (Presence::Swapped, None, Some(u64::from(slot.0))),
            Where::Nowhere => (Presence::Absent, None, None),
        };
        let happened = &self.scene.happened;
        let changes = [
            Kind::Resolved,
            Kind::SwapIn,
            Kind::FileRead,
            Kind::Evict,
            Kind::TableUpdate,
            Kind::TableWrite,
        ];
        let page = self.look.page().bytes();
        let is_new = changes.contains(&happened.kind)
            && happened.process.is_some()
            && happened.process == self.spaces.get(&space).copied()
            && happened.address.is_some_and(|address| address & !(page - 1) == view.va.0);
        PageState {
            page: view.va.0 / page,
            presence,
            frame,
            slot,
            rights: letters(view.prot),
            is_referenced: view.is_referenced,
            is_modified: view.is_modified,
            is_new,
        }
    }

    /// All frames of a small machine; of others those of the pages that are shown.
    fn frames(&self, processes: &[ProcessState]) -> Vec<FrameState> {
        let total = self.look.frames_total();
        let mut wanted: BTreeSet<u64> = self.scene.happened.frame.into_iter().collect();
        let pages = processes.iter().flat_map(|process| &process.pages);
        wanted.extend(pages.filter_map(|page| page.frame).take(FRAMES_MAX));
        if total <= FRAMES_MAX as u64 {
            wanted.extend(0..total);
        }
        let views = self.look.frames(wanted.into_iter().map(Pfn));
        views
            .into_iter()
            .map(|view| {
                let slot = match view.used {
                    Use::Anon { slot } => slot.map(|slot| u64::from(slot.0)),
                    _ => None,
                };
                let page = self.look.page().bytes();
                let pages = view
                    .mappings
                    .iter()
                    .filter_map(|(space, va)| Some((*self.spaces.get(space)?, va.0 / page)));
                FrameState {
                    frame: view.pfn.0,
                    used: used(view.used).into(),
                    pages: pages.collect(),
                    slot,
                    is_dirty: view.is_dirty,
                    words: self.words(view.pfn),
                }
            })
            .collect()
    }

    /// The words around the next access, if they are in the frame.
    fn words(&self, pfn: Pfn) -> Vec<Word> {
        const AROUND: u64 = 64;
        let Some((data, space)) = self.data.zip(self.current_space()) else { return Vec::new() };
        let page = self.look.page().bytes();
        let Some(physical) = self.look.physical(space, data) else { return Vec::new() };
        if physical / page != pfn.0 {
            return Vec::new();
        }
        let first = physical & !(AROUND - 1);
        let bytes = self.look.bytes(space, data & !(AROUND - 1), AROUND as usize);
        let words = bytes.chunks_exact(8).enumerate().map(|(n, word)| Word {
            at: first + 8 * n as u64,
            value: word.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)),
            is_new: false,
        });
        words.collect()
    }

    fn current_space(&self) -> Option<SpaceId> {
        let (tid, _) = self.look.current()?;
        self.look.space_of(tid)
    }

    fn tlb(&self) -> Vec<TlbEntryState> {
        let entries = tlb(&self.look);
        let several = self.look.mmus().len() > 1;
        let is_tagged = self.look.mmu().tlb().is_some_and(|tlb| tlb.config().is_tagged());
        let before = self.scene.before.tlb.as_ref();
        entries
            .iter()
            .map(|&(hart, place, set, way, ref entry)| {
                let name = name_of(place);
                let held = |&(h, p, s, w, ref e): &Held| {
                    (h, p, s, w) == (hart, place, set, way) && e == entry
                };
                TlbEntryState {
                    tlb: if several { format!("hart {hart} {name}") } else { name },
                    set,
                    way,
                    asid: (!entry.global && is_tagged).then_some(entry.asid.0),
                    page: entry.vpn.0,
                    frame: entry.pfn.0,
                    size: entry.page.bytes(),
                    rights: entry_rights(entry.rights),
                    is_new: before.is_some_and(|before| !before.iter().any(held)),
                }
            })
            .collect()
    }

    /// The beginnings of the policy's queues: whose turn is next.
    fn queues(&self) -> Vec<QueueState> {
        let queues = self.look.queues().into_iter();
        queues
            .map(|(name, frames)| QueueState {
                name: name.into(),
                frames: frames.into_iter().take(FRAMES_MAX).map(|pfn| pfn.0).collect(),
            })
            .collect()
    }

    fn swap(&self) -> Vec<SlotState> {
        let mut slots = self.look.slots(SLOTS_MAX);
        if let Some(slot) = self.scene.happened.slot.and_then(|slot| u32::try_from(slot).ok())
            && let Some(view) = self.look.slot(SwapSlot(slot))
            && !slots.contains(&view)
        {
            slots.push(view);
        }
        let kept: BTreeMap<u32, (u64, bool)> = match slots.iter().any(|slot| slot.is_kept) {
            false => BTreeMap::new(),
            true => self
                .look
                .frames((0..self.look.frames_total()).map(Pfn))
                .into_iter()
                .filter_map(|frame| match frame.used {
                    Use::Anon { slot: Some(slot) } => Some((slot.0, (frame.pfn.0, frame.is_dirty))),
                    _ => None,
                })
                .collect(),
        };
        slots
            .into_iter()
            .map(|view| {
                let cached = kept.get(&view.slot.0);
                SlotState {
                    slot: u64::from(view.slot.0),
                    entries: u64::from(view.names),
                    cached: cached.map(|(frame, _)| *frame),
                    is_written: cached.is_none_or(|(_, dirty)| !dirty),
                }
            })
            .collect()
    }
}

fn status(process: &ProcessView) -> (ProcessStatus, Option<String>) {
    let is = |wanted: fn(&ThreadState) -> bool| {
        process.threads.iter().find(|thread| wanted(&thread.state))
    };
    if is(|state| *state == ThreadState::Running).is_some() {
        return (ProcessStatus::Running, None);
    }
    if is(|state| *state == ThreadState::Runnable).is_some() {
        return (ProcessStatus::Ready, None);
    }
    match process.threads.first().map(|thread| &thread.state) {
        Some(ThreadState::SwappedOut) => (ProcessStatus::SwappedOut, None),
        Some(ThreadState::Blocked(wait)) => {
            (ProcessStatus::Waiting, Some(format!("it waits: {}", wait.what)))
        }
        Some(ThreadState::Stopped) => (ProcessStatus::Waiting, Some("it is stopped".into())),
        _ => (ProcessStatus::Ended, None),
    }
}

const fn used(used: Use) -> &'static str {
    match used {
        Use::Free => "free",
        Use::MachineTable | Use::Table { .. } => "page table",
        Use::Transit => "device",
        Use::Anon { .. } => "page",
        Use::File { .. } => "file",
    }
}

fn name_of(place: TlbPlace) -> String {
    use pagewalk_mmu::tlb::Side;
    let side = match place.side {
        Some(Side::Instruction) => "i",
        Some(Side::Data) => "d",
        None => "",
    };
    format!("L{}{side}", place.level)
}

fn entry_rights(rights: Rights) -> String {
    [(Rights::READ, 'r'), (Rights::WRITE, 'w'), (Rights::EXECUTE, 'x')]
        .map(|(right, letter)| if rights.contains(right) { letter } else { '-' })
        .iter()
        .collect()
}
