//! What events, registrations and outcomes look like over HTTP. Writes and reads answer with the
//! same shapes, so they stand here once.
//!
//! Everything is a pure function of what the log says, and of the time that the caller passes:
//! a repeated write gets its first body again, to the letter. Such a write passes the time of the
//! event's last change as `now`; a read passes the clock's.

use std::fmt;

use axum::http::HeaderValue;
use cityevents_domain::event::{Capacity, Counters, Event, EventStatus};
use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::{EventId, ImageId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_domain::time::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::openapi::IdText;
use crate::pictures::PictureAddresses;

/// Milliseconds always: one width, and texts sort like the times.
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A time as text: RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireTime(pub Timestamp);

impl fmt::Display for WireTime {
    /// A time that the calendar does not have gets the nearest one that it has.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        // Whole seconds: the calendar's last second has no last millisecond.
        let (least, most) = (least.as_second() * 1_000, most.as_second() * 1_000);
        let millis = self.0.as_millis().clamp(least, most);
        let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        PRINTER.print_timestamp(&at, jiff::fmt::StdFmtWrite(formatter)).map_err(|_| fmt::Error)
    }
}

impl Serialize for WireTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Anything with a text form, as that text.
fn as_text<S: Serializer, T: fmt::Display>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_texts<S: Serializer>(ids: &[ImageId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(ImageId::to_string))
}

/// Whether the end of an event has passed, whether the log says so already or not.
pub fn is_ended(event: &Event, now: Timestamp) -> bool {
    match event.status {
        EventStatus::Ended => true,
        EventStatus::Published => event.fields.end_time <= now,
        EventStatus::Draft | EventStatus::Canceled => false,
    }
}

/// Whether somebody without a history with the event could join it, or wait for a place.
pub fn is_joinable(event: &Event, counters: &Counters, now: Timestamp) -> bool {
    let fields = &event.fields;
    let open = fields.opens_at.is_none_or(|opens_at| opens_at <= now);
    let place = counters.waiting == 0 && fields.capacity.free(counters.active) > 0;
    let line = fields.capacity != Capacity::Unlimited && counters.waiting < fields.waitlist_limit();
    event.status == EventStatus::Published && !is_ended(event, now) && open && (place || line)
}

/// The `ETag` of an event, which `If-Match` takes.
pub fn event_etag(version: u32) -> HeaderValue {
    // Quotes and digits always are a header value.
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// What a reason about a person is sealed to: it opens for this person and event only.
pub fn reason_place(event: &EventId, user: &UserId) -> Vec<u8> {
    [&b"reason "[..], event.as_bytes(), user.as_bytes()].concat()
}

/// An event as an object.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventBody<'a> {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    pub id: EventId,
    /// The organiser.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    pub owner_id: UserId,
    /// The organiser's name, resolved when read; `null` where it is not known, always so on writes.
    pub organizer_name: Option<&'a str>,
    /// What it is called.
    pub title: &'a str,
    /// What it is about.
    pub description: &'a str,
    /// Where.
    pub city: &'a str,
    /// What kind.
    pub category: &'a str,
    /// Where in the city.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<&'a str>,
    /// From.
    pub start_time: WireTime,
    /// To.
    pub end_time: WireTime,
    /// Places; 0 is unlimited.
    pub capacity: u32,
    /// People with a place.
    pub active_participants: u32,
    /// People in the line.
    pub waitlist_count: u32,
    /// People who may wait.
    pub waitlist_limit: u32,
    /// `draft`, `published` or `canceled`.
    pub status: &'static str,
    /// Joining is refused before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<WireTime>,
    /// First published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_at: Option<WireTime>,
    /// Called off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canceled_at: Option<WireTime>,
    /// Made.
    pub created_at: WireTime,
    /// Changed last.
    pub updated_at: WireTime,
    /// Whether the end has passed.
    pub ended: bool,
    /// Whether one could join, or wait.
    pub joinable: bool,
    /// Pictures.
    #[serde(serialize_with = "as_texts")]
    #[schema(value_type = Vec<IdText>)]
    pub cover_image_ids: &'a [ImageId],
    /// Where the first one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cover_image: Option<String>,
    /// Rises with every change of the event itself.
    pub version: u32,
}

impl<'a> EventBody<'a> {
    /// The object of an event at a time.
    pub fn new(
        event: &'a Event,
        counters: &Counters,
        now: Timestamp,
        pictures: &PictureAddresses,
    ) -> Self {
        let fields = &event.fields;
        Self {
            id: event.id,
            owner_id: event.owner,
            organizer_name: None,
            title: &fields.title,
            description: &fields.description,
            city: &fields.city,
            category: &fields.category,
            location: Some(fields.location.as_str()).filter(|location| !location.is_empty()),
            start_time: WireTime(fields.start_time),
            end_time: WireTime(fields.end_time),
            capacity: fields.capacity.to_wire(),
            active_participants: counters.active,
            waitlist_count: counters.waiting,
            waitlist_limit: fields.waitlist_limit(),
            status: wire_status(event.status),
            opens_at: fields.opens_at.map(WireTime),
            published_at: event.published_at.map(WireTime),
            canceled_at: event.canceled_at.map(WireTime),
            created_at: WireTime(event.created_at),
            updated_at: WireTime(event.updated_at),
            ended: is_ended(event, now),
            joinable: is_joinable(event, counters, now),
            cover_image_ids: &fields.cover_image_ids,
            cover_image: fields.cover_image_ids.first().map(|id| pictures.cover(id)),
            version: event.version,
        }
    }

    /// With the organiser's name.
    #[must_use]
    pub const fn with_organizer(mut self, name: Option<&'a str>) -> Self {
        self.organizer_name = name;
        self
    }
}

