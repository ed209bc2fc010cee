//! A machine to look at: who there is, where pages are, what frames, TLB and swap slots hold.
//!
//! ```text
//!   Machine ──► Inspector ──► processes, threads, registers
//!                    ├──────► regions, pages            of a process
//!                    └──────► frames, slots             of the machine
//! ```
//!
//! Looking changes nothing: no counter moves, no TLB is asked, no bit is set.

use pagewalk_cpu::Hart;
use pagewalk_kernel::{Backing, Mapping, Prot, Region, RegionName, SpaceId, SwapSlot, Use};
use pagewalk_linux::{Host, Pid, State, System};
use pagewalk_mmu::{Access, AccessKind, Asid, Mmu, PageSize, Pfn, PhysAddr, VirtAddr};

use crate::machine::Machine;
use crate::os::{Os, PagedKernel};
use crate::platform::MachinePlatform;
use crate::ram::Ram;
use crate::schedule::Schedule;
use crate::segmentation::Segmentation;

/// Looks at a machine.
#[derive(Debug)]
pub struct Inspector<'a> {
    os: &'a Os,
    platform: MachinePlatform<'a>,
    system: &'a System,
    host: &'a Host,
    schedule: &'a Schedule,
    hart: &'a Hart,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessView {
    /// Its number.
    pub pid: Pid,
    /// Its name, as `ps` has it.
    pub name: String,
    /// Its address space.
    pub space: SpaceId,
    /// The identifier of its address space; `None` without pages.
    pub asid: Option<Asid>,
    /// Its threads that are alive, by number.
    pub threads: Vec<ThreadView>,
}

/// A thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadView {
    /// Its number.
    pub tid: Pid,
    /// Whether the current hart runs it.
    pub is_current: bool,
    /// Whether it can run.
    pub state: State,
    /// The next instruction.
    pub pc: u64,
    /// `x0` to `x31`.
    pub x: [u64; 32],
}

/// Where a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// Nowhere yet.
    Nowhere,
    /// In a frame.
    Frame(Pfn),
    /// In a swap slot.
    Slot(SwapSlot),
}

/// A page of a process, as its page table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageView {
    /// Its first address.
    pub va: VirtAddr,
    /// Where it is.
    pub at: Where,
    /// What its entry allows; nothing if it is not in memory.
    pub prot: Prot,
    /// The referenced bit.
    pub is_referenced: bool,
    /// The modified bit.
    pub is_modified: bool,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameView {
    /// Its number.
    pub pfn: Pfn,
    /// What it is used for.
    pub used: Use,
    /// Who maps it: spaces and addresses.
    pub mappings: Vec<(SpaceId, VirtAddr)>,
    /// Whether it differs from its file or slot.
    pub is_dirty: bool,
}

/// A swap slot in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotView {
    /// Its number.
    pub slot: SwapSlot,
    /// How many page-table entries name it.
    pub names: u32,
    /// Whether a frame has its page, too.
    pub is_kept: bool,
}

impl Machine {
    /// Looks at the machine.
    pub const fn inspect(&mut self) -> Inspector<'_> {
        let platform = MachinePlatform {
            memory: &mut self.memory,
            swap: &mut self.swap,
            queues: &mut self.queues,
            files: &self.host.files,
            listener: &mut self.listener,
        };
        Inspector {
            os: &self.os,
            platform,
            system: &self.system,
            host: &self.host,
            schedule: &self.schedule,
            hart: &self.hart,
        }
    }
}

