//! Random values: of the domain. A failed test says its seed; run it again
//! with `PROPTEST_RNG_SEED=<seed>`.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};

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
use cityevents_schemas::message::{
    AccountChange, AccountStatus, Closed, ClosedVerdict, Email, EmailContent, EmailStanding,
    Engagement, EngagementKind, FeedType, Genesis, Link, Person, PersonKind, Reply, ReplyVerdict,
    SignalKind, Trend, TrendState, UserSignal,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Runs a test on many values; the message of a failure has the seed.
pub fn check<S: Strategy>(
    cases: u32,
    strategy: S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: Debug,
{
    let given = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
    let rng_seed = RngSeed::Fixed(seed);
    let config = Config { cases, failure_persistence: None, rng_seed, ..Config::default() };
    if let Err(error) = TestRunner::new(config).run(&strategy, test) {
        panic!("PROPTEST_RNG_SEED={seed}: {error}");
    }
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => 0..4_000_000_000_000_i64,
        1 => any::<i64>(),
        1 => select(vec![i64::MIN, -1, 0, 63, 64, i64::MAX]),
    ]
    .prop_map(Timestamp::from_millis)
}

/// Short and long texts.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "\\PC{0,12}", 1 => "[a-zà-ÿ ]{60,140}"]
}

fn sealed() -> impl Strategy<Value = Option<SealedText>> {
    of(vec(any::<u8>(), 0..40).prop_map(SealedText))
}

fn user() -> impl Strategy<Value = UserId> {
    any::<[u8; 16]>().prop_map(UserId::from_bytes)
}

fn event_id() -> impl Strategy<Value = EventId> {
    any::<[u8; 16]>().prop_map(EventId::from_bytes)
}

fn command_id() -> impl Strategy<Value = CommandId> {
    any::<[u8; 16]>().prop_map(CommandId::from_bytes)
}

fn images() -> impl Strategy<Value = Vec<ImageId>> {
    vec(any::<[u8; 16]>().prop_map(ImageId::from_bytes), 0..=2)
}

fn capacity() -> impl Strategy<Value = Capacity> {
    prop_oneof![Just(Capacity::Unlimited), (1..=u32::MAX).prop_map(Capacity::Limited)]
}

fn actor() -> impl Strategy<Value = Actor> {
    let person = (user(), select(&Role::ALL[..]));
    prop_oneof![
        4 => person.prop_map(|(user, role)| Actor::Person { user, role }),
        1 => Just(Actor::System),
    ]
}

fn fields() -> impl Strategy<Value = EventFields> {
    let texts = (text(), text(), text(), text(), text());
    let rest = (time(), time(), capacity(), of(any::<u32>()), of(time()), images());
    (texts, rest).prop_map(|((title, description, city, category, location), rest)| {
        let (start_time, end_time, capacity, waitlist_limit, opens_at, cover_image_ids) = rest;
        EventFields {
            title,
            description,
            city,
            category,
            location,
            start_time,
            end_time,
            capacity,
            waitlist_limit,
            opens_at,
            cover_image_ids,
        }
    })
}

fn patch() -> impl Strategy<Value = EventPatch> {
    let texts = (of(text()), of(text()), of(text()), of(text()), of(text()));
    let numbers = (of(capacity()), of(of(any::<u32>())));
    let rest = (of(time()), of(time()), numbers, of(of(time())), of(images()));
    (texts, rest).prop_map(|((title, description, city, category, location), rest)| {
        let (start_time, end_time, numbers, opens_at, cover_image_ids) = rest;
        let (capacity, waitlist_limit) = numbers;
        EventPatch {
            title,
            description,
            city,
            category,
            location,
            start_time,
            end_time,
            capacity,
            waitlist_limit,
            opens_at,
            cover_image_ids,
        }
    })
}

fn kind() -> impl Strategy<Value = CommandKind> {
    use CommandKind::{
        Ban, Cancel, CheckIn, Create, Join, Kick, Leave, Message, Publish, Tick, Unban, Unpublish,
        Update,
    };
    prop_oneof![
        fields().prop_map(|fields| Create(Box::new(fields))),
        (patch(), of(any::<u32>())).prop_map(|(patch, expected_version)| Update {
            patch: Box::new(patch),
            expected_version
        }),
        Just(Publish),
        of(text()).prop_map(|reason| Unpublish { reason }),
        of(text()).prop_map(|reason| Cancel { reason }),
        Just(Join),
        Just(Leave),
        (user(), sealed()).prop_map(|(user, reason)| Kick { user, reason }),
        (user(), sealed(), of(time())).prop_map(|(user, reason, expires_at)| Ban {
            user,
            reason,
            expires_at
        }),
        user().prop_map(|user| Unban { user }),
        (time(), any::<u16>()).prop_map(|(deadline, people_max)| Tick { deadline, people_max }),
        user().prop_map(|user| CheckIn { user }),
        (select(&Audience::ALL[..]), text(), text()).prop_map(|(to, subject, text)| Message {
            to,
            subject,
            text
        }),
    ]
}

