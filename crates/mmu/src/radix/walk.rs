//! The page-table walker, one for all formats.

use super::{Entry, Geometry, Radix, Root, Touch};
use crate::observer::{Step, WalkObserver};
use crate::{
    Access, AccessKind, Fault, FaultCause, Level, OutOfMemory, PhysAddr, Rights, TableMemory,
    Translation, VirtAddr,
};

/// The most levels that any format has.
const LEVELS_MAX: usize = 5;

/// Translates `va` for `access`, setting accessed and dirty bits as the hardware does.
///
/// # Errors
/// The fault that the processor raises.
#[inline]
pub fn walk<F: Radix, M: TableMemory + ?Sized>(
    format: &F,
    memory: &mut M,
    root: &Root,
    va: VirtAddr,
    access: Access,
) -> Result<Translation, Fault> {
    walk_observed(format, memory, root, va, access, &mut ())
}

/// A table to start a walk at, and what the entries above it say: what a walk knows after it has
/// read an entry that points to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkStart {
    /// The table's level.
    pub level: Level,
    /// Where it lies.
    pub table: PhysAddr,
    /// What the entries above allow.
    pub rights: Rights,
    /// Whether one of them makes all below global.
    pub global: bool,
}

/// [`walk`], with every step shown to `observer`.
///
/// # Errors
/// The fault that the processor raises.
#[inline]
pub fn walk_observed<F: Radix, M: TableMemory + ?Sized, O: WalkObserver>(
    format: &F,
    memory: &mut M,
    root: &Root,
    va: VirtAddr,
    access: Access,
    observer: &mut O,
) -> Result<Translation, Fault> {
    walk_from(format, memory, root, None, va, access, observer)
}

/// [`walk_observed`], from the table `start` on if there is one: a walk of `va` came by it before.
///
/// # Errors
/// The fault that the processor raises.
pub fn walk_from<F: Radix, M: TableMemory + ?Sized, O: WalkObserver>(
    format: &F,
    memory: &mut M,
    root: &Root,
    start: Option<WalkStart>,
    va: VirtAddr,
    access: Access,
    observer: &mut O,
) -> Result<Translation, Fault> {
    let fault = |level, cause| {
        let arch = format.arch_fault(level, cause, access);
        Fault { va, access, level, cause, arch }
    };
    format.check_address(va).map_err(|cause| fault(None, cause))?;

    let geometry = *format.geometry();
    let mut tables = Path::default();
    let mut reads = 0;
    let WalkStart { mut level, mut table, mut rights, mut global } = match start {
        Some(start) => start,
        None => WalkStart {
            level: geometry.top(),
            table: format.top_table(root, va).map_err(|cause| fault(None, cause))?,
            rights: Rights::all(),
            global: false,
        },
    };
    let (leaf_step, leaf) = loop {
        let step = read_step(format, &geometry, memory, root, table, level, va)
            .map_err(|cause| fault(Some(level), cause))?;
        observer.step(&step);
        reads += u8::from(step.at.is_some());
        match step.entry {
            Entry::Table { next, rights: allowed } => {
                // Decoding never yields a table at level 0.
                debug_assert!(level.0 > 0);
                if format.has_accessed_bit(level, false) {
                    tables.push(&step);
                }
                rights &= allowed;
                global |= format.table_global(step.raw);
                table = next;
                level = Level(level.0 - 1);
                observer.descend(&WalkStart { level, table, rights, global });
            }
            Entry::Leaf(leaf) => break (step, leaf),
            Entry::NotPresent => return Err(fault(Some(level), FaultCause::NotPresent)),
            Entry::Invalid(cause) => return Err(fault(Some(level), cause)),
        }
    };
    rights &= leaf.rights;
    format.check_accessed(&leaf).map_err(|cause| fault(Some(level), cause))?;
    format.permit(rights, access).map_err(|cause| fault(Some(level), cause))?;
    let writes = touch_path(format, memory, &tables, &leaf_step, access, observer)
        .map_err(|cause| fault(Some(level), cause))?;

    let level_page = geometry.level(level).page();
    let pa = PhysAddr(leaf.pfn.base(geometry.base_page()).0 | va.offset(level_page));
    let (page, pfn) = match format.contiguous(level, leaf_step.raw) {
        // A frame out of its place in the run is software's error: the entry stands for itself.
        Some(run) if (pa.0 ^ va.0) & (run.bytes() - 1) == 0 => {
            (run, PhysAddr(pa.0 - va.offset(run)).pfn(geometry.base_page()))
        }
        _ => (level_page, leaf.pfn),
    };
    Ok(Translation {
        pa,
        page,
        pfn,
        rights,
        global: global | leaf.global,
        dirty: leaf.dirty || access.kind == AccessKind::Write,
        reads,
        writes,
    })
}

