//! `doctor` on one machine: green where all is well, and each fault in its own row.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::command_line::{Said, command, run_on, said};
use super::instance::Instance;

fn doctor(data: &Path, options: &[&str], settings: &[(&str, &str)]) -> Said {
    let mut asked = command();
    asked.args(["doctor", "--output", "json"]).args(options).arg("--data").arg(data);
    said(asked.envs(settings.iter().copied()).output().unwrap())
}

/// The rows that are not green.
fn not_green(said: &Said) -> Vec<String> {
    let rows: Vec<Value> =
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    assert!(rows.len() >= 8, "{said:?}");
    let wrong = rows.iter().filter(|row| row["verdict"] != "ok");
    let named = wrong.map(|row| {
        let text = |field: &str| row[field].as_str().unwrap();
        assert!(!text("found").is_empty() && !text("todo").is_empty(), "{row}");
        text("check").to_owned()
    });
    let named: Vec<_> = named.collect();
    assert_eq!(said.code, i32::from(!named.is_empty()), "{said:?}");
    named
}

#[test]
fn a_laptop_is_well_beside_its_instance_and_when_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let none: [String; 0] = [];
    let empty = not_green(&doctor(data, &[], &[]));
    assert_eq!(empty, ["signing keys", "instance secret", "log", "topics", "retention", "tables"]);
    assert!(std::fs::read_dir(data).unwrap().next().is_none(), "it looks, and makes nothing");
    let instance = Instance::start(data);
    assert_eq!(not_green(&doctor(data, &[], &[])), none);
    instance.stop();
    assert_eq!(not_green(&doctor(data, &[], &[])), none);
    assert!(run_on(data, &["doctor"]).good().contains("all green"));
    run_on(data, &["doctor", "--accept", "weather"]).failed(2, &["weather", "signing keys"]);
}

#[test]
fn each_fault_of_a_laptop_is_in_its_own_row() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Instance::start(data).stop();
    let at_fault = |settings: &[(&str, &str)]| not_green(&doctor(data, &[], settings));
    let open_to_all = |name: &str, mode: u32| {
        let path = data.join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to_all("keys/signing-keys.json", 0o644);
    assert_eq!(at_fault(&[]), ["signing keys"]);
    open_to_all("keys/signing-keys.json", 0o600);
    open_to_all("instance-secret", 0o604);
    assert_eq!(at_fault(&[]), ["instance secret"]);
    open_to_all("instance-secret", 0o600);
    assert_eq!(at_fault(&[("CITYEVENTS__LOG__PARTITIONS", "8")]), ["topics"]);
    assert_eq!(at_fault(&[("CITYEVENTS__MAIL__TIME_ZONE", "Mars/Olympus")]), ["mail templates"]);
    assert_eq!(at_fault(&[("CITYEVENTS__LOG__LOCAL__DISK_RESERVE", "900000 GiB")]), ["disk"]);
    let accepted = [("CITYEVENTS__LOG__PARTITIONS", "8")];
    assert_eq!(doctor(data, &["--accept", "topics"], &accepted).code, 0);
    std::fs::remove_dir_all(data.join("views")).unwrap();
    assert_eq!(at_fault(&[]), ["tables"]);
}

#[test]
fn what_a_laptop_lacks_for_people_is_listed_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Instance::start(data).stop();
    let wrong = not_green(&doctor(data, &["--production"], &[]));
    assert_eq!(wrong, ["public address", "proxies", "mail sender", "mail server"]);
}

#[test]
fn with_everything_away_every_row_is_told_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("nowhere");
    let settings = [
        ("CITYEVENTS__DATA__DIR", data.to_str().unwrap()),
        ("CITYEVENTS__KAFKA__BROKERS", "127.0.0.1:1"),
        ("CITYEVENTS__KAFKA__REQUEST_TIMEOUT", "2s"),
        ("CITYEVENTS__SCYLLA__NODES", "127.0.0.1:1"),
        ("CITYEVENTS__REGISTRY__URL", "http://127.0.0.1:1"),
        ("CITYEVENTS__SNAPSHOTS__URL", "file:///nowhere/snapshots"),
        ("CITYEVENTS__MEDIA__URL", "file:///nowhere/pictures"),
        ("CITYEVENTS__MAIL__BACKEND", "smtp"),
        ("CITYEVENTS__MAIL__SMTP__HOST", "127.0.0.1"),
        ("CITYEVENTS__MAIL__SMTP__PORT", "1"),
        ("CITYEVENTS__LIMITS__ENABLED", "false"),
        ("CITYEVENTS__OPS__LISTEN", "8.8.8.8:9090"),
    ];
    let mut asked = command();
    asked.args(["doctor", "--production", "--output", "json"]).envs(settings);
    let said = said(asked.output().unwrap());
    let templates_only: Vec<_> = serde_json::from_str::<Vec<Value>>(&said.out)
        .unwrap_or_else(|error| panic!("{error}: {said:?}"))
        .into_iter()
        .filter(|row| row["verdict"] == "ok")
        .map(|row| row["check"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(templates_only, ["mail templates"], "{said:?}");
    assert_eq!(said.code, 1);
    assert!(!said.err.contains("panicked"), "{}", said.err);
}
