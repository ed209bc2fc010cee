//! The command line as it is typed. What the values mean is decided in [`crate::options`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, ValueHint};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use pagewalk_machine::{DeviceWait, Fit, Hardware, HugePolicy, KernelMapping, Scope, ShareTables};
use pagewalk_step::Grain;

/// Run real programs on a machine with a simulated MMU, TLB, RAM and kernel, and see what happened.
#[derive(Parser)]
#[command(name = "pagewalk", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Run(Box<RunArgs>),
    Explain(Box<ExplainArgs>),
    Step(Box<StepArgs>),
    Thrash(ThrashArgs),
    Machines(MachinesArgs),
    Policies(Box<PoliciesArgs>),
    Demo(DemoArgs),
    Quiz(QuizArgs),
    Grade(GradeArgs),
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, in roff: `pagewalk man | man -l -`.
    Man {
        /// The subcommand to describe; the whole command if it is left out.
        command: Option<String>,
    },
    /// Print the JSON Schema of what a subcommand writes with --json.
    Schema {
        /// Of which subcommand.
        #[arg(default_value = "run", value_parser = PossibleValuesParser::new(["run", "policies", "thrash", "explain", "step", "quiz", "grade"]))]
        of: String,
    },
}

/// Tell a scenario: virtual memory seen step by step, forwards or backwards.
///
/// Without a name, list the scenarios. A scenario is a machine of words, processes with a few lines of code, and what
/// must hold; it runs over the same page tables, TLBs and kernel as real programs do (docs/scenarios.md). The exit
/// status is 0 if what the scenario expects held, 1 if it did not, and 2 if it could not be run.
#[derive(Args)]
#[command(override_usage = "pagewalk demo [OPTIONS] [NAME|FILE.toml]")]
pub struct DemoArgs {
    /// The scenario's name, or a file that ends in .toml.
    #[arg(value_name = "NAME|FILE")]
    pub name: Option<String>,

    /// How far apart the steps are.
    #[arg(long, value_name = "GRAIN", default_value = Grain::Event.name())]
    #[arg(value_parser = PossibleValuesParser::new(Grain::ALL.map(Grain::name)))]
    pub by: String,

    /// From the end to the start.
    #[arg(long)]
    pub backwards: bool,

    /// The sentences alone, with a picture of the machine at the start and at the end.
    #[arg(long)]
    pub brief: bool,

    /// This step alone.
    #[arg(long, value_name = "N")]
    pub step: Option<String>,

    /// The states as JSON (`pagewalk schema step`).
    #[arg(long)]
    pub json: bool,

    /// Another MMU than the scenario's.
    #[arg(long, value_name = "MMU")]
    pub mmu: Option<String>,

    /// Another TLB: none, a number of entries, or its levels (see `pagewalk run`).
    #[arg(long, value_name = "SPEC")]
    pub tlb: Option<String>,

    /// Another replacement policy (`pagewalk policies`).
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]")]
    pub policy: Option<String>,

    /// Another number of frames for pages.
    #[arg(long, value_name = "N")]
    pub frames: Option<String>,
}

/// Run a RISC-V Linux program and report what it did to memory.
///
/// The program's output is standard output. The report goes to standard error when it has ended.
/// The exit status is 0 if the program ended with 0 or was stopped as asked, 1 if it did not, was
/// killed or interrupted, and 2 if it could not be started as asked.
#[derive(Args)]
#[command(override_usage = "pagewalk run [OPTIONS] PROGRAM [ARGS]...", after_help = EXAMPLES)]
pub struct RunArgs {
    /// A real machine, by its name (`pagewalk machines`), or described in a file (docs/machines.md).
    ///
    /// It gives the MMU, the TLB, the RAM and the costs; other options win over it.
    #[arg(long, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub machine: Option<String>,

    /// What translates addresses. [default: sv39, or that of --machine]
    #[arg(long, value_name = "MMU")]
    #[arg(value_parser = PossibleValuesParser::new(Hardware::NAMES))]
    pub mmu: Option<String>,

