//! Facts carried into new topics with another number of partitions on Kafka, and a cluster that goes on
//! there with tables made anew from them.

use cityevents_runtime::log::partitioner::partition_of;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Process, poll_for};
use crate::trends::{FRONT, post, publish, stage_on};
use crate::{stack, web};

/// Events before.
const EVENTS: usize = 6;
/// Partitions after.
const PARTITIONS: u32 = 5;

fn join(front: &Process<'_>, person: &str, event: &str) -> web::Answer {
    post(front.http(), person, &format!("/api/events/{event}/join"), "j", &Value::Null)
}

fn place_of(front: &Process<'_>, person: &str, event: &str) -> Value {
    let seen = web::get_as(front.http(), person, &format!("/api/events/{event}/view")).json();
    seen["participation"]["status"].clone()
}

fn until_at_rest(cluster: &Cluster) {
    poll_for(|| {
        let said = cluster.run(&["lag", "--output", "json"]);
        let lag: Value = serde_json::from_str(&said.out).ok()?;
        let rows = lag["rows"].as_array()?;
        let is_at_rest = |row: &Value| row["records"] == 0 || row["verdict"] == "never began";
        rows.iter().all(is_at_rest).then_some(())
    });
}

#[test]
fn a_cluster_goes_on_with_another_number_of_partitions() {
    let cluster =
        Cluster::new("repartition").setting("CITYEVENTS__REGISTRY__URL", stack::registry());
    cluster.run(&["topics", "create"]).good();
    let (cluster, people) = stage_on(cluster, "repartition");
    let (owner, people) = people.split_first().unwrap();
    let front = Process::start_with(&cluster, FRONT).until_ready();
    let events: Vec<_> =
        (0..EVENTS).map(|number| publish(front.http(), owner, &format!("Show-{number}"))).collect();
    for event in &events {
        people[..3].iter().for_each(|person| assert_eq!(join(&front, person, event).status, 200));
    }
    let prefix = format!("{}two.", cluster.prefix());
    let facts = |what: &[&str]| {
        cluster.run(&[&["replay", "facts", &prefix, "--output", "json"], what].concat())
    };
    facts(&["--partitions", &PARTITIONS.to_string()]).good();
    assert_eq!(join(&front, &people[3], &events[0]).status, 200, "while people go on");
    facts(&["--resume"]).good();
    until_at_rest(&cluster);
    facts(&["--switch"]).failed(1, &["registration: stop every process first"]);
    front.stop();

    // Nobody works in topics that are not whole.
    let settings = [
        ("CITYEVENTS__LOG__PREFIX", &*prefix),
        ("CITYEVENTS__LOG__PARTITIONS", &PARTITIONS.to_string()),
    ];
    let start = ["run", "--role", "projection", "--ops-listen", "127.0.0.1:0"];
    cluster.run_with(&start, &settings).failed(1, &["facts are being carried into", "--switch"]);
    let switched = facts(&["--switch"]).json();
    let all = EVENTS * 5 + 1;
    assert_eq!(switched["facts"], all, "{switched}");
    let compared = facts(&["--diff"]).json();
    let compared = compared.as_array().unwrap();
    let sum = |field: &str| compared.iter().map(|row| row[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!([sum("events"), sum("differing"), sum("missing")], [EVENTS as u64, 0, 0]);
    for row in compared {
        let is_here =
            |event: &&String| row["partition"] == partition_of(event.as_bytes(), PARTITIONS);
        assert_eq!(row["events"], events.iter().filter(is_here).count(), "{compared:?}");
    }
    let old = Process::start(&cluster);
    let told = old.until_not_ready("were carried into other topics and go on there");
    assert!(told.contains("log.prefix"), "{told}");
    old.stop();

    let cluster = cluster
        .setting("CITYEVENTS__LOG__PREFIX", prefix)
        .setting("CITYEVENTS__LOG__PARTITIONS", PARTITIONS.to_string());
    assert_eq!(cluster.run(&["topics", "create", "--output", "json"]).json(), json!([]));
    cluster.run(&["replay", "--into", "two"]).good();
    cluster.run(&["replay", "switch", "two", "--force", "--reason", "five partitions"]).good();
    let front = Process::start_with(&cluster, FRONT).until_ready();
    let other = Process::start_with(&cluster, "registration,projection").until_ready();
    for event in &events {
        for person in &people[..3] {
            poll_for(|| (place_of(&front, person, event) == "active").then_some(()));
        }
        assert_eq!(join(&front, &people[4], event).status, 200);
        poll_for(|| (place_of(&front, &people[4], event) == "active").then_some(()));
    }
    let report = cluster.run(&["audit", "--output", "json"]).json();
    assert_eq!(
        (&report["facts"], &report["pending"]),
        (&(all + EVENTS).into(), &0.into()),
        "{report}"
    );
    cluster.run(&["replay", "commands"]).good();
    other.stop();
    front.stop();
}
