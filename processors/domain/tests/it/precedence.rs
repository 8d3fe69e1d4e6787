//! Which refusal wins: one row for each, the first of the list first. In every row as many of the
//! later refusals apply too as the command can meet at all, and the row's own one is given.

use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{EventFields, EventPatch};
use cityevents_domain::fact::{Outcome, Verdict};
use cityevents_domain::ids::EventId;
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{RegistrationStatus, SealedText};

use crate::fixtures::{
    DAY, HOUR, OWNER, STRANGER, Stage, ban, cancel, check_in, fields, kick, person, time,
    unpublish, user,
};

/// Somebody who is kicked and banned where everything is taken.
const OUTCAST: u64 = 7;

/// One place, no line, and `OUTCAST` kicked and banned; 1 has the place.
fn hostile(edit: impl FnOnce(&mut EventFields)) -> Stage {
    let mut fields = fields(1);
    fields.waitlist_limit = Some(0);
    edit(&mut fields);
    let opens_at = fields.opens_at.take();
    let mut stage = Stage::published(fields);
    stage.accept(OUTCAST, CommandKind::Join);
    stage.accept(OWNER, kick(OUTCAST));
    stage.accept(OWNER, ban(OUTCAST, None));
    stage.accept(1, CommandKind::Join);
    if opens_at.is_some() {
        let patch = EventPatch { opens_at: Some(opens_at), ..EventPatch::default() };
        stage.accept(OWNER, crate::fixtures::update(patch));
    }
    stage
}

/// An update that expects another version and takes the title away.
fn wrong_update() -> CommandKind {
    let patch = EventPatch { title: Some(String::new()), ..EventPatch::default() };
    CommandKind::Update { patch: Box::new(patch), expected_version: Some(77) }
}

fn kick_of(number: u64) -> CommandKind {
    CommandKind::Kick { user: user(number), reason: Some(SealedText(vec![0; 5_000])) }
}

