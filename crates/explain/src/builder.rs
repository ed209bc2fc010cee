//! Page tables made of mappings, through the format's own encoders.

use pagewalk_mmu::hashed::{self, HashedTable};
use pagewalk_mmu::radix::{Entry, Format, Leaf, Radix};
use pagewalk_mmu::{
    Asid, EntryWidth, Level, PageSize, PhysAddr, Rights, TableMemory, Tables, VirtAddr,
};
use toml::Spanned;

use crate::describe::{Map, RawEntry};
use crate::memory::SparseMemory;

/// Makes tables for mappings.
pub struct Builder<'a> {
    tables: &'a Tables,
    root: PhysAddr,
    asid: Asid,
    /// Where the next table is looked for.
    next: u64,
    /// The mapped pages, which no table may lie in: first and last address.
    taken: Vec<(u64, u64)>,
}

impl<'a> Builder<'a> {
    /// Tables that begin at `root`, out of the way of `maps`.
    pub fn new(tables: &'a Tables, root: PhysAddr, asid: Asid, maps: &[Spanned<Map>]) -> Self {
        let base = tables.base_page().bytes();
        let taken = maps.iter().map(|map| {
            let map = map.get_ref();
            (map.pa, map.pa.saturating_add(map.page.unwrap_or(base).saturating_sub(1)))
        });
        let top_bytes = match tables {
            Tables::Radix(format) => format.geometry().table_bytes(format.geometry().top()),
            Tables::Hashed(table) => table.table_bytes(),
        };
        let next = root.0.saturating_add(top_bytes.max(base));
        Self { tables, root, asid, next, taken: taken.collect() }
    }

    /// Maps a page.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn map(&mut self, memory: &mut SparseMemory, map: &Map) -> Result<(), String> {
        match self.tables {
            Tables::Radix(format) => self.map_in_tree(memory, format, map),
            Tables::Hashed(table) => self.map_by_hash(memory, table, map),
        }
    }

    fn map_by_hash(
        &self,
        memory: &mut SparseMemory,
        table: &hashed::Format,
        map: &Map,
    ) -> Result<(), String> {
        let page = table.base_page();
        if map.page.is_some_and(|bytes| bytes != page.bytes()) {
            return Err(format!("no pages but those of {page} in {}", table.name()));
        }
        check_aligned(map, page)?;
        let (vpn, leaf) = (VirtAddr(map.va).vpn(page), leaf(map, page, false)?);
        if map.va >> table.va_bits() != 0 {
            return Err(format!("va {:#x} has more than {} bits", map.va, table.va_bits()));
        }
        if leaf.pfn.0 >= table.frames_max() {
            return Err(format!("{} has no frame {}: give less", table.name(), leaf.pfn));
        }
        if table.find(memory, self.root, self.asid, vpn).is_some() {
            return Err(format!("page {vpn} is mapped already"));
        }
        let inserted = table.insert(memory, self.root, self.asid, vpn, leaf);
        inserted.map_err(|_| format!("the table has no place for page {vpn}"))
    }

    fn map_in_tree(
        &mut self,
        memory: &mut SparseMemory,
        format: &Format,
        map: &Map,
    ) -> Result<(), String> {
        let geometry = *format.geometry();
        let base = geometry.base_page();
        let level = leaf_level(format, map.page.unwrap_or(base.bytes()))?;
        let page = geometry.level(level).page();
        let va = VirtAddr(map.va);
        format.check_address(va).map_err(|cause| format!("{va}: {cause}"))?;
        check_aligned(map, page)?;
        if map.pa >> geometry.pa_bits != 0 {
            return Err(format!("pa {:#x} has more than {} bits", map.pa, geometry.pa_bits));
        }
        let at = self.entry(memory, format, va, level)?;
        let raw = format.encode_leaf(level, leaf(map, base, matches!(format, Format::R3000(_)))?);
        write(memory, at, geometry.entry, raw)
    }

    /// Where the entry of `va` at `level` lies, with the tables above it made.
    fn entry(
        &mut self,
        memory: &mut SparseMemory,
        format: &Format,
        va: VirtAddr,
        level: Level,
    ) -> Result<PhysAddr, String> {
        let geometry = *format.geometry();
        let mut table = self.root;
        let mut here = geometry.top();
        loop {
            let index = geometry.level(here).index(va);
            let at = PhysAddr(table.0.wrapping_add(index * geometry.entry.bytes()));
            if here == level {
                return Ok(at);
            }
            let raw = memory.read_entry(at, geometry.entry).map_err(|_| no_memory(at))?;
            table = match format.decode(here, raw) {
                Entry::Table { next, .. } => next,
                Entry::NotPresent => {
                    let next = self.take(geometry.base_page(), geometry.pa_bits)?;
                    write(memory, at, geometry.entry, format.encode_table(here, next))?;
                    next
                }
                _ => return Err(format!("{va} lies in a larger page that is mapped already")),
            };
            here = Level(here.0 - 1);
        }
    }

    /// A place for a table, where no mapped page lies.
    fn take(&mut self, page: PageSize, pa_bits: u8) -> Result<PhysAddr, String> {
        let bytes = page.bytes();
        loop {
            let (first, last) = (self.next, self.next.saturating_add(bytes - 1));
            self.next = self.next.saturating_add(bytes);
            if last >> pa_bits != 0 {
                return Err("there is no room for tables: give another root".into());
            }
            if self.taken.iter().all(|&(start, end)| last < start || first > end) {
                return Ok(PhysAddr(first));
            }
        }
    }
}

