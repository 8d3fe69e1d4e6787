//! What a worker appends beside its links: replies, ticks, dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::host::TaskError;
use crate::log::{Delivery, Log, LogError, Outgoing, Producer, TopicPartition};

/// Appends whose loss costs a wait and no promise, and dead letters, whose loss would cost one.
pub(super) struct Side {
    log: Arc<dyn Log>,
    name: String,
    producer: Box<dyn Producer>,
    replies: BTreeMap<u32, Vec<Outgoing>>,
    deliveries: Vec<Delivery>,
}

impl Side {
    pub(super) fn new(log: Arc<dyn Log>, name: String) -> Result<Self, LogError> {
        let producer = log.producer(&name)?;
        Ok(Self { log, name, producer, replies: BTreeMap::new(), deliveries: Vec::new() })
    }

    pub(super) fn reply(&mut self, partition: u32, reply: Outgoing) {
        self.replies.entry(partition).or_default().push(reply);
    }

    /// Hands the replies on. Returns how many could not be.
    pub(super) fn flush_replies(&mut self, topic: &Arc<str>) -> u64 {
        let mut lost = 0;
        for (partition, replies) in std::mem::take(&mut self.replies) {
            let count = replies.len() as u64;
            let partition = TopicPartition::new(topic.clone(), partition);
            if let Err(error) = self.producer.append(&partition, replies) {
                tracing::warn!(%error, "{count} replies to {partition} are lost: {error}");
                lost += count;
                self.renew();
            }
        }
        lost
    }

    pub(super) fn append(&mut self, partition: &TopicPartition, record: Outgoing) -> bool {
        let appended = self.producer.append(partition, vec![record]);
        if let Err(error) = &appended {
            tracing::warn!(%error, "append to {partition} failed: {error}");
            self.renew();
        }
        appended.is_ok()
    }

    /// Takes deliveries without waiting. Returns how many records were lost.
    pub(super) fn poll(&mut self) -> u64 {
        self.deliveries.clear();
        let polled = self.producer.poll(Duration::ZERO, &mut self.deliveries);
        let failed = self.deliveries.iter().filter(|delivery| delivery.result.is_err());
        let lost = failed.map(|delivery| delivery.count).sum();
        if lost > 0 || polled.is_err() {
            self.renew();
        }
        lost
    }

    /// Waits until everything appended is acknowledged or lost. Returns how many records were lost.
    pub(super) fn drain(&mut self, deadline: Duration) -> u64 {
        let started = Instant::now();
        let mut lost = 0;
        while self.producer.in_flight() > 0 {
            let left = deadline.saturating_sub(started.elapsed());
            if left.is_zero() {
                return lost + self.producer.in_flight();
            }
            self.deliveries.clear();
            if self.producer.poll(left, &mut self.deliveries).is_err() {
                return lost + self.producer.in_flight();
            }
            let failed = self.deliveries.iter().filter(|delivery| delivery.result.is_err());
            lost += failed.map(|delivery| delivery.count).sum::<u64>();
        }
        lost
    }

    /// Appends a record that must not be lost and waits for its acknowledgement.
    pub(super) fn keep(
        &mut self,
        partition: &TopicPartition,
        record: Outgoing,
        deadline: Duration,
    ) -> Result<(), TaskError> {
        let ticket = self.producer.append(partition, vec![record])?;
        let started = Instant::now();
        loop {
            self.deliveries.clear();
            let left = deadline.saturating_sub(started.elapsed());
            self.producer.poll(left, &mut self.deliveries)?;
            for delivery in self.deliveries.drain(..) {
                delivery.result?;
                if ticket < delivery.first_ticket + delivery.count {
                    return Ok(());
                }
            }
            if left.is_zero() {
                let reason = format!("the append to {partition} was not acknowledged in time");
                return Err(TaskError::Restart(reason));
            }
        }
    }

    fn renew(&mut self) {
        match self.log.producer(&self.name) {
            Ok(producer) => self.producer = producer,
            Err(error) => tracing::warn!(%error, "producer {}: {error}", self.name),
        }
    }
}
