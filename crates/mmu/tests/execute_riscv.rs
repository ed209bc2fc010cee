//! Sv32, Sv39, Sv48 and Sv57 against qemu-system-riscv32 and -riscv64 executing the access.
//!
//! A state is an entry, at any level, with any low byte (V R W X U G A D), under any SUM, MXR,
//! privilege and instruction, and one [`Variation`] of all else: the entry's other bits, the
//! pointers above it, the address, the memory that it leads to. Whether the access succeeds, the
//! page that answers, mcause and mtval must be what our walk says, and so must all entries
//! afterwards, accessed and dirty bits included.
//!
//! ```text
//!   physical memory
//!   80000000  code │ 80001000 mailbox │ 80010000 one table per level │ 80100000 denied by PMP
//!   80400000  target pages, which say who they are at some offsets   │ 82000000 states
//! ```
//!
//! Not compared: Svade, which QEMU 7.2 does not offer (it sets accessed and dirty bits itself).
//! Where that version differs from the manual, see [`State::deviation`].

mod common;
mod execute;
#[path = "execute/riscv/outcome.rs"]
mod outcome;
#[path = "execute/riscv/states.rs"]
mod states;

use common::skip;
use execute::{Missing, Qemu, RamFile, Scratch, Shuffle, assemble, seed, states_wanted};
use outcome::Outcome;
use pagewalk_mmu::radix::{Radix, RiscV, RiscVControls, Scheme};
use states::{
    DENIED, LARGE_TARGETS, MAILBOX, PATTERNS, RAM, RAM_BYTES, Recipe, SMALL_TARGETS, STATES, State,
    Variation, variations,
};
use std::time::Duration;

/// States that the guest runs through before it reports.
const BATCH: u64 = 20_000;
const BATCH_LIMIT: Duration = Duration::from_secs(120);

/// A machine with the guest in it.
struct Machine {
    // Dropped in this order: the directory goes last.
    qemu: Qemu,
    ram: RamFile,
    batches: u32,
    _scratch: Scratch,
}

impl Machine {
    fn start(name: &str, wide: bool) -> Result<Self, Missing> {
        let scratch = Scratch::new(name);
        let (bits, march, abi, cpu) = match wide {
            true => (64, "rv64ima_zicsr", "lp64", "rv64,svnapot=off,svpbmt=off"),
            false => (32, "rv32ima_zicsr", "ilp32", "rv32"),
        };
        let symbols =
            [("XLEN", bits), ("MAILBOX", MAILBOX), ("STATES", STATES), ("DENIED", DENIED)];
        let symbols = symbols.map(|(name, value)| format!("--defsym={name}={value:#x}"));
        let (march, abi) = (format!("-march={march}"), format!("-mabi={abi}"));
        let options: Vec<&str> =
            [&march, &abi].into_iter().chain(&symbols).map(String::as_str).collect();
        let (emulation, text) = (format!("-melf{bits}lriscv"), format!("-Ttext={RAM:#x}"));
        let prefix = "riscv64-linux-gnu-";
        let guest = assemble(&scratch, "riscv.S", "guest", prefix, &options, &[&emulation, &text])?;

        let ram = RamFile::new(&scratch, RAM_BYTES);
        write_targets(&ram);
        let fixed = ["-machine", "virt,memory-backend=ram", "-cpu", cpu, "-bios", "none"];
        let mut arguments: Vec<String> = fixed.map(String::from).to_vec();
        // Only where there may be another hart, an AMO is atomic to QEMU: otherwise a load, which
        // may fault as one, and a store.
        arguments.extend(["-smp", "1,maxcpus=2"].map(String::from));
        arguments.extend(["-kernel".into(), guest.display().to_string()]);
        arguments.extend(ram.arguments());
        let qemu = Qemu::start(&format!("qemu-system-riscv{bits}"), &arguments)?;
        Ok(Self { qemu, ram, batches: 0, _scratch: scratch })
    }

    /// Runs the guest through these states; `records` are replaced by what it reports.
    fn run(&mut self, records: &mut [u8], states: u32) {
        self.batches += 1;
        let batch = self.batches.to_le_bytes();
        self.ram.write(STATES - RAM, records);
        self.ram.write(MAILBOX - RAM + 8, &states.to_le_bytes());
        self.ram.write(MAILBOX - RAM, &batch);
        let done = self.qemu.wait(&self.ram, MAILBOX - RAM + 4, &batch, BATCH_LIMIT);
        done.unwrap_or_else(|error| panic!("{error}"));
        self.ram.read(STATES - RAM, records);
    }
}

