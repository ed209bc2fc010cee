//! Verification by executing the access: a bare-metal guest of ours runs under QEMU, performs
//! accesses through page tables, and our walker must give the same results.
//!
//! ```text
//!    test (Rust)                      RAM = a file                    guest (FAMILY.S)
//!   ┌──────────────┐  states   ┌─────────────────────────┐  states   ┌────────────────┐
//!   │ enumeration  ├──────────►│ states │ tables │ pages │──────────►│ write entries, │
//!   │ our walker   │◄──────────┤ results                 │◄──────────┤ flush, access  │
//!   └──────────────┘  results  └─────────────────────────┘  results  └────────────────┘
//! ```
//!
//! 1. [`assemble`] makes the guest with binutils, in a [`Scratch`] directory.
//! 2. [`RamFile`] is the machine's memory: the test writes code, tables and states into it.
//! 3. [`Qemu::start`] runs the machine; [`Qemu::wait`] returns when the guest has written a word
//!    that says so. The next batch of states may follow in the same machine.
//! 4. The test reads the results out of the file.
//!
//! A missing tool is a [`Missing`], which [`skip`](crate::common::skip) reports. How many states:
//! [`states_wanted`]; which: [`Shuffle`] and [`Digits`].
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

mod enumeration;

pub use enumeration::{Digits, Shuffle};

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// States per family in `cargo test`.
const STATES_DEFAULT: u64 = 10_000;

/// How many states to run: EXECUTE_STATES, or the sample that every test run makes.
pub fn states_wanted() -> u64 {
    number("EXECUTE_STATES", STATES_DEFAULT)
}

/// Which sample: EXECUTE_SEED, or 0. To be the [`Shuffle`]'s seed.
pub fn seed() -> u64 {
    number("EXECUTE_SEED", 0)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}"))
    })
}

/// A tool that is not installed.
#[derive(Debug)]
pub struct Missing(pub String);

/// A directory of one test's own, in memory if the host has /dev/shm; removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new directory, of which `name` says what it is for.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let shm = Path::new("/dev/shm");
        let parent = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(format!("pagewalk-execute-{process}-{number}-{name}"));
        // A killed process of the same number may have left one.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("the scratch directory can be made");
        Self(path)
    }

    /// The file `name` in the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Assembles and links the guest `tests/execute/SOURCE` with `PREFIXas` and `PREFIXld`; returns
/// the linked file, named `output`. Raw bytes instead of ELF: `--oformat=binary` among `link`.
///
/// # Errors
/// If binutils are not installed. An error in the source is a panic.
pub fn assemble(
    scratch: &Scratch,
    source: &str,
    output: &str,
    prefix: &str,
    assemble: &[&str],
    link: &[&str],
) -> Result<PathBuf, Missing> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/execute").join(source);
    let object = scratch.file(&format!("{output}.o"));
    let linked = scratch.file(output);
    let assembler = Command::new(format!("{prefix}as"))
        .args(assemble)
        .arg("-o")
        .args([&object, &source])
        .status();
    finished(&format!("{prefix}as"), assembler)?;
    let linker =
        Command::new(format!("{prefix}ld")).args(link).arg("-o").args([&linked, &object]).status();
    finished(&format!("{prefix}ld"), linker)?;
    Ok(linked)
}

fn finished(tool: &str, status: io::Result<std::process::ExitStatus>) -> Result<(), Missing> {
    match status {
        Ok(status) => assert!(status.success(), "{tool} failed"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Missing(format!("{tool} is not installed")));
        }
        Err(error) => panic!("{tool}: {error}"),
    }
    Ok(())
}

/// The memory of a guest: a sparse file that QEMU maps. Offsets are those of the file; how the
/// machine lays its RAM out from there is the family's business.
pub struct RamFile {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl RamFile {
    /// `bytes` of zeros. Sparse: only what is touched takes room.
    pub fn new(scratch: &Scratch, bytes: u64) -> Self {
        let path = scratch.file("ram");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .expect("the RAM file can be made");
        file.set_len(bytes).expect("the RAM file can be sparse");
        Self { file, path, bytes }
    }

    /// QEMU's arguments that make the file the memory backend `ram`; `-machine` names it:
    /// `-machine MACHINE,memory-backend=ram`.
    pub fn arguments(&self) -> Vec<String> {
        let (path, bytes) = (self.path.display(), self.bytes);
        let object = format!(
            "memory-backend-file,id=ram,mem-path={path},size={bytes},share=on,prealloc=off"
        );
        vec!["-object".into(), object, "-m".into(), format!("{}K", bytes >> 10)]
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).expect("the RAM file can be written");
    }

    pub fn read(&self, at: u64, bytes: &mut [u8]) {
        self.file.read_exact_at(bytes, at).expect("the RAM file can be read");
    }
}

/// A running machine. Its monitor, screen and serial line are off.
pub struct Qemu {
    child: Child,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Qemu {
    /// Starts `program` with `arguments`; a machine that resets itself ends.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn start(program: &str, arguments: &[String]) -> Result<Self, Missing> {
        Command::new(program)
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "none"])
            .args(["-monitor", "none", "-no-reboot"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map(|child| Self { child })
            .map_err(|_| Missing(format!("{program} is not installed")))
    }

    /// Waits until the RAM file holds `expected` at offset `at`.
    ///
    /// # Errors
    /// What QEMU wrote to its standard error, if it ended before, or that `limit` has passed: a
    /// guard against guests that hang.
    pub fn wait(
        &mut self,
        ram: &RamFile,
        at: u64,
        expected: &[u8],
        limit: Duration,
    ) -> Result<(), String> {
        let started = Instant::now();
        let mut found = vec![0; expected.len()];
        loop {
            ram.read(at, &mut found);
            if found == expected {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait().expect("QEMU is our child") {
                let mut said = String::new();
                if let Some(stderr) = &mut self.child.stderr {
                    let _ = stderr.read_to_string(&mut said);
                }
                return Err(format!("QEMU ended with {status}: {said}"));
            }
            if started.elapsed() > limit {
                return Err(format!("the guest did not answer in {limit:?}: {found:x?}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
