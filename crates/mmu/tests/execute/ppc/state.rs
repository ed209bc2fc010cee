//! The states of the PowerPC: what is enumerated, and what our walker says about each.
//!
//! ```text
//!   enumerated   PP, R, C, W I M G · Ks, Kp, N · load, store, fetch · PR · HTABMASK
//!                where the PTE is: nowhere, one of 8 + 8 places
//!                two decoys: none, V clear, VSID, API or H off by one bit · in which group
//!   drawn        VSID, EA, HTABORG, frames, the decoys' places
//! ```

use super::machine::{LOADED_BYTES, Machine, PTES, table_base};
use crate::common::Random;
use crate::execute::Digits;
use pagewalk_mmu::hashed::ppc::{GROUP, PTE_BYTES, Pte, Segment, group_address, hash, translate};
use pagewalk_mmu::{
    Access, AccessKind, ArchFault, EntryWidth, OutOfMemory, PhysAddr, Privilege, TableMemory,
    Translation, VirtAddr,
};
use std::collections::BTreeMap;

const R: u32 = 1 << 8;
const C: u32 = 1 << 7;
const WIMG: u64 = 0x78;
const G: u32 = 1 << 3;
const PP: u32 = 3;
/// PP with which every key reads and writes.
const READ_WRITE: u32 = 2;
const H: u32 = 1 << 6;
const V: u32 = 1 << 31;

/// One access and everything that it depends on.
#[derive(Clone, Debug)]
pub struct State {
    pub sdr1: u32,
    pub segment: Segment,
    pub ea: u32,
    pub access: Access,
    /// What a store stores.
    pub marker: u32,
    /// The PTEs that are not zero, and where they lie. The first is the page's, if it has one.
    pub ptes: Vec<(PhysAddr, Pte)>,
    pub mapped: bool,
}

/// What an access came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A load or fetch: where it came from.
    At(PhysAddr),
    /// A store, which shows in memory.
    Stored,
    /// An exception.
    Fault(ArchFault),
}

/// What was seen, or should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Something that no access can come to is an error.
    pub effect: Result<Effect, String>,
    /// The PTEs afterwards.
    pub after: Vec<Pte>,
}

/// A PTE that is nearly the page's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decoy {
    None,
    Invalid,
    Vsid,
    Api,
    Hash,
}

const DECOYS: [Decoy; 5] = [Decoy::None, Decoy::Invalid, Decoy::Vsid, Decoy::Api, Decoy::Hash];

/// How many states there are, without what is drawn.
pub fn combinations(machine: &Machine) -> u64 {
    let mut digits = Digits::new(0);
    let _ = State::compose(machine, &mut digits, &mut Random(0));
    digits.product()
}

impl State {
    /// The state of a number; `seed` draws the rest. A store still has to be given its offset.
    pub fn new(machine: &Machine, number: u64, seed: u64) -> Self {
        Self::compose(machine, &mut Digits::new(number), &mut Random(seed ^ number))
    }

    fn compose(machine: &Machine, digits: &mut Digits, random: &mut Random) -> Self {
        let kinds = [AccessKind::Read, AccessKind::Write, AccessKind::Execute];
        let kind = digits.pick(&kinds);
        let privilege = digits.pick(&[Privilege::User, Privilege::Supervisor]);
        let segment = Segment {
            supervisor_key: digits.flag(),
            user_key: digits.flag(),
            no_execute: digits.flag(),
            vsid: random.next() as u32 & 0xff_ffff,
        };
        let word1 = digits.below(4) as u32
            | digits.bits(WIMG) as u32
            | if digits.flag() { R } else { 0 }
            | if digits.flag() { C } else { 0 };
        let mask = (1 << digits.below(10)) - 1;
        let sdr1 = table_base(random.next() as u32) | aligned(random.next() as u32, mask) | mask;
        let ea = random.next() as u32 & !0xfff | offset(kind, random);
        let index = ea >> 12 & 0xffff;

        let mut taken = Vec::new();
        let mut ptes = Vec::new();
        let mut put = |secondary, slot: u64, tag, word1: u32| {
            let group = group_address(sdr1, hash(segment.vsid, index, secondary));
            let slots = (0..GROUP).map(|n| PhysAddr(group.0 + (slot + n) % GROUP * PTE_BYTES));
            let at = slots.into_iter().find(|at| !taken.contains(at)).expect("four in eight");
            taken.push(at);
            ptes.push((at, Pte { word0: tag, word1 }));
        };
        let frame = |random: &mut Random| machine.frame(kind, random.next()) << 12;
        // One place in 17 is none at all.
        let place = digits.below(2 * GROUP + 1);
        let mapped = place < 2 * GROUP;
        if mapped {
            let secondary = place >= GROUP;
            let tag = Pte::tag(segment.vsid, index, secondary);
            put(secondary, place % GROUP, tag, frame(random) | word1);
        }
        for _ in 0..2 {
            let (decoy, secondary) = (digits.pick(&DECOYS), digits.flag());
            let tag = Pte::tag(segment.vsid, index, secondary);
            let tag = match decoy {
                Decoy::None => continue,
                Decoy::Invalid => tag & !V,
                Decoy::Vsid => tag ^ 1 << (7 + random.below(24)),
                Decoy::Api => tag ^ 1 << random.below(6),
                Decoy::Hash => tag ^ H,
            };
            put(secondary, random.next() % GROUP, tag, frame(random) | READ_WRITE);
        }
        assert!(ptes.len() <= PTES);
        let access = Access { kind, privilege };
        Self { sdr1, segment, ea, access, marker: 0, ptes, mapped }
    }

