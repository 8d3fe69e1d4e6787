//! `audit --personal-data`: nothing about anybody is in a log that people really used, and whatever
//! is put there is found at its place.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use cityevents_domain::fact::Change;
use cityevents_domain::ids::EventId;
use cityevents_domain::registration::{Ban, SealedText};
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::{Outgoing, TopicPartition};
use cityevents_schemas::message::{
    AccountChange, Engagement, EngagementKind, Person, PersonKind, encode_account_change,
    encode_engagement,
};
use serde_json::{Value, json};

use super::calls::{PASSWORD, bearer, post, send};
use super::command_line::run_on;
use super::instance::{DEADLINE, Instance, poll_for};
use super::planted::{Planted, append, open_log, user};
use super::web;

/// Somebody with a first and a last name.
fn register(http: SocketAddr, name: &str) -> (String, String) {
    let email = format!("{}@example.org", name.split(' ').next().unwrap().to_lowercase());
    let body = json!({ "email": email, "password": PASSWORD, "name": name });
    let made = post(http, "/api/auth/register", "", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    (made.json()["data"]["user"]["id"].as_str().unwrap().to_owned(), bearer(&made))
}

fn done(said: &web::Answer) {
    assert!(said.status < 300, "{} {}", said.status, said.text());
}

/// What people do, and what is said about them.
fn use_it(http: SocketAddr) {
    let (_, owner) = register(http, "Olga Owner");
    let fields = json!({
        "title": "Lantern walk with Ada Lovelace", "city": "Bern", "category": "walks",
        "description": "Along the river. Questions: olga@example.org",
        "start_time": "2099-06-01T20:00:00Z", "end_time": "2099-06-01T23:00:00Z", "capacity": 2,
    });
    let made = post(http, "/api/events", &owner, &fields).json();
    let event = format!("/api/events/{}", made["id"].as_str().unwrap());
    let act = |bearer: &str, path: &str, body: &Value| {
        let keyed = format!("{bearer}idempotency-key: once\r\n");
        done(&post(http, &format!("{event}{path}"), &keyed, body));
    };
    act(&owner, "/publish", &Value::Null);
    let people = ["Ada Lovelace", "Ben Franklin", "Eve Online"].map(|name| register(http, name));
    for (_, person) in &people {
        act(person, "/join", &Value::Null);
    }
    let [(ada, _), (_, ben), (eve, _)] = &people;
    let reason = json!({ "user_id": ada, "reason": "Ada Lovelace was rude to Ben Franklin" });
    act(&owner, "/bans", &reason);
    let reason = json!({ "reason": "eve@example.org never answers" });
    let kick = format!("{event}/participants/{eve}");
    done(&send(http, "DELETE", &kick, &owner, &reason));
    act(&owner, "/messages", &json!({ "to": "all", "subject": "Hi", "text": "Bring a lamp." }));
    let asked = json!({ "email": "ada@example.org" });
    done(&post(http, "/api/auth/password/reset/request", "", &asked));
    done(&send(http, "DELETE", "/api/auth/me", ben, &Value::Null));
    act(&owner, "/cancel-event", &json!({ "reason": "flood" }));
}

#[test]
fn nobody_is_in_a_log_that_people_used_beside_the_instance_and_when_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    use_it(instance.http);
    poll_for(DEADLINE, || {
        let lag = run_on(data, &["lag", "--output", "json"]);
        let lag: Value = serde_json::from_str(&lag.out).unwrap();
        lag["rows"].as_array().unwrap().iter().all(|row| row["records"] == 0)
    });
    run_on(data, &["snapshot", "take"]).good();
    let audit = |more: &[&str]| run_on(data, &[&["audit", "--personal-data"], more].concat());
    let sum = |report: &Value, field: &str| -> u64 {
        let topics = report["topics"].as_array().unwrap().iter();
        topics.map(|row| row[field].as_u64().unwrap()).sum()
    };
    let running = audit(&["--output", "json"]).json();
    let erased = "ben@example.org";
    assert!(audit(&["--look-for", erased]).good().contains("has anybody's personal data"));
    // What somebody publishes is theirs to publish, unless it is asked for.
    let published = audit(&["--look-for", "olga@example.org"]);
    published.failed(1, &["personal data at event-commands/", "was to be looked for"]);
    assert!(!published.err.contains("olga"), "a finding does not spread it: {}", published.err);
    assert!(!instance.log().contains("example.org"), "what is looked for is not logged");
    instance.stop();
    let stopped = audit(&["--output", "json"]).json();
    for report in [&running, &stopped] {
        assert_eq!(report["addresses"], 3, "{report}");
        assert_eq!(report["names"], 3, "{report}");
        assert!(sum(report, "sealed") >= 4, "{report}");
        assert!(sum(report, "published") >= 2, "{report}");
        assert_eq!(sum(report, "undecodable"), 0, "{report}");
        assert!(report["snapshots"].as_u64().unwrap() >= 1, "{report}");
        let facts = report["topics"].as_array().unwrap();
        let facts = facts.iter().find(|row| row["topic"] == "event-facts").unwrap();
        assert!(facts["records"].as_u64().unwrap() >= 9, "{report}");
    }
    run_on(data, &["audit", "--look-for", "x"]).failed(2, &["--personal-data"]);
}

