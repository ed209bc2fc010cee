//! Corners of the instruction set and of the way a hart stops.

mod common;

use common::encode::named;
use common::program::BASE;
use common::{FlatBus, PAGE};
use pagewalk_cpu::{AccessKind, Blocks, Hart, MemFault, Stop, run, run_plain};

const ECALL: u32 = 0x73;
const EBREAK: u32 = 0x0010_0073;

fn machine(code: &[u32]) -> (Hart, FlatBus) {
    let mut bus = FlatBus::new(BASE, 2);
    bus.put_words(BASE, code);
    let mut hart = Hart::new();
    hart.pc = BASE;
    (hart, bus)
}

/// Runs code with registers set, in both ways, which must agree.
fn run_with(code: &[u32], registers: &[(usize, u64)], limit: u64) -> (Stop, Hart) {
    let (mut hart, mut bus) = machine(code);
    registers.iter().for_each(|&(register, value)| hart.set_x(register, value));
    let (mut plain, mut plain_bus) = (hart.clone(), bus.clone());
    let stop = run(&mut hart, &mut bus, &mut Blocks::new(), limit);
    assert_eq!(run_plain(&mut plain, &mut plain_bus, limit), stop);
    assert_eq!(hart, plain);
    assert_eq!(bus.fetched, plain_bus.fetched);
    (stop, hart)
}

fn csr(name: &str, number: u32, rd: u32, rs1: u32) -> u32 {
    named(name).make(&[("csr", number), ("rd", rd), ("rs1", rs1)])
}

fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
    named("addi").make(&[("rd", rd), ("rs1", rs1), ("imm", imm as u32)])
}

#[test]
fn jalr_reads_its_source_before_it_links() {
    let jalr = named("jalr").make(&[("rd", 5), ("rs1", 5), ("imm", 9)]);
    let (stop, hart) = run_with(&[jalr, 0, ECALL], &[(5, BASE)], 10);
    assert_eq!((stop, hart.x(5), hart.pc), (Stop::Ecall, BASE + 4, BASE + 12));
}

#[test]
fn x0_stays_zero() {
    let load = named("ld").make(&[("rs1", 5)]);
    let add = named("amoadd.d").make(&[("rs1", 5), ("rs2", 5)]);
    let convert = named("fcvt.l.d").make(&[("fs1", 1)]);
    let code = [addi(0, 0, 5), load, add, convert, csr("csrrs", 0xc02, 0, 0), addi(6, 0, 1), ECALL];
    let (stop, hart) = run_with(&code, &[(5, BASE + 64)], 10);
    assert_eq!((stop, hart.x(0), hart.x(6)), (Stop::Ecall, 0, 1));
}

#[test]
fn misaligned_atomics_stop_before_they_begin() {
    for (name, kind) in [
        ("amoadd.d", AccessKind::Store),
        ("amoswap.w", AccessKind::Store),
        ("sc.d", AccessKind::Store),
        ("lr.w", AccessKind::Load),
    ] {
        let row = named(name);
        let word = row.set(row.set(row.value, "rs1", 5), "rd", 6);
        let va = BASE + 0x102;
        let (stop, hart) = run_with(&[addi(7, 0, 1), word], &[(5, va), (6, 99)], 10);
        assert_eq!(stop, Stop::Misaligned(MemFault { va, kind }), "{name}");
        assert_eq!((hart.pc, hart.x(6), hart.retired), (BASE + 4, 99, 1), "{name}");
    }
}

#[test]
fn counters_can_be_read_and_not_written() {
    for number in [0xc00, 0xc01, 0xc02] {
        let (stop, _) = run_with(&[csr("csrrs", number, 5, 0), ECALL], &[], 10);
        assert_eq!(stop, Stop::Ecall);
        let (stop, _) = run_with(&[csr("csrrc", number, 5, 0), ECALL], &[], 10);
        assert_eq!(stop, Stop::Ecall);
        let immediate = named("csrrsi").make(&[("csr", number), ("rd", 5)]);
        assert_eq!(run_with(&[immediate, ECALL], &[], 10).0, Stop::Ecall);
        // A register that holds zero is written nonetheless; x0 as CSRRW's source, too.
        for word in [csr("csrrs", number, 5, 6), csr("csrrw", number, 5, 0)] {
            let (stop, hart) = run_with(&[addi(7, 0, 1), word], &[(5, 99)], 10);
            assert_eq!((stop, hart.x(5), hart.pc), (Stop::Illegal, 99, BASE + 4));
        }
    }
}

