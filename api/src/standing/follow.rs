//! The threads that read the changes, one a partition.

use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::log::{Isolation, Log, LogError, LogErrorKind, Record, TopicPartition};
use cityevents_schemas::message::decode_account_change;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::publish::session_of;
use super::table::Table;
use crate::following::{Failure, POLL_LIMIT, POLL_WAIT, Shown, State, Stop, Supervision, Threads};

/// Figures of the followers.
#[derive(Debug, Clone, Default)]
pub struct StandingsMetrics {
    changes: Counter,
    late: Counter,
    restarts: Counter,
}

impl StandingsMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "standings_changes",
            "Changes of accounts that were taken in",
            metrics.changes.clone(),
        );
        registry.register(
            "standings_late_changes",
            "Changes of accounts that said nothing new, because a later one was known",
            metrics.late.clone(),
        );
        registry.register(
            "standings_restarts",
            "Partitions of the account changes that were read anew after a failure",
            metrics.restarts.clone(),
        );
        metrics
    }
}

/// The threads. Dropping this ends them.
pub(super) struct Followers {
    topic: Arc<str>,
    shown: Vec<Arc<Shown>>,
    threads: Threads,
}

impl Followers {
    pub(super) fn start(
        log: &Arc<dyn Log>,
        topic: Arc<str>,
        metrics: StandingsMetrics,
        table: &Arc<Table>,
    ) -> Result<Self, LogError> {
        let partitions = log.describe(&topic)?.spec.partitions;
        let mut followers = Self { topic, shown: Vec::new(), threads: Threads::default() };
        for partition in 0..partitions {
            let shown = Arc::new(Shown::default());
            let reading = Reading {
                log: Arc::clone(log),
                partition: TopicPartition::new(Arc::clone(&followers.topic), partition),
                metrics: metrics.clone(),
                table: Arc::clone(table),
                shown: Arc::clone(&shown),
            };
            let name = format!("standings-{partition}");
            followers.threads.start(name, move |stop| reading.run(stop))?;
            followers.shown.push(shown);
        }
        Ok(followers)
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.shown.iter().enumerate().find_map(|(partition, shown)| {
            let what = shown.problem(|| "reading what is there".to_owned())?;
            Some(format!("{}/{partition}: {what}", self.topic))
        })
    }
}

/// One partition's thread.
struct Reading {
    log: Arc<dyn Log>,
    partition: TopicPartition,
    metrics: StandingsMetrics,
    table: Arc<Table>,
    shown: Arc<Shown>,
}

impl Reading {
    fn run(&self, stop: &Stop) {
        let what = format!("the account changes of {}", self.partition);
        let restarts = &self.metrics.restarts;
        let supervision = Supervision { what: &what, shown: &self.shown, restarts, stop };
        supervision.run(|| self.read(stop), || self.shown.is(&State::Following));
    }

    /// Reads from the beginning until told to stop. What was read before stays: versions tell what
    /// is new.
    fn read(&self, stop: &Stop) -> Result<(), Failure> {
        let marks = self.log.watermarks(&self.partition)?;
        let mut reader =
            self.log.reader(&self.partition, marks.low, Isolation::Uncommitted).map_err(failure)?;
        let mut records = Vec::new();
        let mut has_caught_up = false;
        loop {
            has_caught_up |= reader.position() >= marks.high;
            if has_caught_up {
                self.shown.set(State::Following);
            }
            let polled = reader.poll(POLL_LIMIT, POLL_WAIT, &mut records).map_err(failure)?;
            for record in records.drain(..) {
                self.take(&record)?;
            }
            // Compaction can leave a partition that ends before the offset that it had reached.
            has_caught_up |= polled.end_of_partition;
            if stop.comes_within(Duration::ZERO) {
                return Ok(());
            }
        }
    }

    fn take(&self, record: &Record) -> Result<(), Failure> {
        let Some(value) = record.value.as_deref() else {
            match record.key.as_deref().and_then(session_of) {
                Some(session) => self.table.forget_session(&session),
                // Nobody here takes an account out of the topic. If somebody else does, what it said
                // last goes on being so.
                None => {
                    tracing::warn!("{} has an empty record at {}", self.partition, record.offset);
                }
            }
            return Ok(());
        };
        let change = decode_account_change(value).map_err(|error| {
            let reason = format!("the record at offset {} cannot be read: {error}", record.offset);
            Failure::unreadable(error.class(), reason)
        })?;
        if self.table.apply(&change) {
            self.metrics.changes.inc();
        } else {
            self.metrics.late.inc();
        }
        Ok(())
    }
}

/// The log may throw records away that were about to be read: it is read from its beginning then.
fn failure(error: LogError) -> Failure {
    if error.kind() == LogErrorKind::OffsetOutOfRange {
        Failure::Again(error.to_string())
    } else {
        error.into()
    }
}
