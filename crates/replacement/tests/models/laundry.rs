//! FreeBSD's queues since version 12, from what `vm_pageout.c` and `subr_pidctrl.c` say.

use crate::harness::{Machine, Model, Shown, ops};
use pagewalk_replacement::{Page, PolicyKind};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const FRAMES: u64 = 40;
const PAGES: u64 = 90;
// Of 40 frames: free_min is 4, and both targets are at their bounds.
const FREE_TARGET: i64 = 10;
const INACTIVE_TARGET: i64 = 13;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Idle,
    Background,
    Shortfall,
}

/// One queue with two hands, as the source has it: pages before the first hand, between the hands,
/// behind the second one.
#[derive(Default)]
struct TwoHands {
    queue: Vec<u64>,
    first: usize,
    second: usize,
}

impl TwoHands {
    fn remove(&mut self, frame: u64) {
        if let Some(at) = self.queue.iter().position(|&other| other == frame) {
            self.queue.remove(at);
            self.first -= usize::from(at < self.first);
            self.second -= usize::from(at < self.second);
        }
    }

    fn step(&mut self) -> Option<u64> {
        if self.first == self.second {
            (self.first, self.second) = (0, self.queue.len());
        }
        let page = self.queue.get(self.first).copied();
        self.first += usize::from(page.is_some());
        page
    }
}

struct Laundry {
    interval: u64,
    weight: i64,
    rate: u64,
    now: u64,
    due: u64,
    scanned: u64,
    active: TwoHands,
    counts: BTreeMap<u64, u64>,
    inactive: VecDeque<u64>,
    laundered: VecDeque<u64>,
    laundry: VecDeque<u64>,
    unswappable: VecDeque<u64>,
    free: VecDeque<u64>,
    asked: BTreeSet<u64>,
    /// Asked in this call.
    written: Vec<u64>,
    // The controller.
    began: u64,
    error: i64,
    old_error: i64,
    integral: i64,
    output: i64,
    // The laundry thread.
    request: Request,
    target: u64,
    last_target: u64,
    freed: u64,
    freed_now: u64,
    named: Option<u64>,
    /// A page was not busy.
    idle: bool,
}

impl Laundry {
    fn new(interval: u64, weight: i64, rate: u64) -> Self {
        Self {
            interval,
            weight,
            rate,
            now: 0,
            due: interval,
            scanned: 0,
            active: TwoHands::default(),
            counts: BTreeMap::new(),
            inactive: VecDeque::new(),
            laundered: VecDeque::new(),
            laundry: VecDeque::new(),
            unswappable: VecDeque::new(),
            free: VecDeque::new(),
            asked: BTreeSet::new(),
            written: Vec::new(),
            began: 0,
            error: 0,
            old_error: 0,
            integral: 0,
            output: 0,
            request: Request::Idle,
            target: 0,
            last_target: 0,
            freed: 0,
            freed_now: 0,
            named: None,
            idle: false,
        }
    }

    fn activate(&mut self, frame: u64, count: u64) {
        self.asked.remove(&frame);
        self.counts.insert(frame, count.min(64));
        self.active.queue.push(frame);
    }

    /// Whether an idle page that was taken off a queue is modified; used pages are activated, busy
    /// ones go to the tail of the queue that `busy` names.
    fn look(
        &mut self,
        frame: u64,
        busy: fn(&mut Self) -> &mut VecDeque<u64>,
        shown: &mut Shown,
    ) -> Result<bool, bool> {
        match shown.take(frame) {
            None => {
                busy(self).push_back(frame);
                Err(true)
            }
            Some(true) => {
                self.idle = true;
                self.activate(frame, self.counts[&frame].max(5) + 4);
                Err(false)
            }
            Some(false) => {
                self.idle = true;
                Ok(shown.is_modified(frame))
            }
        }
    }

