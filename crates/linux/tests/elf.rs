//! Hand-made ELF images: one that is accepted, and one for each reason to refuse.

use pagewalk_linux::elf::{Image, parse};

const PAGE: u64 = 4096;
const LOAD: u32 = 1;
const INTERP: u32 = 3;
const RX: u32 = 5;
const RW: u32 = 6;

/// A program header in the order of Elf64_Phdr.
#[derive(Clone, Copy)]
struct Phdr {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    file_len: u64,
    mem_len: u64,
    align: u64,
}

fn text() -> Phdr {
    Phdr {
        kind: LOAD,
        flags: RX,
        offset: 0,
        address: 0x10000,
        file_len: 0x1000,
        mem_len: 0x1000,
        align: PAGE,
    }
}

fn data() -> Phdr {
    Phdr {
        kind: LOAD,
        flags: RW,
        offset: 0x1000,
        address: 0x12000,
        file_len: 0x80,
        mem_len: 0x3000,
        align: PAGE,
    }
}

/// An image of 0x1080 bytes with these program headers right after the file header.
fn image(phdrs: &[Phdr]) -> Vec<u8> {
    let mut bytes = vec![0; 0x1080];
    bytes[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    put(&mut bytes, 16, &2u16.to_le_bytes()); // ET_EXEC
    put(&mut bytes, 18, &243u16.to_le_bytes()); // EM_RISCV
    put(&mut bytes, 20, &1u32.to_le_bytes());
    put(&mut bytes, 24, &0x10400u64.to_le_bytes()); // e_entry
    put(&mut bytes, 32, &64u64.to_le_bytes()); // e_phoff
    put(&mut bytes, 52, &64u16.to_le_bytes());
    put(&mut bytes, 54, &56u16.to_le_bytes());
    put(&mut bytes, 56, &(phdrs.len() as u16).to_le_bytes());
    for (i, p) in phdrs.iter().enumerate() {
        let at = 64 + 56 * i;
        put(&mut bytes, at, &p.kind.to_le_bytes());
        put(&mut bytes, at + 4, &p.flags.to_le_bytes());
        let words = [p.offset, p.address, p.address, p.file_len, p.mem_len, p.align];
        for (j, word) in words.iter().enumerate() {
            put(&mut bytes, at + 8 + 8 * j, &word.to_le_bytes());
        }
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// The message for an image that is refused, when parsed or when laid out.
fn refusal(bytes: &[u8]) -> String {
    match parse(bytes) {
        Err(e) => e.to_string(),
        Ok(executable) => executable.layout(PAGE).expect_err("must be refused").to_string(),
    }
}

fn refused(bytes: &[u8], words: &[&str]) {
    let message = refusal(bytes);
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[test]
fn a_plain_executable_is_laid_out() {
    let executable = parse(&image(&[text(), data()])[..]).unwrap();
    assert!(!executable.relocatable);
    assert_eq!(executable.entry, 0x10400);
    assert_eq!((executable.headers_at, executable.header_count), (0x10040, 2));
    let mappings = executable.layout(PAGE).unwrap();
    assert_eq!(
        (mappings[0].start, mappings[0].file_bytes, mappings[0].zero_bytes),
        (0x10000, 0x1000, 0)
    );
    assert_eq!((mappings[1].start, mappings[1].file_offset), (0x12000, 0x1000));
    assert_eq!((mappings[1].file_bytes, mappings[1].zero_bytes), (0x1000, 0x2000));
    assert_eq!(mappings[1].zero_from, 0x12080);
}

#[test]
fn other_files_are_refused() {
    refused(b"", &["offset 0x0", "not an ELF file"]);
    refused(b"#!/bin/sh\n", &["not an ELF file", "[23, 21, 2f, 62]"]);
    refused(b"\x7fELF\x02\x01", &["file header", "truncated", "0x40"]);
}

#[test]
fn other_machines_are_refused() {
    let with = |at: usize, value: &[u8]| {
        let mut bytes = image(&[text()]);
        put(&mut bytes, at, value);
        bytes
    };
    refused(&with(4, &[1]), &["0x4 (e_ident[EI_CLASS])", "64-bit", "riscv64-linux-gnu-gcc"]);
    refused(&with(5, &[2]), &["EI_DATA", "little-endian"]);
    refused(&with(18, &[62, 0]), &["0x12 (e_machine)", "machine 62", "243 (RISC-V)"]);
    refused(&with(16, &[1, 0]), &["e_type", "file type 1", "executable"]);
    refused(&with(54, &[55, 0]), &["e_phentsize", "56"]);
    refused(&with(56, &[0xff, 0xff]), &["e_phnum", "65535"]);
    refused(&with(56, &[0, 0]), &["e_phnum", "no loadable segment"]);
    refused(&with(32, &u64::MAX.to_le_bytes()), &["0x20 (e_phoff)", "truncated"]);
}

#[test]
fn the_interpreter_is_named() {
    let interpreter = |name: &[u8]| {
        let file_len = name.len() as u64;
        let mut bytes = image(&[text(), Phdr { kind: INTERP, offset: 0x800, file_len, ..data() }]);
        put(&mut bytes, 0x800, name);
        bytes
    };
    let parsed = parse(&interpreter(b"/lib/ld.so\0")[..]).unwrap();
    assert_eq!(parsed.interpreter.as_deref(), Some(&b"/lib/ld.so"[..]));
    refused(&interpreter(b"/lib/ld.so"), &["0x98 (PT_INTERP)", "does not end"]);
    refused(&interpreter(b"\0"), &["PT_INTERP", "empty"]);
    let beyond = Phdr { kind: INTERP, offset: 0x107f, file_len: 100, ..data() };
    refused(&image(&[text(), beyond]), &["0x78 (PT_INTERP)", "truncated"]);
    let long = Phdr { kind: INTERP, offset: 0x800, file_len: u64::MAX, ..data() };
    refused(&image(&[text(), long]), &["PT_INTERP", "longer"]);
}

#[test]
fn bad_segments_are_refused() {
    let second = |p: Phdr| image(&[text(), p]);
    let name = &["segment 1"];
    refused(&second(Phdr { file_len: 0x4000, ..data() }), &["p_filesz", "more bytes", name[0]]);
    refused(&second(Phdr { mem_len: u64::MAX, ..data() }), &["p_memsz", "huge", name[0]]);
    refused(&second(Phdr { mem_len: 1 << 63, ..data() }), &["p_memsz", "huge"]);
    refused(&second(Phdr { align: 3, ..data() }), &["p_align", "power of two"]);
    refused(&second(Phdr { address: 0x12010, ..data() }), &["0x88 (p_vaddr)", "modulo p_align"]);
    refused(&second(Phdr { address: 0x12010, align: 1, ..data() }), &["modulo the page", "-N"]);
    refused(
        &second(Phdr { file_len: 0x81, ..data() }),
        &["0x80 (p_offset)", "truncated", "0x1081"],
    );
    refused(&second(Phdr { offset: !0xfff, ..data() }), &["p_offset", "truncated"]);
}

#[test]
fn segments_in_each_others_way_are_refused() {
    let second = |p: Phdr| image(&[text(), p]);
    let overlapping = Phdr { address: 0x10000, ..data() };
    refused(&second(overlapping), &["segments 0 and 1 overlap at address 0x10000"]);
    let descending = Phdr { address: 0x1000, mem_len: 0x1000, ..data() };
    refused(&second(descending), &["not in ascending order"]);
    let shares = Phdr { offset: 0x10c0 & 0xfff, address: 0x100c0, file_len: 0, ..data() };
    let short = Phdr { file_len: 0xc0, mem_len: 0xc0, ..text() };
    let mut bytes = image(&[short, shares]);
    put(&mut bytes, 24, &0x10000u64.to_le_bytes());
    refused(&bytes, &["share the page", "max-page-size"]);
}

#[test]
fn the_entry_must_be_code() {
    let at = |entry: u64| {
        let mut bytes = image(&[text(), data()]);
        put(&mut bytes, 24, &entry.to_le_bytes());
        bytes
    };
    refused(&at(0x12000), &["0x18 (e_entry)", "0x12000", "no executable segment"]);
    refused(&at(0x11000), &["e_entry"]);
    refused(&at(0), &["e_entry"]);
    refused(&at(0x10401), &["e_entry"]);
}

#[test]
fn every_truncation_is_refused_or_harmless() {
    let whole = image(&[text(), data()]);
    for len in 0..whole.len() {
        assert!(parse(&whole[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn slices_are_images() {
    let bytes: &[u8] = b"abc";
    assert!(!Image::is_empty(bytes));
    assert!(bytes.read_exact_at(u64::MAX, &mut [0]).is_err());
    assert!(bytes.read_exact_at(2, &mut [0, 0]).is_err());
}

proptest::proptest! {
    /// Any bytes in the headers: refused, or laid out in pages that do not overlap.
    #[test]
    fn what_is_accepted_can_be_laid_out(
        changes in proptest::collection::vec((0usize..176, proptest::num::u8::ANY), 1..6)
    ) {
        let mut bytes = image(&[text(), data()]);
        for (at, value) in changes {
            bytes[at] = value;
        }
        let Ok(executable) = parse(&bytes[..]) else { return Ok(()) };
        let Ok(mappings) = executable.layout(PAGE) else { return Ok(()) };
        for pair in mappings.windows(2) {
            proptest::prop_assert!(pair[0].end() <= pair[1].start);
        }
    }
}
