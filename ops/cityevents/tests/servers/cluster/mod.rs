//! A cluster of one test's own on the shared broker: topics under a prefix that nobody else has,
//! commands in them, and `run --role registration` as a child process.

mod kafka;
mod process;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command as Asked, CommandKind};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_runtime::log::kafka::{KafkaLog, KafkaMetrics, KafkaOptions};
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Log, Outgoing, TopicPartition};
use cityevents_schemas::message::encode_command;
use serde_json::Value;
use tempfile::TempDir;

pub use self::kafka::Kafka;
pub use self::process::Process;
use crate::command_line::{self, PATIENT, Said};
use crate::stack;

/// Partitions of the commands, and of the rows.
pub const PARTITIONS: u32 = 2;
/// Longest wait for others to do what they do in a second.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks where nothing tells that something happened.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A cluster as its operator sees it.
pub struct Cluster {
    brokers: String,
    prefix: String,
    settings: Vec<(&'static str, String)>,
    data: TempDir,
    /// The event that all commands are about; nobody made it.
    pub event: EventId,
    /// The broker past the program.
    pub kafka: Kafka,
}

impl Cluster {
    /// On the shared broker, without topics.
    pub fn new(name: &str) -> Self {
        Self::at(&stack::kafka(), name)
    }

    /// On a broker at an address.
    pub fn at(brokers: &str, name: &str) -> Self {
        let prefix = stack::unique_prefix(name);
        Self {
            brokers: brokers.to_owned(),
            settings: Vec::new(),
            data: tempfile::tempdir().unwrap(),
            event: EventId::from_bytes([0xe1; 16]),
            kafka: Kafka::new(brokers, &prefix),
            prefix,
        }
    }

    /// On the shared broker, with the topics of the catalogue.
    pub fn with_topics(name: &str) -> Self {
        let cluster = Self::new(name);
        cluster.run(&["topics", "create"]).good();
        cluster
    }

    /// With a setting more, by the name of its environment variable.
    pub fn setting(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// What a setting is, by the name of its environment variable.
    pub fn setting_of(&self, name: &str) -> &str {
        let set = self.settings.iter().rev().find(|(known, _)| *known == name);
        set.map(|(_, value)| &**value).unwrap()
    }

    /// Of all topics.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The program with the settings of this cluster.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command_line::command();
        command
            .args(arguments)
            .env("CITYEVENTS__DATA__DIR", self.data.path())
            .env("CITYEVENTS__KAFKA__BROKERS", &self.brokers)
            .env("CITYEVENTS__KAFKA__REPLICATION", "1")
            .env("CITYEVENTS__KAFKA__MIN_INSYNC", "1")
            .env("CITYEVENTS__SCYLLA__NODES", "127.0.0.1:1")
            .env("CITYEVENTS__LOG__PREFIX", &self.prefix)
            .env("CITYEVENTS__MAIL__ALLOW_FOLDER", "true")
            .env("CITYEVENTS__LOG__PARTITIONS", PARTITIONS.to_string())
            .envs(PATIENT)
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command line to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[])
    }

    /// Runs a command line with other settings to its end.
    pub fn run_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Said {
        let mut command = self.command(arguments);
        let child = command.envs(settings.iter().copied()).spawn().unwrap();
        let pid = child.id().to_string();
        let (told, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(child.wait_with_output()));
        ended.recv_timeout(DEADLINE).map_or_else(
            |_| {
                let _gone = Command::new("kill").args(["-KILL", &pid]).status();
                let output = ended.recv().unwrap().unwrap();
                panic!("{arguments:?} does not end: {:?}", command_line::said(output))
            },
            |output| command_line::said(output.unwrap()),
        )
    }

    /// The topic of the commands.
    pub fn commands(&self) -> String {
        format!("{}event-commands", self.prefix)
    }

    /// The topic of the facts.
    pub fn facts(&self) -> String {
        format!("{}event-facts", self.prefix)
    }

    /// Where all commands go.
    pub fn partition(&self) -> u32 {
        partition_of(self.event.to_string().as_bytes(), PARTITIONS)
    }

    /// Different people ask for a place at an event that nobody made.
    pub fn send_joins(&self, count: usize) {
        self.send((0..count).map(|_| self.join()).collect());
    }

    /// The log that the program has.
    pub fn log(&self) -> Arc<dyn Log> {
        let options =
            KafkaOptions { replication: 1, min_insync: 1, ..KafkaOptions::new(&*self.brokers) };
        KafkaLog::connect(options, KafkaMetrics::unregistered()).unwrap()
    }

    /// Appends commands.
    pub fn send(&self, commands: Vec<Outgoing>) {
        self.append(&TopicPartition::new(self.commands(), self.partition()), commands);
    }

    /// Appends records, wherever.
    pub fn append(&self, place: &TopicPartition, records: Vec<Outgoing>) {
        let mut producer = self.log().producer("test").unwrap();
        producer.append(place, records).unwrap();
        let mut deliveries = Vec::new();
        while producer.in_flight() > 0 {
            producer.poll(DEADLINE, &mut deliveries).unwrap();
        }
        assert!(deliveries.iter().all(|delivery| delivery.result.is_ok()), "{deliveries:?}");
    }

    fn join(&self) -> Outgoing {
        let user = UserId::from_bytes(
            uuid::Builder::from_random_bytes(rand::random()).into_uuid().into_bytes(),
        );
        let command = Asked {
            id: CommandId::derive(&user, "POST", "/join", "once"),
            digest: 0,
            event: self.event,
            actor: Actor::Person { user, role: Role::User },
            kind: CommandKind::Join,
        };
        let mut value = Vec::new();
        encode_command(&command, &mut value);
        let key = self.event.to_string().into_bytes();
        Outgoing { key: Some(key.into()), value: Some(value.into()), ..Outgoing::default() }
    }

    /// The row of a group in the partition of the commands, whatever the verdict on all of them is.
    pub fn lag_of(&self, group: &str) -> Value {
        let said = self.run(&["lag", "--output", "json"]);
        let answer: Value =
            serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        let group = format!("{}{group}", self.prefix);
        let rows = answer["rows"].as_array().unwrap().clone();
        let row = rows
            .into_iter()
            .find(|row| row["group"] == group && row["partition"] == self.partition());
        row.unwrap_or_else(|| panic!("no row of {group} in {answer}"))
    }
}

/// Looks until there is something.
#[track_caller]
pub fn poll_for<T>(look: impl FnMut() -> Option<T>) -> T {
    look_for(look).expect("waited in vain")
}

/// Looks until there is something, or for so long that nothing will come.
pub fn look_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    None
}
