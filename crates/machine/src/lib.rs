//! A whole machine: CPU, MMU, kernel, swap device, virtual clock and events.

#![forbid(unsafe_code)]

pub mod config;
pub mod cost;
mod host_pages;
mod memory;
mod ram;
pub mod report;
mod time;

pub use memory::Memory;
pub use ram::Ram;
pub use time::Time;
