//! Counters, with the names of /proc/vmstat where it has them.

use crate::Flushed;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What the kernel did since it was made. In pages where nothing else is said.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Vmstat {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Vmstat {
            /// The counters' names, in the order of [`Vmstat::iter`].
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// Names and values.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }
        }
    };
}

counters! {
    /// Page faults, minor and major, resolved or not.
    pgfault,
    /// Page faults that waited for a disk.
    pgmajfault,
    /// Bytes read from files into the page cache, in KiB, as Linux counts them.
    pgpgin,
    /// Bytes written from the page cache to files, in KiB.
    pgpgout,
    /// Pages read from swap.
    pswpin,
    /// Pages written to swap.
    pswpout,
    /// Frames allocated, page tables not included.
    pgalloc,
    /// Frames freed, page tables not included.
    pgfree,
    /// Frames that the page daemon looked at.
    pgscan_kswapd,
    /// Frames that were looked at because a fault found too few free.
    pgscan_direct,
    /// Frames that the page daemon freed.
    pgsteal_kswapd,
    /// Frames that a fault freed because it found too few free.
    pgsteal_direct,
    /// Frames that the periodic harvest of referenced bits looked at, or the search for pages that left
    /// the working set.
    pgscan_harvest,
    /// Pages evicted because the policy gave them up, though no frame was wanted.
    pgsurplus,
    /// Pages written ahead of need: clean, and still in memory.
    pglaunder,
    /// Of these, those that the daemon wrote while the swap devices had nothing to do.
    pglaunder_ahead,
    /// Frames that this daemon looked at.
    pgscan_launder,
    /// Pages that came back from swap.
    workingset_refault_anon,
    /// Pages of files that were read again after they were evicted, as far as that is remembered.
    workingset_refault_file,
    /// Pages evicted between the eviction of a page and its coming back, over all that came back.
    refault_distance,
    /// Pages that processes at the limit of their resident sets gave up for their own faults.
    pgsteal_own,
    /// Times that a fault found too few free frames (Linux: allocstall).
    allocstall,
    /// Times that the page daemon had something to do (Linux: kswapd wake-ups).
    pageoutrun,
    /// New pages of zeroes.
    pgzeroed,
    /// Free frames zeroed while a processor had nothing else to do.
    pgzero_ahead,
    /// New pages of zeroes whose frames were zeroed already.
    pgzero_hit,
    /// Faults that mapped a large page.
    thp_fault_alloc,
    /// Faults that would have mapped a large page, had a run of frames been free.
    thp_fault_fallback,
    /// Large pages split into base pages.
    thp_split_page,
    /// Runs of frames taken to collapse base pages into a large page.
    thp_collapse_alloc,
    /// Collapses that came to nothing because no run of frames was free.
    thp_collapse_alloc_failed,
    /// Base pages looked at to see whether they could be collapsed.
    thp_collapse_scan,
    /// Pages moved to another frame, so that a run of frames was free.
    pgmigrate_success,
    /// Frames looked at to see whether what they hold could move.
    compact_migrate_scanned,
    /// Runs of frames freed by moving pages.
    compact_success,
    /// Pages copied because a private page that is a file's, or that others own as well, was
    /// written to.
    cow_copied,
    /// Private pages written to without a copy: their other owners were gone.
    cow_reused,
    /// Address spaces made from another.
    forks,
    /// Pages in memory that forks shared.
    fork_pages_shared,
    /// Swapped pages whose slots forks shared.
    fork_slots_shared,
    /// References to page tables that other spaces had (`--share-tables`).
    tables_shared,
    /// Entries that tables had which forks shared, and that were not copied.
    table_entries_shared,
    /// Entries that tables of shared mappings had when another space referred to them: no fault is
    /// needed to fill them in again.
    table_entries_found,
    /// Shared page tables that were copied, because one of their spaces was to change them alone.
    tables_copied,
    /// Entries that were copied then.
    table_entries_copied,
    /// Faults on swapped pages that were in the swap cache: somebody else had read them.
    swap_cache_hit,
    /// Evictions of shared pages by one process that found the page's slot in the swap cache:
    /// somebody else had evicted it before.
    swap_cache_evict_hit,
    /// Slots reserved for a page that one process evicted while others had it still.
    swap_shared_slots,
    /// Evictions of dirty pages that wrote nothing, because other processes had the page still.
    swap_writes_saved,
    /// Pages read from swap ahead of need.
    swap_ra,
    /// Pages read ahead that were wanted then.
    swap_ra_hit,
    /// Faults resolved without a new frame: a page of the cache was mapped, or bits were set.
    pgminor_map,
    /// Mappings given to the hardware once more, because its table had had no room for them (a
    /// hashed page table). These are no page faults.
    pgspill,
    /// Referenced bits found set, and cleared.
    pgreferenced,
    /// Pages evicted without a write, because their backing store had the same bytes.
    pgdrop_clean,
    /// Swap slots freed because their page was in memory and slots were short.
    slots_reclaimed,
    /// Flushes of one page.
    flush_page,
    /// Flushes of a whole space.
    flush_space,
    /// Transfers from or to swap that failed.
    swap_io_errors,
    /// Transfers from or to files that failed.
    file_io_errors,
    /// Spaces killed because a fault could not be resolved for want of memory.
    oom_kill,
    /// Bytes copied from and to programs by system calls.
    bytes_copied,
    /// Stack growths.
    stack_grow,
}

impl Vmstat {
    pub(crate) fn count_flush(&mut self, flushed: Flushed) {
        self.flush_page += flushed.pages;
        self.flush_space += flushed.spaces;
    }
}
