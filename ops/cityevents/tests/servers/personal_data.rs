//! `audit --personal-data` on Kafka, with the accounts in Cassandra.

use bytes::Bytes;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::{Outgoing, TopicPartition};
use serde_json::{Value, json};

use crate::calls::{post, register};
use crate::cluster::{Process, poll_for};
use crate::people;

#[test]
fn nobody_is_in_the_topics_that_people_used_and_who_is_put_there_is_found() {
    let (cluster, _) = people::cluster("personal");
    let inbox = tempfile::tempdir().unwrap();
    let cluster = cluster.setting("CITYEVENTS__MAIL__FOLDER", inbox.path().display().to_string());
    let roles = "ingest,api,registration,projection,publisher,trending,notifier,mailer";
    let process = Process::start_with(&cluster, roles).until_ready();
    let (_, owner) = register(process.http(), "owner");
    let (ada, bearer) = register(process.http(), "ada");
    let fields = json!({
        "title": "Night of lights", "description": "Bring a lamp", "city": "Porto",
        "category": "art", "start_time": "2099-06-01T20:00:00Z",
        "end_time": "2099-06-01T23:00:00Z", "capacity": 1,
    });
    let made = post(process.http(), "/api/events", &owner, &fields).json();
    let event = format!("/api/events/{}", made["id"].as_str().unwrap());
    let act = |bearer: &str, path: &str, body: &Value| {
        let keyed = format!("{bearer}idempotency-key: once\r\n");
        let said = post(process.http(), &format!("{event}{path}"), &keyed, body);
        assert_eq!(said.status, 200, "{}", said.text());
    };
    act(&owner, "/publish", &Value::Null);
    act(&bearer, "/join", &Value::Null);
    act(&owner, "/bans", &json!({ "user_id": ada, "reason": "ada@example.org was rude" }));
    poll_for(|| {
        let said = cluster.run(&["lag", "--output", "json"]);
        let lag: Value = serde_json::from_str(&said.out).unwrap();
        let mut rows = lag["rows"].as_array().unwrap().iter();
        let is_ours = |row: &&Value| !row["group"].as_str().unwrap().ends_with("profiles");
        rows.by_ref().filter(is_ours).all(|row| row["records"] == 0).then_some(())
    });
    let report = cluster.run(&["audit", "--personal-data", "--output", "json"]).json();
    assert_eq!(report["addresses"], 3, "{report}");
    let topics = report["topics"].as_array().unwrap();
    let count = |topic: &str, field: &str| {
        topics.iter().find(|row| row["topic"] == topic).unwrap()[field].as_u64().unwrap()
    };
    assert!(count("event-facts", "sealed") >= 1, "{report}");
    for topic in ["events", "registrations", "emails", "command-replies"] {
        assert!(count(topic, "records") >= 1, "{topic} in {report}");
    }
    let mut headers = HeadersBuilder::default();
    headers.push("__connect.errors.exception.message", b"550 ADA@example.org is unknown");
    let in_header = Outgoing { headers: headers.build(), ..Outgoing::default() };
    let value = Bytes::from_static(b"\x00\x00\x00\x00\x01\x1eada@example.org");
    let in_value = Outgoing { value: Some(value), ..Outgoing::default() };
    // The later topic first: what is found is what comes first.
    for (topic, record) in [("emails-dlq", in_header), ("event-facts", in_value)] {
        let place = TopicPartition::new(format!("{}{topic}", cluster.prefix()), 0);
        let offset = cluster.log().watermarks(&place).unwrap().high;
        cluster.append(&place, vec![record]);
        let said = cluster.run(&["audit", "--personal-data"]);
        let at = format!("personal data at {place} offset {offset}:");
        said.failed(1, &[&at, "has the address of the account", &ada]);
    }
    process.stop();
}
