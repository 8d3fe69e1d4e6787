//! Flat rows for readers that are not ours: values of `events` and `registrations`.
//!
//! Ids are text and times are timestamps, as table sinks expect. An event's row has no counters:
//! they change with every join, so the topic would carry a row for each join and compaction would
//! have nothing to save; who wants them counts the rows of `registrations`.

use std::str::FromStr;

use cityevents_domain::event::{COVER_IMAGES_MAX, Capacity, Event, EventFields, EventStatus};
use cityevents_domain::ids::{EventId, ImageId, InvalidId};
use cityevents_domain::registration::{Registration, RegistrationStatus};
use cityevents_domain::time::Timestamp;

use super::parts::{from_time, tag, to_time, to_u32, to_u32_option};
use crate::codecs::{Codecs, parse_whole};
use crate::error::DecodeError;
use crate::record::Record;
use crate::text::UuidText;
use crate::wire;

// A table has one column for each picture.
const _: () = assert!(COVER_IMAGES_MAX == 2);

/// A registration, and of which event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatRegistration {
    /// Of which event.
    pub event: EventId,
    /// Its row.
    pub registration: Registration,
}

/// Appends an event as a framed flat record.
pub fn encode_event(event: &Event, out: &mut Vec<u8>) {
    Codecs::installed().encode_event(event, out);
}

/// Reads an event from a framed flat record.
pub fn decode_event(bytes: &[u8]) -> Result<Event, DecodeError> {
    Codecs::installed().decode_event(bytes)
}

/// Appends a registration as a framed flat record.
pub fn encode_registration(event: &EventId, registration: &Registration, out: &mut Vec<u8>) {
    Codecs::installed().encode_registration(event, registration, out);
}

/// Reads a registration from a framed flat record.
pub fn decode_registration(bytes: &[u8]) -> Result<FlatRegistration, DecodeError> {
    Codecs::installed().decode_registration(bytes)
}

impl Codecs {
    /// See [`encode_event`].
    pub fn encode_event(&self, event: &Event, out: &mut Vec<u8>) {
        let (id, owner) =
            (UuidText::new(event.id.as_bytes()), UuidText::new(event.owner.as_bytes()));
        let fields = &event.fields;
        let image =
            |at: usize| fields.cover_image_ids.get(at).map(|id| UuidText::new(id.as_bytes()));
        let (first, second) = (image(0), image(1));
        let record = wire::Event {
            event_id: id.as_str(),
            owner_id: owner.as_str(),
            title: &fields.title,
            description: &fields.description,
            city: &fields.city,
            category: &fields.category,
            location: &fields.location,
            start_time: fields.start_time.as_millis(),
            end_time: fields.end_time.as_millis(),
            capacity: fields.capacity.to_wire().into(),
            waitlist_limit: fields.waitlist_limit.map(i64::from),
            opens_at: from_time(fields.opens_at),
            cover_image_id_1: first.as_ref().map(UuidText::as_str),
            cover_image_id_2: second.as_ref().map(UuidText::as_str),
            status: event.status.as_str(),
            version: event.version.into(),
            created_at: event.created_at.as_millis(),
            updated_at: event.updated_at.as_millis(),
            published_at: from_time(event.published_at),
            canceled_at: from_time(event.canceled_at),
        };
        self.write(Record::Event, &record, out);
    }

    /// See [`decode_event`].
    pub fn decode_event(&self, bytes: &[u8]) -> Result<Event, DecodeError> {
        self.read(Record::Event, bytes, |body| parse_whole(body, to_event))
    }

    /// See [`encode_registration`].
    pub fn encode_registration(
        &self,
        event: &EventId,
        registration: &Registration,
        out: &mut Vec<u8>,
    ) {
        let (event, user) =
            (UuidText::new(event.as_bytes()), UuidText::new(registration.user.as_bytes()));
        let record = wire::Registration {
            event_id: event.as_str(),
            user_id: user.as_str(),
            status: registration.status.as_str(),
            joined_at: registration.joined_at.as_millis(),
            updated_at: registration.updated_at.as_millis(),
            ticket: registration.ticket.map(i64::from),
            checked_in_at: from_time(registration.checked_in_at),
        };
        self.write(Record::Registration, &record, out);
    }

    /// See [`decode_registration`].
    pub fn decode_registration(&self, bytes: &[u8]) -> Result<FlatRegistration, DecodeError> {
        self.read(Record::Registration, bytes, |body| parse_whole(body, to_registration))
    }
}

fn id<T: FromStr<Err = InvalidId>>(field: &'static str, text: &str) -> Result<T, DecodeError> {
    text.parse().map_err(|InvalidId| DecodeError::InvalidId { field })
}

fn to_event(row: &wire::Event<'_>) -> Result<Event, DecodeError> {
    let images = [row.cover_image_id_1, row.cover_image_id_2];
    let images: Result<Vec<ImageId>, _> =
        images.into_iter().flatten().map(|image| id("cover_image_id", image)).collect();
    Ok(Event {
        id: id("event_id", row.event_id)?,
        owner: id("owner_id", row.owner_id)?,
        fields: EventFields {
            title: row.title.into(),
            description: row.description.into(),
            city: row.city.into(),
            category: row.category.into(),
            location: row.location.into(),
            start_time: Timestamp::from_millis(row.start_time),
            end_time: Timestamp::from_millis(row.end_time),
            capacity: Capacity::from_wire(to_u32("capacity", row.capacity)?),
            waitlist_limit: to_u32_option("waitlist_limit", row.waitlist_limit)?,
            opens_at: to_time(row.opens_at),
            cover_image_ids: images?,
        },
        status: tag("event status", row.status, EventStatus::parse)?,
        version: to_u32("version", row.version)?,
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
        published_at: to_time(row.published_at),
        canceled_at: to_time(row.canceled_at),
    })
}

fn to_registration(row: &wire::Registration<'_>) -> Result<FlatRegistration, DecodeError> {
    let registration = Registration {
        user: id("user_id", row.user_id)?,
        status: tag("registration status", row.status, RegistrationStatus::parse)?,
        joined_at: Timestamp::from_millis(row.joined_at),
        updated_at: Timestamp::from_millis(row.updated_at),
        ticket: to_u32_option("ticket", row.ticket)?,
        checked_in_at: to_time(row.checked_in_at),
    };
    Ok(FlatRegistration { event: id("event_id", row.event_id)?, registration })
}
