//! The parts of a state as lines of text.

use pagewalk_step::{Base, FrameState, PageState, Presence, ProcessState, ProcessStatus, State};

/// Words of a frame beside each other, and in all.
const WORDS_ACROSS: usize = 4;
const WORDS_MAX: usize = 16;

/// A part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// Instructions around the next.
    Code,
    /// What the registers hold.
    Registers,
    /// The address space.
    Regions,
    /// The page table.
    Pages,
    /// Physical memory.
    Frames,
    /// The TLBs.
    Tlb,
    /// Swap slots.
    Swap,
    /// The replacement policy's queues.
    Queues,
    /// The counters.
    Counters,
    /// What the program wrote.
    Output,
    /// All processes.
    Processes,
}

/// A line of a panel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its text, which begins with a mark.
    pub text: String,
    /// It is the current one.
    pub is_current: bool,
    /// The last step changed it.
    pub is_new: bool,
}

impl Line {
    /// The line, `>` before it if it is the current one and `*` if it is new.
    fn new(text: impl AsRef<str>, is_current: bool, is_new: bool) -> Self {
        let mark = match (is_current, is_new) {
            (true, _) => '>',
            (_, true) => '*',
            _ => ' ',
        };
        Self { text: format!("{mark}{}", text.as_ref().trim_end()), is_current, is_new }
    }

    fn plain(text: impl AsRef<str>) -> Self {
        Self::new(text, false, false)
    }
}

impl Panel {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Code,
        Self::Registers,
        Self::Regions,
        Self::Pages,
        Self::Frames,
        Self::Tlb,
        Self::Swap,
        Self::Queues,
        Self::Counters,
        Self::Output,
        Self::Processes,
    ];

    /// The name, as the commands have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Registers => "registers",
            Self::Regions => "regions",
            Self::Pages => "pages",
            Self::Frames => "frames",
            Self::Tlb => "tlb",
            Self::Swap => "swap",
            Self::Queues => "queues",
            Self::Counters => "counters",
            Self::Output => "output",
            Self::Processes => "processes",
        }
    }

    /// The panel of this name, or of one that people also use.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "regs" => Some(Self::Registers),
            "page-table" => Some(Self::Pages),
            _ => Self::ALL.into_iter().find(|panel| panel.name() == name),
        }
    }

    /// The title, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Code => "Code",
            Self::Registers => "Registers",
            Self::Regions => "Regions of the address space",
            Self::Pages => "Page table",
            Self::Frames => "Frames",
            Self::Tlb => "TLB",
            Self::Swap => "Swap",
            Self::Queues => "Queues of the policy",
            Self::Counters => "Counters",
            Self::Output => "Output of the program",
            Self::Processes => "Processes",
        }
    }

    /// The lines, for `columns` columns; those of a process are of the one that runs.
    pub fn lines(self, state: &State, base: Base, columns: usize) -> Vec<Line> {
        let process = current(state);
        let of_process = |lines: fn(&ProcessState, Base, usize) -> Vec<Line>| {
            process.map(|process| lines(process, base, columns)).unwrap_or_default()
        };
        let lines = match self {
            Self::Code => of_process(code),
            Self::Registers => of_process(registers),
            Self::Regions => of_process(regions),
            Self::Pages => process.map(|process| pages(process, state, base)).unwrap_or_default(),
            Self::Frames => frames(state, base),
            Self::Tlb => tlb(state, base),
            Self::Swap => swap(state),
            Self::Queues => queues(state),
            Self::Counters => counters(state),
            Self::Output => {
                let text = state.output.lines().map(printable);
                text.map(Line::plain).collect()
            }
            Self::Processes => processes(state),
        };
        match lines.is_empty() {
            true => vec![Line::plain("(nothing)")],
            false => lines,
        }
    }
}

