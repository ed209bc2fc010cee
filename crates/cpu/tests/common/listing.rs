//! The instruction listing: one line an instruction, in the manual's notation.
//!
//! Source: the unprivileged manual's chapter "RV32/64G Instruction Set Listings", tables 16.5 to
//! 16.7 for the compressed ones, and the bit-manipulation specification's. Written from these,
//! not from the decoder, which it checks.
//!
//! `rd rs1 rs2` are integer registers, `fd fs1 fs2 fs3` floating-point ones, `rsd` and `fsd` are
//! read and written; a prime marks the three-bit form, `nz` what must not be zero. The first line
//! that fits a word decides about it.

/// What an instruction does, as far as a test must know to set it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Registers and immediates in, a register out.
    Compute,
    /// The same, with `sp` as a source.
    ComputeSp,
    /// The same, `sp` being the destination, too.
    AdjustSp,
    Csr,
    Load,
    LoadSp,
    Store,
    StoreSp,
    Atomic,
    LoadReserved,
    StoreConditional,
    Branch,
    Jump,
    /// A compressed jump to a register that links to `ra` (1), or does not (0).
    JumpRegister {
        link: u32,
    },
    Trap,
}

impl Kind {
    /// Whether the instruction accesses memory at an address in `rs1`.
    pub fn has_address(self) -> bool {
        use Kind::{Atomic, Load, LoadReserved, Store, StoreConditional};
        matches!(self, Load | Store | Atomic | LoadReserved | StoreConditional)
    }
}

pub const LISTING: &[(Kind, &str)] = &[
    (Kind::Compute, COMPUTE),
    (Kind::Compute, BITS),
    (Kind::Compute, FLOAT),
    (Kind::Csr, CSR),
    (Kind::Load, LOAD),
    (Kind::Store, STORE),
    (Kind::LoadReserved, LOAD_RESERVED),
    (Kind::StoreConditional, STORE_CONDITIONAL),
    (Kind::Atomic, ATOMIC),
    (Kind::Branch, BRANCH),
    (Kind::Jump, JUMP),
    (Kind::Trap, TRAP),
    (Kind::ComputeSp, SHORT_COMPUTE_SP),
    (Kind::AdjustSp, SHORT_ADJUST_SP),
    (Kind::JumpRegister { link: 0 }, SHORT_JUMP_REGISTER),
    (Kind::JumpRegister { link: 1 }, SHORT_JUMP_LINK),
    (Kind::Compute, SHORT_COMPUTE),
    (Kind::Load, SHORT_LOAD),
    (Kind::Store, SHORT_STORE),
    (Kind::LoadSp, SHORT_LOAD_SP),
    (Kind::StoreSp, SHORT_STORE_SP),
    (Kind::Branch, SHORT_BRANCH),
    (Kind::Jump, SHORT_JUMP),
];

