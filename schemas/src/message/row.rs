//! An event's row and the fields in it.

use cityevents_domain::event::{Capacity, Event, EventFields, EventStatus};
use cityevents_domain::ids::{EventId, ImageId, UserId};
use cityevents_domain::time::Timestamp;

use super::parts::{from_time, tag, to_time, to_u32, to_u32_option};
use crate::error::DecodeError;
use crate::wire;

pub(super) fn from_images(images: &[ImageId]) -> Vec<[u8; 16]> {
    images.iter().map(|image| *image.as_bytes()).collect()
}

pub(super) fn to_images(images: &[[u8; 16]]) -> Vec<ImageId> {
    images.iter().copied().map(ImageId::from_bytes).collect()
}

pub(super) fn from_fields(fields: &EventFields) -> wire::EventFields<'_> {
    wire::EventFields {
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
        cover_image_ids: from_images(&fields.cover_image_ids),
    }
}

pub(super) fn to_fields(fields: &wire::EventFields<'_>) -> Result<EventFields, DecodeError> {
    Ok(EventFields {
        title: fields.title.into(),
        description: fields.description.into(),
        city: fields.city.into(),
        category: fields.category.into(),
        location: fields.location.into(),
        start_time: Timestamp::from_millis(fields.start_time),
        end_time: Timestamp::from_millis(fields.end_time),
        capacity: Capacity::from_wire(to_u32("capacity", fields.capacity)?),
        waitlist_limit: to_u32_option("waitlist_limit", fields.waitlist_limit)?,
        opens_at: to_time(fields.opens_at),
        cover_image_ids: to_images(&fields.cover_image_ids),
    })
}

pub(super) fn from_event(event: &Event) -> wire::EventRow<'_> {
    wire::EventRow {
        event_id: *event.id.as_bytes(),
        owner_id: *event.owner.as_bytes(),
        fields: from_fields(&event.fields),
        status: event.status.as_str(),
        version: event.version.into(),
        created_at: event.created_at.as_millis(),
        updated_at: event.updated_at.as_millis(),
        published_at: from_time(event.published_at),
        canceled_at: from_time(event.canceled_at),
    }
}

pub(super) fn to_event(row: &wire::EventRow<'_>) -> Result<Event, DecodeError> {
    Ok(Event {
        id: EventId::from_bytes(row.event_id),
        owner: UserId::from_bytes(row.owner_id),
        fields: to_fields(&row.fields)?,
        status: tag("event status", row.status, EventStatus::parse)?,
        version: to_u32("version", row.version)?,
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
        published_at: to_time(row.published_at),
        canceled_at: to_time(row.canceled_at),
    })
}
