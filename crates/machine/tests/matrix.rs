//! Programs that check their memory, on machines drawn at random: every kind of translation with pages,
//! every policy, RAM from the least that there is a machine of, devices that fail, swap that is full,
//! slots that are corrupted, and processes killed on the way. Their output is right, or they are told
//! why not; nothing is silently wrong, and in the end nothing is held.
//!
//! The draws are a function of the run's number. `MATRIX_RUNS` says how many there are, `MATRIX_FROM`
//! which is the first: that of a failure is told.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use common::{Capture, FORMATS, UNPAGED, config, input, program, run};
use pagewalk_kernel::{IoError, SwapSlot};
use pagewalk_machine::{
    Config, DeviceWait, End, HugePolicy, Injected, Machine, Scope, ShareTables, Stdio, SwapConfig,
};
use pagewalk_replacement::PolicyKind;

/// Programs that end soon; whether they are one process and one thread.
const PROGRAMS: [(&[&str], bool); 16] = [
    (&["randaccess", "1", "2000"], true),
    (&["extsort", "/in", "/out", "16"], true),
    (&["hashjoin", "1500"], true),
    (&["recurse", "900"], true),
    (&["wordfreq", "/words", "5"], true),
    (&["matmul", "24"], true),
    (&["sieve", "60000"], true),
    (&["sha256", "/words"], true),
    (&["hugeheap", "1", "1"], true),
    (&["cowstorm", "4", "64"], false),
    (&["fork-snapshot", "256", "2", "/snapshot"], false),
    (&["jobs", "3", "64", "3", "100"], false),
    (&["prodcons", "50"], false),
    (&["shmcount", "3", "20"], false),
    (&["threads", "3", "3"], false),
    (&["filedb", "/db", "200"], false),
];

const RUNS: u64 = 400;

/// The finaliser of SplitMix64, as a generator.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }
}

/// What is done to a run.
#[derive(Clone, Debug)]
struct Case {
    config: Config,
    args: &'static [&'static str],
    is_single: bool,
    /// A first run of the program is killed after so many microseconds.
    killed_after: Option<u64>,
    injected: Vec<Injected>,
    /// Slots that are corrupted, and when: instructions retired.
    corrupted: Vec<(u64, u32)>,
}

impl Case {
    fn draw(number: u64) -> (Self, &'static str, u64) {
        let mut draw = Draw(number.wrapping_mul(0x1234_5678_9abc_def1));
        let (args, is_single) = draw.of(&PROGRAMS);
        let paged: Vec<&'static str> =
            FORMATS.iter().copied().filter(|name| !UNPAGED.contains(name)).collect();
        let format = draw.of(&paged);
        let policies: Vec<PolicyKind> =
            PolicyKind::ALL.into_iter().filter(|kind| !kind.sees_references()).collect();
        let policy = draw.of(&policies);
        // Pages of 16 and 64 KiB, or tables as large as that, want as much more memory.
        let scale = match format {
            "aarch64-16k" => 4,
            "aarch64-64k" => 16,
            _ => 1,
        };
        let ram_kib = scale * draw.of(&[64, 68, 72, 80, 96, 112, 128, 160, 200, 256, 512, 4096]);
        let swap = match draw.below(6) {
            0 => Vec::new(),
            1 => vec![SwapConfig::temporary((scale * draw.of(&[64, 256])) << 10)],
            2 => vec![SwapConfig::temporary(128 << 10), SwapConfig::temporary(16 << 20)],
            _ => vec![SwapConfig::temporary(32 << 20)],
        };
        let config = Config {
            swap,
            policy,
            harvest: draw.of(&[200, 2000]),
            harts: draw.of(&[1, 1, 1, 2]),
            read_ahead: draw.of(&[0, 0, 8]),
            device_wait: draw.of(&[DeviceWait::Hart, DeviceWait::Thread]),
            huge: draw.of(&[HugePolicy::Never, HugePolicy::Always]),
            scope: draw.of(&[Scope::Global, Scope::Global, Scope::Process]),
            zero_ahead: draw.one_in(3),
            load_control: draw.one_in(4),
            share_tables: ShareTables::ALL[(number % 4) as usize],
            seed: number,
            instructions_max: Some(60_000_000),
            ..config(format, ram_kib << 10)
        };
        let errors = [IoError::Io, IoError::Short, IoError::Corrupt];
        let mut injected = Vec::new();
        if draw.one_in(3) {
            let (at, count) = (draw.below(60), draw.of(&[1, 3, u64::MAX]));
            let error = draw.of(&[IoError::Io, IoError::Short, IoError::NoSpace]);
            injected.push(Injected::write(at, count, error));
        }
        if draw.one_in(5) {
            injected.push(Injected::read(draw.below(60), 1, draw.of(&errors)));
        }
        let corrupted = match draw.one_in(5) {
            true => (0..3).map(|_| (draw.below(400_000), draw.below(64) as u32)).collect(),
            false => Vec::new(),
        };
        let killed_after = draw.one_in(3).then(|| draw.below(20_000));
        (Self { config, args, is_single, killed_after, injected, corrupted }, format, ram_kib)
    }

