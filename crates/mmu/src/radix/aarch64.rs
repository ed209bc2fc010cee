//! AArch64 paging: VMSAv8-64, stage 1 of the EL1&0 regime (Arm ARM, DDI 0487, chapter D8), with
//! granules of 4, 16 and 64 KiB and TCR_EL1.T0SZ = T1SZ = 16.
//!
//! ```text
//!             63     48 47     39 38     30 29     21 20     12 11          0
//!   4 KiB    │ half   │ level 0 │ level 1 │ level 2 │ level 3 │   offset    │
//!             63     48 47  46      36 35     25 24     14 13               0
//!   16 KiB   │ half   │ 0 │ level 1  │ level 2 │ level 3 │       offset     │
//!             63     48 47      42 41        29 28        16 15             0
//!   64 KiB   │ half   │ level 1  │  level 2   │  level 3   │    offset      │
//! ```
//!
//! *Half* is all zeroes, and the walk starts at TTBR0_EL1, or all ones, and it starts at
//! TTBR1_EL1 ([`Root::upper`]; without one, TCR_EL1.EPD1 is set). So an address has 49 bits,
//! sign-extended. The manual counts levels from the root, [`Level`] from the leaves: its level is
//! 3 less ours.
//!
//! Blocks: 1 GiB and 2 MiB, 32 MiB, 512 MiB. A run of entries with the contiguous bit is one page
//! to the TLB:
//!
//! ```text
//!   granule    level 3          level 2           level 1
//!   4 KiB       16 →  64 KiB     16 → 32 MiB       16 → 16 GiB
//!   16 KiB     128 →   2 MiB     32 →  1 GiB
//!   64 KiB      32 →   2 MiB     32 → 16 GiB
//! ```
//!
//! Absent: 52-bit addresses (FEAT_LPA, FEAT_LPA2), top-byte ignore, FEAT_HPDS, FEAT_E0PD,
//! FEAT_PAN3, guarded pages (FEAT_BTI); software must keep their controls off. NS has no meaning
//! outside Secure state.

use super::{Entry, Geometry, Leaf, LevelShape, Radix, Root, Touch, x86::bits};
use crate::{
    Access, AccessKind, ArchFault, EntryWidth, FaultCause, Level, PageSize, Pfn, PhysAddr,
    Privilege, Rights, TableMemory, VirtAddr,
};

/// Bit 0: the descriptor is valid.
const VALID: u64 = 1 << 0;
/// Bit 1: a table, or at level 3 a page; clear in a block.
const TABLE: u64 = 1 << 1;
/// AttrIndx, bits 4:2, selects a field of MAIR_EL1. Those of [`Leaf`] are this format's layout of
/// it: bit 2 write-through, bit 3 not cacheable.
const ATTR_WRITE_THROUGH: u64 = 1 << 2;
const ATTR_NON_CACHEABLE: u64 = 1 << 3;
/// AP\[1\]: EL0 may access the data.
const AP_EL0: u64 = 1 << 6;
/// AP\[2\]: read-only.
const AP_READ_ONLY: u64 = 1 << 7;
/// SH, bits 9:8: inner shareable.
const SH_INNER: u64 = 0b11 << 8;
/// Access flag.
const AF: u64 = 1 << 10;
/// Not global.
const NG: u64 = 1 << 11;
/// Dirty bit modifier.
const DBM: u64 = 1 << 51;
/// One of a run of contiguous entries.
const CONTIGUOUS: u64 = 1 << 52;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
/// One of bits 58:55, software's: a page that is not writable was written before. Linux keeps the
/// same in the same bit.
const SOFTWARE_DIRTY: u64 = 1 << 55;
/// PXNTable, UXNTable, APTable\[0\] (no access by EL0), APTable\[1\] (no write) of a table
/// descriptor.
const PXN_TABLE: u64 = 1 << 59;
const UXN_TABLE: u64 = 1 << 60;
const AP_TABLE_NO_EL0: u64 = 1 << 61;
const AP_TABLE_READ_ONLY: u64 = 1 << 62;

/// Bits of an address that the tables translate (64 - TxSZ), and of one that they can yield.
const INPUT_BITS: u8 = 48;
const OUTPUT_BITS: u8 = 48;

