//! System V objects: found by key, named by number, guarded by permissions.
//!
//! ```text
//!   key ──get──► number = place + 32768 · generation ──► Entry { permissions, object }
//!   IPC_PRIVATE: a new one each time; the number of a removed one is stale, not another's
//! ```
//!
//! Source: sysvipc(7), svipc(7); Linux ipc/util.c.

use std::collections::BTreeMap;

use crate::call::Call;
use crate::clock::{BOOT_UNIX_S, NS_PER_S};
use crate::credentials::Credentials;
use crate::errno::Errno;
use crate::memory::read_u32;
use crate::stat::Layout;

pub(crate) const IPC_PRIVATE: i32 = 0;
pub(crate) const IPC_CREAT: u32 = 0o1000;
pub(crate) const IPC_EXCL: u32 = 0o2000;
pub(crate) const IPC_NOWAIT: u32 = 0o4000;
pub(crate) const IPC_RMID: i32 = 0;
pub(crate) const IPC_SET: i32 = 1;
pub(crate) const IPC_STAT: i32 = 2;
pub(crate) const IPC_INFO: i32 = 3;

/// Reading, in permissions.
pub(crate) const MAY_READ: u32 = 4;
/// Writing, in permissions.
pub(crate) const MAY_WRITE: u32 = 2;

/// Places of a table (IPCMNI).
const PLACES: i32 = 32768;
const CAP_IPC_OWNER: u64 = 1 << 15;
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// Whose it is, and who may do what: `struct ipc64_perm`.
#[derive(Clone, Debug)]
pub(crate) struct Permissions {
    pub key: i32,
    user: u32,
    group: u32,
    creator_user: u32,
    creator_group: u32,
    pub mode: u32,
    generation: u16,
}

impl Permissions {
    fn new(key: i32, mode: u32, who: &Credentials, generation: u16) -> Self {
        let (user, group) = (who.user.effective, who.group.effective);
        let mode = mode & 0o777;
        Self { key, user, group, creator_user: user, creator_group: group, mode, generation }
    }

    /// Checks [`MAY_READ`] and [`MAY_WRITE`].
    pub(crate) fn check(&self, who: &Credentials, wanted: u32) -> Result<(), Errno> {
        let user = who.user.effective;
        let in_group = |group| who.group.effective == group || who.groups.contains(&group);
        let granted = if user == self.user || user == self.creator_user {
            self.mode >> 6
        } else if in_group(self.group) || in_group(self.creator_group) {
            self.mode >> 3
        } else {
            self.mode
        };
        match wanted & !granted & 7 == 0 || who.can(CAP_IPC_OWNER) {
            true => Ok(()),
            false => Err(Errno::EACCES),
        }
    }

    /// Checks who may remove it or change its permissions.
    pub(crate) fn check_owner(&self, who: &Credentials) -> Result<(), Errno> {
        let user = who.user.effective;
        let owns = user == self.user || user == self.creator_user || who.can(CAP_SYS_ADMIN);
        if owns { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// The first 48 bytes of what IPC_STAT tells.
    pub(crate) fn encode<const N: usize>(&self, out: &mut Layout<N>) {
        let words = [
            self.key as u32,
            self.user,
            self.group,
            self.creator_user,
            self.creator_group,
            self.mode,
            self.generation.into(),
        ];
        for (n, word) in words.into_iter().enumerate() {
            out.u32(4 * n, word);
        }
    }

    /// IPC_SET: owner and mode from the program's structure.
    pub(crate) fn set(&mut self, call: &mut Call<'_>, at: u64) -> Result<(), Errno> {
        let mut word = |n: u64| read_u32(call.memory, at.checked_add(4 * n).ok_or(Errno::EFAULT)?);
        let (user, group, mode) = (word(1)?, word(2)?, word(5)?);
        (self.user, self.group) = (user, group);
        self.mode = self.mode & !0o777 | mode & 0o777;
        Ok(())
    }
}

/// An object with its permissions.
#[derive(Clone, Debug)]
pub(crate) struct Entry<T> {
    pub permissions: Permissions,
    pub object: T,
}

/// All objects of a kind.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    entries: BTreeMap<i32, Entry<T>>,
    /// The numbers by their places.
    places: BTreeMap<i32, i32>,
    /// No place below is free.
    free_from: i32,
    generation: u16,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), places: BTreeMap::new(), free_from: 0, generation: 0 }
    }
}

impl<T> Table<T> {
    /// All objects; the table is gone.
    pub fn into_objects(self) -> impl Iterator<Item = T> {
        self.entries.into_values().map(|entry| entry.object)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The highest place in use.
    pub(crate) fn highest_place(&self) -> i32 {
        self.places.last_key_value().map_or(0, |(&place, _)| place)
    }

    /// All, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i32, &Entry<T>)> {
        self.entries.iter().map(|(&id, entry)| (id, entry))
    }

