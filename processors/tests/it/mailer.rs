//! From mails to be sent to mails, through every kind of failure.

use std::collections::BTreeMap;

use cityevents_domain::actor::Role;
use cityevents_domain::command::CommandKind;
use cityevents_domain::ids::EventId;
use cityevents_mail::{FailureClass, MailId};
use cityevents_processors::emails;
use cityevents_processors::mailer::DropReason;
use cityevents_processors::mailer::ledger::State;
use cityevents_runtime::host::Task as _;
use cityevents_runtime::log::Outgoing;
use cityevents_runtime::retry::Tries;
use cityevents_schemas::message::EmailContent;
use cityevents_schemas::topic;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::fixture::{OWNER, World, person};

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message).replace("=\r\n", "")
}

/// Delivered mails by id.
fn delivered(world: &World) -> BTreeMap<MailId, usize> {
    let mut found = BTreeMap::new();
    for mail in world.transport.mails() {
        *found.entry(mail.id).or_default() += 1;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_ends_as_a_mail_and_is_never_sent_twice() {
    let world = World::new();
    let event = world.event(1);
    world.join(event, 0..2);
    world.settle();
    let mut mailer = world.mailer("one");
    world.send(&mut mailer);
    let mails = world.transport.mails();
    assert_eq!(mails.len(), 2);
    assert!(text(&mails[0].message).contains("Night walk"), "{}", text(&mails[0].message));
    drop(mailer);
    // Nobody committed, so whoever comes next reads it all again.
    let mut again = world.mailer("two");
    world.send(&mut again);
    assert_eq!(world.transport.calls(), 2);
    assert_eq!(world.metrics.repeats.get(), 2);
    assert_eq!(again.lag_records(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_class_of_failure_goes_its_way() {
    let world = World::new();
    let event = world.event(10);
    world.join(event, 0..4);
    world.settle();
    world.transport.fail_always(Some(FailureClass::Transient));
    let mut mailer = world.mailer("one");
    world.send(&mut mailer);
    let waiting = world.records(topic::EMAILS_RETRY_10S.name);
    assert_eq!(waiting.len(), 4);
    assert_eq!(Tries::of(&waiting[0].headers).attempt, 2);
    world.clock.advance(9_999);
    world.send(&mut mailer);
    assert_eq!(world.transport.calls(), 4, "not early");
    world.clock.advance(1);
    world.transport.fail_always(None);
    world.transport.fail(1, FailureClass::Permanent);
    world.transport.fail(2, FailureClass::Unknown);
    world.send(&mut mailer);
    assert_eq!(world.transport.calls(), 8);
    let letters = world.records(topic::EMAILS_DLQ.name);
    assert_eq!(letters.len(), 1, "for good");
    let class = letters[0].headers.get_text("__connect.errors.exception.class.name");
    assert_eq!(class, Some("permanent"));
    assert_eq!(world.records(topic::EMAILS_RETRY_1M.name).len(), 1, "nobody knows");
    world.clock.advance(60_000);
    world.send(&mut mailer);
    assert_eq!(world.metrics.doubts.get(), 1);
    // The capture keeps what may have been delivered: the same mail twice.
    let mut counts: Vec<_> = delivered(&world).into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_moves_nothing_and_is_waited_for() {
    let world = World::new();
    let event = world.event(100);
    world.join(event, 0..50);
    world.settle();
    world.transport.fail_always(Some(FailureClass::Downstream));
    let mut mailer = world.mailer("one");
    let calls = world.transport.calls();
    while world.transport.calls() < calls + 6 {
        mailer.step(std::time::Duration::from_millis(2)).unwrap();
    }
    assert_eq!(mailer.all_progress()[0].1.offset, 0);
    for topic in [&topic::EMAILS_RETRY_10S, &topic::EMAILS_DLQ] {
        assert_eq!(world.records(topic.name).len(), 0);
    }
    world.transport.fail_always(None);
    world.send(&mut mailer);
    assert_eq!(delivered(&world).len(), 50);
    assert_eq!(world.transport.mails().len(), 50);
    assert_eq!(world.metrics.doubts.get(), 0, "nothing of it was in doubt");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_to_be_told_is_not_told_and_the_ledger_says_why() {
    let world = World::new();
    let event = world.event(10);
    let reasons = DropReason::ALL;
    world.join(event, 0..6);
    for (number, reason) in (0..).zip(reasons) {
        world.people.0.lock().insert(person(number), reason);
    }
    world.settle();
    let mut mailer = world.mailer("one");
    world.send(&mut mailer);
    assert_eq!(world.transport.calls(), 0);
    let parts = world.parts("two");
    for (email, reason) in world.emails().iter().zip(reasons) {
        let entry = parts.ledger.entry(&MailId::from_bytes(email.id)).await.unwrap();
        if reason == DropReason::Unknown {
            assert_eq!(entry, None);
            continue;
        }
        let entry = entry.unwrap();
        assert_eq!((entry.state, entry.why.as_deref()), (State::Dropped, Some(reason.as_str())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_place_is_never_told_before_the_wait_for_it() {
    let world = World::new();
    let event = world.event(1);
    world.join(event, 0..2);
    world.settle();
    world.transport.fail(1, FailureClass::Transient);
    world.transport.fail(2, FailureClass::Transient);
    let mut mailer = world.mailer("one");
    world.send(&mut mailer);
    world.give(person(0), Role::User, event, CommandKind::Leave);
    world.settle();
    world.send(&mut mailer);
    assert_eq!(world.transport.mails().len(), 0, "the second follows the first");
    world.clock.advance(10_000);
    world.send(&mut mailer);
    let emails = world.emails();
    let order: Vec<_> = world.transport.mails().iter().map(|mail| mail.id).collect();
    let of = |template| {
        let email = emails
            .iter()
            .find(|email| email.recipient == person(1) && email.content.template() == template);
        let id = MailId::from_bytes(email.unwrap().id);
        order.iter().position(|known| *known == id).unwrap()
    };
    assert!(of("waitlisted") < of("place_came_free"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_a_dead_letter_and_holds_up_nobody() {
    let world = World::new();
    let event = world.event(10);
    let nonsense = |value: Option<&'static str>| Outgoing {
        key: Some("k".into()),
        value: value.map(Into::into),
        ..Outgoing::default()
    };
    world.append(topic::EMAILS.name, nonsense(Some("no mail at all")));
    world.append(topic::EMAILS.name, nonsense(None));
    world.join(event, 0..1);
    world.settle_behind(2);
    let mut mailer = world.mailer("one");
    world.send(&mut mailer);
    assert_eq!(world.transport.mails().len(), 1);
    assert_eq!(world.records(topic::EMAILS_DLQ.name).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_tables_do_not_have_is_waited_for_and_then_tried_later() {
    let world = World::new();
    let content = EmailContent::PlaceConfirmed { event: EventId::from_bytes([9; 16]) };
    let unknown = (EventId::from_bytes([9; 16]), 1);
    let email = emails::about_fact(unknown, OWNER, world.now(), content);
    world.append(topic::EMAILS.name, emails::outgoing(&email, "/test", None));
    let mut mailer = world.mailer("one");
    world.send(&mut mailer);
    assert_eq!(world.records(topic::EMAILS_RETRY_10S.name).len(), 1);
    assert_eq!(world.transport.calls(), 0);
}

/// Failures of every class and crashes at any moment: every mail is delivered or a dead letter, and
/// more than once only where nobody knew.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_and_nothing_is_double_but_what_was_in_doubt() {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let first = given.unwrap_or_else(|| rand::rng().random());
    for seed in (0..5).map(|round| first.wrapping_add(round)) {
        println!("SEED={seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let world = World::new();
        let event = world.event(30);
        world.join(event, 0..60);
        for number in 0..20 {
            world.give(person(number), Role::User, event, CommandKind::Leave);
        }
        world.settle();
        for _ in 0..40 {
            let class = FailureClass::ALL[rng.random_range(0..FailureClass::ALL.len())];
            world.transport.fail(rng.random_range(1..160), class);
        }
        let mut mailer = world.mailer("one");
        for _ in 0..12 {
            for _ in 0..rng.random_range(0..40) {
                mailer.step(std::time::Duration::from_millis(1)).unwrap();
            }
            if rng.random_range(0..2) == 0 {
                world.commit("mailer", &mailer.all_progress());
            }
            // In the middle of whatever it does; the next run has the same name.
            mailer = world.mailer("one");
            world.clock.advance(rng.random_range(0..30_000));
        }
        for _ in 0..40 {
            world.send(&mut mailer);
            world.clock.advance(60_000);
        }
        let delivered = delivered(&world);
        let ledger = &world.parts("two").ledger;
        let letters: Vec<_> = world
            .records(topic::EMAILS_DLQ.name)
            .iter()
            .map(|letter| letter.headers.get_text("ce_id").unwrap().parse::<MailId>().unwrap())
            .collect();
        for email in world.emails() {
            let id = MailId::from_bytes(email.id);
            let times = delivered.get(&id).copied().unwrap_or(0);
            let entry = ledger.entry(&id).await.unwrap();
            let is_sent = entry.as_ref().is_some_and(|entry| entry.state == State::Sent);
            // Both, when it was given up, and then tried again because nobody had committed that.
            assert!(is_sent || letters.contains(&id), "SEED={seed}: {id} {entry:?} {letters:?}");
            let doubts = entry.map_or(0, |entry| entry.doubts as usize);
            assert!(times <= 1 + doubts, "SEED={seed}: {id} was delivered {times} times");
            assert!(times >= 1 || !is_sent, "SEED={seed}: {id} is missing");
        }
    }
}
