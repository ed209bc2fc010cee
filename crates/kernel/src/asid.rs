//! Who has each address-space identifier of the TLB.
//!
//! Spaces have numbers of 16 bits; the TLB compares the lowest of them: 6 bits on the R3000, 12 of an
//! x86 PCID, 9 or 16 of RISC-V's. Two spaces that agree in those have one identifier, and it is
//! recycled whenever the other is to run:
//!
//! ```text
//!   space 5 runs     identifier 5: nobody's ──► 5's
//!   space 69 runs    identifier 5: 5's      ──► 69's     flush first (6 bits: 69 = 64 + 5)
//!   space 5 runs     identifier 5: 69's     ──► 5's      flush first
//! ```
//!
//! As the lowest free number is given to a new space, that happens only while more spaces live than
//! there are identifiers. A TLB without tags has no identifiers, and flushes by itself.
//!
//! Invariant: of all spaces that share an identifier, only its owner has entries in the TLB.

use alloc::collections::BTreeMap;
use pagewalk_mmu::Asid;

/// The owners of all identifiers.
#[derive(Clone, Debug, Default)]
pub struct AsidOwners {
    mask: u16,
    owners: BTreeMap<u16, Asid>,
}

impl AsidOwners {
    /// Identifiers of `bits` bits; 0 for a TLB without tags. More than 16 are as good as 16.
    pub fn new(bits: u8) -> Self {
        let mask = u16::MAX.checked_shr(u16::BITS.saturating_sub(bits.into())).unwrap_or(0);
        Self { mask, owners: BTreeMap::new() }
    }

    /// Gives `space`, which is about to run, its identifier. If another space had it, that is
    /// returned, and what the TLB holds under the identifier must be flushed before `space` runs.
    #[must_use = "the TLB may hold translations of the former owner"]
    pub fn take(&mut self, space: Asid) -> Option<Asid> {
        if self.mask == 0 {
            return None;
        }
        let before = self.owners.insert(space.0 & self.mask, space);
        before.filter(|&owner| owner != space)
    }

    /// The space that has the identifier now.
    pub fn owner(&self, identifier: Asid) -> Option<Asid> {
        self.owners.get(&(identifier.0 & self.mask)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_that_changes_hands_is_flushed() {
        let mut six = AsidOwners::new(6);
        let taken: [Option<u16>; 7] =
            [5, 69, 69, 5, 6, 5, 133].map(|space| six.take(Asid(space)).map(|owner| owner.0));
        assert_eq!(taken, [None, Some(5), None, Some(69), None, None, Some(5)]);
        assert_eq!(six.owner(Asid(5)), Some(Asid(133)));
        assert_eq!((six.owner(Asid(6)), six.owner(Asid(7))), (Some(Asid(6)), None));
    }

    #[test]
    fn all_bits_and_none_recycle_nothing() {
        for bits in [0, 16, 200] {
            let mut owners = AsidOwners::new(bits);
            assert!((1..=u16::MAX).all(|space| owners.take(Asid(space)).is_none()), "{bits}");
        }
    }
}
