//! The kernel's own references: the same on both paths, the program's results untouched, and the
//! costs that the texts tell of.

mod common;

use common::{config, input, machine, run};
use pagewalk_machine::{Config, Hardware, KernelMapping, Report};
use pagewalk_mmu::tlb::TlbConfig;

const ARGS: [&str; 2] = ["hashjoin", "1500"];

fn report(config: &Config) -> (Report, String) {
    let root = input();
    let reports = [false, true].map(|slow| {
        let (mut machine, output) = machine(Config { slow, ..config.clone() }, &ARGS, root.path());
        run(&mut machine);
        machine.audit().unwrap();
        let mut report = machine.report();
        report.machine.slow = false;
        (report, output.text())
    });
    assert_eq!(reports[0], reports[1], "{:?}", config.hardware);
    let [first, _] = reports;
    first
}

fn with(mmu: &str, kernel: KernelMapping, tlb: &str) -> Config {
    let tlb = TlbConfig::parse(tlb).expect("a TLB");
    Config { kernel, tlb: Some(tlb), ..config(mmu, 192 << 10) }
}

#[test]
fn both_paths_agree_and_the_program_does_not_notice() {
    for mmu in ["ia32", "pae", "x86-64", "sv32", "sv39", "sv57", "aarch64"] {
        let (alone, output) = report(&config(mmu, 192 << 10));
        for (kernel, tlb) in [
            (KernelMapping::Shared, "l1=1x16"),
            (KernelMapping::Separate, "l1i=4x4,l1d=4x4:plru,l2=32x4,untagged"),
            (KernelMapping::Separate, "l1=1x16:fifo"),
        ] {
            let (report, with) = report(&with(mmu, kernel, tlb));
            assert_eq!(with, output, "{mmu} {kernel:?} {tlb}");
            assert_eq!(report.instructions, alone.instructions);
            let kernel = report.kernel.expect("a kernel report");
            assert!(kernel.entries > 20 && kernel.tlb_misses > 0);
        }
    }
}

#[test]
fn only_an_untagged_tlb_pays_for_a_separate_kernel_with_flushes() {
    let get = |kernel, tlb| report(&with("x86-64", kernel, tlb)).0.kernel.unwrap();
    let (tagged, untagged) = ("l1=16x4", "l1=16x4,untagged");
    let shared = get(KernelMapping::Shared, untagged);
    assert_eq!((shared.root_loads, shared.entries_flushed), (0, 0));
    let separate = get(KernelMapping::Separate, tagged);
    assert_eq!(separate.root_loads, 2 * separate.entries);
    assert_eq!(separate.entries_flushed, 0);
    let flushed = get(KernelMapping::Separate, untagged);
    assert!(flushed.entries_flushed > flushed.entries);
    assert!(flushed.tlb_misses > 4 * shared.tlb_misses);
}

#[test]
fn what_has_no_room_for_a_kernel_says_so() {
    for mmu in ["none", "segments", "r3000", "inverted", "ppc"] {
        let root = input();
        let hardware = Hardware::by_name(mmu, 1 << 20).unwrap();
        let config = Config { kernel: KernelMapping::Shared, hardware, ..config(mmu, 1 << 20) };
        let error = common::try_machine(config, &ARGS, root.path()).err().expect("no kernel");
        assert!(error.contains("map"), "{mmu}: {error}");
    }
}
