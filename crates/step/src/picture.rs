//! A state as a picture of plain characters, side by side what belongs together.
//!
//! ```text
//!   ┌ A ───────────────┐  ┌ B ───────────────┐  ┌ memory ────┐
//!   │ ▸ inc r1         │  │   mul r1, r1, r1 │  │ 4  *18     │
//!   │ r1 = 17          │  │ r1 = 0           │  │ 5   (free) │
//!   │ page 0  7 r      │  │ page 0  7 r      │  │            │
//!   └──────────────────┘  └──────────────────┘  └────────────┘
//! ```
//!
//! What the last step changed has a star. Boxes that do not fit beside each other stand below.

use crate::{FrameState, PageState, Presence, ProcessState, ProcessStatus, Region, State};

/// The most lines of code that a box shows, and of pages, frames, TLB entries and slots.
const CODE_MAX: usize = 7;
const ROWS_MAX: usize = 16;
/// The most words of a frame.
const WORDS_MAX: usize = 8;
/// The spaces between boxes.
const GAP: usize = 2;

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// In decimal; words of memory and registers with a sign.
    #[default]
    Decimal,
    /// In hexadecimal, with `0x`.
    Hexadecimal,
    /// In binary, with `0b`.
    Binary,
}

impl Base {
    /// An address, a page, a frame.
    pub fn number(self, number: u64) -> String {
        match self {
            Self::Decimal => number.to_string(),
            Self::Hexadecimal => format!("{number:#x}"),
            Self::Binary => format!("{number:#b}"),
        }
    }

    /// What a word or a register holds.
    pub fn value(self, value: u64) -> String {
        match self {
            Self::Decimal => (value as i64).to_string(),
            _ => self.number(value),
        }
    }
}

/// The picture of a state, at most `columns` wide as far as its boxes allow. Each line ends with a
/// newline.
pub fn picture(state: &State, columns: usize, base: Base) -> String {
    let mut boxes: Vec<Panel> =
        state.processes.iter().map(|process| process_panel(process, base)).collect();
    boxes.extend(memory_panel(state, base));
    boxes.extend(tlb_panel(state, base));
    boxes.extend(swap_panel(state));
    boxes.extend(queues_panel(state));
    beside(&boxes, columns)
}

/// A box with a title.
struct Panel {
    title: String,
    lines: Vec<String>,
}

impl Panel {
    fn width(&self) -> usize {
        let lines = self.lines.iter().map(|line| width(line)).max().unwrap_or(0);
        lines.max(width(&self.title) + 1)
    }

