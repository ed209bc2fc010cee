//! The 32-bit PowerPC (OEA), as the 604 has it: segment registers and a table of groups of eight.
//!
//! Section numbers are those of chapter 7 of "PowerPC Microprocessor Family: The Programming
//! Environments for 32-Bit Microprocessors" (PEM). Bit 0 is the highest, as there.
//!
//! ```text
//!          0   3 4              19 20      31
//!   EA    │ SR  │   page index    │ offset  │          32 bits
//!            │ one of 16 segment registers
//!            ▼
//!          0   1    2    3           8                  31
//!   SR    │ T │ Ks │ Kp │ N │   -   │        VSID        │
//!
//!   virtual address   VSID (24 bits) ‖ page index (16) ‖ offset (12)        52 bits
//!
//!          0                15        23          31
//!   SDR1  │    HTABORG      │    -    │  HTABMASK   │      table of 2^16 × (HTABMASK + 1) bytes
//!
//!   hash 1 = low 19 bits of VSID XOR page index;  hash 2 = NOT hash 1
//!   PTEG   = HTABORG, with hash bits 0-8 ANDed with HTABMASK ‖ hash bits 9-18 ‖ six zeroes
//!
//!          0   1                        24  25  26       31
//!   PTE 0 │ V │          VSID             │ H │    API    │  H: in the group of hash 2
//!          0                  19    23  24  25    28  29  30  31
//!   PTE 1 │       RPN          │ 0 │ R │ C │ W I M G │ 0 │ PP │
//! ```
//!
//! The API is the upper six bits of the page index; the others follow from the group.
//!
//! Words in RAM are big-endian, as on the real machine; [`TableMemory`] reads little-endian words,
//! which are swapped here, so that probes and updates show an observer PTE words as the manual
//! draws them.
//!
//! Left out: block address translation, and direct-store segments (T = 1), which are not memory.

mod pte;
mod table;

pub use pte::{Pte, group_address, hash};
pub use table::Ppc;

use crate::{
    Access, AccessKind, ArchFault, Fault, FaultCause, Level, PageSize, PhysAddr, Privilege, Rights,
    TableMemory, Translation, VirtAddr, WalkObserver,
};

/// The page: 4 KiB.
pub const PAGE: PageSize = PageSize::from_shift(12);
/// PTEs in a group.
pub const GROUP: u64 = 8;
/// Bytes of a PTE.
pub const PTE_BYTES: u64 = 8;

/// A segment register (7.4.1) with T = 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Ks: the supervisor's key.
    pub supervisor_key: bool,
    /// Kp: the user's key.
    pub user_key: bool,
    /// N: nothing is executed here.
    pub no_execute: bool,
    /// VSID: 24 bits.
    pub vsid: u32,
}

impl Segment {
    /// The register's bits without T.
    pub const fn from_raw(raw: u32) -> Self {
        Self {
            supervisor_key: raw & 1 << 30 != 0,
            user_key: raw & 1 << 29 != 0,
            no_execute: raw & 1 << 28 != 0,
            vsid: raw & 0xff_ffff,
        }
    }

    /// The register's bits.
    pub const fn raw(self) -> u32 {
        (self.supervisor_key as u32) << 30
            | (self.user_key as u32) << 29
            | (self.no_execute as u32) << 28
            | self.vsid & 0xff_ffff
    }

    /// What a page with protection bits `pp` allows (7.5.4, table 7-10: key and PP).
    ///
    /// | key | PP 00 | 01 | 10 | 11 |
    /// | --- | --- | --- | --- | --- |
    /// | 0 | read, write | read, write | read, write | read |
    /// | 1 | nothing | read | read, write | read |
    ///
    /// READ, WRITE and USER are the user's (Kp), READ_SUPERVISOR and WRITE_SUPERVISOR the
    /// supervisor's (Ks). EXECUTE says that neither the segment (N) nor the page (`guarded`)
    /// forbids it; a fetch must be allowed to read as well.
    #[inline]
    pub fn rights(self, pp: u8, guarded: bool) -> Rights {
        let read = |key: bool| !key || pp & 3 != 0;
        let write = |key: bool| pp & 3 == 2 || (!key && pp & 3 != 3);
        let mut rights = Rights::empty();
        rights.set(Rights::READ | Rights::USER, read(self.user_key));
        rights.set(Rights::WRITE, write(self.user_key));
        rights.set(Rights::READ_SUPERVISOR, read(self.supervisor_key));
        rights.set(Rights::WRITE_SUPERVISOR, write(self.supervisor_key));
        rights.set(Rights::EXECUTE, !self.no_execute && !guarded);
        rights
    }
}

