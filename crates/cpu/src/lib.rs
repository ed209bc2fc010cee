//! Instruction sets: RV64GC at user level, as decoded blocks.
//!
//! ```text
//!   bytes ─► compressed::expand ─► decode ─► Op ─► block::Blocks (by physical address)
//!                                                     │
//!   Hart (registers, pc) ◄────────── exec::run ◄──────┘ decoded blocks in
//!                                        │
//!                                        ▼ effects out
//!                                       Bus (loads, stores, fetches: the machine's business)
//! ```
//!
//! The instruction set is RV64IMAFDC with Zicsr, Zifencei, Zicntr, Zba, Zbb and Zbs at user level,
//! as the RISC-V unprivileged manual (version 20191213 and the ratified bit-manipulation 1.0.0)
//! defines it. What the processor does not know: page tables, TLBs, system calls. It asks its
//! [`Bus`] for memory and stops with a [`Stop`] for everything else.
//!
//! Beside it, the word machine of the first lectures: [`toy`].
//!
//! Architecture invariants:
//! 1. An instruction that faults has changed nothing: it restarts as if it had never begun.
//! 2. Running from decoded blocks and decoding anew at every instruction ([`run_plain`]) give the
//!    same registers, the same bus accesses and the same reference times.
//! 3. A compiler may replace the interpreter behind [`run`]: blocks in, effects on bus and hart
//!    out, nothing else is shared.

#![forbid(unsafe_code)]

mod block;
mod bus;
mod compressed;
mod csr;
mod decode;
mod exec;
mod exec_atomic;
mod exec_bits;
mod exec_float;
mod hart;
mod op;
mod text;

pub mod fp;
pub mod toy;

pub use block::Blocks;
pub use bus::{AccessKind, Bus, Code, Counter, Effect, MemFault, RefTime, Value};
pub use compressed::expand;
pub use decode::decode;
pub use exec::{run, run_plain};
pub use hart::{Hart, Stop};
pub use op::{Op, OpCode};
pub use text::{Disassembled, FLOAT_REGISTERS, REGISTERS, disassemble};
