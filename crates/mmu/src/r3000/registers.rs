//! The registers of coprocessor 0 that translation goes by, bit by bit (Kane and Heinrich, "MIPS
//! RISC Architecture", chapter 6; IDT, "R30xx Family Software Reference Manual", chapter 6).
//!
//! ```text
//!             31                              12 11          6 5                 0
//!   EntryHi  │               VPN                │    ASID     │         0         │
//!             31                              12 11 10  9  8  7                  0
//!   EntryLo  │               PFN                │ N│ D│ V│ G│          0          │
//!             31 30                       14 13          8 7                     0
//!   Index    │ P│             0              │    Index    │           0           │
//!   Random   │ 0│             0              │   Random    │           0           │
//!             31         21 20                                        2 1        0
//!   Context  │   PTEBase   │                 BadVPN                    │     0     │
//!             31                                                                 0
//!   BadVAddr │                              address                               │
//!             31          22 21                        5   4   3   2   1   0
//!   Status   │ …  │ BEV (22)│ TS│         …          │KUo│IEo│KUp│IEp│KUc│IEc│
//!             31                                       6        2 1        0
//!   Cause    │ …                                       │ ExcCode  │    0     │
//! ```
//!
//! Each type holds a register's value; bits that read as zero are zero in it.

use crate::{Asid, Pfn, Vpn};

/// The TLB's entries.
pub const ENTRIES: u32 = 64;
/// Entries below this one are wired: TLBWR never picks them.
pub const WIRED: u32 = 8;
/// Binary logarithm of the page size.
pub(super) const PAGE_SHIFT: u8 = 12;

/// The highest address-space identifier.
pub const ASID_MAX: u16 = 63;

macro_rules! register {
    ($(#[$doc:meta])* $name:ident, $writable:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
        pub struct $name(u32);

        impl $name {
            /// Bits that software can write; the others read as zero, or are the hardware's.
            pub const WRITABLE: u32 = $writable;

            /// What the register holds after a write of `value` to it when it was zero.
            #[inline]
            pub const fn new(value: u32) -> Self {
                Self(value & Self::WRITABLE)
            }

            /// The register's value.
            #[inline]
            pub const fn get(self) -> u32 {
                self.0
            }
        }
    };
}

register! {
    /// The part of an entry that is compared: which page, in which space. The space in force.
    EntryHi, 0xffff_ffc0
}
register! {
    /// The part of an entry that translates.
    EntryLo, 0xffff_ff00
}
register! {
    /// The entry that TLBR and TLBWI use, and what TLBP found.
    Index, 0x8000_3f00
}
register! {
    /// The address of a page-table entry: of page BadVPN, in a table of four-byte entries that
    /// starts at PTEBase.
    Context, 0xffe0_0000
}
register! {
    /// Modes of the processor. Bits that have no part in translation are not kept.
    Status, 0x0040_003f
}

impl EntryHi {
    /// A page in a space.
    #[inline]
    pub const fn of(vpn: Vpn, asid: Asid) -> Self {
        Self::new((vpn.0 as u32) << PAGE_SHIFT | (asid.0 as u32) << 6 & 0xfc0)
    }

    /// The page.
    #[inline]
    pub const fn vpn(self) -> Vpn {
        Vpn((self.0 >> PAGE_SHIFT) as u64)
    }

    /// The space, 0 to 63.
    #[inline]
    pub const fn asid(self) -> Asid {
        Asid((self.0 >> 6 & 0x3f) as u16)
    }
}

impl EntryLo {
    /// N: accesses bypass the cache.
    pub const N: u32 = 1 << 11;
    /// D: stores are allowed. "Dirty" to software that notes the first store to a page; to others
    /// a right to write.
    pub const D: u32 = 1 << 10;
    /// V: the entry translates. An access that matches an entry without it traps.
    pub const V: u32 = 1 << 9;
    /// G: the entry matches in every space.
    pub const G: u32 = 1 << 8;

    /// The frame.
    #[inline]
    pub const fn pfn(self) -> Pfn {
        Pfn((self.0 >> PAGE_SHIFT) as u64)
    }

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(self, flags: u32) -> bool {
        self.0 & flags == flags
    }
}

impl Index {
    /// P: the last TLBP found no entry.
    pub const P: u32 = 1 << 31;

    /// The entry `slot`, 0 to 63.
    #[inline]
    pub const fn of(slot: u32) -> Self {
        Self::new(slot << 8)
    }

    /// The entry's number.
    #[inline]
    pub const fn slot(self) -> u32 {
        self.0 >> 8 & 0x3f
    }

    /// Whether the last TLBP found nothing.
    #[inline]
    pub const fn is_miss(self) -> bool {
        self.0 & Self::P != 0
    }
}

impl Context {
    /// The same entry of the table that `written` names.
    #[inline]
    pub(super) const fn with_base(self, written: Self) -> Self {
        Self(self.0 & !Self::WRITABLE | written.0 & Self::WRITABLE)
    }

    /// The same table's entry for the page of `address`: VPN bits 30:12 in bits 20:2.
    #[inline]
    pub(super) const fn with_bad_vpn(self, address: u32) -> Self {
        Self(self.0 & Self::WRITABLE | (address >> PAGE_SHIFT & 0x7_ffff) << 2)
    }
}

impl Status {
    /// BEV: exceptions go to the boot ROM.
    pub const BEV: u32 = 1 << 22;
    /// TS: the TLB has shut down, because an address matched two entries; until reset it matches
    /// none.
    pub const TS: u32 = 1 << 21;
    /// KUc: user mode.
    pub const KUC: u32 = 1 << 1;
    /// The three pairs of mode and interrupt enable.
    const STACK: u32 = 0x3f;
    /// The two older pairs: what RFE restores from.
    const OLDER: u32 = 0x3c;
    /// The oldest pair.
    const OLDEST: u32 = 0x30;

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(self, flags: u32) -> bool {
        self.0 & flags == flags
    }

    pub(super) const fn with(self, flags: u32, on: bool) -> Self {
        Self(if on { self.0 | flags } else { self.0 & !flags })
    }

    /// An exception: current becomes previous, previous old; kernel mode, interrupts off.
    pub(super) const fn pushed(self) -> Self {
        Self(self.0 & !Self::STACK | self.0 << 2 & Self::OLDER)
    }

    /// RFE: previous becomes current, old previous; old stays.
    pub(super) const fn popped(self) -> Self {
        Self(self.0 & !Self::STACK | self.0 & Self::OLDEST | (self.0 & Self::OLDER) >> 2)
    }
}

/// Cause.ExcCode of the exceptions that translation raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExcCode {
    /// TLB modified: a store through an entry whose D is clear.
    Mod = 1,
    /// TLB exception of a load or fetch: no entry, or one whose V is clear.
    Tlbl = 2,
    /// The same of a store.
    Tlbs = 3,
    /// Address error of a load or fetch: an address that is the kernel's alone.
    Adel = 4,
    /// The same of a store.
    Ades = 5,
}

impl ExcCode {
    /// The code as Cause holds it.
    #[inline]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The manual's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mod => "Mod",
            Self::Tlbl => "TLBL",
            Self::Tlbs => "TLBS",
            Self::Adel => "AdEL",
            Self::Ades => "AdES",
        }
    }
}
