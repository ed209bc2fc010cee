//! Walks as the MMU makes them: counted, and through the walk cache if there is one.

use super::Mmu;
use crate::radix::WalkStart;
use crate::walk_cache::{LEVELS, WalkCache};
use crate::{
    Access, Fault, FaultCause, PhysAddr, Probe, Step, TableMemory, Translation, VirtAddr,
    WalkObserver,
};

impl Mmu {
    /// Walks at time `now`, and counts; each reference is shown to `observer`.
    pub(super) fn walk<M: TableMemory + ?Sized, O: WalkObserver>(
        &mut self,
        memory: &mut M,
        va: VirtAddr,
        access: Access,
        now: u64,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        let mut counted = Counted { references: References::default(), observer };
        let result = match &mut self.walk_cache {
            None => {
                let (tables, root) = (&self.tables, &self.root);
                tables.walk_observed(memory, root, self.asid, va, access, &mut counted)
            }
            Some(_) => self.walk_cached(memory, va, access, now, &mut counted),
        };
        let References { reads, writes } = counted.references;
        self.counters.walks.count(access.kind);
        self.counters.walk_reads += reads;
        self.counters.walk_writes += writes;
        self.counters.faults += u64::from(result.is_err());
        result
    }

    /// A walk from the deepest table that the walk cache knows.
    #[inline(never)]
    fn walk_cached<M: TableMemory + ?Sized, O: WalkObserver>(
        &mut self,
        memory: &mut M,
        va: VirtAddr,
        access: Access,
        now: u64,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        let Self { tables, root, asid, walk_cache, counters, .. } = self;
        let Some(cache) = walk_cache else { unreachable!("there is a walk cache") };
        let mut walk = |start: Option<WalkStart>, path: &mut Path<'_, O>| {
            tables.walk_from(memory, root, *asid, start, va, access, path)
        };
        let start = cache.deepest(va, *asid, now);
        let mut path = Path { starts: [None; LEVELS], len: 0, observer };
        let mut result = walk(start, &mut path);
        if let Some(start) = start {
            // The entry that was found is of the level above the table that it points to.
            counters.walk_cache_hits[usize::from(start.level.0)] += 1;
            if result.is_err_and(|fault| rests_on_rights(fault.cause)) {
                path.len = 0;
                result = walk(None, &mut path);
            }
        }
        match result {
            Ok(_) => {
                for start in path.starts.into_iter().take(path.len).flatten() {
                    cache.fill(va, *asid, start, now);
                }
            }
            Err(_) => cache.drop_path(va, *asid),
        }
        result
    }

    /// The walk cache, if there is one.
    pub const fn walk_cache(&self) -> Option<&WalkCache> {
        self.walk_cache.as_ref()
    }
}

/// Whether what entries above allowed may be the reason.
const fn rests_on_rights(cause: FaultCause) -> bool {
    matches!(cause, FaultCause::Protection | FaultCause::Privilege)
}

/// Counts a walk's memory references, also where it ends in a fault.
#[derive(Default)]
pub(super) struct References {
    pub reads: u64,
    pub writes: u64,
}

impl WalkObserver for References {
    #[inline]
    fn step(&mut self, step: &Step) {
        self.reads += u64::from(step.at.is_some());
    }

    #[inline]
    fn probe(&mut self, _: &Probe) {
        self.reads += 1;
    }

    #[inline]
    fn update(&mut self, _: PhysAddr, _: u64) {
        self.writes += 1;
    }
}

/// Counts references, and shows them to another.
pub(super) struct Counted<'a, O> {
    pub references: References,
    pub observer: &'a mut O,
}

impl<O: WalkObserver> WalkObserver for Counted<'_, O> {
    #[inline]
    fn step(&mut self, step: &Step) {
        self.references.step(step);
        self.observer.step(step);
    }

    #[inline]
    fn probe(&mut self, probe: &Probe) {
        self.references.probe(probe);
        self.observer.probe(probe);
    }

    #[inline]
    fn update(&mut self, at: PhysAddr, raw: u64) {
        self.references.update(at, raw);
        self.observer.update(at, raw);
    }
}

/// Notes the tables that a walk comes by, and shows its references to another.
struct Path<'a, O> {
    starts: [Option<WalkStart>; LEVELS],
    len: usize,
    observer: &'a mut O,
}

impl<O: WalkObserver> WalkObserver for Path<'_, O> {
    #[inline]
    fn step(&mut self, step: &Step) {
        self.observer.step(step);
    }

    #[inline]
    fn descend(&mut self, to: &WalkStart) {
        self.starts[self.len] = Some(*to);
        self.len += 1;
    }

    #[inline]
    fn update(&mut self, at: PhysAddr, raw: u64) {
        self.observer.update(at, raw);
    }
}
