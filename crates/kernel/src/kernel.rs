//! The kernel: its parts, and how address spaces come and go.

use crate::identity::Identities;
use crate::inject::RefusedFrames;
use crate::khugepaged::Khugepaged;
use crate::ksm::Ksm;
use crate::launder_ahead::LaunderAhead;
use crate::names::NameTable;
use crate::object::Objects;
use crate::pages::PolicyClock;
use crate::pmap::{Gather, Resident};
use crate::read_ahead::ReadAhead;
use crate::sharing::Sharing;
use crate::space::{Space, space_in};
use crate::swap_cache::SwapCache;
use crate::transfer::Transfers;
use crate::zeroing::Zeroing;
use crate::{
    DeviceWait, FileId, FrameSummary, FrameTable, HugePolicy, KernelMap, KernelMapping, Layout,
    Mapping, MemoryLimits, OomKill, Overcommit, PageCache, Platform, Pmap, Refusals, Region,
    RegionFlags, RegionSet, Residency, ReverseMapping, SWAP_DEVICES_MAX, Scope, ShareTables,
    Shortage, SpaceId, SwapDevice, SwapMap, Use, VmSizes, Vmstat, Watermarks,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use pagewalk_mmu::{Asid, PageSize, Pfn, PhysAddr, VirtAddr};
use pagewalk_replacement::{Policy, PolicyKind};

/// What a kernel is made of.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Frames of RAM; frame 0 is at physical address 0.
    pub frames: u64,
    /// Slots of the swap device; 0 if there is none.
    pub swap_slots: u64,
    /// How many slots in a row are read together at most: a power of two up to
    /// [`READ_AHEAD_MAX`](crate::READ_AHEAD_MAX). Up to 1, only what is wanted is read.
    pub read_ahead: u32,
    /// The replacement policy.
    pub policy: PolicyKind,
    /// Feeds policies that draw.
    pub seed: u64,
    /// Units of virtual time between two looks of the periodic harvest at a frame, for each frame of
    /// memory: a harvest looks at all frames, and comes every `harvest × frames`.
    pub harvest: u64,
    /// How many frames are kept free; `None` scales with RAM.
    pub watermarks: Option<Watermarks>,
    /// What large pages are used for.
    pub huge: HugePolicy,
    /// Pages that stay free below a region that grows down (Linux: stack_guard_gap).
    pub stack_guard_pages: u64,
    /// Whose pages are taken when memory is short.
    pub scope: Scope,
    /// The most pages that each process has in memory; `None` is no bound, or an equal share where
    /// each process has a policy of its own.
    pub resident: Option<u64>,
    /// How much memory programs are promised.
    pub overcommit: Overcommit,
    /// The part of RAM that can be promised where no more than the commit limit is, in percent.
    pub overcommit_ratio: u64,
    /// Where the kernel's own memory is mapped.
    pub kernel: KernelMapping,
    /// The top table of each space maps itself in its last entry.
    pub self_map: bool,
    /// Who waits for devices.
    pub device_wait: DeviceWait,
    /// The pages that one instruction can touch, up to [`PAGES_PER_INSTRUCTION`]: the frames of so
    /// many faults are not evicted. 0: an instruction touches one page and is made again before
    /// anything else happens.
    pub instruction_pages: u64,
    /// Modified pages are written ahead of need while the swap devices have nothing to do.
    pub launder_ahead: bool,
    /// Which page tables spaces share, where the format allows it.
    pub share_tables: ShareTables,
}

/// A look takes tens of cycles: a few in a hundred of the time goes into the harvest.
pub const HARVEST_DEFAULT: u64 = 2000;

impl Default for Config {
    /// 1 MiB of RAM in frames of 4 KiB, 16 MiB of swap, CLOCK.
    fn default() -> Self {
        Self {
            frames: 256,
            swap_slots: 4096,
            read_ahead: 0,
            policy: PolicyKind::Clock,
            seed: 0,
            harvest: HARVEST_DEFAULT,
            watermarks: None,
            huge: HugePolicy::Never,
            stack_guard_pages: 256,
            scope: Scope::Global,
            resident: None,
            overcommit: Overcommit::Always,
            overcommit_ratio: crate::OVERCOMMIT_RATIO,
            kernel: KernelMapping::Absent,
            self_map: false,
            device_wait: DeviceWait::Hart,
            instruction_pages: PAGES_PER_INSTRUCTION,
            launder_ahead: false,
            share_tables: ShareTables::Off,
        }
    }
}