/// The wire knows three states; that an event is over stands in `ended`.
pub const fn wire_status(status: EventStatus) -> &'static str {
    match status {
        EventStatus::Ended => EventStatus::Published.as_str(),
        EventStatus::Draft | EventStatus::Published | EventStatus::Canceled => status.as_str(),
    }
}

/// Where somebody stands with an event: the answer of join, leave and removal.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RegistrationBody {
    /// Which event.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    pub event_id: EventId,
    /// Who.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    pub user_id: UserId,
    /// Where.
    pub status: &'static str,
    /// While waiting, 1-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Since when.
    pub updated_at: WireTime,
}

impl RegistrationBody {
    /// The object of one registration.
    pub const fn new(
        event: EventId,
        user: UserId,
        status: RegistrationStatus,
        position: Option<u32>,
        updated_at: Timestamp,
    ) -> Self {
        Self {
            event_id: event,
            user_id: user,
            status: status.as_str(),
            position,
            updated_at: WireTime(updated_at),
        }
    }
}

/// What is left to say of a command that is done: ban, lifting a ban.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DoneBody {
    /// Which event.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    pub event_id: EventId,
    /// When.
    pub updated_at: WireTime,
}

/// The body of a command that was carried out, whichever it was: what the call itself answers, and
/// what is told later about a command by its id.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum OutcomeBody<'a> {
    /// Create, change, publish, unpublish, cancel.
    Event(Box<EventBody<'a>>),
    /// Join, leave, remove.
    Registration(RegistrationBody),
    /// The others.
    Done(DoneBody),
}

impl<'a> OutcomeBody<'a> {
    /// The body of an outcome of `event`.
    pub fn new(event: &EventId, outcome: &'a Outcome, pictures: &PictureAddresses) -> Self {
        match outcome {
            Outcome::Event { event, counters } => {
                Self::Event(Box::new(EventBody::new(event, counters, event.updated_at, pictures)))
            }
            Outcome::Registration { user, status, position, updated_at } => Self::Registration(
                RegistrationBody::new(*event, *user, *status, *position, *updated_at),
            ),
            Outcome::Done { at } => {
                Self::Done(DoneBody { event_id: *event, updated_at: WireTime(*at) })
            }
        }
    }

    /// The body as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        // Strings, numbers and lists always serialise.
        let _written = serde_json::to_writer(&mut bytes, self);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use cityevents_domain::event::EventFields;

    use super::*;

    fn event() -> Event {
        let at = Timestamp::from_millis;
        Event {
            id: EventId::from_bytes([1; 16]),
            owner: UserId::from_bytes([2; 16]),
            fields: EventFields {
                title: "t".to_owned(),
                description: "d".to_owned(),
                city: "c".to_owned(),
                category: "k".to_owned(),
                location: String::new(),
                start_time: at(10_000),
                end_time: at(20_000),
                capacity: Capacity::Limited(2),
                waitlist_limit: Some(1),
                opens_at: Some(at(5_000)),
                cover_image_ids: Vec::new(),
            },
            status: EventStatus::Published,
            version: 3,
            created_at: at(0),
            updated_at: at(1),
            published_at: Some(at(1)),
            canceled_at: None,
        }
    }

    fn counters(active: u32, waiting: u32) -> Counters {
        Counters { active, waiting, checked_in: 0 }
    }

    #[test]
    fn an_event_is_joinable_while_open_with_a_place_or_room_in_the_line() {
        let event = event();
        let joinable = |counters, now| is_joinable(&event, &counters, Timestamp::from_millis(now));
        assert!(!joinable(counters(0, 0), 4_999), "not open yet");
        assert!(joinable(counters(0, 0), 5_000));
        assert!(joinable(counters(2, 0), 5_000), "the line has room");
        assert!(!joinable(counters(2, 1), 5_000), "full");
        assert!(!joinable(counters(1, 1), 5_000), "nobody overtakes the line");
        assert!(!joinable(counters(0, 0), 20_000), "over, whether the log says so or not");
        let unlimited = Event {
            fields: EventFields { capacity: Capacity::Unlimited, ..event.fields.clone() },
            ..event.clone()
        };
        let now = Timestamp::from_millis(5_000);
        assert!(is_joinable(&unlimited, &counters(4_000_000, 0), now));
        let draft = Event { status: EventStatus::Draft, ..event.clone() };
        assert!(!is_joinable(&draft, &counters(0, 0), now));
    }

    #[test]
    fn an_event_that_is_over_is_published_and_ended_on_the_wire() {
        let event = Event { status: EventStatus::Ended, ..event() };
        let config = crate::Config::load(crate::config::Sources::default()).unwrap().config;
        let pictures = PictureAddresses::of(&config);
        let body = EventBody::new(&event, &counters(1, 0), event.updated_at, &pictures);
        let body = serde_json::to_value(body).unwrap();
        assert_eq!((&body["status"], &body["ended"]), (&"published".into(), &true.into()));
        assert_eq!(body["end_time"], "1970-01-01T00:00:20.000Z");
        assert_eq!(body["organizer_name"], serde_json::Value::Null);
        assert!(body.get("location").is_none() && body.get("canceled_at").is_none());
    }

    #[test]
    fn a_time_beyond_the_calendar_gets_the_nearest_text() {
        assert_eq!(WireTime(Timestamp::MIN).to_string(), "-009999-01-02T01:59:59.000Z");
        let last = WireTime(Timestamp::from_millis(i64::MAX));
        assert_eq!(last.to_string(), "9999-12-30T22:00:00.000Z");
    }
}
