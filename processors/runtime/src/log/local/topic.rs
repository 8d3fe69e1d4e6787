//! A topic in memory: where its records lie, and how far each partition goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::tail::{Stored, Tail};
use crate::log::{Cleanup, LogError, LogErrorKind, TopicDescription, TopicPartition, Watermarks};

/// A topic.
pub(super) struct Topic {
    pub(super) description: TopicDescription,
    /// Its short name in the store.
    pub(super) ordinal: u32,
    /// Stored values by offset; in a compacted topic rows by key.
    pub(super) records: fjall::Keyspace,
    /// Keys by offset, in a compacted topic.
    pub(super) order: Option<fjall::Keyspace>,
    pub(super) partitions: Vec<Partition>,
}

/// A partition.
pub(super) struct Partition {
    low: AtomicU64,
    high: AtomicU64,
    shown: Mutex<Tail>,
    changed: Condvar,
    /// The writer's own state.
    pub(super) next: Mutex<Next>,
    /// The oldest stored value, as far as clean-up has seen it: next offset and newest time.
    pub(super) oldest: Mutex<Option<(u64, i64)>>,
}

/// What the next record gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) offset: u64,
    /// The newest time that was given, so that times never go back.
    pub(super) newest_ms: i64,
}

impl Topic {
    pub(super) fn is_compacted(&self) -> bool {
        self.description.spec.cleanup == Cleanup::Compact
    }

    pub(super) fn place(&self, partition: u32) -> TopicPartition {
        TopicPartition::new(self.description.spec.name.clone(), partition)
    }

    /// One of its partitions.
    pub(super) fn partition(&self, number: u32) -> Result<&Partition, LogError> {
        let found = self.partitions.get(number as usize);
        found.ok_or_else(|| unknown(&self.place(number)))
    }

    /// The error for data that is damaged.
    pub(super) fn corrupt(
        &self,
        partition: u32,
        offset: u64,
        why: impl std::fmt::Display,
    ) -> LogError {
        let message = format!(
            "the log's data of {} is damaged at offset {offset}: {why}; restore the data folder \
             from a backup",
            self.place(partition)
        );
        LogError::new(LogErrorKind::Corrupt, message)
    }
}

impl Partition {
    pub(super) fn new(low: u64, next: Next, tail_bytes_max: usize) -> Self {
        Self {
            low: AtomicU64::new(low),
            high: AtomicU64::new(next.offset),
            shown: Mutex::new(Tail::new(tail_bytes_max)),
            changed: Condvar::new(),
            next: Mutex::new(next),
            oldest: Mutex::new(None),
        }
    }

    pub(super) fn watermarks(&self) -> Watermarks {
        // In this order: the low one may rise to the high one in between, never above it.
        let low = self.low.load(Ordering::Acquire);
        Watermarks { low, high: self.high.load(Ordering::Acquire) }
    }

    /// Shows new records to readers and wakes them.
    pub(super) fn publish(&self, high: u64, stored: impl IntoIterator<Item = Stored>) {
        let mut tail = self.shown.lock();
        for stored in stored {
            tail.push(stored);
        }
        self.high.store(high, Ordering::Release);
        drop(tail);
        self.changed.notify_all();
    }

    /// Raises the low watermark.
    pub(super) fn trim(&self, low: u64) {
        self.low.fetch_max(low, Ordering::AcqRel);
        self.shown.lock().trim(low);
    }

    /// The stored value in memory that covers `offset`.
    pub(super) fn recent(&self, offset: u64) -> Option<Stored> {
        self.shown.lock().find(offset).cloned()
    }

    /// Waits until there are records beyond `high`; false when there were none in time.
    pub(super) fn wait_beyond(&self, high: u64, deadline: Instant) -> bool {
        let mut shown = self.shown.lock();
        while self.high.load(Ordering::Acquire) <= high {
            if self.changed.wait_until(&mut shown, deadline).timed_out() {
                return self.high.load(Ordering::Acquire) > high;
            }
        }
        true
    }
}

/// The error for a partition that there is not.
pub(super) fn unknown(place: &TopicPartition) -> LogError {
    let message = format!("there is no {place}: create the topic first");
    LogError::new(LogErrorKind::UnknownTopic, message)
}
