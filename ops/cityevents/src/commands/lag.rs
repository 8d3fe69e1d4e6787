//! `lag`: how far every group is behind, in records and in seconds; watched, also how it gets on.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use cityevents_kit::Config;
use cityevents_runtime::lag::in_words;
use serde_json::Value;

use super::cell;
use crate::admin::lag::{Lookout, Row};
use crate::admin::{self, Question};
use crate::cli::{FAILURE, Lag};
use crate::output::{self, Format};

const HEADINGS: [&str; 8] =
    ["group", "topic", "partition", "committed", "end", "records", "seconds", "verdict"];
/// To the upper left corner, and away with everything.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

pub(super) fn run(arguments: &Lag) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let groups = match &*arguments.groups {
        [] => config.lag.groups.clone(),
        given => given.to_vec(),
    };
    let question = Question::Lag { groups };
    if arguments.watch {
        return watch(&config, &question, arguments.place.output);
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

/// Looks until interrupted. A log that is away for a moment is told, and looked for again.
fn watch(config: &Config, question: &Question, format: Format) -> anyhow::Result<ExitCode> {
    let mut lookout = Lookout::default();
    let clears = format == Format::Table && std::io::stdout().is_terminal();
    let mut looked = false;
    loop {
        match admin::ask(config, question) {
            Ok(answer) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let at_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
                let mut rows = rows_of(&answer)?;
                for row in &mut rows {
                    judge(&mut lookout, row, at_ms);
                }
                if clears {
                    output::raw(CLEAR);
                }
                match format {
                    Format::Json => output::line(&serde_json::to_string(&rows)?),
                    Format::Table => print(&rows, &answer["commands"]),
                }
            }
            Err(error) if looked => output::error(&error),
            Err(error) => return Err(error),
        }
        looked = true;
        std::thread::sleep(config.lag.every);
    }
}

/// Where a group stands, and how it gets on if that is not well.
fn judge(lookout: &mut Lookout, row: &mut Row, at_ms: i64) {
    if let Some(verdict) = lookout.judge(row, at_ms)
        && !verdict.is_good()
    {
        row.verdict = format!("{}: {}", verdict.as_str(), row.verdict);
        row.good = false;
    }
}

fn rows_of(answer: &Value) -> anyhow::Result<Vec<Row>> {
    serde_json::from_value(answer["rows"].clone())
        .context("the running instance is of another version: ask it with its own program")
}

fn print(rows: &[Row], commands: &Value) {
    output::table(&HEADINGS, rows.iter().map(cells));
    let seconds = |field: &str| commands[field].as_f64().map(Duration::from_secs_f64);
    let oldest = seconds("oldest_undecided_seconds").filter(|age| !age.is_zero());
    let oldest = oldest.map_or_else(
        || "no command waits".to_owned(),
        |age| format!("the oldest undecided command waits for {}", in_words(age)),
    );
    let kept = seconds("kept_seconds")
        .map_or_else(|| "for ever".to_owned(), |kept| format!("for {}", in_words(kept)));
    output::line(&format!("{oldest}; {} keeps commands {kept}", cell(commands, "topic")));
    if let Some(warning) = commands["warning"].as_str() {
        output::line(&format!("warning: {warning}"));
    }
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
