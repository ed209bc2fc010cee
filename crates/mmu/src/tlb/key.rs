//! A page's address and size in one word.
//!
//! ```text
//!   page of 2^n bytes    │ page number    │ 1 0 0 … 0 │
//!                        63              n n-1        0
//! ```
//!
//! The highest offset bit is set, the lower ones are clear: so the lowest bit that is set tells
//! the size, one comparison of two words tells page and size, and no page is the word 0. (RISC-V
//! calls the encoding NAPOT, for naturally aligned powers of two.) A page has two bytes at least.

use crate::{PageSize, VirtAddr};

/// A page, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    /// No page.
    pub const NONE: Self = Self(0);

    /// The page of size `page` that holds `va`.
    #[inline]
    pub const fn new(va: VirtAddr, page: PageSize) -> Self {
        Self::of_bytes(va, page.bytes())
    }

    /// The page of `bytes`, a power of two, that holds `va`.
    #[inline]
    pub const fn of_bytes(va: VirtAddr, bytes: u64) -> Self {
        debug_assert!(bytes > 1 && bytes.is_power_of_two());
        Self(va.0 & bytes.wrapping_neg() | bytes >> 1)
    }

    /// The page's size. There must be a page.
    #[inline]
    pub const fn page(self) -> PageSize {
        PageSize::from_shift((self.0.trailing_zeros() + 1) as u8 & 63)
    }

    /// The page's first address.
    #[inline]
    pub const fn base(self) -> VirtAddr {
        VirtAddr(self.0 & self.0.wrapping_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_page_and_no_other() {
        for shift in 1..64 {
            let page = PageSize::from_shift(shift);
            for va in [0, 1 << 30, 0xffff_8000_1234_5678, u64::MAX] {
                let key = Key::new(VirtAddr(va), page);
                let base = va & !(page.bytes() - 1);
                assert_eq!((key.base(), key.page()), (VirtAddr(base), page));
                assert_eq!(key, Key::new(VirtAddr(base | (page.bytes() - 1)), page));
                assert_ne!(key, Key::new(VirtAddr(base.wrapping_sub(1)), page));
                assert_ne!(key, Key::NONE);
            }
        }
    }
}
