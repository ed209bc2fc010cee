//! The machine that executes states: QEMU's `virt` with our guest.

use super::expected::{Answer, Outcome};
use super::layout::*;
use super::state::State;
use crate::execute::{Missing, Qemu, RamFile, Scratch, assemble};
use pagewalk_mmu::radix::Granule;
use pagewalk_mmu::{AccessKind, PhysAddr, Privilege};
use std::time::Duration;

/// States that fit between [`STATES`] and [`RESULTS`].
pub const BATCH_MAX: usize = 32_768;
const STATE_BYTES: usize = 128;
const RESULT_BYTES: usize = 64;
/// A guard against guests that hang.
const BATCH_LIMIT: Duration = Duration::from_secs(300);

/// M, C, I, SPAN, and what is RES1 without the extensions that give it a meaning.
const SCTLR: u64 = 0x30d0_1805;
const SCTLR_WXN: u64 = 1 << 19;
/// T0SZ = T1SZ = 16, inner shareable and cacheable walks.
const TCR: u64 = 16 | 16 << 16 | 0x3500 | 0x3500 << 16;
const TCR_EPD1: u64 = 1 << 23;
/// 4 KiB granules as TG0 (0) and TG1 say them, 48-bit addresses.
const TG1_KIB4: u64 = 0b10 << 30;
const TCR_OWN: u64 = TCR | TG1_KIB4 | 0b101 << 32;

pub struct Machine {
    qemu: Qemu,
    ram: RamFile,
    batch: u64,
    _scratch: Scratch,
}

impl Machine {
    /// # Errors
    /// If a tool is not installed.
    pub fn start() -> Result<Self, Missing> {
        let scratch = Scratch::new("aarch64");
        let text = format!("-Ttext={CODE:#x}");
        let prefix = "aarch64-linux-gnu-";
        let guest =
            assemble(&scratch, "aarch64.S", "guest", prefix, &["-march=armv8-a"], &[&text])?;
        let ram = RamFile::new(&scratch, RAM_BYTES);
        for pa in (AREA..AREA + AREA_BYTES).step_by(0x1000) {
            ram.write(pa - RAM, &signature(pa).to_le_bytes().repeat(0x200));
        }
        own_tables(&ram);
        let mailbox = [0, 0, 0, TCR_OWN, OWN_TABLES, u64::MAX, SCTLR];
        ram.write(MAILBOX - RAM, &bytes(&mailbox));
        let mut arguments = ram.arguments();
        arguments.extend(["-machine", "virt,memory-backend=ram", "-cpu", "max"].map(String::from));
        arguments.extend(["-accel", "tcg"].map(String::from));
        arguments.extend(["-device".into(), format!("loader,file={},cpu-num=0", guest.display())]);
        let qemu = Qemu::start("qemu-system-aarch64", &arguments)?;
        Ok(Self { qemu, ram, batch: 0, _scratch: scratch })
    }

    /// Executes states, each with the word to show afterwards.
    ///
    /// # Errors
    /// If QEMU ended or the guest hangs.
    pub fn run(&mut self, states: &[(State, u64)]) -> Result<Vec<Answer>, String> {
        assert!(states.len() <= BATCH_MAX);
        let words: Vec<u64> =
            states.iter().flat_map(|(state, word)| encode(state, *word)).collect();
        self.ram.write(STATES - RAM, &bytes(&words));
        self.batch += 1;
        self.ram.write(MAILBOX + 8 - RAM, &(states.len() as u64).to_le_bytes());
        self.ram.write(MAILBOX - RAM, &self.batch.to_le_bytes());
        self.qemu.wait(&self.ram, MAILBOX + 16 - RAM, &self.batch.to_le_bytes(), BATCH_LIMIT)?;
        let mut results = vec![0; states.len() * RESULT_BYTES];
        self.ram.read(RESULTS - RAM, &mut results);
        Ok(results.chunks(RESULT_BYTES).map(decode).collect())
    }
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The guest's tables, 4 KiB granule: its code to be executed by EL1 and EL0, the rest of RAM for
/// the data of EL1.
fn own_tables(ram: &RamFile) {
    const BLOCK: u64 = 0b01 | 0b11 << 8 | 1 << 10;
    const CODE_BLOCK: u64 = BLOCK | 0b11 << 6;
    const DATA_BLOCK: u64 = BLOCK | 0b11 << 53;
    let put = |table: u64, index: u64, raw: u64| {
        ram.write(OWN_TABLES + table * 0x1000 + index * 8 - RAM, &raw.to_le_bytes());
    };
    put(0, 0, (OWN_TABLES + 0x1000) | 0b11);
    put(1, RAM >> 30, (OWN_TABLES + 0x2000) | 0b11);
    for index in 0..RAM_BYTES >> 21 {
        let flags = if index == 0 { CODE_BLOCK } else { DATA_BLOCK };
        put(2, index, (RAM + (index << 21)) | flags);
    }
}

fn encode(state: &State, word: u64) -> [u64; STATE_BYTES / 8] {
    let controls = state.format.controls();
    let upper = state.tests_upper();
    let tg = match (state.format.granule(), upper) {
        (Granule::Kib4, _) => TG1_KIB4,
        (Granule::Kib64, false) => TG1_KIB4 | 0b01 << 14,
        (Granule::Kib16, false) => TG1_KIB4 | 0b10 << 14,
        (Granule::Kib16, true) => 0b01 << 30,
        (Granule::Kib64, true) => 0b11 << 30,
    };
    let ips = match controls.output_bits {
        32 => 0,
        36 => 1,
        40 => 2,
        42 => 3,
        44 => 4,
        _ => 5u64,
    };
    let disabled = upper && state.root.upper.is_none();
    let tcr = TCR
        | tg
        | ips << 32
        | u64::from(controls.ha) << 39
        | u64::from(controls.hd) << 40
        | if disabled { TCR_EPD1 } else { 0 };
    let sctlr = SCTLR | if controls.wxn { SCTLR_WXN } else { 0 };
    let root = state.root.upper.unwrap_or(state.root.table);
    let el = if state.access.privilege == Privilege::User { 0b0000 } else { 0b0101 };
    let spsr = 0x3c0 | el | u64::from(controls.pan) << 22;
    let side = if upper { 0 } else { UPPER };
    let pc = match state.access.kind {
        AccessKind::Read => LOAD | side,
        AccessKind::Write => STORE | side,
        AccessKind::Execute => state.va.0,
    };
    let mut words = [0; STATE_BYTES / 8];
    words[..8].copy_from_slice(&[tcr, sctlr, root.0, spsr, pc, state.va.0, side, word]);
    for (n, (PhysAddr(at), raw)) in state.path.into_iter().enumerate() {
        (words[8 + n], words[12 + n]) = (at, raw);
    }
    words
}

fn decode(result: &[u8]) -> Answer {
    let word = |n: usize| u64::from_le_bytes(result[n * 8..][..8].try_into().expect("eight bytes"));
    let esr = word(0);
    let class = (esr >> 26) as u8 & 0x3f;
    let outcome = match class {
        0x15 => Outcome::Done { svc: esr as u16 },
        _ => Outcome::Abort {
            class,
            write: esr & 1 << 6 != 0,
            status: esr as u8 & 0x3f,
            far: word(1),
        },
    };
    Answer { outcome, loaded: word(2), word: word(3), path: [4, 5, 6, 7].map(word) }
}
