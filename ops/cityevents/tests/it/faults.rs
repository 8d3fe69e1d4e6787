//! Damage and misuse: a clear message or a clean recovery, and never a wrong answer.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::command_line::{Said, command, run_on};
use super::crowd::{self, Person, column};
use super::instance::{DEADLINE, Instance, poll_for};
use super::web;

/// A folder with an event that five people joined, of an instance that was killed.
struct Folder {
    folder: tempfile::TempDir,
    people: Vec<Person>,
    event: String,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::start(folder.path());
        let people = crowd::people(folder.path(), 6);
        let event = crowd::publish(instance.http, &people[0], 3, 10);
        for person in &people[1..] {
            assert_eq!(crowd::join(instance.http, person, &event, "once").status, 200);
        }
        instance.kill();
        Self { folder, people, event }
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    fn explained(&self) -> Value {
        let question = ["explain", "--event", &self.event, "--output", "json"];
        run_on(self.data(), &question).json()
    }

    /// Everybody who was told something is where they were told.
    fn assert_right(&self, instance: &Instance) {
        let list = |what: &str| {
            let path = format!("/api/events/{}/{what}", self.event);
            column(&crowd::list(instance.http, &self.people[0], &path), "user_id")
        };
        let users: Vec<_> = self.people[1..].iter().map(|person| person.user.clone()).collect();
        poll_for(DEADLINE, || list("waitlist").len() == 2);
        assert_eq!(list("waitlist"), users[3..]);
        let mut active = list("participants");
        active.sort();
        let mut expected = users[..3].to_vec();
        expected.sort();
        assert_eq!(active, expected);
    }
}

fn refused(data: &Path, settings: &[(&str, &str)]) -> Said {
    match Instance::try_start(data, settings) {
        Ok(instance) => panic!("it started: {}", instance.log()),
        Err(said) => said,
    }
}

/// The journals of the log, the newest last.
fn journals(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("log/store")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "jnl")).collect();
    files.sort_by_key(|path| path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
    files
}

#[test]
fn a_second_process_on_a_folder_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let said = refused(folder.path(), &[]);
    said.failed(1, &["in use", &instance.pid().to_string(), "another data folder"]);
    let answer = web::once(instance.http, "GET", "/healthz", &[], b"");
    assert_eq!(answer.status, 200, "the first one goes on");
    assert_eq!(run_on(folder.path(), &["audit"]).code, 0, "and is still found");
    instance.stop();
}

#[test]
fn a_folder_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Instance::start(folder.path()).stop();
    let marker = folder.path().join("log/format");
    let known = fs::read_to_string(&marker).unwrap();
    let (name, _) = known.trim().rsplit_once(' ').unwrap();
    fs::write(&marker, format!("{name} 99\n")).unwrap();
    refused(folder.path(), &[]).failed(1, &["version 99", "another data folder"]);
    run_on(folder.path(), &["audit"]).failed(1, &["version 99"]);
    fs::write(&marker, "garbled").unwrap();
    refused(folder.path(), &[]).failed(1, &["does not name a version", "backup"]);
    fs::write(&marker, known).unwrap();
    Instance::start(folder.path()).stop();
}

#[test]
fn a_damaged_snapshot_is_passed_over_with_a_warning() {
    let folder = Folder::new();
    let data = folder.data();
    run_on(data, &["snapshot", "take"]).good();
    let mut found = vec![data.join("snapshots")];
    let mut damaged = 0;
    while let Some(path) = found.pop() {
        if path.is_dir() {
            found.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let length = fs::metadata(&path).unwrap().len();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0xff; 8], length / 2).unwrap();
        damaged += 1;
    }
    assert!(damaged > 0);
    let verified = run_on(data, &["snapshot", "verify"]);
    assert_eq!(verified.code, 1, "{}", verified.out);
    let instance = Instance::start(data);
    folder.assert_right(&instance);
    let log = instance.log();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("snapshot")), "{log}");
    run_on(data, &["audit"]).good();
    instance.stop();
}

#[test]
fn a_torn_last_record_is_recovered_from() {
    let folder = Folder::new();
    let before = folder.explained();
    let journal = journals(folder.data()).pop().unwrap();
    let file = OpenOptions::new().append(true).open(&journal).unwrap();
    // The beginning of an entry that was never finished, and so never acknowledged.
    let bytes = fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    file.set_len(end as u64).unwrap();
    let torn = &bytes[..bytes.len().min(23)];
    std::io::Write::write_all(&mut &file, torn).unwrap();
    drop(file);
    match Instance::try_start(folder.data(), &[]) {
        Ok(instance) => {
            folder.assert_right(&instance);
            run_on(folder.data(), &["audit"]).good();
            assert_eq!(folder.explained()["steps"], before["steps"]);
            instance.stop();
        }
        Err(said) => said.failed(1, &["log", "backup"]),
    }
}

