//! The sinks of `ops/connect` on a real worker: what is in the tables is what the facts say, and a
//! record that cannot be read or a database that is away costs nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields};
use cityevents_domain::fact::Change;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::{Registration, RegistrationStatus};
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Isolation, Outgoing, PollLimit, Record as LogRecord, TopicPartition,
};
use cityevents_schemas::{Codecs, HEADER_BYTES, Record, topic};
use postgres::{Client, NoTls};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, PARTITIONS, Process, poll_for};
use crate::proxy::Proxy;
use crate::{registry, stack};

const PATIENCE: Duration = Duration::from_secs(30);

/// A ready configuration.
fn configuration(file: &str) -> Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connect").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A connector with one of the ready configurations, in which only names are changed, since topics
/// and tables of a test are its own. It goes when this is dropped.
struct Sink {
    name: String,
    topic: String,
    /// For names of tables and files.
    own: String,
    config: Map<String, Value>,
}

impl Sink {
    fn of(cluster: &Cluster, file: &str) -> Self {
        let mut config = configuration(file);
        let topic = format!("{}{}", cluster.prefix(), config["topics"].as_str().unwrap());
        let own = cluster.prefix().replace(['-', '.'], "_");
        config.insert("topics".into(), json!(topic));
        if let Some(table) = config.get_mut("collection.name.format") {
            *table = json!(format!("{own}{}", table.as_str().unwrap()));
        }
        if let Some(path) = config.get_mut("file") {
            *path = json!(path.as_str().unwrap().replace("/registrations", &format!("/{own}")));
        }
        Self { name: topic.clone(), topic, own, config }
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.into(), json!(value));
        self
    }

    /// Gives the configuration to the worker, and waits until the connector works with it.
    fn start(self) -> Self {
        self.put();
        self.until("RUNNING");
        self
    }

    fn put(&self) {
        let config = Value::Object(self.config.clone());
        self.ask(Method::PUT, "/config", Some(&config));
    }

    fn table(&self) -> &str {
        self.config["collection.name.format"].as_str().unwrap()
    }

    /// Waits until all tasks are in this state; what they say.
    fn until(&self, state: &str) -> String {
        poll_for(|| {
            let status = self.ask(Method::GET, "/status", None);
            let tasks = status["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
            let is_there = |task: &Value| task["state"] == state;
            let enough = match state {
                "RUNNING" => !tasks.is_empty() && tasks.iter().all(is_there),
                _ => tasks.iter().any(is_there),
            };
            enough.then(|| status.to_string())
        })
    }

    /// What an operator does with tasks that failed.
    fn restart(&self) {
        self.ask(Method::POST, "/restart?includeTasks=true&onlyFailed=true", None);
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}/connectors/{}{path}", stack::connect(), self.name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut request = reqwest::Client::new().request(method, url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = runtime.block_on(async {
            let answer = request.send().await.unwrap();
            assert!(!answer.status().is_server_error(), "{:?}", answer.text().await);
            answer.text().await.unwrap()
        });
        serde_json::from_str(&answer).unwrap_or_default()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.ask(Method::DELETE, "", None);
        if self.config.contains_key("connection.url") {
            let drop = format!("DROP TABLE IF EXISTS {}", self.table());
            let _stays = database().batch_execute(&drop);
        }
    }
}

fn database() -> Client {
    Client::connect(&stack::postgres(), NoTls).unwrap()
}

/// What a query says, a JSON value a row; nothing while there is no table.
fn rows(query: &str) -> Vec<Value> {
    let text = format!("SELECT to_json(asked)::text FROM ({query}) AS asked");
    let rows = database().query(&text, &[]).unwrap_or_default();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}

/// Topics with the schemas of this program in the registry.
fn cluster(name: &str) -> Cluster {
    let cluster = Cluster::new(name).setting("CITYEVENTS__REGISTRY__URL", stack::registry());
    cluster.run(&["topics", "create"]).good();
    cluster
}

fn codecs(cluster: &Cluster) -> Codecs {
    let ids = registry::connect(&registry::options(cluster.prefix())).unwrap();
    Codecs::new(Arc::new(ids)).unwrap()
}