/// Why a kernel cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is too little RAM for page tables and a handful of pages.
    TooFewFrames {
        /// Frames given.
        frames: u64,
        /// Frames needed.
        minimum: u64,
        /// The size of a frame.
        page: PageSize,
    },
    /// The page tables cannot name so many frames.
    TooManyFrames {
        /// Frames given.
        frames: u64,
        /// The most.
        maximum: u64,
        /// The size of a frame.
        page: PageSize,
    },
    /// RAM does not fit the kernel's part of a space.
    KernelWindow {
        /// RAM in bytes.
        ram: u64,
        /// The most, in bytes; 0 if the kernel has no part at all.
        maximum: u64,
    },
    /// Absent page-table entries cannot name so many slots.
    TooManySlots {
        /// Slots given.
        slots: u64,
        /// The most.
        maximum: u64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooFewFrames { frames, minimum, page } => write!(
                f,
                "{frames} frames of {page} are too few for this MMU: give at least {minimum} \
                 ({} bytes)",
                minimum * page.bytes()
            ),
            Self::TooManyFrames { frames, maximum, page } => write!(
                f,
                "{frames} frames of {page} are more than this MMU can name: give at most {maximum}"
            ),
            Self::KernelWindow { maximum: 0, .. } => f.write_str(
                "the kernel of this MMU is reached without translation: there is nothing to map",
            ),
            Self::KernelWindow { ram, maximum } => write!(
                f,
                "{ram} bytes of RAM do not fit the kernel's part of the address space: give at \
                 most {maximum} bytes of RAM, or no kernel mapping"
            ),
            Self::TooManySlots { slots, maximum } => write!(
                f,
                "{slots} swap slots are more than this MMU's absent entries can name: give at \
                 most {maximum}"
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

/// Why an address space cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// There are no frames for its first page tables.
    OutOfMemory(Shortage),
    /// There are no address-space identifiers left.
    TooManySpaces,
    /// All spaces together have as many regions as the machine allows.
    TooManyRegions,
    /// The top table cannot map itself: the format has no such entries, or the last is the
    /// kernel's.
    NoSelfMap,
    /// The layout is not one: bounds out of order, or not pages, or beyond the MMU's addresses.
    BadLayout,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory(shortage) => write!(f, "no frames for page tables: {shortage}"),
            Self::NoSelfMap => {
                f.write_str("this MMU's tables cannot map themselves: ia32 and x86-64 can")
            }
            Self::TooManyRegions => f.write_str("the machine's spaces have too many regions"),
            Self::TooManySpaces => f.write_str("no address-space identifier is free"),
            Self::BadLayout => f.write_str("the address space's bounds do not fit this MMU"),
        }
    }
}

impl core::error::Error for KernelError {}

/// The pages that an instruction can touch on most machines: two of text and two of data, if both
/// are misaligned.
pub const PAGES_PER_INSTRUCTION: u64 = 4;

/// The priority of the first device that nobody gave one (Linux: -2, the next -3).
pub const FIRST_PRIORITY: i32 = -2;

/// Where there are no large pages, runs of any length are as rare: 2^9 frames, as good as any.
const RUN_ORDER: u8 = 9;

