//! The PowerPC machine: its memory, its guest, and what the guest reports.
//!
//! ```text
//!   physical
//!   0x0000_8000   command                        as execute/ppc.S lays them out
//!   0x0100_0000   records
//!   0x0400_0000   two places for a table of 32 MiB
//!   0x1000_0000   pages, up to the end of RAM: 64 of data, 64 of code
//! ```
//!
//! Pages of data hold their own addresses: the first half is loaded from, a word of the second half
//! is stored to once in a batch. Pages of code hold, every 16 bytes, code that gives its address.

use super::state::{Effect, Observed, State};
use crate::common::Random;
use crate::execute::{Missing, Qemu, RamFile, Scratch, assemble};
use pagewalk_mmu::hashed::ppc::Pte;
use pagewalk_mmu::{AccessKind, ArchFault, PhysAddr, Privilege};
use std::collections::BTreeMap;
use std::time::Duration;

const COMMAND: u64 = 0x8000;
const RECORDS: u64 = 0x0100_0000;
const RECORD_BYTES: usize = 128;
const TABLES: u32 = 0x0400_0000;
const PAGES: u64 = 0x1000_0000;
const RAM_BYTES: u64 = 0x6000_0000;
const PAGE_BYTES: u64 = 0x1000;
const PAGES_OF_KIND: u64 = 64;

/// Where ppc.S has its accesses.
const LOAD: u32 = 0xfff0_2000;
const STORE: u32 = 0xfff0_2100;

/// MSR: exceptions in ROM, machine check on; then what differs.
const MSR_ON: u32 = 0x1040;
const MSR_PR: u32 = 0x4000;
const MSR_IR: u32 = 0x20;
const MSR_DR: u32 = 0x10;

const DSI: u32 = 0x300;
const ISI: u32 = 0x400;
const SYSTEM_CALL: u32 = 0xc00;
/// The bits of SRR1 that say why an ISI was raised: 1, 3 and 4.
const SRR1_WHY: u32 = 0x5800_0000;

/// Guards against guests that hang.
const LIMIT: Duration = Duration::from_secs(300);

/// How many PTEs a record has room for.
pub const PTES: usize = 4;
/// The bytes of a page that are loaded from; the others are stored to.
pub const LOADED_BYTES: u64 = PAGE_BYTES / 2;

/// Where tables may lie: aligned to 32 MiB.
pub fn table_base(which: u32) -> u32 {
    TABLES + (which & 1) * 0x0200_0000
}

/// A running guest.
pub struct Machine {
    // Dropped in this order: QEMU maps a file of the directory.
    qemu: Qemu,
    ram: RamFile,
    _scratch: Scratch,
    /// Frames of data, then of code.
    frames: Vec<u32>,
    /// The words that this batch stored.
    stored: BTreeMap<u64, u32>,
}

impl Machine {
    /// Starts the guest.
    ///
    /// # Errors
    /// If QEMU or binutils are missing.
    pub fn start() -> Result<Self, Missing> {
        let scratch = Scratch::new("ppc");
        let rom = assemble(
            &scratch,
            "ppc.S",
            "ppc.elf",
            "powerpc-linux-gnu-",
            &["-m604", "-mregnames"],
            &["-Ttext=0xfff00000", "--no-warn-rwx-segments"],
        )?;
        let ram = RamFile::new(&scratch, RAM_BYTES);
        let frames = frames();
        for (frame, n) in frames.iter().zip(0..) {
            let base = u64::from(*frame) << 12;
            let page = if n < PAGES_OF_KIND { data_page(base) } else { code_page(base) };
            ram.write(base, &page);
        }
        let mut arguments = ram.arguments();
        let rom = rom.to_str().expect("the path is text");
        let machine = ["-machine", "g3beige,memory-backend=ram", "-cpu", "604", "-bios", rom];
        arguments.extend(machine.map(String::from));
        let qemu = Qemu::start("qemu-system-ppc", &arguments)?;
        Ok(Self { qemu, ram, _scratch: scratch, frames, stored: BTreeMap::new() })
    }

    /// A frame for accesses of a kind.
    pub fn frame(&self, kind: AccessKind, random: u64) -> u32 {
        let first = if kind == AccessKind::Execute { PAGES_OF_KIND } else { 0 };
        self.frames[(first + random % PAGES_OF_KIND) as usize]
    }

    /// Gives a store to `pa` an offset that no other store of the batch has in that page.
    pub fn store_offset(&mut self, pa: Option<PhysAddr>, marker: u32) -> u64 {
        let Some(pa) = pa else { return LOADED_BYTES };
        let base = pa.0 & !(PAGE_BYTES - 1);
        let taken = self.stored.range(base..base + PAGE_BYTES).next_back();
        let next = taken.map_or(base + LOADED_BYTES, |(&last, _)| last + 4);
        assert!(next < base + PAGE_BYTES, "a batch has fewer stores than words");
        self.stored.insert(next, marker);
        next - base
    }

