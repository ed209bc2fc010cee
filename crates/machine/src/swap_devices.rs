//! The swap devices: where a slot lies, its page, its checksum, and how long a transfer takes.
//!
//! ```text
//!   SwapSlot ──place──► (device, slot within) ──► SwapFile: the bytes
//!                                │               └► checksum kept beside: XXH3 of what was written
//!                                └──service_ns──► Clockwork: what the device takes
//! ```
//!
//! The devices share one row of slots, in the order in which they are given (the kernel's `swap.rs`).
//!
//! A checksum is in the host's memory, not on the device: what a device gives back is compared with
//! what was written to it, and a page that is another one is an error, never data.
//!
//! With zswap (`zswap.rs`), a page may be in memory instead, compressed, under the number of its slot.
//!
//! Transfers report what went wrong and leave it to the kernel what follows from it. Faults can be
//! injected, to test exactly that.

use std::io;

use pagewalk_kernel::{FIRST_PRIORITY, IoError, SWAP_DEVICES_MAX, SwapDevice, SwapSlot};
use pagewalk_mmu::PageSize;
use twox_hash::XxHash3_64;

use crate::config::{SwapConfig, SwapStore};
use crate::cost::CostModel;
use crate::device_model::{Clockwork, DeviceModel};
use crate::device_queue::Server;
use crate::swap_file::SwapFile;
use crate::swap_view::{DeviceTraffic, DeviceView, ExtraTime, SlotContent, SwapPlace, ZswapView};
use crate::zswap::{Compressor, Zswap, ZswapConfig};

/// The checksum of a slot that was never written.
const UNWRITTEN: u64 = 0;

/// The swap devices of a machine.
#[derive(Debug)]
pub struct SwapDevices {
    devices: Vec<Device>,
    /// Transfers with the same number are made in one go.
    batch: u64,
    page_bytes: u64,
    zswap: Option<Zswap>,
    /// Nanoseconds for a thousand bytes compressed and decompressed.
    compression: [u64; 2],
    /// What transfers took beside [`SwapDevices::service_ns`], until somebody asks.
    extra: ExtraTime,
    injected: Vec<Injected>,
    reads: u64,
    writes: u64,
    failure: Option<String>,
}

/// One of them.
#[derive(Debug)]
struct Device {
    name: String,
    file: SwapFile,
    /// The number of its first slot, and of the first behind.
    first: u32,
    end: u32,
    priority: i32,
    model: Option<DeviceModel>,
    clockwork: Clockwork,
    /// Of the slots up to the highest that was written.
    sums: Vec<u64>,
    traffic: DeviceTraffic,
}

impl Device {
    fn sum(&self, slot: u32) -> u64 {
        self.sums.get(slot as usize).copied().unwrap_or(UNWRITTEN)
    }

    fn set_sum(&mut self, slot: u32, sum: u64) {
        let index = slot as usize;
        if index >= self.sums.len() && sum != UNWRITTEN {
            self.sums.resize(index + 1, UNWRITTEN);
        }
        if let Some(held) = self.sums.get_mut(index) {
            *held = sum;
        }
    }
}

/// A fault to be injected into the transfers of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    write: bool,
    first: u64,
    count: u64,
    error: IoError,
}

impl Injected {
    /// `count` reads fail, from the read `first` on, the very first being 0.
    pub const fn read(first: u64, count: u64, error: IoError) -> Self {
        Self { write: false, first, count, error }
    }

    /// `count` writes fail, from the write `first` on.
    pub const fn write(first: u64, count: u64, error: IoError) -> Self {
        Self { write: true, first, count, error }
    }
}

impl SwapDevices {
    /// Opens or makes the devices.
    ///
    /// # Errors
    /// Which cannot serve, and why.
    pub fn open(configs: &[SwapConfig], page: PageSize, cost: &CostModel) -> Result<Self, String> {
        if configs.len() > SWAP_DEVICES_MAX {
            let count = configs.len();
            return Err(format!("--swap: {count} devices: give at most {SWAP_DEVICES_MAX}"));
        }
        let mut devices: Vec<Device> = Vec::with_capacity(configs.len());
        let mut automatic = FIRST_PRIORITY;
        for config in configs {
            let first = devices.last().map_or(0, |before| before.end);
            let slots = config.bytes / page.bytes();
            let end = u32::try_from(u64::from(first) + slots)
                .map_err(|_| "--swap: more slots than 32 bits can number: give less".to_owned())?;
            let file = SwapFile::open(config, page)?;
            let priority = config.priority.map_or(automatic, i32::from);
            automatic -= i32::from(config.priority.is_none());
            devices.push(Device {
                name: name(&config.store),
                file,
                first,
                end,
                priority,
                model: config.model,
                clockwork: Clockwork::new(config.model, cost, page.bytes()),
                sums: Vec::new(),
                traffic: DeviceTraffic::default(),
            });
        }
        Ok(Self {
            devices,
            batch: 0,
            page_bytes: page.bytes(),
            zswap: None,
            compression: [0; 2],
            extra: ExtraTime::default(),
            injected: Vec::new(),
            reads: 0,
            writes: 0,
            failure: None,
        })
    }

