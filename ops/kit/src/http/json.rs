//! JSON bodies: every unknown field is named, and the path to the first wrong value.

use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::body::collect_body;
use super::objects_only::ObjectsOnly;
use crate::problem::{ErrorCode, InvalidFields, Problem};

/// A body of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// A body of JSON, and its bytes as they came (after decompression), for a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonWithBytes<T> {
    /// What it says.
    pub value: T,
    /// How it says it.
    pub bytes: Bytes,
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        JsonWithBytes::from_request(request, state).await.map(|json| Self(json.value))
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonWithBytes<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "send JSON with Content-Type: application/json";
            return Err(Problem::because(ErrorCode::UnsupportedMediaType, detail));
        }
        let bytes = collect_body(request.into_body()).await?;
        Ok(Self { value: parse(&bytes)?, bytes })
    }
}

/// The bytes of a body of JSON, for whoever reads them in a way of their own.
///
/// # Errors
/// When the body is none, too large, or does not come.
pub async fn collect_json(request: Request) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        let detail = "send JSON with Content-Type: application/json";
        return Err(Problem::because(ErrorCode::UnsupportedMediaType, detail));
    }
    collect_body(request.into_body()).await
}

/// `application/json`, or any `…+json`.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let ends_so = |end: &str| {
        kind.len() > end.len() && {
            let start = kind.len() - end.len();
            kind.is_char_boundary(start) && kind[start..].eq_ignore_ascii_case(end)
        }
    };
    kind.eq_ignore_ascii_case("application/json") || ends_so("+json")
}

/// Reads JSON and lists all fields that nobody knows.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Err(Problem::invalid("body", "is empty; send a JSON object"));
    }
    let mut unknown = InvalidFields::default();
    let mut track = serde_path_to_error::Track::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let mut note = |path: serde_ignored::Path<'_>| unknown.add(path.to_string(), "unknown field");
    let watched = serde_ignored::Deserializer::new(tracked, &mut note);
    let value = T::deserialize(ObjectsOnly(watched));
    let value = value.map_err(|error| wrong(&track.path().to_string(), &error))?;
    deserializer.end().map_err(|error| wrong(".", &error))?;
    unknown.into_result()?;
    Ok(value)
}

fn wrong(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    if !error.is_data() {
        return Problem::invalid("body", format!("is not JSON: {text}"));
    }
    // A missing or unknown field is named by the message and not by the path.
    let quoted = |prefix| text.strip_prefix(prefix).and_then(|rest: &str| rest.split('`').next());
    let (named, message) = match (quoted("missing field `"), quoted("unknown field `")) {
        (Some(field), _) => (Some(field), "is missing".to_owned()),
        (_, Some(field)) => (Some(field), "unknown field".to_owned()),
        _ => (None, text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text).to_owned()),
    };
    let field = match (path, named) {
        ("." | "", None) => "body".to_owned(),
        ("." | "", Some(field)) => field.to_owned(),
        (path, Some(field)) if path.rsplit('.').next() != Some(field) => format!("{path}.{field}"),
        (path, _) => path.to_owned(),
    };
    Problem::invalid(field, message)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read to be refused")]
    struct Outer {
        title: String,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read to be refused")]
    struct Inner {
        size: u8,
    }

    fn fields(body: &str) -> serde_json::Value {
        let problem = parse::<Outer>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code(), ErrorCode::ValidationFailed);
        problem.meta()["fields"].clone()
    }

    #[test]
    fn all_unknown_fields_are_named() {
        assert_eq!(
            fields(r#"{"title": "a", "x": 1, "y": {"z": 2}}"#),
            json!({"x": "unknown field", "y": "unknown field"})
        );
        assert_eq!(
            fields(r#"{"title": "a", "inner": [{"size": 1, "w": 1}]}"#),
            json!({"inner[0].w": "unknown field"})
        );
    }

    #[test]
    fn wrong_values_are_found_by_their_path() {
        assert_eq!(fields("{}"), json!({"title": "is missing"}));
        assert_eq!(
            fields(r#"{"title": "a", "inner": [{}]}"#),
            json!({"inner[0].size": "is missing"})
        );
        assert_eq!(
            fields(r#"{"title": "a", "inner": [{"size": 300}]}"#),
            json!({"inner[0].size": "invalid value: integer `300`, expected u8"})
        );
        assert_eq!(
            fields(r#"{"title": 5}"#),
            json!({"title": "invalid type: integer `5`, expected a string"})
        );
    }

    #[test]
    fn what_is_no_json_is_said_to_be_none() {
        for body in ["", "{", "{}x", "[", "nul", "{\"title\": \"\u{1}\"}"] {
            let fields = fields(body);
            assert!(fields.get("body").is_some() || fields.get("title").is_some(), "{fields}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse::<serde_json::Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn an_array_is_no_object_with_its_fields_in_order() {
        assert_eq!(
            fields(r#"["a", []]"#),
            json!({"body": "invalid type: sequence, expected struct Outer"})
        );
        assert_eq!(parse::<Vec<u8>>(b"[1, 2]").unwrap(), [1, 2]);
        assert_eq!(parse::<Option<u8>>(b"null").unwrap(), None);
    }

    #[test]
    fn kinds_of_content_are_told_apart() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/cloudevents+json", true),
            ("+json", false),
            ("text/plain", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            assert_eq!(is_json(&headers), expected, "{kind}");
        }
    }
}
