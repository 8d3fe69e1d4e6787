//! An acknowledgement out of sequence: somebody else wrote.

use std::time::Duration;

use super::Worker;
#[cfg(feature = "testing")]
use crate::chain::{BrokenRule, ChainReader};
use crate::follower::{Follower, Position};
use crate::host::TaskError;
use crate::topology::Topology;

/// How long one read of what lies in the gap may wait.
const READ_WAIT: Duration = Duration::from_secs(10);

impl<T: Topology> Worker<T> {
    /// Somebody else wrote. Reads what lies there through the reader rule, and goes on only if the
    /// own links are the ones that count.
    pub(super) fn resolve_gap(&mut self, timeout: Duration) -> Result<(), TaskError> {
        if self.writer.in_flight() > 0 {
            return self.collect(timeout);
        }
        self.source.metrics.gaps.inc();
        if !self.ownership.is_ours() {
            let reason = format!("{} belongs to somebody else now", self.fact_partition);
            return Err(TaskError::Restart(reason));
        }
        let high = self.source.log.watermarks(&self.fact_partition)?.high;
        let from =
            Position { offset: self.writer.expected_offset(), cursor: self.writer.acknowledged() };
        let metrics = self.source.metrics.follower(self.source.topology);
        let mut follower = Follower::open(
            &*self.source.log,
            &self.fact_partition,
            Some(from),
            self.source.clock.clone(),
            metrics,
        )?;
        #[cfg(feature = "testing")]
        if self.options.broken == Some(BrokenRule::Digest) {
            follower.set_chain(ChainReader::without_digest(Some(from.cursor)));
        }
        let mut links = Vec::new();
        while follower.offset() < high {
            let before = follower.offset();
            follower.poll(self.options.burst, READ_WAIT, &mut links)?;
            links.clear();
            if follower.offset() == before {
                let reason = format!("{} cannot be read up to {high}", self.fact_partition);
                return Err(TaskError::Restart(reason));
            }
        }
        let end = follower.offset();
        let cursor = follower.position().map(|position| position.cursor);
        if cursor.is_none_or(|cursor| !self.writer.reconcile(cursor, end)) {
            return Err(TaskError::Restart(format!(
                "the own links are not those that count in {}: another writer was faster, or an \
                 append went nowhere",
                self.fact_partition
            )));
        }
        self.release(self.writer.acknowledged(), end.saturating_sub(1));
        Ok(())
    }
}
