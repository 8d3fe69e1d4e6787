//! Bodies as signals: one object, or an array of up to 500.
//!
//! Good bodies are read straight into their fields, since there are many of them. One that is not
//! good is read again, field by field, so that the answer names all that is wrong.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::problem::{InvalidFields, Problem};
use cityevents_schemas::message::{Engagement, EngagementKind, FeedType, Person};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::body::Fields;

/// Signals of one request.
pub const SIGNALS_MAX: usize = 500;
/// Longest id of a request, in characters.
const REQUEST_ID_CHARACTERS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signal<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow, default)]
    feed_type: Option<Cow<'a, str>>,
    #[serde(default)]
    position: Option<u32>,
    #[serde(borrow, default)]
    request_id: Option<Cow<'a, str>>,
}

/// A signal that is an object, and no array of its values in order.
struct Object<'a>(Signal<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<'a>(PhantomData<Signal<'a>>);

impl<'de: 'a, 'a> Visitor<'de> for ObjectVisitor<'a> {
    type Value = Object<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<'a>, A::Error> {
        Signal::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// The signals of a body, of one person.
///
/// # Errors
/// With every field that is wrong, by its place.
pub fn parse(body: &[u8], person: Person, now: Timestamp) -> Result<Vec<Engagement>, Problem> {
    read(body, person, now).map_or_else(|| Err(problem_of(body)), Ok)
}

fn read(body: &[u8], person: Person, now: Timestamp) -> Option<Vec<Engagement>> {
    let is_list = body.trim_ascii_start().first() == Some(&b'[');
    let signals: Vec<Object<'_>> = if is_list {
        serde_json::from_slice(body).ok()?
    } else {
        vec![serde_json::from_slice(body).ok()?]
    };
    if signals.is_empty() || signals.len() > SIGNALS_MAX {
        return None;
    }
    signals.into_iter().map(|Object(signal)| signal.into_engagement(person, now)).collect()
}

impl Signal<'_> {
    fn into_engagement(self, person: Person, now: Timestamp) -> Option<Engagement> {
        let feed = self.feed_type.map(|word| FeedType::parse(&word).ok_or(())).transpose();
        let request_id = self.request_id.map(Cow::into_owned);
        let is_brief = |id: &String| id.chars().count() <= REQUEST_ID_CHARACTERS_MAX;
        Some(Engagement {
            event: self.event_id.parse::<EventId>().ok()?,
            person,
            kind: EngagementKind::parse(&self.event_type)?,
            feed: feed.ok()?,
            position: self.position,
            request_id: match request_id {
                None => None,
                Some(id) => Some(id).filter(is_brief).map(Some)?,
            },
            at: now,
        })
    }
}

/// What is wrong with a body that could not be read.
fn problem_of(body: &[u8]) -> Problem {
    let not_json =
        |error: serde_json::Error| Problem::invalid("body", format!("is not JSON: {error}"));
    if body.trim_ascii_start().first() != Some(&b'[') {
        return match Fields::of_bytes(body) {
            Ok(fields) => {
                problem_in(fields).unwrap_or_else(|| Problem::invalid("body", "cannot be read"))
            }
            Err(problem) => problem,
        };
    }
    let items: Vec<&RawValue> = match serde_json::from_slice(body) {
        Ok(items) => items,
        Err(error) => return not_json(error),
    };
    if items.is_empty() || items.len() > SIGNALS_MAX {
        let rule = format!("must have 1 to {SIGNALS_MAX} signals, has {}", items.len());
        return Problem::invalid("body", rule);
    }
    let mut invalid = InvalidFields::default();
    for (number, item) in items.iter().enumerate() {
        let problem = match Fields::of_bytes(item.get().as_bytes()) {
            Ok(fields) => problem_in(fields),
            Err(problem) => Some(problem),
        };
        let Some(problem) = problem else { continue };
        let named = problem.meta().get("fields").and_then(Value::as_object);
        for (field, rule) in named.into_iter().flatten() {
            let place = match field.as_str() {
                "body" => format!("[{number}]"),
                field => format!("[{number}].{field}"),
            };
            invalid.add(place, rule.as_str().unwrap_or_default());
        }
    }
    invalid.into_problem()
}

