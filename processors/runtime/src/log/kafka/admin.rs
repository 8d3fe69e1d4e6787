//! Topics: described, made, measured.
//!
//! A topic's id tells it from another one that was made later under the same name. librdkafka
//! knows the ids and its bindings do not hand them out; it names them in the log line that it
//! writes when it learns one, so a client of its own is told to write such lines, and they are
//! read here. This works over TLS and SASL like everything else; when the line does not come,
//! describing a topic fails rather than to go on without an id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use parking_lot::Mutex;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::groups::GroupMemberInfo;
use rdkafka::statistics::Statistics;

use super::assignment;
use super::client::{Core, Plain};
use super::errors::{failed, with_code};
use super::metrics::KafkaMetrics;
use super::options::KafkaOptions;
use super::specs;
use crate::log::{
    Copies, GroupMember, LogError, LogErrorKind, TopicDescription, TopicPartition, TopicSpec,
    Watermarks,
};

/// How long one look for a new topic's leaders waits for the next.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);
/// How long brokers have to hear of a new topic, beyond which they may not be allowed to tell.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// How long the first contact waits before it looks whether it was refused.
const CONTACT_SLICE: Duration = Duration::from_millis(500);

/// Clients that ask for topics and make them.
pub(super) struct Clients {
    client: BaseConsumer<IdListener>,
    admin: AdminClient<Plain>,
    /// Held from a question to the end of its log lines.
    asking: Mutex<()>,
    timeout: Duration,
}

impl Clients {
    pub(super) fn new(options: &KafkaOptions, metrics: &KafkaMetrics) -> Result<Self, LogError> {
        let listener = IdListener::new(metrics);
        let client = options
            .describer()
            .create_with_context(listener)
            .map_err(|error| failed("making a Kafka client", &error))?;
        let mut config = options.describer();
        // Nobody reads this client's events.
        config.remove("debug").set("statistics.interval.ms", "0");
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let admin = config
            .create_with_context(Plain::new("admin", metrics))
            .map_err(|error| failed("making a Kafka client", &error))?;
        Ok(Self { client, admin, asking: Mutex::default(), timeout: options.request_timeout })
    }

    pub(super) fn contact(&self, options: &KafkaOptions) -> Result<String, LogError> {
        let started = Instant::now();
        loop {
            let left = self.timeout.saturating_sub(started.elapsed());
            let id = self.client.client().fetch_cluster_id(left.min(CONTACT_SLICE));
            self.drain();
            if let Some(id) = id {
                return Ok(id);
            }
            let complaints = self.client.context().core.complaints();
            if left.is_zero() || complaints.iter().any(|(code, _)| is_refusal(*code)) {
                return Err(no_contact(options, &complaints));
            }
        }
    }

