//! Programs in the making: instructions at known addresses, data behind them, an ELF file.
//!
//! ```text
//!   BASE ─► ELF header │ code …            │ data: operands, buffer, results │
//!           one segment that may be read, written and executed
//! ```

use super::encode::{Row, named};

/// Where programs are linked: both sides run them there, so that `auipc` gives the same.
pub const BASE: u64 = 0x4000_0000;

/// The ELF header and the program header.
const HEADERS: usize = 64 + 56;

/// A program's code, instruction by instruction.
#[derive(Clone, Debug, Default)]
pub struct Code {
    bytes: Vec<u8>,
}

impl Code {
    /// The address of the next instruction.
    pub fn here(&self) -> u64 {
        BASE + (HEADERS + self.bytes.len()) as u64
    }

    /// Appends an instruction of a row, whichever length it has.
    pub fn push(&mut self, row: &Row, word: u32) {
        self.bytes.extend_from_slice(&word.to_le_bytes()[..row.bytes as usize]);
    }

    /// Appends an instruction given by name and fields.
    pub fn op(&mut self, name: &str, fields: &[(&str, u32)]) {
        let row = named(name);
        self.push(row, row.make(fields));
    }

    /// Appends bytes that are not to be executed.
    pub fn skip(&mut self, bytes: u64) {
        self.bytes.resize(self.bytes.len() + bytes as usize, 0);
    }

    pub fn addi(&mut self, rd: u32, rs1: u32, imm: i64) {
        self.op("addi", &[("rd", rd), ("rs1", rs1), ("imm", imm as u32)]);
    }

    pub fn ld(&mut self, rd: u32, rs1: u32, imm: i64) {
        self.op("ld", &[("rd", rd), ("rs1", rs1), ("imm", imm as u32)]);
    }

    pub fn fld(&mut self, fd: u32, rs1: u32, imm: i64) {
        self.op("fld", &[("fd", fd), ("rs1", rs1), ("imm", imm as u32)]);
    }

    pub fn sd(&mut self, rs2: u32, rs1: u32, imm: i64) {
        self.op("sd", &[("rs2", rs2), ("rs1", rs1), ("imm", imm as u32)]);
    }

    pub fn fsd(&mut self, fs2: u32, rs1: u32, imm: i64) {
        self.op("fsd", &[("fs2", fs2), ("rs1", rs1), ("imm", imm as u32)]);
    }

    /// Sets a register to an address or number below 2³¹.
    pub fn li(&mut self, rd: u32, value: u64) {
        let value = u32::try_from(value).expect("a small number");
        self.op("lui", &[("rd", rd), ("imm", value.wrapping_add(0x800))]);
        self.op("addiw", &[("rd", rd), ("rs1", rd), ("imm", value)]);
    }

    /// Writes `len` bytes at `from` to stdout, and exits.
    pub fn finish(&mut self, from: u64, len: u64) {
        const WRITE: u64 = 64;
        const EXIT: u64 = 93;
        for (register, value) in [(10, 1), (11, from), (12, len), (17, WRITE)] {
            self.li(register, value);
        }
        self.op("ecall", &[]);
        self.li(10, 0);
        self.li(17, EXIT);
        self.op("ecall", &[]);
    }

    /// The ELF file, the code followed by `data` at `data_at`.
    pub fn elf(&self, data_at: u64, data: &[u8]) -> Vec<u8> {
        let gap = usize::try_from(data_at - self.here()).expect("data behind the code");
        let size = (HEADERS + self.bytes.len() + gap + data.len()) as u64;
        let mut file = headers(size);
        file.extend_from_slice(&self.bytes);
        file.resize(file.len() + gap, 0);
        file.extend_from_slice(data);
        file
    }
}

/// The headers of a static RISC-V executable: one segment from the file's first byte.
fn headers(size: u64) -> Vec<u8> {
    const EM_RISCV: u64 = 243;
    const FLAGS_RVC_DOUBLE: u64 = 5;
    let entry = BASE + HEADERS as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let fields: [(u64, usize); 21] = [
        (2, 2),
        (EM_RISCV, 2),
        (1, 4),
        (entry, 8),
        (64, 8),
        (0, 8),
        (FLAGS_RVC_DOUBLE, 4),
        (64, 2),
        (56, 2),
        (1, 2),
        (64, 2),
        (0, 2),
        (0, 2),
        // PT_LOAD, readable, writable, executable
        (1, 4),
        (7, 4),
        (0, 8),
        (BASE, 8),
        (BASE, 8),
        (size, 8),
        (size, 8),
        (0x1000, 8),
    ];
    for (value, bytes) in fields {
        file.extend_from_slice(&value.to_le_bytes()[..bytes]);
    }
    assert_eq!(file.len(), HEADERS);
    file
}