/// What is wrong with one signal.
fn problem_in(mut fields: Fields) -> Option<Problem> {
    for name in ["event_type", "event_id"] {
        if !fields.has_value(name) {
            fields.invalid.add(name, "is missing");
        }
    }
    if let Some(word) = fields.text("event_type")
        && EngagementKind::parse(&word).is_none()
    {
        fields.invalid.add("event_type", words(EngagementKind::ALL, EngagementKind::as_str));
    }
    let _event = fields.id::<EventId>("event_id");
    if let Some(word) = fields.text("feed_type")
        && FeedType::parse(&word).is_none()
    {
        fields.invalid.add("feed_type", words(FeedType::ALL, FeedType::as_str));
    }
    let _position = fields.whole("position");
    let _request = fields.brief("request_id", REQUEST_ID_CHARACTERS_MAX);
    fields.finish().err()
}

fn words<T: Copy>(all: &[T], as_str: impl Fn(T) -> &'static str) -> String {
    let words: Vec<_> = all.iter().map(|one| as_str(*one)).collect();
    format!("must be one of {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use cityevents_schemas::message::PersonKind;
    use serde_json::json;

    use super::*;

    const PERSON: Person = Person { id: [7; 16], kind: PersonKind::Visitor };
    const ID: &str = "0190f6e0-0000-7000-8000-000000000001";

    fn read(body: &Value) -> Result<Vec<Engagement>, Vec<String>> {
        let parsed = parse(body.to_string().as_bytes(), PERSON, Timestamp::from_millis(5));
        parsed.map_err(|problem| {
            problem.meta()["fields"].as_object().unwrap().keys().cloned().collect()
        })
    }

    #[test]
    fn one_and_many_are_read() {
        let view = json!({ "event_type": "view", "event_id": ID });
        let whole = json!({
            "event_type": "impression", "event_id": ID, "feed_type": "latest", "position": 3,
            "request_id": "r\u{e9}\n",
        });
        let one = read(&view).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!((one[0].kind, one[0].person), (EngagementKind::View, PERSON));
        let two = read(&json!([view, whole])).unwrap();
        assert_eq!(two[0], one[0]);
        assert_eq!(two[1].feed, Some(FeedType::Latest));
        assert_eq!(two[1].position, Some(3));
        assert_eq!(two[1].request_id.as_deref(), Some("r\u{e9}\n"));
        let nothing = json!({ "event_type": "view", "event_id": ID, "feed_type": null,
            "position": null, "request_id": null });
        assert_eq!(read(&nothing).unwrap(), one);
        assert_eq!(read(&json!(vec![view; SIGNALS_MAX])).unwrap().len(), SIGNALS_MAX);
    }

    #[test]
    fn all_that_is_wrong_is_named_by_its_place() {
        let named = |body: Value| read(&body).unwrap_err();
        assert_eq!(named(json!({})), ["event_id", "event_type"]);
        assert_eq!(
            named(json!({ "event_type": "click", "event_id": "x" })),
            ["event_id", "event_type"]
        );
        let wrong = json!({ "event_type": "view", "event_id": ID, "feed_type": "other",
            "position": -1, "request_id": "r".repeat(101), "person_id": ID });
        assert_eq!(named(wrong.clone()), ["feed_type", "person_id", "position", "request_id"]);
        let good = json!({ "event_type": "view", "event_id": ID });
        assert_eq!(
            named(json!([good, wrong, 7, {"event_type": 1, "event_id": 2}])),
            [
                "[1].feed_type",
                "[1].person_id",
                "[1].position",
                "[1].request_id",
                "[2]",
                "[3].event_id",
                "[3].event_type",
            ]
        );
        let nulls = json!({ "event_type": null, "event_id": null });
        assert_eq!(named(nulls), ["event_id", "event_type"]);
        assert_eq!(named(json!([["view", ID]])), ["[0]"]);
        assert_eq!(named(json!([])), ["body"]);
        assert_eq!(named(json!(vec![good; SIGNALS_MAX + 1])), ["body"]);
        assert_eq!(named(json!("view")), ["body"]);
        for text in ["", "{", "[{]", r#"{"event_type":"view","event_type":"view"}"#] {
            let problem = parse(text.as_bytes(), PERSON, Timestamp::MIN).unwrap_err();
            assert!(!problem.meta()["fields"].as_object().unwrap().is_empty(), "{text}");
        }
    }
}
