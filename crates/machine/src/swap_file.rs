//! The swap device: a file on the host, cut into slots of one page.
//!
//! Transfers report what went wrong and leave it to the kernel what follows from it. Faults can be
//! injected, to test exactly that.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use pagewalk_kernel::{IoError, SwapSlot};
use pagewalk_mmu::PageSize;

use crate::config::SwapConfig;

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
        let file = self.seek(slot)?;
        file.read_exact(into).map_err(|e| io_error(&e))
    }

    /// Writes a slot.
    ///
    /// # Errors
    /// If the bytes were not all written; the slot's content is undefined then.
    pub fn write(&mut self, slot: SwapSlot, from: &[u8]) -> Result<(), IoError> {
        self.writes += 1;
        self.check_injected(true, self.writes - 1)?;
        let file = self.seek(slot)?;
        file.write_all(from).map_err(|e| io_error(&e))
    }

    fn seek(&mut self, slot: SwapSlot) -> Result<&mut File, IoError> {
        let file = self.file.as_mut().ok_or(IoError::Io)?;
        let offset = u64::from(slot.0) * self.page.bytes();
        file.seek(SeekFrom::Start(offset)).map_err(|e| io_error(&e))?;
        Ok(file)
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
    let file = OpenOptions::new()
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
    if metadata.len() == 0 {
        file.set_len(bytes).map_err(fail)?;
    } else if metadata.len() < bytes {
        return Err(format!(
            "--swap {}: the file has {} bytes, {bytes} are asked for: give a smaller size, or \
             another file",
            path.display(),
            metadata.len()
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
