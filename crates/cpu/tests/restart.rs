//! Precise faults: a faulting instruction has done nothing, and goes on when its page is there.
//!
//! ```text
//!   reference   all pages mapped, one instruction at a time
//!   blocks      run,       pages come and go   ─┬─ the same in everything, counters and times too
//!   plain       run_plain, pages come and go   ─┘
//! ```
//!
//! 1. At every stop, registers, memory and reservation are the reference's after as many
//!    instructions.
//! 2. Both ways of running stop at the same places, having made the same references at the same
//!    times.

mod common;

use common::encode::named;
use common::program::BASE;
use common::random::{Program, Size, program};
use common::{Access, FlatBus, PAGE, Rng};
use pagewalk_cpu::{AccessKind, Blocks, Hart, MemFault, RefTime, Stop, run, run_plain};

const SIZE: Size =
    Size { bodies: 12, segments: 3, items: 40, rounds: 0, counters: false, conditional: true };

/// Spare pages behind a program's image.
const PAGES_BEHIND: usize = 1;

/// A hart with its memory, and how it runs.
struct Machine {
    hart: Hart,
    bus: FlatBus,
    blocks: Option<Blocks>,
}

impl Machine {
    fn new(program: &Program, blocks: bool) -> Self {
        let pages = program.elf.len().div_ceil(PAGE as usize) + PAGES_BEHIND;
        let mut bus = FlatBus::with_image(BASE, &program.elf, pages);
        bus.log = Some(Vec::new());
        let mut hart = Hart::new();
        hart.pc = u64::from_le_bytes(program.elf[24..32].try_into().expect("eight bytes"));
        Self { hart, bus, blocks: blocks.then(Blocks::new) }
    }

    fn run(&mut self, limit: u64) -> Stop {
        match &mut self.blocks {
            Some(blocks) => run(&mut self.hart, &mut self.bus, blocks, limit),
            None => run_plain(&mut self.hart, &mut self.bus, limit),
        }
    }

    /// The state that a program sees.
    fn assert_same_state(&self, reference: &Machine) {
        let mut hart = self.hart.clone();
        hart.fetches = reference.hart.fetches;
        hart.loads = reference.hart.loads;
        hart.stores = reference.hart.stores;
        assert_eq!(hart, reference.hart);
        assert!(self.bus.memory == reference.bus.memory, "memory differs");
    }

    /// Everything, counts and times included.
    fn assert_same_history(&mut self, other: &mut Machine) {
        assert_eq!(self.hart, other.hart);
        assert_eq!(self.bus.fetched, other.bus.fetched, "times of fetches");
        let logs = [&mut self.bus.log, &mut other.bus.log].map(|log| log.replace(Vec::new()));
        assert_eq!(logs[0], logs[1], "data accesses");
        for machine in [self, other] {
            let tried = (machine.bus.loads, machine.bus.stores);
            assert_eq!((machine.hart.loads, machine.hart.stores), tried);
        }
    }
}

/// Runs a program in all ways, pages coming and going; returns the number of faults.
fn run_with_faults(seed: u64, size: Size) -> u64 {
    let mut rng = Rng::new(seed);
    let program = program(&mut rng, size);
    let [mut reference, mut blocks, mut plain] =
        [false, true, false].map(|blocks| Machine::new(&program, blocks));
    blocks.bus.unmap_all();
    plain.bus.unmap_all();
    let image = program.elf.len() as u64;
    let mut faults = 0;
    loop {
        let limit = blocks.hart.retired + 1 + rng.below(150);
        let stop = blocks.run(limit);
        assert_eq!(plain.run(limit), stop);
        blocks.assert_same_history(&mut plain);
        reference.run(blocks.hart.retired);
        blocks.assert_same_state(&reference);
        match stop {
            Stop::Fault(fault) => {
                faults += 1;
                blocks.bus.set_mapped(fault.va, true);
                plain.bus.set_mapped(fault.va, true);
            }
            Stop::Budget => assert_eq!(blocks.hart.retired, limit),
            Stop::Ecall => break,
            stop => panic!("{stop:?} at {:#x}", blocks.hart.pc),
        }
        // Not after every fault: an instruction needs four pages at once.
        if rng.one_in(2) {
            let va = BASE + rng.below(image);
            blocks.bus.set_mapped(va, false);
            plain.bus.set_mapped(va, false);
        }
    }
    faults
}

