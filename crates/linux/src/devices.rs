//! The paths that exist whatever the root holds: devices, and links to descriptors.

use crate::errno::Errno;
use crate::fd::Object;
use crate::stat::{S_IFCHR, Stat};

/// A built-in path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// A character device.
    Device(Device),
    /// The terminal, which there is none of.
    Terminal,
    /// Another name of an open descriptor.
    Descriptor(u64),
    /// A link to the executable.
    Executable,
}

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

/// Recognises an absolute path, however many slashes and dots it has.
pub fn built_in(path: &[u8]) -> Option<BuiltIn> {
    if !path.starts_with(b"/") {
        return None;
    }
    let parts: Vec<&[u8]> =
        path.split(|&byte| byte == b'/').filter(|c| !c.is_empty() && *c != b".").collect();
    Some(match parts.as_slice() {
        [b"dev", b"null"] => BuiltIn::Device(Device::Null),
        [b"dev", b"zero"] => BuiltIn::Device(Device::Zero),
        [b"dev", b"full"] => BuiltIn::Device(Device::Full),
        [b"dev", b"random"] => BuiltIn::Device(Device::Random),
        [b"dev", b"urandom"] => BuiltIn::Device(Device::Urandom),
        [b"dev", b"stdin"] => BuiltIn::Descriptor(0),
        [b"dev", b"stdout"] => BuiltIn::Descriptor(1),
        [b"dev", b"stderr"] => BuiltIn::Descriptor(2),
        [b"dev", b"tty"] => BuiltIn::Terminal,
        [b"dev", b"fd", fd] | [b"proc", b"self" | b"1", b"fd", fd] => {
            BuiltIn::Descriptor(number(fd).ok()?)
        }
        [b"proc", b"self" | b"1", b"exe"] => BuiltIn::Executable,
        _ => return None,
    })
}

fn number(digits: &[u8]) -> Result<u64, Errno> {
    let text = std::str::from_utf8(digits).map_err(|_| Errno::ENOENT)?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or(Errno::ENOENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_recognised_in_any_spelling() {
        assert_eq!(built_in(b"/dev/null"), Some(BuiltIn::Device(Device::Null)));
        assert_eq!(built_in(b"//dev/./urandom"), Some(BuiltIn::Device(Device::Urandom)));
        assert_eq!(built_in(b"/proc/self/fd/12"), Some(BuiltIn::Descriptor(12)));
        assert_eq!(built_in(b"/proc/self/exe"), Some(BuiltIn::Executable));
    }

    #[test]
    fn others_are_left_to_the_root() {
        for path in [&b"dev/null"[..], b"/dev", b"/dev/sda", b"/dev/fd/+1", b"/dev/fd/x", b""] {
            assert_eq!(built_in(path), None);
        }
    }

    #[test]
    fn null_has_its_number() {
        assert_eq!(Device::Null.stat().special, 0x103);
    }
}
