//! The entry for a calendar that goes with a mail.

use cityevents_domain::time::Timestamp;
use cityevents_kit::calendar::{Entry, EntryStatus, Method, Parties, invitation};

use super::Site;
use crate::{EventCard, Letter, Standing};

/// What goes with a letter, if anything: what to do with the entry, and the entry (iCalendar).
///
/// Only who has a place gets one. Events of mails and of the calendar that people subscribe to have
/// the same names, and the event's version counts: a later mail changes the entry of an earlier one.
pub(super) fn of(
    site: &Site,
    letter: &Letter,
    attendee: &str,
    at: Timestamp,
) -> Option<(Method, String)> {
    let (method, event, status) = match letter {
        Letter::PlaceConfirmed { event }
        | Letter::PlaceCameFree { event }
        | Letter::EventChanged { event, standing: Standing::Active } => {
            (Method::Request, event, Some(EntryStatus::Confirmed))
        }
        Letter::EventCanceled { event, standing: Standing::Active, .. } => {
            (Method::Cancel, event, Some(EntryStatus::Canceled))
        }
        // One person is taken out, the event goes on (RFC 5546, 3.2.5).
        Letter::Removed { event, .. } => (Method::Cancel, event, None),
        _ => return None,
    };
    let organizer = site.reply_to.as_ref().unwrap_or(&site.from);
    let address = organizer.email.to_string();
    let parties = Parties {
        organizer_name: site.from.name.as_deref().unwrap_or_else(|| site.from.email.domain()),
        organizer: &address,
        attendee,
    };
    let calendar = invitation(method, &entry(event, &event.link(site), status, at), &parties);
    Some((method, calendar.to_string()))
}

fn entry<'texts>(
    event: &'texts EventCard,
    description: &'texts str,
    status: Option<EntryStatus>,
    written_at: Timestamp,
) -> Entry<'texts> {
    Entry {
        id: event.id,
        version: event.version,
        written_at,
        start_time: event.start_time,
        end_time: event.end_time,
        title: &event.title,
        description,
        category: &event.category,
        location: &event.location,
        city: &event.city,
        status,
    }
}
