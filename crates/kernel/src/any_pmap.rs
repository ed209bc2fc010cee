//! The page tables of any machine as a [`Pmap`], chosen at run time.

use crate::pmap::{Gather, OnWrite, TableInUse, TableShared, Unmapped};
use crate::{
    AuditError, FlushDebt, FrameTable, HashedPmap, KernelMap, KernelMapping, LargePage, Mapping,
    Platform, Pmap, Prot, RadixPmap, Resident, SwapSlot,
};
use alloc::vec::Vec;
use pagewalk_mmu::radix::Format;
use pagewalk_mmu::{Asid, Level, PageSize, Pfn, PhysAddr, Tables, VirtAddr};

/// One address space's page tables, of the kind that the machine has.
#[derive(Clone, Debug)]
pub enum AnyPmap {
    /// A tree.
    Radix(RadixPmap<Format>),
    /// A space's part of the table that all share.
    Hashed(HashedPmap),
}

/// Asks the hardware's kind of pmap.
macro_rules! of_kind {
    ($hardware:expr, $function:ident $(, $argument:expr)*) => {
        match $hardware {
            Tables::Radix(format) => RadixPmap::$function(format $(, $argument)*),
            Tables::Hashed(table) => HashedPmap::$function(table $(, $argument)*),
        }
    };
}

/// Runs `$body` with `$pmap` bound to the pmap of its kind.
macro_rules! each {
    ($self:expr, $pmap:ident => $body:expr) => {
        match $self {
            AnyPmap::Radix($pmap) => $body,
            AnyPmap::Hashed($pmap) => $body,
        }
    };
}

impl Pmap for AnyPmap {
    type Hardware = Tables;

    fn page(hardware: &Tables) -> PageSize {
        of_kind!(hardware, page)
    }

    fn frames_max(hardware: &Tables) -> u64 {
        of_kind!(hardware, frames_max)
    }

    fn user_end_max(hardware: &Tables) -> VirtAddr {
        of_kind!(hardware, user_end_max)
    }

    fn slots_max(hardware: &Tables) -> u64 {
        of_kind!(hardware, slots_max)
    }

    fn machine_tables(hardware: &Tables) -> u64 {
        of_kind!(hardware, machine_tables)
    }

    fn kernel_window(hardware: &Tables) -> Option<(VirtAddr, u64)> {
        of_kind!(hardware, kernel_window)
    }

    fn kernel_tables(hardware: &Tables, bytes: u64) -> u64 {
        of_kind!(hardware, kernel_tables, bytes)
    }

    fn build_kernel(
        hardware: &Tables,
        platform: &mut impl Platform,
        mapping: KernelMapping,
        first: Pfn,
        bytes: u64,
    ) -> Option<KernelMap> {
        of_kind!(hardware, build_kernel, platform, mapping, first, bytes)
    }

    fn share_kernel(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        map: &KernelMap,
    ) {
        each!(self, pmap => pmap.share_kernel(platform, frames, map));
    }

    fn map_itself(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
    ) -> Option<VirtAddr> {
        each!(self, pmap => pmap.map_itself(platform, frames))
    }

    fn tables_initial(hardware: &Tables) -> u64 {
        of_kind!(hardware, tables_initial)
    }

    fn root_frames(hardware: &Tables) -> u64 {
        of_kind!(hardware, root_frames)
    }

    fn root_alignment(hardware: &Tables) -> u64 {
        of_kind!(hardware, root_alignment)
    }

    fn tables_per_path(hardware: &Tables) -> u64 {
        of_kind!(hardware, tables_per_path)
    }

    fn create(
        hardware: &Tables,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        asid: Asid,
    ) -> Self {
        match hardware {
            Tables::Radix(format) => Self::Radix(RadixPmap::create(format, platform, frames, asid)),
            Tables::Hashed(table) => {
                Self::Hashed(HashedPmap::create(table, platform, frames, asid))
            }
        }
    }

    fn root(&self) -> PhysAddr {
        each!(self, pmap => pmap.root())
    }

    fn tables(&self) -> u64 {
        each!(self, pmap => pmap.tables())
    }

    fn destroy(self, platform: &mut impl Platform, frames: &mut FrameTable) {
        each!(self, pmap => pmap.destroy(platform, frames));
    }

    fn lookup(&self, platform: &impl Platform, va: VirtAddr) -> Mapping {
        each!(self, pmap => pmap.lookup(platform, va))
    }

    fn table(&self, platform: &impl Platform, va: VirtAddr, level: Level) -> Option<Pfn> {
        each!(self, pmap => pmap.table(platform, va, level))
    }

    fn tables_missing(&self, platform: &impl Platform, va: VirtAddr) -> u64 {
        each!(self, pmap => pmap.tables_missing(platform, va))
    }