    /// The object of that number.
    ///
    /// # Errors
    /// EINVAL if there is none.
    pub(crate) fn get(&self, id: i32) -> Result<&Entry<T>, Errno> {
        self.entries.get(&id).ok_or(Errno::EINVAL)
    }

    /// The object of that number, to be changed.
    ///
    /// # Errors
    /// EINVAL if there is none.
    pub(crate) fn get_mut(&mut self, id: i32) -> Result<&mut Entry<T>, Errno> {
        self.entries.get_mut(&id).ok_or(Errno::EINVAL)
    }

    /// The number of the object at a place, for the STAT calls that go through all.
    ///
    /// # Errors
    /// EINVAL if there is none.
    pub(crate) fn id_at(&self, place: i32) -> Result<i32, Errno> {
        self.places.get(&place).copied().ok_or(Errno::EINVAL)
    }

    /// The number of the object of a key; a new one is made of `make` if there is none and the
    /// flags ask for it. `check` judges one that there is.
    pub(crate) fn find_or_make(
        &mut self,
        key: i32,
        flags: u32,
        who: &Credentials,
        limit: usize,
        check: impl FnOnce(&T) -> Result<(), Errno>,
        make: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<i32, Errno> {
        let known = |entry: &Entry<T>| key != IPC_PRIVATE && entry.permissions.key == key;
        if let Some((&id, entry)) = self.entries.iter().find(|(_, entry)| known(entry)) {
            if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
                return Err(Errno::EEXIST);
            }
            check(&entry.object)?;
            let wanted = (flags >> 6 | flags >> 3 | flags) & 7;
            entry.permissions.check(who, wanted)?;
            return Ok(id);
        }
        if key != IPC_PRIVATE && flags & IPC_CREAT == 0 {
            return Err(Errno::ENOENT);
        }
        if self.entries.len() >= limit {
            return Err(Errno::ENOSPC);
        }
        let mut free = (self.free_from..PLACES).filter(|place| !self.places.contains_key(place));
        let place = free.next().ok_or(Errno::ENOSPC)?;
        let permissions = Permissions::new(key, flags, who, self.generation);
        let id = i32::from(self.generation) * PLACES + place;
        self.entries.insert(id, Entry { permissions, object: make()? });
        self.places.insert(place, id);
        self.free_from = place + 1;
        Ok(id)
    }

    /// Removes an object; its number will not be used for long.
    pub(crate) fn remove(&mut self, id: i32) -> Option<T> {
        let entry = self.entries.remove(&id)?;
        self.places.remove(&(id % PLACES));
        self.free_from = self.free_from.min(id % PLACES);
        // Numbers stay positive.
        self.generation = (self.generation + 1) % 0x7fff;
        Some(entry.object)
    }
}

impl Call<'_> {
    /// The time of day in seconds.
    pub(crate) fn seconds(&self) -> u64 {
        BOOT_UNIX_S + self.clock.now_ns() / NS_PER_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(table: &mut Table<u32>, key: i32, flags: u32) -> Result<i32, Errno> {
        table.find_or_make(key, flags, &Credentials::default(), 3, |_| Ok(()), || Ok(7))
    }

    #[test]
    fn a_key_names_one_object() {
        let mut table = Table::default();
        assert_eq!(get(&mut table, 5, 0), Err(Errno::ENOENT));
        assert_eq!(get(&mut table, 5, IPC_CREAT), Ok(0));
        assert_eq!(get(&mut table, 5, 0), Ok(0));
        assert_eq!(get(&mut table, 5, IPC_CREAT | IPC_EXCL), Err(Errno::EEXIST));
        assert_eq!(get(&mut table, IPC_PRIVATE, 0), Ok(1));
        assert_eq!(get(&mut table, IPC_PRIVATE, 0), Ok(2));
        assert_eq!(get(&mut table, IPC_PRIVATE, 0), Err(Errno::ENOSPC));
    }

    #[test]
    fn the_number_of_a_removed_object_is_stale() {
        let mut table = Table::default();
        let first = get(&mut table, 5, IPC_CREAT).unwrap();
        assert_eq!(table.remove(first), Some(7));
        let second = get(&mut table, 5, IPC_CREAT).unwrap();
        assert_ne!(first, second);
        assert!(table.get(first).is_err() && table.get(second).is_ok());
    }

    #[test]
    fn others_have_the_last_three_bits() {
        let mut who = Credentials::default();
        let permissions = Permissions::new(1, 0o640, &who, 0);
        who.set_user(crate::credentials::Ids { real: 9, effective: 9, saved: 9, file_system: 9 });
        assert_eq!(permissions.check(&who, MAY_READ), Ok(()), "root's group");
        assert_eq!(permissions.check(&who, MAY_WRITE), Err(Errno::EACCES));
        assert_eq!(permissions.check_owner(&who), Err(Errno::EPERM));
    }
}
