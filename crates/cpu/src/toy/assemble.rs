//! The assembler: text to instructions, with errors that point at what is wrong.
//!
//! Two passes over the lines: the first finds the labels, the second reads the instructions.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::op::{Address, Arithmetic, Call, Comparison, Op, Operand, Reg, Rights};

/// The most pages that a call names: more than any machine of words has.
const PAGES_MAX: i64 = 1 << 32;

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its instructions.
    pub code: Vec<Op>,
    /// Each as it was written, without comment and labels.
    pub lines: Vec<String>,
    /// The labels, by the number of the instruction that they stand before.
    pub labels: BTreeMap<usize, Vec<String>>,
}

/// What is wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssembleError {
    /// Where in the text, in bytes; not empty unless the text ends there.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl fmt::Display for AssembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.help)
    }
}

impl std::error::Error for AssembleError {}

/// Assembles a program.
///
/// ```
/// use pagewalk_cpu::toy::assemble;
///
/// let program = assemble("load r1, mem(0)\ninc r1\nstore r1, mem(1)").unwrap();
/// assert_eq!(program.code[2].to_string(), "store r1, mem(1)");
/// let error = assemble("inc r1\nlaod r1, mem(0)").unwrap_err();
/// assert_eq!((error.span, &*error.message), (7..11, "there is no instruction laod"));
/// ```
///
/// # Errors
/// The first thing that is wrong, where it is and what would be right.
pub fn assemble(text: &str) -> Result<Program, AssembleError> {
    let mut labels = BTreeMap::new();
    let mut statements = Vec::new();
    for (line, start) in lines(text) {
        let mut scanner = Scanner { text: line, at: 0, start };
        while let Some(label) = scanner.label()? {
            let (name, span) = label;
            if labels.insert(name, statements.len()).is_some() {
                let message = format!("the label {name} is there twice");
                return Err(error(span, message, "give each label a name of its own"));
            }
        }
        if !scanner.is_done() {
            statements.push(scanner);
        }
    }
    let mut program = Program::default();
    for mut scanner in statements {
        program.lines.push(tidy(&scanner.text[scanner.at..]));
        program.code.push(statement(&mut scanner, &labels)?);
        scanner.end()?;
    }
    for (name, at) in labels {
        program.labels.entry(at).or_default().push(name.to_owned());
    }
    Ok(program)
}

/// The lines without their comments, each with where it begins.
fn lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let begin = text.as_ptr() as usize;
    text.lines().map(move |line| {
        let start = line.as_ptr() as usize - begin;
        (line.split(';').next().unwrap_or(""), start)
    })
}

/// A statement with single spaces.
fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn error(span: Range<usize>, message: String, help: &str) -> AssembleError {
    AssembleError { span, message, help: help.to_owned() }
}

type Labels<'a> = BTreeMap<&'a str, usize>;

const MNEMONICS: &str = "instructions are load, store, set, inc, dec, add, sub, mul, jump, jeq, \
                         jne, jlt, jge, fork, map, unmap, protect, evict, wait, yield and exit";

fn statement(scanner: &mut Scanner<'_>, labels: &Labels<'_>) -> Result<Op, AssembleError> {
    let (mnemonic, span) = scanner.word().ok_or_else(|| {
        let message = "an instruction is expected here".to_owned();
        error(scanner.here(), message, MNEMONICS)
    })?;
    let arithmetic = Arithmetic::NAMES.iter().find(|(name, _)| *name == mnemonic);
    let comparison = Comparison::NAMES.iter().find(|(name, _)| *name == mnemonic);
    if let Some(&(_, what)) = arithmetic {
        let (to, from) = (scanner.reg()?, scanner.comma()?.reg()?);
        return Ok(Op::Compute(what, to, from, scanner.comma()?.operand()?));
    }
    if let Some(&(_, what)) = comparison {
        let (reg, operand) = (scanner.reg()?, scanner.comma()?.operand()?);
        return Ok(Op::Branch(what, reg, operand, scanner.comma()?.target(labels)?));
    }
    let by_one = |what, reg| Op::Compute(what, reg, reg, Operand::Value(1));
    Ok(match mnemonic {
        "load" => Op::Load(scanner.reg()?, scanner.comma()?.address()?),
        "store" => Op::Store(scanner.reg()?, scanner.comma()?.address()?),
        "set" => Op::Set(scanner.reg()?, scanner.comma()?.operand()?),
        "inc" => by_one(Arithmetic::Add, scanner.reg()?),
        "dec" => by_one(Arithmetic::Sub, scanner.reg()?),
        "jump" => Op::Jump(scanner.target(labels)?),
        "fork" => Op::Call(Call::Fork(scanner.reg()?)),
        "map" => {
            let (at, pages) = (scanner.address()?, scanner.comma()?.pages()?);
            let rights =
                if scanner.is_done() { Rights::ReadWrite } else { scanner.comma()?.rights()? };
            Op::Call(Call::Map(at, pages, rights))
        }
        "unmap" => Op::Call(Call::Unmap(scanner.address()?, scanner.comma()?.pages()?)),
        "protect" => {
            let (at, pages) = (scanner.address()?, scanner.comma()?.pages()?);
            Op::Call(Call::Protect(at, pages, scanner.comma()?.rights()?))
        }
        "evict" => Op::Call(Call::Evict(scanner.address()?)),
        "wait" => Op::Call(Call::Wait),
        "yield" => Op::Call(Call::Yield),
        "exit" => Op::Call(Call::Exit),
        _ => {
            return Err(error(span, format!("there is no instruction {mnemonic}"), MNEMONICS));
        }
    })
}

