//! What the view shows, and what keys do to it. Pure: looks and keys in, rows in their order out.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::look::Look;
use crate::admin::lag::Row;
use crate::console::Judged;
use crate::console::words::tone;

/// Letters of a filter: names of groups have no more.
const FILTER_LETTERS_MAX: usize = 255;

/// Whether the view stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Leave,
}

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// Who does not get on comes first, and of those who waits longest.
    #[default]
    Worst,
    Seconds,
    Records,
    Name,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Worst => Self::Seconds,
            Self::Seconds => Self::Records,
            Self::Records => Self::Name,
            Self::Name => Self::Worst,
        }
    }

    /// In words.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Worst => "worst first",
            Self::Seconds => "longest wait first",
            Self::Records => "most records first",
            Self::Name => "by name",
        }
    }

    /// Those that are alike keep the order of the pipeline.
    fn sort(self, rows: &mut [&Judged]) {
        let seconds = |judged: &Judged| judged.row.seconds.unwrap_or(0.0);
        let by_seconds = |left: &&Judged, right: &&Judged| seconds(right).total_cmp(&seconds(left));
        match self {
            Self::Worst => rows.sort_by(|left, right| {
                tone(right).cmp(&tone(left)).then_with(|| by_seconds(left, right))
            }),
            Self::Seconds => rows.sort_by(by_seconds),
            Self::Records => rows.sort_by_key(|judged| Reverse(judged.row.records)),
            Self::Name => rows.sort_by(|left, right| {
                let name = |row: &Row| (row.group.clone(), row.topic.clone(), row.partition);
                name(&left.row).cmp(&name(&right.row))
            }),
        }
    }
}

/// A look that failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) at: Timestamp,
    pub(super) why: String,
}

/// What is shown, and how.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// How often somebody looks.
    pub(super) every: Duration,
    /// The look that is shown.
    pub(super) look: Option<Look>,
    /// What has come since, while nothing else is to be shown.
    held: Option<Look>,
    /// Looks that have come.
    pub(super) looks: usize,
    /// The last look, if it failed.
    pub(super) failure: Option<Failure>,
    pub(super) order: Order,
    /// Part of the names of groups that are shown.
    pub(super) filter: String,
    /// Whether keys are letters of the filter.
    pub(super) is_typing: bool,
    pub(super) is_paused: bool,
    pub(super) has_help: bool,
    /// The first row that is shown.
    pub(super) first: usize,
    /// Rows that fit.
    fits: usize,
}

impl View {
    pub(super) const fn new(every: Duration) -> Self {
        Self {
            every,
            look: None,
            held: None,
            looks: 0,
            failure: None,
            order: Order::Worst,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            has_help: false,
            first: 0,
            fits: 1,
        }
    }

    /// Takes a look that has come.
    pub(super) fn take(&mut self, look: Look) {
        self.looks += 1;
        self.failure = None;
        if self.is_paused && self.look.is_some() {
            self.held = Some(look);
        } else {
            self.look = Some(look);
            self.scroll_to(self.first);
        }
    }

    /// A look failed; the one before stays.
    pub(super) fn fail(&mut self, at: Timestamp, error: &anyhow::Error) {
        let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
        self.failure = Some(Failure { at, why: causes.join(": ") });
    }

    /// Whether any look has come.
    pub(super) const fn has_looked(&self) -> bool {
        self.look.is_some()
    }

    /// Whether something newer than what is shown is there.
    pub(super) const fn has_newer(&self) -> bool {
        self.held.is_some()
    }

    /// So many rows can be seen at once.
    pub(super) fn fit(&mut self, rows: usize) {
        self.fits = rows.max(1);
        self.scroll_to(self.first);
    }

    /// Rows that the filter lets through, in their order.
    pub(super) fn rows(&self) -> Vec<&Judged> {
        let wanted = self.filter.to_lowercase();
        let all = self.look.iter().flat_map(|look| &look.rows);
        let is_wanted = |judged: &&Judged| judged.row.group.to_lowercase().contains(&wanted);
        let mut rows: Vec<_> = all.filter(is_wanted).collect();
        self.order.sort(&mut rows);
        rows
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Next {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if has_control => return Next::Leave,
            _ if has_control || key.modifiers.contains(KeyModifiers::ALT) => {}
            code if self.is_typing => self.type_in(code),
            KeyCode::Char('q') | KeyCode::Esc => return Next::Leave,
            KeyCode::Char('s') => {
                self.order = self.order.next();
                self.first = 0;
            }
            KeyCode::Char('/' | 'f') => self.is_typing = true,
            KeyCode::Char('p') => self.pause(),
            KeyCode::Char('?' | 'h') => self.has_help = !self.has_help,
            code => self.scroll(code),
        }
        Next::Stay
    }

    fn type_in(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(letter) if self.filter.len() < FILTER_LETTERS_MAX => {
                self.filter.push(letter);
                self.first = 0;
            }
            code => self.scroll(code),
        }
        self.scroll_to(self.first);
    }

    fn pause(&mut self) {
        self.is_paused = !self.is_paused;
        if let Some(look) = self.held.take() {
            self.look = Some(look);
            self.scroll_to(self.first);
        }
    }

    fn scroll(&mut self, code: KeyCode) {
        let first = match code {
            KeyCode::Up | KeyCode::Char('k') => self.first.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.first + 1,
            KeyCode::PageUp => self.first.saturating_sub(self.fits),
            KeyCode::PageDown | KeyCode::Char(' ') => self.first + self.fits,
            KeyCode::Home => 0,
            KeyCode::End => usize::MAX,
            _ => return,
        };
        self.scroll_to(first);
    }

    /// As far as there are rows to fill the screen.
    fn scroll_to(&mut self, first: usize) {
        self.first = first.min(self.rows().len().saturating_sub(self.fits));
    }
}
