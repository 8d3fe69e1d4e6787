//! Follows the facts of one partition and hands them to a sink: what projection, publisher and
//! later topologies have in common.

use std::sync::Arc;
use std::time::Duration;

use crate::follower::{Follower, LinkedRecord, Position};
use crate::host::{Lagging, MakeTask, Task, TaskError};
use crate::lag::Backlog;
use crate::log::{Committed, PollLimit, TopicPartition};
use crate::standby::Source;

/// Facts handed on at once.
const BATCH: PollLimit = PollLimit { records: 4_096, bytes: 4 << 20 };

/// Where facts become something else.
pub trait FactSink: Send {
    /// From where to go on: what the sink itself stored with its effects. `None`: from the
    /// beginning.
    ///
    /// # Errors
    /// When it cannot be read.
    fn start(&mut self) -> Result<Option<Position>, TaskError>;

    /// Makes the effects of these links last, and with them or after them the position behind.
    ///
    /// # Errors
    /// When they do not last.
    fn write(&mut self, links: &[LinkedRecord], after: Position) -> Result<(), TaskError>;

    /// Does a piece of what is left of earlier links: something longer that others must not wait
    /// for. Says whether there is more that can be done at once.
    ///
    /// # Errors
    /// When its effects do not last.
    fn work(&mut self) -> Result<bool, TaskError> {
        Ok(false)
    }

    /// Whether [`FactSink::write`] stores the group's progress itself. Then nobody else may: a
    /// commit that comes later would turn it back.
    fn commits_progress(&self) -> bool {
        false
    }
}

/// One partition's facts on their way into a sink.
pub struct FactConsumer<S> {
    source: Source,
    follower: Follower,
    sink: S,
    done: Option<Position>,
    backlog: Backlog,
    batch: Vec<LinkedRecord>,
    /// The sink has something to do although no link comes.
    has_work: bool,
}

impl<S: FactSink> FactConsumer<S> {
    /// Goes on where the sink left off.
    ///
    /// # Errors
    /// When sink or log cannot be read.
    pub fn start(source: &Source, partition: u32, mut sink: S) -> Result<Self, TaskError> {
        let done = sink.start()?;
        let follower = Follower::open(
            &*source.log,
            &TopicPartition::new(source.facts.clone(), partition),
            done,
            source.clock.clone(),
            source.metrics.follower(source.topology),
        )?;
        let backlog = Backlog::new(source.facts.clone());
        let batch = Vec::new();
        Ok(Self { source: source.clone(), follower, sink, done, backlog, batch, has_work: true })
    }

    /// The sink.
    pub const fn sink(&self) -> &S {
        &self.sink
    }

    /// The next offset to read.
    pub fn offset(&self) -> u64 {
        self.follower.offset()
    }
}

impl<S: FactSink> Task for FactConsumer<S> {
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.batch.clear();
        let timeout = if self.has_work { Duration::ZERO } else { timeout };
        let followed = self.follower.poll(BATCH, timeout, &mut self.batch)?;
        let first_at_ms = self.batch.first().map(|link| link.record.timestamp_ms);
        self.backlog.taken(first_at_ms, followed.end_of_partition);
        // Progress goes past records that do not count, too: else a partition that ends with some
        // would seem to lag for ever.
        let went_past = followed.records > 0 && self.follower.is_settled();
        if let Some(after) = self.follower.position()
            && (went_past || !self.batch.is_empty())
        {
            self.sink.write(&self.batch, after)?;
            self.done = Some(after);
        }
        self.has_work = self.sink.work()?;
        Ok(())
    }

    fn drain(&mut self, _deadline: Duration) -> Result<(), TaskError> {
        // Every step ends with its effects stored.
        Ok(())
    }

    fn progress(&self) -> Option<(TopicPartition, Committed)> {
        let done = self.done.filter(|_| !self.sink.commits_progress())?;
        let committed = Committed { offset: done.offset, metadata: done.cursor.to_text() };
        Some((self.follower.partition().clone(), committed))
    }

    fn lag_records(&self) -> Option<u64> {
        let marks = self.source.log.watermarks(self.follower.partition()).ok()?;
        Some(marks.high.saturating_sub(self.follower.offset()))
    }

    fn lagging(&self) -> Option<Lagging> {
        self.backlog.lagging(self.source.clock.now_ms())
    }

    fn problem(&self) -> Option<String> {
        self.follower.is_stuck().then(|| {
            format!(
                "records of {} lie ahead of offset {} and nothing is linked: links are missing",
                self.follower.partition(),
                self.follower.offset()
            )
        })
    }
}

/// Makes consumers for a host, each with a sink of its own.
pub fn make_task<S: FactSink + 'static>(
    source: Source,
    make: impl Fn(u32) -> Result<S, TaskError> + Send + Sync + 'static,
) -> Arc<MakeTask> {
    Arc::new(move |partition, _| {
        let consumer = FactConsumer::start(&source, partition, make(partition)?)?;
        Ok(Box::new(consumer) as Box<dyn Task>)
    })
}
