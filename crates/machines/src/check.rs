//! From what is written to what is meant: every rule that a description must keep.
//!
//! The first rule that is broken ends the check. Each error names the place of the value that
//! breaks it, the bound, and what would work.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pagewalk_machine::CostModel;
use pagewalk_machine::config::{RAM_BYTES_MAX, RAM_BYTES_MIN};
use pagewalk_mmu::{PageSize, Tables};
use toml::Spanned;

use crate::description::{
    DataCache, Description, Figure, MachineMmu, Memory, Provenance, Source, TlbDescription,
};
use crate::error::DescriptionError;
use crate::facts::{self, Facts, LINEAR};
use crate::file;
use crate::size::{compact, parse};

/// The years of machines that this can be about.
const YEARS: Range<u16> = 1960..2101;

/// The widest addresses of a machine whose tables are linear; the simulated table may be shorter.
const LINEAR_BITS_MAX: u8 = 32;

type Result<T> = std::result::Result<T, DescriptionError>;

impl Description {
    /// Reads and checks a description; `file` is its name in errors.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and column.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let file_text: file::File = toml::from_str(text).map_err(|error| {
            let message = error.message().replace('\n', ": ");
            DescriptionError::at(file, text, error.span().unwrap_or(0..0), message)
        })?;
        let sources = file_text.sources.keys().map(|name| name.get_ref().as_str()).collect();
        let mut check = Check { file, text, sources, used: BTreeSet::new() };
        check.file(&file_text)
    }
}

/// A check under way.
pub(crate) struct Check<'a> {
    file: &'a str,
    text: &'a str,
    /// The sources that there are …
    sources: BTreeSet<&'a str>,
    /// … and those that some figure names.
    used: BTreeSet<String>,
}

