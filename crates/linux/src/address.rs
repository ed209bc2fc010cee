//! Socket addresses: paths, abstract names, and the loopback addresses of IPv4 and IPv6.
//!
//! ```text
//!   sockaddr_un    family 1  | path … | or 0 and a name
//!   sockaddr_in    family 2  | port  | 4 bytes | zeroes                     16 bytes
//!   sockaddr_in6   family 10 | port  | flow    | 16 bytes | scope          28 bytes
//! ```
//!
//! An IPv4 address is kept as the IPv6 address that stands for it (::ffff:a.b.c.d), so that both
//! families meet.
//!
//! Source: unix(7), ip(7), ipv6(7).

use crate::errno::Errno;

/// The longest path, with its terminator if it has one.
const PATH_MAX: usize = 108;
/// `sizeof(struct sockaddr_storage)`.
pub(crate) const ADDRESS_BYTES_MAX: usize = 128;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Unix,
    Inet,
    Inet6,
}

impl Family {
    /// The number of AF_UNIX, AF_INET, AF_INET6.
    pub(crate) const fn number(self) -> u16 {
        match self {
            Self::Unix => 1,
            Self::Inet => 2,
            Self::Inet6 => 10,
        }
    }
}

/// An IP address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IpAddress {
    pub host: [u8; 16],
    pub port: u16,
}

const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const ANY_6: [u8; 16] = [0; 16];
const LOOPBACK_6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// The IPv6 address that stands for an IPv4 address.
const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    let mut host = [0; 16];
    (host[10], host[11]) = (0xff, 0xff);
    (host[12], host[13], host[14], host[15]) = (v4[0], v4[1], v4[2], v4[3]);
    host
}

impl IpAddress {
    /// "Any address" of a family.
    pub(crate) const fn any(family: Family, port: u16) -> Self {
        let host = if matches!(family, Family::Inet6) { ANY_6 } else { mapped([0; 4]) };
        Self { host, port }
    }

    pub(crate) fn is_v4(&self) -> bool {
        self.host.starts_with(&MAPPED)
    }

    pub(crate) fn is_any(&self) -> bool {
        self.host == ANY_6 || self.host == mapped([0; 4])
    }

    /// Whether this machine has the address: nothing but loopback.
    pub(crate) fn is_own(&self) -> bool {
        self.is_any() || self.host == LOOPBACK_6 || (self.is_v4() && self.host[12] == 127)
    }

    /// The address that a connection to this one goes to, "any" being the machine itself.
    pub(crate) fn target(self) -> Self {
        let host = match self.host {
            ANY_6 => LOOPBACK_6,
            host if host == mapped([0; 4]) => mapped([127, 0, 0, 1]),
            host => host,
        };
        Self { host, ..self }
    }

    /// The machine's own address as it talks to this one.
    pub(crate) fn source_for(self, port: u16) -> Self {
        let host = if self.is_v4() { mapped([127, 0, 0, 1]) } else { LOOPBACK_6 };
        Self { host, port }
    }

    /// Whether what is sent to `other` arrives at a socket bound here.
    pub(crate) fn accepts(&self, other: &Self, only_v6: bool) -> bool {
        let by_any = match self.host {
            ANY_6 => !(only_v6 && other.is_v4()),
            host => host == mapped([0; 4]) && other.is_v4(),
        };
        self.port == other.port && (by_any || self.host == other.host)
    }
}

/// The address of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// None yet.
    Unnamed(Family),
    /// A path as the program gave it.
    Path(Vec<u8>),
    /// A name without a file.
    Abstract(Vec<u8>),
    /// An IP address, told as one of the family.
    Ip(Family, IpAddress),
}

