//! The operating system's memory manager: the kernel with pages, or the one without.

use pagewalk_kernel::{
    AnyPmap, Attempt, FileId, FileSharing, FrameSummary, Kernel, KernelMap, Prot, Residency,
    SegmentKernel, SpaceId, SwapArea, SwapSlot, TransferId, Vmstat, Waited,
};
use pagewalk_linux::{KernelMemory, SegmentMemory, UserMemory};
use pagewalk_mmu::{AccessKind, PageSize, Pfn, VirtAddr};
use pagewalk_replacement::{Activity, Policy};

use crate::memory::Memory;
use crate::platform::MachinePlatform;
use crate::swap_view::SlotContent;

/// The kernel over page tables of any kind.
pub(crate) type PagedKernel = Kernel<AnyPmap>;

/// A memory manager.
#[derive(Clone, Debug)]
pub(crate) enum Os {
    /// Over pages.
    Paged(Box<PagedKernel>),
    /// Over bounds or segments.
    Segments(Box<SegmentKernel>),
}

impl Os {
    /// The hardware refused an access of a program, which may have `waited` before.
    pub fn fault(
        &mut self,
        platform: &mut MachinePlatform<'_>,
        space: SpaceId,
        va: VirtAddr,
        kind: AccessKind,
        waited: Waited,
    ) -> Attempt {
        match self {
            Self::Paged(kernel) => kernel.fault_or_wait(platform, space, va, kind, waited),
            Self::Segments(kernel) => Attempt::Done(kernel.fault(platform, space, va, kind)),
        }
    }

    /// A device is done with a transfer; whether memory may be free.
    pub fn complete(&mut self, platform: &mut MachinePlatform<'_>, id: TransferId) -> bool {
        match self {
            Self::Paged(kernel) => kernel.complete(platform, id),
            Self::Segments(_) => false,
        }
    }

    /// Evicts a batch of a space's pages.
    pub fn swap_out(&mut self, platform: &mut MachinePlatform<'_>, space: SpaceId) {
        if let Self::Paged(kernel) = self {
            kernel.swap_out_space(platform, space);
        }
    }

    /// Waits for all transfers.
    pub fn complete_all(&mut self, platform: &mut MachinePlatform<'_>) {
        if let Self::Paged(kernel) = self {
            kernel.complete_all(platform);
        }
    }

    /// Whether the current hart is as [`Os::activate`] left it for a space.
    pub fn is_active(&self, memory: &Memory, space: SpaceId) -> bool {
        match self {
            Self::Paged(kernel) => memory.runs(kernel.asid(space), kernel.root(space)),
            Self::Segments(kernel) => kernel.active() == Some(space),
        }
    }

    /// Lets the current hart run in a space.
    pub fn activate(&mut self, platform: &mut MachinePlatform<'_>, space: SpaceId) {
        match self {
            Self::Paged(kernel) => kernel.activate(platform, space),
            Self::Segments(kernel) => kernel.activate(platform, space),
        }
    }

    /// Whether page replacement has any use for the time.
    pub fn follows_time(&self) -> bool {
        matches!(self, Self::Paged(kernel) if kernel.follows_time())
    }

    /// Processors have worked for so many cycles.
    pub fn set_time(&mut self, working: u64) {
        if let Self::Paged(kernel) = self {
            kernel.set_time(working);
        }
    }

    /// Whether there is a daemon that makes large pages.
    pub const fn collapses(&self) -> bool {
        matches!(self, Self::Paged(kernel) if kernel.collapses())
    }

    /// It is so many nanoseconds after the start.
    pub fn set_elapsed(&mut self, now_ns: u64) {
        if let Self::Paged(kernel) = self {
            kernel.set_elapsed(now_ns);
        }
    }

    /// When that daemon is worth being run though nobody else runs, in nanoseconds.
    pub fn collapse_due_ns(&self) -> Option<u64> {
        match self {
            Self::Paged(kernel) => kernel.collapse_due_ns(),
            Self::Segments(_) => None,
        }
    }

    /// Whether a page could be written to swap that was not before.
    pub fn swap_has_room(&self) -> bool {
        matches!(self, Self::Paged(kernel) if kernel.swap_has_room())
    }

