//! The id of a request: the client's own if it is fit for logs, else a new UUID of version 7.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

/// The header, in and out.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over.
const LENGTH_MAX: usize = 128;

/// The id of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The client's, or one made of the time and ten random bytes.
    pub(super) fn of(headers: &HeaderMap, now_ms: u64, random: &[u8; 10]) -> Self {
        let own = headers.get(&HEADER).filter(|value| is_fit(value.as_bytes()));
        own.cloned().map_or_else(|| Self::generate(now_ms, random), Self)
    }

    fn generate(now_ms: u64, random: &[u8; 10]) -> Self {
        let id = uuid::Builder::from_unix_timestamp_millis(now_ms, random).into_uuid();
        let mut text = [0; 36];
        id.as_hyphenated().encode_lower(&mut text);
        let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text));
        // Hexadecimal digits and hyphens are always a header value.
        Self(value.unwrap_or(HeaderValue::from_static("none")))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Letters, digits and a few signs: nothing that means something in a log or a shell.
fn is_fit(id: &[u8]) -> bool {
    let fit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    !id.is_empty() && id.len() <= LENGTH_MAX && id.iter().all(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(own: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(own).unwrap());
        RequestId::of(&headers, 1_700_000_000_000, &[7; 10]).as_str().to_owned()
    }

    #[test]
    fn a_fit_id_is_kept_and_any_other_replaced() {
        assert_eq!(id_for(b"abc-1.2:3_4"), "abc-1.2:3_4");
        let generated = "018bcfe5-6800-7707-8707-070707070707";
        for unfit in [b"".as_slice(), b"a b", b"\"", b"\xff", "x".repeat(129).as_bytes()] {
            assert_eq!(id_for(unfit), generated);
        }
        let none = RequestId::of(&HeaderMap::new(), 1_700_000_000_000, &[7; 10]);
        assert_eq!(none.as_str(), generated);
    }
}
