//! How long swap devices take: a model of each kind, for the virtual clock.
//!
//! ```text
//!   request = positioning + bytes × per byte
//!
//!   flat     the cost model's swap_latency_ns, swap_kilobyte_ns: the same for every transfer
//!   hdd      positioning = seek(tracks from the last request's end) + half a turn
//!              seek(0) = 0,  seek(d) = shortest + (longest - shortest) × √(d / all tracks)
//!   ssd      positioning = what the drive takes for one small request with none beside it
//!   nvme     the same, on PCI Express
//!   ram      positioning = the block layer
//! ```
//!
//! Transfers that the kernel makes in one go (one entry into it), in the same direction and of slots
//! in a row, are one request, as the block layer merges them while the queue is plugged: they are
//! positioned for once. A request has at most [`REQUEST_BYTES_MAX`]. Not so on the flat model, where
//! each transfer is a request of its own.
//!
//! A slot's distance from another is that on the medium: a device lies in a row on a disk of 2 TB, so
//! even a large one is only a small part of it, as swap partitions are.
//!
//! Figures, and where they are from: docs/cost-model.md.

use crate::cost::CostModel;

/// The largest request (Linux: BLK_DEF_MAX_SECTORS, 2560 sectors of 512 bytes).
pub const REQUEST_BYTES_MAX: u64 = 1280 << 10;

/// What kind of device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceModel {
    /// A hard disk of 7200 turns a minute.
    Hdd,
    /// Flash behind SATA.
    Ssd,
    /// Flash behind NVMe.
    Nvme,
    /// Memory.
    Ram,
}

impl DeviceModel {
    /// All names, as options take them.
    pub const NAMES: &'static [&'static str] = &["hdd", "ssd", "nvme", "ram"];

    /// The model of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Hdd, Self::Ssd, Self::Nvme, Self::Ram].into_iter().find(|model| model.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hdd => "hdd",
            Self::Ssd => "ssd",
            Self::Nvme => "nvme",
            Self::Ram => "ram",
        }
    }
}

/// A device's figures for one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Figures {
    latency_ns: u64,
    /// A thousand bytes.
    kilobyte_ns: u64,
}

// Seagate ST2000DM001: 7200 turns a minute, 156 MB/s on average, 8.5 ms average seek, 1 ms to the
// next track.
const TURN_NS: u64 = 8_333_333;
const HDD_KILOBYTE_NS: u64 = 6_410;
const SEEK_SHORTEST_NS: u64 = 1_000_000;
/// The mean of √(distance) of two places anywhere is 8/15 of the longest's, which makes 8.5 ms.
const SEEK_LONGEST_NS: u64 = SEEK_SHORTEST_NS + 7_500_000 * 15 / 8;
const DISK_BYTES: u64 = 2_000_000_000_000;
/// What passes under a head in a turn.
const TRACK_BYTES: u64 = TURN_NS / HDD_KILOBYTE_NS * 1000;

impl DeviceModel {
    const fn figures(self, write: bool) -> Figures {
        let (latency_ns, kilobyte_ns) = match (self, write) {
            (Self::Hdd, _) => (0, HDD_KILOBYTE_NS),
            // Samsung 860 EVO, one request at a time: 10,000 reads and 42,000 writes of 4 KiB a
            // second; 550 and 520 MB/s.
            (Self::Ssd, false) => (92_600, 1_818),
            (Self::Ssd, true) => (15_900, 1_923),
            // Samsung 970 EVO Plus: 19,000 and 60,000; 3500 and 3300 MB/s.
            (Self::Nvme, false) => (51_500, 286),
            (Self::Nvme, true) => (15_400, 303),
            // One copy by the processor, as `copy_frame` has it, and as much for the block layer.
            (Self::Ram, _) => (500, 122),
        };
        Figures { latency_ns, kilobyte_ns }
    }
}

/// A device's clockwork: what it takes, given what it did last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clockwork {
    model: Option<DeviceModel>,
    flat: Figures,
    page_bytes: u64,
    /// The slot behind the last request's, where a disk's heads are.
    next: u32,
    /// The request that may still grow.
    open: Option<Request>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    batch: u64,
    write: bool,
    bytes: u64,
}

impl Clockwork {
    pub const fn new(model: Option<DeviceModel>, cost: &CostModel, page_bytes: u64) -> Self {
        let flat = Figures { latency_ns: cost.swap_latency_ns, kilobyte_ns: cost.swap_kilobyte_ns };
        Self { model, flat, page_bytes, next: 0, open: None }
    }

    /// Transfers that the device works at together: what it does in a second with a long queue, over
    /// what it does with one request at a time.
    pub const fn lanes(&self) -> usize {
        match self.model {
            None | Some(DeviceModel::Hdd | DeviceModel::Ram) => 1,
            // 98,000 and 10,000 reads of 4 KiB a second.
            Some(DeviceModel::Ssd) => 10,
            // 600,000 and 19,000.
            Some(DeviceModel::Nvme) => 32,
        }
    }

