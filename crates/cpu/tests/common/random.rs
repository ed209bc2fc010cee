//! Random programs: both lengths of instructions mixed, loops, jumps across, memory.
//!
//! ```text
//!   body ─► segment: li INNER, n      ◄─┐ a few rounds
//!           instructions, jumps ahead ──┼──► into this segment or a later one
//!           blt x0, INNER, ─────────────┘
//!           …
//!           store all registers, load some anew
//!           loop while OUTER is above 0
//! ```
//!
//! 1. Every program ends: jumps go ahead, but for loops, whose counters nothing else writes and
//!    which go round only while their counter is above zero, and count wherever they were entered.
//! 2. Every data access falls into the buffer, every atomic one at an aligned address.

use super::encode::{Row, named, rows};
use super::listing::Kind;
use super::program::{BASE, Code};
use super::rng::Rng;

/// Registers with a purpose.
const SP: u32 = 2;
const OUTER: u32 = 3;
const INNER: u32 = 4;
const OUTPUT: u32 = 5;
const LINK: u32 = 6;
const SEEDS: u32 = 7;
const BUFFER: u32 = 8;

/// Registers stored at the end of a round: x, f and `fcsr`.
const STORED: u64 = 8 * (32 + 32 + 1);

/// The two pages of the buffer, which takes the second half of the one and the first of the other:
/// `BUFFER` points at its middle, `SP` at its start.
const BUFFER_PAGES: u64 = 0x2000;
const BUFFER_START: u64 = 0x800;
const BUFFER_MIDDLE: u64 = 0x1000;

/// How large a program is to be.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub bodies: u64,
    pub segments: u64,
    pub items: u64,
    pub rounds: u64,
    /// Whether it reads `cycle`, `time` and `instret`.
    pub counters: bool,
    /// Whether it stores conditionally, far from the reservation: the manual leaves open when that
    /// succeeds.
    pub conditional: bool,
}

/// A program, as an ELF file, and where its parts are.
#[derive(Clone, Debug)]
pub struct Program {
    pub elf: Vec<u8>,
    /// Where it writes results to.
    pub output: u64,
    pub output_bytes: u64,
}

/// A part of a body.
enum Item {
    Plain {
        row: &'static Row,
        word: u32,
    },
    Jump {
        row: &'static Row,
        word: u32,
        to: usize,
    },
    /// A jump through `LINK`, which is set to the target before.
    Indirect {
        row: &'static Row,
        word: u32,
        to: usize,
    },
}

impl Item {
    fn bytes(&self) -> u64 {
        match self {
            Item::Plain { row, .. } | Item::Jump { row, .. } => row.bytes,
            Item::Indirect { row, .. } => 8 + row.bytes,
        }
    }

    fn emit(&self, code: &mut Code, target: impl Fn(usize) -> u64) {
        match *self {
            Item::Plain { row, word } => code.push(row, word),
            Item::Jump { row, word, to } => {
                let offset = target(to).wrapping_sub(code.here());
                code.push(row, row.set(word, "imm", offset as u32));
            }
            Item::Indirect { row, word, to } => {
                let offset = target(to).wrapping_sub(code.here());
                code.op("auipc", &[("rd", LINK)]);
                code.addi(LINK, LINK, offset as i64);
                code.push(row, row.set(word, "rs1", LINK));
            }
        }
    }
}

/// A random program.
pub fn program(rng: &mut Rng, size: Size) -> Program {
    // Room for the code: an item has 10 bytes at most.
    let room = size.bodies * (size.segments * (size.items + 3) * 10 + 800);
    let data = BASE + ((room + 0x3000) & !0xfff);
    let seeds = data + BUFFER_PAGES;
    let seeds_bytes = 64 * (size.bodies * size.rounds + 16);
    let output = seeds + seeds_bytes;
    let output_bytes = STORED * size.bodies * size.rounds;

    let mut code = Code::default();
    let pointers = [
        (SP, data + BUFFER_START),
        (BUFFER, data + BUFFER_MIDDLE),
        (OUTPUT, output),
        (SEEDS, seeds),
    ];
    for (register, value) in pointers {
        code.li(register, value);
    }
    code.op("csrrwi", &[("csr", 2), ("zimm", rng.below(5) as u32)]);
    for register in 0..32 {
        code.fld(register, SEEDS, 8 * i64::from(register));
        if register > BUFFER || register == 1 {
            code.ld(register, SEEDS, 8 * i64::from(register));
        }
    }
    for _ in 0..size.bodies {
        body(rng, size, &mut code);
    }
    code.finish(output, output_bytes);

    let random = |rng: &mut Rng| if rng.one_in(2) { rng.integer() } else { rng.float() };
    let words = (BUFFER_PAGES + seeds_bytes) / 8;
    let mut bytes: Vec<u8> = (0..words).flat_map(|_| random(rng).to_le_bytes()).collect();
    bytes.resize(bytes.len() + output_bytes as usize, 0);
    Program { elf: code.elf(data, &bytes), output, output_bytes }
}

