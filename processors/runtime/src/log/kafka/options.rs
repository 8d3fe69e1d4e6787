//! How a Kafka cluster is reached, and what every client of it is told.
//!
//! Properties on which the promises of the log rest are set here and cannot be overridden.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use crate::log::{LogError, LogErrorKind};

/// Longest life of a fenced batch: a stuck one holds up every reader of what is committed.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Room that librdkafka's own bookkeeping of a record may take beside its contents.
pub(super) const RECORD_OVERHEAD_BYTES: usize = 512;
/// How often clients report their figures.
const STATISTICS_EVERY: Duration = Duration::from_secs(3);
/// Bytes that one reader fetches ahead. Many readers share a process, so not much.
const READ_AHEAD_BYTES: usize = 8 << 20;
/// Bytes of one answer to a fetch.
const FETCH_BYTES_MAX: usize = 4 << 20;
/// Time without a call of `poll` after which a member counts as stuck.
const MEMBER_STUCK_AFTER: Duration = Duration::from_secs(60);

/// How a group shares its partitions out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupProtocol {
    /// The members do, each keeping what it can; names are static.
    #[default]
    CooperativeSticky,
    /// The broker does (KIP-848). Needs Kafka 4.0. Names are not static: the broker would shut
    /// out the newer of two members with one name, and the older may be a dead one.
    Consumer,
}

/// How a cluster is reached.
#[derive(Clone)]
pub struct KafkaOptions {
    /// Addresses to begin with, `host:port` with commas between.
    pub brokers: String,
    /// Names this process at the brokers.
    pub client_id: String,
    /// How groups share their partitions out.
    pub group_protocol: GroupProtocol,
    /// Silence after which a member counts as gone. With [`GroupProtocol::Consumer`] the broker's
    /// own setting counts.
    pub session_timeout: Duration,
    /// Longest wait for the answer to one request.
    pub request_timeout: Duration,
    /// Longest wait for the acknowledgement of an append, retries included. Longer than the
    /// election of a new leader, so that the loss of a broker fails nothing.
    pub ack_timeout: Duration,
    /// Copies of every partition of a topic that is made.
    pub replication: u16,
    /// Copies that must have a record before it is acknowledged, for durable topics.
    pub min_insync: u16,
    /// Bytes of one producer that may wait for their acknowledgement.
    pub in_flight_bytes_max: usize,
    /// Properties of librdkafka, as its documentation names them.
    pub properties: BTreeMap<String, String>,
}

