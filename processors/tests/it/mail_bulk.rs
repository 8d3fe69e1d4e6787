//! Many are told the same, and others have news of their own meanwhile.

use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::actor::Role;
use cityevents_domain::command::CommandKind;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_mail::FailureClass;
use cityevents_processors::mailer::Pace;
use cityevents_runtime::host::Task as _;
use cityevents_schemas::topic;

use super::fixture::{OWNER, World, person};

const PEOPLE: usize = 600;

/// They have places in an event and know it, and hear that it is called off.
fn called_off(world: &World, event: EventId) {
    let cancel = CommandKind::Cancel { reason: None };
    world.give(OWNER, Role::User, event, cancel);
    world.settle();
    world.clock.advance(1_000);
    world.settle();
    assert_eq!(world.records(topic::EMAILS_BULK.name).len(), PEOPLE);
}

/// What somebody was sent, and what was sent in all before each.
fn sent_to(world: &World, user: UserId) -> Vec<(&'static str, usize)> {
    let emails = world.emails();
    let of_user = |id: &[u8; 16]| {
        let found = emails.iter().find(|email| email.id == *id && email.recipient == user)?;
        Some(found.content.template())
    };
    let mails = world.transport.mails().into_iter().enumerate();
    mails.filter_map(|(before, mail)| Some((of_user(mail.id.as_bytes())?, before))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_has_the_mail_long_before_all_know_that_another_event_is_called_off() {
    let world = World::new();
    let (event, other) = (world.event(1_000), world.event(10));
    world.join(event, 0..PEOPLE as u32);
    world.settle();
    let mut parts = world.parts("one");
    // One after the other, as a slow server takes them.
    Arc::get_mut(&mut parts).unwrap().pace = Pace::new(1, 1, 1_000_000);
    let mut mailer = world.mailer_of(parts);
    world.send(&mut mailer);
    let before = world.transport.mails().len();
    called_off(&world, event);
    while world.transport.mails().len() <= before + 1 {
        mailer.step(Duration::from_millis(2)).unwrap();
    }
    world.join(other, 900..901);
    world.settle();
    world.send(&mut mailer);
    let sent = sent_to(&world, person(900));
    let [("place_confirmed", at)] = sent[..] else { panic!("{sent:?}") };
    let (told_before, all) = (at - before, world.transport.mails().len() - before);
    println!("{told_before} of {all} mails were before it");
    assert!(all >= PEOPLE && told_before < all / 2, "{told_before} of {all} were before it");
    assert_eq!(mailer.lag_records(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_that_an_event_is_called_off_before_that_there_is_a_place() {
    let world = World::new();
    let event = world.event(1_000);
    world.join(event, 0..PEOPLE as u32);
    world.settle();
    // Nothing was sent yet, and some of what is sent first is put off.
    for number in [1, 2, 5] {
        world.transport.fail(number, FailureClass::Transient);
    }
    called_off(&world, event);
    let mut mailer = world.mailer("one");
    world.send(&mut mailer);
    assert_eq!(world.records(topic::EMAILS_RETRY_10S.name).len(), 6, "with those that follow");
    world.clock.advance(10_000);
    world.send(&mut mailer);
    for number in 0..PEOPLE as u32 {
        let sent = sent_to(&world, person(number));
        let templates: Vec<_> = sent.iter().map(|(template, _)| *template).collect();
        assert_eq!(templates, ["place_confirmed", "event_canceled"], "{number}");
    }
}
