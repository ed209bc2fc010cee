//! Programs on swap devices of all kinds: their output is that of a machine with plenty of RAM, or they
//! are killed and told why. The plain path gives the same report as the fast one, whatever stands
//! before or behind swap.

mod common;

use std::fs::OpenOptions;
use std::path::Path;

use common::{Capture, config, input, machine, program, run, try_machine};
use pagewalk_kernel::SwapSlot;
use pagewalk_linux::Signal;
use pagewalk_machine::{
    Compressor, Config, DeviceModel, DeviceWait, End, Machine, Report, Stdio, SwapConfig,
    SwapStore, ZswapConfig,
};

const RAM: u64 = 192 << 10;

const PROGRAMS: [&[&str]; 3] =
    [&["randaccess", "1", "3000"], &["hashjoin", "9000"], &["cowstorm", "4", "200"]];

fn ram(bytes: u64) -> SwapConfig {
    SwapConfig { store: SwapStore::Ram, ..SwapConfig::temporary(bytes) }
}

fn zswap(bytes: u64, compressor: Compressor) -> Option<ZswapConfig> {
    Some(ZswapConfig { bytes, compressor })
}

/// Swap of all kinds on a machine.
fn machines(plain: &Config) -> Vec<Config> {
    let of = |swap: Vec<SwapConfig>| Config { swap, ..plain.clone() };
    let model = |model| SwapConfig { model: Some(model), ..SwapConfig::temporary(16 << 20) };
    let first = |device| SwapConfig { priority: Some(3), ..device };
    vec![
        of(vec![model(DeviceModel::Hdd)]),
        of(vec![first(ram(16 << 10)), model(DeviceModel::Ssd)]),
        of(vec![first(ram(1 << 20)), first(model(DeviceModel::Nvme)), ram(16 << 20)]),
        Config { read_ahead: 8, ..of(vec![model(DeviceModel::Hdd)]) },
        Config { zswap: zswap(16 << 10, Compressor::Lz4), ..plain.clone() },
        Config {
            zswap: zswap(16 << 10, Compressor::Lz4),
            read_ahead: 8,
            device_wait: DeviceWait::Thread,
            ..of(vec![first(ram(32 << 10)), model(DeviceModel::Hdd)])
        },
        Config {
            zswap: zswap(24 << 10, Compressor::Zstd),
            read_ahead: 32,
            ram_bytes: plain.ram_bytes + (32 << 10),
            ..of(vec![first(ram(128 << 10)), model(DeviceModel::Ssd)])
        },
    ]
}

fn done(config: Config, args: &[&str], root: &Path) -> (Machine, String) {
    let (mut machine, output) = machine(config, args, root);
    run(&mut machine);
    machine.audit().unwrap_or_else(|error| panic!("{args:?}: {error}"));
    let text = output.text();
    (machine, text)
}

/// Until many pages are on swap, and some have come back.
fn run_until_swapped(machine: &mut Machine) {
    let mut limit = 0;
    while machine.report().swap.pages_in < 40 {
        assert!(machine.end().is_none(), "{:?}", machine.end());
        limit += 20_000;
        machine.run_until(limit);
    }
}

fn check(report: &Report, config: &Config) {
    assert_eq!(report.cycle_parts.total(), report.cycles);
    let swap = &report.swap;
    let (read, written) = swap.devices.iter().fold((0, 0), |(read, written), device| {
        (read + device.pages_in, written + device.pages_out)
    });
    match &swap.zswap {
        None if swap.devices.is_empty() => {}
        None => assert_eq!((read, written), (swap.pages_in, swap.pages_out)),
        Some(zswap) => {
            assert!(zswap.peak_bytes <= zswap.capacity_bytes);
            assert!(zswap.pages_out + zswap.rejected >= swap.pages_out);
            if !swap.devices.is_empty() {
                assert_eq!(read + zswap.pages_in, swap.pages_in);
                let passed_on = swap.pages_out - zswap.pages_out;
                assert_eq!(written, passed_on + zswap.written_back);
            }
        }
    }
    assert_eq!(swap.read_ahead.is_some(), config.read_ahead > 0);
    let used: u64 = swap.devices.iter().map(|device| device.used).sum();
    assert!(swap.devices.is_empty() || used == swap.used);
}

