//! Create, update, publish, unpublish, cancel, end.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Audience, Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields, EventPatch, EventStatus};
use cityevents_domain::fact::{Change, EventCause, Fact, Outcome, Verdict};
use cityevents_domain::ids::{EventId, ImageId};
use cityevents_domain::invariants::{Invariant, check_fact};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::RegistrationStatus;
use cityevents_domain::state::{Partition, Slot};

use crate::fixtures::{
    DAY, HOUR, MINUTE, MODERATOR, OWNER, STRANGER, Stage, ban, cancel, capacity, check_in,
    command_id, fields, kick, person, time, unban, unpublish, update, user,
};

fn patch(edit: impl FnOnce(&mut EventPatch)) -> CommandKind {
    let mut patch = EventPatch::default();
    edit(&mut patch);
    update(patch)
}

fn cause(fact: &Fact) -> EventCause {
    match &fact.changes[0] {
        Change::Event { cause, .. } => *cause,
        other => panic!("not the event: {other:?}"),
    }
}

#[test]
fn a_new_event_is_a_draft_of_version_one_and_its_id_follows_from_the_command() {
    let stage = Stage::draft(fields(3));
    let event = stage.state().event();
    assert_eq!((event.status, event.version), (EventStatus::Draft, 1));
    assert_eq!(event.id, EventId::of_create(&command_id(0)));
    assert_eq!((event.owner, event.published_at), (user(OWNER), None));
}

#[test]
fn a_new_event_under_an_id_that_does_not_follow_from_its_command_is_refused() {
    let command = Command {
        id: command_id(1),
        digest: 0,
        event: EventId::from_bytes([1; 16]),
        actor: person(OWNER),
        kind: CommandKind::Create(Box::new(fields(3))),
    };
    let verdict = Partition::default().decide(&command, time(0));
    assert_eq!(verdict, Verdict::Refused(Refusal::InvalidState));
}

#[test]
fn an_event_is_not_made_twice_when_its_command_comes_again_after_a_day() {
    let mut stage = Stage::draft(fields(3));
    let command = Command {
        id: command_id(0),
        digest: 0,
        event: stage.event,
        actor: person(OWNER),
        kind: CommandKind::Create(Box::new(fields(3))),
    };
    assert!(matches!(stage.give(&command), Verdict::Unchanged(Outcome::Event { .. })));
    stage.now = DAY;
    assert_eq!(stage.give(&command), Verdict::Refused(Refusal::InvalidState));
}

#[test]
fn fields_are_held_to_their_limits_in_characters_and_each_problem_is_named() {
    type Edit = fn(&mut EventFields);
    let wrong: [(&str, Edit); 12] = [
        ("title", |fields| fields.title = String::new()),
        ("title", |fields| fields.title = "ä".repeat(121)),
        ("description", |fields| fields.description = "x".repeat(4_001)),
        ("city", |fields| fields.city = "x".repeat(81)),
        ("category", |fields| fields.category = " ".into()),
        ("location", |fields| fields.location = "x".repeat(201)),
        ("end_time", |fields| fields.end_time = fields.start_time),
        ("capacity", |fields| fields.capacity = Capacity::Limited(1_000_001)),
        ("capacity", |fields| fields.capacity = Capacity::Limited(0)),
        ("waitlist_limit", |fields| fields.waitlist_limit = Some(100_001)),
        ("opens_at", |fields| fields.opens_at = Some(fields.end_time)),
        ("cover_image_ids", |fields| {
            fields.cover_image_ids = vec![ImageId::from_bytes([1; 16]); 3];
        }),
    ];
    for (field, edit) in wrong {
        let mut fields = fields(3);
        edit(&mut fields);
        let problems = fields.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].field, field);
        let event = EventId::of_create(&command_id(0));
        let kind = CommandKind::Create(Box::new(fields));
        let command = Command { id: command_id(0), digest: 0, event, actor: person(OWNER), kind };
        let verdict = Partition::default().decide(&command, time(0));
        assert_eq!(verdict, Verdict::Refused(Refusal::InvalidState), "{field}");
    }
    let mut widest = fields(1_000_000);
    widest.title = "ä".repeat(120);
    widest.description = "ä".repeat(4_000);
    widest.waitlist_limit = Some(100_000);
    widest.location = String::new();
    widest.cover_image_ids = vec![ImageId::from_bytes([1; 16]); 2];
    assert_eq!(widest.problems(), []);
}

