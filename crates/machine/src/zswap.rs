//! zswap: compressed pages in RAM, before the swap devices.
//!
//! ```text
//!   page out ─► all words equal? ─► the word is kept: no memory             zswpout
//!               compressed smaller than a page? ─► into the pool            zswpout
//!               │                    └ no room ─► the page that was used least recently
//!               │                                 is decompressed, and written to its device   zswpwb
//!               └ no ─► to its device                                       reject_compress_poor
//!   page in ──► in the pool or a word? ─► decompressed                      zswpin
//!               no ─► from its device
//! ```
//!
//! Every page has its slot on a device all the same, as under Linux: it is where the page goes when
//! the pool is full.
//!
//! The pool is frames of the machine's RAM, which programs do not get. A page takes its compressed
//! bytes, rounded up to [`CHUNK_BYTES`] (zsmalloc's classes lie so far apart); pages of one word take
//! nothing, and are never written to a device to make room. What is kept beside each page to find it is
//! in neither account, as Linux's `struct zswap_entry` is in none.
//!
//! Source: mm/zswap.c, Documentation/admin-guide/mm/zswap.rst.
//!
//! Invariants:
//! 1. A slot's page is in zswap or on its device, never both.
//! 2. `used` is the sum of the entries' sizes, and at most `capacity`.
//! 3. `recent` has every entry that takes memory, under the time of its last use.

use std::collections::BTreeMap;
use std::fmt;

/// The granularity of the pool.
const CHUNK_BYTES: u64 = 16;

/// The level of zstd's compression (Linux's default).
const ZSTD_LEVEL: i32 = 3;

/// How pages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compressor {
    /// LZ4.
    #[default]
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Compressor {
    /// The names of all, the default first.
    pub const NAMES: &'static [&'static str] = &["lz4", "zstd"];

    /// The one of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Lz4, Self::Zstd].into_iter().find(|compressor| compressor.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// What compresses, with the memory that it works in.
enum Codec {
    Lz4,
    Zstd(Box<zstd::bulk::Compressor<'static>>, Box<zstd::bulk::Decompressor<'static>>),
}

impl Codec {
    fn new(compressor: Compressor) -> Self {
        let zstd = || {
            let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
            std::io::Result::Ok((compressor, zstd::bulk::Decompressor::new()?))
        };
        match compressor {
            Compressor::Lz4 => Self::Lz4,
            Compressor::Zstd => {
                let (compress, decompress) = zstd().expect("a level that there is");
                Self::Zstd(Box::new(compress), Box::new(decompress))
            }
        }
    }

    const fn compressor(&self) -> Compressor {
        match self {
            Self::Lz4 => Compressor::Lz4,
            Self::Zstd(..) => Compressor::Zstd,
        }
    }

    fn compress(&mut self, page: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Lz4 => Some(lz4_flex::block::compress(page)),
            Self::Zstd(compress, _) => compress.compress(page).ok(),
        }
    }

    /// Whether the bytes were a page of `into`'s size.
    fn decompress(&mut self, bytes: &[u8], into: &mut [u8]) -> bool {
        let done = match self {
            Self::Lz4 => lz4_flex::block::decompress_into(bytes, into).ok(),
            Self::Zstd(_, decompress) => decompress.decompress_to_buffer(bytes, into).ok(),
        };
        done == Some(into.len())
    }
}

impl Clone for Codec {
    fn clone(&self) -> Self {
        Self::new(self.compressor())
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.compressor().fmt(f)
    }
}

/// A store of compressed pages, to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZswapConfig {
    /// RAM that it takes, in bytes; rounded up to whole frames.
    pub bytes: u64,
    /// How pages are compressed.
    pub compressor: Compressor,
}

/// What the store did, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZswapCounters {
    /// Pages brought back from the store.
    pub zswpin: u64,
    /// Pages put into it.
    pub zswpout: u64,
    /// Pages written from it to their devices for want of room.
    pub zswpwb: u64,
    /// Pages put into it that were one word.
    pub same_filled: u64,
    /// Pages that were not smaller when compressed, and went to their devices.
    pub reject_compress_poor: u64,
    /// Bytes of the pages that were compressed into it,
    pub bytes_in: u64,
    /// and what became of them, rounded up.
    pub bytes_out: u64,
}

/// The store.
#[derive(Clone, Debug)]
pub(crate) struct Zswap {
    codec: Codec,
    page_bytes: u64,
    capacity: u64,
    used: u64,
    peak: u64,
    entries: BTreeMap<u32, Entry>,
    /// By time of last use.
    recent: BTreeMap<u64, u32>,
    now: u64,
    counters: ZswapCounters,
}

