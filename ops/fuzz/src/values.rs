//! Random values of the domain, whole and valid, with every branch of their types drawn.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Audience, Command, CommandKind};
use cityevents_domain::event::{Capacity, Counters, Event, EventFields, EventPatch, EventStatus};
use cityevents_domain::fact::{Change, EventCause, Fact, Outcome};
use cityevents_domain::ids::{CommandId, EventId, ImageId, UserId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{
    Ban, Registration, RegistrationCause, RegistrationStatus, SealedText,
};
use cityevents_domain::time::Timestamp;
use rand::RngExt as _;
use rand::rngs::SmallRng;

const WORDS: [&str; 8] = ["jazz", "Köln", "木曜日", "a", "", " ", "🎷", "Holzmarktstraße 25"];

/// One of them.
pub fn pick<T: Copy>(rng: &mut SmallRng, all: &[T]) -> T {
    all[rng.random_range(0..all.len())]
}

/// Something, or nothing.
pub fn maybe<T>(rng: &mut SmallRng, value: impl FnOnce(&mut SmallRng) -> T) -> Option<T> {
    rng.random::<bool>().then(|| value(rng))
}

/// Sixteen bytes.
pub fn bytes(rng: &mut SmallRng) -> [u8; 16] {
    rng.random()
}

/// A few words.
pub fn text(rng: &mut SmallRng) -> String {
    (0..rng.random_range(0..4)).map(|_| pick(rng, &WORDS)).collect()
}

/// A time, mostly of these years.
pub fn time(rng: &mut SmallRng) -> Timestamp {
    Timestamp::from_millis(match rng.random_range(0..8) {
        0 => pick(rng, &[i64::MIN, -1, 0, 1, i64::MAX]),
        _ => rng.random_range(1_500_000_000_000..2_500_000_000_000),
    })
}

/// A number, mostly a small one.
pub fn number(rng: &mut SmallRng) -> u32 {
    match rng.random_range(0..4) {
        0 => rng.random(),
        _ => rng.random_range(0..300),
    }
}

/// An offset or a sequence number.
pub fn offset(rng: &mut SmallRng) -> u64 {
    rng.random::<u64>() >> rng.random_range(1..64)
}

/// Somebody.
pub fn user(rng: &mut SmallRng) -> UserId {
    UserId::from_bytes(bytes(rng))
}

/// Sealed text.
pub fn sealed(rng: &mut SmallRng) -> SealedText {
    SealedText((0..rng.random_range(0..40)).map(|_| rng.random()).collect())
}

/// Who asks.
pub fn actor(rng: &mut SmallRng) -> Actor {
    match rng.random_range(0..4) {
        0 => Actor::System,
        _ => Actor::Person { user: user(rng), role: pick(rng, &Role::ALL) },
    }
}

/// How many fit.
pub fn capacity(rng: &mut SmallRng) -> Capacity {
    Capacity::from_wire(number(rng))
}

fn images(rng: &mut SmallRng) -> Vec<ImageId> {
    (0..rng.random_range(0..3)).map(|_| ImageId::from_bytes(bytes(rng))).collect()
}

/// What an organiser says of an event.
pub fn fields(rng: &mut SmallRng) -> EventFields {
    EventFields {
        title: text(rng),
        description: text(rng),
        city: text(rng),
        category: text(rng),
        location: text(rng),
        start_time: time(rng),
        end_time: time(rng),
        capacity: capacity(rng),
        waitlist_limit: maybe(rng, number),
        opens_at: maybe(rng, time),
        cover_image_ids: images(rng),
    }
}

/// What an organiser changes.
pub fn patch(rng: &mut SmallRng) -> EventPatch {
    EventPatch {
        title: maybe(rng, text),
        description: maybe(rng, text),
        city: maybe(rng, text),
        category: maybe(rng, text),
        location: maybe(rng, text),
        start_time: maybe(rng, time),
        end_time: maybe(rng, time),
        capacity: maybe(rng, capacity),
        waitlist_limit: maybe(rng, |rng| maybe(rng, number)),
        opens_at: maybe(rng, |rng| maybe(rng, time)),
        cover_image_ids: maybe(rng, images),
    }
}

/// What is asked.
pub fn kind(rng: &mut SmallRng) -> CommandKind {
    match rng.random_range(0..13) {
        0 => CommandKind::Create(Box::new(fields(rng))),
        1 => CommandKind::Update {
            patch: Box::new(patch(rng)),
            expected_version: maybe(rng, number),
        },
        2 => CommandKind::Publish,
        3 => CommandKind::Unpublish { reason: maybe(rng, text) },
        4 => CommandKind::Cancel { reason: maybe(rng, text) },
        5 => CommandKind::Join,
        6 => CommandKind::Leave,
        7 => CommandKind::Kick { user: user(rng), reason: maybe(rng, sealed) },
        8 => CommandKind::Ban {
            user: user(rng),
            reason: maybe(rng, sealed),
            expires_at: maybe(rng, time),
        },
        9 => CommandKind::Unban { user: user(rng) },
        10 => CommandKind::Tick { deadline: time(rng), people_max: rng.random() },
        11 => CommandKind::CheckIn { user: user(rng) },
        _ => CommandKind::Message {
            to: pick(rng, &Audience::ALL),
            subject: text(rng),
            text: text(rng),
        },
    }
}

/// A command.
pub fn command(rng: &mut SmallRng) -> Command {
    Command {
        id: CommandId::from_bytes(bytes(rng)),
        digest: rng.random(),
        event: EventId::from_bytes(bytes(rng)),
        actor: actor(rng),
        kind: kind(rng),
    }
}

/// An event.
pub fn event(rng: &mut SmallRng) -> Event {
    Event {
        id: EventId::from_bytes(bytes(rng)),
        owner: user(rng),
        fields: fields(rng),
        status: pick(rng, &EventStatus::ALL),
        version: number(rng),
        created_at: time(rng),
        updated_at: time(rng),
        published_at: maybe(rng, time),
        canceled_at: maybe(rng, time),
    }
}

/// Where somebody stands.
pub fn registration(rng: &mut SmallRng) -> Registration {
    Registration {
        user: user(rng),
        status: pick(rng, &RegistrationStatus::ALL),
        joined_at: time(rng),
        updated_at: time(rng),
        ticket: maybe(rng, number),
        checked_in_at: maybe(rng, time),
    }
}

/// A ban.
pub fn ban(rng: &mut SmallRng) -> Ban {
    Ban {
        user: user(rng),
        banned_by: user(rng),
        banned_at: time(rng),
        expires_at: maybe(rng, time),
        reason: maybe(rng, sealed),
    }
}

/// Sums.
pub fn counters(rng: &mut SmallRng) -> Counters {
    Counters { active: number(rng), waiting: number(rng), checked_in: number(rng) }
}

/// What a caller is told.
pub fn outcome(rng: &mut SmallRng) -> Outcome {
    match rng.random_range(0..3) {
        0 => Outcome::Registration {
            user: user(rng),
            status: pick(rng, &RegistrationStatus::ALL),
            position: maybe(rng, number),
            updated_at: time(rng),
        },
        1 => Outcome::Event { event: Box::new(event(rng)), counters: counters(rng) },
        _ => Outcome::Done { at: time(rng) },
    }
}

/// Why something is not carried out.
pub fn refusal(rng: &mut SmallRng) -> Refusal {
    match rng.random_range(0..6) {
        0 => Refusal::NotOpenYet { opens_at: time(rng) },
        1 => Refusal::AlreadyCheckedIn { first_at: time(rng) },
        2 => Refusal::VersionConflict { current: number(rng) },
        3 => Refusal::IdempotencyKeyMismatch,
        4 => Refusal::EventFull,
        _ => Refusal::InvalidState,
    }
}

/// One change of a fact.
pub fn change(rng: &mut SmallRng) -> Change {
    match rng.random_range(0..5) {
        0 => Change::Event {
            cause: pick(rng, &EventCause::ALL),
            event: Box::new(event(rng)),
            reason: maybe(rng, text),
        },
        1 => Change::Registration {
            cause: pick(rng, &RegistrationCause::ALL),
            registration: registration(rng),
            position: maybe(rng, number),
            reason: maybe(rng, sealed),
        },
        2 => Change::Banned(ban(rng)),
        3 => Change::Unbanned { user: user(rng) },
        _ => Change::Message { to: pick(rng, &Audience::ALL), subject: text(rng), text: text(rng) },
    }
}

/// A fact with a few changes, which need not fit together.
pub fn fact(rng: &mut SmallRng) -> Fact {
    Fact {
        event: EventId::from_bytes(bytes(rng)),
        event_seq: offset(rng),
        command: CommandId::from_bytes(bytes(rng)),
        command_digest: rng.random(),
        at: time(rng),
        actor: actor(rng),
        changes: (0..rng.random_range(0..4)).map(|_| change(rng)).collect(),
        counters: counters(rng),
        outcome: outcome(rng),
    }
}
