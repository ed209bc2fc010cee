//! File descriptors, and the open file descriptions behind them.
//!
//! ```text
//!   fd 0 ─┐ cloexec
//!   fd 1 ─┼──► Description { object, offset, flags, references: 2 }      dup shares the offset
//!   fd 5 ─┘
//!   fd 3 ────► Description { object: File(FileId) … }
//!   fd 6 ────► Description { object: Pipe(read end) } ──► Pipe { bytes, readers, writers }
//! ```
//!
//! Invariants:
//! 1. A description lives as long as descriptors name it; closing the last returns what it held.
//! 2. New descriptors are the lowest free ones, below the limit.

use crate::anonymous::ObjectId;
use crate::errno::Errno;
use crate::files::FileId;
use crate::path::Location;
use crate::pipe::{PipeEnd, PipeId};
use crate::procfs::Text;
use crate::stat::DirectoryEntry;
use std::sync::Arc;

/// RLIMIT_NOFILE at most: descriptors a process may have.
pub const MAX_DESCRIPTORS: usize = 1024;
/// Open file descriptions of the machine at most (fs.file-max).
pub const FILES_MAX: usize = 1 << 16;

/// What a description reads and writes.
#[derive(Clone, Debug)]
pub enum Object {
    /// /dev/null
    Null,
    /// /dev/zero
    Zero,
    /// /dev/full
    Full,
    /// /dev/random, /dev/urandom
    Random,
    /// The machine's standard input.
    Stdin,
    /// The machine's standard output.
    Stdout,
    /// The machine's standard error.
    Stderr,
    /// A regular file.
    File(FileId),
    /// A directory.
    Directory(Directory),
    /// One end of a pipe.
    Pipe(PipeId, PipeEnd),
    /// Something without a path: an event counter, a timer …
    Anonymous(ObjectId),
    /// A socket.
    Socket(ObjectId),
    /// Text about the system, as it was when it was opened.
    Text(Arc<OpenText>),
}

/// A file of /proc or /sys that is open.
#[derive(Debug)]
pub struct OpenText {
    /// Which.
    pub(crate) text: Text,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// An open directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Where it is.
    pub location: Location,
    /// Its entries as of the first getdents64 or rewind, sorted by name: the host's order is no
    /// input of the guest's.
    pub entries: Option<Arc<Vec<DirectoryEntry>>>,
}

impl Object {
    /// What it keeps of the host's memory for this description alone.
    pub(crate) fn host_bytes(&self) -> u64 {
        // An entry of a directory, with what its name is kept in.
        const ENTRY: u64 = 64;
        match self {
            Self::Text(open) => open.bytes.len() as u64,
            Self::Directory(directory) => {
                let entries = directory.entries.iter().flat_map(|entries| entries.iter());
                let listed: u64 = entries.map(|entry| ENTRY + entry.name.len() as u64).sum();
                directory.location.host_bytes() + listed
            }
            _ => 0,
        }
    }
}

/// An open file description.
#[derive(Clone, Debug)]
pub struct Description {
    /// What it is.
    pub object: Object,
    /// Access mode and status flags, as open(2) and fcntl(F_SETFL) set them.
    pub flags: u32,
    /// The file offset.
    pub offset: u64,
    /// Its absolute path, for /proc/self/fd.
    pub path: Arc<[u8]>,
    references: u32,
}

/// Open for reading only.
pub const O_RDONLY: u32 = 0;
/// Open for writing only.
pub const O_WRONLY: u32 = 1;
/// Open for both.
pub const O_RDWR: u32 = 2;
/// The bits of the access mode.
pub const O_ACCMODE: u32 = 3;
/// Create the file.
pub const O_CREAT: u32 = 0o100;
/// Fail if it exists.
pub const O_EXCL: u32 = 0o200;
/// Empty the file.
pub const O_TRUNC: u32 = 0o1000;
/// Write at the end.
pub const O_APPEND: u32 = 0o2000;
/// Do not wait.
pub const O_NONBLOCK: u32 = 0o4000;
/// Only if it is a directory.
pub const O_DIRECTORY: u32 = 0o200_000;
/// Not through a symbolic link.
pub const O_NOFOLLOW: u32 = 0o400_000;
/// Close on exec.
pub const O_CLOEXEC: u32 = 0o2_000_000;
/// A handle for a place only.
pub const O_PATH: u32 = 0o10_000_000;
/// A file without a name.
pub const O_TMPFILE: u32 = 0o20_000_000;

/// Flags that F_SETFL can change.
const SETTABLE: u32 = O_APPEND | O_NONBLOCK;

impl Description {
    /// A description with its offset at 0.
    pub fn new(object: Object, flags: u32, path: &[u8]) -> Self {
        Self { object, flags, offset: 0, path: path.into(), references: 1 }
    }

    /// Whether it was opened for reading.
    pub const fn readable(&self) -> bool {
        self.flags & O_PATH == 0 && matches!(self.flags & O_ACCMODE, O_RDONLY | O_RDWR)
    }

    /// Whether it was opened for writing.
    pub const fn writable(&self) -> bool {
        self.flags & O_PATH == 0 && matches!(self.flags & O_ACCMODE, O_WRONLY | O_RDWR)
    }

