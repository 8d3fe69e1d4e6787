//! The contract suite of the log port: what every adapter must do, as cases that run on any.
//!
//! An adapter's test file makes a [`Fixture`] for a fresh log and names the groups of cases that
//! the adapter can take part in:
//!
//! ```text
//! fn fixture() -> Fixture { … }
//! cityevents_runtime::log_contract_tests!(
//!     fixture; topics, records, readers, members, fenced, waiting
//! );
//! ```
//!
//! Groups `topics`, `records`, `readers`, `members` and `fenced` need nothing but a log. The others
//! need what their module says, and fail where the fixture lacks it: what an adapter cannot do is
//! left out by name, never skipped in silence. No case sleeps; each waits for what it needs, up to
//! the fixture's patience.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]

mod cases;
pub mod cleaning;
pub mod clocked;
pub mod deleting;
pub mod failing;
pub mod fenced;
pub mod members;
pub mod readers;
pub mod records;
pub mod reopening;
pub mod topics;
pub mod waiting;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::clock::ManualClock;
use super::{
    Cleanup, Delivery, Isolation, Log, Outgoing, PollLimit, Producer, Record, TimestampKind,
    TopicPartition, TopicSpec,
};

/// How long one poll waits while a case waits for more.
pub const BRIEF: Duration = Duration::from_millis(20);

/// A limit that never matters.
pub const NO_LIMIT: PollLimit = PollLimit { records: usize::MAX, bytes: usize::MAX };

/// Does something to a topic.
pub type TopicAction = Box<dyn Fn(&str)>;

/// A fresh log, and what can be done to it from outside.
pub struct Fixture {
    /// The log. Handles of a case end before it is opened again.
    pub log: Arc<dyn Log>,
    /// Stands before all names, so that cases can share one cluster.
    pub prefix: String,
    /// How long a case waits for something that must come.
    pub patience: Duration,
    /// The largest record that the log takes, or somewhat more.
    pub record_bytes_max: usize,
    /// Lets the log do its work, where it does nothing by itself.
    pub step: Option<Box<dyn Fn()>>,
    /// The clock that the log stamps with.
    pub clock: Option<ManualClock>,
    /// Opens the same data again, when all of the log and its handles is gone.
    pub reopen: Option<Box<dyn FnOnce() -> Arc<dyn Log>>>,
    /// Deletes a topic.
    pub delete_topic: Option<TopicAction>,
    /// Throws away all that a topic's settings let go by now.
    pub clean: Option<TopicAction>,
    /// Makes the next append of any producer fail.
    pub fail_next_append: Option<Box<dyn Fn()>>,
    /// Whatever has to live as long as the log: a folder, a cluster.
    pub guard: Option<Box<dyn std::any::Any>>,
}

impl Fixture {
    /// A log that can do nothing special.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self {
            log,
            prefix: String::new(),
            patience: Duration::from_secs(60),
            record_bytes_max: 1024 * 1024,
            step: None,
            clock: None,
            reopen: None,
            delete_topic: None,
            clean: None,
            fail_next_append: None,
            guard: None,
        }
    }

    /// A name of this fixture's own.
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Makes a durable topic that keeps everything and is stamped by the log.
    pub fn topic(&self, name: &str, partitions: u32) -> Arc<str> {
        let kept = Cleanup::Delete { retention: None };
        self.topic_with(name, partitions, kept, TimestampKind::LogAppend)
    }

    /// Makes a durable topic.
    pub fn topic_with(
        &self,
        name: &str,
        partitions: u32,
        cleanup: Cleanup,
        timestamps: TimestampKind,
    ) -> Arc<str> {
        let name: Arc<str> = self.name(name).into();
        let spec = TopicSpec { name: name.clone(), partitions, cleanup, timestamps, durable: true };
        self.log.create_topic(&spec).unwrap();
        name
    }

    /// Makes a topic of one partition and names that.
    pub fn partition(&self, name: &str) -> TopicPartition {
        TopicPartition::new(self.topic(name, 1), 0)
    }

    /// Lets the log work.
    pub fn step(&self) {
        if let Some(step) = &self.step {
            step();
        }
    }

    /// Tries until there is something, up to the fixture's patience. Each try waits by itself, if
    /// only in a poll.
    pub fn eventually<T>(&self, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = attempt() {
                return found;
            }
            assert!(started.elapsed() < self.patience, "waited in vain for this: {what}");
            self.step();
        }
    }

    /// Takes all deliveries of a producer, until nothing is in flight.
    pub fn deliveries(&self, producer: &mut dyn Producer) -> Vec<Delivery> {
        let mut out = Vec::new();
        self.eventually("all deliveries", || {
            producer.poll(BRIEF, &mut out).unwrap();
            (producer.in_flight() == 0).then_some(())
        });
        out
    }

    /// Appends with this producer and returns the offsets.
    pub fn append_with(
        &self,
        producer: &mut dyn Producer,
        place: &TopicPartition,
        records: Vec<Outgoing>,
    ) -> Vec<u64> {
        producer.append(place, records).unwrap();
        let mut offsets = Vec::new();
        for delivery in self.deliveries(producer) {
            let first = delivery.result.unwrap().expect("a fresh producer's append has an offset");
            offsets.extend(first..first + delivery.count);
        }
        offsets
    }

    /// Appends with a producer of its own and returns the offsets.
    pub fn append(&self, place: &TopicPartition, records: Vec<Outgoing>) -> Vec<u64> {
        let mut producer = self.log.producer("contract").unwrap();
        self.append_with(&mut *producer, place, records)
    }

    /// Reads from `offset` up to the end as it is now.
    pub fn read(&self, place: &TopicPartition, offset: u64, isolation: Isolation) -> Vec<Record> {
        let high = self.log.watermarks(place).unwrap().high;
        let mut reader = self.log.reader(place, offset, isolation).unwrap();
        let mut out = Vec::new();
        self.eventually("the end of the partition", || {
            let polled = reader.poll(NO_LIMIT, BRIEF, &mut out).unwrap();
            (polled.end_of_partition && reader.position() >= high).then_some(())
        });
        out
    }

    /// Reads all values, as text.
    pub fn values(&self, place: &TopicPartition, isolation: Isolation) -> Vec<String> {
        let low = self.log.watermarks(place).unwrap().low;
        self.read(place, low, isolation).iter().map(value_of).collect()
    }
}

/// A record with text in it.
pub fn text(key: &str, value: &str) -> Outgoing {
    let bytes = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
    Outgoing { key: bytes(key), value: bytes(value), ..Outgoing::default() }
}

/// Records with values `{prefix}{number}`.
pub fn numbered(prefix: &str, numbers: std::ops::Range<u64>) -> Vec<Outgoing> {
    numbers.map(|number| text(prefix, &format!("{prefix}{number}"))).collect()
}

/// A record's value as text; empty when it has none.
pub fn value_of(record: &Record) -> String {
    String::from_utf8(record.value.clone().unwrap_or_default().to_vec()).unwrap()
}

/// Offsets of records.
pub fn offsets_of(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.offset).collect()
}