impl KafkaOptions {
    /// The usual settings for a cluster of three brokers or more.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: "cityevents".to_owned(),
            group_protocol: GroupProtocol::default(),
            session_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(20),
            replication: 3,
            min_insync: 2,
            in_flight_bytes_max: 32 << 20,
            properties: BTreeMap::new(),
        }
    }

    /// Whether the settings fit together.
    ///
    /// # Errors
    /// [`LogErrorKind::Configuration`], naming the setting and the fix.
    pub fn check(&self) -> Result<(), LogError> {
        let refuse = |message: String| Err(LogError::new(LogErrorKind::Configuration, message));
        if self.brokers.trim().is_empty() {
            return refuse("kafka.brokers is empty: give host:port of at least one broker".into());
        }
        if self.replication == 0 || self.min_insync == 0 || self.min_insync > self.replication {
            return refuse(format!(
                "kafka.min_insync is {} and kafka.replication is {}: it has to lie between 1 and \
                 the replication",
                self.min_insync, self.replication
            ));
        }
        for (name, least) in [
            ("session_timeout", self.session_timeout),
            ("request_timeout", self.request_timeout),
            ("ack_timeout", self.ack_timeout),
        ]
        .map(|(name, value)| (name, value.as_millis()))
        {
            if !(1_000..=300_000).contains(&least) {
                return refuse(format!(
                    "kafka.{name} is {least} ms: it has to lie between 1 s and 5 min"
                ));
            }
        }
        for property in self.properties.keys() {
            if let Some((_, reason)) = FIXED.iter().find(|(fixed, _)| *fixed == property) {
                return refuse(format!(
                    "kafka.properties sets {property}, but {reason}: take it out"
                ));
            }
        }
        Ok(())
    }

    /// What every client is told.
    pub(super) fn client(&self, name: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        let setup_timeout = self.request_timeout.min(Duration::from_secs(5));
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("{}-{name}", self.client_id))
            .set("socket.timeout.ms", millis(self.request_timeout))
            .set("socket.connection.setup.timeout.ms", millis(setup_timeout))
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "500")
            .set("topic.metadata.refresh.fast.interval.ms", "50")
            .set("topic.metadata.refresh.interval.ms", "60000")
            .set("topic.metadata.propagation.max.ms", "2000")
            .set("allow.auto.create.topics", "false")
            .set("log.connection.close", "false")
            .set("statistics.interval.ms", millis(STATISTICS_EVERY))
            .set_log_level(RDKafkaLogLevel::Info);
        if self.properties.contains_key("debug") {
            config.set_log_level(RDKafkaLogLevel::Debug);
        }
        config
    }

    /// A producer that keeps order and writes nothing twice.
    pub(super) fn producer(&self, name: &str) -> ClientConfig {
        let mut config = self.client(name);
        let queued_kbytes = (self.in_flight_bytes_max >> 9).max(64 << 10);
        config
            .set("linger.ms", "0")
            .set("compression.type", "none")
            .set("batch.num.messages", "20000")
            .set("queue.buffering.max.messages", "2000000")
            .set("queue.buffering.max.kbytes", queued_kbytes.to_string())
            .set("sticky.partitioning.linger.ms", "0");
        self.add_properties(&mut config);
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("max.in.flight.requests.per.connection", "5")
            .set("partitioner", "murmur2_random")
            .set("request.timeout.ms", millis(self.request_timeout.min(self.ack_timeout)))
            .set("message.timeout.ms", millis(self.ack_timeout));
        config
    }

    /// The producer of a fenced writer.
    pub(super) fn fenced(&self, identity: &str) -> ClientConfig {
        let mut config = self.producer(identity);
        let message_timeout = self.ack_timeout.min(TRANSACTION_TIMEOUT - Duration::from_secs(2));
        config
            .set("transactional.id", identity)
            .set("transaction.timeout.ms", millis(TRANSACTION_TIMEOUT))
            .set("request.timeout.ms", millis(self.request_timeout.min(message_timeout)))
            .set("message.timeout.ms", millis(message_timeout));
        config
    }

    /// A consumer that reads and never joins. Its group is a name only: nothing is committed.
    pub(super) fn reader(&self, name: &str, isolation: &str) -> ClientConfig {
        let mut config = self.consumer(name, &format!("{}-readers", self.client_id));
        config
            .set("isolation.level", isolation)
            .set("fetch.wait.max.ms", "500")
            .set("fetch.min.bytes", "1");
        self.add_properties(&mut config);
        config
    }

    /// A consumer that asks for a group's progress and never joins it.
    pub(super) fn asker(&self, group: &str) -> ClientConfig {
        let mut config = self.consumer("progress", group);
        self.add_properties(&mut config);
        config.set("isolation.level", "read_committed");
        config
    }

    /// A member of a group that fetches nothing.
    pub(super) fn member(&self, group: &str, name: &str) -> ClientConfig {
        let mut config = self.consumer(name, group);
        self.add_properties(&mut config);
        config.set("max.poll.interval.ms", millis(MEMBER_STUCK_AFTER.max(self.session_timeout)));
        match self.group_protocol {
            GroupProtocol::CooperativeSticky => {
                let heartbeat = (self.session_timeout / 12).min(Duration::from_secs(1));
                config
                    .set("group.protocol", "classic")
                    .set("partition.assignment.strategy", "cooperative-sticky")
                    .set("group.instance.id", name)
                    .set("session.timeout.ms", millis(self.session_timeout))
                    .set("heartbeat.interval.ms", millis(heartbeat));
            }
            GroupProtocol::Consumer => {
                config.set("group.protocol", "consumer");
            }
        }
        config
    }

    /// A client that asks for topics and makes them, told to say their ids.
    pub(super) fn describer(&self) -> ClientConfig {
        let mut config = self.client("topics");
        self.add_properties(&mut config);
        config.set("debug", "metadata").set_log_level(RDKafkaLogLevel::Debug);
        config
    }

    fn consumer(&self, name: &str, group: &str) -> ClientConfig {
        let mut config = self.client(name);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("queued.max.messages.kbytes", (READ_AHEAD_BYTES >> 10).to_string())
            .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
            .set("max.partition.fetch.bytes", FETCH_BYTES_MAX.to_string())
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "50");
        config
    }

    fn add_properties(&self, config: &mut ClientConfig) {
        for (name, value) in &self.properties {
            config.set(name, value);
        }
    }
}