const fn geometry(levels: &'static [LevelShape]) -> Geometry {
    let va_bits = INPUT_BITS + 1;
    Geometry { levels, entry: EntryWidth::Eight, va_bits, pa_bits: OUTPUT_BITS }
}

const KIB4: Geometry = geometry(&[
    LevelShape { shift: 12, bits: 9, leaf: true },
    LevelShape { shift: 21, bits: 9, leaf: true },
    LevelShape { shift: 30, bits: 9, leaf: true },
    LevelShape { shift: 39, bits: 9, leaf: false },
]);
const KIB16: Geometry = geometry(&[
    LevelShape { shift: 14, bits: 11, leaf: true },
    LevelShape { shift: 25, bits: 11, leaf: true },
    LevelShape { shift: 36, bits: 11, leaf: false },
    LevelShape { shift: 47, bits: 1, leaf: false },
]);
const KIB64: Geometry = geometry(&[
    LevelShape { shift: 16, bits: 13, leaf: true },
    LevelShape { shift: 29, bits: 13, leaf: true },
    LevelShape { shift: 42, bits: 6, leaf: false },
]);

/// The translation granule (TCR_EL1.TG0 and TG1, both the same).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granule {
    /// 4 KiB: four levels.
    Kib4,
    /// 16 KiB: four levels, the top one of two entries.
    Kib16,
    /// 64 KiB: three levels.
    Kib64,
}

/// The control bits that the walk depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aarch64Controls {
    /// TCR_EL1.HA: the hardware sets the access flag (FEAT_HAFDBS).
    pub ha: bool,
    /// TCR_EL1.HD: the hardware keeps the dirty state, by clearing AP\[2\] where DBM is set.
    /// Without `ha` it has no effect.
    pub hd: bool,
    /// PSTATE.PAN: EL1 must not load from or store to what EL0 can access.
    pub pan: bool,
    /// SCTLR_EL1.WXN: what is writable is not executable.
    pub wxn: bool,
    /// TCR_EL1.IPS, in bits: 32, 36, 40, 42, 44 or 48. Output addresses beyond it fault.
    pub output_bits: u8,
}

impl Default for Aarch64Controls {
    /// The hardware sets the access flag and the dirty state; 48 bits of output address.
    fn default() -> Self {
        Self { ha: true, hd: true, pan: false, wxn: false, output_bits: OUTPUT_BITS }
    }
}

/// AArch64 paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aarch64 {
    granule: Granule,
    controls: Aarch64Controls,
    geometry: &'static Geometry,
}

impl Default for Aarch64 {
    fn default() -> Self {
        Self::new(Granule::Kib4, Aarch64Controls::default())
    }
}

impl Aarch64 {
    /// Bit 52 of a leaf, for software that has made a run of entries contiguous: they map as many
    /// pages in a row, the first at an address and frame aligned to the whole, and are alike.
    pub const CONTIGUOUS: u64 = CONTIGUOUS;

    /// Paging with this granule under `controls`.
    ///
    /// # Panics
    /// If `controls.output_bits` is none of those listed there.
    pub const fn new(granule: Granule, controls: Aarch64Controls) -> Self {
        let output = matches!(controls.output_bits, 32 | 36 | 40 | 42 | 44 | 48);
        assert!(output, "TCR_EL1.IPS gives 32, 36, 40, 42, 44 or 48 bits");
        let geometry = match granule {
            Granule::Kib4 => &KIB4,
            Granule::Kib16 => &KIB16,
            Granule::Kib64 => &KIB64,
        };
        Self { granule, controls, geometry }
    }

    /// The granule.
    #[inline]
    pub const fn granule(&self) -> Granule {
        self.granule
    }

    /// The control bits in force.
    #[inline]
    pub const fn controls(&self) -> &Aarch64Controls {
        &self.controls
    }

    /// Whether `va` is in the half that TTBR1_EL1 translates, if it is in any.
    #[inline]
    pub const fn is_upper(va: VirtAddr) -> bool {
        va.0 >> 63 != 0
    }

    /// Whether the hardware keeps the dirty state.
    #[inline]
    const fn manages_dirty(&self) -> bool {
        self.controls.ha && self.controls.hd
    }

