//! Segment selectors (Intel SDM vol. 3A, 3.4.2, figure 3-6).
//!
//! ```text
//!   15                        3   2   1 0
//!   ┌───────────────────────────┬────┬─────┐      TI   0 GDT, 1 LDT
//!   │           index           │ TI │ RPL │      RPL  requested privilege level
//!   └───────────────────────────┴────┴─────┘
//! ```
//!
//! Index 0 of the GDT is the null selector, whatever its RPL.

/// A selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector(pub u16);

const TI: u16 = 1 << 2;
const RPL: u16 = 0b11;

impl Selector {
    /// The null selector with RPL 0.
    pub const NULL: Self = Self(0);

    /// The selector of a descriptor of the GDT.
    ///
    /// # Panics
    /// If `index` has more than 13 bits or `rpl` more than two.
    pub const fn gdt(index: u16, rpl: u8) -> Self {
        assert!(index >> 13 == 0 && rpl <= 3, "13 bits of index, two of RPL");
        Self(index << 3 | rpl as u16)
    }

    /// The selector of a descriptor of the LDT.
    ///
    /// # Panics
    /// If `index` has more than 13 bits or `rpl` more than two.
    pub const fn ldt(index: u16, rpl: u8) -> Self {
        Self(Self::gdt(index, rpl).0 | TI)
    }

    /// The descriptor's place in its table.
    pub const fn index(self) -> u16 {
        self.0 >> 3
    }

    /// Whether the table is the LDT.
    pub const fn is_local(self) -> bool {
        self.0 & TI != 0
    }

    /// The requested privilege level, 0 to 3.
    pub const fn rpl(self) -> u8 {
        (self.0 & RPL) as u8
    }

    /// Whether it chooses no segment.
    pub const fn is_null(self) -> bool {
        self.0 & !RPL == 0
    }

    /// The same selector with another RPL.
    pub const fn with_rpl(self, rpl: u8) -> Self {
        Self(self.0 & !RPL | (rpl as u16 & RPL))
    }

    /// The error code that blames this selector (6.13): index and TI; IDT and EXT clear.
    pub const fn error_code(self) -> u16 {
        self.0 & !RPL
    }
}
