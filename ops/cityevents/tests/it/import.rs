//! Importing events from a table: `ops/connect/import_events.py` against a running instance.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::command_line::{Said, run_on, said};
use super::instance::{DEADLINE, Instance, poll_for};
use super::web;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../connect")
}

fn import(table: &Path, url: &str, key: &str) -> Said {
    let mut command = Command::new("python3");
    command.arg("-B").arg(folder().join("import_events.py")).arg(table).args(["--url", url]);
    said(command.env("CITYEVENTS_API_KEY", key).output().unwrap())
}

/// A running instance hears of a new key within half a second.
fn until_heard_of(instance: &Instance, key: &str) {
    let key = format!("Bearer {key}");
    let headers = [("authorization", &*key), ("content-type", "application/x-ndjson")];
    let status = || web::once(instance.http, "POST", "/api/ingest", &headers, b"{}\n").status;
    poll_for(DEADLINE, || status() == 200);
}

#[test]
fn a_table_becomes_events_once_however_often_it_is_imported() {
    let data = tempfile::tempdir().unwrap();
    let instance = Instance::start(data.path());
    let made = run_on(data.path(), &["api-keys", "create", "--output", "json"]).json();
    let key = made["key"].as_str().unwrap();
    let url = format!("http://{}", instance.http);
    let table = folder().join("events.csv");
    until_heard_of(&instance, key);
    let first = import(&table, &url, key).good();
    assert_eq!(import(&table, &url, key).good(), first);
    let ids: Vec<_> = first.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(ids.len(), 2, "{first}");
    assert_eq!((ids[0].0, ids[1].0), ("museums-2030", "jazz-2030"));
    let read = |id: &str| web::once(instance.http, "GET", &format!("/api/events/{id}"), &[], b"");
    poll_for(DEADLINE, || read(ids[0].1).status == 200);
    assert_eq!(read(ids[0].1).json()["title"], "Night of the museums");
    assert_eq!(read(ids[1].1).status, 404, "a draft is its owner's");
    instance.stop();
}

#[test]
fn a_row_that_is_wrong_is_named_and_the_others_are_imported() {
    let data = tempfile::tempdir().unwrap();
    let instance = Instance::start(data.path());
    let made = run_on(data.path(), &["api-keys", "create", "--output", "json"]).json();
    let key = made["key"].as_str().unwrap();
    let url = format!("http://{}", instance.http);
    let table = data.path().join("table.csv");
    let text = std::fs::read_to_string(folder().join("events.csv")).unwrap();
    std::fs::write(&table, text.replace(",200,", ",many,")).unwrap();
    until_heard_of(&instance, key);
    let imported = import(&table, &url, key);
    imported.failed(1, &["1 of 2 rows are events"]);
    assert!(imported.out.contains("jazz-2030\tinvalid: validation_failed"), "{}", imported.out);
    assert!(imported.out.contains("capacity"), "{}", imported.out);

    std::fs::write(&table, text.replacen("title", "titel", 1)).unwrap();
    import(&table, &url, key).failed(2, &["unknown columns: titel"]);
    import(&table, &url, "").failed(2, &["CITYEVENTS_API_KEY"]);
    import(&table, "http://127.0.0.1:1", key).failed(2, &["unknown columns"]);
    import(&folder().join("events.csv"), "http://127.0.0.1:1", key)
        .failed(2, &["cannot be reached"]);
    instance.stop();
}
