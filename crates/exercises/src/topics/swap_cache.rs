//! The swap cache, as text 002 tells it: pairs (S, P) of a slot and a frame, and counts on both.

use schemars::JsonSchema;
use serde::Serialize;

use super::Data;
use crate::draw::Draw;
use crate::form::{Form, list};
use crate::quiz::{Block, Question};
use crate::topic::{Body, Topic};

pub(crate) const TOPIC: Topic = Topic {
    name: "swap-cache",
    about: "a shared page goes to swap and comes back: (S, P) pairs, counts, transfers",
    variants: &[],
    make: Some(make),
};

/// A page that is shared, and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SwapCacheData {
    /// The processes; at first all map the page.
    pub processes: Vec<char>,
    /// The frame that it is in at first.
    pub frame: u64,
    /// The free frames, in the order in which they are taken; those freed go to the end.
    pub free_frames: Vec<u64>,
    /// The free swap slots, likewise.
    pub free_slots: Vec<u64>,
    /// What happens, in order.
    pub events: Vec<SwapEvent>,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SwapEvent {
    /// The page is evicted from the working set of a process that maps it.
    Evict {
        /// The process.
        process: char,
    },
    /// A process that has it on swap references it.
    Reference {
        /// The process.
        process: char,
    },
}

fn make(draw: &mut Draw, _: &'static str) -> Body {
    let processes: Vec<char> = ['A', 'B', 'C'][..draw.between(2, 3) as usize].into();
    let mut frames = draw.distinct(4, 30);
    let mut slots = draw.distinct(3, 90);
    slots.iter_mut().for_each(|slot| *slot += 10);
    let frame = frames.pop().unwrap_or_default();
    let events = draw_events(draw, &processes);
    let data = SwapCacheData { processes, frame, free_frames: frames, free_slots: slots, events };
    let title = "The swap cache".into();
    let questions = questions(&data);
    Body { title, given: given(&data), data: Data::SwapCache(data), questions }
}

fn draw_events(draw: &mut Draw, processes: &[char]) -> Vec<SwapEvent> {
    let mut mapped = vec![true; processes.len()];
    let mut events = Vec::new();
    // First out, then in, with turns that are not expected.
    let mut outward = true;
    while events.len() < 8 {
        let all = 0..processes.len();
        let candidates: Vec<usize> =
            all.filter(|&n| mapped[n] == (outward != draw.chance(15))).collect();
        if candidates.is_empty() {
            outward = !mapped.iter().all(|&is| !is) && mapped.iter().all(|&is| is);
            continue;
        }
        let n = draw.pick(&candidates);
        let process = processes[n];
        events.push(match mapped[n] {
            true => SwapEvent::Evict { process },
            false => SwapEvent::Reference { process },
        });
        mapped[n] = !mapped[n];
        if mapped.iter().all(|&is| is) || mapped.iter().all(|&is| !is) {
            outward = mapped[0];
        }
    }
    events
}

/// The bookkeeping.
struct State {
    free_frames: Vec<u64>,
    free_slots: Vec<u64>,
    /// The processes that map the page, and those that have it on swap, are so many.
    frame_count: u64,
    slot_count: u64,
    frame: Option<u64>,
    slot: Option<u64>,
}

/// What an event did.
struct Effect {
    transfer: &'static str,
    why: Vec<String>,
}

impl State {
    fn new(data: &SwapCacheData) -> Self {
        Self {
            free_frames: data.free_frames.clone(),
            free_slots: data.free_slots.clone(),
            frame_count: data.processes.len() as u64,
            slot_count: 0,
            frame: Some(data.frame),
            slot: None,
        }
    }

    /// The entry of the cache: the page has a slot and a frame.
    fn entry(&self) -> Vec<u64> {
        self.slot.zip(self.frame).map_or(Vec::new(), |(slot, frame)| vec![slot, frame])
    }