impl Check<'_> {
    fn file(&mut self, file: &file::File) -> Result<Description> {
        self.name(&file.name)?;
        let year = *file.year.get_ref();
        if !YEARS.contains(&year) {
            return Err(self.refuse(&file.year, format!("year {year}: give 1960 to 2100")));
        }
        let (mmu, facts) = self.mmu(&file.mmu)?;
        let tlb = self.tlb(&file.tlb, &mmu, &facts)?;
        let walk_caches = self.walk_caches(&file.walk_cache, &facts)?;
        let caches = self.caches(&file.cache)?;
        let memory = self.memory(&file.memory, mmu.physical_bits)?;
        let costs = self.costs(&file.cost)?;
        let cost_model = cost_model(&costs, &caches, &memory);
        let mut names = file.sources.keys();
        if let Some(name) = names.find(|name| !self.used.contains(name.get_ref())) {
            return Err(self.refuse(name, "no figure names this source: remove it, or name it"));
        }
        let source = |(name, source): (&Spanned<String>, &file::SourceText)| {
            let source = Source { title: source.title.clone(), url: source.url.clone() };
            (name.get_ref().clone(), source)
        };
        Ok(Description {
            name: file.name.get_ref().clone(),
            title: file.title.get_ref().clone(),
            year,
            vendor: file.vendor.clone(),
            summary: file.summary.clone(),
            mmu,
            tlb,
            walk_caches,
            caches,
            memory,
            costs,
            sources: file.sources.iter().map(source).collect(),
            cost_model,
        })
    }

    fn name(&self, name: &Spanned<String>) -> Result<()> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match name.get_ref().as_str() {
            text if !text.is_empty() && text.chars().all(is_plain) => Ok(()),
            _ => Err(self.refuse(name, "give a name of lower-case letters, digits and hyphens")),
        }
    }

    fn mmu(&mut self, mmu: &file::Mmu) -> Result<(MachineMmu, Facts)> {
        let name = mmu.name.get_ref().as_str();
        if facts::names().all(|known| known != name) {
            let names = facts::names().collect::<Vec<_>>().join(", ");
            return Err(self.refuse(&mmu.name, format!("no MMU {name:?}: give one of {names}")));
        }
        let pages = self.sizes(&mmu.pages)?;
        let linear = self.linear(mmu, pages[0])?;
        let tables = facts::tables(name, linear, RAM_BYTES_MIN);
        let Some(tables) = tables else {
            let problem = "linear has pages of at most 16M, and addresses of at most 32 bits that \
                           are wider than the page's offset";
            return Err(self.refuse(&mmu.pages, problem));
        };
        let facts = Facts::of(&tables);
        self.pages(mmu, &tables, &facts)?;
        let virtual_bits_max = if linear.is_some() { LINEAR_BITS_MAX } else { facts.virtual_bits };
        self.at_most(&mmu.virtual_bits, virtual_bits_max, name, "virtual")?;
        self.at_most(&mmu.physical_bits, facts.physical_bits, name, "physical")?;
        let machine = MachineMmu {
            name: name.to_owned(),
            linear,
            differs: mmu.differs.clone(),
            virtual_bits: *mmu.virtual_bits.get_ref(),
            physical_bits: *mmu.physical_bits.get_ref(),
            pages,
            provenance: self.provenance(&mmu.source, mmu.place.as_ref(), mmu.checked)?,
        };
        Ok((machine, facts))
    }

    /// The page and width of a linear table.
    fn linear(&self, mmu: &file::Mmu, base_page: u64) -> Result<Option<(PageSize, u8)>> {
        match (mmu.name.get_ref() == LINEAR, &mmu.linear_bits) {
            (false, None) => Ok(None),
            (false, Some(bits)) => {
                Err(self.refuse(bits, "linear_bits is for the MMU linear alone: remove it"))
            }
            (true, None) => {
                let problem = "linear needs linear_bits, the width of its table's addresses";
                Err(self.refuse(&mmu.name, problem))
            }
            (true, Some(bits)) => {
                let shift = base_page.trailing_zeros() as u8;
                Ok(Some((PageSize::from_shift(shift), *bits.get_ref())))
            }
        }
    }

    fn pages(&self, mmu: &file::Mmu, tables: &Tables, facts: &Facts) -> Result<()> {
        let name = tables.name();
        for page in mmu.pages.get_ref() {
            let bytes = self.page_bytes(page)?;
            if bytes < facts.entry_bytes {
                let entry = facts.entry_bytes;
                let problem = format!(
                    "a page of {bytes} bytes is smaller than a page-table entry of {entry}: \
                     give at least {entry}"
                );
                return Err(self.refuse(page, problem));
            }
            if !facts.pages.contains(&bytes) {
                let has = list(&facts.pages);
                let text = page.get_ref();
                return Err(
                    self.refuse(page, format!("{name} has no pages of {text}: it has {has}"))
                );
            }
        }
        let base = tables.base_page().bytes();
        match self.sizes(&mmu.pages)?.contains(&base) {
            true => Ok(()),
            false => {
                let problem = format!("{name}'s base page, {}, is missing", compact(base));
                Err(self.refuse(&mmu.pages, problem))
            }
        }
    }

    fn at_most(&self, bits: &Spanned<u8>, most: u8, name: &str, kind: &str) -> Result<()> {
        match *bits.get_ref() {
            given if (1..=most).contains(&given) => Ok(()),
            given => {
                let problem = format!(
                    "{given} {kind} address bits: {name} has at most {most}; give 1 to {most}"
                );
                Err(self.refuse(bits, problem))
            }
        }
    }

    fn tlb(&mut self, tlb: &file::Tlb, mmu: &MachineMmu, facts: &Facts) -> Result<TlbDescription> {
        let load = *tlb.load.get_ref();
        if load != facts.load {
            let problem = match facts.load {
                crate::Loading::Hardware => "hardware loads",
                crate::Loading::Software => "software loads",
            };
            let problem = format!("{problem} the TLB of the MMU {}: give that", mmu.name);
            return Err(self.refuse(&tlb.load, problem));
        }
        let asid_bits = *tlb.asid_bits.get_ref();
        if asid_bits > facts.asid_bits {
            let problem = match facts.asid_bits {
                0 => format!("{} has no address-space identifiers: give 0", mmu.name),
                most => format!(
                    "{asid_bits} bits of ASID: {} has at most {most}; give 0 to {most}, 0 for a \
                     TLB without",
                    mmu.name
                ),
            };
            return Err(self.refuse(&tlb.asid_bits, problem));
        }
        Ok(TlbDescription {
            load,
            asid_bits,
            note: tlb.note.clone(),
            provenance: self.provenance(&tlb.source, tlb.place.as_ref(), tlb.checked)?,
            arrays: self.arrays(&tlb.array, mmu)?,
        })
    }

    fn memory(&mut self, memory: &file::Memory, physical_bits: u8) -> Result<Memory> {
        let mut sizes = Vec::new();
        for size in &memory.typical {
            sizes.push(self.ram(size, physical_bits)?);
        }
        Ok(Memory {
            ram: self.ram(&memory.ram, physical_bits)?,
            typical: sizes,
            latency: memory.latency.as_ref().map(|latency| *latency.get_ref()),
            note: memory.note.clone(),
            provenance: self.provenance(&memory.source, memory.place.as_ref(), memory.checked)?,
        })
    }

    fn ram(&self, size: &Spanned<String>, physical_bits: u8) -> Result<u64> {
        let most = RAM_BYTES_MAX.min(1u64.checked_shl(physical_bits.into()).unwrap_or(u64::MAX));
        let bytes = parse(size.get_ref()).filter(|bytes| (RAM_BYTES_MIN..=most).contains(bytes));
        bytes.ok_or_else(|| {
            let (least, most) = (compact(RAM_BYTES_MIN), compact(most));
            let problem = format!(
                "{:?} of RAM: give {least} to {most}, what {physical_bits} address bits and the \
                 simulator allow",
                size.get_ref()
            );
            self.refuse(size, problem)
        })
    }

    fn costs(
        &mut self,
        costs: &BTreeMap<Spanned<String>, Spanned<file::Cost>>,
    ) -> Result<BTreeMap<String, Figure>> {
        let known = crate::setup::cost_keys();
        let mut figures = BTreeMap::new();
        for (key, cost) in costs {
            if !known.contains(key.get_ref()) {
                let keys = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(self.refuse(key, format!("no cost of this name: give one of {keys}")));
            }
            let cost = cost.get_ref();
            let value = *cost.value.get_ref();
            let alone = format!("{} = {value}", key.get_ref());
            if let Err(problem) = CostModel::from_toml(&alone) {
                return Err(self.refuse(&cost.value, problem));
            }
            let provenance = self.provenance(&cost.source, cost.place.as_ref(), cost.checked)?;
            let figure = Figure { value, note: cost.note.clone(), provenance };
            figures.insert(key.get_ref().clone(), figure);
        }
        Ok(figures)
    }
}

