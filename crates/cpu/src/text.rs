//! Instructions as text.
//!
//! ```text
//!   0x00a58533   add  a0,a1,a0        mnemonic: the code's name, a dot before each capital
//!   0x4501       li   a0,0            compressed: what it expands to
//!   0x00008067   ret                  pseudo-instructions where the manual has a name for them
//! ```
//!
//! The mnemonics, the ABI names of registers and the pseudo-instructions are those of the
//! unprivileged manual's chapter "RISC-V Assembly Programmer's Handbook". Targets of jumps and
//! branches are addresses.

use crate::compressed::expand;
use crate::decode::decode;
use crate::hart::SINK;
use crate::op::{Group, Op, OpCode};

/// The major opcode of atomic accesses (AMO).
const ATOMIC: u32 = 0x2f;

/// The ABI names of `x0` to `x31`.
pub const REGISTERS: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// The ABI names of `f0` to `f31`.
pub const FLOAT_REGISTERS: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
    "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
    "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

/// An instruction, and what can be said of it without executing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disassembled {
    /// As assemblers write it.
    pub text: String,
    /// 2 or 4.
    pub bytes: u64,
    /// It decoded.
    pub op: Op,
}

/// The instruction at the beginning of `bytes`, which lie at `pc`. `None` if they end before it does.
pub fn disassemble(bytes: &[u8], pc: u64) -> Option<Disassembled> {
    let &[low, high, ref rest @ ..] = bytes else { return None };
    let parcel = u16::from_le_bytes([low, high]);
    if parcel & 3 != 3 {
        let word = expand(parcel);
        let op = decode(word.unwrap_or(0));
        let text = match word {
            Some(word) => text(word, &op, pc),
            None => format!(".half {parcel:#06x}"),
        };
        return Some(Disassembled { text, bytes: 2, op });
    }
    let &[third, fourth, ..] = rest else { return None };
    let word = u32::from_le_bytes([low, high, third, fourth]);
    let op = decode(word);
    Some(Disassembled { text: text(word, &op, pc), bytes: 4, op })
}

fn text(word: u32, op: &Op, pc: u64) -> String {
    if op.code == OpCode::Illegal {
        return format!(".word {word:#010x}");
    }
    if let Some(text) = pseudo(op, pc) {
        return text;
    }
    let is_atomic = word & 0x7f == ATOMIC;
    let name = mnemonic(op.code) + if is_atomic { ordering(word) } else { "" };
    match operands(word, op, pc) {
        operands if operands.is_empty() => name,
        operands => format!("{name} {operands}"),
    }
}

/// The code's name, a dot before each capital but the first.
fn mnemonic(code: OpCode) -> String {
    let mut text = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('.');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

fn x(number: u8) -> &'static str {
    // The sink stands for the register that swallows writes.
    let number = if number == SINK { 0 } else { number };
    REGISTERS[usize::from(number & 31)]
}

fn f(number: u8) -> &'static str {
    FLOAT_REGISTERS[usize::from(number & 31)]
}

fn target(op: &Op, pc: u64) -> String {
    format!("{:x}", pc.wrapping_add(op.imm as u64))
}

