//! Which mail: the same for the same mail, however often it is written.

use std::fmt;
use std::str::FromStr;

use cityevents_domain::ids::UserId;

use crate::Template;

/// Names a mail in its `Message-ID`, in the ledger and in the folder: 32 hexadecimal digits, from
/// what it is about (a fact, or a token), its template and who gets it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailId([u8; 16]);

/// The text is not the id of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a mail: 32 lowercase hexadecimal digits")]
pub struct InvalidMailId;

impl MailId {
    /// The id of what a fact or a token, named by its bytes, makes for one person. Fields are
    /// length-prefixed, so that no two different mails share one input.
    pub fn derive(about: &[u8], template: Template, recipient: &UserId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cityevents mail id v1");
        for part in [about, template.as_str().as_bytes(), recipient.as_bytes()] {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(bytes)
    }

    /// Wraps the 16 bytes of an id.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MailId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for MailId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MailId({self})")
    }
}

impl FromStr for MailId {
    type Err = InvalidMailId;

    fn from_str(text: &str) -> Result<Self, InvalidMailId> {
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(InvalidMailId);
        }
        u128::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| InvalidMailId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = MailId::from_bytes([0xa7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "a7", &"A7".repeat(16), &"+7".repeat(16), &"a7".repeat(17)] {
            assert_eq!(wrong.parse::<MailId>(), Err(InvalidMailId), "{wrong}");
        }
    }

    #[test]
    fn an_id_depends_on_what_which_and_who() {
        let ada = UserId::from_bytes([1; 16]);
        let id = MailId::derive(b"fact", Template::Removed, &ada);
        assert_eq!(id, MailId::derive(b"fact", Template::Removed, &ada));
        assert_ne!(id, MailId::derive(b"fac", Template::Removed, &ada));
        assert_ne!(id, MailId::derive(b"fact", Template::EventChanged, &ada));
        assert_ne!(id, MailId::derive(b"fact", Template::Removed, &UserId::from_bytes([2; 16])));
    }
}
