//! Taking a swap device out of use, and back into it (swapoff(2), swapon(2)).
//!
//! ```text
//!   off:  no slot of the device is given out any more
//!         every page of every space, and of every object, that is on the device comes back
//!         slots of it that frames keep are given up: those pages are dirty from then on
//!         all its slots are free; else the device is in use again, and the call has failed
//! ```
//!
//! Pages that come back need frames, for which pages of files, clean pages of the swap cache and, if
//! there is another device, all others can make room: clean pages go back to their slots, so a round
//! may have to be followed by another. Each round must leave fewer slots in use.

use crate::fault::{Fault, Refusal};
use crate::{Errno, Kernel, Mapping, Platform, Pmap, SpaceId, SwapArea};
use core::ops::Range;
use pagewalk_mmu::{AccessKind, Pfn, VirtAddr};

impl<P: Pmap> Kernel<P> {
    /// Takes the device of this number out of use.
    ///
    /// # Errors
    /// `Einval` if it is off or there is none, `Enomem` if its pages do not fit memory, `Eio` if one
    /// cannot be read. The device stays in use then.
    pub fn swap_off(&mut self, platform: &mut impl Platform, device: usize) -> Result<(), Errno> {
        if !self.swap.areas().get(device).is_some_and(SwapArea::is_on) {
            return Err(Errno::Einval);
        }
        self.swap.set_on(device, false);
        let result = self.empty_swap(platform, device);
        match result {
            Ok(()) => self.swap.close_gap(device),
            Err(_) => self.swap.set_on(device, true),
        }
        result
    }

    /// Takes the device of this number into use again, with this priority, or below all others.
    ///
    /// # Errors
    /// `Ebusy` if it is, `Einval` if there is none.
    pub fn swap_on(&mut self, device: usize, priority: Option<i32>) -> Result<(), Errno> {
        match self.swap.areas().get(device).map(SwapArea::is_on) {
            None => return Err(Errno::Einval),
            Some(true) => return Err(Errno::Ebusy),
            Some(false) => {}
        }
        let priority = priority.unwrap_or_else(|| self.swap.next_priority());
        self.swap.set_priority(device, priority);
        self.swap.set_on(device, true);
        Ok(())
    }

    fn empty_swap(&mut self, platform: &mut impl Platform, device: usize) -> Result<(), Errno> {
        let slots = self.swap.areas()[device].slots();
        self.give_up_slots(&slots);
        while self.swap.areas()[device].used() > 0 {
            let before = self.swap.areas()[device].used();
            for index in 0..self.spaces.len() {
                if self.spaces[index].is_some() {
                    self.bring_space_back(platform, SpaceId(index as u32), &slots)?;
                }
            }
            self.bring_objects_back(platform, &slots)?;
            self.give_up_slots(&slots);
            if self.swap.areas()[device].used() >= before {
                return Err(Errno::Enomem);
            }
        }
        Ok(())
    }

    fn bring_space_back(
        &mut self,
        platform: &mut impl Platform,
        id: SpaceId,
        slots: &Range<u32>,
    ) -> Result<(), Errno> {
        let (mut at, end) = (VirtAddr(0), self.space(id).layout.user_end);
        while let Some((va, slot)) = self.next_swapped(platform, id, at, end) {
            at = VirtAddr(va.0 + self.page.bytes());
            if !slots.contains(&slot.0) {
                continue;
            }
            let region = *self.space(id).regions.find(va).ok_or(Errno::Eio)?;
            // It is the kernel's access: what the region allows does not matter.
            let fault = Fault { space: id, page: va, kind: AccessKind::Read, region };
            self.reserve(platform, &fault).map_err(|_short| Errno::Enomem)?;
            if let Mapping::Swapped(slot) = self.space(id).pmap.lookup(platform, va) {
                let found = self.swap_in(platform, &fault, slot).map_err(errno)?;
                self.give_up_slot(found.pfn);
            }
        }
        Ok(())
    }

    fn bring_objects_back(
        &mut self,
        platform: &mut impl Platform,
        slots: &Range<u32>,
    ) -> Result<(), Errno> {
        for (id, index) in self.objects.swapped() {
            if !self.objects.slot(id, index).is_some_and(|slot| slots.contains(&slot.0)) {
                continue;
            }
            self.reserve_frames(platform, 1).map_err(|_short| Errno::Enomem)?;
            let (pfn, _) = self.object_page(platform, id, index).map_err(errno)?;
            self.give_up_slot(pfn);
        }
        Ok(())
    }

    /// Frames keep none of these slots that nobody names.
    fn give_up_slots(&mut self, slots: &Range<u32>) {
        for pfn in (0..self.frames.total()).map(Pfn) {
            if self.kept_slot(pfn).is_some_and(|slot| slots.contains(&slot.0)) {
                self.give_up_slot(pfn);
            }
        }
    }
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Signal(_) => Errno::Eio,
        Refusal::OutOfMemory(_) | Refusal::Wait(_) => Errno::Enomem,
    }
}
