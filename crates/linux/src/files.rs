//! Host files that the guest has open or mapped.
//!
//! ```text
//!   Description ─┐                     ┌─ read(), write()
//!   Description ─┼─► FileId ─► Files ──┤
//!   Region ──────┘              ▲      └─ page-ins and write-back, by the machine's platform
//!   cached page ───┘            one entry for each host inode
//! ```
//!
//! Invariants:
//! 1. One inode has one [`FileId`] while it is open, so that the page cache is the same for all who
//!    have it open. Ids are never used twice.
//! 2. A file stays open while a description names it or the kernel maps it.
//!
//! [`Files`] is a handle: clones name the same table, one for the system calls and one for the
//! platform. [`Files::snapshot`] makes a table of its own for a copied machine.

use crate::moved::Moved;
use cap_std::fs::Metadata;
use cap_std::fs::MetadataExt;
use std::collections::BTreeMap;
use std::fs::{File, FileTimes};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use pagewalk_kernel::FileId;

/// The open host files.
#[derive(Clone, Default)]
pub struct Files(Arc<Mutex<Table>>);

#[derive(Clone, Default)]
struct Table {
    next: u32,
    /// How often a file was changed; copies of the table share it.
    changes: Arc<AtomicU64>,
    entries: BTreeMap<FileId, Entry>,
    by_inode: BTreeMap<Inode, FileId>,
}

/// A host file's identity: device and inode.
pub type Inode = (u64, u64);

#[derive(Clone)]
struct Entry {
    inode: Inode,
    /// Where the guest has opened it.
    path: Arc<[u8]>,
    reader: Option<Arc<File>>,
    writer: Option<Arc<File>>,
}

impl Entry {
    fn any(&self) -> io::Result<Arc<File>> {
        self.reader.clone().or_else(|| self.writer.clone()).ok_or_else(unknown_file)
    }
}

fn unknown_file() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the file is no longer open")
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.table().entries.keys()).finish()
    }
}

