//! Letters about nobody, for previews and tests.

use cityevents_domain::ids::EventId;
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_kit::config::Secret;

use crate::{EventCard, Letter, Recipient, Standing, Template};

/// When the samples are written: a Monday noon.
pub const AT: Timestamp = Timestamp::from_millis(1_777_896_000_000);

/// An event in the evening of the next Saturday but one.
pub fn event() -> EventCard {
    let start_time = AT + Millis::hours(12 * 24 + 6);
    EventCard {
        id: EventId::from_bytes(*b"\x01\x9d\xf0\x00sample\x80event"),
        version: 3,
        title: "Night walk along the river".to_owned(),
        city: "Vienna".to_owned(),
        location: "Schwedenplatz, by the boats".to_owned(),
        category: "outdoors".to_owned(),
        start_time,
        end_time: start_time + Millis::minutes(150),
        updated_at: AT,
    }
}

/// Somebody who reads a language.
pub fn recipient(language: &str) -> Recipient {
    Recipient {
        address: "ada@example.org".to_owned(),
        name: Some("Ada".to_owned()),
        language: Some(language.to_owned()),
        unsubscribe: Some("https://cityevents.example/unsubscribe?token=sample".to_owned()),
    }
}

/// Every form of a mail, the usual one first.
pub fn letters(template: Template) -> Vec<Letter> {
    let (event, token) = (event(), Secret::new("sample-token"));
    match template {
        Template::VerifyAddress => vec![Letter::VerifyAddress { token }],
        Template::ResetPassword => vec![Letter::ResetPassword { token }],
        Template::PlaceConfirmed => vec![Letter::PlaceConfirmed { event }],
        Template::Waitlisted => vec![Letter::Waitlisted { event, position: 7 }],
        Template::PlaceCameFree => vec![Letter::PlaceCameFree { event }],
        Template::Removed => {
            let reason = Some("Last time you came without a lamp.".to_owned());
            let until = Some(AT + Millis::hours(30 * 24));
            vec![
                Letter::Removed { event: event.clone(), reason: reason.clone(), until: None },
                Letter::Removed { event: event.clone(), reason, until },
                Letter::Removed { event, reason: None, until: None },
            ]
        }
        Template::EventCanceled => {
            let reason = Some("The river is in flood. We are sorry.".to_owned());
            let canceled = |reason, standing| {
                let event = event.clone();
                Letter::EventCanceled { event, reason, standing }
            };
            let standings = [Standing::Active, Standing::Waiting, Standing::Owner];
            let said = standings.map(|standing| canceled(reason.clone(), standing));
            said.into_iter().chain(standings.map(|standing| canceled(None, standing))).collect()
        }
        Template::EventChanged => [Standing::Active, Standing::Waiting, Standing::Owner]
            .map(|standing| Letter::EventChanged { event: event.clone(), standing })
            .to_vec(),
        Template::OrganizerMessage => vec![Letter::OrganizerMessage {
            event,
            subject: "What to bring".to_owned(),
            text: "Dear all,\n\nplease bring a lamp and shoes that may get wet. We meet at the \
                   boats, not at the bridge.\n\nSee you on Saturday!"
                .to_owned(),
        }],
        Template::EventUnpublished => {
            let reason = Some("The description names a sponsor who did not agree.".to_owned());
            vec![
                Letter::EventUnpublished { event: event.clone(), reason },
                Letter::EventUnpublished { event, reason: None },
            ]
        }
    }
}