#[test]
fn the_line_is_as_long_as_the_capacity_within_twenty_and_a_hundred_unless_set() {
    let limit = |places, set| {
        let mut fields = fields(places);
        fields.waitlist_limit = set;
        fields.waitlist_limit()
    };
    assert_eq!(limit(1, None), 20);
    assert_eq!(limit(50, None), 50);
    assert_eq!(limit(5_000, None), 100);
    assert_eq!(limit(0, None), 100);
    assert_eq!(limit(50, Some(0)), 0);
}

#[test]
fn publishing_is_possible_until_five_minutes_after_the_start() {
    let mut stage = Stage::draft(fields(3));
    stage.now = 2 * DAY + 5 * MINUTE + 1;
    assert_eq!(stage.refusal(OWNER, CommandKind::Publish), Refusal::InvalidState);
    stage.now = 2 * DAY + 5 * MINUTE;
    assert_eq!(cause(&stage.accept(OWNER, CommandKind::Publish)), EventCause::Published);
}

#[test]
fn staff_may_do_what_the_owner_may_and_strangers_may_not() {
    let mut stage = Stage::draft(fields(3));
    assert_eq!(stage.refusal(STRANGER, CommandKind::Publish), Refusal::EventNotFound);
    stage.accept(MODERATOR, CommandKind::Publish);
    let kinds = [
        CommandKind::Publish,
        unpublish(),
        cancel(),
        capacity(5),
        kick(1),
        ban(1, None),
        unban(1),
        check_in(1),
        CommandKind::Message { to: Audience::All, subject: "a".into(), text: "b".into() },
    ];
    for kind in kinds {
        assert_eq!(stage.refusal(STRANGER, kind), Refusal::Forbidden);
    }
    stage.accept(MODERATOR, capacity(5));
    stage.accept(MODERATOR, unpublish());
    stage.accept(MODERATOR, cancel());
}

#[test]
fn the_platform_gives_ticks_and_nothing_else() {
    let mut stage = Stage::published(fields(3));
    for kind in [CommandKind::Join, CommandKind::Leave, cancel(), ban(1, None), capacity(9)] {
        let command = stage.command(Actor::System, kind);
        assert_eq!(stage.give(&command), Verdict::Refused(Refusal::Forbidden));
    }
    for role in Role::ALL {
        let actor = Actor::Person { user: user(OWNER), role };
        let command =
            stage.command(actor, CommandKind::Tick { deadline: time(0), people_max: 500 });
        assert_eq!(stage.give(&command), Verdict::Refused(Refusal::Forbidden));
    }
}

#[test]
fn the_version_rises_with_what_is_done_to_the_event_and_not_with_joins() {
    let mut stage = Stage::published(fields(1)).joined(2);
    assert_eq!(stage.state().event().version, 2);
    stage.accept(OWNER, capacity(5));
    stage.accept(OWNER, unpublish());
    stage.accept(OWNER, CommandKind::Publish);
    assert_eq!(stage.state().event().version, 5);
    stage.accept(0, CommandKind::Leave);
    stage.accept(OWNER, ban(1, None));
    assert_eq!(stage.state().event().version, 5);
    stage.accept(OWNER, cancel());
    assert!(matches!(stage.partition.find(&stage.event), Some(Slot::Closed(_))));
}

#[test]
fn an_update_of_another_version_is_refused_and_one_without_a_change_makes_no_fact() {
    let mut stage = Stage::published(fields(3));
    let title = |title: &str, expected_version| CommandKind::Update {
        patch: Box::new(EventPatch { title: Some(title.into()), ..EventPatch::default() }),
        expected_version,
    };
    let conflict = Refusal::VersionConflict { current: 2 };
    assert_eq!(stage.refusal(OWNER, title("New", Some(1))), conflict);
    stage.unchanged(OWNER, title("Open air cinema", Some(2)));
    let fact = stage.accept(OWNER, title("New", Some(2)));
    let Outcome::Event { event, .. } = &fact.outcome else { panic!("{fact:?}") };
    assert_eq!((event.fields.title.as_str(), event.version), ("New", 3));
    assert_eq!(event.fields.city, "Leipzig");
}