    /// Kills the worst process because memory is too small for what runs.
    pub fn kill_for_thrashing(&mut self, platform: &mut MachinePlatform<'_>, asked: SpaceId) {
        if let Self::Paged(kernel) = self {
            kernel.kill_for_thrashing(platform, asked);
        }
    }

    /// Zeroes free frames, at most so many.
    pub fn zero_ahead(&mut self, platform: &mut MachinePlatform<'_>, frames_max: u64) {
        if let Self::Paged(kernel) = self {
            kernel.zero_ahead(platform, frames_max);
        }
    }

    /// How often page replacement changed its mind, if it has states to change between.
    pub fn activity(&self) -> Option<Activity> {
        match self {
            Self::Paged(kernel) => kernel.activity(),
            Self::Segments(_) => None,
        }
    }

    /// Does what is to be done after each stop of the hart: page-out.
    pub fn after_stop(&mut self, platform: &mut MachinePlatform<'_>) {
        if let Self::Paged(kernel) = self {
            kernel.daemon(platform);
        }
    }

    /// Keeps the limit of the code segment, where there is one, at the end of the highest
    /// executable region.
    pub fn follow_code(&self, platform: &mut MachinePlatform<'_>, space: SpaceId) {
        let (Self::Paged(kernel), Some(limit)) = (self, platform.memory.code_end()) else { return };
        let mut regions = kernel.regions(space).rev();
        let highest = regions.find(|region| region.prot.contains(Prot::EXEC));
        let end = highest.map_or(0, |region| region.end.0);
        if end != limit {
            platform.memory.set_code_end(end);
        }
    }

    /// The machine has ended: what shared mappings hold reaches its files.
    pub fn finish(&mut self, platform: &mut MachinePlatform<'_>, space: SpaceId) {
        self.complete_all(platform);
        // Errors have been counted and told; the program, whose business it was, is gone.
        match self {
            Self::Paged(kernel) => {
                let _told = kernel.sync_all(platform);
            }
            Self::Segments(kernel) => {
                let _told = kernel.finish(platform, space);
            }
        }
    }

    /// Checks everything.
    ///
    /// # Errors
    /// What does not hold.
    pub fn audit(&self, platform: &MachinePlatform<'_>) -> Result<(), String> {
        match self {
            Self::Paged(kernel) => kernel.audit(platform).map_err(|error| error.to_string()),
            Self::Segments(kernel) => kernel.audit(platform),
        }
    }

    /// Lends a space's memory as system calls see it.
    pub fn with_memory<R>(
        &mut self,
        platform: &mut MachinePlatform<'_>,
        space: SpaceId,
        call: impl FnOnce(&mut dyn UserMemory) -> R,
    ) -> R {
        match self {
            Self::Paged(kernel) => {
                let low_code = platform.memory.code_end().is_some();
                let memory = KernelMemory::new(kernel.as_mut(), platform, space);
                match low_code {
                    true => call(&mut memory.with_low_code()),
                    false => call(&mut { memory }),
                }
            }
            Self::Segments(kernel) => call(&mut SegmentMemory::new(kernel, platform, space)),
        }
    }

    /// The frames that hold pages of the platform's files, and which.
    pub fn file_pages(&self) -> Vec<(Pfn, FileId, u64)> {
        match self {
            Self::Paged(kernel) => kernel.file_pages().collect(),
            Self::Segments(_) => Vec::new(),
        }
    }

    /// The most frames that could hold pages at any one time since this was asked last.
    pub fn take_most_page_frames(&mut self) -> u64 {
        match self {
            Self::Paged(kernel) => kernel.take_most_page_frames(),
            Self::Segments(_) => 0,
        }
    }

    /// The replacement policy, if there are pages.
    pub fn policy_mut(&mut self) -> Option<&mut dyn Policy> {
        match self {
            Self::Paged(kernel) => Some(kernel.policy_mut()),
            Self::Segments(_) => None,
        }
    }

    /// Where the kernel's own memory is mapped, if it is.
    pub fn kernel_map(&self) -> Option<&KernelMap> {
        match self {
            Self::Paged(kernel) => kernel.kernel_map(),
            Self::Segments(_) => None,
        }
    }

