//! The host's time for a fork and for what follows it, without the machine around it:
//! `cargo bench -p pagewalk-kernel --bench fork`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Machine, PAGE, RW};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pagewalk_kernel::{Config, MapRequest, Prot, ShareTables};
use pagewalk_mmu::{AccessKind, VirtAddr};

/// A process with so many resident pages is forked.
const PAGES: u64 = 100_000;
/// Faults in one measurement.
const FAULTS: u64 = 1000;

fn machine(name: &str, frames: u64) -> Machine {
    machine_that_shares(name, frames, ShareTables::Off)
}

fn machine_that_shares(name: &str, frames: u64, share_tables: ShareTables) -> Machine {
    let mut machine = Machine::new(name, Config { frames, share_tables, ..Config::default() });
    machine.mock.quiet = true;
    machine
}

/// A machine that is never full, with `pages` pages that were stored to.
fn filled(name: &str, pages: u64) -> (Machine, u64) {
    filled_that_shares(name, pages, ShareTables::Off)
}

fn filled_that_shares(name: &str, pages: u64, share_tables: ShareTables) -> (Machine, u64) {
    let mut machine = machine_that_shares(name, pages * 5 / 4 + 16_384, share_tables);
    let va = machine.map_anon(pages);
    touch(&mut machine, va, pages, AccessKind::Write);
    (machine, va)
}

fn touch(machine: &mut Machine, va: u64, pages: u64, kind: AccessKind) {
    for page in 0..pages {
        let va = VirtAddr(va + page * PAGE);
        let _resolved = machine.kernel.fault(&mut machine.mock, machine.space, va, kind);
    }
}

fn fork(c: &mut Criterion) {
    let copied = ["sv39", "x86-64", "ia32", "inverted"].map(|name| (name, ShareTables::Off));
    let shared = ["sv39", "x86-64"].map(|name| (name, ShareTables::Fork));
    for (name, choice) in copied.into_iter().chain(shared) {
        let mut group = c.benchmark_group(format!("fork {PAGES} pages"));
        group.throughput(Throughput::Elements(PAGES));
        let (mut machine, va) = filled_that_shares(name, PAGES, choice);
        let title = match choice {
            ShareTables::Off => name.to_owned(),
            _ => format!("{name}, tables shared"),
        };
        // The second fork finds the right to store gone; a store to each page brings it back.
        group.bench_function(title, |b| {
            b.iter_custom(|times| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..times {
                    let start = std::time::Instant::now();
                    let child = machine.kernel.fork_space(&mut machine.mock, machine.space);
                    spent += start.elapsed();
                    let child = child.expect("enough memory");
                    machine.kernel.destroy_space(&mut machine.mock, child);
                    touch(&mut machine, va, PAGES, AccessKind::Write);
                }
                spent
            });
        });
        group.finish();
    }
}

fn copy_on_write(c: &mut Criterion) {
    let mut group = c.benchmark_group("store after fork");
    group.throughput(Throughput::Elements(FAULTS));
    let setup = || {
        let (mut machine, va) = filled("sv39", FAULTS);
        let child = machine.kernel.fork_space(&mut machine.mock, machine.space).expect("memory");
        (machine, va, child)
    };
    let run = |(mut machine, va): (Machine, u64)| {
        touch(&mut machine, va, FAULTS, AccessKind::Write);
        machine
    };
    group.bench_function("copied", |b| {
        b.iter_batched(
            || {
                let (machine, va, _) = setup();
                (machine, va)
            },
            run,
            BatchSize::PerIteration,
        );
    });
    group.bench_function("last owner", |b| {
        b.iter_batched(
            || {
                let (mut machine, va, child) = setup();
                machine.kernel.destroy_space(&mut machine.mock, child);
                (machine, va)
            },
            run,
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A fault costs the same however many spaces there are, and hardly more with many regions.
fn crowds(c: &mut Criterion) {
    let mut group = c.benchmark_group("minor fault");
    group.throughput(Throughput::Elements(FAULTS));
    for spaces in [1, 1000] {
        let mut machine = machine("sv39", 100_000);
        for _ in 1..spaces {
            let parent = machine.space;
            machine.kernel.fork_space(&mut machine.mock, parent).expect("memory");
        }
        fault_in(&mut group, &format!("{spaces} spaces"), machine);
    }
    for regions in [1, 10_000] {
        let mut machine = machine("sv39", 100_000);
        for n in 1..regions {
            let prot = if n % 2 == 0 { RW } else { Prot::READ };
            machine.map(MapRequest::anonymous(PAGE, prot));
        }
        fault_in(&mut group, &format!("{regions} regions"), machine);
    }
    group.finish();
}

fn fault_in(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    mut machine: Machine,
) {
    group.bench_function(name, |b| {
        b.iter_custom(|times| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..times {
                let va = machine.map_anon(FAULTS);
                let start = std::time::Instant::now();
                touch(&mut machine, va, FAULTS, AccessKind::Write);
                spent += start.elapsed();
                machine.unmap(va, FAULTS);
            }
            spent
        });
    });
}

/// A page that all of 1000 spaces have, forked and let go again and again.
fn long_chains(c: &mut Criterion) {
    let mut group = c.benchmark_group("fork and exit beside 1000 spaces");
    group.throughput(Throughput::Elements(FAULTS));
    let (mut machine, _) = filled("sv39", FAULTS);
    // Each fork is of the newest, so that the oldest mapping is at the chain's end.
    let parent = machine.space;
    let mut frames = 0;
    while machine.kernel.frames().free > 20 && frames < 1000 {
        machine.kernel.fork_space(&mut machine.mock, parent).expect("memory");
        frames += 1;
    }
    group.bench_function("1000 pages", |b| {
        b.iter(|| {
            let child = machine.kernel.fork_space(&mut machine.mock, parent).expect("memory");
            machine.kernel.destroy_space(&mut machine.mock, child);
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(std::time::Duration::from_secs(3));
    targets = fork, copy_on_write, crowds, long_chains
}
criterion_main!(benches);
