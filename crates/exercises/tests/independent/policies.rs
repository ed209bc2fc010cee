//! Replacement policies and working sets, as text books write them.

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use super::{Computed, array, int, ints, or, spaced, text};

/// A page in its frame, with all that any policy wants to know.
#[derive(Clone, Copy, Default)]
struct Held {
    page: u64,
    loaded: usize,
    used: usize,
    r: bool,
    m: bool,
    count: u32,
}

/// What policies remember besides.
#[derive(Default)]
struct Memory {
    frames: Vec<Option<Held>>,
    hand: usize,
    queue: VecDeque<usize>,
}

impl Memory {
    fn held(&self) -> impl Iterator<Item = (usize, Held)> {
        self.frames.iter().enumerate().filter_map(|(frame, held)| Some((frame, (*held)?)))
    }

    fn at(&mut self, frame: usize) -> &mut Held {
        self.frames[frame].as_mut().unwrap()
    }

    fn victim(&mut self, policy: &str, future: &[u64]) -> usize {
        match policy {
            "fifo" => self.held().min_by_key(|(_, held)| held.loaded).unwrap().0,
            "lru" => self.held().min_by_key(|(_, held)| held.used).unwrap().0,
            "opt" => {
                let next = |page| future.iter().position(|&p| p == page).unwrap_or(usize::MAX);
                self.held().max_by_key(|(frame, held)| (next(held.page), *frame)).unwrap().0
            }
            "nru" => {
                let class = |held: &Held| 2 * u8::from(held.r) + u8::from(held.m);
                self.held().min_by_key(|(frame, held)| (class(held), *frame)).unwrap().0
            }
            "aging" => self.held().min_by_key(|(frame, held)| (held.count, *frame)).unwrap().0,
            "second-chance" => loop {
                let frame = self.queue.pop_front().unwrap();
                if !std::mem::take(&mut self.at(frame).r) {
                    return frame;
                }
                self.queue.push_back(frame);
            },
            "clock" => loop {
                let frame = self.step();
                if !std::mem::take(&mut self.at(frame).r) {
                    return frame;
                }
            },
            _ => loop {
                let frame = self.step();
                let held = self.at(frame);
                held.count = (held.count + u32::from(std::mem::take(&mut held.r))).min(3);
                if held.count == 0 {
                    return frame;
                }
                held.count -= 1;
            },
        }
    }

    /// The frame under the hand, which moves on.
    fn step(&mut self) -> usize {
        let frame = self.hand;
        self.hand = (frame + 1) % self.frames.len();
        frame
    }
}

pub fn replacement(data: &Value, out: &mut Computed) {
    if data["pages"].is_array() {
        return freebsd(data, out);
    }
    let policy = text(&data["policy"]);
    let references = array(&data["references"]);
    let pages: Vec<u64> = references.iter().map(|one| int(&one["page"])).collect();
    let mut memory =
        Memory { frames: vec![None; int(&data["frames"]) as usize], ..Memory::default() };
    let mut faults = 0;
    for (n, reference) in references.iter().enumerate() {
        let page = pages[n];
        let hit = memory.held().find(|(_, held)| held.page == page).map(|(frame, _)| frame);
        let mut victim = None;
        let frame = hit.unwrap_or_else(|| {
            faults += 1;
            let free = memory.frames.iter().position(Option::is_none);
            let frame = free.unwrap_or_else(|| {
                let frame = memory.victim(policy, &pages[n..]);
                victim = Some(memory.at(frame).page);
                frame
            });
            let count = if policy == "aging" { 0x80 } else { 0 };
            memory.frames[frame] = Some(Held { page, loaded: n, count, ..Held::default() });
            memory.queue.push_back(frame);
            frame
        });
        let held = memory.at(frame);
        (held.used, held.r) = (n, true);
        held.m |= reference["write"] == true;
        out.put(n + 1, "result", if hit.is_some() { "hit" } else { "fault" });
        out.put(n + 1, "victim", or(victim, "none"));
        if data["tick_every"].as_u64().is_some_and(|every| (n as u64 + 1).is_multiple_of(every)) {
            for held in memory.frames.iter_mut().flatten() {
                held.count = held.count / 2 + if held.r { 0x80 } else { 0 };
                held.r = false;
            }
        }
    }
    let resident: Vec<u64> = memory.held().map(|(_, held)| held.page).collect();
    out.put(references.len() + 1, "faults", faults);
    out.put(references.len() + 1, "resident", spaced(&resident));
}

fn freebsd(data: &Value, out: &mut Computed) {
    for (n, used) in (1..).zip(array(&data["pages"])) {
        let mut counter = int(&data["first"]);
        for used in array(used) {
            // What is at 0 is inactive, and no longer swept.
            if counter > 0 {
                counter = match used.as_bool().unwrap() {
                    true => (counter + 1).min(int(&data["most"])),
                    false => counter - 1,
                };
            }
        }
        out.put(n, "counter", counter);
        out.put(n, "queue", if counter == 0 { "inactive" } else { "active" });
    }
}

pub fn working_set(data: &Value, out: &mut Computed) {
    let references = ints(&data["references"]);
    let window = int(&data["window"]) as usize;
    // The pages of the last references up to a time.
    let set = |time: usize| -> BTreeSet<u64> {
        (1..=time).filter(|at| at + window > time).map(|at| references[at - 1]).collect()
    };
    let times = ints(&data["times"]);
    for (n, time) in (1..).zip(&times) {
        let pages: Vec<u64> = set(*time as usize).into_iter().collect();
        out.put(n, "pages", spaced(&pages));
        out.put(n, "size", pages.len());
    }
    let sizes: Vec<usize> = (1..=references.len()).map(|time| set(time).len()).collect();
    let (sum, count) = (sizes.iter().sum::<usize>(), references.len());
    let cents = (200 * sum + count) / (2 * count);
    let last = times.len() + 1;
    out.put(last, "average", format!("{}.{:02}", cents / 100, cents % 100));
    out.put(last, "largest", sizes.iter().max().unwrap());
    let faults: Vec<u64> = (1..=references.len())
        .filter(|&time| !set(time - 1).contains(&references[time - 1]))
        .map(|time| time as u64)
        .collect();
    out.put(last + 1, "times", spaced(&faults));
    out.put(last + 1, "faults", faults.len());
}
