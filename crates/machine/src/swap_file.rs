//! The swap device: a file on the host, cut into slots of one page.
//!
//! ```text
//!   | header page: MAGIC │ 0 … | slot 0 | slot 1 | …
//! ```
//!
//! The header tells a swap file from any other: a file of the user's that has none is refused, so
//! that no option can turn data into swap space.
//!
//! Transfers report what went wrong and leave it to the kernel what follows from it. Faults can be
//! injected, to test exactly that.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use pagewalk_kernel::{IoError, SwapSlot};
use pagewalk_mmu::PageSize;

use crate::config::SwapConfig;

/// What the header page of a swap file begins with.
const MAGIC: &[u8; 16] = b"pagewalk swap 1\n";

/// A swap device.
#[derive(Debug)]
pub struct SwapFile {
    file: Option<File>,
    page: PageSize,
    slots: u64,
    injected: Vec<Injected>,
    reads: u64,
    writes: u64,
}

/// A fault to be injected into the transfers of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    write: bool,
    first: u64,
    count: u64,
    error: IoError,
}

impl Injected {
    /// `count` reads fail, from the read `first` on, the very first being 0.
    pub const fn read(first: u64, count: u64, error: IoError) -> Self {
        Self { write: false, first, count, error }
    }

    /// `count` writes fail, from the write `first` on.
    pub const fn write(first: u64, count: u64, error: IoError) -> Self {
        Self { write: true, first, count, error }
    }
}

impl SwapFile {
    /// Opens or makes the device.
    ///
    /// # Errors
    /// The file, and why it cannot serve.
    pub fn open(config: &SwapConfig, page: PageSize) -> Result<Self, String> {
        let slots = config.bytes() / page.bytes();
        let file = match config {
            SwapConfig::None => None,
            SwapConfig::Temporary { .. } => {
                Some(tempfile::tempfile().map_err(|e| format!("--swap: no temporary file: {e}"))?)
            }
            SwapConfig::File { path, bytes } => Some(open_named(path, *bytes, page)?),
        };
        Ok(Self { file, page, slots, injected: Vec::new(), reads: 0, writes: 0 })
    }

    /// How many slots there are.
    pub const fn slots(&self) -> u64 {
        self.slots
    }

    /// A device of its own with the same content, in a temporary file.
    ///
    /// # Errors
    /// If the content cannot be copied.
    pub fn snapshot(&self) -> io::Result<Self> {
        let file = match &self.file {
            None => None,
            Some(file) => {
                let mut from = file.try_clone()?;
                from.seek(SeekFrom::Start(0))?;
                let mut to = tempfile::tempfile()?;
                io::copy(&mut from, &mut to)?;
                Some(to)
            }
        };
        Ok(Self { file, injected: self.injected.clone(), ..*self })
    }

    /// Makes transfers fail.
    pub fn inject(&mut self, fault: Injected) {
        self.injected.push(fault);
    }

    /// Reads a slot.
    ///
    /// # Errors
    /// If the bytes are not all to be had.
    pub fn read(&mut self, slot: SwapSlot, into: &mut [u8]) -> Result<(), IoError> {
        self.reads += 1;
        self.check_injected(false, self.reads - 1)?;
        let (file, offset) = self.place(slot)?;
        file.read_exact_at(into, offset).map_err(|e| io_error(&e))
    }

    /// Writes a slot.
    ///
    /// # Errors
    /// If the bytes were not all written; the slot's content is undefined then.
    pub fn write(&mut self, slot: SwapSlot, from: &[u8]) -> Result<(), IoError> {
        self.writes += 1;
        self.check_injected(true, self.writes - 1)?;
        let (file, offset) = self.place(slot)?;
        file.write_all_at(from, offset).map_err(|e| io_error(&e))
    }

    /// The file, and where in it a slot lies.
    fn place(&self, slot: SwapSlot) -> Result<(&File, u64), IoError> {
        let file = self.file.as_ref().ok_or(IoError::Io)?;
        Ok((file, (u64::from(slot.0) + 1) * self.page.bytes()))
    }

    fn check_injected(&self, write: bool, now: u64) -> Result<(), IoError> {
        let due = |fault: &&Injected| {
            fault.write == write && now >= fault.first && now - fault.first < fault.count
        };
        self.injected.iter().find(due).map_or(Ok(()), |fault| Err(fault.error))
    }
}

fn open_named(path: &Path, bytes: u64, page: PageSize) -> Result<File, String> {
    let fail = |e: io::Error| format!("--swap {}: {e}", path.display());
    if bytes < page.bytes() {
        return Err(format!(
            "--swap {}: {bytes} bytes hold no page: give at least {}",
            path.display(),
            page
        ));
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(format!("--swap {}: not a regular file", path.display()));
    }
    let need = (bytes / page.bytes() + 1) * page.bytes();
    if metadata.len() == 0 {
        file.write_all(MAGIC).and_then(|()| file.set_len(need)).map_err(fail)?;
        return Ok(file);
    }
    let mut magic = [0; MAGIC.len()];
    if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
        return Err(format!(
            "--swap {}: the file exists and is no swap file of pagewalk's: give another name",
            path.display()
        ));
    }
    if metadata.len() < need {
        return Err(format!(
            "--swap {}: the file has room for {} bytes, {bytes} are asked for: give a smaller \
             size, or another file",
            path.display(),
            metadata.len().saturating_sub(page.bytes())
        ));
    }
    Ok(file)
}

/// A host error as the kernel knows it.
pub(crate) fn io_error(error: &io::Error) -> IoError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            IoError::NoSpace
        }
        ErrorKind::UnexpectedEof | ErrorKind::WriteZero => IoError::Short,
        _ => IoError::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageSize = PageSize::from_shift(12);

    fn open(path: &Path, bytes: u64) -> Result<SwapFile, String> {
        SwapFile::open(&SwapConfig::File { path: path.to_owned(), bytes }, PAGE)
    }

    #[test]
    fn slots_keep_their_pages() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("swap");
        let mut swap = open(&path, 3 << 12).unwrap();
        assert_eq!(swap.slots(), 3);
        for slot in 0..3 {
            swap.write(SwapSlot(slot), &[slot as u8 + 1; 4096]).unwrap();
        }
        let mut copy = swap.snapshot().unwrap();
        swap.write(SwapSlot(1), &[9; 4096]).unwrap();
        for (device, expected) in [(&mut copy, 2), (&mut swap, 9)] {
            let mut page = [0; 4096];
            device.read(SwapSlot(1), &mut page).unwrap();
            assert_eq!(page, [expected; 4096]);
        }
        // The file can serve again, but not for more than it holds.
        drop(swap);
        assert!(open(&path, 2 << 12).is_ok());
        assert!(open(&path, 4 << 12).unwrap_err().contains("12288 bytes"));
    }

    #[test]
    fn data_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("thesis");
        std::fs::write(&path, "years of work").unwrap();
        assert!(open(&path, 1 << 20).unwrap_err().contains("no swap file"));
        assert_eq!(std::fs::read(&path).unwrap(), b"years of work");
        assert!(open(dir.path(), 1 << 20).is_err());
        assert!(open(&dir.path().join("new"), 100).unwrap_err().contains("at least"));
    }
}
