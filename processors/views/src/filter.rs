//! Which events a list shows. Pure, and the same for every adapter.

use cityevents_domain::event::{Event, EventStatus};

use crate::query::{EventFilter, EventPosition};
use crate::tables::SCANNED_ROWS_MAX;
use crate::text::{Words, fold};

/// Whether strangers see an event of this state in lists.
pub(crate) const fn is_listed(status: EventStatus) -> bool {
    matches!(status, EventStatus::Published | EventStatus::Ended)
}

/// The place of an event in the list of public events.
pub(crate) const fn position_of(event: &Event) -> EventPosition {
    EventPosition { start_time: event.fields.start_time, event: event.id }
}

/// How many items a page may have: at least one, and no more than it may look at.
pub(crate) fn page_limit(asked: usize) -> usize {
    asked.clamp(1, SCANNED_ROWS_MAX)
}

/// A filter made ready for many events.
pub(crate) struct Matcher {
    pub(crate) city: Option<String>,
    pub(crate) category: Option<String>,
    filter: EventFilter,
    words: Words,
}

impl Matcher {
    pub(crate) fn new(filter: EventFilter) -> Self {
        Self {
            city: filter.city.as_deref().map(fold),
            category: filter.category.as_deref().map(fold),
            words: Words::parse(filter.words.as_deref().unwrap_or_default()),
            filter,
        }
    }

    /// Whether the list shows this event, the cheap conditions first.
    pub(crate) fn shows(&self, event: &Event) -> bool {
        let fields = &event.fields;
        let same = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| *wanted == fold(text))
        };
        is_listed(event.status)
            && self.filter.starts_from.is_none_or(|from| fields.start_time >= from)
            && self.filter.starts_before.is_none_or(|before| fields.start_time < before)
            && self
                .filter
                .not_ended_at
                .is_none_or(|now| event.status == EventStatus::Published && fields.end_time > now)
            && same(&self.city, &fields.city)
            && same(&self.category, &fields.category)
            && self.words.are_in(&[&fields.title, &fields.city, &fields.description])
    }
}
