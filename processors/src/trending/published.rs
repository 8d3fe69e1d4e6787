//! What was published last of each event: what the topic of trends says.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::{Isolation, Log, PollLimit, TopicPartition};
use cityevents_schemas::ErrorClass;
use cityevents_schemas::message::{Trend, TrendState, decode_trend};

const READ: PollLimit = PollLimit { records: 16_384, bytes: 8 << 20 };
/// How long one read may wait; an end that is reached ends it at once.
const READ_WAIT: Duration = Duration::from_secs(5);
/// Reads in a row that may bring nothing.
const EMPTY_READS_MAX: u32 = 3;

/// The events that are in a list, each as its last record says, in the order of those.
pub(super) fn last_of_each(
    log: &dyn Log,
    partition: &TopicPartition,
) -> Result<Vec<Trend>, TaskError> {
    let marks = log.watermarks(partition)?;
    let mut reader = log.reader(partition, marks.low, Isolation::Committed)?;
    let mut last: BTreeMap<Bytes, (u64, Trend)> = BTreeMap::new();
    let mut records = Vec::new();
    let mut empty = 0;
    // The last offsets may be marks of the log itself, which nobody is given.
    while reader.position() < marks.high {
        let before = reader.position();
        let polled = reader.poll(READ, READ_WAIT, &mut records)?;
        for record in records.drain(..) {
            let Some(key) = record.key.clone() else { continue };
            let value = record.value.as_deref().unwrap_or_default();
            let trend = decode_trend(value).map_err(|error| {
                let place = format!("the trend at {partition} offset {}", record.offset);
                match error.class() {
                    ErrorClass::Retry => {
                        TaskError::Restart(format!("{place} cannot be read now: {error}"))
                    }
                    ErrorClass::Reject => TaskError::Stop(format!(
                        "{place} cannot be read: {error}; upgrade this program"
                    )),
                }
            })?;
            match trend.state {
                TrendState::Ranked => drop(last.insert(key, (record.offset, trend))),
                TrendState::Dropped => drop(last.remove(&key)),
            }
        }
        if polled.end_of_partition && reader.position() == before {
            empty += 1;
            if empty >= EMPTY_READS_MAX {
                break;
            }
        }
    }
    let mut all: Vec<_> = last.into_values().collect();
    all.sort_unstable_by_key(|(offset, _)| *offset);
    // Of two that claim one slot the later one has it.
    Ok(all.into_iter().rev().map(|(_, trend)| trend).collect())
}
