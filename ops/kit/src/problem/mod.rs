//! Errors over HTTP: `application/problem+json` (RFC 9457) with the member `error` beside it.
//!
//! A handler returns a [`Problem`]; the request's id and path are filled in by the edge
//! ([`crate::http::Edge`]), so that no handler has to carry them. Codes are exhaustive and stable;
//! no problem ever tells what went wrong inside.

mod code;
mod refusal;
mod render;

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

pub use self::code::ErrorCode;

/// What an answer that is no success says.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    code: ErrorCode,
    detail: Cow<'static, str>,
    meta: Map<String, Value>,
    retry_after_seconds: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem that says what its code says.
    pub fn new(code: ErrorCode) -> Self {
        Self::because(code, code.title())
    }

    /// A problem with its own sentence, which tells the caller what to do.
    pub fn because(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            meta: Map::new(),
            retry_after_seconds: None,
            headers: Vec::new(),
        }
    }

    /// `validation_failed` with one bad field. `field` is its path in the body, the name of a query
    /// parameter or of a header.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        InvalidFields::default().and(field, message).into_problem()
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self::because(ErrorCode::Unavailable, detail).with_retry_after(retry_after)
    }

    /// 500. The cause belongs into the log, not here.
    pub fn internal() -> Self {
        Self::new(ErrorCode::InternalError)
    }

    /// Adds a member to `error.meta`.
    #[must_use]
    pub fn with_meta(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.insert(name.into(), value.into());
        self
    }

    /// Says when it is worth trying again: `Retry-After`, rounded up to seconds, and
    /// `error.meta.retry_after_seconds`.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        let seconds = after.as_millis().div_ceil(1_000).max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        self.retry_after_seconds = Some(seconds);
        self.with_meta("retry_after_seconds", seconds)
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What is known beside the sentence.
    pub fn meta(&self) -> &Map<String, Value> {
        &self.meta
    }
}

/// Collects every bad field of a request before it is refused.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InvalidFields {
    fields: Map<String, Value>,
}

impl InvalidFields {
    /// Notes a bad field; the first message about a field stays.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.fields.entry(field.into()).or_insert_with(|| Value::String(message.into()));
    }

    /// [`InvalidFields::add`] for chains.
    #[must_use]
    pub fn and(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.add(field, message);
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The problem that lists them, if there is any.
    pub fn into_result(self) -> Result<(), Problem> {
        if self.fields.is_empty() { Ok(()) } else { Err(self.into_problem()) }
    }

    /// The problem that lists them in `error.meta.fields`: name → message.
    pub fn into_problem(self) -> Problem {
        let detail = match self.fields.iter().next() {
            Some((field, Value::String(message))) if self.fields.len() == 1 => {
                format!("{field}: {message}")
            }
            _ => format!("{} fields are not acceptable, see meta.fields", self.fields.len()),
        };
        Problem::because(ErrorCode::ValidationFailed, detail).with_meta("fields", self.fields)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bad_fields_are_listed_and_the_first_message_stays() {
        let mut fields = InvalidFields::default();
        fields.add("title", "at least 1 character");
        fields.add("title", "second");
        fields.add("capacity", "at most 1000000");
        let problem = fields.into_problem();
        assert_eq!(problem.code(), ErrorCode::ValidationFailed);
        assert_eq!(
            problem.meta()["fields"],
            serde_json::json!({"title": "at least 1 character", "capacity": "at most 1000000"})
        );
        assert!(InvalidFields::default().into_result().is_ok());
    }

    #[test]
    fn retry_after_is_never_zero() {
        let problem = Problem::unavailable("busy", Duration::from_millis(1));
        assert_eq!(problem.meta()["retry_after_seconds"], 1);
        let problem = Problem::unavailable("busy", Duration::from_millis(1001));
        assert_eq!(problem.meta()["retry_after_seconds"], 2);
    }
}
