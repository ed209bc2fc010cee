//! The command line of `run`, validated: what [`crate::run`] works with.
//!
//! Everything that can be known to be wrong before the machine exists is refused here, with the
//! option's name and what would work.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pagewalk_machine::{
    Compressor, Config, CostModel, DeviceModel, DeviceWait, Fit, HARTS_MAX, HARVEST_DEFAULT,
    Hardware, HugePolicy, KernelMapping, Program, READ_AHEAD_MAX, RESIDENT_MIN, SWAP_DEVICES_MAX,
    Scope, ShareTables, SizesConfig, SizesFormat, SwapConfig, SwapStore, ZswapConfig,
};
use pagewalk_replacement::{PolicyError, PolicyKind};

use crate::args::RunArgs;
use crate::base::Base;
use crate::failure::Failure;
use crate::number::{count, size};

/// Unless asked otherwise, there is so much more swap space than RAM …
const SWAP_PER_RAM: u64 = 4;
/// … and at least this much.
const SWAP_BYTES_MIN: u64 = 256 << 20;

/// The highest priority of a swap device (swapon(2): SWAP_FLAG_PRIO_MASK).
const PRIORITY_MAX: u16 = 32_767;

/// The working set's window, and the time between two rows, in instructions.
const TAU: u64 = 1_000_000;
const SIZES_STEP: u64 = 100_000;

/// A run, as asked for.
#[derive(Debug)]
pub struct Options {
    /// The machine.
    pub config: Config,
    /// The program.
    pub program: Program,
    /// Where the report goes as JSON.
    pub json: Option<Target>,
    /// Where the events go.
    pub events: Option<PathBuf>,
    /// How many page faults are explained.
    pub explain_faults: u64,
    /// Where the machine is saved at the end.
    pub snapshot: Option<PathBuf>,
    /// Whether the policy is compared with OPT.
    pub gap: bool,
    /// Where sizes over time go, and how they are measured.
    pub sizes: Option<(PathBuf, SizesConfig)>,
    /// Neither progress nor report.
    pub quiet: bool,
    /// The processes' regions are shown.
    pub maps: bool,
    /// … with what each holds.
    pub smaps: bool,
    /// Whether every stop of a hart ends with an audit.
    pub audit: bool,
}

/// Where a result goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl Options {
    /// Validates what was typed.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(args: RunArgs) -> Result<Self, Failure> {
        let json = args.json.as_deref().map(target);
        let events = events(args.events.as_deref(), json.as_ref())?;
        let config = config(&args)?;
        check_seen("gap", args.gap, &config.hardware)?;
        check_seen("sizes", args.sizes.is_some(), &config.hardware)?;
        let sizes = sizes(&args, [json.as_ref(), events.clone().map(Target::File).as_ref()])?;
        Ok(Self {
            gap: args.gap,
            sizes,
            snapshot: snapshot(args.snapshot, &config.hardware)?,
            config,
            program: program(args.program, args.env, args.root, args.sysroot)?,
            json,
            events,
            explain_faults: explain_faults(args.explain_faults.as_deref())?,
            quiet: args.quiet,
            maps: args.maps,
            smaps: args.smaps,
            audit: args.audit,
        })
    }
}

