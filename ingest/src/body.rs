//! Bodies: every bad field of a request is found before it is refused.
//!
//! A body is read as a JSON object first and taken apart field by field, so that one answer names
//! all that is wrong: missing fields, wrong types, values out of range, and names nobody knows.

use std::collections::BTreeSet;
use std::fmt;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use cityevents_domain::time::Timestamp;
use cityevents_kit::http::{JsonWithBytes, collect_body};
use cityevents_kit::problem::{InvalidFields, Problem};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// 0001-01-01T00:00:00Z; an earlier time has no four-digit year.
const TIME_MS_MIN: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z.
const TIME_MS_MAX: i64 = 253_402_300_799_999;

/// The object of a call that needs one.
#[derive(Debug)]
pub(crate) struct Required(pub(crate) Fields);

impl<S: Sync> FromRequest<S> for Required {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = JsonWithBytes::<Value>::from_request(request, state).await?;
        refuse_repeated(&json.bytes)?;
        Fields::of(json.value).map(Self)
    }
}

/// The object of a call that may go without: nothing, an empty body, `null` and `{}` are the same.
#[derive(Debug)]
pub(crate) struct Optional(pub(crate) Fields);

impl<S: Sync> FromRequest<S> for Optional {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let bytes: Bytes = collect_body(request.into_body()).await?;
        Fields::of_optional(&bytes).map(Self)
    }
}

/// The names of an object, and the first that stands there twice. A [`Value`] keeps the last of
/// them, and which one was meant nobody knows.
#[derive(Default)]
struct Names {
    seen: BTreeSet<String>,
    repeated: Option<String>,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Names::default();
                while let Some(name) = map.next_key::<String>()? {
                    map.next_value::<IgnoredAny>()?;
                    if !names.seen.insert(name.clone()) {
                        names.repeated.get_or_insert(name);
                    }
                }
                Ok(names)
            }
        }

        deserializer.deserialize_map(NamesVisitor)
    }
}

/// Refuses an object in which a name stands twice.
fn refuse_repeated(object: &[u8]) -> Result<(), Problem> {
    // What is no object is refused by name elsewhere.
    let names = serde_json::from_slice::<Names>(object).unwrap_or_default();
    names.repeated.map_or(Ok(()), |name| Err(Problem::invalid(name, "is given twice")))
}

/// The fields of an object that are not yet taken, and what was wrong with those that are.
#[derive(Debug)]
pub(crate) struct Fields {
    values: Map<String, Value>,
    pub(crate) invalid: InvalidFields,
    digest: u64,
}

impl Fields {
    /// The fields of a value that must be an object.
    pub(crate) fn of(value: Value) -> Result<Self, Problem> {
        let digest = digest_of(&value);
        match value {
            Value::Object(values) => {
                let invalid = InvalidFields::default();
                // `{}` says as much as nothing at all.
                let digest = if values.is_empty() { 0 } else { digest };
                Ok(Self { values, invalid, digest })
            }
            _ => Err(Problem::invalid("body", "must be a JSON object")),
        }
    }

    /// The fields of bytes that must be an object.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Result<Self, Problem> {
        let value = serde_json::from_slice(bytes);
        let value =
            value.map_err(|error| Problem::invalid("body", format!("is not JSON: {error}")))?;
        refuse_repeated(bytes)?;
        Self::of(value)
    }

    /// The fields of bytes that may be nothing.
    pub(crate) fn of_optional(bytes: &[u8]) -> Result<Self, Problem> {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            return Self::of(Value::Object(Map::new()));
        }
        let value = serde_json::from_slice(bytes);
        match value.map_err(|error| Problem::invalid("body", format!("is not JSON: {error}")))? {
            Value::Null => Self::of(Value::Object(Map::new())),
            value => {
                refuse_repeated(bytes)?;
                Self::of(value)
            }
        }
    }

    /// What tells this body from another one, however it is spelled: 0 for none.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether nothing was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether a field was sent, as `null` too.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Whether a field was sent with a value.
    pub(crate) fn has_value(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    /// A field; `null` is as not sent.
    fn value(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    /// Notes that a field is missing if it is.
    pub(crate) fn required<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.invalid.add(name, "is missing");
        }
        value
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            other => self.wrong(name, "a text", &other),
        }
    }

    pub(crate) fn whole(&mut self, name: &str) -> Option<u32> {
        let value = self.value(name)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.or_else(|| self.wrong(name, "a whole number, 0 or more", &value))
    }

    pub(crate) fn time(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.text(name)?;
        let time = parse_time(&text);
        if let Err(rule) = time {
            self.invalid.add(name, rule);
        }
        time.ok()
    }

    pub(crate) fn id<T: std::str::FromStr>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        let id = text.parse().ok();
        if id.is_none() {
            self.invalid.add(name, ID_RULE);
        }
        id
    }

    pub(crate) fn ids<T: std::str::FromStr>(&mut self, name: &str) -> Option<Vec<T>> {
        let items = match self.value(name)? {
            Value::Array(items) => items,
            other => return self.wrong(name, "a list of UUIDs", &other),
        };
        let mut ids = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.as_str().and_then(|text| text.parse().ok()) {
                Some(id) => ids.push(id),
                None => self.invalid.add(format!("{name}[{index}]"), ID_RULE),
            }
        }
        Some(ids)
    }

    /// A text of at most so many characters; an empty or blank one is as none.
    pub(crate) fn brief(&mut self, name: &str, characters_max: usize) -> Option<String> {
        let text = self.text(name)?;
        let count = text.chars().count();
        if count > characters_max {
            let rule = format!("must have at most {characters_max} characters, has {count}");
            self.invalid.add(name, rule);
        }
        Some(text).filter(|text| !text.trim().is_empty())
    }

    fn wrong<T>(&mut self, name: &str, expected: &str, found: &Value) -> Option<T> {
        self.invalid.add(name, format!("must be {expected}, is {}", kind_of(found)));
        None
    }

    /// All is taken: what is left is unknown.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for name in self.values.keys() {
            self.invalid.add(name.as_str(), "unknown field");
        }
        self.invalid.into_result()
    }
}

