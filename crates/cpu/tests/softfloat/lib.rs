//! Empty: see `tests/fp.rs`.
