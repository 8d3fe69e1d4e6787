//! Identifiers: 128-bit values with the text form of a UUID (RFC 9562).
//!
//! The domain never makes an identifier by chance. Ids of users come from outside; the id of a
//! command is derived from who asks for what under which key, and the id of a new event from the
//! command that creates it, so that a repeated request meets the same partition and the same event.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The text is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
    }
}

impl std::error::Error for InvalidId {}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps the 16 bytes of an identifier, most significant first.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, most significant first.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).as_hyphenated().fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts the hyphenated form only, so that one id has one spelling but for case.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 {
                    return Err(InvalidId);
                }
                Uuid::try_parse(text).map(|id| Self(id.into_bytes())).map_err(|_| InvalidId)
            }
        }
    };
}

identifier!(
    /// One event, and the key of its partition.
    EventId
);
identifier!(
    /// One account. The log carries these and no name or address.
    UserId
);
identifier!(
    /// One command. A repeated request has the same one.
    CommandId
);
identifier!(
    /// One uploaded picture.
    ImageId
);

impl CommandId {
    /// Derives the id of a command from what identifies the request: the same user asking for the
    /// same thing under the same key is the same command. Fields are length-prefixed, so that no
    /// two different requests share one input.
    pub fn derive(user: &UserId, method: &str, path: &str, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cityevents command id v1");
        hasher.update(user.as_bytes());
        for field in [method, path, key] {
            hasher.update(&(field.len() as u64).to_be_bytes());
            hasher.update(field.as_bytes());
        }
        Self(custom_uuid(&hasher.finalize()))
    }

    /// The id of the tick for a deadline of an event: the same in every process that sees it due.
    pub fn of_tick(event: &EventId, event_seq: u64, deadline_ms: i64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cityevents tick id v1");
        hasher.update(event.as_bytes());
        hasher.update(&event_seq.to_be_bytes());
        hasher.update(&deadline_ms.to_be_bytes());
        Self(custom_uuid(&hasher.finalize()))
    }
}

impl EventId {
    /// The id of the event that this command creates.
    pub fn of_create(command: &CommandId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cityevents event id v1");
        hasher.update(command.as_bytes());
        Self(custom_uuid(&hasher.finalize()))
    }
}

/// The first 16 bytes of a hash, marked as a UUID of version 8 (RFC 9562, section 5.8).
fn custom_uuid(hash: &blake3::Hash) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = EventId::from_bytes([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("07070707070707070707070707070707".parse::<EventId>(), Err(InvalidId));
    }

    #[test]
    fn a_command_id_depends_on_every_part_of_the_request() {
        let user = UserId::from_bytes([1; 16]);
        let id = CommandId::derive(&user, "POST", "/a", "k");
        assert_eq!(id, CommandId::derive(&user, "POST", "/a", "k"));
        assert_ne!(id, CommandId::derive(&user, "POST", "/ak", ""));
        assert_ne!(id, CommandId::derive(&UserId::from_bytes([2; 16]), "POST", "/a", "k"));
    }
}
