//! Swap transfers that fail lose nothing that they need not, and say so.

mod common;

use common::{config, input, machine, run};
use pagewalk_kernel::IoError;
use pagewalk_linux::Signal;
use pagewalk_machine::{Config, End, Injected, SwapConfig};

const RAM: u64 = 192 << 10;
const ARGS: [&str; 3] = ["randaccess", "1", "3000"];

/// What the program writes where nothing fails.
fn expected() -> String {
    let root = input();
    let (mut machine, output) = machine(config("sv39", 64 << 20), &ARGS, root.path());
    run(&mut machine);
    output.text()
}

#[test]
fn a_few_failed_writes_cost_nothing() {
    for error in [IoError::Io, IoError::Short, IoError::NoSpace] {
        for at in [0, 1, 7, 40] {
            let root = input();
            let (mut machine, output) = machine(config("sv39", RAM), &ARGS, root.path());
            machine.swap_mut().inject(Injected::write(at, 3, error));
            run(&mut machine);
            machine.audit().expect("a consistent system");
            assert_eq!(machine.end(), Some(&End::Exited(0)), "{error:?} at {at}");
            assert_eq!(output.text(), expected());
            assert_eq!(machine.report().swap.errors, 3);
        }
    }
}

#[test]
fn a_failed_read_is_a_bus_error() {
    let root = input();
    let (mut machine, _) = machine(config("sv39", RAM), &ARGS, root.path());
    machine.swap_mut().inject(Injected::read(3, 1, IoError::Io));
    run(&mut machine);
    machine.audit().expect("a consistent system");
    let Some(End::Killed { signal, .. }) = machine.end() else { panic!("{:?}", machine.end()) };
    assert_eq!(*signal, Signal::SIGBUS);
}

#[test]
fn a_device_that_fails_for_good_ends_the_program_and_says_why() {
    let root = input();
    let (mut machine, _) = machine(config("sv39", RAM), &ARGS, root.path());
    machine.swap_mut().inject(Injected::write(0, u64::MAX, IoError::Io));
    run(&mut machine);
    machine.audit().expect("a consistent system");
    let Some(End::Killed { signal, reason }) = machine.end() else { panic!("{:?}", machine.end()) };
    assert_eq!(*signal, Signal::SIGKILL);
    assert!(reason.contains("device errors"), "{reason}");
}

#[test]
fn a_full_device_ends_the_program_and_says_why() {
    for bytes in [0, 64 << 10] {
        let root = input();
        let swap = if bytes == 0 { Vec::new() } else { vec![SwapConfig::temporary(bytes)] };
        let config = Config { swap, ..config("sv39", RAM) };
        let (mut machine, _) = machine(config, &ARGS, root.path());
        run(&mut machine);
        machine.audit().expect("a consistent system");
        let Some(End::Killed { reason, .. }) = machine.end() else { panic!("{:?}", machine.end()) };
        assert!(reason.contains("swap"), "{reason}");
    }
}