    /// RAM: bytes, or a number with K, M, G, T (or KiB, MiB, GiB, TiB), powers of 1024.
    ///
    /// [default: 64MiB, or that of --machine]
    #[arg(long, value_name = "SIZE")]
    pub ram: Option<String>,

    /// A swap device: none, SIZE for a temporary file, FILE:SIZE for a file that is kept, or ram:SIZE.
    ///
    /// FILE is made if it is absent; a file that is there must have been made so. ram: is memory of the host's,
    /// beside the machine's RAM. `,pri=N` behind it gives a priority (0 to 32767): the device with the highest is
    /// filled first, those of one priority take turns; devices without come last, in their order. `,model=hdd` (or
    /// ssd, nvme, ram) says how long transfers take; without, they take what --cost says. For several devices give
    /// the option several times. [default: a temporary file of four times the RAM, at least 256MiB]
    #[arg(long, value_name = "none|SIZE|FILE:SIZE|ram:SIZE")]
    pub swap: Vec<String>,

    /// Compressed pages in RAM before the swap devices: none, or SIZE or SIZE,lz4 or SIZE,zstd.
    ///
    /// SIZE is RAM that programs do not get. Pages that it has no room for go to their devices, those used least
    /// recently first. [default: none; lz4]
    #[arg(
        long,
        value_name = "none|SIZE[,lz4|zstd]",
        default_value = "none",
        hide_default_value = true
    )]
    pub zswap: String,

    /// How many slots in a row are read from swap together at most: 0 to 32, a power of two (Linux: 8).
    ///
    /// Nothing is evicted for pages that are read ahead. With 0, only what is wanted is read.
    #[arg(long, value_name = "N", default_value = "0")]
    pub read_ahead: String,

    /// The TLB: none, a number of entries, or its levels as SETSxWAYS:POLICY.
    ///
    /// Levels are l1 and l2 where both sides share a level; l1i and l1d, l2i and l2d where they do not. A level of
    /// several arrays, each for pages of other sizes, is given several times: l1d=16x4@4K,l1d=8x4@2M+4M. `asid=BITS`
    /// says how wide the tags of address spaces are (16 if left out). POLICY is lru (if left out), plru, fifo
    /// or random. `untagged` has the TLB flushed at each change of address space, `software` has it loaded by the
    /// kernel's refill handler instead of the hardware's walks. The R3000 has its own TLB, and no other.
    /// [default: l1i=16x4,l1d=16x4,l2=128x12]
    #[arg(long, value_name = "SPEC")]
    pub tlb: Option<String>,

    /// The cache of pointers to page tables: none, or the entries of each level.
    ///
    /// l1 is for entries that point to tables of base pages (x86: PDEs), l2 for those that point to tables of l1
    /// entries, and so on: l1=32,l2=4,l3=2. Or one array for all levels: all=24. Arrays are written as those of the
    /// TLB, or as a number of entries. [default: none, or that of --machine]
    #[arg(long, value_name = "none|SPEC")]
    pub walk_cache: Option<String>,

    /// The data caches: none, or their levels as SIZE:WAYS:POLICY.
    ///
    /// Up to three levels, which loads, stores and page-table walks go through, but not instruction fetches:
    /// l1=32KiB:8,l2=256KiB:8,l3=8MiB:16. Lines have 64 bytes, or line=BYTES. POLICY is as of the TLB. A machine with
    /// caches runs slower. [default: none, or those of --machine]
    #[arg(long, value_name = "none|SPEC")]
    pub cache: Option<String>,

    /// Harts: processors that share RAM and kernel, each with its own MMU, TLB and caches; 1 to 64.
    #[arg(long, value_name = "N", default_value = "1")]
    pub harts: String,

    /// The page-replacement policy, with its parameters (`pagewalk policies`). [default: clock]
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]")]
    pub policy: Option<String>,

    /// Whose pages are taken when memory is short: anybody's (global), or those of the process that
    /// faults (process), which has a policy of its own over its resident set.
    #[arg(long, value_name = "global|process", default_value = Scope::Global.name())]
    #[arg(value_parser = PossibleValuesParser::new(Scope::NAMES))]
    pub scope: String,

    /// The most that each process has in memory, in pages, or as a size with a unit: at that limit it
    /// gives up pages of its own. [default: none; with --scope process, equal shares of memory]
    #[arg(long, value_name = "PAGES|SIZE")]
    pub resident: Option<String>,

    /// The most that all processes together have in memory, page tables counted, in pages or as a size
    /// with a unit, as a memory cgroup: at that limit they give up pages of their own, and the worst of
    /// them is killed if there are none. [default: none]
    #[arg(long, value_name = "PAGES|SIZE")]
    pub limit: Option<String>,

    /// How often policies that want it harvest the referenced bits of all frames: every so many cycles
    /// of work for each frame of RAM. [default: 2000]
    #[arg(long, value_name = "CYCLES")]
    pub harvest: Option<String>,

    /// Zero free frames while a hart has nothing else to do: new pages find them zeroed.
    #[arg(long)]
    pub zero_ahead: bool,

    /// Write modified pages that are not in use ahead of need, in clusters, while the swap devices have
    /// nothing to do: page-out finds them clean. Needs --io async.
    #[arg(long)]
    pub launder_ahead: bool,

    /// What large pages are used for: nothing, all anonymous memory, or what madvise asks for.
    #[arg(long, value_name = "POLICY", default_value = HugePolicy::Never.name())]
    #[arg(value_parser = PossibleValuesParser::new(HugePolicy::NAMES))]
    pub huge: String,

    /// Which page tables processes share, where the format has trees of them: off, fork (a child has
    /// its parent's until one of them stores), maps (those of shared mappings), or all.
    #[arg(long, value_name = "WHICH", default_value = ShareTables::Off.name())]
    #[arg(value_parser = PossibleValuesParser::new(ShareTables::NAMES))]
    pub share_tables: String,

    /// Which free block of memory a request gets, on machines without pages.
    #[arg(long, value_name = "FIT")]
    #[arg(value_parser = PossibleValuesParser::new(Fit::NAMES))]
    pub fit: Option<String>,

    /// Where the kernel's own memory is mapped: none (its references leave no trace), shared (in the
    /// upper part of every space, as large global pages), or separate (in a space of its own).
    #[arg(long, value_name = "MAPPING", default_value = KernelMapping::Absent.name())]
    #[arg(value_parser = PossibleValuesParser::new(KernelMapping::NAMES))]
    pub kernel: String,

    /// Let the page directory map itself in its last entry, so that all page tables are pages of
    /// the supervisor's (ia32, x86-64, x86-64-la57).
    #[arg(long)]
    pub self_map: bool,

    /// Who waits while a page is read or written: the processor (sync), or the thread that needs it
    /// (async), so that others run.
    #[arg(long, value_name = "sync|async", default_value = DeviceWait::Hart.name())]
    #[arg(value_parser = PossibleValuesParser::new(DeviceWait::NAMES))]
    pub io: String,

    /// Swap whole processes out while memory is too small for all, and back in turn; with --io async.
    #[arg(long)]
    pub load_control: bool,

    /// The host directory that is the program's root directory; without it, there are no files.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,

    /// A host directory whose files the program finds, to read, where its root has none: the dynamic
    /// linker and shared libraries, e.g. /usr/riscv64-linux-gnu.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub sysroot: Option<PathBuf>,

    /// A variable of the program's environment; may be given repeatedly. Nothing is inherited.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,

    /// The seed of all randomness, getrandom() included.
    #[arg(long, value_name = "N", default_value = "0")]
    pub seed: String,

    /// A TOML file of costs in cycles (docs/cost-model.md); keys left out keep their defaults.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub cost: Option<PathBuf>,

    /// Write the report as JSON, too; - is standard output, after that of the program.
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,

    /// Write every event of the run, one JSON object a line.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub events: Option<PathBuf>,

    /// Explain the first N page faults, before the report.
    #[arg(long, value_name = "N")]
    pub explain_faults: Option<String>,

    /// Save MMU and physical memory as they are at the end, for `explain --snapshot`.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub snapshot: Option<PathBuf>,

    /// Record the program's page references, and report how many faults the policy had for each that
    /// OPT would have had on the same references, in as many frames.
    #[arg(long)]
    pub gap: bool,

    /// Write working-set and resident-set sizes over time, process by process: JSON lines if FILE ends
    /// in .jsonl or .ndjson, else CSV (docs/report.md).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sizes: Option<PathBuf>,

    /// Instructions of a process between two rows of --sizes: a number, or one with k, M or G.
    /// [default: 100k]
    #[arg(long, value_name = "N", requires = "sizes")]
    pub sizes_step: Option<String>,

    /// The working set's window for --sizes, in instructions of the process. [default: 1M]
    #[arg(long, value_name = "N", requires = "sizes")]
    pub tau: Option<String>,

    /// Show neither progress nor report.
    #[arg(long, short)]
    pub quiet: bool,

    /// After the report, show the address space of each process that there is, as /proc/PID/maps does.
    #[arg(long)]
    pub maps: bool,

    /// The same with what each region holds, as /proc/PID/smaps does.
    #[arg(long)]
    pub smaps: bool,

    /// Take the plain path at every reference: slower, with the same report.
    #[arg(long)]
    pub slow: bool,

    /// Check after every stop of a processor that the whole system is as it must be, and end the
    /// run if it is not: much slower, with the same report.
    #[arg(long)]
    pub audit: bool,

    /// Stop after so many instructions: a number, or one with k, M or G, powers of 1000.
    #[arg(long, value_name = "N")]
    pub max_instructions: Option<String>,

    /// The program, a RISC-V executable of the host, and its arguments.
    ///
    /// Nothing behind PROGRAM is taken for an option of pagewalk.
    #[arg(value_name = "PROGRAM", required = true, value_hint = ValueHint::CommandWithArguments)]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub program: Vec<OsString>,
}

