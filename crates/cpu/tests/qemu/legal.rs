//! Which words are instructions: candidates are executed, and raise SIGILL or do not.
//!
//! ```text
//!   SITE page:  0000 0000 … 0000 │ candidate │  not mapped
//!                                └ at the page's end
//!
//!   handler of SIGILL, SIGSEGV, SIGBUS, SIGTRAP (on a stack of its own):
//!       result = SIGILL && pc == candidate's
//!       next candidate ─► SITE; in the saved context: pc, fcsr, and all registers 0
//!       sigreturn
//! ```
//!
//! A legal candidate traps, too: it runs into the page behind, accesses memory near address zero,
//! or jumps where nothing is or where the zeros are, which are illegal, but not at its place.
//! Left out is what would not come back, `ecall` and jumps to themselves.

use crate::common::encode::{Row, find, rows};
use crate::common::listing::Kind;
use crate::common::program::{BASE, Code};
use crate::common::{FlatBus, PAGE, Rng};
use crate::oracle::{is_available, run_qemu};
use pagewalk_cpu::{Hart, Stop, run_plain};

const RANDOM_WORDS: usize = 30_000;
const WORDS_NEAR_INSTRUCTIONS: usize = 60_000;

/// Far from everything, so that no jump arrives anywhere.
const SITE: u64 = 0x2000_0000;

const DATA: u64 = BASE + 0x4000;
const ALTERNATE_STACK: u64 = DATA + 0x100;
const ALTERNATE_STACK_BYTES: u64 = 0x8000;
const CANDIDATES: u64 = ALTERNATE_STACK + ALTERNATE_STACK_BYTES;
const CANDIDATE_BYTES: usize = 16;

// Where the handler's state is, at DATA.
const NEXT_CANDIDATE: i64 = 0;
const NEXT_RESULT: i64 = 8;
const PLACE: i64 = 16;
const END: i64 = 24;
const ACTION: u64 = 32;
const STACK: u64 = 64;

/// A word to try, and the rounding mode to try it with.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    word: u32,
    frm: u32,
}

impl Candidate {
    /// Long ones take the page's last four bytes, short ones the last two.
    fn place(self) -> u64 {
        SITE + PAGE - if self.word & 3 == 3 { 4 } else { 2 }
    }

    /// The page's last four bytes.
    fn tail(self) -> u32 {
        if self.word & 3 == 3 { self.word } else { self.word << 16 }
    }

    /// Whether it would not come back, or QEMU knows it by an extension that is not ours.
    fn is_left_out(self) -> bool {
        let near = |row: &Row| {
            let offset = row.get_signed(self.word, "imm").unwrap_or(i64::MAX);
            matches!(row.kind, Kind::Branch | Kind::Jump) && offset.abs() <= 2
        };
        self.word == 0x73 || find(self.word).is_some_and(near) || is_foreign(self.word)
    }

    fn is_illegal_here(self) -> bool {
        let mut bus = FlatBus::new(SITE, 1);
        bus.put_words(SITE + PAGE - 4, &[self.tail()]);
        let mut hart = Hart::new();
        hart.set_fcsr(self.frm << 5);
        hart.pc = self.place();
        run_plain(&mut hart, &mut bus, 1) == Stop::Illegal
    }
}

/// What QEMU 7.2 executes, but should not, being asked for RV64GC with Zba, Zbb and Zbs.
///
/// - Loads and stores of whole vector registers, without looking whether there are any.
/// - CSRRS and CSRRC of read-only registers with a source register that holds zero: the manual
///   forbids them unless the register is x0 (chapter "Zicsr").
fn is_foreign(word: u32) -> bool {
    let (opcode, funct3) = (word & 0x7f, word >> 12 & 7);
    let vector = matches!(opcode, 0x07 | 0x27) && matches!(funct3, 0 | 5 | 6 | 7);
    let read_only = word >> 30 == 3;
    vector || opcode == 0x73 && matches!(funct3, 2 | 3) && read_only && word >> 15 & 31 != 0
}

#[test]
fn illegal_is_what_is_illegal_for_qemu() {
    if !is_available() {
        return;
    }
    let candidates: Vec<_> = candidates().into_iter().filter(|c| !c.is_left_out()).collect();
    let theirs = run_qemu(&program(&candidates));
    // The first result belongs to the trap that started it.
    let theirs = &theirs[1..];
    assert_eq!(theirs.len(), candidates.len());
    let mut illegal = 0;
    let mut wrong = Vec::new();
    for (candidate, &result) in candidates.iter().zip(theirs) {
        illegal += u32::from(result);
        if candidate.is_illegal_here() != (result == 1) {
            wrong.push((*candidate, result == 1));
        }
    }
    println!("{} candidates, {illegal} illegal", candidates.len());
    let describe = |(candidate, illegal): &(Candidate, bool)| {
        let name = find(candidate.word).map(|row| row.name);
        format!("{candidate:#x?} {name:?}: illegal for QEMU: {illegal}\n")
    };
    let some: String = wrong.iter().take(60).map(describe).collect();
    assert!(wrong.is_empty(), "{} differ:\n{some}", wrong.len());
}

