//! Copying entries to another tree, for fork.
//!
//! ```text
//!   parent, level 0          child, level 0
//!   ┌────────────┐           ┌────────────┐
//!   │ n   rw  D  │ ───────►  │ n   r      │     and the parent's becomes  n  r
//!   │ slot       │ ───────►  │ slot       │
//!   │ empty      │           │ empty      │
//!   └────────────┘           └────────────┘
//! ```
//!
//! Table by table: the way to a table is walked once for all of its entries, and a table is made
//! for the child only where there is something to copy.

use super::RadixPmap;
use crate::{FlushDebt, FrameTable, Mapping, Platform, Pmap, Resident};
use core::fmt::Debug;
use pagewalk_mmu::radix::Radix;
use pagewalk_mmu::{Level, PhysAddr, VirtAddr};

const BASE: Level = Level(0);

impl<F: Radix + Clone + Debug> RadixPmap<F> {
    /// What [`Pmap::share_range`] says.
    pub(super) fn share_entries(
        &self,
        child: &mut Self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        (from, to): (VirtAddr, VirtAddr),
        share: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> Mapping,
    ) -> (Option<VirtAddr>, FlushDebt) {
        let mut debt = FlushDebt::none();
        let mut next = Some(from);
        while let Some(found) = next.and_then(|from| self.next_entry(platform, from, to)) {
            let (va, at) = (found.va, found.at);
            debug_assert_eq!(found.level, BASE, "{va} lies in a large page");
            let end = self.next_frame(va).unwrap_or(to).min(to);
            // The whole table is the child's already.
            if child.shared_at(va).is_some() {
                next = (end < to).then_some(end);
                continue;
            }
            if child.tables_missing(platform, va) > frames.free() {
                return (Some(va), debt);
            }
            debt = debt.and(self.share_table(child, platform, frames, (va, end), at, share));
            next = (end < to).then_some(end);
        }
        (None, debt)
    }

    /// Copies entries of one table, from that of `from` on, which is at `at`.
    fn share_table(
        &self,
        child: &mut Self,
        platform: &mut impl Platform,
        frames: &mut FrameTable,
        (from, to): (VirtAddr, VirtAddr),
        mut at: PhysAddr,
        share: &mut impl FnMut(&mut FrameTable, VirtAddr, Mapping) -> Mapping,
    ) -> FlushDebt {
        let (page, width) = (self.page_size(), self.geometry.entry.bytes());
        let mut debt = FlushDebt::none();
        let mut copied = 0;
        let mut to_child: Option<PhysAddr> = None;
        let mut va = from;
        while va < to {
            let raw = self.read(platform, at);
            let now = if raw == 0 { Mapping::None } else { self.decode_leaf(BASE, raw) };
            let new = if raw == 0 { now } else { share(frames, va, now) };
            if let (Mapping::Resident(now), Mapping::Resident(shared)) = (now, new) {
                let kept = Resident { referenced: now.referenced, ..shared };
                if kept != now {
                    self.write(platform, at, self.encode(BASE, kept));
                    debt = debt.and(FlushDebt::page(self.asid, va, page));
                }
            }
            let raw = match new {
                Mapping::None => None,
                Mapping::Resident(shared) => Some(self.encode(BASE, shared)),
                Mapping::Swapped(slot) => Some(self.encode_slot(Some(slot))),
            };
            if let Some(raw) = raw {
                let at =
                    *to_child.get_or_insert_with(|| child.entry_made(platform, frames, va, BASE));
                child.write(platform, at, raw);
                copied += 1;
            }
            va.0 += page.bytes();
            at.0 += width;
            if let Some(at) = &mut to_child {
                at.0 += width;
            }
        }
        if let Some(at) = to_child {
            frames.add_live(self.frame_of(PhysAddr(at.0 - width)), copied);
        }
        debt
    }
}