impl Inspector<'_> {
    fn kernel(&self) -> Option<&PagedKernel> {
        match self.os {
            Os::Paged(kernel) => Some(kernel),
            Os::Segments(_) => None,
        }
    }

    /// The current hart's thread, if it runs one, and its process.
    pub fn current(&self) -> Option<(Pid, Pid)> {
        let tid = self.schedule.current().thread?;
        Some((tid, self.system.thread(tid)?.pid))
    }

    /// The current hart: the registers of its thread.
    pub const fn hart(&self) -> &Hart {
        self.hart
    }

    /// The space of a thread.
    pub fn space_of(&self, tid: Pid) -> Option<SpaceId> {
        self.system.space_of(tid)
    }

    /// The current hart's MMU.
    pub fn mmu(&self) -> &Mmu {
        self.platform.memory.mmu()
    }

    /// All harts' MMUs, by their numbers.
    pub fn mmus(&self) -> Vec<(u32, &Mmu)> {
        let harts = self.platform.memory.hart_memories();
        let mut mmus: Vec<_> = harts.map(|hart| (hart.number, hart.mmu())).collect();
        mmus.sort_by_key(|(number, _)| *number);
        mmus
    }

    /// What stands before the MMU, or in its place.
    pub const fn segmentation(&self) -> &Segmentation {
        self.platform.memory.segmentation()
    }

    /// Physical memory.
    pub const fn ram(&self) -> &Ram {
        &self.platform.memory.ram
    }

    /// The size of a base page.
    pub const fn page(&self) -> PageSize {
        self.ram().page()
    }

    /// The processes that have not ended, by number.
    pub fn processes(&self) -> Vec<ProcessView> {
        self.system.processes().map(|process| self.process(process)).collect()
    }

    fn process(&self, process: &pagewalk_linux::Process) -> ProcessView {
        let current = self.schedule.current().thread;
        let threads = self.system.threads_of(process.pid).map(|thread| {
            // Another hart's registers are with that hart; the scheduler keeps them.
            let hart = match current == Some(thread.tid) {
                true => Some(self.hart),
                false => self.schedule.hart_of(thread.tid),
            };
            let (pc, x) = match hart {
                Some(hart) => (hart.pc, std::array::from_fn(|n| hart.x(n))),
                None => (thread.regs.pc, thread.regs.x),
            };
            let state = thread.state.clone();
            ThreadView { tid: thread.tid, is_current: current == Some(thread.tid), state, pc, x }
        });
        ProcessView {
            pid: process.pid,
            name: self.system.name_of(process.pid),
            space: process.space,
            asid: self.kernel().map(|kernel| kernel.asid(process.space)),
            threads: threads.collect(),
        }
    }

    /// The address spaces, each with its process: the first of those that share it.
    pub fn spaces(&self) -> Vec<(SpaceId, Pid)> {
        let mut spaces: Vec<_> =
            self.system.processes().map(|process| (process.space, process.pid)).collect();
        spaces.sort_unstable();
        spaces.dedup_by_key(|(space, _)| *space);
        spaces
    }

    /// The regions of a space, lowest first.
    pub fn regions(&self, space: SpaceId) -> Vec<Region> {
        match self.os {
            Os::Paged(kernel) => kernel.regions(space).copied().collect(),
            Os::Segments(kernel) => kernel.regions(space).copied().collect(),
        }
    }

    /// Where a region's pages come from, in words.
    pub fn backing(&self, region: &Region) -> String {
        match (region.backing, region.name) {
            (Backing::File { file, offset }, _) => {
                let path = self.system.path_of(file, self.host);
                match offset {
                    0 => path,
                    _ => format!("{path} + {offset:#x}"),
                }
            }
            (Backing::Anonymous, RegionName::Heap) => "[heap] zeroes".into(),
            (Backing::Anonymous, RegionName::Stack) => "[stack] zeroes".into(),
            (Backing::Anonymous, RegionName::Vdso) => "[vdso] zeroes".into(),
            (Backing::Anonymous, RegionName::None | RegionName::Anon(_)) => "zeroes".into(),
        }
    }

    /// A page of a space; `None` without pages.
    pub fn page_at(&self, space: SpaceId, va: VirtAddr) -> Option<PageView> {
        let va = VirtAddr(va.0 & !(self.page().bytes() - 1));
        let mapping = self.kernel()?.lookup(&self.platform, space, va);
        let (at, prot, is_referenced, is_modified) = match mapping {
            Mapping::None => (Where::Nowhere, Prot::empty(), false, false),
            Mapping::Swapped(slot) => (Where::Slot(slot), Prot::empty(), false, false),
            Mapping::Resident(page) => {
                (Where::Frame(page.pfn), page.prot, page.referenced, page.modified)
            }
        };
        Some(PageView { va, at, prot, is_referenced, is_modified })
    }

    /// Where a byte of a space is in physical memory; `None` if it is not there now.
    pub fn physical(&self, space: SpaceId, va: u64) -> Option<u64> {
        match self.os {
            Os::Paged(_) => match self.page_at(space, VirtAddr(va))?.at {
                Where::Frame(pfn) => {
                    let page = self.page();
                    Some(pfn.base(page).0 | va & (page.bytes() - 1))
                }
                Where::Nowhere | Where::Slot(_) => None,
            },
            Os::Segments(_) => {
                let read = Access::user(AccessKind::Read);
                let placed = self.segmentation().translate(va, 1, read).ok()?;
                Some(placed.address)
            }
        }
    }

    /// Bytes of a space, as many as are in memory from there on, `most` at most.
    pub fn bytes(&self, space: SpaceId, va: u64, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < most {
            let Some(at) = va.checked_add(bytes.len() as u64) else { break };
            let page = self.page().bytes();
            let run = (page - at % page).min((most - bytes.len()) as u64) as usize;
            let Some(pa) = self.physical(space, at) else { break };
            if pa.checked_add(run as u64).is_none_or(|end| end > self.ram().bytes()) {
                break;
            }
            let start = bytes.len();
            bytes.resize(start + run, 0);
            self.ram().read(PhysAddr(pa), &mut bytes[start..]);
        }
        bytes
    }

    /// The frame table's account of frames, those of `wanted` that there are.
    pub fn frames(&self, wanted: impl IntoIterator<Item = Pfn>) -> Vec<FrameView> {
        let Some(kernel) = self.kernel() else { return Vec::new() };
        let table = kernel.frame_table();
        let wanted = wanted.into_iter().filter(|pfn| pfn.0 < table.total());
        wanted
            .map(|pfn| FrameView {
                pfn,
                used: table.used(pfn),
                mappings: table.reverse(pfn).map(|by| (by.space, by.va)).collect(),
                is_dirty: matches!(table.used(pfn), Use::Anon { .. } | Use::File { .. })
                    && table.dirty(pfn),
            })
            .collect()
    }

    /// How many frames the kernel has; 0 without pages.
    pub fn frames_total(&self) -> u64 {
        self.kernel().map_or(0, |kernel| kernel.frame_table().total())
    }

    /// The swap slots in use, lowest first, `most` at most.
    pub fn slots(&self, most: usize) -> Vec<SlotView> {
        let Some(kernel) = self.kernel() else { return Vec::new() };
        let swap = kernel.swap();
        let all = swap.areas().iter().flat_map(|area| area.slots()).map(SwapSlot);
        let used = all.filter(|&slot| swap.is_used(slot));
        used.take(most)
            .map(|slot| SlotView { slot, names: swap.names(slot), is_kept: swap.is_kept(slot) })
            .collect()
    }

    /// A slot, if it is in use.
    pub fn slot(&self, slot: SwapSlot) -> Option<SlotView> {
        let swap = self.kernel()?.swap();
        let is_used = u64::from(slot.0) < swap.total() && swap.is_used(slot);
        is_used.then(|| SlotView { slot, names: swap.names(slot), is_kept: swap.is_kept(slot) })
    }

    /// What the replacement policy keeps, by the names of its queues, the next to be looked at first.
    pub fn queues(&self) -> Vec<(&'static str, Vec<Pfn>)> {
        self.kernel().map_or_else(Vec::new, |kernel| kernel.policy_queues())
    }

    /// Free frames and all frames.
    pub fn free_frames(&self) -> (u64, u64) {
        let frames = self.os.frames();
        (frames.free, frames.total)
    }
}
