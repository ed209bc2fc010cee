//! The part of the text that tells of swap beyond its sums, where more was asked for: several devices,
//! reading ahead, compressed pages.

use crate::number::{grouped, size};
use crate::page::Page;
use crate::text::share;
use pagewalk_machine::report::{Report, SwapDeviceReport, ZswapReport};

/// Adds it to a page, behind the sums.
pub fn show(page: &mut Page, report: &Report) {
    let bytes = |pages: u64| size(pages.saturating_mul(report.machine.page_bytes));
    let swap = &report.swap;
    if swap.cache_hits + swap.shared_slots > 0 {
        page.detail("found in the swap cache", grouped(swap.cache_hits), bytes(swap.cache_hits));
        page.detail("slots of shared pages", grouped(swap.shared_slots), String::new());
        page.detail("writes saved", grouped(swap.writes_saved), bytes(swap.writes_saved));
    }
    if let Some(ahead) = &swap.read_ahead {
        page.detail("read ahead", grouped(ahead.pages), bytes(ahead.pages));
        let of_them = share(ahead.hits, ahead.pages, "them");
        page.detail("… and wanted then", grouped(ahead.hits), of_them);
    }
    if let Some(store) = &swap.zswap {
        zswap(page, store, bytes);
    }
    devices(page, &swap.devices);
}

fn zswap(page: &mut Page, store: &ZswapReport, bytes: impl Fn(u64) -> String) {
    page.blank();
    page.heading("zswap (pages)");
    let share_of = |bytes| share(bytes, store.capacity_bytes, "it");
    let capacity = format!("of RAM, {}", store.compressor);
    page.detail("has", size(store.capacity_bytes), capacity);
    page.detail("peak in use", size(store.peak_bytes), share_of(store.peak_bytes));
    page.detail("in use at the end", size(store.used_bytes), share_of(store.used_bytes));
    page.detail("pages at the end", grouped(store.pages), bytes(store.pages));
    page.detail("put in", grouped(store.pages_out), bytes(store.pages_out));
    let of_them = share(store.same_filled, store.pages_out, "them");
    page.detail("… of one word", grouped(store.same_filled), of_them);
    page.detail("brought back", grouped(store.pages_in), bytes(store.pages_in));
    page.detail("written back", grouped(store.written_back), bytes(store.written_back));
    page.detail("not compressible", grouped(store.rejected), bytes(store.rejected));
    let ratio = format!("{:.2}", store.compression_ratio);
    page.detail("compression ratio", ratio, String::new());
}

fn devices(page: &mut Page, devices: &[SwapDeviceReport]) {
    if devices.is_empty() {
        return;
    }
    table(page, ["Swap devices", "slots", "in use", "priority", "model"], devices, |device| {
        let model = device.model.as_deref().unwrap_or("flat").to_owned();
        [grouped(device.slots), grouped(device.used), device.priority.to_string(), model]
    });
    table(page, ["", "read", "written", "failed", "busy µs"], devices, |device| {
        [device.pages_in, device.pages_out, device.errors, device.busy_ns / 1000].map(grouped)
    });
}

fn table(
    page: &mut Page,
    heading: [&str; 5],
    devices: &[SwapDeviceReport],
    cells: impl Fn(&SwapDeviceReport) -> [String; 4],
) {
    let rows = devices
        .iter()
        .map(|device| std::iter::once(format!("  {}", device.name)).chain(cells(device)).collect());
    page.blank();
    page.table(std::iter::once(heading.map(str::to_owned).to_vec()).chain(rows).collect());
}
