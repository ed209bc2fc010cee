//! Host places of the pages that the simulated TLB holds: the key to speed.
//!
//! ```text
//!   address ──► table[page number mod SIZE] ──tag equal──► offset in RAM, TLB slot
//! ```
//!
//! A page is here only while the first-level TLB holds a translation of it that allows the access
//! without a walk (a machine without a TLB: while its walk would change nothing). So a hit here is
//! a hit there, and all that is left to do is to write the time of the reference to the slot's
//! stamp. What leaves the TLB is removed by [`HostPages::remove`]; what is not here takes the slow
//! path, which asks the MMU.

/// The unit of this table, at most the base page of any format that uses it.
pub const GRANULE_SHIFT: u8 = 12;

/// Bytes of a granule.
pub const GRANULE: u64 = 1 << GRANULE_SHIFT;

/// Entries; direct-mapped.
const SIZE: usize = 512;

/// One page.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub struct HostPage {
    /// The page's virtual address; [`HostPage::NONE`] has no page.
    pub tag: u64,
    /// The page's offset in RAM.
    pub offset: u64,
    /// Its slot in the first-level TLB of its side.
    pub slot: u32,
}

impl HostPage {
    /// No page: an address with offset bits equals no tag that is compared with it.
    const NONE: Self = Self { tag: u64::MAX, offset: 0, slot: 0 };
}

/// A direct-mapped table of pages for one kind of access.
#[derive(Clone, Debug)]
pub struct HostPages(Box<[HostPage; SIZE]>);

impl HostPages {
    /// An empty table.
    pub fn new() -> Self {
        Self(Box::new([HostPage::NONE; SIZE]))
    }

    /// The entry in which the page of `va` would be.
    #[inline(always)]
    pub fn at(&self, va: u64) -> &HostPage {
        &self.0[(va >> GRANULE_SHIFT) as usize % SIZE]
    }

    /// The page of `va`, if it is here.
    #[inline(always)]
    pub fn find(&self, va: u64) -> Option<&HostPage> {
        let page = self.at(va);
        (page.tag == va & !(GRANULE - 1)).then_some(page)
    }

    /// Puts the page of `va` in; says whether it pushed another out.
    pub fn insert(&mut self, va: u64, offset: u64, slot: u32) -> bool {
        let tag = va & !(GRANULE - 1);
        let page = &mut self.0[(va >> GRANULE_SHIFT) as usize % SIZE];
        let pushed_out = page.tag != u64::MAX && page.tag != tag;
        *page = HostPage { tag, offset, slot };
        pushed_out
    }

    /// Takes the pages in `[va, va + bytes)` out; says whether there were any. `va` is a multiple of
    /// the granule or of `bytes`.
    pub fn remove(&mut self, va: u64, bytes: u64) -> bool {
        let granules = bytes.div_ceil(GRANULE);
        if granules >= SIZE as u64 {
            return self.remove_where(|page| page.tag.wrapping_sub(va) < bytes);
        }
        let first = va & !(GRANULE - 1);
        (0..granules)
            .fold(false, |found, n| found | self.remove_one(first.wrapping_add(n * GRANULE)))
    }

    /// Takes the pages out that lie in so many bytes of RAM from `offset` on.
    pub fn remove_offsets(&mut self, offset: u64, bytes: u64) -> bool {
        self.remove_where(|page| page.offset.wrapping_sub(offset) < bytes)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.0.fill(HostPage::NONE);
    }

    /// Takes the page whose address is `tag` out, if it is here.
    fn remove_one(&mut self, tag: u64) -> bool {
        let page = &mut self.0[(tag >> GRANULE_SHIFT) as usize % SIZE];
        let found = page.tag == tag;
        if found {
            *page = HostPage::NONE;
        }
        found
    }

    fn remove_where(&mut self, condition: impl Fn(&HostPage) -> bool) -> bool {
        let mut found = false;
        for page in self.0.iter_mut().filter(|page| page.tag != u64::MAX && condition(page)) {
            *page = HostPage::NONE;
            found = true;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of every size from a part of a granule to more than the table holds.
    #[test]
    fn what_lies_in_a_page_is_removed_and_nothing_else() {
        for shift in 8..24 {
            let (bytes, start) = (1_u64 << shift, 5_u64 << 24);
            let end = start + bytes.max(GRANULE);
            let around = [start - GRANULE, start, end - GRANULE, end];
            let mut pages = HostPages::new();
            for va in around {
                pages.insert(va, va, 0);
            }
            let held = around.map(|va| pages.find(va).is_some());
            assert_eq!(pages.remove(start, bytes), held[1] || held[2]);
            let left = around.map(|va| pages.find(va).is_some());
            assert_eq!(left, [held[0], false, false, held[3]], "pages of {bytes} bytes");
            assert!(!pages.remove(start, bytes), "gone already");
        }
    }
}
