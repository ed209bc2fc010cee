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

/// The checksum of a slot that was never written.
const UNWRITTEN: u64 = 0;

/// The swap devices of a machine.
#[derive(Debug)]
pub struct SwapDevices {
    devices: Vec<Device>,
    /// Transfers with the same number are made in one go.
    batch: u64,
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
    sums: Vec<u64>,
    traffic: DeviceTraffic,
}

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

/// Where a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapPlace {
    /// The device, the first being 0.
    pub device: usize,
    /// The slot within the device.
    pub slot: u32,
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
                sums: vec![UNWRITTEN; slots as usize],
                traffic: DeviceTraffic::default(),
            });
        }
        let (injected, failure) = (Vec::new(), None);
        Ok(Self { devices, batch: 0, injected, reads: 0, writes: 0, failure })
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
    pub fn corrupt(&mut self, slot: SwapSlot, page: PageSize) -> Result<(), IoError> {
        let index = self.index(slot);
        let device = &mut self.devices[index];
        let (within, mut bytes) = (slot.0 - device.first, vec![0; page.bytes() as usize]);
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
    /// asked once for each transfer, in the order in which the device makes them.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn service_ns(&mut self, slot: SwapSlot, write: bool) -> u64 {
        let (index, batch) = (self.index(slot), self.batch);
        let device = &mut self.devices[index];
        let ns = device.clockwork.service_ns(slot.0 - device.first, write, batch);
        device.traffic.busy_ns = device.traffic.busy_ns.saturating_add(ns);
        ns
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
        let index = self.index(slot);
        let device = &mut self.devices[index];
        let within = slot.0 - device.first;
        device.traffic.reads += 1;
        let result = injected.and_then(|()| device.file.read(within, into)).and_then(|()| {
            match checksum(into) == device.sums[within as usize] {
                true => Ok(()),
                false => Err(IoError::Corrupt),
            }
        });
        self.note_failure(index, within, false, result)
    }

    /// Writes a slot.
    ///
    /// # Errors
    /// If the bytes were not all written; the slot's content is undefined then.
    pub fn write(&mut self, slot: SwapSlot, from: &[u8]) -> Result<(), IoError> {
        self.writes += 1;
        let injected = self.check_injected(true, self.writes - 1);
        let index = self.index(slot);
        let device = &mut self.devices[index];
        let within = slot.0 - device.first;
        device.traffic.writes += 1;
        let result = injected.and_then(|()| device.file.write(within, from));
        device.sums[within as usize] = if result.is_ok() { checksum(from) } else { UNWRITTEN };
        self.note_failure(index, within, true, result)
    }

    /// What the last transfer that failed was, and why, in a sentence; once.
    pub fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    fn note_failure(
        &mut self,
        index: usize,
        slot: u32,
        write: bool,
        result: Result<(), IoError>,
    ) -> Result<(), IoError> {
        if let Err(error) = result {
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
        swap.corrupt(bad, PAGE).unwrap();
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
        assert_eq!(swap.read(SwapSlot(0), &mut [0; 4096]), Err(IoError::Corrupt));
    }
}
