//! How records lie in the store: frames of records, one behind the other in a stored value.
//!
//! A frame is what one append brought to one partition. Its records are encoded by the appending
//! thread; the writer thread, which alone knows offset and time, fills in the head. Everything is
//! little endian:
//!
//! ```text
//! head  version u8 | flags u8 | count u32 | first offset u64 | newest timestamp i64
//!       | length of the body u32 | CRC-32 of body, then of the head up to here u32
//! body  per record: parts u8, [timestamp i64 if flag 1], then each part that is there
//!       (1 key, 2 value, 4 headers) as length (LEB128) and bytes
//! ```
//!
//! Pure: bytes in, records out. A frame that was cut, changed or put elsewhere is an error and
//! never a wrong record.

use crate::log::{Outgoing, TimestampKind};

/// Bytes of a frame's head.
pub(super) const HEAD_BYTES: usize = 30;

const VERSION: u8 = 1;
const FLAG_OWN_TIMESTAMPS: u8 = 1;
pub(super) const PART_KEY: u8 = 1;
pub(super) const PART_VALUE: u8 = 2;
pub(super) const PART_HEADERS: u8 = 4;

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormatError {
    #[error("it ends in the middle of a frame")]
    Cut,
    #[error("the frame has the unknown version {0}")]
    Version(u8),
    #[error("its checksum does not match")]
    Checksum,
    #[error("a record in it is damaged")]
    Record,
    #[error("it begins at offset {found} instead of {expected}")]
    Misplaced { found: u64, expected: u64 },
}

/// Records of one append to one partition, encoded, without offset and time.
#[derive(Debug)]
pub(super) struct Body {
    /// Starts with room for the head.
    bytes: Vec<u8>,
    count: u32,
    newest_ms: Option<i64>,
    checksum: crc32fast::Hasher,
}

/// A body with its head: ready to be stored.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    pub(super) first_offset: u64,
    pub(super) next_offset: u64,
    pub(super) newest_ms: i64,
}

impl Body {
    /// Encodes records. `now_ms` is for records of a [`TimestampKind::Create`] topic that bring no
    /// time of their own.
    pub(super) fn encode(records: &[Outgoing], kind: TimestampKind, now_ms: i64) -> Self {
        let size = |record: &Outgoing| record.size_bytes() + 24;
        let capacity = HEAD_BYTES + records.iter().map(size).sum::<usize>();
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(HEAD_BYTES, 0);
        let mut newest_ms = None;
        for record in records {
            let headers = record.headers.as_bytes();
            let mut parts = 0;
            parts |= if record.key.is_some() { PART_KEY } else { 0 };
            parts |= if record.value.is_some() { PART_VALUE } else { 0 };
            parts |= if headers.is_empty() { 0 } else { PART_HEADERS };
            bytes.push(parts);
            if kind == TimestampKind::Create {
                let timestamp_ms = record.timestamp_ms.unwrap_or(now_ms);
                newest_ms = newest_ms.max(Some(timestamp_ms));
                bytes.extend_from_slice(&timestamp_ms.to_le_bytes());
            }
            for part in record.key.iter().chain(&record.value) {
                push_part(&mut bytes, part);
            }
            if !headers.is_empty() {
                push_part(&mut bytes, headers);
            }
        }
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&bytes[HEAD_BYTES..]);
        Self { bytes, count: records.len() as u32, newest_ms, checksum }
    }

    /// Bytes that the frame will have.
    pub(super) fn frame_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Fills in the head.
    pub(super) fn seal(mut self, first_offset: u64, log_ms: i64) -> Sealed {
        let newest_ms = self.newest_ms.unwrap_or(log_ms);
        let flags = if self.newest_ms.is_some() { FLAG_OWN_TIMESTAMPS } else { 0 };
        let body_bytes = (self.bytes.len() - HEAD_BYTES) as u32;
        let head = &mut self.bytes[..HEAD_BYTES];
        head[0] = VERSION;
        head[1] = flags;
        head[2..6].copy_from_slice(&self.count.to_le_bytes());
        head[6..14].copy_from_slice(&first_offset.to_le_bytes());
        head[14..22].copy_from_slice(&newest_ms.to_le_bytes());
        head[22..26].copy_from_slice(&body_bytes.to_le_bytes());
        self.checksum.update(&head[..26]);
        head[26..].copy_from_slice(&self.checksum.finalize().to_le_bytes());
        let next_offset = first_offset + u64::from(self.count);
        Sealed { bytes: self.bytes, first_offset, next_offset, newest_ms }
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) own_timestamps: bool,
    pub(super) count: u32,
    pub(super) first_offset: u64,
    pub(super) newest_ms: i64,
    pub(super) body_bytes: usize,
    checksum: u32,
}

