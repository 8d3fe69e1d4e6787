//! A record by itself.

use std::time::Duration;

use super::{Isolation, Log, LogError, PollLimit, Record, TopicPartition};

/// Of one record; a larger one comes all the same.
const ONE: PollLimit = PollLimit { records: 1, bytes: 1 << 20 };

/// The record at an offset, whether its transaction counts or not, or the next one behind it. `None` if
/// the log brings none for `longest`.
///
/// # Errors
/// When the log cannot be read.
pub fn read_one(
    log: &dyn Log,
    place: &TopicPartition,
    offset: u64,
    longest: Duration,
) -> Result<Option<Record>, LogError> {
    let mut records = Vec::with_capacity(1);
    log.reader(place, offset, Isolation::Uncommitted)?.poll(ONE, longest, &mut records)?;
    Ok(records.pop())
}