/// All records of a topic.
fn records(cluster: &Cluster, topic: &str) -> Vec<LogRecord> {
    let log = cluster.log();
    let mut all = Vec::new();
    for partition in 0..log.describe(topic).unwrap().spec.partitions {
        let place = TopicPartition::new(topic.to_owned(), partition);
        let high = log.watermarks(&place).unwrap().high;
        let mut reader = log.reader(&place, 0, Isolation::Uncommitted).unwrap();
        while reader.position() < high {
            let limit = PollLimit { records: 1_000, bytes: 1 << 20 };
            reader.poll(limit, Duration::from_secs(1), &mut all).unwrap();
        }
    }
    all
}

const ORGANISER: [u8; 16] = [0xaa; 16];

fn command(number: u8, event: EventId, user: [u8; 16], kind: CommandKind) -> Command {
    Command {
        id: CommandId::from_bytes([number; 16]),
        digest: 0,
        event,
        actor: Actor::Person { user: UserId::from_bytes(user), role: Role::User },
        kind,
    }
}

/// Two places, five people, one of whom leaves: places, a line, and a row that changed.
fn an_event(now_ms: i64) -> (EventId, Vec<Command>) {
    let event = EventId::of_create(&CommandId::from_bytes([1; 16]));
    let fields = EventFields {
        title: "Night of the museums".into(),
        description: "All museums, one night.".into(),
        city: "Springfield".into(),
        category: "culture".into(),
        location: String::new(),
        start_time: Timestamp::from_millis(now_ms + 86_400_000),
        end_time: Timestamp::from_millis(now_ms + 2 * 86_400_000),
        capacity: Capacity::Limited(2),
        waitlist_limit: None,
        opens_at: None,
        cover_image_ids: Vec::new(),
    };
    let mut commands = vec![
        command(1, event, ORGANISER, CommandKind::Create(Box::new(fields))),
        command(2, event, ORGANISER, CommandKind::Publish),
    ];
    commands.extend((3..8).map(|number| command(number, event, [number; 16], CommandKind::Join)));
    commands.push(command(8, event, [3; 16], CommandKind::Leave));
    (event, commands)
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// Both tables as the facts have them: the last row of each key.
fn fold(cluster: &Cluster, codecs: &Codecs) -> (Vec<Value>, Vec<Value>) {
    let (mut events, mut registrations) = (BTreeMap::new(), BTreeMap::new());
    for record in records(cluster, &cluster.facts()) {
        let link = codecs.decode_link(&record.value.unwrap()).unwrap();
        let Some(fact) = link.fact else { continue };
        for change in fact.changes {
            match change {
                Change::Event { event, .. } => {
                    let fields = &event.fields;
                    let row = json!({
                        "event_id": event.id.to_string(),
                        "owner_id": event.owner.to_string(),
                        "title": fields.title,
                        "capacity": fields.capacity.to_wire(),
                        "waitlist_limit": fields.waitlist_limit,
                        "start_ms": fields.start_time.as_millis(),
                        "opens_ms": null,
                        "status": event.status.as_str(),
                        "version": event.version,
                    });
                    events.insert(event.id, row);
                }
                Change::Registration { registration, .. } => {
                    let key = format!("{}:{}", fact.event, registration.user);
                    let row = json!({
                        "registration": key,
                        "event_id": fact.event.to_string(),
                        "user_id": registration.user.to_string(),
                        "status": registration.status.as_str(),
                        "joined_ms": registration.joined_at.as_millis(),
                        "updated_ms": registration.updated_at.as_millis(),
                        "ticket": registration.ticket,
                        "checked_in_ms": registration.checked_in_at.map(Timestamp::as_millis),
                    });
                    registrations.insert(key, row);
                }
                Change::Banned(_) | Change::Unbanned { .. } | Change::Message { .. } => {}
            }
        }
    }
    (events.into_values().collect(), registrations.into_values().collect())
}

fn millis(column: &str) -> String {
    format!("(extract(epoch FROM {column}) * 1000)::bigint")
}

fn events_in(table: &str) -> Vec<Value> {
    rows(&format!(
        "SELECT event_id, owner_id, title, capacity, waitlist_limit, {} AS start_ms, \
         {} AS opens_ms, status, version FROM {table} ORDER BY event_id",
        millis("start_time"),
        millis("opens_at"),
    ))
}

fn registrations_in(table: &str) -> Vec<Value> {
    rows(&format!(
        "SELECT registration, event_id, user_id, status, {} AS joined_ms, {} AS updated_ms, \
         ticket, {} AS checked_in_ms FROM {table} ORDER BY registration",
        millis("joined_at"),
        millis("updated_at"),
        millis("checked_in_at"),
    ))
}

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
