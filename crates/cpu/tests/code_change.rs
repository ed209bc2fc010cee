//! Stores into code take effect at the very next instruction, `fence.i` or not.
//!
//! Decoded blocks must not be seen: not the one being executed, nor one that is linked to, nor one
//! that was entered through another. Single instructions are the reference, which keep nothing.

mod common;

use common::encode::named;
use common::program::BASE;
use common::{FlatBus, PAGE, Rng};
use pagewalk_cpu::{Blocks, Hart, Stop, run, run_plain};

const ECALL: u32 = 0x73;

fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
    named("addi").make(&[("rd", rd), ("rs1", rs1), ("imm", imm as u32)])
}

fn jump(offset: i64) -> u32 {
    named("jal").make(&[("imm", offset as u32)])
}

fn loop_while(register: u32, offset: i64) -> u32 {
    named("bne").make(&[("rs1", register), ("imm", offset as u32)])
}

/// Stores x11 at x10 + offset.
fn store(name: &str, offset: i64) -> u32 {
    named(name).make(&[("rs1", 10), ("rs2", 11), ("imm", offset as u32)])
}

/// Code at an address, x10 being that address and x11 a word.
fn machine(at: u64, code: &[u32], word: u32) -> (Hart, FlatBus) {
    let mut bus = FlatBus::new(BASE, 4);
    bus.put_words(at, code);
    bus.log = Some(Vec::new());
    let mut hart = Hart::new();
    hart.pc = at;
    hart.set_x(10, at);
    hart.set_x(11, word.into());
    (hart, bus)
}

/// Runs to the `ecall`, in both ways; returns x12.
fn run_code(at: u64, code: &[u32], word: u32) -> u64 {
    let (mut hart, mut bus) = machine(at, code, word);
    let (mut plain, mut plain_bus) = (hart.clone(), bus.clone());
    assert_eq!(run(&mut hart, &mut bus, &mut Blocks::new(), 10_000), Stop::Ecall);
    assert_eq!(run_plain(&mut plain, &mut plain_bus, 10_000), Stop::Ecall);
    assert_eq!(hart, plain);
    assert_eq!(bus.log, plain_bus.log);
    hart.x(12)
}

#[test]
fn the_next_instruction_is_the_new_one() {
    let code = [store("sw", 4), addi(12, 12, 1), ECALL];
    assert_eq!(run_code(BASE, &code, addi(12, 12, 2)), 2);
    let code = [store("sw", 8), addi(12, 12, 1), addi(12, 12, 1), ECALL];
    assert_eq!(run_code(BASE, &code, addi(12, 12, 2)), 3);
}

#[test]
fn half_an_instruction_can_change() {
    // The upper half of `addi x12, x12, imm` is its immediate and the high bit of rs1.
    let code = [store("sh", 6), addi(12, 12, 1), ECALL];
    assert_eq!(run_code(BASE, &code, addi(12, 12, 7) >> 16), 7);
}

#[test]
fn a_long_instruction_can_become_two_short_ones() {
    let short = named("c.addi").make(&[("rsd", 12), ("imm", 5)]);
    let code = [store("sw", 4), addi(12, 12, 1), ECALL];
    assert_eq!(run_code(BASE, &code, short << 16 | short), 10);
}

#[test]
fn atomics_change_code_too() {
    let swap = named("amoswap.w").make(&[("rd", 13), ("rs1", 10), ("rs2", 11)]);
    let code = [addi(10, 10, 8), swap, addi(12, 12, 1), ECALL];
    assert_eq!(run_code(BASE, &code, addi(12, 12, 2)), 2);
}

#[test]
fn a_store_across_the_border_changes_the_second_page() {
    // The border is between the halves of the instruction that is stored.
    let at = BASE + PAGE - 6;
    let code = [store("sw", 4), addi(12, 12, 1), ECALL];
    assert_eq!(run_code(at, &code, addi(12, 12, 2)), 2);
    // The store itself lies across the border.
    let at = BASE + PAGE - 2;
    assert_eq!(run_code(at, &code, addi(12, 12, 2)), 2);
}

