//! Where things lie in the guest's memory; the guest's side is drawn in `aarch64.S`.
//!
//! ```text
//!   0x4000_0000  QEMU's device tree, then the guest's code
//!   0x4020_0000  mailbox, four unused words, the guest's own tables
//!   0x4022_0000  the tables under test, one a level, 64 KiB each
//!   0x4040_0000  states          0x4080_0000  results
//!   0x4200_0000  pages that answer: every word of every 4 KiB is `svc #n`, n its number
//! ```

pub const RAM: u64 = 0x4000_0000;
pub const RAM_BYTES: u64 = 64 << 20;
pub const CODE: u64 = 0x4018_0000;
pub const MAILBOX: u64 = 0x4020_0000;
pub const UNUSED: u64 = 0x4020_0100;
pub const OWN_TABLES: u64 = 0x4021_0000;
pub const TABLES: u64 = 0x4022_0000;
pub const STATES: u64 = 0x4040_0000;
pub const RESULTS: u64 = 0x4080_0000;
pub const AREA: u64 = 0x4200_0000;
pub const AREA_BYTES: u64 = 4 << 20;

/// The guest's instructions that load and store, from its start.
pub const LOAD: u64 = CODE + 8;
pub const STORE: u64 = CODE + 16;

/// What the guest's `svc` say after them.
pub const LOADED: u16 = 0xfffe;
pub const STORED: u16 = 0xfffd;

/// The sign of the upper half.
pub const UPPER: u64 = 0xffff << 48;

/// The number of the 4 KiB at `pa` in the answering area.
pub fn number(pa: u64) -> u16 {
    ((pa - AREA) >> 12) as u16
}

/// What eight bytes at `pa` in the answering area hold.
pub fn signature(pa: u64) -> u64 {
    let svc = 0xd400_0001 | u64::from(number(pa)) << 5;
    svc << 32 | svc
}
