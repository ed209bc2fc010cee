//! Why a page is the victim: what the policy looks at, in sentences.

use super::replacement::{Frames, ReplacementData};

/// What is known when a reference comes.
pub(super) struct Moment<'a> {
    data: &'a ReplacementData,
    /// The number of the reference, from 0.
    n: usize,
    /// When each page was loaded last.
    loaded: Vec<(u64, usize)>,
    /// The bits as they were before the reference.
    referenced: Vec<bool>,
    modified: Vec<bool>,
    /// The frames as they were before.
    pages: Vec<Option<u64>>,
    /// Counters by frame: of aging and GCLOCK.
    counters: Vec<u8>,
}

impl<'a> Moment<'a> {
    pub fn new(data: &'a ReplacementData) -> Self {
        let counters = vec![0; data.frames as usize];
        let (loaded, pages) = (Vec::new(), Vec::new());
        let (referenced, modified) = (Vec::new(), Vec::new());
        Self { data, n: 0, loaded, referenced, modified, pages, counters }
    }

    /// Before a reference.
    pub fn begin(&mut self, n: usize, frames: &Frames) {
        self.n = n;
        self.referenced = frames.referenced.clone();
        self.modified = frames.modified.clone();
        self.pages = frames.pages.clone();
    }

    /// Before a tick.
    pub fn tick(&mut self, frames: &Frames) {
        if self.data.policy == "aging" {
            for (counter, &bit) in self.counters.iter_mut().zip(&frames.referenced) {
                *counter = *counter >> 1 | u8::from(bit) << 7;
            }
        }
    }

    fn loaded_at(&self, page: u64) -> usize {
        let loaded = self.loaded.iter().rev().find(|loaded| loaded.0 == page);
        loaded.map_or(0, |loaded| loaded.1)
    }

    fn last_use(&self, page: u64) -> usize {
        let before = &self.data.references[..self.n];
        before.iter().rposition(|reference| reference.page == page).unwrap_or(0)
    }

    fn next_use(&self, page: u64) -> Option<usize> {
        let after = &self.data.references[self.n..];
        after.iter().position(|reference| reference.page == page).map(|at| at + self.n)
    }
}

/// The sentences of a reference that was just made; `before` was in memory then.
pub(super) fn why(
    moment: &mut Moment,
    frames: &Frames,
    before: &[u64],
    is_hit: bool,
    victim: Option<u64>,
) -> Vec<String> {
    let page = moment.data.references[moment.n].page;
    if is_hit {
        return vec![format!("Page {page} is in memory ({}): a hit.", join(before))];
    }
    let mut sentences = Vec::new();
    match victim {
        None => sentences.push(format!("Page {page} is not in memory: a fault; a frame is free.")),
        Some(victim) => {
            sentences.push(format!(
                "Page {page} is not in memory, and all frames are taken ({}).",
                join(before)
            ));
            sentences.push(chosen(moment, frames, before, victim));
        }
    }
    let frame = frames.pages.iter().position(|&held| held == Some(page));
    if let Some(frame) = frame {
        moment.counters[frame] = if moment.data.policy == "aging" { 0x80 } else { 0 };
    }
    moment.loaded.push((page, moment.n));
    sentences
}

/// Why `victim` was chosen.
fn chosen(moment: &mut Moment, frames: &Frames, before: &[u64], victim: u64) -> String {
    let each = |tell: &dyn Fn(u64) -> String| -> String {
        let all: Vec<String> =
            before.iter().map(|&page| format!("{page} {}", tell(page))).collect();
        all.join(", ")
    };
    match moment.data.policy.as_str() {
        "fifo" => {
            let loaded = each(&|page| format!("by reference {}", moment.loaded_at(page) + 1));
            format!("They were loaded: {loaded}. The first is page {victim}, which goes.")
        }
        "lru" => {
            let last = each(&|page| format!("by reference {}", moment.last_use(page) + 1));
            format!("They were used last: {last}. The oldest is page {victim}, which goes.")
        }
        "opt" => {
            let next = each(&|page| match moment.next_use(page) {
                Some(next) => format!("by reference {}", next + 1),
                None => "never".into(),
            });
            format!("They are used next: {next}. Page {victim} is needed last, and goes.")
        }
        "nru" => {
            let class = |page: u64| {
                let frame = moment.pages.iter().position(|&held| held == Some(page)).unwrap_or(0);
                let (r, m) = (moment.referenced[frame], moment.modified[frame]);
                format!("{} (R {}, M {})", 2 * u8::from(r) + u8::from(m), u8::from(r), u8::from(m))
            };
            format!("Their classes: {}. Page {victim} goes.", each(&class))
        }
        "aging" => {
            let counter = |page: u64| {
                let frame = moment.pages.iter().position(|&held| held == Some(page)).unwrap_or(0);
                format!("{:04b} {:04b}", moment.counters[frame] >> 4, moment.counters[frame] & 15)
            };
            format!("Their counters: {}. Page {victim} goes.", each(&counter))
        }
        "gclock" => hand_with_counts(moment, frames, victim),
        "second-chance" => passes("queue", moment, frames, victim),
        _ => passes("hand", moment, frames, victim),
    }
}

/// What the hand passed, or what went to the tail of the queue.
fn passes(what: &str, moment: &Moment, frames: &Frames, victim: u64) -> String {
    let page_of = |frame: u64| moment.pages[frame as usize].unwrap_or_default();
    let passed: Vec<String> = frames
        .looks
        .iter()
        .filter(|&&(_, referenced)| referenced)
        .map(|&(frame, _)| page_of(frame).to_string())
        .collect();
    match (what, passed.as_slice()) {
        (_, []) => {
            format!("The bit of page {victim}, which is looked at first, is clear: it goes.")
        }
        ("queue", passed) => format!(
            "The bits of pages {} are set: they are cleared, and the pages go to the tail. The bit of \
             page {victim} is clear: it goes.",
            passed.join(", ")
        ),
        (_, passed) => format!(
            "The hand passes pages {}, whose bits are set, and clears them. The bit of page {victim} is \
             clear: it goes.",
            passed.join(", ")
        ),
    }
}

fn hand_with_counts(moment: &mut Moment, frames: &Frames, victim: u64) -> String {
    let mut steps = Vec::new();
    for &(frame, referenced) in &frames.looks {
        let page = moment.pages[frame as usize].unwrap_or_default();
        let counter = &mut moment.counters[frame as usize];
        let seen = (*counter + u8::from(referenced)).min(3);
        let bit = if referenced { "bit set, " } else { "" };
        *counter = seen.saturating_sub(1);
        steps.push(match seen {
            0 => format!("page {page} (count 0)"),
            _ => format!("page {page} ({bit}count {seen}, now {})", seen - 1),
        });
    }
    format!("The hand looks at {}. Page {victim} goes.", steps.join(", "))
}

fn join(pages: &[u64]) -> String {
    pages.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
