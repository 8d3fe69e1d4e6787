//! Lists of two API processes on one Kafka: each keeps an index of its own.

use std::net::SocketAddr;

use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Outgoing, TopicPartition};
use serde_json::Value;

use crate::cluster::{Process, poll_for};
use crate::trends::{FRONT, post, publish, stage};
use crate::web;

/// Titles of a list, sorted.
fn titles(http: SocketAddr, path: &str) -> Vec<String> {
    let list = web::once(http, "GET", path, &[], b"").json();
    let items = list["items"].as_array().unwrap_or_else(|| panic!("{path}: {list}"));
    let mut titles: Vec<_> =
        items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect();
    titles.sort_unstable();
    titles
}

fn wait_for(processes: &[&Process<'_>], expected: &[&str]) {
    for process in processes {
        for path in ["/api/events", "/api/events?q=show", "/api/feed/recommended?type=latest"] {
            poll_for(|| (titles(process.http(), path) == expected).then_some(()));
        }
    }
}

#[test]
fn what_is_unpublished_or_deleted_leaves_the_lists_of_every_process() {
    let (cluster, people) = stage("lists");
    let front = Process::start_with(&cluster, FRONT).until_ready();
    let other = Process::start_with(&cluster, "ingest,api").until_ready();
    let http = front.http();
    let [first, second, _] =
        ["Show-1", "Show-2", "Show-3"].map(|title| publish(http, &people[0], title));
    wait_for(&[&front, &other], &["Show-1", "Show-2", "Show-3"]);
    let path = format!("/api/events/{first}/unpublish");
    assert_eq!(post(http, &people[0], &path, "u", &Value::Null).status, 200);
    wait_for(&[&front, &other], &["Show-2", "Show-3"]);
    // A key without a value, as somebody deletes a row of a compacted topic.
    let topic = format!("{}events", cluster.prefix());
    let partitions = cluster.log().describe(&topic).unwrap().spec.partitions;
    let place = TopicPartition::new(topic, partition_of(second.as_bytes(), partitions));
    let key = Some(second.clone().into_bytes().into());
    cluster.append(&place, vec![Outgoing { key, value: None, ..Outgoing::default() }]);
    wait_for(&[&front, &other], &["Show-3"]);
    // Neither comes back where the index is built anew.
    other.stop();
    let another = Process::start_with(&cluster, "ingest,api").until_ready();
    wait_for(&[&another], &["Show-3"]);
    another.stop();
    front.stop();
}
