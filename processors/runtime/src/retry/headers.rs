//! What travels beside a record from try to try.

use crate::dead_letter::{ATTEMPT_HEADER, FIRST_FAILED_AT_HEADER};
use crate::log::headers::HeadersBuilder;
use crate::log::{Headers, Outgoing, Record};

/// Header: not before this, milliseconds since 1970 as text.
pub const DUE_HEADER: &str = "due";
/// Header: bounded label of the last failure.
pub const FAILURE_CLASS_HEADER: &str = "failure-class";
/// Header: the last failure in words.
pub const FAILURE_HEADER: &str = "failure";

/// Those of ours: each try writes them anew.
const OURS: [&str; 5] =
    [ATTEMPT_HEADER, FIRST_FAILED_AT_HEADER, DUE_HEADER, FAILURE_CLASS_HEADER, FAILURE_HEADER];

/// How often a record was tried, and since when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// The try that comes, counted from 1.
    pub attempt: u32,
    /// When the first one failed, milliseconds since 1970.
    pub first_failed_at_ms: Option<i64>,
}

impl Tries {
    /// As the headers of a record say; the first try when they say nothing.
    pub fn of(headers: &Headers) -> Self {
        let number = |name| headers.get_text(name).and_then(|text| text.parse::<i64>().ok());
        let attempt = number(ATTEMPT_HEADER).and_then(|number| u32::try_from(number).ok());
        Self {
            attempt: attempt.unwrap_or(1).max(1),
            first_failed_at_ms: number(FIRST_FAILED_AT_HEADER),
        }
    }
}

/// When a record is due, if it says.
pub(super) fn due_at_ms(headers: &Headers) -> Option<i64> {
    headers.get_text(DUE_HEADER).and_then(|text| text.parse().ok())
}

/// All headers of a record but those of ours.
pub fn without_tries(headers: &Headers) -> HeadersBuilder {
    let mut others = HeadersBuilder::with_capacity(headers.as_bytes().len() + 160);
    for (name, value) in headers.iter().filter(|(name, _)| !OURS.contains(name)) {
        others.push(name, value);
    }
    others
}

/// The record for its next try.
pub(super) fn waiting(
    record: &Record,
    tries: Tries,
    failure: Option<(&str, &str)>,
    (due_at_ms, now_ms): (i64, i64),
) -> Outgoing {
    let mut headers = without_tries(&record.headers);
    let mut push = |name: &str, value: &str| {
        headers.push(name, value.as_bytes());
    };
    push(ATTEMPT_HEADER, &tries.attempt.to_string());
    push(DUE_HEADER, &due_at_ms.to_string());
    if let Some(first_ms) = tries.first_failed_at_ms {
        push(FIRST_FAILED_AT_HEADER, &first_ms.to_string());
    }
    if let Some((class, reason)) = failure {
        push(FAILURE_CLASS_HEADER, class);
        push(FAILURE_HEADER, reason);
    }
    Outgoing {
        key: record.key.clone(),
        value: record.value.clone(),
        headers: headers.build(),
        timestamp_ms: Some(now_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_replaces_what_the_one_before_said_and_keeps_the_rest() {
        let mut headers = HeadersBuilder::default();
        headers.push("ce_id", b"7");
        let first =
            Record { offset: 3, timestamp_ms: 0, key: None, value: None, headers: headers.build() };
        assert_eq!(Tries::of(&first.headers), Tries { attempt: 1, first_failed_at_ms: None });
        let tries = Tries { attempt: 2, first_failed_at_ms: Some(50) };
        let second = waiting(&first, tries, Some(("transient", "busy")), (60, 50));
        let again = Record { headers: second.headers, ..first };
        assert_eq!(Tries::of(&again.headers), tries);
        let tries = Tries { attempt: 3, ..tries };
        let third = waiting(&again, tries, Some(("transient", "away")), (70, 60)).headers;
        assert_eq!(Tries::of(&third), tries);
        assert_eq!((due_at_ms(&third), third.get_text("failure")), (Some(70), Some("away")));
        assert_eq!(third.get_text("ce_id"), Some("7"));
        assert_eq!(third.iter().count(), 6);
        assert_eq!(without_tries(&third).build().iter().count(), 1);
    }
}