    #[inline]
    const fn granule_shift(&self) -> u8 {
        self.geometry.base_page().shift()
    }

    /// Whether a leaf of `level` is a level 3 descriptor in the manual's counting.
    #[inline]
    const fn is_page(level: Level) -> bool {
        level.0 == 0
    }

    /// The direct permissions of a leaf. What DBM promises is granted,
    /// because the hardware clears AP\[2\] for the store (AArch64.S1ApplyOutputPerms).
    #[inline]
    fn leaf_rights(&self, raw: u64) -> Rights {
        let promised = self.manages_dirty() && raw & DBM != 0;
        let mut rights = Rights::READ;
        rights.set(Rights::WRITE, raw & AP_READ_ONLY == 0 || promised);
        rights.set(Rights::USER, raw & AP_EL0 != 0);
        rights.set(Rights::EXECUTE, raw & UXN == 0);
        rights.set(Rights::EXECUTE_SUPERVISOR, raw & PXN == 0);
        rights
    }

    /// The fault status code of a fault at the manual's `level` (table "DFSC" of ESR_EL1).
    #[inline]
    fn fault_status(cause: FaultCause, level: u8) -> u8 {
        let kind = match cause {
            FaultCause::AddressSize => 0b0000,
            FaultCause::NonCanonical
            | FaultCause::TlbMiss
            | FaultCause::TlbShutdown
            | FaultCause::Segment(_)
            | FaultCause::NotPresent
            | FaultCause::Reserved
            | FaultCause::Misaligned => 0b0001,
            FaultCause::AccessedClear => 0b0010,
            FaultCause::Protection | FaultCause::Privilege | FaultCause::DirtyClear => 0b0011,
            FaultCause::NoMemory => 0b0101,
        };
        kind << 2 | level
    }
}

/// What a table descriptor allows ("hierarchical permissions").
#[inline]
fn table_rights(raw: u64) -> Rights {
    let mut rights = Rights::READ;
    rights.set(Rights::WRITE, raw & AP_TABLE_READ_ONLY == 0);
    rights.set(Rights::USER, raw & AP_TABLE_NO_EL0 == 0);
    rights.set(Rights::EXECUTE, raw & UXN_TABLE == 0);
    rights.set(Rights::EXECUTE_SUPERVISOR, raw & PXN_TABLE == 0);
    rights
}

impl Radix for Aarch64 {
    #[inline]
    fn geometry(&self) -> &Geometry {
        self.geometry
    }

    /// TTBR0_EL1: the address, aligned to the size of the top table (AArch64.TTBaseAddress). An
    /// address beyond TCR_EL1.IPS, which on the processor faults at every use, is refused here.
    #[inline]
    fn load_root<M: TableMemory + ?Sized>(
        &self,
        _: &M,
        table: PhysAddr,
    ) -> Result<Root, FaultCause> {
        if table.0 >> self.controls.output_bits != 0 {
            return Err(FaultCause::AddressSize);
        }
        let size = self.geometry.table_bytes(self.geometry.top());
        Ok(Root { table: PhysAddr(table.0 & !(size - 1)), upper: None, registers: None })
    }

    /// Bits 63:48 are all equal, or the address is in neither half: a translation fault at level 0.
    #[inline]
    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause> {
        let half = va.0 as i64 >> INPUT_BITS;
        if half == 0 || half == -1 { Ok(()) } else { Err(FaultCause::NonCanonical) }
    }

    #[inline]
    fn top_table(&self, root: &Root, va: VirtAddr) -> Result<PhysAddr, FaultCause> {
        if Self::is_upper(va) { root.upper.ok_or(FaultCause::NotPresent) } else { Ok(root.table) }
    }

