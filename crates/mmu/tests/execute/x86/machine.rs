//! The machine: starts the guest in a paging mode, runs batches, reads what happened.

use super::expected::{Outcome, entry_address};
use super::layout::{COMMAND, FEATURES, Mode, READY, RECORD_BYTES, RECORDS, offset};
use super::pages::{Pages, is_signature, page_of};
use super::space::{Processor, Space};
use super::states::State;
use crate::execute::{Missing, Qemu, RamFile, Scratch, assemble};
use pagewalk_mmu::{AccessKind, Privilege};
use std::path::PathBuf;
use std::time::Duration;

/// Guards against guests that hang.
const START_LIMIT: Duration = Duration::from_secs(60);
const BATCH_LIMIT: Duration = Duration::from_secs(300);

const CR0_ON: u32 = 0x8000_0031;
const CR0_WP: u32 = 1 << 16;
const CR4_PSE: u32 = 1 << 4;
const CR4_PAE: u32 = 1 << 5;
const CR4_PGE: u32 = 1 << 7;
const CR4_LA57: u32 = 1 << 12;
const CR4_PCIDE: u32 = 1 << 17;
const CR4_SMEP: u32 = 1 << 20;
const CR4_SMAP: u32 = 1 << 21;
const EFER_LME_LMA: u32 = 0x500;
const EFER_NXE: u32 = 1 << 11;
const EFLAGS_ON: u32 = 1 << 1;
const EFLAGS_AC: u32 = 1 << 18;

/// #DE, which reports success.
const DIVIDE_ERROR: u32 = 0;
const GENERAL_PROTECTION: u32 = 13;
const PAGE_FAULT: u32 = 14;

/// The processor that QEMU is asked for.
#[derive(Clone, Debug)]
pub struct Model {
    pub kvm: bool,
    pub cpu: String,
    pub phys_bits: u8,
    pub ram_bytes: u64,
}

/// A state with its full address, and what a store stores.
pub struct Task {
    pub state: State,
    pub va: u64,
    pub marker: u32,
}

/// What a state came to. An outcome that no state can have is an error.
#[derive(Clone, Debug)]
pub struct Observed {
    pub outcome: Result<Outcome, String>,
    pub after: [u64; 5],
}

/// Why there is no machine.
pub enum Failure {
    Missing(Missing),
    /// QEMU's own words: the guest did not come up.
    Start(String),
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

/// A guest that waits for batches.
pub struct Machine {
    // Dropped in this order: QEMU maps a file of the directory.
    qemu: Qemu,
    ram: RamFile,
    _scratch: Scratch,
    space: Space,
    pages: Pages,
}

impl Machine {
    /// Starts the guest in `mode`.
    pub fn start(mode: Mode, model: &Model) -> Result<Self, Failure> {
        let accelerator = if model.kvm { "kvm" } else { "tcg" };
        let name = format!("{}-{accelerator}-{}", mode.name(), model.phys_bits);
        let scratch = Scratch::new(&name);
        let rom = assemble_guest(&scratch, mode)?;
        let ram = RamFile::new(&scratch, model.ram_bytes);
        mode.write_runner(&ram, &mode.table_sets(model.ram_bytes));

        let mut arguments = ram.arguments();
        let rom = rom.to_str().expect("the path is text");
        let machine = ["-machine", "pc,memory-backend=ram", "-accel", accelerator];
        arguments.extend(machine.map(String::from));
        arguments.extend(["-cpu", &model.cpu, "-bios", rom].map(String::from));
        let mut qemu = Qemu::start("qemu-system-x86_64", &arguments)?;
        qemu.wait(&ram, offset(READY), &[0xff; 4], START_LIMIT).map_err(Failure::Start)?;
        let space = Space::new(mode, processor(&ram, model));
        let pages = Pages::new(&space, &ram);
        Ok(Self { qemu, ram, _scratch: scratch, space, pages })
    }

    pub fn space(&self) -> &Space {
        &self.space
    }

    pub fn pages(&mut self) -> &mut Pages {
        &mut self.pages
    }

    /// Runs a batch.
    ///
    /// # Errors
    /// If the guest does not finish it.
    pub fn run(&mut self, batch: &[Task]) -> Result<Vec<Observed>, String> {
        let mode = self.space.mode;
        let mut records: Vec<u8> = batch.iter().flat_map(|task| record(mode, task)).collect();
        self.ram.write(offset(RECORDS), &records);
        self.ram.write(offset(COMMAND), &(batch.len() as u32).to_le_bytes());
        self.qemu.wait(&self.ram, offset(COMMAND), &[0; 4], BATCH_LIMIT)?;
        self.ram.read(offset(RECORDS), &mut records);
        let results = records.chunks_exact(RECORD_BYTES).zip(batch);
        Ok(results.map(|(record, task)| observed(mode, &task.state, record)).collect())
    }