    fn refill(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> bool {
        each!(self, pmap => pmap.refill(platform, frames, va))
    }

    fn enter(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        new: Resident,
    ) {
        each!(self, pmap => pmap.enter(platform, frames, va, new));
    }

    fn large_page(hardware: &Tables) -> Option<PageSize> {
        of_kind!(hardware, large_page)
    }

    fn large_at(&self, platform: &impl Platform, va: VirtAddr) -> Option<LargePage> {
        each!(self, pmap => pmap.large_at(platform, va))
    }

    fn has_room_for_large(&self, platform: &impl Platform, va: VirtAddr) -> bool {
        each!(self, pmap => pmap.has_room_for_large(platform, va))
    }

    fn enter_large(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        first: Resident,
    ) {
        each!(self, pmap => pmap.enter_large(platform, frames, va, first));
    }

    fn split(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> Option<(LargePage, FlushDebt)> {
        each!(self, pmap => pmap.split(platform, frames, va))
    }

    fn evict(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        slot: Option<SwapSlot>,
    ) -> Option<Unmapped> {
        each!(self, pmap => pmap.evict(platform, frames, va, slot))
    }

    fn take_slot(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
    ) -> Option<SwapSlot> {
        each!(self, pmap => pmap.take_slot(platform, frames, va))
    }

    fn put_slot(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        slot: SwapSlot,
    ) {
        each!(self, pmap => pmap.put_slot(platform, frames, va, slot));
    }

    fn clear_range(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        from: VirtAddr,
        to: VirtAddr,
        gather: &mut Gather,
    ) -> Option<VirtAddr> {
        each!(self, pmap => pmap.clear_range(platform, frames, from, to, gather))
    }

    fn protect_range(
        &mut self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        from: VirtAddr,
        to: VirtAddr,
        prot: &mut dyn FnMut(Pfn) -> Prot,
    ) -> FlushDebt {
        each!(self, pmap => pmap.protect_range(platform, frames, from, to, prot))
    }

    fn share_range(
        &mut self,
        child: &mut Self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        range: (VirtAddr, VirtAddr),
        share: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> Mapping,
    ) -> (Option<VirtAddr>, FlushDebt) {
        match (self, child) {
            (Self::Radix(parent), Self::Radix(child)) => {
                parent.share_range(child, platform, frames, range, share)
            }
            (Self::Hashed(parent), Self::Hashed(child)) => {
                parent.share_range(child, platform, frames, range, share)
            }
            _ => unreachable!("all spaces of a machine have one kind of page tables"),
        }
    }

    fn next_mapping(
        &self,
        platform: &impl Platform,
        from: VirtAddr,
        to: VirtAddr,
    ) -> Option<(VirtAddr, Mapping)> {
        each!(self, pmap => pmap.next_mapping(platform, from, to))
    }

    fn take_referenced(
        &mut self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        va: VirtAddr,
    ) -> Option<FlushDebt> {
        each!(self, pmap => pmap.take_referenced(platform, frames, va))
    }

    fn take_modified(
        &mut self,
        platform: &mut impl Platform,
        frames: &FrameTable,
        va: VirtAddr,
    ) -> Option<FlushDebt> {
        each!(self, pmap => pmap.take_modified(platform, frames, va))
    }

    fn touch(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        store: bool,
    ) -> FlushDebt {
        each!(self, pmap => pmap.touch(platform, frames, va, store))
    }

    fn shared_span(hardware: &Tables) -> Option<PageSize> {
        of_kind!(hardware, shared_span)
    }

    #[inline]
    fn shared_at(&self, va: VirtAddr) -> Option<TableShared> {
        each!(self, pmap => pmap.shared_at(va))
    }

    fn next_shared(&self, from: VirtAddr, to: VirtAddr) -> Option<VirtAddr> {
        each!(self, pmap => pmap.next_shared(from, to))
    }

    fn visit_table(
        &self,
        platform: &impl Platform,
        va: VirtAddr,
        show: &mut impl FnMut(VirtAddr, Mapping),
    ) {
        each!(self, pmap => pmap.visit_table(platform, va, show));
    }

    fn begin_sharing(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        on_write: OnWrite,
    ) -> FlushDebt {
        each!(self, pmap => pmap.begin_sharing(platform, frames, va, on_write))
    }

    fn refer_to(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        shared: TableShared,
    ) {
        each!(self, pmap => pmap.refer_to(platform, frames, va, shared));
    }

    fn copy_table(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        copy: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> (Mapping, Mapping),
    ) -> FlushDebt {
        each!(self, pmap => pmap.copy_table(platform, frames, va, copy))
    }

    fn drop_table(
        &mut self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        va: VirtAddr,
        gather: &mut Gather,
    ) -> FlushDebt {
        each!(self, pmap => pmap.drop_table(platform, frames, va, gather))
    }

    fn end_sharing(&mut self, platform: &mut impl Platform, va: VirtAddr) -> FlushDebt {
        each!(self, pmap => pmap.end_sharing(platform, va))
    }

    fn audit_shared(
        &self,
        platform: &impl Platform,
        frames: &FrameTable,
    ) -> Result<u64, AuditError> {
        each!(self, pmap => pmap.audit_shared(platform, frames))
    }

    fn visit_tables(&self, platform: &impl Platform, visit: &mut dyn FnMut(TableInUse)) {
        each!(self, pmap => pmap.visit_tables(platform, visit));
    }

    fn audit_machine_tables(
        hardware: &Tables,
        platform: &impl Platform,
        spaces: &[&Self],
    ) -> Result<(), AuditError> {
        match hardware {
            Tables::Radix(_) => Ok(()),
            Tables::Hashed(table) => {
                let hashed = spaces.iter().filter_map(|space| match space {
                    Self::Hashed(pmap) => Some(pmap),
                    Self::Radix(_) => None,
                });
                let spaces: Vec<&HashedPmap> = hashed.collect();
                HashedPmap::audit_machine_tables(table, platform, &spaces)
            }
        }
    }
}
