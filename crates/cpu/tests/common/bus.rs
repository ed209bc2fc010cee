//! A flat memory as a [`Bus`].
//!
//! ```text
//!   va:  base ──────────────────────────► base + len          pa = va - base
//!        │ page 0 │ page 1 │ …            a page faults for as long as it is not mapped
//! ```
//!
//! 1. A store into watched code moves the epoch and is reported once, as a machine must.
//! 2. The latest fetch of every page is kept, so that two ways of running can be compared.

use pagewalk_cpu::{AccessKind, Bus, Code, Counter, Effect, MemFault, RefTime, Value};

/// The page size.
pub const PAGE: u64 = 4096;

/// A data access, as it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub kind: AccessKind,
    pub va: u64,
    pub bytes: usize,
    pub now: RefTime,
    /// The page that instructions are fetched from: its fetch has just been used.
    pub code_page: usize,
}

/// Memory from a base address on.
#[derive(Clone, Debug)]
pub struct FlatBus {
    pub base: u64,
    pub memory: Vec<u8>,
    mapped: Vec<bool>,
    watched: Vec<bool>,
    changed: Vec<u64>,
    epoch: u64,
    code_slot: usize,
    /// The latest fetch of each page.
    pub fetched: Vec<u64>,
    /// Data accesses that succeeded, if they are to be kept.
    pub log: Option<Vec<Access>>,
    /// Data accesses tried: loads, stores.
    pub loads: u64,
    pub stores: u64,
    /// Addresses translated for fetches.
    pub fetches: u64,
}

impl FlatBus {
    /// Zeroed memory, all of it mapped.
    pub fn new(base: u64, pages: usize) -> Self {
        assert!(base.is_multiple_of(PAGE));
        Self {
            base,
            memory: vec![0; pages * PAGE as usize],
            mapped: vec![true; pages],
            watched: vec![false; pages],
            changed: Vec::new(),
            epoch: 0,
            code_slot: 0,
            fetched: vec![0; pages],
            log: None,
            loads: 0,
            stores: 0,
            fetches: 0,
        }
    }

    /// Memory that begins with these bytes, and has `pages` pages.
    pub fn with_image(base: u64, image: &[u8], pages: usize) -> Self {
        let mut bus = Self::new(base, pages);
        bus.memory[..image.len()].copy_from_slice(image);
        bus
    }

    /// Maps the page of an address, or unmaps it: translations of code change with it.
    pub fn set_mapped(&mut self, va: u64, mapped: bool) {
        let page = self.page(va).expect("an address inside the memory");
        self.mapped[page] = mapped;
        self.epoch += 1;
    }

    /// Unmaps everything.
    pub fn unmap_all(&mut self) {
        self.mapped.fill(false);
        self.epoch += 1;
    }

    pub fn is_inside(&self, va: u64) -> bool {
        self.page(va).is_some()
    }

    /// The bytes at an address.
    pub fn bytes(&self, va: u64, len: usize) -> &[u8] {
        &self.memory[(va - self.base) as usize..][..len]
    }

    /// Puts 32-bit instructions, or data, somewhere, as a loader does before anything runs.
    pub fn put_words(&mut self, va: u64, words: &[u32]) {
        for (i, word) in words.iter().enumerate() {
            let at = (va - self.base) as usize + 4 * i;
            self.memory[at..][..4].copy_from_slice(&word.to_le_bytes());
        }
    }

    fn page(&self, va: u64) -> Option<usize> {
        let page = va.checked_sub(self.base)? / PAGE;
        (page < self.mapped.len() as u64).then_some(page as usize)
    }

    fn translate(&self, va: u64, kind: AccessKind) -> Result<usize, MemFault> {
        match self.page(va) {
            Some(page) if self.mapped[page] => Ok((va - self.base) as usize),
            _ => Err(MemFault { va, kind }),
        }
    }

    /// Where an access goes, all of its bytes being mapped.
    fn place(&self, va: u64, bytes: usize, kind: AccessKind) -> Result<usize, MemFault> {
        let place = self.translate(va, kind)?;
        let last = va.wrapping_add(bytes as u64 - 1);
        if last / PAGE != va / PAGE {
            self.translate(last & !(PAGE - 1), kind)?;
        }
        Ok(place)
    }

    fn record(&mut self, kind: AccessKind, va: u64, bytes: usize, now: RefTime) {
        if let Some(log) = &mut self.log {
            log.push(Access { kind, va, bytes, now, code_page: self.code_slot });
        }
    }

    fn written(&mut self, place: usize, bytes: usize) -> Effect {
        let mut effect = Effect::None;
        for page in place / PAGE as usize..=(place + bytes - 1) / PAGE as usize {
            if std::mem::take(&mut self.watched[page]) {
                self.changed.push(page as u64 * PAGE);
                self.epoch += 1;
                effect = Effect::CodeChanged;
            }
        }
        effect
    }
}

impl Bus for FlatBus {
    fn load<T: Value>(&mut self, va: u64, now: RefTime) -> Result<(T, Effect), MemFault> {
        self.loads += 1;
        let place = self.place(va, T::BYTES, AccessKind::Load)?;
        self.record(AccessKind::Load, va, T::BYTES, now);
        Ok((T::from_le(&self.memory[place..][..T::BYTES]), Effect::None))
    }

    fn store<T: Value>(&mut self, va: u64, value: T, now: RefTime) -> Result<Effect, MemFault> {
        self.update::<T>(va, now, |_| value).map(|(_, effect)| effect)
    }

    fn update<T: Value>(
        &mut self,
        va: u64,
        now: RefTime,
        new: impl FnOnce(T) -> T,
    ) -> Result<(T, Effect), MemFault> {
        self.stores += 1;
        let place = self.place(va, T::BYTES, AccessKind::Store)?;
        self.record(AccessKind::Store, va, T::BYTES, now);
        let bytes = &mut self.memory[place..][..T::BYTES];
        let old = T::from_le(bytes);
        new(old).to_le(bytes);
        Ok((old, self.written(place, T::BYTES)))
    }

    fn fetch(&mut self, pc: u64, now: RefTime) -> Result<Code, MemFault> {
        self.fetches += 1;
        let pa = self.translate(pc, AccessKind::Fetch)? as u64;
        let page = (pa / PAGE) as usize;
        assert!(now.0 >= self.fetched[page], "time runs backwards");
        self.fetched[page] = now.0;
        Ok(Code { pa, room: (PAGE - pa % PAGE) as u32, slot: page as u32 })
    }

    fn code_parcel(&self, pa: u64) -> u16 {
        u16::from_le_bytes([self.memory[pa as usize], self.memory[pa as usize + 1]])
    }

    fn watch_code(&mut self, pa: u64) {
        self.watched[(pa / PAGE) as usize] = true;
    }

    fn take_changed_code(&mut self) -> Option<u64> {
        self.changed.pop()
    }

    fn code_frame_shift(&self) -> u8 {
        PAGE.trailing_zeros() as u8
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn enter_code(&mut self, slot: u32) {
        assert!(self.mapped[slot as usize], "code entered through a translation that is gone");
        self.code_slot = slot as usize;
    }

    fn touch_code(&mut self, now: RefTime) {
        let latest = &mut self.fetched[self.code_slot];
        assert!(now.0 >= *latest & !3, "time runs backwards");
        *latest = now.0.max(*latest);
    }

    fn counter(&mut self, which: Counter, retired: u64, references: u64) -> u64 {
        match which {
            Counter::Cycle => 3 * retired + references,
            Counter::Time => retired / 7,
            Counter::Instret => retired,
        }
    }
}
