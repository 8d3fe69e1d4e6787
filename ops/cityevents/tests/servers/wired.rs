//! A process with a schema registry, and with snapshots in a bucket: the ids of the registry are in
//! everything it writes and reads, and it goes on without either of them.

use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::log::{Isolation, Outgoing, PollLimit, TopicPartition};
use cityevents_schemas::message::{Closed, ClosedVerdict};
use cityevents_schemas::{Codecs, Record, SchemaIds as _, schema_id, topic};
use serde_json::json;

use crate::cluster::{Cluster, Process, poll_for};
use crate::registry;
use crate::stack;

/// Values of the facts behind the genesis.
fn links(cluster: &Cluster) -> Vec<Vec<u8>> {
    let log = cluster.log();
    let place = TopicPartition::new(cluster.facts(), cluster.partition());
    let high = log.watermarks(&place).unwrap().high;
    let mut reader = log.reader(&place, 0, Isolation::Uncommitted).unwrap();
    let mut records = Vec::new();
    while (records.len() as u64) < high {
        let limit = PollLimit { records: 1_000, bytes: 1 << 20 };
        reader.poll(limit, Duration::from_secs(1), &mut records).unwrap();
    }
    records.into_iter().map(|record| record.value.unwrap().to_vec()).collect()
}

fn closed(cluster: &Cluster, codecs: &Codecs) -> Vec<Closed> {
    links(cluster).iter().flat_map(|link| codecs.decode_link(link).unwrap().closed).collect()
}

fn command(cluster: &Cluster, value: Vec<u8>) -> Outgoing {
    let key = cluster.event.to_string().into_bytes();
    Outgoing { key: Some(key.into()), value: Some(value.into()), ..Outgoing::default() }
}

#[test]
fn a_process_writes_and_reads_with_the_registrys_ids_and_waits_for_those_it_cannot_get() {
    let (proxy, options) = registry::through_proxy("");
    let cluster = Cluster::new("ids").setting("CITYEVENTS__REGISTRY__URL", &options.url);
    cluster.run(&["topics", "create"]).good();
    let looking = registry::adapter::Options {
        register: false,
        prefix: cluster.prefix().to_owned(),
        ..registry::options("")
    };
    let ids = registry::connect(&looking).unwrap();
    let fact_id = ids.current(Record::EventFact).unwrap();
    let codecs = Codecs::new(Arc::new(ids)).unwrap();

    let running = Process::start(&cluster).until_ready();
    let mut current = Vec::new();
    codecs.encode_command(&registry::join(), &mut current);
    let subject = topic::EVENT_COMMANDS.subject(cluster.prefix());
    let older = registry::register(&subject, &registry::older());
    let of_older = registry::written_with(&registry::older(), older);
    cluster.send(vec![command(&cluster, current), command(&cluster, of_older)]);
    let running = running.until_decided(2);

    // Nobody knows this version yet, and nobody can ask.
    let newer = registry::commands_with(|fields| {
        let name = format!("extra_{}", std::process::id());
        fields.push(json!({ "name": name, "type": ["null", "long"], "default": null }));
    });
    let new = registry::register(&subject, &newer);
    proxy.cut();
    cluster.send(vec![command(&cluster, registry::written_with(&newer, new))]);
    let said = running.until_not_ready("offset 2 waits");
    assert!(said.contains("registry"), "{said}");
    proxy.mend();
    running.until_decided(3).until_ready().stop();

    for link in links(&cluster) {
        assert_eq!(schema_id(&link), Ok(fact_id));
    }
    let closed = closed(&cluster, &codecs);
    assert_eq!(closed.iter().map(|closed| closed.offset).collect::<Vec<_>>(), [0, 1, 2]);
    for closed in closed {
        // Nobody made the event; what counts is that the command was read.
        assert!(matches!(closed.verdict, ClosedVerdict::Refused(_)), "{closed:?}");
        assert_eq!(closed.command, Some(registry::join().id));
    }
}

#[test]
fn an_incompatible_schema_stops_the_start_with_the_registrys_reason() {
    let cluster = Cluster::new("refused").setting("CITYEVENTS__REGISTRY__URL", stack::registry());
    let others =
        registry::commands_with(|fields| fields.push(json!({ "name": "must", "type": "string" })));
    registry::register(&topic::EVENT_COMMANDS.subject(cluster.prefix()), &others);
    cluster.run(&["topics", "create"]).failed(1, &["refuses the schema of EventCommand", "must"]);
}

/// One request to the S3 server, which takes any credentials. The text of its answer.
fn ask_bucket(method: reqwest::Method, path: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let credential = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request";
    let asked = reqwest::Client::new()
        .request(method, format!("{}/{path}", stack::s3()))
        .header("authorization", credential);
    runtime.block_on(async move {
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.text().await.unwrap()
    })
}

/// A new bucket.
pub fn make_bucket(name: &str) -> String {
    let bucket = format!("{name}-{}", std::process::id());
    ask_bucket(reqwest::Method::PUT, &bucket);
    bucket
}

/// What is in a bucket, as the server lists it.
pub fn listed(bucket: &str) -> String {
    ask_bucket(reqwest::Method::GET, &format!("{bucket}?list-type=2"))
}

fn in_bucket(name: &str, endpoint: &str) -> Cluster {
    let bucket = make_bucket(name);
    Cluster::with_topics(name)
        .setting("CITYEVENTS__SNAPSHOTS__URL", format!("s3://{bucket}/snapshots"))
        .setting("CITYEVENTS__SNAPSHOTS__ENDPOINT", endpoint)
        .setting("CITYEVENTS__SNAPSHOTS__ACCESS_KEY_ID", "test")
        .setting("CITYEVENTS__SNAPSHOTS__SECRET_ACCESS_KEY", "test")
        .setting("CITYEVENTS__REGISTRATION__SNAPSHOT_EVERY_FACTS", "1")
}

#[test]
fn snapshots_go_to_the_bucket_and_are_found_there() {
    let cluster = in_bucket("bucket", &stack::s3());
    let running = Process::start(&cluster).until_ready();
    cluster.send_joins(3);
    let running = running.until_decided(3);
    let listed = poll_for(|| {
        let listed = cluster.run(&["snapshot", "list", "--output", "json"]).json();
        (!listed.as_array().unwrap().is_empty()).then_some(listed)
    });
    assert!(listed.to_string().contains("registration/0000"), "{listed}");
    cluster.run(&["snapshot", "verify"]).good();
    running.stop();
    Process::start(&cluster).until_ready().stop();
}

#[test]
fn without_its_snapshot_store_a_process_starts_and_decides() {
    // The port of discarded packets, which no test is given.
    let cluster = in_bucket("away", "http://127.0.0.1:9");
    cluster.send_joins(3);
    Process::start(&cluster).until_ready().until_decided(3).stop();
}

#[test]
fn a_bucket_that_is_not_there_stops_the_start() {
    let cluster = in_bucket("missing", &stack::s3())
        .setting("CITYEVENTS__SNAPSHOTS__URL", "s3://nobody-made-this-bucket/snapshots");
    let said = cluster.run(&["run", "--role", "registration", "--ops-listen", "127.0.0.1:0"]);
    said.failed(1, &["s3://nobody-made-this-bucket/snapshots", "no such bucket: make it"]);
}