/// What the manual has a shorter name for.
fn pseudo(op: &Op, pc: u64) -> Option<String> {
    use OpCode as O;
    let (rd, rs1, rs2) = (x(op.rd), x(op.rs1), x(op.rs2));
    let to = || target(op, pc);
    Some(match (op.code, op.rd, op.rs1, op.rs2, op.imm) {
        (O::Addi, SINK, 0, _, 0) => "nop".into(),
        (O::Addi, _, 0, _, imm) => format!("li {rd},{imm}"),
        (O::Addi, _, _, _, 0) => format!("mv {rd},{rs1}"),
        (O::Add, _, 0, _, _) => format!("mv {rd},{rs2}"),
        (O::Addiw, _, _, _, 0) => format!("sext.w {rd},{rs1}"),
        (O::Xori, _, _, _, -1) => format!("not {rd},{rs1}"),
        (O::Andi, _, _, _, 255) => format!("zext.b {rd},{rs1}"),
        (O::Sub, _, 0, _, _) => format!("neg {rd},{rs2}"),
        (O::Subw, _, 0, _, _) => format!("negw {rd},{rs2}"),
        (O::AddUw, _, _, 0, _) => format!("zext.w {rd},{rs1}"),
        (O::Sltiu, _, _, _, 1) => format!("seqz {rd},{rs1}"),
        (O::Sltu, _, 0, _, _) => format!("snez {rd},{rs2}"),
        (O::Slt, _, _, 0, _) => format!("sltz {rd},{rs1}"),
        (O::Slt, _, 0, _, _) => format!("sgtz {rd},{rs2}"),
        (O::Beq, _, _, 0, _) => format!("beqz {rs1},{}", to()),
        (O::Bne, _, _, 0, _) => format!("bnez {rs1},{}", to()),
        (O::Bge, _, 0, _, _) => format!("blez {rs2},{}", to()),
        (O::Bge, _, _, 0, _) => format!("bgez {rs1},{}", to()),
        (O::Blt, _, _, 0, _) => format!("bltz {rs1},{}", to()),
        (O::Blt, _, 0, _, _) => format!("bgtz {rs2},{}", to()),
        (O::Jal, SINK, ..) => format!("j {}", to()),
        (O::Jal, 1, ..) => format!("jal {}", to()),
        (O::Jalr, SINK, 1, _, 0) => "ret".into(),
        (O::Jalr, SINK, _, _, 0) => format!("jr {rs1}"),
        (O::Jalr, SINK, _, _, imm) => format!("jr {imm}({rs1})"),
        (O::Jalr, 1, _, _, 0) => format!("jalr {rs1}"),
        (O::Jalr, 1, _, _, imm) => format!("jalr {imm}({rs1})"),
        (O::FsgnjS | O::FsgnjD, _, a, b, _) if a == b => float_pair("fmv", op),
        (O::FsgnjnS | O::FsgnjnD, _, a, b, _) if a == b => float_pair("fneg", op),
        (O::FsgnjxS | O::FsgnjxD, _, a, b, _) if a == b => float_pair("fabs", op),
        (O::Csrrs, _, 0, _, csr) => format!("csrr {rd},{}", csr_name(csr)),
        (O::Csrrw, SINK, _, _, csr) => format!("csrw {},{rs1}", csr_name(csr)),
        _ => return None,
    })
}

fn float_pair(name: &str, op: &Op) -> String {
    let single = matches!(op.code, OpCode::FsgnjS | OpCode::FsgnjnS | OpCode::FsgnjxS);
    format!("{name}.{} {},{}", if single { 's' } else { 'd' }, f(op.rd), f(op.rs1))
}

/// The operands, as the instruction's own name has them.
fn operands(word: u32, op: &Op, pc: u64) -> String {
    use OpCode as O;
    let (rd, rs1, rs2, imm) = (x(op.rd), x(op.rs1), x(op.rs2), op.imm);
    match op.code {
        O::Lui | O::Auipc => format!("{rd},{:#x}", imm as u32 >> 12),
        O::Jal => format!("{rd},{}", target(op, pc)),
        O::Jalr => format!("{rd},{imm}({rs1})"),
        O::Beq | O::Bne | O::Blt | O::Bge | O::Bltu | O::Bgeu => {
            format!("{rs1},{rs2},{}", target(op, pc))
        }
        O::Addi | O::Slti | O::Sltiu | O::Xori | O::Ori | O::Andi | O::Addiw => {
            format!("{rd},{rs1},{imm}")
        }
        O::Slli
        | O::Srli
        | O::Srai
        | O::Slliw
        | O::Srliw
        | O::Sraiw
        | O::Rori
        | O::Roriw
        | O::Bclri
        | O::Bexti
        | O::Binvi
        | O::Bseti
        | O::SlliUw => format!("{rd},{rs1},{imm:#x}"),
        O::Clz
        | O::Clzw
        | O::Ctz
        | O::Ctzw
        | O::Cpop
        | O::Cpopw
        | O::SextB
        | O::SextH
        | O::ZextH
        | O::OrcB
        | O::Rev8 => format!("{rd},{rs1}"),
        O::Flw | O::Fld => format!("{},{imm}({rs1})", f(op.rd)),
        O::Fsw | O::Fsd => format!("{},{imm}({rs1})", f(op.rs2)),
        O::Sb | O::Sh | O::Sw | O::Sd => format!("{rs2},{imm}({rs1})"),
        O::LrW | O::LrD => format!("{rd},({rs1})"),
        O::Fence => fence(word),
        O::FenceI | O::Ecall | O::Ebreak | O::Illegal | O::Next => String::new(),
        O::Csrrw | O::Csrrs | O::Csrrc => format!("{rd},{},{rs1}", csr_name(imm)),
        O::Csrrwi | O::Csrrsi | O::Csrrci => format!("{rd},{},{}", csr_name(imm), op.rs1),
        code if code.group() == Group::Load => format!("{rd},{imm}({rs1})"),
        code if code.group() == Group::Store => format!("{rd},{rs2},({rs1})"),
        code if code.group() == Group::Float => float(op),
        _ => format!("{rd},{rs1},{rs2}"),
    }
}

