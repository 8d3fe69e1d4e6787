//! W3C Trace Context: the trace that a request belongs to.

use axum::http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Longest `tracestate` that is carried on, as the recommendation asks for.
const TRACESTATE_BYTES_MAX: usize = 512;

/// Where a request stands in its trace. Carried on in the headers of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
    state: Option<String>,
}

impl TraceContext {
    /// The caller's trace, or a new one; `random` gives the ids that are new. What the caller says
    /// is ignored where it is malformed.
    pub(super) fn of(headers: &HeaderMap, random: &[u8; 24]) -> Self {
        let (trace, span) = random.split_at(16);
        let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
        trace_id.copy_from_slice(trace);
        span_id.copy_from_slice(span);
        let parent = headers.get(&TRACEPARENT).and_then(|value| parse(value.as_bytes()));
        match parent {
            Some((trace_id, flags)) => {
                let state = headers.get(&TRACESTATE).and_then(|value| value.to_str().ok());
                let state = state.filter(|state| state.len() <= TRACESTATE_BYTES_MAX);
                Self { trace_id, span_id, flags, state: state.map(str::to_owned) }
            }
            None => Self { trace_id, span_id, flags: 0, state: None },
        }
    }

    /// `traceparent` for what this request causes.
    pub fn traceparent(&self) -> String {
        let trace = u128::from_be_bytes(self.trace_id);
        let span = u64::from_be_bytes(self.span_id);
        format!("00-{trace:032x}-{span:016x}-{:02x}", self.flags)
    }

    /// `tracestate`, as it came.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The id of the trace in hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace_id))
    }
}

/// Trace id and flags of `version-trace-span-flags`.
fn parse(header: &[u8]) -> Option<([u8; 16], u8)> {
    let is_base = header.len() == 55 || (header.len() > 55 && header[55] == b'-');
    if !is_base || [2, 35, 52].iter().any(|index| header[*index] != b'-') {
        return None;
    }
    let version = hex(&header[..2])?;
    if version == 0xff || (version == 0 && header.len() != 55) {
        return None;
    }
    let trace = hex(&header[3..35]).filter(|id| *id != 0)?;
    hex(&header[36..52]).filter(|id| *id != 0)?;
    let flags = u8::try_from(hex(&header[53..55])?).ok()?;
    Some((trace.to_be_bytes(), flags))
}

/// Lower-case hexadecimal digits, as the recommendation asks for.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(parent: &str) -> TraceContext {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, parent.parse().unwrap());
        headers.insert(TRACESTATE, "vendor=1".parse().unwrap());
        TraceContext::of(&headers, &[1; 24])
    }

    #[test]
    fn the_callers_trace_goes_on_with_a_span_of_ours() {
        let context = context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let expected = "00-0af7651916cd43dd8448eb211c80319c-0101010101010101-01";
        assert_eq!(context.traceparent(), expected);
        assert_eq!(context.tracestate(), Some("vendor=1"));
    }

    #[test]
    fn a_malformed_parent_starts_a_new_trace() {
        for wrong in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            let context = context(wrong);
            assert_eq!(context.trace_id(), "01".repeat(16), "{wrong}");
            assert_eq!(context.tracestate(), None);
        }
    }
}
