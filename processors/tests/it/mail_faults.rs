//! From joins to a mail server that fails in every way there is: who got what, and how often.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_kit::Config;
use cityevents_kit::breaker::BreakerState;
use cityevents_kit::config::Sources;
use cityevents_mail::{MailId, SmtpTransport};
use cityevents_processors::mailer::ledger::State;
use cityevents_processors::mailer::{Mailer, Parts};
use cityevents_runtime::host::Task as _;
use cityevents_runtime::retry::RetryConsumer;
use cityevents_schemas::topic;

use super::fixture::{PATIENCE, World, person};
use super::scripted::{Act, At, Fate, Manners, Server};

/// Where something answers, however busy the machine is.
const LONG: &str = "30s";
/// Where nothing answers.
const SHORT: &str = "500ms";
const REASON: &str = "__connect.errors.exception.message";
const CLASS: &str = "__connect.errors.exception.class.name";

/// A transport to a server, as settings say it.
fn transport(server: &Server, changed: &[(&str, &str)]) -> Arc<SmtpTransport> {
    let port = server.port.to_string();
    let mut settings = BTreeMap::from([
        ("mail.backend", "smtp"),
        ("mail.smtp.host", "localhost"),
        ("mail.smtp.port", &*port),
        ("mail.smtp.tls", "none"),
        ("mail.smtp.command_timeout", LONG),
        ("mail.smtp.data_timeout", LONG),
    ]);
    settings.extend(changed.iter().copied());
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let overrides = settings.into_iter().map(own).collect();
    let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
    Arc::new(SmtpTransport::new(&config.mail.smtp).unwrap())
}

/// How often each mail was, or may have been, taken, and how often that was said.
fn taken(server: &Server) -> BTreeMap<String, (usize, usize)> {
    let mut counts = BTreeMap::<_, (usize, usize)>::new();
    for (id, fate) in server.fates() {
        let count = counts.entry(id).or_default();
        count.0 += usize::from(fate != Fate::Refused);
        count.1 += usize::from(fate == Fate::Taken);
    }
    counts
}

/// Everything that is due, through all tiers.
fn send_all(world: &World, mailer: &mut RetryConsumer<Mailer>) {
    world.send(mailer);
    for wait_ms in [10_000, 60_000, 600_000] {
        world.clock.advance(wait_ms);
        world.send(mailer);
    }
}

/// Everybody who was to hear something did, once; what nobody answered to may be there again, under
/// the same id, and is counted.
async fn assert_everybody_heard(world: &World, parts: &Parts, server: &Server) {
    let (taken, mut doubts) = (taken(server), 0);
    let emails = world.emails();
    for email in &emails {
        let id = MailId::from_bytes(email.id);
        let entry = parts.ledger.entry(&id).await.unwrap().unwrap();
        assert_eq!(entry.state, State::Sent, "{id}");
        let (times, said) = taken[&id.to_string()];
        assert_eq!(said, 1, "{id} was taken {said} times");
        assert!(times <= 1 + entry.doubts as usize, "{id} came {times} times: {entry:?}");
        doubts += u64::from(entry.doubts);
    }
    assert_eq!(taken.len(), emails.len(), "and nobody heard anything else");
    assert_eq!(world.metrics.doubts.get(), doubts);
    assert_eq!(world.records(topic::EMAILS_DLQ.name).len(), 0);
}

