//! Tables made anew beside the live ones on one Kafka and one Cassandra: made, compared, made the live
//! ones under two processes that go on, and back again.

use std::net::SocketAddr;

use serde_json::Value;

use crate::cluster::{Cluster, Process, poll_for};
use crate::trends::{FRONT, post, publish, stage};
use crate::web;

/// What tables say of an event, without their name.
fn shown(cluster: &Cluster, tables: &str, event: &str) -> Option<Value> {
    let said = cluster.run(&["replay", "show", tables, "--event", event, "--output", "json"]);
    let mut shown: Value = serde_json::from_str(&said.out).ok()?;
    shown.as_object_mut().unwrap().remove("tables");
    Some(shown)
}

fn join(http: SocketAddr, person: &str, event: &str) -> web::Answer {
    post(http, person, &format!("/api/events/{event}/join"), "j", &Value::Null)
}

/// Waits until tables have so many people of an event.
fn wait_for(cluster: &Cluster, tables: &str, event: &str, active: u64) -> Value {
    poll_for(|| shown(cluster, tables, event).filter(|shown| shown["active"] == active))
}

#[test]
fn tables_are_made_anew_compared_and_made_the_live_ones_under_traffic_and_back_again() {
    let (cluster, people) = stage("replay");
    let front = Process::start_with(&cluster, FRONT).until_ready();
    let other = Process::start_with(&cluster, "ingest,api").until_ready();
    let event = publish(front.http(), &people[0], "Show-1");
    for person in &people[1..4] {
        assert_eq!(join(other.http(), person, &event).status, 200);
    }
    let before = wait_for(&cluster, "main", &event, 3);
    cluster.run(&["replay", "switch", "night"]).failed(1, &["there are no tables night"]);
    cluster.run(&["replay", "--into", "night"]).good();
    assert_eq!(shown(&cluster, "night", &event).unwrap(), before);
    cluster.run(&["replay", "--into", "night"]).failed(1, &["there are tables night already"]);
    let said = cluster.run(&["replay", "diff", "night", "--output", "json"]).json();
    let rows: u64 = said.as_array().unwrap().iter().map(|one| one["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows, 5, "three people, the event and its counters: {said}");

    // More happens; the switch brings the new tables up to it.
    assert_eq!(join(front.http(), &people[4], &event).status, 200);
    wait_for(&cluster, "main", &event, 4);
    let said = cluster.run(&["replay", "switch", "night", "--output", "json"]).json();
    assert_eq!((&said["from"], &said["to"]), (&"main".into(), &"night".into()));
    cluster.run(&["replay", "--into", "night", "--resume"]).failed(1, &["are the live tables"]);
    assert_eq!(wait_for(&cluster, "night", &event, 4)["active"], 4);
    // Who joins now is in the new tables, once the process has looked.
    assert_eq!(join(other.http(), &people[5], &event).status, 200);
    wait_for(&cluster, "night", &event, 5);
    let view = |process: &Process<'_>, person: &str| {
        let path = format!("/api/events/{event}/view");
        web::get_as(process.http(), person, &path).json()
    };
    for process in [&front, &other] {
        poll_for(|| {
            (view(process, &people[5])["participation"]["status"] == "active").then_some(())
        });
    }

    // And back: the old tables stopped a while ago and are brought up to now.
    cluster.run(&["replay", "switch", "main"]).good();
    assert_eq!(join(front.http(), &people[6], &event).status, 200);
    wait_for(&cluster, "main", &event, 6);
    cluster.run(&["replay", "diff", "night"]).good();
    cluster.run(&["replay", "commands"]).good();

    // Nobody needs the others any more.
    cluster.run(&["replay", "drop", "dawn"]).failed(1, &["there are no tables dawn"]);
    cluster.run(&["replay", "drop", "main"]).failed(1, &["never dropped"]);
    cluster.run(&["replay", "drop", "night"]).good();
    assert!(shown(&cluster, "night", &event).is_none());
    assert_eq!(join(other.http(), &people[7], &event).status, 200);
    wait_for(&cluster, "main", &event, 7);
    // By the same name again; and live ones stay.
    cluster.run(&["replay", "--into", "night"]).good();
    cluster.run(&["replay", "switch", "night"]).good();
    cluster.run(&["replay", "drop", "night"]).failed(1, &["night are the live tables"]);
    assert_eq!(wait_for(&cluster, "night", &event, 7)["active"], 7);
    front.stop();
    other.stop();
}

#[test]
fn a_refused_join_is_explained_on_the_cluster_with_its_time_and_what_stood_against_it() {
    let (cluster, people) = stage("explained");
    let front = Process::start_with(&cluster, FRONT).until_ready();
    let event = publish(front.http(), &people[0], "Show-1");
    let began = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1);
    let path = format!("/api/events/{event}/unpublish");
    assert_eq!(post(front.http(), &people[0], &path, "u", &Value::Null).status, 200);
    let refused = join(front.http(), &people[1], &event);
    assert_eq!(refused.code(), "event_not_published", "{}", refused.text());
    let said = cluster.run(&["explain", "--event", &event, "--output", "json"]).json();
    let steps = said["steps"].as_array().unwrap();
    let last = steps.last().unwrap();
    assert_eq!(
        (&last["command"], &last["verdict"], &last["reason"]),
        (&"join".into(), &"refused".into(), &"event_not_published".into())
    );
    let unpublished = &steps[steps.len() - 2]["command_offset"];
    assert_eq!(last["because"], format!("it was draft since command {unpublished}"));
    for step in steps {
        for field in ["asked_at", "decided_at"] {
            let time: jiff::Timestamp = step[field].as_str().unwrap().parse().unwrap();
            assert!(time > began && time < jiff::Timestamp::now(), "{field} of {step}");
        }
        assert!(step["fact_offset"].is_u64() && step["command_offset"].is_u64(), "{step}");
    }
    front.stop();
}
