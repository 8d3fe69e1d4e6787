//! Addresses of electronic mail.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

use super::person_name::is_format;

/// Longest address (RFC 5321, 4.5.3.1.3, without the angle brackets).
const BYTES_MAX: usize = 254;
/// Longest part before the `@` (RFC 5321, 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write an address like name@example.org, of at most {BYTES_MAX} bytes")]
pub struct AddressError;

/// An address as somebody wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Reads an address. Spaces around it, and what cannot be seen there, are left out: that comes
    /// along with a copy. Quoted local parts and comments, which nobody's address has, are refused,
    /// and so is everything that could end a header's line or cannot be seen: mails would go nowhere.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        // One spelling of what looks alike: composed, as RFC 6532, 3.1 asks for.
        let around = |c: char| c.is_whitespace() || is_format(c);
        let text: String = text.trim_matches(around).nfc().collect();
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError)?;
        let is_plain = |c: char| {
            !c.is_control() && !c.is_whitespace() && !is_format(c) && !"\"(),:;<>[\\]@".contains(c)
        };
        let dots_are_inside = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.ends_with('.')
                && !part.contains("..")
        };
        let is_domain = domain.contains('.')
            && domain.split('.').all(|label| {
                !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            });
        let is_good = text.len() <= BYTES_MAX
            && local.len() <= LOCAL_BYTES_MAX
            && dots_are_inside(local)
            && dots_are_inside(domain)
            && local.chars().all(is_plain)
            && is_domain
            && idna::domain_to_ascii(domain).is_ok();
        if is_good { Ok(Self(text)) } else { Err(AddressError) }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes two addresses the same: all but case, of which no provider makes a difference, and
    /// but the script that the domain is written in (RFC 5891: `münchen.de` is `xn--mnchen-3ya.de`).
    pub fn key(&self) -> String {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase());
        format!("{}@{domain}", local.to_lowercase())
    }
}

/// Without the address: it does not belong into logs.
impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Address(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in [
            "a@b.co",
            "Ada.Lovelace+tag@example.org",
            " ü@münchen.de ",
            "o'hara@x-y.org",
            "\u{feff}a@b.co\u{200b}",
        ] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "a",
            "@",
            "a@",
            "@b.co",
            "a@b",
            "a b@c.de",
            "a@b..co",
            ".a@b.co",
            "a.@b.co",
            "a@-b.co",
            "a@b.co\r\nBcc: x@y.z",
            "\"a\"@b.co",
            "<a@b.co>",
            "a@b@c.de",
            "a,b@c.de",
            "a\u{200b}@b.co",
            "a\u{202e}b@b.co",
            &long,
        ] {
            assert_eq!(Address::parse(bad), Err(AddressError), "{bad}");
        }
    }

    #[test]
    fn case_and_spelling_make_no_other_address() {
        let key = |text: &str| Address::parse(text).map(|address| address.key());
        assert_eq!(key("Ada@Example.ORG"), key("ada@example.org"));
        assert_ne!(key("ada@example.org"), key("eda@example.org"));
        assert_eq!(key("\u{feff}ada@b.co \u{200b}"), key("ada@b.co"));
        assert_eq!(key("ada@MÜNCHEN.de"), key("ada@xn--mnchen-3ya.de"));
        assert_eq!(key("zo\u{e9}@b.co"), key("zoe\u{301}@b.co"), "composed or not");
    }
}
