//! What each letter says, in plain words.

use cityevents_domain::time::Timestamp;
use jiff::fmt::strtime;

use super::{Recipient, Site};
use crate::{EventCard, Letter, Standing};

/// Subject and text.
pub(super) fn render(site: &Site, letter: &Letter, recipient: &Recipient) -> (String, String) {
    let hello = recipient
        .name
        .as_ref()
        .map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},"));
    let link = |path: &str, token: &str| format!("{}/{path}?token={token}", site.public_url);
    let (subject, said) = match letter {
        Letter::VerifyAddress { token } => (
            "Please confirm your address".to_owned(),
            format!(
                "please confirm that this is your address:\n\n{}\n\nThe link is good for 24 hours. \
                 If you have not made an account, do nothing.",
                link("verify-email", token.expose())
            ),
        ),
        Letter::ResetPassword { token } => (
            "Choose another password".to_owned(),
            format!(
                "somebody, you we hope, wants to choose another password for your account:\n\n{}\n\n\
                 The link is good for 30 minutes, once. If it was not you, do nothing: your \
                 password stays as it is.",
                link("reset-password", token.expose())
            ),
        ),
        Letter::PlaceConfirmed { event } => {
            (format!("You have a place: {}", event.title), about(site, event, "you have a place."))
        }
        Letter::Waitlisted { event, position } => (
            format!("You are on the waiting list: {}", event.title),
            about(site, event, &format!("you are number {position} on the waiting list.")),
        ),
        Letter::PlaceCameFree { event } => (
            format!("A place came free: {}", event.title),
            about(site, event, "a place came free, and it is yours."),
        ),
        Letter::Removed { event, reason, .. } => (
            format!("You are no longer taking part: {}", event.title),
            about(site, event, &because("the organiser removed you.", reason.as_deref())),
        ),
        Letter::EventCanceled { event, reason, .. } => (
            format!("Canceled: {}", event.title),
            about(site, event, &because("the event does not take place.", reason.as_deref())),
        ),
        Letter::EventChanged { event, standing } => {
            let kept = match standing {
                Standing::Waiting => "You keep your place in the line.",
                Standing::Active | Standing::Owner => "You keep your place.",
            };
            let said = format!("time or place of the event changed. {kept} This is how it is now:");
            (format!("Changed: {}", event.title), about(site, event, &said))
        }
        Letter::OrganizerMessage { event, subject, text } => (
            format!("{}: {subject}", event.title),
            about(site, event, &format!("the organiser writes:\n\n{text}")),
        ),
        Letter::EventUnpublished { event, reason } => (
            format!("No longer public: {}", event.title),
            about(site, event, &because("your event is no longer public.", reason.as_deref())),
        ),
    };
    (subject, format!("{hello}\n\n{said}\n"))
}

fn because(said: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| said.to_owned(), |reason| format!("{said} The reason given:\n\n{reason}"))
}

fn about(site: &Site, event: &EventCard, said: &str) -> String {
    let place = [&*event.location, &*event.city];
    let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
    let (title, place) = (&event.title, place.join(", "));
    let (start, end) = (time(event.start_time), time(event.end_time));
    let link = format!("{}/events/{}", site.public_url, event.id);
    format!("{said}\n\n{title}\n{start} to {end}\n{place}\n{link}")
}

fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    strtime::format("%A, %-d %B %Y, %H:%M UTC", at).unwrap_or_default()
}
