//! A machine that does nothing any more but read again what it dropped kills somebody; one that is only
//! slow does not.

mod common;

use common::{config, machine, run};
use pagewalk_machine::{Config, DeviceWait, Report, SwapConfig};

/// Runs `crowded` over a file of so many KiB.
fn crowded(config: Config, file_kib: usize, idle_kib: &str, rounds: &str) -> (Report, String) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let bytes: Vec<u8> = (0..file_kib << 10).map(|at| (at / 4096 * 7) as u8).collect();
    std::fs::write(root.path().join("file"), bytes).expect("an input file");
    let (mut machine, output) =
        machine(config, &["crowded", "/file", idle_kib, rounds], root.path());
    run(&mut machine);
    machine.audit().expect("a consistent system");
    let mut report = machine.report();
    report.machine.slow = false;
    (report, output.text())
}

/// 512 frames and no swap.
fn small(format: &str) -> Config {
    Config { swap: Vec::new(), ..config(format, 2 << 20) }
}

#[test]
fn who_holds_most_is_killed_when_nothing_gets_on() {
    let (_, expected) = crowded(config("sv39", 16 << 20), 512, "1536", "1300");
    for device_wait in [DeviceWait::Hart, DeviceWait::Thread] {
        for format in ["sv39", "ia32"] {
            let config = Config { device_wait, ..small(format) };
            let (report, output) = crowded(config, 512, "1536", "1300");
            assert_eq!(report.exit.code, 0, "{format}: {:?}", report.exit.reason);
            assert_eq!(output, expected, "{format}");
            assert_eq!(report.counters["oom_kill"], 1, "{format} {device_wait:?}");
            let refaults = report.counters["workingset_refault_file"];
            assert!(refaults >= 16 * 512, "{format}: not before it was tried, {refaults}");
            // Once it fits nothing is read again; before, each page of each round was.
            let all = 1300 * 128;
            assert!(refaults < all * 9 / 10, "{format}: {refaults} of {all}");
        }
    }
}

#[test]
fn both_paths_kill_at_the_same_instruction() {
    let run = |slow| crowded(Config { slow, ..small("sv39") }, 512, "1536", "1000");
    let fast = run(false);
    assert_eq!(fast.0.counters["oom_kill"], 1);
    assert_eq!(fast, run(true));
}

#[test]
fn who_is_only_slow_is_left_alone() {
    // The idle one's memory can go to swap.
    let with_swap = Config { swap: vec![SwapConfig::temporary(4 << 20)], ..small("sv39") };
    // Hardly anything is private: the file is larger than memory, and that is all.
    let cases = [(with_swap, 512, "1536"), (small("sv39"), 4096, "64")];
    for (config, file_kib, idle_kib) in cases {
        let rounds = if file_kib == 512 { "1300" } else { "160" };
        let (report, _) = crowded(config, file_kib, idle_kib, rounds);
        assert_eq!((report.exit.code, report.counters["oom_kill"]), (0, 0), "{idle_kib}");
    }
}
