//! Reads commands beside the facts, as far as they are kept.

use std::collections::VecDeque;
use std::time::Duration;

use cityevents_domain::command::Command;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::{
    Isolation, Log, LogError, LogErrorKind, PollLimit, Reader, Record, TopicPartition,
};
use cityevents_schemas::message::decode_command;
use cityevents_schemas::{DecodeError, ErrorClass};

const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(10);
/// Commands that are read and thrown away rather than jumped over: a jump costs a question to the
/// log.
const JUMP_OVER: u64 = 50_000;

/// What is at an offset of the commands.
#[derive(Debug)]
pub enum Found {
    /// A command, and when the log took it.
    Command {
        /// What it says.
        command: Command,
        /// The log's own stamp.
        taken_at: Timestamp,
    },
    /// A record that is no command.
    Undecodable,
    /// A record that cannot be read now, and why.
    Away(DecodeError),
    /// Nothing any more: commands are kept for a while only.
    Expired,
    /// Nothing yet, or nothing ever.
    Nothing,
}

/// Finds commands by their offsets, asked in rising order.
pub struct CommandReader {
    partition: TopicPartition,
    reader: Box<dyn Reader>,
    low: u64,
    high: u64,
    batch: VecDeque<Record>,
}

impl CommandReader {
    /// At the first command that is kept.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn open(log: &dyn Log, partition: &TopicPartition) -> Result<Self, LogError> {
        let marks = log.watermarks(partition)?;
        Ok(Self {
            partition: partition.clone(),
            reader: log.reader(partition, marks.low, Isolation::Uncommitted)?,
            low: marks.low,
            high: marks.high,
            batch: VecDeque::new(),
        })
    }

    /// What is at an offset. `log` is asked again when commands expire while they are read.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn find(&mut self, log: &dyn Log, offset: u64) -> Result<Found, LogError> {
        if offset >= self.high {
            return Ok(Found::Nothing);
        }
        loop {
            if offset < self.low {
                return Ok(Found::Expired);
            }
            while let Some(record) = self.batch.pop_front() {
                if record.offset == offset {
                    return Ok(found(&record));
                }
                if record.offset > offset {
                    self.batch.push_front(record);
                    return Ok(Found::Nothing);
                }
            }
            self.read_on(log, offset)?;
        }
    }

    fn read_on(&mut self, log: &dyn Log, offset: u64) -> Result<(), LogError> {
        if self.reader.position() + JUMP_OVER < offset {
            self.reader.seek(offset);
        }
        let before = self.reader.position();
        let mut batch = Vec::new();
        match self.reader.poll(READ, READ_WAIT, &mut batch) {
            Ok(_) => {}
            Err(error) if error.kind() == LogErrorKind::OffsetOutOfRange => {
                let low = log.watermarks(&self.partition)?.low;
                if low <= self.low {
                    return Err(error);
                }
                self.low = low;
                self.reader.seek(low);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if batch.is_empty() && self.reader.position() == before {
            let message = format!("{} gives nothing below {}", self.partition, self.high);
            return Err(LogError::new(LogErrorKind::TimedOut, message));
        }
        self.batch.extend(batch);
        Ok(())
    }
}

fn found(record: &Record) -> Found {
    match decode_command(record.value.as_deref().unwrap_or_default()) {
        Ok(command) => {
            Found::Command { command, taken_at: Timestamp::from_millis(record.timestamp_ms) }
        }
        Err(error) if error.class() == ErrorClass::Retry => Found::Away(error),
        Err(_) => Found::Undecodable,
    }
}