    /// ```text
    ///           63  62..61   60   59  58..51 50..48  47                     12 11..2   1   0
    ///   table  │NS│APTable│UXNT │PXNT│  ignored   │ next table 47..12/14/16 │ ignored │ 1 │ 1 │
    ///           63..59 58..55 54  53   52     51     50..48 47       12 11 10 9..8 7 6  5 4..2     1   0
    ///   block  │ hw   │ soft │UXN│PXN│contig│ DBM │  0    │ frame     │nG│AF│ SH │ AP │NS│AttrIndx│ 0 │ 1 │
    ///   page   │ hw   │ soft │UXN│PXN│contig│ DBM │  0    │ frame     │nG│AF│ SH │ AP │NS│AttrIndx│ 1 │ 1 │
    ///   absent │ software                                                                          │ 0 │
    ///
    ///   AP[2:1]   EL1    EL0             APTable
    ///   0 0       rw     -               0 0   no effect
    ///   0 1       rw     rw              0 1   AP[1] counts as 0
    ///   1 0       r      -               1 0   AP[2] counts as 1
    ///   1 1       r      r               1 1   both
    /// ```
    ///
    /// A block where there are none, and bits 1:0 = 01 at level 3, are as good as not valid; they
    /// are [`Entry::Invalid`] here because their bits are not software's.
    #[inline]
    fn decode(&self, level: Level, raw: u64) -> Entry {
        if raw & VALID == 0 {
            return Entry::NotPresent;
        }
        let is_table = !Self::is_page(level) && raw & TABLE != 0;
        let is_leaf = match Self::is_page(level) {
            true => raw & TABLE != 0,
            false => !is_table && self.geometry.level(level).leaf,
        };
        if !is_table && !is_leaf {
            return Entry::Invalid(FaultCause::Reserved);
        }
        let output = raw & bits(self.granule_shift(), OUTPUT_BITS);
        if output >> self.controls.output_bits != 0 {
            return Entry::Invalid(FaultCause::AddressSize);
        }
        if is_table {
            return Entry::Table { next: PhysAddr(output), rights: table_rights(raw) };
        }
        let rights = self.leaf_rights(raw);
        let dirty = match rights.contains(Rights::WRITE) {
            true => raw & AP_READ_ONLY == 0,
            false => raw & SOFTWARE_DIRTY != 0,
        };
        let frame = output & bits(self.geometry.level(level).shift, OUTPUT_BITS);
        Entry::Leaf(Leaf {
            pfn: Pfn(frame >> self.granule_shift()),
            rights,
            global: raw & NG == 0,
            accessed: raw & AF != 0,
            dirty,
            cache_disable: raw & ATTR_NON_CACHEABLE != 0,
            write_through: raw & ATTR_WRITE_THROUGH != 0,
        })
    }

    /// Without hardware management the first load, store or fetch finds AF clear: an access flag
    /// fault, which goes before a permission fault ("prioritization of MMU faults").
    #[inline]
    fn check_accessed(&self, leaf: &Leaf) -> Result<(), FaultCause> {
        if leaf.accessed || self.controls.ha { Ok(()) } else { Err(FaultCause::AccessedClear) }
    }

