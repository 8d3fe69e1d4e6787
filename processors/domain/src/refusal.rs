//! Why a command is not carried out: an exhaustive list in order of precedence.

use crate::time::Timestamp;

/// The reasons, the one that is looked at first coming first. Code strings never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The id of a command that produced a fact came again with another body. Looked at before
    /// everything else.
    IdempotencyKeyMismatch,
    /// No such event, or a draft that was never published and is none of the actor's business.
    EventNotFound,
    /// Neither owner nor staff.
    Forbidden,
    /// The event was called off.
    EventCanceled,
    /// The event is over.
    EventEnded,
    /// Joining needs a published event.
    EventNotPublished,
    /// Joining is not open before `opens_at`.
    NotOpenYet {
        /// When it opens.
        opens_at: Timestamp,
    },
    /// The organiser cannot join, be removed from or be banned from the own event.
    IsOrganizer,
    /// The organiser keeps this person out.
    Banned,
    /// The organiser removed this person.
    RemovedByOrganizer,
    /// No place, and no room in the line.
    EventFull,
    /// The person has no registration that this could be done to.
    NotJoined,
    /// The person came through the door before.
    AlreadyCheckedIn {
        /// When, the first time.
        first_at: Timestamp,
    },
    /// The event has changed since the version that the caller expected.
    VersionConflict {
        /// The version that it has.
        current: u32,
    },
    /// The event or its fields do not allow it now.
    InvalidState,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IdempotencyKeyMismatch => "idempotency_key_mismatch",
            Self::EventNotFound => "event_not_found",
            Self::Forbidden => "forbidden",
            Self::EventCanceled => "event_canceled",
            Self::EventEnded => "event_ended",
            Self::EventNotPublished => "event_not_published",
            Self::NotOpenYet { .. } => "not_open_yet",
            Self::IsOrganizer => "is_organizer",
            Self::Banned => "banned",
            Self::RemovedByOrganizer => "removed_by_organizer",
            Self::EventFull => "event_full",
            Self::NotJoined => "not_joined",
            Self::AlreadyCheckedIn { .. } => "already_checked_in",
            Self::VersionConflict { .. } => "version_conflict",
            Self::InvalidState => "invalid_state",
        }
    }

    /// The one number that some refusals carry: a time in milliseconds, or a version.
    pub const fn detail(&self) -> Option<i64> {
        match self {
            Self::NotOpenYet { opens_at: at } | Self::AlreadyCheckedIn { first_at: at } => {
                Some(at.as_millis())
            }
            Self::VersionConflict { current } => Some(*current as i64),
            _ => None,
        }
    }

    /// The refusal of a code and its number, if there is one.
    pub fn parse(code: &str, detail: Option<i64>) -> Option<Self> {
        let at = Timestamp::from_millis(detail.unwrap_or_default());
        let current = u32::try_from(detail.unwrap_or_default()).unwrap_or(u32::MAX);
        [
            Self::IdempotencyKeyMismatch,
            Self::EventNotFound,
            Self::Forbidden,
            Self::EventCanceled,
            Self::EventEnded,
            Self::EventNotPublished,
            Self::NotOpenYet { opens_at: at },
            Self::IsOrganizer,
            Self::Banned,
            Self::RemovedByOrganizer,
            Self::EventFull,
            Self::NotJoined,
            Self::AlreadyCheckedIn { first_at: at },
            Self::VersionConflict { current },
            Self::InvalidState,
        ]
        .into_iter()
        .find(|refusal| refusal.code() == code)
    }
}
