//! Who is told what, from commands to mails to be sent.

use std::collections::BTreeSet;
use std::time::Duration;

use cityevents_domain::actor::Role;
use cityevents_domain::command::{Audience, CommandKind};
use cityevents_domain::event::EventPatch;
use cityevents_domain::time::Millis;
use cityevents_processors::notifier;
use cityevents_runtime::host::Task as _;
use cityevents_runtime::log::LogErrorKind;
use cityevents_schemas::cloudevents::header;
use cityevents_schemas::message::{EmailContent, EmailStanding};
use cityevents_schemas::topic;

use super::fixture::{OWNER, World, person};

#[test]
fn people_hear_of_their_place_their_wait_and_their_luck_and_not_of_leaving() {
    let world = World::new();
    let event = world.event(1);
    world.join(event, 0..3);
    world.give(person(0), Role::User, event, CommandKind::Leave);
    world.settle();
    assert_eq!(world.told(person(0)), ["place_confirmed"], "nothing about one's own leaving");
    assert_eq!(world.told(person(1)), ["waitlisted", "place_came_free"]);
    assert_eq!(world.told(person(2)), ["waitlisted"]);
    let second = world.emails().into_iter().find(|email| email.recipient == person(2)).unwrap();
    assert_eq!(second.content, EmailContent::Waitlisted { event, position: 2 });
    world.give(OWNER, Role::User, event, CommandKind::Kick { user: person(1), reason: None });
    let (user, reason) = (person(9), None);
    let expires_at = Some(world.now() + Millis::hours(1));
    world.give(OWNER, Role::User, event, CommandKind::Ban { user, reason, expires_at });
    world.settle();
    assert_eq!(world.told(person(1)).last(), Some(&"removed"));
    assert_eq!(world.told(person(2)).last(), Some(&"place_came_free"));
    assert_eq!(world.told(person(9)), ["removed"], "who never joined is told too");
    assert_eq!(world.told(OWNER), [""; 0]);
}

