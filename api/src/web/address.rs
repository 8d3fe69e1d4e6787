//! Addresses of pages.

use form_urlencoded::byte_serialize;
use serde_json::Value;

use super::forms::Form;

/// Longest address that somebody is sent back to.
const RETURN_BYTES_MAX: usize = 1_024;

/// A text as part of a query.
pub(super) fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// Where somebody wants to go back to, if it is a page of ours: never another site, which a link to
/// the sign-in page could name.
pub(super) fn own(address: &str) -> Option<&str> {
    let is_ours = address.len() <= RETURN_BYTES_MAX
        && address.starts_with('/')
        && !address.starts_with("//")
        && !address.contains(|letter: char| letter == '\\' || letter.is_control())
        && !address.starts_with("/api/");
    is_ours.then_some(address)
}

/// A call for so many of a list, with those parameters that were given.
pub(super) fn listing(call: &str, limit: u32, asked: &Form, names: &[&str]) -> String {
    let given = names.iter().filter_map(|name| Some((name, asked.given(name)?)));
    let pairs = given.map(|(name, value)| format!("&{name}={}", encoded(value)));
    format!("{call}?limit={limit}{}", pairs.collect::<String>())
}

/// The address of the next page, if there is one.
pub(super) fn next(page: &str, asked: &Form, names: &[&str], list: &Value) -> Option<String> {
    let cursor = list["next_cursor"].as_str()?;
    let kept = names.iter().filter(|name| **name != "cursor");
    let kept = kept.filter_map(|name| Some((name, asked.given(name)?)));
    let pairs = kept.map(|(name, value)| format!("{name}={}&", encoded(value)));
    Some(format!("{page}?{}cursor={}", pairs.collect::<String>(), encoded(cursor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(own("/events/1?a=b"), Some("/events/1?a=b"));
        for foreign in [
            "",
            "events",
            "//evil.org",
            "/\\evil.org",
            "https://evil.org",
            "javascript:alert(1)",
            "/a\r\nLocation: x",
            "/\t/evil.org",
            "/api/auth/logout",
        ] {
            assert_eq!(own(foreign), None, "{foreign}");
        }
        assert_eq!(own(&format!("/{}", "a".repeat(RETURN_BYTES_MAX))), None);
    }
}
