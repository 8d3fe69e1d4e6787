//! Compacted topics in the store: rows by key, and beside them the order of their offsets.
//!
//! A row replaces the one before of its key in place, so what is superseded costs room only until
//! tables are merged next, however often a key is written. (Rows by offset would leave a small
//! mark for each large row that is gone, and marks and rows may lie apart for long.)

use bytes::Bytes;

use super::format::{Head, verify};
use super::keys;
use super::store::unreadable;
use super::topic::Topic;
use crate::log::LogError;

/// Where the newest row of a key lies.
pub(super) fn newest(topic: &Topic, partition: u32, key: &[u8]) -> Result<Option<u64>, LogError> {
    let found = topic.records.get(keys::row_key(partition, key));
    let Some(row) = found.map_err(|error| unreadable(topic, partition, &error))? else {
        return Ok(None);
    };
    let head = Head::read(&row).map_err(|why| topic.corrupt(partition, 0, why))?;
    Ok(Some(head.first_offset))
}

/// Rows from `offset` up to `end` in order, up to about `bytes_max`.
pub(super) fn scan(
    topic: &Topic,
    partition: u32,
    offset: u64,
    end: u64,
    bytes_max: usize,
) -> Result<Vec<(u64, Bytes)>, LogError> {
    let Some(order) = &topic.order else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut bytes = 0;
    for guard in order.range(keys::order_key(partition, offset)..keys::order_key(partition, end)) {
        // Superseded while we looked: the newer row comes later.
        let Some((offset, row)) = row(topic, partition, guard)? else { continue };
        bytes += row.len();
        found.push((offset, row));
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(found)
}

/// Next offset and newest time by the newest rows, which are checked.
pub(super) fn recover(
    topic: &Topic,
    partition: u32,
    checked: usize,
) -> Result<Option<(u64, i64)>, LogError> {
    let Some(order) = &topic.order else { return Ok(None) };
    let mut newest = None;
    let range = keys::order_key(partition, 0)..=keys::order_key(partition, u64::MAX);
    for guard in order.range(range).rev().take(checked) {
        let Some((offset, row)) = row(topic, partition, guard)? else {
            let next = newest.map_or(0, |(next, _)| next);
            return Err(topic.corrupt(partition, next, "a row is missing"));
        };
        let extent = verify(&row, offset).map_err(|why| topic.corrupt(partition, offset, why))?;
        newest.get_or_insert((extent.next_offset, extent.newest_ms));
    }
    Ok(newest)
}

/// The row that an entry of the order points to, unless a newer one has taken its place.
fn row(
    topic: &Topic,
    partition: u32,
    guard: fjall::Guard,
) -> Result<Option<(u64, Bytes)>, LogError> {
    let unreadable = |error| unreadable(topic, partition, &error);
    let (order_key, key) = guard.into_inner().map_err(unreadable)?;
    let offset = order_key.get(1..).and_then(keys::record_offset);
    let offset = offset.ok_or_else(|| topic.corrupt(partition, 0, "a key cannot be read"))?;
    let row = topic.records.get(keys::row_key(partition, &key)).map_err(unreadable)?;
    let Some(row) = row else { return Ok(None) };
    let head = Head::read(&row).map_err(|why| topic.corrupt(partition, offset, why))?;
    Ok((head.first_offset == offset).then(|| (offset, Bytes::from_owner(row))))
}