/// Where a descent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// At an entry of level 0, or at a leaf above.
    Entry {
        /// Where it is.
        at: PhysAddr,
        /// Its level.
        level: Level,
    },
    /// At an entry that is not present.
    Missing {
        /// Its level.
        level: Level,
        /// The table that it is in.
        table: PhysAddr,
    },
    /// At an entry that is malformed.
    Invalid(FaultCause),
}

/// What [`Radix::descend`] says.
#[inline]
pub(super) fn descend<F: Radix + ?Sized, M: TableMemory + ?Sized>(
    format: &F,
    memory: &M,
    mut table: PhysAddr,
    va: VirtAddr,
) -> Result<Descent, OutOfMemory> {
    let geometry = *format.geometry();
    let mut level = geometry.top();
    loop {
        let at = PhysAddr(table.0 + geometry.level(level).index(va) * geometry.entry.bytes());
        if level.0 == 0 {
            return Ok(Descent::Entry { at, level });
        }
        match format.decode(level, memory.read_entry(at, geometry.entry)?) {
            Entry::Table { next, .. } => table = next,
            Entry::NotPresent => return Ok(Descent::Missing { level, table }),
            Entry::Leaf(_) => return Ok(Descent::Entry { at, level }),
            Entry::Invalid(cause) => return Ok(Descent::Invalid(cause)),
        }
        level = Level(level.0 - 1);
    }
}

/// The table entries read so far whose accessed bit counts.
#[derive(Default)]
struct Path {
    entries: [(PhysAddr, u64); LEVELS_MAX - 1],
    len: usize,
}

impl Path {
    #[inline]
    fn push(&mut self, step: &Step) {
        if let Some(at) = step.at {
            self.entries[self.len] = (at, step.raw);
            self.len += 1;
        }
    }
}

// Left to itself, the compiler makes this a call, which costs a third of the walk.
#[inline(always)]
fn read_step<F: Radix, M: TableMemory + ?Sized>(
    format: &F,
    geometry: &Geometry,
    memory: &M,
    root: &Root,
    table: PhysAddr,
    level: Level,
    va: VirtAddr,
) -> Result<Step, FaultCause> {
    let index = geometry.level(level).index(va);
    let (at, raw) = match root.registers {
        // Four registers: the index is below 4 in the one format that has them.
        Some(registers) if level == geometry.top() => (None, registers[index as usize & 3]),
        _ => {
            let at = PhysAddr(table.0.wrapping_add(index * geometry.entry.bytes()));
            let raw = memory.read_entry(at, geometry.entry).map_err(|_| FaultCause::NoMemory)?;
            (Some(at), raw)
        }
    };
    Ok(Step { level, at, index, raw, entry: format.decode(level, raw) })
}

/// Sets accessed and dirty bits, top down; returns how many entries were written. Software updates
/// are refused before the first write, so that a fault leaves memory as it was.
#[inline]
fn touch_path<F: Radix, M: TableMemory + ?Sized, O: WalkObserver>(
    format: &F,
    memory: &mut M,
    tables: &Path,
    leaf: &Step,
    access: Access,
    observer: &mut O,
) -> Result<u8, FaultCause> {
    let leaf_touch = match leaf.at {
        Some(at) if format.has_accessed_bit(leaf.level, true) => {
            Some((at, format.touch(leaf.raw, true, access)))
        }
        _ => None,
    };
    if let Some((_, Touch::Fault(cause))) = leaf_touch {
        return Err(cause);
    }
    let tables = tables.entries[..tables.len].iter();
    let mut writes = 0;
    for (at, touch) in
        tables.map(|&(at, raw)| (at, format.touch(raw, false, access))).chain(leaf_touch)
    {
        if let Touch::Write(raw) = touch {
            let width = format.geometry().entry;
            memory.write_entry(at, width, raw).map_err(|_| FaultCause::NoMemory)?;
            observer.update(at, raw);
            writes += 1;
        }
    }
    Ok(writes)
}