    /// With a store of compressed pages before the devices.
    #[must_use]
    pub fn with_zswap(mut self, config: ZswapConfig, cost: &CostModel) -> Self {
        self.zswap = Some(Zswap::new(config, self.page_bytes));
        self.compression = match config.compressor {
            Compressor::Lz4 => [cost.lz4_compress_kilobyte_ns, cost.lz4_decompress_kilobyte_ns],
            Compressor::Zstd => [cost.zstd_compress_kilobyte_ns, cost.zstd_decompress_kilobyte_ns],
        };
        self
    }

    /// The store of compressed pages, if there is one.
    pub fn zswap(&self) -> Option<ZswapView> {
        let zswap = self.zswap.as_ref()?;
        let [capacity, used, peak] = zswap.bytes();
        Some(ZswapView {
            compressor: zswap.compressor(),
            capacity,
            used,
            peak,
            pages: zswap.len(),
            counters: zswap.counters(),
        })
    }

    /// How many slots there are.
    pub fn slots(&self) -> u64 {
        self.devices.last().map_or(0, |last| u64::from(last.end))
    }

    /// The devices, in the order of their slots.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = DeviceView<'_>> {
        self.devices.iter().map(|device| DeviceView {
            name: &device.name,
            slots: device.end - device.first,
            priority: device.priority,
            model: device.model,
            traffic: device.traffic,
        })
    }

    /// The devices as the kernel has to know them.
    pub fn for_kernel(&self) -> Vec<SwapDevice> {
        let of =
            |device: DeviceView<'_>| SwapDevice { slots: device.slots, priority: device.priority };
        self.devices().map(of).collect()
    }

    /// Where a slot lies.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn place(&self, slot: SwapSlot) -> SwapPlace {
        let device = self.index(slot);
        SwapPlace { device, slot: slot.0 - self.devices[device].first }
    }

    /// Devices of their own with the same content.
    ///
    /// # Errors
    /// If the content cannot be copied.
    pub fn snapshot(&self) -> io::Result<Self> {
        let copy = |device: &Device| {
            Ok(Device {
                name: device.name.clone(),
                file: device.file.snapshot()?,
                sums: device.sums.clone(),
                ..*device
            })
        };
        Ok(Self {
            devices: self.devices.iter().map(copy).collect::<io::Result<_>>()?,
            zswap: self.zswap.clone(),
            injected: self.injected.clone(),
            failure: None,
            ..*self
        })
    }

    /// Makes transfers fail.
    pub fn inject(&mut self, fault: Injected) {
        self.injected.push(fault);
    }

    /// Turns a bit of a slot's bytes over on its medium, behind the back of its checksum.
    ///
    /// # Errors
    /// If the medium does not let it.
    pub fn corrupt(&mut self, slot: SwapSlot) -> Result<(), IoError> {
        let mut bytes = vec![0; self.page_bytes as usize];
        let (device, within) = self.device(slot);
        device.file.read(within, &mut bytes)?;
        bytes[0] ^= 1;
        device.file.write(within, &bytes)
    }

    /// Transfers from now on are made in another go: none is part of an earlier request.
    #[inline]
    pub fn begin_batch(&mut self) {
        self.batch += 1;
    }

    /// Nanoseconds that its device is busy with a transfer of this slot, which it does next. To be
    /// asked once for each transfer, in the order in which the device makes them. With zswap no
    /// device is asked for a page that is in it, and none is known to be for a page that is to be
    /// written: those are in [`SwapDevices::take_extra`].
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn service_ns(&mut self, slot: SwapSlot, write: bool) -> u64 {
        match &self.zswap {
            Some(zswap) if write || zswap.has(slot.0) => 0,
            _ => self.device_ns(slot, write),
        }
    }

    /// What transfers took besides, since this was asked last.
    pub fn take_extra(&mut self) -> ExtraTime {
        std::mem::take(&mut self.extra)
    }

    /// Who serves a slot.
    pub(crate) fn server(&self, slot: SwapSlot) -> Server {
        let device = self.index(slot);
        Server { device, lanes: self.devices[device].clockwork.lanes() }
    }

    /// Reads a slot.
    ///
    /// # Errors
    /// If the bytes are not all to be had, or are not those that were written.
    pub fn read(&mut self, slot: SwapSlot, into: &mut [u8]) -> Result<(), IoError> {
        self.reads += 1;
        let injected = self.check_injected(false, self.reads - 1);
        if injected.is_ok() && self.zswap.as_mut().is_some_and(|zswap| zswap.load(slot.0, into)) {
            self.extra.compression_ns += self.page_bytes * self.compression[1] / 1000;
            return Ok(());
        }
        let (device, within) = self.device(slot);
        device.traffic.reads += 1;
        let result = injected.and_then(|()| device.file.read(within, into)).and_then(|()| {
            match checksum(into) == device.sum(within) {
                true => Ok(()),
                false => Err(IoError::Corrupt),
            }
        });
        self.note_failure(slot, false, result)
    }

    /// Writes a slot.
    ///
    /// # Errors
    /// If the bytes were not all written; the slot's content is undefined then.
    pub fn write(&mut self, slot: SwapSlot, from: &[u8]) -> Result<(), IoError> {
        self.writes += 1;
        self.check_injected(true, self.writes - 1).or_else(|error| {
            let (device, _) = self.device(slot);
            device.traffic.writes += 1;
            self.forget(slot);
            self.note_failure(slot, true, Err(error))
        })?;
        if self.zswap.is_none() {
            return self.write_to_device(slot, from);
        }
        if self.compress(slot, from) {
            let (device, within) = self.device(slot);
            device.set_sum(within, UNWRITTEN);
            return Ok(());
        }
        self.forget(slot);
        self.write_charged(slot, from)
    }

    /// Nobody wants the page of a slot any more.
    pub fn forget(&mut self, slot: SwapSlot) {
        if let Some(zswap) = &mut self.zswap {
            zswap.remove(slot.0);
        }
        let (device, within) = self.device(slot);
        device.set_sum(within, UNWRITTEN);
        device.file.forget(within);
    }

    /// Whether it matters that [`SwapDevices::forget`] is told.
    pub fn wants_to_forget(&self) -> bool {
        self.zswap.is_some() || self.devices.iter().any(|device| device.file.is_memory())
    }

    /// Checks that each slot has its page in one place, and that no other has one; `content` says
    /// what it has to have. Only if [`SwapDevices::wants_to_forget`].
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn audit(&self, content: impl Fn(SwapSlot) -> SlotContent) -> Result<(), String> {
        self.zswap.as_ref().map_or(Ok(()), Zswap::audit)?;
        if !self.wants_to_forget() {
            return Ok(());
        }
        for slot in (0..self.slots() as u32).map(SwapSlot) {
            let SwapPlace { device, slot: within } = self.place(slot);
            let packed = self.zswap.as_ref().is_some_and(|zswap| zswap.has(slot.0));
            let written = self.devices[device].sum(within) != UNWRITTEN;
            let content = content(slot);
            let right = match content {
                SlotContent::Page => packed != written,
                SlotContent::Perhaps => !(packed && written),
                SlotContent::Nothing => !packed && !written,
            };
            if !right {
                return Err(format!(
                    "slot {within} of swap device {device} has to hold {content:?}; in zswap: \
                     {packed}, on the device: {written}"
                ));
            }
        }
        Ok(())
    }

    /// Puts a page into zswap, which makes room for it; whether it is there.
    fn compress(&mut self, slot: SwapSlot, from: &[u8]) -> bool {
        let Some(zswap) = &mut self.zswap else { return false };
        self.extra.compression_ns += self.page_bytes * self.compression[0] / 1000;
        // What was there is old.
        zswap.remove(slot.0);
        let Some(packed) = zswap.pack(from) else { return false };
        loop {
            let Some(zswap) = &mut self.zswap else { return false };
            if zswap.has_room(&packed) {
                zswap.insert(slot.0, packed);
                return true;
            }
            let Some((victim, page)) = zswap.oldest() else { return false };
            if self.write_charged(SwapSlot(victim), &page).is_err() {
                return false;
            }
            self.zswap.iter_mut().for_each(|zswap| zswap.written_back(victim));
        }
    }

    fn write_charged(&mut self, slot: SwapSlot, from: &[u8]) -> Result<(), IoError> {
        let ns = self.device_ns(slot, true);
        self.extra.device_ns = self.extra.device_ns.saturating_add(ns);
        self.write_to_device(slot, from)
    }

    fn write_to_device(&mut self, slot: SwapSlot, from: &[u8]) -> Result<(), IoError> {
        let (device, within) = self.device(slot);
        device.traffic.writes += 1;
        let result = device.file.write(within, from);
        device.set_sum(within, if result.is_ok() { checksum(from) } else { UNWRITTEN });
        self.note_failure(slot, true, result)
    }

    fn device_ns(&mut self, slot: SwapSlot, write: bool) -> u64 {
        let batch = self.batch;
        let (device, within) = self.device(slot);
        let ns = device.clockwork.service_ns(within, write, batch);
        device.traffic.busy_ns = device.traffic.busy_ns.saturating_add(ns);
        ns
    }

    fn device(&mut self, slot: SwapSlot) -> (&mut Device, u32) {
        let index = self.index(slot);
        let device = &mut self.devices[index];
        let within = slot.0 - device.first;
        (device, within)
    }

    /// What the last transfer that failed was, and why, in a sentence; once.
    pub fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    fn note_failure(
        &mut self,
        slot: SwapSlot,
        write: bool,
        result: Result<(), IoError>,
    ) -> Result<(), IoError> {
        if let Err(error) = result {
            let SwapPlace { device: index, slot } = self.place(slot);
            let device = &mut self.devices[index];
            device.traffic.errors += 1;
            let verb = if write { "written" } else { "read" };
            let name = &device.name;
            let text = format!("slot {slot} of swap device {index} ({name}) cannot be {verb}");
            self.failure = Some(format!("{text}: {error}"));
        }
        result
    }

    fn index(&self, slot: SwapSlot) -> usize {
        self.devices.partition_point(|device| device.end <= slot.0)
    }

    fn check_injected(&self, write: bool, now: u64) -> Result<(), IoError> {
        let due = |fault: &&Injected| {
            fault.write == write && now >= fault.first && now - fault.first < fault.count
        };
        self.injected.iter().find(due).map_or(Ok(()), |fault| Err(fault.error))
    }
}

