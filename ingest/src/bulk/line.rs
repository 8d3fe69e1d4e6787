//! One line of an upload: a command on behalf of a user.
//!
//! `{"type", "event_id", "user_id", "idempotency_key"}`, and where the type needs it: `person_id`
//! (kick and unban: whom), `body` (what the call of that name takes over HTTP) and
//! `expected_version` (update). `create` has no `event_id`. `user_id` is who acts, with no more
//! rights than any user. The command's id is that of the same call over HTTP, so that a line and a
//! request with one key are one command.

use std::borrow::Cow;
use std::fmt::Write as _;

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_kit::problem::{InvalidFields, Problem};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::body::{Fields, ID_RULE};
use crate::fields::{Ask, Asked};
use crate::reasons::Reasons;
use crate::request::{KEY_RULE, is_key};

/// The types of commands that an upload may have.
const TYPES: &str = "create, update, publish, unpublish, cancel, join, leave, kick, ban or unban";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    event_id: Option<Text<'a>>,
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(borrow)]
    idempotency_key: Cow<'a, str>,
    #[serde(borrow, default)]
    person_id: Option<Text<'a>>,
    #[serde(default)]
    expected_version: Option<u32>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// Borrowed where it has no escapes, in an `Option` too.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A line that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) id: CommandId,
    pub(super) event: EventId,
    pub(super) user: UserId,
    pub(super) asked: Asked,
}

impl Parsed {
    /// The command, with what is said about a person sealed.
    pub(super) async fn into_command(self, reasons: &Reasons) -> Result<Command, Problem> {
        let kind = match self.asked.ask {
            Ask::Plain(kind) => kind,
            ask => ask.sealed(&self.event, reasons).await.map_err(|error| {
                tracing::error!(%error, "a reason cannot be sealed: {error}");
                let detail = "what is said about a person cannot be sealed right now";
                Problem::unavailable(detail, error.retry_after())
            })?,
        };
        let actor = Actor::Person { user: self.user, role: Role::User };
        Ok(Command { id: self.id, digest: self.asked.digest, event: self.event, actor, kind })
    }
}

/// Reads a line.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Problem> {
    let line: Line<'_> = serde_json::from_slice(bytes).map_err(|error| wrong(&error))?;
    let mut invalid = InvalidFields::default();
    let user = id::<UserId>("user_id", Some(&line.user_id), &mut invalid);
    let event_text = line.event_id.as_ref().map(|text| &*text.0);
    let event = match (&*line.r#type, event_text) {
        ("create", None) => None,
        ("create", Some(_)) => {
            invalid.add("event_id", "is given by the answer when an event is made");
            None
        }
        (_, text) => id::<EventId>("event_id", text, &mut invalid),
    };
    let needs_person = matches!(&*line.r#type, "kick" | "unban");
    let person = match (needs_person, &line.person_id) {
        (true, text) => id::<UserId>("person_id", text.as_ref().map(|text| &*text.0), &mut invalid),
        (false, Some(_)) => {
            invalid.add("person_id", "is for kick and unban");
            None
        }
        (false, None) => None,
    };
    if line.expected_version.is_some() && line.r#type != "update" {
        invalid.add("expected_version", "is for update");
    }
    if !is_key(&line.idempotency_key) {
        invalid.add("idempotency_key", KEY_RULE);
    }
    let asked = ask(&line, person, &mut invalid);
    invalid.into_result()?;
    let (Some(user), Some(asked)) = (user, asked.transpose()?) else {
        return Err(Problem::internal());
    };
    let (method, path) = call(&line.r#type, event.as_ref(), person.as_ref());
    let id = CommandId::derive(&user, method, &path, &line.idempotency_key);
    let event = event.unwrap_or_else(|| EventId::of_create(&id));
    Ok(Parsed { id, event, user, asked })
}

fn ask(
    line: &Line<'_>,
    person: Option<UserId>,
    invalid: &mut InvalidFields,
) -> Option<Result<Asked, Problem>> {
    let plain = |kind| no_body(line).map(|()| Asked::plain(kind));
    // Without a person the line is refused before this is looked at.
    let person = person.unwrap_or(UserId::from_bytes([0; 16]));
    Some(match &*line.r#type {
        "join" => plain(CommandKind::Join),
        "leave" => plain(CommandKind::Leave),
        "publish" => plain(CommandKind::Publish),
        "unban" => plain(CommandKind::Unban { user: person }),
        "create" => body(line).and_then(Asked::create),
        "update" => body(line).and_then(|body| Asked::update(body, line.expected_version)),
        "unpublish" => body(line).and_then(|body| {
            Asked::withdraw(body, false, |reason| CommandKind::Unpublish { reason })
        }),
        "cancel" => body(line)
            .and_then(|body| Asked::withdraw(body, false, |reason| CommandKind::Cancel { reason })),
        "kick" => body(line).and_then(|body| Asked::kick(body, person)),
        "ban" => body(line).and_then(Asked::ban),
        _ => {
            invalid.add("type", format!("must be {TYPES}"));
            return None;
        }
    })
}

fn body(line: &Line<'_>) -> Result<Fields, Problem> {
    Fields::of_optional(line.body.map_or("", RawValue::get).as_bytes())
}

fn no_body(line: &Line<'_>) -> Result<(), Problem> {
    match line.body {
        None => Ok(()),
        Some(_) => body(line)?.finish(),
    }
}

fn id<T: std::str::FromStr>(
    name: &str,
    text: Option<&str>,
    invalid: &mut InvalidFields,
) -> Option<T> {
    let Some(text) = text else {
        invalid.add(name, "is missing");
        return None;
    };
    let id = text.parse().ok();
    if id.is_none() {
        invalid.add(name, ID_RULE);
    }
    id
}

