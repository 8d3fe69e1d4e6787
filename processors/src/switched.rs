//! Tables that may be replaced by others: who writes them goes on with those that are live then.

use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::host::{Lagging, Task, TaskError};
use cityevents_runtime::log::{Committed, TopicPartition};
use cityevents_views::{Current, Switch};

/// Makes a task that writes into these tables, from where their rows end.
type Make<T> = Box<dyn Fn(&Current) -> Result<T, TaskError> + Send>;

/// A task that writes into the tables that are live. When others are, it is made anew in its place, so
/// that the process stays ready.
pub struct Switched<T> {
    /// `None`: the old one is gone and a new one could not be made, which ends the whole.
    inner: Option<T>,
    tables: Current,
    live: Arc<Switch>,
    make: Make<T>,
}

impl<T: Task> Switched<T> {
    /// Begins with the tables that are live now.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn start(
        live: Arc<Switch>,
        make: impl Fn(&Current) -> Result<T, TaskError> + Send + 'static,
    ) -> Result<Self, TaskError> {
        let tables = live.current();
        let inner = Some(make(&tables)?);
        Ok(Self { inner, tables, live, make: Box::new(make) })
    }

    /// The task of the tables that are live.
    fn follow(&mut self) -> Result<&mut T, TaskError> {
        if !self.tables.is_current() {
            // The old one first: what it tells when it goes must not be heard after the new one.
            self.inner = None;
            self.tables = self.live.current();
        }
        match &mut self.inner {
            Some(inner) => Ok(inner),
            none => Ok(none.insert((self.make)(&self.tables)?)),
        }
    }
}

impl<T: Task> Task for Switched<T> {
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.follow()?.step(timeout)
    }

    fn drain(&mut self, deadline: Duration) -> Result<(), TaskError> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.drain(deadline))
    }

    fn progress(&self) -> Option<(TopicPartition, Committed)> {
        self.inner.as_ref()?.progress()
    }

    fn all_progress(&self) -> Vec<(TopicPartition, Committed)> {
        self.inner.as_ref().map(T::all_progress).unwrap_or_default()
    }

    fn lag_records(&self) -> Option<u64> {
        self.inner.as_ref()?.lag_records()
    }

    fn problem(&self) -> Option<String> {
        self.inner.as_ref()?.problem()
    }

    fn lagging(&self) -> Option<Lagging> {
        self.inner.as_ref()?.lagging()
    }
}
