//! A reference string, made shorter without a loss and kept in a temporary file.
//!
//! ```text
//!   reference ──► Reducer ──► file of entries │ page: 4 bytes │ time: 8 bytes │
//!                                    │
//!                 read from the end  ▼
//!                             file of 8 bytes for each entry: when its page is referenced next
//!                                    │
//!                 both read forwards ▼
//!                             Entry { page, time, next }
//! ```
//!
//! The time of a reference is its number in the string without repeats. Little-endian.
//!
//! Invariants:
//! 1. The string is exact for LRU and OPT in [`Recording::exact_from`] frames and more.
//! 2. On the host it takes 20 bytes for each entry of file, at most [`ENTRIES_MAX`] of them, and of
//!    memory 12 bytes for each page; a string that is longer is cut off, and says so.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use pagewalk_replacement::{NEVER, Reducer};

/// The most entries: 5 GiB of temporary files.
pub const ENTRIES_MAX: u64 = 1 << 28;

const ENTRY_BYTES: usize = 12;
const NEXT_BYTES: usize = 8;

/// Entries that are read or written at once.
const CHUNK: u64 = 1 << 16;

/// One reference that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The page.
    pub page: u32,
    /// The number of the reference.
    pub time: u64,
    /// The number of the page's next one, or [`NEVER`].
    pub next: u64,
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder {
    reducer: Reducer,
    out: Writer,
}

#[derive(Debug)]
struct Writer {
    file: BufWriter<File>,
    entries: u64,
    /// What is not written: the string is as long as it will be.
    is_full: bool,
    error: Option<io::Error>,
}

impl Writer {
    fn write(&mut self, page: u32, time: u64) {
        if self.is_full {
            return;
        }
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&page.to_le_bytes());
        bytes[4..].copy_from_slice(&time.to_le_bytes());
        match self.file.write_all(&bytes) {
            Ok(()) => self.entries += 1,
            Err(error) => self.error = Some(error),
        }
        self.is_full = self.entries == ENTRIES_MAX || self.error.is_some();
    }
}

impl Recorder {
    /// A recording that is exact from `k` frames on.
    ///
    /// # Errors
    /// If there can be no temporary file.
    pub fn new(k: u64) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 16, tempfile::tempfile()?);
        let out = Writer { file, entries: 0, is_full: false, error: None };
        Ok(Self { reducer: Reducer::new(k), out })
    }

    /// A reference; says whether it is recorded.
    #[inline]
    pub fn reference(&mut self, page: u32, time: u64) -> bool {
        let out = &mut self.out;
        self.reducer.reference(page, time, &mut |page, time| out.write(page, time));
        !self.out.is_full
    }

    /// Ends the recording of a string of so many references to so many pages.
    ///
    /// # Errors
    /// If not everything could be written.
    pub fn finish(mut self, references: u64, pages: u32) -> io::Result<Recording> {
        let mut out = self.out;
        self.reducer.finish(&mut |page, time| out.write(page, time));
        if let Some(error) = out.error {
            return Err(error);
        }
        let entries = out.entries;
        let file = out.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let nexts = write_nexts(&file, entries, pages)?;
        Ok(Recording { file, nexts, entries, pages, references, exact_from: self.reducer.k() })
    }
}

/// Reads the entries from the last to the first, and writes for each when its page is next.
fn write_nexts(file: &File, entries: u64, pages: u32) -> io::Result<File> {
    let nexts = tempfile::tempfile()?;
    let mut next = vec![NEVER; pages as usize];
    let mut bytes = Vec::new();
    let mut written = Vec::new();
    let mut end = entries;
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        bytes.resize((end - start) as usize * ENTRY_BYTES, 0);
        file.read_exact_at(&mut bytes, start * ENTRY_BYTES as u64)?;
        written.resize((end - start) as usize * NEXT_BYTES, 0);
        let slots = written.chunks_exact_mut(NEXT_BYTES);
        for (entry, slot) in bytes.chunks_exact(ENTRY_BYTES).zip(slots).rev() {
            let (page, time) = decode(entry);
            let next = std::mem::replace(&mut next[page as usize], time);
            slot.copy_from_slice(&next.to_le_bytes());
        }
        nexts.write_all_at(&written, start * NEXT_BYTES as u64)?;
        end = start;
    }
    Ok(nexts)
}

