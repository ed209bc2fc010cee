//! Atomic instructions (A): load-reserved, store-conditional, read-modify-write.
//!
//! A reservation is an address. It lasts until the next store-conditional or a switch to another
//! thread; a page fault in between does not end it, so that how often a loop of the two repeats does
//! not depend on the MMU.

use crate::bus::{AccessKind, Bus, Effect, MemFault, RefTime, Value};
use crate::hart::{Hart, Stop};
use crate::op::Op;
use crate::op::OpCode;

/// Executes an instruction of the A extension, its reference being made at `now`.
#[inline(never)]
pub(crate) fn execute<B: Bus>(
    hart: &mut Hart,
    bus: &mut B,
    op: Op,
    now: RefTime,
) -> Result<Effect, Stop> {
    use OpCode::*;
    let va = hart.x[op.rs1 as usize];
    let operand = hart.x[op.rs2 as usize];
    macro_rules! word {
        (|$old:ident, $new:ident: $t:ty| $value:expr) => {
            modify::<u32, B>(hart, bus, op, now, |old| {
                let ($old, $new) = (old as $t, operand as $t);
                $value as u32
            })
        };
    }
    macro_rules! double {
        (|$old:ident, $new:ident: $t:ty| $value:expr) => {
            modify::<u64, B>(hart, bus, op, now, |old| {
                let ($old, $new) = (old as $t, operand as $t);
                $value as u64
            })
        };
    }
    match op.code {
        LrW => load_reserved::<u32, B>(hart, bus, op, now),
        LrD => load_reserved::<u64, B>(hart, bus, op, now),
        ScW => store_conditional::<u32, B>(hart, bus, op, now, operand as u32),
        ScD => store_conditional::<u64, B>(hart, bus, op, now, operand),
        AmoswapW => word!(|_old, new: u32| new),
        AmoaddW => word!(|old, new: u32| old.wrapping_add(new)),
        AmoxorW => word!(|old, new: u32| old ^ new),
        AmoandW => word!(|old, new: u32| old & new),
        AmoorW => word!(|old, new: u32| old | new),
        AmominW => word!(|old, new: i32| old.min(new)),
        AmomaxW => word!(|old, new: i32| old.max(new)),
        AmominuW => word!(|old, new: u32| old.min(new)),
        AmomaxuW => word!(|old, new: u32| old.max(new)),
        AmoswapD => double!(|_old, new: u64| new),
        AmoaddD => double!(|old, new: u64| old.wrapping_add(new)),
        AmoxorD => double!(|old, new: u64| old ^ new),
        AmoandD => double!(|old, new: u64| old & new),
        AmoorD => double!(|old, new: u64| old | new),
        AmominD => double!(|old, new: i64| old.min(new)),
        AmomaxD => double!(|old, new: i64| old.max(new)),
        AmominuD => double!(|old, new: u64| old.min(new)),
        AmomaxuD => double!(|old, new: u64| old.max(new)),
        code => unreachable!("{code:?} at {va:#x} is executed elsewhere"),
    }
}

/// A word or doubleword that atomics work on.
trait Atom: Value + PartialEq {
    /// As a register holds it.
    fn extended(self) -> u64;
}

impl Atom for u32 {
    fn extended(self) -> u64 {
        self as i32 as u64
    }
}

impl Atom for u64 {
    fn extended(self) -> u64 {
        self
    }
}

fn aligned<T: Value>(va: u64, kind: AccessKind) -> Result<u64, Stop> {
    if va.is_multiple_of(T::BYTES as u64) {
        return Ok(va);
    }
    Err(Stop::Misaligned(MemFault { va, kind }))
}

fn modify<T: Atom, B: Bus>(
    hart: &mut Hart,
    bus: &mut B,
    op: Op,
    now: RefTime,
    new: impl FnOnce(T) -> T,
) -> Result<Effect, Stop> {
    let va = aligned::<T>(hart.x[op.rs1 as usize], AccessKind::Store)?;
    let (old, effect) = bus.update(va, now, new).map_err(Stop::Fault)?;
    hart.x[op.rd as usize] = old.extended();
    Ok(effect)
}

fn load_reserved<T: Atom, B: Bus>(
    hart: &mut Hart,
    bus: &mut B,
    op: Op,
    now: RefTime,
) -> Result<Effect, Stop> {
    let va = aligned::<T>(hart.x[op.rs1 as usize], AccessKind::Load)?;
    let (value, effect) = bus.load::<T>(va, now).map_err(Stop::Fault)?;
    hart.x[op.rd as usize] = value.extended();
    hart.reservation = Some(va);
    Ok(effect)
}

/// A store-conditional makes its reference whether it succeeds or not, as the manual allows.
fn store_conditional<T: Atom, B: Bus>(
    hart: &mut Hart,
    bus: &mut B,
    op: Op,
    now: RefTime,
    value: T,
) -> Result<Effect, Stop> {
    let va = aligned::<T>(hart.x[op.rs1 as usize], AccessKind::Store)?;
    let held = hart.reservation == Some(va);
    let (_, effect) =
        bus.update(va, now, |old| if held { value } else { old }).map_err(Stop::Fault)?;
    hart.reservation = None;
    hart.x[op.rd as usize] = u64::from(!held);
    Ok(effect)
}