#[derive(Clone, Debug)]
enum Entry {
    /// This word over and over.
    Same(u64),
    /// Compressed, last used then.
    Packed { bytes: Box<[u8]>, used: u64 },
}

/// A page, ready to be put in.
#[derive(Debug)]
pub(crate) struct Packed(Entry);

impl Packed {
    /// What it takes of the pool.
    pub fn size(&self) -> u64 {
        size(&self.0)
    }
}

impl Zswap {
    /// A store that has so many bytes, for pages of `page_bytes`.
    pub fn new(config: ZswapConfig, page_bytes: u64) -> Self {
        Self {
            codec: Codec::new(config.compressor),
            page_bytes,
            capacity: config.bytes.next_multiple_of(page_bytes),
            used: 0,
            peak: 0,
            entries: BTreeMap::new(),
            recent: BTreeMap::new(),
            now: 0,
            counters: ZswapCounters::default(),
        }
    }

    pub const fn compressor(&self) -> Compressor {
        self.codec.compressor()
    }

    pub const fn counters(&self) -> ZswapCounters {
        self.counters
    }

    /// Bytes of RAM, those in use, and the most that ever were.
    pub const fn bytes(&self) -> [u64; 3] {
        [self.capacity, self.used, self.peak]
    }

    /// Pages held.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn has(&self, slot: u32) -> bool {
        self.entries.contains_key(&slot)
    }

    /// Compresses a page; `None` if that does not make it smaller.
    pub fn pack(&mut self, page: &[u8]) -> Option<Packed> {
        if let Some(word) = same_word(page) {
            return Some(Packed(Entry::Same(word)));
        }
        let bytes = self.codec.compress(page)?.into_boxed_slice();
        let packed = Packed(Entry::Packed { bytes, used: 0 });
        if packed.size() >= self.page_bytes.min(self.capacity + 1) {
            self.counters.reject_compress_poor += 1;
            return None;
        }
        Some(packed)
    }

    /// Whether there is room for it.
    pub fn has_room(&self, packed: &Packed) -> bool {
        self.used + packed.size() <= self.capacity
    }

    /// Puts a page in, for which there is room.
    pub fn insert(&mut self, slot: u32, packed: Packed) {
        assert!(self.has_room(&packed), "the pool has no room for slot {slot}");
        self.remove(slot);
        let Packed(mut entry) = packed;
        self.counters.zswpout += 1;
        match &mut entry {
            Entry::Same(_) => self.counters.same_filled += 1,
            Entry::Packed { used, .. } => {
                self.now += 1;
                *used = self.now;
                self.recent.insert(self.now, slot);
                self.counters.bytes_in += self.page_bytes;
                self.counters.bytes_out += size(&entry);
            }
        }
        self.used += size(&entry);
        self.peak = self.peak.max(self.used);
        self.entries.insert(slot, entry);
    }

    /// Brings a page back, if it is here.
    pub fn load(&mut self, slot: u32, into: &mut [u8]) -> bool {
        if !self.fill(slot, into) {
            return false;
        }
        self.counters.zswpin += 1;
        if let Some(Entry::Packed { used, .. }) = self.entries.get_mut(&slot) {
            self.now += 1;
            self.recent.remove(used);
            *used = self.now;
            self.recent.insert(self.now, slot);
        }
        true
    }

    /// The slot of the page that was used least recently, and the page; it stays.
    pub fn oldest(&mut self) -> Option<(u32, Vec<u8>)> {
        let (_, &slot) = self.recent.first_key_value()?;
        let mut page = vec![0; self.page_bytes as usize];
        self.fill(slot, &mut page).then_some((slot, page))
    }

    /// The page of a slot was written to its device, and goes.
    pub fn written_back(&mut self, slot: u32) {
        self.counters.zswpwb += 1;
        self.remove(slot);
    }

    /// Nobody wants the page of a slot any more.
    pub fn remove(&mut self, slot: u32) {
        if let Some(entry) = self.entries.remove(&slot) {
            self.used -= size(&entry);
            if let Entry::Packed { used, .. } = entry {
                self.recent.remove(&used);
            }
        }
    }

    fn fill(&mut self, slot: u32, into: &mut [u8]) -> bool {
        match self.entries.get(&slot) {
            None => false,
            Some(Entry::Same(word)) => {
                into.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&word.to_le_bytes()));
                true
            }
            Some(Entry::Packed { bytes, .. }) => self.codec.decompress(bytes, into),
        }
    }

    /// Checks the invariants.
    ///
    /// # Errors
    /// What does not hold.
    pub fn audit(&self) -> Result<(), String> {
        let used: u64 = self.entries.values().map(size).sum();
        if used != self.used || used > self.capacity {
            let (counted, capacity) = (self.used, self.capacity);
            return Err(format!("zswap holds {used} bytes, counted as {counted}, of {capacity}"));
        }
        for (slot, entry) in &self.entries {
            if let Entry::Packed { used, .. } = entry
                && self.recent.get(used) != Some(slot)
            {
                return Err(format!("zswap does not know when slot {slot} was used"));
            }
        }
        let packed = self.entries.values().filter(|entry| size(entry) > 0).count();
        if packed != self.recent.len() {
            return Err(format!("{packed} packed pages, {} in order of use", self.recent.len()));
        }
        Ok(())
    }
}

