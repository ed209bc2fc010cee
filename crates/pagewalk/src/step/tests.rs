//! The terminal's picture, without a terminal.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::args::{Cli, Command};
use crate::step::app::App;
use crate::step::draw::draw;
use crate::step::open::open;
use crate::step::session::Session;

/// A walk through what a command line names.
fn app(line: &[&str]) -> App {
    let words = ["pagewalk", "step"].iter().chain(line).map(std::ffi::OsString::from);
    let Ok(Cli { command: Command::Step(args) }) = Cli::from_words(words) else {
        panic!("no step: {line:?}");
    };
    let opened = open(*args).unwrap_or_else(|failure| panic!("{failure:?}"));
    App::new(Session::new(opened))
}

/// From where tests run: the name is on the program's stack, and must not differ from host to host.
const SIEVE: &str = "../../programs/bin/sieve";

fn press(app: &mut App, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            letter => KeyCode::Char(letter),
        };
        app.press(KeyEvent::new(code, KeyModifiers::NONE));
    }
}

/// What the terminal shows, line by line.
fn picture(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, false)).unwrap();
    let text = terminal.backend().to_string();
    text.lines().map(|line| line.trim_matches('"').trim_end()).collect::<Vec<_>>().join("\n")
}

/// Little memory, so that pages go and come.
fn sieve() -> App {
    app(&["--ram", "192KiB", SIEVE, "200000"])
}

#[test]
fn the_start_of_a_program() {
    insta::assert_snapshot!(picture(&mut sieve(), 80, 24));
}

#[test]
fn a_swap_in() {
    let mut app = sieve();
    press(&mut app, "s");
    insta::assert_snapshot!("a_swap_in_80", picture(&mut app, 80, 24));
    insta::assert_snapshot!("a_swap_in_120", picture(&mut app, 120, 40));
    press(&mut app, "c");
    insta::assert_snapshot!("its_cause_80", picture(&mut app, 80, 24));
}

#[test]
fn a_scenario_step_by_step() {
    let mut app = app(&["copy-on-write"]);
    press(&mut app, "eee");
    insta::assert_snapshot!("scenario_80", picture(&mut app, 80, 24));
    insta::assert_snapshot!("scenario_120", picture(&mut app, 120, 40));
}

#[test]
fn help_prompt_and_mistakes() {
    let mut app = app(&["copy-on-write"]);
    press(&mut app, "?");
    insta::assert_snapshot!("help_80", picture(&mut app, 80, 24));
    press(&mut app, "?:go 5");
    assert!(picture(&mut app, 80, 24).contains(":go 5_"));
    press(&mut app, "\n");
    assert!(picture(&mut app, 80, 24).contains("step 5 of"));
    press(&mut app, ":go nowhere\n");
    assert!(picture(&mut app, 80, 24).contains("go nowhere: give a whole number"));
    press(&mut app, "c");
    assert!(picture(&mut app, 80, 24).contains("run swap-in"));
}

#[test]
fn no_terminal_is_too_small() {
    let mut app = app(&["copy-on-write"]);
    press(&mut app, "eee");
    for width in (1..40).chain([79, 109, 110, 200]) {
        for height in (1..26).chain([60]) {
            picture(&mut app, width, height);
        }
    }
    press(&mut app, "?");
    for size in 1..30 {
        picture(&mut app, 2 * size, size);
    }
}

#[test]
fn any_keys_do_no_harm() {
    let mut app = app(&["copy-on-write"]);
    let keys = [
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Esc,
        KeyCode::Delete,
        KeyCode::Char('x'),
        KeyCode::Char('F'),
        KeyCode::Char('R'),
        KeyCode::Char('9'),
        KeyCode::Char('A'),
        KeyCode::Backspace,
    ];
    for (n, _) in keys.iter().cycle().take(200).enumerate() {
        let key = keys[(n * 7 + n / 5) % keys.len()];
        app.press(KeyEvent::new(key, KeyModifiers::NONE));
        picture(&mut app, 80, 24);
    }
    assert!(!app.is_over());
    press(&mut app, "q");
    assert!(app.is_over());
}
