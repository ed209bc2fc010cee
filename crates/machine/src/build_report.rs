//! Fills a [`Report`] from a machine.

use std::collections::BTreeMap;

use pagewalk_kernel::{DeviceWait, FaultCause};
use pagewalk_linux::{OomEnd, Signal};
use pagewalk_mmu::cache::{CacheCounters, LookupCounts};
use pagewalk_mmu::tlb::LevelConfig;
use pagewalk_mmu::{KindCounts, PageSize, TlbExceptions};

use crate::config::SwapConfig;
use crate::kernel_events::cause_name;
use crate::kernel_view::KernelTraffic;
use crate::machine::{End, Machine};
use crate::report::{
    CacheLevelReport, CacheLookups, ExitReport, FaultReport, FileReport, HartReport, KernelReport,
    MachineReport, MappedFileReport, MemoryReport, OomKillReport, PressureReport, ProcessReport,
    ReadAheadReport, References, RefillReport, ReplacementReport, Report, SCHEMA_VERSION,
    SwapDeviceReport, SwapReport, TlbLevel, TlbReport, WalkCacheReport, WalkReport, ZswapReport,
};
use crate::swap_view::{DeviceView, ZswapView};

/// What a shell adds to the number of a signal that killed a program.
const SIGNALLED: i32 = 128;

impl Machine {
    /// What the run did so far.
    pub fn report(&self) -> Report {
        let cycle_parts = self.cycle_parts_of_all();
        let cycles = cycle_parts.total();
        Report {
            schema_version: SCHEMA_VERSION,
            command: self.command.clone(),
            machine: self.machine_report(),
            exit: self.exit_report(),
            instructions: self.instructions(),
            cycles,
            time_ns: self.config.cost.nanoseconds(self.elapsed_cycles()),
            cycle_parts,
            references: self.references(),
            tlb: self.tlb_report(),
            walks: self.walk_report(cycle_parts.walks),
            harts: self.hart_reports(),
            caches: self.cache_report(),
            refills: self.refill_report(),
            processes: self.process_report(),
            kernel: self.kernel_report(),
            faults: self.fault_report(),
            memory: self.memory_report(),
            shared_tables: self.shared_table_report(),
            segments: self.segment_report(),
            replacement: self.replacement_report(),
            pressure: self.pressure_report(),
            swap: self.swap_report(),
            files: self.file_report(),
            opt: self.listener.observer.as_ref().and_then(|seen| seen.outcome().cloned()),
            foresight: self.listener.observer.as_ref().and_then(|seen| seen.foresight()),
            syscalls: self.syscall_report(),
            counters: self.counters(),
        }
    }

    fn machine_report(&self) -> MachineReport {
        let hardware = &self.config.hardware;
        let page_bytes = hardware.base_page().bytes();
        MachineReport {
            name: self.config.name.clone(),
            mmu: hardware.name().to_owned(),
            page_bytes,
            levels: hardware.levels(),
            harts: self.memory.harts(),
            ram_bytes: self.memory.ram.bytes(),
            swap_bytes: self.swap.slots() * page_bytes,
            tlb: named(self.config.tlb.as_ref()),
            walk_cache: named(self.config.walk_cache.as_ref()),
            cache: named(self.config.cache.as_ref()),
            policy: match hardware.tables() {
                Some(_) => self.config.policy.name().to_owned(),
                None => "none".to_owned(),
            },
            fit: hardware.tables().is_none().then(|| self.config.fit.name().to_owned()),
            huge: self.config.huge.name().to_owned(),
            huge_page_bytes: self.os.large_page().map(PageSize::bytes),
            seed: self.config.seed,
            slow: self.config.slow,
        }
    }

