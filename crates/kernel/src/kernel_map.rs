//! Where the kernel lies: all of RAM in a row, as large pages, for the supervisor alone.
//!
//! ```text
//!   shared: in the upper part of every space          separate: in a space of its own
//!
//!   ┌────────────────────┐ ┌────────────────────┐     ┌──────────┐   ┌────────────────────┐
//!   │ RAM, global, large │ │ RAM, global, large │     │          │   │ RAM, large         │
//!   ├────────────────────┤ ├────────────────────┤     ├──────────┤   ├────────────────────┤ base
//!   │ program A          │ │ program B          │     │program A │   │                    │
//!   └────────────────────┘ └────────────────────┘     └──────────┘   └────────────────────┘
//!    entering the kernel changes nothing               entering it loads another root
//! ```
//!
//! The base is where the space's upper half begins, or its last quarter where there is no hole
//! (32-bit spaces: 3 GiB for the program, 1 GiB for the kernel).
//!
//! The map is a tree of its own, made before the first space, in frames that follow the machine's
//! own tables and are never freed. A space shares it by copying the entries of its top table, as
//! Linux's spaces copy those of `swapper_pg_dir`; where the format has a base register for the
//! upper half (AArch64), that register is all.
//!
//! Invariants:
//! 1. The address of the byte at `pa` is `base + pa`, in every space that shares the map.
//! 2. The map never changes, so its translations are never stale.

use crate::{FrameTable, Platform};
use pagewalk_mmu::radix::{Leaf, Radix, Root};
use pagewalk_mmu::{Asid, FaultCause, Level, Pfn, PhysAddr, Rights, VirtAddr};

/// Whether the kernel's memory is mapped, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KernelMapping {
    /// Nowhere: what the kernel does leaves no trace in the TLB.
    #[default]
    Absent,
    /// In the upper part of every space.
    Shared,
    /// In a space of its own.
    Separate,
}

impl KernelMapping {
    /// The names of all.
    pub const NAMES: &'static [&'static str] = &["none", "shared", "separate"];

    /// The mapping called `name`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::Absent),
            "shared" => Some(Self::Shared),
            "separate" => Some(Self::Separate),
            _ => None,
        }
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "none",
            Self::Shared => "shared",
            Self::Separate => "separate",
        }
    }
}

/// The map of the kernel's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelMap {
    /// Where it is used.
    pub mapping: KernelMapping,
    /// The address of physical address 0.
    pub base: VirtAddr,
    /// How much is mapped, in bytes.
    pub bytes: u64,
    /// The root of the tree that maps it, and nothing else.
    pub root: PhysAddr,
}

impl KernelMap {
    /// The kernel's own address space.
    pub const ASID: Asid = Asid(0);

    /// The address at which the kernel sees `pa`.
    pub const fn address(&self, pa: PhysAddr) -> VirtAddr {
        VirtAddr(self.base.0.wrapping_add(pa.0))
    }

    /// What the kernel sees at `va`.
    pub const fn physical(&self, va: VirtAddr) -> Option<PhysAddr> {
        let offset = va.0.wrapping_sub(self.base.0);
        if va.0 >= self.base.0 && offset < self.bytes { Some(PhysAddr(offset)) } else { None }
    }
}

/// One page of the map.
struct Piece {
    va: VirtAddr,
    pa: PhysAddr,
    level: Level,
}

/// Where the kernel's part of a space begins, and how large it can be. `None` if the format keeps
/// no room for it.
pub(crate) fn window(format: &impl Radix) -> Option<(VirtAddr, u64)> {
    let bits = format.geometry().va_bits;
    let half = VirtAddr(1 << (bits - 1));
    let (base, bytes) = match format.check_address(half) {
        Ok(()) => (3 << (bits - 2), 1 << (bits - 2)),
        Err(_) => (u64::MAX << (bits - 1), 1 << (bits - 1)),
    };
    format.check_address(VirtAddr(base)).is_ok().then_some((VirtAddr(base), bytes))
}

/// Frames that the tables of a map of `bytes` bytes of RAM take.
pub(crate) fn tables(format: &impl Radix, bytes: u64) -> u64 {
    let Some((base, _)) = window(format) else { return 0 };
    let top = format.geometry().top();
    let mut count = root_frames(format);
    let mut last = [None; LEVELS_MAX];
    for piece in pieces(format, base, bytes) {
        for level in (piece.level.0 + 1..=top.0).map(Level) {
            // The table below an entry of `level`.
            let span = piece.va.0 >> format.geometry().level(level).shift;
            if last[usize::from(level.0)].replace(span) != Some(span) {
                count += 1;
            }
        }
    }
    count
}