/// The process that is looked at: the one that the last step was about, else that which runs.
pub fn current(state: &State) -> Option<&ProcessState> {
    let by_id = |id| state.processes.iter().find(|process| process.id == id);
    let runs = |process: &&ProcessState| process.status == ProcessStatus::Running;
    let about = state.happened.process.and_then(by_id);
    about.or_else(|| state.processes.iter().find(runs)).or(state.processes.first())
}

/// A guest's text without what would control the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

fn code(process: &ProcessState, base: Base, _: usize) -> Vec<Line> {
    let number = |at| match base {
        Base::Binary => Base::Hexadecimal.number(at),
        _ => base.number(at),
    };
    let lines = process.code.iter();
    lines
        .map(|line| {
            let text = format!("{:>9}  {}", number(line.at), line.text);
            Line::new(text, line.is_current, false)
        })
        .collect()
}

/// The registers in as many columns as there is room for, downwards.
fn registers(process: &ProcessState, base: Base, columns: usize) -> Vec<Line> {
    let cells: Vec<(String, bool)> = process
        .registers
        .iter()
        .map(|register| {
            let mark = if register.is_new { '*' } else { ' ' };
            let text = format!("{mark}{:<4} {}", register.name, base.value(register.value));
            (text, register.is_new)
        })
        .collect();
    let width = cells.iter().map(|(text, _)| text.chars().count() + 1).max().unwrap_or(1);
    let across = (columns / width).max(1);
    let rows = cells.len().div_ceil(across);
    (0..rows)
        .map(|row| {
            let cells: Vec<_> = cells.iter().skip(row).step_by(rows).collect();
            let text: String = cells.iter().map(|(text, _)| format!("{text:<width$}")).collect();
            let is_new = cells.iter().any(|(_, is_new)| *is_new);
            Line { text: text.trim_end().to_owned(), is_current: false, is_new }
        })
        .collect()
}

fn regions(process: &ProcessState, base: Base, _: usize) -> Vec<Line> {
    let regions = process.regions.iter();
    regions
        .map(|region| {
            let (start, end) = (base.number(region.start), base.number(region.end));
            Line::plain(format!("{start}–{end} {} {}", region.rights, printable(&region.backing)))
        })
        .collect()
}

