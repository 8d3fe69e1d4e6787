//! Headers of our records: CloudEvents 1.0 in binary mode, and the trace context.
//!
//! They are for tools and traces. No decision looks at them, so a reader may go on without.

use std::fmt::Write as _;

use cityevents_domain::time::Timestamp;
use cityevents_trace::{TraceParent, is_valid_state};

use crate::rfc3339::{self, Rfc3339};

/// Names of the headers.
pub mod header {
    /// Identifies the record, together with the source.
    pub const ID: &str = "ce_id";
    /// What happened.
    pub const TYPE: &str = "ce_type";
    /// Who says so.
    pub const SOURCE: &str = "ce_source";
    /// What it is about. On mails only: which event.
    pub const SUBJECT: &str = "ce_subject";
    /// Version of CloudEvents.
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// When.
    pub const TIME: &str = "ce_time";
    /// What the value is.
    pub const CONTENT_TYPE: &str = "content-type";
    /// Which trace it belongs to.
    pub const TRACE_PARENT: &str = cityevents_trace::TRACE_PARENT;
    /// What tracing systems add.
    pub const TRACE_STATE: &str = cityevents_trace::TRACE_STATE;
}

/// The version of CloudEvents that we write.
pub const SPEC_VERSION: &str = "1.0";
/// What our values are.
pub const CONTENT_TYPE: &str = "application/avro";

/// The headers of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    /// Identifies the record, together with the source.
    pub id: &'a str,
    /// What happened, for instance `cityevents.command.join`.
    pub kind: &'a str,
    /// Who says so, for instance `/cityevents/ingest`.
    pub source: &'a str,
    /// When.
    pub time: Timestamp,
    /// Which trace it belongs to.
    pub trace_parent: Option<TraceParent>,
    /// What tracing systems add; nothing without `trace_parent`.
    pub trace_state: Option<&'a str>,
}

/// Why a record's headers are no CloudEvent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A header that must be there is not.
    #[error("header {name} is missing")]
    Missing {
        /// Which.
        name: &'static str,
    },
    /// A header cannot be read.
    #[error("header {name} cannot be read")]
    Invalid {
        /// Which.
        name: &'static str,
    },
}

impl<'a> Headers<'a> {
    /// Hands each header to `sink`, always in the same order.
    pub fn write(&self, mut sink: impl FnMut(&str, &[u8])) {
        sink(header::ID, self.id.as_bytes());
        sink(header::TYPE, self.kind.as_bytes());
        sink(header::SOURCE, self.source.as_bytes());
        sink(header::SPEC_VERSION, SPEC_VERSION.as_bytes());
        sink(header::TIME, Rfc3339::new(self.time).as_str().as_bytes());
        sink(header::CONTENT_TYPE, CONTENT_TYPE.as_bytes());
        let Some(parent) = self.trace_parent else {
            return;
        };
        let mut text = String::with_capacity(64);
        if write!(text, "{parent}").is_ok() {
            sink(header::TRACE_PARENT, text.as_bytes());
        }
        if let Some(state) = self.trace_state.filter(|state| is_valid_state(state)) {
            sink(header::TRACE_STATE, state.as_bytes());
        }
    }

    /// Reads the headers of a record; of a repeated one the last counts. Others are passed over,
    /// and so is a trace context that is not valid, as its standard demands.
    pub fn read(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, HeaderError> {
        let mut found = [None; NAMES.len()];
        for (name, value) in headers {
            if let Some(index) = NAMES.iter().position(|known| *known == name) {
                found[index] = Some(value);
            }
        }
        let [id, kind, source, version, time, parent, state] = found;
        if required(header::SPEC_VERSION, version)? != SPEC_VERSION {
            return Err(HeaderError::Invalid { name: header::SPEC_VERSION });
        }
        let time = rfc3339::parse(required(header::TIME, time)?);
        let text = |value: Option<&'a [u8]>| std::str::from_utf8(value?).ok();
        let trace_parent = text(parent).and_then(TraceParent::parse);
        let trace_state = text(state).filter(|state| is_valid_state(state));
        Ok(Self {
            id: required(header::ID, id)?,
            kind: required(header::TYPE, kind)?,
            source: required(header::SOURCE, source)?,
            time: time.ok_or(HeaderError::Invalid { name: header::TIME })?,
            trace_parent,
            trace_state: trace_parent.and(trace_state),
        })
    }
}

/// The headers that are read.
const NAMES: [&str; 7] = [
    header::ID,
    header::TYPE,
    header::SOURCE,
    header::SPEC_VERSION,
    header::TIME,
    header::TRACE_PARENT,
    header::TRACE_STATE,
];

fn required<'a>(name: &'static str, value: Option<&'a [u8]>) -> Result<&'a str, HeaderError> {
    let value = value.ok_or(HeaderError::Missing { name })?;
    match std::str::from_utf8(value) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(HeaderError::Invalid { name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers<'static> {
        Headers {
            id: "0190a5b4-0000-7000-8000-000000000001",
            kind: "cityevents.command.join",
            source: "/cityevents/ingest",
            time: Timestamp::from_millis(1_709_251_199_999),
            trace_parent: TraceParent::parse(
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            trace_state: Some("rojo=00f067aa0ba902b7"),
        }
    }

    fn written(headers: &Headers<'_>) -> Vec<(String, Vec<u8>)> {
        let mut written = Vec::new();
        headers.write(|name, value| written.push((name.to_owned(), value.to_vec())));
        written
    }

    fn read(written: &[(String, Vec<u8>)]) -> Result<Headers<'_>, HeaderError> {
        Headers::read(written.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
    }

    #[test]
    fn the_headers_are_the_documented_ones() {
        let written = written(&headers());
        let text: Vec<_> = written
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(
            text,
            [
                "ce_id=0190a5b4-0000-7000-8000-000000000001",
                "ce_type=cityevents.command.join",
                "ce_source=/cityevents/ingest",
                "ce_specversion=1.0",
                "ce_time=2024-02-29T23:59:59.999Z",
                "content-type=application/avro",
                "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "tracestate=rojo=00f067aa0ba902b7",
            ]
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        for trace_state in [None, Some("a=b")] {
            let headers = Headers { trace_state, ..headers() };
            assert_eq!(read(&written(&headers)), Ok(headers));
        }
        let plain = Headers { trace_parent: None, trace_state: None, ..headers() };
        assert_eq!(read(&written(&plain)), Ok(plain));
    }

    #[test]
    fn a_broken_trace_is_no_trace_and_its_state_goes_with_it() {
        let mut written = written(&headers());
        written[6].1 = b"00-nonsense".to_vec();
        let expected = Headers { trace_parent: None, trace_state: None, ..headers() };
        assert_eq!(read(&written), Ok(expected));
    }

    #[test]
    fn a_missing_or_unreadable_header_is_named() {
        for (index, name) in
            [header::ID, header::TYPE, header::SOURCE, header::SPEC_VERSION, header::TIME]
                .into_iter()
                .enumerate()
        {
            let mut missing = written(&headers());
            missing.remove(index);
            assert_eq!(read(&missing), Err(HeaderError::Missing { name }));
            let mut broken = written(&headers());
            broken[index].1 = vec![0xff];
            assert_eq!(read(&broken), Err(HeaderError::Invalid { name }));
        }
    }
}
