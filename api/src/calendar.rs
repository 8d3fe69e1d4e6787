//! Events as calendars read them: iCalendar (RFC 5545).

use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use cityevents_domain::event::{Event, EventStatus};
use cityevents_domain::time::Timestamp;
use icalendar::{Calendar, Component as _, EventLike as _};
use jiff::fmt::strtime;

/// Names who wrote a calendar (RFC 5545, 3.7.3).
const PRODUCT: &str = "-//CityEvents//CityEvents//EN";
/// UTC, form 2 of RFC 5545, 3.3.5.
const TIME_FORM: &str = "%Y%m%dT%H%M%SZ";
/// How often a calendar that is subscribed to should be read again (RFC 7986, 5.7).
const REFRESH: &str = "PT1H";

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
    let mut calendar = Calendar::empty();
    for (key, value) in [
        ("VERSION", "2.0"),
        ("PRODID", PRODUCT),
        ("CALSCALE", "GREGORIAN"),
        ("METHOD", "PUBLISH"),
        ("REFRESH-INTERVAL;VALUE=DURATION", REFRESH),
        ("X-WR-CALNAME", &one_line(name)),
    ] {
        calendar.append_property((key, value));
    }
    for (event, attendance) in events {
        calendar.push(entry(event, *attendance));
    }
    calendar
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

fn entry(event: &Event, attendance: Attendance) -> icalendar::Event {
    let fields = &event.fields;
    let place = [&*fields.location, &*fields.city];
    let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
    let status = match (event.status, attendance) {
        (EventStatus::Canceled, _) => "CANCELLED",
        (EventStatus::Draft, _) | (_, Attendance::Waiting) => "TENTATIVE",
        (EventStatus::Published | EventStatus::Ended, Attendance::Certain) => "CONFIRMED",
    };
    let mut entry = icalendar::Event::new();
    entry
        .uid(&format!("{}@cityevents", event.id))
        .add_property("DTSTAMP", time(event.updated_at))
        .add_property("DTSTART", time(fields.start_time))
        .add_property("DTEND", time(fields.end_time))
        .add_property("SEQUENCE", event.version.to_string())
        .add_property("STATUS", status)
        .add_property("CATEGORIES", one_line(&fields.category))
        .location(&one_line(&place.join(", ")))
        .summary(&one_line(&fields.title))
        .description(&lines(&fields.description));
    entry
}

fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    strtime::format(TIME_FORM, at).unwrap_or_default()
}

/// Without anything that would end a line.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// With line feeds only, which are escaped.
fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars().map(|one| if one.is_control() && one != '\n' { ' ' } else { one }).collect()
}