/// A kernel: all address spaces of a machine, and what backs them.
#[derive(Clone, Debug)]
pub struct Kernel<P: Pmap> {
    pub(crate) hardware: P::Hardware,
    pub(crate) page: PageSize,
    /// The size of large pages, if they are used.
    pub(crate) large: Option<PageSize>,
    pub(crate) config: Config,
    pub(crate) marks: Watermarks,
    pub(crate) frames: FrameTable,
    pub(crate) cache: PageCache,
    pub(crate) swap: SwapMap,
    pub(crate) swap_cache: SwapCache,
    pub(crate) read_ahead: ReadAhead,
    pub(crate) objects: Objects,
    pub(crate) slot_hand: u64,
    pub(crate) policy: Box<dyn Policy>,
    pub(crate) clock: PolicyClock,
    pub(crate) zeroing: Zeroing,
    pub(crate) laundering: LaunderAhead,
    pub(crate) identities: Identities,
    pub(crate) spaces: Vec<Option<Space<P>>>,
    pub(crate) counters: Vmstat,
    pub(crate) recent: Recent,
    pub(crate) names: NameTable,
    pub(crate) ksm: Ksm,
    pub(crate) khugepaged: Khugepaged,
    pub(crate) refusals: Refusals,
    pub(crate) groups: Vec<crate::Group>,
    /// The one that all others are below.
    pub(crate) root_group: Option<crate::GroupId>,
    /// Kills that nobody was told of yet.
    pub(crate) oom_kills: Vec<OomKill>,
    pub(crate) sharing: Sharing,
    /// The regions of all spaces are not more.
    pub(crate) regions_bound: usize,
    pub(crate) refused: RefusedFrames,
    pub(crate) transfers: Transfers,
    /// Frames from 0 on that hold tables of the machine and of the kernel, and are never freed.
    pub(crate) machine_frames: u64,
    pub(crate) kernel_map: Option<KernelMap>,
}

/// The frames that the last faults resolved to, which are not evicted: else a page that was
/// brought in could be gone before the instruction restarts, and two pages of one instruction
/// could push each other out for ever when everything else cannot go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    /// Oldest first.
    frames: [Option<Pfn>; PAGES_PER_INSTRUCTION as usize],
}

impl Recent {
    /// Remembers a frame, and the last `count - 1` before it.
    pub(crate) fn push(&mut self, pfn: Pfn, count: u64) {
        let count = count.min(PAGES_PER_INSTRUCTION) as usize;
        let known = self.frames.iter().position(|&held| held == Some(pfn)).unwrap_or(0);
        self.frames[known..].rotate_left(1);
        let oldest = self.frames.len() - count;
        self.frames[PAGES_PER_INSTRUCTION as usize - 1] = Some(pfn);
        self.frames[..oldest].fill(None);
    }

    pub(crate) fn contains(&self, pfn: Pfn) -> bool {
        self.frames.contains(&Some(pfn))
    }

    /// A page is in another frame from now on.
    pub(crate) fn moved(&mut self, from: Pfn, to: Pfn) {
        for held in self.frames.iter_mut().filter(|held| **held == Some(from)) {
            *held = Some(to);
        }
    }

    pub(crate) fn remove(&mut self, pfn: Pfn) {
        for held in self.frames.iter_mut().filter(|held| **held == Some(pfn)) {
            *held = None;
        }
    }
}