/// A loop over segments, and behind them the registers' values written down.
fn body(rng: &mut Rng, size: Size, code: &mut Code) {
    code.addi(OUTER, 0, size.rounds as i64);
    let start = code.here();
    let items = items(rng, size);
    let mut offsets = vec![code.here()];
    for item in &items {
        offsets.push(offsets[offsets.len() - 1] + item.bytes());
    }
    for item in &items {
        item.emit(code, |to| offsets[to]);
    }
    for register in 0..32 {
        code.sd(register, OUTPUT, 8 * i64::from(register));
        code.fsd(register, OUTPUT, 256 + 8 * i64::from(register));
    }
    code.op("csrrwi", &[("rd", LINK), ("csr", 1)]);
    code.sd(LINK, OUTPUT, 512);
    code.addi(OUTPUT, OUTPUT, STORED as i64);
    for place in 0..8 {
        let register = rng.pick(&[1, 9, 10, 12, 15, 17, 20, 24, 28, 31]);
        code.ld(register, SEEDS, 8 * place);
        code.fld(rng.below(32) as u32, SEEDS, 8 * place);
    }
    code.addi(SEEDS, SEEDS, 64);
    code.addi(OUTER, OUTER, -1);
    code.op("bge", &[("rs2", OUTER), ("imm", 8)]);
    code.op("jal", &[("imm", start.wrapping_sub(code.here()) as u32)]);
}

fn items(rng: &mut Rng, size: Size) -> Vec<Item> {
    let mut items = Vec::new();
    // The last item of all, that a jump may go to.
    let stride = size.items as usize + 3;
    let last = size.segments as usize * stride;
    for _ in 0..size.segments {
        let row = named("addi");
        let count = 1 + rng.below(3) as u32;
        items.push(Item::Plain { row, word: row.make(&[("rd", INNER), ("imm", count)]) });
        let start = items.len();
        for _ in 0..size.items {
            let mut to = (items.len() + 1 + rng.below(18) as usize).min(last);
            if to % stride == stride - 1 {
                // A loop's end is entered through its count.
                to -= 1;
            }
            items.push(item(rng, to, size));
        }
        let word = row.make(&[("rd", INNER), ("rs1", INNER), ("imm", u32::MAX)]);
        items.push(Item::Plain { row, word });
        let row = named("blt");
        items.push(Item::Jump { row, word: row.make(&[("rs2", INNER)]), to: start });
    }
    items
}

fn item(rng: &mut Rng, to: usize, size: Size) -> Item {
    loop {
        let row = &rows()[rng.below(rows().len() as u64) as usize];
        let word = row.random(rng);
        let writes = |name| row.register(word, name).is_some_and(|r| (2..=BUFFER).contains(&r));
        if writes("rd") || writes("rsd") {
            continue;
        }
        let word = match row.kind {
            // QEMU 7.2 is wrong about it.
            Kind::Compute if row.name == "ctzw" && !size.conditional => continue,
            Kind::Compute | Kind::ComputeSp => word,
            Kind::Csr if size.counters => {
                let word = row.set(word, "csr", 0xc00 + rng.below(3) as u32);
                // Read only: by CSRRS or CSRRC, with x0 or 0 as the mask.
                if row.name.starts_with("csrrw") {
                    continue;
                }
                row.set(word, if row.has("zimm") { "zimm" } else { "rs1" }, 0)
            }
            Kind::LoadSp | Kind::StoreSp => word,
            Kind::Load | Kind::Store => with_base(row, word),
            Kind::StoreConditional if !size.conditional => continue,
            Kind::Atomic | Kind::LoadReserved | Kind::StoreConditional => {
                row.set(word, "rs1", rng.pick(&[SP, BUFFER]))
            }
            Kind::Branch | Kind::Jump if row.name != "jalr" => return Item::Jump { row, word, to },
            Kind::Jump => {
                let word = row.set(word, "imm", 0);
                return Item::Indirect { row, word, to };
            }
            Kind::JumpRegister { .. } => return Item::Indirect { row, word, to },
            _ => continue,
        };
        return Item::Plain { row, word };
    }
}

/// The access with the buffer as its base, and within it.
fn with_base(row: &Row, word: u32) -> u32 {
    let word = row.set(word, "rs1", if row.bytes == 2 { 0 } else { BUFFER });
    match row.get_signed(word, "imm") {
        // The last bytes would reach behind the buffer.
        Some(imm) if imm > 2040 => row.set(word, "imm", 2040),
        _ => word,
    }
}
