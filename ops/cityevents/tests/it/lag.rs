//! How far every group is behind, beside a running instance and on a stopped one.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use cityevents_runtime::log::{Outgoing, TopicPartition};
use serde_json::Value;

use super::ages;
use super::command_line::{command, run_on};
use super::crowd;
use super::instance::{DEADLINE, Instance, poll_for};
use super::planted::{append, open_log};
use super::web;

fn lag(data: &Path) -> Value {
    run_on(data, &["lag", "--output", "json"]).json()
}

fn rows(answer: &Value) -> &[Value] {
    answer["rows"].as_array().unwrap()
}

/// The same when nobody is in any group.
fn deserted(mut answer: Value) -> Value {
    for row in answer["rows"].as_array_mut().unwrap() {
        (row["has_members"], row["owner"]) = (false.into(), Value::Null);
    }
    answer
}

#[test]
fn a_running_instance_keeps_up_and_what_comes_while_it_is_stopped_waits() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let people = crowd::people(data, 3);
    let event = crowd::publish(instance.http, &people[0], 2, 0);
    for person in &people[1..] {
        crowd::join(instance.http, person, &event, "once");
    }
    poll_for(DEADLINE, || {
        let answer = lag(data);
        let all = rows(&answer).iter();
        all.clone().count() == 37 && all.clone().all(|row| row["committed"] == row["end"])
    });
    let running = lag(data);
    assert!(rows(&running).iter().all(|row| row["seconds"] == 0.0), "{running}");
    assert_eq!(running["commands"]["oldest_undecided_seconds"], 0.0);
    assert_eq!(running["commands"]["kept_seconds"], 7 * 24 * 3_600);
    assert!(rows(&running).iter().all(|row| row["owner"].is_string()), "{running}");
    instance.stop();
    assert_eq!(lag(data), deserted(running));
    let said = run_on(data, &["lag"]).good();
    assert!(said.contains("no command waits; event-commands keeps commands for 7 days"), "{said}");

    let log = open_log(data);
    let mut producer = log.producer("test").unwrap();
    append(&mut *producer, &TopicPartition::new("event-commands", 1), Outgoing::default());
    drop((producer, log));
    let stopped = lag(data);
    let row = &rows(&stopped)[1];
    assert_eq!((&row["group"], &row["partition"]), (&"registration".into(), &1.into()));
    assert_eq!((&row["records"], &row["verdict"]), (&1.into(), &"is behind".into()));
    assert!(row["seconds"].as_f64().unwrap() > 0.0, "{row}");
    assert!(stopped["commands"]["oldest_undecided_seconds"].as_f64().unwrap() > 0.0);
    let said = run_on(data, &["lag"]).good();
    assert!(said.contains("the oldest undecided command waits for"), "{said}");
}

/// Looks of `lag --watch`, as JSON.
fn watch(data: &Path, looks: usize) -> Vec<Value> {
    let mut watching = command();
    watching.args(["lag", "--watch", "--output", "json", "--data"]).arg(data);
    let mut watching = watching.env("CITYEVENTS__LAG__EVERY", "100ms").spawn().unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let looks = lines.take(looks).map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    let looks = looks.collect();
    // Nobody reads any more, so that it ends by itself.
    assert!(watching.wait().unwrap().success());
    looks
}

#[test]
fn who_gets_nothing_done_is_told_after_ten_looks() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Instance::start(data).stop();
    let log = open_log(data);
    let mut producer = log.producer("test").unwrap();
    append(&mut *producer, &TopicPartition::new("event-commands", 1), Outgoing::default());
    drop((producer, log));
    let looks = watch(data, 10);
    let verdict = |look: &Value, row: usize| look[row]["verdict"].as_str().unwrap().to_owned();
    assert_eq!(verdict(&looks[8], 1), "is behind");
    assert_eq!(verdict(&looks[9], 1), "stopped: is behind");
    assert_eq!(verdict(&looks[9], 0), "keeps up");
}

#[test]
fn the_role_tells_how_every_group_gets_on_and_how_many_dead_letters_wait() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Instance::start(data).stop();
    let log = open_log(data);
    let mut producer = log.producer("test").unwrap();
    append(&mut *producer, &TopicPartition::new("event-commands", 1), Outgoing::default());
    drop((producer, log));
    let instance = Instance::start_with(data, &[("CITYEVENTS__LAG__EVERY", "100ms")]);
    let figure = |series: &str| {
        let text = web::once(instance.ops, "GET", "/metrics", &[], b"").text();
        let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.map(str::to_owned)
    };
    let of = |group: &str, topic: &str| {
        format!("{{group=\"{group}\",topic=\"{topic}\",partition=\"1\"}}")
    };
    let registration = of("registration", "event-commands");
    let records = format!("cityevents_lag_group_records{registration}");
    poll_for(DEADLINE, || figure(&records).as_deref() == Some("0"));
    let letters = "cityevents_lag_dead_letters{topic=\"event-commands-dlq\"}";
    poll_for(DEADLINE, || figure(letters).as_deref() == Some("1"));
    let verdict = format!("cityevents_lag_group_verdict{}", of("projection", "event-facts"));
    poll_for(DEADLINE, || figure(&verdict).as_deref() == Some("0"));
    run_on(data, &["dlq", "drop", "--execute"]).good();
    poll_for(DEADLINE, || figure(letters).as_deref() == Some("0"));
    instance.stop();
}

#[test]
fn seconds_are_within_a_second_or_five_percent_of_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Instance::start(data).stop();
    let log = open_log(data);
    let mut producer = log.producer("test").unwrap();
    let written_ms = ages::written_ms();
    for (partition, oldest_ms) in (0..).zip(written_ms) {
        for record in ages::records(oldest_ms) {
            append(&mut *producer, &TopicPartition::new("user-signals", partition), record);
        }
    }
    drop((producer, log));
    ages::check(written_ms, "profiles", || lag(data));
}