#[test]
fn only_a_change_of_time_or_place_after_publishing_is_notable() {
    let notable = |stage: &mut Stage, edit: fn(&mut EventPatch)| {
        cause(&stage.accept(OWNER, patch(edit))) == EventCause::Updated { notable: true }
    };
    let mut draft = Stage::draft(fields(3));
    assert!(!notable(&mut draft, |patch| patch.city = Some("Halle".into())));
    let mut stage = Stage::published(fields(3));
    assert!(!notable(&mut stage, |patch| patch.title = Some("New".into())));
    assert!(notable(&mut stage, |patch| patch.city = Some("Halle".into())));
    assert!(notable(&mut stage, |patch| patch.location = Some(String::new())));
    assert!(notable(&mut stage, |patch| patch.start_time = Some(time(DAY))));
    assert!(notable(&mut stage, |patch| patch.end_time = Some(time(5 * DAY))));
}

#[test]
fn a_published_event_cannot_be_ended_by_an_update() {
    let mut stage = Stage::published(fields(3));
    stage.now = 2 * DAY + HOUR;
    let ends = patch(|patch| patch.end_time = Some(time(2 * DAY + HOUR)));
    assert_eq!(stage.refusal(OWNER, ends), Refusal::InvalidState);
    stage.accept(OWNER, patch(|patch| patch.end_time = Some(time(2 * DAY + HOUR + 1))));
}

#[test]
fn unpublishing_keeps_registrations_and_line_and_closes_joining() {
    let mut stage = Stage::published(fields(2)).joined(4);
    stage.accept(OWNER, unpublish());
    assert_eq!(stage.refusal(OWNER, unpublish()), Refusal::InvalidState);
    assert_eq!(stage.refusal(9, CommandKind::Join), Refusal::EventNotPublished);
    assert_eq!(stage.refusal(OWNER, check_in(0)), Refusal::EventNotPublished);
    assert_eq!(stage.position_of(3), Some(2));
    // A place that comes free goes to the line all the same.
    stage.accept(0, CommandKind::Leave);
    assert_eq!(stage.status_of(2), Some(RegistrationStatus::Active));
    let first_published = stage.state().event().published_at;
    stage.now = HOUR;
    stage.accept(OWNER, CommandKind::Publish);
    assert_eq!(stage.state().event().published_at, first_published);
    assert_eq!(stage.active(), [user(1), user(2)]);
    assert_eq!(stage.position_of(3), Some(1));
}

#[test]
fn an_unpublished_event_has_no_end_to_wait_for() {
    let mut stage = Stage::published(fields(2));
    assert_eq!(stage.partition.next_deadline(), Some(time(2 * DAY + 2 * HOUR)));
    stage.accept(OWNER, unpublish());
    assert_eq!(stage.partition.next_deadline(), None);
    stage.now = 3 * DAY;
    assert_eq!(stage.tick(), Verdict::Refused(Refusal::InvalidState));
    assert_eq!(stage.refusal(OWNER, cancel()), Refusal::EventEnded);
}

#[test]
fn an_ended_event_is_folded_to_a_stub() {
    let mut stage = Stage::published(fields(2)).joined(3);
    stage.accept(OWNER, ban(9, Some(time(3 * DAY))));
    stage.now = 2 * DAY + 2 * HOUR - 1;
    assert!(stage.tick_due().is_none());
    assert_eq!(stage.tick(), Verdict::Refused(Refusal::InvalidState));
    stage.now += 1;
    let Some(Verdict::Fact(fact)) = stage.tick_due() else { panic!("no end") };
    assert_eq!(cause(&fact), EventCause::Ended);
    assert_eq!((fact.counters.active, fact.counters.waiting), (2, 1));
    let Some(Slot::Closed(stub)) = stage.partition.find(&stage.event) else { panic!("no stub") };
    assert_eq!((stub.status, stub.seq), (EventStatus::Ended, fact.event_seq));
    assert!(stub.was_published);
    assert_eq!(stage.partition.next_deadline(), None);
    for kind in [CommandKind::Join, CommandKind::Leave] {
        assert_eq!(stage.refusal(1, kind), Refusal::EventEnded);
    }
    assert_eq!(stage.tick(), Verdict::Refused(Refusal::EventEnded));
}