    /// Nanoseconds that the device is busy with a slot of its own, `batch` telling transfers apart
    /// that are not made in one go.
    pub fn service_ns(&mut self, slot: u32, write: bool, batch: u64) -> u64 {
        let Some(model) = self.model else { return transfer_ns(self.flat, self.page_bytes) };
        let figures = model.figures(write);
        let goes_on = |open: &Request| {
            let fits = open.bytes + self.page_bytes <= REQUEST_BYTES_MAX;
            (open.batch, open.write, self.next) == (batch, write, slot) && fits
        };
        let merged = self.open.filter(goes_on);
        let positioning_ns = match (merged, model) {
            (Some(_), _) => 0,
            (None, DeviceModel::Hdd) => self.seek_ns(slot) + TURN_NS / 2,
            (None, _) => figures.latency_ns,
        };
        let bytes = merged.map_or(0, |open| open.bytes) + self.page_bytes;
        self.open = Some(Request { batch, write, bytes });
        self.next = slot + 1;
        positioning_ns + transfer_ns(Figures { latency_ns: 0, ..figures }, self.page_bytes)
    }

    fn seek_ns(&self, slot: u32) -> u64 {
        let track = |slot: u32| u64::from(slot) * self.page_bytes / TRACK_BYTES;
        match track(slot).abs_diff(track(self.next)) {
            0 => 0,
            tracks => {
                let longest = SEEK_LONGEST_NS - SEEK_SHORTEST_NS;
                let all = DISK_BYTES / TRACK_BYTES;
                // The root of (tracks ÷ all × longest²).
                let squared = u128::from(longest).pow(2) * u128::from(tracks.min(all));
                SEEK_SHORTEST_NS + (squared / u128::from(all)).isqrt() as u64
            }
        }
    }
}

const fn transfer_ns(figures: Figures, bytes: u64) -> u64 {
    let moved = bytes.saturating_mul(figures.kilobyte_ns) / 1000;
    figures.latency_ns.saturating_add(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clockwork(model: Option<DeviceModel>) -> Clockwork {
        Clockwork::new(model, &CostModel::default(), 4096)
    }

    #[test]
    fn the_flat_model_is_that_of_the_cost_model() {
        let mut device = clockwork(None);
        for (slot, batch) in [(0, 0), (1, 0), (9, 1)] {
            assert_eq!(device.service_ns(slot, slot > 0, batch), 80_000 + 4096 * 400 / 1000);
        }
    }

    #[test]
    fn a_request_at_a_time_takes_what_the_data_sheets_say() {
        for (model, write, per_second) in [
            (DeviceModel::Ssd, false, 10_000),
            (DeviceModel::Ssd, true, 42_000),
            (DeviceModel::Nvme, false, 19_000),
            (DeviceModel::Nvme, true, 60_000),
            (DeviceModel::Ram, true, 1_000_000),
        ] {
            let ns = clockwork(Some(model)).service_ns(7, write, 0);
            let off = ns.abs_diff(1_000_000_000 / per_second);
            assert!(off * 100 <= ns, "{model:?} {write}: {ns} ns");
        }
    }

    #[test]
    fn slots_in_a_row_that_go_together_are_positioned_for_once() {
        for &name in DeviceModel::NAMES {
            let model = DeviceModel::by_name(name);
            let mut device = clockwork(model);
            let first = device.service_ns(10, true, 4);
            let second = device.service_ns(11, true, 4);
            assert!(second < first, "{name}");
            assert!(device.service_ns(12, true, 5) > second, "{name}: later");
            assert!(device.service_ns(13, false, 5) > second, "{name}: the other way");
            assert!(device.service_ns(15, false, 5) > second, "{name}: not in a row");
            // A request does not grow for ever.
            let slots = 16..16 + 2 * REQUEST_BYTES_MAX as u32 / 4096;
            let positioned = slots.filter(|&s| device.service_ns(s, true, 6) > second).count();
            assert_eq!(positioned, 2, "{name}");
        }
    }

    #[test]
    fn a_disk_seeks_longer_the_farther_it_is() {
        let mut disk = clockwork(Some(DeviceModel::Hdd));
        let mut from_start = |slot| {
            disk.next = 0;
            disk.service_ns(slot, false, u64::from(slot)) - TURN_NS / 2 - 26_255
        };
        assert_eq!(from_start(1), 0, "the same track");
        assert!((SEEK_SHORTEST_NS..SEEK_SHORTEST_NS * 11 / 10).contains(&from_start(1000)));
        let all = u32::try_from(DISK_BYTES / 4096).unwrap();
        assert!(from_start(all / 2).abs_diff(SEEK_LONGEST_NS * 7 / 10) < 500_000);
        assert!(from_start(all).abs_diff(SEEK_LONGEST_NS) < 10_000);
        // Between any two places it is 8.5 ms on average.
        let places: Vec<u32> = (0..40).map(|n| all / 40 * n + all / 80).collect();
        let mut sum = 0;
        for &from in &places {
            for &to in &places {
                disk.next = from;
                sum += disk.seek_ns(to);
            }
        }
        assert!((sum / 1600).abs_diff(8_500_000) < 200_000, "{sum}");
    }
}
