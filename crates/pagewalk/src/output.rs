//! Result files that appear complete or not at all.
//!
//! ```text
//!   open ──► temporary file beside the target ──finish──► renamed to the target
//!                       │ dropped
//!                       ▼
//!                    removed
//! ```
//!
//! A target that is there and is no regular file (`/dev/null`, a pipe) cannot be replaced by
//! renaming; it is written directly.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::{NamedTempFile, TempPath};

use crate::failure::Failure;
use crate::options::plain;

/// A result file under construction.
pub struct Output {
    /// As the user called it.
    name: PathBuf,
    /// What the temporary file becomes, and the temporary file; `None` if written directly.
    rename: Option<(PathBuf, TempPath)>,
    sink: Sink,
}

impl Output {
    /// Opens the result file `name` of the option `--option`. Nothing appears under that name yet.
    ///
    /// # Errors
    /// Why no such file can be written.
    pub fn open(option: &str, name: &Path) -> Result<Self, Failure> {
        let refuse = |problem: String| {
            let shown = name.display().to_string();
            Failure::bad_value(
                option,
                &shown,
                format!("{problem}; give a file that can be written"),
            )
        };
        if name.is_dir() {
            return Err(refuse("is a directory".into()));
        }
        let opened = match fs::metadata(name) {
            Ok(data) if data.is_file() => replace(name, data.permissions()),
            Ok(_) => OpenOptions::new().write(true).open(name).map(|file| (file, None)),
            Err(_) => create(name.to_path_buf(), None),
        };
        let (file, rename) = opened.map_err(|error| refuse(plain(&error)))?;
        Ok(Self { name: name.into(), rename, sink: Sink::new(file) })
    }

    /// What to write the result to. It never fails; the first error is kept for [`Output::finish`].
    pub fn sink(&self) -> Sink {
        self.sink.clone()
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// Why the result is not there.
    pub fn finish(self) -> Result<(), Failure> {
        let fail = |error: io::Error| Failure::not_written(self.name.display(), plain(&error));
        self.sink.finish().map_err(fail)?;
        match self.rename {
            None => Ok(()),
            Some((target, file)) => file.persist(target).map_err(|error| fail(error.error)),
        }
    }
}

type Opened = (File, Option<(PathBuf, TempPath)>);

/// Prepares to replace a file that is there, if we could write it, with the same permissions.
fn replace(name: &Path, permissions: Permissions) -> io::Result<Opened> {
    OpenOptions::new().write(true).open(name)?;
    // The file behind a symbolic link is replaced, not the link.
    create(fs::canonicalize(name)?, Some(permissions))
}

fn create(target: PathBuf, permissions: Option<Permissions>) -> io::Result<Opened> {
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (file, temporary) = temporary_file(directory, permissions)?.into_parts();
    Ok((file, Some((target, temporary))))
}

#[cfg(unix)]
fn temporary_file(directory: &Path, mode: Option<Permissions>) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    // As for any new file: the umask takes away what the user does not want to give.
    let mode = mode.unwrap_or_else(|| Permissions::from_mode(0o666));
    tempfile::Builder::new().prefix(".pagewalk-").permissions(mode).tempfile_in(directory)
}

#[cfg(not(unix))]
fn temporary_file(directory: &Path, _: Option<Permissions>) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".pagewalk-").tempfile_in(directory)
}

/// A buffered writer that several may hold. It swallows everything after the first error.
#[derive(Clone)]
pub struct Sink(Arc<Mutex<SinkState>>);

struct SinkState {
    file: BufWriter<File>,
    error: Option<io::Error>,
}

impl Sink {
    fn new(file: File) -> Self {
        Self(Arc::new(Mutex::new(SinkState { file: BufWriter::new(file), error: None })))
    }

    fn finish(&self) -> io::Result<()> {
        self.with(|file| file.flush());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).error.take().map_or(Ok(()), Err)
    }

    fn with(&self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.error.is_none() {
            state.error = write(&mut state.file).err();
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|file| file.write_all(bytes));
        Ok(bytes.len())
    }

    /// Does nothing: a run's events are one result, complete at its end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn a_file_appears_when_it_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("report.json");
        let output = Output::open("json", &name).unwrap();
        output.sink().write_all(b"{}").unwrap();
        assert!(!name.exists());
        output.finish().unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"{}");
        assert_eq!(entries(directory.path()), 1);
    }

    #[test]
    fn a_file_that_is_dropped_leaves_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("report.json");
        fs::write(&name, "old").unwrap();
        let output = Output::open("json", &name).unwrap();
        output.sink().write_all(b"half").unwrap();
        drop(output);
        assert_eq!(fs::read(&name).unwrap(), b"old");
        assert_eq!(entries(directory.path()), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        let output = Output::open("json", &link).unwrap();
        output.sink().write_all(b"new").unwrap();
        output.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_are_written_directly_and_errors_are_told() {
        Output::open("json", Path::new("/dev/null")).unwrap().finish().unwrap();
        let output = Output::open("json", Path::new("/dev/full")).unwrap();
        output.sink().write_all(b"{}").unwrap();
        assert!(output.finish().is_err());
    }
}