fn size(entry: &Entry) -> u64 {
    match entry {
        Entry::Same(_) => 0,
        Entry::Packed { bytes, .. } => (bytes.len() as u64).next_multiple_of(CHUNK_BYTES),
    }
}

/// The word that a page is filled with, if it is one.
fn same_word(page: &[u8]) -> Option<u64> {
    let (first, rest) = page.split_first_chunk::<8>()?;
    rest.chunks_exact(8).all(|word| word == first).then(|| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    fn store(bytes: u64, compressor: Compressor) -> Zswap {
        Zswap::new(ZswapConfig { bytes, compressor }, PAGE as u64)
    }

    /// Compressible, and another for each seed.
    fn page(seed: u8) -> Vec<u8> {
        (0..PAGE).map(|n| (n / 16) as u8 ^ seed).collect()
    }

    fn noise() -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..PAGE).map(|_| next()).collect()
    }

    fn put(zswap: &mut Zswap, slot: u32, page: &[u8]) {
        let packed = zswap.pack(page).expect("a page that can be compressed");
        zswap.insert(slot, packed);
        zswap.audit().unwrap();
    }

    fn get(zswap: &mut Zswap, slot: u32) -> Option<Vec<u8>> {
        let mut into = vec![0xee; PAGE];
        zswap.load(slot, &mut into).then_some(into)
    }

    #[test]
    fn pages_come_back_as_they_were() {
        for compressor in [Compressor::Lz4, Compressor::Zstd] {
            let mut zswap = store(1 << 16, compressor);
            (0..8).for_each(|n| put(&mut zswap, n, &page(n as u8)));
            let [capacity, used, _] = zswap.bytes();
            assert!(used > 0 && used * 2 < 8 * PAGE as u64 && capacity == 1 << 16);
            (0..8).for_each(|n| assert_eq!(get(&mut zswap, n), Some(page(n as u8))));
            assert_eq!(get(&mut zswap, 9), None);
            // What is put in again takes the place of what was there.
            put(&mut zswap, 3, &page(77));
            assert_eq!(get(&mut zswap, 3), Some(page(77)));
            (0..8).for_each(|n| zswap.remove(n));
            assert_eq!((zswap.bytes()[1], zswap.len()), (0, 0));
            zswap.audit().unwrap();
        }
    }

    #[test]
    fn a_page_of_one_word_takes_no_memory_and_is_never_the_oldest() {
        let mut zswap = store(1 << 16, Compressor::Lz4);
        let words = [1, 2, 3, 4, 5, 6, 7, 8].repeat(PAGE / 8);
        put(&mut zswap, 5, &words);
        put(&mut zswap, 6, &[0; PAGE]);
        assert_eq!((zswap.bytes()[1], zswap.oldest()), (0, None));
        assert_eq!(get(&mut zswap, 5), Some(words));
        assert_eq!(get(&mut zswap, 6), Some(vec![0; PAGE]));
        assert_eq!((zswap.counters().same_filled, zswap.counters().zswpin), (2, 2));
    }

    #[test]
    fn the_page_that_was_used_least_recently_goes_first() {
        let mut zswap = store(1 << 16, Compressor::Zstd);
        (0..4).for_each(|n| put(&mut zswap, n, &page(n as u8)));
        assert_eq!(get(&mut zswap, 0), Some(page(0)));
        for slot in [1, 2, 3, 0] {
            assert_eq!(zswap.oldest(), Some((slot, page(slot as u8))));
            zswap.written_back(slot);
        }
        assert_eq!((zswap.counters().zswpwb, zswap.len()), (4, 0));
    }

    #[test]
    fn what_does_not_shrink_or_fit_is_left_to_its_device() {
        for compressor in [Compressor::Lz4, Compressor::Zstd] {
            let mut zswap = store(1 << 16, compressor);
            assert!(zswap.pack(&noise()).is_none());
            assert_eq!(zswap.counters().reject_compress_poor, 1);
        }
    }
}