impl<P: Pmap> Kernel<P> {
    /// A kernel without address spaces.
    ///
    /// # Errors
    /// If the hardware cannot manage so much memory or swap, or memory is too small to run in.
    pub fn new(hardware: P::Hardware, config: Config) -> Result<Self, ConfigError> {
        let page = P::page(&hardware);
        let Config { frames, swap_slots: slots, .. } = config;
        let minimum = Self::frames_min(&hardware)
            - P::machine_tables(&hardware)
            - PAGES_PER_INSTRUCTION.saturating_sub(config.instruction_pages)
            + Self::machine_frames(&hardware, &config)?;
        if frames < minimum {
            return Err(ConfigError::TooFewFrames { frames, minimum, page });
        }
        // Frame numbers have 32 bits in the frame table, and two of them mean something else.
        let maximum = P::frames_max(&hardware).min(u64::from(u32::MAX) - 2);
        if frames > maximum {
            return Err(ConfigError::TooManyFrames { frames, maximum, page });
        }
        let maximum = Self::slots_max(&hardware);
        if slots > maximum {
            return Err(ConfigError::TooManySlots { slots, maximum });
        }
        let large = P::large_page(&hardware);
        let run_order = large.map_or(RUN_ORDER, |size| size.shift() - page.shift());
        let scaled = Watermarks::scaled(frames, page.bytes(), Self::fault_frames_max(&hardware));
        let mut table = FrameTable::new(frames as u32, run_order);
        let machine_frames = Self::machine_frames(&hardware, &config)?;
        for _ in 0..machine_frames {
            table.allocate(Use::MachineTable).expect("more frames than the minimum");
        }
        Ok(Self {
            marks: config.watermarks.unwrap_or(scaled),
            frames: table,
            cache: PageCache::default(),
            swap: SwapMap::new(&[SwapDevice { slots: slots as u32, priority: FIRST_PRIORITY }]),
            swap_cache: SwapCache::default(),
            read_ahead: ReadAhead::new(config.read_ahead),
            objects: Objects::default(),
            slot_hand: 0,
            policy: config.policy.build(frames, config.seed),
            clock: PolicyClock::default(),
            zeroing: Zeroing::default(),
            laundering: LaunderAhead::default(),
            identities: Identities::default(),
            spaces: Vec::new(),
            counters: Vmstat::default(),
            recent: Recent::default(),
            names: NameTable::default(),
            ksm: Ksm::default(),
            khugepaged: Khugepaged::new(large.map(|size| 1 << (size.shift() - page.shift()))),
            refusals: Refusals::default(),
            groups: Vec::new(),
            root_group: None,
            oom_kills: Vec::new(),
            sharing: Sharing::default(),
            regions_bound: 0,
            refused: RefusedFrames::default(),
            transfers: Transfers::default(),
            large: large.filter(|_| config.huge != HugePolicy::Never),
            machine_frames,
            kernel_map: None,
            hardware,
            page,
            config,
        })
    }

    /// Cuts swap space into devices, in place of the one of [`Config::swap_slots`]. To be called
    /// before there is an address space. A device without slots is none.
    ///
    /// # Errors
    /// If page-table entries cannot name so many slots.
    ///
    /// # Panics
    /// If there are more than [`SWAP_DEVICES_MAX`](crate::SWAP_DEVICES_MAX), or a slot is in use.
    pub fn set_swap_devices(&mut self, devices: &[SwapDevice]) -> Result<(), ConfigError> {
        assert!(devices.len() <= SWAP_DEVICES_MAX && self.swap.used() == 0, "{devices:?}");
        let slots = devices.iter().map(|device| u64::from(device.slots)).sum();
        let maximum = Self::slots_max(&self.hardware);
        if slots > maximum {
            return Err(ConfigError::TooManySlots { slots, maximum });
        }
        self.swap = SwapMap::new(devices);
        Ok(())
    }

    /// The platform is told of slots that become free ([`Platform::swap_freed`]).
    pub fn tell_freed_slots(&mut self) {
        self.swap.keep_freed();
    }

    /// The most slots: the map numbers them with 32 bits.
    fn slots_max(hardware: &P::Hardware) -> u64 {
        P::slots_max(hardware).min(u64::from(u32::MAX))
    }

    /// Frames for the tables of the machine and of the kernel.
    fn machine_frames(hardware: &P::Hardware, config: &Config) -> Result<u64, ConfigError> {
        let machine = P::machine_tables(hardware);
        if config.kernel == KernelMapping::Absent {
            return Ok(machine);
        }
        let ram = config.frames << P::page(hardware).shift();
        let maximum = P::kernel_window(hardware).map_or(0, |(_, bytes)| bytes);
        match ram <= maximum {
            true => Ok(machine + P::kernel_tables(hardware, ram)),
            false => Err(ConfigError::KernelWindow { ram, maximum }),
        }
    }

    /// Makes what all spaces share, before there is one.
    fn boot(&mut self, platform: &mut impl Platform) {
        let tables = P::machine_tables(&self.hardware);
        (0..tables).for_each(|pfn| platform.zero_frame(Pfn(pfn)));
        if self.config.kernel != KernelMapping::Absent {
            let bytes = self.frames.total() << self.page.shift();
            let (mapping, first) = (self.config.kernel, Pfn(tables));
            self.kernel_map = P::build_kernel(&self.hardware, platform, mapping, first, bytes);
        }
    }