/// Reads one line.
#[derive(Clone, Copy)]
struct Scanner<'a> {
    text: &'a str,
    /// Where in the line.
    at: usize,
    /// Where the line begins in the text.
    start: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn is_done(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    /// What stands here, to be pointed at.
    fn here(&mut self) -> Range<usize> {
        self.skip_space();
        let rest = self.rest();
        let word = rest.find(|c: char| c.is_whitespace() || ",()".contains(c));
        let first = rest.chars().next().map_or(0, char::len_utf8);
        self.span(self.at, self.at + word.unwrap_or(rest.len()).max(first))
    }

    fn span(&self, from: usize, to: usize) -> Range<usize> {
        self.start + from..self.start + to
    }

    /// A word of letters, digits and `_`, beginning with a letter or `_`.
    fn word(&mut self) -> Option<(&'a str, Range<usize>)> {
        self.skip_space();
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return None;
        }
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let from = self.at;
        self.at += len;
        Some((&rest[..len], self.span(from, self.at)))
    }

    /// `name:`, if that stands here.
    fn label(&mut self) -> Result<Option<(&'a str, Range<usize>)>, AssembleError> {
        let before = *self;
        let Some((name, span)) = self.word() else { return Ok(None) };
        if !self.rest().starts_with(':') {
            *self = before;
            return Ok(None);
        }
        self.at += 1;
        if as_reg(name).is_some() {
            let message = format!("{name} is a register, not a label");
            return Err(error(span, message, "give the label another name"));
        }
        Ok(Some((name, span)))
    }

    fn wanted<T>(&mut self, what: &str, help: &str) -> Result<T, AssembleError> {
        let span = self.here();
        let message = match &self.text[span.start - self.start..span.end - self.start] {
            "" => format!("{what} is missing"),
            found => format!("{what} is expected, not {found}"),
        };
        Err(error(span, message, help))
    }

    fn comma(&mut self) -> Result<&mut Self, AssembleError> {
        self.skip_space();
        if !self.rest().starts_with(',') {
            return self.wanted("a comma", "operands stand with commas between them");
        }
        self.at += 1;
        Ok(self)
    }

    fn symbol(&mut self, symbol: char, help: &str) -> Result<(), AssembleError> {
        self.skip_space();
        if !self.rest().starts_with(symbol) {
            return self.wanted(&symbol.to_string(), help);
        }
        self.at += symbol.len_utf8();
        Ok(())
    }

    fn try_reg(&mut self) -> Option<Reg> {
        let before = *self;
        let found = self.word().and_then(|(name, _)| as_reg(name));
        if found.is_none() {
            *self = before;
        }
        found
    }

    fn reg(&mut self) -> Result<Reg, AssembleError> {
        match self.try_reg() {
            Some(reg) => Ok(reg),
            None => self.wanted("a register", "registers are r0 to r15"),
        }
    }

    fn try_number(&mut self) -> Option<i64> {
        self.skip_space();
        let rest = self.rest();
        let unsigned = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start();
        let len = unsigned.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let digits = &unsigned[..len.unwrap_or(unsigned.len())];
        let magnitude = number(digits)?;
        let value = match rest.starts_with('-') {
            true => 0i64.checked_sub_unsigned(magnitude)?,
            // A word may be given as what its bits are without a sign.
            false => magnitude as i64,
        };
        self.at += rest.len() - unsigned.len() + digits.len();
        Some(value)
    }

    fn operand(&mut self) -> Result<Operand, AssembleError> {
        if let Some(reg) = self.try_reg() {
            return Ok(Operand::Reg(reg));
        }
        match self.try_number() {
            Some(value) => Ok(Operand::Value(value)),
            None => self.wanted("a register or a number", "such as r2, 17, -1 or 0x1f"),
        }
    }

    fn address(&mut self) -> Result<Address, AssembleError> {
        const FORM: &str = "addresses are mem(N), mem(rS) or mem(rS+N)";
        let before = *self;
        if self.word().is_none_or(|(name, _)| name != "mem") {
            *self = before;
            return self.wanted("an address", FORM);
        }
        self.symbol('(', FORM)?;
        let base = self.try_reg();
        self.skip_space();
        let has_offset = base.is_none() || self.rest().starts_with(['+', '-']);
        let offset = match has_offset {
            false => 0,
            true => match self.try_number() {
                Some(offset) => offset,
                None => return self.wanted("a number", FORM),
            },
        };
        self.symbol(')', FORM)?;
        Ok(Address { base, offset })
    }

    fn pages(&mut self) -> Result<u64, AssembleError> {
        let before = *self;
        match self.try_number() {
            Some(pages @ 1..=PAGES_MAX) => Ok(pages as u64),
            _ => {
                *self = before;
                self.wanted("a number of pages", "from 1 on, up to 4294967296")
            }
        }
    }

    fn rights(&mut self) -> Result<Rights, AssembleError> {
        let before = *self;
        let found = self.word().and_then(|(word, _)| {
            Rights::NAMES.iter().find(|(name, _)| *name == word).map(|&(_, rights)| rights)
        });
        match found {
            Some(rights) => Ok(rights),
            None => {
                *self = before;
                self.wanted("what may be done", "r (load), rw (load and store) or none")
            }
        }
    }

    fn target(&mut self, labels: &Labels<'_>) -> Result<usize, AssembleError> {
        let before = *self;
        match self.word() {
            Some((name, span)) => labels.get(name).copied().ok_or_else(|| {
                let message = format!("there is no label {name}");
                error(span, message, "a label is a name with a colon, before an instruction")
            }),
            None => {
                *self = before;
                self.wanted("a label", "the name of a line: name: before its instruction")
            }
        }
    }

    fn end(&mut self) -> Result<(), AssembleError> {
        if self.is_done() { Ok(()) } else { self.wanted("the end of the line", "one a line") }
    }
}

