//! Scenes described in TOML, or by options: page tables as mappings or as raw entries.
//!
//! ```toml
//! mmu = "ia32"            # as --mmu
//! root = 0x1000           # where the top table lies; tables follow it
//! tlb = "l1=4x2"          # optional, as --tlb
//! memory = "4GiB"         # optional: what lies beyond does not answer
//!
//! walk_cache = "l1=32"    # optional, as --walk-cache
//! base = 5000             # of `base-bounds`: what is added
//! bounds = [0, 300]       # of `base-bounds`: the first address allowed, the first above
//! selector = 0x2b         # of `segments-paging`; if left out, a flat segment's
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
//! [[segment]]             # of `segments`: a descriptor
//! number = 2
//! base = 9000
//! bounds = 300
//! rights = "rw"           # of r, w, x; if left out, all
//! down = true             # offsets from the bounds on are valid; if left out, those below
//!
//! [[descriptor]]          # of `segments-paging`: over the flat ones 1 to 4
//! index = 5
//! raw = 0x00c0f3000000ffff
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

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use pagewalk_mmu::hashed::{self, HashedTable};
use pagewalk_mmu::radix::Format;
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{Access, AccessKind, Asid, PhysAddr, Privilege, Tables, VirtAddr};
use serde::Deserialize;
use toml::Spanned;

use crate::builder::{Builder, put_entry};
use crate::controls::with_control;
use crate::describe_unpaged::UNPAGED;
use crate::explain::SEGMENTS_PAGING;
use crate::memory::SparseMemory;
use crate::r3000;
use crate::scene::{Hardware, Query, Scene, mmu};

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
    /// The walk cache; if left out, there is none.
    pub walk_cache: Option<Spanned<String>>,
    /// The base register of `base-bounds`.
    pub base: Option<Spanned<u64>>,
    /// Its bounds: the first address allowed, and the first above those allowed.
    pub bounds: Option<Spanned<(u64, u64)>>,
    /// What the segment register of an access is loaded with (`segments-paging`).
    pub selector: Option<Spanned<u64>>,
    /// Descriptors of `segments`.
    #[serde(default)]
    pub segment: Vec<Spanned<SegmentLine>>,
    /// Descriptors of `segments-paging`.
    #[serde(default)]
    pub descriptor: Vec<Spanned<DescriptorLine>>,
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
    /// The referenced bit; if left out, it is set where no hardware sets it (R3000).
    pub accessed: Option<bool>,
    /// The modified bit; likewise, of pages that can be written.
    pub dirty: Option<bool>,
}

impl Map {
    /// A base page with all rights.
    pub const fn new(va: u64, pa: u64) -> Self {
        let (global, accessed, dirty) = (false, None, None);
        Self { va, pa, rights: None, page: None, global, accessed, dirty }
    }
}

/// A descriptor of `segments`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentLine {
    /// The segment's number.
    pub number: u32,
    /// Where offset 0 lies.
    pub base: u64,
    /// The bounds in bytes.
    pub bounds: u64,
    /// Of `r`, `w`, `x`; if left out, all.
    pub rights: Option<String>,
    /// Offsets from the bounds on are valid, not those below.
    #[serde(default)]
    pub down: bool,
}

