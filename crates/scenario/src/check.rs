//! From what is written to what can be run: every value is checked, and refused with its place and
//! what would work.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use pagewalk_cpu::toy::{Program, Reg, assemble};
use pagewalk_kernel::{Prot, Scope, ShareTables};
use pagewalk_mmu::radix::{Format, Linear, Radix};
use pagewalk_mmu::segment::Shape;
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{PageSize, Tables};
use pagewalk_replacement::PolicyKind;
use pagewalk_step::Kind;
use toml::Spanned;

use crate::error::ScenarioError;
use crate::file;
use crate::geometry::Geometry;
use crate::scenario::{
    Check, DataFile, Expectation, Map, Overrides, Place, Process, Scenario, Subject, Translation,
};
use crate::system::Turn;

/// The most frames, pages of a space, and slots: a story is no longer one with more.
const PAGES_MAX: u64 = 1 << 16;
/// The most words of a page.
const PAGE_WORDS_MAX: u64 = 1 << 16;
/// The most processes.
const PROCESSES_MAX: usize = 32;
/// The widest address of a single-level table.
const LINEAR_BITS_MAX: u32 = 32;
/// The bytes of an entry of the single-level table: a frame holds at least one.
const ENTRY_BYTES: u64 = 4;

/// The MMU of bases and bounds that the address chooses.
const SEGMENTS: &str = "segments";

/// The schemes without pages.
const UNPAGED: [(&str, Translation); 2] =
    [("none", Translation::Physical), ("base-bounds", Translation::Bounds)];

/// Reads a scenario. `name` is the file's name, for messages.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(text: &str, name: &str, overrides: &Overrides) -> Result<Scenario, ScenarioError> {
    let file: file::File = toml::from_str(text).map_err(|error| ScenarioError {
        file: name.to_owned(),
        text: text.to_owned(),
        span: error.span().unwrap_or(0..0),
        problem: error.message().to_owned(),
        help: None,
    })?;
    Checker { file: name, text, overrides }.scenario(file)
}

struct Checker<'a> {
    file: &'a str,
    text: &'a str,
    overrides: &'a Overrides,
}

type Checked<T> = Result<T, ScenarioError>;

