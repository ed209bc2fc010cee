//! The terminal's state, and what keys do to it.
//!
//! ```text
//!   key ──► command, as at the prompt ──► Session ──► message
//!      ├──► panel, scrolling, base
//!      └──► prompt: letters … Enter ──► command
//! ```

use pagewalk_step::{Base, State};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::step::panels::Panel;
use crate::step::session::Session;

/// What is shown, and where the user is in it.
pub struct App {
    /// The walk.
    pub session: Session,
    /// The state that is shown.
    pub state: State,
    /// The panel that is looked at.
    pub panel: Panel,
    /// Lines of it that are above what is shown.
    pub scroll: usize,
    /// What is being typed.
    pub prompt: Option<String>,
    /// What the last command said, if it said more than where it went.
    pub message: Option<String>,
    /// What was typed last.
    last_command: String,
    /// The keys are explained.
    pub shows_help: bool,
}

/// The keys, for people.
pub const KEYS: &[(&str, &str)] = &[
    ("n  →", "one instruction forward"),
    ("p  ←", "one instruction back"),
    ("t  T", "one table reference forward, back"),
    ("a  A", "one access forward, back"),
    ("e  E", "one event forward, back"),
    ("f  F", "the next fault, the one before"),
    ("r  R", "run to a break or the end, back to a break or the start"),
    ("s  S", "the next swap-in, the one before"),
    ("c", "the cause: from a swap-in to the eviction"),
    ("b", "set a break; then r"),
    ("g", "go to a step"),
    (":", "any command (help lists them); Enter repeats the last"),
    ("Home End", "the start, the end of the run"),
    ("Tab  1-9", "another panel"),
    ("↑ ↓ PgUp PgDn", "scroll it"),
    ("x", "hexadecimal, decimal, binary"),
    ("?", "this help; Esc closes it"),
    ("Ctrl-C", "stop a search that takes long; otherwise quit"),
    ("q", "quit"),
];

impl App {
    /// A terminal at the start of a walk.
    pub fn new(mut session: Session) -> Self {
        let state = session.state();
        Self {
            session,
            state,
            panel: Panel::Pages,
            scroll: 0,
            prompt: None,
            message: None,
            last_command: String::new(),
            shows_help: false,
        }
    }

    /// Whether the user wants out.
    pub const fn is_over(&self) -> bool {
        self.session.is_over
    }

    /// A key was pressed.
    pub fn press(&mut self, key: KeyEvent) {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            self.session.is_over = true;
        } else if self.prompt.is_some() {
            self.type_key(key.code);
        } else if self.shows_help {
            self.shows_help = false;
        } else {
            self.command_key(key.code);
        }
    }

    fn type_key(&mut self, key: KeyCode) {
        let Some(mut text) = self.prompt.take() else { return };
        match key {
            KeyCode::Esc => return,
            KeyCode::Enter => {
                let command = text.trim().to_owned();
                if !command.is_empty() {
                    self.last_command.clone_from(&command);
                    self.execute(&command);
                }
                return;
            }
            // Nothing is left to be taken away.
            KeyCode::Backspace if text.pop().is_none() => return,
            KeyCode::Backspace => {}
            KeyCode::Char(letter) => text.push(letter),
            _ => {}
        }
        self.prompt = Some(text);
    }

    fn command_key(&mut self, key: KeyCode) {
        let command = match key {
            KeyCode::Char('n' | ' ') | KeyCode::Right => "step",
            KeyCode::Char('p') | KeyCode::Left | KeyCode::Backspace => "back",
            KeyCode::Char('t') => "step reference",
            KeyCode::Char('T') => "back reference",
            KeyCode::Char('a') => "step access",
            KeyCode::Char('A') => "back access",
            KeyCode::Char('e') => "step event",
            KeyCode::Char('E') => "back event",
            KeyCode::Char('f') => "step fault",
            KeyCode::Char('F') => "back fault",
            KeyCode::Char('r') => "run",
            KeyCode::Char('R') => "run-back",
            KeyCode::Char('s') => "run swap-in",
            KeyCode::Char('S') => "run-back swap-in",
            KeyCode::Char('c') => "cause",
            KeyCode::Home => "start",
            KeyCode::End => "end",
            KeyCode::Char('x') => match self.session.base {
                Base::Hexadecimal => "decimal",
                Base::Decimal => "binary",
                Base::Binary => "hex",
            },
            KeyCode::Char('q') => "quit",
            KeyCode::Enter => return self.execute(&self.last_command.clone()),
            other => return self.look_key(other),
        };
        self.execute(command);
    }

    /// Keys that change what is looked at, not where.
    fn look_key(&mut self, key: KeyCode) {
        let prompt = |text: &str| Some(text.to_owned());
        let panels = Panel::ALL;
        let place = panels.iter().position(|panel| *panel == self.panel).unwrap_or(0);
        match key {
            KeyCode::Char(':') => self.prompt = prompt(""),
            KeyCode::Char('b') => self.prompt = prompt("break "),
            KeyCode::Char('g') => self.prompt = prompt("go "),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.shows_help = true,
            KeyCode::Esc => self.message = None,
            KeyCode::Tab => self.look_at(panels[(place + 1) % panels.len()]),
            KeyCode::BackTab => self.look_at(panels[(place + panels.len() - 1) % panels.len()]),
            KeyCode::Char(digit @ '1'..='9') => {
                self.look_at(panels[digit as usize - '1' as usize]);
            }
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down => self.scroll = self.scroll.saturating_add(1),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(10),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_add(10),
            _ => {}
        }
    }

    fn look_at(&mut self, panel: Panel) {
        self.panel = panel;
        self.scroll = 0;
    }

    fn execute(&mut self, command: &str) {
        if command.is_empty() {
            return;
        }
        // A command that names a panel is a wish to see it.
        if let Some(panel) = Panel::by_name(command) {
            return self.look_at(panel);
        }
        if command == "help" {
            self.shows_help = true;
            return;
        }
        let before = self.session.position();
        let done = self.session.execute(command);
        self.state = self.session.state();
        self.message = match done {
            Err(problem) => Some(format!("{command}: {problem}")),
            Ok(text) if self.session.position() == before => text.lines().next().map(str::to_owned),
            Ok(text) => text
                .lines()
                .next()
                .filter(|line| line.ends_with("put there by") || line.starts_with("nothing"))
                .map(str::to_owned),
        };
    }
}