    /// What our walker says, and the PTEs that it leaves.
    pub fn walk(&self) -> (Result<Translation, ArchFault>, Vec<Pte>) {
        let mut words = Words::default();
        for (at, pte) in &self.ptes {
            words.put(*at, pte.word0);
            words.put(PhysAddr(at.0 + 4), pte.word1);
        }
        let va = VirtAddr(u64::from(self.ea));
        let got = translate(&mut words, self.sdr1, self.segment, va, self.access, &mut ());
        let pte = |at: PhysAddr| Pte { word0: words.get(at), word1: words.get(PhysAddr(at.0 + 4)) };
        let after = self.ptes.iter().map(|&(at, _)| pte(at)).collect();
        (got.map_err(|fault| fault.arch), after)
    }

    /// What should be seen.
    pub fn expected(&self) -> Observed {
        let (got, after) = self.walk();
        let effect = match got {
            Ok(_) if self.access.kind == AccessKind::Write => Effect::Stored,
            Ok(translation) => Effect::At(translation.pa),
            Err(fault) => Effect::Fault(fault),
        };
        Observed { effect: Ok(effect), after }
    }

    /// What QEMU makes of a fetch that the manual forbids and QEMU allows: from guarded memory
    /// (PEM 6.4.4, SRR1 bit 3), or from a page that the key cannot even read (7.5.4: fetches are
    /// checked as loads; QEMU tests N alone). `None` for all other states.
    pub fn unchecked_fetch(&self) -> Option<Observed> {
        let fetch = self.access.kind == AccessKind::Execute && !self.segment.no_execute;
        let key = match self.access.privilege {
            Privilege::User => self.segment.user_key,
            Privilege::Supervisor => self.segment.supervisor_key,
        };
        let (_, page) = self.ptes.first().filter(|_| self.mapped && fetch)?;
        let refused = page.guarded() || (key && page.protection() == 0);
        if !refused {
            return None;
        }
        // The same page with nothing that forbids the fetch; its own bits with R.
        let mut allowed = self.clone();
        allowed.ptes[0].1.word1 = page.word1 & !(G | PP) | READ_WRITE;
        let mut observed = allowed.expected();
        observed.after[0].word1 = page.word1 | R;
        Some(observed)
    }
}

/// An offset in the page: a word that is loaded, or a piece of code.
fn offset(kind: AccessKind, random: &mut Random) -> u32 {
    match kind {
        AccessKind::Read => random.below(LOADED_BYTES / 4) as u32 * 4,
        AccessKind::Write => 0,
        AccessKind::Execute => random.below(0x1000 / 16) as u32 * 16,
    }
}

/// Upper bits for a table of 2^16 × (`mask` + 1) bytes within 32 MiB.
fn aligned(random: u32, mask: u32) -> u32 {
    random & 0x01ff_0000 & !(mask << 16)
}

/// Words of memory that are zero unless they were written; little-endian, as a [`TableMemory`].
#[derive(Default)]
struct Words(BTreeMap<u64, u32>);

impl Words {
    fn put(&mut self, at: PhysAddr, word: u32) {
        self.0.insert(at.0, word);
    }

    fn get(&self, at: PhysAddr) -> u32 {
        self.0.get(&at.0).copied().unwrap_or(0)
    }
}

impl TableMemory for Words {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        assert_eq!(width, EntryWidth::Four);
        Ok(u64::from(self.get(at).swap_bytes()))
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        assert_eq!(width, EntryWidth::Four);
        self.put(at, (value as u32).swap_bytes());
        Ok(())
    }
}