/// Method and path of the same call over HTTP.
fn call(kind: &str, event: Option<&EventId>, person: Option<&UserId>) -> (&'static str, String) {
    let mut path = String::with_capacity(112);
    path.push_str("/api/events");
    if let Some(event) = event {
        push_id(&mut path, event.as_bytes());
    }
    let method = match kind {
        "update" => "PATCH",
        "kick" | "unban" => "DELETE",
        _ => "POST",
    };
    path.push_str(match kind {
        "join" => "/join",
        "leave" => "/cancel",
        "publish" => "/publish",
        "unpublish" => "/unpublish",
        "cancel" => "/cancel-event",
        "kick" => "/participants",
        "ban" | "unban" => "/bans",
        _ => "",
    });
    if let Some(person) = person {
        push_id(&mut path, person.as_bytes());
    }
    (method, path)
}

fn push_id(path: &mut String, bytes: &[u8; 16]) {
    path.push('/');
    let mut text = [0; 36];
    path.push_str(Uuid::from_bytes(*bytes).as_hyphenated().encode_lower(&mut text));
}

/// What is wrong with a line, as a named field where the reader names one.
fn wrong(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let quoted = |prefix| text.strip_prefix(prefix).and_then(|rest: &str| rest.split('`').next());
    let plain = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    if let Some(field) = quoted("missing field `") {
        return Problem::invalid(field, "is missing");
    }
    if let Some(field) = quoted("unknown field `") {
        return Problem::invalid(field, "unknown field");
    }
    if let Some(field) = quoted("duplicate field `") {
        return Problem::invalid(field, "is given twice");
    }
    let mut message = String::from("is not acceptable: ");
    // Writing into a text cannot fail.
    let _written = write!(message, "{plain}");
    Problem::invalid("line", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "0190a5b4-0000-7000-8000-00000000000a";
    const USER: &str = "0190a5b4-0000-7000-8000-00000000000b";

    fn bad_fields(line: &str) -> Vec<String> {
        let problem = parse(line.as_bytes()).unwrap_err();
        problem.meta()["fields"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn a_join_is_the_command_that_the_same_call_over_http_makes() {
        let line = format!(
            r#"{{"type":"join","event_id":"{}","user_id":"{USER}","idempotency_key":"k"}}"#,
            EVENT.to_uppercase()
        );
        let parsed = parse(line.as_bytes()).unwrap();
        let user: UserId = USER.parse().unwrap();
        let path = format!("/api/events/{EVENT}/join");
        assert_eq!(parsed.id, CommandId::derive(&user, "POST", &path, "k"));
        assert_eq!(parsed.event.to_string(), EVENT);
        assert_eq!(parsed.asked, Asked::plain(CommandKind::Join));
    }

    #[test]
    fn every_type_is_read_and_has_the_path_of_its_call() {
        let event = EVENT.parse::<EventId>().unwrap();
        let person = USER.parse::<UserId>().unwrap();
        for (kind, extra, method, path) in [
            ("join", "", "POST", "/join"),
            ("leave", r#","body":{}"#, "POST", "/cancel"),
            ("publish", "", "POST", "/publish"),
            ("unpublish", "", "POST", "/unpublish"),
            ("cancel", r#","body":{"reason":"rain"}"#, "POST", "/cancel-event"),
            ("update", r#","body":{"city":"Bern"},"expected_version":3"#, "PATCH", ""),
            ("kick", r#","person_id":"P""#, "DELETE", "/participants/P"),
            ("ban", r#","body":{"user_id":"P"}"#, "POST", "/bans"),
            ("unban", r#","person_id":"P""#, "DELETE", "/bans/P"),
        ] {
            let line = format!(
                r#"{{"type":"{kind}","event_id":"{EVENT}","user_id":"{USER}","idempotency_key":"k"{extra}}}"#
            );
            let line = line.replace("\"P\"", &format!("\"{USER}\""));
            parse(line.as_bytes()).unwrap();
            let person = path.contains('P').then_some(&person);
            let expected = format!("/api/events/{EVENT}{}", path.replace('P', USER));
            assert_eq!(call(kind, Some(&event), person), (method, expected));
        }
    }

    #[test]
    fn bad_lines_name_what_is_wrong() {
        let line = |rest: &str| {
            format!(r#"{{"event_id":"{EVENT}","user_id":"{USER}","idempotency_key":"k"{rest}}}"#)
        };
        assert_eq!(bad_fields(&line("")), ["type"]);
        assert_eq!(bad_fields(&line(r#","type":"dance""#)), ["type"]);
        assert_eq!(bad_fields(&line(r#","type":"join","x":1"#)), ["x"]);
        assert_eq!(bad_fields(&line(r#","type":"join","type":"join""#)), ["type"]);
        assert_eq!(bad_fields(&line(r#","type":"join","body":{"y":1}"#)), ["y"]);
        assert_eq!(bad_fields(&line(r#","type":"kick""#)), ["person_id"]);
        assert_eq!(bad_fields(&line(r#","type":"create""#)), ["event_id"]);
        assert_eq!(
            bad_fields(&line(r#","type":"join","expected_version":1"#)),
            ["expected_version"]
        );
        assert_eq!(
            bad_fields(r#"{"type":"join","event_id":"x","user_id":"y","idempotency_key":""}"#),
            ["event_id", "idempotency_key", "user_id"]
        );
        for text in ["", "{", "[]", "1", "nul", "{\"type\":\"\u{1}\"}"] {
            assert_eq!(bad_fields(text), ["line"], "{text}");
        }
    }
}
