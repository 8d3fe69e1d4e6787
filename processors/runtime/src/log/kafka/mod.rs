//! The log on a Kafka cluster, through librdkafka.
//!
//! Nothing here is asynchronous: every producer, reader, member and writer belongs to one thread
//! and blocks it. What the port promises and Kafka does not by itself is done here: a producer
//! that failed once fails for ever, a reader never skips from an offset that is gone, a writer
//! that was shut out writes nothing more.

mod admin;
mod assignment;
mod client;
mod errors;
mod fenced;
mod member;
mod metrics;
mod options;
mod producer;
mod progress;
mod pump;
mod reader;
mod specs;
mod topics;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use self::fenced::KafkaFencedWriter;
use self::member::KafkaMember;
pub use self::metrics::KafkaMetrics;
pub use self::options::{GroupProtocol, KafkaOptions};
use self::producer::KafkaProducer;
use self::progress::Groups;
use self::pump::Pump;
use self::reader::KafkaReader;
use self::topics::Topics;
use super::{
    Committed, Copies, FencedWriter, GroupMember, Isolation, Log, LogError, LogErrorKind, Member,
    Producer, Reader, TopicDescription, TopicPartition, TopicSpec, Watermarks,
};

/// How often clients that are asked now and then hand over what they have to tell.
const KEEP_HOUSE_EVERY: Duration = Duration::from_secs(2);

/// A log on a Kafka cluster.
pub struct KafkaLog {
    inner: Arc<Inner>,
}

struct Inner {
    options: Arc<KafkaOptions>,
    metrics: KafkaMetrics,
    cluster_id: String,
    topics: Topics,
    groups: Groups,
}

impl KafkaLog {
    /// Reaches the cluster.
    ///
    /// # Errors
    /// When settings are wrong, no broker answers, or credentials or certificates are refused; the
    /// message says which and names the fix.
    pub fn connect(options: KafkaOptions, metrics: KafkaMetrics) -> Result<Arc<Self>, LogError> {
        options.check()?;
        let topics = Topics::new(&options, &metrics)?;
        let cluster_id = topics.contact()?;
        let options = Arc::new(options);
        let groups = Groups::new(&options, &metrics);
        let inner = Arc::new(Inner { options, metrics, cluster_id, topics, groups });
        let kept = Arc::downgrade(&inner);
        std::thread::Builder::new()
            .name("kafka-housekeeping".to_owned())
            .spawn(move || keep_house(&kept))
            .map_err(|error| {
                LogError::new(LogErrorKind::Unavailable, format!("no thread can be made: {error}"))
            })?;
        Ok(Arc::new(Self { inner }))
    }

    /// The cluster's own id, given when it was made.
    pub fn cluster_id(&self) -> &str {
        &self.inner.cluster_id
    }
}

/// Clients keep what they have to tell until somebody listens.
fn keep_house(inner: &Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        inner.topics.drain();
        inner.groups.drain();
        drop(inner);
        std::thread::park_timeout(KEEP_HOUSE_EVERY);
    }
}

impl Log for KafkaLog {
    fn topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        self.inner.topics.all()
    }

    fn describe_topic(&self, topic: &str) -> Result<TopicDescription, LogError> {
        self.inner.topics.describe(topic)
    }

    fn create_topic(&self, spec: &TopicSpec) -> Result<TopicDescription, LogError> {
        self.inner.topics.make(spec)
    }

    fn copies(&self, topic: &TopicSpec) -> Result<Option<(Copies, Copies)>, LogError> {
        let is = self.inner.topics.copies(&topic.name)?;
        Ok(Some((is, specs::copies(topic, &self.inner.options))))
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        self.inner.topics.watermarks(partition)
    }

    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        let options = &self.inner.options;
        let pump = Pump::start(&options.producer(name), name, &self.inner.metrics)?;
        Ok(Box::new(KafkaProducer::new(pump, options.in_flight_bytes_max)))
    }

    fn reader(
        &self,
        partition: &TopicPartition,
        offset: u64,
        isolation: Isolation,
    ) -> Result<Box<dyn Reader>, LogError> {
        self.inner.topics.check(partition)?;
        let options = Arc::clone(&self.inner.options);
        let metrics = self.inner.metrics.clone();
        Ok(Box::new(KafkaReader::new(options, metrics, partition.clone(), offset, isolation)))
    }

    fn join(
        &self,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
    ) -> Result<Box<dyn Member>, LogError> {
        let mut counts = BTreeMap::new();
        for topic in topics {
            counts.insert(topic.clone(), self.inner.topics.partitions(topic)?);
        }
        let mut all = counts.values();
        if let Some(first) = all.next()
            && all.any(|count| count != first)
        {
            let message = format!(
                "the topics of group {group} have different partition counts: {counts:?}; make \
                 them with the same number"
            );
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
        let inner = &self.inner;
        let member = KafkaMember::join(&inner.options, &inner.metrics, group, topics, name)?;
        inner.groups.add(group, member.membership());
        Ok(Box::new(member))
    }

    fn committed(
        &self,
        group: &str,
        partition: &TopicPartition,
    ) -> Result<Option<Committed>, LogError> {
        self.inner.groups.committed(group, partition)
    }

    fn members(&self, group: &str) -> Result<Option<Vec<GroupMember>>, LogError> {
        self.inner.topics.members(group)
    }

    fn fenced(&self, identity: &str) -> Result<Box<dyn FencedWriter>, LogError> {
        let inner = Arc::clone(&self.inner);
        let pump = Pump::start(&inner.options.fenced(identity), identity, &inner.metrics)?;
        let membership = move |group: &str, progress: &[(TopicPartition, Committed)]| {
            inner.groups.membership(group, progress)
        };
        Ok(Box::new(KafkaFencedWriter::take(pump, identity, Arc::new(membership))?))
    }
}
