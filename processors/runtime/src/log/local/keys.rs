//! Keys and small values of the store: pure.
//!
//! Topics are known by a number of their own there, so that a name costs no room in every key.
//! Numbers in keys are big endian, because keys lie in byte order.

use std::sync::Arc;
use std::time::Duration;

use crate::log::{Cleanup, Committed, TimestampKind, TopicDescription, TopicPartition, TopicSpec};

/// Description of a topic, by name.
pub(super) const TOPICS: u8 = b't';
/// Progress, by group and partition.
pub(super) const PROGRESS: u8 = b'g';
/// Epoch of a writer identity.
pub(super) const EPOCHS: u8 = b'e';
const BOUNDS: u8 = b'p';

const FOREVER: u64 = u64::MAX;

/// Key of a stored value of a partition.
pub(super) fn record_key(partition: u32, offset: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&partition.to_be_bytes());
    key[4..].copy_from_slice(&offset.to_be_bytes());
    key
}

/// The offset in such a key.
pub(super) fn record_offset(key: &[u8]) -> Option<u64> {
    let (_, offset) = key.split_first_chunk::<4>()?;
    Some(u64::from_be_bytes(offset.try_into().ok()?))
}

/// Key of a row of a compacted topic.
pub(super) fn row_key(partition: u32, key: &[u8]) -> Vec<u8> {
    [&partition.to_be_bytes()[..], key].concat()
}

/// Key in the order of a compacted topic: which row has this offset.
pub(super) fn order_key(partition: u32, offset: u64) -> Vec<u8> {
    [b"o", &record_key(partition, offset)[..]].concat()
}

/// Key in the order of a compacted topic: a tombstone, so that it can go in its time.
pub(super) fn tombstone_key(partition: u32, offset: u64) -> Vec<u8> {
    [b"d", &record_key(partition, offset)[..]].concat()
}

/// The first offset and the floor of the next one, which count where no record is left to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bounds {
    pub(super) low: u64,
    pub(super) next_offset_min: u64,
    pub(super) newest_ms: i64,
}

pub(super) fn bounds_key(ordinal: u32, partition: u32) -> Vec<u8> {
    [&[BOUNDS][..], &ordinal.to_be_bytes(), &partition.to_be_bytes()].concat()
}

impl Bounds {
    pub(super) fn encode(self) -> Vec<u8> {
        let Self { low, next_offset_min, newest_ms } = self;
        [low.to_be_bytes(), next_offset_min.to_be_bytes(), newest_ms.to_be_bytes()].concat()
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let low = u64::from_be_bytes(take(&mut bytes)?);
        let next_offset_min = u64::from_be_bytes(take(&mut bytes)?);
        let newest_ms = i64::from_be_bytes(take(&mut bytes)?);
        bytes.is_empty().then_some(Self { low, next_offset_min, newest_ms })
    }
}

pub(super) fn topic_key(name: &str) -> Vec<u8> {
    [&[TOPICS], name.as_bytes()].concat()
}

pub(super) fn encode_topic(ordinal: u32, description: &TopicDescription) -> Vec<u8> {
    let TopicDescription { id, spec } = description;
    let mut bytes = ordinal.to_be_bytes().to_vec();
    bytes.extend_from_slice(&spec.partitions.to_be_bytes());
    let (cleanup, retention_ms) = match spec.cleanup {
        Cleanup::Delete { retention: None } => (0, FOREVER),
        Cleanup::Delete { retention: Some(age) } => {
            (0, u64::try_from(age.as_millis()).unwrap_or(FOREVER))
        }
        Cleanup::Compact => (1, FOREVER),
    };
    bytes.push(cleanup);
    bytes.extend_from_slice(&retention_ms.to_be_bytes());
    bytes.push(u8::from(spec.timestamps == TimestampKind::Create));
    bytes.push(u8::from(spec.durable));
    bytes.extend_from_slice(id.as_bytes());
    bytes
}