#[test]
fn programs_do_what_they_do_with_plenty_of_ram() {
    for args in PROGRAMS {
        let root = input();
        let expected = done(config("sv39", 64 << 20), args, root.path()).1;
        let mut swapped = 0;
        for mmu in ["sv39", "ia32", "hashed"] {
            for config in machines(&config(mmu, RAM + (64 << 10))) {
                let root = input();
                let reports = [false, true].map(|slow| {
                    let config = Config { slow, ..config.clone() };
                    let (mut machine, output) = done(config.clone(), args, root.path());
                    assert_eq!(machine.end(), Some(&End::Exited(0)), "{args:?} {config:?}");
                    assert_eq!(output, expected, "{args:?} {config:?}");
                    let mut report = machine.report();
                    check(&report, &config);
                    report.machine.slow = false;
                    swapped += report.swap.pages_out;
                    machine.tear_down().expect("nothing is lost");
                    report
                });
                assert_eq!(reports[0], reports[1], "{args:?} {config:?}");
            }
        }
        assert!(swapped > 100, "{args:?}: {swapped} pages were swapped out");
    }
}

#[test]
fn a_copied_machine_goes_on_as_the_first() {
    let root = input();
    for config in machines(&config("sv39", RAM)) {
        let (mut first, _) = machine(config, PROGRAMS[0], root.path());
        run_until_swapped(&mut first);
        let mut second = first.snapshot().expect("a copy");
        run(&mut first);
        run(&mut second);
        assert_eq!(first.report(), second.report());
        second.audit().expect("a consistent system");
    }
}

#[test]
fn a_corrupt_slot_is_never_data() {
    let expected = done(config("sv39", 64 << 20), PROGRAMS[0], input().path()).1;
    let mut killed = 0;
    for slot in 0..24 {
        let root = input();
        let swap = vec![ram(32 << 10), SwapConfig::temporary(16 << 20)];
        let config = Config { swap, ..config("sv39", RAM) };
        let (mut machine, output) = machine(config, PROGRAMS[0], root.path());
        run_until_swapped(&mut machine);
        if machine.swap_mut().corrupt(SwapSlot(slot)).is_err() {
            continue;
        }
        run(&mut machine);
        machine.audit().expect("a consistent system");
        match machine.end() {
            Some(End::Exited(0)) => assert_eq!(output.text(), expected, "slot {slot}"),
            Some(End::Killed { signal: Signal::SIGBUS, reason }) => {
                let (device, slot) = if slot < 8 { (0, slot) } else { (1, slot - 8) };
                let place = format!("slot {slot} of swap device {device} (");
                assert!(reason.contains(&place) && reason.contains("checksum"), "{reason}");
                killed += 1;
            }
            end => panic!("slot {slot}: {end:?}"),
        }
    }
    assert!(killed > 0, "no slot was read again");
}

#[test]
fn a_corrupt_slot_ends_its_owners_alone() {
    let mut outlived = 0;
    for slot in 0..64 {
        let root = input();
        let config = config("sv39", RAM + (64 << 10));
        let told = Capture::default();
        let stdio = Stdio { messages: Box::new(told.clone()), ..Stdio::null() };
        let program = program(PROGRAMS[2], root.path());
        let mut machine = Machine::new(config, program, stdio).expect("a machine");
        run_until_swapped(&mut machine);
        if machine.swap_mut().corrupt(SwapSlot(slot)).is_err() {
            continue;
        }
        run(&mut machine);
        machine.audit().expect("a consistent system");
        let message = format!("slot {slot} of swap device 0 (temporary file) cannot be read");
        let was_told = told.text().contains(&message);
        match machine.end() {
            Some(End::Killed { signal: Signal::SIGBUS, reason }) => {
                assert!(reason.contains(&message))
            }
            Some(End::Exited(status)) => {
                assert!(was_told || *status == 0, "{status} without a word");
                outlived += u64::from(was_told);
            }
            // They wait for the one that is gone.
            Some(End::Killed { reason, .. }) if reason.contains("deadlock") && was_told => {
                outlived += 1;
            }
            end => panic!("slot {slot}: {end:?}"),
        }
        machine.tear_down().expect("nothing is lost");
    }
    assert!(outlived > 0, "no process outlived another");
}