/// What an id must look like.
pub(crate) const ID_RULE: &str = "write a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "another number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads RFC 3339 with any offset: `2026-07-14T09:30:00Z`, `2026-07-14T11:30:00.5+02:00`.
fn parse_time(text: &str) -> Result<Timestamp, &'static str> {
    const SHAPE: &str = "write a time as 2026-07-14T09:30:00Z (RFC 3339)";
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let is_marked = marks
        .iter()
        .all(|(at, mark)| bytes.get(*at).is_some_and(|byte| byte.to_ascii_uppercase() == *mark));
    let tail = bytes.get(19..).unwrap_or_default();
    let fraction = tail.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let offset = &tail[fraction..];
    let is_offset = match offset {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', hour @ .., b':', m, n] => {
            hour.len() == 2 && [hour, &[*m, *n]].concat().iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    if !is_marked || !is_offset {
        return Err(SHAPE);
    }
    let time: jiff::Timestamp = text.parse().map_err(|_| "there is no such time")?;
    let millis = time.as_millisecond();
    if !(TIME_MS_MIN..=TIME_MS_MAX).contains(&millis) {
        return Err("must be in the years 1 to 9999");
    }
    Ok(Timestamp::from_millis(millis))
}

/// 64 bits of a hash of the value with its names in order and without spaces: the same for every
/// spelling of the same value.
pub(crate) fn digest_of(value: &Value) -> u64 {
    // A value that was read from text always can be written.
    digest_bytes(&serde_json::to_vec(value).unwrap_or_default())
}

/// 64 bits of a hash.
pub(crate) fn digest_bytes(bytes: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(bytes).as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::of_optional(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_digest_does_not_depend_on_spelling() {
        let one = fields(r#"{"a": 1, "b": "\u0041"}"#);
        let same = fields(r#"{"b":"A","a":1}"#);
        assert_eq!(one.digest(), same.digest());
        assert_ne!(one.digest(), fields(r#"{"b":"A","a":2}"#).digest());
        for nothing in ["", " ", "null", "{}", " { } "] {
            assert_eq!(fields(nothing).digest(), 0, "{nothing:?}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        let problem = Fields::of_optional(br#"{"a": 1, "b": 2, "a": 1}"#).unwrap_err();
        assert_eq!(problem.meta()["fields"]["a"], "is given twice");
        assert!(Fields::of_optional(br#"{"a": {"b": 1}, "b": 2}"#).is_ok());
    }

    #[test]
    fn all_that_is_wrong_is_named_at_once() {
        let mut fields = fields(
            r#"{"a": 1, "b": "x", "c": -1, "d": "x", "e": ["x"], "f": "2024-02-30T00:00:00Z", "z": 0}"#,
        );
        assert_eq!(fields.text("a"), None);
        assert_eq!(fields.text("b").as_deref(), Some("x"));
        assert_eq!(fields.whole("c"), None);
        assert_eq!(fields.id::<cityevents_domain::ids::UserId>("d"), None);
        let ids: Option<Vec<cityevents_domain::ids::UserId>> = fields.ids("e");
        assert_eq!(ids, Some(Vec::new()));
        assert_eq!(fields.time("f"), None);
        let missing = fields.text("g");
        fields.required("g", missing);
        let problem = fields.finish().unwrap_err();
        let named: Vec<_> = problem.meta()["fields"].as_object().unwrap().keys().collect();
        assert_eq!(named, ["a", "c", "d", "e[0]", "f", "g", "z"]);
    }

    #[test]
    fn times_are_read_with_any_offset_and_nothing_else() {
        let at = |text: &str| parse_time(text).map(Timestamp::as_millis);
        assert_eq!(at("1970-01-01T00:00:01.5Z"), Ok(1_500));
        assert_eq!(at("1970-01-01T02:00:00+02:00"), Ok(0));
        assert_eq!(at("1970-01-01t00:00:00z"), Ok(0));
        for wrong in [
            "",
            "soon",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01 00:00:00Z",
            "1970-01-01T00:00:00+0200",
            "1970-01-01T00:00:00Z[UTC]",
            "1970-13-01T00:00:00Z",
            "1970-01-01T25:00:00Z",
            "10000-01-01T00:00:00Z",
            "+12345-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "19é0-01-01T00:00:00Z",
        ] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
