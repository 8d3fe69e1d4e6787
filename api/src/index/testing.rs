//! Events for the tests of this module.

use cityevents_domain::event::{Capacity, Event, EventFields, EventStatus};
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::time::Timestamp;

/// A public one.
pub(crate) fn event(number: u8, title: &str) -> Event {
    let at = Timestamp::from_millis(1_790_000_000_000);
    Event {
        id: EventId::from_bytes([number; 16]),
        owner: UserId::from_bytes([1; 16]),
        fields: EventFields {
            title: title.into(),
            description: "-".into(),
            city: "Porto".into(),
            category: "music".into(),
            location: String::new(),
            start_time: at,
            end_time: at,
            capacity: Capacity::Unlimited,
            waitlist_limit: None,
            opens_at: None,
            cover_image_ids: Vec::new(),
        },
        status: EventStatus::Published,
        version: 1,
        created_at: at,
        updated_at: at,
        published_at: Some(at),
        canceled_at: None,
    }
}
