//! What pages say, by language: the catalogues of `api/web/messages`.
//!
//! A line is `key = text`; `{name}` in a text is filled in. A key that is not there with an `n` given
//! is looked for as `key.one` and `key.other`.

use std::collections::BTreeMap;
use std::io;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

use super::visitor::cookie;

/// The cookie of the switch.
pub(super) const LANGUAGE_COOKIE: &str = "language";

/// Languages of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
}

impl Language {
    pub(super) const ALL: [Self; 2] = [Self::English, Self::German];

    /// As in `lang` and `Accept-Language`.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// What it calls itself.
    pub(super) const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    const fn catalogue(self) -> &'static str {
        match self {
            Self::English => include_str!("../../web/messages/en.txt"),
            Self::German => include_str!("../../web/messages/de.txt"),
        }
    }

    pub(super) fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// That of the switch, else the one that the browser likes best of those that there are.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, LANGUAGE_COOKIE).and_then(Self::parse);
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|accepted| accepted.to_str().ok());
        chosen.or_else(|| accepted.and_then(Self::best_of)).unwrap_or(Self::English)
    }

    fn best_of(accepted: &str) -> Option<Self> {
        let weighted = accepted.split(',').filter_map(|range| {
            let mut parts = range.split(';');
            let code = parts.next()?.trim().split('-').next()?.to_ascii_lowercase();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q="));
            let weight = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok())?;
            Some((Self::parse(&code)?, weight))
        });
        // The first of those that are liked as much.
        let best = weighted
            .filter(|(_, weight)| *weight > 0.0)
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(language, _)| language)
    }
}

/// All catalogues.
#[derive(Debug, Clone)]
pub(super) struct Messages {
    texts: [BTreeMap<&'static str, &'static str>; Language::ALL.len()],
}

impl Messages {
    pub(super) fn new() -> io::Result<Self> {
        let mut texts = [const { BTreeMap::new() }; Language::ALL.len()];
        for (language, texts) in Language::ALL.into_iter().zip(&mut texts) {
            for line in language.catalogue().lines().filter(|line| !is_comment(line)) {
                let (key, text) = line.split_once(" = ").ok_or_else(|| {
                    io::Error::other(format!("no message in {}: {line}", language.code()))
                })?;
                if texts.insert(key.trim(), text).is_some() {
                    return Err(io::Error::other(format!("two messages for {key}")));
                }
            }
        }
        Ok(Self { texts })
    }

    /// A text as it stands in the catalogue.
    pub(super) fn find(&self, language: Language, key: &str) -> Option<&'static str> {
        self.texts[language as usize].get(key).copied()
    }

    /// What a call says of a field, in the words of the pages. A rule that they have none for stays
    /// as it is, in English.
    pub(super) fn rule(&self, language: Language, rule: &str) -> String {
        let (text, numbers) = without_numbers(rule);
        let Some(said) = self.find(language, &format!("rule.{text}")) else {
            return rule.to_owned();
        };
        let names: Vec<_> = (1..=numbers.len()).map(|at| at.to_string()).collect();
        let number = |digits: &String| match digits.parse() {
            Ok(count) => super::times::number(language, count),
            Err(_) => digits.clone(),
        };
        let gaps: Vec<_> =
            names.iter().map(String::as_str).zip(numbers.iter().map(number)).collect();
        filled(said, &gaps)
    }

    /// A text with its gaps filled in. One that is missing is its key, which tests find.
    pub(super) fn text(&self, language: Language, key: &str, gaps: &[(&str, String)]) -> String {
        let count = gaps.iter().find(|(name, _)| *name == "n").map(|(_, value)| value.as_str());
        let by_count = || {
            let form = if count? == "1" { "one" } else { "other" };
            self.find(language, &format!("{key}.{form}"))
        };
        let Some(text) = self.find(language, key).or_else(by_count) else {
            return key.to_owned();
        };
        filled(text, gaps)
    }
}

/// A rule with its numbers as gaps, `{1}` and so on, and what the numbers are.
fn without_numbers(rule: &str) -> (String, Vec<String>) {
    let (mut text, mut numbers) = (String::with_capacity(rule.len()), Vec::<String>::new());
    let mut is_in_number = false;
    for letter in rule.chars() {
        match (letter.is_ascii_digit(), is_in_number) {
            (true, true) => numbers.last_mut().into_iter().for_each(|all| all.push(letter)),
            (true, false) => {
                numbers.push(letter.to_string());
                text.push_str(&format!("{{{}}}", numbers.len()));
            }
            (false, _) => text.push(letter),
        }
        is_in_number = letter.is_ascii_digit();
    }
    (text, numbers)
}

fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

/// One pass: what is filled in is never looked at for gaps.
fn filled(text: &str, gaps: &[(&str, String)]) -> String {
    let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let gap = after.split_once('}').and_then(|(name, rest)| {
            let (_, value) = gaps.iter().find(|(known, _)| *known == name)?;
            Some((value, rest))
        });
        match gap {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cityevents_kit::ErrorCode;

    use super::*;

    #[test]
    fn all_languages_say_the_same_things_with_the_same_gaps() {
        let messages = Messages::new().unwrap();
        let gaps = |text: &str| -> BTreeSet<String> {
            let pieces = text.split('{').skip(1);
            pieces.filter_map(|piece| Some(piece.split_once('}')?.0.to_owned())).collect()
        };
        let all = Language::ALL.into_iter().flat_map(|language| {
            messages.texts[language as usize].iter().map(move |(key, text)| (language, key, text))
        });
        for (language, key, text) in all {
            for other in Language::ALL {
                let said = messages.find(other, key);
                let said = said.unwrap_or_else(|| panic!("{key} is missing in {}", other.code()));
                assert_eq!(gaps(text), gaps(said), "{key} in {} and {other:?}", language.code());
            }
        }
    }

    #[test]
    fn every_code_of_a_problem_has_a_title_and_a_sentence() {
        let messages = Messages::new().unwrap();
        for code in ErrorCode::ALL {
            let key = format!("error.{}", code.as_str());
            assert!(messages.find(Language::English, &key).is_some(), "{key}");
        }
    }

    #[test]
    fn the_best_liked_language_is_taken() {
        let best = |accepted| Language::best_of(accepted);
        assert_eq!(best("de-AT,de;q=0.9,en;q=0.8"), Some(Language::German));
        assert_eq!(best("fr, en;q=0.5, de;q=0.7"), Some(Language::German));
        assert_eq!(best("fr, en;q=0, de;q=0.1"), Some(Language::German));
        assert_eq!(best("en, de"), Some(Language::English));
        assert_eq!(best("de;q=x"), None);
        assert_eq!(best("*"), None);
    }

    #[test]
    fn a_rule_of_a_call_is_said_in_the_words_of_the_page() {
        let messages = Messages::new().unwrap();
        let said = |rule| messages.rule(Language::German, rule);
        let rule = "must have 1 to 4000 characters, has 0";
        assert_eq!(said(rule), "Bitte 1 bis 4.000 Zeichen: hier sind 0");
        assert_eq!(said("is odd in 3 ways"), "is odd in 3 ways");
    }

    #[test]
    fn what_is_filled_in_is_never_a_gap() {
        let gaps = [("a", "{b}".to_owned()), ("b", "1".to_owned())];
        assert_eq!(filled("{a} {b} {c} {", &gaps), "{b} 1 {c} {");
    }
}