    /// The fewest frames in which a program can run: the tables of four separate paths (text and
    /// data, heap, mappings, stack), the pages that one instruction can touch, and what the next
    /// fault takes.
    pub fn frames_min(hardware: &P::Hardware) -> u64 {
        P::machine_tables(hardware)
            + P::tables_initial(hardware)
            + 4 * P::tables_per_path(hardware)
            + PAGES_PER_INSTRUCTION
            + Self::fault_frames_max(hardware)
    }

    /// The most frames that one fault takes: a path of tables, a page and the page it is copied
    /// from.
    pub(crate) fn fault_frames_max(hardware: &P::Hardware) -> u64 {
        P::tables_per_path(hardware) + 2
    }

    /// Makes an empty address space.
    ///
    /// # Errors
    /// If there is no memory for its page tables, or the layout does not fit the hardware.
    pub fn create_space(
        &mut self,
        platform: &mut impl Platform,
        layout: Layout,
    ) -> Result<SpaceId, KernelError> {
        self.check_layout(&layout)?;
        if self.spaces.is_empty() {
            self.boot(platform);
        }
        let index = self.spaces.iter().position(Option::is_none).unwrap_or(self.spaces.len());
        // Identifier 0 is the kernel's own, where hardware does not tag.
        let asid = u16::try_from(index + 1).map(Asid).map_err(|_| KernelError::TooManySpaces)?;
        let (count, root) = (P::tables_initial(&self.hardware), P::root_frames(&self.hardware));
        let align = P::root_alignment(&self.hardware);
        self.reserve_run(platform, count, root, align).map_err(KernelError::OutOfMemory)?;
        let mut pmap = P::create(&self.hardware, platform, &mut self.frames, asid);
        if let Some(map) = self.kernel_map.filter(|map| map.mapping == KernelMapping::Shared) {
            pmap.share_kernel(platform, &mut self.frames, &map);
        }
        if self.config.self_map && pmap.map_itself(platform, &mut self.frames).is_none() {
            pmap.destroy(platform, &mut self.frames);
            return Err(KernelError::NoSelfMap);
        }
        let space = Space {
            pmap,
            asid,
            serial: self.identities.new_space(),
            epoch: 0,
            layout,
            regions: RegionSet::default(),
            heap_start: layout.user_start,
            heap_end: layout.user_start,
            limits: MemoryLimits::stack(layout.stack_limit),
            set: self.new_resident_set(),
            group: None,
            swap_full: false,
            oom_score_adj: 0,
            is_killed: false,
            future_lock: RegionFlags::empty(),
            residency: Residency::default(),
        };
        if index == self.spaces.len() {
            self.spaces.push(None);
        }
        self.spaces[index] = Some(space);
        Ok(SpaceId(index as u32))
    }

    fn check_layout(&self, layout: &Layout) -> Result<(), KernelError> {
        let bounds = [layout.user_start, layout.mmap_base, layout.stack_top, layout.user_end];
        let ordered = layout.user_start < layout.mmap_base
            && layout.mmap_base <= layout.user_end
            && layout.stack_top <= layout.user_end;
        let aligned = bounds.iter().all(|bound| bound.offset(self.page) == 0);
        let fits = layout.user_end <= P::user_end_max(&self.hardware);
        if ordered && aligned && fits { Ok(()) } else { Err(KernelError::BadLayout) }
    }

    /// Ends an address space: everything that it alone used is free again. Pages of files stay in
    /// the cache; dirty ones that nobody else maps are written back.
    pub fn destroy_space(&mut self, platform: &mut impl Platform, id: SpaceId) {
        self.empty_space(platform, id);
        if let Some(space) = self.spaces[id.0 as usize].take() {
            self.discharge(platform, crate::FlushDebt::space(space.asid));
            space.pmap.destroy(platform, &mut self.frames);
        }
    }

