//! [`UserMemory`] over the kernel: an address space, the kernel that manages it, and the machine
//! below, borrowed together for one system call.

use crate::errno::Errno;
use crate::memory::{PageEntry, SwapUsage, Usage, UserMemory};
use pagewalk_kernel::{
    Advice, CollapseSettings, Commitment, CopyError, FileId, FrameSummary, Group, GroupId,
    GroupLimits, GroupUse, Kernel, Khugepaged, KsmStats, Layout, Lock, MapRequest, Mapping,
    MemoryLimits, Merging, Msync, ObjectPages, OomKill, Overcommit, Placement, Platform, Pmap,
    Prot, Region, RegionUsage, Remap, Residency, Shortage, SpaceId, SwapArea, Use, Vmstat,
};
use pagewalk_mmu::VirtAddr;
use std::ops::Range;

/// A process's memory.
pub struct KernelMemory<'a, P: Pmap, M: Platform> {
    kernel: &'a mut Kernel<P>,
    platform: &'a mut M,
    space: SpaceId,
    shortage: Option<Shortage>,
    low_code: bool,
}

impl<'a, P: Pmap, M: Platform> KernelMemory<'a, P, M> {
    /// The memory of an address space.
    pub fn new(kernel: &'a mut Kernel<P>, platform: &'a mut M, space: SpaceId) -> Self {
        Self { kernel, platform, space, shortage: None, low_code: false }
    }

    /// Puts executable mappings as low as they fit, below data, for hardware whose code segment
    /// ends where the last of them does (Exec Shield's "ASCII armour").
    pub fn with_low_code(self) -> Self {
        Self { low_code: true, ..self }
    }

    /// The lowest gap for `len` bytes.
    fn lowest_gap(&self, len: u64) -> VirtAddr {
        let mut at = self.layout().user_start;
        for region in self.kernel.regions(self.space) {
            if region.start.0.saturating_sub(at.0) >= len {
                break;
            }
            at = region.end;
        }
        at
    }

    fn layout(&self) -> Layout {
        self.kernel.layout(self.space)
    }

    /// What the program sees of a failed copy. Want of memory is not its fault and not an error
    /// number: it is remembered, and the process killed.
    fn copied(&mut self, result: Result<(), CopyError>) -> Result<(), Errno> {
        if let Err(CopyError::OutOfMemory(shortage)) = result {
            self.shortage = Some(shortage);
        }
        result.map_err(|_| Errno::EFAULT)
    }
}

impl From<pagewalk_kernel::Errno> for Errno {
    fn from(error: pagewalk_kernel::Errno) -> Self {
        // All of the kernel's numbers are small.
        Self(error.number() as u16)
    }
}

impl From<pagewalk_kernel::IoError> for Errno {
    fn from(error: pagewalk_kernel::IoError) -> Self {
        pagewalk_kernel::Errno::from(error).into()
    }
}

fn file_range(offset: u64, len: u64) -> Range<u64> {
    offset..offset.saturating_add(len)
}

