//! From a scenario to a machine at its start.
//!
//! ```text
//!   frames   0 ………… frames-1 │ frames …
//!            pages, in the    │ page tables
//!            order wanted     │
//! ```
//!
//! What is in memory at the start got there as everything does: it was mapped and touched. The
//! frames are the scenario's because the kernel was told which to give first, in just that order.

use std::sync::Arc;

use pagewalk_cpu::toy::{Cpu, Op, Operand, Program, Reg};
use pagewalk_kernel::{
    AnyPmap, Backing, Config, FaultResult, FileId, Fit, Kernel, Layout, MapRequest, Mapping,
    Placement, Pmap, SegmentKernel, SpaceId, Vmstat, Watermarks,
};
use pagewalk_mmu::segment::{SegmentTable, Shape};
use pagewalk_mmu::{AccessKind, Mmu, MmuCounters, PageSize, Pfn, Tables, VirtAddr};

use crate::board::{Board, File, Wires};
use crate::error::ScenarioError;
use crate::journal::Journal;
use crate::scenario::{DataFile, Map, Scenario, Translation};
use crate::system::{Process, Status, System};
use crate::world::World;

/// A scenario's machine before the first step.
///
/// # Errors
/// If the machine cannot be as it is wanted: memory that is too small, pages that do not fit.
pub fn build(scenario: &Scenario) -> Result<World, ScenarioError> {
    let world = match scenario.translation {
        Translation::Paged(tables) => Builder::new(scenario, tables)?.build()?,
        Translation::Segments(shape) => segmented(scenario, shape)?,
        Translation::Physical | Translation::Bounds => unpaged(scenario),
    };
    Ok(world)
}

/// A machine on which nobody translates page by page.
fn unpaged(scenario: &Scenario) -> World {
    let page = scenario.geometry.page;
    let mut board = Board::new(None, scenario.frames, scenario.frames, page, 0);
    for (address, &word) in scenario.memory.iter().enumerate() {
        put(&mut board, scenario, address as u64, word);
    }
    let mut system = system(scenario, None);
    system.processes = (0..scenario.processes.len()).map(|n| process(scenario, n, None)).collect();
    World { board, system }
}

/// A machine whose addresses choose a segment.
fn segmented(scenario: &Scenario, shape: Shape) -> Result<World, ScenarioError> {
    let page = scenario.geometry.page;
    let geometry = pagewalk_kernel::Geometry::Table(shape);
    let mut kernel = SegmentKernel::new(geometry, page, 0..scenario.frames, Fit::First);
    let mut board = Board::new(None, scenario.frames, scenario.frames, page, 0);
    board.segments = Some(SegmentTable::new(shape));
    let mut journal = Journal::counting();
    let mut system = system(scenario, None);
    let end = VirtAddr(1 << shape.va_bits());
    let layout = Layout {
        user_start: VirtAddr(0),
        user_end: end,
        mmap_base: end,
        stack_top: end,
        stack_limit: 0,
    };
    for (number, process_spec) in scenario.processes.iter().enumerate() {
        let space = kernel.create_space(layout);
        let wires = &mut Wires { board: &mut board, journal: &mut journal };
        kernel.activate(wires, space);
        for map in &process_spec.maps {
            let va = scenario.geometry.page_va(map.page).unwrap_or(end);
            let request = MapRequest {
                place: Placement::FixedNoReplace(va),
                ..MapRequest::anonymous(map.pages << page.shift(), map.prot)
            };
            kernel.mmap(wires, space, request).map_err(|error| {
                let problem = format!("the words from {} on cannot be had: {error}", map.page);
                scenario.place.error(map.span.clone(), problem)
            })?;
            for (&word, n) in map.words.iter().zip(0..) {
                let va = VirtAddr(va.0 + (n << page.shift()));
                let domain = kernel.domains(space).iter().find(|domain| domain.contains(va));
                if let Some(pfn) = domain.map(|domain| domain.frame_of(va, page)) {
                    scenario.geometry.put(wires.board.ram.frame_mut(pfn), 0, word);
                }
            }
        }
        system.processes.push(process(scenario, number, Some(space)));
    }
    system.segments = Some(kernel);
    Ok(World { board, system })
}

/// Puts a word into physical memory.
fn put(board: &mut Board, scenario: &Scenario, address: u64, word: u64) {
    let (frame, offset) = scenario.geometry.split(address);
    if frame < board.ram.len() {
        scenario.geometry.put(board.ram.frame_mut(Pfn(frame)), offset, word);
    }
}

