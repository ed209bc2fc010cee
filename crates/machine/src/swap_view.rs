//! What is told of swap devices: where slots lie, what devices and zswap did.

use crate::device_model::DeviceModel;
use crate::zswap::{Compressor, ZswapCounters};

/// What a device did, in pages; what failed included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceTraffic {
    /// Pages read.
    pub reads: u64,
    /// Pages written.
    pub writes: u64,
    /// Transfers that failed.
    pub errors: u64,
    /// Nanoseconds that it was busy.
    pub busy_ns: u64,
}

/// A device as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceView<'a> {
    /// What it is on: a file's name, `temporary file` or `memory`.
    pub name: &'a str,
    /// Its slots.
    pub slots: u32,
    /// Its priority at the start.
    pub priority: i32,
    /// How long its transfers take; `None` for the cost model's flat figures.
    pub model: Option<DeviceModel>,
    /// What it did.
    pub traffic: DeviceTraffic,
}

/// What transfers took besides their devices' service times, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtraTime {
    /// The processor compressed and decompressed.
    pub compression_ns: u64,
    /// Devices were busy with pages that zswap did not take, or had to write back.
    pub device_ns: u64,
}

/// zswap as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZswapView {
    /// How pages are compressed.
    pub compressor: Compressor,
    /// RAM that it has, in bytes.
    pub capacity: u64,
    /// What its pages take of it.
    pub used: u64,
    /// The most that they ever did.
    pub peak: u64,
    /// Pages in it.
    pub pages: u64,
    /// What it did.
    pub counters: ZswapCounters,
}

/// Where a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapPlace {
    /// The device, the first being 0.
    pub device: usize,
    /// The slot within the device.
    pub slot: u32,
}

/// What a slot has to hold, for the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotContent {
    /// It is free.
    Nothing,
    /// A frame has the page: the slot has it, too, or is kept for it.
    Perhaps,
    /// A page.
    Page,
}
