//! What has left the first level, for those who keep host pointers to its pages.

use super::entry::{Side, Slot};
use super::key::Key;
use crate::{PageSize, VirtAddr};
use alloc::{vec, vec::Vec};

/// The longest list kept; beyond it "everything" is cheaper to handle than to tell.
const LISTED_MAX: usize = 64;

/// Something that left a first-level TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Any entry of either side may have left. Nothing else is listed with it.
    Everything,
    /// One entry left. By now the slot may hold another.
    Entry {
        /// The side, or `None` if both share one array.
        side: Option<Side>,
        /// Where it was.
        slot: Slot,
        /// The first address of the page that it translated.
        va: VirtAddr,
        /// The page's size.
        page: PageSize,
    },
}

/// The list, until it is taken.
#[derive(Clone, Debug, Default)]
pub(super) struct DroppedList(Vec<Dropped>);

impl DroppedList {
    pub fn push(&mut self, side: Option<Side>, slot: Slot, key: Key) {
        match self.0.first() {
            Some(Dropped::Everything) => {}
            _ if self.0.len() == LISTED_MAX => self.everything(),
            _ => self.0.push(Dropped::Entry { side, slot, va: key.base(), page: key.page() }),
        }
    }

    pub fn everything(&mut self) {
        self.0.clear();
        self.0.push(Dropped::Everything);
    }

    #[inline]
    pub fn take(&mut self) -> vec::Drain<'_, Dropped> {
        self.0.drain(..)
    }
}
