//! The threads that read the topic, one a partition, and hand on what they read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cityevents_domain::event::Event;
use cityevents_domain::ids::EventId;
use cityevents_runtime::log::{Isolation, Log, LogErrorKind, Record, TopicPartition};
use cityevents_schemas::message::decode_event;
use crossbeam_channel::Sender;

use super::metrics::IndexMetrics;
use crate::following::{Failure, POLL_LIMIT, POLL_WAIT, Shown, State, Stop, Supervision};

/// What one poll brought.
pub(super) struct Batch {
    pub(super) partition: u32,
    pub(super) changes: Vec<Change>,
    /// The next offset.
    pub(super) next: u64,
    /// Whether everything was read that was there at the start.
    pub(super) has_caught_up: bool,
}

/// What became of an event.
pub(super) enum Change {
    /// It is like this now.
    Put {
        event: Arc<Event>,
        /// When it became so, in milliseconds since 1970.
        at_ms: i64,
    },
    /// It is in the topic no longer.
    Gone(EventId),
}

/// One partition's thread.
pub(super) struct Reading {
    pub(super) log: Arc<dyn Log>,
    pub(super) partition: TopicPartition,
    /// The offset to go on from.
    pub(super) next: AtomicU64,
    /// What there was at the start.
    pub(super) end: u64,
    pub(super) batches: Sender<Result<Batch, Failure>>,
    pub(super) metrics: IndexMetrics,
    pub(super) shown: Arc<Shown>,
}

impl Reading {
    /// Reads until told to stop, or until nobody takes what is read.
    pub(super) fn run(&self, stop: &Stop) {
        let what = format!("the events of {}", self.partition);
        let restarts = &self.metrics.restarts;
        let supervision = Supervision { what: &what, shown: &self.shown, restarts, stop };
        supervision.run(|| self.read(stop), || self.shown.is(&State::Following));
    }

    fn read(&self, stop: &Stop) -> Result<(), Failure> {
        let next = self.next.load(Ordering::Relaxed);
        let mut reader = self.log.reader(&self.partition, next, Isolation::Committed)?;
        let mut records = Vec::new();
        let (mut has_caught_up, mut has_told) = (next >= self.end, false);
        loop {
            let polled = match reader.poll(POLL_LIMIT, POLL_WAIT, &mut records) {
                Ok(polled) => polled,
                // Whoever opens the index sees what is to be done about it.
                Err(error) if error.kind() == LogErrorKind::OffsetOutOfRange => {
                    let _nobody = self.batches.send(Err(Failure::Again(error.to_string())));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            self.shown.set(State::Following);
            let changes = records.drain(..).filter_map(|record| self.change(&record).transpose());
            let changes: Vec<Change> = changes.collect::<Result<_, _>>()?;
            // Compaction can leave a partition that ends before the offset that it had reached.
            has_caught_up |= reader.position() >= self.end || polled.end_of_partition;
            if !changes.is_empty() || has_told != has_caught_up {
                has_told = has_caught_up;
                let (partition, next) = (self.partition.partition, reader.position());
                let batch = Batch { partition, changes, next, has_caught_up };
                if self.batches.send(Ok(batch)).is_err() {
                    return Ok(());
                }
                self.next.store(next, Ordering::Relaxed);
            }
            if stop.comes_within(Duration::ZERO) {
                return Ok(());
            }
        }
    }

    fn change(&self, record: &Record) -> Result<Option<Change>, Failure> {
        if let Some(value) = &record.value {
            let event = decode_event(value).map_err(|error| {
                let reason =
                    format!("the event at offset {} cannot be read: {error}", record.offset);
                Failure::unreadable(error.class(), reason)
            })?;
            return Ok(Some(Change::Put { event: Arc::new(event), at_ms: record.timestamp_ms }));
        }
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let Some(event) = key.and_then(|key| key.parse().ok()) else {
            tracing::warn!("{} deletes what is no event at {}", self.partition, record.offset);
            return Ok(None);
        };
        Ok(Some(Change::Gone(event)))
    }
}
