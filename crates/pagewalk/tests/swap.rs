//! Swap as users meet it.

mod common;

use std::process::Command;

use common::{finish, guest, pagewalk, report, repository};

const OPTIONS: [&str; 2] = ["--ram", "256K"];

/// A program that needs four times the RAM.
fn program() -> Vec<String> {
    vec![guest("randaccess"), "1".into(), "3000".into()]
}

#[test]
fn several_devices_are_filled_in_turn_and_told_of() {
    let words = program();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let expected = pagewalk([&["run", "--quiet"], &words[..]].concat());
    let swap =
        ["--swap", "ram:64K,pri=3", "--swap", "8M,model=hdd", "--read-ahead", "8", "--audit"];
    let (done, report) = report(&[&OPTIONS[..], &swap].concat(), &words);
    assert_eq!(done, expected);
    let device =
        |index: usize| report.pointer(&format!("/swap/devices/{index}")).expect("a device");
    assert_eq!((&device(0)["priority"], &device(0)["slots"]), (&3.into(), &16.into()));
    assert_eq!((&device(1)["name"], &device(1)["model"]), (&"/dev/swap1".into(), &"hdd".into()));
    assert!((0..2).all(|index| device(index)["pages_out"].as_u64() > Some(0)), "{report}");
}

/// The host's file system lets the swap file grow no further.
#[test]
fn a_swap_file_that_cannot_grow_ends_the_program_with_a_message() {
    let script = "trap '' XFSZ; ulimit -f 256; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_pagewalk"), "run"]);
    command.args(OPTIONS).args(["--swap", "8M"]).args(program()).current_dir(repository());
    let done = finish(&mut command, |_| ());
    assert_eq!(done.status, 1, "{done:?}");
    for part in ["of swap device 0 (temporary file)", "no space left on device", "swap are full"] {
        assert!(done.stderr.contains(part), "{done:?}");
    }
    // Another device takes what that one cannot.
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_pagewalk"), "run", "--quiet"]);
    command.args(OPTIONS).args(["--swap", "8M,pri=1", "--swap", "ram:8M"]);
    command.args(program()).current_dir(repository());
    let done = finish(&mut command, |_| ());
    assert_eq!(done.status, 0, "{done:?}");
}