/// Lets the target pages say who they are, and lists them in the mailbox.
fn write_targets(ram: &RamFile) {
    let pages = [LARGE_TARGETS, SMALL_TARGETS].concat();
    let mut list = (pages.len() as u32).to_le_bytes().to_vec();
    for &page in &pages {
        list.extend((page as u32).to_le_bytes());
        for (_, offset) in PATTERNS {
            let (lui_a0, ecall) = (page as u32 | 0x537, 0x73_u32);
            ram.write(page + offset - RAM, &lui_a0.to_le_bytes());
            ram.write(page + offset + 4 - RAM, &ecall.to_le_bytes());
        }
    }
    ram.write(MAILBOX - RAM + 12, &list);
}

/// How many states came to what.
#[derive(Debug, Default)]
struct Counts {
    pages: u64,
    faults: u64,
    /// Not compared: QEMU differs from the manual.
    deviations: u64,
}

/// Compares this scheme's share of the states: half of them with a plain variation, or all of
/// those.
fn compare(scheme: Scheme) {
    const SCHEMES: u64 = 4;
    let mut machine = match Machine::start(&format!("{scheme:?}"), scheme != Scheme::Sv32) {
        Ok(machine) => machine,
        Err(Missing(what)) => return skip(&what),
    };
    let format = RiscV::new(scheme, RiscVControls::default());
    let entries = (0..=format.geometry().top().0)
        .flat_map(|level| variations(&format, level).into_iter().map(move |v| (level, v)));
    let (plain, varied): (Vec<_>, Vec<_>) =
        entries.partition(|(_, variation)| matches!(variation, Variation::Plain { .. }));
    let share = states_wanted().div_ceil(SCHEMES);
    let (_, all_plain) = Recipe::new(scheme, &plain, 0);
    let plain_wanted = share.div_ceil(2).min(all_plain);
    let parts = [("plain", plain, plain_wanted), ("varied", varied, share - plain_wanted)];
    let mut counts = Counts::default();
    for (name, entries, wanted) in parts {
        let (_, all) = Recipe::new(scheme, &entries, 0);
        let wanted = wanted.min(all);
        let shuffle = Shuffle::new(all, seed());
        for first in (0..wanted).step_by(BATCH as usize) {
            let numbers = (first..wanted.min(first + BATCH)).map(|n| shuffle.at(n));
            let recipes: Vec<_> =
                numbers.map(|number| Recipe::new(scheme, &entries, number).0).collect();
            compare_batch(&mut machine, &recipes, &mut counts);
        }
        println!("{scheme:?}, {name}: {wanted} of {all} states");
    }
    println!("{scheme:?}: {counts:?}");
    let Counts { pages, faults, deviations } = counts;
    let tenth = (pages + faults + deviations) / 10;
    assert!(pages > tenth / 5 && faults > tenth && deviations < tenth, "both are compared");
}

fn compare_batch(machine: &mut Machine, recipes: &[Recipe], counts: &mut Counts) {
    let states: Vec<State> = recipes.iter().map(Recipe::state).collect();
    let mut records = Vec::new();
    states.iter().for_each(|state| state.record(&mut records));
    machine.run(&mut records, states.len() as u32);
    let records = records.chunks_exact(records.len() / states.len());
    for ((recipe, state), record) in recipes.iter().zip(&states).zip(records) {
        let (ours, deviation, after) = state.expected();
        let (theirs, theirs_after) = state.observed(record);
        let about = || format!("{recipe:x?}, {state:x?}");
        assert_eq!(after, theirs_after, "entries afterwards, ours and QEMU's: {}", about());
        if deviation == Some(theirs) {
            counts.deviations += 1;
            continue;
        }
        assert_eq!(ours, theirs, "ours (left) and QEMU's: {}", about());
        match ours {
            Outcome::Page(_) => counts.pages += 1,
            Outcome::Fault { .. } => counts.faults += 1,
        }
    }
}

#[test]
fn sv32_executes_as_we_walk() {
    compare(Scheme::Sv32);
}

#[test]
fn sv39_executes_as_we_walk() {
    compare(Scheme::Sv39);
}

#[test]
fn sv48_executes_as_we_walk() {
    compare(Scheme::Sv48);
}

#[test]
fn sv57_executes_as_we_walk() {
    compare(Scheme::Sv57);
}
