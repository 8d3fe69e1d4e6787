//! What is taken, and in which order: held records, tiers from the longest wait on, the source, and
//! bulk when nothing is left there.

use std::time::Duration;

use super::{Held, RetryConsumer, Working};
use crate::host::TaskError;
use crate::log::Record;
use crate::retry::lanes::Waiting;
use crate::retry::stream::Stream;
use crate::retry::{Handler, Happened};

/// Bulk, and what of the source it lies behind.
#[derive(Clone, Copy)]
pub(super) struct Behind {
    stream: usize,
    in_work_max: usize,
    /// Where the source ended when the records were read that are to be taken: those before come first.
    source_end: u64,
}

impl Behind {
    pub(super) const fn new(stream: usize, in_work_max: usize) -> Self {
        Self { stream, in_work_max, source_end: 0 }
    }
}

impl<H: Handler> RetryConsumer<H> {
    fn takes_more(&self) -> bool {
        !self.draining && self.stopping.is_none() && self.in_work() < self.options.in_work_max
    }

    /// However much is due in the tiers, there is room for what comes to the source.
    fn takes_more_of_tiers(&self) -> bool {
        let tiers = &self.streams[1..=self.tiers];
        let in_work: usize = tiers.iter().map(|tier| tier.offsets.in_work()).sum();
        self.takes_more() && in_work < (self.options.in_work_max / 2).max(1)
    }

    /// Takes what is due, the longest wait first: it comes before what waits in earlier tiers.
    pub(super) fn take(&mut self, timeout: Duration) -> Result<bool, TaskError> {
        let now_ms = self.now_ms();
        let mut took = self.try_held(now_ms);
        for stream in (1..=self.tiers).rev() {
            self.streams[stream].fill(Duration::ZERO)?;
            while self.takes_more_of_tiers() {
                let due_ms = self.streams[stream].due_at_ms();
                let Some(record) = self.streams[stream].take_due(now_ms)? else { break };
                let late_ms = now_ms.saturating_sub(due_ms.unwrap_or(now_ms));
                let late = Duration::from_millis(u64::try_from(late_ms).unwrap_or(0));
                let tier = &self.streams[stream].place.topic;
                self.handler.happened(Happened::Taken { tier, late });
                self.enter(stream, record)?;
                self.streams[stream].fill(Duration::ZERO)?;
                took = true;
            }
        }
        self.read_bulk()?;
        if self.takes_more() {
            let idle = !took && self.is_at_rest();
            let wait = if idle { self.idle_wait(timeout, now_ms) } else { Duration::ZERO };
            self.streams[0].fill(wait)?;
        }
        while self.takes_more() {
            let Some(record) = self.streams[0].take_due(now_ms)? else { break };
            self.enter(0, record)?;
            took = true;
        }
        Ok(self.take_bulk(now_ms)? || took)
    }

    /// Reads on in bulk when everything of it is taken. What is in the source by then comes first.
    fn read_bulk(&mut self) -> Result<(), TaskError> {
        let Some(bulk) = &mut self.bulk else { return Ok(()) };
        if !self.streams[bulk.stream].is_drained() {
            return Ok(());
        }
        self.streams[bulk.stream].fill(Duration::ZERO)?;
        if !self.streams[bulk.stream].is_drained() {
            bulk.source_end = self.options.log.watermarks(&self.streams[0].place)?.high;
        }
        Ok(())
    }

    /// Where bulk can be taken from now, and how much of it may be in work.
    fn turn_of_bulk(&self) -> Option<(usize, usize)> {
        let Behind { stream, in_work_max, source_end } = self.bulk?;
        let source = &self.streams[0];
        let is_its_turn = source.is_drained() && source.position() >= source_end;
        (is_its_turn && !self.streams[stream].is_drained()).then_some((stream, in_work_max))
    }

    fn take_bulk(&mut self, now_ms: i64) -> Result<bool, TaskError> {
        let Some((stream, in_work_max)) = self.turn_of_bulk() else { return Ok(false) };
        let mut took = false;
        while self.takes_more() && self.streams[stream].offsets.in_work() < in_work_max {
            let Some(record) = self.streams[stream].take_due(now_ms)? else { break };
            self.enter(stream, record)?;
            took = true;
        }
        Ok(took)
    }

    /// Not longer than until the next record of a tier is due, or one that is held.
    fn idle_wait(&self, timeout: Duration, now_ms: i64) -> Duration {
        if self.turn_of_bulk().is_some() {
            return Duration::ZERO;
        }
        let held = self.held.iter().map(|held| held.due_ms);
        let tiers = &self.streams[1..=self.tiers];
        let due = tiers.iter().filter_map(Stream::due_at_ms).chain(held).min();
        let left_ms = due.map(|due_ms| due_ms.saturating_sub(now_ms).max(0));
        let left = left_ms.and_then(|left_ms| u64::try_from(left_ms).ok());
        left.map_or(timeout, |left_ms| timeout.min(Duration::from_millis(left_ms)))
    }

    fn enter(&mut self, stream: usize, record: Record) -> Result<(), TaskError> {
        let Some(key) = self.handler.order(&record) else {
            return self.begin(stream, record, None);
        };
        match self.lanes.enter(key, Waiting { stream, record }) {
            Some(first) => self.begin(first.stream, first.record, Some(key)),
            None => Ok(()),
        }
    }

    /// Begins with held records that are due.
    fn try_held(&mut self, now_ms: i64) -> bool {
        if self.draining || self.stopping.is_some() {
            return false;
        }
        let due: Vec<Held> = self.held.extract_if(.., |held| held.due_ms <= now_ms).collect();
        let any = !due.is_empty();
        for Held { stream, working, .. } in due {
            self.attempt(stream, Working { since_ms: now_ms, ..working });
        }
        any
    }
}
