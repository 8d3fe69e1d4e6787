//! Records of the log beside commands and facts: mails, what people look at, trends, accounts.

use cityevents_domain::actor::Role;
use cityevents_domain::ids::EventId;
use cityevents_fuzz::values::{bytes, maybe, number, offset, pick, sealed, text, time, user};
use cityevents_schemas::message::{
    AccountChange, AccountStatus, Email, EmailContent, EmailStanding, Engagement, EngagementKind,
    FeedType, Person, PersonKind, SignalKind, Trend, TrendState, UserSignal, decode_account_change,
    decode_email, decode_engagement, decode_trend, decode_user_signal, encode_account_change,
    encode_email, encode_engagement, encode_trend, encode_user_signal,
};
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::{fuzz, reads_back};

/// A target of a kind of record.
macro_rules! records {
    ($($test:ident: $make:ident, $encode:ident, $decode:ident;)*) => {$(
        #[test]
        fn $test() {
            let write = |value: &_| {
                let mut out = Vec::new();
                $encode(value, &mut out);
                out
            };
            fuzz(
                concat!("schemas ", stringify!($decode)),
                |rng| write(&$make(rng)),
                |input| reads_back($decode(input), write, $decode),
            );
        }
    )*};
}

records! {
    mails_are_read_or_refused: email, encode_email, decode_email;
    engagements_are_read_or_refused: engagement, encode_engagement,
        decode_engagement;
    signals_are_read_or_refused: signal, encode_user_signal, decode_user_signal;
    trends_are_read_or_refused: trend, encode_trend, decode_trend;
    account_changes_are_read_or_refused: change, encode_account_change,
        decode_account_change;
}

fn event(rng: &mut SmallRng) -> EventId {
    EventId::from_bytes(bytes(rng))
}

fn email(rng: &mut SmallRng) -> Email {
    Email { id: bytes(rng), recipient: user(rng), occurred_at: time(rng), content: content(rng) }
}

fn content(rng: &mut SmallRng) -> EmailContent {
    let (event, version, reason) = (event(rng), number(rng), maybe(rng, text));
    let standing = pick(rng, &EmailStanding::ALL);
    match rng.random_range(0..10) {
        0 => EmailContent::VerifyAddress { token: bytes(rng) },
        1 => EmailContent::ResetPassword { token: bytes(rng) },
        2 => EmailContent::PlaceConfirmed { event },
        3 => EmailContent::Waitlisted { event, position: number(rng) },
        4 => EmailContent::PlaceCameFree { event },
        5 => {
            let (reason, until) = (maybe(rng, sealed), maybe(rng, time));
            EmailContent::Removed { event, reason, until }
        }
        6 => EmailContent::EventCanceled { event, version, reason, standing },
        7 => EmailContent::EventChanged { event, version, standing },
        8 => EmailContent::OrganizerMessage { event, subject: text(rng), text: text(rng) },
        _ => EmailContent::EventUnpublished { event, version, reason },
    }
}

fn person(rng: &mut SmallRng) -> Person {
    Person { id: bytes(rng), kind: pick(rng, PersonKind::ALL) }
}

fn engagement(rng: &mut SmallRng) -> Engagement {
    Engagement {
        event: event(rng),
        person: person(rng),
        kind: pick(rng, EngagementKind::ALL),
        feed: maybe(rng, |rng| pick(rng, FeedType::ALL)),
        position: maybe(rng, number),
        request_id: maybe(rng, text),
        at: time(rng),
    }
}

fn signal(rng: &mut SmallRng) -> UserSignal {
    UserSignal {
        person: person(rng),
        kind: pick(rng, SignalKind::ALL),
        event: event(rng),
        category: text(rng),
        at: time(rng),
    }
}

fn trend(rng: &mut SmallRng) -> Trend {
    Trend {
        event: event(rng),
        state: pick(rng, TrendState::ALL),
        city: text(rng),
        category: text(rng),
        start_time: time(rng),
        end_time: time(rng),
        score: offset(rng),
        joins_24h: number(rng),
        joins_7d: number(rng),
        views_24h: number(rng),
        city_slot: maybe(rng, number),
        overall_slot: maybe(rng, number),
        updated_at: time(rng),
    }
}

fn change(rng: &mut SmallRng) -> AccountChange {
    AccountChange {
        account: user(rng),
        version: offset(rng),
        role: pick(rng, &Role::ALL),
        status: pick(rng, &AccountStatus::ALL),
        revoked_before: maybe(rng, time),
        kept_session: maybe(rng, bytes),
        updated_at: time(rng),
        ended_session: maybe(rng, bytes),
    }
}