/// Explain how addresses translate, step by step.
///
/// The tables are described by options or in a file, or lie in an image of physical memory. Several
/// addresses are translated one after the other, through one TLB. The exit status is 0 if all of
/// them translate, 1 if one faults, and 2 if something given is wrong.
#[derive(Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// What translates addresses.
    #[arg(long, value_name = "MMU", default_value = "sv39")]
    pub mmu: String,

    /// Describe everything in a TOML file (docs/explain.md).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["mmu", "map", "frame", "entry", "page", "root", "tlb", "control", "image"])]
    #[arg(conflicts_with_all = ["walk_cache", "memory", "base", "bounds", "segment", "descriptor", "selector"])]
    pub file: Option<PathBuf>,

    /// Map a page; RIGHTS are some of r, w, x, u. May be given repeatedly.
    #[arg(long, value_name = "VA=PA[:RIGHTS[:SIZE]]")]
    pub map: Vec<String>,

    /// Map a base page by its number. May be given repeatedly.
    #[arg(long, value_name = "PAGE=FRAME")]
    pub frame: Vec<String>,

    /// Put bits into physical memory, over what the mappings made. May be given repeatedly.
    #[arg(long, value_name = "ADDRESS=BITS")]
    pub entry: Vec<String>,

    /// The page's size, for the MMU linear; any size, even 100.
    #[arg(long, value_name = "SIZE")]
    pub page: Option<String>,

    /// Where the top table lies in physical memory.
    #[arg(long, value_name = "ADDRESS")]
    pub root: Option<String>,

    /// An image of physical memory from address 0 on.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "root")]
    pub image: Option<PathBuf>,

    /// A machine that `run --snapshot` saved.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["file", "mmu", "map", "frame", "page", "root", "control", "image"])]
    #[arg(conflicts_with_all = ["walk_cache", "memory", "base", "bounds", "segment", "descriptor", "selector"])]
    pub snapshot: Option<PathBuf>,

    /// A control bit, by the manual's name: wp, smep, sum, pan. May be given repeatedly.
    #[arg(long, value_name = "NAME[=on|off]")]
    pub control: Vec<String>,

    /// A TLB, as for `run`; without it there is none.
    #[arg(long, value_name = "SPEC")]
    pub tlb: Option<String>,

    /// A cache of pointers to tables, as LEVEL=ENTRIES or all=ENTRIES; without it there is none.
    ///
    /// LEVEL is that of the entry that points to a table: l1 (x86: PDE), l2 (PDPTE), l3 (PML4E), l4.
    #[arg(long, value_name = "SPEC")]
    pub walk_cache: Option<String>,

    /// The size of physical memory, for the MMU none. [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,

    /// What is added to an address, for the MMU base-bounds. [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub base: Option<String>,

    /// For the MMU base-bounds, the first address not allowed, behind the first allowed if that is not 0.
    #[arg(long, value_name = "[FIRST:]END")]
    pub bounds: Option<String>,

    /// A segment of the MMU segments; RIGHTS are some of r, w, x. May be given repeatedly.
    ///
    /// Offsets below BOUNDS are valid; with `down`, those from BOUNDS on, as of a stack.
    #[arg(long, value_name = "NUMBER=BASE:BOUNDS[:RIGHTS[:down]]")]
    pub segment: Vec<String>,

    /// A descriptor of the GDT, for the MMU segments-paging. May be given repeatedly.
    ///
    /// Descriptors 1 to 4 are flat, unless given: user code, user data, kernel code, kernel data.
    #[arg(long, value_name = "INDEX=BITS")]
    pub descriptor: Vec<String>,

    /// What CS (execute) or DS (read, write) is loaded with, for the MMU segments-paging.
    #[arg(long, value_name = "BITS")]
    pub selector: Option<String>,

    /// The access: read, write or execute.
    #[arg(long, value_name = "KIND", default_value = "read")]
    #[arg(value_parser = PossibleValuesParser::new(["read", "write", "execute"]))]
    pub access: String,

    /// The access is the supervisor's, not the user's.
    #[arg(long)]
    pub supervisor: bool,

    /// Write numbers in decimal, and the split as a division.
    #[arg(long)]
    pub decimal: bool,

    /// Write JSON.
    #[arg(long)]
    pub json: bool,

    /// The virtual addresses: 0x1f, 31 or 0b11111.
    #[arg(value_name = "ADDRESS", required_unless_present = "file")]
    pub address: Vec<String>,
}

