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

use crate::errno::Errno;
use crate::files::FileId;
use crate::pipe::{PipeEnd, PipeId};
use crate::root::Location;
use crate::stat::DirectoryEntry;
use std::sync::Arc;

/// RLIMIT_NOFILE: descriptors a process may have.
pub const MAX_DESCRIPTORS: usize = 1024;

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

#[derive(Clone, Copy, Debug)]
struct Slot {
    description: usize,
    close_on_exec: bool,
}

/// A process's descriptors. Copies share nothing.
#[derive(Clone, Debug, Default)]
pub struct FdTable {
    slots: Vec<Option<Slot>>,
    descriptions: Vec<Option<Description>>,
}

impl FdTable {
    /// Descriptors 0, 1 and 2 on the machine's standard streams.
    pub fn with_stdio() -> Self {
        let mut table = Self::default();
        let streams = [
            (Object::Stdin, O_RDONLY, &b"/dev/stdin"[..]),
            (Object::Stdout, O_WRONLY, b"/dev/stdout"),
            (Object::Stderr, O_WRONLY, b"/dev/stderr"),
        ];
        for (object, flags, path) in streams {
            let opened = table.open(Description::new(object, flags, path), false, 0);
            debug_assert!(opened.is_ok());
        }
        table
    }

    /// Gives a description the lowest free descriptor that is at least `lowest`.
    ///
    /// # Errors
    /// EMFILE if there is none; EINVAL if `lowest` cannot be one.
    pub fn open(
        &mut self,
        description: Description,
        close_on_exec: bool,
        lowest: u64,
    ) -> Result<u64, Errno> {
        let fd = self.lowest_free(lowest)?;
        let description = self.add(description);
        self.set(fd, Slot { description, close_on_exec });
        Ok(fd as u64)
    }

    /// The description behind a descriptor.
    ///
    /// # Errors
    /// EBADF if it is not open.
    pub fn get(&self, fd: u64) -> Result<&Description, Errno> {
        let slot = self.slot(fd)?;
        self.descriptions[slot.description].as_ref().ok_or(Errno::EBADF)
    }

    /// The description behind a descriptor, to be changed.
    ///
    /// # Errors
    /// EBADF if it is not open.
    pub fn get_mut(&mut self, fd: u64) -> Result<&mut Description, Errno> {
        let slot = self.slot(fd)?;
        self.descriptions[slot.description].as_mut().ok_or(Errno::EBADF)
    }

    /// Closes a descriptor. Returns the object if no other descriptor names it.
    ///
    /// # Errors
    /// EBADF if it is not open.
    pub fn close(&mut self, fd: u64) -> Result<Option<Object>, Errno> {
        let slot = self.slot(fd)?;
        self.slots[fd as usize] = None;
        let place = &mut self.descriptions[slot.description];
        let Some(description) = place else { return Ok(None) };
        description.references -= 1;
        if description.references > 0 {
            return Ok(None);
        }
        Ok(place.take().map(|d| d.object))
    }

    /// A second descriptor for the same description, at least `lowest`.
    ///
    /// # Errors
    /// EBADF, EMFILE, EINVAL.
    pub fn duplicate(&mut self, fd: u64, lowest: u64, close_on_exec: bool) -> Result<u64, Errno> {
        let slot = self.slot(fd)?;
        let new = self.lowest_free(lowest)?;
        self.share(slot.description);
        self.set(new, Slot { close_on_exec, ..slot });
        Ok(new as u64)
    }

    /// Makes `new` name the description of `fd`; `new` must not be open.
    ///
    /// # Errors
    /// EBADF if `fd` is not open or `new` is beyond the limit.
    pub fn duplicate_to(&mut self, fd: u64, new: u64, close_on_exec: bool) -> Result<u64, Errno> {
        let slot = self.slot(fd)?;
        if new >= MAX_DESCRIPTORS as u64 {
            return Err(Errno::EBADF);
        }
        debug_assert!(self.slot(new).is_err(), "the caller closes it first");
        self.share(slot.description);
        self.set(new as usize, Slot { close_on_exec, ..slot });
        Ok(new)
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

    /// Whether some description is this file.
    pub fn names_file(&self, file: FileId) -> bool {
        let is_it = |d: &Description| matches!(d.object, Object::File(id) if id == file);
        self.descriptions.iter().flatten().any(is_it)
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
        if lowest >= MAX_DESCRIPTORS as u64 {
            return Err(Errno::EINVAL);
        }
        (lowest as usize..MAX_DESCRIPTORS)
            .find(|&fd| self.slots.get(fd).is_none_or(Option::is_none))
            .ok_or(Errno::EMFILE)
    }

    fn set(&mut self, fd: usize, slot: Slot) {
        if self.slots.len() <= fd {
            self.slots.resize(fd + 1, None);
        }
        self.slots[fd] = Some(slot);
    }

    fn add(&mut self, description: Description) -> usize {
        match self.descriptions.iter().position(Option::is_none) {
            Some(place) => {
                self.descriptions[place] = Some(description);
                place
            }
            None => {
                self.descriptions.push(Some(description));
                self.descriptions.len() - 1
            }
        }
    }

    fn share(&mut self, description: usize) {
        if let Some(description) = &mut self.descriptions[description] {
            description.references += 1;
        }
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
        let mut fds = FdTable::with_stdio();
        assert_eq!(fds.open(null(), false, 0), Ok(3));
        assert_eq!(fds.open(null(), false, 10), Ok(10));
        fds.close(1).unwrap();
        assert_eq!(fds.open(null(), false, 0), Ok(1));
        assert_eq!(fds.open_descriptors().collect::<Vec<_>>(), [0, 1, 2, 3, 10]);
    }

    #[test]
    fn duplicates_share_the_offset_but_not_the_flag() {
        let mut fds = FdTable::with_stdio();
        let fd = fds.open(null(), true, 0).unwrap();
        let copy = fds.duplicate(fd, 0, false).unwrap();
        fds.get_mut(fd).unwrap().offset = 77;
        assert_eq!(fds.get(copy).unwrap().offset, 77);
        assert_eq!((fds.close_on_exec(fd), fds.close_on_exec(copy)), (Ok(true), Ok(false)));
        assert!(fds.close(fd).unwrap().is_none(), "the copy still names it");
        assert!(matches!(fds.close(copy).unwrap(), Some(Object::Null)));
        assert_eq!(fds.close(copy).unwrap_err(), Errno::EBADF);
    }

    #[test]
    fn a_copied_table_has_offsets_of_its_own() {
        let mut fds = FdTable::with_stdio();
        let copy = fds.clone();
        fds.get_mut(0).unwrap().offset = 5;
        assert_eq!(copy.get(0).unwrap().offset, 0);
    }

    #[test]
    fn descriptors_are_bounded() {
        let mut fds = FdTable::default();
        for fd in 0..MAX_DESCRIPTORS as u64 {
            assert_eq!(fds.open(null(), false, 0), Ok(fd));
        }
        assert_eq!(fds.open(null(), false, 0), Err(Errno::EMFILE));
        assert_eq!(fds.open(null(), false, u64::MAX), Err(Errno::EINVAL));
        assert!(fds.get(u64::MAX).is_err());
        assert_eq!(fds.duplicate_to(0, 5000, false), Err(Errno::EBADF));
    }

    #[test]
    fn only_some_flags_can_be_changed() {
        let mut description = null();
        description.set_status(O_APPEND | O_WRONLY | O_TRUNC);
        assert_eq!(description.flags, O_RDWR | O_APPEND);
        assert!(description.readable() && description.writable());
    }
}
