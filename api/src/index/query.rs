//! What can be asked of the index, and what it answers.

use std::cmp::Reverse;
use std::sync::Arc;

use cityevents_domain::event::Event;
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;

use super::score::Weights;

/// A place in the order of starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPosition {
    /// The start of the event.
    pub start_time: Timestamp,
    /// The event.
    pub event: EventId,
}

/// A place in the order of publication, the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationPosition {
    /// When the event was published.
    pub published_at: Reverse<Timestamp>,
    /// The event.
    pub event: EventId,
}

/// Which events; every condition must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The city, but for case.
    pub city: Option<String>,
    /// The category, but for case.
    pub category: Option<String>,
    /// Starting at this time or later.
    pub starts_from: Option<Timestamp>,
    /// Starting before this time.
    pub starts_before: Option<Timestamp>,
    /// Leave out what is over at this time.
    pub not_ended_at: Option<Timestamp>,
}

/// A page of public events, by start and then by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ByStart {
    /// Which events.
    pub filter: Filter,
    /// Behind this place; `None` from the beginning.
    pub after: Option<EventPosition>,
    /// Most items, at least 1.
    pub limit: usize,
}

/// A page of public events that are not over, the last published first, then by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ByPublication {
    /// Which events.
    pub filter: Filter,
    /// Behind this place; `None` from the beginning.
    pub after: Option<PublicationPosition>,
    /// Most items, at least 1.
    pub limit: usize,
}

/// A page of events that have all the words that somebody typed.
#[derive(Debug, Clone)]
pub struct Search {
    /// What was typed.
    pub typed: String,
    /// Which events.
    pub filter: Filter,
    /// In which order, and behind which place.
    pub order: Order,
    /// Most items, at least 1.
    pub limit: usize,
}

/// The order of what is found.
#[derive(Debug, Clone)]
pub enum Order {
    /// By start, then by id.
    Start {
        /// Behind this place.
        after: Option<EventPosition>,
    },
    /// What is not over, the last published first, then by id.
    Publication {
        /// Behind this place.
        after: Option<PublicationPosition>,
    },
    /// By how well it fits, then by start and id.
    Relevance {
        /// Behind this place.
        after: Option<RelevancePosition>,
    },
}

/// A place in the order of relevance. It carries the statistics that the first page was scored
/// with, so that every page of a walk scores alike, whatever came and went in between.
#[derive(Debug, Clone, PartialEq)]
pub struct RelevancePosition {
    /// How well the last item fitted.
    pub(crate) score: u32,
    /// Its start and id.
    pub(crate) place: EventPosition,
    /// What all pages are scored with.
    pub(crate) weights: Arc<Weights>,
}

/// A page.
#[derive(Debug, Clone)]
pub struct Found {
    /// The events in order, with their scores where that is the order.
    pub events: Vec<Arc<Event>>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Next>,
}

impl Found {
    /// Of a question that no event can answer.
    pub(super) const fn nothing() -> Self {
        Self { events: Vec::new(), next: None }
    }

    /// The first `limit` of what a list shows. `place` says where the last of them stands.
    pub(super) fn page(
        shown: impl Iterator<Item = Arc<Event>>,
        limit: usize,
        place: impl Fn(&Event) -> Next,
    ) -> Self {
        let mut events: Vec<_> = shown.take(limit.saturating_add(1)).collect();
        let has_more = events.len() > limit;
        events.truncate(limit);
        let next = events.last().filter(|_| has_more).map(|last| place(last));
        Self { events, next }
    }
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// In the order of starts.
    Start(EventPosition),
    /// In the order of publication.
    Publication(PublicationPosition),
    /// In the order of relevance.
    Relevance(RelevancePosition),
}

/// The place of an event in the order of starts.
pub(super) const fn place_of(event: &Event) -> EventPosition {
    EventPosition { start_time: event.fields.start_time, event: event.id }
}

/// The place of an event in the order of publication. What was never published has none in lists.
pub(super) fn publication_of(event: &Event) -> PublicationPosition {
    let published_at = Reverse(event.published_at.unwrap_or(event.created_at));
    PublicationPosition { published_at, event: event.id }
}

/// Before all places of this start.
pub(super) const fn first_at(start_time: Timestamp) -> EventPosition {
    EventPosition { start_time, event: EventId::from_bytes([0; 16]) }
}
