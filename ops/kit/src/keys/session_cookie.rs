//! The cookie that tells pages and live streams who calls: an access token that the browser sends by
//! itself. It lives as long as the token does and is bound to its session like any other.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE};

/// The cookie's name and manner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCookie {
    /// Over TLS: bound to this very host, and never sent without TLS (RFC 6265bis, 4.1.3.2).
    is_secure: bool,
}

impl SessionCookie {
    /// For pages that come over TLS, or for a laptop.
    pub const fn new(is_secure: bool) -> Self {
        Self { is_secure }
    }

    const fn name(self) -> &'static str {
        if self.is_secure { "__Host-session" } else { "session" }
    }

    /// The token of a request, if it carries one.
    pub fn read(self, headers: &HeaderMap) -> Option<&str> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
        lines.flat_map(|line| line.split(';')).find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.name() && !value.is_empty()).then_some(value)
        })
    }

    /// Gives a token to the browser, for as long as it is good.
    pub fn set(self, token: &str, age_seconds: u64) -> (HeaderName, HeaderValue) {
        self.header(token, age_seconds)
    }

    /// Takes it away from the browser.
    pub fn clear(self) -> (HeaderName, HeaderValue) {
        self.header("", 0)
    }

    fn header(self, value: &str, age_seconds: u64) -> (HeaderName, HeaderValue) {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age_seconds}{secure}",
            self.name()
        );
        // Tokens are letters, digits, dashes and dots.
        let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        (SET_COOKIE, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_read_back_and_what_was_cleared_is_not() {
        for is_secure in [false, true] {
            let cookie = SessionCookie::new(is_secure);
            let sent = |(_, set): (HeaderName, HeaderValue)| {
                let set = set.to_str().unwrap().to_owned();
                assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
                assert_eq!(set.contains("; Secure") && set.starts_with("__Host-"), is_secure);
                let sent = format!("theme=dark; {}", set.split(';').next().unwrap());
                HeaderMap::from_iter([(COOKIE, sent.parse().unwrap())])
            };
            let headers = sent(cookie.set("a.b-c_d", 900));
            assert_eq!(cookie.read(&headers), Some("a.b-c_d"));
            assert_eq!(SessionCookie::new(!is_secure).read(&headers), None);
            assert_eq!(cookie.read(&sent(cookie.clear())), None);
        }
    }
}
