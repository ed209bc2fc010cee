//! Arbitrary system calls, one after the other, on a whole machine: no panic, the machine comes to
//! an end, the audit holds, and once all processes are gone nothing of theirs is held.
//!
//! The guest is a loop over a table; child processes and threads go on in it where their parents
//! are. Each argument is read where the table points to, so that it may be the result of an earlier
//! call.
//!
//! ```text
//!   DATA: | entry 0 | entry 1 | … | exit_group | words that arguments are |   AREA: bytes
//!          number, 6 × where the argument is, result
//! ```
//!
//! Input: the machine (2 bytes), how many calls (1 byte), 14 bytes for each: its number, and kind
//! and value of six arguments; then what lies in the area, such as paths and structures.
#![no_main]

use std::io::Write;
use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use pagewalk_machine::{
    Config, CostModel, DeviceWait, End, Fit, Hardware, HugePolicy, KernelMapping, Machine, Program,
    Scope, Stdio, SwapConfig,
};
use pagewalk_replacement::PolicyKind;

const CODE: u64 = 0x10000;
const DATA: u64 = 0x40000;
const AREA: u64 = 0x80000;
const AREA_BYTES: usize = 0x4000;
const CALLS_MAX: usize = 64;

/// Bytes of a call in the input, and in the table.
const CALL_BYTES: usize = 14;
const ENTRY_BYTES: u64 = 64;

/// A number with this bit is no call: a word is stored and loaded again.
const TOUCH: u64 = 1 << 63;

const EXIT_GROUP: u64 = 94;

/// fallocate, sendfile, splice and copy_file_range: they could fill the host's disk.
const BULK: [u64; 4] = [47, 71, 76, 285];

/// At which kernels break; the first are code, which may be a handler.
const NASTY: [u64; 32] = [
    CODE,
    CODE + 4,
    DATA,
    u64::MAX,
    -100i64 as u64,
    -4095i64 as u64,
    -4096i64 as u64,
    -8192i64 as u64,
    1 << 63,
    i64::MAX as u64,
    i64::MAX as u64 - 4095,
    0x7fff_f000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    1 << 32,
    0x3f_ffff_ffff,
    0x40_0000_0000,
    4095,
    4097,
    0x1f_ffff,
    0x20_0000,
    999_999_999,
    1_000_000_000,
    // What mmap and clone are told most: protections and flags, and signals with their stacks.
    0x22,
    0x32,
    0x8022,
    0x0f01,
    0x0003_d0f00,
    0x0010_0022,
    17,
];

/// The loop. Each thread has the entry that comes next in s0.
const LOOP: [u32; 22] = [
    0x0004_0437, //        lui  s0, DATA >> 12
    0x0004_3883, // loop:  ld   a7, 0(s0)
    0x0084_3283, //        ld   t0, 8(s0)
    0x0002_b503, //        ld   a0, 0(t0)
    0x0104_3283, //        ld   t0, 16(s0)
    0x0002_b583, //        ld   a1, 0(t0)
    0x0184_3283, //        ld   t0, 24(s0)
    0x0002_b603, //        ld   a2, 0(t0)
    0x0204_3283, //        ld   t0, 32(s0)
    0x0002_b683, //        ld   a3, 0(t0)
    0x0284_3283, //        ld   t0, 40(s0)
    0x0002_b703, //        ld   a4, 0(t0)
    0x0304_3283, //        ld   t0, 48(s0)
    0x0002_b783, //        ld   a5, 0(t0)
    0x0404_0413, //        addi s0, s0, 64
    0x0008_c663, //        bltz a7, touch
    0x0000_0073, //        ecall
    0x00c0_006f, //        j    done
    0x00b5_3023, // touch: sd   a1, 0(a0)
    0x0005_3503, //        ld   a0, 0(a0)
    0xfea4_3c23, // done:  sd   a0, -8(s0)
    0xfb1f_f06f, //        j    loop
];

/// The word that an argument is.
fn argument(kind: u8, value: u8) -> u64 {
    let n = u64::from(value);
    match kind % 8 {
        0 | 1 => n,
        2 => NASTY[usize::from(value) % NASTY.len()],
        3 | 4 => AREA + n * 16,
        5 => 1 << (n % 64),
        6 => n << 12,
        // Around the end of the area.
        _ => AREA + AREA_BYTES as u64 + 16 - n,
    }
}

/// The table of calls, with the words that their arguments are behind it.
fn table(calls: &[[u8; CALL_BYTES]]) -> Vec<u64> {
    let entries = calls.len() as u64 + 1;
    let (mut table, mut words) = (Vec::new(), Vec::new());
    for [low, high, arguments @ ..] in calls {
        let number = u64::from(u16::from_le_bytes([*low, *high]));
        let number = if number & 0x8000 != 0 { TOUCH } else { number % 600 };
        let is_bulk = BULK.contains(&number);
        table.push(number);
        for pair in arguments.as_chunks::<2>().0 {
            let [kind, value] = *pair;
            let is_result = kind & 0x80 != 0 && !is_bulk;
            table.push(if is_result {
                DATA + u64::from(value) % entries * ENTRY_BYTES + 56
            } else {
                words.push(if is_bulk { value.into() } else { argument(kind, value) });
                DATA + entries * ENTRY_BYTES + (words.len() as u64 - 1) * 8
            });
        }
        table.push(0);
    }
    table.push(EXIT_GROUP);
    table.extend([DATA; 6]);
    table.push(0);
    table.append(&mut words);
    table
}

