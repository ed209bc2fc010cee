//! The interpreter: runs decoded blocks, or single instructions.
//!
//! ```text
//!   enter: pc ─► recent blocks ─► bus.fetch ─► Blocks::at
//!     │                                           │ crosses a page: one plain step
//!     ▼                                           ▼
//!   chain: run block ─► linked block of the same page ─► …
//!     │ left the page, stopped, or code changed
//!     ▼
//!   touch the code's translation, start over
//! ```
//!
//! The counts of a block are added when it is done; when it is left at an instruction, the counts
//! of those before it, and the references that it began itself.

use crate::block::{Block, BlockId, Blocks, decode_parcels, decode_short, is_long};
use crate::bus::{AccessKind, Bus, Code, Effect, MemFault, RefTime};
use crate::hart::{Hart, Stop};
use crate::op::{Group, Op, OpCode};
use crate::{csr, exec_atomic, exec_bits, exec_float};

/// Runs until something needs the machine, or `limit` instructions have been retired in all.
pub fn run<B: Bus>(hart: &mut Hart, bus: &mut B, blocks: &mut Blocks, limit: u64) -> Stop {
    while hart.retired < limit {
        forget_changed(bus, blocks);
        let stopped = match enter(hart, bus, blocks) {
            Ok(Entered::Block(id)) => run_chain(hart, bus, blocks, id, limit),
            Ok(Entered::Step(code)) => step_from(hart, bus, code),
            Err(fault) => {
                hart.fetches += 1;
                return Stop::Fault(fault);
            }
        };
        if let Err(stop) = stopped {
            return stop;
        }
    }
    Stop::Budget
}

/// The same as [`run`], fetching and decoding every instruction anew.
pub fn run_plain<B: Bus>(hart: &mut Hart, bus: &mut B, limit: u64) -> Stop {
    while hart.retired < limit {
        if let Err(stop) = step(hart, bus) {
            return stop;
        }
    }
    Stop::Budget
}

fn forget_changed<B: Bus>(bus: &mut B, blocks: &mut Blocks) {
    while let Some(pa) = bus.take_changed_code() {
        blocks.forget_frame(pa, bus.code_frame_shift());
    }
}

/// What is at the pc.
enum Entered {
    /// A block, its translation entered.
    Block(BlockId),
    /// An instruction that is no part of a block, because it crosses a page or is not aligned;
    /// where it begins, if that was fetched.
    Step(Option<Code>),
}

fn enter<B: Bus>(hart: &Hart, bus: &mut B, blocks: &mut Blocks) -> Result<Entered, MemFault> {
    if let Some(recent) = blocks.recent(hart.pc, bus.epoch()) {
        bus.enter_code(recent.slot);
        return Ok(Entered::Block(recent.block));
    }
    if hart.pc & 1 != 0 {
        return Ok(Entered::Step(None));
    }
    let code = bus.fetch(hart.pc, RefTime::fetch(hart.retired))?;
    let Some(id) = blocks.at(bus, code.pa, code.room) else {
        return Ok(Entered::Step(Some(code)));
    };
    bus.enter_code(code.slot);
    blocks.remember(hart.pc, bus.epoch(), id, code.slot);
    Ok(Entered::Block(id))
}

/// Runs blocks of one page, following their links.
fn run_chain<B: Bus>(
    hart: &mut Hart,
    bus: &mut B,
    blocks: &mut Blocks,
    mut id: BlockId,
    limit: u64,
) -> Result<(), Stop> {
    loop {
        let block = blocks.get(id);
        if hart.retired + u64::from(block.instructions) > limit {
            if hart.retired < limit {
                return step(hart, bus);
            }
            bus.touch_code(RefTime::fetch(hart.retired - 1));
            return Ok(());
        }
        let pc = hart.pc;
        let (next, taken) = match run_ops(hart, bus, blocks.ops(block), pc, block.bytes) {
            Outcome::Taken(target) => {
                complete(hart, block, target);
                (block.taken, true)
            }
            Outcome::Follow => {
                complete(hart, block, pc.wrapping_add(u64::from(block.bytes)));
                (block.follow, false)
            }
            Outcome::Indirect(target) => {
                complete(hart, block, target);
                bus.touch_code(RefTime::fetch(hart.retired - 1));
                return Ok(());
            }
            Outcome::Stopped(stop) => {
                complete(hart, block, pc.wrapping_add(u64::from(block.bytes)));
                bus.touch_code(RefTime::fetch(hart.retired - 1));
                return Err(stop);
            }
            Outcome::Left { done } => {
                leave(hart, block, blocks.ops(block), done, done);
                bus.touch_code(RefTime::fetch(hart.retired - 1));
                return Ok(());
            }
            Outcome::Failed { at, stop } => {
                leave(hart, block, blocks.ops(block), at, at + 1);
                bus.touch_code(RefTime::fetch(hart.retired));
                return Err(stop);
            }
        };
        id = if next != BlockId::NONE {
            next
        } else {
            match link(hart.pc, pc, bus, blocks, id, taken) {
                Some(next) => next,
                None => {
                    bus.touch_code(RefTime::fetch(hart.retired - 1));
                    return Ok(());
                }
            }
        };
    }
}

