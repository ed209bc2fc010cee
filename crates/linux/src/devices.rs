//! /dev: devices, and links to descriptors.

use crate::errno::Errno;
use crate::fd::Object;
use crate::stat::{S_IFCHR, Stat};
use crate::vfs::BuiltIn;

/// A character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Empty, swallows all.
    Null,
    /// Endless zeroes, swallows all.
    Zero,
    /// Endless zeroes, always full.
    Full,
    /// Endless seeded randomness.
    Random,
    /// The same, by its other name.
    Urandom,
}

/// The major number of memory devices.
const MEMORY_MAJOR: u64 = 1;

impl Device {
    /// The minor number.
    const fn minor(self) -> u64 {
        match self {
            Self::Null => 3,
            Self::Zero => 5,
            Self::Full => 7,
            Self::Random => 8,
            Self::Urandom => 9,
        }
    }

    /// What reads and writes it.
    pub const fn object(self) -> Object {
        match self {
            Self::Null => Object::Null,
            Self::Zero => Object::Zero,
            Self::Full => Object::Full,
            Self::Random | Self::Urandom => Object::Random,
        }
    }

    /// Its status.
    pub fn stat(self) -> Stat {
        Stat::special(S_IFCHR | 0o666, MEMORY_MAJOR << 8 | self.minor(), self.minor())
    }
}

/// Everything in /dev.
const ENTRIES: [(&str, Result<Device, &str>); 9] = [
    ("fd", Err("/proc/self/fd")),
    ("full", Ok(Device::Full)),
    ("null", Ok(Device::Null)),
    ("random", Ok(Device::Random)),
    ("stderr", Err("/proc/self/fd/2")),
    ("stdin", Err("/proc/self/fd/0")),
    ("stdout", Err("/proc/self/fd/1")),
    ("urandom", Ok(Device::Urandom)),
    ("zero", Ok(Device::Zero)),
];
/// The terminal of a process, which never has one.
const TERMINAL: &[u8] = b"tty";
/// What the names of the machine's swap devices begin with, which only swapon and swapoff can use.
const SWAP: &str = "swap";
/// Where a tree in memory is mounted.
const SHM: &[u8] = b"shm";

/// What names below /dev lead to.
///
/// # Errors
/// ENOENT, ENOTDIR.
pub(crate) fn find(names: &[Vec<u8>], swap_devices: usize) -> Result<BuiltIn, Errno> {
    match names {
        [] => Ok(BuiltIn::Directory),
        [name] if name == TERMINAL => Ok(BuiltIn::Terminal),
        [name] => {
            let swap = (0..swap_devices).find(|&index| swap_name(index).as_bytes() == name);
            if let Some(index) = swap {
                return Ok(BuiltIn::SwapDevice(index));
            }
            let entry = ENTRIES.iter().find(|(known, _)| known.as_bytes() == name);
            match entry.ok_or(Errno::ENOENT)?.1 {
                Ok(device) => Ok(BuiltIn::Device(device)),
                Err(target) => Ok(BuiltIn::Link(target.as_bytes().to_vec())),
            }
        }
        [name, ..] => match find(std::slice::from_ref(name), swap_devices)? {
            BuiltIn::Directory => Err(Errno::ENOENT),
            _ => Err(Errno::ENOTDIR),
        },
    }
}

/// The name of a swap device in /dev: `swap`, `swap1`, `swap2` …
fn swap_name(index: usize) -> String {
    match index {
        0 => SWAP.to_owned(),
        index => format!("{SWAP}{index}"),
    }
}

/// A swap device's path.
pub fn swap_device_path(index: usize) -> String {
    format!("/dev/{}", swap_name(index))
}

/// The names in /dev.
pub(crate) fn names(below: &[Vec<u8>], swap_devices: usize) -> Vec<Vec<u8>> {
    if !below.is_empty() {
        return Vec::new();
    }
    let known = ENTRIES.iter().map(|(name, _)| name.as_bytes());
    let swap = (0..swap_devices).map(|index| swap_name(index).into_bytes());
    known.chain([TERMINAL, SHM]).map(<[u8]>::to_vec).chain(swap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Result<BuiltIn, Errno> {
        let names: Vec<Vec<u8>> =
            path.split('/').filter(|n| !n.is_empty()).map(|n| n.as_bytes().to_vec()).collect();
        find(&names, 2)
    }

    #[test]
    fn devices_and_links_are_found() {
        assert_eq!(at(""), Ok(BuiltIn::Directory));
        assert_eq!(at("urandom"), Ok(BuiltIn::Device(Device::Urandom)));
        assert_eq!(at("stdin"), Ok(BuiltIn::Link(b"/proc/self/fd/0".to_vec())));
        assert_eq!(at("sda"), Err(Errno::ENOENT));
        assert_eq!(at("swap"), Ok(BuiltIn::SwapDevice(0)));
        assert_eq!(at("swap1"), Ok(BuiltIn::SwapDevice(1)));
        assert_eq!((at("swap0"), at("swap2")), (Err(Errno::ENOENT), Err(Errno::ENOENT)));
        assert_eq!(at("null/x"), Err(Errno::ENOTDIR));
    }

    #[test]
    fn every_name_leads_somewhere() {
        for name in names(&[], 3) {
            assert!(name == SHM || find(std::slice::from_ref(&name), 3).is_ok(), "{name:?}");
        }
    }
}
