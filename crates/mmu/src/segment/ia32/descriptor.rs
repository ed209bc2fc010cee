//! Segment descriptors (Intel SDM vol. 3A, 3.4.5, figure 3-8).
//!
//! ```text
//!   63      56 55  54  53  52  51     48 47  46 45  44  43    40 39              32
//!   ┌─────────┬───┬───┬───┬───┬─────────┬───┬─────┬───┬────────┬──────────────────┐
//!   │ base    │ G │D/B│ L │AVL│ limit   │ P │ DPL │ S │  type  │ base 23:16       │
//!   │ 31:24   │   │   │   │   │ 19:16   │   │     │   │        │                  │
//!   ├─────────┴───┴───┴───┴───┴─────────┼───┴─────┴───┴────────┴──────────────────┤
//!   │ base 15:0                         │ limit 15:0                              │
//!   └───────────────────────────────────┴─────────────────────────────────────────┘
//!   31                              16 15                                         0
//!
//!   S  type    11 10 9 8
//!   1  data     0  E W A     E expand down, W writable, A accessed
//!   1  code     1  C R A     C conforming, R readable
//!   0  system   0  0 1 0     an LDT; gates and task states are others
//! ```
//!
//! Limit: the last valid offset, in bytes or (G) in units of 4 KiB whose low twelve bits are ones.
//! In a segment that expands down, the offsets *above* the limit are valid, up to 64 KiB − 1 or (B)
//! 4 GiB − 1.

/// A descriptor, as its eight bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Descriptor(pub u64);

/// What a descriptor describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Data, which can be read.
    Data {
        /// E: offsets above the limit are valid.
        expand_down: bool,
        /// W.
        writable: bool,
    },
    /// Code, which can be executed.
    Code {
        /// C: less privileged callers keep their privilege.
        conforming: bool,
        /// R: it can be read as data.
        readable: bool,
    },
    /// A local descriptor table.
    Ldt,
    /// Another system descriptor: its type.
    System(u8),
}

/// The fields of a descriptor that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The linear address of offset 0.
    pub base: u32,
    /// The limit field: 20 bits.
    pub limit: u32,
    /// G: the limit counts units of 4 KiB.
    pub granular: bool,
    /// D/B: 32-bit code, or a stack or expand-down segment that reaches up to 4 GiB.
    pub big: bool,
    /// DPL, 0 to 3.
    pub dpl: u8,
    /// What it describes.
    pub kind: Kind,
}

const G: u64 = 1 << 55;
const DB: u64 = 1 << 54;
const P: u64 = 1 << 47;
const DPL_SHIFT: u8 = 45;
const S: u64 = 1 << 44;
const CODE: u64 = 1 << 43;
/// E of data, C of code.
const EXPAND_DOWN: u64 = 1 << 42;
/// W of data, R of code.
const WRITABLE: u64 = 1 << 41;
const ACCESSED: u64 = 1 << 40;
const TYPE_SHIFT: u8 = 40;
/// The system type of an LDT (table 3-2).
const TYPE_LDT: u8 = 2;
/// The bits below a granular limit, which count as ones.
const GRANULE: u32 = 0xfff;

impl Descriptor {
    /// A present descriptor, not accessed yet.
    ///
    /// # Panics
    /// If the limit has more than 20 bits, or DPL more than two.
    pub const fn new(fields: Fields) -> Self {
        assert!(fields.limit >> 20 == 0 && fields.dpl <= 3, "20 bits of limit, two of DPL");
        let (base, limit) = (fields.base as u64, fields.limit as u64);
        let kind = match fields.kind {
            Kind::Data { expand_down, writable } => S | two(expand_down, writable),
            Kind::Code { conforming, readable } => S | CODE | two(conforming, readable),
            Kind::Ldt => (TYPE_LDT as u64) << TYPE_SHIFT,
            Kind::System(system) => ((system & 0xf) as u64) << TYPE_SHIFT,
        };
        let raw = limit & 0xffff
            | (base & 0xff_ffff) << 16
            | (limit >> 16) << 48
            | (base >> 24) << 56
            | (fields.dpl as u64) << DPL_SHIFT
            | if fields.granular { G } else { 0 }
            | if fields.big { DB } else { 0 }
            | kind
            | P;
        Self(raw)
    }

    /// The linear address of offset 0.
    pub const fn base(self) -> u32 {
        (self.0 >> 16 & 0xff_ffff | self.0 >> 56 << 24) as u32
    }

    /// The limit in bytes: the effective limit of 3.4.5, G applied.
    pub const fn limit(self) -> u32 {
        let field = (self.0 & 0xffff | self.0 >> 48 << 16 & 0xf_0000) as u32;
        if self.0 & G != 0 { field << 12 | GRANULE } else { field }
    }

    /// P.
    pub const fn is_present(self) -> bool {
        self.0 & P != 0
    }

    /// DPL.
    pub const fn dpl(self) -> u8 {
        (self.0 >> DPL_SHIFT & 0b11) as u8
    }

    /// D/B.
    pub const fn is_big(self) -> bool {
        self.0 & DB != 0
    }

    /// A: the segment has been loaded since the bit was cleared. Without meaning in system
    /// descriptors.
    pub const fn is_accessed(self) -> bool {
        self.0 & ACCESSED != 0
    }

    /// The same descriptor with A set.
    pub const fn accessed(self) -> Self {
        Self(self.0 | ACCESSED)
    }

    /// The same descriptor with P clear.
    pub const fn absent(self) -> Self {
        Self(self.0 & !P)
    }

    /// What it describes.
    pub const fn kind(self) -> Kind {
        let (second, third) = (self.0 & EXPAND_DOWN != 0, self.0 & WRITABLE != 0);
        if self.0 & S == 0 {
            return match (self.0 >> TYPE_SHIFT & 0xf) as u8 {
                TYPE_LDT => Kind::Ldt,
                system => Kind::System(system),
            };
        }
        match self.0 & CODE != 0 {
            true => Kind::Code { conforming: second, readable: third },
            false => Kind::Data { expand_down: second, writable: third },
        }
    }

    /// The first and the last valid offset (5.3); `None` if there is none.
    pub const fn offsets(self) -> Option<(u32, u32)> {
        match self.kind() {
            Kind::Data { expand_down: true, .. } => {
                let last = if self.is_big() { u32::MAX } else { 0xffff };
                if self.limit() >= last { None } else { Some((self.limit() + 1, last)) }
            }
            _ => Some((0, self.limit())),
        }
    }
}

const fn two(second: bool, third: bool) -> u64 {
    (if second { EXPAND_DOWN } else { 0 }) | (if third { WRITABLE } else { 0 })
}
