//! What is asked of the MMU, and what a page allows.

use bitflags::bitflags;

/// What the program does at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessKind {
    /// A data load.
    Read,
    /// A data store, or an atomic read-modify-write.
    Write,
    /// An instruction fetch.
    Execute,
}

/// The processor's mode during the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// User mode (x86: CPL 3; RISC-V: U).
    User,
    /// Kernel mode (x86: CPL 0 to 2; RISC-V: S).
    Supervisor,
}

/// One access, as the MMU judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// What is done.
    pub kind: AccessKind,
    /// By whom.
    pub privilege: Privilege,
}

impl Access {
    /// An access in user mode.
    #[inline]
    pub const fn user(kind: AccessKind) -> Self {
        Self { kind, privilege: Privilege::User }
    }

    /// An access in supervisor mode.
    #[inline]
    pub const fn supervisor(kind: AccessKind) -> Self {
        Self { kind, privilege: Privilege::Supervisor }
    }
}

bitflags! {
    /// What a translation allows, all levels of the walk taken together. What the bits permit to
    /// whom is the format's decision ([`crate::radix::Radix::permit`]).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Rights: u8 {
        /// Data may be read.
        const READ = 1;
        /// Data may be written.
        const WRITE = 2;
        /// Instructions may be fetched; where [`Rights::EXECUTE_SUPERVISOR`] has a meaning, in
        /// user mode.
        const EXECUTE = 4;
        /// A user-mode page.
        const USER = 8;
        /// Instructions may be fetched in supervisor mode, where a format says that apart
        /// (AArch64). Elsewhere it has no meaning and is never set.
        const EXECUTE_SUPERVISOR = 16;
        /// The supervisor may read, where a format says that apart (PowerPC: the segment's key Ks);
        /// READ and WRITE are then the user's. Elsewhere it has no meaning and is never set.
        const READ_SUPERVISOR = 32;
        /// The supervisor may write; as [`Rights::READ_SUPERVISOR`].
        const WRITE_SUPERVISOR = 64;
    }
}