#[test]
fn whatever_is_asked_of_a_canceled_event_is_event_canceled() {
    let mut stage = Stage::published(fields(2)).joined(3);
    let fact = stage.accept(OWNER, cancel());
    // Nobody is expired by the fact itself; the ticks do that.
    assert_eq!((fact.counters.active, fact.counters.waiting), (2, 1));
    let kinds = || [CommandKind::Publish, unpublish(), cancel(), capacity(9), kick(1), unban(1)];
    for kind in kinds() {
        assert_eq!(stage.refusal(OWNER, kind), Refusal::EventCanceled);
    }
    assert_eq!(stage.refusal(1, CommandKind::Leave), Refusal::EventCanceled);
    assert!(matches!(stage.tick_due(), Some(Verdict::Fact(_))));
    assert!(matches!(stage.partition.find(&stage.event), Some(Slot::Closed(_))));
    for kind in kinds() {
        assert_eq!(stage.refusal(OWNER, kind), Refusal::EventCanceled);
    }
}

#[test]
fn reasons_and_messages_are_held_to_their_limits() {
    let mut stage = Stage::published(fields(2));
    let long = || Some("ä".repeat(501));
    let wrong = [CommandKind::Unpublish { reason: long() }, CommandKind::Cancel { reason: long() }];
    for kind in wrong {
        assert_eq!(stage.refusal(OWNER, kind), Refusal::InvalidState);
    }
    let message = |subject: usize, text: usize| CommandKind::Message {
        to: Audience::All,
        subject: "ä".repeat(subject),
        text: "ä".repeat(text),
    };
    for (subject, text) in [(0, 1), (121, 1), (1, 0), (1, 4_001)] {
        assert_eq!(stage.refusal(OWNER, message(subject, text)), Refusal::InvalidState);
    }
    stage.accept(OWNER, message(120, 4_000));
    stage.accept(OWNER, CommandKind::Cancel { reason: Some("ä".repeat(500)) });
}

#[test]
fn a_draft_that_was_never_published_has_nobody_to_write_to() {
    let message =
        || CommandKind::Message { to: Audience::Active, subject: "a".into(), text: "b".into() };
    let mut stage = Stage::draft(fields(2));
    assert_eq!(stage.refusal(OWNER, message()), Refusal::EventNotPublished);
    stage.accept(OWNER, CommandKind::Publish);
    stage.accept(OWNER, unpublish());
    stage.accept(OWNER, message());
}

#[test]
fn log_time_never_goes_back() {
    let mut stage = Stage::published(fields(2));
    stage.now = HOUR;
    assert_eq!(stage.accept(1, CommandKind::Join).at, time(HOUR));
    stage.now = HOUR - 1_000;
    assert_eq!(stage.accept(2, CommandKind::Join).at, time(HOUR));
}

#[test]
fn a_fact_that_breaks_a_promise_is_named_before_it_is_applied() {
    let mut stage = Stage::published(fields(2)).joined(2);
    let fact = match stage.ask(0, CommandKind::Leave) {
        Verdict::Fact(fact) => *fact,
        other => panic!("{other:?}"),
    };
    let breach = |fact: &Fact| check_fact(&stage.partition, fact).unwrap_err().invariant;
    assert_eq!(breach(&fact), Invariant::SequenceWithoutGap);
    let next = Fact { event_seq: fact.event_seq + 1, ..fact };
    assert_eq!(breach(&next), Invariant::OneFactPerCommand);
    let mut oversold = Fact { command: command_id(99), ..next };
    oversold.counters.active = 3;
    assert_eq!(breach(&oversold), Invariant::WithinCapacity);
    // Raised to what is still too little, it is no better.
    let mut event = Box::new(stage.state().event().clone());
    event.fields.capacity = Capacity::Limited(1);
    let cause = EventCause::Updated { notable: false };
    oversold.changes.push(Change::Event { cause, event, reason: None });
    assert_eq!(breach(&oversold), Invariant::WithinCapacity);
}