/// Show thrashing: processor utilisation against the number of processes, with and without load
/// control.
///
/// Each process works on its own memory and then waits, as for a terminal. The more of them there are,
/// the better the processor is used, until memory is too small for all of them. The exit status is 0 if
/// all runs ended well, 1 if one did not, and 2 if something given is wrong.
#[derive(Args)]
pub struct ThrashArgs {
    /// The most processes; each number from 1 on is tried.
    #[arg(long, value_name = "N", default_value = "10")]
    pub processes: String,

    /// The memory that each process works on, in KiB.
    #[arg(long, value_name = "KIB", default_value = "512")]
    pub kib: String,

    /// How often each process works and waits.
    #[arg(long, value_name = "N", default_value = "30")]
    pub rounds: String,

    /// How long it waits, in microseconds.
    #[arg(long, value_name = "US", default_value = "2000")]
    pub wait: String,

    /// RAM, as for `run`.
    #[arg(long, value_name = "SIZE", default_value = "2MiB")]
    pub ram: Option<String>,

    /// What translates addresses, as for `run`.
    #[arg(long, value_name = "MMU")]
    pub mmu: Option<String>,

    /// The page-replacement policy, as for `run`.
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<String>,

    /// A swap device, as for `run`; may be given repeatedly.
    #[arg(long, value_name = "SPEC")]
    pub swap: Vec<String>,