    /// Changes the status flags.
    pub const fn set_status(&mut self, flags: u32) {
        self.flags = (self.flags & !SETTABLE) | (flags & SETTABLE);
    }
}

/// A description's place in the machine's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DescriptionId(usize);

/// The open file descriptions of a machine: descriptors of several processes may name one.
#[derive(Clone, Debug, Default)]
pub struct Descriptions {
    table: Vec<Option<Description>>,
    /// No place below is free.
    free_from: usize,
    count: usize,
}

impl Descriptions {
    /// Adds a description that one descriptor names.
    pub fn add(&mut self, description: Description) -> DescriptionId {
        let mut place = self.free_from;
        while self.table.get(place).is_some_and(Option::is_some) {
            place += 1;
        }
        if place == self.table.len() {
            self.table.push(None);
        }
        self.table[place] = Some(description);
        self.free_from = place + 1;
        self.count += 1;
        DescriptionId(place)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Description> {
        self.table.iter().flatten()
    }

    /// The description.
    ///
    /// # Errors
    /// EBADF if it is gone.
    pub fn get(&self, id: DescriptionId) -> Result<&Description, Errno> {
        self.table.get(id.0).and_then(Option::as_ref).ok_or(Errno::EBADF)
    }

    /// The description, to be changed.
    ///
    /// # Errors
    /// EBADF if it is gone.
    pub fn get_mut(&mut self, id: DescriptionId) -> Result<&mut Description, Errno> {
        self.table.get_mut(id.0).and_then(Option::as_mut).ok_or(Errno::EBADF)
    }

    /// One more names it.
    pub fn share(&mut self, id: DescriptionId) {
        if let Ok(description) = self.get_mut(id) {
            description.references += 1;
        }
    }

    /// One less names it; returns the description if that was the last.
    pub fn release(&mut self, id: DescriptionId) -> Option<Description> {
        let place = self.table.get_mut(id.0)?;
        let description = place.as_mut()?;
        description.references -= 1;
        if description.references > 0 {
            return None;
        }
        self.free_from = self.free_from.min(id.0);
        self.count -= 1;
        place.take()
    }

    /// Whether some description is this file.
    pub fn names_file(&self, file: FileId) -> bool {
        let is_it = |d: &Description| matches!(d.object, Object::File(id) if id == file);
        self.iter().any(is_it)
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    description: DescriptionId,
    close_on_exec: bool,
}

/// A process's descriptors. What they name is the machine's: whoever copies a table shares each of
/// its descriptions, whoever drops one releases them.
#[derive(Clone, Debug)]
pub struct FdTable {
    slots: Vec<Option<Slot>>,
    /// Descriptors from here on are not given out (RLIMIT_NOFILE).
    limit: usize,
}

impl Default for FdTable {
    fn default() -> Self {
        Self { slots: Vec::new(), limit: MAX_DESCRIPTORS }
    }
}

impl FdTable {
    /// Descriptors 0, 1 and 2 on the machine's standard streams.
    pub fn with_stdio(all: &mut Descriptions) -> Self {
        let mut table = Self::default();
        let streams = [
            (Object::Stdin, O_RDONLY, &b"/dev/stdin"[..]),
            (Object::Stdout, O_WRONLY, b"/dev/stdout"),
            (Object::Stderr, O_WRONLY, b"/dev/stderr"),
        ];
        for (fd, (object, flags, path)) in streams.into_iter().enumerate() {
            let description = all.add(Description::new(object, flags, path));
            table.set(fd, Slot { description, close_on_exec: false });
        }
        table
    }

    /// A copy for a new process.
    pub fn copy(&self, all: &mut Descriptions) -> Self {
        self.slots.iter().flatten().for_each(|slot| all.share(slot.description));
        self.clone()
    }

    /// The description that a descriptor names.
    ///
    /// # Errors
    /// EBADF if it is not open.
    pub fn description(&self, fd: u64) -> Result<DescriptionId, Errno> {
        self.slot(fd).map(|slot| slot.description)
    }

    /// Gives a description the lowest free descriptor that is at least `lowest`.
    ///
    /// # Errors
    /// EMFILE if there is none; EINVAL if `lowest` cannot be one.
    pub fn open(
        &mut self,
        description: DescriptionId,
        close_on_exec: bool,
        lowest: u64,
    ) -> Result<u64, Errno> {
        let fd = self.lowest_free(lowest)?;
        self.set(fd, Slot { description, close_on_exec });
        Ok(fd as u64)
    }

    /// Closes a descriptor; the caller releases the description.
    ///
    /// # Errors
    /// EBADF if it is not open.
    pub fn close(&mut self, fd: u64) -> Result<DescriptionId, Errno> {
        let slot = self.slot(fd)?;
        self.slots[fd as usize] = None;
        Ok(slot.description)
    }

    /// Makes `fd`, which must not be open, name a description; the caller shares it.
    ///
    /// # Errors
    /// EBADF if `fd` is beyond the limit.
    pub fn open_at(
        &mut self,
        description: DescriptionId,
        fd: u64,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        if fd >= self.limit as u64 {
            return Err(Errno::EBADF);
        }
        debug_assert!(self.slot(fd).is_err(), "the caller closes it first");
        self.set(fd as usize, Slot { description, close_on_exec });
        Ok(())
    }

    /// No descriptor from `limit` on is given out any more; those that are open stay.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit.min(MAX_DESCRIPTORS as u64) as usize;
    }

    /// Whether a descriptor closes on exec.
    ///
    /// # Errors
    /// EBADF if it is not open.
    pub fn close_on_exec(&self, fd: u64) -> Result<bool, Errno> {
        self.slot(fd).map(|slot| slot.close_on_exec)
    }

    /// Sets whether a descriptor closes on exec.
    ///
    /// # Errors
    /// EBADF if it is not open.
    pub fn set_close_on_exec(&mut self, fd: u64, close_on_exec: bool) -> Result<(), Errno> {
        let slot = self.slot(fd)?;
        self.set(fd as usize, Slot { close_on_exec, ..slot });
        Ok(())
    }

    /// How many places the table gains with the lowest free descriptor that is at least `lowest`.
    pub fn growth(&self, lowest: u64) -> u64 {
        let fd = self.lowest_free(lowest).map_or(0, |fd| fd + 1);
        fd.saturating_sub(self.slots.len()) as u64
    }

    /// How long the table is: one more than the highest descriptor that was ever open.
    pub fn slots_len(&self) -> usize {
        self.slots.len()
    }

    /// The open descriptors, ascending.
    pub fn open_descriptors(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.is_some()).map(|(fd, _)| fd as u64)
    }

