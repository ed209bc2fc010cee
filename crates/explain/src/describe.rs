//! Scenes described in TOML, or by options: page tables as mappings or as raw entries.
//!
//! ```toml
//! mmu = "ia32"            # as --mmu
//! root = 0x1000           # where the top table lies; tables follow it
//! tlb = "l1=4x2"          # optional, as --tlb
//! memory = "4GiB"         # optional: what lies beyond does not answer
//!
//! [controls]              # optional, by the manuals' names
//! wp = true
//!
//! [[map]]                 # tables are made for it
//! va = 0x00400000
//! pa = 0x00005000
//! rights = "rwu"          # of r, w, x, u; if left out, all
//! page = 4096             # the page's size; if left out, the base page
//!
//! [[entry]]               # bits as they are, over what the mappings made
//! at = 0x1004
//! raw = 0x2027
//!
//! [[access]]              # explained one after the other, through one TLB
//! va = 0x00400123
//! kind = "write"          # read, write, execute
//! privilege = "user"      # user, supervisor
//! ```

use std::fmt;
use std::ops::Range;

use pagewalk_mmu::radix::{Entry, Format, Leaf, Radix};
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{
    Access, AccessKind, Asid, EntryWidth, Level, PageSize, PhysAddr, Privilege, Rights,
    TableMemory, Tables, VirtAddr,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

use crate::controls::with_control;
use crate::memory::SparseMemory;
use crate::scene::{Query, Scene};

/// A scene in words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The MMU's name.
    pub mmu: Spanned<String>,
    /// The page's size where it is a parameter (`linear`).
    pub page: Option<Spanned<u64>>,
    /// Where the top table lies; if left out, one page above 0.
    pub root: Option<Spanned<u64>>,
    /// The size of physical memory in bytes; if left out, all that entries can name.
    pub memory: Option<Spanned<u64>>,
    /// The address space.
    #[serde(default)]
    pub asid: u16,
    /// The TLB; if left out, there is none.
    pub tlb: Option<Spanned<String>>,
    /// Control bits by name.
    #[serde(default)]
    pub controls: BTreeMap<Spanned<String>, bool>,
    /// Pages to map.
    #[serde(default)]
    pub map: Vec<Spanned<Map>>,
    /// Entries as bits.
    #[serde(default)]
    pub entry: Vec<Spanned<RawEntry>>,
    /// Accesses to explain.
    #[serde(default)]
    pub access: Vec<Spanned<AccessLine>>,
}

/// A page to map.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// The page's virtual address.
    pub va: u64,
    /// Its physical address.
    pub pa: u64,
    /// Of `r`, `w`, `x`, `u`; if left out, all.
    pub rights: Option<String>,
    /// The page's size in bytes; if left out, the base page.
    pub page: Option<u64>,
    /// Valid in every address space.
    #[serde(default)]
    pub global: bool,
    /// The referenced bit.
    #[serde(default)]
    pub accessed: bool,
    /// The modified bit.
    #[serde(default)]
    pub dirty: bool,
}

/// An entry as bits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEntry {
    /// Where it lies.
    pub at: u64,
    /// Its bits.
    pub raw: u64,
}

/// An access to explain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLine {
    /// The virtual address.
    pub va: u64,
    /// `read` (if left out), `write` or `execute`.
    pub kind: Option<String>,
    /// `user` (if left out) or `supervisor`.
    pub privilege: Option<String>,
}

/// What is wrong with a description, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescriptionError {
    /// Line and column, from 1; `None` for what came by options.
    pub place: Option<(usize, usize)>,
    /// What, and what would work.
    pub problem: String,
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => {
                write!(f, "line {line}, column {column}: {}", self.problem)
            }
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for DescriptionError {}

/// A problem, and the bytes of the description that it is about.
type Problem = (Range<usize>, String);

impl Description {
    /// An empty scene with the MMU of this name.
    pub fn new(mmu: &str) -> Self {
        Self {
            mmu: Spanned::new(0..0, mmu.into()),
            page: None,
            root: None,
            memory: None,
            asid: 0,
            tlb: None,
            controls: BTreeMap::new(),
            map: Vec::new(),
            entry: Vec::new(),
            access: Vec::new(),
        }
    }