    fn exit_report(&self) -> ExitReport {
        match &self.end {
            None => ExitReport { code: 0, signal: None, reason: Some("still running".to_owned()) },
            Some(End::Exited(status)) => {
                ExitReport { code: status & 0xff, signal: None, reason: None }
            }
            Some(End::Killed { signal, reason }) => ExitReport {
                code: SIGNALLED + i32::from(signal.number()),
                signal: Some(signal.name().to_owned()),
                reason: Some(reason.clone()),
            },
            Some(End::Budget) => ExitReport {
                code: 0,
                signal: None,
                reason: Some(format!(
                    "stopped after {} instructions, as asked",
                    self.instructions()
                )),
            },
            Some(End::Interrupted) => ExitReport {
                code: SIGNALLED + i32::from(Signal::SIGINT.number()),
                signal: None,
                reason: Some("interrupted".to_owned()),
            },
        }
    }

    fn tlb_report(&self) -> TlbReport {
        let counters = self.memory.mmu_counters();
        let references = self.all_references();
        let data = references.loads + references.stores;
        let (l1, l2) = (&counters.l1_misses, &counters.l2_misses);
        let config = self.config.tlb.as_ref();
        let split = |level: &LevelConfig| matches!(level, LevelConfig::Split { .. });
        let l1_split = config.map(|tlb| split(&tlb.l1));
        let l2_split = config.and_then(|tlb| tlb.l2.as_ref()).map(split);
        let total = total(&references);
        let walk_references = self.walk_reads() + counters.walk_writes;
        TlbReport {
            l1i: (l1_split == Some(true)).then(|| level(references.fetches, l1.fetches)),
            l1d: (l1_split == Some(true)).then(|| level(data, l1.data())),
            l1: (l1_split == Some(false)).then(|| level(total, l1.total())),
            l2i: (l2_split == Some(true)).then(|| level(l1.fetches, l2.fetches)),
            l2d: (l2_split == Some(true)).then(|| level(l1.data(), l2.data())),
            l2: (l2_split == Some(false)).then(|| level(l1.total(), l2.total())),
            flushes: counters.flushes_all
                + counters.flushes_non_global
                + counters.flushes_asid
                + counters.flushes_page,
            entries_flushed: counters.entries_flushed,
            space_switches: self.memory.switches().spaces,
            entries_flushed_by_switches: self.memory.switches().entries_flushed,
            references_per_access: 1.0 + ratio(walk_references, total),
        }
    }

    /// The harts one by one, if there are several.
    fn hart_reports(&self) -> Vec<HartReport> {
        let harts = self.memory.harts();
        (0..harts).filter(|_| harts > 1).map(|number| self.hart_report(number)).collect()
    }

    fn hart_report(&self, number: u32) -> HartReport {
        let slot = &self.schedule.slots()[number as usize];
        let references = self.references_of(number);
        let hart = self.memory.hart_memory(number);
        let counters = hart.mmu().counters();
        let (kernel, shootdowns) = (hart.kernel_traffic(), hart.shootdowns());
        let made = total(&references);
        let lookups = made + kernel.fetches + kernel.data();
        HartReport {
            instructions: slot.retired,
            cycles: self.cycle_parts_of(number).total(),
            references,
            tlb: hart.mmu().tlb().map(|_| level(lookups, counters.l1_misses.total())),
            walks: counters.walks.total() + hart.unseen_walks(made),
            context_switches: slot.switches,
            space_switches: hart.switches().spaces,
            shootdowns_sent: shootdowns.sent,
            shootdowns_received: shootdowns.received,
        }
    }

    fn process_report(&self) -> Option<ProcessReport> {
        let made = self.system.made();
        if made.threads <= 1 {
            return None;
        }
        let (counters, frames) = (self.os.counters(), self.os.frames());
        Some(ProcessReport {
            processes: made.processes,
            threads: made.threads,
            peak_threads: made.threads_max,
            execs: made.execs,
            context_switches: self.schedule.switches(),
            forks: counters.forks,
            fork_shared: counters.fork_pages_shared + counters.fork_slots_shared,
            copied: counters.cow_copied,
            copies_avoided: counters.cow_reused,
            peak_shared_frames: frames.peak_shared,
            shared_frames: frames.shared,
            mapped_files: self.mapped_files(),
        })
    }

