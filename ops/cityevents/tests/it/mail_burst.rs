//! A burst of mails, and what must be so of it however often the mailer dies meanwhile: every mail
//! came, and came again only where a death left it in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cityevents_mail::MailId;
use cityevents_processors::mailer::ledger::{Entry, State};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::calls::{post, register};
use super::command_line::Said;
use super::smtp_sink::{Sink, Taken};

/// People who are told, and what they are told beside their address and their place.
const PEOPLE: usize = 16;
const NOTES: usize = 14;
/// What is put off, and how often: those behind it go where it waits, and no more often than there are
/// tiers.
pub const PUTS_OFF: [(&str, u32); 2] = [(": note 3", 2), (": note 8", 1)];
/// What clients say from the moment that they are let in to a death: a few mails.
const STEPS: std::ops::Range<usize> = 1..60;
/// Longest wait for the last mail, on a machine that does other things as well.
const ALL_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A death comes so much later, at most: a moment, not a moment at which something has happened.
const LATER_MAX_MICROS: u64 = 3_000;

/// Settings of whoever sends mails to a sink. Tiers wait for a moment only, so that deaths meet mails
/// that wait, and nothing is known to be away for long.
pub fn settings(sink: &Sink) -> Vec<(&'static str, String)> {
    [
        ("CITYEVENTS__MAIL__BACKEND", "smtp"),
        ("CITYEVENTS__MAIL__SMTP__HOST", "127.0.0.1"),
        ("CITYEVENTS__MAIL__SMTP__PORT", &*sink.port.to_string()),
        ("CITYEVENTS__MAIL__SMTP__TLS", "none"),
        ("CITYEVENTS__MAIL__RETRY_AFTER", "200ms, 400ms, 600ms"),
        ("CITYEVENTS__BREAKER__OPEN_FOR", "100ms"),
        // Links are the same, whatever port the process takes when it is started again.
        ("CITYEVENTS__HTTP__PUBLIC_URL", "http://127.0.0.1:8080"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// The process that sends mails.
pub trait Mailer {
    /// `kill -9`.
    fn kill(&mut self);
    /// What the ledger says of mails, while nobody sends any.
    fn ledger(&self, mails: &BTreeSet<MailId>) -> BTreeMap<MailId, Entry>;
    /// Starts it again, under the same name.
    fn restart(&mut self);
}

/// What everybody has to get: the address, and words of the subject.
pub struct Burst(BTreeSet<(String, String)>);

impl Burst {
    /// People who register and join, and an organiser who writes to all of them again and again.
    pub fn begin(http: SocketAddr) -> Self {
        let (_, owner) = register(http, "owner");
        let event = publish(http, &owner);
        let mut expected = BTreeSet::from([to("owner", "Please confirm your address")]);
        let join = format!("/api/events/{event}/join");
        for name in (0..PEOPLE).map(|number| format!("person{number}")) {
            let (_, person) = register(http, &name);
            let keyed = format!("{person}idempotency-key: join\r\n");
            assert_eq!(post(http, &join, &keyed, &Value::Null).status, 200);
            expected.insert(to(&name, "Please confirm your address"));
            expected.insert(to(&name, "You have a place: Lantern walk"));
            expected.extend((0..NOTES).map(|note| to(&name, &subject(note))));
        }
        let write = format!("/api/events/{event}/messages");
        for note in 0..NOTES {
            let body = json!({ "to": "all", "subject": words(note), "text": "See you there." });
            let keyed = format!("{owner}idempotency-key: note-{note}\r\n");
            let said = post(http, &write, &keyed, &body);
            assert_eq!(said.status, 200, "{}", said.text());
        }
        Self(expected)
    }

    /// Waits until everybody has everything. `log` is what the mailer has said so far.
    pub fn wait_for_all(&self, sink: &Sink, log: impl Fn() -> String) {
        let came = |mail: Taken| (mail.to, mail.subject);
        let missing = || {
            let came: BTreeSet<_> = sink.taken().into_iter().map(came).collect();
            self.0.difference(&came).cloned().collect::<Vec<_>>()
        };
        let started = Instant::now();
        while !missing().is_empty() {
            let waited = started.elapsed();
            assert!(waited < ALL_WITHIN, "missing: {:?}, and before that {}", missing(), log());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Nothing is missing, nothing else came, and each came once, and again at most as often as it
    /// was in doubt.
    pub fn assert_sent(
        &self,
        sink: &Sink,
        doubts: &BTreeMap<MailId, usize>,
        ledger: &BTreeMap<MailId, Entry>,
    ) {
        let taken = sink.taken();
        let came = taken.iter().map(|mail| (mail.to.clone(), mail.subject.clone()));
        assert_eq!(came.collect::<BTreeSet<_>>(), self.0);
        let mut by_id: BTreeMap<MailId, Vec<&Taken>> = BTreeMap::new();
        for mail in &taken {
            by_id.entry(mail.id.parse().unwrap()).or_default().push(mail);
        }
        assert_eq!(by_id.len(), self.0.len(), "a mail came under two ids");
        for (id, mails) in &by_id {
            let again = mails.len() - 1;
            let (doubts, entry) = (doubts.get(id).copied().unwrap_or(0), &ledger[id]);
            assert_eq!(entry.state, State::Sent, "{id}");
            assert!(again <= doubts, "{id} came {again} times again, in doubt {doubts} times");
            assert!(again <= entry.doubts as usize, "{id} came again and nobody counted it");
            assert!(mails.iter().all(|mail| mail.message == mails[0].message), "{id} differs");
        }
        let again = taken.len() - by_id.len();
        println!("{} mails, {again} of them came once more", by_id.len());
        self.assert_in_order(&taken);
    }

    /// What one person is told about one event comes in order, put off or not.
    fn assert_in_order(&self, taken: &[Taken]) {
        for person in self.0.iter().map(|(to, _)| to) {
            let place = |note: usize| {
                let is_it = |mail: &Taken| mail.to == *person && mail.subject == subject(note);
                taken.iter().position(is_it)
            };
            let places: Vec<_> = (0..NOTES).map(place).collect();
            assert!(places.is_sorted(), "{person} got the notes in another order: {places:?}");
        }
    }
}

/// A source of chance that a failed run can be repeated with.
pub fn random() -> StdRng {
    let seed = std::env::var("CITYEVENTS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("seed: CITYEVENTS_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Kills and restarts the mailer while mails go out, and tells how often each mail that the server
/// has was in doubt at a death: it was there, and the ledger did not know.
pub fn kill_again_and_again(
    sink: &Sink,
    mailer: &mut impl Mailer,
    random: &mut StdRng,
    kills: usize,
) -> BTreeMap<MailId, usize> {
    let mut doubts = BTreeMap::new();
    for kill in 0..kills {
        // Every other time the last answers are lost for certain.
        let holds = kill % 2 == 1;
        let steps = sink.steps() + random.random_range(STEPS);
        sink.let_in(true);
        sink.wait_for_steps(steps);
        if holds {
            sink.hold_answers(true);
            sink.wait_for_held();
        }
        std::thread::sleep(Duration::from_micros(random.random_range(0..LATER_MAX_MICROS)));
        sink.let_in(false);
        mailer.kill();
        sink.hold_answers(false);
        // Those who waited to be let in are gone too.
        sink.let_in(true);
        sink.wait_for_nobody();
        sink.let_in(false);
        let ledger = mailer.ledger(&ids(sink));
        let mut in_doubt = 0;
        for id in ids(sink) {
            if ledger.get(&id).is_none_or(|entry| entry.state != State::Sent) {
                *doubts.entry(id).or_default() += 1;
                in_doubt += 1;
            }
        }
        println!("death {kill}: {} mails taken, {in_doubt} of them in doubt", sink.taken().len());
        assert!(!holds || in_doubt > 0, "an answer was kept back, and nobody is in doubt");
        mailer.restart();
    }
    sink.let_in(true);
    doubts
}

/// What `lag` says of the mailer; it fails while anybody is behind.
pub fn lag_rows(said: &Said) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let rows = answer["rows"].as_array().unwrap().iter();
    let is_its = |row: &&Value| row["group"].as_str().unwrap().ends_with("mailer");
    rows.filter(is_its).cloned().collect()
}

/// Mails have waited in the first two tiers.
pub fn assert_waited(rows: &[Value]) {
    for tier in ["emails-retry-10s", "emails-retry-1m"] {
        let of_tier = rows.iter().filter(|row| row["topic"].as_str().unwrap().ends_with(tier));
        let waited: u64 = of_tier.map(|row| row["end"].as_u64().unwrap()).sum();
        println!("{tier}: {waited} mails have waited");
        assert!(waited > 0, "nothing was put off");
    }
}

/// The mails that the server has.
pub fn ids(sink: &Sink) -> BTreeSet<MailId> {
    sink.taken().iter().map(|mail| mail.id.parse().unwrap()).collect()
}

fn to(name: &str, subject: &str) -> (String, String) {
    (format!("{name}@example.org"), subject.to_owned())
}

fn words(note: usize) -> String {
    format!("note {note}")
}

fn subject(note: usize) -> String {
    format!("Lantern walk: {}", words(note))
}

fn publish(http: SocketAddr, owner: &str) -> String {
    let fields = json!({
        "title": "Lantern walk", "description": "Along the river.", "city": "Bern",
        "category": "walks", "start_time": "2099-06-01T20:00:00Z",
        "end_time": "2099-06-01T23:00:00Z", "capacity": 1_000,
    });
    let made = post(http, "/api/events", owner, &fields).json();
    let event = made["id"].as_str().unwrap().to_owned();
    let path = format!("/api/events/{event}/publish");
    assert_eq!(post(http, &path, owner, &Value::Null).status, 200);
    event
}
