//! What the log holds: topics, partitions, records. Plain data, no locks, no time of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::log::{
    Cleanup, Isolation, LogError, LogErrorKind, Outgoing, PollLimit, Record, TimestampKind,
    TopicDescription, TopicPartition, TopicSpec, Watermarks,
};

/// Largest record taken: what a broker takes by default.
pub(super) const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// How long a tombstone stays after it was written.
const TOMBSTONE_KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// Whether a record counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does.
    Counts,
    /// It belongs to a fenced batch that is not decided yet.
    Open(u64),
    /// It belongs to a fenced batch that does not count.
    Aborted,
}

#[derive(Debug, Clone)]
struct Stored {
    record: Record,
    fate: Fate,
}

/// All topics.
#[derive(Debug, Default)]
pub(super) struct Storage {
    topics: BTreeMap<Arc<str>, Topic>,
    topics_made: u64,
}

#[derive(Debug)]
struct Topic {
    description: TopicDescription,
    partitions: Vec<Partition>,
}

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Partition {
    stored: Vec<Stored>,
    low: u64,
    high: u64,
    newest_ms: i64,
    /// First offset of each fenced batch that is not decided.
    open: BTreeMap<u64, u64>,
}

impl Storage {
    pub(super) fn descriptions(&self) -> Vec<TopicDescription> {
        self.topics.values().map(|topic| topic.description.clone()).collect()
    }

    pub(super) fn create(&mut self, spec: &TopicSpec) -> Result<TopicDescription, LogError> {
        if self.topics.contains_key(&spec.name) {
            let message = format!("topic {} is there already", spec.name);
            return Err(LogError::new(LogErrorKind::TopicExists, message));
        }
        if spec.partitions == 0 {
            let message = format!("topic {} needs at least one partition", spec.name);
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
        self.topics_made += 1;
        let id = format!("memory-{:08x}", self.topics_made);
        let description = TopicDescription { id, spec: spec.clone() };
        let partitions = (0..spec.partitions).map(|_| Partition::default()).collect();
        self.topics
            .insert(spec.name.clone(), Topic { description: description.clone(), partitions });
        Ok(description)
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<(), LogError> {
        self.topics.remove(name).map(drop).ok_or_else(|| unknown(name))
    }

    pub(super) fn description(&self, name: &str) -> Result<&TopicDescription, LogError> {
        self.topics.get(name).map(|topic| &topic.description).ok_or_else(|| unknown(name))
    }

    pub(super) fn partition(&self, place: &TopicPartition) -> Result<&Partition, LogError> {
        self.topics
            .get(&place.topic)
            .and_then(|topic| topic.partitions.get(place.partition as usize))
            .ok_or_else(|| unknown(place))
    }

    /// Whether these records may be appended here.
    pub(super) fn check<'a>(
        &self,
        place: &TopicPartition,
        records: impl IntoIterator<Item = &'a Outgoing>,
    ) -> Result<(), LogError> {
        self.partition(place)?;
        let compacted = self.description(&place.topic)?.spec.cleanup == Cleanup::Compact;
        for record in records {
            let size_bytes = record.size_bytes();
            if size_bytes > RECORD_BYTES_MAX {
                let message = format!(
                    "a record of {size_bytes} bytes for {place} is larger than {RECORD_BYTES_MAX}"
                );
                return Err(LogError::new(LogErrorKind::RecordTooLarge, message));
            }
            if compacted && record.key.is_none() {
                let message = format!("a record for {place} needs a key: the topic is compacted");
                return Err(LogError::new(LogErrorKind::Configuration, message));
            }
        }
        Ok(())
    }

    /// Appends checked records and returns the offset of the first.
    pub(super) fn append(
        &mut self,
        place: &TopicPartition,
        records: impl IntoIterator<Item = Outgoing>,
        now_ms: i64,
        fate: Fate,
    ) -> Result<u64, LogError> {
        let topic = self.topics.get_mut(&place.topic).ok_or_else(|| unknown(place))?;
        let kind = topic.description.spec.timestamps;
        let partition = topic.partitions.get_mut(place.partition as usize);
        let partition = partition.ok_or_else(|| unknown(place))?;
        let first = partition.high;
        for record in records {
            partition.push(record, kind, now_ms, fate);
        }
        Ok(first)
    }

    /// Uses up one offset with no record, as the end mark of a fenced batch does in a cluster.
    pub(super) fn mark(&mut self, place: &TopicPartition) {
        self.change(place, |partition| partition.high += 1);
    }

    /// Decides an open batch in one partition.
    pub(super) fn decide(&mut self, place: &TopicPartition, batch: u64, counts: bool) {
        let decided = if counts { Fate::Counts } else { Fate::Aborted };
        self.change(place, |partition| {
            let Some(first) = partition.open.remove(&batch) else {
                return;
            };
            let start = partition.stored.partition_point(|stored| stored.record.offset < first);
            for stored in &mut partition.stored[start..] {
                if stored.fate == Fate::Open(batch) {
                    stored.fate = decided;
                }
            }
        });
    }

    fn change(&mut self, place: &TopicPartition, change: impl FnOnce(&mut Partition)) {
        let topic = self.topics.get_mut(&place.topic);
        let found = topic.and_then(|topic| topic.partitions.get_mut(place.partition as usize));
        if let Some(partition) = found {
            change(partition);
        }
    }

    /// Throws away what the topic's settings let go.
    pub(super) fn clean(&mut self, name: &str, now_ms: i64) -> Result<(), LogError> {
        let topic = self.topics.get_mut(name).ok_or_else(|| unknown(name))?;
        for partition in &mut topic.partitions {
            match topic.description.spec.cleanup {
                Cleanup::Delete { retention: None } => {}
                Cleanup::Delete { retention: Some(age) } => {
                    let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                    partition.delete_before(now_ms.saturating_sub(age_ms));
                }
                Cleanup::Compact => partition.compact(now_ms),
            }
        }
        Ok(())
    }
}

impl Partition {
    pub(super) const fn watermarks(&self) -> Watermarks {
        Watermarks { low: self.low, high: self.high }
    }

