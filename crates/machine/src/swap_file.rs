//! What a swap device keeps its pages on: a file on the host, cut into slots of one page, or memory
//! of the host's.
//!
//! ```text
//!   | header page: MAGIC │ 0 … | slot 0 | slot 1 | …
//! ```
//!
//! The header tells a swap file from any other: a file of the user's that has none is refused, so
//! that no option can turn data into swap space.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use pagewalk_kernel::IoError;
use pagewalk_mmu::PageSize;

use crate::config::{SwapConfig, SwapStore};

/// What the header page of a swap file begins with.
const MAGIC: &[u8; 16] = b"pagewalk swap 1\n";

/// A medium with slots.
#[derive(Debug)]
pub(crate) struct SwapFile {
    medium: Medium,
    page: PageSize,
}

#[derive(Debug)]
enum Medium {
    File(File),
    /// The pages that were ever written.
    Ram(BTreeMap<u32, Box<[u8]>>),
}

impl SwapFile {
    /// Opens or makes the medium.
    ///
    /// # Errors
    /// The file, and why it cannot serve.
    pub fn open(config: &SwapConfig, page: PageSize) -> Result<Self, String> {
        let medium = match &config.store {
            SwapStore::Ram => Medium::Ram(BTreeMap::new()),
            SwapStore::Temporary => Medium::File(
                tempfile::tempfile().map_err(|e| format!("--swap: no temporary file: {e}"))?,
            ),
            SwapStore::File(path) => Medium::File(open_named(path, config.bytes, page)?),
        };
        Ok(Self { medium, page })
    }

    /// A medium of its own with the same content, in a temporary file if it is one.
    ///
    /// # Errors
    /// If the content cannot be copied.
    pub fn snapshot(&self) -> io::Result<Self> {
        let medium = match &self.medium {
            Medium::Ram(pages) => Medium::Ram(pages.clone()),
            Medium::File(file) => {
                let mut from = file.try_clone()?;
                from.seek(SeekFrom::Start(0))?;
                let mut to = tempfile::tempfile()?;
                io::copy(&mut from, &mut to)?;
                Medium::File(to)
            }
        };
        Ok(Self { medium, page: self.page })
    }

    /// Reads a slot.
    ///
    /// # Errors
    /// If the bytes are not all to be had.
    pub fn read(&self, slot: u32, into: &mut [u8]) -> Result<(), IoError> {
        match &self.medium {
            Medium::File(file) => {
                file.read_exact_at(into, self.offset(slot)).map_err(|e| io_error(&e))
            }
            Medium::Ram(pages) => {
                let page = pages.get(&slot).ok_or(IoError::Short)?;
                into.copy_from_slice(page);
                Ok(())
            }
        }
    }

    /// Writes a slot.
    ///
    /// # Errors
    /// If the bytes were not all written; the slot's content is undefined then.
    pub fn write(&mut self, slot: u32, from: &[u8]) -> Result<(), IoError> {
        let offset = self.offset(slot);
        match &mut self.medium {
            Medium::File(file) => file.write_all_at(from, offset).map_err(|e| io_error(&e)),
            Medium::Ram(pages) => {
                match pages.get_mut(&slot) {
                    Some(page) => page.copy_from_slice(from),
                    None => drop(pages.insert(slot, from.into())),
                }
                Ok(())
            }
        }
    }

    /// Whether it is memory.
    pub const fn is_memory(&self) -> bool {
        matches!(self.medium, Medium::Ram(_))
    }

    /// Nobody wants a slot's page any more.
    pub fn forget(&mut self, slot: u32) {
        if let Medium::Ram(pages) = &mut self.medium {
            pages.remove(&slot);
        }
    }

    /// Where in the file a slot lies.
    fn offset(&self, slot: u32) -> u64 {
        (u64::from(slot) + 1) * self.page.bytes()
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

    fn config(path: &Path, bytes: u64) -> SwapConfig {
        let store = SwapStore::File(path.to_owned());
        SwapConfig { store, ..SwapConfig::temporary(bytes) }
    }

    fn open(path: &Path, bytes: u64) -> Result<SwapFile, String> {
        SwapFile::open(&config(path, bytes), PAGE)
    }

    #[test]
    fn slots_keep_their_pages() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("swap");
        for config in [
            config(&path, 3 << 12),
            SwapConfig::temporary(3 << 12),
            SwapConfig { store: SwapStore::Ram, ..SwapConfig::temporary(3 << 12) },
        ] {
            let mut swap = SwapFile::open(&config, PAGE).unwrap();
            for slot in 0..3 {
                swap.write(slot, &[slot as u8 + 1; 4096]).unwrap();
            }
            let copy = swap.snapshot().unwrap();
            swap.write(1, &[9; 4096]).unwrap();
            for (device, expected) in [(&copy, 2), (&swap, 9)] {
                let mut page = [0; 4096];
                device.read(1, &mut page).unwrap();
                assert_eq!(page, [expected; 4096]);
            }
        }
        // The file can serve again, but not for more than it holds.
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