/// A descriptor of `segments-paging`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescriptorLine {
    /// Its index in the GDT.
    pub index: u64,
    /// Its eight bytes.
    pub raw: u64,
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
pub(crate) type Problem = (Range<usize>, String);

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
            walk_cache: None,
            base: None,
            bounds: None,
            selector: None,
            segment: Vec::new(),
            descriptor: Vec::new(),
            controls: BTreeMap::new(),
            map: Vec::new(),
            entry: Vec::new(),
            access: Vec::new(),
        }
    }

    /// Sets the page's size in bytes, where it is a parameter.
    pub fn set_page(&mut self, bytes: u64) {
        self.page = Some(Spanned::new(0..0, bytes));
    }

    /// Sets where the top table lies.
    pub fn set_root(&mut self, at: u64) {
        self.root = Some(Spanned::new(0..0, at));
    }

    /// Sets the TLB's geometry.
    pub fn set_tlb(&mut self, geometry: &str) {
        self.tlb = Some(Spanned::new(0..0, geometry.into()));
    }

    /// Sets the walk cache's geometry.
    pub fn set_walk_cache(&mut self, geometry: &str) {
        self.walk_cache = Some(Spanned::new(0..0, geometry.into()));
    }

    /// Sets the size of physical memory in bytes.
    pub fn set_memory(&mut self, bytes: u64) {
        self.memory = Some(Spanned::new(0..0, bytes));
    }

    /// Sets the base register.
    pub fn set_base(&mut self, base: u64) {
        self.base = Some(Spanned::new(0..0, base));
    }

    /// Sets the bounds registers: the first address allowed, and the first above.
    pub fn set_bounds(&mut self, first: u64, end: u64) {
        self.bounds = Some(Spanned::new(0..0, (first, end)));
    }

    /// Sets what the segment register is loaded with.
    pub fn set_selector(&mut self, selector: u64) {
        self.selector = Some(Spanned::new(0..0, selector));
    }

    /// Adds a descriptor of `segments`.
    pub fn add_segment(&mut self, segment: SegmentLine) {
        self.segment.push(Spanned::new(0..0, segment));
    }

    /// Adds a descriptor of `segments-paging`.
    pub fn add_descriptor(&mut self, descriptor: DescriptorLine) {
        self.descriptor.push(Spanned::new(0..0, descriptor));
    }

    /// Sets or clears a control bit.
    pub fn set_control(&mut self, name: &str, on: bool) {
        self.controls.insert(Spanned::new(0..0, name.into()), on);
    }

    /// Adds a page to map.
    pub fn add_map(&mut self, map: Map) {
        self.map.push(Spanned::new(0..0, map));
    }

    /// Adds an entry as bits.
    pub fn add_entry(&mut self, entry: RawEntry) {
        self.entry.push(Spanned::new(0..0, entry));
    }

    /// The base page in bytes; without pages, a byte.
    ///
    /// # Errors
    /// If there is no such MMU, or no such page.
    pub fn base_page(&self) -> Result<u64, DescriptionError> {
        if UNPAGED.contains(&self.mmu.get_ref().as_str()) {
            return Ok(1);
        }
        let tables = self.tables();
        let tables = tables.map_err(|(_, problem)| DescriptionError { place: None, problem })?;
        Ok(tables.base_page().bytes())
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
        description.build_parts(&[]).map_err(|(span, problem)| DescriptionError {
            place: Some(line_and_column(text, span.start)),
            problem,
        })
    }

    /// Builds what was described without a text.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn build(&self) -> Result<(Scene, Vec<Query>), DescriptionError> {
        self.build_over(&[])
    }

    /// Builds what was described without a text, over an image of physical memory from 0 on.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn build_over(&self, image: &[u8]) -> Result<(Scene, Vec<Query>), DescriptionError> {
        let built = self.build_parts(image);
        built.map_err(|(_, problem)| DescriptionError { place: None, problem })
    }

    fn build_parts(&self, image: &[u8]) -> Result<(Scene, Vec<Query>), Problem> {
        let scene = match self.unpaged()? {
            Some(unpaged) => Scene::unpaged(unpaged),
            None => self.paged(image)?,
        };
        let queries = self.access.iter().map(|line| query(line.get_ref(), line.span()));
        Ok((scene, queries.collect::<Result<_, _>>()?))
    }

    fn paged(&self, image: &[u8]) -> Result<Scene, Problem> {
        let tables = self.tables()?;
        let bytes = self.memory.as_ref().map_or(1 << PHYSICAL_BITS_MAX, |bytes| *bytes.get_ref());
        let mut memory = SparseMemory::new(bytes);
        if memory.put(PhysAddr(0), image).is_err() {
            return Err((0..0, format!("the image is larger than memory ({bytes} bytes)")));
        }
        let root = self.root.as_ref().map_or(default_root(&tables), |root| *root.get_ref());
        let root_span = self.root.as_ref().map_or(self.mmu.span(), Spanned::span);
        let asid = Asid(self.asid);
        let mut builder = Builder::new(&tables, PhysAddr(root), asid, &self.map);
        for map in &self.map {
            builder.map(&mut memory, map.get_ref()).map_err(|problem| (map.span(), problem))?;
        }
        for entry in &self.entry {
            put_entry(&tables, &mut memory, entry.get_ref())
                .map_err(|problem| (entry.span(), problem))?;
        }
        let tlb = self.tlb(&tables)?;
        let mmu = mmu(tables, tlb, &memory, PhysAddr(root), asid)
            .map_err(|cause| (root_span, format!("no root at {root:#x}: {cause}")))?;
        let mmu = Box::new(self.with_walk_cache(mmu)?);
        let hardware = match self.descriptor_table()? {
            Some(table) => Hardware::Segmented(table, mmu),
            None => Hardware::Paged(mmu),
        };
        Ok(Scene { hardware, memory, now: 0 })
    }

    fn tables(&self) -> Result<Tables, Problem> {
        let name = match self.mmu.get_ref().as_str() {
            SEGMENTS_PAGING => "ia32",
            name => name,
        };
        let mut tables = Tables::by_name(name, FRAMES).ok_or_else(|| {
            let paged = [Format::NAMES, hashed::Format::NAMES].concat().join(", ");
            let unpaged = UNPAGED.join(", ");
            let names = format!("{unpaged}, {SEGMENTS_PAGING}, {paged}");
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

    fn tlb(&self, tables: &Tables) -> Result<Option<TlbConfig>, Problem> {
        let Some(text) = &self.tlb else { return Ok(None) };
        if r3000::own_tlb(tables).is_some() {
            let problem = "the R3000 has a TLB of its own: leave it out";
            return Err((text.span(), problem.into()));
        }
        let config = TlbConfig::parse(text.get_ref());
        config.map(Some).map_err(|error| (text.span(), error.to_string()))
    }
}

/// A hashed table is made for so many frames: 16 MiB of pages of 4 KiB.
const FRAMES: u64 = 4096;

/// Physical addresses have at most so many bits in any format.
const PHYSICAL_BITS_MAX: u8 = 56;

/// A tree begins behind the first page; a hashed table where its alignment allows, from 0 on.
fn default_root(tables: &Tables) -> u64 {
    match tables {
        Tables::Radix(_) => tables.base_page().bytes().max(4096),
        Tables::Hashed(table) => table.root(PhysAddr(0)).0,
    }
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
pub fn access(kind: Option<&str>, privilege: Option<&str>) -> Result<Access, String> {
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

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    (line, column)
}
