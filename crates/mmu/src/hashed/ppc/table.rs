//! The table as an operating system keeps it: which segments a space has, which PP bits a page.
//!
//! ```text
//!   space ──► VSIDs of its 16 segments       Ks = 0, Kp = 1, N = 0 in all of them
//!
//!   rights asked for     PP    supervisor       user
//!   not the user's       00    read, write      nothing
//!   read                 11    read             read
//!   write                10    read, write      read, write
//!   -                    01    read, write      read            decoded, never entered
//! ```
//!
//! What can be read can be executed: only a whole segment can withhold that.
//!
//! A PTE goes in the group of hash 1, if that is full in the group of hash 2; if that is full too,
//! there is no place.

use super::pte::{self, Pte};
use super::{GROUP, PAGE, PTE_BYTES, Segment, arch_fault, group_address, hash, permit, translate};
use crate::hashed::{Broken, Full, HashedTable, Mapped};
use crate::radix::Leaf;
use crate::{
    Access, ArchFault, Asid, Fault, FaultCause, PageSize, Pfn, PhysAddr, Rights, TableMemory,
    Translation, VirtAddr, Vpn, WalkObserver,
};

/// Page frames have 20-bit numbers.
const FRAMES_MAX: u64 = 1 << 20;
/// The smallest table: HTABMASK 0.
const TABLE_BYTES_MIN: u64 = 1 << 16;
/// Bytes of table for each frame: one group of 64 bytes for two frames, as PEM table 7-20
/// recommends.
const BYTES_PER_FRAME: u64 = GROUP * PTE_BYTES / 2;

/// Bits of a page number within a segment.
const PAGE_INDEX_BITS: u32 = 16;
const SEGMENTS: u64 = 16;

/// Consecutive spaces are so many times 16 VSIDs apart, and the segments of one space 0x111, so
/// that equal page numbers meet in few groups (the figures are those of Linux/ppc, which says why
/// in `asm/book3s/32/mmu-hash.h`). Modulo 2^24, every pair of space and segment has its own VSID:
/// the skew is odd, and the lowest digit is the segment.
const SKEW: u32 = 897;
const SEGMENT_STRIDE: u32 = 0x111;
const VSID_MASK: u32 = 0xff_ffff;
/// SKEW × SKEW_INVERSE = 1 modulo 2^20.
const SKEW_INVERSE: u32 = inverse(SKEW) & 0xf_ffff;

