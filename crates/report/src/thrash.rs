//! Processor utilisation against the number of processes, with and without load control: the curve that
//! shows thrashing.
//!
//! ```text
//!   utilisation   100 ┤      ╭──╮ with load control
//!                     │    ╭─╯  ╰────────────────
//!                     │  ╭─╯   ╲
//!                     │╭─╯      ╲____ without
//!                   0 ┼──────────────────────────► processes
//!                            memory is full here
//! ```

use std::fmt::Write;

use pagewalk_machine::report::Report;
use schemars::{JsonSchema, schema_for};
use serde::Serialize;

use crate::json::with_newline;
use crate::number::grouped;

/// The version of the JSON schema.
const SCHEMA_VERSION: u32 = 1;

/// The longest bar, in characters: two per cent each.
const BAR: u64 = 50;

/// The whole curve.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Curve {
    /// 1.
    pub schema_version: u32,
    /// The program that was run, the number of processes being its first argument.
    pub command: Vec<String>,
    /// RAM in bytes.
    pub ram_bytes: u64,
    /// The machine's MMU.
    pub mmu: String,
    /// The replacement policy.
    pub policy: String,
    /// By the number of processes.
    pub points: Vec<Point>,
}

/// What so many processes made of the machine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Point {
    /// Processes.
    pub processes: u64,
    /// Without load control.
    pub without: Measured,
    /// With load control.
    pub with: Measured,
}

/// One run.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Measured {
    /// Cycles from beginning to end.
    pub cycles: u64,
    /// Cycles in which a processor executed the programs: compute, TLB, walks, caches.
    pub useful_cycles: u64,
    /// Cycles in which nobody ran and somebody waited for memory.
    pub lost_cycles: u64,
    /// Page faults that waited for a device.
    pub major_faults: u64,
    /// Processes swapped out, each time counted.
    pub swapped_out: u64,
    /// The program's exit status.
    pub exit_code: i32,
}

impl Curve {
    /// The curve of these runs, by the number of processes: without load control, and with.
    ///
    /// `None` if there are none.
    pub fn new(runs: &[(u64, Report, Report)]) -> Option<Self> {
        let (_, first, _) = runs.first()?;
        let point = |(processes, without, with): &(u64, Report, Report)| Point {
            processes: *processes,
            without: Measured::of(without),
            with: Measured::of(with),
        };
        Some(Self {
            schema_version: SCHEMA_VERSION,
            command: first.command.clone(),
            ram_bytes: first.machine.ram_bytes,
            mmu: first.machine.mmu.clone(),
            policy: first.machine.policy.clone(),
            points: runs.iter().map(point).collect(),
        })
    }

    /// Whether all runs ended as they should.
    pub fn is_fine(&self) -> bool {
        self.points.iter().all(|p| p.without.exit_code == 0 && p.with.exit_code == 0)
    }
}

impl Measured {
    fn of(report: &Report) -> Self {
        let parts = &report.cycle_parts;
        let pressure = report.pressure;
        Self {
            cycles: report.cycles,
            useful_cycles: parts.compute + parts.tlb + parts.walks + parts.caches + parts.refills,
            lost_cycles: pressure.map_or(0, |pressure| pressure.full_cycles) + parts.disk,
            major_faults: report.faults.major,
            swapped_out: pressure.map_or(0, |pressure| pressure.swapped_out),
            exit_code: report.exit.code,
        }
    }

    /// The processor's utilisation, in tenths of a per cent.
    fn utilisation(&self) -> u64 {
        self.useful_cycles.saturating_mul(1000) / self.cycles.max(1)
    }
}

/// The table, and the curve drawn.
pub fn thrash(curve: &Curve) -> String {
    let mut text = String::new();
    table(&mut text, curve);
    text.push('\n');
    chart(&mut text, curve);
    text
}

fn table(text: &mut String, curve: &Curve) {
    let _ = writeln!(text, "           | {:<36} | with load control", "without load control");
    text.push_str("processes  |");
    row(text, ["CPU %", "lost %", "major faults", "ms"].map(String::from));
    text.push_str("    |");
    row(text, ["CPU %", "lost %", "major faults", "ms"].map(String::from));
    text.push_str("  swapped out\n");
    for Point { processes, without, with } in &curve.points {
        let _ = write!(text, "{processes:>9}  |");
        row(text, cells(without));
        text.push_str("    |");
        row(text, cells(with));
        let _ = writeln!(text, "{:>13}", grouped(with.swapped_out));
    }
}

fn row(text: &mut String, [cpu, lost, faults, ms]: [String; 4]) {
    let _ = write!(text, "{cpu:>6} {lost:>7} {faults:>13} {ms:>5}");
}

fn cells(run: &Measured) -> [String; 4] {
    let lost = run.lost_cycles.saturating_mul(1000) / run.cycles.max(1);
    let ms = run.cycles / 1_000_000;
    [tenths(run.utilisation()), tenths(lost), grouped(run.major_faults), ms.to_string()]
}

fn tenths(number: u64) -> String {
    format!("{}.{}", number / 10, number % 10)
}

fn chart(text: &mut String, curve: &Curve) {
    text.push_str("CPU utilisation   ░ without load control   █ with\n");
    for Point { processes, without, with } in &curve.points {
        for (label, mark, run) in
            [(processes.to_string(), '░', without), (String::new(), '█', with)]
        {
            let percent = run.utilisation() / 10;
            let bar: String = (0..percent * BAR / 100).map(|_| mark).collect();
            let _ = writeln!(text, "{label:>9}  {bar:<50} {percent:>3} %");
        }
    }
}

/// The same as JSON.
pub fn thrash_json(curve: &Curve) -> String {
    with_newline(serde_json::to_string_pretty(curve))
}

/// What that looks like, as JSON Schema.
pub fn thrash_schema() -> String {
    with_newline(serde_json::to_string_pretty(&schema_for!(Curve)))
}
