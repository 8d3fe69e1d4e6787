//! `lag`: how far every group is behind, in records and in seconds; watched, also how it gets on.

mod draw;
mod look;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use cityevents_kit::Config;
use cityevents_runtime::lag::in_words;
use serde_json::Value;

use self::look::{Looker, rows_of};
use super::cell;
use crate::admin::lag::Row;
use crate::admin::{self, Question};
use crate::cli::{FAILURE, Lag};
use crate::output::{self, Format};

const HEADINGS: [&str; 8] =
    ["group", "topic", "partition", "committed", "end", "records", "seconds", "verdict"];

pub(super) fn run(arguments: &Lag) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let groups = match &*arguments.groups {
        [] => config.lag.groups.clone(),
        given => given.to_vec(),
    };
    let question = Question::Lag { groups };
    if arguments.watch {
        return watch(config, question, arguments.place.output);
    }
    let answer = admin::ask(&config, &question)?;
    let rows = rows_of(&answer)?;
    match arguments.place.output {
        Format::Json => output::json(&answer)?,
        Format::Table => print(&rows, &answer["commands"]),
    }
    let is_good = !rows.is_empty() && rows.iter().all(|row| row.good);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

/// Looks until interrupted: on a terminal in a view of its own, else one table or line after the other
/// for as long as somebody reads them.
fn watch(config: Config, question: Question, format: Format) -> anyhow::Result<ExitCode> {
    if format == Format::Table && std::io::stdout().is_terminal() {
        return screen::run(config, question);
    }
    let every = config.lag.every;
    let mut looker = Looker::new(config, question);
    let mut looked = false;
    loop {
        match looker.look() {
            Ok(look) => {
                let rows = look.rows_in_words();
                match format {
                    Format::Json => output::line(&serde_json::to_string(&rows)?),
                    Format::Table => print(&rows, &look.commands),
                }
            }
            // A log that is away for a moment is told, and looked for again.
            Err(error) if looked => output::error(&error),
            Err(error) => return Err(error),
        }
        if output::has_enough() {
            return Ok(ExitCode::SUCCESS);
        }
        looked = true;
        std::thread::sleep(every);
    }
}

fn print(rows: &[Row], commands: &Value) {
    output::table(&HEADINGS, rows.iter().map(cells));
    output::line(&undecided(commands));
    if let Some(warning) = commands["warning"].as_str() {
        output::line(&format!("warning: {warning}"));
    }
}

/// How long the oldest undecided command waits, against the time that commands are kept.
fn undecided(commands: &Value) -> String {
    let seconds = |field: &str| {
        let seconds = commands[field].as_f64();
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    };
    let oldest = seconds("oldest_undecided_seconds").filter(|age| !age.is_zero());
    let oldest = oldest.map_or_else(
        || "no command waits".to_owned(),
        |age| format!("the oldest undecided command waits for {}", in_words(age)),
    );
    let kept = seconds("kept_seconds")
        .map_or_else(|| "for ever".to_owned(), |kept| format!("for {}", in_words(kept)));
    format!("{oldest}; {} keeps commands {kept}", cell(commands, "topic"))
}

fn cells(row: &Row) -> Vec<String> {
    let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    vec![
        row.group.clone(),
        row.topic.clone(),
        row.partition.to_string(),
        number(row.committed),
        number(row.end),
        number(row.records),
        row.seconds.map_or_else(String::new, |seconds| format!("{seconds:.1}")),
        row.verdict.clone(),
    ]
}