    pub(super) fn all(&self) -> Result<Vec<TopicDescription>, LogError> {
        let metadata = self
            .client
            .fetch_metadata(None, self.timeout)
            .map_err(|error| failed("listing the topics", &error))?;
        let mut names: Vec<_> = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none() && !topic.name().starts_with("__"))
            .map(|topic| topic.name().to_owned())
            .collect();
        names.sort_unstable();
        let mut described = Vec::with_capacity(names.len());
        for (name, config) in names.iter().zip(self.configs(&names)?) {
            // Topics may go while they are listed.
            let found = config.and_then(|config| self.describe_with(name, &config));
            match found {
                Ok(found) => described.push(found),
                Err(error) if error.kind() == LogErrorKind::UnknownTopic => {}
                Err(error) => return Err(error),
            }
        }
        Ok(described)
    }

    pub(super) fn describe(&self, name: &str) -> Result<TopicDescription, LogError> {
        self.partitions(name)?;
        let missing = || LogError::new(LogErrorKind::UnknownTopic, format!("no topic {name}"));
        let config = self.configs(&[name.to_owned()])?.pop().ok_or_else(missing)??;
        self.describe_with(name, &config)
    }

    pub(super) fn copies(&self, name: &str) -> Result<Copies, LogError> {
        let doing = format!("describing topic {name}");
        let metadata = self
            .client
            .fetch_metadata(Some(name), self.timeout)
            .map_err(|error| failed(&doing, &error))?;
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        let replication = partitions.iter().map(|partition| partition.replicas().len()).min();
        let missing = || LogError::new(LogErrorKind::UnknownTopic, format!("no topic {name}"));
        let replication = replication.ok_or_else(missing)?;
        let config = self.configs(&[name.to_owned()])?.pop().ok_or_else(missing)??;
        Ok(Copies {
            replication: u32::try_from(replication).unwrap_or(u32::MAX),
            min_insync: specs::min_insync(name, &config)?,
        })
    }

    pub(super) fn partitions(&self, name: &str) -> Result<u32, LogError> {
        self.look_up(name).map(|(partitions, _)| partitions)
    }

    pub(super) fn check(&self, partition: &TopicPartition) -> Result<(), LogError> {
        let count = self.partitions(&partition.topic)?;
        if partition.partition < count {
            return Ok(());
        }
        Err(LogError::new(
            LogErrorKind::UnknownTopic,
            format!("there is no partition {partition}: the topic has {count}"),
        ))
    }

    pub(super) fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        let number = partition.partition.cast_signed();
        let found = self.client.fetch_watermarks(&partition.topic, number, self.timeout);
        let (low, high) = match found {
            Ok(found) => found,
            Err(error) => {
                // The client's own word for what it has not heard of lately.
                let is_unknown = matches!(
                    error.rdkafka_error_code(),
                    Some(Code::UnknownPartition | Code::UnknownTopic)
                );
                let doing = format!("asking for the watermarks of {partition}");
                if is_unknown {
                    self.check(partition)?;
                    let message = format!("{doing} failed: its leader is not known yet");
                    return Err(LogError::new(LogErrorKind::Unavailable, message));
                }
                return Err(failed(&doing, &error));
            }
        };
        Ok(Watermarks { low: low.max(0).cast_unsigned(), high: high.max(0).cast_unsigned() })
    }

    /// Groups of the broker's own protocol (KIP-848) are not told of in the old way of asking.
    pub(super) fn members(&self, group: &str) -> Result<Option<Vec<GroupMember>>, LogError> {
        let found = self.client.client().fetch_group_list(Some(group), self.timeout);
        let found = found.map_err(|error| failed(&format!("asking for group {group}"), &error))?;
        let known = found.groups().iter().find(|known| known.name() == group);
        let Some(known) = known else { return Ok(None) };
        let is_told = ["Empty", "Stable", "PreparingRebalance", "CompletingRebalance"];
        if !is_told.contains(&known.state()) {
            return Ok(None);
        }
        let member = |member: &GroupMemberInfo| GroupMember {
            name: assignment::name_of(member.id()).to_owned(),
            // Nobody holds anything in the middle of a rebalance.
            partitions: assignment::partitions(member.assignment().unwrap_or_default())
                .unwrap_or_default(),
        };
        Ok(Some(known.members().iter().map(member).collect()))
    }

    pub(super) fn make(
        &self,
        spec: &TopicSpec,
        options: &KafkaOptions,
    ) -> Result<TopicDescription, LogError> {
        let doing = format!("making topic {}", spec.name);
        let config = specs::to_config(spec, options);
        let partitions = i32::try_from(spec.partitions).map_err(|_| {
            LogError::new(LogErrorKind::Configuration, format!("{doing}: too many partitions"))
        })?;
        let copies = TopicReplication::Fixed(i32::from(options.replication));
        let mut topic = NewTopic::new(&spec.name, partitions, copies);
        for (name, value) in &config {
            topic = topic.set(name, value);
        }
        let admin_options = AdminOptions::new()
            .request_timeout(Some(self.timeout))
            .operation_timeout(Some(self.timeout));
        let results = block_on(self.admin.create_topics([&topic], &admin_options))
            .map_err(|error| failed(&doing, &error))?;
        for result in results {
            result.map_err(|(_, code)| self.not_made(&doing, code, options))?;
        }
        self.wait_for_leaders(&spec.name, &doing)?;
        self.describe_new(&spec.name)
    }

    /// Describes a topic that was just made: whichever broker is asked may not have heard of it yet.
    fn describe_new(&self, name: &str) -> Result<TopicDescription, LogError> {
        let started = Instant::now();
        loop {
            match self.describe(name) {
                Err(error)
                    if error.kind() == LogErrorKind::UnknownTopic
                        && started.elapsed() < self.timeout =>
                {
                    std::thread::park_timeout(LOOK_AGAIN_AFTER);
                }
                described => return described,
            }
        }
    }

    /// Takes what the clients have to tell.
    pub(super) fn drain(&self) {
        let heard = &self.client.context().heard;
        loop {
            let before = heard.load(Ordering::Relaxed);
            // Errors are kept by the context.
            let _error = self.client.poll(Duration::ZERO);
            if heard.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }

    fn not_made(&self, doing: &str, code: Code, options: &KafkaOptions) -> LogError {
        let brokers = || Some(self.client.fetch_metadata(None, self.timeout).ok()?.brokers().len());
        if code == Code::InvalidReplicationFactor
            && let Some(brokers) = brokers()
        {
            let message = format!(
                "{doing} failed: kafka.replication is {}, and the cluster has {brokers} brokers: \
                 set kafka.replication and kafka.min_insync to what it can keep, or add brokers",
                options.replication
            );
            return LogError::new(LogErrorKind::Configuration, message);
        }
        if matches!(code, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) {
            let message = format!(
                "{doing} failed: {code}: give this user the right to create topics (kafka-acls \
                 --add --operation Create --operation DescribeConfigs --topic NAME), or let \
                 somebody who has it run `cityevents topics create`"
            );
            return LogError::new(LogErrorKind::NotAuthorized, message);
        }
        with_code(doing, code)
    }

    /// Until then appends and reads of a new topic are refused here and there.
    fn wait_for_leaders(&self, name: &str, doing: &str) -> Result<(), LogError> {
        let started = Instant::now();
        while started.elapsed() < self.timeout {
            let metadata = self.client.fetch_metadata(Some(name), self.timeout);
            if let Ok(metadata) = metadata
                && let [topic] = metadata.topics()
                && topic.error().is_none()
                && topic.partitions().iter().all(|partition| partition.leader() >= 0)
            {
                return Ok(());
            }
            std::thread::park_timeout(LOOK_AGAIN_AFTER);
        }
        Err(LogError::new(LogErrorKind::TimedOut, format!("{doing} failed: it has no leaders yet")))
    }

    fn describe_with(
        &self,
        name: &str,
        config: &ConfigResource,
    ) -> Result<TopicDescription, LogError> {
        let (partitions, id) = self.look_up(name)?;
        let id = id.ok_or_else(|| {
            LogError::new(
                LogErrorKind::Configuration,
                format!(
                    "the id of topic {name} is not told: the brokers must be Kafka 2.8 or newer"
                ),
            )
        })?;
        Ok(TopicDescription { id, spec: specs::from_config(name, partitions, config)? })
    }

    /// Partition count and id of a topic.
    fn look_up(&self, name: &str) -> Result<(u32, Option<String>), LogError> {
        let doing = || format!("describing topic {name}");
        let _asking = self.asking.lock();
        let metadata = self
            .client
            .fetch_metadata(Some(name), self.timeout)
            .map_err(|error| failed(&doing(), &error))?;
        self.drain();
        let topic = metadata.topics().first();
        let count = topic.map_or(0, |topic| topic.partitions().len());
        match topic.and_then(|topic| topic.error()).map(Code::from) {
            None if count > 0 => {}
            None | Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                let message = format!("there is no topic {name}: make it with `cityevents topics`");
                return Err(LogError::new(LogErrorKind::UnknownTopic, message));
            }
            Some(code) => return Err(with_code(&doing(), code)),
        }
        let id = self.client.context().ids.lock().get(name).cloned();
        Ok((u32::try_from(count).unwrap_or(u32::MAX), id))
    }

    fn configs(&self, names: &[String]) -> Result<Vec<Result<ConfigResource, LogError>>, LogError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let started = Instant::now();
        let results = loop {
            let results = self.configs_once(names)?;
            // A broker that has not heard of a new topic yet tells nothing of it.
            let is_told = |config: &ConfigResource| !config.entries.is_empty();
            let are_told = results.iter().flatten().all(is_told);
            if are_told || started.elapsed() >= self.timeout.min(TOLD_WITHIN) {
                break results;
            }
            std::thread::park_timeout(LOOK_AGAIN_AFTER);
        };
        let doing = |name: &str| format!("describing topic {name}");
        let named = results.into_iter().zip(names);
        Ok(named
            .map(|(result, name)| result.map_err(|code| with_code(&doing(name), code)))
            .collect())
    }

    fn configs_once(
        &self,
        names: &[String],
    ) -> Result<Vec<Result<ConfigResource, Code>>, LogError> {
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let admin_options = AdminOptions::new().request_timeout(Some(self.timeout));
        let first = names.first().map_or("", String::as_str);
        block_on(self.admin.describe_configs(&resources, &admin_options))
            .map_err(|error| failed(&format!("describing topic {first}"), &error))
    }
}

