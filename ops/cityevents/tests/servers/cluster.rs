//! A cluster of one test's own on the shared broker: topics under a prefix that nobody else has,
//! commands in them, and `run --role registration` as a child process.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command as Asked, CommandKind};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_runtime::log::kafka::{KafkaLog, KafkaMetrics, KafkaOptions};
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Log, Outgoing, TopicPartition};
use cityevents_schemas::message::encode_command;
use futures::executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use tempfile::TempDir;

use crate::command_line::{self, Said};
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

/// The broker, past the program.
pub struct Kafka {
    admin: AdminClient<DefaultClientContext>,
    prefix: String,
}

impl Kafka {
    fn new(brokers: &str, prefix: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("log_level", "0");
        Self { admin: config.create().unwrap(), prefix: prefix.to_owned() }
    }

    fn options() -> AdminOptions {
        AdminOptions::new().operation_timeout(Some(DEADLINE)).request_timeout(Some(DEADLINE))
    }

    /// Takes a topic away.
    pub fn delete(&self, topic: &str) {
        let deleted = block_on(self.admin.delete_topics(&[topic], &Self::options()));
        deleted.unwrap().remove(0).unwrap();
        poll_for(|| {
            let metadata = self.admin.inner().fetch_metadata(None, DEADLINE).unwrap();
            (!metadata.topics().iter().any(|known| known.name() == topic)).then_some(())
        });
    }

    /// Forgets how far a group has come, once nobody is in it.
    pub fn forget_group(&self, group: &str) {
        let group = format!("{}{group}", self.prefix);
        poll_for(|| {
            let deleted = block_on(self.admin.delete_groups(&[&group], &Self::options()));
            deleted.unwrap().remove(0).is_ok().then_some(())
        });
    }

    /// Makes a topic by hand.
    pub fn create(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            new = new.set(key, value);
        }
        let created = block_on(self.admin.create_topics(&[new], &Self::options()));
        created.unwrap().remove(0).unwrap();
    }

    /// Gives a topic these settings, and the defaults for all others.
    pub fn set(&self, topic: &str, config: &[(&str, &str)]) {
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (key, value) in config {
            altered = altered.set(key, value);
        }
        let done = block_on(self.admin.alter_configs(&[altered], &Self::options()));
        done.unwrap().remove(0).unwrap();
        // It is done when the broker says so too, which may be a little later.
        poll_for(|| {
            let place = [ResourceSpecifier::Topic(topic)];
            let told = block_on(self.admin.describe_configs(&place, &Self::options()));
            let told = told.unwrap().remove(0).unwrap();
            let is_set = |(key, value): &(&str, &str)| {
                let entry = told.get(key).and_then(|entry| entry.value.as_deref());
                entry == Some(*value)
            };
            config.iter().all(is_set).then_some(())
        });
    }

    /// Throws away the records of a partition before an offset, as retention does.
    pub fn expire(&self, topic: &str, partition: u32, before: i64) {
        let mut offsets = TopicPartitionList::new();
        let partition = i32::try_from(partition).unwrap();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        let done = block_on(self.admin.delete_records(&offsets, &Self::options())).unwrap();
        done.elements().iter().for_each(|element| element.error().unwrap());
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let Ok(metadata) = self.admin.inner().fetch_metadata(None, Duration::from_secs(5)) else {
            return;
        };
        let names = metadata.topics().iter().map(|topic| topic.name());
        let ours: Vec<_> = names.filter(|name| name.starts_with(&self.prefix)).collect();
        if !ours.is_empty() {
            // What is left behind disturbs nobody.
            let _left = block_on(self.admin.delete_topics(&ours, &AdminOptions::new()));
        }
    }
}

