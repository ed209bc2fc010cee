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

/// Up to so many granules of a TLB entry are looked for one by one when it goes; of a larger entry
/// those are that were put in.
const SMALL_GRANULES: u64 = 16;

/// A direct-mapped table of pages for one kind of access.
#[derive(Clone, Debug)]
pub struct HostPages {
    pages: Box<[HostPage; SIZE]>,
    /// By TLB slot, for entries of many granules: a bit for each place that a granule of the slot
    /// was put in. Another page may be there by now.
    places: Vec<[u64; SIZE / 64]>,
    /// Nothing was put in since everything was taken out.
    is_clear: bool,
}

impl HostPages {
    /// An empty table.
    pub fn new() -> Self {
        Self { pages: Box::new([HostPage::NONE; SIZE]), places: Vec::new(), is_clear: true }
    }

    /// The entry in which the page of `va` would be.
    #[inline(always)]
    pub fn at(&self, va: u64) -> &HostPage {
        &self.pages[(va >> GRANULE_SHIFT) as usize % SIZE]
    }

    /// The page of `va`, if it is here.
    #[inline(always)]
    pub fn find(&self, va: u64) -> Option<&HostPage> {
        let page = self.at(va);
        (page.tag == va & !(GRANULE - 1)).then_some(page)
    }

    /// Puts the page of `va` in, which is part of a TLB entry of `bytes`; says whether it pushed
    /// another out.
    pub fn insert(&mut self, va: u64, offset: u64, slot: u32, bytes: u64) -> bool {
        let tag = va & !(GRANULE - 1);
        let place = (va >> GRANULE_SHIFT) as usize % SIZE;
        let page = &mut self.pages[place];
        let pushed_out = page.tag != u64::MAX && page.tag != tag;
        *page = HostPage { tag, offset, slot };
        self.is_clear = false;
        if bytes > SMALL_GRANULES * GRANULE {
            self.note_place(slot as usize, place);
        }
        pushed_out
    }

    /// Takes the pages of a TLB entry of `[va, va + bytes)` in this slot out; says whether there
    /// were any. `va` is a multiple of the granule or of `bytes`.
    pub fn remove(&mut self, va: u64, bytes: u64, slot: u32) -> bool {
        let granules = bytes.div_ceil(GRANULE);
        if granules > SMALL_GRANULES {
            return self.remove_noted(slot as usize, va, bytes);
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
        if !self.is_clear {
            self.pages.fill(HostPage::NONE);
            self.is_clear = true;
        }
    }

    fn note_place(&mut self, slot: usize, place: usize) {
        if self.places.len() <= slot {
            self.places.resize(slot + 1, [0; SIZE / 64]);
        }
        self.places[slot][place / 64] |= 1 << (place % 64);
    }

    fn remove_noted(&mut self, slot: usize, va: u64, bytes: u64) -> bool {
        let Some(words) = self.places.get_mut(slot) else { return false };
        let mut found = false;
        for (index, word) in words.iter_mut().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                let page = &mut self.pages[index * 64 + bit as usize];
                let is_the_slots = page.tag != u64::MAX && page.slot as usize == slot;
                if is_the_slots && page.tag.wrapping_sub(va) >= bytes {
                    // On a machine without a TLB all pages are in one slot.
                    continue;
                }
                if is_the_slots {
                    *page = HostPage::NONE;
                    found = true;
                }
                *word &= !(1 << bit);
            }
        }
        found
    }

    /// Takes the page whose address is `tag` out, if it is here.
    fn remove_one(&mut self, tag: u64) -> bool {
        let page = &mut self.pages[(tag >> GRANULE_SHIFT) as usize % SIZE];
        let found = page.tag == tag;
        if found {
            *page = HostPage::NONE;
        }
        found
    }

    fn remove_where(&mut self, condition: impl Fn(&HostPage) -> bool) -> bool {
        let mut found = false;
        for page in self.pages.iter_mut().filter(|page| page.tag != u64::MAX && condition(page)) {
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
                pages.insert(va, va, 3, bytes);
            }
            let held = around.map(|va| pages.find(va).is_some());
            assert_eq!(pages.remove(start, bytes, 3), held[1] || held[2]);
            let left = around.map(|va| pages.find(va).is_some());
            assert_eq!(left, [held[0], false, false, held[3]], "pages of {bytes} bytes");
            assert!(!pages.remove(start, bytes, 3), "gone already");
        }
    }
}
