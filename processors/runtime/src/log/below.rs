//! Reading up to an offset that was the end of a partition when somebody looked.

use std::time::{Duration, Instant};

use super::{LogError, LogErrorKind, PollLimit, Reader, Record, TopicPartition};

/// Reads on towards `end`, and has the records in `out` alone: none where it came over nothing but
/// marks of the log itself. `false` when it is there already.
///
/// # Errors
/// When the log cannot be read, or gives nothing below `end` within `timeout`.
pub fn poll_below(
    reader: &mut dyn Reader,
    partition: &TopicPartition,
    end: u64,
    limit: PollLimit,
    timeout: Duration,
    out: &mut Vec<Record>,
) -> Result<bool, LogError> {
    out.clear();
    until_moved(
        reader,
        partition,
        end,
        timeout,
        |reader| reader.position(),
        |reader, left| reader.poll(limit, left, out).map(drop),
    )
}

/// Polls until the offset has risen; `false` when it is at `end` already.
pub(crate) fn until_moved<R: ?Sized>(
    reader: &mut R,
    partition: &TopicPartition,
    end: u64,
    timeout: Duration,
    offset: impl Fn(&R) -> u64,
    mut poll: impl FnMut(&mut R, Duration) -> Result<(), LogError>,
) -> Result<bool, LogError> {
    let before = offset(reader);
    if before >= end {
        return Ok(false);
    }
    let deadline = Instant::now() + timeout;
    // What a poll brings may be no more than the word that an earlier end was reached.
    while offset(reader) == before {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let reason =
                format!("{partition} gives nothing from {before} on, and it ends at {end}");
            return Err(LogError::new(LogErrorKind::TimedOut, reason));
        }
        poll(reader, left)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Headers, Polled};

    /// Gives what a test says, poll by poll: records, and how far it is then.
    struct Told(u64, Vec<(usize, u64)>);

    impl Reader for Told {
        fn poll(
            &mut self,
            _: PollLimit,
            _: Duration,
            out: &mut Vec<Record>,
        ) -> Result<Polled, LogError> {
            if !self.1.is_empty() {
                let (count, position) = self.1.remove(0);
                let record = Record {
                    offset: 0,
                    timestamp_ms: 0,
                    key: None,
                    value: None,
                    headers: Headers::default(),
                };
                out.extend(std::iter::repeat_n(record, count));
                self.0 = position;
            }
            Ok(Polled { end_of_partition: true })
        }

        fn position(&self) -> u64 {
            self.0
        }

        fn seek(&mut self, offset: u64) {
            self.0 = offset;
        }
    }

    #[test]
    fn a_poll_that_brings_nothing_is_not_the_end_and_marks_are_passed() {
        let place = TopicPartition::new("letters", 0);
        let limit = PollLimit { records: 9, bytes: 9 };
        // An end that was reached before, two records, another such end, and a mark of the log.
        let mut reader = Told(0, vec![(0, 0), (2, 2), (0, 2), (0, 3)]);
        let (mut out, wait) = (Vec::new(), Duration::from_secs(60));
        let mut read =
            |wait, out: &mut Vec<Record>| poll_below(&mut reader, &place, 3, limit, wait, out);
        assert!(read(wait, &mut out).unwrap());
        assert_eq!(out.len(), 2);
        assert!(read(wait, &mut out).unwrap());
        assert!(out.is_empty());
        assert!(!read(wait, &mut out).unwrap());
        reader.seek(1);
        let error =
            poll_below(&mut reader, &place, 3, limit, Duration::ZERO, &mut out).unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::TimedOut);
    }
}