impl Address {
    /// The address in a program's structure.
    ///
    /// # Errors
    /// EINVAL if it is malformed, EAFNOSUPPORT if it is another family's.
    pub(crate) fn decode(bytes: &[u8], family: Family) -> Result<Self, Errno> {
        let number = bytes.first_chunk().map(|&word| u16::from_le_bytes(word));
        let number = number.ok_or(Errno::EINVAL)?;
        if family == Family::Unix {
            return match number {
                1 => Self::decode_unix(&bytes[2..]),
                _ => Err(Errno::EINVAL),
            };
        }
        let port = |bytes: &[u8]| u16::from_be_bytes([bytes[2], bytes[3]]);
        match (family, number) {
            (Family::Inet, 2) => {
                let fixed: &[u8; 16] = bytes.first_chunk().ok_or(Errno::EINVAL)?;
                let host = mapped([fixed[4], fixed[5], fixed[6], fixed[7]]);
                Ok(Self::Ip(family, IpAddress { host, port: port(fixed) }))
            }
            (Family::Inet6, 10) => {
                let fixed: &[u8; 24] = bytes.first_chunk().ok_or(Errno::EINVAL)?;
                let host = std::array::from_fn(|i| fixed[8 + i]);
                Ok(Self::Ip(family, IpAddress { host, port: port(fixed) }))
            }
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    fn decode_unix(name: &[u8]) -> Result<Self, Errno> {
        if name.len() > PATH_MAX {
            return Err(Errno::EINVAL);
        }
        Ok(match name {
            [] => Self::Unnamed(Family::Unix),
            [0, rest @ ..] => Self::Abstract(rest.to_vec()),
            path => {
                let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
                Self::Path(path[..end].to_vec())
            }
        })
    }

    /// The structure that the program reads.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let family = |family: Family| family.number().to_le_bytes().to_vec();
        match self {
            Self::Unnamed(Family::Unix) => family(Family::Unix),
            Self::Unnamed(other) => Self::Ip(*other, IpAddress::any(*other, 0)).encode(),
            Self::Path(path) => [&family(Family::Unix)[..], path.as_slice(), &[0]].concat(),
            Self::Abstract(name) => [&family(Family::Unix)[..], &[0], name.as_slice()].concat(),
            Self::Ip(Family::Inet6, ip) => {
                let port = ip.port.to_be_bytes();
                [&family(Family::Inet6)[..], &port, &[0; 4], &ip.host, &[0; 4]].concat()
            }
            Self::Ip(_, ip) => {
                let port = ip.port.to_be_bytes();
                [&family(Family::Inet)[..], &port, &ip.host[12..], &[0; 8]].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let v4 = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let address = Address::decode(&v4, Family::Inet).unwrap();
        let Address::Ip(_, ip) = address else { panic!("an IP address") };
        assert_eq!((ip.port, ip.is_own(), ip.is_v4()), (8080, true, true));
        assert_eq!(address.encode(), v4);
        let unix = Address::decode(b"\x01\0/a/b\0junk", Family::Unix).unwrap();
        assert_eq!(unix, Address::Path(b"/a/b".to_vec()));
        assert_eq!(unix.encode(), b"\x01\0/a/b\0");
        let name = Address::decode(b"\x01\0\0x\0y", Family::Unix).unwrap();
        assert_eq!(name, Address::Abstract(b"x\0y".to_vec()));
        assert_eq!(Address::decode(&v4, Family::Inet6), Err(Errno::EAFNOSUPPORT));
        assert_eq!(Address::decode(&v4[..15], Family::Inet), Err(Errno::EINVAL));
        assert_eq!(Address::decode(&[1], Family::Unix), Err(Errno::EINVAL));
    }

    #[test]
    fn any_address_takes_what_is_sent_to_its_port() {
        let localhost = IpAddress { host: mapped([127, 0, 0, 1]), port: 80 };
        assert!(IpAddress::any(Family::Inet, 80).accepts(&localhost, false));
        assert!(!IpAddress::any(Family::Inet, 81).accepts(&localhost, false));
        assert!(IpAddress::any(Family::Inet6, 80).accepts(&localhost, false));
        assert!(!IpAddress::any(Family::Inet6, 80).accepts(&localhost, true));
        let six = IpAddress { host: LOOPBACK_6, port: 80 };
        assert!(!IpAddress::any(Family::Inet, 80).accepts(&six, false));
        assert!(!IpAddress { host: mapped([8, 8, 8, 8]), port: 53 }.is_own());
    }
}