impl Head {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let (head, _) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(FormatError::Cut)?;
        if head[0] != VERSION {
            return Err(FormatError::Version(head[0]));
        }
        let mut at = 2;
        Ok(Self {
            own_timestamps: head[1] & FLAG_OWN_TIMESTAMPS != 0,
            count: u32::from_le_bytes(take(head, &mut at)),
            first_offset: u64::from_le_bytes(take(head, &mut at)),
            newest_ms: i64::from_le_bytes(take(head, &mut at)),
            body_bytes: u32::from_le_bytes(take(head, &mut at)) as usize,
            checksum: u32::from_le_bytes(take(head, &mut at)),
        })
    }
}

/// What a whole stored value holds, after its checksums were found right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first_offset: u64,
    pub(super) next_offset: u64,
    pub(super) newest_ms: i64,
}

/// Checks all frames of a stored value.
pub(super) fn verify(value: &[u8], expected: u64) -> Result<Extent, FormatError> {
    let mut rest = value;
    let mut extent = Extent { first_offset: expected, next_offset: expected, newest_ms: i64::MIN };
    loop {
        let head = Head::read(rest)?;
        let frame_bytes = HEAD_BYTES.saturating_add(head.body_bytes);
        let (frame, after) = rest.split_at_checked(frame_bytes).ok_or(FormatError::Cut)?;
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&frame[HEAD_BYTES..]);
        checksum.update(&frame[..26]);
        if checksum.finalize() != head.checksum {
            return Err(FormatError::Checksum);
        }
        let expected = extent.next_offset;
        if head.first_offset != expected {
            return Err(FormatError::Misplaced { found: head.first_offset, expected });
        }
        extent.next_offset = expected.saturating_add(u64::from(head.count));
        extent.newest_ms = extent.newest_ms.max(head.newest_ms);
        rest = after;
        if rest.is_empty() {
            return Ok(extent);
        }
    }
}

fn take<const N: usize>(head: &[u8; HEAD_BYTES], at: &mut usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&head[*at..*at + N]);
    *at += N;
    field
}

