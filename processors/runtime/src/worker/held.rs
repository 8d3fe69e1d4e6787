//! Commands that cannot be read yet: nothing is wrong with them as far as anybody knows, and what is
//! needed to read them (a schema) is away. They are held in order, tried again with growing pauses,
//! and never passed; the partition says so meanwhile.

use std::time::{Duration, Instant};

use super::Worker;
use crate::host::TaskError;
use crate::log::{Record, TopicPartition};
use crate::topology::Topology;

/// First pause before a held command is tried again; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause before a held command is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A command that cannot be read yet, and what was polled behind it.
pub(super) struct Held {
    first: u64,
    records: Vec<Record>,
    reason: String,
    pause: Duration,
    since: Instant,
}

impl Held {
    /// Holds what is left of a burst from the command at `first` on. `before` is what the burst
    /// was held for: the same command again makes the pause longer.
    pub(super) fn again(
        before: Option<Self>,
        first: u64,
        records: Vec<Record>,
        reason: String,
    ) -> Self {
        let pause = match before {
            Some(before) if before.first == first => (before.pause * 2).min(PAUSE_MAX),
            _ => {
                tracing::warn!(
                    kafka.offset = first,
                    "the command at offset {first} waits: {reason}"
                );
                PAUSE_MIN
            }
        };
        Self { first, records, reason, pause, since: Instant::now() }
    }

    /// The offset of the command that cannot be read.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn describe(&self, partition: &TopicPartition) -> String {
        format!("the command at {partition} offset {} waits: {}", self.first, self.reason)
    }

    fn left(&self) -> Duration {
        self.pause.saturating_sub(self.since.elapsed())
    }
}

impl<T: Topology> Worker<T> {
    /// Fills the burst with what comes next: from what is held, when its pause is over, otherwise
    /// from the log.
    pub(super) fn poll_commands(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.burst.clear();
        let Some(held) = &mut self.held else {
            let polled = self.commands.poll(self.options.burst, timeout, &mut self.burst)?;
            let first_at_ms = self.burst.first().map(|command| command.timestamp_ms);
            let is_done = polled.end_of_partition && self.writer.in_flight() == 0;
            self.backlog.taken(first_at_ms, is_done);
            return Ok(());
        };
        let left = held.left();
        if left.is_zero() {
            self.burst.append(&mut held.records);
        } else {
            std::thread::park_timeout(left.min(timeout));
        }
        Ok(())
    }
}
