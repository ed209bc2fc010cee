//! QEMU's page walkers as the oracle: the same random tables in a stopped machine, thousands of
//! addresses through its monitor's `gva2gpa`.
//!
//! RISC-V (Sv32, Sv39, Sv48, Sv57): the debug walk judges everything but permissions of a
//! supervisor's load with SUM set: it sees reserved bits, misaligned superpages and R or X
//! missing. x86: it judges presence and canonical form only, so that faults of ours for reserved
//! bits are not compared there (`tests/kvm_translate.rs` does, where KVM offers the mode).

mod common;

use common::{Random, Tables, canonical, dense_address, random_tables, skip};
use pagewalk_mmu::radix::{
    AdUpdate, Format, Ia32, Leaf, Pae, Radix, RiscV, RiscVControls, Scheme, X86_64, X86Controls,
};
use pagewalk_mmu::{Access, AccessKind, FaultCause, Level, Pfn, Rights, VirtAddr};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const MEMORY_BYTES: usize = 64 * 0x1000;
/// Per tree; there are several trees per format.
const ADDRESSES: usize = 1000;
const TREES: u64 = 3;

/// A running QEMU and its monitor (QMP on standard input and output).
struct Qemu {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Qemu {
    /// Starts `program`; `None` if it is not installed.
    fn start(program: &str, arguments: &[String]) -> Option<Self> {
        let mut child = Command::new(program)
            .args(["-display", "none", "-serial", "none", "-nodefaults", "-qmp", "stdio"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut qemu = Self { child, input, output };
        qemu.line(); // the greeting
        writeln!(qemu.input, r#"{{"execute":"qmp_capabilities"}}"#).expect("QEMU runs");
        qemu.answer();
        Some(qemu)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let bytes = self.output.read_line(&mut line).expect("QMP is text");
        assert!(bytes > 0, "QEMU ended");
        line
    }

    /// The next answer; events between answers are dropped.
    fn answer(&mut self) -> String {
        loop {
            let line = self.line();
            assert!(!line.contains("\"error\""), "{line}");
            if line.contains("\"return\"") {
                return line;
            }
        }
    }

    fn ask(&mut self, command: &str) {
        let ask = r#"{"execute":"human-monitor-command","arguments":{"command-line":""#;
        writeln!(self.input, "{ask}{command}\"}}}}").expect("QEMU runs");
    }

    /// Waits until the registers say `text`.
    fn wait_for(&mut self, text: &str) {
        let started = Instant::now();
        loop {
            self.ask("info registers");
            let registers = self.answer();
            if registers.contains(text) {
                return;
            }
            let late = started.elapsed() > Duration::from_secs(20);
            assert!(!late, "the guest did not reach {text}: {registers}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn gva2gpa(&mut self, va: VirtAddr) -> Option<u64> {
        self.ask(&format!("gva2gpa {va}"));
        let answer = self.answer();
        if answer.contains("Unmapped") {
            return None;
        }
        let start = answer.find("gpa: ").unwrap_or_else(|| panic!("no address in {answer}")) + 5;
        let digits = answer[start..].trim_start_matches("0x");
        let end = digits.find(|c: char| !c.is_ascii_hexdigit()).expect("a quote follows");
        Some(u64::from_str_radix(&digits[..end], 16).expect("hexadecimal digits"))
    }
}

/// A file argument for `-device loader`.
fn loader(file: &std::path::Path, at: u64) -> [String; 2] {
    let file = file.display();
    ["-device".into(), format!("loader,file={file},addr={at:#x},force-raw=on")]
}

/// A directory of this test's own, removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("pagewalk-gva2gpa-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Random damaged tables that map `code`, a page of code, to itself.
fn tables(
    format: Format,
    base: u64,
    code: u64,
    random: &mut Random,
    damage: u64,
) -> (Tables, Vec<VirtAddr>) {
    let mut tables = Tables::new(format, base, base, MEMORY_BYTES);
    let leaf = Leaf {
        pfn: Pfn(code >> 12),
        rights: Rights::READ | Rights::EXECUTE,
        global: false,
        accessed: true,
        dirty: true,
        cache_disable: false,
        write_through: false,
    };
    assert!(tables.map(VirtAddr(code), Level(0), leaf));
    let mapped = random_tables(&mut tables, random, 20, 60, 0);
    let path = tables.path(VirtAddr(code));
    random_tables(&mut tables, random, 20, 0, damage);
    for (at, raw) in path {
        let width = format.geometry().entry;
        pagewalk_mmu::TableMemory::write_entry(&mut tables.ram, at, width, raw).expect("in memory");
    }
    (tables, mapped)
}

/// Asks both about the same addresses; returns the numbers of translations, faults, and faults
/// that are not comparable.
fn compare(
    qemu: &mut Qemu,
    tables: &mut Tables,
    mapped: &[VirtAddr],
    random: &mut Random,
    comparable: impl Fn(FaultCause) -> bool,
) -> [u32; 3] {
    let format = tables.format;
    let root = tables.root();
    let mut counts = [0; 3];
    for _ in 0..ADDRESSES {
        let pick = mapped.get(random.below(60) as usize);
        let va = match (random.below(8), pick) {
            (0, _) => canonical(&format, random.next()),
            (1..3, _) | (_, None) => dense_address(&format, random.next()),
            (_, Some(va)) => canonical(&format, va.0 ^ random.next() & 0x1f_ffff),
        };
        let access = Access::supervisor(AccessKind::Read);
        let ours = format.walk(&mut tables.ram, &root, va, access);
        if ours.is_err_and(|fault| !comparable(fault.cause)) {
            counts[2] += 1;
            continue;
        }
        counts[usize::from(ours.is_err())] += 1;
        let theirs = qemu.gva2gpa(va);
        assert_eq!(
            ours.ok().map(|t| t.pa.0),
            theirs,
            "{}, {va}: ours (left) and QEMU's: {ours:?}, entries {:x?}",
            format.name(),
            tables.path(va)
        );
    }
    counts
}

/// Machine code that leaves M-mode for a loop in S-mode with translation on; its length in bytes
/// is LOOP + 4.
fn riscv_code(wide: bool, code: u64, satp: u64, mstatus: u64) -> Vec<u8> {
    let (load, word) = if wide { (3, 8) } else { (2, 4) };
    let constants = [u64::MAX, 0x1f, satp, mstatus, code + LOOP];
    const PMPADDR0_PMPCFG0_SATP_MSTATUS_MEPC: [u32; 5] = [0x3b0, 0x3a0, 0x180, 0x300, 0x341];
    let mut program = vec![0x0000_0297]; // auipc t0, 0
    for (index, csr) in PMPADDR0_PMPCFG0_SATP_MSTATUS_MEPC.into_iter().enumerate() {
        let offset = CONSTANTS as u32 + word * index as u32;
        program.push(offset << 20 | 5 << 15 | load << 12 | 6 << 7 | 0x03); // l[wd] t1, offset(t0)
        program.push(csr << 20 | 6 << 15 | 1 << 12 | 0x73); // csrw csr, t1
    }
    program.extend([0x1200_0073, 0x3020_0073, 0x0000_006f]); // sfence.vma; mret; j .
    assert_eq!(program.len() as u64 * 4, LOOP + 4);
    let mut bytes: Vec<u8> = program.into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.resize(CONSTANTS, 0);
    bytes.extend(constants.iter().flat_map(|c| c.to_le_bytes().into_iter().take(word as usize)));
    bytes
}

/// Where `riscv_code` loops, and where its constants are.
const LOOP: u64 = 4 * 13;
const CONSTANTS: usize = 0x80;

fn riscv(program: &str, schemes: &[(Scheme, u64)]) {
    // The tables lie where one flipped bit of a pointer meets no device.
    const CODE: u64 = 0x8000_0000;
    const TABLES: u64 = 0x8600_0000;
    for (seed, &(scheme, mode)) in schemes.iter().enumerate() {
        for (tree, mxr) in (0..TREES).flat_map(|tree| [(tree, false), (tree, true)]) {
            let mut random = Random(seed as u64 * TREES + tree);
            let controls = RiscVControls { sum: true, mxr, ad: AdUpdate::Svadu };
            let format = Format::RiscV(RiscV::new(scheme, controls));
            let (mut tables, mapped) = tables(format, TABLES, CODE, &mut random, 40);
            // MPP = S, SUM, MXR.
            let mstatus = 1 << 11 | 1 << 18 | u64::from(mxr) << 19;
            let satp = mode | tables.table.0 >> 12;
            let wide = scheme != Scheme::Sv32;
            let scratch = Scratch::new(&format!("{}-{tree}-{mxr}", format.name()));
            let code = scratch.file("code.bin", &riscv_code(wide, CODE, satp, mstatus));
            let file = scratch.file("tables.bin", &tables.ram.bytes);
            let cpu = if wide { "rv64,svnapot=off,svpbmt=off" } else { "rv32" };
            let fixed = ["-M", "virt", "-cpu", cpu, "-m", "128M", "-bios", "none"];
            let mut arguments: Vec<String> = fixed.map(String::from).to_vec();
            arguments.extend(loader(&code, CODE).into_iter().chain(loader(&file, TABLES)));
            let Some(mut qemu) = Qemu::start(program, &arguments) else {
                return skip(&format!("{program} not found"));
            };
            let pc = CODE + LOOP;
            let digits = if wide { format!("{pc:016x}") } else { format!("{pc:08x}") };
            qemu.wait_for(&format!("pc       {digits}"));
            let counts = compare(&mut qemu, &mut tables, &mapped, &mut random, |_| true);
            println!(
                "{}, tree {tree}, MXR {mxr}: {counts:?} translations, faults, not compared",
                format.name()
            );
            assert!(counts[0] > 50 && counts[1] > 50, "both outcomes are compared");

            // QEMU set the accessed bits that we set.
            let dump = scratch.0.join("after.bin");
            // (In the monitor's own language, the file's slash would divide the size.)
            writeln!(
                qemu.input,
                r#"{{"execute":"pmemsave","arguments":{{"val":{TABLES},"size":{MEMORY_BYTES},"filename":"{}"}}}}"#,
                dump.display()
            )
            .expect("QEMU runs");
            qemu.answer();
            let after = std::fs::read(&dump).expect("the memory that QEMU saved");
            let differs = tables.ram.bytes.iter().zip(&after).position(|(a, b)| a != b);
            assert_eq!((differs, after.len()), (None, MEMORY_BYTES), "{}", format.name());
        }
    }
}

#[test]
fn qemu_riscv32_agrees() {
    riscv("qemu-system-riscv32", &[(Scheme::Sv32, 1 << 31)]);
}

#[test]
fn qemu_riscv64_agrees() {
    let schemes = [(Scheme::Sv39, 8 << 60), (Scheme::Sv48, 9 << 60), (Scheme::Sv57, 10 << 60)];
    riscv("qemu-system-riscv64", &schemes);
}

/// Firmware of one page that turns paging on and loops, from the reset vector, in the 16-bit
/// segment at 0xffff_0000 that the processor starts in.
fn x86_firmware(cr3: u32, cr4: u32, efer: u32) -> Vec<u8> {
    const PE_ET_NE_WP_PG: u32 = 0x8001_0031;
    let load = |value: u32, rest: &[u8]| [&[0x66, 0xb8], &value.to_le_bytes()[..], rest].concat();
    let mut code = Vec::new();
    code.extend(load(cr3, &[0x0f, 0x22, 0xd8])); // mov eax, cr3; mov cr3, eax
    code.extend(load(cr4, &[0x0f, 0x22, 0xe0])); // mov cr4, eax
    code.extend([0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x66, 0x31, 0xd2]); // ecx = EFER; edx = 0
    code.extend(load(efer, &[0x0f, 0x30])); // wrmsr
    code.extend(load(PE_ET_NE_WP_PG, &[0x0f, 0x22, 0xc0])); // mov cr0, eax
    code.extend([0xeb, 0xfe]); // jmp $
    let mut firmware = vec![0; 0x1_0000];
    firmware[0xf000..0xf000 + code.len()].copy_from_slice(&code);
    firmware[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0xf0]); // jmp 0xf000
    firmware
}

#[test]
fn qemu_x86_agrees() {
    const FIRMWARE: u64 = 0xffff_f000;
    const TABLES: u64 = 0x0200_0000;
    let x86 = |phys_bits| X86Controls { phys_bits, ..X86Controls::default() };
    let cases = [
        (Format::Ia32(Ia32::new(x86(40))), 1 << 4, 0),
        (Format::Ia32(Ia32::new(X86Controls { pse: false, ..x86(40) })), 0, 0),
        (Format::Pae(Pae::new(x86(40))), 1 << 5, 0x800),
        (Format::X86_64(X86_64::new(4, x86(40))), 1 << 5, 0x900),
        (Format::X86_64(X86_64::new(5, x86(40))), 1 << 5 | 1 << 12, 0x900),
    ];
    let cases = (0..TREES).flat_map(|_| cases);
    for (seed, (format, cr4, efer)) in cases.enumerate() {
        let mut random = Random(seed as u64);
        let (mut tables, mapped) = tables(format, TABLES, FIRMWARE, &mut random, 40);
        let scratch = Scratch::new(&format!("{seed}-{}", format.name()));
        let firmware = x86_firmware(tables.table.0 as u32, cr4, efer);
        let firmware = scratch.file("firmware.bin", &firmware);
        let file = scratch.file("tables.bin", &tables.ram.bytes);
        let fixed = ["-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "64M", "-bios"];
        let mut arguments: Vec<String> = fixed.map(String::from).to_vec();
        arguments.push(firmware.display().to_string());
        arguments.extend(loader(&file, TABLES));
        let Some(mut qemu) = Qemu::start("qemu-system-x86_64", &arguments) else {
            return skip("qemu-system-x86_64 not found");
        };
        qemu.wait_for("CR0=80010031");
        let judged = |cause| matches!(cause, FaultCause::NotPresent | FaultCause::NonCanonical);
        let counts = compare(&mut qemu, &mut tables, &mapped, &mut random, judged);
        println!("{}: {counts:?} translations, faults, not compared", format.name());
        assert!(counts[0] > 50 && counts[1] > 50, "both outcomes are compared");
    }
}
