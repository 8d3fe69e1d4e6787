//! A sink that stops at a moment or at an offset.

use cityevents_domain::time::Timestamp;
use cityevents_runtime::consumer::FactSink;
use cityevents_runtime::follower::{LinkedRecord, Position};
use cityevents_runtime::host::TaskError;
use cityevents_schemas::message::decode_link;

use crate::unreadable_fact;

/// Up to where facts are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Until {
    /// Nothing that was decided later than this, by log time.
    pub moment: Option<Timestamp>,
    /// Nothing at or behind this offset.
    pub offset: Option<u64>,
}

/// Hands links on up to a bound, and passes nothing behind it: not even progress.
pub struct Bounded<S> {
    inner: S,
    partition: u32,
    until: Until,
    at: Option<Position>,
    facts: u64,
    has_ended: bool,
}

impl<S> Bounded<S> {
    /// In front of a sink.
    pub const fn new(inner: S, partition: u32, until: Until) -> Self {
        Self { inner, partition, until, at: None, facts: 0, has_ended: false }
    }

    /// How far the sink has come.
    pub const fn at(&self) -> Option<Position> {
        self.at
    }

    /// Links that the sink was given.
    pub const fn facts(&self) -> u64 {
        self.facts
    }

    /// Whether the bound was reached.
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn is_beyond(&self, link: &LinkedRecord) -> Result<bool, TaskError> {
        let offset = link.record.offset;
        if self.until.offset.is_some_and(|end| offset >= end) {
            return Ok(true);
        }
        let Some(moment) = self.until.moment else { return Ok(false) };
        let value = link.record.value.as_deref().unwrap_or_default();
        let said = decode_link(value).map_err(|error| {
            unreadable_fact(&format!("partition {} offset {offset}", self.partition), &error)
        })?;
        Ok(said.at > moment)
    }
}

impl<S: FactSink> FactSink for Bounded<S> {
    fn start(&mut self) -> Result<Option<Position>, TaskError> {
        self.at = self.inner.start()?;
        Ok(self.at)
    }

    fn write(&mut self, links: &[LinkedRecord], after: Position) -> Result<(), TaskError> {
        if self.has_ended {
            return Ok(());
        }
        let mut taken = 0_usize;
        for link in links {
            if self.is_beyond(link)? {
                self.has_ended = true;
                break;
            }
            taken += 1;
        }
        let after = match (taken.checked_sub(1), links.get(taken)) {
            (_, None) => after,
            (Some(last), Some(beyond)) => {
                Position { offset: beyond.record.offset, cursor: links[last].cursor }
            }
            (None, Some(_)) => return Ok(()),
        };
        self.inner.write(&links[..taken], after)?;
        self.facts += taken as u64;
        self.at = Some(after);
        Ok(())
    }

    fn work(&mut self) -> Result<bool, TaskError> {
        self.inner.work()
    }
}

#[cfg(test)]
mod tests {
    use cityevents_runtime::chain::Cursor;
    use cityevents_runtime::log::{Headers, Record};
    use cityevents_schemas::message::encode_link;

    use super::*;

    /// Remembers what it was given: how many links, and the offset behind them.
    #[derive(Default)]
    struct Capture(Vec<(usize, u64)>);

    impl FactSink for Capture {
        fn start(&mut self) -> Result<Option<Position>, TaskError> {
            Ok(None)
        }

        fn write(&mut self, links: &[LinkedRecord], after: Position) -> Result<(), TaskError> {
            self.0.push((links.len(), after.offset));
            Ok(())
        }
    }

    fn cursor(offset: i64) -> Cursor {
        Cursor { offset, digest: [7; 16] }
    }

    /// A link at an offset, decided in the same millisecond.
    fn link(offset: u64) -> LinkedRecord {
        let mut value = Vec::new();
        encode_link(None, &[], None, Timestamp::from_millis(offset as i64), &mut value);
        let record = Record {
            offset,
            timestamp_ms: 0,
            key: None,
            value: Some(value.into()),
            headers: Headers::empty(),
        };
        let cursor = cursor(offset as i64);
        LinkedRecord { record, cursor, is_genesis: false, is_carried: false }
    }

    fn given(until: Until) -> (Vec<(usize, u64)>, Option<Position>, bool) {
        let mut sink = Bounded::new(Capture::default(), 0, until);
        for batch in [1..4_u64, 4..7, 7..9] {
            let links: Vec<_> = batch.map(link).collect();
            let last = links.last().unwrap();
            let after = Position { offset: last.record.offset + 1, cursor: last.cursor };
            sink.write(&links, after).unwrap();
        }
        let (at, has_ended) = (sink.at(), sink.has_ended());
        (sink.inner.0, at, has_ended)
    }

    #[test]
    fn without_a_bound_everything_is_handed_on() {
        let (given, at, has_ended) = given(Until::default());
        assert_eq!(given, [(3, 4), (3, 7), (2, 9)]);
        assert_eq!(at, Some(Position { offset: 9, cursor: cursor(8) }));
        assert!(!has_ended);
    }

    #[test]
    fn nothing_behind_the_bound_is_handed_on_and_progress_ends_before_it() {
        let moment = Some(Timestamp::from_millis(5));
        for until in [
            Until { moment, offset: None },
            Until { moment: None, offset: Some(6) },
            Until { moment, offset: Some(7) },
        ] {
            let (given, at, has_ended) = given(until);
            assert_eq!(given, [(3, 4), (2, 6)], "{until:?}");
            assert_eq!(at, Some(Position { offset: 6, cursor: cursor(5) }), "{until:?}");
            assert!(has_ended, "{until:?}");
        }
    }

    #[test]
    fn a_bound_between_two_batches_moves_no_progress() {
        let (given, at, has_ended) = given(Until { moment: None, offset: Some(4) });
        assert_eq!(given, [(3, 4)]);
        assert_eq!(at.map(|at| at.offset), Some(4));
        assert!(has_ended);
    }
}
