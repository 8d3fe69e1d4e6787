//! One partition that records come from: the source, or a tier where they wait until they are due.

use std::collections::VecDeque;
use std::time::Duration;

use super::headers::due_at_ms;
use super::offsets::Offsets;
use crate::host::TaskError;
use crate::log::{Isolation, Log, PollLimit, Reader, Record, TopicPartition, poll_below};

/// Records taken from the log at once. Those of a tier that are not due stay here, and while there
/// are any the tier is not read on.
const READ: PollLimit = PollLimit { records: 256, bytes: 2 << 20 };

/// A partition, and how far it is done.
pub(super) struct Stream {
    pub(super) place: TopicPartition,
    /// How long records wait here; zero for the source.
    pub(super) delay: Duration,
    pub(super) offsets: Offsets,
    reader: Box<dyn Reader>,
    read: VecDeque<Record>,
}

impl Stream {
    /// Goes on where the group left off; from the first record that is kept without that.
    pub(super) fn open(
        log: &dyn Log,
        group: &str,
        place: TopicPartition,
        delay: Duration,
    ) -> Result<Self, TaskError> {
        let committed = log.committed(group, &place)?.map(|committed| committed.offset);
        let marks = log.watermarks(&place)?;
        let from = committed.unwrap_or(marks.low);
        if from < marks.low {
            // They were kept for days, and nobody handled them: that must not go unseen.
            tracing::error!(
                kafka.topic = &*place.topic,
                kafka.partition = place.partition,
                "{} records of {place} were thrown away before anybody handled them",
                marks.low - from
            );
        }
        let from = from.max(marks.low);
        let reader = log.reader(&place, from, Isolation::Uncommitted)?;
        Ok(Self { place, delay, offsets: Offsets::new(from), reader, read: VecDeque::new() })
    }

    /// Reads on when nothing is left, waiting up to `timeout`.
    pub(super) fn fill(&mut self, timeout: Duration) -> Result<(), TaskError> {
        if self.read.is_empty() {
            let mut read = Vec::new();
            self.reader.poll(READ, timeout, &mut read)?;
            self.read = read.into();
        }
        Ok(())
    }

    /// Whether everything is taken that was read.
    pub(super) fn is_drained(&self) -> bool {
        self.read.is_empty()
    }

    /// The next offset to read: everything below is taken, when this is drained.
    pub(super) fn position(&self) -> u64 {
        self.reader.position()
    }

    /// When the next record that was read may be taken.
    pub(super) fn due_at_ms(&self) -> Option<i64> {
        let head = self.read.front()?;
        if self.delay.is_zero() {
            return Some(i64::MIN);
        }
        let delay_ms = i64::try_from(self.delay.as_millis()).unwrap_or(i64::MAX);
        let by_stamp = head.timestamp_ms.saturating_add(delay_ms);
        Some(due_at_ms(&head.headers).unwrap_or(by_stamp))
    }

    /// Takes the next record if it is due, and charges it.
    pub(super) fn take_due(&mut self, now_ms: i64) -> Result<Option<Record>, TaskError> {
        if self.due_at_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return Ok(None);
        }
        let Some(record) = self.read.pop_front() else { return Ok(None) };
        self.offsets.charge(record.offset).map_err(wrong)?;
        Ok(Some(record))
    }

    /// All records that wait here now, without taking any.
    pub(super) fn waiting(&self, log: &dyn Log) -> Result<Vec<Record>, TaskError> {
        let from = self.offsets.frontier();
        let high = log.watermarks(&self.place)?.high;
        let mut reader = log.reader(&self.place, from, Isolation::Uncommitted)?;
        let (mut found, mut read) = (Vec::new(), Vec::new());
        while poll_below(&mut *reader, &self.place, high, READ, LOOK_WAIT, &mut read)? {
            found.append(&mut read);
        }
        Ok(found)
    }

    pub(super) fn complete(&mut self, offset: u64) -> Result<(), TaskError> {
        self.offsets.complete(offset).map_err(wrong)
    }
}

/// How long the log may take for one piece of what waits.
const LOOK_WAIT: Duration = Duration::from_secs(10);

/// The ledger never errs, so whoever told it did.
fn wrong(error: super::offsets::OffsetError) -> TaskError {
    TaskError::Restart(error.to_string())
}