fn config(args: &RunArgs) -> Result<Config, Failure> {
    let base = Base::new(args.machine.as_deref())?;
    let mmu = args.mmu.as_deref();
    let ram_bytes = base.ram(args.ram.as_deref(), mmu)?;
    let hardware = base.hardware(mmu, ram_bytes)?;
    check_pages(args, &hardware)?;
    let seed = &args.seed;
    Ok(Config {
        name: base.name(),
        hardware,
        tlb: base.tlb(args.tlb.as_deref(), &hardware)?,
        walk_cache: base.walk_cache(args.walk_cache.as_deref(), &hardware)?,
        cache: base.cache(args.cache.as_deref())?,
        harts: harts(&args.harts, &hardware)?,
        ram_bytes,
        swap: swap_devices(&args.swap, ram_bytes, &hardware)?,
        zswap: zswap(&args.zswap, ram_bytes, args)?,
        read_ahead: read_ahead(&args.read_ahead)?,
        policy: args.policy.as_deref().map_or(Ok(PolicyKind::default()), policy)?,
        scope: scope(args)?,
        resident: match &args.resident {
            None => None,
            Some(text) => Some(resident("resident", text, hardware.base_page().bytes())?),
        },
        limit: match &args.limit {
            None => None,
            Some(text) => Some(resident("limit", text, hardware.base_page().bytes())?),
        },
        zero_ahead: args.zero_ahead,
        launder_ahead: launder_ahead(args)?,
        harvest: args.harvest.as_deref().map_or(Ok(HARVEST_DEFAULT), harvest)?,
        huge: huge(&args.huge)?,
        share_tables: share_tables(args)?,
        kernel: kernel(&args.kernel)?,
        self_map: args.self_map,
        device_wait: device_wait(&args.io)?,
        load_control: load_control(args)?,
        fit: args.fit.as_deref().map_or(Ok(Fit::default()), fit)?,
        cost: cost(args.cost.as_deref(), &base)?,
        seed: count(seed).map_err(|problem| Failure::bad_value("seed", seed, problem))?,
        slow: args.slow,
        instructions_max: match &args.max_instructions {
            None => None,
            given => Some(instructions("max-instructions", given.as_deref(), u64::MAX)?),
        },
    })
}

fn harts(text: &str, hardware: &Hardware) -> Result<u32, Failure> {
    let refuse = |problem| Failure::bad_value("harts", text, problem);
    let number = count(text).map_err(refuse)?;
    match u32::try_from(number) {
        Ok(2..=HARTS_MAX) if hardware.tables().is_none() => {
            let name = hardware.name();
            Err(refuse(format!(
                "a machine without pages has one; leave the option out with --mmu {name}"
            )))
        }
        Ok(harts @ 1..=HARTS_MAX) => Ok(harts),
        _ => Err(refuse(format!("give 1 to {HARTS_MAX}"))),
    }
}

/// Refuses options that mean nothing on this hardware.
fn check_pages(args: &RunArgs, hardware: &Hardware) -> Result<(), Failure> {
    let name = hardware.name();
    let given = |option: &Option<String>| option.clone().filter(|text| text != "none");
    let refused = match hardware.tables() {
        Some(_) => given(&args.fit).map(|text| ("fit", text, "memory is given in pages")),
        None => None
            .or((args.zswap != "none")
                .then(|| ("zswap", args.zswap.clone(), "there are no pages to swap")))
            .or((args.read_ahead != "0")
                .then(|| ("read-ahead", args.read_ahead.clone(), "there are no pages to swap")))
            .or((args.io != DeviceWait::Hart.name())
                .then(|| ("io", args.io.clone(), "there are no pages to wait for")))
            .or((args.share_tables != ShareTables::Off.name())
                .then(|| ("share-tables", args.share_tables.clone(), "there are no page tables")))
            .or((args.scope != "global")
                .then(|| ("scope", args.scope.clone(), "there are no pages to replace")))
            .or(given(&args.tlb).map(|text| ("tlb", text, "there is no TLB")))
            .or(given(&args.swap.first().cloned())
                .map(|text| ("swap", text, "there are no pages to swap"))),
    };
    match refused {
        None => Ok(()),
        Some((option, text, why)) => {
            let problem = format!("{why} with --mmu {name}; leave the option out");
            Err(Failure::bad_value(option, &text, problem))
        }
    }
}

/// Where there are no pages, no references to them are seen.
fn check_seen(option: &str, given: bool, hardware: &Hardware) -> Result<(), Failure> {
    match (given, hardware.tables()) {
        (true, None) => {
            let problem =
                format!("there are no pages with --mmu {}; leave it out", hardware.name());
            Err(Failure::refused(format_args!("--{option}"), problem))
        }
        _ => Ok(()),
    }
}

