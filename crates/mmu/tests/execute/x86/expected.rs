//! What our walker says of a state: the walk over the same entries.

use super::layout::{Mode, ram_end};
use super::space::Space;
use super::states::State;
use pagewalk_mmu::radix::{Format, Ia32, Pae, Radix, X86_64};
use pagewalk_mmu::{ArchFault, EntryWidth, OutOfMemory, PhysAddr, TableMemory, VirtAddr};

/// How an access ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The page at this physical address answers.
    Page(u64),
    /// A page took a store; memory shows which.
    Stored,
    /// A page where there is no memory answers: no fault.
    Nowhere,
    /// #PF with this error code and CR2.
    PageFault { error_code: u32, cr2: u64 },
    /// #GP(0) at the access.
    GeneralProtection,
    /// #GP(0) at MOV to CR3.
    RootRefused,
}

/// An outcome, and the entries afterwards.
#[derive(Clone, Debug)]
pub struct Expected {
    pub outcome: Outcome,
    pub after: [u64; 5],
    /// The level of the entry that decided on a fault; 5 if none did.
    pub level: usize,
}

/// The tables: the path's entries, the runner's, and zeros.
struct PathMemory {
    width: EntryWidth,
    entries: Vec<(u64, u64)>,
    /// Where zeros are.
    tables: Vec<u64>,
}

impl TableMemory for PathMemory {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        assert_eq!(width, self.width);
        if let Some(&(_, raw)) = self.entries.iter().find(|(entry, _)| *entry == at.0) {
            return Ok(raw);
        }
        let known = self.tables.iter().any(|table| table >> 12 == at.0 >> 12);
        assert!(known, "the walk reads {at}, which is no table");
        Ok(0)
    }

    fn write_entry(&mut self, at: PhysAddr, _: EntryWidth, raw: u64) -> Result<(), OutOfMemory> {
        let entry = self.entries.iter_mut().find(|(entry, _)| *entry == at.0);
        entry.expect("only entries of the path are written").1 = raw;
        Ok(())
    }
}

/// The format under the state's controls.
fn format(mode: Mode, state: &State) -> Format {
    let controls = state.modes.controls;
    match mode {
        Mode::Ia32 => Format::Ia32(Ia32::new(controls)),
        Mode::Pae => Format::Pae(Pae::new(controls)),
        Mode::FourLevels => Format::X86_64(X86_64::new(4, controls)),
        Mode::FiveLevels => Format::X86_64(X86_64::new(5, controls)),
    }
}

/// Where the entry of `level` lies.
pub fn entry_address(mode: Mode, state: &State, level: usize) -> u64 {
    let index = state.canonical_va >> mode.shift(level) & (mode.entries(level) - 1);
    mode.table(state.set, level) + index * mode.width().bytes()
}

/// Walks `state` with `va` as the full address.
pub fn expected(space: &Space, state: &State, va: u64) -> Expected {
    let mode = space.mode;
    let format = format(mode, state);
    let levels = 0..=mode.top();
    let mut entries: Vec<_> = levels
        .clone()
        .map(|level| (entry_address(mode, state, level), state.entries[level]))
        .collect();
    entries.push((mode.table(state.set, mode.top()), mode.runner_entry()));
    let tables = levels.clone().map(|level| mode.table(state.set, level)).collect();
    let mut memory = PathMemory { width: mode.width(), entries, tables };

    let mut answer = Expected { outcome: Outcome::RootRefused, after: state.entries, level: 5 };
    let Ok(root) = format.load_root(&memory, PhysAddr(state.cr3)) else { return answer };
    match format.walk(&mut memory, &root, VirtAddr(va), state.access) {
        Ok(translation) if state.nowhere => {
            assert!(translation.pa.0 >= ram_end(space.processor.ram_bytes));
            answer.outcome = Outcome::Nowhere;
        }
        Ok(translation) => answer.outcome = Outcome::Page(translation.pa.0 & !0xfff),
        Err(fault) => {
            answer.level = fault.level.map_or(5, |level| usize::from(level.0));
            answer.outcome = match fault.arch {
                ArchFault::X86PageFault { error_code } => {
                    Outcome::PageFault { error_code, cr2: va }
                }
                ArchFault::X86GeneralProtection => Outcome::GeneralProtection,
                other => unreachable!("not an x86 fault: {other}"),
            };
        }
    }
    for level in levels {
        answer.after[level] = memory.entries[level].1;
    }
    answer
}
