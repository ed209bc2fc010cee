//! Words and bytes: how a machine of words lies in page tables made for bytes.
//!
//! ```text
//!   word address   a = page × P + offset          P words a page, any number, also 100
//!                      │            │
//!                      ▼            ▼
//!   byte address   page << shift │ offset × W     pages of the MMU, at least P × W bytes
//! ```
//!
//! What a page of the MMU has beyond P words is not used. So a program has the same pages, at the
//! same word addresses, whatever MMU it runs on, and physical word addresses are frame × P + offset.

use pagewalk_mmu::{PageSize, Pfn, PhysAddr, VirtAddr};

/// The sizes of words and pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a word: 1, 2, 4 or 8.
    pub word: u64,
    /// Words of a page.
    pub page_words: u64,
    /// The MMU's page.
    pub page: PageSize,
}

impl Geometry {
    /// The page and the offset in it of a word address.
    pub const fn split(&self, address: u64) -> (u64, u64) {
        (address / self.page_words, address % self.page_words)
    }

    /// The bytes of so many pages; more than there are addresses are as many as there are.
    pub fn len(&self, pages: u64) -> u64 {
        pages.saturating_mul(self.page.bytes())
    }

    /// Where a word lies in the MMU's address space. `None` if that is beyond 64 bits.
    pub fn va(&self, address: u64) -> Option<VirtAddr> {
        let (page, offset) = self.split(address);
        let base = self.page_va(page)?;
        Some(VirtAddr(base.0 + offset * self.word))
    }

    /// Where a page begins in the MMU's address space. `None` if that is beyond 64 bits.
    pub fn page_va(&self, page: u64) -> Option<VirtAddr> {
        let fits = page.leading_zeros() >= u32::from(self.page.shift());
        fits.then(|| VirtAddr(page << self.page.shift()))
    }

    /// The word address of a virtual address.
    pub const fn address(&self, va: VirtAddr) -> u64 {
        let offset = va.offset(self.page) / self.word;
        // Bytes of a page that hold no word belong to its last.
        let last = self.page_words - 1;
        va.vpn(self.page).0 * self.page_words + if offset < last { offset } else { last }
    }

    /// The word address of a physical address.
    pub const fn physical(&self, pa: PhysAddr) -> u64 {
        self.address(VirtAddr(pa.0))
    }

    /// The word address of a frame's first word.
    pub const fn frame_start(&self, pfn: Pfn) -> u64 {
        pfn.0 * self.page_words
    }

    /// The words of a page's bytes.
    pub fn words<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
        bytes.chunks_exact(self.word as usize).take(self.page_words as usize).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        })
    }

    /// Puts a word into a page's bytes, at an offset in words.
    pub fn put(&self, bytes: &mut [u8], offset: u64, value: u64) {
        let (at, len) = ((offset * self.word) as usize, self.word as usize);
        bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    }

    /// The word at an offset in words in a page's bytes.
    pub fn get(&self, bytes: &[u8], offset: u64) -> u64 {
        let (at, len) = ((offset * self.word) as usize, self.word as usize);
        let mut word = [0; 8];
        word[..len].copy_from_slice(&bytes[at..at + len]);
        u64::from_le_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text 002: with pages of 100, address 1492 is in page 14 at offset 92; frame 27 makes 2792.
    #[test]
    fn pages_of_100_words() {
        let geometry = Geometry { word: 8, page_words: 100, page: PageSize::from_shift(10) };
        assert_eq!(geometry.split(1492), (14, 92));
        let va = geometry.va(1492).unwrap();
        assert_eq!(va, VirtAddr((14 << 10) | (92 * 8)));
        assert_eq!(geometry.address(va), 1492);
        assert_eq!(geometry.physical(PhysAddr((27 << 10) | (92 * 8))), 2792);
        assert_eq!(geometry.va(u64::MAX), None);
    }
}
