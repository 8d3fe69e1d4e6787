//! Cards: what lists show of an event.

use cityevents_domain::event::{Counters, Event};
use cityevents_domain::ids::{EventId, ImageId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_kit::event_body::{EventBody, WireTime};
use cityevents_kit::openapi::IdText;
use cityevents_kit::pictures::PictureAddresses;
use cityevents_views::RegistrationRow;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// An event without its description. In the list of the own registrations, `status` is the one of
/// the registration, and `event_status` that of the event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Card<'a> {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    id: EventId,
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    owner_id: UserId,
    organizer_name: Option<&'a str>,
    title: &'a str,
    city: &'a str,
    category: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
    start_time: WireTime,
    end_time: WireTime,
    capacity: u32,
    active_participants: u32,
    waitlist_count: u32,
    waitlist_limit: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canceled_at: Option<WireTime>,
    created_at: WireTime,
    updated_at: WireTime,
    ended: bool,
    joinable: bool,
    #[serde(serialize_with = "as_texts")]
    #[schema(value_type = Vec<IdText>)]
    cover_image_ids: &'a [ImageId],
    #[serde(skip_serializing_if = "Option::is_none")]
    cover_image: Option<String>,
    version: u32,
}

impl<'a> Card<'a> {
    pub(crate) fn new(
        event: &'a Event,
        counters: &Counters,
        now: Timestamp,
        pictures: &PictureAddresses,
    ) -> Self {
        let body = EventBody::new(event, counters, now, pictures);
        Self {
            id: body.id,
            owner_id: body.owner_id,
            organizer_name: body.organizer_name,
            title: body.title,
            city: body.city,
            category: body.category,
            location: body.location,
            start_time: body.start_time,
            end_time: body.end_time,
            capacity: body.capacity,
            active_participants: body.active_participants,
            waitlist_count: body.waitlist_count,
            waitlist_limit: body.waitlist_limit,
            status: body.status,
            event_status: None,
            joined_at: None,
            position: None,
            opens_at: body.opens_at,
            published_at: body.published_at,
            canceled_at: body.canceled_at,
            created_at: body.created_at,
            updated_at: body.updated_at,
            ended: body.ended,
            joinable: body.joinable,
            cover_image_ids: body.cover_image_ids,
            cover_image: body.cover_image,
            version: body.version,
        }
    }

    /// With the organiser's name.
    pub(crate) const fn organized_by(mut self, name: Option<&'a str>) -> Self {
        self.organizer_name = name;
        self
    }

    /// The card in the list of the own registrations.
    pub(crate) fn joined(mut self, row: &RegistrationRow, position: Option<u32>) -> Self {
        self.event_status = Some(self.status);
        self.status = row.registration.status.as_str();
        self.joined_at = Some(WireTime(row.registration.joined_at));
        self.position = position;
        self
    }
}

/// An id as its text.
pub(crate) fn as_text<S: Serializer, T: std::fmt::Display>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_texts<S: Serializer>(ids: &[ImageId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(ImageId::to_string))
}
