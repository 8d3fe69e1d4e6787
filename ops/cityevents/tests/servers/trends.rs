//! Trends on one Kafka and one Cassandra: fenced batches and rows.

use std::net::SocketAddr;
use std::time::Duration;

use cityevents_runtime::log::{Isolation, PollLimit, TopicPartition};
use cityevents_schemas::message::{Trend, TrendState, decode_trend};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Process, poll_for};
use crate::stack;
use crate::web::{self, Answer};

fn post(http: SocketAddr, bearer: &str, path: &str, key: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut headers = vec![("content-type", "application/json"), ("idempotency-key", key)];
    if !bearer.is_empty() {
        headers.push(("authorization", bearer));
    }
    web::once(http, "POST", path, &headers, body.as_bytes())
}

fn publish(http: SocketAddr, owner: &str, title: &str) -> String {
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

fn wait_for(http: SocketAddr, expected: &[(&str, u64)]) {
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

#[test]
fn joins_move_the_rows_through_fenced_batches() {
    let cluster = Cluster::with_topics("trends")
        .setting("CITYEVENTS__SCYLLA__NODES", stack::cassandra())
        .setting("CITYEVENTS__SCYLLA__KEYSPACE", format!("trends_{}", std::process::id()))
        .setting("CITYEVENTS__LIMITS__ENABLED", "false")
        .setting("CITYEVENTS__REGISTRATION__SNAPSHOT_EVERY", "1s")
        .setting(
            "CITYEVENTS__SCYLLA__REPLICATION",
            "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        );
    cluster.run(&["views", "migrate"]).good();
    let tokens = cluster.run(&["token", "--count", "6", "--ttl", "1h", "--output", "json"]).json();
    let people: Vec<_> = tokens
        .as_array()
        .unwrap()
        .iter()
        .map(|token| format!("Bearer {}", token["token"].as_str().unwrap()))
        .collect();
    let front = Process::start_with(&cluster, "ingest,api,registration,projection").until_ready();
    let back = Process::start_with(&cluster, "trending,profiles").until_ready();
    let http = front.http;
    let loud = publish(http, &people[0], "Loud");
    publish(http, &people[0], "Quiet");
    for person in &people[1..4] {
        let joined = post(http, person, &format!("/api/events/{loud}/join"), "j", &Value::Null);
        assert_eq!(joined.status, 200, "{}", joined.text());
    }
    wait_for(http, &[("Loud", 18), ("Quiet", 0)]);
    // Called off: it is gone, and its slot is empty.
    let path = format!("/api/events/{loud}/cancel-event");
    assert_eq!(post(http, &people[0], &path, "c", &Value::Null).status, 200);
    wait_for(http, &[("Quiet", 0)]);
    let dropped = poll_for(|| {
        published(&cluster).into_iter().find(|trend| trend.state == TrendState::Dropped)
    });
    assert_eq!((dropped.event.to_string(), dropped.city_slot.is_some()), (loud, true));
    back.stop();
    front.stop();
}