fn pages(process: &ProcessState, state: &State, base: Base) -> Vec<Line> {
    let happened = &state.happened;
    let about = happened.address.filter(|_| happened.process == Some(process.id));
    let about = about.and_then(|address| address.checked_div(state.page_size));
    let heading = Line::plain("page        where      rights");
    let rows = process.pages.iter().map(|page| {
        let bit = |is_set: bool, letter: char| if is_set { letter } else { '-' };
        let text = format!(
            "{:<11} {:<10} {} {}{}",
            base.number(page.page),
            place(page),
            page.rights,
            bit(page.is_referenced, 'A'),
            bit(page.is_modified, 'D')
        );
        Line::new(text, about == Some(page.page), page.is_new)
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() { rows } else { std::iter::once(heading).chain(rows).collect() }
}

fn place(page: &PageState) -> String {
    match (page.presence, page.frame, page.slot) {
        (Presence::Resident, Some(frame), _) => format!("frame {frame}"),
        (Presence::Swapped, _, Some(slot)) => format!("slot {slot}"),
        _ => "–".into(),
    }
}

fn frames(state: &State, base: Base) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut free: Vec<u64> = Vec::new();
    for frame in &state.frames {
        if frame.used == "free" && Some(frame.frame) != state.happened.frame {
            free.push(frame.frame);
            continue;
        }
        let is_current = Some(frame.frame) == state.happened.frame;
        lines.push(Line::new(frame_text(frame, base), is_current, false));
        if !frame.words.is_empty() {
            let is_new = frame.words.iter().any(|word| word.is_new);
            for words in frame.words.chunks(WORDS_ACROSS).take(WORDS_MAX / WORDS_ACROSS) {
                let words: Vec<_> = words.iter().map(|word| base.value(word.value)).collect();
                lines.push(Line::new(format!("     {}", words.join(" ")), false, is_new));
            }
        }
    }
    if !free.is_empty() {
        lines.push(Line::plain(format!("free: {}", ranges(&free))));
    }
    lines
}

fn frame_text(frame: &FrameState, base: Base) -> String {
    let owners: Vec<_> = frame
        .pages
        .iter()
        .take(3)
        .map(|(process, page)| format!("{process}:{}", base.number(*page)))
        .collect();
    let more = if frame.pages.len() > 3 { " …" } else { "" };
    let slot = frame.slot.map(|slot| format!(" slot {slot}")).unwrap_or_default();
    let dirty = if frame.is_dirty { " dirty" } else { "" };
    format!("{:>4} {:<10} {}{more}{slot}{dirty}", frame.frame, frame.used, owners.join(" "))
}

/// `1–3, 7` of numbers that grow.
fn ranges(numbers: &[u64]) -> String {
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => parts.push((number, number)),
        }
    }
    let shown = parts.iter().map(|(start, end)| match start == end {
        true => start.to_string(),
        false => format!("{start}–{end}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn tlb(state: &State, base: Base) -> Vec<Line> {
    let rows: Vec<_> = state
        .tlb
        .iter()
        .map(|entry| {
            let large = match entry.size == state.page_size {
                true => String::new(),
                false => format!(" {} bytes", entry.size),
            };
            let asid = entry.asid.map_or_else(|| "all".into(), |asid| asid.to_string());
            let text = format!(
                "{:<3} {:>4}.{:<2} {asid:<4} {} → {} {}{large}",
                entry.tlb,
                entry.set,
                entry.way,
                base.number(entry.page),
                entry.frame,
                entry.rights
            );
            Line::new(text, false, entry.is_new)
        })
        .collect();
    let heading = Line::plain("     set.way asid page → frame");
    if rows.is_empty() { rows } else { std::iter::once(heading).chain(rows).collect() }
}

fn swap(state: &State) -> Vec<Line> {
    let slots = state.swap.iter();
    slots
        .map(|slot| {
            let entries = match slot.entries {
                1 => "1 entry".into(),
                entries => format!("{entries} entries"),
            };
            let cached = slot.cached.map(|frame| format!(", also in frame {frame}"));
            let written = if slot.is_written { "" } else { ", not written yet" };
            let text =
                format!("slot {:<5} {entries}{}{written}", slot.slot, cached.unwrap_or_default());
            Line::new(text, Some(slot.slot) == state.happened.slot, false)
        })
        .collect()
}

fn queues(state: &State) -> Vec<Line> {
    let queues = state.queues.iter();
    queues
        .map(|queue| {
            let frames: Vec<_> = queue.frames.iter().map(u64::to_string).collect();
            Line::plain(format!("{}: {}", queue.name, frames.join(" ")))
        })
        .collect()
}

fn counters(state: &State) -> Vec<Line> {
    let counters = state.counters.iter();
    counters.map(|(name, value)| Line::plain(format!("{name:<22} {value:>12}"))).collect()
}

fn processes(state: &State) -> Vec<Line> {
    let shown = current(state).map(|process| process.id);
    let processes = state.processes.iter();
    processes
        .map(|process| {
            let status = match process.status {
                ProcessStatus::Running => "runs",
                ProcessStatus::Ready => "ready",
                ProcessStatus::Waiting => "waits",
                ProcessStatus::SwappedOut => "swapped out",
                ProcessStatus::Done => "done",
                ProcessStatus::Ended => "ended",
                ProcessStatus::Killed => "killed",
            };
            let asid = process.asid.map(|asid| format!(", asid {asid}")).unwrap_or_default();
            let reason = process.reason.as_ref().map(|reason| format!(": {reason}"));
            let text = format!(
                "{:<5} {} {status}{asid}{}",
                process.id,
                printable(&process.name),
                printable(&reason.unwrap_or_default())
            );
            Line::new(text, Some(process.id) == shown, false)
        })
        .collect()
}
