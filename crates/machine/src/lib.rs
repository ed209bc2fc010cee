//! A whole machine: CPU, MMU, kernel, swap device, virtual clock and events.
//!
//! [`Machine`] runs one program; [`Memory`] is the only place with a fast path; everything that a
//! run shows is in its [`report::Report`] and its event stream.
//!
//! Architecture invariants:
//! 1. Nothing depends on the host's time, hash order or environment.
//! 2. Every counter of a run with the fast path equals that of a run without it.
//! 3. Virtual time is computed from counts; no one adds to a clock.

#![forbid(unsafe_code)]

mod boot;
mod build_report;
mod cached_tables;
pub mod config;
pub mod cost;
mod device_model;
mod device_queue;
mod error;
mod event_watcher;
mod events;
mod guest_clock;
mod hardware;
mod hart_memory;
mod harts;
mod host_pages;
mod inspect;
mod kernel_events;
mod kernel_view;
mod listener;
mod livelock;
mod load_control;
mod machine;
mod memory;
mod observe;
mod os;
mod platform;
mod pressure;
mod ram;
pub mod report;
mod schedule;
mod segment_report;
mod segmentation;
mod serve;
mod shared_table_report;
mod shootdown;
mod stdio;
mod swap_devices;
mod swap_file;
mod swap_view;
mod time;
mod watch;
mod zswap;

pub use config::{Config, Program, SwapConfig, SwapStore};
pub use cost::CostModel;
pub use device_model::DeviceModel;
pub use error::MachineError;
pub use event_watcher::EventWatcher;
pub use hardware::Hardware;
pub use hart_memory::{Extra, HartMemory, Switches};
pub use harts::HARTS_MAX;
pub use inspect::{FrameView, Inspector, PageView, ProcessView, SlotView, ThreadView, Where};
pub use machine::{End, Machine, Progress};
pub use memory::Memory;
pub use observe::{Entry, Reader, Recording, SizesConfig, SizesFormat};
pub use pagewalk_kernel::{
    DeviceWait, Fit, HARVEST_DEFAULT, HugePolicy, KernelMapping, READ_AHEAD_MAX, RESIDENT_MIN,
    SWAP_DEVICES_MAX, Scope, ShareTables,
};
pub use ram::Ram;
pub use report::Report;
pub use segmentation::{FlatSegments, Segmentation};
pub use shootdown::Shootdowns;
pub use stdio::Stdio;
pub use swap_devices::{Injected, SwapDevices};
pub use swap_view::{DeviceTraffic, DeviceView, ExtraTime, SwapPlace, ZswapView};
pub use time::Time;
pub use watch::{FaultView, FaultWatcher};
pub use zswap::{Compressor, ZswapConfig, ZswapCounters};
