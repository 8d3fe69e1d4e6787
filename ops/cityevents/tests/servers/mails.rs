//! The whole way of a mail on Kafka and Cassandra, over processes that each do a part of it.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::calls::{post, register};
use crate::cluster::{Process, poll_for};
use crate::people;

/// The mails in a folder, with soft line breaks taken out.
fn mails(folder: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = files.map(|file| file.unwrap().path());
    let done = paths.filter(|path| path.extension().is_some_and(|kind| kind == "eml"));
    let text = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    done.map(text).map(|text| text.replace("=\r\n", "")).collect()
}

#[test]
fn a_join_at_one_process_ends_as_a_mail_from_another_and_is_not_sent_again() {
    let inbox = tempfile::tempdir().unwrap();
    let (cluster, _) = people::cluster("mails");
    let folder = inbox.path().display().to_string();
    let cluster = cluster.setting("CITYEVENTS__MAIL__FOLDER", folder);
    let decides = Process::start_with(&cluster, "registration,projection").until_ready();
    let serves = Process::start_with(&cluster, "ingest,api").until_ready();
    let tells = Process::start_with(&cluster, "notifier,mailer").until_ready();
    let (_, owner) = register(serves.http(), "owner");
    let (_, ada) = register(serves.http(), "ada");
    let fields = json!({
        "title": "Night of lights", "description": "Bring a lamp", "city": "Porto",
        "category": "art", "start_time": "2099-06-01T20:00:00Z",
        "end_time": "2099-06-01T23:00:00Z", "capacity": 1,
    });
    let made = post(serves.http(), "/api/events", &owner, &fields).json();
    let event = made["id"].as_str().unwrap().to_owned();
    let publish = format!("/api/events/{event}/publish");
    assert_eq!(post(serves.http(), &publish, &owner, &Value::Null).status, 200);
    let joined = Instant::now();
    let join = format!("/api/events/{event}/join");
    let keyed = format!("{ada}idempotency-key: ada-1\r\n");
    assert_eq!(post(serves.http(), &join, &keyed, &Value::Null).status, 200);
    let sent = |to: &str, words: &str| {
        let mails = mails(inbox.path());
        mails.iter().filter(|mail| mail.contains(to) && mail.contains(words)).count()
    };
    poll_for(|| (sent("ada@", "Night of lights") == 1).then_some(()));
    println!("from the join to the mail: {:?}", joined.elapsed());
    for to in ["ada@", "owner@"] {
        poll_for(|| (sent(to, "verify-email") == 1).then_some(()));
    }
    tells.stop();
    // Offsets that are gone send nothing again: the ledger knows.
    let before = mails(inbox.path()).len();
    for file in std::fs::read_dir(inbox.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    cluster.kafka.forget_group("mailer");
    let again = Process::start_with(&cluster, "notifier,mailer").until_ready();
    register(serves.http(), "ben");
    poll_for(|| mails(inbox.path()).iter().any(|mail| mail.contains("ben@")).then_some(()));
    let after = mails(inbox.path());
    assert_eq!(after.len(), 1, "of {before} mails none comes again: {after:?}");
    again.stop();
    serves.stop();
    decides.stop();
}