/// Any command.
pub fn command() -> impl Strategy<Value = Command> {
    (command_id(), any::<u64>(), event_id(), actor(), kind())
        .prop_map(|(id, digest, event, actor, kind)| Command { id, digest, event, actor, kind })
}

/// Any event.
pub fn event() -> impl Strategy<Value = Event> {
    let ids = (event_id(), user(), fields());
    let state = (select(&EventStatus::ALL[..]), any::<u32>());
    (ids, state, (time(), time(), of(time()), of(time()))).prop_map(
        |((id, owner, fields), (status, version), times)| {
            let (created_at, updated_at, published_at, canceled_at) = times;
            Event {
                id,
                owner,
                fields,
                status,
                version,
                created_at,
                updated_at,
                published_at,
                canceled_at,
            }
        },
    )
}

/// Any registration, and of which event.
pub fn registration() -> impl Strategy<Value = (EventId, Registration)> {
    let status = select(&RegistrationStatus::ALL[..]);
    (event_id(), (user(), status, time(), time(), of(any::<u32>()), of(time()))).prop_map(
        |(event, (user, status, joined_at, updated_at, ticket, checked_in_at))| {
            let registration =
                Registration { user, status, joined_at, updated_at, ticket, checked_in_at };
            (event, registration)
        },
    )
}

/// Any change of an account.
pub fn account_change() -> impl Strategy<Value = AccountChange> {
    let (role, status) = (select(&Role::ALL[..]), select(&AccountStatus::ALL[..]));
    let version = 0..=i64::MAX.unsigned_abs();
    let sessions = (of(any::<[u8; 16]>()), of(any::<[u8; 16]>()));
    (user(), version, role, status, of(time()), sessions, time()).prop_map(
        |(account, version, role, status, revoked_before, sessions, updated_at)| {
            let (kept_session, ended_session) = sessions;
            AccountChange {
                account,
                version,
                role,
                status,
                revoked_before,
                kept_session,
                updated_at,
                ended_session,
            }
        },
    )
}

/// Any mail.
pub fn email() -> impl Strategy<Value = Email> {
    (any::<[u8; 16]>(), user(), time(), email_content()).prop_map(
        |(id, recipient, occurred_at, content)| Email { id, recipient, occurred_at, content },
    )
}

fn email_content() -> impl Strategy<Value = EmailContent> {
    use EmailContent::{
        EventCanceled, EventChanged, EventUnpublished, OrganizerMessage, PlaceCameFree,
        PlaceConfirmed, Removed, ResetPassword, VerifyAddress, Waitlisted,
    };
    let token = any::<[u8; 16]>;
    let version = any::<u32>;
    let standing = || select(&EmailStanding::ALL[..]);
    prop_oneof![
        token().prop_map(|token| VerifyAddress { token }),
        token().prop_map(|token| ResetPassword { token }),
        event_id().prop_map(|event| PlaceConfirmed { event }),
        (event_id(), any::<u32>()).prop_map(|(event, position)| Waitlisted { event, position }),
        event_id().prop_map(|event| PlaceCameFree { event }),
        (event_id(), sealed(), of(time())).prop_map(|(event, reason, until)| Removed {
            event,
            reason,
            until
        }),
        (event_id(), version(), of(text()), standing()).prop_map(
            |(event, version, reason, standing)| EventCanceled { event, version, reason, standing }
        ),
        (event_id(), version(), standing()).prop_map(|(event, version, standing)| EventChanged {
            event,
            version,
            standing
        }),
        (event_id(), text(), text()).prop_map(|(event, subject, text)| OrganizerMessage {
            event,
            subject,
            text
        }),
        (event_id(), version(), of(text())).prop_map(|(event, version, reason)| EventUnpublished {
            event,
            version,
            reason
        }),
    ]
}

fn person() -> impl Strategy<Value = Person> {
    (any::<[u8; 16]>(), select(PersonKind::ALL)).prop_map(|(id, kind)| Person { id, kind })
}

/// Anything that somebody may do with an event.
pub fn engagement() -> impl Strategy<Value = Engagement> {
    let feed = (of(select(FeedType::ALL)), of(any::<u32>()), of(text()));
    (event_id(), person(), select(EngagementKind::ALL), feed, time()).prop_map(
        |(event, person, kind, (feed, position, request_id), at)| Engagement {
            event,
            person,
            kind,
            feed,
            position,
            request_id,
            at,
        },
    )
}

/// Any signal.
pub fn user_signal() -> impl Strategy<Value = UserSignal> {
    (person(), select(SignalKind::ALL), event_id(), text(), time()).prop_map(
        |(person, kind, event, category, at)| UserSignal { person, kind, event, category, at },
    )
}