impl Checker<'_> {
    fn error<T>(&self, span: Range<usize>, problem: String, help: &str) -> Checked<T> {
        let help = (!help.is_empty()).then(|| help.to_owned());
        let (file, text) = (self.file.to_owned(), self.text.to_owned());
        Err(ScenarioError { file, text, span, problem, help })
    }

    /// What is wrong with an option, which is a text of its own.
    fn option_error<T>(
        &self,
        option: &str,
        value: &str,
        problem: String,
        help: &str,
    ) -> Checked<T> {
        let (file, text) = (option.to_owned(), value.to_owned());
        let help = (!help.is_empty()).then(|| help.to_owned());
        Err(ScenarioError { file, span: 0..text.len(), text, problem, help })
    }

    /// What is wrong with a value that the file has, or that an option gives in its place.
    fn value_error<T>(
        &self,
        option: &str,
        given: &Option<String>,
        span: Range<usize>,
        problem: String,
        help: &str,
    ) -> Checked<T> {
        match given {
            Some(value) => self.option_error(option, value, problem, help),
            None => self.error(span, problem, help),
        }
    }

    /// A number within bounds.
    fn within(
        &self,
        value: &Spanned<u64>,
        what: &str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Checked<u64> {
        let number = *value.get_ref();
        if bounds.contains(&number) {
            return Ok(number);
        }
        let help = format!("from {} to {}", bounds.start(), bounds.end());
        self.error(value.span(), format!("{what} cannot be {number}"), &help)
    }

    fn optional(
        &self,
        value: &Option<Spanned<u64>>,
        what: &str,
        bounds: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> Checked<u64> {
        value.as_ref().map_or(Ok(default), |value| self.within(value, what, bounds))
    }

    fn scenario(&self, raw: file::File) -> Checked<Scenario> {
        let span = raw.machine.span();
        let machine = raw.machine.into_inner();
        let frames = match self.overrides.frames {
            Some(frames) if (1..=PAGES_MAX).contains(&frames) => frames,
            Some(frames) => {
                let help = format!("from 1 to {PAGES_MAX}");
                let (value, problem) = (frames.to_string(), format!("{frames} frames cannot be"));
                return self.option_error("--frames", &value, problem, &help);
            }
            None => self.within(&machine.frames, "frames", 1..=PAGES_MAX)?,
        };
        let pages = self.optional(&machine.pages, "pages", 1..=PAGES_MAX, 16)?;
        let page_words = self.optional(&machine.page, "page", 1..=PAGE_WORDS_MAX, 1)?;
        let word = self.word(&machine)?;
        let translation = self.translation(&machine, frames, word, page_words, pages)?;
        let (translation, page_words) = match self.mmu(&machine) {
            // Segments are cut to the word.
            SEGMENTS => (Translation::Segments(self.shape(&machine)?), 1),
            _ => (translation, page_words),
        };
        let page = match translation {
            Translation::Paged(tables) => tables.base_page(),
            _ => page_for(word * page_words),
        };
        let geometry = Geometry { word, page_words, page };
        let names = self.names(raw.process.get_ref())?;
        if raw.process.get_ref().is_empty() {
            let help = "a [[process]] has a name, what it maps and its code";
            return self.error(raw.process.span(), "nobody runs".into(), help);
        }
        let scenario = Scenario {
            name: stem(self.file).to_owned(),
            title: raw.title,
            about: raw.about.trim().to_owned(),
            features: raw.features,
            source: raw.text,
            translation,
            geometry,
            pages: self.pages_of(&translation, pages, word),
            frames,
            order: self.order(&machine, frames)?,
            tlb: self.tlb(&machine, &translation)?,
            policy: self.policy(&machine)?,
            shows_queues: machine.policy.is_some() || self.overrides.policy.is_some(),
            scope: self.scope(&machine)?,
            resident: self.resident(&machine)?,
            swap: self.optional(&machine.swap, "swap", 0..=PAGES_MAX, 0)?,
            quantum: self.optional(&machine.quantum, "quantum", 1..=u64::MAX, u64::MAX)?,
            script: self.script(&machine, &names)?,
            share_tables: self.share_tables(machine.share_tables.as_ref())?,
            memory: machine.memory,
            spaces: self.optional(&machine.spaces, "spaces", 1..=PROCESSES_MAX as u64, {
                let forks = raw.process.get_ref().iter().any(|process| has_fork(process.get_ref()));
                names.len() as u64 + u64::from(forks)
            })?,
            base: self.base(machine.base.as_ref())?,
            files: Vec::new(),
            processes: Vec::new(),
            expectations: Vec::new(),
            place: Place { file: self.file.to_owned(), text: self.text.into(), machine: span },
        };
        self.parts(scenario, raw.file, raw.process.into_inner(), raw.expect, &names)
    }

    /// What refers to the machine.
    fn parts(
        &self,
        mut scenario: Scenario,
        files: Vec<Spanned<file::DataFile>>,
        processes: Vec<Spanned<file::Process>>,
        expectations: Vec<Spanned<file::Expect>>,
        names: &BTreeMap<String, usize>,
    ) -> Checked<Scenario> {
        for raw in files {
            let file = self.data_file(&scenario, raw)?;
            scenario.files.push(file);
        }
        for raw in processes {
            let process = self.process(&scenario, raw)?;
            scenario.processes.push(process);
        }
        for raw in expectations {
            let expectation = self.expectation(&scenario, raw, names)?;
            scenario.expectations.push(expectation);
        }
        self.frames_once(&scenario)?;
        Ok(scenario)
    }

    fn names(&self, processes: &[Spanned<file::Process>]) -> Checked<BTreeMap<String, usize>> {
        let mut names = BTreeMap::new();
        for (number, process) in processes.iter().enumerate() {
            let name = &process.get_ref().name;
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.get_ref().is_empty() || !name.get_ref().chars().all(is_plain) {
                let problem = format!("{:?} is no name for a process", name.get_ref());
                return self.error(name.span(), problem, "letters, digits, - and _");
            }
            if names.insert(name.get_ref().clone(), number).is_some() {
                let problem = format!("there are two processes {}", name.get_ref());
                return self.error(name.span(), problem, "");
            }
            if number >= PROCESSES_MAX {
                return self.error(name.span(), format!("more than {PROCESSES_MAX} processes"), "");
            }
        }
        Ok(names)
    }

    fn word(&self, machine: &file::Machine) -> Checked<u64> {
        let Some(word) = &machine.word else { return Ok(8) };
        match *word.get_ref() {
            bytes @ (1 | 2 | 4 | 8) => Ok(bytes),
            bytes => self.error(
                word.span(),
                format!("a word cannot have {bytes} bytes"),
                "1, 2, 4 or 8; without the key 8",
            ),
        }
    }

    fn base(&self, base: Option<&Spanned<u8>>) -> Checked<u8> {
        match base.map(|base| (*base.get_ref(), base.span())) {
            None => Ok(10),
            Some((base @ (10 | 16), _)) => Ok(base),
            Some((base, span)) => {
                self.error(span, format!("addresses are not written in base {base}"), "10 or 16")
            }
        }
    }

    fn translation(
        &self,
        machine: &file::Machine,
        frames: u64,
        word: u64,
        page_words: u64,
        pages: u64,
    ) -> Checked<Translation> {
        let name = self.mmu(machine);
        let span = machine.mmu.as_ref().map_or(machine.frames.span(), Spanned::span);
        if let Some(&(_, unpaged)) = UNPAGED.iter().find(|(known, _)| *known == name) {
            return Ok(unpaged);
        }
        let bytes = word * page_words;
        // Segments have a shape of their own, and are put in later.
        if name == "linear" || name == SEGMENTS {
            let shift = page_for(bytes.max(ENTRY_BYTES)).shift();
            let bits = u32::from(shift) + u64::BITS - (pages - 1).max(1).leading_zeros();
            let linear = (bits <= LINEAR_BITS_MAX).then(|| Linear::new(shift, bits as u8));
            return match linear.flatten() {
                Some(linear) => Ok(Translation::Paged(Tables::Radix(Format::Linear(linear)))),
                None => self.error(
                    span,
                    format!("{pages} pages of {page_words} words are too many for one table"),
                    "32 bits of address at most",
                ),
            };
        }
        // Table frames are among those that a hashed table is made for: twice as many are enough.
        match Tables::by_name(name, frames * 2 + 64) {
            Some(tables) if tables.base_page().bytes() >= bytes => Ok(Translation::Paged(tables)),
            Some(tables) => {
                let room = tables.base_page().bytes() / word;
                let problem = format!("{page_words} words do not fit a page of {name}");
                let help = format!("{room} words at most");
                self.value_error("--mmu", &self.overrides.mmu, span, problem, &help)
            }
            None => {
                let known = Format::NAMES.join(", ");
                let help = format!(
                    "none, base-bounds, segments, linear, {known}, inverted, hashed or ppc"
                );
                let problem = format!("there is no MMU called {name}");
                self.value_error("--mmu", &self.overrides.mmu, span, problem, &help)
            }
        }
    }

    /// The MMU that is asked for.
    fn mmu<'a>(&'a self, machine: &'a file::Machine) -> &'a str {
        let written = machine.mmu.as_ref().map(|name| name.get_ref().as_str());
        self.overrides.mmu.as_deref().or(written).unwrap_or("linear")
    }

    /// How many segments, and of how many words.
    fn shape(&self, machine: &file::Machine) -> Checked<Shape> {
        let segments = self.optional(&machine.segments, "segments", 2..=256, 4)?;
        let words = self.optional(&machine.segment, "segment", 2..=PAGE_WORDS_MAX, 32)?;
        let bytes = words * self.word(machine)?;
        let span = machine.segment.as_ref().map_or(machine.frames.span(), Spanned::span);
        let bits = |count: u64| count.trailing_zeros() as u8;
        match Shape::new(bits(segments), bits(bytes)) {
            Some(shape) if segments.is_power_of_two() && bytes.is_power_of_two() => Ok(shape),
            _ => self.error(
                span,
                format!("{segments} segments of {words} words cannot be"),
                "both are powers of two, and a segment has at least 256 bytes",
            ),
        }
    }

    /// Real formats have the pages that they have, of which the first are used.
    fn pages_of(&self, translation: &Translation, pages: u64, word: u64) -> u64 {
        match translation {
            Translation::Paged(Tables::Radix(Format::Linear(linear))) => {
                1 << (linear.geometry().va_bits - linear.geometry().base_page().shift())
            }
            Translation::Segments(shape) => (1 << shape.va_bits()) / word,
            _ => pages,
        }
    }

    fn order(&self, machine: &file::Machine, frames: u64) -> Checked<Vec<u64>> {
        machine.order.iter().map(|frame| self.frame(frame, frames)).collect()
    }

    fn frame(&self, frame: &Spanned<u64>, frames: u64) -> Checked<u64> {
        let number = *frame.get_ref();
        if number < frames {
            return Ok(number);
        }
        let problem = format!("there is no frame {number}");
        self.error(frame.span(), problem, &format!("memory has frames 0 to {}", frames - 1))
    }

    fn tlb(
        &self,
        machine: &file::Machine,
        translation: &Translation,
    ) -> Checked<Option<TlbConfig>> {
        let Translation::Paged(tables) = translation else { return Ok(None) };
        let span = machine.tlb.as_ref().map_or(machine.frames.span(), Spanned::span);
        let text = self.overrides.tlb.as_deref();
        let text = text.or(machine.tlb.as_ref().map(|tlb| tlb.get_ref().as_str()));
        if let Tables::Radix(Format::R3000(_)) = tables {
            return Ok(Some(pagewalk_mmu::r3000::Cp0::tlb_config()));
        }
        match text {
            None | Some("none") => Ok(None),
            Some(text) => match TlbConfig::parse(text) {
                Ok(config) => Ok(Some(config)),
                Err(error) => {
                    let (given, problem) = (&self.overrides.tlb, error.to_string());
                    self.value_error("--tlb", given, span, problem, "such as 4, l1=4x4 or none")
                }
            },
        }
    }

    fn policy(&self, machine: &file::Machine) -> Checked<PolicyKind> {
        let text = self.overrides.policy.as_deref();
        let text = text.or(machine.policy.as_ref().map(|policy| policy.get_ref().as_str()));
        let span = machine.policy.as_ref().map_or(machine.frames.span(), Spanned::span);
        match text.unwrap_or("fifo").parse::<PolicyKind>() {
            Ok(policy) => Ok(policy),
            Err(error) => {
                let given = &self.overrides.policy;
                self.value_error("--policy", given, span, error.to_string(), "")
            }
        }
    }

    fn scope(&self, machine: &file::Machine) -> Checked<Scope> {
        match machine.scope.as_ref().map(|scope| (scope.get_ref().as_str(), scope.span())) {
            None | Some(("global", _)) => Ok(Scope::Global),
            Some(("process", _)) => Ok(Scope::Process),
            Some((scope, span)) => {
                self.error(span, format!("there is no scope {scope}"), "global or process")
            }
        }
    }

    fn share_tables(&self, name: Option<&Spanned<String>>) -> Checked<ShareTables> {
        let Some(name) = name else { return Ok(ShareTables::Off) };
        let known = ShareTables::ALL.into_iter().find(|share| share.name() == name.get_ref());
        match known {
            Some(share) => Ok(share),
            None => {
                let problem = format!("page tables are not shared {:?}", name.get_ref());
                self.error(
                    name.span(),
                    problem,
                    &ShareTables::ALL.map(ShareTables::name).join(", "),
                )
            }
        }
    }

    fn resident(&self, machine: &file::Machine) -> Checked<Option<u64>> {
        let resident = machine.resident.as_ref();
        resident.map(|pages| self.within(pages, "resident", 1..=PAGES_MAX)).transpose()
    }

    fn script(
        &self,
        machine: &file::Machine,
        names: &BTreeMap<String, usize>,
    ) -> Checked<Vec<Turn>> {
        machine.schedule.iter().map(|turn| self.turn(turn, names)).collect()
    }

    fn turn(&self, turn: &Spanned<file::Turn>, names: &BTreeMap<String, usize>) -> Checked<Turn> {
        let process = |name: &Spanned<String>| self.named(name, names);
        match turn.get_ref() {
            file::Turn { run: Some(name), instructions, swap_out: None, swap_in: None } => {
                let count = self.optional(instructions, "instructions", 1..=u64::MAX, 1)?;
                Ok(Turn::Run(process(name)?, count))
            }
            file::Turn { run: None, instructions: None, swap_out: Some(name), swap_in: None } => {
                Ok(Turn::SwapOut(process(name)?))
            }
            file::Turn { run: None, instructions: None, swap_out: None, swap_in: Some(name) } => {
                Ok(Turn::SwapIn(process(name)?))
            }
            _ => self.error(
                turn.span(),
                "a turn is one thing".into(),
                "{ run = \"A\", instructions = 3 }, { swap_out = \"A\" } or { swap_in = \"A\" }",
            ),
        }
    }

    fn named(&self, name: &Spanned<String>, names: &BTreeMap<String, usize>) -> Checked<usize> {
        match names.get(name.get_ref()) {
            Some(&number) => Ok(number),
            None => {
                let known: Vec<&str> = names.keys().map(String::as_str).collect();
                let problem = format!("there is no process {}", name.get_ref());
                self.error(name.span(), problem, &format!("there is {}", known.join(", ")))
            }
        }
    }

    fn data_file(&self, scenario: &Scenario, raw: Spanned<file::DataFile>) -> Checked<DataFile> {
        let span = raw.span();
        let raw = raw.into_inner();
        if !matches!(scenario.translation, Translation::Paged(_)) {
            return self.error(
                span,
                "files are mapped page by page".into(),
                "this MMU has no pages",
            );
        }
        if scenario.files.iter().any(|file| file.name == *raw.name.get_ref()) {
            let problem = format!("there are two files {}", raw.name.get_ref());
            return self.error(raw.name.span(), problem, "");
        }
        let written = (raw.words.len() as u64).div_ceil(scenario.geometry.page_words);
        let pages =
            self.optional(&raw.pages, "pages", written.max(1)..=PAGES_MAX, written.max(1))?;
        let frames = self.frames(scenario, &raw.frames, pages, "the file")?;
        Ok(DataFile { name: raw.name.into_inner(), pages, words: raw.words, frames })
    }

    fn frames(
        &self,
        scenario: &Scenario,
        frames: &[Spanned<u64>],
        pages: u64,
        what: &str,
    ) -> Checked<Vec<u64>> {
        if let Some(extra) = frames.get(pages as usize) {
            return self.error(extra.span(), format!("{what} has {pages} pages"), "");
        }
        frames.iter().map(|frame| self.frame(frame, scenario.frames)).collect()
    }

    fn process(&self, scenario: &Scenario, raw: Spanned<file::Process>) -> Checked<Process> {
        let span = raw.span();
        let raw = raw.into_inner();
        let maps = matches!(scenario.translation, Translation::Paged(_) | Translation::Segments(_));
        if let Some(map) = raw.map.first()
            && !maps
        {
            return self.error(map.span(), "this MMU has nothing to map".into(), "");
        }
        let bounds = match (&scenario.translation, &raw.bounds) {
            (Translation::Bounds, Some(bounds)) => {
                let Bounds { base, words } = *bounds.get_ref();
                let memory = scenario.frames * scenario.geometry.page_words;
                if base.checked_add(words).is_none_or(|end| end > memory) {
                    let help = format!("memory has {memory} words");
                    let problem = format!("{words} words from {base} on are beyond memory");
                    return self.error(bounds.span(), problem, &help);
                }
                Some((base, words))
            }
            (Translation::Bounds, None) => {
                let help = "bounds = { base = 4, words = 2 }";
                return self.error(span, "the process has no bounds".into(), help);
            }
            (_, Some(bounds)) if self.overrides.mmu.is_none() => {
                return self.error(bounds.span(), "only base-bounds has bounds".into(), "");
            }
            _ => None,
        };
        let maps: Vec<Map> =
            raw.map.into_iter().map(|map| self.map(scenario, map)).collect::<Checked<_>>()?;
        let registers = raw.registers.into_iter();
        Ok(Process {
            name: raw.name.into_inner(),
            maps,
            program: self.program(raw.code.as_ref())?,
            registers: registers
                .map(|(name, value)| Ok((self.register(&name)?, value as u64)))
                .collect::<Checked<_>>()?,
            warm: raw.warm.iter().map(|address| *address.get_ref()).collect(),
            bounds,
        })
    }

    fn register(&self, name: &Spanned<String>) -> Checked<Reg> {
        match reg(name.get_ref()) {
            Some(reg) => Ok(reg),
            None => {
                let problem = format!("there is no register {}", name.get_ref());
                self.error(name.span(), problem, "registers are r0 to r15")
            }
        }
    }

    fn program(&self, code: Option<&Spanned<String>>) -> Checked<Arc<Program>> {
        let Some(code) = code else { return Ok(Arc::default()) };
        assemble(code.get_ref()).map(Arc::new).or_else(|error| {
            let span = self.inside(code, error.span);
            self.error(span, error.message, &error.help)
        })
    }

    /// Where a part of a string stands in the file, if the string is there as it is.
    fn inside(&self, string: &Spanned<String>, part: Range<usize>) -> Range<usize> {
        let written = &self.text[string.span()];
        match written.find(string.get_ref().as_str()) {
            Some(offset) => {
                let start = string.span().start + offset;
                start + part.start..start + part.end
            }
            None => string.span(),
        }
    }

    fn map(&self, scenario: &Scenario, raw: Spanned<file::Map>) -> Checked<Map> {
        let span = raw.span();
        let raw = raw.into_inner();
        let (page, words) = (*raw.page.get_ref(), raw.words.len() as u64);
        let shown = words.div_ceil(scenario.geometry.page_words).max(raw.frames.len() as u64);
        let pages = self.optional(&raw.pages, "pages", shown.max(1)..=PAGES_MAX, shown.max(1))?;
        if page.checked_add(pages).is_none_or(|end| end > scenario.pages) {
            let help = format!("an address space has pages 0 to {}", scenario.pages - 1);
            return self.error(raw.page.span(), format!("there is no page {page}"), &help);
        }
        let file = match &raw.file {
            None => None,
            Some(name) => {
                let known = scenario.files.iter().position(|file| file.name == *name.get_ref());
                let from = raw.from.as_ref().map_or(0, |from| *from.get_ref());
                match known {
                    Some(file) => Some((file, from)),
                    None => {
                        let problem = format!("there is no file {}", name.get_ref());
                        return self.error(name.span(), problem, "a [[file]] has a name and words");
                    }
                }
            }
        };
        if let (Some(frame), Some(_)) = (raw.frames.first(), file) {
            let help = "give the frames of the file's pages to the [[file]]";
            return self.error(frame.span(), "these are the file's pages".into(), help);
        }
        Ok(Map {
            page,
            pages,
            file,
            prot: self.prot(raw.rights.as_ref())?,
            shared: raw.shared,
            frames: self.frames(scenario, &raw.frames, pages, "the mapping")?,
            words: raw.words,
            swapped: raw.swapped,
            span,
        })
    }

    fn prot(&self, rights: Option<&Spanned<String>>) -> Checked<Prot> {
        match rights.map(|rights| (rights.get_ref().as_str(), rights.span())) {
            None | Some(("rw", _)) => Ok(Prot::READ | Prot::WRITE),
            Some(("r", _)) => Ok(Prot::READ),
            Some(("none", _)) => Ok(Prot::empty()),
            Some((text, span)) => {
                let problem = format!("{text:?} says not what may be done");
                self.error(span, problem, "r (load), rw (load and store) or none")
            }
        }
    }

    /// No frame is two pages' at the start.
    fn frames_once(&self, scenario: &Scenario) -> Checked<()> {
        let mut taken = BTreeMap::new();
        let files = scenario.files.iter().map(|file| (file.name.as_str(), &file.frames));
        let maps = scenario.processes.iter().flat_map(|process| {
            process.maps.iter().map(|map| (process.name.as_str(), &map.frames))
        });
        for (name, frames) in files.chain(maps) {
            for &frame in frames {
                if let Some(other) = taken.insert(frame, name) {
                    let problem = format!("frame {frame} is given to {other} and to {name}");
                    return self.error(scenario.place.machine.clone(), problem, "");
                }
            }
        }
        Ok(())
    }

    fn expectation(
        &self,
        scenario: &Scenario,
        raw: Spanned<file::Expect>,
        names: &BTreeMap<String, usize>,
    ) -> Checked<Expectation> {
        let span = raw.span();
        let raw = raw.into_inner();
        let after = match &raw.after {
            None => (Kind::End, 1),
            Some(after) => self.moment(after)?,
        };
        let mut checks = Vec::new();
        let mut add = |span, what, value| checks.push(Check { what, value, span });
        for (key, value) in raw.memory {
            add(key.span(), Subject::Memory(self.number(&key)?), value.to_string());
        }
        for (key, value) in raw.registers {
            let (process, name) = self.part_of(&key, names)?;
            match reg(&name) {
                Some(reg) => add(key.span(), Subject::Register(process, reg), value.to_string()),
                None => {
                    let problem = format!("there is no register {name}");
                    return self.error(key.span(), problem, "registers are r0 to r15");
                }
            }
        }
        for (key, value) in raw.pages {
            let (process, page) = self.part_of(&key, names)?;
            match page.parse() {
                Ok(page) if page < scenario.pages => {
                    add(key.span(), Subject::Page(process, page), value);
                }
                _ => return self.error(key.span(), format!("there is no page {page}"), ""),
            }
        }
        for (key, value) in raw.counters {
            add(key.span(), Subject::Counter(key.get_ref().clone()), value.to_string());
        }
        for (key, value) in raw.status {
            add(key.span(), Subject::Status(self.named(&key, names)?), value);
        }
        for (key, value) in raw.frames {
            add(key.span(), Subject::Frame(self.number(&key)?), value);
        }
        for (key, value) in raw.swap {
            add(key.span(), Subject::Slot(self.number(&key)?), value);
        }
        Ok(Expectation { after, checks, span })
    }

    fn number(&self, key: &Spanned<String>) -> Checked<u64> {
        let text = key.get_ref();
        let number = match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        match number {
            Some(number) => Ok(number),
            None => self.error(key.span(), format!("{text} is no number"), ""),
        }
    }

    /// `A.r1`, `A.0`: a process, and something of it. Processes that fork makes are known by their
    /// numbers, from 1 on in the order in which they were made: `#3.r1`.
    fn part_of(
        &self,
        key: &Spanned<String>,
        names: &BTreeMap<String, usize>,
    ) -> Checked<(usize, String)> {
        let found = key.get_ref().rsplit_once('.').map(|(name, part)| (names.get(name), part));
        match found {
            Some((Some(&process), part)) => Ok((process, part.to_owned())),
            Some((None, part)) => {
                let number = key.get_ref().split('.').next().and_then(|name| {
                    name.strip_prefix('#').and_then(|number| number.parse::<usize>().ok())
                });
                match number {
                    Some(number @ 1..) => Ok((number - 1, part.to_owned())),
                    _ => {
                        let problem = format!("{} names no process", key.get_ref());
                        self.error(key.span(), problem, "as A.r1, or #2.r1 by its number")
                    }
                }
            }
            None => self.error(
                key.span(),
                format!("{} names no process", key.get_ref()),
                "as \"A.r1\", or \"#2.r1\" by its number",
            ),
        }
    }

    /// `end`, or a kind and a number: `copy 1`.
    fn moment(&self, after: &Spanned<String>) -> Checked<(Kind, u64)> {
        let mut words = after.get_ref().split_whitespace();
        let kind = words.next().and_then(Kind::by_name);
        let number = words.next().map_or(Some(1), |number| number.parse().ok());
        match (kind, number, words.next()) {
            (Some(kind), Some(number @ 1..), None) => Ok((kind, number)),
            _ => {
                let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                let help = format!("a kind of step, and which of them: {}", kinds.join(", "));
                self.error(after.span(), format!("{} is no moment", after.get_ref()), &help)
            }
        }
    }
}

use file::Bounds;

/// The file's name without folder and ending.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".toml").unwrap_or(name)
}

/// The smallest page for so many bytes.
fn page_for(bytes: u64) -> PageSize {
    PageSize::from_shift(bytes.next_power_of_two().trailing_zeros() as u8)
}

/// The register of this name.
fn reg(name: &str) -> Option<Reg> {
    name.strip_prefix('r').and_then(|number| number.parse().ok()).and_then(Reg::new)
}

fn has_fork(process: &file::Process) -> bool {
    process.code.as_ref().is_some_and(|code| code.get_ref().contains("fork"))
}
