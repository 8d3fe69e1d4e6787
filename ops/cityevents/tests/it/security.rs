//! What SECURITY.md promises and no other test shows.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::calls::{login, register};
use super::instance::{DEADLINE, Instance, poll_for};
use super::web::once;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn each_test_that_the_table_names_is_there() {
    let table = fs::read_to_string(repository().join("ops/docs/SECURITY.md")).unwrap();
    let mut sources = String::new();
    for room in ["api", "ingest", "ops", "processors", "schemas"] {
        read_all(&repository().join(room), &mut sources);
    }
    let mut named = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        // The last cell of a row with an item of the standard.
        let cells: Vec<_> = row.split(" | ").collect();
        if cells.len() != 3 || !row.chars().nth(2).is_some_and(|first| first.is_ascii_digit()) {
            continue;
        }
        for name in cells[2].split('`').skip(1).step_by(2) {
            let is_there = match name.contains('/') {
                true => repository().join(name).exists(),
                false => sources.contains(&format!("fn {name}(")),
            };
            assert!(is_there, "{name} of {row}");
            named += 1;
        }
    }
    assert!(named > 40, "only {named} tests are named");
}

fn read_all(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            read_all(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn what_is_for_operators_is_not_on_the_public_listener() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    for path in ["/metrics", "/livez", "/startupz", "/debug/assignment"] {
        assert_eq!(once(instance.http, "GET", path, &[], b"").status, 404, "{path}");
        assert_eq!(once(instance.ops, "GET", path, &[], b"").status, 200, "{path}");
    }
    instance.stop();
}

#[test]
fn every_request_leaves_a_line_that_tells_its_id_and_status() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    for (path, id) in [("/api/events", "a-good-one"), ("/api/nothing", "a-bad-one")] {
        once(instance.http, "GET", path, &[("x-request-id", id)], b"");
    }
    let status_of = |id: &str| {
        let lines: Vec<Value> =
            instance.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let line = lines.iter().find(|line| line["request.id"] == id)?;
        assert!(line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
        line["http.status"].as_u64()
    };
    poll_for(DEADLINE, || status_of("a-good-one").is_some() && status_of("a-bad-one").is_some());
    assert_eq!((status_of("a-good-one"), status_of("a-bad-one")), (Some(200), Some(404)));
    instance.stop();
}

#[test]
fn signing_in_and_being_refused_leave_lines_that_tell_the_account_and_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let (ada, _) = register(instance.http, "ada");
    assert_eq!(login(instance.http, "ada@example.org", "not this one, no").status, 401);
    assert_eq!(login(instance.http, "nobody@example.org", "not this one, no").status, 401);
    let lines = |message: &str| -> Vec<Value> {
        let log = instance.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == message).collect()
    };
    let refused = "a sign-in is refused";
    poll_for(DEADLINE, || lines("signed in").len() == 1 && lines(refused).len() == 2);
    let hash = lines("signed in")[0]["account_hash"].clone();
    assert!(hash.is_string(), "{hash}");
    let accounts: Vec<_> = lines(refused).iter().map(|line| line["account_hash"].clone()).collect();
    assert_eq!(accounts, [hash, Value::Null], "of one who is there, and of nobody");
    assert!(!instance.log().contains(&ada), "{}", instance.log());
    assert!(!instance.log().contains("@example.org"), "{}", instance.log());
    instance.stop();
}