/// Where the sizes go and how they are measured; `taken` are the files of other results.
fn sizes(
    args: &RunArgs,
    taken: [Option<&Target>; 2],
) -> Result<Option<(PathBuf, SizesConfig)>, Failure> {
    let Some(path) = &args.sizes else { return Ok(None) };
    let shown = path.display().to_string();
    let refuse = |problem: &str| Err(Failure::bad_value("sizes", &shown, problem));
    match target(path) {
        Target::Stdout => return refuse("standard output is the program's; give a file"),
        given if taken.contains(&Some(&given)) => {
            return refuse("is the file of another result, too; give two files");
        }
        Target::File(_) => {}
    }
    let is_lines = path.extension().is_some_and(|end| end == "jsonl" || end == "ndjson");
    let format = if is_lines { SizesFormat::JsonLines } else { SizesFormat::Csv };
    let config = SizesConfig {
        tau: instructions("tau", args.tau.as_deref(), TAU)?,
        step: instructions("sizes-step", args.sizes_step.as_deref(), SIZES_STEP)?,
        format,
    };
    Ok(Some((path.clone(), config)))
}

/// A positive number of instructions.
fn instructions(option: &str, text: Option<&str>, default: u64) -> Result<u64, Failure> {
    let Some(text) = text else { return Ok(default) };
    let refuse = |problem| Failure::bad_value(option, text, problem);
    match count(text).map_err(refuse)? {
        0 => Err(refuse("give at least 1".into())),
        number => Ok(number),
    }
}

fn fit(name: &str) -> Result<Fit, Failure> {
    let expected = || format!("give one of {}", Fit::NAMES.join(", "));
    Fit::by_name(name).ok_or_else(|| Failure::bad_value("fit", name, expected()))
}

fn policy(text: &str) -> Result<PolicyKind, Failure> {
    text.parse().map_err(|error: PolicyError| Failure::bad_value("policy", text, error))
}

/// A policy that sees every reference sees all of memory.
fn scope(args: &RunArgs) -> Result<Scope, Failure> {
    let name = args.scope.as_str();
    let expected = || format!("give one of {}", Scope::NAMES.join(", "));
    let scope =
        Scope::by_name(name).ok_or_else(|| Failure::bad_value("scope", name, expected()))?;
    let kind: Option<PolicyKind> = args.policy.as_deref().and_then(|text| text.parse().ok());
    let bounded = args.resident.is_some() || args.limit.is_some();
    let alone = scope == Scope::Process || bounded;
    match kind.filter(|kind| alone && kind.sees_references()) {
        None => Ok(scope),
        Some(kind) => Err(Failure::bad_value(
            "policy",
            kind.name(),
            "it sees every reference, of all memory: give no --scope process, --resident or --limit",
        )),
    }
}

/// Pages, or a size of whole pages.
fn resident(option: &str, text: &str, page_bytes: u64) -> Result<u64, Failure> {
    let refuse = |problem| Failure::bad_value(option, text, problem);
    let is_count = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let pages = match is_count {
        true => count(text).map_err(refuse)?,
        false => size(text).map_err(refuse)? / page_bytes,
    };
    match pages {
        RESIDENT_MIN.. => Ok(pages),
        _ => Err(refuse(format!(
            "no program can run in so little: give at least {RESIDENT_MIN} pages ({} bytes)",
            RESIDENT_MIN * page_bytes
        ))),
    }
}

fn harvest(text: &str) -> Result<u64, Failure> {
    let refuse = |problem| Failure::bad_value("harvest", text, problem);
    match count(text).map_err(refuse)? {
        0 => Err(refuse("give at least 1".into())),
        cycles => Ok(cycles),
    }
}

/// Load control goes by how long threads wait.
fn launder_ahead(args: &RunArgs) -> Result<bool, Failure> {
    let waits = device_wait(&args.io)? == DeviceWait::Thread;
    match args.launder_ahead && !waits {
        true => Err(Failure::refused("--launder-ahead", "needs --io async")),
        false => Ok(args.launder_ahead),
    }
}

fn load_control(args: &RunArgs) -> Result<bool, Failure> {
    let waits = device_wait(&args.io)? == DeviceWait::Thread;
    match args.load_control && !waits {
        true => Err(Failure::refused("--load-control", "needs --io async")),
        false => Ok(args.load_control),
    }
}

fn device_wait(name: &str) -> Result<DeviceWait, Failure> {
    let expected = || format!("give one of {}", DeviceWait::NAMES.join(", "));
    DeviceWait::by_name(name).ok_or_else(|| Failure::bad_value("io", name, expected()))
}

