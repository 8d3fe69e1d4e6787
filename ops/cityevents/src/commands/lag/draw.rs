//! The view on a screen of any size. Pure: what is shown and the time in, cells out.

use std::borrow::Cow;
use std::time::Duration;

use cityevents_runtime::lag::in_words;
use cityevents_runtime::lag::verdict::WINDOW_SAMPLES;
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, Wrap};

use super::look::{Look, verdict_in_words};
use super::undecided;
use super::view::View;
use crate::console::Judged;
use crate::console::words::{self, Tone};

/// Lines of a failure, at most.
const FAILURE_LINES_MAX: usize = 3;
/// What is shown is old when it has been there for so many intervals.
const OLD_AFTER: u32 = 3;
/// Letters of a name, at most, where others need the place.
const NAME_LETTERS_MAX: usize = 40;
/// Letters of a name that are to be seen on any screen.
const NAME_LETTERS_MIN: usize = 8;
/// Letters of a verdict that are to be seen on any screen.
const VERDICT_LETTERS: usize = 16;

const KEYS: &str = "q leave   ↑ ↓ PgUp PgDn scroll   s sort   f filter   p pause   ? help";
const HELP: &[&str] = &[
    "s          sort: worst first, longest wait first, most records first, by name",
    "f or /     only groups with this in their name; Enter keeps it, Esc forgets it",
    "p          hold what is shown, and let it go again; looks go on meanwhile",
    "scroll     arrows, PgUp, PgDn, Home, End; leave: q, Esc, Ctrl-C",
    "waits      how long the oldest record does that the group has before it",
    "warning    works and falls back          stopped    nobody is in the group",
    "stalled    somebody gets nothing done    rewind     was set back",
    "error      records were thrown away unread, or soon will be",
];

/// A column of the table.
struct Column {
    title: &'static str,
    /// From this width of the screen on there is one.
    from: u16,
    text: fn(&Judged) -> String,
    /// Names can be shortened, numbers stand at the right.
    is_name: bool,
}

impl Column {
    const fn name(title: &'static str, from: u16, text: fn(&Judged) -> String) -> Self {
        Self { title, from, text, is_name: true }
    }

    const fn number(title: &'static str, from: u16, text: fn(&Judged) -> String) -> Self {
        Self { title, from, text, is_name: false }
    }
}

/// All but the verdict, which has the rest of each line.
const COLUMNS: [Column; 10] = [
    Column::name("group", 0, |one| one.row.group.clone()),
    Column::name("topic", 0, |one| one.row.topic.clone()),
    Column::number("part", 0, |one| one.row.partition.to_string()),
    Column::number("committed", 110, |one| number(one.row.committed)),
    Column::number("end", 110, |one| number(one.row.end)),
    Column::number("records", 0, |one| number(one.row.records)),
    Column::number("waits", 0, |one| one.row.seconds.map_or_else(unknown, words::wait)),
    Column::number("in", 130, |one| rate(one.pace.map(|(came, _)| came))),
    Column::number("taken", 130, |one| rate(one.pace.map(|(_, took)| took))),
    Column::name("owner", 160, |one| one.row.owner.clone().unwrap_or_else(unknown)),
];

fn unknown() -> String {
    "–".to_owned()
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(unknown, words::number)
}

fn rate(a_second: Option<f64>) -> String {
    a_second.map_or_else(unknown, words::rate)
}