#[test]
fn a_cancellation_reaches_everybody_once_with_its_reason() {
    let world = World::new();
    let event = world.event(700);
    world.join(event, 0..1_200);
    world.give(person(7), Role::User, event, CommandKind::Leave);
    world.settle();
    let before = world.emails().len();
    let reason = Some("flood".to_owned());
    world.give(OWNER, Role::User, event, CommandKind::Cancel { reason: reason.clone() });
    world.settle();
    world.clock.advance(1_000);
    world.settle();
    let told: Vec<_> = world.emails().split_off(before);
    let people: BTreeSet<_> = told.iter().map(|email| email.recipient).collect();
    assert_eq!((told.len(), people.len()), (1_200, 1_200), "the owner, and all but who left");
    assert!(!people.contains(&person(7)) && people.contains(&OWNER));
    let standing = |number| {
        let email = told.iter().find(|email| email.recipient == number).unwrap();
        match &email.content {
            EmailContent::EventCanceled { reason: said, standing, version, .. } => {
                assert_eq!((said, version), (&reason, &3));
                *standing
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(standing(person(0)), EmailStanding::Active);
    assert_eq!(standing(person(1_100)), EmailStanding::Waiting);
    assert_eq!(standing(OWNER), EmailStanding::Owner);
}

#[test]
fn a_change_and_a_message_reach_those_who_are_there_and_nobody_who_came_later() {
    let world = World::new();
    let event = world.event(600);
    world.join(event, 0..1_100);
    world.settle();
    let before = world.emails().len();
    world.clock.advance(1_000);
    let patch = EventPatch { city: Some("Graz".into()), ..EventPatch::default() };
    let update = CommandKind::Update { patch: Box::new(patch), expected_version: None };
    world.give(OWNER, Role::User, event, update);
    let (to, subject, text) = (Audience::Waitlisted, "Soon".to_owned(), "Wait.".to_owned());
    world.give(OWNER, Role::User, event, CommandKind::Message { to, subject, text });
    world.decide();
    // Later than both, before anybody is told.
    world.clock.advance(1_000);
    world.join(event, 2_000..2_010);
    world.settle();
    let told = world.emails().split_off(before);
    let of = |template| told.iter().filter(move |email| email.content.template() == template);
    let changed: BTreeSet<_> = of("event_changed").map(|email| email.recipient).collect();
    assert_eq!((changed.len(), of("event_changed").count()), (1_100, 1_100));
    assert!(!changed.contains(&OWNER) && !changed.contains(&person(2_001)));
    let written: BTreeSet<_> = of("organizer_message").map(|email| email.recipient).collect();
    assert_eq!((written.len(), of("organizer_message").count()), (500, 500));
    assert!(written.contains(&person(1_000)) && !written.contains(&person(5)));
    // Nothing is left to be done.
    world.settle();
    assert_eq!(world.emails().len(), before + told.len());
}

#[test]
fn telling_many_waits_for_the_tables_and_holds_up_nobody() {
    let world = World::new();
    let event = world.event(2_000);
    world.join(event, 0..1_200);
    world.settle();
    let (to, subject, text) = (Audience::All, "Hello".to_owned(), "All.".to_owned());
    world.give(OWNER, Role::User, event, CommandKind::Message { to, subject, text });
    world.decide();
    let before = world.emails().len();
    let mut notifier = world.notifier();
    for _ in 0..4 {
        notifier.step(Duration::ZERO).unwrap();
    }
    assert_eq!(world.emails().len(), before, "the tables do not have the fact yet");
    assert_eq!(notifier.lag_records(), Some(0));
    world.project();
    notifier.step(Duration::ZERO).unwrap();
    assert_eq!(world.emails().len(), before + 500, "one step");
    let other = world.event(10);
    world.join(other, 5_000..5_001);
    world.decide();
    notifier.step(Duration::ZERO).unwrap();
    assert_eq!(world.told(person(5_000)), ["place_confirmed"], "between two steps");
    // Whoever takes over goes on behind the last step.
    world.commit(notifier::NAME, &notifier.all_progress());
    drop(notifier);
    world.settle();
    let messages = world.emails();
    let messages: Vec<_> =
        messages.iter().filter(|email| email.content.template() == "organizer_message").collect();
    let people: BTreeSet<_> = messages.iter().map(|email| email.recipient).collect();
    assert_eq!(people.len(), 1_200);
    assert_eq!(messages.len(), 1_200, "a step that was done is not done again");
}

#[test]
fn a_crash_tells_again_under_the_same_ids_and_forgets_nobody() {
    let world = World::new();
    let event = world.event(10);
    world.join(event, 0..5);
    let (to, subject, text) = (Audience::All, "Hello".to_owned(), "All.".to_owned());
    world.give(OWNER, Role::User, event, CommandKind::Message { to, subject, text });
    world.decide();
    world.project();
    let mut notifier = world.notifier();
    world.log.fail_next_append(LogErrorKind::Unavailable);
    notifier.step(Duration::ZERO).unwrap_err();
    assert!(notifier.progress().is_none(), "progress comes behind the mails");
    drop(notifier);
    // Twice, since nobody commits in between.
    for _ in 0..2 {
        let mut notifier = world.notifier();
        for _ in 0..5 {
            notifier.step(Duration::ZERO).unwrap();
        }
    }
    let emails = world.emails();
    let ids: BTreeSet<_> = emails.iter().map(|email| email.id).collect();
    assert!(emails.len() > 10, "{}", emails.len());
    assert_eq!(ids.len(), 10, "five places and five messages");
}

#[test]
fn what_happened_before_there_were_mails_is_nobodys_news() {
    let world = World::new();
    let event = world.event(10);
    world.join(event, 0..2);
    world.decide();
    world.project();
    world.clock.advance(3_600_000);
    world.join(event, 2..3);
    world.settle();
    assert_eq!(world.told(person(0)), [""; 0]);
    assert_eq!(world.told(person(2)), ["place_confirmed"]);
}

#[test]
fn a_mail_says_in_its_headers_what_it_is_and_where_it_comes_from() {
    let world = World::new();
    let event = world.event(10);
    world.join(event, 0..1);
    world.settle();
    let records = world.records(topic::EMAILS.name);
    let [record] = &records[..] else { panic!("{records:?}") };
    let said = |name| record.headers.get_text(name).unwrap();
    assert_eq!(said(header::TYPE), "cityevents.email.place_confirmed");
    assert_eq!(said(header::SOURCE), "/cityevents/notifier");
    assert_eq!(said(header::SUBJECT), event.to_string());
    assert_eq!(said(header::ID).len(), 32);
}
