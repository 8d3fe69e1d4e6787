//! The log port: topics, partitions, append, fenced batch, poll, group offsets, watermarks.
//!
//! Shaped after Kafka, because a cluster runs on it; the `local` adapter makes the same promises on
//! one machine, the `memory` one breaks them on demand for tests. All calls block and none is
//! called from an async task: workers are threads.
//!
//! What every adapter promises (the contract suite proves it):
//!
//! - Offsets of a partition rise by one from 0 with every appended record; compaction and retention
//!   leave gaps, and never change an offset.
//! - Appends of one producer to one partition keep their order, or fail; after a failed append no
//!   later one of the same producer succeeds (see [`Producer`]).
//! - An acknowledged record of a durable topic survives `kill -9` and loss of power.
//! - With [`TimestampKind::LogAppend`] the log stamps records itself.
//! - *Committed* means the next offset to read, everywhere.

mod below;
pub mod clock;
#[cfg(feature = "testing")]
pub mod contract;
pub mod headers;
pub mod kafka;
pub mod local;
pub mod memory;
pub mod partitioner;
mod single;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::below::poll_below;
pub(crate) use self::below::until_moved;
pub use self::headers::Headers;
pub use self::single::read_one;

/// A partition of a topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's full name, prefix included.
    pub topic: Arc<str>,
    /// Counted from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: u64,
    /// Milliseconds since 1970, by whom the topic's [`TimestampKind`] says.
    pub timestamp_ms: i64,
    /// What it is about.
    pub key: Option<Bytes>,
    /// What it says; `None` is a tombstone in a compacted topic.
    pub value: Option<Bytes>,
    /// Names and values beside it.
    pub headers: Headers,
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outgoing {
    /// What it is about.
    pub key: Option<Bytes>,
    /// What it says; `None` is a tombstone in a compacted topic.
    pub value: Option<Bytes>,
    /// Names and values beside it.
    pub headers: Headers,
    /// Milliseconds since 1970, for topics with [`TimestampKind::Create`]; else unused. `None`: now.
    pub timestamp_ms: Option<i64>,
}

impl Outgoing {
    /// Bytes of key, value and headers: what limits and backpressure count.
    pub fn size_bytes(&self) -> usize {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        length(&self.key) + length(&self.value) + self.headers.as_bytes().len()
    }
}

/// Who stamps records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampKind {
    /// The log, when it appends; monotone in a partition.
    LogAppend,
    /// The producer.
    Create,
}

/// What is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Records older than this; `None` keeps all for ever.
    Delete {
        /// Age at which a record may go.
        retention: Option<Duration>,
    },
    /// All but the last record of each key.
    Compact,
}

/// How a topic is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Full name, prefix included.
    pub name: Arc<str>,
    /// At least 1; fixed for ever.
    pub partitions: u32,
    /// What is thrown away.
    pub cleanup: Cleanup,
    /// Who stamps records.
    pub timestamps: TimestampKind,
    /// Whether an acknowledgement means that the record survives loss of power. Where it is false
    /// (replies, whose loss costs a wait and no promise), the acknowledgement does not wait.
    pub durable: bool,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Given at creation, never again: a topic made anew under the same name has another one.
    pub id: String,
    /// Its settings.
    pub spec: TopicSpec,
}

/// How many copies of its records a topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// On so many brokers.
    pub replication: u32,
    /// So many of them have to have a record before it is acknowledged.
    pub min_insync: u32,
}

/// The first offset still kept, and the one that the next record will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// Low watermark.
    pub low: u64,
    /// High watermark: last offset + 1.
    pub high: u64,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Its name.
    pub name: String,
    /// The partitions that it was assigned: on Kafka those of the first topic that it reads, of which
    /// it holds the same numbers in the others.
    pub partitions: Vec<TopicPartition>,
}

/// A group's progress in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: u64,
    /// At most 4 KiB beside it: the chain's cursor travels here.
    pub metadata: String,
}

/// Whether records of unfinished or aborted fenced batches are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All records. For topics without fenced writers.
    Uncommitted,
    /// Only records that count. For topics with fenced writers.
    Committed,
}

/// What an append came to.
#[derive(Debug)]
pub struct Delivery {
    /// The first ticket that this is about.
    pub first_ticket: u64,
    /// How many tickets in sequence.
    pub count: u64,
    /// On success the offset of the first record (the others follow by one each), or `None` when
    /// the log says that it had them before and does not say where (duplicate sequence).
    pub result: Result<Option<u64>, LogError>,
}