    /// What was drawn, but for the kind of translation and RAM.
    fn tell(&self) -> String {
        let Self { config: c, args, killed_after, injected, corrupted, .. } = self;
        let swap: Vec<u64> = c.swap.iter().map(|device| device.bytes >> 10).collect();
        format!(
            "{args:?} with {}, swap {swap:?}, {} harts, read-ahead {}, {} {} {} zeroing {} control \
             {}, killed {killed_after:?}, {injected:?}, corrupted {corrupted:?}",
            c.policy,
            c.harts,
            c.read_ahead,
            c.device_wait.name(),
            c.huge.name(),
            c.scope.name(),
            c.zero_ahead,
            c.load_control,
        )
    }

    /// Whether nothing is done to it and there is memory for it. Single-level tables are as large as
    /// what they map is far apart.
    fn must_succeed(&self, format: &str) -> bool {
        let swap: u64 = self.config.swap.iter().map(|device| device.bytes).sum();
        self.injected.is_empty()
            && self.corrupted.is_empty()
            && self.config.ram_bytes >= 4 << 20
            && format != "linear"
            && swap >= 16 << 20
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// As it does with plenty.
    Done,
    /// A program was refused something, or saw another fail, and said so.
    Refused,
    /// It was killed, and the reason is told.
    Killed,
    /// There is no such machine, and it is said what would be one.
    NoMachine,
}

/// A machine, its program's output, and what is said beside.
fn machine(case: &Case, root: &Path) -> Result<(Machine, Capture, Capture), String> {
    let (stdout, stderr) = (Capture::default(), Capture::default());
    let stdio = Stdio {
        stdout: Box::new(stdout.clone()),
        stderr: Box::new(stderr.clone()),
        messages: Box::new(stderr.clone()),
        ..Stdio::null()
    };
    let own = case.killed_after.map(|us| us.to_string());
    let path = format!("/{}", case.args[0]);
    let args: Vec<&str> = match &own {
        None => case.args.to_vec(),
        Some(us) => {
            ["killed", us, &path].into_iter().chain(case.args[1..].iter().copied()).collect()
        }
    };
    if own.is_some() {
        let from = program(case.args, root).path;
        std::fs::copy(from, root.join(case.args[0])).expect("a copy of the program");
    }
    let made = Machine::new(case.config.clone(), program(&args, root), stdio);
    made.map(|machine| (machine, stdout, stderr)).map_err(|error| error.to_string())
}

/// Runs a case; `Err` if something is wrong and nobody says so.
fn outcome(case: &Case, expected: &str) -> Result<Outcome, String> {
    let root = input();
    let (mut machine, stdout, stderr) = match machine(case, root.path()) {
        Ok(made) => made,
        Err(error) if error.contains("give at least") => return Ok(Outcome::NoMachine),
        // The first pages of the program do not fit.
        Err(error) if error.contains("memory") => return Ok(Outcome::NoMachine),
        Err(error) => return Err(format!("no machine: {error}")),
    };
    for fault in &case.injected {
        machine.swap_mut().inject(*fault);
    }
    let about = machine.report().machine;
    let slots = (about.swap_bytes / about.page_bytes) as u32;
    let mut corrupted = case.corrupted.clone();
    corrupted.retain(|_| slots > 0);
    corrupted.sort_unstable();
    for (at, slot) in corrupted {
        machine.run_until(at);
        // A slot that nothing was written to cannot be.
        let _never_written = machine.swap_mut().corrupt(SwapSlot(slot % slots));
    }
    run(&mut machine);
    machine.audit().map_err(|error| format!("the audit: {error}"))?;
    let (text, said) = (stdout.text(), stderr.text());
    let report = machine.report();
    let end = machine.end().cloned();
    machine.tear_down().map_err(|error| format!("in the end: {error}"))?;
    let errors = report.swap.errors + report.counters["file_io_errors"];
    let is_short = report.counters["oom_kill"] > 0 || said.contains("ENOMEM");
    match end {
        Some(End::Exited(0)) if text == expected => Ok(Outcome::Done),
        Some(End::Exited(0)) => Err(format!("a wrong output: {text}")),
        Some(End::Exited(_)) if errors > 0 || is_short => Ok(Outcome::Refused),
        Some(End::Exited(code)) => Err(format!("code {code}, and nobody says why: {text}{said}")),
        Some(End::Killed { reason, .. }) => {
            // Who waits for a process that died is told of that.
            let is_told = ["memory", "swap", "I/O", "device"].iter().any(|w| reason.contains(w))
                || !said.is_empty();
            // One process has written a part of what it would have.
            let is_part = !case.is_single || expected.starts_with(&text);
            match (is_told && (errors > 0 || is_short), is_part) {
                (true, true) => Ok(Outcome::Killed),
                (false, _) => Err(format!("killed: {reason}; {errors} errors; {said}")),
                (_, false) => Err(format!("a wrong output before it was killed: {text}")),
            }
        }
        other => Err(format!("it does not end: {other:?}")),
    }
}

/// What a program writes with plenty of everything.
fn expected(args: &'static [&'static str]) -> String {
    static KNOWN: Mutex<BTreeMap<&str, String>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().expect("no panic in another thread");
    let text = known.entry(args[0]).or_insert_with(|| {
        let root = input();
        let config = config("sv39", 64 << 20);
        let (mut machine, output) = common::machine(config, args, root.path());
        run(&mut machine);
        assert_eq!(machine.end(), Some(&End::Exited(0)), "{args:?}");
        output.text()
    });
    text.clone()
}

fn number(name: &str, fallback: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(fallback, |text| text.parse().expect("a number"))
}

#[test]
fn nothing_is_silently_wrong() {
    let from = number("MATRIX_FROM", 0);
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for number in from..from + number("MATRIX_RUNS", RUNS) {
        let (case, format, ram_kib) = Case::draw(number);
        let what = format!("run {number}: {} on {format}, {ram_kib} KiB", case.tell());
        match outcome(&case, &expected(case.args)) {
            Ok(outcome) if outcome == Outcome::Done || !case.must_succeed(format) => {
                *outcomes.entry(outcome).or_default() += 1;
            }
            Ok(outcome) => wrong.push(format!("{what}: {outcome:?}, for no reason")),
            Err(error) => wrong.push(format!("{what}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    println!("{outcomes:?}");
    for outcome in [Outcome::Done, Outcome::Killed] {
        assert!(
            outcomes.contains_key(&outcome),
            "the draws are too easy or too hard: {outcomes:?}"
        );
    }
}
