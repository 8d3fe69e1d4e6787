//! Rows to test with: whole, and different from each other in every field.

use cityevents_domain::event::{Capacity, Counters, Event, EventFields, EventStatus};
use cityevents_domain::ids::{CommandId, EventId, ImageId, UserId};
use cityevents_domain::registration::{
    Ban, Registration, RegistrationCause, RegistrationStatus, SealedText,
};
use cityevents_domain::time::Timestamp;

use crate::row::{BanRow, CountersRow, EventRow, RegistrationRow};

fn bytes(kind: u8, number: u64) -> [u8; 16] {
    let mut bytes = [kind; 16];
    if let Some(tail) = bytes.last_chunk_mut() {
        *tail = number.to_be_bytes();
    }
    bytes
}

/// Event number so and so; ids rise with the number.
pub fn event_id(number: u64) -> EventId {
    EventId::from_bytes(bytes(0xe0, number))
}

/// User number so and so; ids rise with the number.
pub fn user_id(number: u64) -> UserId {
    UserId::from_bytes(bytes(0xa0, number))
}

/// Command number so and so.
pub fn command_id(number: u64) -> CommandId {
    CommandId::from_bytes(bytes(0xc0, number))
}

/// A time so many milliseconds after 1970.
pub const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A published event of user 1 that starts at `start` and lasts 1000 ms.
pub fn event(number: u64, start: i64) -> EventRow {
    EventRow {
        event: Event {
            id: event_id(number),
            owner: user_id(1),
            fields: EventFields {
                title: format!("Jazz night {number}"),
                description: "Open air, with the Łódź quartet".to_owned(),
                city: "Köln".to_owned(),
                category: "Music".to_owned(),
                location: String::new(),
                start_time: at(start),
                end_time: at(start.saturating_add(1_000)),
                capacity: Capacity::Limited(100),
                waitlist_limit: Some(7),
                opens_at: Some(at(-1)),
                cover_image_ids: vec![ImageId::from_bytes([3; 16]), ImageId::from_bytes([4; 16])],
            },
            status: EventStatus::Published,
            version: 2,
            created_at: at(10 + number as i64),
            updated_at: at(20),
            published_at: Some(at(15)),
            canceled_at: None,
        },
        event_seq: 2,
    }
}

/// The same event in another state.
pub fn in_state(mut row: EventRow, status: EventStatus) -> EventRow {
    row.event.status = status;
    row
}

/// The same event elsewhere.
pub fn in_city(mut row: EventRow, city: &str) -> EventRow {
    row.event.fields.city = city.to_owned();
    row
}

/// A place of a person, taken at `joined`.
pub fn active(event: u64, user: u64, joined: i64) -> RegistrationRow {
    RegistrationRow {
        event: event_id(event),
        registration: Registration {
            user: user_id(user),
            status: RegistrationStatus::Active,
            joined_at: at(joined),
            updated_at: at(joined),
            ticket: None,
            checked_in_at: None,
        },
        cause: RegistrationCause::Joined,
        position: None,
        reason: None,
    }
}

/// A person in the line.
pub fn waiting(event: u64, user: u64, joined: i64, ticket: u32) -> RegistrationRow {
    let mut row = active(event, user, joined);
    row.registration.status = RegistrationStatus::Waitlisted;
    row.registration.ticket = Some(ticket);
    row.position = Some(ticket.saturating_add(1));
    row
}

/// The same registration after something happened to it.
pub fn then(
    mut row: RegistrationRow,
    status: RegistrationStatus,
    cause: RegistrationCause,
) -> RegistrationRow {
    row.registration.status = status;
    row.registration.ticket = None;
    row.cause = cause;
    row.position = None;
    row
}

/// A ban.
pub fn ban(event: u64, user: u64) -> BanRow {
    BanRow {
        event: event_id(event),
        user: user_id(user),
        ban: Some(Ban {
            user: user_id(user),
            banned_by: user_id(1),
            banned_at: at(30),
            expires_at: Some(at(40)),
            reason: Some(SealedText(vec![0, 1, 255])),
        }),
    }
}

/// Counters with so many active.
pub fn counters(event: u64, active: u32, event_seq: u64) -> CountersRow {
    let counters = Counters { active, waiting: 3, checked_in: 1 };
    CountersRow { event: event_id(event), counters, event_seq }
}
