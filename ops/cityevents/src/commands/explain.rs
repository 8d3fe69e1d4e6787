//! `explain`: every command and fact that led to the present state of an event, or what made its
//! trend.

use std::process::ExitCode;

use serde_json::Value;

use super::cell;
use crate::admin::{self, Question};
use crate::cli::Explain;
use crate::output::{self, Format};

pub(super) fn run(arguments: &Explain) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let question = match (&arguments.command, &arguments.trend, &arguments.event) {
        (Some(command), _, _) => Question::ExplainCommand { command: command.to_string() },
        (None, Some(event), _) => Question::ExplainTrend { event: event.to_string() },
        (None, None, Some(event)) => Question::Explain {
            event: event.to_string(),
            user: arguments.user.map(|user| user.to_string()),
        },
        (None, None, None) => anyhow::bail!("say which: --event, --trend or --command"),
    };
    let answer = admin::ask(&config, &question)?;
    if arguments.place.output == Format::Json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.trend.is_some() {
        show_trend(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let (event, partition) = (cell(&answer, "event"), &answer["partition"]);
    match &answer["command"] {
        Value::Null => output::line(&format!("event {event} in partition {partition}")),
        command => show_command(command, &event),
    }
    let steps = answer["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let headings =
        ["command", "fact", "seq", "time", "asked", "by", "verdict", "what", "active", "waiting"];
    output::table(&headings, steps.iter().map(row));
    let notes = answer["notes"].as_array().map(Vec::as_slice).unwrap_or_default();
    notes.iter().filter_map(Value::as_str).for_each(output::line);
    Ok(ExitCode::SUCCESS)
}

fn show_command(command: &Value, event: &str) {
    let [id, kind, at, partition, offset] =
        ["id", "kind", "at", "partition", "offset"].map(|field| cell(command, field));
    output::line(&format!(
        "command {id} asks to {kind}, of event {event}; taken at {at} as offset {offset} of partition \
         {partition}"
    ));
    if command["is_decided"] == false {
        output::line("it is not decided yet");
    }
    output::line(&format!("the whole story: cityevents explain --event {event}"));
}

fn show_trend(answer: &Value) {
    let (event, partition) = (cell(answer, "event"), &answer["partition"]);
    output::line(&format!("event {event} in partition {partition}: score {}", answer["score"]));
    if answer["can_be_shown"] == false {
        output::line("it is in no list: it is not public now, or is over");
    }
    let counts = [
        ("joins within 24 h", &answer["joins_24h"], &answer["parts"]["joins_24h"]),
        ("joins within 7 d", &answer["joins_7d"], &answer["parts"]["joins_7d"]),
        ("views within 24 h", &answer["views_24h"], &answer["parts"]["views_24h"]),
        ("days until start", &answer["days_until_start"], &answer["parts"]["nearness"]),
    ];
    let row = |(what, count, adds): (&str, &Value, &Value)| {
        vec![what.to_owned(), count.to_string(), adds.to_string()]
    };
    output::table(&["what", "how many", "adds"], counts.into_iter().map(row));
    let hours = answer["hours"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |hour: &Value| {
        ["hour", "hours_ago", "joins", "views"].map(|name| cell(hour, name)).to_vec()
    };
    output::table(&["hour", "hours ago", "joins", "views"], hours.iter().map(row));
}

fn row(step: &Value) -> Vec<String> {
    let changes = step["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let changes: Vec<_> = changes.iter().filter_map(Value::as_str).collect();
    let what = match (changes.is_empty(), step["because"].as_str()) {
        (false, _) => changes.join("\n"),
        (true, None) => cell(step, "reason"),
        (true, Some(because)) => format!("{}: {because}", cell(step, "reason")),
    };
    vec![
        cell(step, "command_offset"),
        cell(step, "fact_offset"),
        cell(step, "event_seq"),
        // When the log took the command; later only when its answer was written is known.
        step["asked_at"].as_str().or(step["decided_at"].as_str()).unwrap_or_default().to_owned(),
        cell(step, "command"),
        cell(step, "actor"),
        cell(step, "verdict"),
        what,
        cell(step, "active"),
        cell(step, "waiting"),
    ]
}
