//! Reading one partition: its recent end from memory, everything older from the store in large
//! pieces.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::cursor::{Cursor, Step};
use super::engine::Engine;
use super::format::verify;
use super::store::scan;
use super::topic::{Partition, Topic};
use crate::log::{LogError, LogErrorKind, PollLimit, Polled, Reader, Record};

/// How much is fetched from the store at once.
const FETCH_BYTES: usize = 2 * 1024 * 1024;

/// A reader of the local log.
pub(super) struct LocalReader {
    /// Keeps the log open.
    _engine: Arc<Engine>,
    topic: Arc<Topic>,
    partition: u32,
    position: u64,
    /// The stored value at the position, if it was opened.
    cursor: Option<Cursor>,
    /// Stored values fetched beyond it, checked.
    fetched: VecDeque<(u64, Bytes)>,
    /// Whether the caller knows that this is the end.
    told_end: bool,
}

impl LocalReader {
    pub(super) fn new(
        engine: Arc<Engine>,
        topic: Arc<Topic>,
        partition: u32,
        position: u64,
    ) -> Result<Self, LogError> {
        topic.partition(partition)?;
        Ok(Self {
            _engine: engine,
            topic,
            partition,
            position,
            cursor: None,
            fetched: VecDeque::new(),
            told_end: false,
        })
    }

    fn forget(&mut self) {
        self.cursor = None;
        self.fetched.clear();
    }

    /// Checks the position and returns the end.
    fn end(&mut self, partition: &Partition) -> Result<u64, LogError> {
        let marks = partition.watermarks();
        if self.position < marks.low || self.position > marks.high {
            let message = format!(
                "offset {} of {} is out of range, there are {} to {}",
                self.position,
                self.topic.place(self.partition),
                marks.low,
                marks.high
            );
            return Err(LogError::new(LogErrorKind::OffsetOutOfRange, message));
        }
        Ok(marks.high)
    }

    /// Copies records out until a limit or `end` is reached.
    fn read(
        &mut self,
        partition: &Partition,
        end: u64,
        limit: PollLimit,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        let (mut records, mut bytes) = (0, 0);
        while self.position < end {
            let Some(cursor) = &mut self.cursor else {
                if !self.open_next(partition, end)? {
                    self.position = end;
                }
                continue;
            };
            if records > 0 && records >= limit.records {
                return Ok(());
            }
            let room = if records == 0 { usize::MAX } else { limit.bytes.saturating_sub(bytes) };
            let corrupt = |why| self.topic.corrupt(self.partition, self.position, why);
            match cursor.next(room).map_err(corrupt)? {
                Step::End => self.cursor = None,
                Step::TooLarge => return Ok(()),
                Step::Record(record, record_bytes) => {
                    records += 1;
                    bytes += record_bytes;
                    self.position = record.offset + 1;
                    out.push(record);
                }
            }
        }
        Ok(())
    }

    /// Opens the stored value at the position, or the next one behind it in a compacted topic.
    /// False when there is none before `end`.
    fn open_next(&mut self, partition: &Partition, end: u64) -> Result<bool, LogError> {
        if self.fetched.is_empty() {
            if let Some(stored) = partition.recent(self.position) {
                self.open(stored.value)?;
                return Ok(true);
            }
            self.fetch(partition, end)?;
        }
        let Some((_, value)) = self.fetched.pop_front() else {
            return Ok(false);
        };
        self.open(value)?;
        Ok(true)
    }

    fn open(&mut self, value: Bytes) -> Result<(), LogError> {
        let position = self.position;
        let corrupt = |why| self.topic.corrupt(self.partition, position, why);
        let mut cursor = Cursor::new(value).map_err(corrupt)?;
        cursor.skip_to(position).map_err(corrupt)?;
        self.cursor = Some(cursor);
        Ok(())
    }

    /// Brings stored values from the store and checks them: not one byte that was changed, and not
    /// one offset that is missing, gets past here.
    fn fetch(&mut self, partition: &Partition, end: u64) -> Result<(), LogError> {
        let begin = self.position;
        let found = scan(&self.topic, self.partition, begin, end, FETCH_BYTES)?;
        let mut expected = begin;
        for (first, value) in &found {
            let extent = verify(value, *first)
                .map_err(|why| self.topic.corrupt(self.partition, *first, why))?;
            let has_gap = *first > expected || extent.next_offset <= begin;
            if has_gap && !self.topic.is_compacted() {
                self.end(partition)?;
                return Err(self.topic.corrupt(self.partition, expected, "records are missing"));
            }
            expected = extent.next_offset;
        }
        if found.is_empty() && !self.topic.is_compacted() {
            self.end(partition)?;
            return Err(self.topic.corrupt(self.partition, expected, "records are missing"));
        }
        self.fetched.extend(found);
        Ok(())
    }
}

impl Reader for LocalReader {
    fn poll(
        &mut self,
        limit: PollLimit,
        timeout: Duration,
        out: &mut Vec<Record>,
    ) -> Result<Polled, LogError> {
        let deadline = Instant::now() + timeout;
        let topic = self.topic.clone();
        let partition = topic.partition(self.partition)?;
        loop {
            let end = self.end(partition)?;
            let before = out.len();
            self.read(partition, end, limit, out)?;
            let at_end = self.position >= partition.watermarks().high;
            let newly = at_end && !self.told_end;
            self.told_end = at_end;
            if out.len() > before || newly || !partition.wait_beyond(self.position, deadline) {
                return Ok(Polled { end_of_partition: at_end });
            }
        }
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn seek(&mut self, offset: u64) {
        self.position = offset;
        self.told_end = false;
        self.forget();
    }
}