/// Counts a block that ran to its end.
#[inline(always)]
fn complete(hart: &mut Hart, block: &Block, pc: u64) {
    hart.pc = pc;
    hart.retired += u64::from(block.instructions);
    hart.fetches += u64::from(block.instructions);
    hart.loads += u64::from(block.loads);
    hart.stores += u64::from(block.stores);
}

/// Counts a block of which `retired` instructions are done and `begun` began.
#[cold]
fn leave(hart: &mut Hart, block: &Block, ops: &[Op], retired: usize, begun: usize) {
    hart.pc = hart.pc.wrapping_add(block.offset(retired));
    hart.retired += retired as u64;
    hart.fetches += begun as u64;
    hart.loads += ops[..begun].iter().filter(|op| op.code.is_load()).count() as u64;
    hart.stores += ops[..begun].iter().filter(|op| op.code.is_store()).count() as u64;
}

/// Links a block, the way it was left by, to the one at `target`, if that lies in the same page.
#[cold]
fn link<B: Bus>(
    target: u64,
    pc: u64,
    bus: &mut B,
    blocks: &mut Blocks,
    from: BlockId,
    taken: bool,
) -> Option<BlockId> {
    let frame = 1u64 << bus.code_frame_shift();
    if (target ^ pc) >= frame || target & 1 != 0 {
        return None;
    }
    let block = blocks.get(from);
    let offset = target & (frame - 1);
    let pa = block.pa & !(frame - 1) | offset;
    let generation = blocks.generation;
    let to = blocks.at(bus, pa, (frame - offset) as u32)?;
    if blocks.generation == generation {
        blocks.link(from, taken, to);
    }
    Some(to)
}

/// Fetches, decodes and executes one instruction.
fn step<B: Bus>(hart: &mut Hart, bus: &mut B) -> Result<(), Stop> {
    step_from(hart, bus, None)
}

/// [`step`], the first fetch having been made if `first` tells its result.
fn step_from<B: Bus>(hart: &mut Hart, bus: &mut B, first: Option<Code>) -> Result<(), Stop> {
    let pc = hart.pc;
    let mut fetches = 0;
    let fetched = fetch(hart, bus, first, &mut fetches);
    let result = fetched.and_then(|(op, bytes)| step_op(hart, bus, pc, op, bytes));
    hart.fetches += fetches;
    result
}

/// Executes one instruction, counting all but its fetches.
fn step_op<B: Bus>(hart: &mut Hart, bus: &mut B, pc: u64, op: Op, bytes: u16) -> Result<(), Stop> {
    let block = Block::single(op, bytes);
    match run_ops(hart, bus, &[op, Op::NEXT], pc, bytes) {
        Outcome::Taken(target) | Outcome::Indirect(target) => finish_step(hart, &block, target),
        Outcome::Follow | Outcome::Left { .. } => {
            finish_step(hart, &block, pc.wrapping_add(u64::from(bytes)));
        }
        Outcome::Stopped(stop) => {
            finish_step(hart, &block, pc.wrapping_add(u64::from(bytes)));
            return Err(stop);
        }
        Outcome::Failed { stop, .. } => {
            hart.loads += u64::from(block.loads);
            hart.stores += u64::from(block.stores);
            return Err(stop);
        }
    }
    Ok(())
}

/// Counts the instruction of [`step`] but for its fetches.
fn finish_step(hart: &mut Hart, block: &Block, pc: u64) {
    let fetches = hart.fetches;
    complete(hart, block, pc);
    hart.fetches = fetches;
}

