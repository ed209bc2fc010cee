//! The page table of the text books: pages of any size, numbers in decimal.
//!
//! ```text
//!   1492 = 14 × 100 + 92        page 14, offset 92
//!   table[14] = 27              frame 27
//!   27 × 100 + 92 = 2792
//! ```
//!
//! Hardware takes a power of two, so that the division is a selection of bits; the idea needs none.

use std::collections::BTreeMap;

use pagewalk_mmu::FaultCause;

use crate::record::{Explanation, Outcome, Part, Reference};

/// A single-level page table with pages of any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecimalTable {
    page: u64,
    frames: BTreeMap<u64, u64>,
}

impl DecimalTable {
    /// A table of pages of `page` addresses each: page number to frame number.
    ///
    /// # Errors
    /// If a page has no address at all.
    pub fn new(page: u64, frames: BTreeMap<u64, u64>) -> Result<Self, String> {
        match page {
            0 => Err("a page of 0 addresses holds nothing: give at least 1".into()),
            _ => Ok(Self { page, frames }),
        }
    }

    /// Explains the translation of an address.
    pub fn explain(&self, address: u64) -> Explanation {
        let (number, offset) = (address / self.page, address % self.page);
        let frame = self.frames.get(&number).copied();
        let physical = frame.and_then(|frame| frame.checked_mul(self.page)?.checked_add(offset));
        let fault = |cause: FaultCause| Outcome::Fault {
            cause: cause.to_string(),
            exception: "page fault".into(),
            level: Some(0),
        };
        let part = |name: &str, value| Part { name: name.into(), high: None, low: None, value };
        Explanation {
            mmu: "linear".into(),
            address,
            access: "read".into(),
            privilege: "user".into(),
            segment: None,
            split: vec![part("page", number), part("offset", offset)],
            tlb: None,
            exceptions: Vec::new(),
            walk_cache: None,
            root: 0,
            references: vec![Reference {
                entry: "entry".into(),
                index: Some(number),
                at: None,
                raw: frame.unwrap_or(0),
                width: 64,
                bits: Vec::new(),
                decision: match frame {
                    Some(frame) => format!("frame {frame}"),
                    None => "not present: page fault".into(),
                },
            }],
            permission: None,
            updates: Vec::new(),
            outcome: match (physical, frame) {
                (Some(physical), Some(frame)) => {
                    Outcome::Translated { physical, frame, page_bytes: self.page, offset }
                }
                (None, Some(_)) => fault(FaultCause::NoMemory),
                (_, None) => fault(FaultCause::NotPresent),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(page: u64, frames: &[(u64, u64)]) -> DecimalTable {
        DecimalTable::new(page, frames.iter().copied().collect()).unwrap()
    }

    fn physical(table: &DecimalTable, address: u64) -> Option<u64> {
        match table.explain(address).outcome {
            Outcome::Translated { physical, .. } => Some(physical),
            Outcome::Placed { .. } | Outcome::Fault { .. } => None,
        }
    }

    /// Text 002's example.
    #[test]
    fn page_14_of_1492_lies_in_frame_27() {
        let table = table(100, &[(14, 27)]);
        assert_eq!(physical(&table, 1492), Some(2792));
        assert_eq!(physical(&table, 1500), None);
        let split = table.explain(1492).split;
        assert_eq!(split.iter().map(|part| part.value).collect::<Vec<_>>(), [14, 92]);
    }

    #[test]
    fn no_number_is_too_large() {
        let table = table(3, &[(u64::MAX / 3, u64::MAX)]);
        assert_eq!(physical(&table, u64::MAX), None);
        assert!(DecimalTable::new(0, BTreeMap::new()).is_err());
    }
}
