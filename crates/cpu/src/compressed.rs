//! Compressed instructions (C), expanded to the 32-bit instructions they stand for.
//!
//! ```text
//!    15 13 12  11      7 6       2 1 0
//!   |funct3|  | rd/rs1  |   rs2   | op |    op 3 is not compressed
//!               |rs1'|      |rs2'|          three-bit fields name x8 to x15 (f8 to f15)
//! ```
//!
//! Source: the unprivileged manual, chapter "C", tables 16.5 to 16.7.

/// Expands a 16-bit parcel; `None` if it is reserved or not RV64GC.
pub fn expand(parcel: u16) -> Option<u32> {
    let c = u32::from(parcel);
    let funct3 = c >> 13;
    match (c & 3, funct3) {
        (0, 0) => addi4spn(c),
        (0, 1) => Some(load(uimm_d(c), rs1_short(c), 3, rs2_short(c), LOAD_FP)),
        (0, 2) => Some(load(uimm_w(c), rs1_short(c), 2, rs2_short(c), LOAD)),
        (0, 3) => Some(load(uimm_d(c), rs1_short(c), 3, rs2_short(c), LOAD)),
        (0, 5) => Some(store(uimm_d(c), rs2_short(c), rs1_short(c), 3, STORE_FP)),
        (0, 6) => Some(store(uimm_w(c), rs2_short(c), rs1_short(c), 2, STORE)),
        (0, 7) => Some(store(uimm_d(c), rs2_short(c), rs1_short(c), 3, STORE)),
        (1, 0) => Some(i_type(imm6(c), rd(c), 0, rd(c), OP_IMM)),
        (1, 1) if rd(c) != 0 => Some(i_type(imm6(c), rd(c), 0, rd(c), OP_IMM_32)),
        (1, 2) => Some(i_type(imm6(c), 0, 0, rd(c), OP_IMM)),
        (1, 3) => lui_or_addi16sp(c),
        (1, 4) => arithmetic(c),
        (1, 5) => Some(jal(jump_offset(c))),
        (1, 6) => Some(branch(branch_offset(c), rs1_short(c), 0)),
        (1, 7) => Some(branch(branch_offset(c), rs1_short(c), 1)),
        (2, 0) => Some(i_type(shamt(c), rd(c), 1, rd(c), OP_IMM)),
        (2, 1) => Some(load(uimm_sp_d(c), 2, 3, rd(c), LOAD_FP)),
        (2, 2) if rd(c) != 0 => Some(load(uimm_sp_w(c), 2, 2, rd(c), LOAD)),
        (2, 3) if rd(c) != 0 => Some(load(uimm_sp_d(c), 2, 3, rd(c), LOAD)),
        (2, 4) => jump_or_move(c),
        (2, 5) => Some(store(uimm_store_sp_d(c), rs2(c), 2, 3, STORE_FP)),
        (2, 6) => Some(store(uimm_store_sp_w(c), rs2(c), 2, 2, STORE)),
        (2, 7) => Some(store(uimm_store_sp_d(c), rs2(c), 2, 3, STORE)),
        _ => None,
    }
}

const LOAD: u32 = 0x03;
const LOAD_FP: u32 = 0x07;
const OP_IMM: u32 = 0x13;
const OP_IMM_32: u32 = 0x1b;
const STORE: u32 = 0x23;
const STORE_FP: u32 = 0x27;
const OP: u32 = 0x33;
const LUI: u32 = 0x37;
const OP_32: u32 = 0x3b;
const BRANCH: u32 = 0x63;
const JALR: u32 = 0x67;
const JAL: u32 = 0x6f;
const EBREAK: u32 = 0x0010_0073;

fn addi4spn(c: u32) -> Option<u32> {
    let imm = bits(c, 11, 2) << 4 | bits(c, 7, 4) << 6 | bits(c, 6, 1) << 2 | bits(c, 5, 1) << 3;
    (imm != 0).then(|| i_type(imm, 2, 0, rs2_short(c), OP_IMM))
}

fn lui_or_addi16sp(c: u32) -> Option<u32> {
    if rd(c) == 2 {
        let imm = bits(c, 6, 1) << 4
            | bits(c, 2, 1) << 5
            | bits(c, 5, 1) << 6
            | bits(c, 3, 2) << 7
            | bits(c, 12, 1) << 9;
        return (imm != 0).then(|| i_type(sign_extend(imm, 10), 2, 0, 2, OP_IMM));
    }
    let imm = imm6(c);
    (imm != 0).then(|| imm << 12 | rd(c) << 7 | LUI)
}

fn arithmetic(c: u32) -> Option<u32> {
    let (rd, rs2) = (rs1_short(c), rs2_short(c));
    let register =
        |funct7: u32, funct3: u32, opcode: u32| r_type(funct7, rs2, rd, funct3, rd, opcode);
    Some(match (bits(c, 10, 2), bits(c, 12, 1), bits(c, 5, 2)) {
        (0, _, _) => i_type(shamt(c), rd, 5, rd, OP_IMM),
        (1, _, _) => i_type(shamt(c) | 0x400, rd, 5, rd, OP_IMM),
        (2, _, _) => i_type(imm6(c), rd, 7, rd, OP_IMM),
        (3, 0, 0) => register(0x20, 0, OP),
        (3, 0, 1) => register(0, 4, OP),
        (3, 0, 2) => register(0, 6, OP),
        (3, 0, 3) => register(0, 7, OP),
        (3, 1, 0) => register(0x20, 0, OP_32),
        (3, 1, 1) => register(0, 0, OP_32),
        _ => return None,
    })
}

