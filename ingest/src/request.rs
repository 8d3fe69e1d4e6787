//! The headers of a write.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH};
use axum::http::request::Parts;
use cityevents_kit::http::RequestContext;
use cityevents_kit::problem::{InvalidFields, Problem};
use cityevents_trace::TraceParent;

use crate::answer::submit_problem;
use crate::routes::IngestState;

/// Longest idempotency key.
const KEY_CHARACTERS_MAX: usize = 255;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const KEYS: [HeaderName; 2] =
    [HeaderName::from_static("idempotency-key"), HeaderName::from_static("x-idempotency-key")];

/// Refuses a request before any work is done for it when there is no room. Always the first
/// argument of a handler. It takes no place: that is done when the body is there, so that somebody
/// who sends slowly keeps nobody out.
pub(crate) struct Gate;

impl FromRequestParts<IngestState> for Gate {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, state: &IngestState) -> Result<Self, Problem> {
        state.client().check().map(|()| Self).map_err(|error| submit_problem(&error))
    }
}

/// What the headers of a write say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WriteHeaders {
    /// The caller's key, if there is one.
    pub(crate) key: Option<String>,
    /// How long to wait for the decision.
    pub(crate) wait: Wait,
    /// The version that the caller expects the event to have.
    pub(crate) if_match: Option<u32>,
    /// The trace that the request belongs to.
    pub(crate) trace: Option<TraceParent>,
    /// Whether the client speaks TLS.
    pub(crate) is_tls: bool,
}

/// How long the caller wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing said.
    Default,
    /// So long at most.
    AtMost(Duration),
    /// Not at all: `Prefer: respond-async`.
    Async,
}

impl FromRequestParts<IngestState> for WriteHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &IngestState) -> Result<Self, Problem> {
        let context = parts.extensions.get::<RequestContext>();
        let mut invalid = InvalidFields::default();
        let headers = &parts.headers;
        let found = Self {
            key: key(headers, &mut invalid),
            wait: wait(headers, &mut invalid),
            if_match: if_match(headers, &mut invalid),
            trace: context.map(|context| *context.trace().own()),
            is_tls: context.is_some_and(RequestContext::is_tls),
        };
        invalid.into_result().map(|()| found)
    }
}

impl WriteHeaders {
    /// The caller's key where there must be one.
    pub(crate) fn needed_key(&self) -> Result<&str, Problem> {
        self.key.as_deref().ok_or_else(|| {
            let rule = "is missing; send a new random text for every action, and the same one \
                        when you repeat it";
            Problem::invalid(KEYS[0].as_str(), rule)
        })
    }
}

/// Whether a text can be an idempotency key.
pub(crate) fn is_key(text: &str) -> bool {
    let visible = |byte: u8| (0x21..=0x7e).contains(&byte);
    !text.is_empty() && text.len() <= KEY_CHARACTERS_MAX && text.bytes().all(visible)
}

/// What is wrong with a text that cannot be one.
pub(crate) const KEY_RULE: &str = "must be 1 to 255 visible ASCII characters";

fn key(headers: &HeaderMap, invalid: &mut InvalidFields) -> Option<String> {
    let mut key: Option<&str> = None;
    for name in &KEYS {
        for value in headers.get_all(name) {
            match value.to_str().ok().filter(|text| is_key(text)) {
                None => invalid.add(name.as_str(), KEY_RULE),
                Some(text) if key.is_some_and(|known| known != text) => {
                    invalid.add(name.as_str(), "is given twice, and differs");
                }
                Some(text) => key = Some(text),
            }
        }
    }
    key.map(str::to_owned)
}

/// `Prefer` (RFC 7240): what is not known is ignored, what is known must make sense.
fn wait(headers: &HeaderMap, invalid: &mut InvalidFields) -> Wait {
    let mut wait = Wait::Default;
    for value in headers.get_all(&PREFER) {
        let Ok(text) = value.to_str() else {
            invalid.add(PREFER.as_str(), "must be ASCII");
            continue;
        };
        for preference in text.split(',') {
            let preference = preference.split(';').next().unwrap_or_default().trim();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            if name.trim().eq_ignore_ascii_case("respond-async") {
                wait = Wait::Async;
            } else if name.trim().eq_ignore_ascii_case("wait") && wait != Wait::Async {
                match value.trim().trim_matches('"').parse::<u32>() {
                    Ok(seconds) => wait = Wait::AtMost(Duration::from_secs(seconds.into())),
                    Err(_) => invalid.add(PREFER.as_str(), "write wait=N with N in whole seconds"),
                }
            }
        }
    }
    wait
}

/// `If-Match`: one entity tag as an event's answer has it, or `*`.
fn if_match(headers: &HeaderMap, invalid: &mut InvalidFields) -> Option<u32> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let value = values.next()?.to_str().unwrap_or_default().trim();
    if value == "*" && values.next().is_none() {
        return None;
    }
    let tag = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let digits = tag.filter(|tag| tag.bytes().all(|byte| byte.is_ascii_digit()));
    let version = digits.and_then(|tag| tag.parse().ok());
    if version.is_none() || values.next().is_some() {
        invalid.add(IF_MATCH.as_str(), "send one ETag as an event's answer has it, like \"3\"");
    }
    version
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn preferences_are_found_among_others() {
        let parse = |value| {
            let mut invalid = InvalidFields::default();
            let wait = wait(&headers(&[("prefer", value)]), &mut invalid);
            invalid.is_empty().then_some(wait)
        };
        let seconds = |count| Some(Wait::AtMost(Duration::from_secs(count)));
        assert_eq!(parse("wait=5"), seconds(5));
        assert_eq!(parse("handling=lenient, Wait = \"7\"; x=y"), seconds(7));
        assert_eq!(parse("wait=5, respond-async"), Some(Wait::Async));
        assert_eq!(parse("respond-async, wait=5"), Some(Wait::Async));
        assert_eq!(parse("return=minimal"), Some(Wait::Default));
        for wrong in ["wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "wait=99999999999"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_may_come_under_both_names_if_it_is_the_same() {
        let parse = |pairs: &[(&'static str, &'static str)]| {
            let mut invalid = InvalidFields::default();
            let key = key(&headers(pairs), &mut invalid);
            invalid.is_empty().then_some(key)
        };
        let both = [("idempotency-key", "a"), ("x-idempotency-key", "a")];
        assert_eq!(parse(&both), Some(Some("a".to_owned())));
        assert_eq!(parse(&[("idempotency-key", "a"), ("x-idempotency-key", "b")]), None);
        assert_eq!(parse(&[]), Some(None));
        assert_eq!(parse(&[("idempotency-key", "")]), None);
        assert_eq!(parse(&[("idempotency-key", "a b")]), None);
    }

    #[test]
    fn one_entity_tag_is_a_version() {
        let parse = |value| {
            let mut invalid = InvalidFields::default();
            let version = if_match(&headers(&[("if-match", value)]), &mut invalid);
            invalid.is_empty().then_some(version)
        };
        assert_eq!(parse("\"3\""), Some(Some(3)));
        assert_eq!(parse("*"), Some(None));
        for wrong in ["3", "W/\"3\"", "\"3\", \"4\"", "\"\"", "\"x\"", "\"+3\"", "\"4294967296\""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
