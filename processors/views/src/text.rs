//! How words are compared. Pure.
//!
//! Case does not count, in any script. A word asked for is found where it begins a word of the
//! text; in scripts that write without spaces it is found anywhere inside the unbroken text.

/// Text in which case does not count any more: texts that differ only in case have one folded form.
pub fn fold(text: &str) -> String {
    // Up and down again, so that letters with several small forms meet (ß and ss, ς and σ).
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// The words of a request, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    /// The words of what somebody typed. Without any, everything is found.
    pub fn parse(typed: &str) -> Self {
        let folded = fold(typed);
        Self(words_of(&folded).map(str::to_owned).collect())
    }

    /// Whether there is anything to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every word is found in at least one of the texts.
    pub fn are_in(&self, texts: &[&str]) -> bool {
        if self.is_empty() {
            return true;
        }
        let folded: Vec<String> = texts.iter().map(|text| fold(text)).collect();
        self.0.iter().all(|word| folded.iter().any(|text| is_in(word, text)))
    }
}

/// The runs of letters and digits of a text.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether a folded word begins a word of a folded text, or stands inside unbroken text.
fn is_in(word: &str, text: &str) -> bool {
    let Some(first) = word.chars().next() else { return true };
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|head| head.chars().next_back());
        is_unbroken(first) || before.is_none_or(|before| !before.is_alphanumeric())
    })
}

/// Whether a letter is of a script that writes without spaces: Thai, Lao, Tibetan, Burmese, Khmer,
/// Chinese and Japanese.
fn is_unbroken(letter: char) -> bool {
    matches!(u32::from(letter),
        0x0E00..=0x0FFF
        | 0x1000..=0x109F
        | 0x1780..=0x17FF
        | 0x1950..=0x19FF
        | 0x1A20..=0x1AAF
        | 0x2E80..=0x31FF
        | 0x3400..=0x9FFF
        | 0xA9E0..=0xA9FF
        | 0xAA60..=0xAA7F
        | 0xF900..=0xFAFF
        | 0xFF66..=0xFF9F
        | 0x1B000..=0x1B16F
        | 0x20000..=0x3FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(typed: &str, text: &str) -> bool {
        Words::parse(typed).are_in(&[text])
    }

    #[test]
    fn case_does_not_count_in_any_script() {
        for (one, other) in [
            ("Berlin", "bERLIN"),
            ("STRASSE", "Straße"),
            ("ΟΔΟΣ", "οδος"),
            ("οδός", "ΟΔΌΣ"),
            ("МОСКВА", "Москва"),
            ("Ǆ", "ǆ"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} and {other}");
        }
        assert_ne!(fold("Ulm"), fold("Köln"));
    }

    #[test]
    fn a_word_is_found_where_it_begins_a_word() {
        assert!(finds("jaz", "Open Air Jazz"));
        assert!(finds("air jazz", "Jazz on air"));
        assert!(finds("JAZZ", "jazz-night"));
        assert!(finds("night", "jazz-night"));
        assert!(!finds("azz", "Open Air Jazz"));
        assert!(!finds("jazz rock", "Open Air Jazz"));
        assert!(finds("été", "Un Été indien"));
    }

    #[test]
    fn a_word_is_found_inside_unbroken_text() {
        assert!(finds("音楽", "東京音楽祭"));
        assert!(finds("ดนตรี", "เทศกาลดนตรีกรุงเทพ"));
        assert!(!finds("映画", "東京音楽祭"));
    }

    #[test]
    fn words_may_be_spread_over_the_texts() {
        assert!(Words::parse("jazz berlin").are_in(&["Jazz night", "Berlin"]));
        assert!(!Words::parse("jazz ulm").are_in(&["Jazz night", "Berlin"]));
    }

    #[test]
    fn a_request_without_words_finds_everything() {
        assert!(Words::parse(" -- !").is_empty());
        assert!(finds(" -- !", "anything"));
    }
}
