//! What the guest reaches of the host: one directory, three streams, and a place for messages.

use crate::clock::{BOOT_UNIX_S, Clock, NS_PER_S};
use crate::errno::Errno;
use crate::files::{FileId, Files};
use crate::root::Root;
use crate::stat::{Inodes, Stat, Times};
use cap_std::fs::Metadata;
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stream that the guest reads.
pub type Input = Arc<Mutex<dyn Read + Send>>;
/// A stream that the guest writes.
pub type Output = Arc<Mutex<dyn Write + Send>>;

/// Different messages at most: a program can make them up.
const SAID_MAX: usize = 256;

/// The host, as far as the guest may see it.
pub struct Host {
    /// Files.
    pub root: Root,
    /// Host files that are open or mapped; the machine's platform holds another handle.
    pub files: Files,
    /// The guest's file descriptor 0.
    pub stdin: Input,
    /// The guest's file descriptor 1.
    pub stdout: Output,
    /// The guest's file descriptor 2.
    pub stderr: Output,
    /// Messages for the user, not from the guest.
    pub messages: Output,
    /// Whether the streams 0, 1 and 2 claim to be terminals. A C library buffers by line then, so
    /// that instruction counts differ.
    pub terminals: [bool; 3],
    pub(crate) inodes: Inodes,
    said: BTreeSet<String>,
}

impl Host {
    /// A host without files, whose input is empty and whose outputs are dropped.
    pub fn empty() -> Self {
        Self {
            root: Root::default(),
            files: Files::default(),
            stdin: Arc::new(Mutex::new(io::empty())),
            stdout: Arc::new(Mutex::new(io::sink())),
            stderr: Arc::new(Mutex::new(io::sink())),
            messages: Arc::new(Mutex::new(io::sink())),
            terminals: [false; 3],
            inodes: Inodes::default(),
            said: BTreeSet::new(),
        }
    }

    /// The same streams and directory, with a table of open files of its own: for a copied machine.
    pub fn snapshot(&self) -> Self {
        Self {
            root: self.root.clone(),
            files: self.files.snapshot(),
            stdin: Arc::clone(&self.stdin),
            stdout: Arc::clone(&self.stdout),
            stderr: Arc::clone(&self.stderr),
            messages: Arc::clone(&self.messages),
            terminals: self.terminals,
            inodes: self.inodes.clone(),
            said: self.said.clone(),
        }
    }

    /// Tells the user something, unless it was told before, or too much was.
    pub fn say_once(&mut self, message: &str) {
        if self.said.len() < SAID_MAX && self.said.insert(message.to_owned()) {
            // Nothing is left to be done if even messages cannot be written.
            let _ = writeln!(lock(&self.messages), "pagewalk: {message}");
        }
    }

    /// Tells the user, once, why the guest finds no files.
    pub(crate) fn say_once_about_root(&mut self, path: &str) {
        const TOPIC: &str = "no root";
        // C libraries look there and do without: nothing that a root would mend.
        if path.starts_with("/proc/") || path.starts_with("/sys/") {
            return;
        }
        if self.said.insert(TOPIC.to_owned()) {
            self.say_once(&format!(
                "the program looks for {path} but sees no files; give a directory with --root DIR"
            ));
        }
    }

    pub(crate) fn read_stdin(&self, buf: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match lock(&self.stdin).read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // A reader that claims more than it was given is no reason to panic.
                result => return Ok(result?.min(buf.len())),
            }
        }
    }

    pub(crate) fn write_stdout(&self, bytes: &[u8]) -> Result<usize, Errno> {
        write_all(&self.stdout, bytes)
    }

    pub(crate) fn write_stderr(&self, bytes: &[u8]) -> Result<usize, Errno> {
        write_all(&self.stderr, bytes)
    }

    /// Enters a file that was opened at a path of the guest's.
    ///
    /// # Errors
    /// If the host does not tell the inode.
    pub(crate) fn register(
        &mut self,
        file: std::fs::File,
        readable: bool,
        writable: bool,
        path: &[u8],
    ) -> io::Result<FileId> {
        let id = self.files.insert(file, readable, writable)?;
        self.inodes.number(self.files.inode(id)?);
        self.files.set_path(id, path);
        Ok(id)
    }

    /// The inode number of an open file as the guest sees it.
    pub(crate) fn inode_number(&self, file: FileId) -> u64 {
        self.files.inode(file).ok().and_then(|inode| self.inodes.known(inode)).unwrap_or(0)
    }

    /// A host file's status as the guest sees it.
    pub(crate) fn stat(&mut self, metadata: &Metadata) -> Stat {
        self.inodes.stat(metadata)
    }

    /// Notes that the guest wrote a file at the virtual time `now`.
    pub(crate) fn touch(&mut self, file: FileId, now: &dyn Clock) -> Result<(), Errno> {
        let inode = self.files.inode(file)?;
        let number = self.inodes.number(inode);
        let ns = unix_ns(now);
        let times = Times { access_ns: ns, modify_ns: ns, change_ns: ns };
        self.inodes.set_times(number, times);
        Ok(())
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("root", &self.root)
            .field("files", &self.files)
            .field("terminals", &self.terminals)
            .finish_non_exhaustive()
    }
}

/// The virtual time of day.
pub(crate) fn unix_ns(clock: &dyn Clock) -> i128 {
    i128::from(BOOT_UNIX_S) * i128::from(NS_PER_S) + i128::from(clock.now_ns())
}

fn write_all(output: &Output, bytes: &[u8]) -> Result<usize, Errno> {
    let mut stream = lock(output);
    stream.write_all(bytes)?;
    stream.flush()?;
    Ok(bytes.len())
}

/// A stream is usable after another thread's panic: it has no invariant of ours.
fn lock<T: ?Sized>(stream: &Mutex<T>) -> MutexGuard<'_, T> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}
