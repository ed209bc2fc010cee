//! The terminal: taken at the beginning, given back at the end, also after a panic.
//!
//! ```text
//!   key ──► App::press ───── a search that takes long ─────► picture
//!             └─ after a while: a thread reads keys ── Ctrl-C, Esc ──► interrupt
//! ```

use std::env;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use pagewalk_rewind::Interrupt;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};

use crate::step::app::App;
use crate::step::draw::draw;
use crate::step::session::Session;

/// What takes longer can be stopped; keys that are typed sooner are the next command's.
const PATIENCE: Duration = Duration::from_millis(300);

/// Between two looks for a key.
const POLL: Duration = Duration::from_millis(20);

/// Shows a walk until the user has seen enough.
///
/// # Errors
/// The terminal's.
pub fn run(session: Session) -> io::Result<()> {
    // https://no-color.org: any value that is not empty.
    let colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut app = App::new(session);
    // Gives the terminal back if there is a panic.
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, &mut app, colours);
    ratatui::try_restore()?;
    shown
}

fn show(terminal: &mut ratatui::DefaultTerminal, app: &mut App, colours: bool) -> io::Result<()> {
    let interrupt = app.session.interrupt();
    while !app.is_over() {
        terminal.draw(|frame| draw(frame, app, colours))?;
        match (read()?, &interrupt) {
            (Event::Key(key), _) if key.kind == KeyEventKind::Release => {}
            (Event::Key(key), Some(interrupt)) => press(app, key, interrupt),
            (Event::Key(key), None) => app.press(key),
            _ => {}
        }
    }
    Ok(())
}

/// Does what a key says; another key stops it.
fn press(app: &mut App, key: KeyEvent, interrupt: &Interrupt) {
    interrupt.clear();
    let (done, is_done) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || watch(interrupt, &is_done));
        app.press(key);
        drop(done);
    });
}

/// Raises `interrupt` when the user wants the search to stop, until it is done.
fn watch(interrupt: &Interrupt, is_done: &Receiver<()>) {
    let mut wait = PATIENCE;
    while is_done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        wait = POLL;
        if let Ok(true) = poll(Duration::ZERO)
            && let Ok(Event::Key(key)) = read()
            && is_stop(key)
        {
            interrupt.raise();
        }
    }
}

fn is_stop(key: KeyEvent) -> bool {
    let is_ctrl_c = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    key.kind != KeyEventKind::Release && (is_ctrl_c || key.code == KeyCode::Esc)
}
