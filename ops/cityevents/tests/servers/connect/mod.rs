//! The sinks of `ops/connect` on a real worker: what is in the tables is what the facts say, and a
//! record that cannot be read or a database that is away costs nothing.

mod fold;
mod sink;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::{Registration, RegistrationStatus};
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Outgoing, TopicPartition};
use cityevents_schemas::{Codecs, HEADER_BYTES, Record, topic};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use self::fold::{
    an_event, cluster, codecs, events_in, fold, now_ms, records, registrations_in, trends_in,
    trends_told,
};
use self::sink::{Sink, configuration, rows};
use crate::cluster::{Cluster, PARTITIONS, Process, poll_for};
use crate::proxy::Proxy;
use crate::{registry, stack, trends};

const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn until_equal(expected: &[Value], mut look: impl FnMut() -> Vec<Value>) {
    let mut seen = Vec::new();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        poll_for(|| {
            seen = look();
            (seen == expected).then_some(())
        });
    }));
    assert!(caught.is_ok(), "expected {expected:#?}, seen {seen:#?}");
}

/// One person's row.
fn row_of(codecs: &Codecs, user: u8, status: RegistrationStatus) -> (String, Vec<u8>) {
    let event = EventId::from_bytes([0xe1; 16]);
    let user = UserId::from_bytes([user; 16]);
    let registration = Registration {
        user,
        status,
        joined_at: Timestamp::from_millis(1_800_000_000_000),
        updated_at: Timestamp::from_millis(1_800_000_000_001),
        ticket: None,
        checked_in_at: None,
    };
    let mut value = Vec::new();
    codecs.encode_registration(&event, &registration, &mut value);
    (format!("{event}:{user}"), value)
}

fn append(cluster: &Cluster, topic: &str, key: &str, value: Option<Vec<u8>>) {
    let place = TopicPartition::new(topic.to_owned(), partition_of(key.as_bytes(), PARTITIONS));
    let record = Outgoing {
        key: Some(key.to_owned().into_bytes().into()),
        value: value.map(Into::into),
        ..Outgoing::default()
    };
    cluster.append(&place, vec![record]);
}

/// The statuses of all rows, by person.
fn statuses(table: &str) -> BTreeMap<String, String> {
    let rows = rows(&format!("SELECT user_id, status FROM {table}"));
    let text = |row: &Value, name| row[name].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "user_id"), text(row, "status"))).collect()
}

fn user(number: u8) -> String {
    UserId::from_bytes([number; 16]).to_string()
}

fn until_status(table: &str, number: u8, status: &str) {
    poll_for(|| {
        (statuses(table).get(&user(number)).map(String::as_str) == Some(status)).then_some(())
    });
}

