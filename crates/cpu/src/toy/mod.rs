//! The word machine: the computer of the first lectures, small enough to be seen whole.
//!
//! ```text
//!        load r1, mem(0)          one word at each address
//!        inc  r1                  sixteen registers of a word, r0 to r15
//!        store r1, mem(1)         code is numbered by instructions, and lies in no memory
//! ```
//!
//! | instruction | what it does |
//! | --- | --- |
//! | `load rD, mem(A)` | rD gets the word at A |
//! | `store rS, mem(A)` | the word at A becomes rS |
//! | `set rD, X` | rD becomes X |
//! | `inc rD`, `dec rD` | rD becomes one more, or less |
//! | `add rD, rS, X`, `sub`, `mul` | rD becomes rS + X, rS − X, rS × X |
//! | `jump L` | goes on at the label L |
//! | `jeq rS, X, L`, `jne`, `jlt`, `jge` | … if rS = X, rS ≠ X, rS < X, rS ≥ X (signed) |
//! | `fork rD` | makes a copy of the process; rD gets its number, and 0 in the copy |
//! | `map mem(A), N [, RIGHTS]` | maps N pages of zeroes from A on; RIGHTS is `r`, `rw` or `none` |
//! | `unmap mem(A), N` | unmaps N pages |
//! | `protect mem(A), N, RIGHTS` | changes what may be done with N pages |
//! | `evict mem(A)` | gives up the page of A, as the page daemon would take it |
//! | `wait` | waits until all processes that this one has made have ended |
//! | `yield` | lets the next process run |
//! | `exit` | ends the process: its memory is free |
//!
//! X is a register or a number; A is a number, a register, or a register and a number
//! (`mem(r2+3)`). Numbers are decimal or `0x…`, and may be negative. `;` begins a comment, `name:`
//! is a label. At the end of its code a process has nothing more to do, and keeps its memory. `map`, `unmap`, `protect` and `evict` leave 0 in r0, or 1 if they were refused.
//!
//! Invariants:
//! 1. An instruction that faults has changed nothing: it restarts as if it had never begun.
//! 2. An instruction makes at most one access to memory.
//! 3. Arithmetic wraps; nothing that a program does is undefined.

mod assemble;
mod exec;
mod op;
mod text;

pub use assemble::{AssembleError, Program, assemble};
pub use exec::{Cpu, Outcome, WordBus};
pub use op::{Address, Arithmetic, Call, Comparison, Op, Operand, REGISTERS, Reg, Rights};