    fn evict(&mut self, process: char) -> Effect {
        let frame = self.frame.unwrap_or_default();
        let mut why = Vec::new();
        let slot = match self.slot {
            Some(slot) => {
                why.push(format!("({slot}, {frame}) is in the cache: the slot is {slot}."));
                slot
            }
            None => {
                let slot = take(&mut self.free_slots);
                why.push(format!(
                    "The page has no slot: {slot} is reserved for it, and ({slot}, {frame}) is entered."
                ));
                slot
            }
        };
        self.slot = Some(slot);
        (self.frame_count, self.slot_count) = (self.frame_count - 1, self.slot_count + 1);
        why.push(format!(
            "The entry of {process} names slot {slot} now, no longer frame {frame}: the frame's count is \
             {}, the slot's {}.",
            self.frame_count, self.slot_count
        ));
        if self.frame_count > 0 {
            why.push("Others still map the frame: nothing is written.".into());
            return Effect { transfer: "none", why };
        }
        why.push(format!(
            "Nobody maps frame {frame} any more: it is written to slot {slot}, the pair is dropped, and \
             the frame is free."
        ));
        self.free_frames.extend(self.frame.take());
        Effect { transfer: "write", why }
    }

    fn reference(&mut self, process: char) -> Effect {
        let slot = self.slot.unwrap_or_default();
        let mut why = Vec::new();
        let (frame, transfer) = match self.frame {
            Some(frame) => {
                why.push(format!(
                    "{process} faults, and its entry names slot {slot}. ({slot}, {frame}) is in the cache: \
                     the page is in frame {frame}, and nothing is read."
                ));
                (frame, "none")
            }
            None => {
                let frame = take(&mut self.free_frames);
                why.push(format!(
                    "{process} faults, and its entry names slot {slot}. No pair of slot {slot} is in the \
                     cache: frame {frame} is taken and read from the slot."
                ));
                (frame, "read")
            }
        };
        self.frame = Some(frame);
        (self.frame_count, self.slot_count) = (self.frame_count + 1, self.slot_count - 1);
        why.push(format!(
            "Its entry names frame {frame} now: the frame's count is {}, the slot's {}.",
            self.frame_count, self.slot_count
        ));
        why.push(match self.slot_count {
            0 => format!(
                "Nobody names slot {slot} any more: no pair is needed, and the slot is free."
            ),
            _ => format!(
                "Others still name slot {slot}: the pair ({slot}, {frame}) is in the cache."
            ),
        });
        if self.slot_count == 0 {
            self.free_slots.extend(self.slot.take());
        }
        Effect { transfer, why }
    }
}

/// The first of a list of free ones, of which there are always enough.
fn take(free: &mut Vec<u64>) -> u64 {
    if free.is_empty() { 0 } else { free.remove(0) }
}

fn given(data: &SwapCacheData) -> Vec<Block> {
    let names: Vec<String> = data.processes.iter().map(char::to_string).collect();
    let text = format!(
        "Processes {} share a page, which is in frame {}. Free frames are taken in the order {}, free swap \
         slots in the order {}; those that become free go to the end.",
        names.join(", "),
        data.frame,
        list(&data.free_frames),
        list(&data.free_slots)
    );
    let rules = "The swap cache has pairs (S, P) of a swap slot and a frame. When the first process evicts the \
                 page from its working set, a slot S is reserved, (S, P) is entered, and S is written to \
                 the page-table entry of that process. Further evictions find the pair and write the \
                 same S. When the last process evicts it (the frame's reference count reaches 0), the \
                 frame is written to the slot, the pair is dropped, and the frame is free. A process that \
                 references the page later finds S in its entry: if a pair (S, P) is in the cache, the \
                 entry is set to P; if not, a new frame P' is read from the slot and (S, P') is entered. \
                 When no entry names the slot any more (the slot's count reaches 0), the pair is \
                 dropped and the slot is free.";
    vec![Block::text(text), Block::text(rules)]
}

fn questions(data: &SwapCacheData) -> Vec<Question> {
    let mut state = State::new(data);
    data.events
        .iter()
        .map(|&event| {
            let (text, effect) = match event {
                SwapEvent::Evict { process } => {
                    (format!("The page is evicted from process {process}."), state.evict(process))
                }
                SwapEvent::Reference { process } => {
                    (format!("Process {process} references the page."), state.reference(process))
                }
            };
            Question::new(text)
                .field(
                    "transfer",
                    "transfer between memory and swap",
                    Form::word(&["none", "read", "write"]),
                    effect.transfer,
                )
                .field("pair", "the pair S P in the cache afterwards, or none", Form::Numbers, {
                    list(&state.entry())
                })
                .field("frame_count", "entries that name the frame", Form::Number, {
                    state.frame_count.to_string()
                })
                .field("slot_count", "entries that name the slot", Form::Number, {
                    state.slot_count.to_string()
                })
                .because_all(effect.why)
        })
        .collect()
}
