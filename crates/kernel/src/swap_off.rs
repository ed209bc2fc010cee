//! Taking the swap device out of use, and back into it (swapoff(2), swapon(2)).
//!
//! ```text
//!   off:  no slot is given out any more
//!         every page of every space, and of every object, that is on the device comes back
//!         slots that frames keep are given up: those pages are dirty from then on
//!         all slots are free; else the device is in use again, and the call has failed
//! ```
//!
//! Pages that come back need frames, for which only pages of files and clean pages of the swap cache
//! can make room: those go back to their slots, so a round may have to be followed by another. Each
//! round must leave fewer slots in use.

use crate::fault::{Fault, Refusal};
use crate::{Errno, Kernel, Mapping, Platform, Pmap, SpaceId};
use pagewalk_mmu::{AccessKind, Pfn, VirtAddr};

impl<P: Pmap> Kernel<P> {
    /// Takes the device out of use.
    ///
    /// # Errors
    /// `Einval` if it is off or there is none, `Enomem` if its pages do not fit memory, `Eio` if one
    /// cannot be read. The device stays in use then.
    pub fn swap_off(&mut self, platform: &mut impl Platform) -> Result<(), Errno> {
        if !self.swap.is_on() {
            return Err(Errno::Einval);
        }
        self.swap.set_on(false);
        let result = self.empty_swap(platform);
        self.swap.set_on(result.is_err());
        result
    }

    /// Takes the device into use again.
    ///
    /// # Errors
    /// `Ebusy` if it is, `Einval` if there is none.
    pub fn swap_on(&mut self) -> Result<(), Errno> {
        match (self.swap.is_on(), self.swap.total()) {
            (_, 0) => Err(Errno::Einval),
            (true, _) => Err(Errno::Ebusy),
            (false, _) => {
                self.swap.set_on(true);
                Ok(())
            }
        }
    }

    fn empty_swap(&mut self, platform: &mut impl Platform) -> Result<(), Errno> {
        self.give_up_slots();
        while self.swap.used() > 0 {
            let before = self.swap.used();
            for index in 0..self.spaces.len() {
                if self.spaces[index].is_some() {
                    self.bring_space_back(platform, SpaceId(index as u32))?;
                }
            }
            self.bring_objects_back(platform)?;
            self.give_up_slots();
            if self.swap.used() >= before {
                return Err(Errno::Enomem);
            }
        }
        Ok(())
    }

    fn bring_space_back(&mut self, platform: &mut impl Platform, id: SpaceId) -> Result<(), Errno> {
        let (mut at, end) = (VirtAddr(0), self.space(id).layout.user_end);
        while let Some(va) = self.next_swapped(platform, id, at, end) {
            let region = *self.space(id).regions.find(va).ok_or(Errno::Eio)?;
            // It is the kernel's access: what the region allows does not matter.
            let fault = Fault { space: id, page: va, kind: AccessKind::Read, region };
            self.reserve(platform, &fault).map_err(|_short| Errno::Enomem)?;
            if let Mapping::Swapped(slot) = self.space(id).pmap.lookup(platform, va) {
                let found = self.swap_in(platform, &fault, slot).map_err(errno)?;
                self.give_up_slot(found.pfn);
            }
            at = VirtAddr(va.0 + self.page.bytes());
        }
        Ok(())
    }

    fn bring_objects_back(&mut self, platform: &mut impl Platform) -> Result<(), Errno> {
        for (id, index) in self.objects.swapped() {
            self.reserve_frames(platform, 1).map_err(|_short| Errno::Enomem)?;
            let (pfn, _) = self.object_page(platform, id, index).map_err(errno)?;
            self.give_up_slot(pfn);
        }
        Ok(())
    }

    /// Frames keep no slot that nobody names.
    fn give_up_slots(&mut self) {
        for pfn in (0..self.frames.total()).map(Pfn) {
            self.give_up_slot(pfn);
        }
    }
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Signal(_) => Errno::Eio,
        Refusal::OutOfMemory(_) => Errno::Enomem,
    }
}