/// The inverse of an odd number modulo 2^32, by Newton's iteration.
const fn inverse(odd: u32) -> u32 {
    let mut x = odd;
    let mut round = 0;
    while round < 5 {
        x = x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

const _: () = assert!(SKEW.wrapping_mul(SKEW_INVERSE) & 0xf_ffff == 1);

/// The hashed page table of a 32-bit PowerPC, of some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ppc {
    /// HTABMASK: ones at the bottom.
    mask: u16,
}

impl Ppc {
    /// The table that is recommended for `frames` frames of RAM: 64 KiB to 32 MiB.
    pub fn new(frames: u64) -> Self {
        let bytes = frames.min(FRAMES_MAX) * BYTES_PER_FRAME;
        let bytes = bytes.max(TABLE_BYTES_MIN).next_power_of_two();
        Self { mask: (bytes / TABLE_BYTES_MIN - 1) as u16 }
    }

    /// Segment register `number` (0 to 15) while the space runs.
    pub const fn segment(asid: Asid, number: u32) -> Segment {
        let context = (asid.0 as u32).wrapping_mul(SKEW * 16);
        let vsid = context.wrapping_add(number * SEGMENT_STRIDE) & VSID_MASK;
        Segment { supervisor_key: false, user_key: true, no_execute: false, vsid }
    }

    /// The space and segment that have a VSID.
    fn owner(vsid: u32) -> Option<(Asid, u32)> {
        let number = vsid & 0xf;
        let context = vsid.wrapping_sub(number * SEGMENT_STRIDE) >> 4;
        let asid = u16::try_from(context.wrapping_mul(SKEW_INVERSE) & 0xf_ffff).ok()?;
        Some((Asid(asid), number))
    }

    /// A page's VSID and page index; `None` if it is beyond the address space.
    fn name(asid: Asid, vpn: Vpn) -> Option<(u32, u32)> {
        let number = vpn.0 >> PAGE_INDEX_BITS;
        let index = vpn.0 as u32 & ((1 << PAGE_INDEX_BITS) - 1);
        (number < SEGMENTS).then(|| (Self::segment(asid, number as u32).vsid, index))
    }

    fn search<M: TableMemory + ?Sized>(
        memory: &M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<pte::Found> {
        let (vsid, index) = Self::name(asid, vpn)?;
        pte::search(memory, sdr1(root), vsid, index, &mut ()).ok()?
    }
}

/// The base register is SDR1.
fn sdr1(root: PhysAddr) -> u32 {
    root.0 as u32
}

fn word1_of(leaf: &Leaf) -> u32 {
    let flag = |on, bit| if on { bit } else { 0 };
    let wimg =
        flag(leaf.write_through, pte::WRITE_THROUGH) | flag(leaf.cache_disable, pte::INHIBITED);
    let pp = match leaf.rights {
        rights if !rights.contains(Rights::USER) => 0b00,
        rights if rights.contains(Rights::WRITE) => 0b10,
        _ => 0b11,
    };
    Pte::word1_of(leaf.pfn, leaf.accessed, leaf.dirty, wimg, pp)
}

fn leaf_of(pte: Pte) -> Leaf {
    // All segments have the same keys.
    let segment = Ppc::segment(Asid(0), 0);
    Leaf {
        pfn: pte.frame(),
        rights: segment.rights(pte.protection(), pte.guarded()),
        global: false,
        accessed: pte.referenced(),
        dirty: pte.changed(),
        cache_disable: pte.word1 & pte::INHIBITED != 0,
        write_through: pte.word1 & pte::WRITE_THROUGH != 0,
    }
}

impl HashedTable for Ppc {
    #[inline]
    fn base_page(&self) -> PageSize {
        PAGE
    }

    fn va_bits(&self) -> u8 {
        32
    }

    fn frames_max(&self) -> u64 {
        FRAMES_MAX
    }

    fn table_bytes(&self) -> u64 {
        (u64::from(self.mask) + 1) * TABLE_BYTES_MIN
    }

    /// The table is aligned to its size (7.6.1.1).
    fn table_align(&self) -> u64 {
        self.table_bytes()
    }

    /// SDR1.
    fn root(&self, base: PhysAddr) -> PhysAddr {
        debug_assert!(base.0.is_multiple_of(self.table_align()) && base.0 >> 32 == 0, "HTABORG");
        PhysAddr(base.0 | u64::from(self.mask))
    }

    fn walk_observed<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, Fault> {
        let segment = Self::segment(asid, (va.0 >> 28) as u32 & 0xf);
        translate(memory, sdr1(root), segment, va, access, observer)
    }

    #[inline]
    fn permit(&self, rights: Rights, access: Access) -> Result<(), FaultCause> {
        permit(rights, access)
    }

    fn arch_fault(&self, cause: FaultCause, access: Access) -> ArchFault {
        arch_fault(cause, access)
    }

    fn granted(&self, rights: Rights) -> Rights {
        let leaf = Leaf {
            pfn: Pfn(0),
            rights,
            global: false,
            accessed: false,
            dirty: false,
            cache_disable: false,
            write_through: false,
        };
        leaf_of(Pte { word0: 0, word1: word1_of(&leaf) }).rights
    }

    fn initialise<M: TableMemory + ?Sized>(&self, memory: &mut M, root: PhysAddr) {
        let base = group_address(sdr1(root), 0);
        for at in (0..self.table_bytes()).step_by(PTE_BYTES as usize) {
            if pte::write(memory, PhysAddr(base.0 + at), Pte::default()).is_err() {
                return;
            }
        }
    }

    fn find<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<Leaf> {
        Self::search(memory, root, asid, vpn).map(|found| leaf_of(found.pte))
    }

    /// Full if both groups are.
    fn insert<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        leaf: Leaf,
    ) -> Result<(), Full> {
        let (vsid, index) = Self::name(asid, vpn).ok_or(Full)?;
        debug_assert!(Self::search(memory, root, asid, vpn).is_none(), "a page is entered once");
        if leaf.pfn.0 >= FRAMES_MAX {
            return Err(Full);
        }
        for secondary in [false, true] {
            let mut group = pte::places(sdr1(root), hash(vsid, index, secondary));
            let free = |&at: &PhysAddr| pte::read(memory, at).is_ok_and(|pte| !pte.is_valid());
            if let Some(at) = group.find(free) {
                let word0 = Pte::tag(vsid, index, secondary);
                let pte = Pte { word0, word1: word1_of(&leaf) };
                return pte::write(memory, at, pte).map_err(|_| Full);
            }
        }
        Err(Full)
    }

    /// M and G stay as they are.
    fn update<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        change: impl FnOnce(&mut Leaf),
    ) -> Option<Leaf> {
        let found = Self::search(memory, root, asid, vpn)?;
        let was = leaf_of(found.pte);
        let mut leaf = was;
        change(&mut leaf);
        debug_assert_eq!(leaf.pfn, was.pfn, "an update keeps the frame");
        if leaf != was {
            let kept = found.pte.word1 & (pte::COHERENT | pte::GUARDED);
            pte::write_word(memory, pte::word1_at(found.at), word1_of(&leaf) | kept).ok()?;
        }
        Some(was)
    }

    fn remove<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
    ) -> Option<Leaf> {
        let found = Self::search(memory, root, asid, vpn)?;
        pte::write(memory, found.at, Pte::default()).ok()?;
        Some(leaf_of(found.pte))
    }

    /// One of the eight in the group of hash 1.
    fn make_room<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        root: PhysAddr,
        asid: Asid,
        vpn: Vpn,
        _: Pfn,
        turn: u64,
    ) -> Option<Mapped> {
        let (vsid, index) = Self::name(asid, vpn)?;
        let hash = hash(vsid, index, false);
        let at = PhysAddr(group_address(sdr1(root), hash).0 + turn % GROUP * PTE_BYTES);
        let victim = pte::read(memory, at).ok().filter(|pte| pte.is_valid())?;
        let (asid, number) = Self::owner(victim.vsid())?;
        pte::write(memory, at, Pte::default()).ok()?;
        let vpn = u64::from(number << PAGE_INDEX_BITS | victim.page_index(hash));
        Some(Mapped { asid, vpn: Vpn(vpn), leaf: leaf_of(victim) })
    }

    fn audit<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        root: PhysAddr,
        visit: &mut dyn FnMut(Mapped),
    ) -> Result<(), Broken> {
        for group in 0..self.table_bytes() as u32 / (GROUP * PTE_BYTES) as u32 {
            for at in pte::places(sdr1(root), group) {
                let broken = |why| Err(Broken { at, why });
                let Ok(pte) = pte::read(memory, at) else { return broken("is not in memory") };
                if !pte.is_valid() {
                    continue;
                }
                let Some((asid, number)) = Self::owner(pte.vsid()) else {
                    return broken("the VSID of no space");
                };
                let vpn = Vpn(u64::from(number << PAGE_INDEX_BITS | pte.page_index(group)));
                match Self::search(memory, root, asid, vpn) {
                    Some(found) if found.at == at => {}
                    Some(_) => return broken("the page is entered twice"),
                    None => return broken("the entry is not in a group of its hashes"),
                }
                visit(Mapped { asid, vpn, leaf: leaf_of(pte) });
            }
        }
        Ok(())
    }
}