fn transactional(identity: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", stack::kafka())
        .set("transactional.id", identity)
        .set("log_level", "0")
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, row: &(String, Vec<u8>)) {
    let partition = partition_of(row.0.as_bytes(), PARTITIONS);
    let record =
        BaseRecord::to(topic).key(&row.0).payload(&row.1).partition(partition.try_into().unwrap());
    producer.send(record).unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn the_tables_equal_the_fold_of_the_facts() {
    let mut cluster = cluster("fold");
    let codecs = codecs(&cluster);
    let events = Sink::of(&cluster, "events-postgres.json").start();
    let registrations = Sink::of(&cluster, "registrations-postgres.json").start();
    let (event, commands) = an_event(now_ms());
    cluster.event = event;
    let running = Process::start_with(&cluster, "registration,publisher").until_ready();
    let count = commands.len() as u64;
    let encoded = commands.iter().map(|command| {
        let mut value = Vec::new();
        codecs.encode_command(command, &mut value);
        let key = event.to_string().into_bytes();
        Outgoing { key: Some(key.into()), value: Some(value.into()), ..Outgoing::default() }
    });
    cluster.send(encoded.collect());
    let running = running.until_decided(count);

    let (of_events, of_registrations) = fold(&cluster, &codecs);
    let said = |rows: &[Value], status| rows.iter().filter(|row| row["status"] == status).count();
    assert_eq!((of_events.len(), said(&of_events, "published")), (1, 1));
    let counts = ["active", "waitlisted", "canceled"].map(|status| said(&of_registrations, status));
    assert_eq!(counts, [2, 2, 1]);
    until_equal(&of_events, || events_in(events.table()));
    until_equal(&of_registrations, || registrations_in(registrations.table()));
    running.stop();

    // The sink is a group like others: who asks for it by name hears how far it is.
    let group = format!("connect-{}", registrations.name);
    poll_for(|| {
        let answer = cluster.run(&["lag", "--group", &group, "--output", "json"]).json();
        let rows = answer["rows"].as_array().unwrap().clone();
        let ours: Vec<_> = rows.into_iter().filter(|row| row["group"] == *group).collect();
        assert!(ours.iter().all(|row| row["topic"] == registrations.topic), "{ours:?}");
        let is_done = |row: &Value| row["records"] == 0 && row["has_members"] == true;
        (!ours.is_empty() && ours.iter().all(is_done)).then_some(())
    });
    let said = cluster.run(&["lag", "--group", "connect-nothing"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("never read any of our flat topics"), "{}", said.out);
}

#[test]
fn trends_are_rows_as_the_last_record_of_each_event_says() {
    let (cluster, people) = trends::stage_on(cluster("trend-rows"), "trend_rows");
    let codecs = codecs(&cluster);
    let sink = Sink::of(&cluster, "trends-postgres.json").start();
    let roles = format!("{},trending", trends::FRONT);
    let running = Process::start_with(&cluster, &roles).until_ready();
    let http = running.http();
    let loud = trends::publish(http, &people[0], "Loud");
    trends::publish(http, &people[0], "Quiet");
    people[1..4].iter().for_each(|person| trends::join(http, person, &loud));
    // What lists show comes from the same records.
    trends::wait_for(http, &[("Loud", 18), ("Quiet", 0)]);
    // Scores are worked out again and again: the rows follow.
    let until_rows_are_as_told = || {
        poll_for(|| {
            let told = trends_told(&cluster, &codecs);
            (trends_in(sink.table()) == told).then_some(told)
        })
    };
    let told = until_rows_are_as_told();
    let joins: Vec<_> = told.iter().map(|row| (&row["state"], &row["joins_24h"])).collect();
    let ranked = json!("ranked");
    assert!(joins.contains(&(&ranked, &json!(3))), "{told:?}");
    assert!(joins.contains(&(&ranked, &json!(0))), "{told:?}");

    // Called off: the row stays, and says that it is in no list.
    let path = format!("/api/events/{loud}/cancel-event");
    assert_eq!(trends::post(http, &people[0], &path, "c", &Value::Null).status, 200);
    trends::wait_for(http, &[("Quiet", 0)]);
    let told = until_rows_are_as_told();
    let dropped = told.iter().find(|row| row["event_id"] == *loud).unwrap();
    assert_eq!(dropped["state"], "dropped");
    running.stop();
}

#[test]
fn what_a_fenced_writer_left_unfinished_never_shows() {
    let cluster = cluster("fenced");
    let codecs = codecs(&cluster);
    let sink = Sink::of(&cluster, "registrations-postgres.json").start();
    append_row(&cluster, &sink.topic, &row_of(&codecs, 1, RegistrationStatus::Active));
    until_status(sink.table(), 1, "active");

    // It writes, and somebody else takes its identity before it is done.
    let zombie = transactional(cluster.prefix());
    send(&zombie, &sink.topic, &row_of(&codecs, 1, RegistrationStatus::Rejected));
    let successor = transactional(cluster.prefix());
    zombie.commit_transaction(PATIENCE).unwrap_err();
    // Of the same key, so that it comes after the unfinished row for everybody who sees that.
    send(&successor, &sink.topic, &row_of(&codecs, 1, RegistrationStatus::Canceled));
    successor.commit_transaction(PATIENCE).unwrap();

    let mut seen = Vec::new();
    poll_for(|| {
        let status = statuses(sink.table())[&user(1)].clone();
        seen.push(status.clone());
        (status == "canceled").then_some(())
    });
    assert!(!seen.contains(&"rejected".to_owned()), "{seen:?}");
    let raw = records(&cluster, &sink.topic);
    let written = raw.iter().filter_map(|record| record.value.as_ref());
    let statuses = written.map(|value| codecs.decode_registration(value).unwrap());
    let statuses: Vec<_> = statuses.map(|row| row.registration.status.as_str()).collect();
    assert!(statuses.contains(&"rejected"), "it was there to be seen: {statuses:?}");
}

fn append_row(cluster: &Cluster, topic: &str, row: &(String, Vec<u8>)) {
    append(cluster, topic, &row.0, Some(row.1.clone()));
}

/// A row as a program writes it that knows a field more.
fn of_a_newer_schema(cluster: &Cluster, row: &[u8]) -> Vec<u8> {
    use apache_avro::{Schema, from_avro_datum, to_avro_datum, types::Value as Avro};
    let mut newer: Value = serde_json::from_str(Record::Registration.source()).unwrap();
    let field = json!({ "name": "seat", "type": ["null", "string"], "default": null });
    newer["fields"].as_array_mut().unwrap().push(field);
    let newer = newer.to_string();
    let id = registry::register(&topic::REGISTRATIONS.subject(cluster.prefix()), &newer);
    let writer = Schema::parse_str(Record::Registration.source()).unwrap();
    let newer = Schema::parse_str(&newer).unwrap();
    let mut value = from_avro_datum(&writer, &mut &row[HEADER_BYTES..], Some(&newer)).unwrap();
    let Avro::Record(fields) = &mut value else { panic!("{value:?}") };
    let seat = fields.iter_mut().find(|(name, _)| name == "seat").unwrap();
    seat.1 = Avro::Union(1, Box::new(Avro::String("12 A".into())));
    let mut bytes = vec![0];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend(to_avro_datum(&newer, value).unwrap());
    bytes
}

#[test]
fn a_newer_schema_adds_a_column_and_a_tombstone_takes_the_row() {
    let cluster = cluster("newer");
    let codecs = codecs(&cluster);
    let sink = Sink::of(&cluster, "registrations-postgres.json").start();
    append_row(&cluster, &sink.topic, &row_of(&codecs, 1, RegistrationStatus::Active));
    until_status(sink.table(), 1, "active");

    let (key, row) = row_of(&codecs, 2, RegistrationStatus::Active);
    append(&cluster, &sink.topic, &key, Some(of_a_newer_schema(&cluster, &row)));
    let seats = || rows(&format!("SELECT user_id, seat FROM {} ORDER BY 1", sink.table()));
    let expected =
        [json!({"user_id": user(1), "seat": null}), json!({"user_id": user(2), "seat": "12 A"})];
    until_equal(&expected, seats);

    append(&cluster, &sink.topic, &key, None);
    until_equal(&expected[..1], seats);
}

#[test]
fn poison_stops_the_sink_until_somebody_lets_it_have_dead_letters() {
    let cluster = cluster("poison");
    let codecs = codecs(&cluster);
    let mut sink = Sink::of(&cluster, "registrations-postgres.json").start();
    let (key, row) = row_of(&codecs, 1, RegistrationStatus::Active);
    append(&cluster, &sink.topic, &key, Some(b"no schema, no record".to_vec()));
    let said = sink.until("FAILED");
    assert!(said.contains("Tolerance exceeded in error handler"), "{said}");
    // The same person, so that it lies behind the poison.
    append(&cluster, &sink.topic, &key, Some(row));

    let letters = format!("{}connect-dlq", cluster.prefix());
    sink.config.extend(configuration("dead-letters.json"));
    for (key, value) in [("name", letters.as_str()), ("replication.factor", "1")] {
        let key = format!("errors.deadletterqueue.topic.{key}");
        assert!(sink.config.insert(key, json!(value)).is_some());
    }
    sink.put();
    until_status(sink.table(), 1, "active");

    let letters = records(&cluster, &letters);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].key.as_deref(), Some(key.as_bytes()));
    assert_eq!(letters[0].value.as_deref(), Some(&b"no schema, no record"[..]));
    let header = |name: &str| letters[0].headers.get_text(&format!("__connect.errors.{name}"));
    assert_eq!(header("topic"), Some(&*sink.topic));
    assert_eq!(header("offset"), Some("0"));
    assert_eq!(header("stage"), Some("VALUE_CONVERTER"));
    let partition = partition_of(key.as_bytes(), PARTITIONS).to_string();
    assert_eq!(header("partition"), Some(&*partition));
}