/// Whether a page with `rights` allows `access`: `Protection` for a fetch from where nothing is
/// executed and for a store to what can be read, `Privilege` for what the key cannot reach at all.
///
/// # Errors
/// The cause, if not.
#[inline]
pub fn permit(rights: Rights, access: Access) -> Result<(), FaultCause> {
    if access.kind == AccessKind::Execute && !rights.contains(Rights::EXECUTE) {
        return Err(FaultCause::Protection);
    }
    let (read, write) = match access.privilege {
        Privilege::User => (Rights::READ, Rights::WRITE),
        Privilege::Supervisor => (Rights::READ_SUPERVISOR, Rights::WRITE_SUPERVISOR),
    };
    if !rights.contains(read) {
        return Err(FaultCause::Privilege);
    }
    let refused = access.kind == AccessKind::Write && !rights.contains(write);
    if refused { Err(FaultCause::Protection) } else { Ok(()) }
}

/// The exception for `cause` (6.4.3, DSI; 6.4.4, ISI).
///
/// ```text
///   DSISR   bit 1  no PTE    bit 4  not permitted    bit 6  a store
///   SRR1    bit 1  no PTE    bit 3  no-execute or guarded    bit 4  not permitted
/// ```
///
/// A table outside memory is a machine check. An address beyond 32 bits, which the processor cannot
/// issue, counts as having no PTE.
pub fn arch_fault(cause: FaultCause, access: Access) -> ArchFault {
    const fn bit(n: u32) -> u32 {
        1 << (31 - n)
    }
    let missing = match cause {
        FaultCause::NoMemory => return ArchFault::PpcMachineCheck,
        FaultCause::NotPresent | FaultCause::NonCanonical => true,
        _ => false,
    };
    match access.kind {
        AccessKind::Execute => ArchFault::PpcIsi {
            srr1: match cause {
                _ if missing => bit(1),
                FaultCause::Protection => bit(3),
                _ => bit(4),
            },
        },
        kind => {
            let store = if kind == AccessKind::Write { bit(6) } else { 0 };
            ArchFault::PpcDsi { dsisr: store | if missing { bit(1) } else { bit(4) } }
        }
    }
}

/// The translation of `va` in a segment, through the table that `sdr1` describes (7.6.2):
///
/// 1. A fetch from a no-execute segment ends here.
/// 2. The eight PTEs of the group of hash 1: V set, H clear, VSID and API equal?
/// 3. If none, the eight of the group of hash 2, with H set.
/// 4. If none, DSI or ISI.
/// 5. Key and PP allow it? Then set R, and C for a store. (The architecture lets processors set R
///    before: 7.5.3.1. This one does not.)
///
/// # Errors
/// The fault that the processor raises.
pub fn translate<M: TableMemory + ?Sized, O: WalkObserver>(
    memory: &mut M,
    sdr1: u32,
    segment: Segment,
    va: VirtAddr,
    access: Access,
    observer: &mut O,
) -> Result<Translation, Fault> {
    let fault = |level, cause| Fault { va, access, level, cause, arch: arch_fault(cause, access) };
    if va.0 >> 32 != 0 {
        return Err(fault(None, FaultCause::NonCanonical));
    }
    if access.kind == AccessKind::Execute && segment.no_execute {
        return Err(fault(None, FaultCause::Protection));
    }
    look_up(memory, sdr1, segment, va, access, observer)
        .map_err(|cause| fault(Some(Level(0)), cause))
}

fn look_up<M: TableMemory + ?Sized, O: WalkObserver>(
    memory: &mut M,
    sdr1: u32,
    segment: Segment,
    va: VirtAddr,
    access: Access,
    observer: &mut O,
) -> Result<Translation, FaultCause> {
    let found = pte::search(memory, sdr1, segment.vsid, pte::page_index(va), observer)
        .map_err(|_| FaultCause::NoMemory)?
        .ok_or(FaultCause::NotPresent)?;
    let pte = found.pte;
    let rights = segment.rights(pte.protection(), pte.guarded());
    permit(rights, access)?;
    let touched = pte.touched(access.kind == AccessKind::Write);
    if touched != pte {
        let at = pte::word1_at(found.at);
        pte::write_word(memory, at, touched.word1).map_err(|_| FaultCause::NoMemory)?;
        observer.update(at, u64::from(touched.word1));
    }
    Ok(Translation {
        pa: PhysAddr(pte.frame().base(PAGE).0 | va.offset(PAGE)),
        page: PAGE,
        pfn: pte.frame(),
        rights,
        global: false,
        dirty: touched.changed(),
        reads: found.reads,
        writes: u8::from(touched != pte),
    })
}
