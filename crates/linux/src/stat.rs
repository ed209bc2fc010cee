//! File status as Linux lays it out: `struct stat`, `struct statx`, `struct linux_dirent64`.
//!
//! What would differ from run to run although the guest's input does not is made the machine's own:
//! inode numbers count the files in the order in which the guest meets them, everything belongs to
//! root, and files that the guest writes carry the virtual clock's time.

use crate::clock::NS_PER_S;
use crate::files::Inode;
use crate::moved::Moved;
use cap_std::fs::{FileType, Metadata, MetadataExt, PermissionsExt};
use std::collections::BTreeMap;

/// Mode bits: the file's type.
pub const S_IFMT: u32 = 0o170_000;
/// A FIFO.
pub const S_IFIFO: u32 = 0o010_000;
/// A character device.
pub const S_IFCHR: u32 = 0o020_000;
/// A block device.
pub const S_IFBLK: u32 = 0o060_000;
/// A directory.
pub const S_IFDIR: u32 = 0o040_000;
/// A regular file.
pub const S_IFREG: u32 = 0o100_000;
/// A socket.
pub const S_IFSOCK: u32 = 0o140_000;
/// A symbolic link.
pub const S_IFLNK: u32 = 0o120_000;

/// The length of `struct stat`.
pub const STAT_BYTES: usize = 128;
/// The length of `struct statx`.
pub const STATX_BYTES: usize = 256;

/// The device number of all files below the root.
const ROOT_DEVICE: u64 = 0x801;
/// st_blksize: what C libraries take as their buffer size.
const BLOCK_BYTES: u32 = 4096;
const SECTOR_BYTES: u64 = 512;

/// A file's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The device that holds it.
    pub device: u64,
    /// The inode number.
    pub inode: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Names.
    pub links: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// The device that it is.
    pub special: u64,
    /// Length in bytes.
    pub size: u64,
    /// Sectors in use; `None` for as many as the length needs.
    pub blocks: Option<u64>,
    /// Access, modification and change.
    pub times: Times,
}

/// A file's times, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Last access.
    pub access_ns: i128,
    /// Last modification.
    pub modify_ns: i128,
    /// Last change of status.
    pub change_ns: i128,
}

impl Stat {
    /// The status of something that is not a file of the host.
    pub fn special(mode: u32, special: u64, inode: u64) -> Self {
        Self { device: 5, inode, mode, links: 1, special, ..Self::default() }
    }

    fn sectors(&self) -> u64 {
        self.blocks.unwrap_or(self.size.div_ceil(SECTOR_BYTES))
    }

    /// As fstat and newfstatat return it (asm-generic).
    pub fn encode(&self) -> [u8; STAT_BYTES] {
        let mut out = Layout::<STAT_BYTES>::new();
        out.u64(0, self.device);
        out.u64(8, self.inode);
        out.u32(16, self.mode);
        out.u32(20, self.links);
        out.u32(24, self.owner.0);
        out.u32(28, self.owner.1);
        out.u64(32, self.special);
        out.u64(48, self.size);
        out.u32(56, BLOCK_BYTES);
        out.u64(64, self.sectors());
        let times = [self.times.access_ns, self.times.modify_ns, self.times.change_ns];
        for (i, time) in times.into_iter().enumerate() {
            let (seconds, ns) = split(time);
            out.u64(72 + 16 * i, seconds as u64);
            out.u64(80 + 16 * i, ns.into());
        }
        out.0
    }

    /// As statx returns it.
    pub fn encode_extended(&self) -> [u8; STATX_BYTES] {
        /// STATX_BASIC_STATS: type, mode, links, owner, times, inode, size, blocks.
        const BASIC: u32 = 0x7ff;
        let mut out = Layout::<STATX_BYTES>::new();
        out.u32(0, BASIC);
        out.u32(4, BLOCK_BYTES);
        out.u32(16, self.links);
        out.u32(20, self.owner.0);
        out.u32(24, self.owner.1);
        out.u32(28, self.mode & 0xffff);
        out.u64(32, self.inode);
        out.u64(40, self.size);
        out.u64(48, self.sectors());
        // Access, birth (not given), change, modification.
        let times =
            [(64, self.times.access_ns), (96, self.times.change_ns), (112, self.times.modify_ns)];
        for (at, time) in times {
            let (seconds, ns) = split(time);
            out.u64(at, seconds as u64);
            out.u32(at + 8, ns);
        }
        for (at, device) in [(128, self.special), (136, self.device)] {
            out.u32(at, (device >> 8) as u32 & 0xfff);
            out.u32(at + 4, (device & 0xff) as u32);
        }
        out.0
    }
}

/// Seconds and nanoseconds of a time that may lie before 1970.
fn split(time_ns: i128) -> (i64, u32) {
    let second = i128::from(NS_PER_S);
    let seconds = time_ns.div_euclid(second).clamp(i64::MIN.into(), i64::MAX.into());
    (seconds as i64, time_ns.rem_euclid(second) as u32)
}

/// A zeroed structure, filled field by field.
pub(crate) struct Layout<const N: usize>(pub [u8; N]);

impl<const N: usize> Layout<N> {
    pub(crate) const fn new() -> Self {
        Self([0; N])
    }

    pub(crate) fn u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
}

/// The guest's view of the host's inodes.
#[derive(Clone, Debug, Default)]
pub struct Inodes {
    numbers: BTreeMap<Inode, u64>,
    /// Times set by the guest, by inode number.
    times: BTreeMap<u64, Times>,
}

