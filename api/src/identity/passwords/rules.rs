//! Which passwords are taken: long ones that nobody guesses first. No other rules, since those make
//! passwords that are easier to guess (NIST SP 800-63B-4, 3.1.1.2).

use std::fmt;

/// Fewest characters.
pub const CHARACTERS_MIN: usize = 12;
/// Most bytes: hashing takes as long as the password.
pub const BYTES_MAX: usize = 1_024;

/// Common passwords that are long enough to be taken otherwise, in lower case, sorted. From the
/// list of the 20,000 commonest by Royce Williams, which Django ships, and the 5,000 commonest that are
/// long enough of the ten million that Mark Burnett put into the public domain.
const COMMON: &str = include_str!("common.txt");

/// Words of this service, which whoever guesses tries first (OWASP ASVS 5.0, 6.2.11): the longer ones
/// before those that they hold.
const OWN_WORDS: [&str; 10] = [
    "cityevents",
    "cityevent",
    "password",
    "passwort",
    "welcome",
    "tickets",
    "ticket",
    "events",
    "event",
    "city",
];

/// Fewest letters beside words of this service.
const OTHER_LETTERS_MIN: usize = 4;

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("take at least {CHARACTERS_MIN} characters")]
    Short,
    /// Too long.
    #[error("take at most {BYTES_MAX} bytes")]
    Long,
    /// Too many have it.
    #[error("this is one of the commonest passwords: take another one")]
    Common,
    /// Hardly anything but words of this service, digits and signs.
    #[error("this is hardly more than the name of this service: take another one")]
    OwnWords,
}

/// A password that may be taken.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Looks at a text. Every character counts, spaces too.
    ///
    /// # Errors
    /// When it is too short, too long, or too common.
    pub fn new(text: impl Into<String>) -> Result<Self, PasswordError> {
        let text = text.into();
        if text.len() > BYTES_MAX {
            return Err(PasswordError::Long);
        }
        if text.chars().count() < CHARACTERS_MIN {
            return Err(PasswordError::Short);
        }
        let folded = text.to_lowercase();
        if COMMON.lines().any(|common| common == folded) {
            return Err(PasswordError::Common);
        }
        if is_of_own_words(&folded) {
            return Err(PasswordError::OwnWords);
        }
        Ok(Self(text))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Whether a text in lower case has words of this service and hardly any letters beside them.
fn is_of_own_words(folded: &str) -> bool {
    let rest = OWN_WORDS.iter().fold(folded.to_owned(), |rest, word| rest.replace(word, " "));
    rest != folded && rest.chars().filter(|c| c.is_alphabetic()).count() < OTHER_LETTERS_MIN
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_not_common() {
        assert!(Password::new("correct horse").is_ok());
        assert!(Password::new("äöüäöüäöüäöü").is_ok(), "characters count, not bytes");
        assert_eq!(Password::new(""), Err(PasswordError::Short));
        assert_eq!(Password::new("eleven char"), Err(PasswordError::Short));
        assert_eq!(Password::new("x".repeat(1_025)), Err(PasswordError::Long));
        assert!(Password::new("x".repeat(1_024)).is_ok());
        assert_eq!(Password::new("Password1234"), Err(PasswordError::Common));
        assert_eq!(Password::new("qwertyqwerty"), Err(PasswordError::Common));
    }

    #[test]
    fn words_of_this_service_make_no_password() {
        for text in [
            "CityEvents2026!",
            "city-events-42",
            "Ticket! Ticket! 1",
            "welcome2cityevents",
            "event1event2",
        ] {
            assert_eq!(Password::new(text), Err(PasswordError::OwnWords), "{text}");
        }
        for text in [
            "cityevents and a llama",
            "eventful horse",
            "1848 3920 5519 0021",
            "velocity 7 bananas",
        ] {
            assert!(Password::new(text).is_ok(), "{text}");
        }
        let is_after_what_it_holds = |(at, word): (usize, &&str)| {
            OWN_WORDS.iter().take(at).any(|earlier| word.contains(earlier))
        };
        assert!(!OWN_WORDS.iter().enumerate().any(is_after_what_it_holds));
    }

    #[test]
    fn the_list_has_only_what_would_be_taken_otherwise() {
        // OWASP ASVS 5.0, 6.2.4.
        assert!(COMMON.lines().count() > 3_000);
        assert!(COMMON.lines().all(|common| common.chars().count() >= CHARACTERS_MIN));
    }
}
