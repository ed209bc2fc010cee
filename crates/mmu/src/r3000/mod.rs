//! The MIPS R3000: a TLB of 64 entries that software loads, and the part of coprocessor 0 around
//! it.
//!
//! ```text
//!   ffff_ffff ┌────────────────────┐
//!             │ kseg2      1 GiB   │  kernel, mapped by the TLB
//!   c000_0000 ├────────────────────┤
//!             │ kseg1    512 MiB   │  kernel, physical address = address - a000_0000, not cached
//!   a000_0000 ├────────────────────┤
//!             │ kseg0    512 MiB   │  kernel, physical address = address - 8000_0000, cached
//!   8000_0000 ├────────────────────┤
//!             │ kuseg      2 GiB   │  user and kernel, mapped by the TLB
//!   0000_0000 └────────────────────┘
//!
//!   access ──► mapped? ──no──► kseg0, kseg1: physical address
//!                │ yes
//!                ▼               Cause.ExcCode    vector (with BEV)
//!             an entry matches? ──no──► TLBL, TLBS   kuseg: UTLB 8000_0000 (bfc0_0100)
//!                │                                   kseg2: general 8000_0080 (bfc0_0180)
//!                ▼
//!             V set? ───────────no──► TLBL, TLBS     general
//!                ▼
//!             a load, or D set? ─no─► Mod            general
//!                ▼
//!             physical address                       user mode above kuseg: AdEL, AdES, general
//! ```
//!
//! The hardware knows no page table. A miss traps; the handler finds the page's entry by itself,
//! puts it into EntryLo and executes TLBWR. All that the hardware does for it is to have the
//! page's number in EntryHi, the address of its entry in Context, and to give kuseg misses, which
//! are frequent, a vector of their own.
//!
//! Invariants:
//! 1. The array holds 64 entries at all times; what is invalidated is overwritten with an entry
//!    that nothing can match. So slots mean what Index says.
//! 2. Rights of an entry in the array say V: all of them, or none.
//! 3. An exception changes BadVAddr, Cause and Status; a TLB exception EntryHi.VPN and
//!    Context.BadVPN, too. A translation that succeeds changes nothing but a stamp.

mod instructions;
mod registers;

pub use registers::{ASID_MAX, Context, ENTRIES, EntryHi, EntryLo, ExcCode, Index, Status, WIRED};

use crate::tlb::{ArrayConfig, LevelConfig, Replacement, Side, Slot, Tlb, TlbConfig};
use crate::{
    Access, AccessKind, ArchFault, Fault, FaultCause, PageSize, PhysAddr, Privilege, VirtAddr,
};
use registers::PAGE_SHIFT;

/// The page: 4 KiB, and no other.
pub const PAGE: PageSize = PageSize::from_shift(PAGE_SHIFT);

/// What an address is, by its highest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// User space, mapped.
    Kuseg,
    /// The lowest 512 MiB of memory, cached; kernel mode.
    Kseg0,
    /// The same, not cached: devices, and the boot ROM.
    Kseg1,
    /// Mapped; kernel mode.
    Kseg2,
}

impl Segment {
    /// The segment that `address` is in.
    #[inline]
    pub const fn of(address: u32) -> Self {
        match address >> 29 {
            0..=3 => Self::Kuseg,
            4 => Self::Kseg0,
            5 => Self::Kseg1,
            _ => Self::Kseg2,
        }
    }
}

/// Where an exception goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vector {
    /// Misses in kuseg.
    Utlb,
    /// Everything else but reset.
    General,
}

impl Vector {
    /// The address, in the boot ROM if Status.BEV is set.
    pub const fn address(self, bev: bool) -> u32 {
        match (self, bev) {
            (Self::Utlb, false) => 0x8000_0000,
            (Self::General, false) => 0x8000_0080,
            (Self::Utlb, true) => 0xbfc0_0100,
            (Self::General, true) => 0xbfc0_0180,
        }
    }
}

/// An exception of translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// What Cause says.
    pub code: ExcCode,
    /// Where the processor goes on.
    pub vector: Vector,
    /// Why, which the handler must find out by itself.
    pub cause: FaultCause,
}

impl Exception {
    /// The exception as a fault of `access` at `va`.
    pub const fn fault(self, va: VirtAddr, access: Access) -> Fault {
        let arch = ArchFault::R3000 { exc_code: self.code, vector: self.vector };
        Fault { va, access, level: None, cause: self.cause, arch }
    }
}

