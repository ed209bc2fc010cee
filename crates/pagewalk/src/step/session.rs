//! A walk through a run, by commands.

use std::fmt::Write;

use pagewalk_step::{Base, Break, Grain, Happened, Kind, State, StepError, Stepper};

use crate::number::count;
use crate::step::open::Opened;
use crate::step::panels::Panel;
use crate::step::verbs::{HELP, Verb, parse};

/// Columns of text that is printed.
const COLUMNS: usize = 100;

/// A walk.
pub struct Session {
    opened: Opened,
    /// How numbers are written.
    pub base: Base,
    /// What runs stop for.
    pub breaks: Vec<Break>,
    /// Somebody said so.
    pub is_over: bool,
    state: Option<(u64, State)>,
}

impl Session {
    /// A walk from the start of something.
    pub fn new(opened: Opened) -> Self {
        let base = match opened.stepper.steps_per_instruction() {
            // Real machines' addresses; those of scenarios are small.
            Some(_) => Base::Hexadecimal,
            None => Base::Decimal,
        };
        Self { opened, base, breaks: Vec::new(), is_over: false, state: None }
    }

    fn stepper(&mut self) -> &mut dyn Stepper {
        self.opened.stepper.as_mut()
    }

    /// What stops a long search, if anything does.
    pub fn interrupt(&self) -> Option<pagewalk_rewind::Interrupt> {
        self.opened.interrupt.clone()
    }

    /// The state at the current step.
    pub fn state(&mut self) -> State {
        let step = self.opened.stepper.step();
        match &self.state {
            Some((of, state)) if *of == step => state.clone(),
            _ => {
                let state = self.opened.stepper.state();
                self.state = Some((step, state.clone()));
                state
            }
        }
    }

    /// Carries a command out; returns what there is to be read.
    ///
    /// # Errors
    /// Why it could not be.
    pub fn execute(&mut self, command: &str) -> Result<String, String> {
        match parse(command)? {
            Verb::Step { grain, times, back } => self.steps(grain, times, back),
            Verb::Run { breaks, back } => self.run(breaks, back),
            Verb::Break(breaks) => {
                self.breaks.extend(breaks);
                Ok(format!("{} set\n", plural(self.breaks.len() as u64, "break")))
            }
            Verb::Clear => {
                self.breaks.clear();
                Ok("no break is set\n".into())
            }
            Verb::Go(place) => {
                self.go(&place)?;
                Ok(self.told())
            }
            Verb::Start => {
                self.stepper().go_to(0).map_err(|error| error.to_string())?;
                Ok(self.told())
            }
            Verb::Cause => self.cause(),
            Verb::Base(base) => {
                self.base = base;
                let name = match base {
                    Base::Decimal => "decimal",
                    Base::Hexadecimal => "hexadecimal",
                    Base::Binary => "binary",
                };
                Ok(format!("numbers are {name}\n"))
            }
            Verb::Show(Some(panel)) => Ok(self.panel(panel)),
            Verb::Show(None) => Ok(self.everything()),
            Verb::What => Ok(self.told()),
            Verb::Json => Ok(pagewalk_step::json(&self.state())),
            Verb::Help => Ok(HELP.into()),
            Verb::Quit => {
                self.is_over = true;
                Ok(String::new())
            }
        }
    }

