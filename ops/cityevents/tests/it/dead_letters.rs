//! A command that nobody can read: kept aside, shown, sent again, let go.

use std::path::Path;

use cityevents_runtime::log::{Outgoing, TopicPartition};
use serde_json::Value;

use super::command_line::run_on;
use super::instance::{DEADLINE, Instance, poll_for};
use super::planted::{append, open_log};
use super::web;

fn letters(data: &Path, more: &[&str]) -> Vec<Value> {
    let question = [&["dlq", "list", "--output", "json"], more].concat();
    run_on(data, &question).json().as_array().unwrap().clone()
}

#[test]
fn a_poison_command_is_kept_aside_redriven_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Instance::start(data).stop();
    {
        let log = open_log(data);
        let mut producer = log.producer("planted").unwrap();
        let poison = Outgoing {
            key: Some("poison".into()),
            value: Some("no command at all".into()),
            ..Outgoing::default()
        };
        append(&mut *producer, &TopicPartition::new("event-commands", 1), poison);
    }
    let instance = Instance::start(data);
    poll_for(DEADLINE, || letters(data, &[]).len() == 1);
    assert_eq!(web::once(instance.ops, "GET", "/readyz", &[], b"").status, 200);
    let first = letters(data, &[]).remove(0);
    let id = first["id"].as_str().unwrap();
    assert_eq!((&first["source"], &first["key"]), (&"event-commands/1/0".into(), &"poison".into()));
    let shown = run_on(data, &["dlq", "show", id]).json();
    let hex: String = b"no command at all".iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(shown["value_hex"], *hex);
    run_on(data, &["dlq", "show", "event-commands-dlq/0/99"]).failed(1, &["dlq list"]);
    assert_eq!(letters(data, &["--key", "poison"]).len(), 1);
    assert_eq!(letters(data, &["--key", "other"]).len(), 0);
    assert_eq!(letters(data, &["--topic", "event-commands"]).len(), 1);
    assert_eq!(letters(data, &["--topic", "events"]).len(), 0);
    assert_eq!(letters(data, &["--reason", "no such reason"]).len(), 0);

    let dry = run_on(data, &["dlq", "redrive"]);
    assert!(dry.err.contains("--execute"), "{}", dry.err);
    assert!(dry.good().contains("would be redriven"));
    assert_eq!(letters(data, &[])[0]["redrives"], 0);
    let done = run_on(data, &["dlq", "redrive", "--execute"]).good();
    assert!(done.contains("redriven"), "{done}");
    poll_for(DEADLINE, || letters(data, &[]).iter().any(|letter| letter["redrives"] == 1));
    assert_eq!(letters(data, &[]).len(), 1, "the one that came back");
    assert_eq!(letters(data, &["--all"]).len(), 2);

    assert!(run_on(data, &["dlq", "drop"]).good().contains("would be dropped"));
    assert_eq!(letters(data, &[]).len(), 1);
    run_on(data, &["dlq", "drop", "--execute"]).good();
    assert!(letters(data, &[]).is_empty());
    assert!(run_on(data, &["dlq", "list"]).good().contains("none"));
    let report = run_on(data, &["audit", "--output", "json"]).json();
    assert_eq!(report["without_effect"]["undecodable"], 2, "{report}");
    instance.stop();
    assert_eq!(letters(data, &["--all"]).len(), 2, "a stopped instance tells the same");
}
