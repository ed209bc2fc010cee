//! The command line of `run`, validated: what [`crate::run`] works with.
//!
//! Everything that can be known to be wrong before the machine exists is refused here, with the
//! option's name and what would work.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pagewalk_machine::{
    Config, CostModel, Fit, HARTS_MAX, Hardware, HugePolicy, KernelMapping, Program, SwapConfig,
};
use pagewalk_replacement::PolicyKind;

use crate::args::RunArgs;
use crate::base::Base;
use crate::failure::Failure;
use crate::number::{count, size};

/// Unless asked otherwise, there is so much more swap space than RAM …
const SWAP_PER_RAM: u64 = 4;
/// … and at least this much.
const SWAP_BYTES_MIN: u64 = 256 << 20;

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
        Ok(Self {
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
        swap: match &args.swap {
            None => default_swap(ram_bytes),
            Some(text) => swap(text, &hardware)?,
        },
        policy: policy(&args.policy)?,
        huge: huge(&args.huge)?,
        kernel: kernel(&args.kernel)?,
        self_map: args.self_map,
        fit: args.fit.as_deref().map_or(Ok(Fit::default()), fit)?,
        cost: cost(args.cost.as_deref(), &base)?,
        seed: count(seed).map_err(|problem| Failure::bad_value("seed", seed, problem))?,
        slow: args.slow,
        instructions_max: args.max_instructions.as_deref().map(instructions_max).transpose()?,
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
            .or(given(&args.tlb).map(|text| ("tlb", text, "there is no TLB")))
            .or(given(&args.swap).map(|text| ("swap", text, "there are no pages to swap"))),
    };
    match refused {
        None => Ok(()),
        Some((option, text, why)) => {
            let problem = format!("{why} with --mmu {name}; leave the option out");
            Err(Failure::bad_value(option, &text, problem))
        }
    }
}

fn fit(name: &str) -> Result<Fit, Failure> {
    let expected = || format!("give one of {}", Fit::NAMES.join(", "));
    Fit::by_name(name).ok_or_else(|| Failure::bad_value("fit", name, expected()))
}

fn policy(name: &str) -> Result<PolicyKind, Failure> {
    let expected = || format!("give one of {}", PolicyKind::NAMES.join(", "));
    PolicyKind::by_name(name).ok_or_else(|| Failure::bad_value("policy", name, expected()))
}

fn huge(name: &str) -> Result<HugePolicy, Failure> {
    let expected = || format!("give one of {}", HugePolicy::NAMES.join(", "));
    HugePolicy::by_name(name).ok_or_else(|| Failure::bad_value("huge", name, expected()))
}

fn kernel(name: &str) -> Result<KernelMapping, Failure> {
    let expected = || format!("give one of {}", KernelMapping::NAMES.join(", "));
    KernelMapping::by_name(name).ok_or_else(|| Failure::bad_value("kernel", name, expected()))
}

fn default_swap(ram_bytes: u64) -> SwapConfig {
    SwapConfig::Temporary { bytes: (ram_bytes * SWAP_PER_RAM).max(SWAP_BYTES_MIN) }
}

/// `none`, `SIZE` or `FILE:SIZE`; a file's name may contain colons, a size does not.
fn swap(text: &str, hardware: &Hardware) -> Result<SwapConfig, Failure> {
    let refuse = |problem: String| Failure::bad_value("swap", text, problem);
    if text == "none" {
        return Ok(SwapConfig::None);
    }
    let (path, size_text) = match text.rsplit_once(':') {
        Some((path, size_text)) => (Some(path), size_text),
        None => (None, text),
    };
    let bytes = size(size_text)
        .map_err(|problem| refuse(format!("expected none, SIZE or FILE:SIZE; {problem}")))?;
    let page_bytes = hardware.base_page().bytes();
    if bytes < page_bytes {
        let page = format!("at least one page of {page_bytes} bytes");
        return Err(refuse(format!("too small: give {page}, or none for no swap")));
    }
    match path {
        None => Ok(SwapConfig::Temporary { bytes }),
        Some("") => Err(refuse("the file's name is missing: give FILE:SIZE".into())),
        Some(path) if Path::new(path).is_dir() => {
            Err(refuse(format!("{path} is a directory: give a file in it")))
        }
        Some(path) => Ok(SwapConfig::File { path: path.into(), bytes }),
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

fn instructions_max(text: &str) -> Result<u64, Failure> {
    let refuse = |problem| Failure::bad_value("max-instructions", text, problem);
    match count(text).map_err(refuse)? {
        0 => Err(refuse("give at least 1".into())),
        number => Ok(number),
    }
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

fn target(path: &Path) -> Target {
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

    #[test]
    fn swap_is_none_a_size_or_a_file_and_a_size() {
        let hardware = Hardware::by_name("sv39", 1 << 20).unwrap();
        let read = |text| swap(text, &hardware).unwrap();
        assert_eq!(read("none"), SwapConfig::None);
        assert_eq!(read("1MiB"), SwapConfig::Temporary { bytes: 1 << 20 });
        let path = PathBuf::from("a:b");
        assert_eq!(read("a:b:4096"), SwapConfig::File { path, bytes: 4096 });
    }

    #[test]
    fn swap_is_four_times_the_ram_or_more() {
        assert_eq!(default_swap(1 << 20).bytes(), 256 << 20);
        assert_eq!(default_swap(1 << 30).bytes(), 4 << 30);
        assert_eq!(default_swap(RAM_BYTES_MAX).bytes(), 4 << 40);
    }
}
