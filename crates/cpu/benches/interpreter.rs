//! The interpreter on loops over a flat memory, in guest instructions a second.
//!
//! ```text
//! cargo bench -p pagewalk-cpu --bench interpreter
//! ```
//!
//! What a machine adds, the translation of every access, is not in these figures.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pagewalk_cpu::{Blocks, Hart, Stop, run, run_plain};

#[path = "../tests/common/mod.rs"]
mod common;

use common::program::{BASE, Code};
use common::{FlatBus, PAGE};

/// Instructions a measured run retires.
const BUDGET: u64 = 1_000_000;

const PAGES: usize = 64;

/// Where data begins: behind the code.
const DATA: u64 = BASE + 4 * PAGE;

/// Writes an endless program.
type Program = fn(&mut Code);

/// Adds up the numbers from 1 to x5 (three instructions a round), again and again.
fn sum(code: &mut Code) {
    let restart = code.here();
    code.li(5, 100_000);
    let round = code.here();
    code.op("add", &[("rd", 6), ("rs1", 6), ("rs2", 5)]);
    code.addi(5, 5, -1);
    code.op("bne", &[("rs1", 5), ("imm", round.wrapping_sub(code.here()) as u32)]);
    jump_to(code, restart);
}

/// Crosses out multiples of 3, 5, 7 … in a table of bytes, looking each up first.
fn sieve(code: &mut Code) {
    const BYTES: u64 = 0x8000;
    let restart = code.here();
    code.li(5, DATA);
    code.li(6, DATA + BYTES);
    code.li(7, 3);
    let next_prime = code.here();
    code.op("add", &[("rd", 8), ("rs1", 5), ("rs2", 7)]);
    let cross_out = code.here();
    code.op("lbu", &[("rd", 9), ("rs1", 8)]);
    code.op("ori", &[("rd", 9), ("rs1", 9), ("imm", 1)]);
    code.op("sb", &[("rs2", 9), ("rs1", 8)]);
    code.op("add", &[("rd", 8), ("rs1", 8), ("rs2", 7)]);
    let back = cross_out.wrapping_sub(code.here());
    code.op("bltu", &[("rs1", 8), ("rs2", 6), ("imm", back as u32)]);
    code.addi(7, 7, 2);
    code.op("slti", &[("rd", 10), ("rs1", 7), ("imm", 200)]);
    let back = next_prime.wrapping_sub(code.here());
    code.op("bne", &[("rs1", 10), ("imm", back as u32)]);
    jump_to(code, restart);
}

/// Calls a function that saves and restores two registers on the stack.
fn calls(code: &mut Code) {
    code.li(2, DATA + PAGE);
    let round = code.here();
    code.op("jal", &[("rd", 1), ("imm", 8)]);
    jump_to(code, round);
    code.addi(2, 2, -16);
    code.sd(1, 2, 8);
    code.sd(8, 2, 0);
    code.addi(8, 8, 1);
    code.ld(8, 2, 0);
    code.ld(1, 2, 8);
    code.addi(2, 2, 16);
    code.op("jalr", &[("rs1", 1)]);
}

/// Sums squares of doubles: loads, fused multiply-adds, a division now and then.
fn float(code: &mut Code) {
    let restart = code.here();
    code.li(5, DATA);
    code.li(6, DATA + 8 * PAGE);
    code.op("fcvt.d.l", &[("fd", 2), ("rs1", 5)]);
    let round = code.here();
    code.fld(1, 5, 0);
    code.op("fadd.d", &[("fd", 1), ("fs1", 1), ("fs2", 2)]);
    code.op("fmadd.d", &[("fd", 3), ("fs1", 1), ("fs2", 1), ("fs3", 3)]);
    code.addi(5, 5, 8);
    let back = round.wrapping_sub(code.here());
    code.op("bltu", &[("rs1", 5), ("rs2", 6), ("imm", back as u32)]);
    code.op("fdiv.d", &[("fd", 3), ("fs1", 3), ("fs2", 2)]);
    jump_to(code, restart);
}

fn jump_to(code: &mut Code, target: u64) {
    let offset = target.wrapping_sub(code.here());
    code.op("jal", &[("imm", offset as u32)]);
}

fn machine(program: Program) -> (Hart, FlatBus) {
    let mut code = Code::default();
    let mut hart = Hart::new();
    hart.pc = code.here();
    program(&mut code);
    (hart, FlatBus::with_image(BASE, &code.elf(DATA, &[]), PAGES))
}

fn interpreter(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("instructions");
    group.throughput(Throughput::Elements(BUDGET));
    let programs = [("sum", sum as Program), ("sieve", sieve), ("calls", calls), ("float", float)];
    for (name, program) in programs {
        let (mut hart, mut bus) = machine(program);
        let mut blocks = Blocks::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let limit = hart.retired + BUDGET;
                assert_eq!(run(&mut hart, &mut bus, &mut blocks, limit), Stop::Budget);
            });
        });
    }
    let (mut hart, mut bus) = machine(sum);
    group.bench_function("sum, decoded anew", |bencher| {
        bencher.iter(|| {
            let limit = hart.retired + BUDGET;
            assert_eq!(run_plain(&mut hart, &mut bus, limit), Stop::Budget);
        });
    });
    group.finish();
}

criterion_group!(benches, interpreter);
criterion_main!(benches);