fn check_aligned(map: &Map, page: PageSize) -> Result<(), String> {
    for (what, address) in [("va", map.va), ("pa", map.pa)] {
        if !address.is_multiple_of(page.bytes()) {
            return Err(format!("{what} {address:#x} is not aligned to the page of {page}"));
        }
    }
    Ok(())
}

/// The page's entry; `touched` has it referenced, and modified if it can be.
fn leaf(map: &Map, base: PageSize, touched: bool) -> Result<Leaf, String> {
    let rights = rights(map.rights.as_deref())?;
    Ok(Leaf {
        pfn: PhysAddr(map.pa).pfn(base),
        rights,
        global: map.global,
        accessed: map.accessed.unwrap_or(touched),
        dirty: map.dirty.unwrap_or(touched && rights.contains(Rights::WRITE)),
        cache_disable: false,
        write_through: false,
    })
}

fn leaf_level(format: &Format, bytes: u64) -> Result<Level, String> {
    let geometry = format.geometry();
    let levels = (0..geometry.levels.len() as u8).map(Level);
    let mut leaves = levels.filter(|&level| geometry.level(level).leaf);
    let sizes = || {
        let leaves = geometry.levels.iter().filter(|shape| shape.leaf);
        leaves.map(|shape| shape.page().bytes().to_string()).collect::<Vec<_>>().join(", ")
    };
    leaves
        .find(|&level| geometry.level(level).page().bytes() == bytes)
        .ok_or_else(|| format!("no pages of {bytes} bytes: {} has {}", format.name(), sizes()))
}

fn write(
    memory: &mut SparseMemory,
    at: PhysAddr,
    width: EntryWidth,
    raw: u64,
) -> Result<(), String> {
    memory.write_entry(at, width, raw).map_err(|_| no_memory(at))
}

fn no_memory(at: PhysAddr) -> String {
    format!("a table at {at} lies outside memory: give more memory or another root")
}

/// Puts an entry in as bits.
///
/// # Errors
/// What is wrong with it.
pub fn put_entry(
    tables: &Tables,
    memory: &mut SparseMemory,
    entry: &RawEntry,
) -> Result<(), String> {
    let width = match tables {
        Tables::Radix(format) => format.geometry().entry,
        Tables::Hashed(_) => EntryWidth::Four,
    };
    let bytes = width.bytes();
    if !entry.at.is_multiple_of(bytes) {
        return Err(format!("no entry at {:#x}: entries are aligned to {bytes}", entry.at));
    }
    if bytes < 8 && entry.raw >> (bytes * 8) != 0 {
        return Err(format!("{:#x} has more than the {} bits of an entry", entry.raw, bytes * 8));
    }
    memory
        .write_entry(PhysAddr(entry.at), width, entry.raw)
        .map_err(|_| format!("no memory at {:#x}", entry.at))
}

/// Rights by their letters.
///
/// # Errors
/// The letters that there are.
pub fn rights(text: Option<&str>) -> Result<Rights, String> {
    let Some(text) = text else { return Ok(Rights::all()) };
    text.chars().filter(|&c| c != '-').try_fold(Rights::empty(), |rights, letter| {
        let right = match letter {
            'r' => Rights::READ,
            'w' => Rights::WRITE,
            'x' => Rights::EXECUTE,
            'u' => Rights::USER,
            other => return Err(format!("no right {other:?}: give some of r, w, x, u")),
        };
        Ok(rights | right)
    })
}
