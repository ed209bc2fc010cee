//! Each instruction by itself: operands in, the instruction, results out.
//!
//! ```text
//!   ld   rs1, …(IN)        operands from a table, in the order in which they are used
//!   csrw fcsr, …           if the instruction may touch it
//!   the instruction
//!   sd   rd, …(OUT)        what it made of rd, fcsr, and of the buffer
//! ```
//!
//! `IN`, `OUT`, `BUFFER` and `TMP` are registers of the program's own choice: a compressed
//! instruction cannot name them, nor may any other write them.

mod jumps;

use std::fmt::Write;

use crate::common::Rng;
use crate::common::encode::{Row, rows};
use crate::common::listing::Kind;
use crate::common::program::{BASE, Code};
use crate::oracle::{run_both_ways, run_qemu};

/// Instances of each row in one program, and programs.
const ROUNDS: u64 = 72;
const PROGRAMS: u64 = 8;

/// The buffer that loads and stores work on crosses a page, and `BUFFER` points at its middle.
const BUFFER_HALF: u64 = 2048;

/// Data lies here, whatever the code's length is.
const DATA: u64 = BASE + (4 << 20);

#[test]
fn every_instruction_gives_what_qemu_gives() {
    if !crate::oracle::is_available() {
        return;
    }
    let mut instances = 0;
    for seed in 0..PROGRAMS {
        let program = Generator::new(seed).generate();
        instances += program.notes.len();
        program.check();
    }
    println!("{instances} instances of {} instructions", rows().len());
    assert!(instances > 100_000);
}

/// The registers with a purpose.
#[derive(Clone, Copy, Debug)]
struct Fixed {
    input: u32,
    output: u32,
    buffer: u32,
    tmp: u32,
}

impl Fixed {
    fn contains(self, register: u32) -> bool {
        [self.input, self.output, self.buffer, self.tmp].contains(&register)
    }
}

/// An instruction tried, and its place among the results.
struct Note {
    row: &'static Row,
    word: u32,
    address: u64,
    operands: Vec<u64>,
    first_result: usize,
}

impl Note {
    /// Whether QEMU is known to be wrong, and this is what the manual asks for.
    ///
    /// CTZW of a zero word is 32. QEMU before 8.0 goes on counting in the upper word: corrected
    /// there by "target/riscv: Fix ctzw behavior".
    fn is_erratum(&self, result: &[u8]) -> bool {
        let is_zero = self.row.get(self.word, "rs1") == Some(0)
            || self.operands.last().is_some_and(|&value| value as u32 == 0);
        self.row.name == "ctzw" && is_zero && result == 32u64.to_le_bytes()
    }
}

/// A program, and what to say if it goes wrong.
struct Program {
    elf: Vec<u8>,
    notes: Vec<Note>,
}

