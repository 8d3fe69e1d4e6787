//! Follows a chained partition: reads it, applies the reader rule, hands on the links that count.

use std::time::Duration;

use crate::chain::{ChainReader, Cursor, DropReason, Linked};
use crate::log::clock::Clock;
use crate::log::{
    Isolation, Log, LogError, PollLimit, Reader, Record, TopicPartition, until_moved,
};
use crate::metrics::FollowerMetrics;
use std::sync::Arc;

/// Records lying ahead of the cursor with nothing linked for so long mean that links are missing.
const STUCK_AFTER_MS: i64 = 10_000;

/// A place in a chained partition from which a reader may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The next offset to read in the chained topic.
    pub offset: u64,
    /// Where the chain stands there.
    pub cursor: Cursor,
}

/// A link that counts.
#[derive(Debug, Clone)]
pub struct LinkedRecord {
    /// The record.
    pub record: Record,
    /// Where the chain stands after it.
    pub cursor: Cursor,
    /// Whether it begins the chain.
    pub is_genesis: bool,
    /// Whether it was decided in other topics: it closes no command of this one.
    pub is_carried: bool,
}

/// What a poll came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Whether the reader stands at the end of the partition.
    pub end_of_partition: bool,
    /// How many records were read, counting or not.
    pub records: usize,
}

/// Reads one chained partition.
pub struct Follower {
    reader: Box<dyn Reader>,
    chain: ChainReader,
    partition: TopicPartition,
    clock: Arc<dyn Clock>,
    metrics: FollowerMetrics,
    ahead_since_ms: Option<i64>,
    buffer: Vec<Record>,
}

impl Follower {
    /// Reads from a stored position, or from the beginning; nowhere else.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn open(
        log: &dyn Log,
        partition: &TopicPartition,
        from: Option<Position>,
        clock: Arc<dyn Clock>,
        metrics: FollowerMetrics,
    ) -> Result<Self, LogError> {
        let offset = from.map_or(0, |position| position.offset);
        Ok(Self {
            reader: log.reader(partition, offset, Isolation::Uncommitted)?,
            chain: ChainReader::new(from.map(|position| position.cursor)),
            partition: partition.clone(),
            clock,
            metrics,
            ahead_since_ms: None,
            buffer: Vec::new(),
        })
    }

    /// Replaces the rule: the simulator's negative controls leave one out.
    pub(crate) const fn set_chain(&mut self, chain: ChainReader) {
        self.chain = chain;
    }

    /// Waits up to `timeout` for links that count and adds them to `out`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn poll(
        &mut self,
        limit: PollLimit,
        timeout: Duration,
        out: &mut Vec<LinkedRecord>,
    ) -> Result<Followed, LogError> {
        self.buffer.clear();
        let polled = self.reader.poll(limit, timeout, &mut self.buffer)?;
        let records = self.buffer.len();
        for record in self.buffer.drain(..) {
            let linked = self.chain.accept(&record);
            match (linked, self.chain.cursor()) {
                (Linked::Dropped(reason), _) => {
                    self.metrics.dropped(reason);
                    let offset = record.offset;
                    tracing::debug!(
                        kafka.topic = &*self.partition.topic,
                        kafka.partition = self.partition.partition,
                        kafka.offset = offset,
                        reason = reason.as_str(),
                        "record {offset} of {} does not count",
                        self.partition
                    );
                    // Either says that later commands are closed than the cursor knows of.
                    if matches!(reason, DropReason::Ahead | DropReason::OtherHistory) {
                        self.ahead_since_ms.get_or_insert(self.clock.now_ms());
                    }
                }
                (_, Some(cursor)) => {
                    self.ahead_since_ms = None;
                    let is_genesis = linked == Linked::Genesis;
                    let is_carried = linked == Linked::Carried;
                    out.push(LinkedRecord { record, cursor, is_genesis, is_carried });
                }
                (_, None) => {}
            }
        }
        Ok(Followed { end_of_partition: polled.end_of_partition, records })
    }

    /// Reads on towards `end`, and has the links that count in `out` alone; `false` when it is there
    /// already.
    ///
    /// # Errors
    /// When the log cannot be read, or gives nothing below `end` within `timeout`.
    pub fn poll_below(
        &mut self,
        end: u64,
        limit: PollLimit,
        timeout: Duration,
        out: &mut Vec<LinkedRecord>,
    ) -> Result<bool, LogError> {
        out.clear();
        let partition = self.partition.clone();
        until_moved(self, &partition, end, timeout, Self::offset, |follower, left| {
            follower.poll(limit, left, out).map(drop)
        })
    }

    /// From where to go on later; `None` before the genesis was read.
    pub fn position(&self) -> Option<Position> {
        let offset = self.reader.position();
        self.chain.cursor().map(|cursor| Position { offset, cursor })
    }

    /// The next offset to read.
    pub fn offset(&self) -> u64 {
        self.reader.position()
    }

    /// Whether everything below [`Follower::offset`] is settled: it counts, or never will. Records
    /// ahead of the chain are not, since the links before them may be missing.
    pub const fn is_settled(&self) -> bool {
        self.ahead_since_ms.is_none()
    }

    /// Which partition this follows.
    pub const fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Whether records lie ahead of the cursor and nothing was linked for ten seconds: links are
    /// missing, and somebody has to look.
    pub fn is_stuck(&self) -> bool {
        let now_ms = self.clock.now_ms();
        self.ahead_since_ms.is_some_and(|since_ms| now_ms - since_ms >= STUCK_AFTER_MS)
    }
}
