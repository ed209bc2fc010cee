//! Memory, with somebody who looks at every reference: a [`Bus`] around [`Memory`].
//!
//! It does what [`Memory`] does, and tells the observer of each load and store that succeeded. Of
//! fetches it tells the pages: within a page they need no telling, as every instruction is
//! fetched. So that a change of the page is never missed, decoded blocks are entered through a
//! fetch each time: [`Bus::epoch`] is another at every look.

use pagewalk_cpu::{Bus, Code, Counter, Effect, MemFault, RefTime, Value};
use pagewalk_mmu::PhysAddr;
use pagewalk_replacement::Policy;

use super::Observer;
use crate::memory::Memory;

/// The bus; see the module.
#[derive(Debug)]
pub(crate) struct ObservedBus<'a> {
    pub memory: &'a mut Memory,
    pub observer: &'a mut Observer,
    /// The policy, if it is to see every reference.
    pub policy: Option<&'a mut dyn Policy>,
}

impl Bus for ObservedBus<'_> {
    #[inline(always)]
    fn load<T: Value>(&mut self, va: u64, now: RefTime) -> Result<(T, Effect), MemFault> {
        let (observer, policy) = (&mut *self.observer, &mut self.policy);
        self.memory.load_seen(va, now, |first, second| observer.data(first, second, now, policy))
    }

    #[inline(always)]
    fn store<T: Value>(&mut self, va: u64, value: T, now: RefTime) -> Result<Effect, MemFault> {
        let (observer, policy) = (&mut *self.observer, &mut self.policy);
        let see = |first, second| observer.data(first, second, now, policy);
        self.memory.store_seen(va, value, now, see)
    }

    fn update<T: Value>(
        &mut self,
        va: u64,
        now: RefTime,
        new: impl FnOnce(T) -> T,
    ) -> Result<(T, Effect), MemFault> {
        let (observer, policy) = (&mut *self.observer, &mut self.policy);
        let see = |first, second| observer.data(first, second, now, policy);
        self.memory.update_seen(va, now, new, see)
    }

    fn fetch(&mut self, pc: u64, now: RefTime) -> Result<Code, MemFault> {
        let code = self.memory.fetch(pc, now)?;
        self.observer.fetch(PhysAddr(code.pa), now, &mut self.policy);
        Ok(code)
    }

    fn code_parcel(&self, pa: u64) -> u16 {
        self.memory.code_parcel(pa)
    }

    fn watch_code(&mut self, pa: u64) {
        self.memory.watch_code(pa);
    }

    fn take_changed_code(&mut self) -> Option<u64> {
        self.memory.take_changed_code()
    }

    fn code_frame_shift(&self) -> u8 {
        self.memory.code_frame_shift()
    }

    fn epoch(&self) -> u64 {
        self.observer.next_epoch()
    }

    fn enter_code(&mut self, slot: u32) {
        self.memory.enter_code(slot);
    }

    fn touch_code(&mut self, now: RefTime) {
        self.memory.touch_code(now);
    }

    fn counter(&mut self, which: Counter, retired: u64, references: u64) -> u64 {
        self.memory.counter(which, retired, references)
    }
}