impl<P: Pmap, M: Platform> UserMemory for KernelMemory<'_, P, M> {
    fn page_bytes(&self) -> u64 {
        self.kernel.page().bytes()
    }

    fn user_end(&self) -> u64 {
        self.layout().user_end.0
    }

    fn stack_top(&self) -> u64 {
        self.layout().stack_top.0
    }

    fn stack_limit(&self) -> u64 {
        self.layout().stack_limit
    }

    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let result = self.kernel.copy_in(self.platform, self.space, VirtAddr(at), buf);
        self.copied(result)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        let result = self.kernel.copy_out(self.platform, self.space, VirtAddr(at), bytes);
        self.copied(result)
    }

    fn check_place(&self, place: Placement, len: u64) -> Result<(), Errno> {
        Ok(self.kernel.place(self.space, place, len).map(|_| ())?)
    }

    fn map(&mut self, mut request: MapRequest) -> Result<u64, Errno> {
        if self.low_code
            && request.prot.contains(Prot::EXEC)
            && request.place == (Placement::Anywhere { hint: VirtAddr(0) })
        {
            let len = request.len.checked_next_multiple_of(self.page_bytes());
            let hint = self.lowest_gap(len.ok_or(Errno::ENOMEM)?);
            request.place = Placement::Anywhere { hint };
        }
        Ok(self.kernel.mmap(self.platform, self.space, request)?.0)
    }

    fn unmap(&mut self, at: u64, len: u64) -> Result<(), Errno> {
        Ok(self.kernel.munmap(self.platform, self.space, VirtAddr(at), len)?)
    }

    fn protect(&mut self, at: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        Ok(self.kernel.mprotect(self.platform, self.space, VirtAddr(at), len, prot)?)
    }

    fn remap(&mut self, at: u64, old: u64, new: u64, how: Remap) -> Result<u64, Errno> {
        Ok(self.kernel.mremap(self.platform, self.space, VirtAddr(at), old, new, how)?.0)
    }

    fn set_heap_start(&mut self, at: u64) {
        self.kernel.set_heap_start(self.space, VirtAddr(at));
    }

    fn brk(&mut self, end: u64) -> u64 {
        self.kernel.brk(self.platform, self.space, VirtAddr(end)).0
    }

    fn advise(&mut self, at: u64, len: u64, advice: Advice) -> Result<(), Errno> {
        Ok(self.kernel.madvise(self.platform, self.space, VirtAddr(at), len, advice)?)
    }

    fn lock(&mut self, at: u64, len: u64, lock: Lock) -> Result<(), Errno> {
        Ok(self.kernel.mlock(self.platform, self.space, VirtAddr(at), len, lock)?)
    }

    fn lock_all(&mut self, current: Option<Lock>, future: Lock) -> Result<(), Errno> {
        Ok(self.kernel.mlockall(self.platform, self.space, current, future)?)
    }

    fn protect_stack(&mut self, at: u64, len: u64, prot: Prot) -> Result<(), Errno> {
        Ok(self.kernel.mprotect_stack(self.platform, self.space, VirtAddr(at), len, prot)?)
    }

    fn remap_file_pages(&mut self, at: u64, len: u64, index: u64) -> Result<(), Errno> {
        Ok(self.kernel.remap_file_pages(self.platform, self.space, VirtAddr(at), len, index)?)
    }

    fn name_memory(&mut self, at: u64, len: u64, name: Option<&[u8]>) -> Result<(), Errno> {
        Ok(self.kernel.name_range(self.platform, self.space, VirtAddr(at), len, name)?)
    }

    fn set_limits(&mut self, limits: MemoryLimits) {
        self.kernel.set_limits(self.space, limits);
        if limits.resident != u64::MAX {
            self.kernel.need_resident_set(self.platform, self.space);
        }
    }

    fn swap_devices(&self) -> Vec<SwapUsage> {
        let of = |area: &SwapArea| SwapUsage {
            total: area.total(),
            used: area.used(),
            priority: area.priority(),
            is_on: area.is_on(),
        };
        self.kernel.swap().areas().iter().map(of).collect()
    }

    fn swap_off(&mut self, device: usize) -> Result<(), Errno> {
        Ok(self.kernel.swap_off(self.platform, device)?)
    }

    fn swap_on(&mut self, device: usize, priority: Option<i32>) -> Result<(), Errno> {
        Ok(self.kernel.swap_on(device, priority)?)
    }

    fn sync(&mut self, at: u64, len: u64, how: Msync) -> Result<(), Errno> {
        Ok(self.kernel.msync(self.platform, self.space, VirtAddr(at), len, how)?)
    }

    fn resident(&mut self, at: u64, out: &mut [u8]) -> Result<usize, Errno> {
        Ok(self.kernel.mincore(self.platform, self.space, VirtAddr(at), out)?)
    }

    fn before_file_read(&mut self, file: FileId, offset: u64, len: u64) -> Result<(), Errno> {
        Ok(self.kernel.sync_file(self.platform, file, file_range(offset, len))?)
    }

    fn file_changed(&mut self, file: FileId, offset: u64, len: u64) -> Result<(), Errno> {
        Ok(self.kernel.file_changed(self.platform, file, file_range(offset, len))?)
    }

    fn file_resized(&mut self, file: FileId, before: u64, len: u64) -> Result<(), Errno> {
        Ok(self.kernel.file_resized(self.platform, file, before, len)?)
    }

    fn create_object(&mut self, len: u64) -> Result<FileId, Errno> {
        Ok(self.kernel.create_object(len)?)
    }

    fn retain_object(&mut self, file: FileId) -> Result<(), Errno> {
        self.kernel.retain_object(file);
        Ok(())
    }

    fn release_object(&mut self, file: FileId) -> Result<(), Errno> {
        self.kernel.release_object(self.platform, file);
        Ok(())
    }

    fn object_len(&self, file: FileId) -> Result<u64, Errno> {
        self.kernel.object_len(file).ok_or(Errno::EINVAL)
    }

    fn set_object_len(&mut self, file: FileId, len: u64) -> Result<(), Errno> {
        Ok(self.kernel.set_object_len(self.platform, file, len)?)
    }

    fn read_object(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        Ok(self.kernel.read_object(self.platform, file, offset, buf)?)
    }

    fn write_object(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        Ok(self.kernel.write_object(self.platform, file, offset, bytes)?)
    }

    fn punch_object(&mut self, file: FileId, range: Range<u64>) -> Result<(), Errno> {
        Ok(self.kernel.punch_object(self.platform, file, range)?)
    }

    fn object_data(&self, file: FileId, offset: u64) -> Result<u64, Errno> {
        self.kernel.object_data(file, offset).ok_or(Errno::ENXIO)
    }

    fn object_hole(&self, file: FileId, offset: u64) -> Result<u64, Errno> {
        self.kernel.object_hole(file, offset).ok_or(Errno::ENXIO)
    }

    fn object_pages(&self, file: FileId) -> Result<ObjectPages, Errno> {
        Ok(self.kernel.object_pages(file))
    }

    fn mapped_bytes(&self, file: FileId) -> u64 {
        self.kernel.mapped_bytes(file)
    }

    fn forget_file(&mut self, file: FileId) -> bool {
        self.kernel.forget_file(self.platform, file)
    }

    fn regions(&self, space: SpaceId) -> Vec<Region> {
        self.kernel.regions(space).copied().collect()
    }

    fn smaps(&self, space: SpaceId) -> Vec<RegionUsage> {
        self.kernel.smaps(self.platform, space)
    }

    fn anonymous_name(&self, region: &Region) -> Vec<u8> {
        self.kernel.region_name(region).unwrap_or_default().to_vec()
    }

    fn residency(&self, space: SpaceId) -> Residency {
        self.kernel.residency(space)
    }

    fn page_entry(&self, space: SpaceId, at: u64) -> PageEntry {
        match self.kernel.lookup(self.platform, space, VirtAddr(at)) {
            Mapping::None => PageEntry::None,
            Mapping::Resident(resident) => PageEntry::Present {
                frame: resident.pfn.0,
                is_file: matches!(self.kernel.frame_table().used(resident.pfn), Use::File { .. }),
                is_exclusive: self.kernel.owners(resident.pfn) == 1,
            },
            Mapping::Swapped(slot) => {
                let (device, slot) = self.kernel.swap().place(slot);
                PageEntry::Swapped { device: device as u64, slot: slot.into() }
            }
        }
    }

    fn counters(&self) -> Vmstat {
        *self.kernel.counters()
    }

    fn frames(&self) -> FrameSummary {
        self.kernel.frames()
    }

    fn locks_future(&self) -> bool {
        self.kernel.locks_future(self.space)
    }

    fn ksm(&self) -> KsmStats {
        self.kernel.ksm()
    }

    fn set_merging(&mut self, merging: Merging) -> Result<(), Errno> {
        Ok(self.kernel.set_merging(self.platform, merging)?)
    }

    fn khugepaged(&self) -> Option<Khugepaged> {
        self.kernel.collapses().then(|| *self.kernel.khugepaged())
    }

    fn set_collapse(&mut self, settings: CollapseSettings) {
        self.kernel.set_collapse(settings);
    }

    fn group_of(&self, space: SpaceId) -> Option<GroupId> {
        self.kernel.group_of(space)
    }

    fn root_group(&self) -> Option<GroupId> {
        self.kernel.root_group()
    }

    fn group(&self, group: GroupId) -> Option<(Group, GroupUse)> {
        Some((*self.kernel.group(group)?, self.kernel.group_use(group)))
    }

    fn create_group(&mut self, parent: Option<GroupId>) -> Result<GroupId, Errno> {
        Ok(self.kernel.create_group_in(parent)?)
    }

    fn remove_group(&mut self, group: GroupId) -> Result<(), Errno> {
        Ok(self.kernel.remove_group(group)?)
    }

    fn join_group(&mut self, space: SpaceId, group: Option<GroupId>) -> Result<(), Errno> {
        Ok(self.kernel.join_group(self.platform, space, group)?)
    }

    fn set_group_limits(&mut self, group: GroupId, limits: GroupLimits) {
        self.kernel.set_group_limits(self.platform, group, limits);
    }

    fn set_overcommit(&mut self, overcommit: Overcommit) {
        self.kernel.set_overcommit(overcommit);
    }

    fn set_overcommit_ratio(&mut self, percent: u64) {
        self.kernel.set_overcommit_ratio(percent);
    }

    fn commitment(&self) -> Option<Commitment> {
        Some(self.kernel.commitment())
    }

    fn large_page_bytes(&self) -> Option<u64> {
        self.kernel.large_page().map(|page| page.bytes())
    }

    fn space(&self) -> SpaceId {
        self.space
    }

    fn switch_space(&mut self, to: SpaceId) {
        self.space = to;
    }

    fn create_space(&mut self) -> Result<SpaceId, Errno> {
        let (layout, adj) = (self.layout(), self.kernel.oom_score_adj(self.space));
        let new = self.kernel.create_space(self.platform, layout).map_err(|_| Errno::ENOMEM)?;
        self.kernel.set_oom_score_adj(new, adj);
        let group = self.kernel.group_of(self.space);
        self.kernel.join_group(self.platform, new, group)?;
        Ok(new)
    }

    fn fork_space(&mut self) -> Result<SpaceId, Errno> {
        self.kernel.fork_space(self.platform, self.space).map_err(|_| Errno::ENOMEM)
    }

    fn destroy_space(&mut self, id: SpaceId) {
        self.kernel.destroy_space(self.platform, id);
    }

    fn shared_place(&self, at: u64) -> Option<(FileId, u64)> {
        let region = self.kernel.region(self.space, VirtAddr(at)).filter(|region| region.shared)?;
        region.file_at(VirtAddr(at))
    }

    fn usage(&self) -> Usage {
        let frames = self.kernel.frames();
        let (counters, swap) = (self.kernel.counters(), self.kernel.swap());
        Usage {
            total: frames.total,
            free: frames.free,
            swap_total: swap.capacity(),
            swap_free: swap.available(),
            peak_resident: self.kernel.residency(self.space).peak_rss,
            minor_faults: counters.pgfault.saturating_sub(counters.pgmajfault),
            major_faults: counters.pgmajfault,
        }
    }

    fn set_oom_score_adj(&mut self, space: SpaceId, adj: i16) {
        self.kernel.set_oom_score_adj(space, adj);
    }

    fn oom_score(&self, space: SpaceId) -> u64 {
        self.kernel.oom_score(space)
    }

    fn take_oom_kills(&mut self) -> Vec<OomKill> {
        self.kernel.take_oom_kills()
    }

    fn shortage(&self) -> Option<Shortage> {
        self.shortage
    }
}