/// Fetches the instruction at the pc, counting the references begun.
fn fetch<B: Bus>(
    hart: &Hart,
    bus: &mut B,
    first: Option<Code>,
    fetches: &mut u64,
) -> Result<(Op, u16), Stop> {
    let now = RefTime::fetch(hart.retired);
    *fetches += 1;
    if hart.pc & 1 != 0 {
        let fault = MemFault { va: hart.pc, kind: AccessKind::Fetch };
        return Err(Stop::Misaligned(fault));
    }
    let code = match first {
        Some(code) => code,
        None => bus.fetch(hart.pc, now).map_err(Stop::Fault)?,
    };
    let low = bus.code_parcel(code.pa);
    if !is_long(low) {
        bus.enter_code(code.slot);
        return Ok((decode_short(low), 2));
    }
    if code.room >= 4 {
        bus.enter_code(code.slot);
        return Ok((decode_parcels(low, bus.code_parcel(code.pa + 2)), 4));
    }
    *fetches += 1;
    let second = bus.fetch(hart.pc.wrapping_add(2), now.second_page()).map_err(Stop::Fault)?;
    bus.enter_code(second.slot);
    Ok((decode_parcels(low, bus.code_parcel(second.pa)), 4))
}

/// How a run of ops ended.
enum Outcome {
    /// At its final jump or branch, taken to this address.
    Taken(u64),
    /// At its end, to go on behind it.
    Follow,
    /// At a jump to a computed address.
    Indirect(u64),
    /// With its last instruction, which is retired.
    Stopped(Stop),
    /// After `done` instructions, because decoded code may be stale.
    Left { done: usize },
    /// At instruction `at`, which has done nothing.
    Failed { at: usize, stop: Stop },
}

