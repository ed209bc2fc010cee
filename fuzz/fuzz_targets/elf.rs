//! Arbitrary bytes as an executable: no panic, and whatever is accepted can be laid out in pages
//! that do not overlap, with its entry in one of them.
//!
//! Input: the page size (1 byte, 4 to 64 KiB), then the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pagewalk_linux::elf;

fuzz_target!(|input: &[u8]| {
    let Some((&shift, file)) = input.split_first() else { return };
    let page = 1u64 << (12 + shift % 5);
    let Ok(executable) = elf::parse(file) else { return };
    for segment in &executable.segments {
        assert!(segment.offset + segment.file_len <= file.len() as u64);
        assert!(segment.file_len <= segment.mem_len);
    }
    let Ok(mappings) = executable.layout(page) else { return };
    for pair in mappings.windows(2) {
        assert!(pair[0].end() <= pair[1].start, "{pair:?} overlap");
    }
    for mapping in &mappings {
        assert!((mapping.start | mapping.file_offset | mapping.end()).is_multiple_of(page));
        assert!(mapping.start <= mapping.segment.address);
    }
    let holds_entry = |m: &elf::Mapping| (m.start..m.end()).contains(&executable.entry);
    assert!(mappings.iter().any(|m| m.segment.execute && holds_entry(m)));
});
