//! What the log says of one person and one event.

use crate::ids::UserId;
use crate::time::Timestamp;

/// Longest sealed text, in bytes: the longest reason, and room for what sealing adds.
pub const SEALED_TEXT_BYTES_MAX: usize = 4_096;

/// Free text about a person, sealed with that person's key before it enters the log. The domain
/// carries it and cannot read it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealedText(pub Vec<u8>);

/// Where a person stands with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistrationStatus {
    /// Has a place.
    Active,
    /// Is in the line.
    Waitlisted,
    /// Left; may join again, at the end of the line.
    Canceled,
    /// Was removed; may join again after the organiser lifts it.
    Rejected,
    /// The event was canceled.
    Expired,
}

impl RegistrationStatus {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Active, Self::Waitlisted, Self::Canceled, Self::Rejected, Self::Expired];

    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waitlisted => "waitlisted",
            Self::Canceled => "canceled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }

    /// The status of a word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the person has a place or waits for one.
    pub const fn is_living(self) -> bool {
        matches!(self, Self::Active | Self::Waitlisted)
    }
}

/// What made a registration change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistrationCause {
    /// The person joined.
    Joined,
    /// A place came free and the head of the line got it.
    Promoted,
    /// The person left.
    Left,
    /// The organiser removed the person.
    Kicked,
    /// The organiser banned the person.
    Banned,
    /// The organiser lifted a removal, or a ban ran out.
    Lifted,
    /// The event was canceled.
    EventCanceled,
    /// The person came through the door.
    CheckedIn,
}

impl RegistrationCause {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Joined,
        Self::Promoted,
        Self::Left,
        Self::Kicked,
        Self::Banned,
        Self::Lifted,
        Self::EventCanceled,
        Self::CheckedIn,
    ];

    /// The word used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Promoted => "promoted",
            Self::Left => "left",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::Lifted => "lifted",
            Self::EventCanceled => "event_canceled",
            Self::CheckedIn => "checked_in",
        }
    }

    /// The cause of a word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

/// One registration as the log tells it: the whole row after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Whose.
    pub user: UserId,
    /// Where the person stands.
    pub status: RegistrationStatus,
    /// When the person joined, the last time.
    pub joined_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
    /// While waiting: the number drawn on entering the line. Numbers rise along the line and are
    /// never given twice for one event; they are no positions.
    pub ticket: Option<u32>,
    /// When the person came through the door.
    pub checked_in_at: Option<Timestamp>,
}

/// A ban of one person from one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Who is kept out.
    pub user: UserId,
    /// By whom.
    pub banned_by: UserId,
    /// Since when.
    pub banned_at: Timestamp,
    /// Until when; `None`: until lifted.
    pub expires_at: Option<Timestamp>,
    /// Why, sealed with the person's key.
    pub reason: Option<SealedText>,
}