const COMPUTE: &str = "
lui     imm[31:12] rd 0110111
auipc   imm[31:12] rd 0010111
addi    imm[11:0] rs1 000 rd 0010011
slti    imm[11:0] rs1 010 rd 0010011
sltiu   imm[11:0] rs1 011 rd 0010011
xori    imm[11:0] rs1 100 rd 0010011
ori     imm[11:0] rs1 110 rd 0010011
andi    imm[11:0] rs1 111 rd 0010011
slli    000000 shamt[5:0] rs1 001 rd 0010011
srli    000000 shamt[5:0] rs1 101 rd 0010011
srai    010000 shamt[5:0] rs1 101 rd 0010011
add     0000000 rs2 rs1 000 rd 0110011
sub     0100000 rs2 rs1 000 rd 0110011
sll     0000000 rs2 rs1 001 rd 0110011
slt     0000000 rs2 rs1 010 rd 0110011
sltu    0000000 rs2 rs1 011 rd 0110011
xor     0000000 rs2 rs1 100 rd 0110011
srl     0000000 rs2 rs1 101 rd 0110011
sra     0100000 rs2 rs1 101 rd 0110011
or      0000000 rs2 rs1 110 rd 0110011
and     0000000 rs2 rs1 111 rd 0110011
addiw   imm[11:0] rs1 000 rd 0011011
slliw   0000000 shamt[4:0] rs1 001 rd 0011011
srliw   0000000 shamt[4:0] rs1 101 rd 0011011
sraiw   0100000 shamt[4:0] rs1 101 rd 0011011
addw    0000000 rs2 rs1 000 rd 0111011
subw    0100000 rs2 rs1 000 rd 0111011
sllw    0000000 rs2 rs1 001 rd 0111011
srlw    0000000 rs2 rs1 101 rd 0111011
sraw    0100000 rs2 rs1 101 rd 0111011
mul     0000001 rs2 rs1 000 rd 0110011
mulh    0000001 rs2 rs1 001 rd 0110011
mulhsu  0000001 rs2 rs1 010 rd 0110011
mulhu   0000001 rs2 rs1 011 rd 0110011
div     0000001 rs2 rs1 100 rd 0110011
divu    0000001 rs2 rs1 101 rd 0110011
rem     0000001 rs2 rs1 110 rd 0110011
remu    0000001 rs2 rs1 111 rd 0110011
mulw    0000001 rs2 rs1 000 rd 0111011
divw    0000001 rs2 rs1 100 rd 0111011
divuw   0000001 rs2 rs1 101 rd 0111011
remw    0000001 rs2 rs1 110 rd 0111011
remuw   0000001 rs2 rs1 111 rd 0111011
fence   any[21:5] 000 any[4:0] 0001111
fence.i any[21:5] 001 any[4:0] 0001111
";

const BITS: &str = "
add.uw    0000100 rs2 rs1 000 rd 0111011
sh1add    0010000 rs2 rs1 010 rd 0110011
sh2add    0010000 rs2 rs1 100 rd 0110011
sh3add    0010000 rs2 rs1 110 rd 0110011
sh1add.uw 0010000 rs2 rs1 010 rd 0111011
sh2add.uw 0010000 rs2 rs1 100 rd 0111011
sh3add.uw 0010000 rs2 rs1 110 rd 0111011
slli.uw   000010 shamt[5:0] rs1 001 rd 0011011
andn      0100000 rs2 rs1 111 rd 0110011
orn       0100000 rs2 rs1 110 rd 0110011
xnor      0100000 rs2 rs1 100 rd 0110011
clz       011000000000 rs1 001 rd 0010011
clzw      011000000000 rs1 001 rd 0011011
ctz       011000000001 rs1 001 rd 0010011
ctzw      011000000001 rs1 001 rd 0011011
cpop      011000000010 rs1 001 rd 0010011
cpopw     011000000010 rs1 001 rd 0011011
max       0000101 rs2 rs1 110 rd 0110011
maxu      0000101 rs2 rs1 111 rd 0110011
min       0000101 rs2 rs1 100 rd 0110011
minu      0000101 rs2 rs1 101 rd 0110011
sext.b    011000000100 rs1 001 rd 0010011
sext.h    011000000101 rs1 001 rd 0010011
zext.h    000010000000 rs1 100 rd 0111011
rol       0110000 rs2 rs1 001 rd 0110011
rolw      0110000 rs2 rs1 001 rd 0111011
ror       0110000 rs2 rs1 101 rd 0110011
rori      011000 shamt[5:0] rs1 101 rd 0010011
roriw     0110000 shamt[4:0] rs1 101 rd 0011011
rorw      0110000 rs2 rs1 101 rd 0111011
orc.b     001010000111 rs1 101 rd 0010011
rev8      011010111000 rs1 101 rd 0010011
bclr      0100100 rs2 rs1 001 rd 0110011
bclri     010010 shamt[5:0] rs1 001 rd 0010011
bext      0100100 rs2 rs1 101 rd 0110011
bexti     010010 shamt[5:0] rs1 101 rd 0010011
binv      0110100 rs2 rs1 001 rd 0110011
binvi     011010 shamt[5:0] rs1 001 rd 0010011
bset      0010100 rs2 rs1 001 rd 0110011
bseti     001010 shamt[5:0] rs1 001 rd 0010011
";