    /// Write the figures as JSON, too; - is standard output, instead of the text.
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,

    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// List real machines, or show one with the sources of its figures.
#[derive(Args)]
#[command(after_help = MACHINES_EXAMPLES)]
pub struct MachinesArgs {
    /// The machine: a name of the list, or a file (docs/machines.md), as ./my.toml.
    #[arg(value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub name: Option<String>,

    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// List page-replacement policies, or run a program under each of them.
///
/// Without PROGRAM, lists the policies. With it, makes a run for each policy, with the options of `run`,
/// and shows a table of what they did. The program reads an empty standard input; its output is compared,
/// and not shown. The exit status is 0 if all runs ended with 0 and wrote the same.
#[derive(Args)]
#[command(override_usage = "pagewalk policies [OPTIONS] [PROGRAM] [ARGS]...")]
#[command(after_help = POLICIES_EXAMPLES)]
#[command(mut_arg("program", |program| program.required(false)))]
#[command(mut_arg("policy", |policy| policy.hide(true)))]
pub struct PoliciesArgs {
    #[command(flatten)]
    pub run: RunArgs,
}

/// Print an exercise on virtual memory; without TOPIC, list the topics.
///
/// The same topic and seed give the same exercise. With --answers come the answers and why they are so.
#[derive(Args)]
#[command(override_usage = "pagewalk quiz [TOPIC] [OPTIONS]", after_help = QUIZ_EXAMPLES)]
pub struct QuizArgs {
    /// The topic, or TOPIC:VARIANT.
    pub topic: Option<String>,

