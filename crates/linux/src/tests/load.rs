//! What loading asks of memory.

use super::{Guest, executable};
use crate::flat_memory::FlatMemory;
use crate::memory::{UserMemory, read_u64};
use crate::process::Program;
use crate::regs::SP;
use crate::system::{FIRST, System};
use crate::{Host, LoadError};
use pagewalk_kernel::{Backing, Placement, Prot};
use pagewalk_mmu::VirtAddr;
use std::io::Write;

#[test]
fn segments_are_private_mappings_of_the_file() {
    let guest = Guest::new();
    let maps = &guest.memory.maps;
    assert_eq!(maps[0].place, Placement::FixedNoReplace(VirtAddr(0x1_0000)));
    assert!(maps[0].prot.contains(Prot::EXEC) && !maps[0].shared);
    assert!(matches!(maps[0].backing, Backing::File { offset: 0, .. }));
    assert!(matches!(maps[1].backing, Backing::File { offset: 0x1000, .. }));
    assert_eq!(
        (maps[2].place, maps[2].len),
        (Placement::FixedNoReplace(VirtAddr(0x1_2000)), 0x1000)
    );
    assert!(maps[2].backing == Backing::Anonymous && maps[2].prot.contains(Prot::WRITE));
    assert!(maps.last().unwrap().grows_down, "the stack");
    assert_eq!(guest.regs.pc, 0x1_0100);
}

#[test]
fn the_heap_begins_after_the_last_segment() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(214, &[0]), 0x1_3000);
}

#[test]
fn the_stack_pointer_leads_to_the_arguments() {
    let mut guest = Guest::new();
    let sp = guest.regs.x[SP];
    assert!(sp.is_multiple_of(16));
    assert_eq!(guest.word(sp), 1);
    let name = guest.word(sp + 8);
    assert_eq!(&guest.get::<8>(name), b"program\0");
}

fn load(bytes: &[u8], argv: Vec<Vec<u8>>) -> Result<(System, u64), LoadError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mut memory = FlatMemory::new();
    let mut clock = super::TestClock { now_ns: 0, next: 0 };
    let program = Program { file, name: "prog".to_owned(), argv, envp: Vec::new() };
    let system = System::boot(&mut memory, &mut Host::empty(), &mut clock, program)?;
    let regs = system.thread(FIRST).unwrap().regs.clone();
    assert_eq!(read_u64(&mut memory, regs.x[SP])?, 0);
    Ok((system, regs.pc))
}

impl From<crate::Errno> for LoadError {
    fn from(errno: crate::Errno) -> Self {
        Self::map("test", "test", 0, errno, &FlatMemory::new())
    }
}

#[test]
fn position_independent_programs_go_to_two_thirds_of_user_space() {
    let mut bytes = executable();
    bytes[16] = 3;
    // From 0 upwards, as linkers lay them out.
    bytes[24..32].copy_from_slice(&0x100u64.to_le_bytes());
    for i in 0..2u64 {
        let at = 80 + 56 * i as usize;
        bytes[at..at + 8].copy_from_slice(&(0x1000 * i).to_le_bytes());
    }
    let memory = FlatMemory::new();
    let base = (memory.user_end() / 3 * 2) & !0xfff;
    let (_, pc) = load(&bytes, Vec::new()).unwrap();
    assert_eq!(pc, base + 0x100);
}

#[test]
fn a_program_too_high_for_the_mmu_is_told_which_would_do() {
    let mut bytes = executable();
    bytes[136..144].copy_from_slice(&(1u64 << 40).to_le_bytes());
    let message = load(&bytes, Vec::new()).unwrap_err().to_string();
    for word in ["prog: segment 1", "0x10000002000", "--mmu sv48, sv57, x86-64", "Ttext-segment"] {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[test]
fn arguments_are_bounded() {
    let message = load(&executable(), vec![vec![b'x'; 0x9000]]).unwrap_err().to_string();
    assert!(message.contains("quarter"), "{message}");
}

#[test]
fn errors_name_the_file() {
    let message = load(b"#!/bin/sh", Vec::new()).unwrap_err().to_string();
    assert!(message.starts_with("prog: at offset 0x0 (e_ident): not an ELF file"), "{message}");
    assert_eq!(message.lines().count(), 1);
}
