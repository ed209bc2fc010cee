//! Page replacement: who goes, reference by reference.
//!
//! The policies are those of the `replacement` crate. They run over frames whose referenced and
//! modified bits are kept here; what they look at is what the derivation tells.

use pagewalk_mmu::Pfn;
use pagewalk_replacement::{
    NEVER, NruPick, Page, PageId, PageKind, Pages, Policy, PolicyKind, Probe,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::replacement_why::{Moment, why};
use super::{Data, freebsd};
use crate::draw::Draw;
use crate::form::{Form, list};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "replacement",
    about: "page replacement: hit or fault, and the victim, reference by reference",
    variants: &[
        "fifo",
        "lru",
        "opt",
        "clock",
        "second-chance",
        "gclock",
        "nru",
        "aging",
        "freebsd",
    ],
    make: Some(make),
};

/// References of a string.
const REFERENCES: usize = 14;

/// A string of references, and the memory that it meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReplacementData {
    /// The policy.
    pub policy: String,
    /// The frames, all empty at first; a free frame with the lowest number is taken first.
    pub frames: u64,
    /// The references.
    pub references: Vec<PageReference>,
    /// The clock ticks after every so many references; absent if no tick matters.
    pub tick_every: Option<u64>,
}

/// A reference to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PageReference {
    /// The page.
    pub page: u64,
    /// It is a store.
    pub write: bool,
}

fn make(draw: &mut Draw, variant: &'static str) -> Body {
    if variant == "freebsd" {
        return freebsd::make(draw);
    }
    let frames = draw.between(3, 4);
    let (mut references, mut frames) = (draw_references(draw, frames), frames);
    if variant == "fifo" && draw.chance(15) {
        // Belady's string: more frames, more faults.
        frames = draw.between(3, 4);
        references = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5].to_vec();
    }
    let has_writes = variant == "nru";
    let references = references.into_iter().map(|page| {
        let write = has_writes && draw.chance(40);
        PageReference { page, write }
    });
    let data = ReplacementData {
        policy: variant.into(),
        frames,
        references: references.collect(),
        tick_every: matches!(variant, "nru" | "aging").then(|| draw.between(3, 4)),
    };
    let title = format!("Page replacement: {}", name(variant));
    let questions = questions(&data);
    Body { title, given: given(&data), data: Data::Replacement(data), questions }
}

/// A string with some locality.
fn draw_references(draw: &mut Draw, frames: u64) -> Vec<u64> {
    let pages = frames + draw.between(1, 3);
    let mut references: Vec<u64> = Vec::new();
    while references.len() < REFERENCES {
        let recent = references.len().saturating_sub(4);
        let page = match draw.chance(35) && !references.is_empty() {
            true => draw.pick(&references[recent..]),
            false => draw.below(pages),
        };
        if references.last() != Some(&page) {
            references.push(page);
        }
    }
    references
}

fn name(policy: &str) -> &'static str {
    match policy {
        "fifo" => "FIFO",
        "lru" => "LRU",
        "opt" => "OPT",
        "clock" => "CLOCK",
        "second-chance" => "second chance",
        "gclock" => "GCLOCK",
        "nru" => "NRU",
        _ => "aging",
    }
}