fn decode(entry: &[u8]) -> (u32, u64) {
    let mut page = [0; 4];
    let mut time = [0; 8];
    page.copy_from_slice(&entry[..4]);
    time.copy_from_slice(&entry[4..ENTRY_BYTES]);
    (u32::from_le_bytes(page), u64::from_le_bytes(time))
}

/// A recorded string, with the future of each reference.
#[derive(Debug)]
pub struct Recording {
    file: File,
    nexts: File,
    entries: u64,
    pages: u32,
    references: u64,
    exact_from: u64,
}

impl Recording {
    /// References that are kept.
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// References that were made, repeats not counted.
    pub const fn references(&self) -> u64 {
        self.references
    }

    /// Different pages.
    pub const fn pages(&self) -> u32 {
        self.pages
    }

    /// In so many frames and more, LRU and OPT fault as with the whole string.
    pub const fn exact_from(&self) -> u64 {
        self.exact_from
    }

    /// The entries in order; after an error there are no more.
    pub fn read(&self) -> Reader<'_> {
        Reader { recording: self, place: Place::default() }
    }
}

/// The entries of a recording.
#[derive(Debug)]
pub struct Reader<'a> {
    recording: &'a Recording,
    place: Place,
}

impl Iterator for Reader<'_> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<io::Result<Entry>> {
        self.place.next(self.recording)
    }
}

/// A place in a recording, with what was read ahead.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Behind what was read.
    at: u64,
    entries: std::vec::IntoIter<Entry>,
}

impl Place {
    /// The entry here; the place moves behind it.
    pub fn next(&mut self, recording: &Recording) -> Option<io::Result<Entry>> {
        if let Some(entry) = self.entries.next() {
            return Some(Ok(entry));
        }
        match self.fill(recording) {
            Ok(()) => self.entries.next().map(Ok),
            Err(error) => {
                self.at = recording.entries;
                Some(Err(error))
            }
        }
    }

    fn fill(&mut self, recording: &Recording) -> io::Result<()> {
        let count = CHUNK.min(recording.entries - self.at) as usize;
        let mut bytes = vec![0; count * ENTRY_BYTES];
        let mut nexts = vec![0; count * NEXT_BYTES];
        recording.file.read_exact_at(&mut bytes, self.at * ENTRY_BYTES as u64)?;
        recording.nexts.read_exact_at(&mut nexts, self.at * NEXT_BYTES as u64)?;
        let entries = bytes.chunks_exact(ENTRY_BYTES).zip(nexts.chunks_exact(NEXT_BYTES));
        let entries: Vec<Entry> = entries
            .map(|(entry, next)| {
                let (page, time) = decode(entry);
                let mut bytes = [0; NEXT_BYTES];
                bytes.copy_from_slice(next);
                Entry { page, time, next: u64::from_le_bytes(bytes) }
            })
            .collect();
        self.at += count as u64;
        self.entries = entries.into_iter();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than what is read at once; with k = 1 nothing but repeats goes.
    #[test]
    fn what_is_recorded_is_read_with_its_future() {
        let pages = 1000;
        let count = CHUNK * 2 + 77;
        let page_at = |time: u64| (time * time % u64::from(pages)) as u32;
        let mut recorder = Recorder::new(1).unwrap();
        let mut string: Vec<(u32, u64)> = Vec::new();
        for time in 0..count {
            recorder.reference(page_at(time), time);
            if string.last().is_none_or(|last| last.0 != page_at(time)) {
                string.push((page_at(time), time));
            }
        }
        let recording = recorder.finish(count, pages).unwrap();
        assert_eq!(recording.references(), count);
        let read: Vec<Entry> = recording.read().map(Result::unwrap).collect();
        assert_eq!(read.len() as u64, recording.entries());
        assert!(recording.entries() > CHUNK * 2 && read.len() <= string.len() + 2);
        for (n, entry) in read.iter().enumerate() {
            assert_eq!(entry.page, page_at(entry.time));
            let near = read[n + 1..].iter().take(5000).find(|later| later.page == entry.page);
            match near {
                Some(later) => assert_eq!(entry.next, later.time),
                None => assert!(
                    entry.next == NEVER || entry.next > read[(n + 5000).min(read.len() - 1)].time
                ),
            }
        }
    }

    #[test]
    fn an_empty_string_has_no_entries() {
        let recording = Recorder::new(8).unwrap().finish(0, 0).unwrap();
        assert_eq!(recording.read().count(), 0);
    }
}