const FLOAT: &str = "
fmadd.s   fs3 00 fs2 fs1 rm fd 1000011
fmsub.s   fs3 00 fs2 fs1 rm fd 1000111
fnmsub.s  fs3 00 fs2 fs1 rm fd 1001011
fnmadd.s  fs3 00 fs2 fs1 rm fd 1001111
fadd.s    0000000 fs2 fs1 rm fd 1010011
fsub.s    0000100 fs2 fs1 rm fd 1010011
fmul.s    0001000 fs2 fs1 rm fd 1010011
fdiv.s    0001100 fs2 fs1 rm fd 1010011
fsqrt.s   0101100 00000 fs1 rm fd 1010011
fsgnj.s   0010000 fs2 fs1 000 fd 1010011
fsgnjn.s  0010000 fs2 fs1 001 fd 1010011
fsgnjx.s  0010000 fs2 fs1 010 fd 1010011
fmin.s    0010100 fs2 fs1 000 fd 1010011
fmax.s    0010100 fs2 fs1 001 fd 1010011
fcvt.w.s  1100000 00000 fs1 rm rd 1010011
fcvt.wu.s 1100000 00001 fs1 rm rd 1010011
fmv.x.w   1110000 00000 fs1 000 rd 1010011
feq.s     1010000 fs2 fs1 010 rd 1010011
flt.s     1010000 fs2 fs1 001 rd 1010011
fle.s     1010000 fs2 fs1 000 rd 1010011
fclass.s  1110000 00000 fs1 001 rd 1010011
fcvt.s.w  1101000 00000 rs1 rm fd 1010011
fcvt.s.wu 1101000 00001 rs1 rm fd 1010011
fmv.w.x   1111000 00000 rs1 000 fd 1010011
fcvt.l.s  1100000 00010 fs1 rm rd 1010011
fcvt.lu.s 1100000 00011 fs1 rm rd 1010011
fcvt.s.l  1101000 00010 rs1 rm fd 1010011
fcvt.s.lu 1101000 00011 rs1 rm fd 1010011
fmadd.d   fs3 01 fs2 fs1 rm fd 1000011
fmsub.d   fs3 01 fs2 fs1 rm fd 1000111
fnmsub.d  fs3 01 fs2 fs1 rm fd 1001011
fnmadd.d  fs3 01 fs2 fs1 rm fd 1001111
fadd.d    0000001 fs2 fs1 rm fd 1010011
fsub.d    0000101 fs2 fs1 rm fd 1010011
fmul.d    0001001 fs2 fs1 rm fd 1010011
fdiv.d    0001101 fs2 fs1 rm fd 1010011
fsqrt.d   0101101 00000 fs1 rm fd 1010011
fsgnj.d   0010001 fs2 fs1 000 fd 1010011
fsgnjn.d  0010001 fs2 fs1 001 fd 1010011
fsgnjx.d  0010001 fs2 fs1 010 fd 1010011
fmin.d    0010101 fs2 fs1 000 fd 1010011
fmax.d    0010101 fs2 fs1 001 fd 1010011
fcvt.s.d  0100000 00001 fs1 rm fd 1010011
fcvt.d.s  0100001 00000 fs1 rm fd 1010011
feq.d     1010001 fs2 fs1 010 rd 1010011
flt.d     1010001 fs2 fs1 001 rd 1010011
fle.d     1010001 fs2 fs1 000 rd 1010011
fclass.d  1110001 00000 fs1 001 rd 1010011
fcvt.w.d  1100001 00000 fs1 rm rd 1010011
fcvt.wu.d 1100001 00001 fs1 rm rd 1010011
fcvt.d.w  1101001 00000 rs1 rm fd 1010011
fcvt.d.wu 1101001 00001 rs1 rm fd 1010011
fcvt.l.d  1100001 00010 fs1 rm rd 1010011
fcvt.lu.d 1100001 00011 fs1 rm rd 1010011
fmv.x.d   1110001 00000 fs1 000 rd 1010011
fcvt.d.l  1101001 00010 rs1 rm fd 1010011
fcvt.d.lu 1101001 00011 rs1 rm fd 1010011
fmv.d.x   1111001 00000 rs1 000 fd 1010011
";