impl Files {
    /// Enters an open file. If its inode is known, the entry gains what this handle can do.
    ///
    /// # Errors
    /// If the host does not tell the inode.
    pub fn insert(&self, file: File, readable: bool, writable: bool) -> io::Result<FileId> {
        let metadata = Metadata::from_file(&file)?;
        let inode = (metadata.dev(), metadata.ino());
        let mut table = self.table();
        let id = match table.by_inode.get(&inode) {
            Some(&id) => id,
            None => table.add(inode)?,
        };
        let file = Arc::new(file);
        if let Some(entry) = table.entries.get_mut(&id) {
            if readable && entry.reader.is_none() {
                entry.reader = Some(Arc::clone(&file));
            }
            if writable && entry.writer.is_none() {
                entry.writer = Some(file);
            }
        }
        Ok(id)
    }

    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    ///
    /// # Errors
    /// As the host's.
    pub fn read_at(&self, id: FileId, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let file = self.entry(id)?.reader.ok_or_else(unknown_file)?;
        let mut done = 0;
        while done < buf.len() {
            match file.read_at(&mut buf[done..], offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Writes up to `bytes.len()` bytes and returns how many; 0 only if there is no error to tell.
    ///
    /// # Errors
    /// As the host's, if nothing was written.
    pub fn write_at(&self, id: FileId, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.note_change();
        let file = self.entry(id)?.writer.ok_or_else(unknown_file)?;
        let mut done = 0;
        while done < bytes.len() {
            match file.write_at(&bytes[done..], offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The error will come again, on the next call.
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Says where the guest sees a file.
    pub(crate) fn set_path(&self, id: FileId, path: &[u8]) {
        if let Some(entry) = self.table().entries.get_mut(&id) {
            entry.path = path.into();
        }
    }

    /// A host file that may be open has another path.
    pub(crate) fn rename(&self, inode: Inode, path: &[u8]) {
        let mut table = self.table();
        if let Some(id) = table.by_inode.get(&inode).copied()
            && let Some(entry) = table.entries.get_mut(&id)
        {
            entry.path = path.into();
        }
    }

    /// Where the guest sees a file.
    pub(crate) fn path(&self, id: FileId) -> Arc<[u8]> {
        self.entry(id).map(|entry| entry.path).unwrap_or_default()
    }

    /// Whether a file has lost all its names.
    pub(crate) fn is_deleted(&self, id: FileId) -> bool {
        self.metadata(id).is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Another handle of an open file.
    ///
    /// # Errors
    /// As the host's.
    pub(crate) fn reopen(&self, id: FileId) -> io::Result<File> {
        self.entry(id)?.any()?.try_clone()
    }

    /// The file's length.
    ///
    /// # Errors
    /// As the host's.
    pub fn len(&self, id: FileId) -> io::Result<u64> {
        Ok(self.entry(id)?.any()?.metadata()?.len())
    }

    /// Sets the file's length.
    ///
    /// # Errors
    /// As the host's.
    pub fn set_len(&self, id: FileId, len: u64) -> io::Result<()> {
        self.note_change();
        self.entry(id)?.writer.ok_or_else(unknown_file)?.set_len(len)
    }

    /// Makes a range of the file read as zeroes, up to the file's end; the length stays.
    ///
    /// # Errors
    /// As the host's.
    pub fn punch(&self, id: FileId, range: Range<u64>) -> io::Result<()> {
        self.note_change();
        static ZEROES: [u8; 64 << 10] = [0; 64 << 10];
        let file = self.entry(id)?.writer.ok_or_else(unknown_file)?;
        let range = range.start..range.end.min(self.len(id)?);
        if range.is_empty() {
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if fallocate(&file, how, range.start, range.end - range.start).is_ok() {
                return Ok(());
            }
        }
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(ZEROES.len() as u64) as usize;
            file.write_all_at(&ZEROES[..len], at)?;
            at += len as u64;
        }
        Ok(())
    }

    /// The host's metadata.
    ///
    /// # Errors
    /// As the host's.
    pub fn metadata(&self, id: FileId) -> io::Result<Metadata> {
        Metadata::from_file(&*self.entry(id)?.any()?)
    }

    /// The host's identity of the file.
    ///
    /// # Errors
    /// If it is not open.
    pub(crate) fn inode(&self, id: FileId) -> io::Result<Inode> {
        self.entry(id).map(|entry| entry.inode)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As the host's.
    pub fn sync(&self, id: FileId) -> io::Result<()> {
        self.entry(id)?.any()?.sync_all()
    }

    /// Sets the host file's times.
    ///
    /// # Errors
    /// As the host's.
    pub fn set_times(&self, id: FileId, times: FileTimes) -> io::Result<()> {
        self.note_change();
        self.entry(id)?.any()?.set_times(times)
    }

    /// Closes a file that no one names any more.
    pub fn close(&self, id: FileId) {
        let mut table = self.table();
        if let Some(entry) = table.entries.remove(&id) {
            table.by_inode.remove(&entry.inode);
        }
    }

    /// How many files are open.
    pub fn count(&self) -> usize {
        self.table().entries.len()
    }

    /// The open files, in order.
    pub fn ids(&self) -> Vec<FileId> {
        self.table().entries.keys().copied().collect()
    }

    /// An independent table of the same open files.
    pub fn snapshot(&self) -> Self {
        Self(Arc::new(Mutex::new(self.table().clone())))
    }

    /// How often files were changed, or were to be.
    pub(crate) fn changes(&self) -> u64 {
        self.table().changes.load(Ordering::Relaxed)
    }

    fn note_change(&self) {
        self.table().changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Open files that have lost all their names.
    pub(crate) fn nameless(&self) -> io::Result<Vec<(Inode, File)>> {
        let mut files = Vec::new();
        for entry in self.table().entries.values() {
            let file = entry.any()?;
            if Metadata::from_file(&file)?.nlink() == 0 {
                // It may be open for writing alone.
                let again = format!("/proc/self/fd/{}", file.as_raw_fd());
                files.push((entry.inode, File::open(again)?));
            }
        }
        Ok(files)
    }

    /// Opens files where they are now.
    pub(crate) fn move_to(&self, moved: &BTreeMap<Inode, Moved>) -> io::Result<()> {
        let mut table = self.table();
        for entry in table.entries.values_mut() {
            let Some(Moved { inode, path }) = moved.get(&entry.inode) else { continue };
            if entry.reader.is_some() {
                entry.reader = Some(Arc::new(File::open(path)?));
            }
            if entry.writer.is_some() {
                entry.writer = Some(Arc::new(File::options().write(true).open(path)?));
            }
            entry.inode = *inode;
        }
        table.by_inode = table.entries.iter().map(|(id, entry)| (entry.inode, *id)).collect();
        Ok(())
    }

    fn entry(&self, id: FileId) -> io::Result<Entry> {
        self.table().entries.get(&id).cloned().ok_or_else(unknown_file)
    }

    /// The table is consistent between any two statements, so a poisoned lock is as good as another.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, inode: Inode) -> io::Result<FileId> {
        let id = FileId(self.next);
        self.next = self.next.checked_add(1).ok_or(io::ErrorKind::OutOfMemory)?;
        self.entries.insert(id, Entry { inode, path: Arc::default(), reader: None, writer: None });
        self.by_inode.insert(inode, id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn one_inode_is_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"0123456789").unwrap();
        let files = Files::default();
        let first = files.insert(File::open(&path).unwrap(), true, false).unwrap();
        assert!(files.write_at(first, 0, b"x").is_err(), "opened for reading only");
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        assert_eq!(files.insert(writer, false, true).unwrap(), first);
        assert_eq!(files.write_at(first, 8, b"abcd").unwrap(), 4);
        let mut buf = [0; 8];
        assert_eq!(files.read_at(first, 6, &mut buf).unwrap(), 6);
        assert_eq!(&buf[..6], b"67abcd");
        assert_eq!(files.len(first).unwrap(), 12);
    }

    #[test]
    fn ids_are_not_used_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, b"x").unwrap();
        let files = Files::default();
        let first = files.insert(File::open(&path).unwrap(), true, false).unwrap();
        let copy = files.snapshot();
        files.close(first);
        assert!(files.read_at(first, 0, &mut [0]).is_err());
        assert_eq!(copy.read_at(first, 0, &mut [0]).unwrap(), 1, "a snapshot keeps its files");
        let second = files.insert(File::open(&path).unwrap(), true, false).unwrap();
        assert_ne!(first, second);
    }
}
