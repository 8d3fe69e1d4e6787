//! What is talked about, from a click to the feed: joins and views move an event up within moments,
//! whatever is killed in between, and what nobody did counts for nobody.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::command_line::run_on;
use super::crowd::{self, Person};
use super::instance::{DEADLINE, Instance, poll_for};
use super::web::{self, Answer};

fn feed(http: SocketAddr, query: &str, cookie: &str) -> Value {
    let path = format!("/api/feed/recommended?{query}");
    let headers = [("cookie", cookie)];
    let answer = web::once(http, "GET", &path, &headers, b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn ids(feed: &Value) -> Vec<String> {
    crowd::column(feed["items"].as_array().unwrap(), "id")
}

fn score(http: SocketAddr, event: &str) -> f64 {
    let feed = feed(http, "type=trending&city=Bern&limit=100", "");
    let item = feed["items"].as_array().unwrap().iter().find(|item| item["id"] == event).cloned();
    item.map_or(0.0, |item| item["trend_score"].as_f64().unwrap())
}

/// Scores are decimal fractions.
fn is(score: f64, expected: f64) -> bool {
    (score - expected).abs() < 1e-9
}

/// Looks at events, with a cookie or without.
fn look(http: SocketAddr, events: &[&str], cookie: &str) -> Answer {
    let view = |event: &&str| json!({ "event_type": "view", "event_id": event });
    let body = Value::from_iter(events.iter().map(view)).to_string();
    let headers = [("cookie", cookie), ("content-type", "application/json")];
    web::once(http, "POST", "/api/feed/track", &headers, body.as_bytes())
}

fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn explain(data: &Path, event: &str) -> Value {
    run_on(data, &["explain", "--trend", event, "--output", "json"]).json()
}

#[test]
fn joins_and_views_move_an_event_up_and_outlive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let http = instance.http;
    let people = crowd::people(data, 5);
    let owner = &people[0];
    let quiet = crowd::publish(http, owner, 10, 0);
    let loud = crowd::publish(http, owner, 10, 0);
    poll_for(DEADLINE, || ids(&feed(http, "type=trending&city=bern", "")).len() == 2);
    let nearness = score(http, &loud);
    assert!(nearness > 0.0 && nearness < 1.0, "{nearness}");

    for person in &people[1..4] {
        assert_eq!(crowd::join(http, person, &loud, "once").status, 200);
    }
    let joined = Instant::now();
    poll_for(DEADLINE, || is(score(http, &loud), 18.0 + nearness));
    println!("moved up after {:?}", joined.elapsed());
    assert_eq!(ids(&feed(http, "type=trending&city=bern", "")), [&*loud, &quiet]);

    // Somebody without an account looks, and again: once a day counts.
    let first = look(http, &[&quiet, &loud], "");
    assert_eq!((first.status, &first.json()), (202, &json!({ "accepted": 2, "dropped": 0 })));
    let cookie = cookie_of(&first);
    let again = look(http, &[&loud, &loud], &cookie);
    assert_eq!((again.status, again.header("set-cookie")), (202, None));
    poll_for(DEADLINE, || is(score(http, &loud), 18.5 + nearness));
    // Somebody leaves: a join counts while it lasts.
    let path = format!("/api/events/{loud}/cancel");
    let mut connection = web::Connection::open(http).unwrap();
    assert_eq!(crowd::post(&mut connection, &people[1], &path, "leave").unwrap().status, 200);
    poll_for(DEADLINE, || is(score(http, &loud), 12.5 + nearness));

    let running = explain(data, &loud);
    assert_eq!((&running["joins_24h"], &running["views_24h"]), (&json!(2), &json!(1)));
    assert_eq!(running["engagements"], json!({ "again": 2, "counted": 1 }));
    assert_eq!(running["score"].as_f64().unwrap(), score(http, &loud));
    let said = run_on(data, &["explain", "--trend", &loud]).good();
    assert!(said.contains("joins within 24 h") && said.contains("hours ago"), "{said}");
    instance.kill();

    let stopped = explain(data, &loud);
    for part in ["joins_24h", "joins_7d", "views_24h", "hours", "engagements"] {
        assert_eq!(stopped[part], running[part], "{part}");
    }
    let published = trends(data);
    let instance = Instance::start(data);
    poll_for(DEADLINE, || is(score(instance.http, &loud), 12.5 + nearness));
    assert_eq!(crowd::join(instance.http, &people[4], &quiet, "late").status, 200);
    poll_for(DEADLINE, || is(score(instance.http, &quiet), 6.5 + nearness));
    instance.stop();
    // Nothing was published again but what is news.
    assert_eq!(trends(data), published + 1);
}

/// How many trends were published.
fn trends(data: &Path) -> u64 {
    let topics = run_on(data, &["topics", "list", "--output", "json"]).json();
    let topic = topics.as_array().unwrap().iter().find(|topic| topic["topic"] == "trends");
    topic.unwrap()["records"].as_u64().unwrap()
}

#[test]
fn what_nobody_did_counts_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let http = instance.http;
    let owner = &crowd::people(data, 1)[0];
    let event = crowd::publish(http, owner, 10, 0);
    poll_for(DEADLINE, || score(http, &event) > 0.0);
    let nearness = score(http, &event);

    let good = cookie_of(&look(http, &[&event], ""));
    let (name, value) = good.split_once('=').unwrap();
    let changed = if value.ends_with('A') { 'B' } else { 'A' };
    for forged in [
        format!("{name}={}{changed}", &value[..value.len() - 1]),
        format!("{name}=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        format!("{name}="),
    ] {
        let answer = look(http, &[&event, &event], &forged);
        let dropped = json!({ "accepted": 0, "dropped": 2 });
        assert_eq!((answer.status, &answer.json()), (202, &dropped), "{forged}");
        assert_ne!(cookie_of(&answer), good, "a good one comes with the answer");
    }
    // An event that is not there is nobody's business but the counter's.
    let unknown = look(http, &["00000000-0000-4000-8000-000000000000"], &good);
    assert_eq!(unknown.status, 202);
    let bad = web::once(
        http,
        "POST",
        "/api/feed/track",
        &[("content-type", "application/json")],
        br#"[{"event_type":"click","event_id":"x"},{"event_type":"view"}]"#,
    );
    assert_eq!(bad.status, 400);
    let fields = bad.json()["error"]["meta"]["fields"].clone();
    let named: Vec<_> = fields.as_object().unwrap().keys().cloned().collect();
    assert_eq!(named, ["[0].event_id", "[0].event_type", "[1].event_id"]);
    poll_for(DEADLINE, || is(score(http, &event), nearness + 0.5));
    let metrics = |name: &str| -> f64 {
        let text = web::once(instance.ops, "GET", "/metrics", &[], b"").text();
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(-1.0)
    };
    let unknown = r#"cityevents_trending_engagements_total{verdict="unknown_event"}"#;
    poll_for(DEADLINE, || metrics(unknown) == 1.0);
    assert_eq!(metrics("cityevents_track_forged_total"), 6.0);
    assert!(is(score(http, &event), nearness + 0.5));
    instance.stop();
}

#[test]
fn a_feed_becomes_personal_as_somebody_joins_and_looks() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let http = instance.http;
    let people = crowd::people(data, 2);
    let event = crowd::publish(http, &people[0], 10, 0);
    poll_for(DEADLINE, || score(http, &event) > 0.0);
    let kind = |person: Option<&Person>, cookie: &str| {
        let bearer = person.map(|person| person.bearer.clone()).unwrap_or_default();
        let mut headers = vec![("cookie", cookie)];
        if !bearer.is_empty() {
            headers.push(("authorization", &*bearer));
        }
        let path = "/api/feed/recommended?city=Bern";
        let feed = web::once(http, "GET", path, &headers, b"").json();
        feed["feed_type"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(kind(Some(&people[1]), ""), "trending");
    assert_eq!(crowd::join(http, &people[1], &event, "once").status, 200);
    poll_for(DEADLINE, || kind(Some(&people[1]), "") == "personalized");
    let cookie = cookie_of(&look(http, &[&event], ""));
    poll_for(DEADLINE, || kind(None, &cookie) == "personalized");
    assert_eq!(kind(None, ""), "trending");
    let feed = feed(http, "city=Bern&why=true", &cookie);
    // Scores are whole millionths.
    let raised_by = feed["items"][0]["why"]["raised_by"].as_f64().unwrap();
    assert!((raised_by - 0.5).abs() < 0.001, "{feed}");
    instance.stop();
}
