//! Reads one partition, outside any group, with a client of its own.
//!
//! One client a reader: a fetch waits at the broker for all partitions of a client together, so a
//! reader that shared its client would wait for the others' fetches to return before its own is
//! sent. A client costs four or five threads that sleep and what it fetches ahead, which the
//! options bound. It is made at the first poll, and made anew after a jump: what was fetched
//! before can then not be taken for what was asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{Core, client_context, whole_millis};
use super::errors::{failed, is_passing, kind_of, with_code};
use super::metrics::KafkaMetrics;
use super::options::KafkaOptions;
use crate::log::{
    Headers, Isolation, LogError, LogErrorKind, PollLimit, Polled, Reader, Record, TopicPartition,
    headers,
};

/// Records are copied out of librdkafka into blocks of this size: one allocation for many records,
/// and one that is kept alive keeps no more than this.
const BLOCK_BYTES: usize = 64 << 10;
/// Room for the headers of most records: to measure them first takes as long as to copy them.
const HEADERS_BYTES: usize = 512;

/// Learns where the end of the partition is.
struct Context {
    core: Core,
    end: AtomicI64,
}

client_context!(Context; error(context, error, reason) {
    if error.rdkafka_error_code() == Some(Code::PartitionEOF) {
        if let Some(end) = end_of(reason) {
            context.end.store(end, Ordering::Relaxed);
        }
    } else {
        context.core.on_error(&error, reason);
    }
});

impl ConsumerContext for Context {}

/// The offset in "… reached end of partition at offset 7 (HighwaterMark 9)". It is the only place
/// where the bindings tell how far a reader stands when the last offsets hold no records: control
/// records of fenced batches, or what compaction took away.
fn end_of(reason: &str) -> Option<i64> {
    let (_, rest) = reason.split_once("end of partition at offset ")?;
    rest.split(' ').next()?.parse().ok()
}

/// A reader.
pub(super) struct KafkaReader {
    options: Arc<KafkaOptions>,
    metrics: KafkaMetrics,
    partition: TopicPartition,
    isolation: Isolation,
    consumer: Option<BaseConsumer<Context>>,
    position: u64,
    at_end: bool,
    /// Taken from librdkafka, and one too many for the last poll.
    kept: Option<Record>,
    block: BytesMut,
}

impl KafkaReader {
    pub(super) fn new(
        options: Arc<KafkaOptions>,
        metrics: KafkaMetrics,
        partition: TopicPartition,
        position: u64,
        isolation: Isolation,
    ) -> Self {
        Self {
            options,
            metrics,
            partition,
            isolation,
            consumer: None,
            position,
            at_end: false,
            kept: None,
            block: BytesMut::new(),
        }
    }