    /// Lets go of all that a space has mapped.
    pub(crate) fn empty_space(&mut self, platform: &mut impl Platform, id: SpaceId) {
        let layout = self.space(id).layout;
        self.note_sharing(platform, id);
        self.leave_tables(platform, id, VirtAddr(0), layout.user_end);
        self.clear_pages(platform, id, VirtAddr(0), layout.user_end);
        self.space_mut(id).regions.remove(VirtAddr(0), layout.user_end);
        self.settle_mapped(platform, id);
    }

    /// What happened so far.
    pub fn counters(&self) -> &Vmstat {
        &self.counters
    }

    /// How the frames are used.
    pub fn frames(&self) -> FrameSummary {
        self.frames.summary()
    }

    /// Gives pages the free frames of `order` first, in this order.
    pub fn give_in_order(&mut self, order: &[Pfn]) {
        self.frames.hold(order);
    }

    /// The frame table.
    pub fn frame_table(&self) -> &FrameTable {
        &self.frames
    }

    /// How the swap slots are used.
    pub fn swap(&self) -> &SwapMap {
        &self.swap
    }

    /// The watermarks in force.
    pub fn watermarks(&self) -> Watermarks {
        self.marks
    }

    /// What the kernel was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The base page.
    pub fn page(&self) -> PageSize {
        self.page
    }

    /// What a space holds.
    pub fn residency(&self, id: SpaceId) -> Residency {
        let space = self.space(id);
        Residency { page_tables: space.pmap.tables(), ..space.residency }
    }

    /// A space's regions, lowest first.
    pub fn regions(&self, id: SpaceId) -> impl DoubleEndedIterator<Item = &Region> {
        self.space(id).regions.iter()
    }

    /// The region of a space that holds an address.
    pub fn region(&self, id: SpaceId, va: VirtAddr) -> Option<&Region> {
        self.space(id).regions.find(va)
    }

    /// Lets the current processor run in a space.
    pub fn activate(&self, platform: &mut impl Platform, id: SpaceId) {
        let space = self.space(id);
        platform.load_root(space.asid, space.pmap.root());
    }

    /// How large a space's regions are together.
    pub fn vm_sizes(&self, id: SpaceId) -> VmSizes {
        self.space(id).regions.sizes()
    }

    /// A space's bounds.
    pub fn layout(&self, id: SpaceId) -> Layout {
        self.space(id).layout
    }

    /// A space's identifier in the TLB.
    pub fn asid(&self, id: SpaceId) -> Asid {
        self.space(id).asid
    }

    /// Where the kernel's own memory is mapped, once there is a space.
    pub fn kernel_map(&self) -> Option<&KernelMap> {
        self.kernel_map.as_ref()
    }

    /// Frames of the tables of that map.
    pub fn kernel_map_tables(&self) -> u64 {
        self.machine_frames - P::machine_tables(&self.hardware)
    }

    /// A space's root table.
    pub fn root(&self, id: SpaceId) -> PhysAddr {
        self.space(id).pmap.root()
    }

    /// What backs a page now.
    pub fn lookup(&self, platform: &impl Platform, id: SpaceId, va: VirtAddr) -> Mapping {
        self.space(id).pmap.lookup(platform, va)
    }

    /// # Panics
    /// If the space does not exist: identifiers come from [`Kernel::create_space`] alone.
    pub(crate) fn space(&self, id: SpaceId) -> &Space<P> {
        self.spaces[id.0 as usize].as_ref().expect("a space in use")
    }

    pub(crate) fn space_mut(&mut self, id: SpaceId) -> &mut Space<P> {
        space_in(&mut self.spaces, id)
    }

    /// Maps a frame, and notes that it is mapped.
    pub(crate) fn map_frame(
        &mut self,
        platform: &mut impl Platform,
        mapping: ReverseMapping,
        new: Resident,
    ) {
        let ReverseMapping { space: id, va } = mapping;
        let anon = matches!(self.frames.used(new.pfn), Use::Anon { .. });
        let space = space_in(&mut self.spaces, id);
        space.pmap.enter(platform, &mut self.frames, va, new);
        if space.pmap.shared_at(va).is_some() {
            return self.note_mapped_for_all(mapping, new.pfn, anon);
        }
        space.residency.add_page(anon);
        if let Some(set) = &mut space.set {
            set.join(new.pfn);
        }
        self.frames.add_mapping(new.pfn, mapping);
    }

