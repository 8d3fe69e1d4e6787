//! Events as calendars subscribe to them.

use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use cityevents_domain::event::{Event, EventStatus};
use cityevents_kit::calendar::{Entry, EntryStatus, published};
use icalendar::Calendar;

/// Whether somebody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attendance {
    /// Certainly, or nobody in particular asks.
    Certain,
    /// The person waits for a place.
    Waiting,
}

/// Events as one calendar, under a name.
pub(crate) fn calendar(name: &str, events: &[(Event, Attendance)]) -> Calendar {
    let entries: Vec<_> =
        events.iter().map(|(event, attendance)| entry(event, *attendance)).collect();
    published(name, &entries)
}

/// A calendar as an answer.
pub(crate) fn answer(calendar: &Calendar) -> Response {
    let mut response = calendar.to_string().into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/calendar; charset=utf-8");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let file = HeaderValue::from_static("attachment; filename=\"cityevents.ics\"");
    headers.insert(CONTENT_DISPOSITION, file);
    response
}

fn entry(event: &Event, attendance: Attendance) -> Entry<'_> {
    let fields = &event.fields;
    let status = match (event.status, attendance) {
        (EventStatus::Canceled, _) => EntryStatus::Canceled,
        (EventStatus::Draft, _) | (_, Attendance::Waiting) => EntryStatus::Tentative,
        (EventStatus::Published | EventStatus::Ended, Attendance::Certain) => {
            EntryStatus::Confirmed
        }
    };
    Entry {
        id: event.id,
        version: event.version,
        written_at: event.updated_at,
        start_time: fields.start_time,
        end_time: fields.end_time,
        title: &fields.title,
        description: &fields.description,
        category: &fields.category,
        location: &fields.location,
        city: &fields.city,
        status: Some(status),
    }
}