    /// `pidctrl_daemon`
    fn control(&mut self) -> i64 {
        let mut error = FREE_TARGET - self.free.len() as i64;
        if self.now - self.began >= self.interval {
            self.began = self.now;
            self.old_error = self.error;
            self.output = 0;
        } else {
            error = 0.max(error + self.error);
        }
        self.error = error;
        self.integral = (self.integral + error).clamp(0, 16 * FREE_TARGET);
        let output = error / 3 + self.integral / 4 + (error - self.old_error) / 8;
        let output = 0.max(output - self.output);
        self.output += output;
        output
    }

    fn daemon(&mut self, deficit: i64, force: bool, shown: &mut Shown) {
        let mut left = self.control() + deficit;
        let mut stuck = 0;
        if left > 0 {
            let mut pages = VecDeque::new();
            if self.written.is_empty() {
                pages.append(&mut self.laundered);
            }
            let fronts = pages.len();
            pages.append(&mut self.inactive);
            let all = pages.len();
            while left > 0
                && let Some(frame) = pages.pop_front()
            {
                match self.look(frame, |this| &mut this.inactive, shown) {
                    Err(busy) => stuck += i64::from(busy),
                    Ok(false) => {
                        self.asked.remove(&frame);
                        self.free.push_back(frame);
                        self.freed_now += 1;
                        left -= 1;
                    }
                    Ok(true) if self.asked.remove(&frame) => self.unswappable.push_back(frame),
                    Ok(true) => self.laundry.push_back(frame),
                }
            }
            // What was not looked at stays in front of what is busy.
            let looked = all - pages.len();
            let stays = pages.split_off(fronts.saturating_sub(looked));
            if self.written.is_empty() {
                self.laundered = pages;
            }
            stays.into_iter().rev().for_each(|frame| self.inactive.push_front(frame));
            if self.request == Request::Idle {
                self.request = if left > 0 { Request::Shortfall } else { Request::Background };
            }
        }
        let lacking = FREE_TARGET - self.free.len() as i64;
        let inactive = (self.inactive.len() + self.laundered.len()) as i64;
        let mut shortage =
            INACTIVE_TARGET + lacking - (inactive + self.laundry.len() as i64 / self.weight);
        shortage = shortage * self.weight + stuck + deficit;
        if force {
            shortage = shortage.max(1);
        }
        self.scan_active(shortage, shown);
    }

    fn scan_active(&mut self, mut shortage: i64, shown: &mut Shown) {
        let pages = self.active.queue.len() as u64;
        let aged = pages * (self.now - self.scanned) / (self.interval * 6000);
        let looks = if shortage > 0 { pages } else { aged.min(pages) };
        if looks > 0 {
            self.scanned = self.now;
        }
        for _ in 0..looks {
            let Some(frame) = self.active.step() else { return };
            let count = self.counts.get_mut(&frame).unwrap();
            match shown.take(frame) {
                None => continue,
                Some(true) => *count = (*count + 4).min(64),
                Some(false) => *count = count.saturating_sub(1),
            }
            self.idle = true;
            if *count == 0 {
                self.active.remove(frame);
                if shortage > 0 && shown.is_modified(frame) {
                    self.laundry.push_back(frame);
                    shortage -= 1;
                } else {
                    self.inactive.push_back(frame);
                    shortage -= self.weight;
                }
            }
        }
    }

    fn launder(&mut self, target: u64, background: bool, shown: &mut Shown) -> u64 {
        let mut left = target;
        let queues: [fn(&mut Self) -> &mut VecDeque<u64>; 2] =
            [|this| &mut this.unswappable, |this| &mut this.laundry];
        for queue in queues {
            for _ in 0..queue(self).len() {
                if left == 0 {
                    break;
                }
                let frame = queue(self).pop_front().unwrap();
                match self.look(frame, queue, shown) {
                    Err(busy) => left -= u64::from(background && !busy),
                    Ok(false) => self.free.push_back(frame),
                    Ok(true) => {
                        self.asked.insert(frame);
                        self.written.push(frame);
                        self.laundered.push_back(frame);
                        shown.laundered.push(frame);
                        left -= 1;
                    }
                }
            }
        }
        target - left
    }