    /// Runs a batch, and checks what the pages of data hold afterwards.
    ///
    /// # Errors
    /// What went wrong with the guest, or the words that are not as they should be.
    pub fn run(&mut self, batch: &[State]) -> Result<Vec<Observed>, String> {
        let mut records: Vec<u8> = batch.iter().flat_map(record).collect();
        self.ram.write(RECORDS, &records);
        self.ram.write(COMMAND, &(batch.len() as u32).to_be_bytes());
        self.qemu.wait(&self.ram, COMMAND, &[0; 4], LIMIT)?;
        self.ram.read(RECORDS, &mut records);
        self.check_pages()?;
        Ok(records.chunks_exact(RECORD_BYTES).zip(batch).map(|(r, s)| observed(s, r)).collect())
    }

    /// Exactly the stores that were expected were made; then the pages are as at first.
    fn check_pages(&mut self) -> Result<(), String> {
        let stored = std::mem::take(&mut self.stored);
        for &frame in &self.frames[..PAGES_OF_KIND as usize] {
            let base = u64::from(frame) << 12;
            let fresh = data_page(base);
            let mut expected = fresh.clone();
            for (&at, marker) in stored.range(base..base + PAGE_BYTES) {
                let offset = (at - base) as usize;
                expected[offset..offset + 4].copy_from_slice(&marker.to_be_bytes());
            }
            let mut found = vec![0; PAGE_BYTES as usize];
            self.ram.read(base, &mut found);
            if let Some(at) = (0..found.len()).find(|&at| found[at] != expected[at]) {
                return Err(format!("the byte at {:#x} is not as it should be", base + at as u64));
            }
            self.ram.write(base, &fresh);
        }
        Ok(())
    }
}

/// Frames spread over RAM, all different.
fn frames() -> Vec<u32> {
    let mut random = Random(0x604);
    let mut frames = Vec::new();
    while frames.len() < 2 * PAGES_OF_KIND as usize {
        let frame = ((PAGES + random.below(RAM_BYTES - PAGES)) >> 12) as u32;
        if !frames.contains(&frame) {
            frames.push(frame);
        }
    }
    frames
}

/// Every word is its address.
fn data_page(base: u64) -> Vec<u8> {
    (0..PAGE_BYTES).step_by(4).flat_map(|at| ((base + at) as u32).to_be_bytes()).collect()
}

/// Every 16 bytes: `lis r3, upper; ori r3, r3, lower; sc; sc`.
fn code_page(base: u64) -> Vec<u8> {
    let slot = |at: u64| {
        let address = (base + at) as u32;
        [0x3c60_0000 | address >> 16, 0x6063_0000 | address & 0xffff, 0x4400_0002, 0x4400_0002]
    };
    (0..PAGE_BYTES).step_by(16).flat_map(slot).flat_map(u32::to_be_bytes).collect()
}

fn record(state: &State) -> [u8; RECORD_BYTES] {
    let (translation, target) = match state.access.kind {
        AccessKind::Read => (MSR_DR, LOAD),
        AccessKind::Write => (MSR_DR, STORE),
        AccessKind::Execute => (MSR_IR, state.ea),
    };
    let user = if state.access.privilege == Privilege::User { MSR_PR } else { 0 };
    let mut words = [0; RECORD_BYTES / 4];
    words[..6].copy_from_slice(&[
        state.sdr1,
        state.segment.raw(),
        state.ea,
        MSR_ON | translation | user,
        target,
        state.marker,
    ]);
    for (&(at, pte), place) in state.ptes.iter().zip(words[12..].chunks_exact_mut(3)) {
        place.copy_from_slice(&[at.0 as u32, pte.word0, pte.word1]);
    }
    let mut bytes = [0; RECORD_BYTES];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

fn observed(state: &State, record: &[u8]) -> Observed {
    let word =
        |n: usize| u32::from_be_bytes(record[4 * n..4 * n + 4].try_into().expect("four bytes"));
    let [vector, r3, dsisr, dar, srr0, srr1] = [6, 7, 8, 9, 10, 11].map(word);
    let fetch = state.access.kind == AccessKind::Execute;
    let effect = match vector {
        SYSTEM_CALL if state.access.kind == AccessKind::Write => Ok(Effect::Stored),
        SYSTEM_CALL => Ok(Effect::At(PhysAddr(u64::from(r3)))),
        DSI if !fetch && dar == state.ea => Ok(Effect::Fault(ArchFault::PpcDsi { dsisr })),
        ISI if fetch && srr0 == state.ea => {
            Ok(Effect::Fault(ArchFault::PpcIsi { srr1: srr1 & SRR1_WHY }))
        }
        _ => Err(format!("vector {vector:#x}, {dsisr:#x}, {dar:#x}, {srr0:#x}, {srr1:#x}")),
    };
    let after =
        (0..state.ptes.len()).map(|n| Pte { word0: word(13 + 3 * n), word1: word(14 + 3 * n) });
    Observed { effect, after: after.collect() }
}
