//! Throws away what a topic's settings let go: old values, and tombstones that were seen by all.
//!
//! It only looks; the writer thread removes, in order with everything else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::engine::Shared;
use super::format::verify;
use super::keys;
use super::queue::{Answer, Job, Tombstone, closed};
use super::store::{entry, unreadable};
use super::topic::Topic;
use crate::log::{Cleanup, LogError};

/// What is removed at once, so that nothing else waits long.
const REMOVED_AT_ONCE: usize = 1_000;

/// Goes through all topics once.
pub(super) fn run(shared: &Shared) -> Result<(), LogError> {
    let now_ms = shared.options.clock.now_ms();
    let before =
        |age: Duration| now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    for topic in shared.topics() {
        for partition in 0..topic.description.spec.partitions {
            match topic.description.spec.cleanup {
                Cleanup::Delete { retention: None } => {}
                Cleanup::Delete { retention: Some(age) } => {
                    while trim(shared, &topic, partition, before(age))? {}
                }
                Cleanup::Compact => {
                    let oldest_ms = before(shared.options.tombstone_retention);
                    while bury(shared, &topic, partition, oldest_ms)? {}
                }
            }
        }
    }
    Ok(())
}

/// Removes values of which all records are older than `oldest_ms`. True when there may be more.
fn trim(
    shared: &Shared,
    topic: &Arc<Topic>,
    number: u32,
    oldest_ms: i64,
) -> Result<bool, LogError> {
    let partition = topic.partition(number)?;
    let marks = partition.watermarks();
    let known = *partition.oldest.lock();
    if known.is_some_and(|(next, newest_ms)| next > marks.low && newest_ms >= oldest_ms) {
        return Ok(false);
    }
    let mut low = marks.low;
    let mut values = Vec::new();
    let range = keys::record_key(number, marks.low)..keys::record_key(number, marks.high);
    for guard in topic.records.range(range) {
        let (first, value) = entry(topic, number, guard)?;
        let extent = verify(&value, first).map_err(|why| topic.corrupt(number, first, why))?;
        if extent.newest_ms >= oldest_ms {
            *partition.oldest.lock() = Some((extent.next_offset, extent.newest_ms));
            break;
        }
        low = extent.next_offset;
        values.push(first);
        if values.len() == REMOVED_AT_ONCE {
            break;
        }
    }
    if values.is_empty() {
        return Ok(false);
    }
    let more = values.len() == REMOVED_AT_ONCE;
    let (answer, waiting) = Answer::new();
    let topic = topic.clone();
    shared.queue.push(Job::Trim { topic, partition: number, values, low, answer });
    waiting.recv().unwrap_or_else(|_| Err(closed()))?;
    Ok(more)
}

/// Removes tombstones older than `oldest_ms`. True when there may be more.
fn bury(
    shared: &Shared,
    topic: &Arc<Topic>,
    partition: u32,
    oldest_ms: i64,
) -> Result<bool, LogError> {
    let Some(order) = &topic.order else {
        return Ok(false);
    };
    let end = topic.partition(partition)?.watermarks().high;
    let mut tombstones = Vec::new();
    let range = keys::tombstone_key(partition, 0)..keys::tombstone_key(partition, end);
    for guard in order.range(range) {
        let (key, value) =
            guard.into_inner().map_err(|error| unreadable(topic, partition, &error))?;
        let offset = keys::record_offset(key.get(1..).unwrap_or_default());
        let (Some(offset), Some((written_ms, key))) = (offset, value.split_first_chunk::<8>())
        else {
            return Err(topic.corrupt(partition, 0, "a tombstone's entry cannot be read"));
        };
        if i64::from_be_bytes(*written_ms) >= oldest_ms {
            break;
        }
        tombstones.push(Tombstone { offset, key: Bytes::copy_from_slice(key) });
        if tombstones.len() == REMOVED_AT_ONCE {
            break;
        }
    }
    if tombstones.is_empty() {
        return Ok(false);
    }
    let more = tombstones.len() == REMOVED_AT_ONCE;
    let (answer, waiting) = Answer::new();
    shared.queue.push(Job::Bury { topic: topic.clone(), partition, tombstones, answer });
    waiting.recv().unwrap_or_else(|_| Err(closed()))?;
    Ok(more)
}