/// A translated address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The physical address.
    pub pa: PhysAddr,
    /// Whether the cache may hold it: not in kseg1, nor through an entry whose N is set.
    pub cached: bool,
    /// The slot of the TLB entry used; `None` in kseg0 and kseg1.
    pub slot: Option<Slot>,
}

/// Coprocessor 0, as far as it translates.
#[derive(Clone, Debug)]
pub struct Cp0 {
    index: Index,
    entry_lo: EntryLo,
    context: Context,
    bad_vaddr: u32,
    entry_hi: EntryHi,
    status: Status,
    cause: Option<ExcCode>,
    tlb: Tlb,
    /// EntryLo.N of each entry.
    uncached: u64,
    /// Software has written a second entry of a page: from now on look-ups search on.
    has_doubles: bool,
    /// Instructions that were executed without the caller's clock: the handlers'.
    handlers: u64,
}

impl Default for Cp0 {
    /// The registers of the TLB zero, kernel mode, exceptions to RAM, and no entry that matches.
    fn default() -> Self {
        let mut cp0 = Self {
            index: Index::default(),
            entry_lo: EntryLo::default(),
            context: Context::default(),
            bad_vaddr: 0,
            entry_hi: EntryHi::default(),
            status: Status::default(),
            cause: None,
            tlb: Tlb::new(Self::tlb_config(), PAGE),
            uncached: 0,
            has_doubles: false,
            handlers: 0,
        };
        for slot in 0..ENTRIES {
            cp0.write_unmatched(slot);
        }
        cp0.tlb.take_dropped().for_each(drop);
        cp0
    }
}

impl Cp0 {
    /// The TLB's geometry: 64 entries, any page in any of them, loaded by software. What TLBWR
    /// replaces is [`Cp0::random`]'s to say.
    pub fn tlb_config() -> TlbConfig {
        let random = Replacement::by_name("random").unwrap_or_default();
        let array = ArrayConfig::new(1, ENTRIES, random).expect("64 ways");
        let l1 = LevelConfig::Unified(array.into());
        TlbConfig { l1, l2: None, asid_bits: ASID_MAX.count_ones() as u8, software: true }
    }

    /// Translates an address of the mode that Status says. `now` stamps the entry used.
    ///
    /// # Errors
    /// The exception, which the registers tell of then.
    #[inline]
    pub fn translate(
        &mut self,
        va: VirtAddr,
        kind: AccessKind,
        now: u64,
    ) -> Result<Mapped, Exception> {
        let Ok(address) = u32::try_from(va.0) else {
            return Err(self.address_error(va.0 as u32, kind, FaultCause::NonCanonical));
        };
        let segment = Segment::of(address);
        if segment != Segment::Kuseg && self.status.has(Status::KUC) {
            return Err(self.address_error(address, kind, FaultCause::Privilege));
        }
        match segment {
            Segment::Kuseg | Segment::Kseg2 => self.translate_mapped(address, kind, now),
            Segment::Kseg0 | Segment::Kseg1 => Ok(Mapped {
                pa: PhysAddr(u64::from(address & 0x1fff_ffff)),
                cached: segment == Segment::Kseg0,
                slot: None,
            }),
        }
    }

    #[inline]
    fn translate_mapped(
        &mut self,
        address: u32,
        kind: AccessKind,
        now: u64,
    ) -> Result<Mapped, Exception> {
        let va = VirtAddr(u64::from(address));
        let asid = self.entry_hi.asid();
        if !self.has_doubles
            && let Some((slot, _, line)) =
                self.tlb.reference_hinted(va, asid, Access::user(kind), now)
        {
            let pa = line.translate(va);
            return Ok(self.mapped(pa, slot));
        }
        let found = match self.status.has(Status::TS) {
            true => None,
            false => self.tlb.reference_l1(Side::Data, va, asid, now),
        };
        let Some((slot, _, line)) = found else {
            return Err(self.miss(address, kind, FaultCause::TlbMiss));
        };
        if self.has_doubles && self.tlb.matches(Side::Data, va.vpn(PAGE), asid).nth(1).is_some() {
            self.status = self.status.with(Status::TS, true);
            return Err(self.miss(address, kind, FaultCause::TlbShutdown));
        }
        if line.rights().is_empty() {
            let code = tlb_code(kind);
            return Err(self.tlb_exception(address, code, Vector::General, FaultCause::NotPresent));
        }
        if !line.allowed.contains(Access::user(kind)) {
            let vector = Vector::General;
            return Err(self.tlb_exception(address, ExcCode::Mod, vector, FaultCause::DirtyClear));
        }
        Ok(self.mapped(line.translate(va), slot))
    }

