//! Machines for tests.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pagewalk_machine::{
    Config, CostModel, DeviceWait, Fit, Hardware, HugePolicy, KernelMapping, Machine, Program,
    Scope, ShareTables, Stdio, SwapConfig,
};
use pagewalk_replacement::PolicyKind;

/// All kinds of translation.
pub const FORMATS: &[&str] = Hardware::NAMES;

/// Those of them that have no pages.
pub const UNPAGED: &[&str] = &["none", "base-bounds", "segments"];

/// A program of `programs/bin` that ends soon, and its arguments. `/in` is [`input`]'s file.
pub const PROGRAMS: &[&[&str]] = &[
    &["hello", "a", "b"],
    &["extsort", "/in", "/out"],
    &["wordfreq", "/words", "5"],
    &["matmul", "40"],
    &["matmul-naive", "40"],
    &["hashjoin", "2000"],
    &["randaccess", "1", "20000"],
    &["recurse", "1500"],
    &["sieve", "100000"],
    &["sha256", "/words"],
    &["nbody", "300"],
    &["nullderef"],
    &["rotext"],
    &["sigsegv"],
    &["protect"],
    &["selfmodify"],
];

/// A machine of this format with 16 MiB of swap.
pub fn config(format: &str, ram_bytes: u64) -> Config {
    let hardware = Hardware::by_name(format, ram_bytes).expect("a known MMU");
    Config {
        name: None,
        hardware,
        tlb: Some(hardware.default_tlb()),
        walk_cache: None,
        cache: None,
        harts: 1,
        ram_bytes,
        swap: vec![SwapConfig::temporary(16 << 20)],
        zswap: None,
        read_ahead: 0,
        policy: PolicyKind::Clock,
        harvest: pagewalk_kernel::HARVEST_DEFAULT,
        zero_ahead: false,
        launder_ahead: false,
        huge: HugePolicy::Never,
        fit: Fit::First,
        kernel: KernelMapping::Absent,
        self_map: false,
        share_tables: ShareTables::Off,
        device_wait: DeviceWait::Hart,
        load_control: false,
        scope: Scope::Global,
        resident: None,
        limit: None,
        cost: CostModel::default(),
        seed: 1,
        slow: false,
        instructions_max: None,
    }
}

/// A directory with the programs' input files.
pub fn input() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut state = 1u64;
    let records: Vec<u8> = (0..16 * 1024)
        .flat_map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()
        })
        .collect();
    std::fs::write(dir.path().join("in"), records).expect("an input file");
    let words = "the page that is not there is the page that faults\n".repeat(300);
    std::fs::write(dir.path().join("words"), words).expect("an input file");
    dir
}

/// The program's file.
pub fn program(args: &[&str], root: &Path) -> Program {
    let name = args[0];
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "programs", "bin", name].iter().collect();
    Program {
        path,
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        env: Vec::new(),
        root: Some(root.to_owned()),
        sysroot: None,
    }
}

/// A stream that can be read when the machine is done.
#[derive(Clone, Default)]
pub struct Capture(Arc<Mutex<Vec<u8>>>);

impl Capture {
    /// What was written.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic in another thread")).into_owned()
    }
}

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic in another thread").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A machine, and what its program writes.
pub fn machine(config: Config, args: &[&str], root: &Path) -> (Machine, Capture) {
    try_machine(config, args, root).expect("a machine")
}

/// The same, or why there is no such machine.
pub fn try_machine(
    config: Config,
    args: &[&str],
    root: &Path,
) -> Result<(Machine, Capture), String> {
    let capture = Capture::default();
    let stdio = Stdio {
        stdout: Box::new(capture.clone()),
        stderr: Box::new(capture.clone()),
        ..Stdio::null()
    };
    let machine = Machine::new(config, program(args, root), stdio);
    machine.map(|machine| (machine, capture)).map_err(|error| error.to_string())
}

/// Runs to the end.
pub fn run(machine: &mut Machine) {
    machine.run(&mut |_| ControlFlow::Continue(()));
}