impl fmt::Debug for KafkaOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be passwords.
        let properties: Vec<_> = self.properties.keys().collect();
        formatter
            .debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("group_protocol", &self.group_protocol)
            .field("replication", &self.replication)
            .field("min_insync", &self.min_insync)
            .field("properties", &properties)
            .finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

const ORDER: &str = "order and acknowledgement of what is appended rest on it";
const READING: &str = "that no record is skipped unseen rests on it";
const PROGRESS: &str = "the program itself says what was read";
const SETTING: &str = "it follows from the settings of [kafka]";

/// Properties that are not to be overridden, and why.
const FIXED: &[(&str, &str)] = &[
    ("acks", ORDER),
    ("request.required.acks", ORDER),
    ("enable.idempotence", ORDER),
    ("enable.gapless.guarantee", ORDER),
    ("max.in.flight", ORDER),
    ("max.in.flight.requests.per.connection", ORDER),
    ("retries", ORDER),
    ("message.send.max.retries", ORDER),
    ("queuing.strategy", ORDER),
    ("partitioner", "other programs have to find the same partition for a key"),
    ("auto.offset.reset", READING),
    ("isolation.level", READING),
    ("enable.partition.eof", READING),
    ("check.crcs", READING),
    ("enable.auto.commit", PROGRESS),
    ("auto.commit.enable", PROGRESS),
    ("auto.commit.interval.ms", PROGRESS),
    ("enable.auto.offset.store", PROGRESS),
    ("offset.store.method", PROGRESS),
    ("bootstrap.servers", "the addresses are kafka.brokers"),
    ("metadata.broker.list", "the addresses are kafka.brokers"),
    ("client.id", SETTING),
    ("group.id", SETTING),
    ("group.instance.id", SETTING),
    ("group.protocol", "it is kafka.group_protocol"),
    ("group.remote.assignor", SETTING),
    ("partition.assignment.strategy", "it is kafka.group_protocol"),
    ("session.timeout.ms", "it is kafka.session_timeout"),
    ("heartbeat.interval.ms", "it follows from kafka.session_timeout"),
    ("max.poll.interval.ms", SETTING),
    ("request.timeout.ms", "it is kafka.request_timeout"),
    ("socket.timeout.ms", "it is kafka.request_timeout"),
    ("message.timeout.ms", "it is kafka.ack_timeout"),
    ("delivery.timeout.ms", "it is kafka.ack_timeout"),
    ("transactional.id", "writers are fenced by it"),
    ("transaction.timeout.ms", "readers wait for as long"),
    ("allow.auto.create.topics", "a misspelt topic would be made"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_on_which_promises_rest_are_refused_by_name() {
        for (name, _) in FIXED {
            let mut options = KafkaOptions::new("localhost:9092");
            options.properties.insert((*name).to_owned(), "1".to_owned());
            let refused = options.check().unwrap_err();
            assert_eq!(refused.kind(), LogErrorKind::Configuration);
            assert!(refused.to_string().contains(name), "{refused}");
        }
    }

    #[test]
    fn other_properties_reach_the_clients() {
        let mut options = KafkaOptions::new("localhost:9092");
        options.properties.insert("linger.ms".to_owned(), "7".to_owned());
        options.check().unwrap();
        assert_eq!(options.producer("p").get("linger.ms"), Some("7"));
        assert_eq!(options.fenced("f").get("linger.ms"), Some("7"));
    }

    #[test]
    fn passwords_are_not_shown() {
        let mut options = KafkaOptions::new("localhost:9092");
        options.properties.insert("sasl.password".to_owned(), "secret".to_owned());
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn more_copies_in_sync_than_copies_are_refused() {
        let options = KafkaOptions { replication: 1, ..KafkaOptions::new("localhost:9092") };
        assert!(options.check().unwrap_err().to_string().contains("kafka.min_insync is 2"));
    }

    #[test]
    fn a_fenced_batch_times_out_before_its_transaction() {
        let options = KafkaOptions::new("localhost:9092");
        let config = options.fenced("f");
        let value = |name| config.get(name).unwrap().parse::<u64>().unwrap();
        assert!(value("message.timeout.ms") < value("transaction.timeout.ms"));
    }
}