    /// Reads a description and builds what it describes.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and column.
    pub fn read(text: &str) -> Result<(Scene, Vec<Query>), DescriptionError> {
        let description: Self = toml::from_str(text).map_err(|error| DescriptionError {
            place: error.span().map(|span| line_and_column(text, span.start)),
            problem: error.message().into(),
        })?;
        description.build_parts().map_err(|(span, problem)| DescriptionError {
            place: Some(line_and_column(text, span.start)),
            problem,
        })
    }

    /// Builds what was described without a text.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn build(&self) -> Result<(Scene, Vec<Query>), DescriptionError> {
        self.build_parts().map_err(|(_, problem)| DescriptionError { place: None, problem })
    }

    fn build_parts(&self) -> Result<(Scene, Vec<Query>), Problem> {
        let tables = self.tables()?;
        let bytes = self.memory.as_ref().map_or(1 << PHYSICAL_BITS_MAX, |bytes| *bytes.get_ref());
        let mut memory = SparseMemory::new(bytes);
        let root = self.root.as_ref().map_or(default_root(&tables), |root| *root.get_ref());
        let root_span = self.root.as_ref().map_or(self.mmu.span(), Spanned::span);
        let mut builder = Builder::new(&tables, PhysAddr(root), &self.map);
        for map in &self.map {
            builder.map(&mut memory, map.get_ref()).map_err(|problem| (map.span(), problem))?;
        }
        for entry in &self.entry {
            put_entry(&tables, &mut memory, entry.get_ref())
                .map_err(|problem| (entry.span(), problem))?;
        }
        let asid = Asid(self.asid);
        let scene = Scene::new(tables, self.tlb()?, memory, PhysAddr(root), asid)
            .map_err(|cause| (root_span, format!("no root at {root:#x}: {cause}")))?;
        let queries = self.access.iter().map(|line| query(line.get_ref(), line.span()));
        Ok((scene, queries.collect::<Result<_, _>>()?))
    }

    fn tables(&self) -> Result<Tables, Problem> {
        let name = self.mmu.get_ref();
        let mut tables = Tables::by_name(name).ok_or_else(|| {
            let names = Format::NAMES.join(", ");
            (self.mmu.span(), format!("no MMU {name:?}: give one of {names}"))
        })?;
        if let Some(page) = &self.page {
            tables = with_page(tables, *page.get_ref()).map_err(|text| (page.span(), text))?;
        }
        for (control, &on) in &self.controls {
            tables = with_control(tables, control.get_ref(), on)
                .map_err(|text| (control.span(), text))?;
        }
        Ok(tables)
    }

    fn tlb(&self) -> Result<Option<TlbConfig>, Problem> {
        let Some(text) = &self.tlb else { return Ok(None) };
        let config = TlbConfig::parse(text.get_ref());
        config.map(Some).map_err(|error| (text.span(), error.to_string()))
    }
}

/// Physical addresses have at most so many bits in any format.
const PHYSICAL_BITS_MAX: u8 = 56;

fn default_root(tables: &Tables) -> u64 {
    tables.base_page().bytes().max(4096)
}

/// The tables with pages of this size.
fn with_page(tables: Tables, bytes: u64) -> Result<Tables, String> {
    if bytes == tables.base_page().bytes() {
        return Ok(tables);
    }
    match tables {
        Tables::Radix(Format::Linear(linear)) => {
            let page = bytes.checked_ilog2().filter(|_| bytes.is_power_of_two());
            let linear = page.and_then(|shift| linear.with_page(shift as u8));
            linear.map(|linear| Tables::Radix(Format::Linear(linear))).ok_or_else(|| {
                format!("no pages of {bytes} bytes: give a power of two up to 16777216")
            })
        }
        _ => Err(format!(
            "{} has pages of {} bytes; only those of linear are a parameter",
            tables.name(),
            tables.base_page().bytes()
        )),
    }
}

fn query(line: &AccessLine, span: Range<usize>) -> Result<Query, Problem> {
    let access = access(line.kind.as_deref(), line.privilege.as_deref());
    Ok(Query { va: VirtAddr(line.va), access: access.map_err(|problem| (span, problem))? })
}