#[test]
fn a_cut_journal_never_gives_a_wrong_answer() {
    let folder = Folder::new();
    let before = folder.explained();
    let journal = journals(folder.data()).pop().unwrap();
    let bytes = fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    OpenOptions::new().write(true).open(&journal).unwrap().set_len(end as u64 - 5).unwrap();
    match Instance::try_start(folder.data(), &[]) {
        Ok(instance) => {
            run_on(folder.data(), &["audit"]).good();
            let after = folder.explained();
            let (before, after) = (steps(&before), steps(&after));
            // What the disk lost is at the end; what is left is as it was.
            assert!(after.len() <= before.len());
            assert_eq!(after[..], before[..after.len()]);
            instance.stop();
        }
        Err(said) => {
            assert_eq!(said.code, 1);
            assert!(said.err.contains("error: ") && !said.err.contains("panicked"), "{}", said.err);
        }
    }
}

#[test]
fn garbled_data_in_the_middle_never_gives_a_wrong_answer() {
    let folder = Folder::new();
    let before = folder.explained();
    let journal = journals(folder.data()).pop().unwrap();
    let bytes = fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let file = OpenOptions::new().write(true).open(&journal).unwrap();
    file.write_all_at(&[0x5a; 64], end as u64 / 2).unwrap();
    drop(file);
    match Instance::try_start(folder.data(), &[]) {
        Ok(instance) => {
            run_on(folder.data(), &["audit"]).good();
            let after =
                run_on(folder.data(), &["explain", "--event", &folder.event, "--output", "json"]);
            let after = if after.code == 0 { steps(&after.json()).clone() } else { Vec::new() };
            assert_eq!(after[..], steps(&before)[..after.len()]);
            assert!(!after.is_empty(), "the log was cut in its middle without a word");
            instance.stop();
        }
        Err(said) => {
            assert_eq!(said.code, 1, "{}", said.err);
            assert!(said.err.contains("error: ") && !said.err.contains("panicked"), "{}", said.err);
        }
    }
}

fn steps(explained: &Value) -> &Vec<Value> {
    explained["steps"].as_array().unwrap()
}

#[test]
fn a_full_disk_refuses_writes_and_goes_on_reading() {
    // It crashed: some of it has still something to write, or its progress at least.
    let folder = Folder::new();
    let settings = [("CITYEVENTS__LOG__LOCAL__DISK_RESERVE", "1000000 GiB")];
    let instance = Instance::start_with(folder.data(), &settings);
    folder.assert_right(&instance);
    let newcomer = crowd::people(folder.data(), 1).remove(0);
    let refused = crowd::join(instance.http, &newcomer, &folder.event, "once");
    assert_eq!((refused.status, &*refused.code()), (503, "unavailable"), "{}", refused.text());
    assert!(refused.header("retry-after").is_some(), "{:?}", refused.headers);
    let view = format!("/api/events/{}/view", folder.event);
    assert_eq!(web::get_as(instance.http, &newcomer.bearer, &view).status, 200);
    instance.stop();
    let instance = Instance::start(folder.data());
    folder.assert_right(&instance);
    assert_eq!(crowd::join(instance.http, &newcomer, &folder.event, "once").status, 200);
    poll_for(DEADLINE, || {
        let lag = run_on(folder.data(), &["lag", "--output", "json"]).json();
        lag["rows"].as_array().unwrap().iter().all(|row| row["committed"] == row["end"])
    });
    instance.stop();
}

#[test]
fn an_address_in_use_is_named_with_its_option() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (option, other) in [("--listen", "--ops-listen"), ("--ops-listen", "--listen")] {
        let mut dev = command();
        dev.args(["dev", option, &address, other, "127.0.0.1:0", "--data"]).arg(folder.path());
        let said = dev.output().unwrap();
        let err = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(1), "{err}");
        assert!(err.contains(&address) && err.contains(&format!("with {option}")), "{err}");
    }
}

#[test]
fn keys_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    Instance::start(folder.path()).stop();
    let file = folder.path().join("keys/signing-keys.json");
    let good = fs::read(&file).unwrap();
    for bad in ["", "{", "{\"version\":99,\"keys\":[]}", "[]"] {
        fs::write(&file, bad).unwrap();
        refused(folder.path(), &[]).failed(1, &["signing-keys.json"]);
        run_on(folder.path(), &["token"]).failed(1, &["signing-keys.json"]);
        run_on(folder.path(), &["keys", "list"]).failed(1, &["signing-keys.json"]);
    }
    fs::write(&file, good).unwrap();
    Instance::start(folder.path()).stop();
}

#[test]
fn another_number_of_partitions_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    Instance::start(folder.path()).stop();
    let said = refused(folder.path(), &[("CITYEVENTS__LOG__PARTITIONS", "8")]);
    said.failed(1, &["event-commands", "partitions is 4, not 8", "set log.partitions = 4"]);
    Instance::start(folder.path()).stop();
}