/// Appends records from one thread.
///
/// Each record handed in draws a ticket, counted from 0 for this producer. Deliveries of one
/// partition come in the order of tickets. After a failure the producer is *broken*: everything
/// later fails too, and it must be dropped, since what the log holds is unknown.
pub trait Producer: Send {
    /// Queues records for one partition and returns the ticket of the first. Does not wait for the
    /// log, but may block while too many bytes are in flight.
    ///
    /// # Errors
    /// When the producer is broken, a record is larger than the log takes, or the log refuses
    /// writes (disk full).
    fn append(
        &mut self,
        partition: &TopicPartition,
        records: Vec<Outgoing>,
    ) -> Result<u64, LogError>;

    /// Waits up to `timeout` for at least one delivery and adds all that have come to `out`.
    ///
    /// # Errors
    /// When the log is gone.
    fn poll(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<(), LogError>;

    /// How many records have no delivery yet.
    fn in_flight(&self) -> u64;
}

/// How much one poll may bring.
#[derive(Debug, Clone, Copy)]
pub struct PollLimit {
    /// Most records.
    pub records: usize,
    /// Most bytes; one record always fits.
    pub bytes: usize,
}

/// What a poll came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// Whether the reader stands at the end of the partition as the log knows it.
    pub end_of_partition: bool,
}

/// Reads one partition in order, from one thread, outside any group.
pub trait Reader: Send {
    /// Waits up to `timeout` for records and adds them to `out`. Returns as soon as there is one,
    /// or when the end of the partition is newly reached.
    ///
    /// # Errors
    /// [`LogErrorKind::OffsetOutOfRange`] when the position is below the low watermark or beyond
    /// the high one; others when the log cannot be read.
    fn poll(
        &mut self,
        limit: PollLimit,
        timeout: Duration,
        out: &mut Vec<Record>,
    ) -> Result<Polled, LogError>;

    /// The next offset to read.
    fn position(&self) -> u64;

    /// Goes on from another offset.
    fn seek(&mut self, offset: u64);
}

/// Counts the assignments of a group: higher is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// What a group tells its member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberEvent {
    /// These partitions are ours from now on.
    Assigned {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// Since when.
        generation: Generation,
    },
    /// These go to somebody else: stop at a record boundary, then call [`Member::release`]. The
    /// group waits for that, up to its own deadline.
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
    /// These went to somebody else already.
    Lost {
        /// Which.
        partitions: Vec<TopicPartition>,
    },
}

/// One member of a consumer group: who owns what, and the group's offsets. Records are read by
/// [`Reader`]s.
pub trait Member: Send {
    /// Waits up to `timeout` for news of the group. Must be called often enough (every second).
    ///
    /// # Errors
    /// When the group cannot be reached, or this member was shut out.
    fn poll(&mut self, timeout: Duration) -> Result<Option<MemberEvent>, LogError>;

    /// Lets go of revoked partitions.
    ///
    /// # Errors
    /// When the group cannot be reached.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError>;

    /// Whether the group still counts this partition as ours, by what it last said: in a cluster
    /// that is at most as old as a heartbeat and the session.
    fn owns(&self, partition: &TopicPartition) -> bool;

    /// Stores progress of owned partitions.
    ///
    /// # Errors
    /// [`LogErrorKind::Fenced`] for a partition that is not ours any more.
    fn commit(&mut self, progress: &[(TopicPartition, Committed)]) -> Result<(), LogError>;

    /// Tells the group that nobody of this name comes back soon: all partitions go to the others
    /// at once. A member that is only dropped may be waited for, since its name is static.
    ///
    /// # Errors
    /// When the group cannot be reached; it then notices by itself.
    fn leave(&mut self) -> Result<(), LogError> {
        Ok(())
    }
}

/// A batch that counts as a whole or not at all.
#[derive(Debug, Default)]
pub struct FencedBatch {
    /// Outputs, in order.
    pub records: Vec<(TopicPartition, Outgoing)>,
    /// The group whose progress goes with them.
    pub group: String,
    /// Its progress after them.
    pub progress: Vec<(TopicPartition, Committed)>,
}

/// Writes under an identity of which only the newest holder gets through.
pub trait FencedWriter: Send {
    /// Writes outputs and progress in one atomic batch.
    ///
    /// # Errors
    /// [`LogErrorKind::Fenced`] when a newer holder took the identity: give up. After any other
    /// error the batch may count or not: drop the writer, take the identity again and read the
    /// committed progress.
    fn write(&mut self, batch: FencedBatch) -> Result<(), LogError>;
}

