//! `lag`: how far every group is behind, in records and in seconds.

use std::process::ExitCode;
use std::time::Duration;

use cityevents_runtime::lag::in_words;
use serde_json::Value;

use super::cell;
use crate::admin::{self, Question};
use crate::cli::{FAILURE, Place};
use crate::output::{self, Format};

const HEADINGS: [&str; 8] =
    ["group", "topic", "partition", "committed", "end", "records", "seconds", "verdict"];

pub(super) fn run(place: &Place) -> anyhow::Result<ExitCode> {
    let config = place.load(Vec::new())?.config;
    let answer = admin::ask(&config, &Question::Lag)?;
    let rows = answer["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_good = !rows.is_empty() && rows.iter().all(|row| row["good"] == true);
    match place.output {
        Format::Json => output::json(&answer)?,
        Format::Table => print(rows, &answer["commands"]),
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

fn print(rows: &[Value], commands: &Value) {
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

fn cells(row: &Value) -> Vec<String> {
    let seconds = row["seconds"].as_f64().map(|seconds| format!("{seconds:.1}"));
    let one = |heading: &&str| match *heading {
        "seconds" => seconds.clone().unwrap_or_default(),
        heading => cell(row, heading),
    };
    HEADINGS.iter().map(one).collect()
}