fn name(store: &SwapStore) -> String {
    match store {
        SwapStore::Temporary => "temporary file".to_owned(),
        SwapStore::File(path) => path.display().to_string(),
        SwapStore::Ram => "memory".to_owned(),
    }
}

/// XXH3 of a page; never that of an unwritten slot.
fn checksum(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes).max(UNWRITTEN + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageSize = PageSize::from_shift(12);

    fn devices(configs: &[SwapConfig]) -> SwapDevices {
        SwapDevices::open(configs, PAGE, &CostModel::default()).expect("swap devices")
    }

    fn ram(pages: u64) -> SwapConfig {
        SwapConfig { store: SwapStore::Ram, ..SwapConfig::temporary(pages << 12) }
    }

    #[test]
    fn slots_are_numbered_through_the_devices() {
        let mut swap = devices(&[
            ram(3),
            SwapConfig { priority: Some(7), ..SwapConfig::temporary(2 << 12) },
            ram(4),
        ]);
        assert_eq!(swap.slots(), 9);
        let priorities: Vec<i32> = swap.for_kernel().iter().map(|device| device.priority).collect();
        assert_eq!(priorities, [-2, 7, -3]);
        for slot in (0..9).map(SwapSlot) {
            swap.write(slot, &[slot.0 as u8; 4096]).unwrap();
        }
        for slot in (0..9).map(SwapSlot) {
            let mut page = [0; 4096];
            swap.read(slot, &mut page).unwrap();
            assert_eq!(page, [slot.0 as u8; 4096]);
        }
        assert_eq!(swap.place(SwapSlot(4)), SwapPlace { device: 1, slot: 1 });
        let writes: Vec<u64> = swap.devices().map(|device| device.traffic.writes).collect();
        assert_eq!(writes, [3, 2, 4]);
    }

    #[test]
    fn a_page_that_is_another_is_told_from_what_was_written() {
        let mut swap = devices(&[ram(1), SwapConfig::temporary(2 << 12)]);
        let (good, bad, mut page) = (SwapSlot(1), SwapSlot(2), [0; 4096]);
        swap.write(good, &[5; 4096]).unwrap();
        swap.write(bad, &[6; 4096]).unwrap();
        swap.corrupt(bad).unwrap();
        assert_eq!(swap.read(bad, &mut page), Err(IoError::Corrupt));
        let text = "slot 1 of swap device 1 (temporary file) cannot be read: wrong checksum";
        assert_eq!(swap.take_failure().as_deref(), Some(text));
        assert_eq!((swap.take_failure(), swap.read(good, &mut page)), (None, Ok(())));
        // What is written again is right again.
        swap.write(bad, &[7; 4096]).unwrap();
        assert_eq!(swap.read(bad, &mut page), Ok(()));
    }

    #[test]
    fn a_slot_whose_write_failed_has_no_page() {
        let mut swap = devices(&[ram(1)]);
        swap.write(SwapSlot(0), &[5; 4096]).unwrap();
        swap.inject(Injected::write(1, 1, IoError::NoSpace));
        assert_eq!(swap.write(SwapSlot(0), &[6; 4096]), Err(IoError::NoSpace));
        assert!(swap.read(SwapSlot(0), &mut [0; 4096]).is_err());
    }
}
