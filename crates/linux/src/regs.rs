//! The user-visible registers of a hart, as the Linux ABI names them.

/// The registers that a system call reads and writes and a signal frame saves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regs {
    /// Integer registers; `x[0]` is always 0.
    pub x: [u64; 32],
    /// Floating-point registers, NaN-boxed.
    pub f: [u64; 32],
    /// Rounding mode and accrued exceptions.
    pub fcsr: u32,
    /// The address of the next instruction; at a system call, of the `ecall`.
    pub pc: u64,
}

/// Return address.
pub const RA: usize = 1;
/// Stack pointer.
pub const SP: usize = 2;
/// Thread pointer.
pub const TP: usize = 4;
/// First argument and result.
pub const A0: usize = 10;
/// Second argument.
pub const A1: usize = 11;
/// Third argument.
pub const A2: usize = 12;
/// System call number.
pub const A7: usize = 17;

/// The length of an `ecall`, which has no compressed form.
pub const ECALL_BYTES: u64 = 4;

impl Regs {
    /// The six arguments of a system call.
    pub fn arguments(&self) -> [u64; 6] {
        std::array::from_fn(|i| self.x[A0 + i])
    }
}