/// Makes the map in the frames from `first` on, which [`tables`] counted.
pub(crate) fn build(
    format: &impl Radix,
    platform: &mut impl Platform,
    mapping: KernelMapping,
    first: Pfn,
    bytes: u64,
) -> Option<KernelMap> {
    let (base, _) = window(format)?;
    let geometry = *format.geometry();
    let page = geometry.base_page();
    let frames = tables(format, bytes);
    (first.0..first.0 + frames).for_each(|pfn| platform.zero_frame(Pfn(pfn)));
    let root = first.base(page);
    let mut next = first.0 + root_frames(format);
    for piece in pieces(format, base, bytes) {
        let (mut table, mut level) = (root, geometry.top());
        while level > piece.level {
            let at = entry_at(format, table, level, piece.va);
            let mut raw = platform.read_entry(at, geometry.entry).expect(IN_RAM);
            if raw == 0 {
                raw = format.encode_table(level, Pfn(next).base(page));
                platform.write_entry(at, geometry.entry, raw).expect(IN_RAM);
                next += 1;
            }
            table = match format.decode(level, raw) {
                pagewalk_mmu::radix::Entry::Table { next, .. } => next,
                other => unreachable!("{other:?} where only tables are written"),
            };
            level = Level(level.0 - 1);
        }
        let leaf = Leaf {
            pfn: piece.pa.pfn(page),
            rights: Rights::all() - Rights::USER,
            global: mapping == KernelMapping::Shared,
            accessed: true,
            dirty: true,
            cache_disable: false,
            write_through: false,
        };
        let at = entry_at(format, table, level, piece.va);
        platform.write_entry(at, geometry.entry, format.encode_leaf(level, leaf)).expect(IN_RAM);
    }
    Some(KernelMap { mapping, base, bytes, root })
}

/// Lets the space with this root see the map: copies the entries of the top table. `frames` counts
/// them in the root's frames; tables that stood in their place are released.
pub(crate) fn share(
    format: &impl Radix,
    platform: &mut impl Platform,
    frames: &mut FrameTable,
    root: PhysAddr,
    map: &KernelMap,
) -> u64 {
    if has_upper_root(format, map.base) {
        platform.load_upper_root(map.root);
        return 0;
    }
    let geometry = *format.geometry();
    let (top, page) = (geometry.top(), geometry.base_page());
    let shape = geometry.level(top);
    let last = VirtAddr(map.base.0 + (map.bytes - 1));
    let mut released = 0;
    for index in shape.index(map.base)..=shape.index(last) {
        let offset = index * geometry.entry.bytes();
        let from = PhysAddr(map.root.0 + offset);
        let to = PhysAddr(root.0 + offset);
        let raw = platform.read_entry(from, geometry.entry).expect(IN_RAM);
        let before = platform.read_entry(to, geometry.entry).expect(IN_RAM);
        if let pagewalk_mmu::radix::Entry::Table { next, .. } = format.decode(top, before) {
            frames.release(next.pfn(page));
            released += 1;
        } else {
            frames.add_live(to.pfn(page), 1);
        }
        platform.write_entry(to, geometry.entry, raw).expect(IN_RAM);
    }
    released
}

/// The most levels of any format, and one.
const LEVELS_MAX: usize = 8;

/// What every access to the map's tables relies on.
const IN_RAM: &str = "the kernel's tables lie in RAM";

fn root_frames(format: &impl Radix) -> u64 {
    let geometry = format.geometry();
    geometry.table_bytes(geometry.top()).div_ceil(geometry.base_page().bytes())
}

/// Whether the upper half has a base register of its own.
fn has_upper_root(format: &impl Radix, base: VirtAddr) -> bool {
    let root = Root { table: PhysAddr(0), upper: None, registers: None };
    format.top_table(&root, base) == Err(FaultCause::NotPresent)
}

fn entry_at(format: &impl Radix, table: PhysAddr, level: Level, va: VirtAddr) -> PhysAddr {
    let geometry = format.geometry();
    PhysAddr(table.0 + geometry.level(level).index(va) * geometry.entry.bytes())
}

/// RAM in the largest pages that fit.
fn pieces(format: &impl Radix, base: VirtAddr, bytes: u64) -> impl Iterator<Item = Piece> {
    let geometry = *format.geometry();
    let mut done = 0;
    core::iter::from_fn(move || {
        let levels = (0..=geometry.top().0).rev().map(Level);
        let mut fitting = levels.filter(|&level| {
            let (shape, page) = (geometry.level(level), geometry.level(level).page().bytes());
            shape.leaf && done % page == 0 && done + page <= bytes
        });
        let level = fitting.next()?;
        let piece = Piece { va: VirtAddr(base.0 + done), pa: PhysAddr(done), level };
        done += geometry.level(level).page().bytes();
        Some(piece)
    })
}