    /// What the exercise is drawn from. [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<String>,

    /// Show the answers, and how one gets them.
    #[arg(long)]
    pub answers: bool,

    /// Write JSON; put answers into it for `pagewalk grade`.
    #[arg(long)]
    pub json: bool,

    /// Write a page to print: the questions, and with --answers the key.
    #[arg(long)]
    pub html: bool,

    /// Write a sheet to fill in for `pagewalk grade`.
    #[arg(long)]
    pub sheet: bool,

    /// Options of the topic: those of the textbook's scripts, for topics that begin with ostep.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub options: Vec<String>,
}

/// Grade answers to an exercise of `pagewalk quiz`, field by field.
///
/// The exit status is 0 if all are right, 1 if not, and 2 if FILE answers no exercise.
#[derive(Args)]
pub struct GradeArgs {
    /// A sheet of `quiz --sheet`, or the JSON of `quiz --json`, filled in; - is standard input.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Show what was expected where an answer is not right.
    #[arg(long)]
    pub answers: bool,

    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Step through a scenario or a program, forwards and backwards.
///
/// In a terminal, keys move and show (? lists them). Without one, --do carries out commands and prints
/// what they find (`--do help` lists them), and --json writes the state at --at. The program works on a
/// copy of the directory that --root names, which stays as it is; swap files are temporary.
/// The exit status is 0, or 1 if a command failed, and 2 if something given is wrong.
#[derive(Args)]
#[command(override_usage = "pagewalk step [OPTIONS] SCENARIO|PROGRAM [ARGS]...")]
#[command(after_help = STEP_EXAMPLES)]
#[command(mut_arg("json", |json| json.help("Write the state as JSON; - is standard output")))]
#[command(mut_arg("program", |program| program.help(
    "A scenario's name or file (.toml), or a program and its arguments, as for run"
)))]
#[command(mut_args(|arg| if is_about_reports(arg.get_id().as_str()) { arg.hide(true) } else { arg }))]
pub struct StepArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// Carry out commands, with semicolons between them, and print what they find.
    #[arg(long = "do", value_name = "COMMANDS")]
    pub commands: Option<String>,

    /// Start at a step; of a program, behind instruction N, or at thing K behind it.
    #[arg(long, value_name = "STEP|N|N.K")]
    pub at: Option<String>,

    /// The host's memory for copies of the machine: with more of them, far steps back take less time.
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub memory: String,
}

/// Whether an option of `run` is about its report.
fn is_about_reports(option: &str) -> bool {
    const OPTIONS: [&str; 11] = [
        "events",
        "explain_faults",
        "snapshot",
        "gap",
        "sizes",
        "sizes_step",
        "tau",
        "quiet",
        "maps",
        "smaps",
        "audit",
    ];
    OPTIONS.contains(&option)
}

