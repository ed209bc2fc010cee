//! Decoding of 32-bit instructions.
//!
//! ```text
//!    31    25 24  20 19  15 14  12 11   7 6      0
//!   | funct7 | rs2  | rs1  |funct3|  rd  | opcode |   R
//!   |   imm[11:0]   | rs1  |funct3|  rd  | opcode |   I
//!   |imm 11:5| rs2  | rs1  |funct3|imm4:0| opcode |   S
//!   |imm 12|10:5| rs2 | rs1 |funct3|4:1|11| opcode |  B
//!   |        imm[31:12]           |  rd  | opcode |   U
//!   | imm 20|10:1|11|19:12        |  rd  | opcode |   J
//! ```
//!
//! Source: the unprivileged manual, chapter "RV32/64G Instruction Set Listings"; bit manipulation:
//! the ISA extensions' own listing. What is in no listing is [`OpCode::Illegal`].

use crate::hart::SINK;
use crate::op::{Op, OpCode};

/// Decodes a 32-bit instruction.
pub fn decode(word: u32) -> Op {
    let w = Word(word);
    let decoded = match w.opcode() {
        0x03 => load(w),
        0x07 => load_float(w),
        0x0f => fence(w),
        0x13 => immediate(w),
        0x17 => Some(w.op(OpCode::Auipc, w.imm_u())),
        0x1b => immediate_word(w),
        0x23 => store(w),
        0x27 => store_float(w),
        0x2f => atomic(w),
        0x33 => register(w),
        0x37 => Some(w.op(OpCode::Lui, w.imm_u())),
        0x3b => register_word(w),
        0x43 | 0x47 | 0x4b | 0x4f => fused(w),
        0x53 => float(w),
        0x63 => branch(w),
        0x67 if w.funct3() == 0 => Some(w.op(OpCode::Jalr, w.imm_i())),
        0x6f => Some(w.op(OpCode::Jal, w.imm_j())),
        0x73 => system(w),
        _ => None,
    };
    decoded.unwrap_or(Op { code: OpCode::Illegal, rd: SINK, rs1: 0, rs2: 0, imm: 0 })
}

/// An instruction word and its fields.
#[derive(Clone, Copy)]
struct Word(u32);

impl Word {
    const fn bits(self, low: u32, width: u32) -> u32 {
        (self.0 >> low) & ((1 << width) - 1)
    }

    const fn opcode(self) -> u32 {
        self.bits(0, 7)
    }

    const fn funct3(self) -> u32 {
        self.bits(12, 3)
    }

    const fn funct7(self) -> u32 {
        self.bits(25, 7)
    }

    const fn rs2(self) -> u32 {
        self.bits(20, 5)
    }

    const fn imm_i(self) -> i32 {
        self.0 as i32 >> 20
    }

    const fn imm_s(self) -> i32 {
        (self.0 as i32 >> 25) << 5 | self.bits(7, 5) as i32
    }

    const fn imm_b(self) -> i32 {
        (self.0 as i32 >> 31) << 12
            | (self.bits(7, 1) << 11 | self.bits(25, 6) << 5 | self.bits(8, 4) << 1) as i32
    }

    const fn imm_u(self) -> i32 {
        (self.0 & 0xffff_f000) as i32
    }

    const fn imm_j(self) -> i32 {
        (self.0 as i32 >> 31) << 20
            | (self.bits(12, 8) << 12 | self.bits(20, 1) << 11 | self.bits(21, 10) << 1) as i32
    }

    /// The operation with an integer destination, `x0` diverted to the sink.
    const fn op(self, code: OpCode, imm: i32) -> Op {
        let rd = self.bits(7, 5) as u8;
        let rd = if rd == 0 { SINK } else { rd };
        Op { code, rd, ..self.op_float(code, imm) }
    }

    /// The operation with a floating-point destination, or none.
    const fn op_float(self, code: OpCode, imm: i32) -> Op {
        Op {
            code,
            rd: self.bits(7, 5) as u8,
            rs1: self.bits(15, 5) as u8,
            rs2: self.rs2() as u8,
            imm,
        }
    }