    /// What is found through the entry in `slot`.
    const fn mapped(&self, pa: PhysAddr, slot: Slot) -> Mapped {
        Mapped { pa, cached: self.uncached >> slot.0 & 1 == 0, slot: Some(slot) }
    }

    fn miss(&mut self, address: u32, kind: AccessKind, cause: FaultCause) -> Exception {
        let vector = match Segment::of(address) {
            Segment::Kuseg => Vector::Utlb,
            _ => Vector::General,
        };
        self.tlb_exception(address, tlb_code(kind), vector, cause)
    }

    fn tlb_exception(
        &mut self,
        address: u32,
        code: ExcCode,
        vector: Vector,
        cause: FaultCause,
    ) -> Exception {
        let vpn = VirtAddr(u64::from(address)).vpn(PAGE);
        self.entry_hi = EntryHi::of(vpn, self.entry_hi.asid());
        self.context = self.context.with_bad_vpn(address);
        self.raise(address, code, vector, cause)
    }

    fn address_error(&mut self, address: u32, kind: AccessKind, cause: FaultCause) -> Exception {
        let code = if kind == AccessKind::Write { ExcCode::Ades } else { ExcCode::Adel };
        self.raise(address, code, Vector::General, cause)
    }

    fn raise(
        &mut self,
        address: u32,
        code: ExcCode,
        vector: Vector,
        cause: FaultCause,
    ) -> Exception {
        self.bad_vaddr = address;
        self.cause = Some(code);
        self.status = self.status.pushed();
        Exception { code, vector, cause }
    }
}

fn tlb_code(kind: AccessKind) -> ExcCode {
    if kind == AccessKind::Write { ExcCode::Tlbs } else { ExcCode::Tlbl }
}

/// The registers.
impl Cp0 {
    /// Index.
    pub const fn index(&self) -> Index {
        self.index
    }

    /// Writes Index.
    pub const fn set_index(&mut self, index: Index) {
        self.index = index;
    }

    /// Random after `instructions` instructions: it counts down from 63 to 8 and starts again, one
    /// step for each instruction.
    pub const fn random(&self, instructions: u64) -> Index {
        let steps = instructions.wrapping_add(self.handlers) % (ENTRIES - WIRED) as u64;
        Index::of(ENTRIES - 1 - steps as u32)
    }

    /// EntryLo.
    pub const fn entry_lo(&self) -> EntryLo {
        self.entry_lo
    }

    /// Writes EntryLo.
    pub const fn set_entry_lo(&mut self, entry_lo: EntryLo) {
        self.entry_lo = entry_lo;
    }

    /// Context.
    pub const fn context(&self) -> Context {
        self.context
    }

    /// Writes Context: its PTEBase. The BadVPN is the hardware's: the page of the last TLB
    /// exception, which after an address error is not that of BadVAddr.
    pub const fn set_context(&mut self, context: Context) {
        self.context = self.context.with_base(context);
    }

    /// BadVAddr: the address of the last exception.
    pub const fn bad_vaddr(&self) -> u32 {
        self.bad_vaddr
    }

    /// EntryHi.
    pub const fn entry_hi(&self) -> EntryHi {
        self.entry_hi
    }

    /// Writes EntryHi, and with it the space in force.
    pub const fn set_entry_hi(&mut self, entry_hi: EntryHi) {
        self.entry_hi = entry_hi;
    }

    /// Status.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Writes Status. TS is the hardware's.
    pub const fn set_status(&mut self, status: Status) {
        self.status = status.with(Status::TS, self.status.has(Status::TS));
    }

    /// Cause.ExcCode of the last exception.
    pub const fn exc_code(&self) -> Option<ExcCode> {
        self.cause
    }

    /// Tells Random of instructions that the caller's clock does not count.
    pub const fn execute(&mut self, instructions: u64) {
        self.handlers += instructions;
    }

    /// The TLB.
    #[inline]
    pub const fn tlb(&self) -> &Tlb {
        &self.tlb
    }

    /// The TLB, to write stamps and to take what was dropped.
    #[inline]
    pub const fn tlb_mut(&mut self) -> &mut Tlb {
        &mut self.tlb
    }

    /// Sets the mode of the processor.
    pub(crate) const fn set_mode(&mut self, privilege: Privilege) {
        let user = matches!(privilege, Privilege::User);
        self.status = self.status.with(Status::KUC, user);
    }
}
