//! Instructions as text: what is written here, [`super::assemble`] reads back.

use std::fmt;

use super::op::{Address, Arithmetic, Call, Comparison, Op, Operand, Reg, Rights};

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.number())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reg(reg) => reg.fmt(f),
            Self::Value(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.base, self.offset) {
            (None, offset) => write!(f, "mem({offset})"),
            (Some(base), 0) => write!(f, "mem({base})"),
            (Some(base), offset) => write!(f, "mem({base}{offset:+})"),
        }
    }
}

impl Arithmetic {
    pub(super) const NAMES: [(&'static str, Self); 3] =
        [("add", Self::Add), ("sub", Self::Sub), ("mul", Self::Mul)];
}

impl Comparison {
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("jeq", Self::Equal),
        ("jne", Self::NotEqual),
        ("jlt", Self::Less),
        ("jge", Self::NotLess),
    ];
}

impl Rights {
    pub(super) const NAMES: [(&'static str, Self); 3] =
        [("none", Self::None), ("r", Self::Read), ("rw", Self::ReadWrite)];
}

/// The name of `value` in a list of names.
fn name_of<T: PartialEq + Copy>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&Self::NAMES, *self))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Load(reg, address) => write!(f, "load {reg}, {address}"),
            Self::Store(reg, address) => write!(f, "store {reg}, {address}"),
            Self::Set(reg, operand) => write!(f, "set {reg}, {operand}"),
            Self::Compute(Arithmetic::Add, to, from, Operand::Value(1)) if to == from => {
                write!(f, "inc {to}")
            }
            Self::Compute(Arithmetic::Sub, to, from, Operand::Value(1)) if to == from => {
                write!(f, "dec {to}")
            }
            Self::Compute(what, to, from, operand) => {
                write!(f, "{} {to}, {from}, {operand}", name_of(&Arithmetic::NAMES, what))
            }
            Self::Jump(to) => write!(f, "jump {to}"),
            Self::Branch(what, reg, operand, to) => {
                write!(f, "{} {reg}, {operand}, {to}", name_of(&Comparison::NAMES, what))
            }
            Self::Call(call) => call.fmt(f),
        }
    }
}

impl<A: fmt::Display> fmt::Display for Call<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fork(reg) => write!(f, "fork {reg}"),
            Self::Map(at, pages, rights) => write!(f, "map {at}, {pages}, {rights}"),
            Self::Unmap(at, pages) => write!(f, "unmap {at}, {pages}"),
            Self::Protect(at, pages, rights) => write!(f, "protect {at}, {pages}, {rights}"),
            Self::Evict(at) => write!(f, "evict {at}"),
            Self::Wait => f.write_str("wait"),
            Self::Yield => f.write_str("yield"),
            Self::Exit => f.write_str("exit"),
        }
    }
}