#[test]
fn programs_go_on_after_faults() {
    let size = Size { rounds: 4, ..SIZE };
    let faults: u64 = (0..200).map(|seed| run_with_faults(seed, size)).sum();
    println!("{faults} faults");
    assert!(faults > 2_000);
}

#[test]
fn blocks_count_as_single_instructions_do() {
    let size = Size { rounds: 20, counters: true, ..SIZE };
    for seed in 100..130 {
        let mut rng = Rng::new(seed);
        let program = program(&mut rng, size);
        let [mut blocks, mut plain] = [true, false].map(|blocks| Machine::new(&program, blocks));
        loop {
            let limit = blocks.hart.retired + 1 + rng.below(1000);
            let stop = blocks.run(limit);
            assert_eq!(plain.run(limit), stop);
            blocks.assert_same_history(&mut plain);
            if stop != Stop::Budget {
                assert_eq!(stop, Stop::Ecall);
                break;
            }
        }
        assert!(blocks.bus.memory == plain.bus.memory);
        assert_eq!(plain.bus.fetches, plain.hart.fetches);
    }
}

// Single cases: x10 is the address, x11 the operand, x12 the destination.

/// An instruction's fields and what they hold.
type Fields<'a> = &'a [(&'a str, u32)];

/// One instruction at the start of page 0, then `ecall`; data in pages 2 and 3.
fn case(name: &str, fields: Fields<'_>) -> (Hart, FlatBus) {
    let mut bus = FlatBus::new(BASE, 4);
    bus.put_words(BASE, &[named(name).make(fields), 0x73]);
    for (i, byte) in bus.memory[2 * PAGE as usize..].iter_mut().enumerate() {
        *byte = i as u8;
    }
    let mut hart = Hart::new();
    hart.pc = BASE;
    hart.set_x(11, 0x1122_3344_5566_7788);
    hart.set_x(12, 0xdead);
    hart.set_f(11, 0x8877_6655_4433_2211);
    (hart, bus)
}

const BORDER: u64 = BASE + 3 * PAGE;

/// Runs into a fault with blocks and without, and on when the page is there.
fn assert_faults(name: &str, fields: Fields<'_>, va: u64, unmapped: u64, fault: MemFault) {
    let (mut hart, mut bus) = case(name, fields);
    hart.set_x(10, va);
    bus.set_mapped(unmapped, false);
    for blocks in [true, false] {
        let (mut hart, mut bus) = (hart.clone(), bus.clone());
        let (before, memory) = (hart.clone(), bus.memory.clone());
        let go = |hart: &mut Hart, bus: &mut FlatBus| match blocks {
            true => run(hart, bus, &mut Blocks::new(), 10),
            false => run_plain(hart, bus, 10),
        };
        assert_eq!(go(&mut hart, &mut bus), Stop::Fault(fault), "{name}");
        let data = u64::from(fault.kind != AccessKind::Fetch);
        assert_eq!(hart.loads + hart.stores, data, "{name}: a reference that faulted was begun");
        (hart.fetches, hart.loads, hart.stores) = (0, 0, 0);
        assert_eq!(hart, before, "{name}");
        assert!(bus.memory == memory, "{name}");
        bus.set_mapped(unmapped, true);
        assert_eq!(go(&mut hart, &mut bus), Stop::Ecall, "{name}");
        assert_eq!(hart.retired, 2, "{name}");
    }
}

#[test]
fn loads_and_stores_fault_at_either_side_of_a_border() {
    let accesses: [(&str, Fields<'_>, AccessKind); 6] = [
        ("ld", &[("rd", 12), ("rs1", 10)], AccessKind::Load),
        ("lhu", &[("rd", 10), ("rs1", 10)], AccessKind::Load),
        ("fld", &[("fd", 12), ("rs1", 10)], AccessKind::Load),
        ("sd", &[("rs2", 11), ("rs1", 10)], AccessKind::Store),
        ("sh", &[("rs2", 11), ("rs1", 10)], AccessKind::Store),
        ("fsd", &[("fs2", 11), ("rs1", 10)], AccessKind::Store),
    ];
    for (name, fields, kind) in accesses {
        let va = BORDER - 1;
        assert_faults(name, fields, va, va, MemFault { va, kind });
        assert_faults(name, fields, va, BORDER, MemFault { va: BORDER, kind });
    }
}

#[test]
fn atomics_fault_as_a_whole() {
    let va = BORDER;
    let fields = [("rd", 10), ("rs1", 10), ("rs2", 11)];
    for name in ["amoadd.w", "amoswap.d", "amomaxu.d", "sc.w", "sc.d"] {
        assert_faults(name, &fields, va, va, MemFault { va, kind: AccessKind::Store });
    }
    for name in ["lr.w", "lr.d"] {
        let fault = MemFault { va, kind: AccessKind::Load };
        assert_faults(name, &fields[..2], va, va, fault);
    }
}

#[test]
fn a_reservation_outlives_a_fault() {
    let (mut hart, mut bus) = case("lr.d", &[("rd", 12), ("rs1", 10)]);
    let store = named("sc.d").make(&[("rd", 13), ("rs1", 10), ("rs2", 11)]);
    bus.put_words(BASE + 4, &[store, 0x73]);
    hart.set_x(10, BORDER);
    let mut blocks = Blocks::new();
    assert_eq!(run(&mut hart, &mut bus, &mut blocks, 1), Stop::Budget);
    bus.set_mapped(BORDER, false);
    let fault = MemFault { va: BORDER, kind: AccessKind::Store };
    assert_eq!(run(&mut hart, &mut bus, &mut blocks, 10), Stop::Fault(fault));
    bus.set_mapped(BORDER, true);
    assert_eq!(run(&mut hart, &mut bus, &mut blocks, 10), Stop::Ecall);
    assert_eq!((hart.x(13), bus.bytes(BORDER, 8)), (0, &hart.x(11).to_le_bytes()[..]));
}

#[test]
fn an_instruction_across_pages_faults_at_the_page_that_is_missing() {
    let addi = named("addi").make(&[("rd", 12), ("rs1", 12), ("imm", 1)]);
    for blocks in [true, false] {
        let mut bus = FlatBus::new(BASE, 4);
        let pc = BASE + PAGE - 2;
        // The instruction before it, in the same page, makes it the second of a run.
        bus.put_words(pc - 4, &[addi]);
        bus.memory[PAGE as usize - 2..][..4].copy_from_slice(&addi.to_le_bytes());
        bus.memory[PAGE as usize + 2..][..4].copy_from_slice(&0x73u32.to_le_bytes());
        bus.unmap_all();
        let mut machine = Machine { hart: Hart::new(), bus, blocks: blocks.then(Blocks::new) };
        machine.hart.pc = pc - 4;
        let fault = |va| Stop::Fault(MemFault { va, kind: AccessKind::Fetch });
        assert_eq!(machine.run(10), fault(pc - 4));
        machine.bus.set_mapped(pc, true);
        assert_eq!(machine.run(10), fault(BASE + PAGE));
        assert_eq!((machine.hart.pc, machine.hart.retired, machine.hart.x(12)), (pc, 1, 1));
        machine.bus.set_mapped(BASE + PAGE, true);
        assert_eq!(machine.run(10), Stop::Ecall);
        assert_eq!((machine.hart.retired, machine.hart.x(12)), (3, 2));
        // One that faulted, one, one of two pages that faulted, the same again, and the last.
        assert_eq!(machine.hart.fetches, 1 + 1 + 2 + 2 + 1);
    }
}

#[test]
fn the_second_page_is_fetched_after_the_first_and_before_the_data() {
    let load = named("ld").make(&[("rd", 12), ("rs1", 10)]);
    for blocks in [true, false] {
        let mut bus = FlatBus::new(BASE, 4);
        bus.log = Some(Vec::new());
        bus.memory[PAGE as usize - 2..][..4].copy_from_slice(&load.to_le_bytes());
        let mut machine = Machine { hart: Hart::new(), bus, blocks: blocks.then(Blocks::new) };
        machine.hart.pc = BASE + PAGE - 2;
        machine.hart.retired = 7;
        machine.hart.set_x(10, BORDER);
        assert_eq!(machine.run(8), Stop::Budget);
        let fetch = RefTime::fetch(7);
        assert_eq!(machine.bus.fetched[..2], [fetch.0, fetch.second_page().0]);
        let load = Access {
            kind: AccessKind::Load,
            va: BORDER,
            bytes: 8,
            now: RefTime::data(7),
            code_page: 1,
        };
        assert_eq!(machine.bus.log, Some(vec![load]));
    }
}