/// Draws, and tells how many rows fit.
pub(super) fn draw(view: &View, now: Timestamp, frame: &mut Frame<'_>) -> usize {
    let area = frame.area();
    let rows = view.rows();
    let failure = view.failure.as_ref().map(|failure| {
        let at = failure.at.strftime("%H:%M:%S UTC");
        format!("the look at {at} failed, and the next one comes: {}", failure.why)
    });
    let width = usize::from(area.width.max(1));
    // One more where words are wrapped.
    let lines = |text: &String| match text.chars().count() {
        letters if letters <= width => 1,
        letters => FAILURE_LINES_MAX.min(letters.div_ceil(width) + 1),
    };
    let foot = foot(view, &rows, width);
    let [head_area, table_area, failure_area, foot_area] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(2),
        Constraint::Length(failure.as_ref().map_or(0, lines) as u16),
        Constraint::Length(foot.len().min(usize::from(area.height / 2)) as u16),
    ])
    .areas(area);
    let fits = usize::from(table_area.height.saturating_sub(1));

    frame.render_widget(Paragraph::new(head(view, &rows, fits, now)), head_area);
    table(view, &rows, frame, table_area);
    if let Some(failure) = failure {
        let failure = Paragraph::new(failure).wrap(Wrap { trim: true });
        frame.render_widget(failure.fg(Color::Red).bold(), failure_area);
    }
    // Keys come last, and are seen on any screen.
    let hidden = foot.len().saturating_sub(usize::from(foot_area.height));
    frame.render_widget(Paragraph::new(foot[hidden..].to_vec()), foot_area);
    fits
}

fn head(view: &View, rows: &[&Judged], fits: usize, now: Timestamp) -> Vec<Line<'static>> {
    let every = match view.every.subsec_nanos() {
        0 => in_words(view.every),
        _ => words::wait(view.every.as_secs_f64()),
    };
    let looked = match &view.look {
        None => Span::raw(format!("looking for the first time; then every {every}")),
        Some(Look { at, took, .. }) => {
            let age = Duration::try_from(now.duration_since(*at)).unwrap_or_default();
            let is_old = age > OLD_AFTER * view.every.max(Duration::from_secs(1));
            let (age, took) = (in_words(age), words::took(took.as_secs_f64()));
            let at = at.strftime("%Y-%m-%d %H:%M:%S UTC");
            let text = format!("looked at {at}, {age} ago, took {took}; every {every}");
            if is_old { Span::raw(text).fg(Color::Yellow).bold() } else { Span::raw(text) }
        }
    };
    let shown = match rows.len() {
        0 => "no rows".to_owned(),
        all if all <= fits => words::count(all as u64, "row"),
        all => format!("rows {}–{} of {all}", view.first + 1, all.min(view.first + fits)),
    };
    let mut second = vec![Span::raw(format!("{shown}, {}", view.order.as_str()))];
    if !view.filter.is_empty() {
        second.push(Span::raw(format!(", groups with {:?}", view.filter)).bold());
    }
    if view.is_paused {
        let newer = if view.has_newer() { ", there is a newer look" } else { "" };
        second.push(Span::raw(format!(", paused{newer}")).fg(Color::Yellow).bold());
    } else if (1..WINDOW_SAMPLES).contains(&view.looks) {
        let left = WINDOW_SAMPLES - view.looks;
        second.push(Span::raw(format!(", verdicts in {}", words::count(left as u64, "look"))));
    }
    vec![Line::from(vec![Span::raw("lag  ").bold(), looked]), Line::from(second)]
}

fn table(view: &View, rows: &[&Judged], frame: &mut Frame<'_>, area: Rect) {
    let Some(look) = &view.look else { return };
    if rows.is_empty() && !look.rows.is_empty() {
        let nobody = format!("no group has {:?} in its name", view.filter);
        frame.render_widget(Paragraph::new(nobody), area);
        return;
    }
    let columns: Vec<_> = COLUMNS.iter().filter(|column| column.from <= area.width).collect();
    let widths = widths(&columns, &look.rows, usize::from(area.width));
    let texts = |texts: Vec<String>| {
        let cells = columns.iter().zip(&widths).zip(texts);
        let cell = |((column, width), text): ((&&Column, &usize), String)| {
            let line = Line::from(shortened(&text, *width).into_owned());
            Cell::new(if column.is_name { line } else { line.right_aligned() })
        };
        cells.map(cell).collect::<Vec<_>>()
    };
    let mut titles = texts(columns.iter().map(|column| column.title.to_owned()).collect());
    titles.push(Cell::new("verdict"));
    let row = |judged: &&Judged| {
        let mut cells = texts(columns.iter().map(|column| (column.text)(judged)).collect());
        cells.push(Cell::new(verdict_in_words(judged)).style(style(judged)));
        Row::new(cells)
    };
    let fits = usize::from(area.height.saturating_sub(1));
    let seen = rows.iter().skip(view.first).take(fits).map(row);
    let constraints = widths.iter().map(|width| Constraint::Length(*width as u16));
    let constraints = constraints.chain([Constraint::Fill(1)]);
    let table = Table::new(seen, constraints).header(Row::new(titles).bold().underlined());
    frame.render_widget(table, area);
}