    /// The rounding mode and the third source, as [`Op::imm`] holds them.
    const fn rounding(self) -> i32 {
        (self.funct3() | self.bits(27, 5) << 8) as i32
    }
}

fn load(w: Word) -> Option<Op> {
    use OpCode::{Lb, Lbu, Ld, Lh, Lhu, Lw, Lwu};
    let code = *[Lb, Lh, Lw, Ld, Lbu, Lhu, Lwu].get(w.funct3() as usize)?;
    Some(w.op(code, w.imm_i()))
}

fn load_float(w: Word) -> Option<Op> {
    let code = match w.funct3() {
        2 => OpCode::Flw,
        3 => OpCode::Fld,
        _ => return None,
    };
    Some(w.op_float(code, w.imm_i()))
}

fn store(w: Word) -> Option<Op> {
    use OpCode::{Sb, Sd, Sh, Sw};
    let code = *[Sb, Sh, Sw, Sd].get(w.funct3() as usize)?;
    Some(w.op_float(code, w.imm_s()))
}

fn store_float(w: Word) -> Option<Op> {
    let code = match w.funct3() {
        2 => OpCode::Fsw,
        3 => OpCode::Fsd,
        _ => return None,
    };
    Some(w.op_float(code, w.imm_s()))
}

fn fence(w: Word) -> Option<Op> {
    match w.funct3() {
        0 => Some(w.op(OpCode::Fence, 0)),
        1 => Some(w.op(OpCode::FenceI, 0)),
        _ => None,
    }
}

fn immediate(w: Word) -> Option<Op> {
    use OpCode::{Addi, Andi, Ori, Slti, Sltiu, Xori};
    match w.funct3() {
        1 => shift_left(w),
        5 => shift_right(w),
        funct3 => {
            let code = [Addi, Addi, Slti, Sltiu, Xori, Addi, Ori, Andi][funct3 as usize];
            Some(w.op(code, w.imm_i()))
        }
    }
}

/// SLLI and what shares its funct3: single-bit operations, counts and sign extensions.
fn shift_left(w: Word) -> Option<Op> {
    use OpCode::{Bclri, Binvi, Bseti, Clz, Cpop, Ctz, SextB, SextH, Slli};
    let shamt = w.bits(20, 6) as i32;
    let code = match w.bits(26, 6) {
        0x00 => Slli,
        0x0a => Bseti,
        0x12 => Bclri,
        0x1a => Binvi,
        0x18 => match shamt {
            0 => Clz,
            1 => Ctz,
            2 => Cpop,
            4 => SextB,
            5 => SextH,
            _ => return None,
        },
        _ => return None,
    };
    Some(w.op(code, shamt))
}

/// SRLI, SRAI and what shares their funct3.
fn shift_right(w: Word) -> Option<Op> {
    use OpCode::{Bexti, OrcB, Rev8, Rori, Srai, Srli};
    let shamt = w.bits(20, 6) as i32;
    let code = match (w.bits(26, 6), shamt) {
        (0x00, _) => Srli,
        (0x10, _) => Srai,
        (0x12, _) => Bexti,
        (0x18, _) => Rori,
        (0x0a, 7) => OrcB,
        (0x1a, 0x38) => Rev8,
        _ => return None,
    };
    Some(w.op(code, shamt))
}

fn immediate_word(w: Word) -> Option<Op> {
    use OpCode::{Addiw, Clzw, Cpopw, Ctzw, Roriw, SlliUw, Slliw, Sraiw, Srliw};
    let shamt = w.rs2() as i32;
    let code = match (w.funct3(), w.funct7()) {
        (0, _) => return Some(w.op(Addiw, w.imm_i())),
        (1, 0x00) => Slliw,
        (1, 0x04 | 0x05) => return Some(w.op(SlliUw, w.bits(20, 6) as i32)),
        (1, 0x30) => match shamt {
            0 => Clzw,
            1 => Ctzw,
            2 => Cpopw,
            _ => return None,
        },
        (5, 0x00) => Srliw,
        (5, 0x20) => Sraiw,
        (5, 0x30) => Roriw,
        _ => return None,
    };
    Some(w.op(code, shamt))
}