fn jump_or_move(c: u32) -> Option<u32> {
    match (bits(c, 12, 1), rd(c), rs2(c)) {
        (0, 0, 0) => None,
        (0, rs1, 0) => Some(i_type(0, rs1, 0, 0, JALR)),
        (0, rd, rs2) => Some(r_type(0, rs2, 0, 0, rd, OP)),
        (_, 0, 0) => Some(EBREAK),
        (_, rs1, 0) => Some(i_type(0, rs1, 0, 1, JALR)),
        (_, rd, rs2) => Some(r_type(0, rs2, rd, 0, rd, OP)),
    }
}

// Fields of the compressed form.

const fn bits(c: u32, low: u32, width: u32) -> u32 {
    (c >> low) & ((1 << width) - 1)
}

const fn sign_extend(value: u32, width: u32) -> u32 {
    ((value << (32 - width)) as i32 >> (32 - width)) as u32
}

const fn rd(c: u32) -> u32 {
    bits(c, 7, 5)
}

const fn rs2(c: u32) -> u32 {
    bits(c, 2, 5)
}

const fn rs1_short(c: u32) -> u32 {
    8 + bits(c, 7, 3)
}

const fn rs2_short(c: u32) -> u32 {
    8 + bits(c, 2, 3)
}

const fn shamt(c: u32) -> u32 {
    bits(c, 12, 1) << 5 | bits(c, 2, 5)
}

const fn imm6(c: u32) -> u32 {
    sign_extend(shamt(c), 6)
}

const fn uimm_w(c: u32) -> u32 {
    bits(c, 6, 1) << 2 | bits(c, 10, 3) << 3 | bits(c, 5, 1) << 6
}

const fn uimm_d(c: u32) -> u32 {
    bits(c, 10, 3) << 3 | bits(c, 5, 2) << 6
}

const fn uimm_sp_w(c: u32) -> u32 {
    bits(c, 4, 3) << 2 | bits(c, 12, 1) << 5 | bits(c, 2, 2) << 6
}

const fn uimm_sp_d(c: u32) -> u32 {
    bits(c, 5, 2) << 3 | bits(c, 12, 1) << 5 | bits(c, 2, 3) << 6
}

const fn uimm_store_sp_w(c: u32) -> u32 {
    bits(c, 9, 4) << 2 | bits(c, 7, 2) << 6
}

const fn uimm_store_sp_d(c: u32) -> u32 {
    bits(c, 10, 3) << 3 | bits(c, 7, 3) << 6
}

const fn jump_offset(c: u32) -> u32 {
    let imm = bits(c, 3, 3) << 1
        | bits(c, 11, 1) << 4
        | bits(c, 2, 1) << 5
        | bits(c, 7, 1) << 6
        | bits(c, 6, 1) << 7
        | bits(c, 9, 2) << 8
        | bits(c, 8, 1) << 10
        | bits(c, 12, 1) << 11;
    sign_extend(imm, 12)
}

const fn branch_offset(c: u32) -> u32 {
    let imm = bits(c, 3, 2) << 1
        | bits(c, 10, 2) << 3
        | bits(c, 2, 1) << 5
        | bits(c, 5, 2) << 6
        | bits(c, 12, 1) << 8;
    sign_extend(imm, 9)
}

// The 32-bit forms.

const fn r_type(funct7: u32, rs2: u32, rs1: u32, funct3: u32, rd: u32, opcode: u32) -> u32 {
    funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

const fn i_type(imm: u32, rs1: u32, funct3: u32, rd: u32, opcode: u32) -> u32 {
    (imm & 0xfff) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

const fn load(imm: u32, rs1: u32, funct3: u32, rd: u32, opcode: u32) -> u32 {
    i_type(imm, rs1, funct3, rd, opcode)
}

const fn store(imm: u32, rs2: u32, rs1: u32, funct3: u32, opcode: u32) -> u32 {
    bits(imm, 5, 7) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | bits(imm, 0, 5) << 7 | opcode
}

const fn branch(offset: u32, rs1: u32, funct3: u32) -> u32 {
    bits(offset, 12, 1) << 31
        | bits(offset, 5, 6) << 25
        | rs1 << 15
        | funct3 << 12
        | bits(offset, 1, 4) << 8
        | bits(offset, 11, 1) << 7
        | BRANCH
}

const fn jal(offset: u32) -> u32 {
    bits(offset, 20, 1) << 31
        | bits(offset, 1, 10) << 21
        | bits(offset, 11, 1) << 20
        | bits(offset, 12, 8) << 12
        | JAL
}

#[cfg(test)]
mod tests {
    use super::expand;

    /// Parcels and what GNU objdump shows for them.
    #[test]
    fn known_parcels() {
        let cases = [
            (0x1141, 0xff01_0113), // addi sp,sp,-16
            (0xe406, 0x0011_3423), // sd ra,8(sp)
            (0x60a2, 0x0081_3083), // ld ra,8(sp)
            (0x8082, 0x0000_8067), // ret
            (0x4501, 0x0000_0513), // li a0,0
            (0x852e, 0x00b0_0533), // mv a0,a1
            (0x9002, 0x0010_0073), // ebreak
            (0x7139, 0xfc01_0113), // addi sp,sp,-64
            (0x1080, 0x0601_0413), // addi s0,sp,96
            (0x8d7d, 0x00f5_7533), // and a0,a0,a5
            (0x9d3d, 0x00f5_053b), // addw a0,a0,a5
        ];
        for (parcel, word) in cases {
            assert_eq!(expand(parcel), Some(word), "{parcel:#06x}");
        }
    }

    #[test]
    fn reserved_parcels() {
        for parcel in [0x0000, 0x6101 & !0x107c, 0x2001, 0x4002, 0x6002, 0x8002, 0x9c41] {
            assert_eq!(expand(parcel), None, "{parcel:#06x}");
        }
    }
}
