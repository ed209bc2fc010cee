//! The "fast" integers of `<stdint.h>` as the x86-64 System V ABI of glibc has them: the only
//! target that `softfloat-sys-riscv` supports.

#![allow(non_camel_case_types, reason = "C's names")]

pub type int_fast8_t = i8;
pub type int_fast16_t = i64;
pub type int_fast32_t = i64;
pub type int_fast64_t = i64;
pub type uint_fast8_t = u8;
pub type uint_fast16_t = u64;
pub type uint_fast32_t = u64;
pub type uint_fast64_t = u64;
