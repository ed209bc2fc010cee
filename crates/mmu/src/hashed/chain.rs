//! Entries in chains: what the two text-book tables share.
//!
//! ```text
//!          63  62    52 51      36 35                                     0
//!   tag   │ V │   0    │  asid    │              page                     │
//!          63  62          36 35                8  7  6  5  4  3  2  1  0
//!   data  │ L │    next      │      frame        │WT│CD│ M│ R│ u│ x│ w│ r│
//! ```
//!
//! V: the entry is valid. L: the chain goes on at the entry `next`. R, M: referenced, modified.
//! r, w, x, u: the page can be read, written, executed, and all this by the user. CD, WT: past the
//! cache, through the cache. An inverted table leaves `frame` zero: there it is the entry's index.
//!
//! A mismatch makes two references, tag and data (for the link); a match as well (for the frame).
//! Both words lie in one aligned block of 16 bytes.

use super::{Broken, Mapped};
use crate::radix::Leaf;
use crate::{
    Access, AccessKind, Asid, EntryWidth, FaultCause, OutOfMemory, PageSize, Pfn, PhysAddr,
    Privilege, Probe, ProbeKind, Rights, TableMemory, Translation, VirtAddr, Vpn, WalkObserver,
};

/// The page of both tables: 4 KiB.
pub(super) const PAGE: PageSize = PageSize::from_shift(12);
/// Bits of a virtual address.
pub(super) const VA_BITS: u8 = 48;
/// Bits of an entry's index: `next`.
pub(super) const INDEX_BITS: u8 = 27;
/// Bits of a frame number.
pub(super) const FRAME_BITS: u8 = 28;
/// Bytes of an entry.
pub(super) const ENTRY_BYTES: u64 = 16;

const VPN_BITS: u8 = VA_BITS - PAGE.shift();
const V: u64 = 1 << 63;
const LINKED: u64 = 1 << 63;
const NEXT_SHIFT: u8 = 36;
const FRAME_SHIFT: u8 = 8;
const REFERENCED: u64 = 1 << 4;
const MODIFIED: u64 = 1 << 5;
const CACHE_DISABLE: u64 = 1 << 6;
const WRITE_THROUGH: u64 = 1 << 7;
/// The bits below the frame.
const FLAGS: u64 = (1 << FRAME_SHIFT) - 1;

/// 2^64 divided by the golden ratio, made odd: multiples of it lie spread as evenly as can be
/// (Knuth, The Art of Computer Programming vol. 3, 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Every right that these tables know.
const RIGHTS: Rights = Rights::READ.union(Rights::WRITE).union(Rights::EXECUTE).union(Rights::USER);

/// What identifies a page: the tag of its entry. `None` if the page is beyond the address space.
#[inline]
pub(super) fn tag(asid: Asid, vpn: Vpn) -> Option<u64> {
    (vpn.0 >> VPN_BITS == 0).then_some(V | u64::from(asid.0) << VPN_BITS | vpn.0)
}

/// Which of 2^`bits` places a tag belongs to (`bits` is 1 to 63): the upper bits of a product.
#[inline]
pub(super) const fn hash(tag: u64, bits: u8) -> u64 {
    (tag & !V).wrapping_mul(GOLDEN) >> (64 - bits)
}

/// The page of a valid tag; `None` if it has bits that no page gives it.
pub(super) fn page_of(raw: u64) -> Option<(Asid, Vpn)> {
    let asid = Asid((raw >> VPN_BITS) as u16);
    let vpn = Vpn(raw & ((1 << VPN_BITS) - 1));
    (tag(asid, vpn) == Some(raw)).then_some((asid, vpn))
}

/// Text-book protection: the bits are one set for everybody, and `u` lets the user in.
#[inline]
pub(super) fn permit(rights: Rights, access: Access) -> Result<(), FaultCause> {
    if access.privilege == Privilege::User && !rights.contains(Rights::USER) {
        return Err(FaultCause::Privilege);
    }
    let needed = match access.kind {
        AccessKind::Read => Rights::READ,
        AccessKind::Write => Rights::WRITE,
        AccessKind::Execute => Rights::EXECUTE,
    };
    if rights.contains(needed) { Ok(()) } else { Err(FaultCause::Protection) }
}

/// The rights that an entry can have.
pub(super) fn granted(rights: Rights) -> Rights {
    rights & RIGHTS
}

/// The data word of `leaf`, with the chain's link as in `link`.
fn data_of(leaf: &Leaf, link: u64) -> u64 {
    let flag = |on, bit| if on { bit } else { 0 };
    link & !(FLAGS | ((1 << FRAME_BITS) - 1) << FRAME_SHIFT)
        | leaf.pfn.0 << FRAME_SHIFT
        | u64::from(granted(leaf.rights).bits())
        | flag(leaf.accessed, REFERENCED)
        | flag(leaf.dirty, MODIFIED)
        | flag(leaf.cache_disable, CACHE_DISABLE)
        | flag(leaf.write_through, WRITE_THROUGH)
}

