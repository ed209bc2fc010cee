//! Control and status registers that user mode can reach: `fflags`, `frm`, `fcsr` and the
//! counters `cycle`, `time` and `instret`, which are read-only.

use crate::bus::{Bus, Counter};
use crate::fp::Flags;
use crate::hart::Hart;
use crate::op::{Op, OpCode};

/// What an instruction does to a register's value.
enum Change {
    Write(u64),
    Set(u64),
    Clear(u64),
}

/// Executes a CSR instruction; `None` if the register does not exist or cannot be written. One that
/// [`reads_counter`] must be alone in its block, so that the hart's counts are up to date.
pub(crate) fn execute<B: Bus>(hart: &mut Hart, bus: &mut B, op: Op) -> Option<()> {
    let number = op.imm as u16;
    let change = change(hart, op);
    let old = read(hart, bus, number)?;
    let new = match change {
        Change::Write(value) => Some(value),
        // With x0 (or immediate 0) as the source nothing is written: Zicsr, table 9.1.
        Change::Set(_) | Change::Clear(_) if op.rs1 == 0 => None,
        Change::Set(mask) => Some(old | mask),
        Change::Clear(mask) => Some(old & !mask),
    };
    if let Some(value) = new {
        write(hart, number, value)?;
    }
    hart.x[op.rd as usize] = old;
    Some(())
}

fn change(hart: &Hart, op: Op) -> Change {
    let register = hart.x[op.rs1 as usize];
    let immediate = u64::from(op.rs1);
    match op.code {
        OpCode::Csrrw => Change::Write(register),
        OpCode::Csrrs => Change::Set(register),
        OpCode::Csrrc => Change::Clear(register),
        OpCode::Csrrwi => Change::Write(immediate),
        OpCode::Csrrsi => Change::Set(immediate),
        _ => Change::Clear(immediate),
    }
}

/// Whether the instruction reads a counter.
pub(crate) fn reads_counter(op: Op) -> bool {
    use OpCode::{Csrrc, Csrrci, Csrrs, Csrrsi, Csrrw, Csrrwi};
    matches!(op.code, Csrrw | Csrrs | Csrrc | Csrrwi | Csrrsi | Csrrci)
        && (0xc00..=0xc02).contains(&op.imm)
}

fn read<B: Bus>(hart: &Hart, bus: &mut B, number: u16) -> Option<u64> {
    let mut counter =
        |which| bus.counter(which, hart.retired, hart.fetches + hart.loads + hart.stores);
    Some(match number {
        0x001 => u64::from(hart.fflags.0),
        0x002 => u64::from(hart.frm),
        0x003 => u64::from(hart.fcsr()),
        0xc00 => counter(Counter::Cycle),
        0xc01 => counter(Counter::Time),
        0xc02 => counter(Counter::Instret),
        _ => return None,
    })
}

fn write(hart: &mut Hart, number: u16, value: u64) -> Option<()> {
    match number {
        0x001 => hart.fflags = Flags(value as u8 & 0x1f),
        0x002 => hart.frm = value as u8 & 7,
        0x003 => hart.set_fcsr(value as u32),
        _ => return None,
    }
    Some(())
}