/// A folder whose instance knows one person.
fn with_ada(data: &Path) {
    let create = ["account", "create", "--email", "ada@example.org", "--name", "Ada Lovelace"];
    run_on(data, &create).good();
    Instance::start(data).stop();
}

/// Puts a record into the log, audits, and takes the log away again.
fn found(base: &Path, topic: &str, record: Outgoing, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("copy");
    let copied = std::process::Command::new("cp").arg("-r").arg(base).arg(&data).status();
    assert!(copied.unwrap().success());
    let log = open_log(&data);
    let place = TopicPartition::new(topic, 0);
    // Behind one that is none of ours and says nothing.
    let (key, value) = (Some("other".into()), Some("no record".into()));
    let harmless = Outgoing { key, value, ..Outgoing::default() };
    let mut producer = log.producer("planted").unwrap();
    append(&mut *producer, &place, harmless);
    let offset = append(&mut *producer, &place, record);
    drop((producer, log));
    let said = run_on(&data, &["audit", "--personal-data"]);
    let at = format!("personal data at {place} offset {offset}:");
    said.failed(1, &[&[&*at], words].concat());
    assert!(!said.err.contains("ada@example.org"), "{}", said.err);
}

#[test]
fn what_is_about_somebody_is_found_in_keys_headers_and_values_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    with_ada(base);
    let id = || Some(Bytes::from(EventId::from_bytes([7; 16]).to_string()));
    let raw =
        |value: &str| Outgoing { value: Some(value.to_owned().into()), ..Outgoing::default() };
    let with_header = |name: &str, value: &[u8]| {
        let mut headers = HeadersBuilder::default();
        headers.push(name, value);
        Outgoing { key: id(), headers: headers.build(), ..Outgoing::default() }
    };
    let signal = |request: &str| {
        let engagement = Engagement {
            event: EventId::from_bytes([7; 16]),
            person: Person { id: [1; 16], kind: PersonKind::Account },
            kind: EngagementKind::View,
            feed: None,
            position: None,
            request_id: Some(request.to_owned()),
            at: Timestamp::from_millis(1_800_000_000_000),
        };
        let mut value = Vec::new();
        encode_engagement(&engagement, &mut value);
        Outgoing { key: id(), value: Some(value.into()), ..Outgoing::default() }
    };
    let mut account = Vec::new();
    let at = Timestamp::from_millis(1_800_000_000_000);
    encode_account_change(&AccountChange::of_session(user(1), [2; 16], at), &mut account);
    let keyed = |key: &str| Outgoing {
        key: Some(key.to_owned().into()),
        value: Some(account.clone().into()),
        ..Outgoing::default()
    };
    let rows = [
        (
            "event-commands-dlq",
            raw("{\"from\": \"ADA@example.org\"}"),
            "the address of the account",
        ),
        ("event-commands-dlq", raw("no account: ben@example.net"), "looks like an address"),
        ("emails-dlq", raw("Dear Ada Lovelace, your"), "the name of the account"),
        ("emails", raw("eyJhbGciOiJFZERTQSIsImtpZCI6IjEifQ.eyJ"), "looks like a token"),
        (
            "emails-dlq",
            with_header("__connect.errors.exception.message", b"550 ada@example.org is unknown"),
            "the header __connect.errors.exception.message has the address",
        ),
        ("emails-retry-1m", with_header("failure", b"Ada Lovelace moved"), "the header failure"),
        ("engagement", signal("ada@example.org"), "request_id has the address"),
        ("engagement", signal("for Ada Lovelace"), "request_id has the name"),
        ("account-changes", keyed("ada@example.org"), "its key is none of this topic's"),
        ("event-facts", with_header("ada@example.org", b"1"), "the name of a header"),
    ];
    for (topic, record, words) in rows {
        found(base, topic, record, &[words]);
    }
}

#[test]
fn a_reason_that_is_not_sealed_is_found_in_the_facts() {
    let folder = tempfile::tempdir().unwrap();
    run_on(folder.path(), &["account", "create", "--email", "ada@example.org"]).good();
    let mut planted = Planted::new(folder.path(), 2);
    planted.open();
    let ban = Change::Banned(Ban {
        user: user(9),
        banned_by: user(0xaa),
        banned_at: planted.now(),
        expires_at: None,
        reason: Some(SealedText(b"she was rude to all of us, again and again".to_vec())),
    });
    let offset = planted.step(vec![ban], 0, 0);
    let place = planted.facts().clone();
    planted.close();
    let at = format!("personal data at {place} offset {offset}: fact.changes[].banned.reason");
    let said = run_on(folder.path(), &["audit", "--personal-data"]);
    said.failed(1, &[&at, "is about a person, and not sealed"]);
}