/// The number of the first file; smaller ones are special.
const FIRST_INODE: u64 = 16;
/// How many inodes are numbered in the order in which the guest meets them, which a program that
/// makes and removes files could do for ever. Later ones have the host's numbers, and its times.
const INODES_MAX: usize = 1 << 18;
/// Above all others' numbers: the host's own.
const HOST_INODES: u64 = 1 << 33;

impl Inodes {
    /// The guest's number of a file.
    pub(crate) fn number(&mut self, inode: Inode) -> u64 {
        let next = FIRST_INODE + self.numbers.len() as u64;
        match self.numbers.len() >= INODES_MAX {
            true => self.numbers.get(&inode).copied().unwrap_or(HOST_INODES | inode.1),
            false => *self.numbers.entry(inode).or_insert(next),
        }
    }

    /// Files are others of the host's now.
    pub(crate) fn move_to(&mut self, moved: &BTreeMap<Inode, Moved>) {
        let numbers = std::mem::take(&mut self.numbers).into_iter();
        let now = |inode| moved.get(&inode).map_or(inode, |moved| moved.inode);
        self.numbers = numbers.map(|(inode, number)| (now(inode), number)).collect();
    }

    /// The guest's number of a file, if it has met it.
    pub(crate) fn known(&self, inode: Inode) -> Option<u64> {
        self.numbers.get(&inode).copied()
    }

    /// Records that the guest changed a file.
    pub fn set_times(&mut self, number: u64, times: Times) {
        if number < HOST_INODES {
            self.times.insert(number, times);
        }
    }

    /// A file's status as the guest sees it.
    pub fn stat(&mut self, metadata: &Metadata) -> Stat {
        let inode = self.number((metadata.dev(), metadata.ino()));
        let modify_ns =
            i128::from(metadata.mtime()) * i128::from(NS_PER_S) + i128::from(metadata.mtime_nsec());
        // The host's access and change times say what the host did, not the guest.
        let host = Times { access_ns: modify_ns, modify_ns, change_ns: modify_ns };
        let permissions = metadata.permissions().mode() & 0o7777;
        Stat {
            device: ROOT_DEVICE,
            inode,
            mode: type_bits(metadata.file_type()) | permissions,
            links: u32::try_from(metadata.nlink()).unwrap_or(u32::MAX),
            owner: (0, 0),
            special: 0,
            size: metadata.len(),
            blocks: None,
            times: self.times.get(&inode).copied().unwrap_or(host),
        }
    }
}

fn type_bits(file_type: FileType) -> u32 {
    if file_type.is_dir() {
        S_IFDIR
    } else if file_type.is_symlink() {
        S_IFLNK
    } else if file_type.is_file() {
        S_IFREG
    } else {
        S_IFIFO
    }
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The inode number.
    pub inode: u64,
    /// The mode's type bits.
    pub type_bits: u32,
    /// The name.
    pub name: Vec<u8>,
}

impl DirectoryEntry {
    /// The entry for a file of the host.
    pub fn new(inode: u64, file_type: FileType, name: Vec<u8>) -> Self {
        Self { inode, type_bits: type_bits(file_type), name }
    }

    /// As getdents64 returns it; `next` is the position after it.
    pub fn encode(&self, next: u64) -> Vec<u8> {
        const NAME: usize = 19;
        let length = (NAME + self.name.len() + 1).next_multiple_of(8);
        let mut out = Vec::with_capacity(length);
        out.extend(self.inode.to_le_bytes());
        out.extend(next.to_le_bytes());
        // A name has at most 255 bytes on any host, so this fits.
        out.extend((length as u16).to_le_bytes());
        // DT_ constants are the mode's type bits, shifted.
        out.push((self.type_bits >> 12) as u8);
        out.extend(&self.name);
        out.resize(length, 0);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Stat {
        let times = Times { access_ns: 1_500_000_001, modify_ns: -1, change_ns: 0 };
        Stat {
            device: 0x801,
            inode: 17,
            mode: S_IFREG | 0o644,
            links: 2,
            owner: (0, 0),
            special: 0,
            size: 1025,
            blocks: None,
            times,
        }
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn stat_is_laid_out_as_asm_generic() {
        let bytes = sample().encode();
        assert_eq!(u64_at(&bytes, 8), 17);
        assert_eq!(u64_at(&bytes, 16), 0o100_644 | 2 << 32);
        assert_eq!(u64_at(&bytes, 48), 1025);
        assert_eq!(u64_at(&bytes, 64), 3, "sectors");
        assert_eq!((u64_at(&bytes, 72), u64_at(&bytes, 80)), (1, 500_000_001));
        assert_eq!(u64_at(&bytes, 88) as i64, -1, "before 1970");
        assert_eq!(u64_at(&bytes, 96), 999_999_999);
    }

    #[test]
    fn statx_is_laid_out_as_in_the_header() {
        let bytes = sample().encode_extended();
        assert_eq!(u64_at(&bytes, 32), 17);
        assert_eq!(u64_at(&bytes, 40), 1025);
        assert_eq!(u64_at(&bytes, 112) as i64, -1, "modification");
        assert_eq!(u64_at(&bytes, 136), 8 | 1 << 32, "device 8:1");
    }

    #[test]
    fn directory_entries_are_aligned() {
        let entry = DirectoryEntry { inode: 5, type_bits: S_IFDIR, name: b"subdir".to_vec() };
        let bytes = entry.encode(9);
        assert_eq!(bytes.len(), 32);
        assert_eq!(u64_at(&bytes, 8), 9);
        assert_eq!((bytes[16], bytes[18]), (32, 4));
        assert_eq!(&bytes[19..26], b"subdir\0");
    }
}
