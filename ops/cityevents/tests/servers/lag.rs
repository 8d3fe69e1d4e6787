//! The role `lag` on a cluster: it puts commands in and sees them decided, and tells that nobody
//! decides when nobody does.

use cityevents_runtime::log::{Outgoing, TopicPartition};
use serde_json::Value;

use crate::cluster::{Cluster, PARTITIONS, Process, poll_for};
use crate::web;

fn figure(process: &Process<'_>, series: &str) -> Option<f64> {
    let text = web::once(process.ops, "GET", "/metrics", &[], b"").text();
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
        web::once(process.ops, "GET", "/console", &[], b"").text().contains(words)
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

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[test]
fn seconds_on_kafka_are_within_a_second_or_five_percent_of_the_truth() {
    let ages_ms = [2_000, 90_000, 3_600_000, 2 * 86_400_000];
    let partitions = ages_ms.len().to_string();
    let cluster = Cluster::new("ages").setting("CITYEVENTS__LOG__PARTITIONS", partitions);
    cluster.run(&["topics", "create"]).good();
    let topic = format!("{}user-signals", cluster.prefix());
    let written_ms: Vec<_> = ages_ms.iter().map(|age_ms| now_ms() - age_ms).collect();
    for (partition, oldest_ms) in (0..).zip(&written_ms) {
        // Younger ones behind the oldest, which is the one that counts.
        let stamps = [*oldest_ms, oldest_ms + 500, now_ms()].map(Some);
        let record = |timestamp_ms| Outgoing { timestamp_ms, ..Outgoing::default() };
        let place = TopicPartition::new(topic.clone(), partition);
        cluster.append(&place, stamps.map(record).into());
    }
    let asked_ms = now_ms();
    let said = cluster.run(&["lag", "--output", "json"]);
    let answered_ms = now_ms();
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    let group = format!("{}profiles", cluster.prefix());
    for (partition, oldest_ms) in (0_u32..).zip(written_ms) {
        let is_it = |row: &&Value| row["group"] == group && row["partition"] == partition;
        let row = answer["rows"].as_array().unwrap().iter().find(is_it).unwrap();
        let seconds = row["seconds"].as_f64().unwrap();
        let truth = |at_ms: i64| (at_ms - oldest_ms) as f64 / 1_000.0;
        let (least, most) = (truth(asked_ms), truth(answered_ms));
        println!("{seconds} s where the truth is {least} to {most} s");
        let off = (least - seconds).max(seconds - most).max(0.0);
        assert!(off <= (least * 0.05).max(1.0), "off by {off} s: {row}");
        assert_eq!(row["records"], 3, "{row}");
    }
}