    fn wash(&mut self, shown: &mut Shown) {
        match self.request {
            Request::Shortfall => {
                self.target = 0;
                let lacking = FREE_TARGET - self.free.len() as i64;
                self.launder(lacking.max(1) as u64, false, shown);
            }
            Request::Idle if self.target == 0 => {}
            _ => {
                let clean = self.free.len() + self.inactive.len() + self.laundered.len();
                // free_target - free_min is 12.
                let pressure = (self.freed + 1).div_ceil(12).isqrt();
                if self.target == 0 && self.laundry.len() as u64 * pressure >= clean as u64 {
                    self.target = 1;
                }
                if self.target > 0 {
                    if self.freed > 0 {
                        self.freed = 0;
                        self.last_target = self.target;
                    }
                    let done = self.launder(self.target.min(self.rate / 10), true, shown);
                    self.target -= done.min(self.target);
                }
            }
        }
        if self.target == 0 {
            self.request = Request::Idle;
        }
        self.freed += self.freed_now;
        self.freed_now = 0;
    }

    fn wake(&mut self, shown: &mut Shown) {
        self.written.clear();
        if self.now >= self.due {
            self.due = self.now + self.interval;
            self.daemon(0, false, shown);
            self.wash(shown);
        }
    }

    fn take_free(&mut self, shown: &mut Shown) -> Option<u64> {
        for _ in 0..self.free.len() {
            let frame = self.free.pop_front()?;
            match self.look(frame, |this| &mut this.inactive, shown) {
                Ok(false) => {
                    self.free.push_front(frame);
                    return Some(frame);
                }
                Ok(true) => self.laundry.push_back(frame),
                Err(_) => {}
            }
        }
        None
    }
}

impl Model for Laundry {
    fn insert(&mut self, frame: u64, _: Page) {
        self.activate(frame, 5);
    }

    fn remove(&mut self, frame: u64) {
        self.active.remove(frame);
        self.asked.remove(&frame);
        let Self { inactive, laundered, laundry, unswappable, free, .. } = self;
        for queue in [inactive, laundered, laundry, unswappable, free] {
            queue.retain(|&other| other != frame);
        }
        self.counts.remove(&frame);
        self.named = self.named.filter(|&named| named != frame);
    }

    fn victim(&mut self, shown: &mut Shown) -> Option<u64> {
        if let Some(frame) = self.named.take() {
            self.remove(frame);
            self.activate(frame, 5);
        }
        self.wake(shown);
        for round in 0..72 {
            self.idle = false;
            self.named = self.take_free(shown);
            if self.named.is_none() {
                self.daemon(1, round > 0, shown);
                self.named = self.take_free(shown);
            }
            if self.named.is_none() {
                self.request = Request::Shortfall;
                self.wash(shown);
                self.named = self.written.first().copied();
            }
            if self.named.is_some() || round > 0 && !self.idle {
                break;
            }
        }
        self.named
    }

    fn surplus(&mut self, shown: &mut Shown) -> Option<u64> {
        self.wake(shown);
        None
    }

    fn tick(&mut self, shown: &mut Shown) {
        self.wake(shown);
    }

    fn set_time(&mut self, now: u64) {
        self.now = now;
    }
}

proptest! {
    #[test]
    fn freebsd_laundry(
        ops in ops(PAGES, FRAMES), interval in 1..60_u64, weight in 1..=4_i64, rate in 10..40_u64,
    ) {
        let name = format!("freebsd-laundry:interval={interval},weight={weight},rate={rate}");
        let policy = name.parse::<PolicyKind>().unwrap().build(FRAMES, 3);
        Machine::new(policy, Laundry::new(interval, weight, rate), FRAMES).run(&ops);
    }
}
