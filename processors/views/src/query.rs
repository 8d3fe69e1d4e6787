//! What can be asked of a list, and what it answers.
//!
//! Lists go by keyset: a page ends at a position, and the next one begins behind it. Whatever comes
//! and goes in between, a row that keeps its place is seen exactly once.

use cityevents_domain::event::EventStatus;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_domain::time::Timestamp;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, P> {
    /// The rows, in the order of the list.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end. A page looks at a bounded number of rows, so with a
    /// filter that few pass it may have fewer items than asked for, or none, and still go on.
    pub next: Option<P>,
}

/// A place in the list of one's own events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnEventPosition {
    /// When the event was created.
    pub created_at: Timestamp,
    /// The event.
    pub event: EventId,
}

/// A place in the list of the people of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantPosition {
    /// When the person joined, the last time.
    pub joined_at: Timestamp,
    /// The person.
    pub user: UserId,
}

/// A place in the list of one's own registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnJoinPosition {
    /// When the person joined, the last time.
    pub joined_at: Timestamp,
    /// The event.
    pub event: EventId,
}

/// A page of the list of one's own events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnEventsQuery {
    /// Whose.
    pub owner: UserId,
    /// In these states only; `None` in any.
    pub statuses: Option<Vec<EventStatus>>,
    /// Behind this place; `None` from the beginning.
    pub after: Option<OwnEventPosition>,
    /// Most items, at least 1.
    pub limit: usize,
}

/// A page of the list of the people of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantsQuery {
    /// Which event.
    pub event: EventId,
    /// In this state only; `None` in any.
    pub status: Option<RegistrationStatus>,
    /// Behind this place; `None` from the beginning.
    pub after: Option<ParticipantPosition>,
    /// Most items, at least 1.
    pub limit: usize,
}