/// The rule by which a victim is chosen, so that there is one answer.
fn rule(policy: &str) -> &'static str {
    match policy {
        "fifo" => "FIFO: the victim is the page that was loaded first.",
        "lru" => {
            "LRU (least recently used): the victim is the page whose last reference is oldest."
        }
        "opt" => {
            "OPT (Belady's MIN): the victim is the page whose next reference is furthest in the future. Of \
             several that are never referenced again, it is the one in the frame with the highest number."
        }
        "clock" => {
            "CLOCK: the frames stand in a circle, in the order of their numbers; the hand begins at frame 0. \
             Each frame has a referenced bit, which loading and every reference set. When a victim is \
             needed, the hand looks at its frame: if the bit is set, it clears it and moves on; if not, \
             this is the victim, and the hand moves on behind it. The new page takes the victim's frame."
        }
        "second-chance" => {
            "Second chance: the pages stand in a queue in the order of loading. Each has a referenced bit, \
             which loading and every reference set. When a victim is needed, the head of the queue is \
             looked at: if its bit is set, it is cleared and the page goes to the tail; if not, it is the \
             victim."
        }
        "gclock" => {
            "GCLOCK: the frames stand in a circle, in the order of their numbers; the hand begins at frame \
             0. Each frame has a referenced bit, which loading and every reference set, and a count from 0 \
             to 3, which is 0 for a new page. When a victim is needed, the hand looks at its frame: if the \
             bit is set, it clears it and adds 1 to the count (at most 3). Then, if the count is 0, this \
             is the victim; otherwise the count loses 1. In either case the hand moves on."
        }
        "nru" => {
            "NRU (not recently used): each page has a referenced bit R, which loading and every reference \
             set, and a modified bit M, which a write sets. A tick of the clock clears all R. The victim \
             is from the lowest class 2R + M that is not empty; of several the one in the frame with the \
             lowest number."
        }
        _ => {
            "Aging: each page has a referenced bit R, which loading and every reference set, and a counter of \
             8 bits, which is 1000 0000 for a new page. At a tick of the clock each counter is shifted \
             right by one, R becomes its leftmost bit, and R is cleared. The victim has the smallest \
             counter; of several it is the one in the frame with the lowest number."
        }
    }
}

fn kind(policy: &str) -> PolicyKind {
    match policy {
        "lru" => PolicyKind::Lru,
        "opt" => PolicyKind::Opt,
        "clock" => PolicyKind::Clock,
        "second-chance" => PolicyKind::SecondChance,
        "gclock" => PolicyKind::GClock { bits: 2 },
        "nru" => PolicyKind::Nru { pick: NruPick::First },
        "aging" => PolicyKind::Aging,
        _ => PolicyKind::Fifo,
    }
}

fn given(data: &ReplacementData) -> Vec<Block> {
    let ticks = match data.tick_every {
        Some(every) => format!(
            " The clock ticks after every {every} references: after the {every}th, the {}th and so on.",
            2 * every
        ),
        None => String::new(),
    };
    let text = format!(
        "Memory has {} frames, which are empty at first; a free frame with the lowest number is taken \
         first. Pages are loaded when they are referenced (demand paging).{ticks}",
        data.frames
    );
    let numbers = (1..=data.references.len()).map(|n| n.to_string());
    let rows = numbers.zip(&data.references).map(|(n, reference)| {
        let kind = if reference.write { "write" } else { "read" };
        vec![n, reference.page.to_string(), kind.into()]
    });
    let mut blocks = vec![Block::text(text), Block::text(rule(&data.policy))];
    if data.references.iter().any(|reference| reference.write) {
        blocks.push(Block::table("The references", &["number", "page", "access"], rows.collect()));
    } else {
        let pages: Vec<u64> = data.references.iter().map(|reference| reference.page).collect();
        blocks.push(Block::text(format!(
            "The pages are referenced in this order: {}.",
            list(&pages)
        )));
    }
    blocks
}

/// Memory, as a policy sees it.
pub(crate) struct Frames {
    /// The page in each frame.
    pub pages: Vec<Option<u64>>,
    /// The referenced bits.
    pub referenced: Vec<bool>,
    /// The modified bits.
    pub modified: Vec<bool>,
    /// What was looked at, and whether it was referenced.
    pub looks: Vec<(u64, bool)>,
}

impl Pages for Frames {
    fn probe(&mut self, frame: Pfn) -> Probe {
        let was = std::mem::take(&mut self.referenced[frame.0 as usize]);
        self.looks.push((frame.0, was));
        if was { Probe::Referenced } else { Probe::Unreferenced }
    }