    /// Notes that a frame is mapped in a shared table.
    #[cold]
    fn note_mapped_for_all(&mut self, mapping: ReverseMapping, pfn: Pfn, anon: bool) {
        self.each_owner(mapping, |residency| residency.add_page(anon));
        let first = self.stand_in(mapping);
        self.frames.add_mapping(pfn, first);
        for id in self.other_owners(mapping).into_iter().chain([mapping.space]) {
            if let Some(set) = &mut self.space_mut(id).set {
                set.join(pfn);
            }
        }
    }

    /// Notes that a frame is no longer mapped there; its page-table entry is gone and flushed.
    /// Returns how many mappings are left.
    pub(crate) fn note_unmapped(&mut self, mapping: ReverseMapping, was: Resident) -> u32 {
        let anon = matches!(self.frames.used(was.pfn), Use::Anon { .. });
        self.each_owner(mapping, |residency| {
            *(if anon { &mut residency.rss_anon } else { &mut residency.rss_file }) -= 1;
        });
        let first = self.stand_in(mapping);
        let left = self.frames.remove_mapping(was.pfn, first);
        if self.space(mapping.space).set.is_some() {
            self.leave_set(mapping.space, was.pfn);
        }
        if first != mapping || self.frames.has_shared_tables() {
            for other in self.other_owners(mapping) {
                if self.space(other).set.is_some() {
                    self.leave_set(other, was.pfn);
                }
            }
        }
        left
    }

    /// A frame for a page; the caller reserved it.
    pub(crate) fn allocate_page(&mut self, used: Use) -> Pfn {
        self.counters.pgalloc += 1;
        self.frames.allocate(used).expect("the fault reserved its frames")
    }

    /// The most frames that could hold pages at any one time since this was asked last: those that
    /// were not page tables' all the while.
    pub fn take_most_page_frames(&mut self) -> u64 {
        self.frames.total() - self.frames.take_fewest_tables()
    }

    /// What the replacement policy keeps, by the names of its queues.
    pub fn policy_queues(&self) -> Vec<(&'static str, Vec<Pfn>)> {
        self.policy.queues()
    }

    /// The replacement policy, to be told of references that the kernel does not see.
    pub fn policy_mut(&mut self) -> &mut dyn Policy {
        self.policy.as_mut()
    }

    /// The frames that hold pages of the platform's files: which file's, and from which offset on.
    pub fn file_pages(&self) -> impl Iterator<Item = (Pfn, FileId, u64)> + '_ {
        (0..self.frames.total()).map(Pfn).filter_map(|pfn| match self.frames.used(pfn) {
            Use::File { file, index, .. } if !file.is_memory() => {
                Some((pfn, file, u64::from(index) << self.page.shift()))
            }
            _ => None,
        })
    }

    /// Frees the frame of a page that nothing maps; the slot that it kept is free if nobody names it.
    pub(crate) fn free_page(&mut self, pfn: Pfn) {
        match self.frames.used(pfn) {
            Use::Anon { .. } => self.forget_slot(pfn),
            Use::File { file, .. } => {
                self.cache.remove(&self.frames, pfn);
                if let Some(object) = self.objects.get_mut(file) {
                    object.resident -= 1;
                }
            }
            _ => {}
        }
        self.recent.remove(pfn);
        self.policy.remove(pfn);
        self.frames.release(pfn);
        self.counters.pgfree += 1;
    }

    /// Unmaps everything in a range, and frees what nothing else needs.
    pub(crate) fn clear_pages(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        from: VirtAddr,
        to: VirtAddr,
    ) {
        platform.pages_gone(id, from, to);
        self.space_mut(id).epoch += 1;
        let mut gather = Gather::default();
        let mut next = Some(from);
        while let Some(from) = next {
            let space = space_in(&mut self.spaces, id);
            next = space.pmap.clear_range(platform, &mut self.frames, from, to, &mut gather);
            self.release_gathered(platform, id, &mut gather);
        }
    }
}