/// `run --role …`; killed when it is dropped.
pub struct Process<'a> {
    cluster: &'a Cluster,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl<'a> Process<'a> {
    /// Starts it, with one role.
    pub fn start(cluster: &'a Cluster) -> Self {
        Self::start_with(cluster, "registration")
    }

    /// Starts a process with some roles.
    pub fn start_with(cluster: &'a Cluster, roles: &str) -> Self {
        Self::spawn(cluster, roles, None, &[])
    }

    /// Starts a process under a name that it keeps when it is started again.
    pub fn start_named(cluster: &'a Cluster, roles: &str, name: &str) -> Self {
        Self::spawn(cluster, roles, Some(name), &[])
    }

    /// Starts a process under a name, with other settings than the cluster's.
    pub fn start_otherwise(
        cluster: &'a Cluster,
        roles: &str,
        name: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::spawn(cluster, roles, Some(name), settings)
    }

    fn spawn(
        cluster: &'a Cluster,
        roles: &str,
        name: Option<&str>,
        settings: &[(&str, &str)],
    ) -> Self {
        let (ops, http) = (["--ops-listen", "127.0.0.1:0"], ["--listen", "127.0.0.1:0"]);
        let mut command = cluster.command(&["run", "--role", roles]);
        command.args(ops).args(http);
        command.envs(name.map(|name| ("CITYEVENTS__INSTANCE__NAME", name)));
        command.envs(settings.iter().copied());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        follow(child.stdout.take().unwrap(), log.clone());
        follow(child.stderr.take().unwrap(), log.clone());
        Self { cluster, child, log }
    }

    /// Its operations listener.
    #[track_caller]
    pub fn ops(&self) -> SocketAddr {
        self.listener("--ops-listen")
    }

    /// Its public listener, if one of its roles has calls.
    #[track_caller]
    pub fn http(&self) -> SocketAddr {
        self.listener("--listen")
    }

    /// Waits until it says where it listens: it chose its ports itself, so that nobody took them
    /// between the choice and the start.
    #[track_caller]
    fn listener(&self, option: &str) -> SocketAddr {
        let end = format!(" ({option})");
        let found = look_for(|| {
            let log = self.log.lock().unwrap();
            let (_, told) = log.split_once(&end).map(|(before, _)| before.rsplit_once(' '))??;
            Some(told.parse().unwrap())
        });
        found.unwrap_or_else(|| panic!("it says not where it listens: {}", self.log()))
    }

    /// Waits until it works.
    pub fn until_ready(self) -> Self {
        self.wait_for(|said| (said.status == 200).then_some(()));
        self
    }

    /// Waits until readiness is red with a reason that has this in it, and returns what it says.
    pub fn until_not_ready(&self, reason: &str) -> String {
        self.wait_for(|said| {
            (said.status == 503 && said.body.contains(reason)).then(|| said.body.clone())
        })
    }

    /// Waits until so many commands are decided.
    pub fn until_decided(self, commands: u64) -> Self {
        poll_for(|| (self.cluster.lag_of("registration")["committed"] == commands).then_some(()));
        self
    }

    /// Everything that it has said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it as a person would, and sees that it ends well.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = poll_for(|| self.child.try_wait().unwrap());
        assert!(status.success(), "{status}: {}", self.log.lock().unwrap());
    }

    fn wait_for<T>(&self, mut look: impl FnMut(&Probe) -> Option<T>) -> T {
        let ops = self.ops();
        let started = Instant::now();
        loop {
            let said = probe(ops);
            if let Some(found) = said.as_ref().and_then(&mut look) {
                return found;
            }
            let log = || self.log.lock().unwrap().clone();
            assert!(started.elapsed() < DEADLINE, "it says {said:?}, and before that {}", log());
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // Already gone where the test stopped it.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[derive(Debug)]
struct Probe {
    status: u16,
    body: String,
}

/// What `/readyz` says; nothing while nobody listens.
fn probe(ops: SocketAddr) -> Option<Probe> {
    let mut stream = TcpStream::connect(ops).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some(Probe { status, body: body.to_owned() })
}

fn follow(stream: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
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
