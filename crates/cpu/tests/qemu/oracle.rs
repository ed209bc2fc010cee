//! Runs a program under QEMU and under the interpreter.

use std::path::Path;
use std::process::Command;

use crate::common::program::BASE;
use crate::common::{FlatBus, PAGE};
use pagewalk_cpu::{Blocks, Hart, Stop, run, run_plain};

/// More than any program here executes.
const LIMIT: u64 = 50_000_000;

/// Extensions that QEMU 7.2 has by default and the interpreter has not.
const CPU: &str = "rv64,zbc=false";

const QEMU: &str = "qemu-riscv64";

/// Whether there is a QEMU. Without one the tests pass, saying so, unless `CI_ORACLES=require`.
pub fn is_available() -> bool {
    let found = Command::new(QEMU).arg("--version").output().is_ok();
    if !found {
        let required = std::env::var("CI_ORACLES").is_ok_and(|value| value == "require");
        assert!(!required, "{QEMU} not found, but CI_ORACLES=require");
        println!("skipped: {QEMU} not found");
    }
    found
}

/// What a program writes to stdout under QEMU.
pub fn run_qemu(elf: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("program");
    std::fs::write(&path, elf).expect("written");
    make_executable(&path);
    let output = Command::new(QEMU).args(["-cpu", CPU]).arg(&path).output().expect("QEMU starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "QEMU: {:?} {errors}", output.status);
    output.stdout
}

/// QEMU runs no file that is not executable, and says nothing about it.
fn make_executable(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(path, mode).expect("permissions set");
    }
}

/// What a program did in the interpreter.
pub struct Ran {
    pub output: Vec<u8>,
    pub hart: Hart,
    pub bus: FlatBus,
}

/// Runs a program in the interpreter, from blocks or instruction by instruction.
pub fn run_here(elf: &[u8], plain: bool) -> Ran {
    let pages = elf.len().div_ceil(PAGE as usize);
    let mut bus = FlatBus::with_image(BASE, elf, pages);
    let mut hart = Hart::new();
    hart.pc = u64::from_le_bytes(elf[24..32].try_into().expect("eight bytes"));
    let mut blocks = Blocks::new();
    let mut output = Vec::new();
    loop {
        let stop = if plain {
            run_plain(&mut hart, &mut bus, LIMIT)
        } else {
            run(&mut hart, &mut bus, &mut blocks, LIMIT)
        };
        assert_eq!(stop, Stop::Ecall, "pc {:#x}", hart.pc);
        match hart.x(17) {
            64 => output.extend_from_slice(bus.bytes(hart.x(11), hart.x(12) as usize)),
            93 => return Ran { output, hart, bus },
            number => panic!("system call {number} at {:#x}", hart.pc),
        }
    }
}

/// Runs a program in the interpreter in both ways, which must agree in all but the way.
pub fn run_both_ways(elf: &[u8]) -> Ran {
    let blocks = run_here(elf, false);
    let plain = run_here(elf, true);
    assert!(blocks.output == plain.output, "blocks and single instructions differ");
    assert_eq!(blocks.hart, plain.hart);
    assert_eq!(blocks.bus.fetched, plain.bus.fetched, "times of fetches");
    assert_eq!((blocks.bus.loads, blocks.bus.stores), (plain.bus.loads, plain.bus.stores));
    assert_eq!((blocks.hart.loads, blocks.hart.stores), (blocks.bus.loads, blocks.bus.stores));
    blocks
}