fn huge(name: &str) -> Result<HugePolicy, Failure> {
    let expected = || format!("give one of {}", HugePolicy::NAMES.join(", "));
    HugePolicy::by_name(name).ok_or_else(|| Failure::bad_value("huge", name, expected()))
}

/// What each process may have by itself is counted page by page, and so is what shares its tables.
fn share_tables(args: &RunArgs) -> Result<ShareTables, Failure> {
    let name = args.share_tables.as_str();
    let refuse = |problem| Failure::bad_value("share-tables", name, problem);
    let expected = || refuse(format!("give one of {}", ShareTables::NAMES.join(", ")));
    let choice = ShareTables::by_name(name).ok_or_else(expected)?;
    let alone = args.scope == Scope::Process.name();
    if choice != ShareTables::Off && (alone || args.resident.is_some() || args.limit.is_some()) {
        return Err(refuse(
            "what each process has is bounded: give no --scope process, --resident or --limit"
                .to_owned(),
        ));
    }
    Ok(choice)
}

fn kernel(name: &str) -> Result<KernelMapping, Failure> {
    let expected = || format!("give one of {}", KernelMapping::NAMES.join(", "));
    KernelMapping::by_name(name).ok_or_else(|| Failure::bad_value("kernel", name, expected()))
}

fn default_swap(ram_bytes: u64) -> SwapConfig {
    SwapConfig::temporary((ram_bytes * SWAP_PER_RAM).max(SWAP_BYTES_MIN))
}

/// All `--swap` that were given.
fn swap_devices(
    texts: &[String],
    ram_bytes: u64,
    hardware: &Hardware,
) -> Result<Vec<SwapConfig>, Failure> {
    let refuse = |text: &str, problem: String| Failure::bad_value("swap", text, problem);
    match texts {
        [] => return Ok(vec![default_swap(ram_bytes)]),
        [one] if one == "none" => return Ok(Vec::new()),
        _ => {}
    }
    if texts.iter().any(|text| text == "none") {
        return Err(refuse("none", "there are other swap devices as well: leave it out".into()));
    }
    if let Some(text) = texts.get(SWAP_DEVICES_MAX) {
        return Err(refuse(text, format!("one too many: give at most {SWAP_DEVICES_MAX} devices")));
    }
    let devices: Vec<SwapConfig> =
        texts.iter().map(|text| swap(text, hardware)).collect::<Result<_, _>>()?;
    for (n, device) in devices.iter().enumerate() {
        let is_file = matches!(device.store, SwapStore::File(_));
        if is_file && devices[..n].iter().any(|before| before.store == device.store) {
            return Err(refuse(
                &texts[n],
                "the file is a swap device already: give another".into(),
            ));
        }
    }
    Ok(devices)
}

/// `SIZE`, `FILE:SIZE` or `ram:SIZE`, and `,pri=N`, `,model=NAME`; a file's name may contain colons and
/// commas, what follows the last colon begins with a size.
fn swap(text: &str, hardware: &Hardware) -> Result<SwapConfig, Failure> {
    let refuse = |problem: String| Failure::bad_value("swap", text, problem);
    let (path, rest) = match text.rsplit_once(':') {
        Some((path, rest)) => (Some(path), rest),
        None => (None, text),
    };
    let mut words = rest.split(',');
    let bytes = size(words.next().unwrap_or_default()).map_err(|problem| {
        refuse(format!("expected none, SIZE, FILE:SIZE or ram:SIZE; {problem}"))
    })?;
    let page_bytes = hardware.base_page().bytes();
    if bytes < page_bytes {
        let page = format!("at least one page of {page_bytes} bytes");
        return Err(refuse(format!("too small: give {page}, or none for no swap")));
    }
    let store = match path {
        None => SwapStore::Temporary,
        Some("") => return Err(refuse("the file's name is missing: give FILE:SIZE".into())),
        Some("ram") => SwapStore::Ram,
        Some(path) if Path::new(path).is_dir() => {
            return Err(refuse(format!("{path} is a directory: give a file in it")));
        }
        Some(path) => SwapStore::File(path.into()),
    };
    let mut device = SwapConfig { store, ..SwapConfig::temporary(bytes) };
    for word in words {
        match word.split_once('=') {
            Some(("pri", number)) => device.priority = Some(priority(number).map_err(refuse)?),
            Some(("model", name)) => {
                let expected = || format!("model: give one of {}", DeviceModel::NAMES.join(", "));
                device.model = Some(DeviceModel::by_name(name).ok_or_else(|| refuse(expected()))?);
            }
            _ => return Err(refuse(format!("{word:?} means nothing: give pri=N or model=NAME"))),
        }
    }
    Ok(device)
}

