//! In which language somebody is written to.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use serde::{Deserialize, Serialize};

/// Longest tag that is kept, as RFC 5646 has it (section 4.4.1).
const TAG_CHARACTERS_MAX: usize = 35;
/// Longest part of one.
const PART_CHARACTERS_MAX: usize = 8;

/// A language as a tag (BCP 47): `de`, `pt-BR`. Whether mails are written in it is known to whoever
/// writes them; else they go by a shorter tag, or by the language of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LanguageTag(String);

/// The text is no tag of a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a tag such as de or pt-BR")]
pub struct InvalidLanguageTag;

impl LanguageTag {
    /// Reads a tag.
    ///
    /// # Errors
    /// When it has not the form of one.
    pub fn parse(text: &str) -> Result<Self, InvalidLanguageTag> {
        let mut parts = text.split('-');
        let first = parts.next().unwrap_or_default();
        let has_room = |part: &str| (1..=PART_CHARACTERS_MAX).contains(&part.len());
        let is_language = first.len() >= 2
            && has_room(first)
            && first.bytes().all(|letter| letter.is_ascii_alphabetic());
        let is_rest_fine =
            parts.all(|part| has_room(part) && part.bytes().all(|one| one.is_ascii_alphanumeric()));
        if text.len() <= TAG_CHARACTERS_MAX && is_language && is_rest_fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLanguageTag)
        }
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    /// What a browser says that its reader likes best, of those that mails are written in from the
    /// start; the best liked of all where there is none of them, since a service may have more.
    pub(super) fn liked(headers: &HeaderMap) -> Option<Self> {
        let said = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
        let mut ranges: Vec<_> = said.split(',').filter_map(weighted).collect();
        // Those that are liked as much stay in order.
        ranges.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let mut tags: Vec<_> = ranges.into_iter().map(|(tag, _)| tag).collect();
        let is_known =
            |tag: &Self| cityevents_mail::LANGUAGES.iter().any(|known| *known == tag.language());
        let best = tags.iter().position(is_known).unwrap_or(0);
        (best < tags.len()).then(|| tags.swap_remove(best))
    }
}

/// A range of `Accept-Language` and how much it is liked; nothing when it is not, or makes no sense.
fn weighted(range: &str) -> Option<(LanguageTag, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let tag = LanguageTag::parse(parts.next()?).ok()?;
    let weight = parts.find_map(|part| part.strip_prefix("q="));
    let weight = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok())?;
    (weight > 0.0).then_some((tag, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_the_form_of_one() {
        for good in ["de", "de-AT", "zh-Hant-TW", "sl-rozaj-biske", "en-a-bbb-x-a-ccc"] {
            assert_eq!(LanguageTag::parse(good).unwrap().as_str(), good);
        }
        let long = format!("de-{}", "abcdefgh-".repeat(5));
        for wrong in ["", "d", "de-", "-de", "d1", "de_AT", "de\r\n", "ninechars", "*", &long] {
            assert_eq!(LanguageTag::parse(wrong), Err(InvalidLanguageTag), "{wrong}");
        }
    }

    #[test]
    fn the_best_liked_language_of_those_there_are_is_taken() {
        let liked = |said: &str| {
            let headers = [(ACCEPT_LANGUAGE, said.parse().unwrap())].into_iter().collect();
            LanguageTag::liked(&headers).map(|tag| tag.as_str().to_owned())
        };
        let is = |tag: &str| Some(tag.to_owned());
        assert_eq!(liked("de-AT,de;q=0.9,en;q=0.8"), is("de-AT"));
        assert_eq!(liked("en;q=0.5, de;q=0.7"), is("de"));
        assert_eq!(liked("fr, de;q=0.1"), is("de"), "mails are not written in French");
        assert_eq!(liked("fr, pt-BR;q=0.5"), is("fr"), "unless the service has it");
        assert_eq!(liked("fr, en;q=0"), is("fr"));
        assert_eq!(liked("*, ;q=1, de;q=x"), None);
        assert_eq!(LanguageTag::liked(&HeaderMap::new()), None);
    }
}