fn push_part(bytes: &mut Vec<u8>, part: &[u8]) {
    let mut length = part.len() as u32;
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::cursor::{Cursor, Step};
    use super::*;
    use crate::log::Record;
    use crate::log::headers::HeadersBuilder;

    fn outgoing(key: Option<&str>, value: Option<&str>, timestamp_ms: Option<i64>) -> Outgoing {
        let bytes = |text: Option<&str>| text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        let mut headers = HeadersBuilder::default();
        if key.is_some() {
            headers.push("link", b"\x00\x01").push("empty", b"");
        }
        Outgoing { key: bytes(key), value: bytes(value), headers: headers.build(), timestamp_ms }
    }

    fn samples() -> Vec<Outgoing> {
        let long = "x".repeat(20_000);
        vec![
            outgoing(Some("a"), Some("1"), Some(7)),
            outgoing(None, Some(&long), None),
            outgoing(Some("b"), None, Some(9)),
            outgoing(None, None, Some(-3)),
            outgoing(Some(""), Some(""), Some(8)),
        ]
    }

    /// Two frames, the first at `first`, stamped with 50 and 60 by the log.
    fn value(first: u64, kind: TimestampKind) -> Vec<u8> {
        let one = Body::encode(&samples()[..2], kind, 40).seal(first, 50);
        let other = Body::encode(&samples()[2..], kind, 41).seal(one.next_offset, 60);
        [one.bytes, other.bytes].concat()
    }

    fn read(value: Vec<u8>, from: u64) -> Vec<Record> {
        let mut cursor = Cursor::new(Bytes::from(value)).unwrap();
        cursor.skip_to(from).unwrap();
        std::iter::from_fn(|| match cursor.next(usize::MAX).unwrap() {
            Step::Record(record, _) => Some(record),
            Step::TooLarge | Step::End => None,
        })
        .collect()
    }

    #[test]
    fn records_come_back_as_they_were_from_any_offset_on() {
        for kind in [TimestampKind::LogAppend, TimestampKind::Create] {
            let stored = value(100, kind);
            let extent = verify(&stored, 100).unwrap();
            assert_eq!((extent.first_offset, extent.next_offset), (100, 105));
            let stamps = match kind {
                TimestampKind::LogAppend => [50, 50, 60, 60, 60],
                TimestampKind::Create => [7, 40, 9, -3, 8],
            };
            assert_eq!(extent.newest_ms, stamps.into_iter().max().unwrap());
            for from in 0..=106 {
                let records = read(stored.clone(), from);
                let skipped = from.clamp(100, 105) - 100;
                assert_eq!(records.len() as u64, 5 - skipped, "from {from}");
                for (record, index) in records.iter().zip(skipped as usize..) {
                    let sample = &samples()[index];
                    assert_eq!(record.offset, 100 + index as u64);
                    assert_eq!((&record.key, &record.value), (&sample.key, &sample.value));
                    assert_eq!(record.headers, sample.headers);
                    assert_eq!(record.timestamp_ms, stamps[index]);
                }
            }
        }
    }

    #[test]
    fn a_record_that_is_too_large_for_now_comes_later() {
        let mut cursor = Cursor::new(value(0, TimestampKind::Create).into()).unwrap();
        cursor.skip_to(1).unwrap();
        assert_eq!(cursor.next(19_999).unwrap(), Step::TooLarge);
        let Step::Record(record, bytes) = cursor.next(20_000).unwrap() else { panic!("none") };
        assert_eq!((record.offset, bytes), (1, 20_000));
        let Step::Record(record, _) = cursor.next(usize::MAX).unwrap() else { panic!("none") };
        assert_eq!(record.offset, 2);
    }

    #[test]
    fn a_value_that_was_cut_is_an_error_at_every_length() {
        let stored = value(5, TimestampKind::Create);
        let boundary = Body::encode(&samples()[..2], TimestampKind::Create, 40).frame_bytes();
        for length in 0..stored.len() {
            // Cut between frames it is whole, only shorter, which the next value's offset tells.
            assert_eq!(verify(&stored[..length], 5).is_ok(), length == boundary, "cut to {length}");
        }
    }

    #[test]
    fn a_value_in_which_any_bit_changed_is_an_error() {
        let stored = value(5, TimestampKind::Create);
        let bits = (0..stored.len() * 8).filter(|bit| bit % 8 == bit / 8 % 8 || *bit < 64 * 8);
        for bit in bits {
            let mut changed = stored.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&changed, 5).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_value_in_another_place_is_an_error() {
        let stored = value(5, TimestampKind::LogAppend);
        let misplaced = FormatError::Misplaced { found: 5, expected: 6 };
        assert_eq!(verify(&stored, 6), Err(misplaced));
        let mut swapped = Body::encode(&samples(), TimestampKind::LogAppend, 0).seal(0, 0).bytes;
        swapped.extend(Body::encode(&samples(), TimestampKind::LogAppend, 0).seal(4, 0).bytes);
        assert_eq!(verify(&swapped, 0), Err(FormatError::Misplaced { found: 4, expected: 5 }));
    }

    #[test]
    fn garbage_is_no_value() {
        assert_eq!(verify(&[], 0), Err(FormatError::Cut));
        assert_eq!(verify(&[0; 100], 0), Err(FormatError::Version(0)));
        assert!(verify(&[1; 100], 0x0101_0101_0101_0101).is_err());
    }
}