/// A log: the way in to all of the above.
pub trait Log: Send + Sync {
    /// All topics, by name.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn topics(&self) -> Result<Vec<TopicDescription>, LogError>;

    /// One topic; see `dyn Log::describe`.
    ///
    /// # Errors
    /// [`LogErrorKind::UnknownTopic`] when there is none of that name.
    fn describe_topic(&self, topic: &str) -> Result<TopicDescription, LogError> {
        let found = self.topics()?.into_iter().find(|known| &*known.spec.name == topic);
        found.ok_or_else(|| {
            LogError::new(LogErrorKind::UnknownTopic, format!("there is no topic {topic}"))
        })
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// [`LogErrorKind::TopicExists`] when there is one of that name.
    fn create_topic(&self, spec: &TopicSpec) -> Result<TopicDescription, LogError>;

    /// The copies of a topic as they are, and as they are to be; `None` for a log on one machine.
    ///
    /// # Errors
    /// [`LogErrorKind::UnknownTopic`] when there is no such topic.
    fn copies(&self, _topic: &TopicSpec) -> Result<Option<(Copies, Copies)>, LogError> {
        Ok(None)
    }

    /// First and next offset of a partition.
    ///
    /// # Errors
    /// [`LogErrorKind::UnknownTopic`] when there is no such partition.
    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError>;

    /// A producer of its own for one thread. `name` is for logs and metrics.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError>;

    /// A reader of one partition from `offset` on.
    ///
    /// # Errors
    /// [`LogErrorKind::UnknownTopic`] when there is no such partition.
    fn reader(
        &self,
        partition: &TopicPartition,
        offset: u64,
        isolation: Isolation,
    ) -> Result<Box<dyn Reader>, LogError>;

    /// Joins a group that shares the partitions of `topics` among its members. Topics of one group
    /// have equal partition counts, and a member gets the same numbers of each. `name` is static:
    /// who comes back under the same name gets the same partitions.
    ///
    /// # Errors
    /// When the group cannot be reached.
    fn join(
        &self,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
    ) -> Result<Box<dyn Member>, LogError>;

    /// A group's progress in a partition; `None` if it never committed.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn committed(
        &self,
        group: &str,
        partition: &TopicPartition,
    ) -> Result<Option<Committed>, LogError>;

    /// Who is in a group, and which partitions each of them holds; `None` where that is not known.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn members(&self, _group: &str) -> Result<Option<Vec<GroupMember>>, LogError> {
        Ok(None)
    }

    /// Takes a writer identity and shuts out whoever held it.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn fenced(&self, identity: &str) -> Result<Box<dyn FencedWriter>, LogError>;
}

impl dyn Log + '_ {
    /// One topic.
    ///
    /// # Errors
    /// [`LogErrorKind::UnknownTopic`] when there is none of that name.
    pub fn describe(&self, topic: &str) -> Result<TopicDescription, LogError> {
        self.describe_topic(topic)
    }
}

/// What went wrong with a log, as a bounded label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogErrorKind {
    /// No such topic or partition.
    UnknownTopic,
    /// A topic of that name is there already.
    TopicExists,
    /// The position is below the low watermark or beyond the high one.
    OffsetOutOfRange,
    /// Somebody newer holds the identity or the partition.
    Fenced,
    /// The record is larger than the log takes.
    RecordTooLarge,
    /// Too little room on the disk: writes are refused, reads go on.
    DiskFull,
    /// Another process has the data folder.
    InUse,
    /// The data is damaged, or of another version.
    Corrupt,
    /// Not allowed.
    NotAuthorized,
    /// Bad settings.
    Configuration,
    /// Took too long.
    TimedOut,
    /// The log is away, or went away.
    Unavailable,
}

impl LogErrorKind {
    /// Label for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownTopic => "unknown_topic",
            Self::TopicExists => "topic_exists",
            Self::OffsetOutOfRange => "offset_out_of_range",
            Self::Fenced => "fenced",
            Self::RecordTooLarge => "record_too_large",
            Self::DiskFull => "disk_full",
            Self::InUse => "in_use",
            Self::Corrupt => "corrupt",
            Self::NotAuthorized => "not_authorized",
            Self::Configuration => "configuration",
            Self::TimedOut => "timed_out",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether trying again later can help.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unavailable | Self::DiskFull)
    }
}

/// A failure of a log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct LogError {
    kind: LogErrorKind,
    message: String,
}

impl LogError {
    /// A failure with a message that says what to do.
    pub fn new(kind: LogErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Which failure.
    pub const fn kind(&self) -> LogErrorKind {
        self.kind
    }
}
