//! Jumps and branches: whether they were taken is seen in `TMP`.
//!
//! ```text
//!   forward:    li tmp, 1          backward:   li tmp, 1
//!               jump ─┐                        j ────────┐
//!               li tmp, 2             ┌──────► li tmp, 2 │
//!               …     │               │        j ──┐     │
//!        here ◄───────┘               └─────── jump ◄────┘
//!                                              here ◄┘
//! ```

use super::Generator;
use crate::common::encode::Row;
use crate::common::listing::Kind;

impl Generator {
    /// A jump with what tells where it went.
    pub(super) fn jump(&mut self, row: &'static Row, word: u32) {
        let first_operand = self.input.len();
        let first_result = self.results;
        for name in ["rs1", "rs2"] {
            if let Some(register) = row.register(word, name) {
                let random = self.rng.integer();
                let value = self.rng.pick(&[0, 5, random]);
                self.load_operand(register, value);
            }
        }
        self.code.addi(self.fixed.tmp, 0, 1);
        let reach = match (row.name, row.bytes) {
            ("jal" | "jalr", _) => 200_000,
            (_, 4) => 4000,
            ("c.j" | "c.jr" | "c.jalr", _) => 1000,
            _ => 200,
        };
        // Mostly short, so that the code does not grow for nothing.
        let gap = if self.rng.one_in(20) { 2 * self.rng.below(reach / 2) } else { 0 };
        let forward = self.rng.one_in(2);
        let (address, word) =
            if forward { self.forward(row, word, gap) } else { self.backward(row, word, gap) };
        self.store_result(self.fixed.tmp);
        if let Some(register) = row.register(word, "rd") {
            self.store_result(register);
        }
        if row.kind == (Kind::JumpRegister { link: 1 }) {
            self.store_result(1);
        }
        self.note(row, word, address, first_operand, first_result);
    }

    fn forward(&mut self, row: &Row, word: u32, gap: u64) -> (u64, u32) {
        // The set-up's length does not depend on the target.
        let setup = self.target_setup_bytes(row);
        let target = self.code.here() + setup + row.bytes + 4 + gap;
        let word = self.aim(row, word, target);
        let address = self.code.here();
        self.code.push(row, word);
        self.code.addi(self.fixed.tmp, 0, 2);
        if matches!(row.kind, Kind::Branch) {
            self.jump_over(gap);
        } else {
            self.code.skip(gap);
        }
        (address, word)
    }

    fn backward(&mut self, row: &Row, word: u32, gap: u64) -> (u64, u32) {
        let setup = self.target_setup_bytes(row);
        let jal = |offset: u64| [("imm", offset as u32)];
        self.code.op("jal", &jal(4 + 8 + gap));
        let target = self.code.here();
        self.code.addi(self.fixed.tmp, 0, 2);
        self.code.op("jal", &jal(4 + gap + setup + row.bytes));
        self.code.skip(gap);
        let word = self.aim(row, word, target);
        let address = self.code.here();
        self.code.push(row, word);
        (address, word)
    }

    /// Unreachable bytes that a branch not taken does not run into.
    fn jump_over(&mut self, gap: u64) {
        if gap >= 4 {
            self.code.op("jal", &[("imm", gap as u32)]);
            self.code.skip(gap - 4);
        } else {
            (0..gap / 2).for_each(|_| self.code.op("c.addi", &[]));
        }
    }

    /// How many bytes [`Self::aim`] emits: a jump to a register loads its target.
    fn target_setup_bytes(&self, row: &Row) -> u64 {
        let offset = (self.input.len() - self.input_base) * 8;
        match row.name {
            "jalr" | "c.jr" | "c.jalr" if offset > 2040 => 8,
            "jalr" | "c.jr" | "c.jalr" => 4,
            _ => 0,
        }
    }

    /// The instruction with its target filled in, or in its register.
    fn aim(&mut self, row: &Row, word: u32, target: u64) -> u32 {
        if let Some(register) = row.register(word, "rs1").filter(|_| row.name != "c.beqz") {
            let imm = row.get_signed(word, "imm").unwrap_or(0);
            if matches!(row.name, "jalr" | "c.jr" | "c.jalr") {
                // The lowest bit of a target is ignored.
                let odd = self.rng.below(2);
                let offset = self.next_input((target | odd).wrapping_sub(imm as u64));
                let register = if register == 0 { self.fixed.tmp } else { register };
                self.code.ld(register, self.fixed.input, offset);
                return row.set(word, "rs1", register);
            }
        }
        row.set(word, "imm", target.wrapping_sub(self.code.here()) as u32)
    }
}