/// What every part needs.
impl Check<'_> {
    pub(crate) fn refuse<T>(
        &self,
        place: &Spanned<T>,
        problem: impl Into<String>,
    ) -> DescriptionError {
        DescriptionError::at(self.file, self.text, place.span(), problem)
    }

    pub(crate) fn provenance(
        &mut self,
        source: &Spanned<String>,
        place: Option<&String>,
        checked: bool,
    ) -> Result<Provenance> {
        let name = source.get_ref();
        if !self.sources.contains(name.as_str()) {
            let names = self.sources.iter().copied().collect::<Vec<_>>().join(", ");
            let problem =
                format!("no source {name:?} in [sources]: give one of {names}, or add it");
            return Err(self.refuse(source, problem));
        }
        self.used.insert(name.clone());
        Ok(Provenance { source: name.clone(), place: place.cloned(), checked })
    }

    /// A list of page sizes, smallest first; none is there twice.
    pub(crate) fn sizes(&self, list: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<u64>> {
        let mut sizes = Vec::new();
        for size in list.get_ref() {
            let bytes = self.page_bytes(size)?;
            if sizes.contains(&bytes) {
                return Err(self.refuse(size, format!("{} is there twice", size.get_ref())));
            }
            sizes.push(bytes);
        }
        sizes.sort_unstable();
        match sizes.is_empty() {
            true => Err(self.refuse(list, "give at least one page size")),
            false => Ok(sizes),
        }
    }

    pub(crate) fn page_bytes(&self, size: &Spanned<String>) -> Result<u64> {
        parse(size.get_ref()).filter(|bytes| bytes.is_power_of_two()).ok_or_else(|| {
            let problem = format!(
                "{:?} is no page size: give a power of two, as 512, 4K, 2M or 1G",
                size.get_ref()
            );
            self.refuse(size, problem)
        })
    }
}

/// Sizes as text: `4K, 2M`.
pub(crate) fn list(sizes: &[u64]) -> String {
    sizes.iter().map(|&bytes| compact(bytes)).collect::<Vec<_>>().join(", ")
}

/// The cost model with these costs, which have been checked one by one; latencies of caches and
/// memory are costs as well, unless they are given as such.
fn cost_model(
    costs: &BTreeMap<String, Figure>,
    caches: &[DataCache],
    memory: &Memory,
) -> CostModel {
    let known = crate::setup::cost_keys();
    let caches = caches.iter().filter(|cache| cache.is_modelled());
    let latencies = caches
        .filter_map(|cache| Some((format!("cache_l{}", cache.level), cache.latency?)))
        .chain(memory.latency.map(|latency| ("cache_memory".to_owned(), latency)))
        .filter(|(key, _)| known.contains(key) && !costs.contains_key(key));
    let given = costs.iter().map(|(key, figure)| (key.clone(), figure.value));
    let text: String =
        given.chain(latencies).map(|(key, value)| format!("{key} = {value}\n")).collect();
    CostModel::from_toml(&text).unwrap_or_default()
}