fn system(scenario: &Scenario, kernel: Option<Kernel<AnyPmap>>) -> System {
    System {
        geometry: scenario.geometry,
        kernel,
        segments: None,
        processes: Vec::new(),
        running: None,
        left: 0,
        script: scenario.script.clone(),
        quantum: scenario.quantum,
        baseline: Vmstat::default(),
        mmu_baseline: MmuCounters::default(),
        is_over: false,
    }
}

fn process(scenario: &Scenario, number: usize, space: Option<SpaceId>) -> Process {
    let spec = &scenario.processes[number];
    let mut cpu = Cpu::default();
    let mut shown = named(&spec.program);
    for &(reg, value) in &spec.registers {
        cpu.set(reg, value);
        shown |= 1 << reg.number();
    }
    Process {
        name: spec.name.clone(),
        program: spec.program.clone(),
        cpu,
        shown,
        space,
        bounds: spec.bounds,
        status: if spec.program.code.is_empty() { Status::Done } else { Status::Ready },
        parent: None,
    }
}

/// The registers that a program names, by their bits.
fn named(program: &Program) -> u16 {
    let bit = |reg: Reg| 1 << reg.number();
    let base = |address: pagewalk_cpu::toy::Address| address.base.map_or(0, bit);
    let operand = |operand| match operand {
        Operand::Reg(reg) => bit(reg),
        Operand::Value(_) => 0,
    };
    let of = |op: &Op| match *op {
        Op::Load(reg, address) | Op::Store(reg, address) => bit(reg) | base(address),
        Op::Set(reg, from) => bit(reg) | operand(from),
        Op::Compute(_, to, from, with) => bit(to) | bit(from) | operand(with),
        Op::Branch(_, reg, with, _) => bit(reg) | operand(with),
        Op::Call(pagewalk_cpu::toy::Call::Fork(reg)) => bit(reg),
        Op::Jump(_) | Op::Call(_) => 0,
    };
    program.code.iter().map(of).fold(0, |all, bits| all | bits)
}

/// Paths of tables that a kernel wants room for ([`Kernel::frames_min`]).
const PATHS_MIN: u64 = 5;

struct Builder<'a> {
    scenario: &'a Scenario,
    tables: Tables,
    board: Board,
    kernel: Kernel<AnyPmap>,
    journal: Journal,
}

impl<'a> Builder<'a> {
    fn new(scenario: &'a Scenario, tables: Tables) -> Result<Self, ScenarioError> {
        let page = tables.base_page();
        let initial = AnyPmap::tables_initial(&tables);
        let path = AnyPmap::tables_per_path(&tables);
        // A path of tables for each mapping, and one more that a fork may have in hand.
        let paths = scenario.processes.iter().map(|process| process.maps.len() as u64).sum::<u64>();
        let own = scenario.spaces * initial + (paths + scenario.spaces).max(PATHS_MIN) * path;
        // The table that all spaces share lies below.
        let page_frames = scenario.frames + AnyPmap::machine_tables(&tables);
        let frames = page_frames + own;
        let config = Config {
            frames,
            swap_slots: scenario.swap,
            policy: scenario.policy,
            watermarks: Some(Watermarks::none()),
            harvest: 1,
            scope: scenario.scope,
            resident: scenario.resident,
            instruction_pages: 0,
            share_tables: scenario.share_tables,
            ..Config::default()
        };
        let place = &scenario.place;
        let mut kernel = Kernel::new(tables, config)
            .map_err(|error| place.error(place.machine.clone(), error.to_string()))?;
        kernel.give_in_order(&order(scenario, page_frames));
        let mmu = Mmu::new(tables, scenario.tlb.clone());
        let mut board = Board::new(Some(mmu), frames, page_frames, page, scenario.swap);
        board.files = scenario.files.iter().map(|file| contents(scenario, file, page)).collect();
        Ok(Self { scenario, tables, board, kernel, journal: Journal::counting() })
    }

    fn build(mut self) -> Result<World, ScenarioError> {
        // These have a space of their own while they are read, before others need the table's frames.
        for number in 0..self.scenario.files.len() {
            self.cache(number)?;
        }
        let mut spaces = Vec::new();
        for _ in &self.scenario.processes {
            spaces.push(self.new_space()?);
        }
        // What is on swap was in some frame before; the frames are given in their order after that.
        self.maps(&spaces, true)?;
        let order = order(self.scenario, self.board.page_frames);
        self.kernel.give_in_order(&order);
        self.maps(&spaces, false)?;
        for (number, &space) in spaces.iter().enumerate() {
            self.warm(number, space)?;
        }
        let Self { scenario, board, kernel, .. } = self;
        let baseline = *kernel.counters();
        let mmu_baseline = board.mmu.as_ref().map(|mmu| *mmu.counters()).unwrap_or_default();
        let mut system = System { baseline, mmu_baseline, ..system(scenario, Some(kernel)) };
        system.processes = spaces
            .iter()
            .enumerate()
            .map(|(n, &space)| process(scenario, n, Some(space)))
            .collect();
        Ok(World { board, system })
    }