fn priority(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|&number| number <= PRIORITY_MAX)
        .ok_or_else(|| format!("pri: give a number from 0 to {PRIORITY_MAX}"))
}

/// `none`, `SIZE`, or `SIZE` and a compressor.
fn zswap(text: &str, ram_bytes: u64, args: &RunArgs) -> Result<Option<ZswapConfig>, Failure> {
    let refuse = |problem: String| Failure::bad_value("zswap", text, problem);
    if text == "none" {
        return Ok(None);
    }
    let (size_text, name) = text.split_once(',').unwrap_or((text, Compressor::NAMES[0]));
    let bytes = size(size_text)
        .map_err(|problem| refuse(format!("expected none, SIZE or SIZE,lz4; {problem}")))?;
    let compressor = Compressor::by_name(name).ok_or_else(|| {
        refuse(format!("give one of {} behind the size", Compressor::NAMES.join(", ")))
    })?;
    if bytes == 0 || bytes >= ram_bytes {
        return Err(refuse(format!("give more than 0, and less than the {ram_bytes} of --ram")));
    }
    if args.swap.iter().any(|swap| swap == "none") {
        return Err(refuse("there is no swap device behind it: give one with --swap".into()));
    }
    Ok(Some(ZswapConfig { bytes, compressor }))
}

fn read_ahead(text: &str) -> Result<u32, Failure> {
    let refuse = |problem| Failure::bad_value("read-ahead", text, problem);
    match u32::try_from(count(text).map_err(refuse)?) {
        Ok(pages) if pages == 0 || pages <= READ_AHEAD_MAX && pages.is_power_of_two() => Ok(pages),
        _ => Err(refuse(format!("give 0, or a power of two up to {READ_AHEAD_MAX}"))),
    }
}

fn cost(path: Option<&Path>, base: &Base) -> Result<CostModel, Failure> {
    let Some(path) = path else { return base.cost(None).map_err(Failure::unusable) };
    let text = fs::read_to_string(path).map_err(|error| {
        let expected = "give a TOML file of costs (docs/cost-model.md)";
        Failure::bad_file(path, format!("--cost: {}; {expected}", plain(&error)))
    })?;
    base.cost(Some(&text)).map_err(|problem| Failure::bad_file(path, format!("--cost: {problem}")))
}

/// A snapshot holds page tables, and no segments.
fn snapshot(path: Option<PathBuf>, hardware: &Hardware) -> Result<Option<PathBuf>, Failure> {
    match (&path, hardware) {
        (None, _) | (_, Hardware::Paged(_)) => Ok(path),
        (Some(path), _) => {
            let problem =
                format!("holds page tables alone, not the segments of {}", hardware.name());
            let shown = path.display().to_string();
            Err(Failure::bad_value("snapshot", &shown, format!("{problem}: leave it out")))
        }
    }
}

fn explain_faults(text: Option<&str>) -> Result<u64, Failure> {
    let Some(text) = text else { return Ok(0) };
    count(text).map_err(|problem| Failure::bad_value("explain-faults", text, problem))
}

fn program(
    words: Vec<OsString>,
    env: Vec<String>,
    root: Option<PathBuf>,
    sysroot: Option<PathBuf>,
) -> Result<Program, Failure> {
    let path = words.first().map(PathBuf::from).unwrap_or_default();
    check_program(&path)?;
    for variable in &env {
        check_variable(variable)?;
    }
    for (option, path) in [("root", &root), ("sysroot", &sysroot)] {
        path.as_deref().map_or(Ok(()), |path| check_directory(option, path))?;
    }
    let args = words.into_iter().map(argument).collect::<Result<_, _>>()?;
    Ok(Program { path, args, env, root, sysroot })
}

fn argument(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| {
        Failure::refused(format_args!("argument {word:?}"), "not UTF-8; give it in UTF-8")
    })
}