const CSR: &str = "
csrrw  csr rs1 001 rd 1110011
csrrs  csr rs1 010 rd 1110011
csrrc  csr rs1 011 rd 1110011
csrrwi csr zimm 101 rd 1110011
csrrsi csr zimm 110 rd 1110011
csrrci csr zimm 111 rd 1110011
";

const LOAD: &str = "
lb  imm[11:0] rs1 000 rd 0000011
lh  imm[11:0] rs1 001 rd 0000011
lw  imm[11:0] rs1 010 rd 0000011
ld  imm[11:0] rs1 011 rd 0000011
lbu imm[11:0] rs1 100 rd 0000011
lhu imm[11:0] rs1 101 rd 0000011
lwu imm[11:0] rs1 110 rd 0000011
flw imm[11:0] rs1 010 fd 0000111
fld imm[11:0] rs1 011 fd 0000111
";

const STORE: &str = "
sb  imm[11:5] rs2 rs1 000 imm[4:0] 0100011
sh  imm[11:5] rs2 rs1 001 imm[4:0] 0100011
sw  imm[11:5] rs2 rs1 010 imm[4:0] 0100011
sd  imm[11:5] rs2 rs1 011 imm[4:0] 0100011
fsw imm[11:5] fs2 rs1 010 imm[4:0] 0100111
fsd imm[11:5] fs2 rs1 011 imm[4:0] 0100111
";

const LOAD_RESERVED: &str = "
lr.w 00010 aqrl 00000 rs1 010 rd 0101111
lr.d 00010 aqrl 00000 rs1 011 rd 0101111
";

const STORE_CONDITIONAL: &str = "
sc.w 00011 aqrl rs2 rs1 010 rd 0101111
sc.d 00011 aqrl rs2 rs1 011 rd 0101111
";

const ATOMIC: &str = "
amoswap.w 00001 aqrl rs2 rs1 010 rd 0101111
amoadd.w  00000 aqrl rs2 rs1 010 rd 0101111
amoxor.w  00100 aqrl rs2 rs1 010 rd 0101111
amoand.w  01100 aqrl rs2 rs1 010 rd 0101111
amoor.w   01000 aqrl rs2 rs1 010 rd 0101111
amomin.w  10000 aqrl rs2 rs1 010 rd 0101111
amomax.w  10100 aqrl rs2 rs1 010 rd 0101111
amominu.w 11000 aqrl rs2 rs1 010 rd 0101111
amomaxu.w 11100 aqrl rs2 rs1 010 rd 0101111
amoswap.d 00001 aqrl rs2 rs1 011 rd 0101111
amoadd.d  00000 aqrl rs2 rs1 011 rd 0101111
amoxor.d  00100 aqrl rs2 rs1 011 rd 0101111
amoand.d  01100 aqrl rs2 rs1 011 rd 0101111
amoor.d   01000 aqrl rs2 rs1 011 rd 0101111
amomin.d  10000 aqrl rs2 rs1 011 rd 0101111
amomax.d  10100 aqrl rs2 rs1 011 rd 0101111
amominu.d 11000 aqrl rs2 rs1 011 rd 0101111
amomaxu.d 11100 aqrl rs2 rs1 011 rd 0101111
";

