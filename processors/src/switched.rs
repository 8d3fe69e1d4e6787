//! Tables that may be replaced by others: who writes them ends when that happens, and begins anew
//! with those that are live then.

use std::time::Duration;

use cityevents_runtime::host::{Lagging, Task, TaskError};
use cityevents_runtime::log::{Committed, TopicPartition};
use cityevents_views::Current;

/// A task that writes into the tables that were live when it began.
pub struct Switched<T> {
    inner: T,
    tables: Current,
}

impl<T> Switched<T> {
    /// Around a task or a sink that has these tables and no others.
    pub const fn new(inner: T, tables: Current) -> Self {
        Self { inner, tables }
    }

    fn check(&self) -> Result<(), TaskError> {
        if self.tables.is_current() {
            return Ok(());
        }
        Err(TaskError::Restart("other tables are live now".to_owned()))
    }
}

impl<T: Task> Task for Switched<T> {
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.check()?;
        self.inner.step(timeout)
    }

    fn drain(&mut self, deadline: Duration) -> Result<(), TaskError> {
        self.inner.drain(deadline)
    }

    fn progress(&self) -> Option<(TopicPartition, Committed)> {
        self.inner.progress()
    }

    fn all_progress(&self) -> Vec<(TopicPartition, Committed)> {
        self.inner.all_progress()
    }

    fn lag_records(&self) -> Option<u64> {
        self.inner.lag_records()
    }

    fn problem(&self) -> Option<String> {
        self.inner.problem()
    }

    fn lagging(&self) -> Option<Lagging> {
        self.inner.lagging()
    }
}