/// Any trend.
pub fn trend() -> impl Strategy<Value = Trend> {
    let texts = (select(TrendState::ALL), text(), text());
    let numbers = (0..=i64::MAX.unsigned_abs(), any::<u32>(), any::<u32>(), any::<u32>());
    let slots = (of(any::<u32>()), of(any::<u32>()));
    (event_id(), texts, numbers, slots, (time(), time(), time())).prop_map(
        |(event, (state, city, category), numbers, (city_slot, overall_slot), times)| {
            let (score, joins_24h, joins_7d, views_24h) = numbers;
            let (start_time, end_time, updated_at) = times;
            Trend {
                event,
                state,
                city,
                category,
                start_time,
                end_time,
                score,
                joins_24h,
                joins_7d,
                views_24h,
                city_slot,
                overall_slot,
                updated_at,
            }
        },
    )
}

fn counters() -> impl Strategy<Value = Counters> {
    any::<(u32, u32, u32)>().prop_map(|(active, waiting, checked_in)| Counters {
        active,
        waiting,
        checked_in,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let status = select(&RegistrationStatus::ALL[..]);
    prop_oneof![
        (user(), status, of(any::<u32>()), time()).prop_map(
            |(user, status, position, updated_at)| Outcome::Registration {
                user,
                status,
                position,
                updated_at
            }
        ),
        (event(), counters())
            .prop_map(|(event, counters)| Outcome::Event { event: Box::new(event), counters }),
        time().prop_map(|at| Outcome::Done { at }),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let ban = (user(), user(), time(), of(time()), sealed());
    prop_oneof![
        (select(&EventCause::ALL[..]), event(), of(text())).prop_map(|(cause, event, reason)| {
            Change::Event { cause, event: Box::new(event), reason }
        }),
        (select(&RegistrationCause::ALL[..]), registration(), of(any::<u32>()), sealed()).prop_map(
            |(cause, (_, registration), position, reason)| {
                Change::Registration { cause, registration, position, reason }
            }
        ),
        ban.prop_map(|(user, banned_by, banned_at, expires_at, reason)| {
            Change::Banned(Ban { user, banned_by, banned_at, expires_at, reason })
        }),
        user().prop_map(|user| Change::Unbanned { user }),
        (select(&Audience::ALL[..]), text(), text())
            .prop_map(|(to, subject, text)| Change::Message { to, subject, text }),
    ]
}

fn fact() -> impl Strategy<Value = Fact> {
    let ids = (event_id(), 0..=i64::MAX as u64, command_id(), any::<u64>());
    let rest = (time(), actor(), vec(change(), 0..4), counters(), outcome());
    (ids, rest).prop_map(|((event, event_seq, command, command_digest), rest)| {
        let (at, actor, changes, counters, outcome) = rest;
        Fact { event, event_seq, command, command_digest, at, actor, changes, counters, outcome }
    })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        select(vec![
            Refusal::IdempotencyKeyMismatch,
            Refusal::EventNotFound,
            Refusal::Forbidden,
            Refusal::EventCanceled,
            Refusal::EventEnded,
            Refusal::EventNotPublished,
            Refusal::IsOrganizer,
            Refusal::Banned,
            Refusal::RemovedByOrganizer,
            Refusal::EventFull,
            Refusal::NotJoined,
            Refusal::InvalidState,
        ]),
        time().prop_map(|opens_at| Refusal::NotOpenYet { opens_at }),
        time().prop_map(|first_at| Refusal::AlreadyCheckedIn { first_at }),
        any::<u32>().prop_map(|current| Refusal::VersionConflict { current }),
    ]
}

fn closed() -> impl Strategy<Value = Closed> {
    let verdict = prop_oneof![
        refusal().prop_map(ClosedVerdict::Refused),
        outcome().prop_map(ClosedVerdict::Unchanged),
        Just(ClosedVerdict::Undecodable),
    ];
    let ids = (of(command_id()), of(event_id()), of(user()));
    (0..=i64::MAX as u64, ids, verdict).prop_map(|(offset, (command, event, user), verdict)| {
        Closed { offset, command, event, user, verdict }
    })
}

/// Any link.
pub fn link() -> impl Strategy<Value = Link> {
    let genesis = (text(), 0..=i64::MAX as u64)
        .prop_map(|(topic_id, first_offset)| Genesis { topic_id, first_offset });
    (of(fact()), vec(closed(), 0..4), of(genesis), time())
        .prop_map(|(fact, closed, genesis, at)| Link { fact, closed, genesis, at })
}

/// Any reply.
pub fn reply() -> impl Strategy<Value = Reply> {
    let verdict = prop_oneof![
        outcome().prop_map(ReplyVerdict::Accepted),
        outcome().prop_map(ReplyVerdict::Unchanged),
        refusal().prop_map(ReplyVerdict::Refused),
        Just(ReplyVerdict::Undecodable),
    ];
    let place = (any::<u32>(), of(0..=i64::MAX as u64));
    (command_id(), of(event_id()), verdict, time(), place).prop_map(
        |(command, event, verdict, at, (partition, link_offset))| Reply {
            command,
            event,
            verdict,
            at,
            partition,
            link_offset,
        },
    )
}
