//! Mails on their way into the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Delivery, Headers, Outgoing, Producer, TopicPartition};
use cityevents_schemas::message::Email;

use super::{NAME, NotifierParts};
use crate::emails;

/// Who says so.
const SOURCE: &str = "/cityevents/notifier";
/// Longest wait for the log to acknowledge mails.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(20);
/// One wait for deliveries.
const POLL_WAIT: Duration = Duration::from_millis(100);

/// What one partition of the facts makes people be told.
pub(super) struct Outbox {
    producer: Box<dyn Producer>,
    partitions: u32,
    emails: Pile,
    bulk: Pile,
}

/// What waits to be appended to a topic.
struct Pile {
    topic: Arc<str>,
    waiting: BTreeMap<u32, Vec<Outgoing>>,
    count: usize,
}

impl Outbox {
    /// For one partition of the facts.
    pub(super) fn new(parts: &NotifierParts, partition: u32) -> Result<Self, TaskError> {
        let pile = |topic: &Arc<str>| {
            let (topic, waiting) = (Arc::clone(topic), BTreeMap::new());
            Pile { topic, waiting, count: 0 }
        };
        Ok(Self {
            producer: parts.log.producer(&format!("{NAME}-{partition}"))?,
            partitions: parts.partitions,
            emails: pile(&parts.emails),
            bulk: pile(&parts.bulk),
        })
    }

    /// How many mails wait.
    pub(super) fn count(&self) -> usize {
        self.emails.count + self.bulk.count
    }

    /// Keeps a mail until [`Outbox::flush`].
    pub(super) fn put(&mut self, email: &Email, trace: Option<&Headers>) {
        let outgoing = emails::outgoing(email, SOURCE, trace);
        let key = outgoing.key.as_deref().unwrap_or_default();
        let partition = partition_of(key, self.partitions);
        let is_bulk = emails::is_bulk(&email.content);
        let pile = if is_bulk { &mut self.bulk } else { &mut self.emails };
        pile.waiting.entry(partition).or_default().push(outgoing);
        pile.count += 1;
    }

    /// Appends what waits, and returns when the log has acknowledged it. Bulk comes behind the
    /// acknowledgement of the others: whoever sends it finds those that come before it.
    pub(super) fn flush(&mut self) -> Result<(), TaskError> {
        self.emails.append(&mut *self.producer)?;
        self.bulk.append(&mut *self.producer)
    }
}

impl Pile {
    fn append(&mut self, producer: &mut dyn Producer) -> Result<(), TaskError> {
        if self.count == 0 {
            return Ok(());
        }
        for (partition, records) in std::mem::take(&mut self.waiting) {
            let place = TopicPartition::new(Arc::clone(&self.topic), partition);
            producer.append(&place, records)?;
        }
        let deadline = Instant::now() + ACKNOWLEDGE_MAX;
        let mut deliveries: Vec<Delivery> = Vec::new();
        let mut acknowledged = 0;
        while acknowledged < self.count as u64 {
            if Instant::now() >= deadline {
                let topic = &self.topic;
                let reason = format!("{topic} does not acknowledge mails to be sent");
                return Err(TaskError::Restart(reason));
            }
            producer.poll(POLL_WAIT, &mut deliveries)?;
            for delivery in deliveries.drain(..) {
                delivery.result?;
                acknowledged += delivery.count;
            }
        }
        self.count = 0;
        Ok(())
    }
}