fn leaf_of(data: u64) -> Leaf {
    Leaf {
        pfn: Pfn(data >> FRAME_SHIFT & ((1 << FRAME_BITS) - 1)),
        rights: Rights::from_bits_truncate(data as u8) & RIGHTS,
        global: false,
        accessed: data & REFERENCED != 0,
        dirty: data & MODIFIED != 0,
        cache_disable: data & CACHE_DISABLE != 0,
        write_through: data & WRITE_THROUGH != 0,
    }
}

/// The data word `data` with another link.
fn linked(data: u64, next: Option<u64>) -> u64 {
    let rest = data & ((1 << NEXT_SHIFT) - 1);
    next.map_or(rest, |next| rest | LINKED | next << NEXT_SHIFT)
}

fn next_of(data: u64) -> Option<u64> {
    (data & LINKED != 0).then_some(data >> NEXT_SHIFT & ((1 << INDEX_BITS) - 1))
}

/// An entry as it lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub tag: u64,
    pub data: u64,
}

impl Raw {
    pub const EMPTY: Self = Self { tag: 0, data: 0 };

    pub fn new(tag: u64, leaf: &Leaf, next: Option<u64>) -> Self {
        Self { tag, data: linked(data_of(leaf, 0), next) }
    }

    pub fn is_valid(&self) -> bool {
        self.tag & V != 0
    }

    pub fn next(&self) -> Option<u64> {
        next_of(self.data)
    }

    pub fn with_next(self, next: Option<u64>) -> Self {
        Self { data: linked(self.data, next), ..self }
    }

    /// What the entry maps its page to, if it says so itself (in a hashed table).
    pub fn leaf(&self) -> Leaf {
        leaf_of(self.data)
    }

    pub fn with_leaf(self, leaf: &Leaf) -> Self {
        Self { data: data_of(leaf, self.data), ..self }
    }
}

/// Where an entry was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub index: u64,
    /// The entry before it in its chain.
    pub previous: Option<u64>,
    pub entry: Raw,
}

/// The entries of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries {
    pub base: PhysAddr,
    pub count: u64,
}

/// A look-up that succeeded: the entry's index, its data word, and references made.
pub(super) struct Hit {
    pub index: u64,
    data: u64,
    pub reads: u8,
}

impl Entries {
    fn tag_at(&self, index: u64) -> PhysAddr {
        PhysAddr(self.base.0.wrapping_add(index * ENTRY_BYTES))
    }

    fn data_at(&self, index: u64) -> PhysAddr {
        PhysAddr(self.tag_at(index).0.wrapping_add(8))
    }

