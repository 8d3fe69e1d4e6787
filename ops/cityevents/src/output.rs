//! What subcommands print: tables for people, JSON for programs.
//!
//! The only file that writes to standard output and error, beside logs, progress bars and the view of
//! `lag --watch`.

#![expect(clippy::print_stderr, reason = "this is where printing happens")]

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

static HAS_ENOUGH: AtomicBool = AtomicBool::new(false);

/// Prints a line.
pub fn line(text: &str) {
    // A closed pipe (`| head`) is the reader's way to say that it has enough.
    if let Err(error) = writeln!(std::io::stdout().lock(), "{text}") {
        HAS_ENOUGH.fetch_or(error.kind() == ErrorKind::BrokenPipe, Ordering::Relaxed);
    }
}

/// Whether the reader has said that it has enough: whoever prints without end may end.
pub fn has_enough() -> bool {
    HAS_ENOUGH.load(Ordering::Relaxed)
}

/// Prints a value as JSON.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints rows under their headings.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    line(&table.to_string());
}

/// Prints a failure with everything that led to it.
pub fn error(error: &anyhow::Error) {
    let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
    eprintln!("error: {}", causes.join(": "));
}

/// Prints a note to people that is not part of the answer.
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// A bar for work with a known end; nothing when nobody watches.
pub fn progress(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target());
    let style = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// A sign that something works, for work without a known end.
pub fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, target());
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}
