//! What is looked for: addresses and names of accounts, texts that somebody gave, and what looks like
//! an address or a token whosever it is.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, BuildError};

/// Shorter names are in too many words, and in random bytes.
const NAME_BYTES_MIN: usize = 3;
/// From this length on a name is no accident among random bytes.
const BINARY_NAME_BYTES_MIN: usize = 6;
/// The beginning of a signed token, and how much more of it there has to be.
const TOKEN: &[u8] = b"eyJ";
const TOKEN_BYTES_MIN: usize = 20;

/// Somebody or something to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address,
    Name,
    Given,
}

/// What is to be looked for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    texts: Vec<(Kind, String, String)>,
    too_common: u64,
}

impl Wanted {
    /// An account, by its id.
    pub(super) fn account(&mut self, id: &str, address: &str, name: Option<&str>) {
        if !address.is_empty() {
            self.texts.push((Kind::Address, address.to_owned(), id.to_owned()));
        }
        let Some(name) = name else { return };
        // A single word in small letters is as likely one of ours: "active" may be somebody's name.
        let is_common = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if name.len() < NAME_BYTES_MIN || is_common {
            self.too_common += 1;
            return;
        }
        self.texts.push((Kind::Name, name.to_owned(), id.to_owned()));
    }

    /// A text that somebody gave.
    pub(super) fn given(&mut self, text: &str) {
        self.texts.push((Kind::Given, text.to_owned(), String::new()));
    }

    fn count(&self, kind: Kind) -> usize {
        self.texts.iter().filter(|(known, ..)| *known == kind).count()
    }

    pub(super) fn addresses(&self) -> usize {
        self.count(Kind::Address)
    }

    pub(super) fn names(&self) -> usize {
        self.count(Kind::Name)
    }

    /// Names that are not looked for.
    pub(super) const fn too_common(&self) -> u64 {
        self.too_common
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) range: Range<usize>,
    /// What it is, without saying it.
    pub(super) what: String,
    /// Somebody gave it: it is wanted nowhere.
    pub(super) is_given: bool,
}

/// Looks for all of it at once.
pub(super) struct Search {
    /// Addresses and what was given, in whatever letters.
    texts: AhoCorasick,
    of_texts: Vec<(Kind, String)>,
    /// Names, as they are written.
    names: AhoCorasick,
    of_names: Vec<String>,
}

impl Search {
    pub(super) fn new(wanted: &Wanted) -> Result<Self, BuildError> {
        let (names, texts): (Vec<_>, Vec<_>) =
            wanted.texts.iter().partition(|(kind, ..)| *kind == Kind::Name);
        let patterns = |rows: &[&(Kind, String, String)]| -> Vec<String> {
            rows.iter().map(|(_, text, _)| text.clone()).collect()
        };
        Ok(Self {
            texts: AhoCorasickBuilder::new()
                .ascii_case_insensitive(true)
                .build(patterns(&texts))?,
            of_texts: texts.iter().map(|(kind, _, id)| (*kind, id.clone())).collect(),
            names: AhoCorasick::new(patterns(&names))?,
            of_names: names.iter().map(|(.., id)| id.clone()).collect(),
        })
    }

    /// Addresses and given texts, wherever they are in some bytes.
    pub(super) fn texts_in<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = Hit> + 'a {
        self.texts.find_overlapping_iter(bytes).map(|found| {
            let (kind, id) = &self.of_texts[found.pattern().as_usize()];
            let is_given = *kind == Kind::Given;
            let what = match is_given {
                true => "has a text that was to be looked for".to_owned(),
                false => format!("has the address of the account {id}"),
            };
            Hit { range: found.range(), what, is_given }
        })
    }

    /// Names in bytes that are not text.
    pub(super) fn names_in_bytes<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = Hit> + 'a {
        self.names_in(bytes).filter(|hit| hit.range.len() >= BINARY_NAME_BYTES_MIN)
    }

    /// Names in a text, as words of their own.
    pub(super) fn names_in_text<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Hit> + 'a {
        let is_word = |at: Option<usize>| {
            let byte = at.and_then(|at| text.get(at));
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        };
        self.names_in(text).filter(move |hit| {
            !is_word(hit.range.start.checked_sub(1)) && !is_word(Some(hit.range.end))
        })
    }

    fn names_in<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = Hit> + 'a {
        self.names.find_overlapping_iter(bytes).map(|found| {
            let id = &self.of_names[found.pattern().as_usize()];
            let what = format!("has the name of the account {id}");
            Hit { range: found.range(), what, is_given: false }
        })
    }

    /// What is wrong with a text that no person should be in; `None`: nothing.
    pub(super) fn wrong_with(&self, text: &[u8]) -> Option<String> {
        let mut known = self.texts_in(text).chain(self.names_in_text(text));
        known.next().map(|hit| hit.what).or_else(|| looks_like(text).map(str::to_owned))
    }
}

/// What a text seems to have, whosever it is.
fn looks_like(text: &[u8]) -> Option<&'static str> {
    if text.iter().enumerate().any(|(at, byte)| *byte == b'@' && is_address(text, at)) {
        return Some("has what looks like an address");
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_token = |at: usize| {
        text[at..].starts_with(TOKEN)
            && text[at..].iter().take_while(|byte| token(**byte)).count() >= TOKEN_BYTES_MIN
    };
    (0..text.len()).any(is_token).then_some("has what looks like a token")
}

fn is_address(text: &[u8], at: usize) -> bool {
    let local = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
    };
    let domain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let before = text[..at].iter().rev().take_while(|byte| local(byte)).count();
    let behind = text[at + 1..].iter().take_while(|byte| domain(byte)).count();
    let behind = &text[at + 1..at + 1 + behind];
    let mut labels = behind.rsplit(|byte| *byte == b'.').skip_while(|label| label.is_empty());
    let is_top = |label: &[u8]| label.len() >= 2 && label.iter().all(u8::is_ascii_alphabetic);
    before >= 2 && labels.next().is_some_and(is_top) && labels.next().is_some_and(|l| l.len() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search() -> Search {
        let mut wanted = Wanted::default();
        wanted.account("1", "Ada@example.org", Some("Ada Lovelace"));
        wanted.account("2", "ben@example.org", Some("Ben"));
        wanted.account("3", "eve@example.org", Some("active"));
        wanted.given("+43 1 23456");
        assert_eq!((wanted.addresses(), wanted.names(), wanted.too_common()), (3, 2, 1));
        Search::new(&wanted).unwrap()
    }

    #[test]
    fn people_are_found_in_whatever_letters_and_names_as_words() {
        let rows = [
            ("to ADA@Example.org now", Some("has the address of the account 1")),
            ("so said Ada Lovelace.", Some("has the name of the account 1")),
            ("Ben", Some("has the name of the account 2")),
            ("Benches, and Öben", None),
            ("it is active", None),
            ("call +43 1 23456", Some("has a text that was to be looked for")),
            ("carl@example.net", Some("has what looks like an address")),
            ("at 127.0.0.1:25, 5 @ 3 and a@b", None),
            ("Bearer eyJhbGciOiJFZERTQSIsImtpZCI6", Some("has what looks like a token")),
        ];
        for (text, expected) in rows {
            assert_eq!(search().wrong_with(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn short_names_are_no_finding_among_bytes() {
        let search = search();
        assert_eq!(search.names_in_bytes(b"\x02Ben\x04").count(), 0);
        assert_eq!(search.names_in_bytes(b"\x02xAda Lovelacey\x04").count(), 1);
        assert_eq!(search.texts_in(b"\x1exben@EXAMPLE.orgy").count(), 1);
    }
}
