//! Any radix format, chosen at run time.

use super::{
    Aarch64, Aarch64Controls, Descent, Entry, Geometry, Granule, Ia32, Leaf, Linear, Pae, R3000,
    Radix, RiscV, RiscVControls, Root, Scheme, Touch, WalkStart, X86_64, X86Controls, walk_from,
};
use crate::{
    Access, ArchFault, Fault, FaultCause, Level, OutOfMemory, PageSize, PhysAddr, Rights,
    TableMemory, Translation, VirtAddr, WalkObserver,
};

/// A radix format.
///
/// Its [`Radix`] methods choose the format on every call. [`Format::walk`] chooses once, and then
/// runs the walker that was compiled for that format: use it where walks are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// IA-32: 10/10/12.
    Ia32(Ia32),
    /// PAE: 2/9/9/12.
    Pae(Pae),
    /// 64-bit mode: (9/)9/9/9/9/12.
    X86_64(X86_64),
    /// Sv32, Sv39, Sv48 or Sv57.
    RiscV(RiscV),
    /// AArch64 with a granule of 4, 16 or 64 KiB.
    Aarch64(Aarch64),
    /// One level, of any page size.
    Linear(Linear),
    /// Of a TLB that software loads: MIPS R3000.
    R3000(R3000),
}

/// Runs `$body` with `$format` bound to the concrete format.
macro_rules! each {
    ($self:expr, $format:ident => $body:expr) => {
        match $self {
            Format::Ia32($format) => $body,
            Format::Pae($format) => $body,
            Format::X86_64($format) => $body,
            Format::RiscV($format) => $body,
            Format::Aarch64($format) => $body,
            Format::Linear($format) => $body,
            Format::R3000($format) => $body,
        }
    };
}

impl Format {
    /// The names of all formats.
    pub const NAMES: &'static [&'static str] = &[
        "ia32",
        "pae",
        "x86-64",
        "x86-64-la57",
        "sv32",
        "sv39",
        "sv48",
        "sv57",
        "aarch64",
        "aarch64-16k",
        "aarch64-64k",
        "r3000",
    ];

    /// The format called `name`, one of [`Format::NAMES`], under its default controls.
    pub fn by_name(name: &str) -> Option<Self> {
        let riscv = |scheme| Self::RiscV(RiscV::new(scheme, RiscVControls::default()));
        let aarch64 = |granule| Self::Aarch64(Aarch64::new(granule, Aarch64Controls::default()));
        Some(match name {
            "ia32" => Self::Ia32(Ia32::default()),
            "pae" => Self::Pae(Pae::default()),
            "x86-64" => Self::X86_64(X86_64::new(4, X86Controls::default())),
            "x86-64-la57" => Self::X86_64(X86_64::new(5, X86Controls::default())),
            "sv32" => riscv(Scheme::Sv32),
            "sv39" => riscv(Scheme::Sv39),
            "sv48" => riscv(Scheme::Sv48),
            "sv57" => riscv(Scheme::Sv57),
            "aarch64" => aarch64(Granule::Kib4),
            "aarch64-16k" => aarch64(Granule::Kib16),
            "aarch64-64k" => aarch64(Granule::Kib64),
            "linear" => Self::Linear(Linear::default()),
            "r3000" => Self::R3000(R3000),
            _ => return None,
        })
    }

    /// The format's name, one of [`Format::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ia32(_) => "ia32",
            Self::Pae(_) => "pae",
            Self::X86_64(format) if format.geometry().levels.len() == 4 => "x86-64",
            Self::X86_64(_) => "x86-64-la57",
            Self::RiscV(format) => match format.scheme {
                Scheme::Sv32 => "sv32",
                Scheme::Sv39 => "sv39",
                Scheme::Sv48 => "sv48",
                Scheme::Sv57 => "sv57",
            },
            Self::Linear(_) => "linear",
            Self::R3000(_) => "r3000",
            Self::Aarch64(format) => match format.granule() {
                Granule::Kib4 => "aarch64",
                Granule::Kib16 => "aarch64-16k",
                Granule::Kib64 => "aarch64-64k",
            },
        }
    }

    /// [`super::walk()`], with the format chosen once for the whole walk.
    ///
    /// # Errors
    /// The fault that the processor raises.
    #[inline]
    pub fn walk<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: &Root,
        va: VirtAddr,
        access: Access,
    ) -> Result<Translation, Fault> {
        self.walk_observed(memory, root, va, access, &mut ())
    }

    /// [`super::walk_observed`], with the format chosen once for the whole walk.
    ///
    /// # Errors
    /// The fault that the processor raises.
    #[inline]
    pub fn walk_observed<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &mut M,
        root: &Root,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        self.walk_from(memory, root, None, va, access, observer)
    }

    /// [`super::walk_from`], with the format chosen once for the whole walk.
    ///
    /// # Errors
    /// The fault that the processor raises.
    #[inline]
    pub fn walk_from<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &mut M,
        root: &Root,
        start: Option<WalkStart>,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        each!(self, format => walk_from(format, memory, root, start, va, access, observer))
    }
}

