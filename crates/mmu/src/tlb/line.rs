//! What a slot holds beside its key: a translation without its page.

use super::entry::{Allowed, Globals, TlbEntry};
use super::key::Key;
use crate::{Asid, PageSize, Pfn, PhysAddr, Rights, VirtAddr};

/// A translation without its page, in 16 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    /// Physical less virtual address.
    delta: u64,
    asid: u16,
    /// The bits of the ASID that are compared: none of a global entry.
    asid_mask: u16,
    pub allowed: Allowed,
    rights: u8,
    global: bool,
    dirty: bool,
}

impl Line {
    /// The line of `entry`, whose page is that of `key`.
    pub fn new(key: Key, entry: &TlbEntry, base_page: PageSize, asid_mask: u16) -> Self {
        let TlbEntry { pfn, asid, global, allowed, rights, dirty, .. } = *entry;
        Self {
            delta: pfn.base(base_page).0.wrapping_sub(key.base().0),
            asid: asid.0,
            asid_mask: if global { 0 } else { asid_mask },
            allowed,
            rights: rights.bits(),
            global,
            dirty,
        }
    }

    /// A line that says only whose it is.
    pub fn tag(asid: Asid, asid_mask: u16) -> Self {
        Self { asid: asid.0, asid_mask, ..Self::default() }
    }

    /// The whole entry, the page being that of `key`.
    pub fn entry(&self, key: Key, base_page: PageSize) -> TlbEntry {
        let va = key.base();
        TlbEntry {
            vpn: va.vpn(base_page),
            page: key.page(),
            asid: Asid(self.asid),
            global: self.global,
            pfn: self.pfn(key, base_page),
            rights: self.rights(),
            dirty: self.dirty,
            allowed: self.allowed,
        }
    }

    /// The physical address of `va`, which lies in the page.
    #[inline]
    pub const fn translate(&self, va: VirtAddr) -> PhysAddr {
        PhysAddr(va.0.wrapping_add(self.delta))
    }

    /// What all levels of the walk together allow.
    pub const fn rights(&self) -> Rights {
        Rights::from_bits_retain(self.rights)
    }

    /// Whether the entry is valid in the space of `asid`.
    #[inline]
    pub const fn serves(&self, asid: Asid) -> bool {
        (self.asid ^ asid.0) & self.asid_mask == 0
    }

    /// Whether some space would find both lines, their pages being the same.
    #[inline]
    pub const fn meets(&self, other: &Self) -> bool {
        (self.asid ^ other.asid) & self.asid_mask & other.asid_mask == 0
    }

    /// Whether an invalidation for `asid` (`None`: all spaces) concerns the entry.
    #[inline]
    pub fn is_covered(&self, asid: Option<Asid>, globals: Globals) -> bool {
        match self.global {
            true => globals == Globals::Drop,
            false => asid.is_none_or(|asid| self.serves(asid)),
        }
    }

    const fn pfn(&self, key: Key, base_page: PageSize) -> Pfn {
        self.translate(key.base()).pfn(base_page)
    }
}
