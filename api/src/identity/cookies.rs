//! Cookies: how they are read and set, and the one that carries the refresh token.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE};

use super::session::{IDLE_MS, RefreshToken};

/// The cookie's name and manner.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefreshCookie {
    /// Over TLS: bound to this very host, and never sent without TLS (RFC 6265bis, 4.1.3.2).
    is_secure: bool,
}

impl RefreshCookie {
    pub(super) const fn new(is_secure: bool) -> Self {
        Self { is_secure }
    }

    const fn name(self) -> &'static str {
        if self.is_secure { "__Host-refresh_token" } else { "refresh_token" }
    }

    /// The token of a request, if it carries one.
    pub(super) fn read(self, headers: &HeaderMap) -> Option<RefreshToken> {
        read(headers, self.name()).and_then(RefreshToken::parse)
    }

    /// Gives the token to the browser.
    pub(super) fn set(self, token: &RefreshToken) -> (HeaderName, HeaderValue) {
        header(self.name(), &token.to_text(), IDLE_MS / 1_000, self.is_secure)
    }

    /// Takes it away from the browser.
    pub(super) fn clear(self) -> (HeaderName, HeaderValue) {
        header(self.name(), "", 0, self.is_secure)
    }
}

/// The value of the first cookie of a name.
pub(super) fn read<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut pairs = pairs.flat_map(|header| header.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == wanted).then_some(value)
    })
}

/// A header that sets a cookie for this host, out of the reach of scripts.
pub(super) fn header(
    name: &str,
    value: &str,
    age_seconds: i64,
    is_secure: bool,
) -> (HeaderName, HeaderValue) {
    let secure = if is_secure { "; Secure" } else { "" };
    let text =
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age_seconds}{secure}");
    let empty = HeaderValue::from_static("");
    let mut value = HeaderValue::try_from(text).unwrap_or(empty);
    value.set_sensitive(true);
    (SET_COOKIE, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_read_back_among_other_cookies() {
        for is_secure in [false, true] {
            let cookie = RefreshCookie::new(is_secure);
            let token = RefreshToken::parse(&"A".repeat(86)).unwrap();
            let (_, set) = cookie.set(&token);
            let set = set.to_str().unwrap().to_owned();
            assert_eq!(set.contains("; Secure"), is_secure, "{set}");
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
            let sent = format!("theme=dark; {}; other=1", set.split(';').next().unwrap());
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, sent.parse().unwrap());
            assert_eq!(cookie.read(&headers), Some(token));
            assert_eq!(RefreshCookie::new(!is_secure).read(&headers), None);
        }
    }
}