    /// Goes to a place: a step's number; of a program `N` or `N.K`.
    ///
    /// # Errors
    /// Why there is no such place.
    pub fn go(&mut self, place: &str) -> Result<(), String> {
        let step = match (self.opened.stepper.steps_per_instruction(), place.split_once('.')) {
            (None, None) => count(place)?,
            (None, Some(_)) => return Err("give the number of a step".into()),
            (Some(each), None) => count(place)?.checked_mul(each).ok_or("there is no such step")?,
            (Some(each), Some((instructions, thing))) => {
                let thing = count(thing)?;
                let base = count(instructions)?.checked_mul(each);
                let step = base.filter(|_| thing < each).and_then(|base| base.checked_add(thing));
                step.ok_or("there is no such step")?
            }
        };
        match self.stepper().go_to(step) {
            Ok(()) => Ok(()),
            Err(StepError::NoSuchStep { last, .. }) => {
                Err(format!("there is no such place: the last is {}", self.place(last)))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn steps(&mut self, grain: Grain, times: u64, back: bool) -> Result<String, String> {
        let each = self.opened.stepper.steps_per_instruction();
        if let (Grain::Instruction, Some(each), 2..) = (grain, each, times) {
            return self.many_instructions(each, times, back);
        }
        for _ in 0..times {
            let moved = match back {
                false => self.stepper().forward(grain),
                true => self.stepper().back(grain),
            };
            if !moved.map_err(|error| error.to_string())? {
                break;
            }
        }
        Ok(self.told())
    }

    /// Two billion steps of an instruction are one step to where they lead.
    fn many_instructions(&mut self, each: u64, times: u64, back: bool) -> Result<String, String> {
        let step = self.opened.stepper.step();
        let now = step / each;
        let wanted = match back {
            true => (now + u64::from(!step.is_multiple_of(each))).saturating_sub(times),
            false => now.saturating_add(times),
        };
        match self.stepper().go_to(wanted.saturating_mul(each)) {
            Ok(()) => {}
            Err(StepError::NoSuchStep { last, .. }) => {
                self.stepper().go_to(last).map_err(|error| error.to_string())?;
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(self.told())
    }

    fn run(&mut self, breaks: Vec<Break>, back: bool) -> Result<String, String> {
        let breaks = if breaks.is_empty() { self.breaks.clone() } else { breaks };
        let found = match (back, breaks.is_empty()) {
            (false, true) => self.stepper().forward(Grain::End).map(|_| true),
            (true, true) => self.stepper().go_to(0).map(|()| true),
            (false, false) => self.stepper().run(&breaks),
            (true, false) => self.stepper().run_back(&breaks),
        };
        let edge = if back { "the start" } else { "the end" };
        Ok(match found.map_err(|error| error.to_string())? {
            true => self.told(),
            false => format!("nothing of that: this is {edge}\n{}", self.told()),
        })
    }

    /// From something that a slot is about back to the eviction that gave the slot its page.
    fn cause(&mut self) -> Result<String, String> {
        let Happened { kind, slot, .. } = self.state().happened;
        let Some(slot) = slot else {
            return Err("this is about no swap slot: go to a swap-in first (run swap-in)".into());
        };
        let evict = Break { kind: Some(Kind::Evict), slot: Some(slot), ..Break::default() };
        let here = self.opened.stepper.step();
        let found = self.stepper().run_back(&[evict]).map_err(|error| error.to_string())?;
        match found {
            true => Ok(format!(
                "{} of slot {slot}: its page was put there by\n{}",
                kind.name(),
                self.told()
            )),
            false => {
                self.stepper().go_to(here).map_err(|error| error.to_string())?;
                Err(format!("no eviction to slot {slot} is before this"))
            }
        }
    }

    /// The name of a step: `41`, or `1200.3`.
    pub fn place(&self, step: u64) -> String {
        match self.opened.stepper.steps_per_instruction() {
            None => step.to_string(),
            Some(each) if step.is_multiple_of(each) => (step / each).to_string(),
            Some(each) => format!("{}.{}", step / each, step % each),
        }
    }

    /// Where the walk is: `step 41 of 97`, `instruction 1200.3`.
    pub fn position(&self) -> String {
        let stepper = &self.opened.stepper;
        let what = match stepper.steps_per_instruction() {
            None => "step",
            Some(_) => "instruction",
        };
        let last = stepper.last().map(|last| format!(" of {}", self.place(last)));
        format!("{what} {}{}", self.place(stepper.step()), last.unwrap_or_default())
    }

    /// Where the walk is, and what happened.
    fn told(&mut self) -> String {
        let state = self.state();
        let happened = &state.happened;
        let mut text =
            format!("{}: [{}] {}\n", self.position(), happened.kind.name(), happened.sentence);
        for sentence in &happened.why {
            // Writing to a string does not fail.
            let _ = writeln!(text, "    {sentence}");
        }
        text
    }

    fn panel(&mut self, panel: Panel) -> String {
        let lines = panel.lines(&self.state(), self.base, COLUMNS);
        let mut text = format!("{}\n", panel.title());
        for line in lines {
            let _ = writeln!(text, "  {}", line.text);
        }
        text
    }

    fn everything(&mut self) -> String {
        let state = self.state();
        let mut text = format!("{}\n{}\n{}", state.title, state.machine, self.told());
        let is_needed = |panel: &Panel| match panel {
            Panel::Queues => !state.queues.is_empty(),
            Panel::Swap => !state.swap.is_empty(),
            Panel::Output => !state.output.is_empty(),
            Panel::Tlb => !state.tlb.is_empty(),
            Panel::Processes => state.processes.len() > 1,
            _ => true,
        };
        for panel in Panel::ALL.into_iter().filter(is_needed) {
            text += "\n";
            text += &self.panel(panel);
        }
        text
    }
}

fn plural(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
