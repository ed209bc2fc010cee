//! Execution, one instruction at a time.

use super::op::{Address, Arithmetic, Call, Comparison, Op, Operand, REGISTERS, Reg};

/// Memory as the processor sees it: virtual addresses, in words.
pub trait WordBus {
    /// Why an access failed.
    type Fault;

    /// The word at `address`.
    ///
    /// # Errors
    /// If it cannot be loaded; nothing has changed that the program could see.
    fn load(&mut self, address: u64) -> Result<u64, Self::Fault>;

    /// Makes the word at `address` `value`.
    ///
    /// # Errors
    /// If it cannot be stored; nothing has changed that the program could see.
    fn store(&mut self, address: u64, value: u64) -> Result<(), Self::Fault>;
}

/// What an instruction leaves to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the next one can begin.
    Next,
    /// The system is to do this. The program counter is behind the call.
    Call(Call<u64>),
}

/// The processor's registers, as a process has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// The number of the next instruction.
    pub pc: usize,
    registers: [u64; REGISTERS as usize],
}

impl Cpu {
    /// What a register holds.
    pub fn get(&self, reg: Reg) -> u64 {
        self.registers[usize::from(reg.number())]
    }

    /// Changes a register.
    pub fn set(&mut self, reg: Reg, value: u64) {
        self.registers[usize::from(reg.number())] = value;
    }

    /// Executes `op`, the instruction at the program counter.
    ///
    /// # Errors
    /// The fault of its access to memory; the processor is unchanged then.
    pub fn execute<B: WordBus>(&mut self, op: &Op, bus: &mut B) -> Result<Outcome, B::Fault> {
        let mut next = self.pc + 1;
        let mut outcome = Outcome::Next;
        match *op {
            Op::Load(reg, address) => {
                let value = bus.load(self.address(address))?;
                self.set(reg, value);
            }
            Op::Store(reg, address) => bus.store(self.address(address), self.get(reg))?,
            Op::Set(reg, operand) => self.set(reg, self.value(operand)),
            Op::Compute(what, to, from, operand) => {
                let (a, b) = (self.get(from), self.value(operand));
                let value = match what {
                    Arithmetic::Add => a.wrapping_add(b),
                    Arithmetic::Sub => a.wrapping_sub(b),
                    Arithmetic::Mul => a.wrapping_mul(b),
                };
                self.set(to, value);
            }
            Op::Jump(to) => next = to,
            Op::Branch(what, reg, operand, to) => {
                let (a, b) = (self.get(reg) as i64, self.value(operand) as i64);
                let is_taken = match what {
                    Comparison::Equal => a == b,
                    Comparison::NotEqual => a != b,
                    Comparison::Less => a < b,
                    Comparison::NotLess => a >= b,
                };
                if is_taken {
                    next = to;
                }
            }
            Op::Call(call) => outcome = Outcome::Call(self.resolve(call)),
        }
        self.pc = next;
        Ok(outcome)
    }

    /// The address that an instruction means now.
    pub fn address(&self, address: Address) -> u64 {
        let base = address.base.map_or(0, |reg| self.get(reg));
        base.wrapping_add_signed(address.offset)
    }

    fn value(&self, operand: Operand) -> u64 {
        match operand {
            Operand::Reg(reg) => self.get(reg),
            Operand::Value(value) => value as u64,
        }
    }

    fn resolve(&self, call: Call) -> Call<u64> {
        match call {
            Call::Fork(reg) => Call::Fork(reg),
            Call::Map(at, pages, rights) => Call::Map(self.address(at), pages, rights),
            Call::Unmap(at, pages) => Call::Unmap(self.address(at), pages),
            Call::Protect(at, pages, rights) => Call::Protect(self.address(at), pages, rights),
            Call::Evict(at) => Call::Evict(self.address(at)),
            Call::Wait => Call::Wait,
            Call::Yield => Call::Yield,
            Call::Exit => Call::Exit,
        }
    }
}