/// How wide each column is, for all rows alike, so that nothing moves while they are scrolled.
fn widths(columns: &[&Column], rows: &[Judged], screen: usize) -> Vec<usize> {
    let width = |column: &&Column| {
        let texts = rows.iter().map(|judged| (column.text)(judged).chars().count());
        let widest = texts.max().unwrap_or(0).max(column.title.len());
        if column.is_name { widest.min(NAME_LETTERS_MAX) } else { widest }
    };
    let mut widths: Vec<_> = columns.iter().map(width).collect();
    while widths.iter().sum::<usize>() + widths.len() + VERDICT_LETTERS > screen {
        let names = widths.iter_mut().zip(columns).filter(|(_, column)| column.is_name);
        match names.map(|(width, _)| width).max() {
            Some(widest) if *widest > NAME_LETTERS_MIN => *widest -= 1,
            _ => break,
        }
    }
    widths
}

fn shortened(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn style(judged: &Judged) -> Style {
    match words::tone(judged) {
        Tone::Bad => Style::new().fg(Color::Red).bold(),
        Tone::Wait => Style::new().fg(Color::Yellow).bold(),
        Tone::Good if judged.row.records == Some(0) => Style::new().fg(Color::Green),
        Tone::Good | Tone::Quiet => Style::new(),
    }
}

fn foot(view: &View, rows: &[&Judged], width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(look) = &view.look {
        lines.push(total(rows));
        let undecided = undecided(&look.commands);
        match undecided.split_once("; ") {
            Some((oldest, kept)) if undecided.chars().count() > width => {
                lines.extend([oldest, kept].map(|half| Line::from(half.to_owned())));
            }
            _ => lines.push(Line::from(undecided)),
        }
        if let Some(warning) = look.commands["warning"].as_str() {
            let warning = format!("warning: {warning}");
            lines.push(Line::from(warning).fg(Color::Yellow).bold());
        }
    }
    if view.has_help {
        lines.extend(HELP.iter().map(|line| Line::from(*line)));
    }
    lines.push(if view.is_typing {
        let typed = format!("groups with: {}_   Enter keeps it, Esc forgets it", view.filter);
        Line::from(typed).bold()
    } else {
        Line::from(KEYS).dim()
    });
    lines
}

/// All rows that are let through, in one line.
fn total(rows: &[&Judged]) -> Line<'static> {
    let records = rows.iter().filter_map(|judged| judged.row.records).sum();
    let seconds = rows.iter().filter_map(|judged| judged.row.seconds).fold(0.0, f64::max);
    let bad = rows.iter().filter(|judged| words::tone(judged) > Tone::Good).count();
    let (rows, waits) = (words::count(rows.len() as u64, "row"), words::count(records, "record"));
    let behind = match records {
        0 => "nothing waits".to_owned(),
        _ => format!("{waits} before them, the oldest waits for {}", words::wait(seconds)),
    };
    let line = Line::from(match bad {
        0 => format!("total: {rows}, all well; {behind}"),
        _ => format!("total: {rows}, {} not well; {behind}", words::number(bad as u64)),
    });
    if bad > 0 { line.fg(Color::Red).bold() } else { line.bold() }
}
