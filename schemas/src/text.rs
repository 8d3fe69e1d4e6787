//! UUIDs as text without an allocation.

use std::fmt;

use uuid::Uuid;

/// The text form of a UUID.
pub(crate) struct UuidText([u8; 36]);

impl UuidText {
    pub(crate) fn new(id: &[u8; 16]) -> Self {
        let mut text = [0; 36];
        Uuid::from_bytes(*id).as_hyphenated().encode_lower(&mut text);
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // It is ASCII; the default is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for UuidText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
