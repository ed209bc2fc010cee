//! Fork and copy-on-write: page tables, permissions and reference counts of frames.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Data;
use crate::draw::Draw;
use crate::form::{Form, list};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "fork",
    about: "copy-on-write and fork: faults, copies, frames and their reference counts",
    variants: &[],
    make: Some(make),
};

/// Memory, a process, and what happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ForkData {
    /// The frames of memory, numbered from 0; those that no page is in are free.
    pub frames: u64,
    /// The page table of process A, by page: all pages can be written.
    pub pages: Vec<u64>,
    /// What happens, in order.
    pub events: Vec<ForkEvent>,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ForkEvent {
    /// A process makes another.
    Fork {
        /// The process.
        parent: char,
        /// The new one.
        child: char,
    },
    /// A process stores to a page.
    Write {
        /// The process.
        process: char,
        /// The page.
        page: u64,
    },
    /// A process ends.
    Exit {
        /// The process.
        process: char,
    },
}

fn make(draw: &mut Draw, _: &'static str) -> Body {
    let count = draw.between(2, 3);
    let frames = 12;
    let pages = draw.distinct(count as usize, frames);
    let events = draw_events(draw, count);
    let data = ForkData { frames, pages, events };
    let title = "Fork and copy-on-write".into();
    let questions = questions(&data);
    Body { title, given: given(&data), data: Data::Fork(data), questions }
}

fn draw_events(draw: &mut Draw, pages: u64) -> Vec<ForkEvent> {
    let mut events = vec![ForkEvent::Fork { parent: 'A', child: 'B' }];
    let mut alive = vec!['A', 'B'];
    let first = draw.pick(&alive);
    let page = draw.below(pages);
    events.push(ForkEvent::Write { process: first, page });
    let mut next = 'C';
    while events.len() < 7 {
        let last = events.len() == 6;
        if next == 'C' && draw.chance(30) {
            let parent = draw.pick(&alive);
            events.push(ForkEvent::Fork { parent, child: next });
            alive.push(next);
            next = 'D';
        } else if last && alive.len() > 1 {
            let process = draw.pick(&alive);
            events.push(ForkEvent::Exit { process });
        } else {
            let process = draw.pick(&alive);
            events.push(ForkEvent::Write { process, page: draw.below(pages) });
        }
    }
    events
}

/// An entry of a page table.
#[derive(Clone, Copy)]
struct Entry {
    frame: u64,
    writable: bool,
}

/// The page tables of all processes; counts follow from them.
struct Memory {
    frames: u64,
    tables: BTreeMap<char, Vec<Entry>>,
}

/// What a store did.
struct Stored {
    fault: bool,
    /// The frame that the page was copied from.
    copied: Option<u64>,
    frame: u64,
}

impl Memory {
    fn new(data: &ForkData) -> Self {
        let entry = |&frame: &u64| Entry { frame, writable: true };
        let table = data.pages.iter().map(entry).collect();
        Self { frames: data.frames, tables: BTreeMap::from([('A', table)]) }
    }

    /// The entries that name a frame.
    fn count(&self, frame: u64) -> u64 {
        self.tables.values().flatten().filter(|entry| entry.frame == frame).count() as u64
    }

    fn in_use(&self) -> Vec<u64> {
        (0..self.frames).filter(|&frame| self.count(frame) > 0).collect()
    }

    fn fork(&mut self, parent: char, child: char) {
        if let Some(table) = self.tables.get_mut(&parent) {
            table.iter_mut().for_each(|entry| entry.writable = false);
            let copy = table.clone();
            self.tables.insert(child, copy);
        }
    }

    fn store(&mut self, process: char, page: u64) -> Stored {
        let free = (0..self.frames).find(|&frame| self.count(frame) == 0);
        let entry = self.tables.get(&process).and_then(|table| table.get(page as usize)).copied();
        let mut stored = Stored { fault: false, copied: None, frame: 0 };
        let Some(mut entry) = entry else { return stored };
        if !entry.writable {
            stored.fault = true;
            if self.count(entry.frame) > 1 {
                stored.copied = Some(entry.frame);
                // There are more frames than entries of all tables.
                entry.frame = free.unwrap_or_default();
            }
            entry.writable = true;
        }
        stored.frame = entry.frame;
        if let Some(table) = self.tables.get_mut(&process) {
            table[page as usize] = entry;
        }
        stored
    }

    fn exit(&mut self, process: char) -> Vec<u64> {
        let before = self.in_use();
        self.tables.remove(&process);
        before.into_iter().filter(|&frame| self.count(frame) == 0).collect()
    }
}

