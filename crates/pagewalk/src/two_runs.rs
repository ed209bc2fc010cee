//! OPT needs the future: the program runs twice, and the first run tells it to the second.
//!
//! ```text
//!   first run    copy of --root, output dropped, input kept, LRU ──► recording
//!   second run   --root, output shown, input read again, OPT ◄──────────┘
//! ```
//!
//! The first run must leave no trace, as the second is to find what it found: it works on a copy of
//! the root directory, and on a temporary swap file. Programs that look at the time, or at how
//! memory is used, may do something else the second time; then the report says where.

use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pagewalk_machine::config::SwapStore;
use pagewalk_machine::{Config, Machine, Program, Recording, Stdio, SwapConfig};
use pagewalk_replacement::PolicyKind;

use crate::failure::Failure;
use crate::options::plain;

/// The most bytes and files of a root directory that are copied.
const ROOT_BYTES_MAX: u64 = 4 << 30;
const ROOT_FILES_MAX: u64 = 100_000;

/// What the first run leaves for the second.
pub struct FirstRun {
    /// The program's references.
    pub recording: Recording,
    /// The input that it read, and after it the rest.
    pub stdin: Box<dyn Read + Send>,
}

/// Whether the policy needs the future.
pub fn are_needed(config: &Config) -> bool {
    config.policy.needs_future() && config.hardware.tables().is_some()
}

/// Makes the first run; `go` runs a machine to its end.
///
/// # Errors
/// What is wrong with the machine or the program, or why there can be no copy or recording.
pub fn first_run(
    config: &Config,
    program: &Program,
    stdin: Box<dyn Read + Send>,
    go: &mut dyn FnMut(&mut Machine),
) -> Result<FirstRun, Failure> {
    let root = program.root.as_deref().map(|root| copy_of(root, "--policy opt")).transpose()?;
    let program =
        Program { root: root.as_ref().map(|root| root.path().to_owned()), ..program.clone() };
    let swap = config.swap.iter().map(temporary).collect();
    let config = Config { policy: PolicyKind::Lru, swap, ..config.clone() };
    let tape = tempfile::tempfile().map_err(|error| not_recorded(&error))?;
    let shared = tape.try_clone().map_err(|error| not_recorded(&error))?;
    let input = Shared::new(stdin);
    let taped = Taped { input: input.clone(), tape: shared };
    let stdio = Stdio { stdin: Box::new(taped), ..Stdio::null() };
    let mut machine = Machine::new(config, program, stdio).map_err(Failure::unusable)?;
    machine.record_references().map_err(|error| not_recorded(&error))?;
    go(&mut machine);
    let recording = machine.take_recording().map_err(|error| not_recorded(&error))?;
    let stdin = replay(tape, input).map_err(|error| not_recorded(&error))?;
    Ok(FirstRun { recording, stdin: Box::new(stdin) })
}

/// What was read, and after it the rest.
fn replay(mut tape: File, rest: Shared) -> io::Result<impl Read + Send> {
    tape.seek(SeekFrom::Start(0))?;
    Ok(tape.chain(rest))
}

fn not_recorded(error: &io::Error) -> Failure {
    Failure::refused("--policy opt: the first run cannot be recorded", plain(error))
}

/// A device like this one that leaves nothing behind.
pub fn temporary(device: &SwapConfig) -> SwapConfig {
    let store = match &device.store {
        SwapStore::File(_) => SwapStore::Temporary,
        other => other.clone(),
    };
    SwapConfig { store, ..device.clone() }
}

/// What is still to be copied.
struct Budget {
    bytes: u64,
    files: u64,
}

