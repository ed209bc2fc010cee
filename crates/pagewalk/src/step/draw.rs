//! The picture on the terminal.
//!
//! ```text
//!   80 × 24                                    120 × 40 and more
//!   ┌ title, position ─────────────────────┐   ┌ title, position ──────────────────────────────┐
//!   │ code             │ the panel that is │   │ code      │ page table      │ frames          │
//!   │ registers        │ looked at         │   │ registers │ regions         │ swap            │
//!   │ what happened, why                   │   │           │ TLB             │ looked at       │
//!   └ keys, prompt, message ───────────────┘   └ what happened ────────────── keys, prompt ────┘
//! ```
//!
//! Marks, not colours, say what is current (`>`) and new (`*`); colours come on top where they are
//! wanted. A terminal that is too small for a part goes without it.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Row, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use crate::step::app::{App, KEYS};
use crate::step::panels::{Line, Panel, printable};

/// From this width on there are three columns.
const WIDE: u16 = 110;

/// Lines of what happened.
const STORY_ROWS: u16 = 5;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, colours: bool) {
    let area = frame.area();
    if area.width < 2 || area.height < 2 {
        return;
    }
    let story = STORY_ROWS.min(area.height.saturating_sub(2));
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(story),
        Constraint::Length(1),
    ]);
    let [title, panels, told, status] = rows.areas(area);
    let painter = Painter { colours };
    painter.title(frame, app, title);
    match area.width >= WIDE {
        true => painter.wide(frame, app, panels),
        false => painter.narrow(frame, app, panels),
    }
    painter.story(frame, app, told);
    painter.status(frame, app, status);
    if app.shows_help {
        painter.help(frame, area);
    }
}

struct Painter {
    colours: bool,
}

impl Painter {
    fn style(&self, colour: Color, modifier: Modifier) -> Style {
        let style = Style::default().add_modifier(modifier);
        if self.colours { style.fg(colour) } else { style }
    }

    fn title(&self, frame: &mut Frame<'_>, app: &App, area: Rect) {
        let width = usize::from(area.width);
        let position = app.session.position();
        let title = printable(&app.state.title);
        let room = width.saturating_sub(position.chars().count() + 2);
        let title: String = title.chars().take(room).collect();
        let text = format!(" {title:<room$} {position}");
        let style = Style::default().add_modifier(Modifier::REVERSED);
        frame.render_widget(Paragraph::new(text).style(style), area);
    }