const fn is_refusal(code: Code) -> bool {
    matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL)
}

/// Why there is no talking to a cluster, by what its client complained of.
fn no_contact(options: &KafkaOptions, complaints: &[(Code, String)]) -> LogError {
    let brokers = &options.brokers;
    let of = |wanted: &[Code]| complaints.iter().rev().find(|(code, _)| wanted.contains(code));
    if let Some((_, reason)) = of(&[Code::Authentication, Code::SaslAuthenticationFailed]) {
        let message = format!(
            "Kafka at {brokers} refuses the credentials: {reason}. Check sasl.mechanism, \
             sasl.username and sasl.password in kafka.properties"
        );
        return LogError::new(LogErrorKind::NotAuthorized, message);
    }
    if let Some((_, reason)) = of(&[Code::SSL]) {
        let message = format!(
            "no TLS connection to Kafka at {brokers}: {reason}. Check that the certificates are \
             valid today and that ssl.ca.location in kafka.properties names who signed them"
        );
        return LogError::new(LogErrorKind::Configuration, message);
    }
    let reason = of(&[Code::Resolve, Code::BrokerTransportFailure, Code::AllBrokersDown])
        .or(complaints.last())
        .map_or_else(|| "no answer".to_owned(), |(_, reason)| reason.clone());
    let message = format!(
        "no Kafka broker answers at {brokers}: {reason}. Check kafka.brokers and that the broker \
         runs; one that wants TLS or SASL needs security.protocol in kafka.properties"
    );
    LogError::new(LogErrorKind::Unavailable, message)
}

