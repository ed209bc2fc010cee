//! Large pages that fall apart while memory is short, and come back when it is not: a program with a
//! region larger than RAM cannot tell, and both paths count the same.

mod common;

use common::{config, input, machine, run};
use pagewalk_machine::{Config, DeviceWait, HugePolicy, Report, SwapConfig};
use pagewalk_replacement::PolicyKind;

/// Tables, RAM in MiB, and the program's region in MiB.
const MACHINES: [(&str, u64, &str); 5] =
    [("sv39", 6, "8"), ("sv48", 7, "8"), ("x86-64", 6, "8"), ("pae", 6, "8"), ("ia32", 14, "16")];

fn outcome(config: Config, mib: &str) -> (Report, String) {
    let root = input();
    let (mut machine, output) = machine(config, &["hugeheap", mib, "60"], root.path());
    run(&mut machine);
    machine.audit().expect("a consistent system");
    let mut report = machine.report();
    report.machine.slow = false;
    (report, output.text())
}

fn always(format: &str, mib: u64) -> Config {
    let swap = vec![SwapConfig::temporary(64 << 20)];
    Config { huge: HugePolicy::Always, swap, ..config(format, mib << 20) }
}

#[test]
fn a_region_larger_than_ram_loses_its_large_pages_and_gets_them_back() {
    for (format, ram, region) in MACHINES {
        let (report, output) = outcome(always(format, ram), region);
        assert_eq!(report.exit.code, 0, "{format}: {:?}: {output}", report.exit.reason);
        assert!(output.ends_with(": 0 wrong\n"), "{format}: {output}");
        let [splits, collapses] =
            ["thp_split_page", "thp_collapse_alloc"].map(|name| report.counters[name]);
        assert!(splits > 0, "{format}: no pressure, no test");
        assert!(collapses > 0, "{format}: {:?}", report.counters);
    }
}

#[test]
fn the_plain_path_gives_the_same_report() {
    for (format, ram, region) in &MACHINES[..2] {
        let fast = outcome(always(format, *ram), region);
        let slow = outcome(Config { slow: true, ..always(format, *ram) }, region);
        assert_eq!(fast, slow, "{format}");
    }
}

#[test]
fn with_several_harts_other_policies_and_devices_that_are_not_waited_for() {
    for policy in [
        PolicyKind::Fifo,
        PolicyKind::Linux { swappiness: 60 },
        PolicyKind::Mglru { swappiness: 60 },
    ] {
        for (harts, device_wait) in [(1, DeviceWait::Thread), (3, DeviceWait::Hart)] {
            let config = Config { policy, harts, device_wait, ..always("sv39", 6) };
            let (report, output) = outcome(config, "8");
            assert!(output.ends_with(": 0 wrong\n"), "{policy} {harts}: {output}");
            assert!(report.counters["thp_collapse_alloc"] > 0, "{policy} on {harts} harts");
        }
    }
}
