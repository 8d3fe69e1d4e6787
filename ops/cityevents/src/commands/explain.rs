//! `explain`: every command and fact that led to the present state of an event.

use std::process::ExitCode;

use serde_json::Value;

use super::cell;
use crate::admin::{self, Question};
use crate::cli::Explain;
use crate::output::{self, Format};

pub(super) fn run(arguments: &Explain) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let question = Question::Explain {
        event: arguments.event.to_string(),
        user: arguments.user.map(|user| user.to_string()),
    };
    let answer = admin::ask(&config, &question)?;
    if arguments.place.output == Format::Json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("event {} in partition {}", cell(&answer, "event"), answer["partition"]));
    let steps = answer["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let headings =
        ["command", "fact", "seq", "asked", "by", "verdict", "what", "active", "waiting"];
    output::table(&headings, steps.iter().map(row));
    let notes = answer["notes"].as_array().map(Vec::as_slice).unwrap_or_default();
    notes.iter().filter_map(Value::as_str).for_each(output::line);
    Ok(ExitCode::SUCCESS)
}

fn row(step: &Value) -> Vec<String> {
    let changes = step["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let changes: Vec<_> = changes.iter().filter_map(Value::as_str).collect();
    let what = if changes.is_empty() { cell(step, "reason") } else { changes.join("\n") };
    vec![
        cell(step, "command_offset"),
        cell(step, "fact_offset"),
        cell(step, "event_seq"),
        cell(step, "command"),
        cell(step, "actor"),
        cell(step, "verdict"),
        what,
        cell(step, "active"),
        cell(step, "waiting"),
    ]
}