    fn modified(&mut self, frame: Pfn) -> bool {
        self.modified[frame.0 as usize]
    }

    fn launder(&mut self, _: Pfn) {}
}

impl Frames {
    pub(crate) fn new(frames: u64) -> Self {
        let count = frames as usize;
        Self {
            pages: vec![None; count],
            referenced: vec![false; count],
            modified: vec![false; count],
            looks: Vec::new(),
        }
    }

    fn holding(&self, page: u64) -> Option<usize> {
        self.pages.iter().position(|&held| held == Some(page))
    }

    fn free(&self) -> Option<usize> {
        self.pages.iter().position(Option::is_none)
    }

    /// The pages in memory, in the order of their frames.
    pub(crate) fn resident(&self) -> Vec<u64> {
        self.pages.iter().flatten().copied().collect()
    }
}

fn questions(data: &ReplacementData) -> Vec<Question> {
    let mut frames = Frames::new(data.frames);
    let mut policy = kind(&data.policy).build(data.frames, 0);
    let mut moment = Moment::new(data);
    let mut questions = Vec::new();
    let mut faults = 0;
    for (n, &reference) in data.references.iter().enumerate() {
        moment.begin(n, &frames);
        let before = frames.resident();
        let is_hit = frames.holding(reference.page).is_some();
        let victim = refer(policy.as_mut(), &mut frames, data, n);
        faults += u64::from(!is_hit);
        let text = format!(
            "Reference {}: page {} is {}.",
            n + 1,
            reference.page,
            if reference.write { "written" } else { "read" }
        );
        questions.push(
            Question::new(text)
                .field(
                    "result",
                    "hit or fault",
                    Form::word(&["hit", "fault"]),
                    match is_hit {
                        true => "hit",
                        false => "fault",
                    },
                )
                .field("victim", "page that is evicted, or none", Form::number_or("none"), {
                    victim.map_or("none".into(), |page| page.to_string())
                })
                .because_all(why(&mut moment, &frames, &before, is_hit, victim)),
        );
        if data.tick_every.is_some_and(|every| (n as u64 + 1).is_multiple_of(every)) {
            moment.tick(&frames);
            policy.tick(&mut frames);
        }
    }
    let resident = frames.resident();
    questions.push(
        Question::new("At the end:")
            .field("faults", "number of page faults", Form::Number, faults.to_string())
            .field("resident", "pages in memory", Form::Set, list(&resident))
            .because(format!(
                "{faults} of the {} references fault, the first ones to each page among them.",
                data.references.len()
            )),
    );
    questions
}

/// Makes a reference, and gives the page that was evicted for it.
fn refer(
    policy: &mut dyn Policy,
    frames: &mut Frames,
    data: &ReplacementData,
    n: usize,
) -> Option<u64> {
    let PageReference { page, write } = data.references[n];
    let mut victim = None;
    frames.looks.clear();
    let frame = match (frames.holding(page), frames.free()) {
        (Some(frame), _) => frame,
        (None, Some(free)) => free,
        (None, None) => {
            // No frame is busy, so there is a victim.
            let chosen = policy.victim(frames).unwrap_or(Pfn(0));
            policy.evict(chosen);
            victim = frames.pages[chosen.0 as usize].take();
            chosen.0 as usize
        }
    };
    if frames.pages[frame].is_none() {
        frames.pages[frame] = Some(page);
        frames.modified[frame] = false;
        let named = Page { id: PageId(page + 1), kind: PageKind::Anon };
        policy.insert_page(Pfn(frame as u64), named);
    }
    frames.referenced[frame] = true;
    frames.modified[frame] |= write;
    let next = data.references[n + 1..].iter().position(|later| later.page == page);
    policy.reference(Pfn(frame as u64), next.map_or(NEVER, |after| (n + 1 + after) as u64));
    victim
}