    /// Frames of the tables that map the kernel's own memory.
    pub fn kernel_tables(&self) -> u64 {
        match self {
            Self::Paged(kernel) => kernel.kernel_map_tables(),
            Self::Segments(_) => 0,
        }
    }

    /// The manager of segments, if it is one.
    pub fn segments(&self) -> Option<&SegmentKernel> {
        match self {
            Self::Paged(_) => None,
            Self::Segments(kernel) => Some(kernel),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> &Vmstat {
        match self {
            Self::Paged(kernel) => kernel.counters(),
            Self::Segments(kernel) => kernel.counters(),
        }
    }

    /// How the frames are used.
    pub fn frames(&self) -> FrameSummary {
        match self {
            Self::Paged(kernel) => kernel.frames(),
            Self::Segments(kernel) => {
                let summary = kernel.summary();
                FrameSummary {
                    total: summary.frames,
                    free: summary.frames_free,
                    anon: summary.frames_anon,
                    file: 0,
                    page_table: 0,
                    wired: 0,
                    peak_used: kernel.segment_counters().peak_frames,
                    peak_pages: kernel.segment_counters().peak_frames,
                    shared: 0,
                    peak_shared: 0,
                }
            }
        }
    }

    /// What a space holds. Without pages all that it asked for.
    pub fn residency(&self, space: SpaceId) -> Residency {
        match self {
            Self::Paged(kernel) => kernel.residency(space),
            Self::Segments(kernel) => {
                let summary = kernel.summary();
                Residency {
                    rss_anon: summary.frames_anon,
                    rss_file: summary.frames_file,
                    peak_rss: kernel.segment_counters().peak_frames,
                    ..Residency::default()
                }
            }
        }
    }

    /// Pages that processes gave up for the limit of all of them.
    pub fn group_steals(&self) -> u64 {
        let Self::Paged(kernel) = self else { return 0 };
        kernel.root_group().and_then(|root| kernel.group(root)).map_or(0, |group| group.steals)
    }

    /// Whether spaces were killed for lack of memory, whose processes are to end.
    pub fn has_oom_kills(&self) -> bool {
        match self {
            Self::Paged(kernel) => kernel.has_oom_kills(),
            Self::Segments(_) => false,
        }
    }

    /// The size of large pages, if there are any and they are used.
    pub fn large_page(&self) -> Option<PageSize> {
        match self {
            Self::Paged(kernel) => kernel.large_page(),
            Self::Segments(_) => None,
        }
    }

    /// Files of which several spaces mapped the same pages.
    pub fn file_sharing(&self) -> Vec<(FileId, FileSharing)> {
        match self {
            Self::Paged(kernel) => kernel.file_sharing().collect(),
            Self::Segments(_) => Vec::new(),
        }
    }

    /// Frames that shared page tables save: now, and at most.
    pub fn table_frames_saved(&self) -> (u64, u64) {
        match self {
            Self::Paged(kernel) => kernel.frame_table().table_frames_saved(),
            Self::Segments(_) => (0, 0),
        }
    }

    /// What the kernel knows of the swap devices.
    pub fn swap_devices(&self) -> &[SwapArea] {
        match self {
            Self::Paged(kernel) => kernel.swap().areas(),
            Self::Segments(_) => &[],
        }
    }

    /// What a slot has to hold.
    pub fn slot_content(&self, slot: SwapSlot) -> SlotContent {
        match self {
            Self::Paged(kernel) if kernel.swap().is_used(slot) => match kernel.swap().is_kept(slot)
            {
                // The frame has the page as well, perhaps it alone: then the slot is reserved.
                true => SlotContent::Perhaps,
                false => SlotContent::Page,
            },
            _ => SlotContent::Nothing,
        }
    }

    /// Swap slots in use.
    pub fn swap_used(&self) -> u64 {
        match self {
            Self::Paged(kernel) => kernel.swap().used(),
            Self::Segments(_) => 0,
        }
    }

    /// Swap slots.
    pub fn swap_total(&self) -> u64 {
        match self {
            Self::Paged(kernel) => kernel.swap().total(),
            Self::Segments(_) => 0,
        }
    }
}
