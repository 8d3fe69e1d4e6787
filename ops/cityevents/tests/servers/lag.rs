//! The role `lag` on a cluster: it puts commands in and sees them decided, and tells that nobody
//! decides when nobody does.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use cityevents_runtime::log::TopicPartition;
use serde_json::Value;

use crate::ages;
use crate::cluster::{Cluster, DEADLINE, PARTITIONS, Process, poll_for};
use crate::web;

fn figure(process: &Process<'_>, series: &str) -> Option<f64> {
    let text = web::once(process.ops(), "GET", "/metrics", &[], b"").text();
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn probes_are_decided_and_a_group_that_nobody_is_in_is_stopped_until_somebody_is() {
    let cluster = Cluster::with_topics("probe")
        .setting("CITYEVENTS__LAG__PROBE", "true")
        .setting("CITYEVENTS__LAG__EVERY", "100ms");
    let worker = Process::start(&cluster).until_ready();
    let watching = Process::start_with(&cluster, "lag").until_ready();
    let decided = "cityevents_lag_probe_seconds_count";
    poll_for(|| (figure(&watching, decided)? >= f64::from(2 * PARTITIONS)).then_some(()));

    let says = |process: &Process<'_>, words: &str| {
        web::once(process.ops(), "GET", "/console", &[], b"").text().contains(words)
    };
    assert!(says(&worker, "The console is in another process"));
    // One member holds both partitions; the page names it.
    poll_for(|| says(&watching, ": 0–1</td>").then_some(()));

    worker.stop();
    poll_for(|| {
        says(&watching, &format!("nobody works as {}registration", cluster.prefix())).then_some(())
    });
    let failures = r#"cityevents_lag_probe_failures_total{reason="undecided"}"#;
    poll_for(|| (figure(&watching, failures)? >= 1.0).then_some(()));
    let group = format!("{}registration", cluster.prefix());
    let verdict = |partition: u32| {
        format!(
            "cityevents_lag_group_verdict{{group=\"{group}\",topic=\"{}\",partition=\"{partition}\"}}",
            cluster.commands()
        )
    };
    let stopped = |partition| figure(&watching, &verdict(partition)) == Some(3.0);
    poll_for(|| (0..PARTITIONS).any(stopped).then_some(()));

    let worker = Process::start(&cluster).until_ready();
    let fine = |partition| figure(&watching, &verdict(partition)) == Some(0.0);
    poll_for(|| (0..PARTITIONS).all(fine).then_some(()));
    worker.stop();
    watching.stop();
}

#[test]
fn lag_is_watched_past_the_first_look_with_a_schema_registry_that_is_away() {
    let cluster = Cluster::with_topics("watched")
        .setting("CITYEVENTS__REGISTRY__URL", "http://127.0.0.1:1")
        .setting("CITYEVENTS__LAG__EVERY", "100ms");
    let watch = ["lag", "--watch", "--output", "json"];
    let mut watching = cluster.command(&watch).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let (told, looks) = mpsc::channel();
    let reading = thread::spawn(move || {
        lines.map_while(Result::ok).take(3).try_for_each(|look| told.send(look))
    });
    let looks: Vec<_> = (0..3).map_while(|_| looks.recv_timeout(DEADLINE).ok()).collect();
    watching.kill().unwrap();
    watching.wait().unwrap();
    reading.join().unwrap().unwrap();
    assert_eq!(looks.len(), 3, "{looks:?}");
    let is_good = |row: &Value| row["good"] == true;
    for look in looks {
        let look: Vec<Value> = serde_json::from_str(&look).unwrap();
        assert!(look.iter().all(is_good), "{look:?}");
    }
}

#[test]
fn seconds_on_kafka_are_within_a_second_or_five_percent_of_the_truth() {
    let partitions = ages::AGES_MS.len().to_string();
    let cluster = Cluster::new("ages").setting("CITYEVENTS__LOG__PARTITIONS", partitions);
    cluster.run(&["topics", "create"]).good();
    let topic = format!("{}user-signals", cluster.prefix());
    let written_ms = ages::written_ms();
    for (partition, oldest_ms) in (0..).zip(written_ms) {
        let place = TopicPartition::new(topic.clone(), partition);
        cluster.append(&place, ages::records(oldest_ms).into());
    }
    let group = format!("{}profiles", cluster.prefix());
    ages::check(written_ms, &group, || cluster.run(&["lag", "--output", "json"]).json());
}
