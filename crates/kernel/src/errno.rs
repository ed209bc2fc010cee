//! Errors of the memory calls, with Linux's numbers.

use crate::IoError;
use core::fmt;

/// An error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Errno {
    /// Operation not permitted.
    Eperm = 1,
    /// Input/output error.
    Eio = 5,
    /// Bad file descriptor: a mapping of a file where none is wanted.
    Ebadf = 9,
    /// Resource temporarily unavailable.
    Eagain = 11,
    /// Cannot allocate memory, or no such mapping.
    Enomem = 12,
    /// Permission denied.
    Eacces = 13,
    /// Bad address.
    Efault = 14,
    /// Device or resource busy: the range is locked.
    Ebusy = 16,
    /// File exists: the range is mapped already.
    Eexist = 17,
    /// Invalid argument.
    Einval = 22,
    /// No space left on device.
    Enospc = 28,
    /// Value too large: the file's pages cannot be numbered.
    Eoverflow = 75,
    /// Operation not supported by what backs the mapping.
    Eopnotsupp = 95,
}

impl Errno {
    /// Linux's number.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

impl From<IoError> for Errno {
    fn from(error: IoError) -> Self {
        match error {
            IoError::Io | IoError::Short | IoError::Corrupt => Self::Eio,
            IoError::NoSpace => Self::Enospc,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eperm => "operation not permitted",
            Self::Eio => "input/output error",
            Self::Ebadf => "bad file descriptor",
            Self::Eagain => "resource temporarily unavailable",
            Self::Enomem => "cannot allocate memory",
            Self::Eacces => "permission denied",
            Self::Efault => "bad address",
            Self::Ebusy => "device or resource busy",
            Self::Eexist => "file exists",
            Self::Einval => "invalid argument",
            Self::Enospc => "no space left on device",
            Self::Eoverflow => "value too large",
            Self::Eopnotsupp => "operation not supported",
        })
    }
}

impl core::error::Error for Errno {}
