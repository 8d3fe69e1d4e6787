//! The view, from rows that were recorded and keys that were pressed to what stands on the screen.

use std::time::Duration;

use anyhow::anyhow;
use cityevents_runtime::lag::verdict::Verdict;
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::Value;

use super::draw::draw;
use super::look::{Look, rows_of};
use super::view::{Next, Order, View};
use crate::console::Judged;

/// An answer of `lag --output json`: nobody projects partition 2, and more mails come than are sent.
const RECORDED: &str = include_str!("recorded.json");

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// The recorded rows, with the verdicts that ten such looks would bring.
fn look(second: i64) -> Look {
    let answer: Value = serde_json::from_str(RECORDED).unwrap();
    let judged = |row: crate::admin::lag::Row| {
        let verdict = match (&*row.group, row.partition) {
            ("projection", 2) => Verdict::Stopped,
            ("mailer", _) if row.records != Some(0) => Verdict::Warning,
            _ => Verdict::Ok,
        };
        Judged { row, verdict: Some(verdict), pace: Some((12.0, 3.5)) }
    };
    Look {
        at: at(second),
        took: Duration::from_millis(140),
        rows: rows_of(&answer).unwrap().into_iter().map(judged).collect(),
        commands: answer["commands"].clone(),
    }
}

fn view() -> View {
    let mut view = View::new(Duration::from_secs(10));
    view.take(look(0));
    view
}

fn press(view: &mut View, code: KeyCode) -> Next {
    view.press(KeyEvent::new(code, KeyModifiers::NONE))
}

fn type_in(view: &mut View, text: &str) {
    for letter in text.chars() {
        assert_eq!(press(view, KeyCode::Char(letter)), Next::Stay);
    }
}

