//! Decoded blocks: straight runs of code, kept by physical address.
//!
//! ```text
//!   frame ──► blocks in it      page of code  │····│block│block     │····│block│
//!                                                        ├ at most OPS_MAX instructions
//!   block ──► ops[first ..]                              └ ends at a jump, or at the page's end
//! ```
//!
//! Invariants:
//! 1. A block lies in one frame and holds whole instructions; its last op ends a block.
//! 2. A block is found only while its frame's bytes are those it was decoded from: the bus watches
//!    the frame, and [`Blocks::forget_frame`] drops its blocks when they change.
//! 3. A block's links lead to blocks of the same frame, hence of the same virtual page: while the
//!    page is being executed from, following them needs no translation.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::bus::Bus;
use crate::compressed::expand;
use crate::csr::reads_counter;
use crate::decode::decode;
use crate::op::Op;

/// The most instructions in a block: one bit each in [`Block::short`].
pub(crate) const OPS_MAX: usize = 64;

/// Ops kept before everything is dropped and decoded anew: 8 MiB of them.
const ARENA_MAX: usize = 1 << 20;

/// A block, by its place in [`Blocks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockId(pub(crate) u32);

impl BlockId {
    /// No block.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// A decoded block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Where its ops start in the arena.
    first: u32,
    /// How many ops.
    len: u16,
    /// Bytes of code from the first instruction to behind the last.
    pub(crate) bytes: u16,
    /// Real instructions (a final `Next` is none).
    pub(crate) instructions: u16,
    /// How many of them count as loads.
    pub(crate) loads: u16,
    /// How many of them count as stores.
    pub(crate) stores: u16,
    /// The physical address of its first instruction.
    pub(crate) pa: u64,
    /// Bit `i` is set if instruction `i` is a compressed one.
    short: u64,
    /// Where the final jump or branch goes when taken, if known and in this frame.
    pub(crate) taken: BlockId,
    /// The block that follows, if known and in this frame.
    pub(crate) follow: BlockId,
}

impl Block {
    /// A block of one instruction that is not kept among others.
    /// For the plain path and for instructions that cross pages.
    pub(crate) fn single(op: Op, bytes: u16) -> Block {
        Block {
            first: 0,
            len: 1,
            bytes,
            instructions: 1,
            loads: u16::from(op.code.is_load()),
            stores: u16::from(op.code.is_store()),
            pa: 0,
            short: u64::from(bytes == 2),
            taken: BlockId::NONE,
            follow: BlockId::NONE,
        }
    }

    /// The offset of instruction `i` from the block's first.
    pub(crate) fn offset(&self, i: usize) -> u64 {
        let before = self.short & ((1u64 << i) - 1);
        4 * i as u64 - 2 * u64::from(before.count_ones())
    }
}

/// The cache of decoded blocks.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    ops: Vec<Op>,
    blocks: Vec<Block>,
    by_address: HashMap<u64, BlockId, BuildHasherDefault<AddressHasher>>,
    by_frame: HashMap<u64, Vec<u64>, BuildHasherDefault<AddressHasher>>,
    /// How often the arena was cleared: a [`BlockId`] holds within one generation.
    pub(crate) generation: u64,
    recent: Vec<Recent>,
}

/// A block lately entered by its virtual address. Epochs do not come back, and no two harts have
/// the same: an entry of another epoch is never found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recent {
    pc: u64,
    /// The bus's epoch that it holds for.
    epoch: u64,
    pub(crate) block: BlockId,
    pub(crate) slot: u32,
}

/// An epoch that no bus reaches.
const NEVER: u64 = u64::MAX;

/// Entries in the table of recent blocks.
const RECENT: usize = 4096;

impl Blocks {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ops of a block.
    #[inline(always)]
    pub(crate) fn ops(&self, block: &Block) -> &[Op] {
        &self.ops[block.first as usize..][..block.len as usize]
    }

    #[inline(always)]
    pub(crate) fn get(&self, id: BlockId) -> &Block {
        &self.blocks[id.0 as usize]
    }

    pub(crate) fn link(&mut self, from: BlockId, taken: bool, to: BlockId) {
        let block = &mut self.blocks[from.0 as usize];
        *(if taken { &mut block.taken } else { &mut block.follow }) = to;
    }

    /// The block at a virtual address, if it was entered since code last moved.
    #[inline(always)]
    pub(crate) fn recent(&self, pc: u64, epoch: u64) -> Option<Recent> {
        let recent = *self.recent.get((pc >> 1) as usize % RECENT)?;
        (recent.pc == pc && recent.epoch == epoch).then_some(recent)
    }

    /// Remembers the block at a virtual address.
    pub(crate) fn remember(&mut self, pc: u64, epoch: u64, block: BlockId, slot: u32) {
        if self.recent.is_empty() {
            let none = Recent { pc: 0, epoch: NEVER, block: BlockId::NONE, slot: 0 };
            self.recent.resize(RECENT, none);
        }
        self.recent[(pc >> 1) as usize % RECENT] = Recent { pc, epoch, block, slot };
    }