/// The operands of floating-point computation; a rounding mode other than the dynamic one stands
/// behind them, unless the result is exact.
fn float(op: &Op) -> String {
    use OpCode as O;
    let [to, from] = float_operands(op);
    let rounding = match op.imm & 7 {
        0 => ",rne",
        1 => ",rtz",
        2 => ",rdn",
        3 => ",rup",
        4 => ",rmm",
        _ => "",
    };
    match op.code {
        O::FmaddS
        | O::FmsubS
        | O::FnmsubS
        | O::FnmaddS
        | O::FmaddD
        | O::FmsubD
        | O::FnmsubD
        | O::FnmaddD => {
            let third = f((op.imm >> 8) as u8);
            format!("{to},{from},{},{third}{rounding}", f(op.rs2))
        }
        O::FaddS | O::FsubS | O::FmulS | O::FdivS | O::FaddD | O::FsubD | O::FmulD | O::FdivD => {
            format!("{to},{from},{}{rounding}", f(op.rs2))
        }
        // Exact: any rounding mode gives the same.
        O::FcvtDW
        | O::FcvtDWu
        | O::FcvtDS
        | O::FmvXW
        | O::FmvXD
        | O::FmvWX
        | O::FmvDX
        | O::FclassS
        | O::FclassD => format!("{to},{from}"),
        O::FsgnjS
        | O::FsgnjnS
        | O::FsgnjxS
        | O::FminS
        | O::FmaxS
        | O::FeqS
        | O::FltS
        | O::FleS
        | O::FsgnjD
        | O::FsgnjnD
        | O::FsgnjxD
        | O::FminD
        | O::FmaxD
        | O::FeqD
        | O::FltD
        | O::FleD => format!("{to},{from},{}", f(op.rs2)),
        _ => format!("{to},{from}{rounding}"),
    }
}

/// Destination and first source: of integers, or of floating-point numbers.
fn float_operands(op: &Op) -> [&'static str; 2] {
    use OpCode as O;
    let is_to_integer = matches!(
        op.code,
        O::FcvtWS
            | O::FcvtWuS
            | O::FcvtLS
            | O::FcvtLuS
            | O::FcvtWD
            | O::FcvtWuD
            | O::FcvtLD
            | O::FcvtLuD
            | O::FmvXW
            | O::FmvXD
            | O::FeqS
            | O::FltS
            | O::FleS
            | O::FeqD
            | O::FltD
            | O::FleD
            | O::FclassS
            | O::FclassD
    );
    let is_from_integer = matches!(
        op.code,
        O::FcvtSW
            | O::FcvtSWu
            | O::FcvtSL
            | O::FcvtSLu
            | O::FcvtDW
            | O::FcvtDWu
            | O::FcvtDL
            | O::FcvtDLu
            | O::FmvWX
            | O::FmvDX
    );
    let to = if is_to_integer { x(op.rd) } else { f(op.rd) };
    let from = if is_from_integer { x(op.rs1) } else { f(op.rs1) };
    [to, from]
}

/// What a fence orders: nothing is said of one that orders everything.
fn fence(word: u32) -> String {
    let set = |bits: u32| {
        let letters = [(8, 'i'), (4, 'o'), (2, 'r'), (1, 'w')];
        letters.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, l)| l).collect::<String>()
    };
    match (word >> 24 & 15, word >> 20 & 15) {
        (15, 15) => String::new(),
        (before, after) => format!("{},{}", set(before), set(after)),
    }
}

/// `.aq`, `.rl`: what an atomic access orders.
const fn ordering(word: u32) -> &'static str {
    match word >> 25 & 3 {
        0 => "",
        1 => ".rl",
        2 => ".aq",
        _ => ".aqrl",
    }
}

/// The name of a control and status register, or its number.
fn csr_name(number: i32) -> String {
    let name = match number & 0xfff {
        0x001 => "fflags",
        0x002 => "frm",
        0x003 => "fcsr",
        0xc00 => "cycle",
        0xc01 => "time",
        0xc02 => "instret",
        other => return format!("{other:#x}"),
    };
    name.into()
}
