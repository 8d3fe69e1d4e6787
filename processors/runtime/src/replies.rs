//! Where an answer goes: a header of the command, written by whoever waits for it.
//!
//! Replies are the fast path only. Whoever misses one finds the outcome in the links.

use crate::log::Headers;

/// Header of a command that wants an answer.
pub const REPLY_TO_HEADER: &str = "reply-to";
/// Header of an answer.
pub const ATTEMPT_HEADER: &str = "reply-attempt";

/// One append of a command: a repeated request draws another one, so that no waiter takes an
/// answer that was meant for an earlier try.
pub type Attempt = [u8; 16];

/// Where the answer to a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    /// Partition of the reply topic.
    pub partition: u32,
    /// Echoed by the answer.
    pub attempt: Attempt,
}

impl ReplyTo {
    /// The header's value.
    pub fn to_bytes(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&self.partition.to_be_bytes());
        bytes[4..].copy_from_slice(&self.attempt);
        bytes
    }

    /// Reads the header of a command, if it has a good one.
    pub fn of(headers: &Headers) -> Option<Self> {
        let bytes: &[u8; 20] = headers.get(REPLY_TO_HEADER)?.try_into().ok()?;
        let (partition, attempt) = bytes.split_first_chunk::<4>()?;
        let attempt = attempt.try_into().ok()?;
        Some(Self { partition: u32::from_be_bytes(*partition), attempt })
    }
}

/// The attempt that an answer echoes.
pub fn attempt_of(headers: &Headers) -> Option<Attempt> {
    headers.get(ATTEMPT_HEADER)?.try_into().ok()
}