/// An access by its names.
///
/// # Errors
/// The names that there are.
pub(crate) fn access(kind: Option<&str>, privilege: Option<&str>) -> Result<Access, String> {
    let kind = match kind.unwrap_or("read") {
        "read" => AccessKind::Read,
        "write" => AccessKind::Write,
        "execute" => AccessKind::Execute,
        other => return Err(format!("no access {other:?}: give read, write or execute")),
    };
    let privilege = match privilege.unwrap_or("user") {
        "user" => Privilege::User,
        "supervisor" => Privilege::Supervisor,
        other => return Err(format!("no privilege {other:?}: give user or supervisor")),
    };
    Ok(Access { kind, privilege })
}

fn rights(text: Option<&str>) -> Result<Rights, String> {
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

fn put_entry(tables: &Tables, memory: &mut SparseMemory, entry: &RawEntry) -> Result<(), String> {
    let width = match tables {
        Tables::Radix(format) => format.geometry().entry,
        #[allow(unreachable_patterns, reason = "hashed tables have words of four bytes")]
        _ => EntryWidth::Four,
    };
    let bytes = width.bytes();
    if entry.at % bytes != 0 {
        return Err(format!("no entry at {:#x}: entries are aligned to {bytes}", entry.at));
    }
    if bytes < 8 && entry.raw >> (bytes * 8) != 0 {
        return Err(format!("{:#x} has more than the {} bits of an entry", entry.raw, bytes * 8));
    }
    memory
        .write_entry(PhysAddr(entry.at), width, entry.raw)
        .map_err(|_| format!("no memory at {:#x}", entry.at))
}

/// Makes tables for mappings.
struct Builder<'a> {
    tables: &'a Tables,
    root: PhysAddr,
    /// Where the next table is looked for.
    next: u64,
    /// The mapped pages, which no table may lie in: first and last address.
    taken: Vec<(u64, u64)>,
}

impl<'a> Builder<'a> {
    fn new(tables: &'a Tables, root: PhysAddr, maps: &[Spanned<Map>]) -> Self {
        let base = tables.base_page().bytes();
        let taken = maps.iter().map(|map| {
            let map = map.get_ref();
            (map.pa, map.pa.saturating_add(map.page.unwrap_or(base).saturating_sub(1)))
        });
        let top_bytes = match tables {
            Tables::Radix(format) => format.geometry().table_bytes(format.geometry().top()),
            #[allow(unreachable_patterns, reason = "hashed tables have one table")]
            _ => 0,
        };
        let next = root.0.saturating_add(top_bytes.max(base));
        Self { tables, root, next, taken: taken.collect() }
    }

    fn map(&mut self, memory: &mut SparseMemory, map: &Map) -> Result<(), String> {
        #[allow(irrefutable_let_patterns, reason = "hashed tables are filled by insertion")]
        let Tables::Radix(format) = *self.tables else {
            return Err(format!("{}: give its entries as bits", self.tables.name()));
        };
        let geometry = *format.geometry();
        let base = geometry.base_page();
        let level = leaf_level(&format, map.page.unwrap_or(base.bytes()))?;
        let page = geometry.level(level).page();
        let va = VirtAddr(map.va);
        format.check_address(va).map_err(|cause| format!("{va}: {cause}"))?;
        for (what, address) in [("va", map.va), ("pa", map.pa)] {
            if address % page.bytes() != 0 {
                return Err(format!("{what} {address:#x} is not aligned to the page of {page}"));
            }
        }
        if map.pa >> geometry.pa_bits != 0 {
            return Err(format!("pa {:#x} has more than {} bits", map.pa, geometry.pa_bits));
        }
        let leaf = Leaf {
            pfn: PhysAddr(map.pa).pfn(base),
            rights: rights(map.rights.as_deref())?,
            global: map.global,
            accessed: map.accessed,
            dirty: map.dirty,
            cache_disable: false,
            write_through: false,
        };
        let at = self.entry(memory, &format, va, level)?;
        let raw = format.encode_leaf(level, leaf);
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

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    (line, column)
}
