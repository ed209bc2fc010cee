//! The instruction that is next: what it is, and what memory it will use.

use pagewalk_cpu::{Disassembled, OpCode, disassemble};
use pagewalk_kernel::SpaceId;
use pagewalk_machine::Machine;
use pagewalk_mmu::AccessKind;

/// The longest instruction.
const INSTRUCTION_BYTES: usize = 4;

/// An instruction that is about to be executed.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    pub pid: u32,
    pub tid: u32,
    pub space: SpaceId,
    pub pc: u64,
    /// It, if its page is in memory.
    pub code: Option<Disassembled>,
    /// The registers before it.
    pub x: [u64; 32],
    /// The memory that it loads from or stores to.
    pub data: Option<Data>,
}

/// An access of an instruction to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    pub address: u64,
    pub access: AccessKind,
    pub bytes: u64,
}

/// The instruction that the current hart's thread executes next; `None` if it runs none.
pub(crate) fn next(machine: &mut Machine) -> Option<Next> {
    let look = machine.inspect();
    let (tid, pid) = look.current()?;
    let space = look.space_of(tid)?;
    let hart = look.hart();
    let (pc, x) = (hart.pc, std::array::from_fn(|n| hart.x(n)));
    let code = disassemble(&look.bytes(space, pc, INSTRUCTION_BYTES), pc);
    let data = code.as_ref().and_then(|code| data(code, &x));
    Some(Next { pid, tid, space, pc, code, x, data })
}

impl Next {
    /// The instruction's text.
    pub fn text(&self) -> &str {
        self.code.as_ref().map_or("an instruction that is not in memory", |code| &code.text)
    }
}

fn data(code: &Disassembled, x: &[u64; 32]) -> Option<Data> {
    use OpCode as O;
    let op = code.op;
    let access = match op.code {
        op if op.is_load() => AccessKind::Read,
        op if op.is_store() => AccessKind::Write,
        _ => return None,
    };
    let bytes = match op.code {
        O::Lb | O::Lbu | O::Sb => 1,
        O::Lh | O::Lhu | O::Sh => 2,
        O::Ld | O::Fld | O::Sd | O::Fsd => 8,
        O::Lw | O::Lwu | O::Flw | O::Sw | O::Fsw => 4,
        // Atomic accesses are named by their width.
        code if format!("{code:?}").ends_with('D') => 8,
        _ => 4,
    };
    let address = x[usize::from(op.rs1) & 31].wrapping_add(op.imm as u64);
    Some(Data { address, access, bytes })
}
