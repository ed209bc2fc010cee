//! The disassembler against that of binutils, over every instruction of every program.

use std::path::{Path, PathBuf};
use std::process::Command;

use pagewalk_cpu::disassemble;

const OBJDUMP: &str = "riscv64-linux-gnu-objdump";

fn programs() -> Vec<PathBuf> {
    let bin: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "programs", "bin"].iter().collect();
    let entries = std::fs::read_dir(bin).expect("programs/bin");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// An instruction as binutils shows it: where it is, its bits, what it is.
struct Line {
    pc: u64,
    word: u32,
    text: String,
}

/// `   10120:\t1141                \tadd\tsp,sp,-16 # comment`
fn line(text: &str) -> Option<Line> {
    let mut fields = text.split('\t');
    let pc = u64::from_str_radix(fields.next()?.trim().strip_suffix(':')?, 16).ok()?;
    let word = u32::from_str_radix(fields.next()?.trim(), 16).ok()?;
    let mnemonic = fields.next()?.trim();
    let operands = fields.next().unwrap_or_default();
    let operands = operands.split(['#', '<']).next().unwrap_or_default().trim();
    let text = format!("{} {operands}", full_name(mnemonic, operands));
    Some(Line { pc, word, text: text.trim().to_owned() })
}

/// binutils calls `addi` with an immediate `add`, and so on.
fn full_name(mnemonic: &str, operands: &str) -> String {
    let last = operands.rsplit(',').next().unwrap_or_default();
    let is_number = last.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let is_short = operands.matches(',').count() == 2 && is_number;
    match mnemonic {
        "add" | "and" | "or" | "xor" | "sll" | "srl" | "sra" | "slt" if is_short => {
            format!("{mnemonic}i")
        }
        "sltu" if is_short => "sltiu".into(),
        "addw" | "sllw" | "srlw" | "sraw" if is_short => mnemonic.replace('w', "iw"),
        _ => mnemonic.into(),
    }
}

fn listing(program: &Path) -> Option<String> {
    let done = Command::new(OBJDUMP).arg("-d").arg(program).output().ok()?;
    assert!(done.status.success(), "{}: {OBJDUMP} failed", program.display());
    Some(String::from_utf8(done.stdout).expect("text"))
}

#[test]
fn the_text_is_that_of_binutils() {
    let mut compared = 0;
    for program in programs() {
        let Some(listing) = listing(&program) else {
            assert_ne!(
                std::env::var("CI_ORACLES").as_deref(),
                Ok("require"),
                "{OBJDUMP} is absent"
            );
            println!("skipped: {OBJDUMP} is absent");
            return;
        };
        for line in listing.lines().filter_map(line) {
            let found = disassemble(&line.word.to_le_bytes(), line.pc).expect("four bytes");
            assert_eq!(found.text, line.text, "{}: {:#x}", program.display(), line.pc);
            compared += 1;
        }
    }
    assert!(compared > 10_000, "{compared} instructions");
}

#[test]
fn what_is_no_instruction_is_shown_as_its_bits() {
    assert_eq!(disassemble(&[0, 0], 0).unwrap().text, ".half 0x0000");
    assert_eq!(disassemble(&[0xff; 4], 0).unwrap().text, ".word 0xffffffff");
    assert_eq!(disassemble(&[0xff; 3], 0), None);
    assert_eq!(disassemble(&[1], 0), None);
}
