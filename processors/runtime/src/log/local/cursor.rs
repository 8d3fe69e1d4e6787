//! Walks the records of a stored value. Pure.

use bytes::Bytes;

use super::format::{FormatError, HEAD_BYTES, Head, PART_HEADERS, PART_KEY, PART_VALUE};
use crate::log::{Headers, Record};

/// What [`Cursor::next`] came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A record and its bytes.
    Record(Record, usize),
    /// It is there, but too large for now.
    TooLarge,
    /// The value has no more.
    End,
}

/// Walks the records of a stored value that was found whole.
#[derive(Debug)]
pub(super) struct Cursor {
    value: Bytes,
    at: usize,
    head: Head,
    /// Records of the present frame that are still to come.
    left: u32,
    offset: u64,
}

impl Cursor {
    pub(super) fn new(value: Bytes) -> Result<Self, FormatError> {
        let head = Head::read(&value)?;
        Ok(Self { value, at: HEAD_BYTES, head, left: head.count, offset: head.first_offset })
    }

    /// Passes records before `offset`.
    pub(super) fn skip_to(&mut self, offset: u64) -> Result<(), FormatError> {
        while self.offset < offset && self.enter_frame()? {
            let frame_end = self.offset + u64::from(self.left);
            if frame_end <= offset {
                self.pass_frame()?;
            } else {
                self.next_parts()?;
            }
        }
        Ok(())
    }

    /// The next record, if it has no more than `bytes_max`; its parts share the memory of the
    /// stored value.
    pub(super) fn next(&mut self, bytes_max: usize) -> Result<Step, FormatError> {
        if !self.enter_frame()? {
            return Ok(Step::End);
        }
        let (at, offset) = (self.at, self.offset);
        let parts = self.next_parts()?;
        let length = |part: Option<(usize, usize)>| part.map_or(0, |(start, end)| end - start);
        let bytes = length(parts.key) + length(parts.value) + length(parts.headers);
        if bytes > bytes_max {
            self.at = at;
            self.offset = offset;
            self.left += 1;
            return Ok(Step::TooLarge);
        }
        let slice = |part: (usize, usize)| self.value.slice(part.0..part.1);
        let headers = match parts.headers {
            Some(part) => Headers::from_bytes(slice(part)).ok_or(FormatError::Record)?,
            None => Headers::empty(),
        };
        let (key, value) = (parts.key.map(slice), parts.value.map(slice));
        let timestamp_ms = parts.timestamp_ms;
        Ok(Step::Record(Record { offset, timestamp_ms, key, value, headers }, bytes))
    }

    /// Whether there is a record to come; opens the next frame where one is used up.
    fn enter_frame(&mut self) -> Result<bool, FormatError> {
        while self.left == 0 {
            if self.at >= self.value.len() {
                return Ok(false);
            }
            self.head = Head::read(&self.value[self.at..])?;
            self.at += HEAD_BYTES;
            self.left = self.head.count;
            self.offset = self.head.first_offset;
        }
        Ok(true)
    }

    /// Passes the rest of a frame of which nothing was read yet, or reads on record by record.
    fn pass_frame(&mut self) -> Result<(), FormatError> {
        if self.left == self.head.count {
            self.at += self.head.body_bytes;
            self.offset += u64::from(self.left);
            self.left = 0;
        }
        while self.left > 0 {
            self.next_parts()?;
        }
        Ok(())
    }

    fn next_parts(&mut self) -> Result<Parts, FormatError> {
        let bytes = &self.value[..];
        let mut at = self.at;
        let present = *bytes.get(at).ok_or(FormatError::Record)?;
        at += 1;
        let mut timestamp_ms = self.head.newest_ms;
        if self.head.own_timestamps {
            let raw = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
            timestamp_ms = i64::from_le_bytes(*raw.ok_or(FormatError::Record)?);
            at += 8;
        }
        let mut part = |flag: u8| {
            if present & flag == 0 {
                return Ok(None);
            }
            take_part(bytes, &mut at).map(Some)
        };
        let (key, value, headers) = (part(PART_KEY)?, part(PART_VALUE)?, part(PART_HEADERS)?);
        self.at = at;
        self.left -= 1;
        self.offset += 1;
        Ok(Parts { timestamp_ms, key, value, headers })
    }
}

struct Parts {
    timestamp_ms: i64,
    key: Option<(usize, usize)>,
    value: Option<(usize, usize)>,
    headers: Option<(usize, usize)>,
}

fn take_part(bytes: &[u8], at: &mut usize) -> Result<(usize, usize), FormatError> {
    let mut length = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *bytes.get(*at).ok_or(FormatError::Record)?;
        *at += 1;
        length |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let start = *at;
            let end = start + length as usize;
            if end > bytes.len() {
                return Err(FormatError::Record);
            }
            *at = end;
            return Ok((start, end));
        }
    }
    Err(FormatError::Record)
}
