//! Readers: a position in one partition.

use std::sync::Arc;
use std::time::Duration;

use super::{Shared, State};
use crate::log::{
    Isolation, LogError, LogErrorKind, PollLimit, Polled, Reader, Record, TopicPartition,
};

/// A reader of a [`super::MemoryLog`].
pub(super) struct MemoryReader {
    shared: Arc<Shared>,
    partition: TopicPartition,
    topic_id: String,
    isolation: Isolation,
    position: u64,
    /// The end of the partition that the last poll told about.
    end_told: Option<u64>,
}

impl MemoryReader {
    pub(super) fn new(
        shared: Arc<Shared>,
        partition: TopicPartition,
        topic_id: String,
        position: u64,
        isolation: Isolation,
    ) -> Self {
        Self { shared, partition, topic_id, isolation, position, end_told: None }
    }

    /// Reads what is there. Says whether that is news, and whether it goes up to the end.
    fn read(
        &mut self,
        state: &mut State,
        limit: PollLimit,
        out: &mut Vec<Record>,
    ) -> Result<(bool, bool), LogError> {
        let description = state.storage.description(&self.partition.topic)?;
        if description.id != self.topic_id {
            let message = format!("topic {} was made anew", self.partition.topic);
            return Err(LogError::new(LogErrorKind::UnknownTopic, message));
        }
        let stored = state.storage.partition(&self.partition)?;
        let kept = stored.watermarks();
        if self.position < kept.low || self.position > kept.high {
            let message = format!(
                "offset {} of {} is out of range: it holds {} to {}",
                self.position, self.partition, kept.low, kept.high
            );
            return Err(LogError::new(LogErrorKind::OffsetOutOfRange, message));
        }
        let real_end = stored.end(self.isolation);
        let end = match &mut state.simulation {
            Some(simulation) => simulation.lagging_end(self.position, real_end),
            None => real_end,
        };
        let before = out.len();
        self.position = stored.read(self.position, end, self.isolation, limit, out);
        let at_end = self.position >= end;
        let end_is_new = at_end && self.end_told != Some(end);
        if at_end {
            self.end_told = Some(end);
        }
        Ok((out.len() > before || end_is_new, at_end))
    }
}

impl Reader for MemoryReader {
    fn poll(
        &mut self,
        limit: PollLimit,
        timeout: Duration,
        out: &mut Vec<Record>,
    ) -> Result<Polled, LogError> {
        let shared = self.shared.clone();
        let deadline = shared.deadline(timeout);
        let mut state = shared.state.lock();
        loop {
            let (news, end_of_partition) = self.read(&mut state, limit, out)?;
            let polled = Polled { end_of_partition };
            let Some(deadline) = deadline.filter(|_| !news) else {
                return Ok(polled);
            };
            if shared.changed.wait_until(&mut state, deadline).timed_out() {
                return Ok(polled);
            }
        }
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn seek(&mut self, offset: u64) {
        self.position = offset;
        self.end_told = None;
    }
}