fn joined(people: u32) -> World {
    let world = World::new();
    let event = world.event(people);
    world.join(event, 0..people);
    world.settle();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_once_everybody_hears_of_it_once() {
    for (at, act, doubts) in [
        (At::Greeting, Act::Say("421 4.3.2 not now"), 0),
        (At::Greeting, Act::Drop, 0),
        (At::Sender, Act::Say("451 4.3.0 not now"), 0),
        (At::Sender, Act::Drop, 0),
        (At::Recipient, Act::Say("450 4.2.0 greylisted"), 0),
        (At::Recipient, Act::Drop, 0),
        (At::Recipient, Act::Slow(Duration::from_millis(50)), 0),
        (At::Recipient, Act::Hang, 0),
        (At::Data, Act::Say("421 4.3.2 going away"), 0),
        // Small enough to be on its way whole: nobody can know.
        (At::Content, Act::Drop, 1),
        (At::Answer, Act::Say("452 4.3.1 disk full"), 0),
        (At::Answer, Act::Slow(Duration::from_millis(50)), 0),
        (At::Answer, Act::Drop, 1),
        (At::Answer, Act::Hang, 1),
    ] {
        let world = joined(4);
        let server = Server::start(Manners::default()).await;
        server.next(at, act.clone());
        let time = if matches!(act, Act::Hang) { SHORT } else { LONG };
        let times = [("mail.smtp.command_timeout", time), ("mail.smtp.data_timeout", time)];
        let parts = world.parts_with("one", transport(&server, &times), None);
        let mut mailer = world.mailer_of(parts.clone());
        send_all(&world, &mut mailer);
        // A machine that is busy may be late as well: what follows is all that must hold then.
        if time == LONG {
            assert_eq!(world.metrics.doubts.get(), doubts, "{at:?} {act:?}");
        }
        assert!(world.metrics.doubts.get() >= doubts, "{at:?} {act:?}");
        println!("{at:?} {act:?}: {:?}", taken(&server).values());
        assert_everybody_heard(&world, &parts, &server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_a_dead_letter_with_its_reason_and_the_others_are_sent() {
    for (at, said, told) in [
        (
            At::Recipient,
            "550 5.1.1 <ada@example.org>: nobody",
            "recipient: the server answered 550",
        ),
        (At::Data, "554 5.7.1 no", "announcing the content: the server answered 554 5.7.1"),
        (At::Answer, "552 5.3.4 too big, ada@example.org", "answered 552 5.3.4"),
    ] {
        let world = joined(3);
        let server = Server::start(Manners::default()).await;
        server.next(at, Act::Say(said));
        let mut mailer = world.mailer_of(world.parts_with("one", transport(&server, &[]), None));
        send_all(&world, &mut mailer);
        let letters = world.records(topic::EMAILS_DLQ.name);
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        let header = |name| letter.headers.get_text(name).unwrap();
        assert_eq!(header(CLASS), "permanent");
        let reason = header(REASON);
        assert!(reason.contains(told) && !reason.contains("example.org"), "{reason}");
        assert_eq!(taken(&server).values().filter(|(times, _)| *times == 1).count(), 2);
        assert_eq!(mailer.lag_records(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_off_alone_waits_in_the_tiers_and_holds_up_nobody() {
    let world = joined(40);
    let server = Server::start(Manners::default()).await;
    let one = format!("<{}@", person(7));
    let for_one = one.clone();
    server.whenever(Some(Box::new(move |at, heard| {
        let is_meant = at == At::Recipient && heard.contains(&for_one);
        is_meant.then_some(Act::Say("451 4.7.1 greylisted, come back later"))
    })));
    let parts = world.parts_with("one", transport(&server, &[]), None);
    let mut mailer = world.mailer_of(parts.clone());
    world.send(&mut mailer);
    assert_eq!(taken(&server).len(), 39, "everybody else has theirs");
    world.clock.advance(10_000);
    world.send(&mut mailer);
    assert_eq!(world.records(topic::EMAILS_RETRY_1M.name).len(), 1);
    server.whenever(None);
    world.clock.advance(60_000);
    world.send(&mut mailer);
    assert_everybody_heard(&world, &parts, &server).await;
    // Who is put off by every tier is a dead letter in the end, as long as others hear of things.
    let world = joined(3);
    server.whenever(Some(Box::new(move |at, heard| {
        let is_meant = at == At::Recipient && heard.contains(&format!("<{}@", person(1)));
        is_meant.then_some(Act::Say("452 4.2.2 full"))
    })));
    let mut mailer = world.mailer_of(world.parts_with("one", transport(&server, &[]), None));
    send_all(&world, &mut mailer);
    let letters = world.records(topic::EMAILS_DLQ.name);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].headers.get_text("attempt"), Some("4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_puts_everybody_off_is_waited_for_and_empties_nothing_into_the_tiers() {
    for (at, said) in [(At::Recipient, "451 4.3.0 not now"), (At::Answer, "452 4.3.1 disk full")] {
        let world = joined(200);
        let server = Server::start(Manners::default()).await;
        server.whenever(Some(Box::new(move |where_, _| (where_ == at).then_some(Act::Say(said)))));
        let parts = world.parts_with("one", transport(&server, &[]), None);
        let mut mailer = world.mailer_of(parts.clone());
        let asked = || server.said().iter().filter(|line| line.starts_with("RCPT")).count();
        // Whoever was asked about early may be moved late: the ledger lets go of a mail before that.
        let moved = || world.records(topic::EMAILS_RETRY_10S.name).len();
        step_until(&mut mailer, || asked() >= 70 && moved() >= 19);
        assert_eq!(moved(), 19, "so many in a row are not yet everybody");
        // Nor do those go on that wait in tiers, however often they are due.
        for _ in 0..4 {
            world.clock.advance(600_000);
            let before = asked();
            step_until(&mut mailer, || asked() > before);
        }
        assert_eq!(world.records(topic::EMAILS_RETRY_1M.name).len(), 0);
        assert_eq!(world.records(topic::EMAILS_DLQ.name).len(), 0);
        server.whenever(None);
        world.send(&mut mailer);
        assert_everybody_heard(&world, &parts, &server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_for_an_hour_is_waited_for_and_moves_nothing() {
    let world = joined(30);
    let mut server = Server::closed(Manners::default());
    let parts = world.parts_with("one", transport(&server, &[]), None);
    let mut mailer = world.mailer_of(parts.clone());
    for _ in 0..4 {
        step_until(&mut mailer, || parts.breaker.state() == BreakerState::Open);
        step_until(&mut mailer, || parts.breaker.state() == BreakerState::HalfOpen);
        world.clock.advance(15 * 60_000);
    }
    assert_eq!(mailer.all_progress()[0].1.offset, 0);
    assert_eq!(world.records(topic::EMAILS_RETRY_10S.name).len(), 0);
    server.open();
    world.send(&mut mailer);
    assert_everybody_heard(&world, &parts, &server).await;
    assert_eq!(world.metrics.doubts.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_who_it_says_gets_nothing_until_it_is() {
    let world = joined(5);
    let folder = tempfile::tempdir().unwrap();
    let manners = Manners { starttls: true, ..Manners::default() };
    let (server, other) = (Server::start(manners.clone()).await, Server::start(manners).await);
    let trusting = |server_of_certificate: &Server, name: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, &server_of_certificate.certificate).unwrap();
        let file = file.display().to_string();
        let values = [("mail.smtp.tls", "starttls"), ("mail.smtp.authorities", &*file)];
        transport(&server, &values)
    };
    let parts = world.parts_with("one", trusting(&other, "other.pem"), None);
    let mut mailer = world.mailer_of(parts);
    step_until(&mut mailer, || server.connections() >= 3);
    assert!(server.said().iter().all(|line| !line.contains("MAIL") && !line.contains("RCPT")));
    assert_eq!(world.records(topic::EMAILS_RETRY_10S.name).len(), 0);
    drop(mailer);
    let parts = world.parts_with("one", trusting(&server, "own.pem"), None);
    let mut mailer = world.mailer_of(parts.clone());
    send_all(&world, &mut mailer);
    assert_everybody_heard(&world, &parts, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_fails_with_some_values_is_a_dead_letter_and_says_which() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("place_confirmed/subject.txt");
    std::fs::create_dir(template.parent().unwrap()).unwrap();
    // Fine with the values of the checks at start.
    let text = "{% if event.title == \"Night walk\" %}{{ event.title|int }}{% endif %}Fine\n";
    std::fs::write(&template, text).unwrap();
    let event = world.event(1);
    world.join(event, 0..2);
    world.settle();
    let server = Server::start(Manners::default()).await;
    let parts = world.parts_with("one", transport(&server, &[]), Some(Path::new(folder.path())));
    let mut mailer = world.mailer_of(parts);
    world.send(&mut mailer);
    let letters = world.records(topic::EMAILS_DLQ.name);
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    let header = |name| letter.headers.get_text(name).unwrap();
    assert_eq!(header(CLASS), "unwritable");
    assert!(header(REASON).contains("place_confirmed/subject.txt"), "{}", header(REASON));
    assert_eq!(taken(&server).len(), 1, "who waits in line is told all the same");
}

/// Steps until something is so.
#[track_caller]
fn step_until(mailer: &mut RetryConsumer<Mailer>, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "not so after {PATIENCE:?}");
        mailer.step(Duration::from_millis(2)).unwrap();
    }
}
