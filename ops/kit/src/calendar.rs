//! Events as calendars read them: iCalendar (RFC 5545), and how calendars are told of changes (iTIP,
//! RFC 5546).
//!
//! An event has one name in every calendar, wherever the calendar got it from, so that a mail
//! changes the entry that a mail made. Whatever people wrote stays the value of its property.

use std::fmt::Write as _;

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use icalendar::{Calendar, Component as _, EventLike as _, Property};
use jiff::fmt::strtime;

/// Names who wrote a calendar (RFC 5545, 3.7.3).
const PRODUCT: &str = "-//CityEvents//CityEvents//EN";
/// UTC, form 2 of RFC 5545, 3.3.5.
const TIME_FORM: &str = "%Y%m%dT%H%M%SZ";
/// How often a calendar that is subscribed to should be read again (RFC 7986, 5.7).
const REFRESH: &str = "PT1H";

/// Whether an event takes place for the owner of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryStatus {
    /// It does.
    Confirmed,
    /// Perhaps.
    Tentative,
    /// It does not.
    Canceled,
}

impl EntryStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "CONFIRMED",
            Self::Tentative => "TENTATIVE",
            Self::Canceled => "CANCELLED",
        }
    }
}

/// An event in a calendar.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'texts> {
    /// Which event.
    pub id: EventId,
    /// Counts its changes.
    pub version: u32,
    /// Of two entries with one version, the later one counts.
    pub written_at: Timestamp,
    /// From.
    pub start_time: Timestamp,
    /// Until.
    pub end_time: Timestamp,
    /// What it is called.
    pub title: &'texts str,
    /// More about it.
    pub description: &'texts str,
    /// What kind of event.
    pub category: &'texts str,
    /// Where in the city; empty when not said.
    pub location: &'texts str,
    /// Where.
    pub city: &'texts str,
    /// Whether it takes place; nothing is said of it when one person is taken out only.
    pub status: Option<EntryStatus>,
}

/// Who invites whom. Addresses have been looked at already.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'texts> {
    /// Name of who invites.
    pub organizer_name: &'texts str,
    /// Address of who invites; programs write there when somebody declines.
    pub organizer: &'texts str,
    /// Address of who is invited.
    pub attendee: &'texts str,
}

/// What a calendar program is to do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Put it in, or change it.
    Request,
    /// Take it out.
    Cancel,
}

impl Method {
    /// The word of RFC 5546, also for the type of the content.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Cancel => "CANCEL",
        }
    }
}

/// Entries as one calendar to subscribe to, under a name.
pub fn published(name: &str, entries: &[Entry<'_>]) -> Calendar {
    let mut calendar = empty("PUBLISH");
    calendar.append_property(("REFRESH-INTERVAL;VALUE=DURATION", REFRESH));
    calendar.append_property(("X-WR-CALNAME", &*one_line(name)));
    for entry in entries {
        calendar.push(event(entry));
    }
    calendar
}

/// One entry for the calendar of one person, who has said yes already and is not asked again.
pub fn invitation(method: Method, entry: &Entry<'_>, parties: &Parties<'_>) -> Calendar {
    let mut calendar = empty(method.as_str());
    let mut event = event(entry);
    let mut organizer = Property::new("ORGANIZER", mailto(parties.organizer));
    organizer.add_parameter("CN", &quoted(parties.organizer_name));
    event.append_property(organizer.done());
    let mut attendee = Property::new("ATTENDEE", mailto(parties.attendee));
    for (name, value) in [("ROLE", "REQ-PARTICIPANT"), ("PARTSTAT", "ACCEPTED"), ("RSVP", "FALSE")]
    {
        attendee.add_parameter(name, value);
    }
    event.append_multi_property(attendee.done());
    calendar.push(event);
    calendar
}

fn empty(method: &str) -> Calendar {
    let mut calendar = Calendar::empty();
    let first = [("VERSION", "2.0"), ("PRODID", PRODUCT), ("CALSCALE", "GREGORIAN")];
    for property in first.into_iter().chain([("METHOD", method)]) {
        calendar.append_property(property);
    }
    calendar
}

fn event(entry: &Entry<'_>) -> icalendar::Event {
    let place = [entry.location, entry.city];
    let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
    let mut event = icalendar::Event::new();
    event
        .uid(&format!("{}@cityevents", entry.id))
        .add_property("DTSTAMP", time(entry.written_at))
        .add_property("DTSTART", time(entry.start_time))
        .add_property("DTEND", time(entry.end_time))
        .add_property("SEQUENCE", entry.version.to_string())
        .categories([one_line(entry.category)])
        .location(&one_line(&place.join(", ")))
        .summary(&one_line(entry.title))
        .description(&lines(entry.description));
    if let Some(status) = entry.status {
        event.add_property("STATUS", status.as_str());
    }
    event
}

fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    strtime::format(TIME_FORM, at).unwrap_or_default()
}

/// An address as a URI (RFC 6068): what is not of the plain kind in percent signs.
fn mailto(address: &str) -> String {
    let mut uri = "mailto:".to_owned();
    for byte in address.bytes() {
        if byte.is_ascii_alphanumeric() || b"@.-_+~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// A value of a parameter (RFC 5545, 3.2): in quotes, which cannot stand in it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", one_line(text).replace('"', "'"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_names_both_and_nothing_in_them_starts_a_line_or_a_parameter() {
        let at = Timestamp::from_millis(1_800_000_000_000);
        let entry = Entry {
            id: EventId::from_bytes([7; 16]),
            version: 4,
            written_at: at,
            start_time: at,
            end_time: at,
            title: "Night\r\nATTENDEE:mailto:eve@example.org",
            description: "x",
            category: "walk, slow",
            location: "",
            city: "Porto",
            status: None,
        };
        let parties = Parties {
            organizer_name: "Events; \"all\":\r\nof them",
            organizer: "no-reply@example.org",
            attendee: "\"a;b\"@example.org",
        };
        let text = invitation(Method::Cancel, &entry, &parties).to_string().replace("\r\n ", "");
        for line in [
            "METHOD:CANCEL",
            "UID:07070707-0707-0707-0707-070707070707@cityevents",
            "SEQUENCE:4",
            "ORGANIZER;CN=\"Events; 'all':  of them\":mailto:no-reply@example.org",
            "ATTENDEE;PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;RSVP=FALSE:mailto:%22a%3Bb%22@example.org",
            "LOCATION:Porto",
            r"CATEGORIES:walk\, slow",
        ] {
            assert_eq!(text.split("\r\n").filter(|one| *one == line).count(), 1, "{line}\n{text}");
        }
        assert_eq!(text.matches("ATTENDEE;").count(), 1);
        assert!(!text.contains("STATUS:") && !text.contains("\r\nATTENDEE:"), "{text}");
    }
}
