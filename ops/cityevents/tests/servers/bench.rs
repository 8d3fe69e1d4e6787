//! The comparison with peers, as short as can be: that everybody is measured and nobody lies.

use crate::command_line::{command, said};
use crate::stack;

#[test]
fn everybody_is_measured_and_what_they_took_is_told() {
    let mut asked = command();
    asked.args(["bench", "kafka", "--kafka", &stack::kafka(), "--output", "json"]);
    asked.args(["--seconds", "1", "--warm-up", "0", "--runs", "1", "--rate", "200"]);
    asked.args(["--postgres", &stack::postgres(), "--redis", &stack::redis()]);
    asked.env("CITYEVENTS__KAFKA__REPLICATION", "1").env("CITYEVENTS__KAFKA__MIN_INSYNC", "1");
    let answer = said(asked.output().unwrap()).json();
    let entries = answer["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 14, "{answer}");
    for entry in entries {
        assert!(entry["joins_per_second"].as_f64().unwrap() > 0.0, "{entry}");
        assert!(entry["cpu_seconds"]["client"].as_f64().unwrap() > 0.0, "{entry}");
        assert_eq!(entry["cpu_seconds"].as_object().unwrap().len(), 2, "whose time? {entry}");
        let is_paced = entry["part"] != "null_loop";
        assert_eq!(entry["waited"]["kind"] != "not_asked", is_paced, "{entry}");
    }
}

#[test]
fn what_kafka_holds_is_restored_whole_from_facts_and_from_snapshots() {
    let mut asked = command();
    asked.args(["bench", "restore", "--kafka", &stack::kafka(), "--output", "json"]);
    asked.args(["--registrations", "40000", "--runs", "1"]);
    asked.env("CITYEVENTS__KAFKA__REPLICATION", "1").env("CITYEVENTS__KAFKA__MIN_INSYNC", "1");
    // It fails by itself when a registration is missing.
    let answer = said(asked.output().unwrap()).json();
    let rows = answer["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["measured"].as_f64().unwrap() > 0.0), "{answer}");
    let conditions = rows[1]["conditions"].as_str().unwrap();
    assert!(conditions.contains("4 partitions of Kafka"), "{answer}");
}

#[test]
fn what_kafka_holds_is_replayed_into_nothing_a_state_tables_and_topics() {
    let mut asked = command();
    asked.args(["bench", "replay", "--kafka", &stack::kafka(), "--output", "json"]);
    asked.args(["--registrations", "40000", "--runs", "1"]);
    asked.env("CITYEVENTS__KAFKA__REPLICATION", "1").env("CITYEVENTS__KAFKA__MIN_INSYNC", "1");
    // It fails by itself when a registration is missing.
    let answer = said(asked.output().unwrap()).json();
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6, "{answer}");
    assert!(rows.iter().all(|row| row["measured"].as_f64().unwrap() > 0.0), "{answer}");
}