#[test]
fn instret_counts_the_instructions_before() {
    let code = [addi(1, 0, 0), addi(1, 0, 0), csr("csrrs", 0xc02, 5, 0), addi(1, 0, 0), ECALL];
    assert_eq!(run_with(&code, &[], 10).1.x(5), 2);
}

#[test]
fn other_control_registers_do_not_exist() {
    for number in (0..0x1000).filter(|n| !matches!(n, 1..=3 | 0xc00..=0xc02)) {
        let (stop, hart) = run_with(&[csr("csrrs", number, 5, 0)], &[(5, 99)], 10);
        assert_eq!((stop, hart.x(5)), (Stop::Illegal, 99), "{number:#x}");
    }
}

#[test]
fn a_reserved_dynamic_rounding_mode_is_illegal() {
    let add = named("fadd.d").make(&[("fd", 1), ("fs1", 2), ("fs2", 3), ("rm", 7)]);
    for frm in 5..8 {
        let set = named("csrrwi").make(&[("csr", 2), ("zimm", frm)]);
        let (stop, hart) = run_with(&[set, add], &[], 10);
        assert_eq!((stop, hart.pc, hart.fcsr()), (Stop::Illegal, BASE + 4, frm << 5));
    }
}

#[test]
fn stops_leave_the_pc_where_they_say() {
    let (stop, hart) = run_with(&[addi(5, 0, 1), ECALL], &[], 10);
    assert_eq!((stop, hart.pc, hart.retired), (Stop::Ecall, BASE + 8, 2));
    let (stop, hart) = run_with(&[addi(5, 0, 1), EBREAK], &[], 10);
    assert_eq!((stop, hart.pc, hart.retired, hart.fetches), (Stop::Ebreak, BASE + 4, 1, 2));
    let (stop, hart) = run_with(&[addi(5, 0, 1), 0], &[], 10);
    assert_eq!((stop, hart.pc, hart.retired, hart.fetches), (Stop::Illegal, BASE + 4, 1, 2));
}

#[test]
fn an_odd_pc_is_misaligned() {
    let (mut hart, mut bus) = machine(&[ECALL]);
    hart.pc = BASE + 1;
    let stop = Stop::Misaligned(MemFault { va: BASE + 1, kind: AccessKind::Fetch });
    assert_eq!(run(&mut hart.clone(), &mut bus, &mut Blocks::new(), 1), stop);
    assert_eq!(run_plain(&mut hart, &mut bus, 1), stop);
}

#[test]
fn the_budget_is_kept_to_the_instruction() {
    // A loop of two blocks that are linked: 3 + 1 instructions a round.
    let back = named("jal").make(&[("imm", -16i32 as u32)]);
    let skip = named("beq").make(&[("imm", 4)]);
    let code = [addi(5, 5, 1), addi(5, 5, 1), skip, addi(0, 0, 0), back];
    for limit in 0..40 {
        let (stop, hart) = run_with(&code, &[], limit);
        assert_eq!((stop, hart.retired), (Stop::Budget, limit));
    }
}

#[test]
fn a_branch_goes_its_own_way_each_time() {
    // Not taken first, then taken, then not again: x6 counts the rounds in which it was not.
    let code = [
        named("andi").make(&[("rd", 7), ("rs1", 5), ("imm", 1)]),
        named("bne").make(&[("rs1", 7), ("imm", 8)]),
        addi(6, 6, 1),
        addi(5, 5, -1),
        named("bne").make(&[("rs1", 5), ("imm", -16i32 as u32)]),
        ECALL,
    ];
    let (stop, hart) = run_with(&code, &[(5, 100)], 10_000);
    assert_eq!((stop, hart.x(6)), (Stop::Ecall, 50));
}

#[test]
fn code_that_the_cache_cannot_hold_runs_all_the_same() {
    // More than the 2²⁰ decoded instructions that are kept, twice.
    const COUNT: usize = 1_100_000;
    let mut bus = FlatBus::new(BASE, 4 * COUNT / PAGE as usize + 2);
    bus.put_words(BASE, &vec![addi(12, 12, 1); COUNT]);
    let jump = named("jalr").make(&[("rs1", 10)]);
    let end = [addi(14, 14, -1), named("beq").make(&[("rs1", 14), ("imm", 8)]), jump, ECALL];
    bus.put_words(BASE + 4 * COUNT as u64, &end);
    let mut hart = Hart::new();
    hart.pc = BASE;
    hart.set_x(10, BASE);
    hart.set_x(14, 2);
    assert_eq!(run(&mut hart, &mut bus, &mut Blocks::new(), u64::MAX), Stop::Ecall);
    assert_eq!(hart.x(12), 2 * COUNT as u64);
}