fn as_reg(name: &str) -> Option<Reg> {
    let digits = name.strip_prefix('r')?;
    let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
    is_plain.then(|| digits.parse().ok().and_then(Reg::new)).flatten()
}

/// A number without a sign.
fn number(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (&str, String) {
        let error = assemble(text).expect_err(text);
        (&text[error.span], error.message)
    }

    #[test]
    fn every_instruction_is_read_and_written_back() {
        let text = "start: load r1, mem(0)\n store r15 , mem( r2 - 3 ) ; comment\n set r3, -7\n\
                    set r3, r4\n inc r1\n dec r1\n add r1, r2, r3\n sub r1, r2, 0x10\n\
                    mul r1, r1, r1\n jump start\n jeq r1, 0, end\n jne r1, r2, start\n\
                    jlt r1, 5, end\n jge r1, 5, end\n fork r1\n map mem(4096), 2\n\
                    map mem(r1), 1, r\n unmap mem(0), 1\n protect mem(0), 1, none\n\
                    evict mem(r1+1)\n wait\n yield\nend: exit\n";
        let program = assemble(text).unwrap();
        assert_eq!(program.code.len(), 23);
        assert_eq!(program.labels[&22], ["end"]);
        assert_eq!(program.lines[1], "store r15 , mem( r2 - 3 )");
        for op in program.code {
            let text = op.to_string();
            if !matches!(op, Op::Jump(_) | Op::Branch(..)) {
                assert_eq!(assemble(&text).unwrap().code, [op], "{text}");
            }
        }
    }

    #[test]
    fn errors_point_at_what_is_wrong() {
        for (text, at, message) in [
            ("load r16, mem(0)", "r16", "a register is expected, not r16"),
            ("load r1 mem(0)", "mem", "a comma is expected, not mem"),
            ("load r1, 0", "0", "an address is expected, not 0"),
            ("load r1, mem(x)", "x", "a number is expected, not x"),
            ("load r1, mem(0", "", ") is missing"),
            ("inc", "", "a register is missing"),
            ("jump nowhere", "nowhere", "there is no label nowhere"),
            ("a: inc r1\na: inc r1", "a", "the label a is there twice"),
            ("r1: inc r1", "r1", "r1 is a register, not a label"),
            ("map mem(0), 0", "0", "a number of pages is expected, not 0"),
            ("protect mem(0), 1, x", "x", "what may be done is expected, not x"),
            ("inc r1 r2", "r2", "the end of the line is expected, not r2"),
            ("set r1, 99999999999999999999", "99999999999999999999", {
                "a register or a number is expected, not 99999999999999999999"
            }),
            ("= 1", "=", "an instruction is expected here"),
        ] {
            assert_eq!(wrong(text), (at, message.to_owned()), "{text}");
        }
    }
}
