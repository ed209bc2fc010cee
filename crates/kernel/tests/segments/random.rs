//! Random calls, in little memory, against a model that has a byte for each page; an audit after
//! each. A call that fails must leave what the program sees as it was.

use crate::mock::{Machine, PAGE, geometries};
use pagewalk_kernel::segments::Geometry;
use pagewalk_kernel::{Errno, Fit, MapRequest, Placement, Prot, Remap};
use pagewalk_mmu::VirtAddr;
use proptest::prelude::*;
use std::collections::BTreeMap;

const RW: Prot = Prot::READ.union(Prot::WRITE);

#[derive(Clone, Debug)]
enum Call {
    Map {
        pages: u64,
    },
    /// Over, or beside, the n-th mapped page.
    MapFixed {
        near: usize,
        offset: i64,
        pages: u64,
    },
    Unmap {
        near: usize,
        pages: u64,
    },
    Remap {
        near: usize,
        old: u64,
        new: u64,
        may_move: bool,
    },
    Brk {
        pages: u64,
    },
    Store {
        near: usize,
        byte: u8,
    },
}

fn call() -> impl Strategy<Value = Call> {
    let near = any::<usize>;
    prop_oneof![
        4 => (1..24u64).prop_map(|pages| Call::Map { pages }),
        2 => (near(), -20..20i64, 1..20u64)
            .prop_map(|(near, offset, pages)| Call::MapFixed { near, offset, pages }),
        3 => (near(), 1..16u64).prop_map(|(near, pages)| Call::Unmap { near, pages }),
        2 => (near(), 1..8u64, 1..24u64, any::<bool>())
            .prop_map(|(near, old, new, may_move)| Call::Remap { near, old, new, may_move }),
        3 => (0..48u64).prop_map(|pages| Call::Brk { pages }),
        8 => (near(), 1..=255u8).prop_map(|(near, byte)| Call::Store { near, byte }),
    ]
}

/// What the program expects: the first byte of each page that it has.
#[derive(Clone, Default, Debug, PartialEq)]
struct Model(BTreeMap<u64, u8>);

impl Model {
    fn nth(&self, n: usize) -> Option<u64> {
        self.0.keys().nth(n % self.0.len().max(1)).copied()
    }

    fn zero(&mut self, at: u64, pages: u64) {
        self.0.extend((0..pages).map(|n| (at + n * PAGE, 0)));
    }

    fn remove(&mut self, at: u64, pages: u64) {
        for n in 0..pages {
            self.0.remove(&(at + n * PAGE));
        }
    }
}

struct Run {
    machine: Machine,
    model: Model,
    heap: u64,
}

impl Run {
    fn new(geometry: Geometry, fit: Fit) -> Self {
        let mut machine = Machine::new(geometry, 96, fit);
        machine.kernel.set_heap_start(machine.space, VirtAddr(0x2_0000));
        let heap = machine.kernel.brk(&mut machine.mock, machine.space, VirtAddr(0)).0;
        Self { machine, model: Model::default(), heap }
    }

    fn call(&mut self, call: &Call) {
        let Machine { mock, kernel, space } = &mut self.machine;
        let space = *space;
        match *call {
            Call::Map { pages } => {
                let request = MapRequest::anonymous(pages * PAGE, RW);
                if let Ok(at) = kernel.mmap(mock, space, request) {
                    let fresh = (0..pages).all(|n| !self.model.0.contains_key(&(at.0 + n * PAGE)));
                    assert!(fresh, "{at} was in use");
                    self.model.zero(at.0, pages);
                }
            }
            Call::MapFixed { near, offset, pages } => {
                let Some(page) = self.model.nth(near) else { return };
                let at = page.saturating_add_signed(offset * PAGE as i64);
                let place = Placement::Fixed(VirtAddr(at));
                let request = MapRequest { place, ..MapRequest::anonymous(pages * PAGE, RW) };
                if kernel.mmap(mock, space, request).is_ok() {
                    self.model.zero(at, pages);
                }
            }
            Call::Unmap { near, pages } => {
                let Some(at) = self.model.nth(near) else { return };
                match kernel.munmap(mock, space, VirtAddr(at), pages * PAGE) {
                    Ok(()) => self.model.remove(at, pages),
                    Err(error) => assert_eq!(error, Errno::Einval, "beyond user space"),
                }
            }
            Call::Remap { near, old, new, may_move } => {
                let Some(at) = self.model.nth(near) else { return };
                let how = if may_move { Remap::MayMove } else { Remap::InPlace };
                let before: Vec<Option<u8>> = (0..old.min(new))
                    .map(|n| self.model.0.get(&(at + n * PAGE)).copied())
                    .collect();
                let result = kernel.mremap(mock, space, VirtAddr(at), old * PAGE, new * PAGE, how);
                let Ok(to) = result else { return };
                self.model.remove(at, old);
                self.model.zero(to.0, new);
                for (n, byte) in before.into_iter().enumerate() {
                    let byte = byte.expect("a range within one region");
                    self.model.0.insert(to.0 + n as u64 * PAGE, byte);
                }
            }
            Call::Brk { pages } => {
                let old = kernel.brk(mock, space, VirtAddr(0)).0;
                let new = kernel.brk(mock, space, VirtAddr(self.heap + pages * PAGE)).0;
                if new > old {
                    self.model.zero(old, (new - old) / PAGE);
                } else {
                    self.model.remove(new, (old - new) / PAGE);
                }
            }
            Call::Store { near, byte } => {
                let Some(at) = self.model.nth(near) else { return };
                self.machine.store(at, byte).expect("a page of the program");
                self.model.0.insert(at, byte);
            }
        }
    }

    fn check(&mut self) {
        self.machine.audit();
        let pages: u64 =
            self.machine.kernel.regions(self.machine.space).map(|r| r.len() / PAGE).sum();
        assert_eq!(pages, self.model.0.len() as u64, "as many pages as the program has");
        for (&at, &byte) in &self.model.0 {
            assert_eq!(self.machine.load(at), Some(byte), "{at:#x}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 96,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_program_sees_what_it_asked_for(
        calls in prop::collection::vec(call(), 1..80),
        geometry in 0..3usize,
        fit in 0..4usize,
    ) {
        let fit = Fit::by_name(Fit::NAMES[fit]).expect("a fit");
        let mut run = Run::new(geometries()[geometry], fit);
        for call in &calls {
            run.call(call);
            run.check();
        }
    }

    /// Memory full at every step: the same calls in every smaller memory, each of them audited.
    #[test]
    fn memory_full_at_any_step_loses_nothing(
        calls in prop::collection::vec(call(), 1..30),
        frames in 1..64u64,
        geometry in 0..3usize,
    ) {
        let geometry = geometries()[geometry];
        let mut run = Run::new(geometry, Fit::First);
        run.machine = Machine::new(geometry, frames, Fit::First);
        let space = run.machine.space;
        run.machine.kernel.set_heap_start(space, VirtAddr(0x2_0000));
        run.heap = run.machine.kernel.brk(&mut run.machine.mock, space, VirtAddr(0)).0;
        for call in &calls {
            run.call(call);
            run.check();
        }
    }
}
