//! The terminal: taken at the beginning, given back at the end, also after a panic.

use std::env;
use std::io;

use ratatui::crossterm::event::{Event, KeyEventKind, read};

use crate::step::app::App;
use crate::step::draw::draw;
use crate::step::session::Session;

/// Shows a walk until the user has seen enough.
///
/// # Errors
/// The terminal's.
pub fn run(session: Session) -> io::Result<()> {
    // https://no-color.org: any value that is not empty.
    let colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Ctrl-C comes as a key while the terminal is raw; a signal from elsewhere stops a long search.
    if let Some(interrupt) = session.interrupt() {
        let handler = move || interrupt.raise();
        // Without a handler a signal ends the process, which is as good.
        let _ = ctrlc::set_handler(handler);
    }
    let mut app = App::new(session);
    // Gives the terminal back if there is a panic.
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, &mut app, colours);
    ratatui::try_restore()?;
    shown
}

fn show(terminal: &mut ratatui::DefaultTerminal, app: &mut App, colours: bool) -> io::Result<()> {
    while !app.is_over() {
        terminal.draw(|frame| draw(frame, app, colours))?;
        match read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => app.press(key),
            _ => {}
        }
    }
    Ok(())
}