fn given(data: &ForkData) -> Vec<Block> {
    let text = format!(
        "Memory has {} frames, 0 to {}. At first there is only process A, whose page table is shown; the \
         other frames are free. Each frame has a reference count: the number of page-table entries that \
         name it.",
        data.frames,
        data.frames - 1
    );
    let rules = "A fork copies the page table, not the pages: both processes then share all frames, and \
                 every entry of both is read-only (ro). A write through a read-only entry is a page \
                 fault. If others share the frame, the page is copied to the free frame with the lowest \
                 number, and the writer's entry names that, writable (rw). If nobody shares it any more, \
                 nothing is copied, and the entry becomes writable. The write is then made again. When a \
                 process ends, frames that nobody names any more become free.";
    let rows = data
        .pages
        .iter()
        .enumerate()
        .map(|(page, frame)| vec![page.to_string(), frame.to_string(), "rw".into()]);
    let head = ["page", "frame", "permissions"];
    vec![
        Block::text(text),
        Block::text(rules),
        Block::table("The page table of process A", &head, rows.collect()),
    ]
}

fn questions(data: &ForkData) -> Vec<Question> {
    let mut memory = Memory::new(data);
    let mut questions: Vec<Question> =
        data.events.iter().map(|&event| question(&mut memory, event)).collect();
    let used = memory.in_use();
    let counts: Vec<u64> = used.iter().map(|&frame| memory.count(frame)).collect();
    let tables = memory.tables.iter().map(|(process, table)| {
        let entries = table.iter().enumerate().map(|(page, entry)| {
            let rights = if entry.writable { "rw" } else { "ro" };
            format!("page {page} in frame {} ({rights})", entry.frame)
        });
        format!("Process {process}: {}.", entries.collect::<Vec<_>>().join(", "))
    });
    questions.push(
        Question::new("At the end:")
            .field("frames", "frames that are in use", Form::Set, list(&used))
            .field("counts", "their reference counts, lowest frame first", Form::Numbers, {
                list(&counts)
            })
            .because_all(tables),
    );
    questions
}

fn question(memory: &mut Memory, event: ForkEvent) -> Question {
    match event {
        ForkEvent::Fork { parent, child } => {
            memory.fork(parent, child);
            let used = memory.in_use().len();
            let table = memory.tables.get(&child).map_or(&[] as &[Entry], Vec::as_slice);
            let first = table.first().map_or(0, |entry| entry.frame);
            let count = memory.count(first);
            Question::new(format!("Process {parent} forks; the child is process {child}."))
                .field("copied", "pages that are copied now", Form::Number, "0")
                .field("used", "frames in use", Form::Number, used.to_string())
                .field("count", &format!("reference count of frame {first}"), Form::Number, {
                    count.to_string()
                })
                .because("Only the page table is copied: no frame is taken.")
                .because(format!(
                    "{child}'s entries name the same frames as {parent}'s; all of them are read-only \
                     now. Frame {first} is named by {}.",
                    super::plural(count, "entry", "entries")
                ))
        }
        ForkEvent::Write { process, page } => {
            let stored = memory.store(process, page);
            let yes = |is| if is { "yes" } else { "no" };
            let answers = || Form::word(&["yes", "no"]);
            let frame = stored.frame;
            let why = match (stored.fault, stored.copied) {
                (false, _) => format!(
                    "The entry of page {page} is writable: no fault, the page stays in frame {frame}."
                ),
                (true, None) => format!(
                    "The entry is read-only: page fault. The reference count of frame {frame} is 1, so \
                     nobody shares it: the entry becomes writable, and nothing is copied."
                ),
                (true, Some(old)) => format!(
                    "The entry is read-only: page fault. Frame {old} is shared, so its page is copied to \
                     frame {frame}, the lowest that is free; {process}'s entry names that, writable. The \
                     reference count of frame {old} falls to {}.",
                    memory.count(old)
                ),
            };
            Question::new(format!("Process {process} writes to its page {page}."))
                .field("fault", "is there a page fault?", answers(), yes(stored.fault))
                .field("copied", "is the page copied?", answers(), yes(stored.copied.is_some()))
                .field(
                    "frame",
                    "the frame that holds the page then",
                    Form::Number,
                    frame.to_string(),
                )
                .because(why)
        }
        ForkEvent::Exit { process } => {
            let freed = memory.exit(process);
            Question::new(format!("Process {process} ends."))
                .field("freed", "frames that become free", Form::Set, list(&freed))
                .because(match freed.as_slice() {
                    [] => format!("Others still name every frame that {process} named."),
                    [frame] => format!("Nobody else names frame {frame}."),
                    freed => format!("Nobody else names the frames {}.", list(freed)),
                })
        }
    }
}
