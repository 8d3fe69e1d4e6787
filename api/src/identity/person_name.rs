//! What people want to be called: a line that can be shown among the names of others.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Longest name, in characters.
const CHARACTERS_MAX: usize = 120;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write one line of at most {CHARACTERS_MAX} characters that can be seen, and none that turns \
     the reading direction"
)]
pub struct PersonNameError;

/// A name as it is kept: without the spaces around it; `None` for one that is empty.
///
/// # Errors
/// When it is longer than names are, would not stay on its line and in its direction, or could not
/// be seen.
pub fn person_name(text: &str) -> Result<Option<String>, PersonNameError> {
    let name = text.trim();
    if name.is_empty() {
        return Ok(None);
    }
    let is_good = name.chars().count() <= CHARACTERS_MAX
        && !name.chars().any(leaves_its_line)
        && name.chars().any(|one| !one.is_whitespace() && !is_format(one));
    if is_good { Ok(Some(name.to_owned())) } else { Err(PersonNameError) }
}

/// Whether a character shows nothing by itself: those that join or turn others, and marks of the
/// order of bytes.
pub(super) fn is_format(one: char) -> bool {
    one.general_category() == GeneralCategory::Format
}

/// Controls, separators of lines and paragraphs; embeddings, overrides and isolates of direction.
fn leaves_its_line(one: char) -> bool {
    one.is_control() || matches!(one, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_line_that_can_be_seen() {
        let (longest, longer) = ("x".repeat(CHARACTERS_MAX), "x".repeat(CHARACTERS_MAX + 1));
        for (text, name) in [
            (" Ada ", "Ada"),
            ("O’Neil, =1+1", "O’Neil, =1+1"),
            // People, joined to a family by a character that cannot be seen.
            ("Zoë 👩\u{200d}👧", "Zoë 👩\u{200d}👧"),
            ("שלום \u{200f}x", "שלום \u{200f}x"),
            (&longest, &longest),
        ] {
            assert_eq!(person_name(text), Ok(Some(name.to_owned())), "{text}");
        }
        assert_eq!(person_name(" "), Ok(None));
        for bad in [
            "a\nb",
            "a\0",
            "a\u{2028}b",
            "\u{200b}",
            "\u{feff} \u{200d}",
            "\u{202e}gnp.exe",
            "a\u{2067}b",
            &longer,
        ] {
            assert_eq!(person_name(bad), Err(PersonNameError), "{bad:?}");
        }
    }
}