fn check_program(path: &Path) -> Result<(), Failure> {
    let expected = "give a RISC-V executable";
    match fs::metadata(path) {
        Err(error) => Err(Failure::bad_file(path, format!("{}; {expected}", plain(&error)))),
        Ok(data) if data.is_dir() => {
            Err(Failure::bad_file(path, format!("is a directory; {expected}")))
        }
        Ok(data) if !data.is_file() => {
            Err(Failure::bad_file(path, format!("is not a regular file; {expected}")))
        }
        Ok(_) => Ok(()),
    }
}

fn check_variable(text: &str) -> Result<(), Failure> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(()),
        _ => Err(Failure::bad_value("env", text, "give NAME=VALUE")),
    }
}

fn check_directory(option: &str, path: &Path) -> Result<(), Failure> {
    let refuse = |problem: &str| {
        let shown = path.display().to_string();
        Failure::bad_value(option, &shown, format!("{problem}; give a directory"))
    };
    match fs::metadata(path) {
        Err(error) => Err(refuse(&plain(&error))),
        Ok(data) if !data.is_dir() => Err(refuse("is not a directory")),
        Ok(_) => Ok(()),
    }
}

/// Where a result goes: `-` is standard output.
pub fn target(path: &Path) -> Target {
    match path.as_os_str() == OsStr::new("-") {
        true => Target::Stdout,
        false => Target::File(path.into()),
    }
}

fn events(path: Option<&Path>, json: Option<&Target>) -> Result<Option<PathBuf>, Failure> {
    match path.map(target) {
        None => Ok(None),
        Some(Target::Stdout) => {
            let problem = "standard output is the program's; give a file";
            Err(Failure::bad_value("events", "-", problem))
        }
        Some(target) if Some(&target) == json => {
            let problem = "is the file of --json, too; give two files";
            let shown = path.map(|path| path.display().to_string()).unwrap_or_default();
            Err(Failure::bad_value("events", &shown, problem))
        }
        Some(Target::File(path)) => Ok(Some(path)),
    }
}

/// The error in the system's words, without its number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use pagewalk_machine::config::RAM_BYTES_MAX;

    use super::*;

    fn devices(texts: &[&str]) -> Result<Vec<SwapConfig>, String> {
        let hardware = Hardware::by_name("sv39", 1 << 20).unwrap();
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        swap_devices(&texts, 1 << 20, &hardware).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn swap_is_none_a_size_or_a_file_and_a_size() {
        assert_eq!(devices(&["none"]), Ok(vec![]));
        assert_eq!(devices(&["1MiB"]), Ok(vec![SwapConfig::temporary(1 << 20)]));
        let store = SwapStore::File("a:b,c".into());
        let expected = SwapConfig { store, ..SwapConfig::temporary(4096) };
        assert_eq!(devices(&["a:b,c:4096"]), Ok(vec![expected]));
    }

    #[test]
    fn swap_devices_have_priorities_and_models() {
        let fast = SwapConfig {
            store: SwapStore::Ram,
            priority: Some(10),
            ..SwapConfig::temporary(1 << 20)
        };
        let slow = SwapConfig { model: Some(DeviceModel::Hdd), ..SwapConfig::temporary(8 << 20) };
        assert_eq!(devices(&["ram:1M,pri=10", "8M,model=hdd"]), Ok(vec![fast, slow]));
        for (texts, problem) in [
            (&["1M", "none"][..], "leave it out"),
            (&["1M,pri=32768"], "0 to 32767"),
            (&["1M,model=tape"], "hdd, ssd, nvme, ram"),
            (&["1M,discard"], "pri=N or model=NAME"),
            (&["a:1M", "b:1M", "a:2M"], "already"),
            (&["1M"; 24], "at most 23"),
        ] {
            let error = devices(texts).unwrap_err();
            assert!(error.contains(problem), "{texts:?}: {error}");
        }
    }

    #[test]
    fn swap_is_four_times_the_ram_or_more() {
        assert_eq!(default_swap(1 << 20).bytes, 256 << 20);
        assert_eq!(default_swap(1 << 30).bytes, 4 << 30);
        assert_eq!(default_swap(RAM_BYTES_MAX).bytes, 4 << 40);
    }
}