/// An executable of three segments: code, table, and an area that ends in pages without a file.
fn executable(table: &[u64], area: &[u8]) -> Vec<u8> {
    let code: Vec<u8> = LOOP.iter().flat_map(|word| word.to_le_bytes()).collect();
    let data: Vec<u8> = table.iter().flat_map(|word| word.to_le_bytes()).collect();
    let segments = [
        (5u32, CODE, &code[..], code.len()),
        (6, DATA, &data, data.len()),
        (7, AREA, area, AREA_BYTES),
    ];
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(2u16.to_le_bytes());
    file.extend(243u16.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend([CODE, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(5u32.to_le_bytes());
    file.extend([64, 56, segments.len() as u16, 64, 0, 0].map(u16::to_le_bytes).concat());
    // A segment's bytes lie in the file as they do in pages, of 64 KiB at most.
    let mut offset = 0x10000u64;
    for (flags, address, bytes, len) in segments {
        file.extend([1, flags].map(u32::to_le_bytes).concat());
        let words = [offset, address, address, bytes.len() as u64, len as u64, 0x10000];
        file.extend(words.map(u64::to_le_bytes).concat());
        offset += 0x10000;
    }
    for (index, (_, _, bytes, _)) in segments.iter().enumerate() {
        file.resize((index + 1) << 16, 0);
        file.extend_from_slice(bytes);
    }
    file
}

/// One of a few machines, all of them small.
fn config([kind, parts]: [u8; 2]) -> Config {
    const HARDWARE: [&str; 8] =
        ["sv39", "x86-64", "ia32", "inverted", "r3000", "aarch64-16k", "sv32", "segments"];
    let ram_bytes = [512 << 10, 1 << 20, 4 << 20, 16 << 20][usize::from(kind >> 3 & 3)];
    let hardware = Hardware::by_name(HARDWARE[usize::from(kind & 7)], ram_bytes).expect("hardware");
    let bit = |n: u8| parts >> n & 1 != 0;
    let bytes = 1 << 20;
    Config {
        name: None,
        tlb: Some(hardware.default_tlb()),
        harts: if bit(0) && hardware.tables().is_some() { 2 } else { 1 },
        hardware,
        walk_cache: None,
        cache: None,
        ram_bytes,
        swap: if bit(1) { vec![SwapConfig::temporary(bytes)] } else { Vec::new() },
        zswap: None,
        read_ahead: 0,
        policy: PolicyKind::Clock,
        scope: if bit(4) { Scope::Process } else { Scope::Global },
        resident: None,
        limit: None,
        harvest: 2000,
        zero_ahead: false,
        launder_ahead: false,
        huge: if bit(2) { HugePolicy::Always } else { HugePolicy::Never },
        fit: Fit::First,
        kernel: KernelMapping::Absent,
        self_map: false,
        share_tables: pagewalk_machine::ShareTables::Off,
        device_wait: if bit(5) { DeviceWait::Thread } else { DeviceWait::Hart },
        load_control: bit(6),
        cost: CostModel::default(),
        seed: 1,
        slow: bit(3),
        instructions_max: Some(20_000),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some(([kind, parts, count], rest)) = input.split_first_chunk::<3>() else { return };
    let (calls, _) = rest.as_chunks::<CALL_BYTES>();
    let calls = &calls[..calls.len().min(usize::from(*count) % (CALLS_MAX + 1))];
    let area = &rest[calls.len() * CALL_BYTES..];
    let area = &area[..area.len().min(AREA_BYTES)];
    let root = tempfile::tempdir().expect("a directory");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&executable(&table(calls), area)).expect("an executable");
    let program = Program {
        path: file.path().to_owned(),
        args: vec!["calls".to_owned()],
        env: Vec::new(),
        root: Some(root.path().to_owned()),
        sysroot: None,
    };
    let Ok(mut machine) = Machine::new(config([*kind, *parts]), program, Stdio::null()) else {
        return;
    };
    if parts & 0x70 == 0 {
        machine.audit_always();
    }
    // What only sleeps and pages is not waited for.
    let mut looks = 0;
    let end = machine.run(&mut |_| {
        looks += 1;
        if looks < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if let End::Killed { reason, .. } = &end {
        assert!(!reason.contains("audit"), "{reason}");
    }
    machine.audit().unwrap_or_else(|what| panic!("{end:?}: {what}"));
    machine.tear_down().unwrap_or_else(|what| panic!("torn down after {end:?}: {what}"));
});