struct Generator {
    rng: Rng,
    code: Code,
    fixed: Fixed,
    input: Vec<u64>,
    /// Where `IN` and `OUT` point at in this place of the program.
    input_base: usize,
    output_base: usize,
    results: usize,
    notes: Vec<Note>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed + 100);
        // Not x0 to x2 and x8 to x15, which compressed instructions use.
        let mut free: Vec<u32> = (3..8).chain(16..32).collect();
        let mut take = || free.swap_remove(rng.below(free.len() as u64) as usize);
        let fixed = Fixed { input: take(), output: take(), buffer: take(), tmp: take() };
        Self {
            rng,
            code: Code::default(),
            fixed,
            input: Vec::new(),
            input_base: 0,
            output_base: 0,
            results: 0,
            notes: Vec::new(),
        }
    }

    fn generate(mut self) -> Program {
        // The tables' sizes are known at the end only: they get room enough.
        let size = 8 * ROUNDS * rows().len() as u64;
        let (buffer, input, output) = (DATA, DATA + 0x2000, DATA + 0x2000 + 6 * size);
        self.code.li(self.fixed.input, input);
        self.code.li(self.fixed.output, output);
        self.code.li(self.fixed.buffer, buffer + 0x1000);
        self.fill_registers();
        for _ in 0..ROUNDS {
            for row in rows() {
                if row.kind != Kind::Trap && row.kind != Kind::StoreConditional {
                    self.instance(row, buffer + 0x1000);
                }
            }
        }
        self.store_registers();
        let used = 8 * self.results as u64;
        assert!(8 * self.input.len() as u64 <= 6 * size);
        self.code.finish(output, used);
        let mut data: Vec<u8> = (0..0x2000u64).map(|i| (i * 37) as u8).collect();
        data.extend(self.input.iter().flat_map(|value| value.to_le_bytes()));
        data.resize((output - DATA + used) as usize, 0xee);
        Program { elf: self.code.elf(DATA, &data), notes: self.notes }
    }

    fn fill_registers(&mut self) {
        let fixed = self.fixed;
        for register in (1..32).filter(|register| !fixed.contains(*register)) {
            let value = self.rng.integer();
            self.load_operand(register, value);
        }
        for register in 0..32 {
            let value = self.rng.float();
            self.load_float_operand(register, value);
        }
    }

    fn store_registers(&mut self) {
        (0..32).for_each(|register| self.store_result(register));
        (0..32).for_each(|register| self.store_float_result(register));
    }

    // Operands and results: their pointers move on when an offset no longer reaches.

    fn next_input(&mut self, value: u64) -> i64 {
        self.input.push(value);
        let mut offset = (self.input.len() - 1 - self.input_base) as i64 * 8;
        if offset > 2040 {
            self.code.addi(self.fixed.input, self.fixed.input, 2040);
            self.input_base += 255;
            offset -= 2040;
        }
        offset
    }

    fn load_operand(&mut self, register: u32, value: u64) {
        if register != 0 {
            let offset = self.next_input(value);
            self.code.ld(register, self.fixed.input, offset);
        }
    }

    fn load_float_operand(&mut self, register: u32, value: u64) {
        let offset = self.next_input(value);
        self.code.fld(register, self.fixed.input, offset);
    }

    fn next_output(&mut self) -> i64 {
        self.results += 1;
        let mut offset = (self.results - 1 - self.output_base) as i64 * 8;
        if offset > 2040 {
            self.code.addi(self.fixed.output, self.fixed.output, 2040);
            self.output_base += 255;
            offset -= 2040;
        }
        offset
    }

    fn store_result(&mut self, register: u32) {
        let offset = self.next_output();
        self.code.sd(register, self.fixed.output, offset);
    }

    fn store_float_result(&mut self, register: u32) {
        let offset = self.next_output();
        self.code.fsd(register, self.fixed.output, offset);
    }

    /// A random instruction of a row that names no fixed register and no reserved encoding.
    fn random_word(&mut self, row: &Row) -> u32 {
        const FIELDS: [&str; 4] = ["rd", "rsd", "rs1", "rs2"];
        loop {
            let mut word = row.random(&mut self.rng);
            if row.has("csr") {
                word = row.set(word, "csr", 1 + self.rng.below(3) as u32);
            }
            let fixed =
                |name: &&str| row.register(word, name).is_some_and(|r| self.fixed.contains(r));
            // From x0 the buffer is out of reach.
            let reaches = !row.kind.has_address() || row.register(word, "rs1") != Some(0);
            if reaches && !FIELDS.iter().any(fixed) {
                return word;
            }
        }
    }

    fn instance(&mut self, row: &'static Row, buffer: u64) {
        let word = self.random_word(row);
        if matches!(row.kind, Kind::Branch | Kind::Jump | Kind::JumpRegister { .. }) {
            return self.jump(row, word);
        }
        let first_operand = self.input.len();
        let first_result = self.results;
        let memory = self.operands(row, word, buffer);
        let has_float = row.fields.iter().any(|field| field.name.starts_with('f'));
        if has_float || row.kind == Kind::Csr {
            self.set_fcsr(row.get(word, "rm"));
        }
        let address = self.code.here();
        self.code.push(row, word);
        if row.kind == Kind::LoadReserved {
            self.finish_reservation(row, word);
        }
        self.store_destinations(row, word);
        if has_float || row.kind == Kind::Csr {
            self.code.op("csrrs", &[("rd", self.fixed.tmp), ("csr", 3)]);
            self.store_result(self.fixed.tmp);
        }
        if let Some(place) = memory {
            for part in [place & !7, (place & !7) + 8] {
                let offset = part.wrapping_sub(buffer) as i64;
                self.code.ld(self.fixed.tmp, self.fixed.buffer, offset);
                self.store_result(self.fixed.tmp);
            }
        }
        self.note(row, word, address, first_operand, first_result);
    }

    fn note(
        &mut self,
        row: &'static Row,
        word: u32,
        address: u64,
        first_operand: usize,
        first_result: usize,
    ) {
        let operands = self.input[first_operand..].to_vec();
        self.notes.push(Note { row, word, address, operands, first_result });
    }

    /// Loads the operands; returns the address in the buffer, if the instruction has one.
    fn operands(&mut self, row: &Row, word: u32, buffer: u64) -> Option<u64> {
        for name in ["rd", "rsd", "rs2", "rs1"] {
            if let Some(register) = row.register(word, name) {
                let value = self.rng.integer();
                self.load_operand(register, value);
            }
        }
        for name in ["fd", "fs3", "fs2", "fs1"] {
            if let Some(register) = row.register(word, name) {
                let value = self.rng.float();
                self.load_float_operand(register, value);
            }
        }
        match row.kind {
            Kind::ComputeSp | Kind::AdjustSp => {
                let value = self.rng.integer();
                self.load_operand(2, value);
                None
            }
            Kind::Load | Kind::Store => self.address(row, word, buffer, row.register(word, "rs1")?),
            Kind::LoadSp | Kind::StoreSp => self.address(row, word, buffer, 2),
            Kind::Atomic | Kind::LoadReserved => {
                self.address(row, word, buffer, row.register(word, "rs1")?)
            }
            _ => None,
        }
    }

    /// Points the base register so that the access falls into the buffer.
    fn address(&mut self, row: &Row, word: u32, buffer: u64, base: u32) -> Option<u64> {
        let mut offset = self.rng.below(2 * BUFFER_HALF - 24);
        if self.rng.one_in(4) {
            // Around the border of two pages.
            offset = BUFFER_HALF - 9 + self.rng.below(10);
        }
        if matches!(row.kind, Kind::Atomic | Kind::LoadReserved) {
            offset &= if row.name.ends_with('d') { !7 } else { !3 };
        }
        let place = buffer - BUFFER_HALF + offset;
        let imm = match row.get(word, "uimm") {
            Some(imm) => i64::from(imm),
            None => row.get_signed(word, "imm").unwrap_or(0),
        };
        self.load_operand(base, place.wrapping_sub(imm as u64));
        Some(place)
    }

    /// Sets `fcsr`, mostly without flags: a flag that is set already cannot be seen to rise.
    /// The mode is a reserved one at times if the instruction does not use it.
    fn set_fcsr(&mut self, rm: Option<u32>) {
        let flags = if self.rng.one_in(3) { self.rng.below(32) } else { 0 };
        let modes = if rm == Some(7) { 5 } else { 8 };
        let value = self.rng.below(modes) << 5 | flags;
        self.load_operand(self.fixed.tmp, value);
        self.code.op("csrrw", &[("csr", 3), ("rs1", self.fixed.tmp)]);
    }

    /// A store-conditional to the address reserved, then one without a reservation.
    fn finish_reservation(&mut self, row: &Row, word: u32) {
        let base = row.register(word, "rs1").expect("an address");
        let loaded = row.register(word, "rd").expect("a destination");
        self.store_result(loaded);
        let name = if row.name == "lr.w" { "sc.w" } else { "sc.d" };
        for _ in 0..2 {
            let source = self.rng.pick(&[0, loaded, self.fixed.buffer, self.fixed.output]);
            if loaded == base {
                // The address is gone; end the reservation elsewhere.
                self.code.op(name, &[("rd", self.fixed.tmp), ("rs1", self.fixed.buffer)]);
            } else {
                let fields = [("rd", self.fixed.tmp), ("rs1", base), ("rs2", source)];
                self.code.op(name, &fields);
            }
            self.store_result(self.fixed.tmp);
        }
    }

    fn store_destinations(&mut self, row: &Row, word: u32) {
        for name in ["rd", "rsd"] {
            if let Some(register) = row.register(word, name) {
                self.store_result(register);
            }
        }
        if let Some(register) = row.register(word, "fd") {
            self.store_float_result(register);
        }
        if row.kind == Kind::AdjustSp {
            self.store_result(2);
        }
    }
}