/// What stands on a screen, after as many rows are shown as fit.
fn screen(view: &mut View, width: u16, height: u16, second: i64) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut fits = 0;
    terminal.draw(|frame| fits = draw(view, at(second), frame)).unwrap();
    view.fit(fits);
    terminal.draw(|frame| fits = draw(view, at(second), frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let line = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    buffer.content.chunks(width).map(line).collect()
}

fn text(view: &mut View) -> String {
    lines(&screen(view, 100, 30, 7)).join("\n")
}

fn names(view: &View) -> Vec<(&str, u32)> {
    view.rows().iter().map(|judged| (&*judged.row.group, judged.row.partition)).collect()
}

#[test]
fn a_small_terminal_shows_the_worst_first() {
    let shown = lines(&screen(&mut view(), 80, 13, 7));
    let expected = [
        "lag  looked at 2027-01-15 08:00:00 UTC, 7 s ago, took 140 ms; every 10 s",
        "rows 1–6 of 36, worst first, verdicts in 9 looks",
        "group        topic            part records waits verdict",
        "projection   event-facts         2      27  41 s stopped: is behind",
        "mailer       emails              0   1,234 3.2 s warning: is behind",
        "registration event-commands      1       3 0.2 s is behind",
        "registration event-commands      0       0   0 s keeps up",
        "registration event-commands      2       0   0 s keeps up",
        "registration event-commands      3       0   0 s keeps up",
        "total: 36 rows, 2 not well; 1,264 records before them, the oldest waits for 41 s",
        "the oldest undecided command waits for 0 s",
        "event-commands keeps commands for 7 days",
        "q leave   ↑ ↓ PgUp PgDn scroll   s sort   f filter   p pause   ? help",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_wide_terminal_has_more_columns_and_says_who_owns_what() {
    let shown = lines(&screen(&mut view(), 180, 30, 7)).join("\n");
    for word in ["committed", "end", "in", "taken", "owner", "12/s", "3.5/s"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
}

#[test]
fn verdicts_have_a_colour_and_always_a_word() {
    let buffer = screen(&mut view(), 80, 40, 7);
    let shown = lines(&buffer);
    let colour = |word: &str| {
        let y = shown.iter().position(|line| line.contains(word)).unwrap();
        let x = shown[y].split_once(word).unwrap().0.chars().count();
        buffer[(x as u16, y as u16)].fg
    };
    assert_eq!(colour("stopped: is behind"), Color::Red);
    assert_eq!(colour("warning: is behind"), Color::Yellow);
    assert_eq!(colour("keeps up"), Color::Green);
}

#[test]
fn no_screen_is_too_small() {
    let mut view = view();
    view.fail(at(1), &anyhow!("the broker is away").context("reading"));
    view.has_help = true;
    for width in 1..90 {
        for height in 1..40 {
            screen(&mut view, width, height, 7);
        }
    }
    assert_eq!(lines(&screen(&mut view, 20, 1, 7)).len(), 1);
}

#[test]
fn rows_are_sorted_as_asked() {
    let mut view = view();
    assert_eq!(view.order, Order::Worst);
    assert_eq!(names(&view)[..2], [("projection", 2), ("mailer", 0)]);
    press(&mut view, KeyCode::Char('s'));
    let seconds: Vec<_> = view.rows().iter().map(|judged| judged.row.seconds).collect();
    assert!(seconds.is_sorted_by(|left, right| left >= right), "{seconds:?}");
    press(&mut view, KeyCode::Char('s'));
    let records: Vec<_> = view.rows().iter().map(|judged| judged.row.records).collect();
    assert!(records.is_sorted_by(|left, right| left >= right), "{records:?}");
    press(&mut view, KeyCode::Char('s'));
    assert!(names(&view).is_sorted_by_key(|(group, _)| *group), "{:?}", names(&view));
    press(&mut view, KeyCode::Char('s'));
    assert_eq!(view.order, Order::Worst);
}

#[test]
fn a_filter_is_typed_kept_and_forgotten() {
    let mut view = view();
    let all = view.rows().len();
    type_in(&mut view, "fQMAILER");
    press(&mut view, KeyCode::Backspace);
    assert!(view.rows().is_empty() && view.is_typing);
    assert!(text(&mut view).contains("no group has \"QMAILE\" in its name"));
    press(&mut view, KeyCode::Esc);
    assert_eq!((view.rows().len(), view.is_typing), (all, false));
    type_in(&mut view, "/Mail");
    assert_eq!(press(&mut view, KeyCode::Enter), Next::Stay);
    assert!(!view.rows().is_empty() && names(&view).iter().all(|(group, _)| *group == "mailer"));
    assert!(text(&mut view).contains("groups with \"Mail\""));
    // Letters are keys again.
    type_in(&mut view, "s");
    assert_eq!((view.order, &*view.filter), (Order::Seconds, "Mail"));
}

#[test]
fn what_is_shown_scrolls_as_far_as_there_are_rows() {
    let mut view = view();
    let all = view.rows().len();
    screen(&mut view, 80, 14, 7);
    press(&mut view, KeyCode::Up);
    assert_eq!(view.first, 0);
    press(&mut view, KeyCode::Down);
    assert_eq!(view.first, 1);
    press(&mut view, KeyCode::PageDown);
    let page = view.first - 1;
    assert!(page > 1 && page < all);
    press(&mut view, KeyCode::End);
    assert_eq!(view.first, all - page);
    assert!(lines(&screen(&mut view, 80, 14, 7))[1].contains(&format!("–{all} of {all}")));
    press(&mut view, KeyCode::PageDown);
    assert_eq!(view.first, all - page);
    // On a screen where all fit, nothing is hidden above.
    screen(&mut view, 80, 60, 7);
    assert_eq!(view.first, 0);
    // Fewer rows are left than were scrolled over.
    screen(&mut view, 80, 14, 7);
    press(&mut view, KeyCode::End);
    type_in(&mut view, "/registration");
    assert!(text(&mut view).contains("event-commands"));
}

#[test]
fn what_is_held_stays_until_it_is_let_go() {
    let mut view = view();
    press(&mut view, KeyCode::Char('p'));
    assert!(text(&mut view).contains(", paused"));
    let next = Look { rows: Vec::new(), ..look(10) };
    view.take(next);
    assert_eq!(view.look.as_ref().map(|look| look.at), Some(at(0)));
    assert!(text(&mut view).contains(", paused, there is a newer look"));
    press(&mut view, KeyCode::Char('p'));
    assert_eq!(view.look.as_ref().map(|look| look.at), Some(at(10)));
    assert!(!text(&mut view).contains("paused"));
    view.take(look(20));
    assert_eq!(view.look.as_ref().map(|look| look.at), Some(at(20)));
}

#[test]
fn a_look_that_failed_is_told_beside_the_last_one_until_the_next() {
    let mut view = View::new(Duration::from_secs(10));
    assert!(text(&mut view).contains("looking for the first time"));
    view.fail(at(5), &anyhow!("no broker answers").context("asking for topics"));
    let failed = "the look at 08:00:05 UTC failed";
    let shown = text(&mut view);
    assert!(shown.contains(failed) && shown.contains("asking for topics: no broker answers"));
    view.take(look(6));
    assert!(!text(&mut view).contains(failed));
    view.fail(at(5), &anyhow!("no broker answers"));
    let shown = text(&mut view);
    assert!(shown.contains(failed) && shown.contains("registration"), "{shown}");
}

#[test]
fn help_comes_and_goes_and_keys_that_leave_do() {
    let mut view = view();
    press(&mut view, KeyCode::Char('?'));
    assert!(text(&mut view).contains("stalled    somebody gets nothing done"));
    press(&mut view, KeyCode::Char('?'));
    assert!(!text(&mut view).contains("stalled    somebody"));
    for code in [KeyCode::Char('x'), KeyCode::Enter, KeyCode::F(1), KeyCode::Tab] {
        assert_eq!(press(&mut view, code), Next::Stay);
    }
    let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    assert_eq!(view.press(control('s')), Next::Stay);
    assert_eq!(view.order, Order::Worst, "Control-S is another key");
    for key in [KeyCode::Char('q'), KeyCode::Esc] {
        assert_eq!(press(&mut view, key), Next::Leave);
    }
    type_in(&mut view, "/q");
    assert_eq!(view.press(control('c')), Next::Leave);
}
