//! The instructions of the word machine, decoded.

/// How many registers there are.
pub const REGISTERS: u8 = 16;

/// A register: `r0` to `r15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// The register of this number. `None` if there is none: it is 16 or more.
    pub const fn new(number: u8) -> Option<Self> {
        if number < REGISTERS { Some(Self(number)) } else { None }
    }

    /// The number, below [`REGISTERS`].
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A register, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// What the register holds.
    Reg(Reg),
    /// The number.
    Value(i64),
}

/// An address: a number, or a register and what is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The register, if there is one.
    pub base: Option<Reg>,
    /// What is added to it, in words.
    pub offset: i64,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// The sum.
    Add,
    /// The difference.
    Sub,
    /// The product.
    Mul,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Less, as signed numbers.
    Less,
    /// Not less, as signed numbers.
    NotLess,
}

/// What a process may do with its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rights {
    /// Nothing.
    None,
    /// Load.
    Read,
    /// Load and store.
    ReadWrite,
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `load rD, mem(A)`
    Load(Reg, Address),
    /// `store rS, mem(A)`
    Store(Reg, Address),
    /// `set rD, X`; `inc` and `dec` are `add` and `sub` of 1.
    Set(Reg, Operand),
    /// `add rD, rS, X` and its like.
    Compute(Arithmetic, Reg, Reg, Operand),
    /// `jump L`
    Jump(usize),
    /// `jeq rS, X, L` and its like.
    Branch(Comparison, Reg, Operand, usize),
    /// What the system does for a process.
    Call(Call),
}

/// A call of the system, as it stands in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<A = Address> {
    /// `fork rD`
    Fork(Reg),
    /// `map mem(A), N, RIGHTS`
    Map(A, u64, Rights),
    /// `unmap mem(A), N`
    Unmap(A, u64),
    /// `protect mem(A), N, RIGHTS`
    Protect(A, u64, Rights),
    /// `evict mem(A)`
    Evict(A),
    /// `wait`
    Wait,
    /// `yield`
    Yield,
    /// `exit`
    Exit,
}
