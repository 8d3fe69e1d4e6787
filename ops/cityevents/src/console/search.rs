//! What somebody types into the search box, and what is found: an event, an event and a person, or a
//! command, by ids alone.
//!
//! A search reads much. One at a time is enough for people, and leaves the instance its work.

use std::time::Duration;

use cityevents_domain::ids::{CommandId, EventId, UserId};
use serde_json::{Value, json};

use super::words;
use crate::admin::Context;
use crate::admin::explain::{Explained, of_command, steps};
use crate::admin::find::FoundCommand;

/// Steps on a page: the latest, or those around the one that was asked for.
const STEPS_MAX: usize = 100;
/// Lines that one step tells; a promotion changes the places of many.
const CHANGES_MAX: usize = 8;
/// Letters of what was typed that are repeated.
const TYPED_MAX: usize = 120;
/// How long a command is looked for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// An event, and only what concerns a person.
    Event(EventId, Option<UserId>),
    /// The id of an event or of a command: both look alike.
    Either(EventId, CommandId),
}

/// Why there is no answer, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nothing(pub(super) String);

/// Reads what was typed.
pub(super) fn parse(typed: &str) -> Result<Asked, Nothing> {
    let words: Vec<_> = typed.split_whitespace().collect();
    let wrong = |what: &str| {
        let typed: String = what.chars().take(TYPED_MAX).collect();
        Nothing(format!("“{typed}” is no id; ids look like 01234567-89ab-cdef-0123-456789abcdef"))
    };
    match *words {
        [] => Err(Nothing("type the id of an event or of a command".to_owned())),
        [one] => {
            let event: EventId = one.parse().map_err(|_| wrong(one))?;
            Ok(Asked::Either(event, CommandId::from_bytes(*event.as_bytes())))
        }
        [event, person] => {
            let event = event.parse().map_err(|_| wrong(event))?;
            let person = person.parse().map_err(|_| wrong(person))?;
            Ok(Asked::Event(event, Some(person)))
        }
        _ => Err(Nothing(
            "more than two ids: type an event, an event and a person, or a command".to_owned(),
        )),
    }
}

/// Looks. Blocks for as long as it takes.
pub(super) fn search(context: &Context, asked: Asked) -> Result<Value, Nothing> {
    let failed = |error: anyhow::Error| Nothing(format!("{error:#}"));
    let ignore = &mut |_, _| {};
    match asked {
        Asked::Event(event, person) => {
            let found = steps(context, &event, person.as_ref(), ignore).map_err(failed)?;
            match (found.steps.is_empty(), person) {
                (false, _) => Ok(shown(&event, person.as_ref(), &found, None)),
                (true, Some(person)) => {
                    Err(Nothing(format!("nothing in the log concerns {person} at event {event}")))
                }
                (true, None) => Err(Nothing(format!("nothing in the log concerns event {event}"))),
            }
        }
        Asked::Either(event, command) => {
            let found = steps(context, &event, None, ignore).map_err(failed)?;
            if !found.steps.is_empty() {
                return Ok(shown(&event, None, &found, None));
            }
            let found = of_command(context, &command, PATIENCE, ignore).map_err(failed)?;
            let Some((command, found)) = found else {
                return Err(Nothing(format!(
                    "there is neither an event {event} nor a command that is still kept under \
                     this id"
                )));
            };
            Ok(shown(&command.event, None, &found, Some(&command)))
        }
    }
}

fn shown(
    event: &EventId,
    person: Option<&UserId>,
    found: &Explained,
    command: Option<&FoundCommand>,
) -> Value {
    let offset = command.map(|command| command.offset);
    let number_of = |offset| found.steps.iter().position(|step| step["command_offset"] == offset);
    let sought = offset.and_then(number_of);
    let window = window(found.steps.len(), sought);
    let steps: Vec<_> = found.steps[window.clone()].iter().map(|step| row(step, offset)).collect();
    let command = command.map(|command| {
        json!({
            "kind": command.kind,
            "partition": command.partition,
            "offset": command.offset,
            "at": words::moment(command.at_ms),
            "is_decided": sought.is_some(),
        })
    });
    json!({
        "event": event.to_string(),
        "person": person.map(ToString::to_string),
        "partition": found.partition,
        "steps": steps,
        "steps_count": found.steps.len(),
        "first": window.start + 1,
        "last": window.end,
        "notes": found.notes,
        "command": command,
    })
}

/// Which steps are shown.
fn window(count: usize, sought: Option<usize>) -> std::ops::Range<usize> {
    let last = count.saturating_sub(STEPS_MAX);
    let begin = sought.map_or(last, |sought| sought.saturating_sub(STEPS_MAX / 2).min(last));
    begin..count.min(begin + STEPS_MAX)
}

fn row(step: &Value, sought: Option<u64>) -> Value {
    let text = |name: &str| match &step[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let changes = step["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let more = changes.len().saturating_sub(CHANGES_MAX);
    let changes: Vec<_> = changes.iter().filter_map(Value::as_str).take(CHANGES_MAX).collect();
    let tone = match &*text("verdict") {
        "accepted" => "good",
        "undecodable" => "bad",
        "refused" => "wait",
        _ => "quiet",
    };
    json!({
        "command_offset": text("command_offset"),
        "fact_offset": text("fact_offset"),
        "seq": text("event_seq"),
        "asked_at": text("asked_at"),
        "decided_at": text("decided_at"),
        "because": text("because"),
        "command": text("command"),
        "actor": text("actor"),
        "verdict": text("verdict"),
        "reason": text("reason"),
        "active": text("active"),
        "waiting": text("waiting"),
        "changes": changes,
        "more": more,
        "tone": tone,
        "is_sought": sought.is_some() && step["command_offset"].as_u64() == sought,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "01234567-89ab-cdef-0123-456789abcdef";
    const PERSON: &str = "fedcba98-7654-3210-fedc-ba9876543210";

    #[test]
    fn ids_are_read_with_any_space_around_them() {
        let event: EventId = EVENT.parse().unwrap();
        let command = CommandId::from_bytes(*event.as_bytes());
        assert_eq!(parse(&format!("  {EVENT}\n")), Ok(Asked::Either(event, command)));
        let person = PERSON.parse().unwrap();
        let both = parse(&format!("{EVENT} \t {PERSON}"));
        assert_eq!(both, Ok(Asked::Event(event, Some(person))));
    }

    #[test]
    fn what_is_no_id_is_told_and_not_repeated_without_end() {
        let long = "<b>".repeat(1_000);
        for (typed, expected) in [
            ("", "type the id"),
            ("   ", "type the id"),
            ("Lantern walk", "“Lantern” is no id"),
            (&*long, "“<b><b>"),
            (&*format!("{EVENT} ada"), "“ada” is no id"),
            (&*[EVENT; 3].join(" "), "more than two ids"),
        ] {
            let Err(Nothing(said)) = parse(typed) else { panic!("{typed} was read") };
            assert!(said.contains(expected), "{said}");
            assert!(said.len() < 400, "{said}");
        }
    }

    #[test]
    fn the_last_steps_are_shown_or_those_around_what_was_asked_for() {
        assert_eq!(window(7, None), 0..7);
        assert_eq!(window(1_000, None), 900..1_000);
        assert_eq!(window(1_000, Some(3)), 0..100);
        assert_eq!(window(1_000, Some(500)), 450..550);
        assert_eq!(window(1_000, Some(999)), 900..1_000);
    }
}