impl Radix for Format {
    #[inline]
    fn geometry(&self) -> &Geometry {
        each!(self, format => format.geometry())
    }

    #[inline]
    fn load_root<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        table: PhysAddr,
    ) -> Result<Root, FaultCause> {
        each!(self, format => format.load_root(memory, table))
    }

    #[inline]
    fn check_address(&self, va: VirtAddr) -> Result<(), FaultCause> {
        each!(self, format => format.check_address(va))
    }

    #[inline]
    fn top_table(&self, root: &Root, va: VirtAddr) -> Result<PhysAddr, FaultCause> {
        each!(self, format => format.top_table(root, va))
    }

    #[inline]
    fn decode(&self, level: Level, raw: u64) -> Entry {
        each!(self, format => format.decode(level, raw))
    }

    #[inline]
    fn table_global(&self, raw: u64) -> bool {
        each!(self, format => format.table_global(raw))
    }

    #[inline]
    fn contiguous(&self, level: Level, raw: u64) -> Option<PageSize> {
        each!(self, format => format.contiguous(level, raw))
    }

    #[inline]
    fn check_accessed(&self, leaf: &Leaf) -> Result<(), FaultCause> {
        each!(self, format => format.check_accessed(leaf))
    }

    #[inline]
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        each!(self, format => format.permit(rights, access))
    }

    #[inline]
    fn has_accessed_bit(&self, level: Level, is_leaf: bool) -> bool {
        each!(self, format => format.has_accessed_bit(level, is_leaf))
    }

    #[inline]
    fn touch(&self, raw: u64, is_leaf: bool, access: Access) -> Touch {
        each!(self, format => format.touch(raw, is_leaf, access))
    }

    #[inline]
    fn arch_fault(&self, level: Option<Level>, cause: FaultCause, access: Access) -> ArchFault {
        each!(self, format => format.arch_fault(level, cause, access))
    }

    fn encode_self_map(&self, root: PhysAddr) -> Option<u64> {
        each!(self, format => format.encode_self_map(root))
    }

    #[inline]
    fn encode_table(&self, level: Level, next: PhysAddr) -> u64 {
        each!(self, format => format.encode_table(level, next))
    }

    #[inline]
    fn encode_table_read_only(&self, level: Level, next: PhysAddr) -> Option<u64> {
        each!(self, format => format.encode_table_read_only(level, next))
    }

    #[inline]
    fn encode_leaf(&self, level: Level, leaf: Leaf) -> u64 {
        each!(self, format => format.encode_leaf(level, leaf))
    }

    #[inline]
    fn descend<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        table: PhysAddr,
        va: VirtAddr,
    ) -> Result<Descent, OutOfMemory> {
        each!(self, format => format.descend(memory, table, va))
    }

    #[inline]
    fn granted(&self, leaf: &Leaf, raw: u64) -> Rights {
        each!(self, format => format.granted(leaf, raw))
    }

    #[inline]
    fn absent_bits(&self) -> u8 {
        each!(self, format => format.absent_bits())
    }

    #[inline]
    fn encode_absent(&self, payload: u64) -> u64 {
        each!(self, format => format.encode_absent(payload))
    }

    #[inline]
    fn decode_absent(&self, raw: u64) -> u64 {
        each!(self, format => format.decode_absent(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_formats_agree() {
        for name in Format::NAMES {
            assert_eq!(Format::by_name(name).expect("a name in NAMES").name(), *name);
        }
        assert_eq!(Format::by_name("sv64"), None);
    }
}
