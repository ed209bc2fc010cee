//! Linux error numbers (asm-generic, which RISC-V uses).
//!
//! A system call that fails returns `-errno` in a0; values from -4095 to -1 are errors.

use std::{fmt, io};

/// A Linux error number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub u16);

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Self = Self($number);)*

            /// The symbolic name, as in `errno.h`.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => stringify!($name),)*
                    _ => "E?",
                }
            }

            /// What the error says.
            pub const fn describe(self) -> &'static str {
                match self.0 {
                    $($number => $text,)*
                    _ => "unknown error",
                }
            }
        }
    };
}

errnos! {
    EPERM = 1, "operation not permitted";
    ENOENT = 2, "no such file or directory";
    ESRCH = 3, "no such process";
    EINTR = 4, "interrupted system call";
    EIO = 5, "input/output error";
    ENXIO = 6, "no such device or address";
    E2BIG = 7, "argument list too long";
    ENOEXEC = 8, "exec format error";
    EBADF = 9, "bad file descriptor";
    ECHILD = 10, "no child processes";
    EAGAIN = 11, "resource temporarily unavailable";
    ENOMEM = 12, "cannot allocate memory";
    EACCES = 13, "permission denied";
    EFAULT = 14, "bad address";
    EBUSY = 16, "device or resource busy";
    EEXIST = 17, "file exists";
    EXDEV = 18, "invalid cross-device link";
    ENODEV = 19, "no such device";
    ENOTDIR = 20, "not a directory";
    EISDIR = 21, "is a directory";
    EINVAL = 22, "invalid argument";
    ENFILE = 23, "too many open files in system";
    EMFILE = 24, "too many open files";
    ENOTTY = 25, "inappropriate ioctl for device";
    ETXTBSY = 26, "text file busy";
    EFBIG = 27, "file too large";
    ENOSPC = 28, "no space left on device";
    ESPIPE = 29, "illegal seek";
    EROFS = 30, "read-only file system";
    EMLINK = 31, "too many links";
    EPIPE = 32, "broken pipe";
    EDOM = 33, "numerical argument out of domain";
    ERANGE = 34, "numerical result out of range";
    EDEADLK = 35, "resource deadlock avoided";
    ENAMETOOLONG = 36, "file name too long";
    ENOLCK = 37, "no locks available";
    ENOSYS = 38, "function not implemented";
    ENOTEMPTY = 39, "directory not empty";
    ELOOP = 40, "too many levels of symbolic links";
    ENOMSG = 42, "no message of desired type";
    EIDRM = 43, "identifier removed";
    EOVERFLOW = 75, "value too large for defined data type";
    ELIBBAD = 80, "accessing a corrupted shared library";
    ENOTSOCK = 88, "socket operation on non-socket";
    EDESTADDRREQ = 89, "destination address required";
    EMSGSIZE = 90, "message too long";
    EPROTOTYPE = 91, "protocol wrong type for socket";
    ENOPROTOOPT = 92, "protocol not available";
    EPROTONOSUPPORT = 93, "protocol not supported";
    ESOCKTNOSUPPORT = 94, "socket type not supported";
    EOPNOTSUPP = 95, "operation not supported";
    EAFNOSUPPORT = 97, "address family not supported by protocol";
    EADDRINUSE = 98, "address already in use";
    EADDRNOTAVAIL = 99, "cannot assign requested address";
    ENETUNREACH = 101, "network is unreachable";
    ECONNRESET = 104, "connection reset by peer";
    ENOBUFS = 105, "no buffer space available";
    EISCONN = 106, "transport endpoint is already connected";
    ENOTCONN = 107, "transport endpoint is not connected";
    ETOOMANYREFS = 109, "too many references: cannot splice";
    ETIMEDOUT = 110, "connection timed out";
    ECONNREFUSED = 111, "connection refused";
    EINPROGRESS = 115, "operation now in progress";
    ERESTARTSYS = 512, "to be made again if the handler says so; no program sees it";
    ERESTARTNOINTR = 513, "to be made again in any case; no program sees it";
    ERESTARTNOHAND = 514, "to be made again if no handler runs; no program sees it";
}

impl Errno {
    /// Whether it tells the kernel itself what to do with a call that a signal interrupted (Linux:
    /// include/linux/errno.h).
    pub(crate) const fn restarts(self) -> bool {
        matches!(self, Self::ERESTARTSYS | Self::ERESTARTNOINTR | Self::ERESTARTNOHAND)
    }

    /// The value that a failing system call leaves in a0.
    pub const fn to_register(self) -> u64 {
        (self.0 as u64).wrapping_neg()
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.describe())
    }
}

impl std::error::Error for Errno {}

impl From<io::Error> for Errno {
    /// What a guest sees of a host error. Kinds come first: they mean the same on every host.
    /// Linux hosts on x86 and Arm share the guest's numbers for the rest.
    fn from(error: io::Error) -> Self {
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::NotFound, _) => Self::ENOENT,
            (io::ErrorKind::AlreadyExists, _) => Self::EEXIST,
            (io::ErrorKind::BrokenPipe, _) => Self::EPIPE,
            (io::ErrorKind::NotADirectory, _) => Self::ENOTDIR,
            (io::ErrorKind::IsADirectory, _) => Self::EISDIR,
            (io::ErrorKind::DirectoryNotEmpty, _) => Self::ENOTEMPTY,
            (io::ErrorKind::StorageFull, _) => Self::ENOSPC,
            (io::ErrorKind::FileTooLarge, _) => Self::EFBIG,
            (io::ErrorKind::ReadOnlyFilesystem, _) => Self::EROFS,
            (io::ErrorKind::InvalidInput, _) => Self::EINVAL,
            (_, Some(raw @ 1..=133)) if cfg!(target_os = "linux") => Self(raw as u16),
            (io::ErrorKind::PermissionDenied, _) => Self::EACCES,
            _ => Self::EIO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_holds_the_negated_number() {
        assert_eq!(Errno::ENOSYS.to_register() as i64, -38);
        assert_eq!(Errno::EOPNOTSUPP.to_register() as i64, -95);
    }

    #[test]
    fn host_errors_keep_their_meaning() {
        assert_eq!(Errno::from(io::Error::from(io::ErrorKind::NotFound)), Errno::ENOENT);
        assert_eq!(Errno::from(io::Error::other("odd")), Errno::EIO);
        assert_eq!(format!("{}", Errno::ENOENT), "ENOENT (no such file or directory)");
    }
}