    /// The block at a physical address with `room` bytes to the page's end, decoded if need be;
    /// `None` if the instruction there crosses into the next page.
    pub(crate) fn at<B: Bus>(&mut self, bus: &mut B, pa: u64, room: u32) -> Option<BlockId> {
        if let Some(&id) = self.by_address.get(&pa) {
            return Some(id);
        }
        if self.ops.len() + OPS_MAX >= ARENA_MAX {
            self.clear();
        }
        let id = self.decode(bus, pa, room)?;
        bus.watch_code(pa);
        self.by_address.insert(pa, id);
        self.by_frame.entry(pa >> bus.code_frame_shift()).or_default().push(pa);
        Some(id)
    }

    /// Forgets the blocks in the frame that holds `pa`. Their ops stay until the arena is cleared.
    pub(crate) fn forget_frame(&mut self, pa: u64, frame_shift: u8) {
        for pa in self.by_frame.remove(&(pa >> frame_shift)).unwrap_or_default() {
            self.by_address.remove(&pa);
        }
    }

    fn clear(&mut self) {
        self.ops.clear();
        self.blocks.clear();
        self.by_address.clear();
        self.by_frame.clear();
        self.recent.clear();
        self.generation += 1;
    }

    fn decode<B: Bus>(&mut self, bus: &B, pa: u64, room: u32) -> Option<BlockId> {
        let first = self.ops.len();
        let mut block = Block {
            first: first as u32,
            len: 0,
            bytes: 0,
            instructions: 0,
            loads: 0,
            stores: 0,
            pa,
            short: 0,
            taken: BlockId::NONE,
            follow: BlockId::NONE,
        };
        // One place is kept for a final `Next`.
        while usize::from(block.instructions) < OPS_MAX - 1 {
            let Some((op, bytes)) = decode_at(bus, pa, u32::from(block.bytes), room) else { break };
            let alone = reads_counter(op);
            if alone && block.instructions > 0 {
                break;
            }
            self.append(&mut block, op, bytes);
            if alone || op.code.ends_block() {
                break;
            }
        }
        let last = self.ops[first..].last()?;
        if !last.code.ends_block() {
            self.ops.push(Op::NEXT);
        }
        block.len = (self.ops.len() - first) as u16;
        self.blocks.push(block);
        Some(BlockId(self.blocks.len() as u32 - 1))
    }

    fn append(&mut self, block: &mut Block, mut op: Op, bytes: u16) {
        if op.code.is_pc_relative() {
            op.imm = op.imm.wrapping_add(i32::from(block.bytes));
        }
        block.short |= u64::from(bytes == 2) << block.instructions;
        block.bytes += bytes;
        block.instructions += 1;
        block.loads += u16::from(op.code.is_load());
        block.stores += u16::from(op.code.is_store());
        self.ops.push(op);
    }
}

/// Decodes the instruction `offset` bytes into a block; `None` if it does not end in this page.
fn decode_at<B: Bus>(bus: &B, pa: u64, offset: u32, room: u32) -> Option<(Op, u16)> {
    let left = room - offset;
    if left < 2 {
        return None;
    }
    let at = pa + u64::from(offset);
    let low = bus.code_parcel(at);
    if is_long(low) {
        if left < 4 {
            return None;
        }
        return Some((decode_parcels(low, bus.code_parcel(at + 2)), 4));
    }
    Some((decode_short(low), 2))
}

/// Whether a parcel is the first half of a 32-bit instruction.
pub(crate) fn is_long(parcel: u16) -> bool {
    parcel & 3 == 3
}

/// Decodes a 32-bit instruction from its halves.
pub(crate) fn decode_parcels(low: u16, high: u16) -> Op {
    decode(u32::from(high) << 16 | u32::from(low))
}

/// Decodes a compressed instruction.
pub(crate) fn decode_short(parcel: u16) -> Op {
    // The all-zero word is illegal, which is what a reserved parcel is to become.
    decode(expand(parcel).unwrap_or(0))
}

/// A fast hash for addresses: multiplication by an odd constant, upper bits folded down.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let product = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any number can get into the pc: a signal handler's frame is the program's to change.
    #[test]
    fn only_what_was_remembered_is_recent() {
        let mut blocks = Blocks::new();
        assert!(blocks.recent(u64::MAX, 1).is_none());
        blocks.remember(0x1000, 1, BlockId(7), 3);
        for (pc, epoch) in [(u64::MAX, 1), (0, 1), (0, 0), (0x1000, 2), (0x1002, 1)] {
            assert!(blocks.recent(pc, epoch).is_none(), "{pc:#x} in epoch {epoch}");
        }
        assert!(blocks.recent(0x1000, 1).is_some_and(|recent| recent.block == BlockId(7)));
        // Another hart, and back.
        blocks.remember(0x2000, 9, BlockId(8), 3);
        assert!(blocks.recent(0x1000, 1).is_some());
    }
}