/// Executes ops, the first being at `pc`, all of them `bytes` long.
#[inline(always)]
fn run_ops<B: Bus>(hart: &mut Hart, bus: &mut B, ops: &[Op], pc: u64, bytes: u16) -> Outcome {
    use OpCode::*;
    let base = hart.retired;
    let mut i = 0;
    loop {
        let op = ops[i];
        let rd = op.rd as usize;
        let imm = op.imm as i64 as u64;
        macro_rules! a {
            () => {
                hart.x[op.rs1 as usize]
            };
        }
        macro_rules! b {
            () => {
                hart.x[op.rs2 as usize]
            };
        }
        macro_rules! put {
            ($value:expr) => {{
                let value: u64 = $value;
                hart.x[rd] = value;
            }};
        }
        // A value of 32 bits, sign-extended.
        macro_rules! put_word {
            ($value:expr) => {{
                let value: u32 = $value;
                put!(value as i32 as u64)
            }};
        }
        macro_rules! load {
            ($t:ty, |$value:ident| $place:expr) => {{
                let now = RefTime::data(base + i as u64);
                match bus.load::<$t>(a!().wrapping_add(imm), now) {
                    Ok(($value, effect)) => {
                        $place;
                        if effect != Effect::None {
                            return Outcome::Left { done: i + 1 };
                        }
                    }
                    Err(fault) => return Outcome::Failed { at: i, stop: Stop::Fault(fault) },
                }
            }};
        }
        macro_rules! store {
            ($t:ty, $value:expr) => {{
                let now = RefTime::data(base + i as u64);
                match bus.store::<$t>(a!().wrapping_add(imm), $value as $t, now) {
                    Ok(Effect::None) => {}
                    Ok(_) => return Outcome::Left { done: i + 1 },
                    Err(fault) => return Outcome::Failed { at: i, stop: Stop::Fault(fault) },
                }
            }};
        }
        macro_rules! branch {
            ($condition:expr) => {
                return if $condition {
                    Outcome::Taken(pc.wrapping_add(imm))
                } else {
                    Outcome::Follow
                }
            };
        }
        match op.code {
            Lui => put!(imm),
            Auipc => put!(pc.wrapping_add(imm)),
            Addi => put!(a!().wrapping_add(imm)),
            Slti => put!(u64::from((a!() as i64) < imm as i64)),
            Sltiu => put!(u64::from(a!() < imm)),
            Xori => put!(a!() ^ imm),
            Ori => put!(a!() | imm),
            Andi => put!(a!() & imm),
            Slli => put!(a!() << (imm & 63)),
            Srli => put!(a!() >> (imm & 63)),
            Srai => put!((a!() as i64 >> (imm & 63)) as u64),
            Add => put!(a!().wrapping_add(b!())),
            Sub => put!(a!().wrapping_sub(b!())),
            Sll => put!(a!() << (b!() & 63)),
            Slt => put!(u64::from((a!() as i64) < b!() as i64)),
            Sltu => put!(u64::from(a!() < b!())),
            Xor => put!(a!() ^ b!()),
            Srl => put!(a!() >> (b!() & 63)),
            Sra => put!((a!() as i64 >> (b!() & 63)) as u64),
            Or => put!(a!() | b!()),
            And => put!(a!() & b!()),
            Addiw => put_word!((a!() as u32).wrapping_add(imm as u32)),
            Slliw => put_word!((a!() as u32) << (imm & 31)),
            Srliw => put_word!((a!() as u32) >> (imm & 31)),
            Sraiw => put_word!((a!() as i32 >> (imm & 31)) as u32),
            Addw => put_word!((a!() as u32).wrapping_add(b!() as u32)),
            Subw => put_word!((a!() as u32).wrapping_sub(b!() as u32)),
            Sllw => put_word!((a!() as u32) << (b!() & 31)),
            Srlw => put_word!((a!() as u32) >> (b!() & 31)),
            Sraw => put_word!((a!() as i32 >> (b!() & 31)) as u32),
            Mul => put!(a!().wrapping_mul(b!())),

            Lb => load!(u8, |v| put!(v as i8 as u64)),
            Lh => load!(u16, |v| put!(v as i16 as u64)),
            Lw => load!(u32, |v| put!(v as i32 as u64)),
            Ld => load!(u64, |v| put!(v)),
            Lbu => load!(u8, |v| put!(u64::from(v))),
            Lhu => load!(u16, |v| put!(u64::from(v))),
            Lwu => load!(u32, |v| put!(u64::from(v))),
            Flw => load!(u32, |v| hart.f[rd & 31] = crate::fp::boxed(v)),
            Fld => load!(u64, |v| hart.f[rd & 31] = v),
            Sb => store!(u8, b!()),
            Sh => store!(u16, b!()),
            Sw => store!(u32, b!()),
            Sd => store!(u64, b!()),
            Fsw => store!(u32, hart.f[op.rs2 as usize & 31]),
            Fsd => store!(u64, hart.f[op.rs2 as usize & 31]),

            Beq => branch!(a!() == b!()),
            Bne => branch!(a!() != b!()),
            Blt => branch!((a!() as i64) < b!() as i64),
            Bge => branch!(a!() as i64 >= b!() as i64),
            Bltu => branch!(a!() < b!()),
            Bgeu => branch!(a!() >= b!()),
            Jal => {
                put!(pc.wrapping_add(u64::from(bytes)));
                return Outcome::Taken(pc.wrapping_add(imm));
            }
            Jalr => {
                let target = a!().wrapping_add(imm) & !1;
                put!(pc.wrapping_add(u64::from(bytes)));
                return Outcome::Indirect(target);
            }
            Next => return Outcome::Follow,
            // Decoded code never lags behind memory, so there is nothing to synchronise.
            FenceI => return Outcome::Follow,
            Ecall => return Outcome::Stopped(Stop::Ecall),
            Ebreak => return Outcome::Failed { at: i, stop: Stop::Ebreak },
            Illegal => return Outcome::Failed { at: i, stop: Stop::Illegal },

            code => match execute_rare(code, hart, bus, op, base + i as u64) {
                Ok(Effect::None) => {}
                Ok(Effect::CodeChanged) => return Outcome::Left { done: i + 1 },
                Err(stop) => return Outcome::Failed { at: i, stop },
            },
        }
        i += 1;
    }
}

/// What is not worth a place in the first table of jumps.
#[inline(always)]
fn execute_rare<B: Bus>(
    code: OpCode,
    hart: &mut Hart,
    bus: &mut B,
    op: Op,
    retired: u64,
) -> Result<Effect, Stop> {
    match code.group() {
        Group::Float => {
            exec_float::execute(hart, op).ok_or(Stop::Illegal)?;
            Ok(Effect::None)
        }
        Group::Load | Group::Store => exec_atomic::execute(hart, bus, op, RefTime::data(retired)),
        Group::System => {
            if code != OpCode::Fence {
                csr::execute(hart, bus, op).ok_or(Stop::Illegal)?;
            }
            Ok(Effect::None)
        }
        _ => {
            let value =
                exec_bits::evaluate(code, hart.x[op.rs1 as usize], hart.x[op.rs2 as usize], op.imm);
            hart.x[op.rd as usize] = value;
            Ok(Effect::None)
        }
    }
}
