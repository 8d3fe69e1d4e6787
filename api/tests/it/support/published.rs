//! The topic of public rows: what the publisher would write, and an index of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cityevents_api::index::{Index, IndexMetrics, IndexOptions, IndexPlace};
use cityevents_domain::event::Event;
use cityevents_domain::fact::{Change, Fact};
use cityevents_domain::ids::EventId;
use cityevents_runtime::log::clock::Clock;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Cleanup, Log, Outgoing, Producer, TimestampKind, TopicPartition, TopicSpec,
};
use cityevents_schemas::message::encode_event;
use parking_lot::Mutex;

pub const TOPIC: &str = "events";
const MEMORY_BYTES: usize = 16 << 20;

/// Writes rows. Each is durable when the call returns.
pub struct Published {
    writing: Mutex<Writing>,
    partitions: u32,
}

struct Writing {
    producer: Box<dyn Producer>,
    next: Vec<u64>,
}

impl Published {
    pub fn new(log: &Arc<dyn Log>, partitions: u32) -> Self {
        let spec = TopicSpec {
            name: TOPIC.into(),
            partitions,
            cleanup: Cleanup::Compact,
            timestamps: TimestampKind::Create,
            durable: true,
        };
        log.create_topic(&spec).unwrap();
        Self::there(log, partitions)
    }

    /// In a topic that is there already.
    pub fn there(log: &Arc<dyn Log>, partitions: u32) -> Self {
        let producer = log.producer("rows").unwrap();
        let mark = |partition| log.watermarks(&TopicPartition::new(TOPIC, partition)).unwrap().high;
        let next = (0..partitions).map(mark).collect();
        Self { writing: Mutex::new(Writing { producer, next }), partitions }
    }

    /// An index of the topic.
    pub fn index(
        &self,
        log: &Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        place: IndexPlace,
    ) -> Arc<Index> {
        let options = IndexOptions {
            log: Arc::clone(log),
            topic: TOPIC.into(),
            place,
            memory_bytes: MEMORY_BYTES,
            clock,
            metrics: IndexMetrics::default(),
        };
        Arc::new(Index::start(options).unwrap())
    }

    /// The rows of a fact. Returns where the last one stands.
    pub fn publish(&self, fact: &Fact) -> Option<(u32, u64)> {
        let rows = fact.changes.iter().filter_map(|change| match change {
            Change::Event { event, .. } => Some(self.put(event)),
            _ => None,
        });
        rows.last()
    }

    pub fn put(&self, event: &Event) -> (u32, u64) {
        let mut value = Vec::new();
        encode_event(event, &mut value);
        self.append(&event.id, Some(value.into()))
    }

    /// Where the last row of each partition stands, where there is one.
    pub fn last(&self) -> Vec<(u32, u64)> {
        let writing = self.writing.lock();
        let last =
            |(partition, next): (usize, &u64)| Some((partition as u32, next.checked_sub(1)?));
        writing.next.iter().enumerate().filter_map(last).collect()
    }

    pub fn delete(&self, event: &EventId) -> (u32, u64) {
        self.append(event, None)
    }

    /// A record as it is.
    pub fn append(&self, event: &EventId, value: Option<Bytes>) -> (u32, u64) {
        let key = event.to_string();
        let partition = partition_of(key.as_bytes(), self.partitions);
        let record = Outgoing { key: Some(key.into()), value, ..Outgoing::default() };
        let mut writing = self.writing.lock();
        let offset = writing.next[partition as usize];
        writing.next[partition as usize] += 1;
        writing.producer.append(&TopicPartition::new(TOPIC, partition), vec![record]).unwrap();
        let mut delivered = Vec::new();
        while writing.producer.in_flight() > 0 {
            writing.producer.poll(Duration::from_secs(5), &mut delivered).unwrap();
        }
        assert!(delivered.iter().all(|delivery| delivery.result.is_ok()));
        (partition, offset)
    }
}