#[test]
fn nothing_is_lost_while_the_database_is_away() {
    let cluster = cluster("away");
    let codecs = codecs(&cluster);
    let url = reqwest::Url::parse(&stack::postgres()).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let proxy = Proxy::start(&server);
    let through = format!("jdbc:postgresql://{}{}", proxy.address(), url.path());
    let sink =
        Sink::of(&cluster, "registrations-postgres.json").with("connection.url", &through).start();
    append_row(&cluster, &sink.topic, &row_of(&codecs, 1, RegistrationStatus::Active));
    until_status(sink.table(), 1, "active");

    proxy.cut();
    append_row(&cluster, &sink.topic, &row_of(&codecs, 1, RegistrationStatus::Canceled));
    sink.until("FAILED");
    append_row(&cluster, &sink.topic, &row_of(&codecs, 2, RegistrationStatus::Active));
    assert_eq!(statuses(sink.table()), [(user(1), "active".to_owned())].into());
    proxy.mend();
    sink.restart();
    until_status(sink.table(), 1, "canceled");
    until_status(sink.table(), 2, "active");
}

#[test]
fn a_file_gets_a_line_for_each_row() {
    let cluster = cluster("lines");
    let codecs = codecs(&cluster);
    let sink = Sink::of(&cluster, "registrations-file.json").start();
    append_row(&cluster, &sink.topic, &row_of(&codecs, 1, RegistrationStatus::Waitlisted));
    let path = Path::new(&stack::connect_folder()).join(format!("{}.txt", sink.own));
    let text = poll_for(|| std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n')));
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains(&format!("user_id={},status=waitlisted,", user(1))), "{text}");
    std::fs::remove_file(path).unwrap();
}
