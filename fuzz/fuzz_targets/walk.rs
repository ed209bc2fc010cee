//! Arbitrary memory as page tables, in any format under any controls: no panic; a walk, a walk
//! that dispatches at every step and an observed walk agree, also on what they write.
//!
//! Input: format, controls (4 bytes), access, root (4 bytes), address (8 bytes), then memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pagewalk_mmu::radix::{
    Aarch64, Aarch64Controls, AdUpdate, Format, Ia32, Pae, Radix, RiscV, RiscVControls, X86_64,
    X86Controls, walk,
};
use pagewalk_mmu::{
    Access, AccessKind, EntryWidth, OutOfMemory, PhysAddr, Privilege, Step, TableMemory, VirtAddr,
    WalkObserver,
};

#[derive(Clone, PartialEq)]
struct Ram(Vec<u8>);

impl Ram {
    fn range(
        &self,
        at: PhysAddr,
        width: EntryWidth,
    ) -> Result<std::ops::Range<usize>, OutOfMemory> {
        assert_eq!(at.0 % width.bytes(), 0, "entries are aligned");
        let fits = at.0.checked_add(width.bytes()).is_some_and(|end| end <= self.0.len() as u64);
        if fits { Ok(at.0 as usize..(at.0 + width.bytes()) as usize) } else { Err(OutOfMemory(at)) }
    }
}

impl TableMemory for Ram {
    fn read_entry(&self, at: PhysAddr, width: EntryWidth) -> Result<u64, OutOfMemory> {
        let bytes = &self.0[self.range(at, width)?];
        Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn write_entry(
        &mut self,
        at: PhysAddr,
        width: EntryWidth,
        value: u64,
    ) -> Result<(), OutOfMemory> {
        let range = self.range(at, width)?;
        let len = range.len();
        self.0[range].copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }
}

/// Rebuilds memory from the updates that it is told.
struct Replay {
    ram: Ram,
    width: EntryWidth,
    reads: u8,
}

impl WalkObserver for Replay {
    fn step(&mut self, step: &Step) {
        self.reads += u8::from(step.at.is_some());
    }

    fn update(&mut self, at: PhysAddr, raw: u64) {
        self.ram.write_entry(at, self.width, raw).expect("an entry that was read");
    }
}

fn format(kind: u8, controls: u32) -> Format {
    let bit = |n: u32| controls >> n & 1 != 0;
    let x86 = X86Controls {
        wp: bit(0),
        nxe: bit(1),
        smep: bit(2),
        smap: bit(3),
        ac: bit(4),
        pse: bit(5),
        pge: bit(6),
        page1gb: bit(7),
        phys_bits: 32 + (controls >> 8 & 0xff) as u8 % 21,
    };
    let ad = if bit(2) { AdUpdate::Svade } else { AdUpdate::Svadu };
    let riscv = RiscVControls { sum: bit(0), mxr: bit(1), ad };
    let aarch64 = Aarch64Controls {
        ha: bit(0),
        hd: bit(1),
        pan: bit(2),
        wxn: bit(3),
        output_bits: [32, 36, 40, 42, 44, 48, 48, 48][(controls >> 8 & 7) as usize],
    };
    let name = Format::NAMES[usize::from(kind) % Format::NAMES.len()];
    match Format::by_name(name).expect("a name in NAMES") {
        Format::Ia32(_) => Format::Ia32(Ia32::new(x86)),
        Format::Pae(_) => Format::Pae(Pae::new(x86)),
        Format::X86_64(f) => Format::X86_64(X86_64::new(f.geometry().levels.len() as u8, x86)),
        Format::RiscV(f) => Format::RiscV(RiscV::new(f.scheme, riscv)),
        Format::Aarch64(f) => Format::Aarch64(Aarch64::new(f.granule(), aarch64)),
        other @ (Format::Linear(_) | Format::R3000(_)) => other,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((head, memory)) = data.split_first_chunk::<18>() else { return };
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let format = format(head[0], word(1));
    let kind = [AccessKind::Read, AccessKind::Write, AccessKind::Execute][usize::from(head[5]) % 3];
    let privilege = if head[5] & 0x80 != 0 { Privilege::User } else { Privilege::Supervisor };
    let access = Access { kind, privilege };
    let va = VirtAddr(u64::from(word(10)) | u64::from(word(14)) << 32);

    let mut ram = Ram(memory.to_vec());
    let Ok(root) = format.load_root(&ram, PhysAddr(word(6).into())) else { return };
    let (mut once, mut stepwise) = (ram.clone(), ram.clone());
    let mut seen = Replay { ram: ram.clone(), width: format.geometry().entry, reads: 0 };
    let got = format.walk_observed(&mut ram, &root, va, access, &mut seen);
    assert_eq!(format.walk(&mut once, &root, va, access), got);
    assert_eq!(walk(&format, &mut stepwise, &root, va, access), got);
    assert!(once == ram && stepwise == ram && seen.ram == ram);
    match got {
        Ok(translation) => assert_eq!(translation.reads, seen.reads),
        Err(_) => assert!(ram.0 == memory, "a fault leaves memory as it was"),
    }
});
