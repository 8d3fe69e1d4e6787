//! How far every group is behind, beside a running instance and on a stopped one.

use std::path::Path;

use cityevents_runtime::log::{Outgoing, TopicPartition};
use serde_json::Value;

use super::command_line::run_on;
use super::crowd;
use super::instance::{DEADLINE, Instance, poll_for};
use super::planted::{append, open_log};

fn lag(data: &Path) -> Value {
    run_on(data, &["lag", "--output", "json"]).json()
}

fn rows(answer: &Value) -> &[Value] {
    answer["rows"].as_array().unwrap()
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
        all.clone().count() == 12 && all.clone().all(|row| row["committed"] == row["end"])
    });
    let running = lag(data);
    assert!(rows(&running).iter().all(|row| row["seconds"] == 0.0), "{running}");
    assert_eq!(running["commands"]["oldest_undecided_seconds"], 0.0);
    assert_eq!(running["commands"]["kept_seconds"], 7 * 24 * 3_600);
    instance.stop();
    assert_eq!(lag(data), running);
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