/// A name, the refusal, and what leads to it.
type Row = (&'static str, Refusal, fn() -> Verdict);

#[rustfmt::skip]
const ROWS: [Row; 21] = [
    ("a known id with another body, for an event that is unknown", Refusal::IdempotencyKeyMismatch, || {
        let mut stage = hostile(|_| ());
        let first = stage.command(person(2), CommandKind::Leave);
        let joins = Command { kind: CommandKind::Join, ..first };
        let fact = stage.accept(OWNER, crate::fixtures::capacity(5));
        assert_eq!(fact.event_seq, stage.state().seq());
        assert!(matches!(stage.give(&joins), Verdict::Fact(_)));
        stage.give(&Command { digest: joins.digest + 1, event: EventId::from_bytes([1; 16]), ..joins })
    }),
    ("a known id with another body, for a canceled event", Refusal::IdempotencyKeyMismatch, || {
        let mut stage = Stage::published(fields(3));
        let joins = stage.command(person(2), CommandKind::Join);
        stage.give(&joins);
        stage.accept(OWNER, cancel());
        stage.give(&Command { digest: joins.digest + 1, ..joins })
    }),
    ("a stranger updates a draft", Refusal::EventNotFound, || {
        let mut stage = Stage::draft(fields(1));
        stage.ask(STRANGER, wrong_update())
    }),
    ("a stranger joins a canceled draft", Refusal::EventNotFound, || {
        let mut stage = Stage::draft(fields(1));
        stage.accept(OWNER, cancel());
        stage.now = 3 * DAY;
        stage.ask(STRANGER, CommandKind::Join)
    }),
    ("a stranger removes the owner of a canceled event", Refusal::Forbidden, || {
        let mut stage = hostile(|_| ());
        stage.accept(OWNER, cancel());
        stage.ask(STRANGER, kick_of(OWNER))
    }),
    ("the owner gives a tick to a canceled event", Refusal::Forbidden, || {
        let mut stage = hostile(|_| ());
        stage.accept(OWNER, cancel());
        stage.ask(OWNER, CommandKind::Tick { deadline: time(0), people_max: 500 })
    }),
    ("an outcast joins a canceled event whose end has passed", Refusal::EventCanceled, || {
        let mut stage = hostile(|fields| fields.opens_at = Some(time(2 * DAY)));
        stage.accept(OWNER, unpublish());
        stage.accept(OWNER, cancel());
        stage.now = 3 * DAY;
        stage.ask(OUTCAST, CommandKind::Join)
    }),
    ("an outcast joins after the end, which no tick has told", Refusal::EventEnded, || {
        let mut stage = hostile(|_| ());
        stage.now = 2 * DAY + 2 * HOUR;
        stage.ask(OUTCAST, CommandKind::Join)
    }),
    ("the owner updates after the end", Refusal::EventEnded, || {
        let mut stage = hostile(|_| ());
        stage.now = 3 * DAY;
        assert!(matches!(stage.tick_due(), Some(Verdict::Fact(_))));
        stage.ask(OWNER, wrong_update())
    }),
    ("an outcast joins an unpublished event that is not open yet", Refusal::EventNotPublished, || {
        let mut stage = hostile(|fields| fields.opens_at = Some(time(DAY)));
        stage.accept(OWNER, unpublish());
        stage.ask(OUTCAST, CommandKind::Join)
    }),
    ("the owner joins the own draft", Refusal::EventNotPublished, || {
        let mut stage = Stage::draft(fields(1));
        stage.ask(OWNER, CommandKind::Join)
    }),
    ("an outcast joins a full event before it opens", Refusal::NotOpenYet { opens_at: time(DAY) }, || {
        let mut stage = hostile(|fields| fields.opens_at = Some(time(DAY)));
        stage.now = DAY - 1;
        stage.ask(OUTCAST, CommandKind::Join)
    }),
    ("the owner joins the own full event", Refusal::IsOrganizer, || {
        hostile(|_| ()).ask(OWNER, CommandKind::Join)
    }),
    ("the owner is banned until a moment that has passed", Refusal::IsOrganizer, || {
        hostile(|_| ()).ask(OWNER, ban(OWNER, Some(time(-1))))
    }),
    ("an outcast joins a full event", Refusal::Banned, || {
        hostile(|_| ()).ask(OUTCAST, CommandKind::Join)
    }),
    ("somebody kicked, and banned no more, joins a full event", Refusal::RemovedByOrganizer, || {
        let mut stage = hostile(|_| ());
        stage.accept(OWNER, ban(OUTCAST, Some(time(10))));
        stage.now = 10;
        stage.ask(OUTCAST, CommandKind::Join)
    }),
    ("a stranger joins a full event", Refusal::EventFull, || {
        hostile(|_| ()).ask(STRANGER, CommandKind::Join)
    }),
    ("a stranger is kicked for a reason that is too long", Refusal::NotJoined, || {
        hostile(|_| ()).ask(OWNER, kick_of(STRANGER))
    }),
    ("somebody comes through the door again", Refusal::AlreadyCheckedIn { first_at: time(5) }, || {
        let mut stage = hostile(|_| ());
        stage.now = 5;
        stage.accept(OWNER, check_in(1));
        stage.now = 9;
        stage.ask(OWNER, check_in(1))
    }),
    ("the owner takes the title away from another version", Refusal::VersionConflict { current: 2 }, || {
        hostile(|_| ()).ask(OWNER, wrong_update())
    }),
    ("the owner publishes what is published", Refusal::InvalidState, || {
        hostile(|_| ()).ask(OWNER, CommandKind::Publish)
    }),
];

#[test]
fn the_first_refusal_of_the_list_wins() {
    for (name, refusal, lead) in ROWS {
        assert_eq!(lead(), Verdict::Refused(refusal), "when {name}");
    }
}

#[test]
fn every_refusal_has_a_row_and_the_rows_are_in_order() {
    let mut codes: Vec<&str> = ROWS.iter().map(|(_, refusal, _)| refusal.code()).collect();
    codes.dedup();
    let expected = [
        "idempotency_key_mismatch",
        "event_not_found",
        "forbidden",
        "event_canceled",
        "event_ended",
        "event_not_published",
        "not_open_yet",
        "is_organizer",
        "banned",
        "removed_by_organizer",
        "event_full",
        "not_joined",
        "already_checked_in",
        "version_conflict",
        "invalid_state",
    ];
    assert_eq!(codes, expected);
    assert!(ROWS.is_sorted_by_key(|(_, refusal, _)| *refusal));
}

#[test]
fn every_refusal_reads_back_from_its_code_and_detail() {
    for (_, refusal, _) in ROWS {
        assert_eq!(Refusal::parse(refusal.code(), refusal.detail()), Some(refusal));
    }
    assert_eq!(Refusal::parse("no_such_code", None), None);
}

#[test]
fn joining_twice_succeeds_without_a_fact_also_where_all_is_taken() {
    let mut stage = hostile(|_| ());
    let Outcome::Registration { user: whom, status, position, .. } =
        stage.unchanged(1, CommandKind::Join)
    else {
        panic!("an outcome of a registration");
    };
    assert_eq!((whom, status, position), (user(1), RegistrationStatus::Active, None));
}
