//! The waiting lines of all events that are not over, folded from the facts in this process.
//!
//! Positions in a line are asked for by everybody who waits, again and again; counting rows for
//! them would make a drop slow for everyone. So every instance that answers reads keeps the lines
//! itself: one thread a partition reads the facts by the reader rule, from the beginning, and an
//! order-statistics line per event answers in O(log n). Nothing is stored: at start all facts are
//! folded again, and readiness waits until that has caught up.
//!
//! Invariant: this only reads. It decides nothing, and a lag of it delays a number on a screen and
//! no place.

mod event;
mod follow;
mod series;
mod table;
mod told;

use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::event::Counters;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_runtime::log::clock::Clock;
use cityevents_runtime::log::{Log, LogError};
use cityevents_runtime::metrics::RuntimeMetrics;
use tokio::sync::broadcast;

use self::event::EventLine;
use self::follow::Followers;
pub use self::follow::LinesMetrics;
pub(crate) use self::series::Minute;
use self::table::Table;
use self::told::Listeners;
pub(crate) use self::told::Told;

/// Where the facts are.
#[derive(Debug, Clone)]
pub struct LinesOptions {
    /// Full name of the chained topic.
    pub topic: Arc<str>,
    /// How many partitions it has.
    pub partitions: u32,
}

/// The lines, and the threads that keep them.
pub struct Lines {
    table: Arc<Table>,
    listeners: Arc<Listeners>,
    followers: Followers,
}

impl Lines {
    /// Begins to fold all partitions of the facts from the beginning, a thread for each.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(
        log: &Arc<dyn Log>,
        options: &LinesOptions,
        clock: &Arc<dyn Clock>,
        runtime: &RuntimeMetrics,
        metrics: LinesMetrics,
    ) -> Result<Self, LogError> {
        let table = Arc::new(Table::default());
        let listeners = Arc::new(Listeners::default());
        let dropped = runtime.follower("lines");
        let followers =
            Followers::start(log, options, clock, dropped, metrics, (&table, &listeners))?;
        Ok(Self { table, listeners, followers })
    }

    /// The 1-based position of somebody who waits. `None` for everybody else, and while the facts
    /// are read anew: no position is better than an old one.
    pub fn position(&self, event: &EventId, user: &UserId) -> Option<u32> {
        self.read(event, |line| line.position(user)).flatten()
    }

    /// What the registrations of an event add up to; `None` when the event is over or unknown here.
    pub fn counters(&self, event: &EventId) -> Option<Counters> {
        self.read(event, |line| line.counters())
    }

    /// What the registrations of an event add up to, or did when it ended; `None` for one that is
    /// unknown here.
    pub fn last_counters(&self, event: &EventId) -> Option<Counters> {
        self.counters(event).or_else(|| self.table.last_counters(event))
    }

    /// The version of an event that is not over, by the facts that are folded.
    pub(crate) fn version(&self, event: &EventId) -> Option<u32> {
        self.read(event, |line| line.version())
    }

    /// What the registrations of an event add up to, and which fact changed the event itself last.
    pub(crate) fn counters_and_change(&self, event: &EventId) -> Option<(Counters, u64)> {
        self.read(event, |line| (line.counters(), line.changed_seq()))
    }

    /// How many people came and went each minute of the last day in which something happened; `None`
    /// when the event is over or unknown here.
    pub(crate) fn minutes(&self, event: &EventId) -> Option<Vec<Minute>> {
        self.read(event, EventLine::minutes)
    }

    /// Every change of a person's registrations from now on.
    pub(crate) fn listen(&self, user: UserId) -> broadcast::Receiver<Told> {
        self.listeners.listen(user)
    }

    /// The offset of the first fact of a partition that is not folded yet; `None` for a partition
    /// that does not exist.
    pub fn applied(&self, partition: u32) -> Option<u64> {
        self.followers.applied(partition)
    }

    /// Waits until the fact at `offset` of a partition is folded, `at_most` so long. Returns
    /// whether it is.
    pub async fn wait(&self, partition: u32, offset: u64, at_most: Duration) -> bool {
        self.followers.wait(partition, offset, at_most).await
    }

    /// Why the lines are not to be relied on, if so: a partition was not read to the end that it
    /// had at start, links are missing, or a thread has stopped.
    pub fn problem(&self) -> Option<String> {
        self.followers.problem()
    }

    fn read<T>(&self, event: &EventId, ask: impl FnOnce(&EventLine) -> T) -> Option<T> {
        // Asked under the lock of the event, since a partition is forgotten under that lock: what
        // is current then was not taken from a half-folded line.
        let ask = |line: &EventLine| self.followers.is_current(line.partition()).then(|| ask(line));
        self.table.read(event, ask).flatten()
    }

    /// How many events are kept, how many people wait, and the bytes of their lines: by looking at
    /// each, for measurements.
    pub fn memory(&self) -> LinesMemory {
        self.table.memory()
    }
}

/// What the lines take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinesMemory {
    /// Events that are not over.
    pub events: u64,
    /// People in a line.
    pub waiting: u64,
    /// Bytes of lines and of the ways into them, without the table of events.
    pub line_bytes: usize,
}
