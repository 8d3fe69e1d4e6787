//! Which passwords are taken: long ones that nobody guesses first. No other rules, since those make
//! passwords that are easier to guess (NIST SP 800-63B-4, 3.1.1.2).

use std::fmt;

/// Fewest characters.
pub const CHARACTERS_MIN: usize = 12;
/// Most bytes: hashing takes as long as the password.
pub const BYTES_MAX: usize = 1_024;

/// Common passwords that are long enough to be taken otherwise, in lower case, sorted. From the
/// list of the 20,000 commonest by Royce Williams, which Django ships.
const COMMON: &str = include_str!("common.txt");

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
        Ok(Self(text))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
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
    fn the_list_has_only_what_would_be_taken_otherwise() {
        assert!(COMMON.lines().count() > 100);
        assert!(COMMON.lines().all(|common| common.chars().count() >= CHARACTERS_MIN));
    }
}