    /// The box drawn, `height` lines between its edges.
    fn draw(&self, height: usize) -> Vec<String> {
        let inner = self.width();
        let rule = |n: usize| "─".repeat(n);
        let mut drawn = vec![format!("┌ {} {}┐", self.title, rule(inner - width(&self.title)))];
        for n in 0..height {
            let line = self.lines.get(n).map_or("", String::as_str);
            drawn.push(format!("│ {line}{} │", " ".repeat(inner - width(line))));
        }
        drawn.push(format!("└{}┘", rule(inner + 2)));
        drawn
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Boxes side by side, as many in a row as fit.
fn beside(boxes: &[Panel], columns: usize) -> String {
    let mut text = String::new();
    let mut rest = boxes;
    while !rest.is_empty() {
        let mut used = rest[0].width() + 4;
        let fitting = rest[1..].iter().take_while(|panel| {
            used += GAP + panel.width() + 4;
            used <= columns
        });
        let (row, below) = rest.split_at(1 + fitting.count());
        let height = row.iter().map(|panel| panel.lines.len()).max().unwrap_or(0);
        let drawn: Vec<Vec<String>> = row.iter().map(|panel| panel.draw(height)).collect();
        for n in 0..height + 2 {
            let line: Vec<&str> = drawn.iter().map(|panel| panel[n].as_str()).collect();
            text += line.join(&" ".repeat(GAP)).trim_end();
            text.push('\n');
        }
        rest = below;
    }
    text
}

fn star(is_new: bool) -> char {
    if is_new { '*' } else { ' ' }
}

/// The lines of `all` that are shown, at most `most`, around those that are `wanted`; and a note on
/// the others.
fn some(all: &[(String, bool)], most: usize) -> Vec<String> {
    if all.len() <= most {
        return all.iter().map(|(line, _)| line.clone()).collect();
    }
    let wanted = all.iter().position(|(_, is_wanted)| *is_wanted).unwrap_or(0);
    let room = most - 1;
    let first = wanted.saturating_sub(room / 2).min(all.len() - room);
    let mut lines: Vec<String> =
        all[first..first + room].iter().map(|(line, _)| line.clone()).collect();
    lines.push(format!("… {} more", all.len() - room));
    lines
}

fn process_panel(process: &ProcessState, base: Base) -> Panel {
    let mut lines = Vec::new();
    let code: Vec<(String, bool)> = process
        .code
        .iter()
        .map(|line| {
            let mark = if line.is_current { '▸' } else { ' ' };
            (format!("{mark} {}", line.text), line.is_current)
        })
        .collect();
    lines.extend(some(&code, CODE_MAX));
    for register in &process.registers {
        let (mark, value) = (star(register.is_new), base.value(register.value));
        lines.push(format!("{mark} {} = {value}", register.name));
    }
    let pages: Vec<(String, bool)> =
        process.pages.iter().map(|page| (page_line(page, base), page.is_new)).collect();
    if pages.is_empty() {
        lines.extend(process.regions.iter().map(|region| region_line(region, base)));
    } else {
        lines.push("  page  frame".to_owned());
    }
    lines.extend(some(&pages, ROWS_MAX));
    let status = match process.status {
        ProcessStatus::Running => ", runs",
        ProcessStatus::Ready => "",
        ProcessStatus::Waiting => ", waits",
        ProcessStatus::SwappedOut => ", swapped out",
        ProcessStatus::Done => ", done",
        ProcessStatus::Ended => ", ended",
        ProcessStatus::Killed => ", killed",
    };
    Panel { title: format!("{}{status}", process.name), lines }
}

/// A region, where there are no pages: its addresses, what it allows and where it is.
fn region_line(region: &Region, base: Base) -> String {
    let last = region.end.saturating_sub(1);
    let rights: String = region.rights.chars().filter(|c| "rwx".contains(*c)).collect();
    let place = region.backing.replace("physical memory from", "at");
    format!("  {}–{}  {rights} {place}", base.number(region.start), base.number(last))
}

/// A page-table entry: page, frame and rights, referenced and modified.
fn page_line(page: &PageState, base: Base) -> String {
    let bits = [(page.is_referenced, 'A'), (page.is_modified, 'D')];
    let bits: String =
        bits.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| letter).collect();
    let number = |number: Option<u64>| base.number(number.unwrap_or(0));
    let entry = match page.presence {
        Presence::Resident => {
            format!("{} {} {bits}", number(page.frame), page.rights.replace('-', ""))
        }
        Presence::Swapped => format!("swap {}", page.slot.unwrap_or(0)),
        Presence::Absent => "–".to_owned(),
    };
    format!("{} {:<5} {}", star(page.is_new), base.number(page.page), entry.trim_end())
}

fn memory_panel(state: &State, base: Base) -> Option<Panel> {
    let (tables, frames): (Vec<_>, Vec<_>) =
        state.frames.iter().partition(|frame| frame.used == "page table");
    let rows: Vec<(String, bool)> =
        frames.iter().map(|frame| frame_line(frame, state, base)).collect();
    let mut lines = some(&rows, 2 * ROWS_MAX);
    if !tables.is_empty() {
        let frames = if tables.len() == 1 { "frame" } else { "frames" };
        lines.push(format!("page tables: {} {frames}", tables.len()));
    }
    (!lines.is_empty()).then(|| Panel { title: "memory".to_owned(), lines })
}

/// A frame and what it holds, and whether the last step changed it.
fn frame_line(frame: &FrameState, state: &State, base: Base) -> (String, bool) {
    let is_new = frame.words.iter().any(|word| word.is_new);
    let words = frame.words.iter().take(WORDS_MAX).map(|word| match word.is_new {
        true => format!("*{}", base.value(word.value)),
        false => base.value(word.value),
    });
    let more = if frame.words.len() > WORDS_MAX { " …" } else { "" };
    let holds = match frame.used.as_str() {
        "free" => "(free)".to_owned(),
        _ if frame.words.is_empty() => frame.used.clone(),
        _ => words.collect::<Vec<_>>().join(" ") + more,
    };
    let name = |id: u32| {
        let found = state.processes.iter().find(|process| process.id == id);
        found.map_or_else(String::new, |process| process.name.clone())
    };
    // Whose page it is, where that is not plain from the pictures of the processes.
    let owners = match frame.pages.as_slice() {
        [] | [_] => String::new(),
        many => {
            let names: Vec<String> = many.iter().map(|&(id, _)| name(id)).collect();
            format!("  {}", names.join(", "))
        }
    };
    (format!("{:>3}  {holds}{owners}", base.number(frame.frame)), is_new)
}

fn tlb_panel(state: &State, base: Base) -> Option<Panel> {
    let rows: Vec<(String, bool)> = state
        .tlb
        .iter()
        .map(|entry| {
            let asid = entry.asid.map_or_else(String::new, |asid| format!("asid {asid}  "));
            let line = format!(
                "{} {}  {asid}{} → {} {}",
                star(entry.is_new),
                entry.tlb,
                base.number(entry.page),
                base.number(entry.frame),
                entry.rights.replace('-', "")
            );
            (line, entry.is_new)
        })
        .collect();
    (!rows.is_empty()).then(|| Panel { title: "TLB".to_owned(), lines: some(&rows, ROWS_MAX) })
}

fn swap_panel(state: &State) -> Option<Panel> {
    let rows: Vec<(String, bool)> = state
        .swap
        .iter()
        .map(|slot| {
            let cached = slot.cached.map_or_else(String::new, |frame| format!(", frame {frame}"));
            let written = if slot.is_written { "" } else { ", not written" };
            let entries = if slot.entries == 1 { "entry" } else { "entries" };
            (format!("{:>3}  {} {entries}{cached}{written}", slot.slot, slot.entries), false)
        })
        .collect();
    (!rows.is_empty()).then(|| Panel { title: "swap".to_owned(), lines: some(&rows, ROWS_MAX) })
}

fn queues_panel(state: &State) -> Option<Panel> {
    let line = |queue: &crate::QueueState| {
        let frames: Vec<String> = queue.frames.iter().map(u64::to_string).collect();
        format!("{}: {}", queue.name, frames.join(" "))
    };
    let lines: Vec<String> = state.queues.iter().map(line).collect();
    (!lines.is_empty()).then(|| Panel { title: "queues".to_owned(), lines })
}
