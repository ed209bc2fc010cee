//! Addresses, pages and frames.
//!
//! ```text
//!   virtual address    | page number (Vpn)  | offset |
//!                                │ translation   │
//!   physical address   | frame number (Pfn) | offset |      frame = PPN = PFN in the manuals
//! ```
//!
//! Page and frame numbers are always in units of the format's *base* page ([`PageSize`] of its
//! lowest level), also inside a large page.

use core::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($repr:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "(", $format, ")"), self.0)
            }
        }
    };
}

number! {
    /// A virtual address, as the program issues it: 64 bits, whatever the format's width.
    VirtAddr(u64), "{:#x}"
}
number! {
    /// A physical address in bytes.
    PhysAddr(u64), "{:#x}"
}
number! {
    /// A virtual page number: the address divided by the base page size.
    Vpn(u64), "{:#x}"
}
number! {
    /// A physical frame number (Intel: page frame; RISC-V: PPN).
    Pfn(u64), "{:#x}"
}
number! {
    /// An address-space identifier (x86: PCID).
    Asid(u16), "{}"
}
number! {
    /// A page-table level, 0 being the one that maps base pages (RISC-V numbering).
    Level(u8), "{}"
}

impl VirtAddr {
    /// The page that holds this address.
    #[inline]
    pub const fn vpn(self, page: PageSize) -> Vpn {
        Vpn(self.0 >> page.shift())
    }

    /// The offset within the page.
    #[inline]
    pub const fn offset(self, page: PageSize) -> u64 {
        self.0 & (page.bytes() - 1)
    }

    /// The first address of the page that holds this address.
    #[inline]
    pub const fn page_base(self, page: PageSize) -> Self {
        Self(self.0 & !(page.bytes() - 1))
    }
}

impl PhysAddr {
    /// The frame that holds this address.
    #[inline]
    pub const fn pfn(self, page: PageSize) -> Pfn {
        Pfn(self.0 >> page.shift())
    }
}

impl Vpn {
    /// The page's first address.
    #[inline]
    pub const fn base(self, page: PageSize) -> VirtAddr {
        VirtAddr(self.0 << page.shift())
    }
}

impl Pfn {
    /// The frame's first physical address.
    #[inline]
    pub const fn base(self, page: PageSize) -> PhysAddr {
        PhysAddr(self.0 << page.shift())
    }
}

/// A page size: a power of two, kept as its binary logarithm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u8);

impl PageSize {
    /// The page of 2^`shift` bytes.
    ///
    /// # Panics
    /// If `shift` is 64 or more.
    #[inline]
    pub const fn from_shift(shift: u8) -> Self {
        assert!(shift < 64, "a page is smaller than the address space");
        Self(shift)
    }

    /// The binary logarithm of the size in bytes.
    #[inline]
    pub const fn shift(self) -> u8 {
        self.0
    }

    /// The size in bytes.
    #[inline]
    pub const fn bytes(self) -> u64 {
        1 << self.0
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s @ 0..=9 => write!(f, "{} B", 1u64 << s),
            s @ 10..=19 => write!(f, "{} KiB", 1u64 << (s - 10)),
            s @ 20..=29 => write!(f, "{} MiB", 1u64 << (s - 20)),
            s @ 30..=39 => write!(f, "{} GiB", 1u64 << (s - 30)),
            s => write!(f, "{} TiB", 1u64 << (s - 40)),
        }
    }
}

impl fmt::Debug for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageSize({self})")
    }
}