const BRANCH: &str = "
beq  imm[12|10:5] rs2 rs1 000 imm[4:1|11] 1100011
bne  imm[12|10:5] rs2 rs1 001 imm[4:1|11] 1100011
blt  imm[12|10:5] rs2 rs1 100 imm[4:1|11] 1100011
bge  imm[12|10:5] rs2 rs1 101 imm[4:1|11] 1100011
bltu imm[12|10:5] rs2 rs1 110 imm[4:1|11] 1100011
bgeu imm[12|10:5] rs2 rs1 111 imm[4:1|11] 1100011
";

const JUMP: &str = "
jal  imm[20|10:1|11|19:12] rd 1101111
jalr imm[11:0] rs1 000 rd 1100111
";

const TRAP: &str = "
ecall    00000000000000000000000001110011
ebreak   00000000000100000000000001110011
c.ebreak 100 1 00000 00000 10
";

const SHORT_COMPUTE_SP: &str = "
c.addi4spn 000 nzimm[5:4|9:6|2|3] rd' 00
";

const SHORT_ADJUST_SP: &str = "
c.addi16sp 011 nzimm[9] 00010 nzimm[4|6|8:7|5] 01
";

const SHORT_JUMP_REGISTER: &str = "
c.jr 100 0 nzrs1 00000 10
";

const SHORT_JUMP_LINK: &str = "
c.jalr 100 1 nzrs1 00000 10
";

const SHORT_COMPUTE: &str = "
c.addi  000 imm[5] rsd imm[4:0] 01
c.addiw 001 imm[5] nzrsd imm[4:0] 01
c.li    010 imm[5] rd imm[4:0] 01
c.lui   011 nzimm[17] rd nzimm[16:12] 01
c.srli  100 shamt[5] 00 rsd' shamt[4:0] 01
c.srai  100 shamt[5] 01 rsd' shamt[4:0] 01
c.andi  100 imm[5] 10 rsd' imm[4:0] 01
c.sub   100 0 11 rsd' 00 rs2' 01
c.xor   100 0 11 rsd' 01 rs2' 01
c.or    100 0 11 rsd' 10 rs2' 01
c.and   100 0 11 rsd' 11 rs2' 01
c.subw  100 1 11 rsd' 00 rs2' 01
c.addw  100 1 11 rsd' 01 rs2' 01
c.slli  000 shamt[5] rsd shamt[4:0] 10
c.mv    100 0 rd nzrs2 10
c.add   100 1 rsd nzrs2 10
";

const SHORT_LOAD: &str = "
c.fld 001 uimm[5:3] rs1' uimm[7:6] fd' 00
c.lw  010 uimm[5:3] rs1' uimm[2|6] rd' 00
c.ld  011 uimm[5:3] rs1' uimm[7:6] rd' 00
";

const SHORT_STORE: &str = "
c.fsd 101 uimm[5:3] rs1' uimm[7:6] fs2' 00
c.sw  110 uimm[5:3] rs1' uimm[2|6] rs2' 00
c.sd  111 uimm[5:3] rs1' uimm[7:6] rs2' 00
";

const SHORT_LOAD_SP: &str = "
c.fldsp 001 uimm[5] fd uimm[4:3|8:6] 10
c.lwsp  010 uimm[5] nzrd uimm[4:2|7:6] 10
c.ldsp  011 uimm[5] nzrd uimm[4:3|8:6] 10
";

const SHORT_STORE_SP: &str = "
c.fsdsp 101 uimm[5:3|8:6] fs2 10
c.swsp  110 uimm[5:2|7:6] rs2 10
c.sdsp  111 uimm[5:3|8:6] rs2 10
";

const SHORT_BRANCH: &str = "
c.beqz 110 imm[8|4:3] rs1' imm[7:6|2:1|5] 01
c.bnez 111 imm[8|4:3] rs1' imm[7:6|2:1|5] 01
";

const SHORT_JUMP: &str = "
c.j 101 imm[11|4|9:8|10|6|7|3:1|5] 01
";
