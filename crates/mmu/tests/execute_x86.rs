//! The x86 formats against QEMU and KVM executing the access.
//!
//! What is compared for every state: whether the access faults; the exception, its error code and
//! CR2; which page answered, or took the store; and the entries afterwards. A quarter of the
//! states goes to each of the four formats, under TCG and, where /dev/kvm is and runs the mode,
//! under KVM again. `benches/execute.sh x86` makes the long run;
//! with 9500000 states, it is exhaustive in the bits of a leaf, the controls and the access.
//!
//! QEMU's TCG has MAXPHYADDR 40, 1 GiB pages whether CPUID says so or not, no PCID (version 7.2),
//! and does not judge what MOV to CR3 loads. KVM has other widths, takes CPUID at its word, and
//! judges; it has 1 GiB pages and PCID if the host can.
#![cfg(unix)]

mod common;
mod execute;
#[path = "execute/x86/mod.rs"]
mod x86;

use common::skip;
use execute::{Missing, Shuffle, seed, states_wanted};
use std::fs::OpenOptions;
use x86::{Failure, Machine, Mode, Model, compare};

/// Sparse: enough for frames that differ in one bit up to bit 38.
const TCG_RAM_BYTES: u64 = 256 << 30;
/// KVM keeps figures for each frame.
const KVM_RAM_BYTES: u64 = 8 << 30;

/// TCG with all that it has.
fn tcg() -> Model {
    Model { kvm: false, cpu: "max".into(), phys_bits: 40, ram_bytes: TCG_RAM_BYTES }
}

/// The host's processor, as an Intel one (AMD's reserve bit 8 of a PML4E) of `phys_bits`.
fn kvm(phys_bits: u8) -> Model {
    let cpu = format!(
        "host,vendor=GenuineIntel,arch-capabilities=off,host-phys-bits=off,phys-bits={phys_bits}"
    );
    Model { kvm: true, cpu, phys_bits, ram_bytes: KVM_RAM_BYTES }
}

/// Runs `count` states of `mode` on each of `models`.
fn verify(mode: Mode, models: &[Model], count: u64) {
    for (model, number) in models.iter().zip(0..) {
        let accelerator = if model.kvm { "KVM" } else { "TCG" };
        let what = format!("{}, {accelerator}, MAXPHYADDR {}", mode.name(), model.phys_bits);
        let mut machine = match Machine::start(mode, model) {
            Ok(machine) => machine,
            Err(Failure::Missing(Missing(tool))) => return skip(&tool),
            Err(Failure::Start(error)) if model.kvm => {
                println!("not compared: {what} ({})", error.trim());
                continue;
            }
            Err(Failure::Start(error)) => panic!("{what}: {error}"),
        };
        // Each model takes another sample.
        let tally = compare(&mut machine, count, seed() ^ number << 8)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        println!("{what}: {count} states agree: {tally:?}");
        if mode.long() && !machine.space().processor.pcid {
            println!("not compared: CR4.PCIDE ({what}: the processor has no PCID)");
        }
        for outcome in ["allowed", "#PF protection", "#PF reserved", "#PF not present"] {
            let met = tally.get(outcome).copied().unwrap_or(0);
            assert!(count < 1000 || met > 0, "{what}: {outcome} is among the outcomes");
        }
    }
}

/// The same where there is KVM.
fn verify_kvm(mode: Mode, phys_bits: &[u8]) {
    // A matter of the machine, which no installation changes: no failure where oracles are
    // required.
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return println!("skipped: no /dev/kvm ({error})");
    }
    let models: Vec<Model> = phys_bits.iter().map(|&bits| kvm(bits)).collect();
    verify(mode, &models, states_wanted() / 4 / models.len() as u64);
}

#[test]
fn tcg_executes_ia32() {
    verify(Mode::Ia32, &[tcg()], states_wanted() / 4);
}

#[test]
fn tcg_executes_pae() {
    verify(Mode::Pae, &[tcg()], states_wanted() / 4);
}

#[test]
fn tcg_executes_four_levels() {
    verify(Mode::FourLevels, &[tcg()], states_wanted() / 4);
}

#[test]
fn tcg_executes_five_levels() {
    verify(Mode::FiveLevels, &[tcg()], states_wanted() / 4);
}

/// PSE-36: KVM takes it to be of 36 bits.
#[test]
fn kvm_executes_ia32() {
    verify_kvm(Mode::Ia32, &[36]);
}

#[test]
fn kvm_executes_pae() {
    verify_kvm(Mode::Pae, &[36, 40, 46, 52]);
}

#[test]
fn kvm_executes_four_levels() {
    verify_kvm(Mode::FourLevels, &[36, 40, 46, 52]);
}

#[test]
fn kvm_executes_five_levels() {
    verify_kvm(Mode::FiveLevels, &[46, 52]);
}

#[test]
fn shuffle_is_a_permutation() {
    for size in [1, 2, 3, 1000, 4096] {
        let shuffle = Shuffle::new(size, 7);
        let mut seen: Vec<u64> = (0..size).map(|n| shuffle.at(n)).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..size), "size {size}");
    }
}
