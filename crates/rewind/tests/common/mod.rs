//! Programs to walk through.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io;
use std::path::{Path, PathBuf};

use pagewalk_machine::{
    Config, CostModel, DeviceWait, Fit, Hardware, HugePolicy, KernelMapping, Program, Scope,
    ShareTables, SwapConfig,
};
use pagewalk_replacement::PolicyKind;
use pagewalk_rewind::{Limits, Rewind};

/// A machine of this format.
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
        harvest: pagewalk_machine::HARVEST_DEFAULT,
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

/// A directory with input.
pub fn input() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut numbers = Numbers(1);
    let records: Vec<u8> = (0..8 * 1024).flat_map(|_| numbers.next().to_le_bytes()).collect();
    std::fs::write(dir.path().join("in"), records).expect("an input file");
    dir
}

/// A program below `programs/bin`.
pub fn program(args: &[&str], root: &Path) -> Program {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "..", "programs", "bin", args[0]].iter().collect();
    Program {
        path,
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        env: Vec::new(),
        root: Some(root.to_owned()),
        sysroot: None,
    }
}

/// A program at its beginning.
pub fn rewind(config: Config, args: &[&str], root: &Path, limits: Limits) -> Rewind {
    Rewind::new(config, program(args, root), Box::new(io::empty()), limits).expect("a machine")
}

/// Checkpoints that are near each other.
pub fn near() -> Limits {
    Limits { interval: 20_000, ..Limits::default() }
}

/// Random numbers.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 ^ self.0 >> 33
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