/// The context of the client that learns ids.
struct IdListener {
    core: Core,
    ids: Mutex<HashMap<String, String>>,
    /// Counts events, to know when there are none left.
    heard: AtomicU64,
}

impl IdListener {
    fn new(metrics: &KafkaMetrics) -> Self {
        let core = Core::new("topics", metrics);
        Self { core, ids: Mutex::default(), heard: AtomicU64::new(0) }
    }
}

impl ClientContext for IdListener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        if !matches!(level, RDKafkaLogLevel::Debug) {
            self.core.on_log(level, facility, message);
        } else if let Some((name, id)) = topic_id(message) {
            self.ids.lock().insert(name.to_owned(), id.replace('+', "-").replace('/', "_"));
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.core.on_statistics(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.core.on_error(&error, reason);
    }
}

impl ConsumerContext for IdListener {}

/// Topic and id, as Kafka's own tools write it but for two characters, out of "… Topic NAME changed id from ID to ID".
fn topic_id(line: &str) -> Option<(&str, &str)> {
    let (before, ids) = line.split_once(" changed id from ")?;
    let (_, name) = before.rsplit_once("Topic ")?;
    let (_, id) = ids.split_once(" to ")?;
    let is_id = |text: &str| {
        text.len() >= 16
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte))
    };
    is_id(id).then_some((name, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_from_its_log_line() {
        let line = "[thrd:main]: Topic my.orders changed id from AAAAAAAAAAAAAAAAAAAAAA to \
                    qc-tuJGhTvCmpN_tTyK0Rw";
        assert_eq!(topic_id(line), Some(("my.orders", "qc-tuJGhTvCmpN_tTyK0Rw")));
        assert_eq!(topic_id("Topic orders partition 3 leader 1"), None);
        assert_eq!(topic_id("Topic orders changed id from A to "), None);
    }

    #[test]
    fn the_reason_of_no_contact_names_the_fix() {
        let options = KafkaOptions::new("kafka:9092");
        let transport = (Code::BrokerTransportFailure, "connection refused".to_owned());
        let refused = (Code::Authentication, "invalid credentials".to_owned());
        let tls = (Code::SSL, "certificate has expired".to_owned());
        let message = |complaints: &[(Code, String)]| no_contact(&options, complaints).to_string();
        assert!(message(std::slice::from_ref(&transport)).contains("Check kafka.brokers"));
        assert!(message(&[transport.clone(), refused]).contains("sasl.password"));
        assert!(message(&[tls, transport]).contains("ssl.ca.location"));
    }
}