#[test]
fn linked_blocks_are_forgotten() {
    // Three rounds over blocks that are linked to each other, then the middle one changes.
    let code = [
        addi(14, 0, 4),
        jump(4),
        // 8: the middle block
        addi(12, 12, 1),
        jump(4),
        // 16
        addi(14, 14, -1),
        addi(13, 14, -1),
        loop_while(13, 8),
        store("sw", 8),
        // 32
        loop_while(14, 8 - 32),
        ECALL,
    ];
    assert_eq!(run_code(BASE, &code, addi(12, 12, 100)), 3 + 100);
}

#[test]
fn a_change_by_the_machine_is_seen() {
    let code = [addi(12, 12, 1), jump(-4)];
    let (mut hart, mut bus) = machine(BASE, &code, 0);
    let mut blocks = Blocks::new();
    assert_eq!(run(&mut hart, &mut bus, &mut blocks, 100), Stop::Budget);
    assert_eq!(hart.x(12), 50);
    // As a system call does that writes into memory.
    let now = pagewalk_cpu::RefTime::data(hart.retired);
    let write = pagewalk_cpu::Bus::store::<u32>(&mut bus, BASE, addi(12, 12, 1000), now);
    assert_eq!(write, Ok(pagewalk_cpu::Effect::CodeChanged));
    assert_eq!(run(&mut hart, &mut bus, &mut blocks, 200), Stop::Budget);
    assert_eq!(hart.x(12), 50 + 50_000);
}

/// Items of a program that rewrites itself, of four bytes each.
const ITEMS: u64 = 60;

/// Words that are stored over items, from x16 on.
fn replacements() -> [u32; 8] {
    let short = named("c.addi").make(&[("rsd", 12), ("imm", 3)]);
    let move_short = named("c.mv").make(&[("rd", 13), ("rs2", 12)]);
    [
        addi(12, 12, 1),
        addi(12, 13, 5),
        named("slli").make(&[("rd", 12), ("rs1", 12), ("shamt", 1)]),
        named("xor").make(&[("rd", 13), ("rs1", 12), ("rs2", 13)]),
        short << 16 | move_short,
        jump(8),
        named("beq").make(&[("rs1", 12), ("rs2", 13), ("imm", 12)]),
        named("ld").make(&[("rd", 13), ("rs1", 10), ("imm", 16)]),
    ]
}

/// A loop of items, some of which store replacements over others.
fn rewriting_program(rng: &mut Rng) -> Vec<u32> {
    let mut code = Vec::new();
    for _ in 0..ITEMS {
        let offset = 4 * rng.below(ITEMS) as u32;
        let source = 16 + rng.below(8) as u32;
        let item = match rng.below(4) {
            0 => named("sw").make(&[("rs1", 10), ("rs2", source), ("imm", offset)]),
            1 => jump(4 * (1 + rng.below(4) as i64)),
            _ => rng.pick(&replacements()),
        };
        code.push(item);
    }
    // Jumps over the last items arrive here.
    code.extend([addi(0, 0, 0); 4]);
    code.push(addi(14, 14, -1));
    code.push(loop_while(14, -4 * (code.len() as i64)));
    code.push(ECALL);
    code
}

#[test]
fn programs_that_rewrite_themselves_run_as_single_instructions_do() {
    let mut changes = 0;
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let at = BASE + PAGE - 2 * rng.below(2 * ITEMS);
        let (mut hart, mut bus) = machine(at, &rewriting_program(&mut rng), 0);
        hart.set_x(14, 30);
        for (register, word) in (16..).zip(replacements()) {
            hart.set_x(register, word.into());
        }
        let (mut plain, mut plain_bus) = (hart.clone(), bus.clone());
        let mut blocks = Blocks::new();
        loop {
            let limit = hart.retired + 1 + rng.below(300);
            let stop = run(&mut hart, &mut bus, &mut blocks, limit);
            assert_eq!(run_plain(&mut plain, &mut plain_bus, limit), stop);
            assert_eq!(hart, plain);
            assert_eq!(bus.log, plain_bus.log);
            assert_eq!(bus.fetched, plain_bus.fetched);
            if stop != Stop::Budget {
                assert_eq!(stop, Stop::Ecall);
                break;
            }
        }
        assert!(bus.memory == plain_bus.memory);
        changes += pagewalk_cpu::Bus::epoch(&bus);
    }
    println!("{changes} changes of decoded code");
    assert!(changes > 10_000);
}