fn candidates() -> Vec<Candidate> {
    let mut rng = Rng::new(7);
    let parcels = (0..=0xffff).filter(|parcel| parcel & 3 != 3);
    let mut all: Vec<_> = parcels.map(|word| Candidate { word, frm: 0 }).collect();
    let long = |all: &mut Vec<_>, word, frm| all.push(Candidate { word, frm });
    for _ in 0..RANDOM_WORDS {
        long(&mut all, rng.next() as u32 | 3, 0);
    }
    let rows: Vec<_> = rows().iter().filter(|row| row.bytes == 4).collect();
    for _ in 0..WORDS_NEAR_INSTRUCTIONS {
        let row = rng.pick(&rows);
        let mut word = rng.next() as u32 & !row.mask | row.value;
        for _ in 0..rng.below(3) {
            word ^= 1 << (2 + rng.below(30));
        }
        long(&mut all, word, 0);
    }
    for row in rows.iter().filter(|row| row.has("rm")) {
        for (rm, frm) in (0..8).flat_map(|rm| (0..8).map(move |frm| (rm, frm))) {
            let word = rng.next() as u32 & !row.mask | row.value;
            long(&mut all, row.set(word, "rm", rm), frm);
        }
    }
    all
}

// The program. Registers: t0 to t6 are x5 to x7 and x28 to x31, a0 to a2 x10 to x12, a7 x17.

fn program(candidates: &[Candidate]) -> Vec<u8> {
    let end = CANDIDATES + (candidates.len() * CANDIDATE_BYTES) as u64;
    // The handler is as long wherever it is: once for its address, once for good.
    let mut handler = 0;
    let mut code = Code::default();
    for _ in 0..2 {
        code = Code::default();
        prologue(&mut code);
        // The first signal: any word that is illegal will do.
        code.skip(4);
        handler = code.here();
        emit_handler(&mut code, end, candidates.len() as u64 + 1);
    }
    code.elf(DATA, &data(candidates, handler, end))
}

fn system_call(code: &mut Code, number: u64, arguments: &[u64]) {
    for (register, &argument) in (10..).zip(arguments) {
        code.li(register, argument);
    }
    code.li(17, number);
    code.op("ecall", &[]);
}

fn prologue(code: &mut Code) {
    const SIGALTSTACK: u64 = 132;
    const RT_SIGACTION: u64 = 134;
    const MMAP: u64 = 222;
    const READ_WRITE_EXECUTE: u64 = 7;
    const PRIVATE_FIXED_ANONYMOUS: u64 = 0x32;
    system_call(code, MMAP, &[SITE, PAGE, READ_WRITE_EXECUTE, PRIVATE_FIXED_ANONYMOUS, 0, 0]);
    system_call(code, SIGALTSTACK, &[DATA + STACK, 0]);
    for signal in [4, 5, 7, 11] {
        system_call(code, RT_SIGACTION, &[signal, DATA + ACTION, 0, 8]);
    }
}

fn emit_handler(code: &mut Code, end: u64, results: u64) {
    /// Of the saved registers, the pc first, in `ucontext`; behind them f0 to f31 and `fcsr`.
    const SAVED: i64 = 176;
    const SIGILL: i64 = 4;
    const RT_SIGRETURN: u64 = 139;
    let three = |rd, rs1, rs2| [("rd", rd), ("rs1", rs1), ("rs2", rs2)];
    let is_zero = |code: &mut Code, r: u32| {
        code.op("sltiu", &[("rd", r), ("rs1", r), ("imm", 1)]);
    };
    code.li(5, DATA);
    code.ld(6, 5, NEXT_CANDIDATE);
    code.ld(7, 5, NEXT_RESULT);
    code.ld(28, 12, SAVED);
    code.ld(29, 5, PLACE);
    code.op("xor", &three(28, 28, 29));
    is_zero(code, 28);
    code.addi(30, 10, -SIGILL);
    is_zero(code, 30);
    code.op("and", &three(28, 28, 30));
    code.op("sb", &[("rs1", 7), ("rs2", 28)]);
    code.addi(7, 7, 1);
    code.sd(7, 5, NEXT_RESULT);

    code.ld(31, 5, END);
    let mut finish = Code::default();
    finish.finish(end, results);
    let finish_bytes = finish.here() - Code::default().here();
    code.op("bltu", &[("rs1", 6), ("rs2", 31), ("imm", 4 + finish_bytes as u32)]);
    code.finish(end, results);

    code.op("lwu", &[("rd", 28), ("rs1", 6)]);
    code.op("lwu", &[("rd", 30), ("rs1", 6), ("imm", 4)]);
    code.ld(29, 6, 8);
    code.addi(6, 6, CANDIDATE_BYTES as i64);
    code.sd(6, 5, NEXT_CANDIDATE);
    code.sd(29, 5, PLACE);
    code.li(31, SITE + PAGE - 4);
    code.op("sw", &[("rs1", 31), ("rs2", 28)]);
    code.op("fence.i", &[]);
    code.sd(29, 12, SAVED);
    for register in 1..32 {
        code.sd(0, 12, SAVED + 8 * register);
    }
    code.op("sw", &[("rs1", 12), ("rs2", 30), ("imm", SAVED as u32 + 512)]);
    code.li(17, RT_SIGRETURN);
    code.op("ecall", &[]);
}

fn data(candidates: &[Candidate], handler: u64, end: u64) -> Vec<u8> {
    const SIGINFO_ONSTACK: u64 = 0x0800_0004;
    let words = [
        CANDIDATES,
        end,
        0,
        end,
        // struct sigaction: the handler, flags, no mask.
        handler,
        SIGINFO_ONSTACK,
        0,
        0,
        // stack_t
        ALTERNATE_STACK,
        0,
        ALTERNATE_STACK_BYTES,
    ];
    let mut data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    data.resize((CANDIDATES - DATA) as usize, 0);
    for candidate in candidates {
        data.extend(candidate.tail().to_le_bytes());
        data.extend((candidate.frm << 5).to_le_bytes());
        data.extend(candidate.place().to_le_bytes());
    }
    data.resize(data.len() + candidates.len() + 1, 0);
    data
}