/// Runs a while, does something to the swap file, and runs to the end.
fn tampered(tamper: impl Fn(&Path)) -> (Machine, String) {
    let root = input();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("swap");
    let store = SwapStore::File(path.clone());
    let swap = vec![SwapConfig { store, ..SwapConfig::temporary(1 << 20) }];
    let config = Config { swap, ..config("sv39", RAM) };
    let (mut machine, output) = machine(config, PROGRAMS[0], root.path());
    run_until_swapped(&mut machine);
    tamper(&path);
    run(&mut machine);
    machine.audit().expect("a consistent system");
    (machine, output.text())
}

#[test]
fn a_swap_file_that_is_removed_or_read_only_by_now_serves_on() {
    let expected = done(config("sv39", 64 << 20), PROGRAMS[0], input().path()).1;
    let remove = |path: &Path| std::fs::remove_file(path).expect("a file");
    let protect = |path: &Path| {
        let mut permissions = std::fs::metadata(path).expect("a file").permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(path, permissions).expect("a file of ours");
    };
    for tamper in [&remove as &dyn Fn(&Path), &protect] {
        let (machine, output) = tampered(tamper);
        assert_eq!((machine.end(), output), (Some(&End::Exited(0)), expected.clone()));
    }
}

#[test]
fn a_swap_file_that_is_cut_off_kills_whom_it_cost_a_page() {
    let (machine, _) = tampered(|path| {
        let file = OpenOptions::new().write(true).open(path).expect("a file");
        file.set_len(4096).expect("a shorter file");
    });
    let Some(End::Killed { signal, reason }) = machine.end() else { panic!("{:?}", machine.end()) };
    assert_eq!(*signal, Signal::SIGBUS);
    assert!(
        reason.contains("of swap device 0 (/") && reason.contains("short transfer"),
        "{reason}"
    );
}

#[test]
fn a_swap_file_that_others_write_to_kills_whom_it_cost_a_page() {
    let (machine, _) = tampered(|path| {
        let bytes = std::fs::metadata(path).expect("a file").len();
        std::fs::write(path, vec![7; bytes as usize]).expect("a file of ours");
    });
    let Some(End::Killed { signal, reason }) = machine.end() else { panic!("{:?}", machine.end()) };
    assert_eq!(*signal, Signal::SIGBUS);
    assert!(reason.contains("wrong checksum"), "{reason}");
}

#[test]
fn zswap_takes_its_memory_from_the_programs() {
    let root = input();
    let plain = config("sv39", 1 << 20);
    let zswap = zswap(1 << 18, Compressor::Lz4);
    let with = Config { zswap, ..plain.clone() };
    let frames = |config| machine(config, PROGRAMS[0], root.path()).0.report().memory.frames;
    assert_eq!(frames(plain.clone()) - frames(with), 64);
    // Nothing is left for programs.
    let zswap = Some(ZswapConfig { bytes: 1 << 20, compressor: Compressor::Zstd });
    let error = try_machine(Config { zswap, ..plain.clone() }, PROGRAMS[0], root.path());
    let error = error.err().expect("no such machine");
    assert!(error.contains("--ram"), "{error}");
    // Without a device there is nothing to stand before.
    let none = Config { swap: Vec::new(), zswap, ..plain };
    assert!(machine(none, PROGRAMS[0], root.path()).0.report().swap.zswap.is_none());
}

#[test]
fn a_faster_device_makes_a_faster_machine() {
    let cycles = |model, read_ahead| {
        let swap = vec![SwapConfig { model: Some(model), ..SwapConfig::temporary(16 << 20) }];
        let config = Config { swap, read_ahead, ..config("sv39", RAM + (64 << 10)) };
        done(config, PROGRAMS[0], input().path()).0.report().cycles
    };
    let models = [DeviceModel::Hdd, DeviceModel::Ssd, DeviceModel::Nvme, DeviceModel::Ram];
    let by_model = models.map(|model| cycles(model, 0));
    assert!(by_model.is_sorted_by(|slower, faster| slower > faster), "{by_model:?}");
}
