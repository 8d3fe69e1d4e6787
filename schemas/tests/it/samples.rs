//! One record of each kind, with every field different: what the golden bytes are made from.

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
use cityevents_schemas::Record;
use cityevents_schemas::message::{
    AccountChange, AccountStatus, Closed, ClosedVerdict, Email, EmailContent, EmailStanding,
    Engagement, EngagementKind, FeedType, Genesis, Person, PersonKind, Reply, ReplyVerdict,
    SignalKind, Trend, TrendState, UserSignal, encode_account_change, encode_command, encode_email,
    encode_engagement, encode_event, encode_link, encode_registration, encode_reply, encode_trend,
    encode_user_signal,
};

/// A sample's record, its name, and its framed bytes.
pub type Sample = (Record, &'static str, Vec<u8>);

const EVENT: EventId = EventId::from_bytes([0xe1; 16]);
const OWNER: UserId = UserId::from_bytes([0x0a; 16]);
const USER: UserId = UserId::from_bytes([0x0b; 16]);
const OTHER: UserId = UserId::from_bytes([0x0c; 16]);
const COMMAND: CommandId = CommandId::from_bytes([0xc0; 16]);
const DIGEST: u64 = 0xfedc_ba98_7654_3210;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + second * 1_000)
}

fn sealed() -> Option<SealedText> {
    Some(SealedText(vec![0, 0xff, 0x80, 7]))
}

fn fields() -> EventFields {
    EventFields {
        title: "Jazz an der Spree".into(),
        description: "Vier Bands, ein Ufer – 木曜日".into(),
        city: "Berlin".into(),
        category: "music".into(),
        location: "Holzmarktstraße 25".into(),
        start_time: at(1),
        end_time: at(2),
        capacity: Capacity::Limited(150),
        waitlist_limit: Some(30),
        opens_at: Some(at(3)),
        cover_image_ids: vec![ImageId::from_bytes([0x1a; 16]), ImageId::from_bytes([0x1b; 16])],
    }
}

fn event() -> Event {
    Event {
        id: EVENT,
        owner: OWNER,
        fields: fields(),
        status: EventStatus::Canceled,
        version: 7,
        created_at: at(4),
        updated_at: at(5),
        published_at: Some(at(6)),
        canceled_at: Some(at(7)),
    }
}

fn draft() -> Event {
    let fields = EventFields {
        location: String::new(),
        capacity: Capacity::Unlimited,
        waitlist_limit: None,
        opens_at: None,
        cover_image_ids: vec![],
        ..fields()
    };
    let status = EventStatus::Draft;
    Event { fields, status, version: 1, published_at: None, canceled_at: None, ..event() }
}

fn command(kind: CommandKind) -> Command {
    let actor = Actor::Person { user: USER, role: Role::User };
    Command { id: COMMAND, digest: DIGEST, event: EVENT, actor, kind }
}

/// A join.
pub fn join() -> Command {
    command(CommandKind::Join)
}

fn patch() -> EventPatch {
    let EventFields { title, description, city, category, location, .. } = fields();
    EventPatch {
        title: Some(title),
        description: Some(description),
        city: Some(city),
        category: Some(category),
        location: Some(location),
        start_time: Some(at(1)),
        end_time: Some(at(2)),
        capacity: Some(Capacity::Limited(150)),
        waitlist_limit: Some(Some(30)),
        opens_at: Some(Some(at(3))),
        cover_image_ids: Some(fields().cover_image_ids),
    }
}

fn clearing() -> EventPatch {
    EventPatch {
        waitlist_limit: Some(None),
        opens_at: Some(None),
        cover_image_ids: Some(vec![]),
        ..EventPatch::default()
    }
}

fn commands() -> Vec<(&'static str, Command)> {
    let (user, reason) = (OTHER, sealed());
    let text = || Some("Hochwasser".to_owned());
    let update = |patch, expected_version| {
        command(CommandKind::Update { patch: Box::new(patch), expected_version })
    };
    let tick = CommandKind::Tick { deadline: at(8), people_max: 50 };
    let message = CommandKind::Message {
        to: Audience::Waitlisted,
        subject: "Neue Uhrzeit".into(),
        text: "Wir fangen später an.".into(),
    };
    vec![
        ("create", command(CommandKind::Create(Box::new(fields())))),
        ("update", update(patch(), Some(6))),
        ("update-clearing", update(clearing(), None)),
        ("publish", command(CommandKind::Publish)),
        ("unpublish", command(CommandKind::Unpublish { reason: None })),
        ("cancel", command(CommandKind::Cancel { reason: text() })),
        ("join", join()),
        ("leave", command(CommandKind::Leave)),
        ("kick", command(CommandKind::Kick { user, reason: reason.clone() })),
        ("ban", command(CommandKind::Ban { user, reason, expires_at: Some(at(9)) })),
        ("unban", command(CommandKind::Unban { user })),
        ("tick", Command { actor: Actor::System, ..command(tick) }),
        ("check-in", command(CommandKind::CheckIn { user })),
        ("message", command(message)),
    ]
}

