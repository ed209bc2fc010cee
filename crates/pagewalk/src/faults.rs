//! `run --explain-faults N`: the first faults of a real program, explained.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use pagewalk_explain::{
    Base, Explanation, Outcome, SegmentUnit, explain_copy, explain_segmented_copy, explain_unpaged,
    text,
};
use pagewalk_machine::{FaultView, FaultWatcher, Segmentation};

/// The explanations so far; copies share them.
#[derive(Clone)]
pub struct FaultTexts(Arc<Mutex<Texts>>);

struct Texts {
    text: String,
    seen: u64,
    wanted: u64,
}

impl FaultTexts {
    /// Explains the first `wanted` faults.
    pub fn new(wanted: u64) -> Self {
        Self(Arc::new(Mutex::new(Texts { text: String::new(), seen: 0, wanted })))
    }

    /// What there is to read.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }
}

impl FaultWatcher for FaultTexts {
    fn before(&mut self, fault: &FaultView<'_>) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.seen += 1;
        if texts.seen > texts.wanted {
            return;
        }
        let FaultView { instructions, pc, .. } = fault;
        let number = texts.seen;
        // Writing to a string does not fail.
        let _ = writeln!(
            texts.text,
            "\nFault {number}: after {instructions} instructions, the one at {pc:#x}"
        );
        texts.text.push_str(&text(&explained(fault), Base::Hexadecimal));
    }

    fn after(&mut self, fault: &FaultView<'_>, result: &str) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.seen > texts.wanted {
            return;
        }
        let now = match explained(fault).outcome {
            Outcome::Translated { physical, frame, .. } => {
                format!("; now {:#x} is at {physical:#x}, frame {frame:#x}", fault.va.0)
            }
            Outcome::Placed { physical } => format!("; now {:#x} is at {physical:#x}", fault.va.0),
            Outcome::Fault { .. } => String::new(),
        };
        let _ = writeln!(texts.text, "Kernel: {result}{now}");
    }
}

fn explained(fault: &FaultView<'_>) -> Explanation {
    let FaultView { va, access, segmentation, mmu, ram, instructions: now, .. } = *fault;
    match segmentation {
        Segmentation::Off => explain_copy(mmu, ram, va, access, now),
        Segmentation::Ia32(flat) => {
            let unit = SegmentUnit::Ia32(flat.segments());
            explain_segmented_copy(unit, mmu, ram, va, access, now)
        }
        Segmentation::Identity(bus) => explain_unpaged(SegmentUnit::Identity(bus), va, access),
        Segmentation::Bounds(bounds) => explain_unpaged(SegmentUnit::Bounds(bounds), va, access),
        Segmentation::Table(table) => explain_unpaged(SegmentUnit::Table(table), va, access),
    }
}