    fn narrow(&self, frame: &mut Frame<'_>, app: &mut App, area: Rect) {
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)])
                .areas(area);
        let [code, registers] =
            Layout::vertical([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(left);
        self.panel(frame, app, Panel::Code, code, false);
        self.panel(frame, app, Panel::Registers, registers, false);
        self.panel(frame, app, app.panel, right, true);
    }

    fn wide(&self, frame: &mut Frame<'_>, app: &mut App, area: Rect) {
        let third = Constraint::Ratio(1, 3);
        let [left, middle, right] = Layout::horizontal([third; 3]).areas(area);
        let [code, registers] =
            Layout::vertical([Constraint::Length(17), Constraint::Min(0)]).areas(left);
        let [pages, regions, tlb] = Layout::vertical([
            Constraint::Percentage(45),
            Constraint::Percentage(25),
            Constraint::Percentage(30),
        ])
        .areas(middle);
        let [frames, swap, chosen] = Layout::vertical([
            Constraint::Percentage(40),
            Constraint::Percentage(20),
            Constraint::Percentage(40),
        ])
        .areas(right);
        let fixed = [
            (Panel::Code, code),
            (Panel::Registers, registers),
            (Panel::Pages, pages),
            (Panel::Regions, regions),
            (Panel::Tlb, tlb),
            (Panel::Frames, frames),
            (Panel::Swap, swap),
        ];
        for (panel, place) in fixed {
            self.panel(frame, app, panel, place, panel == app.panel);
        }
        let is_fixed = fixed.iter().any(|(panel, _)| *panel == app.panel);
        let last = if is_fixed { Panel::Counters } else { app.panel };
        self.panel(frame, app, last, chosen, !is_fixed);
    }

    /// A panel in its box: what is current or new is in sight, unless the user scrolls.
    fn panel(
        &self,
        frame: &mut Frame<'_>,
        app: &mut App,
        panel: Panel,
        area: Rect,
        is_chosen: bool,
    ) {
        let inner = area.height.saturating_sub(2);
        let columns = usize::from(area.width.saturating_sub(2));
        let lines = panel.lines(&app.state, app.session.base, columns);
        let room = usize::from(inner).max(1);
        let most = lines.len().saturating_sub(room);
        let wanted = lines.iter().position(|line| line.is_current || line.is_new);
        let first = match (is_chosen, wanted) {
            (true, _) if app.scroll > 0 => app.scroll,
            (_, Some(line)) if line >= room => line.saturating_sub(room / 2),
            // The end of what was written is what matters of it.
            (_, None) if panel == Panel::Output => most,
            _ => 0,
        }
        .min(most);
        if is_chosen {
            app.scroll = app.scroll.min(most);
        }
        let more = if most > 0 {
            format!(" {}–{} of {}", first + 1, (first + room).min(lines.len()), lines.len())
        } else {
            String::new()
        };
        let title = format!(" {}{more} ", panel.title());
        let style = match is_chosen {
            true => self.style(Color::Yellow, Modifier::BOLD),
            false => Style::default(),
        };
        let rows: Vec<Row<'_>> =
            lines.iter().skip(first).take(room).map(|line| self.row(line)).collect();
        let block = Block::bordered().title(Span::styled(title, style));
        frame.render_widget(Paragraph::new(rows).block(block), area);
    }

    fn row<'a>(&self, line: &'a Line) -> Row<'a> {
        let style = match (line.is_current, line.is_new) {
            (true, _) => self.style(Color::Cyan, Modifier::BOLD),
            (_, true) => self.style(Color::Green, Modifier::BOLD),
            _ => Style::default(),
        };
        Row::from(Span::styled(line.text.as_str(), style))
    }

    fn story(&self, frame: &mut Frame<'_>, app: &App, area: Rect) {
        let happened = &app.state.happened;
        let kind = Span::styled(
            format!("[{}] ", happened.kind.name()),
            self.style(Color::Magenta, Modifier::BOLD),
        );
        let mut rows = vec![Row::from(vec![kind, Span::raw(printable(&happened.sentence))])];
        rows.extend(happened.why.iter().map(|sentence| Row::from(printable(sentence))));
        frame.render_widget(Paragraph::new(rows).wrap(Wrap { trim: true }), area);
    }

    fn status(&self, frame: &mut Frame<'_>, app: &App, area: Rect) {
        let text = match (&app.prompt, &app.message) {
            (Some(typed), _) => format!(":{}_", printable(typed)),
            (None, Some(message)) => printable(message),
            (None, None) => {
                "n p instruction  t T table  e E event  f F fault  r R run  c cause  ? help  q"
                    .into()
            }
        };
        let style = Style::default().add_modifier(Modifier::REVERSED);
        frame.render_widget(Paragraph::new(text).style(style), area);
    }

    fn help(&self, frame: &mut Frame<'_>, area: Rect) {
        let (width, height) = (72.min(area.width), (KEYS.len() as u16 + 2).min(area.height));
        let place = Rect {
            x: area.x + (area.width - width) / 2,
            y: area.y + (area.height - height) / 2,
            width,
            height,
        };
        let rows: Vec<Row<'_>> =
            KEYS.iter().map(|(keys, what)| Row::from(format!(" {keys:<14} {what}"))).collect();
        frame.render_widget(Clear, place);
        frame.render_widget(Paragraph::new(rows).block(Block::bordered().title(" Keys ")), place);
    }
}
