//! What a hart asks of the machine around it.

/// What an access does at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// Instruction fetch.
    Fetch,
    /// Data load, load-reserved.
    Load,
    /// Data store, store-conditional, atomic read-modify-write.
    Store,
}

/// An access that the machine could not perform; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemFault {
    /// The virtual address that faulted: of the second page's first byte, if an access crosses
    /// into a page that is at fault.
    pub va: u64,
    /// What was tried.
    pub kind: AccessKind,
}

/// The time of a reference in program order.
///
/// ```text
///   | instructions retired before this one + 1 | slot |    slot 0: fetch   1: fetch, second page
///                                                                2: data    3: data, second page
/// ```
///
/// It grows with every reference, so the most recently used of several TLB entries is the one with
/// the largest time, whoever wrote it down and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefTime(pub u64);

impl RefTime {
    /// The fetch of the instruction that follows `retired` others.
    #[inline(always)]
    pub const fn fetch(retired: u64) -> Self {
        Self((retired + 1) << 2)
    }

    /// The data reference of the instruction that follows `retired` others.
    #[inline(always)]
    pub const fn data(retired: u64) -> Self {
        Self((retired + 1) << 2 | 2)
    }

    /// The fetch of the same instruction.
    #[inline(always)]
    pub const fn own_fetch(self) -> Self {
        Self(self.0 & !3)
    }

    /// Instructions retired before the one that makes the reference.
    #[inline(always)]
    pub const fn instructions(self) -> u64 {
        (self.0 >> 2) - 1
    }

    /// The same reference's part in the next page.
    #[inline(always)]
    pub const fn second_page(self) -> Self {
        Self(self.0 | 1)
    }
}

/// What an access changed beside registers and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that concerns decoded code.
    None,
    /// Code, or its translation, may have changed ([`Bus::epoch`] moved): decoded code must be
    /// looked up again before the next instruction.
    CodeChanged,
}

/// Where the instruction at some address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its physical address.
    pub pa: u64,
    /// The bytes from here to the end of its page (of its base page, if the page is large).
    pub room: u32,
    /// The machine's name for the translation used, for [`Bus::enter_code`].
    pub slot: u32,
}

/// The counters that a program can read (Zicntr).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// `cycle`.
    Cycle,
    /// `time`.
    Time,
    /// `instret`.
    Instret,
}

/// Memory, as a hart sees it.
///
/// Little-endian, any alignment. Every method that takes a time makes a reference of its own; the
/// hart counts references, the machine what they cost.
pub trait Bus {
    /// Loads a value.
    ///
    /// # Errors
    /// The fault, if a page of it cannot be read.
    fn load<T: Value>(&mut self, va: u64, now: RefTime) -> Result<(T, Effect), MemFault>;

    /// Stores a value.
    ///
    /// # Errors
    /// The fault, if a page of it cannot be written; then no byte was.
    fn store<T: Value>(&mut self, va: u64, value: T, now: RefTime) -> Result<Effect, MemFault>;

    /// Replaces a value atomically and returns the old one: one reference, a store.
    ///
    /// # Errors
    /// The fault, if it cannot be written.
    fn update<T: Value>(
        &mut self,
        va: u64,
        now: RefTime,
        new: impl FnOnce(T) -> T,
    ) -> Result<(T, Effect), MemFault>;

    /// Translates the address of an instruction.
    ///
    /// # Errors
    /// The fault, if its page cannot be executed.
    fn fetch(&mut self, pc: u64, now: RefTime) -> Result<Code, MemFault>;

    /// Reads two bytes of code at a physical address that [`Bus::fetch`] returned.
    fn code_parcel(&self, pa: u64) -> u16;

    /// Tells that decoded code of this frame is kept: a change of its bytes must move the epoch
    /// and be reported by [`Bus::take_changed_code`].
    fn watch_code(&mut self, pa: u64);

    /// A physical address in each watched frame whose bytes changed since the last call, one at a
    /// time; a frame reported is watched no more.
    fn take_changed_code(&mut self) -> Option<u64>;

    /// Binary logarithm of the frame size that [`Bus::watch_code`] watches by.
    fn code_frame_shift(&self) -> u8;

    /// A number that moves whenever a translation of code is dropped or watched code changes. It never
    /// comes back to a value that it had, and no two harts that share decoded blocks have the same.
    fn epoch(&self) -> u64;

    /// From now on instructions are fetched through the translation `slot`.
    fn enter_code(&mut self, slot: u32);

    /// The latest fetch through the current translation was at `now`. The machine itself does the
    /// same, with [`RefTime::own_fetch`], before it decides anything that depends on recency.
    fn touch_code(&mut self, now: RefTime);

    /// Reads a counter, `retired` instructions having been retired and `references` begun by them
    /// and by those that faulted.
    fn counter(&mut self, which: Counter, retired: u64, references: u64) -> u64;
}

/// A value that is loaded or stored.
pub trait Value: Copy {
    /// Its size in bytes.
    const BYTES: usize;
    /// From little-endian bytes, of which there are [`Value::BYTES`].
    fn from_le(bytes: &[u8]) -> Self;
    /// To little-endian bytes, of which there are [`Value::BYTES`].
    fn to_le(self, bytes: &mut [u8]);
}

macro_rules! value {
    ($($t:ty),*) => {$(
        impl Value for $t {
            const BYTES: usize = size_of::<$t>();

            #[inline(always)]
            fn from_le(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$t>()];
                array.copy_from_slice(bytes);
                Self::from_le_bytes(array)
            }

            #[inline(always)]
            fn to_le(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

value!(u8, u16, u32, u64);