impl Cli {
    /// Parses a command line.
    ///
    /// clap takes an option that it does not know for PROGRAM, because the program's arguments may
    /// begin with hyphens. So what looks like that is parsed again without this permission.
    ///
    /// # Errors
    /// clap's, help and version among them.
    pub fn from_words(words: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.collect();
        let cli = Self::try_parse_from(&words)?;
        let (name, args) = match &cli.command {
            Command::Run(args) => ("run", &**args),
            Command::Policies(args) => ("policies", &args.run),
            Command::Step(args) => ("step", &args.run),
            _ => return Ok(cli),
        };
        if args.program.iter().take(1).any(|name| name.to_string_lossy().starts_with('-')) {
            let strict = |run: clap::Command| {
                run.mut_arg("program", |program| program.allow_hyphen_values(false))
            };
            Self::command().mut_subcommand(name, strict).try_get_matches_from(words)?;
        }
        Ok(cli)
    }
}

const MACHINES_EXAMPLES: &str = "\
Examples:
  pagewalk machines
  pagewalk machines skylake
  pagewalk run --machine skylake programs/bin/hello";

const POLICIES_EXAMPLES: &str = "\
Examples:
  pagewalk policies
  pagewalk policies --ram 1MiB programs/bin/matmul 64
  pagewalk policies --ram 2MiB --root /tmp --json table.json programs/bin/extsort /in /out";

const QUIZ_EXAMPLES: &str = "\
Examples:
  pagewalk quiz
  pagewalk quiz linear --seed 3
  pagewalk quiz linear --seed 3 --answers --html > linear.html
  pagewalk quiz linear --seed 3 --sheet > sheet.txt; pagewalk grade sheet.txt
  pagewalk quiz ostep:relocation -s 1 -n 5 -c";

const STEP_EXAMPLES: &str = "\
Examples:
  pagewalk step copy-on-write
  pagewalk step --ram 1MiB --root /tmp programs/bin/extsort /in /out
  pagewalk step --ram 512KiB --do 'run swap-in; cause; state' programs/bin/matmul 100";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  pagewalk explain --mmu linear --page 100 --frame 14=27 --decimal 1492
  pagewalk explain --mmu ia32 --map 0x400000=0x5000:ru 0x400123
  pagewalk explain --mmu x86-64 --tlb l1=4x2 --map 0x1000=0x2000 0x1000 0x1008
  pagewalk explain --mmu segments --segment 2=9000:300:rw --decimal 131172";

const EXAMPLES: &str = "\
Examples:
  pagewalk run programs/bin/hello
  pagewalk run --ram 1MiB --root /tmp programs/bin/extsort /in /out
  pagewalk run --mmu ia32 --tlb l1=1x32:fifo --json report.json programs/bin/matmul 256";

#[cfg(test)]
mod tests {
    use super::*;

    fn run_args(line: &[&str]) -> Result<RunArgs, clap::Error> {
        let words = ["pagewalk", "run"].iter().chain(line).map(OsString::from);
        match Cli::from_words(words)?.command {
            Command::Run(args) => Ok(*args),
            _ => panic!("not a run"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_after_the_program_are_the_programs() {
        let args = run_args(&["--quiet", "sort", "--ram", "1", "--help", "--", "-"]).unwrap();
        assert_eq!(args.program, ["sort", "--ram", "1", "--help", "--", "-"]);
        assert!(args.quiet);
        assert_eq!(args.ram, None);
    }

    #[test]
    fn two_hyphens_end_the_options() {
        assert_eq!(run_args(&["--", "-sort", "-x"]).unwrap().program, ["-sort", "-x"]);
    }

    #[test]
    fn an_unknown_option_is_no_program() {
        let error = run_args(&["--rim", "1MiB", "sort"]).err().unwrap();
        assert_eq!(error.kind(), clap::error::ErrorKind::UnknownArgument);
        assert!(error.to_string().contains("'--ram'"), "{error}");
    }
}