    /// AArch64.S1DirectBasePermissions. `rights` are those of all levels together.
    #[inline]
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        let writable = rights.contains(Rights::WRITE);
        let for_el0 = rights.contains(Rights::USER);
        let is_el0 = access.privilege == Privilege::User;
        let allowed = match access.kind {
            AccessKind::Read | AccessKind::Write => {
                // PSTATE.PAN does not concern fetches.
                let withheld = if is_el0 { !for_el0 } else { self.controls.pan && for_el0 };
                if withheld {
                    return Err(FaultCause::Privilege);
                }
                access.kind == AccessKind::Read || writable
            }
            AccessKind::Execute => {
                // EL0 may fetch what it may not read. What EL0 can write, EL1 never executes.
                let executable = match is_el0 {
                    true => rights.contains(Rights::EXECUTE),
                    false => rights.contains(Rights::EXECUTE_SUPERVISOR) && !(writable && for_el0),
                };
                let mine = writable && (for_el0 || !is_el0);
                executable && !(self.controls.wxn && mine)
            }
        };
        if allowed { Ok(()) } else { Err(FaultCause::Protection) }
    }

    /// FEAT_HAFDBS: AF is set in the leaf; a store clears AP\[2\] where DBM is set. A run of
    /// contiguous entries shares both: the one that the walk used speaks for all.
    #[inline]
    fn touch(&self, raw: u64, is_leaf: bool, access: Access) -> Touch {
        if !is_leaf {
            return Touch::Nothing;
        }
        let clears = access.kind == AccessKind::Write && self.manages_dirty() && raw & DBM != 0;
        let touched = (raw | AF) & !if clears { AP_READ_ONLY } else { 0 };
        if touched == raw { Touch::Nothing } else { Touch::Write(touched) }
    }

    #[inline]
    fn has_accessed_bit(&self, _: Level, is_leaf: bool) -> bool {
        is_leaf
    }

    #[inline]
    fn contiguous(&self, level: Level, raw: u64) -> Option<PageSize> {
        if raw & CONTIGUOUS == 0 {
            return None;
        }
        let entries_log2 = match (self.granule, level.0) {
            (Granule::Kib4, _) => 4,
            (Granule::Kib16, 0) => 7,
            (Granule::Kib16 | Granule::Kib64, _) => 5,
        };
        Some(PageSize::from_shift(self.geometry.level(level).shift + entries_log2))
    }

    /// ESR_EL1, exceptions taken to EL1: the class, and of the syndrome WnR and the fault status
    /// code. A fault before the first look-up is one of level 0.
    #[inline]
    fn arch_fault(&self, level: Option<Level>, cause: FaultCause, access: Access) -> ArchFault {
        let level = level.map_or(0, |level| 3 - level.0);
        let exception_class = match (access.kind, access.privilege) {
            (AccessKind::Execute, Privilege::User) => 0x20,
            (AccessKind::Execute, Privilege::Supervisor) => 0x21,
            (_, Privilege::User) => 0x24,
            (_, Privilege::Supervisor) => 0x25,
        };
        ArchFault::Aarch64 {
            exception_class,
            write: access.kind == AccessKind::Write,
            fault_status: Self::fault_status(cause, level),
        }
    }

    #[inline]
    fn encode_table(&self, level: Level, next: PhysAddr) -> u64 {
        debug_assert!(!Self::is_page(level), "a level 3 descriptor points to no table");
        debug_assert!(next.0 & !bits(self.granule_shift(), self.controls.output_bits) == 0);
        next.0 | VALID | TABLE
    }

    /// APTable\[1\] is set.
    #[inline]
    fn encode_table_read_only(&self, level: Level, next: PhysAddr) -> Option<u64> {
        Some(self.encode_table(level, next) | AP_TABLE_READ_ONLY)
    }

    /// A writable page has DBM set, and AP\[2\] while it is clean; without `hd` the first store
    /// is a permission fault then, and software clears AP\[2\] ([`Radix::granted`]).
    ///
    /// Not expressible: no READ.
    #[inline]
    fn encode_leaf(&self, level: Level, leaf: Leaf) -> u64 {
        let shape = self.geometry.level(level);
        debug_assert!(shape.leaf, "level {level} has no blocks");
        let address = leaf.pfn.0 << self.granule_shift();
        debug_assert!(address & !bits(shape.shift, self.controls.output_bits) == 0);
        let flag = |on, bit| if on { bit } else { 0 };
        let has = |right| leaf.rights.contains(right);
        let writable = has(Rights::WRITE);
        address
            | VALID
            | SH_INNER
            | flag(Self::is_page(level), TABLE)
            | flag(leaf.write_through, ATTR_WRITE_THROUGH)
            | flag(leaf.cache_disable, ATTR_NON_CACHEABLE)
            | flag(has(Rights::USER), AP_EL0)
            | flag(!(writable && leaf.dirty), AP_READ_ONLY)
            | flag(leaf.accessed, AF)
            | flag(!leaf.global, NG)
            | flag(writable, DBM)
            | flag(!has(Rights::EXECUTE_SUPERVISOR), PXN)
            | flag(!has(Rights::EXECUTE), UXN)
            | flag(!writable && leaf.dirty, SOFTWARE_DIRTY)
    }

    #[inline]
    fn granted(&self, leaf: &Leaf, raw: u64) -> Rights {
        let promised = if raw & DBM != 0 { Rights::WRITE } else { Rights::empty() };
        leaf.rights | promised
    }

    #[inline]
    fn absent_bits(&self) -> u8 {
        63
    }

    #[inline]
    fn encode_absent(&self, payload: u64) -> u64 {
        assert!(payload >> 63 == 0, "an absent entry has 63 bits for software");
        payload << 1
    }

    #[inline]
    fn decode_absent(&self, raw: u64) -> u64 {
        debug_assert!(raw & VALID == 0);
        raw >> 1
    }
}