    /// The pages' words that are not as expected: address, expected, found.
    pub fn differences(&self) -> Vec<(u64, u32, u32)> {
        self.pages.differences(&self.ram)
    }
}

fn assemble_guest(scratch: &Scratch, mode: Mode) -> Result<PathBuf, Missing> {
    let (word, emulation) = if mode.long() { ("--64", "elf_x86_64") } else { ("--32", "elf_i386") };
    let defined = format!("MODE={}", mode as u32);
    let prefix = if cfg!(target_arch = "x86_64") { "" } else { "x86_64-linux-gnu-" };
    let link = ["-m", emulation, "-Ttext=0xf0000", "--oformat=binary"];
    assemble(scratch, "x86.S", "rom", prefix, &[word, "--defsym", &defined], &link)
}

/// What the processor has, by the words of CPUID that the guest left.
fn processor(ram: &RamFile, model: &Model) -> Processor {
    let mut features = [0; 20];
    ram.read(offset(FEATURES), &mut features);
    let has = |word: usize, bit: u32| word_at(&features, 4 * word) >> bit & 1 != 0;
    Processor {
        kvm: model.kvm,
        phys_bits: model.phys_bits,
        ram_bytes: model.ram_bytes,
        pcid: has(0, 17),
        smep: has(2, 7),
        smap: has(2, 20),
        nx: has(4, 20),
        page1gb: has(4, 26),
    }
}

fn word_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The record of a state, as x86.S lays it out.
fn record(mode: Mode, task: &Task) -> [u8; RECORD_BYTES] {
    let Task { state, va, marker } = task;
    let controls = &state.modes.controls;
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    let pae = mode != Mode::Ia32;
    let cr4 = flag(pae, CR4_PAE)
        | flag(mode == Mode::FiveLevels, CR4_LA57)
        | flag(controls.pse, CR4_PSE)
        | flag(controls.pge, CR4_PGE)
        | flag(controls.smep, CR4_SMEP)
        | flag(controls.smap, CR4_SMAP)
        | flag(state.modes.pcide, CR4_PCIDE);
    let efer = flag(mode.long(), EFER_LME_LMA) | flag(controls.nxe, EFER_NXE);
    let stub = match state.access.kind {
        AccessKind::Read => 0,
        AccessKind::Write => 16,
        AccessKind::Execute => 32,
    };
    let mut bytes = [0; RECORD_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &va.to_le_bytes());
    put(8, &state.cr3.to_le_bytes());
    put(16, &(CR0_ON | flag(controls.wp, CR0_WP)).to_le_bytes());
    put(20, &cr4.to_le_bytes());
    put(24, &efer.to_le_bytes());
    put(28, &(EFLAGS_ON | flag(controls.ac, EFLAGS_AC)).to_le_bytes());
    put(32, &u32::to_le_bytes(stub));
    put(36, &u32::from(state.access.privilege == Privilege::User).to_le_bytes());
    put(40, &marker.to_le_bytes());
    for level in 0..=mode.top() {
        let slot = mode.window(state.set, entry_address(mode, state, level)) as u32;
        put(64 + 4 * level, &slot.to_le_bytes());
        put(88 + 8 * level, &state.entries[level].to_le_bytes());
    }
    bytes
}

fn observed(mode: Mode, state: &State, record: &[u8]) -> Observed {
    let word = |at: usize| word_at(record, at);
    let wide = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    let (vector, error, value, stage) = (word(44), word(48), word(52), word(84));
    let outcome = match (stage, vector, error) {
        (1, GENERAL_PROTECTION, 0) => Ok(Outcome::RootRefused),
        (2, GENERAL_PROTECTION, 0) => Ok(Outcome::GeneralProtection),
        (2, PAGE_FAULT, error_code) => Ok(Outcome::PageFault { error_code, cr2: wide(56) }),
        (2, DIVIDE_ERROR, 0) if state.nowhere => Ok(Outcome::Nowhere),
        (2, DIVIDE_ERROR, 0) if state.access.kind == AccessKind::Write => Ok(Outcome::Stored),
        (2, DIVIDE_ERROR, 0) if is_signature(value) => Ok(Outcome::Page(page_of(value))),
        _ => Err(format!(
            "stage {stage}, vector {vector}, error code {error:#x}, value {value:#x}, at {:#x}",
            wide(168)
        )),
    };
    let after = core::array::from_fn(|level| match mode {
        Mode::Ia32 => u64::from(word(128 + 8 * level)),
        _ => wide(128 + 8 * level),
    });
    Observed { outcome, after }
}