    fn open(&self) -> Result<BaseConsumer<Context>, LogError> {
        let isolation = match self.isolation {
            Isolation::Uncommitted => "read_uncommitted",
            Isolation::Committed => "read_committed",
        };
        let name = format!("{}/{}", self.partition.topic, self.partition.partition);
        let doing = || format!("reading {}", self.partition);
        let context = Context { core: Core::new(&name, &self.metrics), end: AtomicI64::new(-1) };
        let consumer: BaseConsumer<Context> = self
            .options
            .reader(&name, isolation)
            .create_with_context(context)
            .map_err(|error| failed(&doing(), &error))?;
        let mut assignment = TopicPartitionList::with_capacity(1);
        let offset = i64::try_from(self.position).unwrap_or(i64::MAX);
        assignment
            .add_partition_offset(
                &self.partition.topic,
                self.partition.partition.cast_signed(),
                Offset::Offset(offset),
            )
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|error| failed(&doing(), &error))?;
        Ok(consumer)
    }

    /// What an error means for this reader; `None` if librdkafka helps itself.
    fn lasting(&self, error: &KafkaError) -> Option<LogError> {
        let doing = format!("reading {}", self.partition);
        let Some(code) = error.rdkafka_error_code() else {
            return Some(failed(&doing, error));
        };
        if kind_of(code) == LogErrorKind::OffsetOutOfRange {
            let message = format!(
                "offset {} of {} is not there: it expired, or the topic ends before it",
                self.position, self.partition
            );
            return Some(LogError::new(LogErrorKind::OffsetOutOfRange, message));
        }
        (!is_passing(code)).then(|| with_code(&doing, code))
    }

    fn read(
        &mut self,
        consumer: &BaseConsumer<Context>,
        limit: PollLimit,
        timeout: Duration,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        let mut room = Room { records: limit.records, bytes: limit.bytes, is_first: true };
        if let Some(kept) = self.kept.take() {
            self.hand_on(kept, &mut room, out);
        }
        let deadline = Instant::now() + timeout;
        while self.kept.is_none() && room.records > 0 {
            // Only the first record is waited for.
            let wait = if room.is_first {
                whole_millis(deadline.saturating_duration_since(Instant::now()))
            } else {
                Duration::ZERO
            };
            match consumer.poll(wait) {
                Some(Ok(message)) => {
                    self.at_end = false;
                    let record = copy(&mut self.block, &message);
                    self.hand_on(record, &mut room, out);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    let end = consumer.context().end.load(Ordering::Relaxed);
                    self.position = self.position.max(u64::try_from(end).unwrap_or(0));
                    self.at_end = true;
                    return Ok(());
                }
                Some(Err(error)) => {
                    if let Some(error) = self.lasting(&error) {
                        return Err(error);
                    }
                }
                // Nothing there, or something of its own affairs.
                None if wait.is_zero() => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }

    fn hand_on(&mut self, record: Record, room: &mut Room, out: &mut Vec<Record>) {
        if room.takes(&record) {
            self.position = record.offset + 1;
            out.push(record);
        } else {
            self.kept = Some(record);
        }
    }
}

impl Reader for KafkaReader {
    fn poll(
        &mut self,
        limit: PollLimit,
        timeout: Duration,
        out: &mut Vec<Record>,
    ) -> Result<Polled, LogError> {
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => self.open()?,
        };
        // After a lasting failure the client is of no more use.
        self.read(&consumer, limit, timeout, out)?;
        if consumer.context().core.is_stranded() {
            tracing::warn!("the client that reads {} lost every broker: made anew", self.partition);
            (self.kept, self.at_end) = (None, false);
        } else {
            self.consumer = Some(consumer);
        }
        Ok(Polled { end_of_partition: self.at_end && self.kept.is_none() })
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn seek(&mut self, offset: u64) {
        if offset != self.position {
            self.consumer = None;
            self.kept = None;
            self.at_end = false;
            self.position = offset;
        }
    }
}

/// What a poll may still bring.
struct Room {
    records: usize,
    bytes: usize,
    is_first: bool,
}

impl Room {
    fn takes(&mut self, record: &Record) -> bool {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let headers = record.headers.as_bytes().len();
        let bytes = length(&record.key) + length(&record.value) + headers;
        if self.records == 0 || (bytes > self.bytes && !self.is_first) {
            return false;
        }
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.is_first = false;
        true
    }
}

/// Copies a message out of librdkafka's memory. A block that is too small for its headers grows by itself.
fn copy(block: &mut BytesMut, message: &BorrowedMessage<'_>) -> Record {
    let needed = message.key_len() + message.payload_len() + HEADERS_BYTES;
    if block.capacity() < needed {
        *block = BytesMut::with_capacity(needed.max(BLOCK_BYTES));
    }
    let mut part = |part: Option<&[u8]>| {
        part.map(|part| {
            block.extend_from_slice(part);
            block.split().freeze()
        })
    };
    let key = part(message.key());
    let value = part(message.payload());
    let headers = match message.headers() {
        Some(headers) => {
            for header in headers.iter() {
                headers::put(block, header.key, header.value.unwrap_or_default());
            }
            Headers::of_put(block.split().freeze())
        }
        None => Headers::empty(),
    };
    Record {
        offset: message.offset().max(0).cast_unsigned(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
        key,
        value,
        headers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_partition_is_read_from_its_reason() {
        let reason = "Fetch from broker 1 reached end of partition at offset 42 (HighwaterMark 43)";
        assert_eq!(end_of(reason), Some(42));
        assert_eq!(end_of("Broker: Unknown topic or partition"), None);
    }
}
