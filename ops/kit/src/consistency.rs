//! Read-your-writes: the token that a decided write answers with and that reads present.
//!
//! A token is `partition.offset` in plain decimal: the offset, in the topic of facts, of the link
//! that closed the command. It is no secret and needs no seal: it tells nothing about anybody, and
//! an invented one costs the caller a wait of half a second at most.

use std::fmt;
use std::str::FromStr;

use axum::http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};

use crate::problem::Problem;

/// The header on answers of writes, and on reads.
pub const CONSISTENCY_HEADER: HeaderName = HeaderName::from_static("x-consistency-token");
/// The cookie of the same content, for browsers.
pub const CONSISTENCY_COOKIE: &str = "consistency_token";
/// How long the cookie lives: far longer than any projection should take.
const COOKIE_SECONDS: u32 = 30;

/// Where a decision stands in the log of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsistencyToken {
    /// Partition of the facts.
    pub partition: u32,
    /// Offset of the link: who has read it sees the write.
    pub offset: u64,
}

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a consistency token: send back what a write answered, or nothing")]
pub struct InvalidConsistencyToken;

impl fmt::Display for ConsistencyToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.partition, self.offset)
    }
}

impl FromStr for ConsistencyToken {
    type Err = InvalidConsistencyToken;

    /// Digits only, so that one token has one spelling but for leading zeros.
    fn from_str(text: &str) -> Result<Self, InvalidConsistencyToken> {
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (partition, offset) = text.split_once('.').ok_or(InvalidConsistencyToken)?;
        if !digits(partition) || !digits(offset) {
            return Err(InvalidConsistencyToken);
        }
        Ok(Self {
            partition: partition.parse().map_err(|_| InvalidConsistencyToken)?,
            offset: offset.parse().map_err(|_| InvalidConsistencyToken)?,
        })
    }
}

impl ConsistencyToken {
    /// The token that a read presents: the header, else the cookie. A header that is no token is a
    /// mistake of the caller; a cookie that is none is as none, since nobody can do much about it.
    ///
    /// # Errors
    /// `validation_failed` for a header that is no token.
    pub fn of_request(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        if let Some(value) = headers.get(CONSISTENCY_HEADER) {
            let text = value.to_str().map_err(|_| InvalidConsistencyToken);
            let token = text.and_then(str::parse);
            let named = |error: InvalidConsistencyToken| {
                Problem::invalid(CONSISTENCY_HEADER.as_str(), error.to_string())
            };
            return token.map(Some).map_err(named);
        }
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|cookies| cookies.split(';'));
        let found = pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == CONSISTENCY_COOKIE);
        Ok(found.and_then(|(_, value)| value.parse().ok()))
    }

    /// Adds header and cookie to the answer of a write. `secure` where people come over TLS.
    pub fn add_to(self, headers: &mut HeaderMap, secure: bool) {
        let secure = if secure { "; Secure" } else { "" };
        let cookie = format!(
            "{CONSISTENCY_COOKIE}={self}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; \
             SameSite=Lax{secure}"
        );
        // Digits, letters and signs that headers may have: both always are header values.
        if let Ok(value) = HeaderValue::try_from(self.to_string()) {
            headers.insert(CONSISTENCY_HEADER, value);
        }
        if let Ok(value) = HeaderValue::try_from(cookie) {
            headers.append(SET_COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_nothing_else_is_one() {
        let token = ConsistencyToken { partition: 3, offset: 1_234_567_890_123 };
        assert_eq!(token.to_string().parse(), Ok(token));
        for wrong in ["", ".", "1", "1.", ".1", "+1.2", "1.-2", "1.2.3", "4294967296.0", "1. 2"] {
            assert_eq!(wrong.parse::<ConsistencyToken>(), Err(InvalidConsistencyToken), "{wrong}");
        }
    }

    #[test]
    fn what_a_write_adds_a_read_finds_in_the_header_and_in_the_cookie() {
        let token = ConsistencyToken { partition: 3, offset: 77 };
        let mut answer = HeaderMap::new();
        token.add_to(&mut answer, true);
        let cookie = answer[SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("Max-Age=30") && cookie.contains("HttpOnly"), "{cookie}");
        assert!(cookie.ends_with("; Secure"), "{cookie}");

        let mut by_header = HeaderMap::new();
        by_header.insert(CONSISTENCY_HEADER, answer[CONSISTENCY_HEADER].clone());
        assert_eq!(ConsistencyToken::of_request(&by_header), Ok(Some(token)));

        let pair = cookie.split(';').next().unwrap();
        let mut by_cookie = HeaderMap::new();
        by_cookie.insert(COOKIE, HeaderValue::try_from(format!("a=b; {pair}")).unwrap());
        assert_eq!(ConsistencyToken::of_request(&by_cookie), Ok(Some(token)));
    }

    #[test]
    fn a_bad_header_is_named_and_a_bad_cookie_is_as_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(ConsistencyToken::of_request(&headers), Ok(None));
        headers.insert(COOKIE, HeaderValue::from_static("consistency_token=x"));
        assert_eq!(ConsistencyToken::of_request(&headers), Ok(None));
        headers.insert(CONSISTENCY_HEADER, HeaderValue::from_static("x"));
        let problem = ConsistencyToken::of_request(&headers).unwrap_err();
        assert_eq!(problem.code().as_str(), "validation_failed");
    }
}