fn registration() -> Registration {
    Registration {
        user: USER,
        status: RegistrationStatus::Waitlisted,
        joined_at: at(10),
        updated_at: at(11),
        ticket: Some(41),
        checked_in_at: Some(at(12)),
    }
}

fn promoted() -> AccountChange {
    AccountChange {
        account: USER,
        version: 2,
        role: Role::Moderator,
        status: AccountStatus::Active,
        revoked_before: None,
        kept_session: None,
        updated_at: at(15),
        ended_session: None,
    }
}

fn banned() -> AccountChange {
    let status = AccountStatus::Locked;
    let (revoked_before, updated_at) = (Some(at(16)), at(17));
    AccountChange { version: 300, status, revoked_before, updated_at, ..promoted() }
}

fn erased() -> AccountChange {
    let kept_session = Some([0x5e; 16]);
    AccountChange { role: Role::User, status: AccountStatus::Erased, kept_session, ..banned() }
}

fn session_ended() -> AccountChange {
    AccountChange::of_session(USER, [0x5f; 16], at(18))
}

fn view() -> Engagement {
    Engagement {
        event: EVENT,
        person: Person { id: *USER.as_bytes(), kind: PersonKind::Account },
        kind: EngagementKind::View,
        feed: Some(FeedType::Personalized),
        position: Some(12),
        request_id: Some("01J9ZD8R4Q".into()),
        at: at(21),
    }
}

fn impression() -> Engagement {
    Engagement {
        person: Person { id: [0x77; 16], kind: PersonKind::Visitor },
        kind: EngagementKind::Impression,
        feed: None,
        position: None,
        request_id: None,
        ..view()
    }
}

fn signal(kind: SignalKind, person: Person) -> UserSignal {
    UserSignal { person, kind, event: EVENT, category: "music".into(), at: at(22) }
}

fn ranked() -> Trend {
    Trend {
        event: EVENT,
        state: TrendState::Ranked,
        city: "Berlin".into(),
        category: "music".into(),
        start_time: at(23),
        end_time: at(24),
        score: 20_500_000,
        joins_24h: 3,
        joins_7d: 4,
        views_24h: 1,
        city_slot: Some(17),
        overall_slot: Some(18),
        updated_at: at(25),
    }
}

fn joined() -> Registration {
    let status = RegistrationStatus::Active;
    Registration { status, ticket: None, checked_in_at: None, ..registration() }
}

fn counters() -> Counters {
    Counters { active: 150, waiting: 4, checked_in: 99 }
}

fn outcome() -> Outcome {
    let status = RegistrationStatus::Waitlisted;
    Outcome::Registration { user: USER, status, position: Some(4), updated_at: at(13) }
}

fn fact(changes: Vec<Change>, outcome: Outcome) -> Fact {
    Fact {
        event: EVENT,
        event_seq: 4_711,
        command: COMMAND,
        command_digest: DIGEST,
        at: at(14),
        actor: Actor::Person { user: OWNER, role: Role::Moderator },
        changes,
        counters: counters(),
        outcome,
    }
}

fn every_change() -> Vec<Change> {
    let ban = Ban {
        user: OTHER,
        banned_by: OWNER,
        banned_at: at(15),
        expires_at: Some(at(16)),
        reason: sealed(),
    };
    vec![
        Change::Event {
            cause: EventCause::Updated { notable: true },
            event: Box::new(event()),
            reason: Some("Hochwasser".into()),
        },
        Change::Registration {
            cause: RegistrationCause::Promoted,
            registration: registration(),
            position: Some(3),
            reason: sealed(),
        },
        Change::Banned(ban),
        Change::Unbanned { user: USER },
        Change::Message { to: Audience::All, subject: "Betreff".into(), text: "Text".into() },
    ]
}

fn closed() -> Vec<Closed> {
    let closed = |offset, verdict| Closed {
        offset,
        command: Some(COMMAND),
        event: Some(EVENT),
        user: Some(USER),
        verdict,
    };
    let undecodable = ClosedVerdict::Undecodable;
    vec![
        closed(100, ClosedVerdict::Refused(Refusal::NotOpenYet { opens_at: at(17) })),
        closed(101, ClosedVerdict::Unchanged(outcome())),
        Closed { command: None, event: None, user: None, ..closed(102, undecodable) },
    ]
}