impl Program {
    fn check(&self) {
        let theirs = run_qemu(&self.elf);
        let ours = run_both_ways(&self.elf).output;
        assert_eq!(theirs.len(), ours.len());
        let differing = |&index: &usize| {
            theirs[8 * index..][..8] != ours[8 * index..][..8]
                && !self.note(index).is_erratum(&ours[8 * index..][..8])
        };
        let wrong: Vec<usize> = (0..ours.len() / 8).filter(differing).collect();
        if wrong.is_empty() {
            return;
        }
        let mut message = format!("{} results differ:\n", wrong.len());
        for index in wrong.into_iter().take(20) {
            let result = |bytes: &[u8]| {
                u64::from_le_bytes(bytes[8 * index..][..8].try_into().expect("eight bytes"))
            };
            self.describe(&mut message, index);
            let _ = writeln!(message, "  qemu {:#018x}", result(&theirs));
            let _ = writeln!(message, "  here {:#018x}", result(&ours));
        }
        panic!("{message}");
    }

    /// The instruction that a result is of.
    fn note(&self, result: usize) -> &Note {
        let after = self.notes.partition_point(|note| note.first_result <= result);
        &self.notes[after - 1]
    }

    fn describe(&self, message: &mut String, result: usize) {
        let note = self.note(result);
        let number = result - note.first_result;
        let _ = write!(message, "{} {:#x} at {:#x}", note.row.name, note.word, note.address);
        let _ = writeln!(message, ", result {number}, operands {:#x?}", note.operands);
    }
}
