//! What templates are given: the same values for every form of a mail.

use minijinja::{Value, context};

use super::dates;
use super::languages::Language;
use super::words::{lines, one_line};
use super::{Recipient, Site};
use crate::{EventCard, Letter, Standing};

/// How long the link of [`crate::Template::VerifyAddress`] is good for.
const VERIFY_HOURS: u32 = 24;
/// How long the link of [`crate::Template::ResetPassword`] is good for.
const RESET_MINUTES: u32 = 30;

/// The values of a letter to somebody, in a language.
pub(super) fn of(
    site: &Site,
    language: &Language,
    letter: &Letter,
    recipient: &Recipient,
) -> Result<Value, String> {
    let link = |path: &str, token: &str| {
        let token: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        format!("{}/{path}?token={token}", site.public_url)
    };
    let card = |event: &EventCard| card(site, language, event);
    let reason = |reason: &Option<String>| {
        let words = reason.as_deref().map(lines).unwrap_or_default();
        Some(words.trim().to_owned()).filter(|words| !words.is_empty())
    };
    let own = match letter {
        Letter::VerifyAddress { token } => context! {
            link => link("verify-email", token.expose()), valid_hours => VERIFY_HOURS,
        },
        Letter::ResetPassword { token } => context! {
            link => link("reset-password", token.expose()), valid_minutes => RESET_MINUTES,
        },
        Letter::PlaceConfirmed { event } | Letter::PlaceCameFree { event } => {
            context! { event => card(event)? }
        }
        Letter::Waitlisted { event, position } => context! { event => card(event)?, position },
        Letter::Removed { event, reason: said, until } => {
            let until =
                until.map(|until| dates::moment(language, &site.zone, until)).transpose()?;
            context! { event => card(event)?, reason => reason(said), until }
        }
        Letter::EventCanceled { event, reason: said, standing } => context! {
            event => card(event)?, reason => reason(said), standing => word(*standing),
        },
        Letter::EventChanged { event, standing } => {
            context! { event => card(event)?, standing => word(*standing) }
        }
        Letter::OrganizerMessage { event, subject, text } => context! {
            event => card(event)?,
            message => context! { subject => one_line(subject), text => lines(text).trim() },
        },
        Letter::EventUnpublished { event, reason: said } => {
            context! { event => card(event)?, reason => reason(said) }
        }
    };
    let name = recipient.name.as_deref().map(one_line).filter(|name| !name.is_empty());
    let direction = if language.is_right_to_left { "rtl" } else { "ltr" };
    let name_of_site =
        site.from.name.clone().unwrap_or_else(|| site.from.email.domain().to_owned());
    Ok(context! {
        site => context! { url => site.public_url.clone(), name => one_line(&name_of_site) },
        person => context! { name },
        language => context! { tag => language.tag.clone(), direction },
        ..own
    })
}

fn card(site: &Site, language: &Language, event: &EventCard) -> Result<Value, String> {
    let place = [&event.location, &event.city].map(|part| one_line(part));
    let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
    Ok(context! {
        title => one_line(&event.title),
        place => place.join(", "),
        category => one_line(&event.category),
        when => dates::span(language, &site.zone, (event.start_time, event.end_time))?,
        link => event.link(site),
    })
}

const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Waiting => "waiting",
        Standing::Owner => "owner",
    }
}