    /// Where a reader has to stop.
    pub(super) fn end(&self, isolation: Isolation) -> u64 {
        match isolation {
            Isolation::Uncommitted => self.high,
            Isolation::Committed => self.open.values().copied().min().unwrap_or(self.high),
        }
    }

    /// Copies records from `from` up to `end` and returns the next offset to read.
    pub(super) fn read(
        &self,
        from: u64,
        end: u64,
        isolation: Isolation,
        limit: PollLimit,
        out: &mut Vec<Record>,
    ) -> u64 {
        let start = self.stored.partition_point(|stored| stored.record.offset < from);
        let (mut records, mut bytes) = (0, 0);
        for stored in &self.stored[start..] {
            let offset = stored.record.offset;
            if offset >= end {
                break;
            }
            if isolation == Isolation::Committed && stored.fate != Fate::Counts {
                continue;
            }
            let size_bytes = size_bytes(&stored.record);
            if records > 0 && (records >= limit.records || bytes + size_bytes > limit.bytes) {
                return offset;
            }
            records += 1;
            bytes += size_bytes;
            out.push(stored.record.clone());
        }
        end.max(from)
    }

    fn push(&mut self, record: Outgoing, kind: TimestampKind, now_ms: i64, fate: Fate) {
        let timestamp_ms = match kind {
            TimestampKind::LogAppend => {
                self.newest_ms = self.newest_ms.max(now_ms);
                self.newest_ms
            }
            TimestampKind::Create => record.timestamp_ms.unwrap_or(now_ms),
        };
        let Outgoing { key, value, headers, timestamp_ms: _ } = record;
        let record = Record { offset: self.high, timestamp_ms, key, value, headers };
        if let Fate::Open(batch) = fate {
            self.open.entry(batch).or_insert(self.high);
        }
        self.stored.push(Stored { record, fate });
        self.high += 1;
    }

    fn delete_before(&mut self, oldest_ms: i64) {
        let old = |stored: &Stored| {
            stored.record.timestamp_ms < oldest_ms && !matches!(stored.fate, Fate::Open(_))
        };
        let gone = self.stored.iter().take_while(|stored| old(stored)).count();
        if gone > 0 {
            self.stored.drain(..gone);
            self.low = self.stored.first().map_or(self.high, |stored| stored.record.offset);
        }
    }

    fn compact(&mut self, now_ms: i64) {
        let end = self.end(Isolation::Committed);
        let mut seen: BTreeSet<Bytes> = BTreeSet::new();
        let mut kept: Vec<Stored> = Vec::new();
        for stored in self.stored.drain(..).rev() {
            if stored.record.offset >= end {
                kept.push(stored);
                continue;
            }
            let newest = stored.fate == Fate::Counts
                && seen.insert(stored.record.key.clone().unwrap_or_default());
            let expired = stored.record.value.is_none()
                && now_ms.saturating_sub(stored.record.timestamp_ms) > TOMBSTONE_KEPT_MS;
            if newest && !expired {
                kept.push(stored);
            }
        }
        kept.reverse();
        self.stored = kept;
    }
}

fn size_bytes(record: &Record) -> usize {
    let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    length(&record.key) + length(&record.value) + record.headers.as_bytes().len()
}

fn unknown(what: impl std::fmt::Display) -> LogError {
    LogError::new(LogErrorKind::UnknownTopic, format!("there is no {what}: create the topic first"))
}
