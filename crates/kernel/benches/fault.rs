//! The host's time for a fault, without the machine around it:
//! `cargo bench -p pagewalk-kernel --bench fault`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Machine, PAGE, RW};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pagewalk_kernel::{Config, MapRequest, Prot};
use pagewalk_mmu::{AccessKind, VirtAddr};

const PAGES: u64 = 2000;

fn machine(name: &str) -> Machine {
    let mut machine = Machine::new(name, Config { frames: 8192, ..Config::default() });
    machine.mock.quiet = true;
    machine.mock.files.push(vec![1; (PAGES * PAGE) as usize]);
    // Regions beside the one that faults, as a real program has.
    for _ in 0..20 {
        machine.map(MapRequest::anonymous(PAGE, RW));
        machine.map(MapRequest::anonymous(PAGE, Prot::READ));
    }
    machine
}

fn touch(machine: &mut Machine, va: u64, kind: AccessKind) {
    for page in 0..PAGES {
        let va = VirtAddr(va + page * PAGE);
        let _resolved = machine.kernel.fault(&mut machine.mock, machine.space, va, kind);
        machine.kernel.daemon(&mut machine.mock);
    }
}

fn faults(c: &mut Criterion) {
    for name in ["ia32", "sv39", "sv57"] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(PAGES));
        group.bench_function("zero-fill", |b| {
            let setup = || {
                let mut machine = machine(name);
                let va = machine.map_anon(PAGES);
                (machine, va)
            };
            let run = |(mut machine, va): (Machine, u64)| {
                touch(&mut machine, va, AccessKind::Write);
                machine
            };
            b.iter_batched(setup, run, BatchSize::PerIteration);
        });
        group.bench_function("map a cached page", |b| {
            let setup = || {
                let mut machine = machine(name);
                let first = machine.map_file(0, PAGES, Prot::READ, true);
                touch(&mut machine, first, AccessKind::Read);
                let va = machine.map_file(0, PAGES, Prot::READ, false);
                (machine, va)
            };
            let run = |(mut machine, va): (Machine, u64)| {
                touch(&mut machine, va, AccessKind::Read);
                machine
            };
            b.iter_batched(setup, run, BatchSize::PerIteration);
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = faults
}
criterion_main!(benches);