    pub fn read<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        index: u64,
    ) -> Result<Raw, OutOfMemory> {
        let tag = memory.read_entry(self.tag_at(index), EntryWidth::Eight)?;
        let data = memory.read_entry(self.data_at(index), EntryWidth::Eight)?;
        Ok(Raw { tag, data })
    }

    /// The tag is written last: an entry is never valid with another's data.
    pub fn write<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        index: u64,
        entry: Raw,
    ) -> Result<(), OutOfMemory> {
        memory.write_entry(self.data_at(index), EntryWidth::Eight, entry.data)?;
        memory.write_entry(self.tag_at(index), EntryWidth::Eight, entry.tag)
    }

    /// Links the entry `index` to another.
    pub fn link<M: TableMemory + ?Sized>(
        &self,
        memory: &mut M,
        index: u64,
        next: Option<u64>,
    ) -> Result<(), OutOfMemory> {
        let entry = self.read(memory, index)?.with_next(next);
        memory.write_entry(self.data_at(index), EntryWidth::Eight, entry.data)
    }

    /// The hardware's search of the chain that begins at `first`, after `reads` references.
    pub fn search<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &M,
        first: Option<u64>,
        tag: u64,
        mut reads: u8,
        observer: &mut O,
    ) -> Result<Hit, FaultCause> {
        let width = EntryWidth::Eight;
        let mut next = first;
        for _ in 0..self.count {
            let index = next.ok_or(FaultCause::NotPresent)?;
            if index >= self.count {
                return Err(FaultCause::Reserved);
            }
            let at = self.tag_at(index);
            let raw = memory.read_entry(at, width).map_err(|_| FaultCause::NoMemory)?;
            let matches = raw == tag;
            observer.probe(&Probe { at, width, raw, what: ProbeKind::Tag, matches });
            if raw & V == 0 {
                return Err(FaultCause::NotPresent);
            }
            let at = self.data_at(index);
            let data = memory.read_entry(at, width).map_err(|_| FaultCause::NoMemory)?;
            reads = reads.saturating_add(2);
            if matches {
                observer.probe(&Probe { at, width, raw: data, what: ProbeKind::Data, matches });
                return Ok(Hit { index, data, reads });
            }
            next = next_of(data);
            let matches = next.is_some();
            observer.probe(&Probe { at, width, raw: data, what: ProbeKind::Link, matches });
        }
        // More links than entries: the chain bites its tail.
        Err(if next.is_some() { FaultCause::Reserved } else { FaultCause::NotPresent })
    }

    /// What the hardware does with an entry that it found: judge, set bits, translate. `frame` is
    /// where the page is.
    pub fn finish<M: TableMemory + ?Sized, O: WalkObserver>(
        &self,
        memory: &mut M,
        hit: &Hit,
        frame: Option<Pfn>,
        va: VirtAddr,
        access: Access,
        observer: &mut O,
    ) -> Result<Translation, FaultCause> {
        let leaf = leaf_of(hit.data);
        permit(leaf.rights, access)?;
        let store = access.kind == AccessKind::Write;
        let touched = hit.data | REFERENCED | if store { MODIFIED } else { 0 };
        if touched != hit.data {
            let at = self.data_at(hit.index);
            memory.write_entry(at, EntryWidth::Eight, touched).map_err(|_| FaultCause::NoMemory)?;
            observer.update(at, touched);
        }
        let pfn = frame.unwrap_or(leaf.pfn);
        Ok(Translation {
            pa: PhysAddr(pfn.base(PAGE).0 | va.offset(PAGE)),
            page: PAGE,
            pfn,
            rights: leaf.rights,
            global: false,
            dirty: touched & MODIFIED != 0,
            reads: hit.reads,
            writes: u8::from(touched != hit.data),
        })
    }

    /// Software's search of the chain that begins at `first`: what `wanted` says yes to. `None` if
    /// there is none, or the chain is broken.
    pub fn find<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        first: Option<u64>,
        mut wanted: impl FnMut(u64, &Raw) -> bool,
    ) -> Option<Found> {
        let mut previous = None;
        let mut next = first;
        for _ in 0..self.count {
            let index = next.filter(|&index| index < self.count)?;
            let entry = self.read(memory, index).ok().filter(Raw::is_valid)?;
            if wanted(index, &entry) {
                return Some(Found { index, previous, entry });
            }
            previous = Some(index);
            next = entry.next();
        }
        None
    }

    /// Clears everything.
    pub fn clear<M: TableMemory + ?Sized>(&self, memory: &mut M) {
        for index in 0..self.count {
            if self.write(memory, index, Raw::EMPTY).is_err() {
                return;
            }
        }
    }

    /// Checks all entries and shows them. `first` is where a tag's chain begins; there are `heads`
    /// chains; `bits` are the hash's. In an inverted table (`by_index`) the frame is the index.
    pub fn audit<M: TableMemory + ?Sized>(
        &self,
        memory: &M,
        bits: u8,
        heads: u64,
        first: impl Fn(u64) -> Option<u64>,
        by_index: bool,
        visit: &mut dyn FnMut(Mapped),
    ) -> Result<(), Broken> {
        let (mut valid, mut links) = (0, 0);
        for index in 0..self.count {
            let (tag_at, data_at) = (self.tag_at(index), self.data_at(index));
            let broken = |at, why| Err(Broken { at, why });
            let Ok(entry) = self.read(memory, index) else {
                return broken(tag_at, "is not in memory");
            };
            if !entry.is_valid() {
                if entry == Raw::EMPTY {
                    continue;
                }
                return broken(tag_at, "an empty entry is not zero");
            }
            valid += 1;
            let Some((asid, vpn)) = page_of(entry.tag) else {
                return broken(tag_at, "a tag with reserved bits");
            };
            match self.find(memory, first(entry.tag), |_, other| other.tag == entry.tag) {
                Some(found) if found.index == index => {}
                Some(_) => return broken(tag_at, "the page is entered twice"),
                None => return broken(tag_at, "the entry is not on its hash's chain"),
            }
            if let Some(next) = entry.next() {
                links += 1;
                let same_hash = next < self.count
                    && self.read(memory, next).is_ok_and(|other| {
                        other.is_valid() && hash(other.tag, bits) == hash(entry.tag, bits)
                    });
                if !same_hash {
                    return broken(data_at, "a link to no entry of the same hash");
                }
            }
            let mut leaf = entry.leaf();
            if by_index && core::mem::replace(&mut leaf.pfn, Pfn(index)) != Pfn(0) {
                return broken(data_at, "a frame number where the index is it");
            }
            visit(Mapped { asid, vpn, leaf });
        }
        // Every entry is reached, so every one has a link or a head that leads to it: if there are
        // more, two lead to one, and a chain is a cycle.
        let at = self.base;
        let why = "there are more links than entries";
        if valid == heads + links { Ok(()) } else { Err(Broken { at, why }) }
    }
}