fn link(fact: Option<&Fact>, closed: &[Closed], genesis: Option<&Genesis>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_link(fact, closed, genesis, at(18), &mut out);
    out
}

fn reply(verdict: ReplyVerdict) -> Vec<u8> {
    let event = Some(EVENT);
    let (partition, link_offset) = (7, Some(123_456));
    let mut out = Vec::new();
    let reply = Reply { command: COMMAND, event, verdict, at: at(19), partition, link_offset };
    encode_reply(&reply, &mut out);
    out
}

fn emails() -> Vec<Email> {
    let reason = || Some("Hochwasser".to_owned());
    let (subject, text) = ("Betreff".to_owned(), "Bringt Lampen mit – 木".to_owned());
    let standing = EmailStanding::Waiting;
    let contents = vec![
        EmailContent::VerifyAddress { token: [0x70; 16] },
        EmailContent::ResetPassword { token: [0x71; 16] },
        EmailContent::PlaceConfirmed { event: EVENT },
        EmailContent::Waitlisted { event: EVENT, position: 41 },
        EmailContent::PlaceCameFree { event: EVENT },
        EmailContent::Removed { event: EVENT, reason: sealed(), until: Some(at(21)) },
        EmailContent::EventCanceled { event: EVENT, version: 7, reason: reason(), standing },
        EmailContent::EventChanged { event: EVENT, version: 8, standing },
        EmailContent::OrganizerMessage { event: EVENT, subject, text },
        EmailContent::EventUnpublished { event: EVENT, version: 9, reason: reason() },
    ];
    let email = |content| Email { id: [0xe3; 16], recipient: USER, occurred_at: at(22), content };
    contents.into_iter().map(email).collect()
}

/// All samples.
pub fn all() -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |record, name, bytes| samples.push((record, name, bytes));
    for (name, command) in commands() {
        let mut out = Vec::new();
        encode_command(&command, &mut out);
        add(Record::EventCommand, name, out);
    }
    let change = Change::Registration {
        cause: RegistrationCause::Joined,
        registration: joined(),
        position: None,
        reason: None,
    };
    let genesis = Genesis { topic_id: "kq2Xy1dQRp6".into(), first_offset: 5 };
    let told = Outcome::Event { event: Box::new(draft()), counters: counters() };
    let facts = Record::EventFact;
    add(facts, "join", link(Some(&fact(vec![change], outcome())), &[], None));
    add(facts, "every-change", link(Some(&fact(every_change(), told)), &closed(), None));
    add(facts, "closing", link(None, &closed(), None));
    add(facts, "genesis", link(None, &[], Some(&genesis)));
    let done = Outcome::Done { at: at(20) };
    let refusal = Refusal::VersionConflict { current: 8 };
    let replies = Record::CommandReply;
    add(replies, "accepted", reply(ReplyVerdict::Accepted(outcome())));
    add(replies, "unchanged", reply(ReplyVerdict::Unchanged(done)));
    add(replies, "refused", reply(ReplyVerdict::Refused(refusal)));
    add(replies, "undecodable", reply(ReplyVerdict::Undecodable));
    for (name, event) in [("canceled", event()), ("draft", draft())] {
        let mut out = Vec::new();
        encode_event(&event, &mut out);
        add(Record::Event, name, out);
    }
    for (name, registration) in [("active", joined()), ("waiting", registration())] {
        let mut out = Vec::new();
        encode_registration(&EVENT, &registration, &mut out);
        add(Record::Registration, name, out);
    }
    for (name, change) in [
        ("promoted", promoted()),
        ("banned", banned()),
        ("erased", erased()),
        ("session-ended", session_ended()),
    ] {
        let mut out = Vec::new();
        encode_account_change(&change, &mut out);
        add(Record::AccountChange, name, out);
    }
    for email in emails() {
        let mut out = Vec::new();
        encode_email(&email, &mut out);
        add(Record::Email, email.content.template(), out);
    }
    for (name, engagement) in [("view", view()), ("impression", impression())] {
        let mut out = Vec::new();
        encode_engagement(&engagement, &mut out);
        add(Record::Engagement, name, out);
    }
    for (name, signal) in [
        ("join", signal(SignalKind::Join, view().person)),
        ("view", signal(SignalKind::View, impression().person)),
    ] {
        let mut out = Vec::new();
        encode_user_signal(&signal, &mut out);
        add(Record::UserSignal, name, out);
    }
    let dropped = Trend { state: TrendState::Dropped, overall_slot: None, ..ranked() };
    for (name, trend) in [("ranked", ranked()), ("dropped", dropped)] {
        let mut out = Vec::new();
        encode_trend(&trend, &mut out);
        add(Record::Trend, name, out);
    }
    samples
}