    fn mapped_files(&self) -> Vec<MappedFileReport> {
        let mut files: Vec<MappedFileReport> = self
            .os
            .file_sharing()
            .into_iter()
            .map(|(file, sharing)| MappedFileReport {
                path: self.system.path_of(file, &self.host),
                pages: sharing.pages,
                mappings: sharing.mappings,
                pages_saved: sharing.saved(),
            })
            .collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.pages_saved));
        files
    }

    fn kernel_report(&self) -> Option<KernelReport> {
        let map = self.os.kernel_map()?;
        let traffic = self.memory.kernel_traffic();
        let KernelTraffic { fetches, loads, stores, .. } = traffic;
        Some(KernelReport {
            mapping: map.mapping.name().to_owned(),
            base: map.base.0,
            page_tables: self.os.kernel_tables(),
            entries: traffic.entries,
            references: References { fetches, loads, stores },
            tlb_misses: traffic.misses,
            root_loads: traffic.root_loads,
            entries_flushed: traffic.entries_flushed,
        })
    }

    /// References that went through the TLB: the program's, and the kernel's if they are modelled.
    fn all_references(&self) -> References {
        let References { fetches, loads, stores } = self.references();
        let kernel = self.memory.kernel_traffic();
        References {
            fetches: fetches + kernel.fetches,
            loads: loads + kernel.loads,
            stores: stores + kernel.stores,
        }
    }

    fn walk_report(&self, cycles: u64) -> WalkReport {
        let counters = self.memory.mmu_counters();
        let walks = counters.walks.total() + self.unseen_walks();
        let (reads, writes) = (self.walk_reads(), counters.walk_writes);
        let hits = counters.walk_cache_hits;
        let levels = usize::from(self.config.hardware.levels()).saturating_sub(1);
        WalkReport {
            walks,
            reads,
            writes,
            rewalks: counters.rewalks,
            references_per_walk: ratio(reads + writes, walks),
            cycles_per_walk: ratio(cycles, walks),
            cache: self.config.walk_cache.is_some().then(|| WalkCacheReport {
                hits: (1..).zip(hits).take(levels).collect(),
                misses: walks - hits.iter().sum::<u64>(),
            }),
        }
    }

    fn cache_report(&self) -> Vec<CacheLevelReport> {
        let lookups = |counts: &LookupCounts| CacheLookups {
            lookups: counts.hits + counts.misses,
            hits: counts.hits,
            misses: counts.misses,
            miss_ratio: ratio(counts.misses, counts.hits + counts.misses),
        };
        let levels = self.memory.caches().into_iter().flat_map(|caches| caches.counters());
        let report = |level: &CacheCounters| CacheLevelReport {
            data: lookups(&level.data),
            walks: lookups(&level.walks),
            writebacks: level.writebacks,
        };
        levels.map(report).collect()
    }

    fn refill_report(&self) -> Option<RefillReport> {
        let mmu = self.memory.mmu();
        let TlbExceptions { refill, kernel_refill, invalid, modified, address } =
            self.memory.mmu_counters().exceptions;
        let counts = RefillReport { refill, kernel_refill, invalid, modified, address };
        mmu.is_software_loaded().then_some(counts)
    }

    /// Walks that the fast path stands for, on a machine without a TLB.
    fn unseen_walks(&self) -> u64 {
        self.memory.unseen_walks(total(&self.references())).0
    }

    fn walk_reads(&self) -> u64 {
        let (walks, reads) = self.memory.unseen_walks(total(&self.references()));
        self.memory.mmu_counters().walk_reads + walks * reads
    }

    fn fault_report(&self) -> FaultReport {
        let counters = self.os.counters();
        let counts = FaultCause::ALL.into_iter().zip(self.listener.traffic.faults);
        let counts = counts.filter(|&(_, count)| count > 0);
        let by_cause = counts.map(|(cause, count)| (cause_name(cause).to_owned(), count)).collect();
        FaultReport {
            minor: counters.pgfault - counters.pgmajfault,
            major: counters.pgmajfault,
            by_cause,
        }
    }

    fn memory_report(&self) -> MemoryReport {
        let frames = self.os.frames();
        let residency = self.os.residency(self.space);
        MemoryReport {
            frames: frames.total,
            peak_used: frames.peak_used,
            peak_resident: residency.peak_rss,
            anon: residency.rss_anon,
            anon_huge: residency.anon_huge,
            peak_anon_huge: self.tally.peak_anon_huge,
            file: residency.rss_file,
            page_cache: frames.file,
            page_tables: residency.page_tables,
            peak_page_tables: self.tally.peak_page_tables,
            free: frames.free,
            oom_kills: self.oom_report(),
        }
    }

    fn oom_report(&self) -> Vec<OomKillReport> {
        let report = |end: &OomEnd| OomKillReport {
            pid: end.pid,
            name: end.name.clone(),
            badness: end.badness,
            oom_score_adj: end.score_adj,
            reason: end.reason.clone(),
        };
        self.system.oom_ends().iter().map(report).collect()
    }

    fn pressure_report(&self) -> Option<PressureReport> {
        (self.config.device_wait == DeviceWait::Thread).then_some(PressureReport {
            some_cycles: self.pressure.some,
            full_cycles: self.pressure.full,
            swapped_out: self.load_control.swapped_out,
            swapped_in: self.load_control.swapped_in,
        })
    }

    fn swap_report(&self) -> SwapReport {
        let counters = self.os.counters();
        SwapReport {
            slots: self.swap.slots(),
            used: self.os.swap_used(),
            peak_used: self.tally.peak_swap,
            pages_in: counters.pswpin,
            pages_out: counters.pswpout,
            cache_hits: counters.swap_cache_hit,
            shared_slots: counters.swap_shared_slots,
            writes_saved: counters.swap_writes_saved,
            errors: counters.swap_io_errors,
            devices: self.swap_device_reports(),
            read_ahead: self.read_ahead_report(),
            zswap: self.swap.zswap().map(|zswap| zswap_report(&zswap)),
        }
    }

    fn replacement_report(&self) -> Option<ReplacementReport> {
        let c = self.os.counters();
        let refaults = c.workingset_refault_anon + c.workingset_refault_file;
        let activity = self.os.activity();
        self.config.hardware.tables().map(|_| ReplacementReport {
            policy: self.config.policy.to_string(),
            scope: self.config.scope.name().to_owned(),
            resident_limit: self.config.resident,
            group_limit: self.config.limit,
            group_steals: self.os.group_steals(),
            own_steals: c.pgsteal_own,
            scans: c.pgscan_kswapd + c.pgscan_direct,
            harvests: c.pgscan_harvest,
            referenced: c.pgreferenced,
            steals: c.pgsteal_kswapd + c.pgsteal_direct,
            given_up: c.pgsurplus,
            launders: c.pglaunder,
            refaults_anon: c.workingset_refault_anon,
            refaults_file: c.workingset_refault_file,
            refault_distance: (refaults > 0).then(|| ratio(c.refault_distance, refaults)),
            activations: activity.map(|activity| activity.activations),
            deactivations: activity.map(|activity| activity.deactivations),
        })
    }

    /// One device of which nothing special was said is told of by the sums.
    fn swap_device_reports(&self) -> Vec<SwapDeviceReport> {
        let is_plain = |config: &SwapConfig| config.priority.is_none() && config.model.is_none();
        if let [only] = &self.config.swap[..]
            && is_plain(only)
        {
            return Vec::new();
        }
        let in_kernel = self.os.swap_devices();
        let of = |(index, view): (usize, DeviceView<'_>)| SwapDeviceReport {
            name: pagewalk_linux::swap_device_path(index),
            on: view.name.to_owned(),
            priority: in_kernel.get(index).map_or(view.priority, |area| area.priority()),
            model: view.model.map(|model| model.name().to_owned()),
            slots: view.slots.into(),
            used: in_kernel.get(index).map_or(0, |area| area.used()),
            pages_in: view.traffic.reads,
            pages_out: view.traffic.writes,
            errors: view.traffic.errors,
            busy_ns: view.traffic.busy_ns,
        };
        self.swap.devices().enumerate().map(of).collect()
    }

    fn read_ahead_report(&self) -> Option<ReadAheadReport> {
        let (window_max, counters) = (self.config.read_ahead, self.os.counters());
        let (pages, hits) = (counters.swap_ra, counters.swap_ra_hit);
        let hit_ratio = ratio(hits, pages);
        (window_max > 1).then_some(ReadAheadReport { window_max, pages, hits, hit_ratio })
    }

    fn file_report(&self) -> FileReport {
        let counters = self.os.counters();
        FileReport {
            pages_in: self.listener.traffic.file_reads,
            pages_out: self.listener.traffic.file_writes,
            errors: counters.file_io_errors,
        }
    }

    fn syscall_report(&self) -> BTreeMap<String, u64> {
        let mut calls = BTreeMap::new();
        for (&number, &count) in &self.tally.syscalls {
            let name = pagewalk_linux::syscall_name(number);
            let unknown = || match number {
                u64::MAX => "unknown".to_owned(),
                number => format!("unknown_{number}"),
            };
            let name = name.map_or_else(unknown, str::to_owned);
            *calls.entry(name).or_default() += count;
        }
        calls
    }

    /// Counters by the names of `/proc/vmstat` and of perf.
    /// All counters by their names, those that are 0 too.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mmu = self.memory.mmu_counters();
        let references = self.all_references();
        let shootdowns = self.memory.shootdowns();
        let mut counters: BTreeMap<String, u64> =
            self.os.counters().iter().map(|(name, value)| (name.to_owned(), value)).collect();
        // Without a TLB every reference walks; the MMU has seen only those of the slow path.
        let every = KindCounts {
            fetches: references.fetches,
            loads: references.loads,
            stores: references.stores,
        };
        let (looked_up, walks) = match self.config.hardware.tables() {
            None => (KindCounts::default(), KindCounts::default()),
            Some(_) if self.config.tlb.is_none() => (every, every),
            Some(_) => (every, mmu.walks),
        };
        if let Some(ZswapView { counters: zswap, .. }) = self.swap.zswap() {
            let zswap =
                [("zswpin", zswap.zswpin), ("zswpout", zswap.zswpout), ("zswpwb", zswap.zswpwb)];
            counters.extend(zswap.map(|(name, value)| (name.to_owned(), value)));
        }
        counters.extend(
            [
                ("instructions", self.instructions()),
                ("context-switches", self.schedule.switches()),
                ("nr_tlb_remote_flush", shootdowns.sent),
                ("nr_tlb_remote_flush_received", shootdowns.received),
                ("iTLB-loads", looked_up.fetches),
                ("iTLB-load-misses", walks.fetches),
                ("dTLB-loads", looked_up.loads),
                ("dTLB-load-misses", walks.loads),
                ("dTLB-stores", looked_up.stores),
                ("dTLB-store-misses", walks.stores),
                ("page-faults", self.os.counters().pgfault),
                ("minor-faults", self.os.counters().pgfault - self.os.counters().pgmajfault),
                ("major-faults", self.os.counters().pgmajfault),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        counters
    }
}

/// A level of the TLB.
fn level(lookups: u64, misses: u64) -> TlbLevel {
    TlbLevel { lookups, hits: lookups - misses, misses, miss_ratio: ratio(misses, lookups) }
}

pub(crate) fn total(references: &References) -> u64 {
    references.fetches + references.loads + references.stores
}

fn zswap_report(zswap: &ZswapView) -> ZswapReport {
    let counters = zswap.counters;
    ZswapReport {
        compressor: zswap.compressor.name().to_owned(),
        capacity_bytes: zswap.capacity,
        peak_bytes: zswap.peak,
        used_bytes: zswap.used,
        pages: zswap.pages,
        pages_in: counters.zswpin,
        pages_out: counters.zswpout,
        written_back: counters.zswpwb,
        same_filled: counters.same_filled,
        rejected: counters.reject_compress_poor,
        compression_ratio: ratio(counters.bytes_in, counters.bytes_out),
    }
}

/// A part's geometry, or that the machine has no such part.
fn named(part: Option<&impl ToString>) -> String {
    part.map_or("none".to_owned(), ToString::to_string)
}

/// A ratio; 0 of nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
