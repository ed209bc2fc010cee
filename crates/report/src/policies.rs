//! One program under several page-replacement policies, side by side.

use std::fmt::Write;

use pagewalk_machine::report::{ExitReport, MachineReport, OptReport, ReplacementReport, Report};
use pagewalk_replacement::PolicyKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::json::with_newline;
use crate::number::{grouped, quotient};
use crate::page::Page;

/// The version of the JSON schema; raised when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;

/// What the runs of one program did.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// The version of this schema.
    pub schema_version: u32,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The machine of the first run; the others differ from it in `policy` alone.
    pub machine: MachineReport,
    /// Bytes that the program wrote to its standard output in the first run.
    pub output_bytes: u64,
    /// Whether all runs ended in the same way, and wrote the same bytes.
    pub same_output: bool,
    /// The runs, in the order in which they were made.
    pub runs: Vec<PolicyRun>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PolicyRun {
    /// The policy's name.
    pub policy: String,
    /// How it ended.
    pub exit: ExitReport,
    /// Whether it ended as the first run did, and wrote the same bytes.
    pub same_output: bool,
    /// Page faults.
    pub faults: u64,
    /// Page faults that waited for a disk.
    pub major_faults: u64,
    /// Pages written to swap and to files.
    pub writes: u64,
    /// Cycles of the virtual clock.
    pub cycles: u64,
    /// Of those, cycles that waited for devices.
    pub disk_cycles: u64,
    /// What replacement did.
    pub replacement: ReplacementReport,
    /// How far it was from OPT, if that was asked for.
    pub opt: Option<OptReport>,
}

/// The hash of what a program wrote, and how much it was.
pub type Written = (u64, u64);

impl Comparison {
    /// Compares the reports of runs that have pages, each with what its program wrote; `None` without
    /// such a run.
    pub fn new(runs: &[(Report, Written)]) -> Option<Self> {
        let (first, written) = runs.first()?;
        let rows: Vec<PolicyRun> = runs
            .iter()
            .filter_map(|(report, output)| {
                let same_output = report.exit == first.exit && output == written;
                PolicyRun::new(report, same_output)
            })
            .collect();
        Some(Self {
            schema_version: SCHEMA_VERSION,
            command: first.command.clone(),
            machine: first.machine.clone(),
            output_bytes: written.1,
            same_output: rows.iter().all(|run| run.same_output),
            runs: rows,
        })
    }
}

impl PolicyRun {
    fn new(report: &Report, same_output: bool) -> Option<Self> {
        Some(Self {
            policy: report.machine.policy.clone(),
            exit: report.exit.clone(),
            same_output,
            faults: report.faults.minor + report.faults.major,
            major_faults: report.faults.major,
            writes: report.swap.pages_out + report.files.pages_out,
            cycles: report.cycles,
            disk_cycles: report.cycle_parts.disk,
            replacement: report.replacement.clone()?,
            opt: report.opt.clone(),
        })
    }
}

/// The runs as a table, and whether their programs did the same.
pub fn policies(comparison: &Comparison) -> String {
    let heading =
        ["Policy", "faults", "major", "refaults", "scans", "steals", "launders", "writes"];
    let has_gap = comparison.runs.iter().any(|run| run.opt.is_some());
    let gap = has_gap.then_some("gap");
    let heading = heading.into_iter().chain(["Mcycles"]).chain(gap).map(String::from).collect();
    let rows = comparison.runs.iter().map(row);
    let mut page = Page::default();
    page.table([heading].into_iter().chain(rows).collect());
    let mut text = page.render();
    text.push('\n');
    let output = grouped(comparison.output_bytes);
    let different: Vec<&PolicyRun> =
        comparison.runs.iter().filter(|run| !run.same_output).collect();
    match different.len() {
        0 => {
            let runs = comparison.runs.len();
            let code = comparison.runs.first().map_or(0, |run| run.exit.code);
            let _ = writeln!(
                text,
                "The program's output is the same in all {runs} runs: {output} bytes, exit code {code}."
            );
        }
        _ => different.iter().for_each(|run| {
            let reason = run.exit.reason.as_deref().unwrap_or("its output differs").escape_debug();
            let code = run.exit.code;
            let _ = writeln!(text, "Not the same under {}: exit code {code}, {reason}", run.policy);
        }),
    }
    text
}

fn row(run: &PolicyRun) -> Vec<String> {
    let replacement = &run.replacement;
    let counts = [
        run.faults,
        run.major_faults,
        replacement.refaults_anon + replacement.refaults_file,
        replacement.scans + replacement.harvests,
        replacement.steals + replacement.given_up,
        replacement.launders,
        run.writes,
    ];
    let mark = if run.same_output { "" } else { " !" };
    let mut cells = vec![format!("{}{mark}", run.policy)];
    cells.extend(counts.map(grouped));
    cells.push(quotient(run.cycles, 1_000_000, 2));
    cells.extend(run.opt.as_ref().map(|opt| format!("{:.3}", opt.gap)));
    cells
}

/// The runs as indented JSON with a final newline.
pub fn policies_json(comparison: &Comparison) -> String {
    with_newline(serde_json::to_string_pretty(comparison))
}

/// The JSON Schema (draft 2020-12) of what [`policies_json`] writes.
pub fn policies_schema() -> String {
    with_newline(serde_json::to_string_pretty(&schemars::schema_for!(Comparison)))
}

/// A policy that there is.
#[derive(Clone, Copy, Debug, Serialize)]
struct Listed {
    name: &'static str,
    idea: &'static str,
    weakness: &'static str,
    source: &'static str,
    parameters: &'static str,
}

impl Listed {
    fn new(kind: PolicyKind) -> Self {
        let about = kind.about();
        Self {
            name: kind.name(),
            idea: about.idea,
            weakness: about.weakness,
            source: about.source,
            parameters: kind.parameters(),
        }
    }
}

/// All policies in words.
pub fn policy_list() -> String {
    let mut page = Page::default();
    for kind in PolicyKind::ALL {
        let about = kind.about();
        page.fact(kind.name(), about.idea.into());
        page.fact("", format!("Weakness: {}", about.weakness));
        if !kind.parameters().is_empty() {
            page.fact("", format!("Parameters: {}; default {kind}", kind.parameters()));
        }
        page.fact("", format!("Source: {}", about.source));
        page.blank();
    }
    page.render()
}

/// All policies as indented JSON with a final newline.
pub fn policy_list_json() -> String {
    let list: Vec<Listed> = PolicyKind::ALL.into_iter().map(Listed::new).collect();
    with_newline(serde_json::to_string_pretty(&list))
}