fn register(w: Word) -> Option<Op> {
    use OpCode::{
        Add, And, Andn, Bclr, Bext, Binv, Bset, Div, Divu, Max, Maxu, Min, Minu, Mul, Mulh, Mulhsu,
        Mulhu, Or, Orn, Rem, Remu, Rol, Ror, Sh1add, Sh2add, Sh3add, Sll, Slt, Sltu, Sra, Srl, Sub,
        Xnor, Xor,
    };
    let row = match w.funct7() {
        0x00 => [Add, Sll, Slt, Sltu, Xor, Srl, Or, And].map(Some),
        0x01 => [Mul, Mulh, Mulhsu, Mulhu, Div, Divu, Rem, Remu].map(Some),
        0x05 => [None, None, None, None, Some(Min), Some(Minu), Some(Max), Some(Maxu)],
        0x10 => [None, None, Some(Sh1add), None, Some(Sh2add), None, Some(Sh3add), None],
        0x14 => [None, Some(Bset), None, None, None, None, None, None],
        0x20 => [Some(Sub), None, None, None, Some(Xnor), Some(Sra), Some(Orn), Some(Andn)],
        0x24 => [None, Some(Bclr), None, None, None, Some(Bext), None, None],
        0x30 => [None, Some(Rol), None, None, None, Some(Ror), None, None],
        0x34 => [None, Some(Binv), None, None, None, None, None, None],
        _ => return None,
    };
    row[w.funct3() as usize].map(|code| w.op(code, 0))
}

fn register_word(w: Word) -> Option<Op> {
    use OpCode::{
        AddUw, Addw, Divuw, Divw, Mulw, Remuw, Remw, Rolw, Rorw, Sh1addUw, Sh2addUw, Sh3addUw,
        Sllw, Sraw, Srlw, Subw, ZextH,
    };
    let code = match (w.funct7(), w.funct3()) {
        (0x00, 0) => Addw,
        (0x00, 1) => Sllw,
        (0x00, 5) => Srlw,
        (0x01, 0) => Mulw,
        (0x01, 4) => Divw,
        (0x01, 5) => Divuw,
        (0x01, 6) => Remw,
        (0x01, 7) => Remuw,
        (0x04, 0) => AddUw,
        (0x04, 4) if w.rs2() == 0 => ZextH,
        (0x10, 2) => Sh1addUw,
        (0x10, 4) => Sh2addUw,
        (0x10, 6) => Sh3addUw,
        (0x20, 0) => Subw,
        (0x20, 5) => Sraw,
        (0x30, 1) => Rolw,
        (0x30, 5) => Rorw,
        _ => return None,
    };
    Some(w.op(code, 0))
}

fn branch(w: Word) -> Option<Op> {
    use OpCode::{Beq, Bge, Bgeu, Blt, Bltu, Bne};
    let code = match w.funct3() {
        0 => Beq,
        1 => Bne,
        4 => Blt,
        5 => Bge,
        6 => Bltu,
        7 => Bgeu,
        _ => return None,
    };
    Some(w.op_float(code, w.imm_b()))
}

fn system(w: Word) -> Option<Op> {
    use OpCode::{Csrrc, Csrrci, Csrrs, Csrrsi, Csrrw, Csrrwi, Ebreak, Ecall};
    let code = match w.funct3() {
        0 if w.0 == 0x0000_0073 => return Some(w.op(Ecall, 0)),
        0 if w.0 == 0x0010_0073 => return Some(w.op(Ebreak, 0)),
        1 => Csrrw,
        2 => Csrrs,
        3 => Csrrc,
        5 => Csrrwi,
        6 => Csrrsi,
        7 => Csrrci,
        _ => return None,
    };
    Some(w.op(code, w.bits(20, 12) as i32))
}

fn atomic(w: Word) -> Option<Op> {
    use OpCode as O;
    let pair = match w.bits(27, 5) {
        0x00 => [O::AmoaddW, O::AmoaddD],
        0x01 => [O::AmoswapW, O::AmoswapD],
        0x02 if w.rs2() == 0 => [O::LrW, O::LrD],
        0x03 => [O::ScW, O::ScD],
        0x04 => [O::AmoxorW, O::AmoxorD],
        0x08 => [O::AmoorW, O::AmoorD],
        0x0c => [O::AmoandW, O::AmoandD],
        0x10 => [O::AmominW, O::AmominD],
        0x14 => [O::AmomaxW, O::AmomaxD],
        0x18 => [O::AmominuW, O::AmominuD],
        0x1c => [O::AmomaxuW, O::AmomaxuD],
        _ => return None,
    };
    match w.funct3() {
        2 => Some(w.op(pair[0], 0)),
        3 => Some(w.op(pair[1], 0)),
        _ => None,
    }
}