/// A copy of a root directory, which `who` needs for a run that leaves no trace.
///
/// # Errors
/// Why there can be none.
pub fn copy_of(root: &Path, who: &str) -> Result<tempfile::TempDir, Failure> {
    let refuse = |error: &io::Error| {
        let shown = root.display().to_string();
        let problem = format!("{who} runs the program on a copy: {}", plain(error));
        Failure::bad_value("root", &shown, problem)
    };
    let copy = tempfile::tempdir().map_err(|error| refuse(&error))?;
    let mut budget = Budget { bytes: ROOT_BYTES_MAX, files: ROOT_FILES_MAX };
    copy_directory(root, copy.path(), &mut budget).map_err(|error| refuse(&error))?;
    Ok(copy)
}

/// Copies files, directories and symbolic links, with their rights and times. What is none of these
/// (a socket, a device) is not copied.
fn copy_directory(from: &Path, to: &Path, budget: &mut Budget) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(from)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let data = entry.metadata()?;
        let bytes = if data.is_file() { data.len() } else { 0 };
        let left = budget.files.checked_sub(1).zip(budget.bytes.checked_sub(bytes));
        let Some((files, bytes)) = left else {
            let most = format!("more than {ROOT_FILES_MAX} files or {ROOT_BYTES_MAX} bytes");
            return Err(io::Error::other(format!("{most}: give a smaller directory")));
        };
        *budget = Budget { bytes, files };
        if data.is_dir() {
            fs::create_dir(&target)?;
            copy_directory(&source, &target, budget)?;
        } else if data.is_file() {
            fs::copy(&source, &target)?;
        } else if data.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
            continue;
        } else {
            continue;
        }
        let times = FileTimes::new().set_modified(data.modified()?).set_accessed(data.accessed()?);
        // A directory can be opened for reading alone, which is enough.
        File::open(&target)?.set_times(times)?;
        if data.is_dir() {
            fs::set_permissions(&target, data.permissions())?;
        }
    }
    Ok(())
}

/// The input, for one run after the other.
#[derive(Clone)]
struct Shared(Arc<Mutex<Box<dyn Read + Send>>>);

impl Shared {
    fn new(input: Box<dyn Read + Send>) -> Self {
        Self(Arc::new(Mutex::new(input)))
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}

/// The input of the first run: what is read of it is kept.
struct Taped {
    input: Shared,
    tape: File,
}

impl Read for Taped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.tape.write_all(&buffer[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_what_the_directory_has() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("dir")).unwrap();
        fs::write(path("dir/file"), "text").unwrap();
        std::os::unix::fs::symlink("dir/file", path("link")).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let file = File::open(path("dir/file")).unwrap();
        file.set_times(FileTimes::new().set_modified(old)).unwrap();
        let copy = copy_of(root.path(), "a test").unwrap();
        let copied = copy.path().join("dir/file");
        assert_eq!(fs::read_to_string(&copied).unwrap(), "text");
        assert_eq!(fs::metadata(&copied).unwrap().modified().unwrap(), old);
        assert_eq!(fs::read_link(copy.path().join("link")).unwrap(), Path::new("dir/file"));
        fs::write(copied, "other").unwrap();
        assert_eq!(fs::read_to_string(path("dir/file")).unwrap(), "text");
    }

    #[test]
    fn too_much_is_refused() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(root.path().join(name), "12345").unwrap();
        }
        for (bytes, files) in [(9, 9), (99, 1)] {
            let to = tempfile::tempdir().unwrap();
            let mut budget = Budget { bytes, files };
            let error = copy_directory(root.path(), to.path(), &mut budget).unwrap_err();
            assert!(error.to_string().contains("give a smaller directory"), "{error}");
        }
    }

    #[test]
    fn the_second_run_reads_what_the_first_read_and_then_the_rest() {
        let input = Shared::new(Box::new(io::Cursor::new(b"one two three".to_vec())));
        let tape = tempfile::tempfile().unwrap();
        let mut taped = Taped { input: input.clone(), tape: tape.try_clone().unwrap() };
        let mut four = [0; 4];
        taped.read_exact(&mut four).unwrap();
        let mut again = String::new();
        replay(tape, input).unwrap().read_to_string(&mut again).unwrap();
        assert_eq!(again, "one two three");
    }
}
