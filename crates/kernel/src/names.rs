//! Names that programs give to anonymous memory (PR_SET_VMA_ANON_NAME).
//!
//! ```text
//!   region.name = Anon(7)        names: … 7 ► "jemalloc_pg_dirty" …       [anon:jemalloc_pg_dirty]
//! ```
//!
//! A region holds a number, so that regions stay small and are compared fast. One table serves all
//! spaces. A name is dropped when the table is full and no region has it.

use crate::{Errno, Kernel, Platform, Pmap, Region, RegionName, SpaceId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use pagewalk_mmu::VirtAddr;

/// The number of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u16);

/// The longest name, without a terminator (Linux: ANON_VMA_NAME_MAX_LEN less one).
pub const NAME_BYTES_MAX: usize = 79;

/// How many names there can be at a time: hostile programs are no reason to keep more.
const NAMES_MAX: usize = 4096;

/// The names in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameTable {
    ids: BTreeMap<Vec<u8>, NameId>,
    names: BTreeMap<NameId, Vec<u8>>,
}

impl NameTable {
    fn get(&self, id: NameId) -> Option<&[u8]> {
        self.names.get(&id).map(Vec::as_slice)
    }

    fn find(&self, name: &[u8]) -> Option<NameId> {
        self.ids.get(name).copied()
    }

    fn is_full(&self) -> bool {
        self.ids.len() >= NAMES_MAX
    }

    fn retain(&mut self, used: &BTreeSet<NameId>) {
        self.names.retain(|id, _| used.contains(id));
        self.ids.retain(|_, id| used.contains(id));
    }

    fn add(&mut self, name: &[u8]) -> Option<NameId> {
        let free = |&n: &u16| !self.names.contains_key(&NameId(n));
        let id = NameId((0..NAMES_MAX as u16).find(free)?);
        self.ids.insert(name.to_vec(), id);
        self.names.insert(id, name.to_vec());
        Some(id)
    }
}

impl<P: Pmap> Kernel<P> {
    /// The name that a program gave to a region.
    pub fn region_name(&self, region: &Region) -> Option<&[u8]> {
        match region.name {
            RegionName::Anon(id) => self.names.get(id),
            _ => None,
        }
    }

    /// Names the anonymous memory of a range, or takes its name away (PR_SET_VMA_ANON_NAME).
    /// `name` has at most [`NAME_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// `Einval` for a range that is none or a name that is too long, `Ebadf` for a mapping of a
    /// file, `Enomem` if there is a hole in the range (what is mapped before is named) or there are
    /// too many names.
    pub fn name_range(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        start: VirtAddr,
        len: u64,
        name: Option<&[u8]>,
    ) -> Result<(), Errno> {
        let range = self.advised_range(start, len)?;
        if name.is_some_and(|name| name.len() > NAME_BYTES_MAX) {
            return Err(Errno::Einval);
        }
        let name = match name.map(|name| self.intern(name)) {
            None => RegionName::None,
            Some(known) => RegionName::Anon(known.ok_or(Errno::Enomem)?),
        };
        self.advise_parts(id, range, |kernel, part| {
            if part.file_at(part.start).is_some_and(|(file, _)| !file.is_memory()) {
                return Err(Errno::Ebadf);
            }
            // What the heap and the stack are called, the kernel says.
            if matches!(part.name, RegionName::None | RegionName::Anon(_)) {
                kernel.change_part(platform, id, part, |region| Region { name, ..region })?;
            }
            Ok(())
        })
    }

    fn intern(&mut self, name: &[u8]) -> Option<NameId> {
        if let Some(id) = self.names.find(name) {
            return Some(id);
        }
        if self.names.is_full() {
            let regions = self.spaces.iter().flatten().flat_map(|space| space.regions.iter());
            let used = regions.filter_map(|region| match region.name {
                RegionName::Anon(id) => Some(id),
                _ => None,
            });
            let used = used.collect();
            self.names.retain(&used);
        }
        self.names.add(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_keeps_what_is_used() {
        let mut table = NameTable::default();
        for n in 0..NAMES_MAX {
            assert_eq!(table.add(&n.to_le_bytes()), Some(NameId(n as u16)));
        }
        assert!(table.is_full());
        assert_eq!(table.add(b"one more"), None);
        table.retain(&BTreeSet::from([NameId(3), NameId(5)]));
        assert_eq!(table.find(&3usize.to_le_bytes()), Some(NameId(3)));
        assert_eq!(table.find(&4usize.to_le_bytes()), None);
        assert_eq!(table.add(b"new"), Some(NameId(0)));
        assert_eq!(table.get(NameId(0)), Some(&b"new"[..]));
    }
}