    fn slot(&self, fd: u64) -> Result<Slot, Errno> {
        let fd = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        self.slots.get(fd).copied().flatten().ok_or(Errno::EBADF)
    }

    fn lowest_free(&self, lowest: u64) -> Result<usize, Errno> {
        // A limit of 0 is no reason to call 0 impossible.
        if lowest > 0 && lowest >= self.limit as u64 {
            return Err(Errno::EINVAL);
        }
        (lowest as usize..self.limit)
            .find(|&fd| self.slots.get(fd).is_none_or(Option::is_none))
            .ok_or(Errno::EMFILE)
    }

    fn set(&mut self, fd: usize, slot: Slot) {
        if self.slots.len() <= fd {
            self.slots.resize(fd + 1, None);
        }
        self.slots[fd] = Some(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn null() -> Description {
        Description::new(Object::Null, O_RDWR, b"/dev/null")
    }

    #[test]
    fn the_lowest_free_descriptor_is_taken() {
        let mut all = Descriptions::default();
        let mut fds = FdTable::with_stdio(&mut all);
        let id = all.add(null());
        assert_eq!(fds.open(id, false, 0), Ok(3));
        assert_eq!(fds.open(id, false, 10), Ok(10));
        fds.close(1).unwrap();
        assert_eq!(fds.open(id, false, 0), Ok(1));
        assert_eq!(fds.open_descriptors().collect::<Vec<_>>(), [0, 1, 2, 3, 10]);
    }

    #[test]
    fn a_description_lives_as_long_as_it_is_named() {
        let mut all = Descriptions::default();
        let mut parent = FdTable::default();
        let id = all.add(null());
        let fd = parent.open(id, true, 0).unwrap();
        let mut child = parent.copy(&mut all);
        all.get_mut(id).unwrap().offset = 77;
        assert_eq!(all.get(child.description(fd).unwrap()).unwrap().offset, 77);
        assert!(all.release(parent.close(fd).unwrap()).is_none(), "the copy still names it");
        assert!(all.release(child.close(fd).unwrap()).is_some());
        assert!(all.get(id).is_err());
        assert_eq!(child.close(fd).unwrap_err(), Errno::EBADF);
    }

    #[test]
    fn descriptors_are_bounded() {
        let mut fds = FdTable::default();
        let id = Descriptions::default().add(null());
        for fd in 0..MAX_DESCRIPTORS as u64 {
            assert_eq!(fds.open(id, false, 0), Ok(fd));
        }
        assert_eq!(fds.open(id, false, 0), Err(Errno::EMFILE));
        fds.close(7).unwrap();
        fds.set_limit(7);
        assert_eq!(fds.open(id, false, 0), Err(Errno::EMFILE));
        assert_eq!(fds.open(id, false, 7), Err(Errno::EINVAL));
        assert_eq!(fds.open_at(id, 7, false), Err(Errno::EBADF));
        fds.set_limit(8);
        assert_eq!(fds.open(id, false, 0), Ok(7));
        assert_eq!(fds.open(id, false, u64::MAX), Err(Errno::EINVAL));
        assert!(fds.description(u64::MAX).is_err());
        assert_eq!(fds.open_at(id, 5000, false), Err(Errno::EBADF));
    }

    #[test]
    fn only_some_flags_can_be_changed() {
        let mut description = null();
        description.set_status(O_APPEND | O_WRONLY | O_TRUNC);
        assert_eq!(description.flags, O_RDWR | O_APPEND);
        assert!(description.readable() && description.writable());
    }
}
