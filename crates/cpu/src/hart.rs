//! The state of one hardware thread.

use crate::MemFault;
use crate::fp::Flags;

/// Index of the register that swallows writes to `x0`.
pub(crate) const SINK: u8 = 32;

/// One hart: registers, and the counts that only it can make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hart {
    /// `x0` to `x31`, then the sink for writes to `x0`; the rest lets a byte index it unchecked.
    pub(crate) x: [u64; 256],
    /// `f0` to `f31`, NaN-boxed where they hold single precision.
    pub(crate) f: [u64; 32],
    /// The next instruction.
    pub pc: u64,
    /// The accrued exception flags (`fflags`).
    pub(crate) fflags: Flags,
    /// The dynamic rounding mode (`frm`), which may hold an invalid value.
    pub(crate) frm: u8,
    /// The address that a load-reserved reserved, if it still does.
    pub(crate) reservation: Option<u64>,
    /// Instructions retired.
    pub retired: u64,
    /// Instruction fetches begun, also those that faulted: one an instruction, two if it crosses into
    /// another page.
    pub fetches: u64,
    /// Data loads begun.
    pub loads: u64,
    /// Data stores begun, read-modify-writes among them.
    pub stores: u64,
}

/// Why a hart stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The instruction budget is used up.
    Budget,
    /// `ecall`: the instruction is retired, the pc behind it.
    Ecall,
    /// `ebreak`: the pc is at it.
    Ebreak,
    /// An instruction that does not exist: the pc is at it.
    Illegal,
    /// A memory access failed: the pc is at the instruction, which has done nothing.
    Fault(MemFault),
    /// An atomic access that is not aligned to its size, otherwise as a fault.
    Misaligned(MemFault),
}

impl Default for Hart {
    fn default() -> Self {
        Self::new()
    }
}

impl Hart {
    /// A hart with all registers zero.
    pub const fn new() -> Self {
        Self {
            x: [0; 256],
            f: [0; 32],
            pc: 0,
            fflags: Flags(0),
            frm: 0,
            reservation: None,
            retired: 0,
            fetches: 0,
            loads: 0,
            stores: 0,
        }
    }

    /// Register `xN`.
    ///
    /// # Panics
    /// If `n` is above 31.
    pub fn x(&self, n: usize) -> u64 {
        assert!(n < 32);
        self.x[n]
    }

    /// Sets register `xN`; writes to `x0` are ignored.
    ///
    /// # Panics
    /// If `n` is above 31.
    pub fn set_x(&mut self, n: usize, value: u64) {
        assert!(n < 32);
        if n != 0 {
            self.x[n] = value;
        }
    }

    /// Register `fN`, as its 64 bits.
    ///
    /// # Panics
    /// If `n` is above 31.
    pub fn f(&self, n: usize) -> u64 {
        self.f[n]
    }

    /// Sets the 64 bits of register `fN`.
    ///
    /// # Panics
    /// If `n` is above 31.
    pub fn set_f(&mut self, n: usize, value: u64) {
        self.f[n] = value;
    }

    /// The floating-point control and status register: `frm` in bits 5 to 7, `fflags` below.
    pub fn fcsr(&self) -> u32 {
        u32::from(self.frm) << 5 | u32::from(self.fflags.0)
    }

    /// Sets the floating-point control and status register.
    pub fn set_fcsr(&mut self, value: u32) {
        self.frm = (value >> 5) as u8 & 7;
        self.fflags = Flags(value as u8 & 0x1f);
    }

    /// Drops a reservation, as a switch to another thread does.
    pub fn drop_reservation(&mut self) {
        self.reservation = None;
    }
}