pub(super) fn decode_topic(key: &[u8], mut bytes: &[u8]) -> Option<(u32, TopicDescription)> {
    let name: Arc<str> = std::str::from_utf8(key.get(1..)?).ok()?.into();
    let ordinal = u32::from_be_bytes(take(&mut bytes)?);
    let partitions = u32::from_be_bytes(take(&mut bytes)?);
    let [cleanup] = take(&mut bytes)?;
    let retention_ms = u64::from_be_bytes(take(&mut bytes)?);
    let [create, durable] = take(&mut bytes)?;
    let retention = (retention_ms != FOREVER).then(|| Duration::from_millis(retention_ms));
    let cleanup = match cleanup {
        0 => Cleanup::Delete { retention },
        1 => Cleanup::Compact,
        _ => return None,
    };
    let timestamps = if create == 1 { TimestampKind::Create } else { TimestampKind::LogAppend };
    let spec = TopicSpec { name, partitions, cleanup, timestamps, durable: durable == 1 };
    let id = std::str::from_utf8(bytes).ok()?.to_owned();
    Some((ordinal, TopicDescription { id, spec }))
}

pub(super) fn progress_key(group: &str, place: &TopicPartition) -> Vec<u8> {
    let mut key = vec![PROGRESS];
    for name in [group, &place.topic] {
        key.extend_from_slice(&(name.len() as u32).to_be_bytes());
        key.extend_from_slice(name.as_bytes());
    }
    key.extend_from_slice(&place.partition.to_be_bytes());
    key
}

pub(super) fn encode_progress(committed: &Committed) -> Vec<u8> {
    [&committed.offset.to_be_bytes()[..], committed.metadata.as_bytes()].concat()
}

/// Group, partition and progress of an entry.
pub(super) fn decode_progress(
    key: &[u8],
    mut value: &[u8],
) -> Option<(String, TopicPartition, Committed)> {
    let mut key = key.get(1..)?;
    let group = take_name(&mut key)?;
    let topic = take_name(&mut key)?;
    let partition = u32::from_be_bytes(take(&mut key)?);
    let offset = u64::from_be_bytes(take(&mut value)?);
    let metadata = std::str::from_utf8(value).ok()?.to_owned();
    let place = TopicPartition::new(topic, partition);
    key.is_empty().then_some((group.to_owned(), place, Committed { offset, metadata }))
}

pub(super) fn epoch_key(identity: &str) -> Vec<u8> {
    [&[EPOCHS], identity.as_bytes()].concat()
}

/// Takes a number off the front.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*field)
}

fn take_name<'a>(key: &mut &'a [u8]) -> Option<&'a str> {
    let length = u32::from_be_bytes(take(key)?) as usize;
    let (name, rest) = key.split_at_checked(length)?;
    *key = rest;
    std::str::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(cleanup: Cleanup, timestamps: TimestampKind, durable: bool) -> TopicDescription {
        let name = Arc::from("town.event-facts");
        let spec = TopicSpec { name, partitions: 4, cleanup, timestamps, durable };
        TopicDescription { id: "0123-abcd".to_owned(), spec }
    }

    #[test]
    fn a_topic_reads_back_as_it_was_written() {
        let week = Some(Duration::from_secs(7 * 24 * 60 * 60));
        let all = [
            description(Cleanup::Delete { retention: None }, TimestampKind::LogAppend, true),
            description(Cleanup::Delete { retention: week }, TimestampKind::Create, false),
            description(Cleanup::Compact, TimestampKind::Create, true),
        ];
        for topic in all {
            let key = topic_key(&topic.spec.name);
            let bytes = encode_topic(7, &topic);
            assert_eq!(decode_topic(&key, &bytes), Some((7, topic)));
            assert_eq!(decode_topic(&key, &bytes[..10]), None);
        }
    }

    #[test]
    fn progress_reads_back_as_it_was_written() {
        let place = TopicPartition::new("facts", 3);
        let committed = Committed { offset: 99, metadata: "cursor".to_owned() };
        let (key, value) = (progress_key("readers", &place), encode_progress(&committed));
        assert_eq!(decode_progress(&key, &value), Some(("readers".to_owned(), place, committed)));
        assert_eq!(decode_progress(&key[..9], &value), None);
        assert_eq!(decode_progress(&key, &value[..7]), None);
    }

    #[test]
    fn keys_of_records_lie_in_the_order_of_offsets() {
        assert!(record_key(1, 255) < record_key(1, 256));
        assert!(record_key(1, u64::MAX) < record_key(2, 0));
        assert_eq!(record_offset(&record_key(9, 77)), Some(77));
    }

    #[test]
    fn bounds_read_back_as_they_were_written() {
        let bounds = Bounds { low: 5, next_offset_min: 9, newest_ms: -4 };
        assert_eq!(Bounds::decode(&bounds.encode()), Some(bounds));
        assert_eq!(Bounds::decode(&bounds.encode()[..23]), None);
    }
}
