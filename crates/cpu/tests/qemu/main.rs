//! The interpreter against QEMU's user mode: the same programs, the same bytes out.
//!
//! ```text
//!   listing ─► generator ─► ELF file ─┬─► qemu-riscv64 ─────────────► stdout ─┐
//!                                     ├─► run       (over a FlatBus) ─► bytes ├─ equal?
//!                                     └─► run_plain (over a FlatBus) ─► bytes ┘
//! ```
//!
//! No assembler and no decoder takes part: instructions are put together from the manual's listing
//! (`common/listing.rs`). Where there is no `qemu-riscv64`, the tests say so and pass, unless
//! `CI_ORACLES=require` is set.
//!
//! | file | concept |
//! | --- | --- |
//! | `single` | each instruction by itself, operands and results in tables |
//! | `mixed` | random programs: loops, jumps across, both lengths mixed |
//! | `legal` | which words are instructions at all |

#[path = "../common/mod.rs"]
mod common;
mod legal;
mod mixed;
mod oracle;
mod single;