fn fused(w: Word) -> Option<Op> {
    use OpCode as O;
    let row = match w.opcode() {
        0x43 => [O::FmaddS, O::FmaddD],
        0x47 => [O::FmsubS, O::FmsubD],
        0x4b => [O::FnmsubS, O::FnmsubD],
        _ => [O::FnmaddS, O::FnmaddD],
    };
    let code = *row.get(w.bits(25, 2) as usize)?;
    rounded(w, code)
}

fn rounded(w: Word, code: OpCode) -> Option<Op> {
    // Rounding modes 5 and 6 are reserved; 7 is the dynamic one.
    (!matches!(w.funct3(), 5 | 6)).then(|| w.op_float(code, w.rounding()))
}

fn float(w: Word) -> Option<Op> {
    use OpCode as O;
    let double = match w.bits(25, 2) {
        0 => false,
        1 => true,
        _ => return None,
    };
    let pick = |single: OpCode, double_code: OpCode| if double { double_code } else { single };
    let integer = |op: Op| if op.rd == 0 { Op { rd: SINK, ..op } } else { op };
    let by_funct3 =
        |table: &[[OpCode; 2]]| table.get(w.funct3() as usize).map(|row| row[usize::from(double)]);
    let by_rs2 =
        |table: &[[OpCode; 2]]| table.get(w.rs2() as usize).map(|row| row[usize::from(double)]);
    match w.bits(27, 5) {
        0x00 => rounded(w, pick(O::FaddS, O::FaddD)),
        0x01 => rounded(w, pick(O::FsubS, O::FsubD)),
        0x02 => rounded(w, pick(O::FmulS, O::FmulD)),
        0x03 => rounded(w, pick(O::FdivS, O::FdivD)),
        0x0b if w.rs2() == 0 => rounded(w, pick(O::FsqrtS, O::FsqrtD)),
        0x04 => {
            by_funct3(&[[O::FsgnjS, O::FsgnjD], [O::FsgnjnS, O::FsgnjnD], [O::FsgnjxS, O::FsgnjxD]])
                .map(|code| w.op_float(code, 0))
        }
        0x05 => {
            by_funct3(&[[O::FminS, O::FminD], [O::FmaxS, O::FmaxD]]).map(|code| w.op_float(code, 0))
        }
        0x08 if !double && w.rs2() == 1 => rounded(w, O::FcvtSD),
        0x08 if double && w.rs2() == 0 => rounded(w, O::FcvtDS),
        0x14 => by_funct3(&[[O::FleS, O::FleD], [O::FltS, O::FltD], [O::FeqS, O::FeqD]])
            .map(|code| w.op(code, 0)),
        0x18 => by_rs2(&[
            [O::FcvtWS, O::FcvtWD],
            [O::FcvtWuS, O::FcvtWuD],
            [O::FcvtLS, O::FcvtLD],
            [O::FcvtLuS, O::FcvtLuD],
        ])
        .and_then(|code| rounded(w, code))
        .map(integer),
        0x1a => by_rs2(&[
            [O::FcvtSW, O::FcvtDW],
            [O::FcvtSWu, O::FcvtDWu],
            [O::FcvtSL, O::FcvtDL],
            [O::FcvtSLu, O::FcvtDLu],
        ])
        .and_then(|code| rounded(w, code)),
        0x1c if w.rs2() == 0 => {
            by_funct3(&[[O::FmvXW, O::FmvXD], [O::FclassS, O::FclassD]]).map(|code| w.op(code, 0))
        }
        0x1e if w.rs2() == 0 && w.funct3() == 0 => Some(w.op_float(pick(O::FmvWX, O::FmvDX), 0)),
        _ => None,
    }
}
