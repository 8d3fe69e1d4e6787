//! Trends on one Kafka and one Cassandra: fenced batches, rows, and takeovers in between.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Isolation, Outgoing, PollLimit, TopicPartition};
use cityevents_schemas::message::{Trend, TrendState, decode_trend};
use serde_json::{Value, json};

use crate::cluster::{Cluster, PARTITIONS, Process, look_for, poll_for};
use crate::stack;
use crate::web::{self, Answer};

/// A call with an idempotency key.
pub fn post(http: SocketAddr, bearer: &str, path: &str, key: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut headers = vec![("content-type", "application/json"), ("idempotency-key", key)];
    if !bearer.is_empty() {
        headers.push(("authorization", bearer));
    }
    web::once(http, "POST", path, &headers, body.as_bytes())
}

/// An event in Łódź.
pub fn publish(http: SocketAddr, owner: &str, title: &str) -> String {
    let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(100);
    let fields = json!({
        "title": title, "description": "d", "city": "Łódź", "category": "film", "capacity": 9,
        "start_time": start.to_string(),
        "end_time": (start + jiff::SignedDuration::from_hours(3)).to_string(),
    });
    let made = post(http, owner, "/api/events", title, &fields);
    assert_eq!(made.status, 201, "{}", made.text());
    let event = made.json()["id"].as_str().unwrap().to_owned();
    let published = post(http, owner, &format!("/api/events/{event}/publish"), "p", &Value::Null);
    assert_eq!(published.status, 200, "{}", published.text());
    event
}

/// Titles and whole scores in the order of the feed.
fn feed(http: SocketAddr) -> Vec<(String, u64)> {
    let path = "/api/feed/recommended?type=trending&city=%C5%82%C3%B3d%C5%BA";
    let feed = web::once(http, "GET", path, &[], b"").json();
    let items = feed["items"].as_array().cloned().unwrap_or_default();
    let of = |item: &Value| {
        (item["title"].as_str().unwrap().to_owned(), item["trend_score"].as_f64().unwrap() as u64)
    };
    items.iter().map(of).collect()
}

pub fn wait_for(http: SocketAddr, expected: &[(&str, u64)]) {
    poll_for(|| {
        let feed = feed(http);
        let is_so = feed.iter().map(|(title, score)| (&**title, *score)).eq(expected.to_vec());
        is_so.then_some(())
    });
}

/// Every trend that counts, in the order of its partition.
fn published(cluster: &Cluster) -> Vec<Trend> {
    let log = cluster.log();
    let mut all = Vec::new();
    let topic = format!("{}trends", cluster.prefix());
    for number in 0..log.describe(&topic).unwrap().spec.partitions {
        let place = TopicPartition::new(topic.as_str(), number);
        let high = log.watermarks(&place).unwrap().high;
        let mut reader = log.reader(&place, 0, Isolation::Committed).unwrap();
        let mut records = Vec::new();
        loop {
            let limit = PollLimit { records: 1_000, bytes: 1 << 20 };
            let polled = reader.poll(limit, Duration::from_secs(2), &mut records).unwrap();
            if polled.end_of_partition || reader.position() >= high {
                break;
            }
        }
        all.extend(
            records.iter().map(|record| decode_trend(record.value.as_deref().unwrap()).unwrap()),
        );
    }
    all
}

/// A cluster with tables, and people who may call it: the organiser and seven others.
pub fn stage(name: &str) -> (Cluster, Vec<String>) {
    stage_on(Cluster::with_topics(name), name)
}