    /// Calls the kernel.
    fn call<T>(&mut self, call: impl FnOnce(&mut Kernel<AnyPmap>, &mut Wires<'_>) -> T) -> T {
        let Self { board, kernel, journal, .. } = self;
        call(kernel, &mut Wires { board, journal })
    }

    fn layout(&self) -> Layout {
        let page = self.tables.base_page();
        let end = VirtAddr(self.scenario.pages << page.shift());
        Layout {
            user_start: VirtAddr(0),
            user_end: end,
            mmap_base: end,
            stack_top: end,
            stack_limit: 0,
        }
    }

    fn new_space(&mut self) -> Result<SpaceId, ScenarioError> {
        let layout = self.layout();
        let made = self.call(|kernel, wires| kernel.create_space(wires, layout));
        made.map_err(|error| self.refuse(self.scenario.place.machine.clone(), error.to_string()))
    }

    fn refuse(&self, span: std::ops::Range<usize>, problem: String) -> ScenarioError {
        self.scenario.place.error(span, problem)
    }

    /// Brings the pages of a file into the page cache that are there at the start.
    fn cache(&mut self, number: usize) -> Result<(), ScenarioError> {
        let frames = self.scenario.files[number].frames.clone();
        if frames.is_empty() {
            return Ok(());
        }
        let space = self.new_space()?;
        let map = Map {
            page: 0,
            pages: frames.len() as u64,
            file: Some((number, 0)),
            prot: pagewalk_kernel::Prot::READ,
            shared: true,
            frames: Vec::new(),
            words: Vec::new(),
            swapped: false,
            span: self.scenario.place.machine.clone(),
        };
        self.map(space, &map)?;
        for (page, &frame) in frames.iter().enumerate() {
            let found = self.touch(space, page as u64, AccessKind::Read, &map)?;
            self.check_frame(&map, page as u64, found, frame)?;
        }
        self.call(|kernel, wires| kernel.destroy_space(wires, space));
        Ok(())
    }

    /// Makes the mappings of all processes whose pages are on swap at the start, or those that are not.
    fn maps(&mut self, spaces: &[SpaceId], swapped: bool) -> Result<(), ScenarioError> {
        let scenario = self.scenario;
        for (process, &space) in scenario.processes.iter().zip(spaces) {
            for map in process.maps.iter().filter(|map| map.swapped == swapped) {
                self.map(space, map)?;
                self.fill(space, map)?;
            }
        }
        Ok(())
    }

    fn map(&mut self, space: SpaceId, map: &Map) -> Result<(), ScenarioError> {
        let geometry = self.scenario.geometry;
        let at = |page| geometry.page_va(page).unwrap_or(VirtAddr(u64::MAX));
        let backing = match map.file {
            None => Backing::Anonymous,
            Some((file, from)) => Backing::File { file: FileId(file as u32), offset: at(from).0 },
        };
        let request = MapRequest {
            place: Placement::FixedNoReplace(at(map.page)),
            backing,
            shared: map.shared,
            ..MapRequest::anonymous(map.pages << geometry.page.shift(), map.prot)
        };
        let made = self.call(|kernel, wires| kernel.mmap(wires, space, request));
        match made {
            Ok(_) => Ok(()),
            Err(error) => {
                let problem = format!("the pages from {} on cannot be mapped: {error}", map.page);
                Err(self.refuse(map.span.clone(), problem))
            }
        }
    }

    /// Touches a page as a program would, and says where it is then.
    fn touch(
        &mut self,
        space: SpaceId,
        page: u64,
        kind: AccessKind,
        map: &Map,
    ) -> Result<Pfn, ScenarioError> {
        let va = self.scenario.geometry.page_va(page).unwrap_or(VirtAddr(u64::MAX));
        let result = self.call(|kernel, wires| kernel.fault(wires, space, va, kind));
        let now = self.call(|kernel, wires| kernel.lookup(wires, space, va));
        match (result, now) {
            (FaultResult::Resolved { .. }, Mapping::Resident(now)) => Ok(now.pfn),
            _ => {
                let problem = format!("page {page} cannot be in memory at the start");
                Err(self.refuse(map.span.clone(), problem))
            }
        }
    }

    fn check_frame(
        &self,
        map: &Map,
        page: u64,
        found: Pfn,
        wanted: u64,
    ) -> Result<(), ScenarioError> {
        // Another MMU may need the frame for its own tables.
        if found.0 == wanted || AnyPmap::machine_tables(&self.tables) > 0 {
            return Ok(());
        }
        let problem = format!("page {page} is in frame {found}, and cannot be in frame {wanted}");
        Err(self.refuse(map.span.clone(), problem))
    }

    /// Puts the pages of a mapping into memory that are there at the start.
    fn fill(&mut self, space: SpaceId, map: &Map) -> Result<(), ScenarioError> {
        let geometry = self.scenario.geometry;
        let written = (map.words.len() as u64).div_ceil(geometry.page_words);
        let count =
            written.max(map.frames.len() as u64).max(if map.swapped { map.pages } else { 0 });
        let stores = map.file.is_none() && map.prot.contains(pagewalk_kernel::Prot::WRITE);
        let kind = if stores { AccessKind::Write } else { AccessKind::Read };
        for n in 0..count {
            let pfn = self.touch(space, map.page + n, kind, map)?;
            if let Some(&wanted) = map.frames.get(n as usize) {
                self.check_frame(map, map.page + n, pfn, wanted)?;
            }
            let from = (n * geometry.page_words) as usize;
            let words = map.words.iter().skip(from).take(geometry.page_words as usize);
            for (offset, &word) in words.enumerate() {
                geometry.put(self.board.ram.frame_mut(pfn), offset as u64, word);
            }
            if map.swapped {
                let va = geometry.page_va(map.page + n).unwrap_or(VirtAddr(0));
                let gone = self.call(|kernel, wires| kernel.evict_from(wires, space, va));
                if gone.is_none() {
                    let problem = format!("page {} cannot be on swap", map.page + n);
                    return Err(self.refuse(map.span.clone(), problem));
                }
            }
        }
        Ok(())
    }

    /// Makes the loads that a process has made before the story begins.
    fn warm(&mut self, number: usize, space: SpaceId) -> Result<(), ScenarioError> {
        let scenario = self.scenario;
        if scenario.processes[number].warm.is_empty() {
            return Ok(());
        }
        self.call(|kernel, wires| kernel.activate(wires, space));
        for &address in &scenario.processes[number].warm {
            let refused = || {
                let problem = format!("address {address} cannot be loaded at the start");
                self.scenario.place.error(scenario.place.machine.clone(), problem)
            };
            let va = scenario.geometry.va(address).ok_or_else(refused)?;
            let (kind, board, journal) = (AccessKind::Read, &mut self.board, &mut self.journal);
            if board.translate(va, address, kind, journal).is_err() {
                let result = self.call(|kernel, wires| kernel.fault(wires, space, va, kind));
                let (board, journal) = (&mut self.board, &mut self.journal);
                let again = board.translate(va, address, kind, journal);
                if !matches!(result, FaultResult::Resolved { .. }) || again.is_err() {
                    let problem = format!("address {address} cannot be loaded at the start");
                    return Err(self.refuse(scenario.place.machine.clone(), problem));
                }
            }
        }
        Ok(())
    }
}

/// The frames of pages in the order in which they are given: to the files, to the mappings, to those
/// that come, then all others.
fn order(scenario: &Scenario, page_frames: u64) -> Vec<Pfn> {
    let files = scenario.files.iter().flat_map(|file| file.frames.iter());
    let maps = scenario
        .processes
        .iter()
        .flat_map(|process| process.maps.iter().flat_map(|map| map.frames.iter()));
    let mut order: Vec<u64> = files.chain(maps).chain(&scenario.order).copied().collect();
    let mut seen = vec![false; page_frames as usize];
    order.retain(|&frame| !std::mem::replace(&mut seen[frame as usize], true));
    let others = (0..page_frames).filter(|&frame| !seen[frame as usize]);
    order.iter().copied().chain(others).map(Pfn).collect()
}

/// A file's bytes, each of its pages in one of the MMU's.
fn contents(scenario: &Scenario, file: &DataFile, page: PageSize) -> File {
    let geometry = scenario.geometry;
    let mut bytes = vec![0; (file.pages * page.bytes()) as usize];
    for (address, &word) in file.words.iter().enumerate() {
        let (number, offset) = geometry.split(address as u64);
        let from = (number * page.bytes()) as usize;
        geometry.put(&mut bytes[from..from + page.bytes() as usize], offset, word);
    }
    File { bytes: Arc::from(bytes) }
}
