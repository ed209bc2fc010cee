//! Decoded instructions.

use crate::hart::SINK;

/// One decoded instruction: what to do, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Op {
    /// What to do.
    pub code: OpCode,
    /// Destination register; the sink for `x0`.
    pub rd: u8,
    /// First source register.
    pub rs1: u8,
    /// Second source register.
    pub rs2: u8,
    /// Immediate, shift amount or CSR number; in a block, for jumps, branches and `auipc`, an
    /// offset from the block's first instruction. Floating point: rounding mode in the low byte,
    /// third source register in the next.
    pub imm: i32,
}

impl Op {
    /// No instruction: the end of a run of ops that goes on behind it.
    pub(crate) const NEXT: Self = Self { code: OpCode::Next, rd: SINK, rs1: 0, rs2: 0, imm: 0 };
}

macro_rules! opcodes {
    ($($(#[$doc:meta])* $group:ident: $($name:ident)*;)*) => {
        /// What an instruction does. The names are the manual's mnemonics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the manual's mnemonics")]
        pub enum OpCode {
            $($($name,)*)*
        }

        impl OpCode {
            /// Every code.
            pub const ALL: &[OpCode] = &[$($(OpCode::$name,)*)*];

            /// The group that the code is listed in.
            pub(crate) const fn group(self) -> Group {
                match self {
                    $($(Self::$name)|* => Group::$group,)*
                }
            }
        }

        /// A group of instructions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Group {
            $($(#[$doc])* $group,)*
        }
    };
}

opcodes! {
    /// Integer computation (RV64I).
    Integer: Lui Auipc Addi Slti Sltiu Xori Ori Andi Slli Srli Srai Add Sub Sll Slt Sltu Xor Srl
        Sra Or And Addiw Slliw Srliw Sraiw Addw Subw Sllw Srlw Sraw;
    /// Loads.
    Load: Lb Lh Lw Ld Lbu Lhu Lwu Flw Fld LrW LrD;
    /// Stores and read-modify-writes.
    Store: Sb Sh Sw Sd Fsw Fsd ScW ScD
        AmoswapW AmoaddW AmoxorW AmoandW AmoorW AmominW AmomaxW AmominuW AmomaxuW
        AmoswapD AmoaddD AmoxorD AmoandD AmoorD AmominD AmomaxD AmominuD AmomaxuD;
    /// Multiplication and division (M).
    Multiply: Mul Mulh Mulhsu Mulhu Div Divu Rem Remu Mulw Divw Divuw Remw Remuw;
    /// Bit manipulation (Zba, Zbb, Zbs).
    Bits: AddUw Sh1add Sh2add Sh3add Sh1addUw Sh2addUw Sh3addUw SlliUw
        Andn Orn Xnor Clz Clzw Ctz Ctzw Cpop Cpopw Max Maxu Min Minu SextB SextH ZextH
        Rol Rolw Ror Rori Roriw Rorw OrcB Rev8
        Bclr Bclri Bext Bexti Binv Binvi Bset Bseti;
    /// Control and status registers, fences.
    System: Fence Csrrw Csrrs Csrrc Csrrwi Csrrsi Csrrci;
    /// Floating point (F and D).
    Float: FmaddS FmsubS FnmsubS FnmaddS FaddS FsubS FmulS FdivS FsqrtS FsgnjS FsgnjnS FsgnjxS
        FminS FmaxS FcvtWS FcvtWuS FcvtLS FcvtLuS FmvXW FeqS FltS FleS FclassS FcvtSW FcvtSWu
        FcvtSL FcvtSLu FmvWX
        FmaddD FmsubD FnmsubD FnmaddD FaddD FsubD FmulD FdivD FsqrtD FsgnjD FsgnjnD FsgnjxD
        FminD FmaxD FcvtWD FcvtWuD FcvtLD FcvtLuD FmvXD FeqD FltD FleD FclassD FcvtDW FcvtDWu
        FcvtDL FcvtDLu FmvDX FcvtSD FcvtDS;
    /// What ends a block: jumps, branches, and what needs the machine. `Next` is no instruction:
    /// it ends a block that runs into the next one.
    End: Jal Jalr Beq Bne Blt Bge Bltu Bgeu FenceI Ecall Ebreak Illegal Next;
}

impl OpCode {
    /// Whether a block ends with this instruction.
    pub fn ends_block(self) -> bool {
        self.group() == Group::End
    }

    /// Whether the instruction makes a reference that counts as a load.
    pub fn is_load(self) -> bool {
        self.group() == Group::Load
    }

    /// Whether the instruction makes a reference that counts as a store.
    pub fn is_store(self) -> bool {
        self.group() == Group::Store
    }

    /// Whether `imm` is an offset from the instruction itself, to be made one from the block.
    pub fn is_pc_relative(self) -> bool {
        use OpCode::{Auipc, Beq, Bge, Bgeu, Blt, Bltu, Bne, Jal};
        matches!(self, Auipc | Jal | Beq | Bne | Blt | Bge | Bltu | Bgeu)
    }
}