/// The same, with the tables in a keyspace of this name.
pub fn stage_on(cluster: Cluster, name: &str) -> (Cluster, Vec<String>) {
    let cluster = cluster
        .setting("CITYEVENTS__SCYLLA__NODES", stack::cassandra())
        .setting("CITYEVENTS__SCYLLA__KEYSPACE", format!("{name}_{}", std::process::id()))
        .setting("CITYEVENTS__LIMITS__ENABLED", "false")
        .setting("CITYEVENTS__REGISTRATION__SNAPSHOT_EVERY", "1s")
        .setting(
            "CITYEVENTS__SCYLLA__REPLICATION",
            "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        );
    cluster.run(&["views", "migrate"]).good();
    let tokens = cluster.run(&["token", "--count", "8", "--ttl", "1h", "--output", "json"]).json();
    let bearer = |token: &Value| format!("Bearer {}", token["token"].as_str().unwrap());
    let people = tokens.as_array().unwrap().iter().map(bearer).collect();
    (cluster, people)
}

pub fn join(http: SocketAddr, person: &str, event: &str) {
    let joined = post(http, person, &format!("/api/events/{event}/join"), "j", &Value::Null);
    assert_eq!(joined.status, 200, "{}", joined.text());
}

fn look(http: SocketAddr, person: &str, event: &str) {
    let views = json!([{ "event_type": "view", "event_id": event }]);
    let looked = post(http, person, "/api/feed/track", "v", &views);
    assert_eq!(looked.status, 202, "{}", looked.text());
}

/// Roles of a process that people call.
pub const FRONT: &str = "ingest,api,registration,projection,publisher";

#[test]
fn joins_move_the_rows_through_fenced_batches() {
    let (cluster, people) = stage("trends");
    let front = Process::start_with(&cluster, FRONT).until_ready();
    let back = Process::start_with(&cluster, "trending,profiles").until_ready();
    let http = front.http();
    let loud = publish(http, &people[0], "Loud");
    publish(http, &people[0], "Quiet");
    people[1..4].iter().for_each(|person| join(http, person, &loud));
    wait_for(http, &[("Loud", 18), ("Quiet", 0)]);
    // Whoever joined a film has a taste now.
    let headers = [("authorization", &*people[1])];
    poll_for(|| {
        let feed = web::once(http, "GET", "/api/feed/recommended", &headers, b"").json();
        (feed["feed_type"] == "personalized").then_some(())
    });
    // Called off: it is gone, and its slot is empty.
    let path = format!("/api/events/{loud}/cancel-event");
    assert_eq!(post(http, &people[0], &path, "c", &Value::Null).status, 200);
    wait_for(http, &[("Quiet", 0)]);
    let dropped = poll_for(|| {
        published(&cluster).into_iter().find(|trend| trend.state == TrendState::Dropped)
    });
    assert_eq!((dropped.event.to_string(), dropped.city_slot.is_some()), (loud, true));
    // A signal that nobody can read is a dead letter in the batch of its partition, and behind a batch
    // lies a mark that is no record.
    let place = TopicPartition::new(format!("{}engagement", cluster.prefix()), 0);
    let value = Some("no signal at all".into());
    cluster.append(&place, vec![Outgoing { value, ..Outgoing::default() }]);
    let letter = poll_for(|| {
        let letters = cluster.run(&["dlq", "list", "--output", "json"]).json();
        letters.as_array().unwrap().first().cloned()
    });
    assert_eq!(letter["source"], format!("{place}/0"), "{letter}");
    cluster.run(&["dlq", "drop", "--execute"]).good();
    back.stop();
    front.stop();
}

/// An event of each partition.
fn one_of_each_partition(http: SocketAddr, owner: &str) -> BTreeMap<u32, String> {
    let mut events = BTreeMap::new();
    for number in 0.. {
        let made = publish(http, owner, &format!("Show-{number}"));
        let partition = partition_of(made.as_bytes(), PARTITIONS);
        if let Entry::Vacant(free) = events.entry(partition) {
            free.insert(made);
        } else {
            let path = format!("/api/events/{made}/cancel-event");
            assert_eq!(post(http, owner, &path, "c", &Value::Null).status, 200);
        }
        if events.len() == PARTITIONS as usize {
            break;
        }
    }
    events
}

/// Joins and views of each event as its row says.
fn wait_for_figures(http: SocketAddr, events: &BTreeMap<u32, String>, expected: (u64, u64)) {
    let path = "/api/feed/recommended?type=trending&why=true&city=%C5%82%C3%B3d%C5%BA";
    let mut told = Value::Null;
    let is_so = look_for(|| {
        told = web::once(http, "GET", path, &[], b"").json();
        let items = told["items"].as_array()?;
        let figures = |event: &String| {
            let item = items.iter().find(|item| item["id"] == **event)?;
            let why = &item["why"];
            Some((why["joins_24h"].as_u64()?, why["views_24h"].as_u64()?))
        };
        let all = events.values().all(|event| figures(event) == Some(expected));
        (all && items.len() == events.len()).then_some(())
    });
    assert!(is_so.is_some(), "not {expected:?}: {told}");
}

#[test]
fn a_killed_process_is_taken_over_and_so_is_one_that_stops_in_order() {
    let (cluster, people) = stage("takeovers");
    let front = Process::start_with(&cluster, FRONT).until_ready();
    let backs = || Process::start_with(&cluster, "trending,profiles").until_ready();
    let (first, second) = (backs(), backs());
    let http = front.http();
    let events = one_of_each_partition(http, &people[0]);
    let act = |person: &str| {
        for event in events.values() {
            join(http, person, event);
            look(http, person, event);
        }
    };
    act(&people[1]);
    act(&people[2]);
    wait_for_figures(http, &events, (2, 2));
    drop(first);
    // Nobody looks after some partition now, and what happens is not lost.
    act(&people[3]);
    wait_for_figures(http, &events, (3, 3));
    let third = backs();
    act(&people[4]);
    wait_for_figures(http, &events, (4, 4));
    second.stop();
    act(&people[5]);
    wait_for_figures(http, &events, (5, 5));
    // The same again changes nothing: who looked and who joined is known after three takeovers.
    people[1..6].iter().for_each(|person| act(person));
    act(&people[6]);
    wait_for_figures(http, &events, (6, 6));
    third.stop();

    let mut shown: BTreeMap<_, Trend> = BTreeMap::new();
    for trend in published(&cluster) {
        if let Some(before) = shown.get(&trend.event) {
            let again = Trend { updated_at: before.updated_at, ..trend.clone() };
            assert_ne!(again, *before, "nothing is published twice");
        }
        shown.insert(trend.event, trend);
    }
    for event in events.values() {
        let told = cluster.run(&["explain", "--trend", event, "--output", "json"]).json();
        assert_eq!((&told["joins_24h"], &told["views_24h"]), (&json!(6), &json!(6)), "{told}");
    }
    front.stop();
}
