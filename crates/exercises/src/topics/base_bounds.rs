//! Base and bounds registers: one contiguous block, an addition and a comparison.

use pagewalk_mmu::segment::BaseBounds;
use pagewalk_mmu::{Access, AccessKind, PhysAddr, Privilege};
use schemars::JsonSchema;
use serde::Serialize;

use super::Data;
use crate::draw::Draw;
use crate::form::Form;
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "base-bounds",
    about: "translation by a pair of base and bounds registers, and moving a domain",
    variants: &[],
    make: Some(make),
};

/// The registers, and what is translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BaseBoundsData {
    /// The base register: where virtual address 0 lies.
    pub base: u64,
    /// The bounds register: the first virtual address that is not allowed.
    pub bounds: u64,
    /// Virtual addresses that are accessed.
    pub accesses: Vec<u64>,
    /// Where the domain is moved to afterwards.
    pub moved_to: u64,
    /// The virtual address that is accessed then.
    pub after_move: u64,
}

fn make(draw: &mut Draw, _: &'static str) -> Body {
    let bounds = draw.between(2, 40) * 100;
    let base = draw.between(10, 600) * 100;
    let moved_to = draw.between(601, 900) * 100;
    let inside = |draw: &mut Draw| draw.below(bounds);
    let mut accesses = vec![inside(draw), inside(draw), bounds + draw.below(bounds)];
    accesses.push(draw.pick(&[bounds - 1, bounds]));
    accesses.push(draw.below(2 * bounds));
    draw.shuffle(&mut accesses);
    let after_move = inside(draw);
    let data = BaseBoundsData { base, bounds, accesses, moved_to, after_move };
    let mut questions: Vec<Question> =
        data.accesses.iter().map(|&address| access(base, bounds, address)).collect();
    questions.push(moved(&data));
    let given = vec![
        Block::text(
            "A process runs in a domain: one contiguous block of physical memory. Each virtual \
             address that it uses is compared with the bounds register (also called limit) and then \
             added to the base register. Only the operating system can load the two. All numbers \
             are decimal.",
        ),
        Block::table(
            "The registers",
            &["register", "value"],
            vec![vec!["base".into(), base.to_string()], vec!["bounds".into(), bounds.to_string()]],
        ),
    ];
    let title = "Base and bounds".into();
    Body { title, given, data: Data::BaseBounds(data), questions }
}

/// What the registers make of an address.
fn physical(base: u64, bounds: u64, address: u64) -> Option<u64> {
    let mut registers = BaseBounds::new();
    registers.load(Privilege::Supervisor, PhysAddr(base), 0, bounds).ok()?;
    let placed = registers.translate(address, 1, Access::user(AccessKind::Read));
    placed.ok().map(|placed| placed.address)
}

fn access(base: u64, bounds: u64, address: u64) -> Question {
    let physical = physical(base, bounds, address);
    let answer = physical.map_or("trap".into(), |physical| physical.to_string());
    let why = match physical {
        Some(physical) => [
            format!("{address} is below the bounds, {bounds}: the access is allowed."),
            format!("Physical address = base + virtual address = {base} + {address} = {physical}."),
        ],
        None => [
            format!(
                "The allowed addresses are 0 to {}; {address} is not below the bounds.",
                bounds - 1
            ),
            "So the hardware traps into the operating system, and no memory is touched.".into(),
        ],
    };
    Question::new(format!("The process reads virtual address {address}."))
        .field("physical", "physical address, or trap", Form::number_or("trap"), answer)
        .because_all(why)
}

fn moved(data: &BaseBoundsData) -> Question {
    let BaseBoundsData { bounds, moved_to, after_move, .. } = *data;
    let physical = physical(moved_to, bounds, after_move).unwrap_or_default();
    let text = format!(
        "The operating system copies the whole domain to physical address {moved_to}, and loads the \
         registers anew. Then the process reads virtual address {after_move}."
    );
    Question::new(text)
        .field("base", "base register", Form::Number, moved_to.to_string())
        .field("bounds", "bounds register", Form::Number, bounds.to_string())
        .field("physical", "physical address", Form::Number, physical.to_string())
        .because("The domain's place has changed, and its size has not: only the base is another.")
        .because("The program's own addresses are the same as before; it does not notice.")
        .because(format!("Physical address = {moved_to} + {after_move} = {physical}."))
}
