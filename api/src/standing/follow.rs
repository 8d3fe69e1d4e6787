//! The threads that read the changes, one a partition.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use cityevents_runtime::log::{
    Isolation, Log, LogError, LogErrorKind, PollLimit, Record, TopicPartition,
};
use cityevents_schemas::ErrorClass;
use cityevents_schemas::message::decode_account_change;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::table::Table;

/// How much one poll may bring.
const POLL_LIMIT: PollLimit = PollLimit { records: 4_096, bytes: 4 << 20 };
/// How long one poll waits; also how long a thread takes to notice that it is to stop.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// First wait before a partition is read anew after a failure; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a partition is read anew.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The threads decode and store; they do not recurse.
const STACK_BYTES: usize = 512 * 1024;

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

/// How the reading of a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It has not reached the end that the partition had when the reading began.
    CatchingUp,
    /// It is there.
    Following,
    /// It failed, and is tried again.
    Failed(String),
    /// It is not tried again.
    Stopped(String),
}

/// Why the reading of a partition ends.
enum Failure {
    /// Trying again can help.
    Again(String),
    /// It cannot.
    Stop(String),
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let kind = error.kind();
        // The log threw records away that were about to be read: it is read from its beginning.
        if kind.is_transient() || kind == LogErrorKind::OffsetOutOfRange {
            Self::Again(error.to_string())
        } else {
            Self::Stop(error.to_string())
        }
    }
}

/// The threads. Dropping this ends them.
pub(super) struct Followers {
    topic: Arc<str>,
    states: Vec<Arc<Mutex<State>>>,
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Followers {
    pub(super) fn start(
        log: &Arc<dyn Log>,
        topic: Arc<str>,
        metrics: StandingsMetrics,
        table: &Arc<Table>,
    ) -> Result<Self, LogError> {
        let partitions = log.describe(&topic)?.spec.partitions;
        let (stop, stopped) = bounded(0);
        let mut followers =
            Self { topic, states: Vec::new(), stop: Some(stop), threads: Vec::new() };
        for partition in 0..partitions {
            let state = Arc::new(Mutex::new(State::CatchingUp));
            let reading = Reading {
                log: Arc::clone(log),
                partition: TopicPartition::new(Arc::clone(&followers.topic), partition),
                metrics: metrics.clone(),
                table: Arc::clone(table),
                state: Arc::clone(&state),
                stopped: stopped.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("standings-{partition}"))
                .stack_size(STACK_BYTES)
                .spawn(move || reading.run())
                .map_err(|error| {
                    let message = format!("no thread standings-{partition} can be made: {error}");
                    LogError::new(LogErrorKind::Unavailable, message)
                })?;
            followers.states.push(state);
            followers.threads.push(thread);
        }
        Ok(followers)
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.states.iter().enumerate().find_map(|(partition, state)| {
            let what = match &*state.lock() {
                State::Following => return None,
                State::CatchingUp => "reading what is there".to_owned(),
                State::Failed(reason) => format!("failed and is tried again: {reason}"),
                State::Stopped(reason) => format!("stopped: {reason}"),
            };
            Some(format!("{}/{partition}: {what}", self.topic))
        })
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        // Disconnecting the channel is the signal.
        self.stop = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the account standings panicked");
            }
        }
    }
}

/// One partition's thread.
struct Reading {
    log: Arc<dyn Log>,
    partition: TopicPartition,
    metrics: StandingsMetrics,
    table: Arc<Table>,
    state: Arc<Mutex<State>>,
    stopped: Receiver<()>,
}

impl Reading {
    fn run(self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let reason = match std::panic::catch_unwind(AssertUnwindSafe(|| self.read())) {
                Ok(Ok(())) => return,
                Ok(Err(Failure::Stop(reason))) => {
                    tracing::error!("the account changes of {} stopped: {reason}", self.partition);
                    self.set(State::Stopped(reason));
                    return;
                }
                Ok(Err(Failure::Again(reason))) => reason,
                Err(_) => "the thread panicked".to_owned(),
            };
            tracing::warn!("the account changes of {} are read anew: {reason}", self.partition);
            self.metrics.restarts.inc();
            if *self.state.lock() == State::Following {
                backoff = BACKOFF_MIN;
            }
            self.set(State::Failed(reason));
            if self.waits_for_stop(backoff) {
                return;
            }
            backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
        }
    }

    /// Reads from the beginning until told to stop. What was read before stays: versions tell what
    /// is new.
    fn read(&self) -> Result<(), Failure> {
        let marks = self.log.watermarks(&self.partition)?;
        let mut reader = self.log.reader(&self.partition, marks.low, Isolation::Uncommitted)?;
        let mut records = Vec::new();
        let mut has_caught_up = false;
        loop {
            has_caught_up |= reader.position() >= marks.high;
            if has_caught_up {
                self.set(State::Following);
            }
            let polled = reader.poll(POLL_LIMIT, POLL_WAIT, &mut records)?;
            for record in records.drain(..) {
                self.take(&record)?;
            }
            // Compaction can leave a partition that ends before the offset that it had reached.
            has_caught_up |= polled.end_of_partition;
            if self.waits_for_stop(Duration::ZERO) {
                return Ok(());
            }
        }
    }

    fn take(&self, record: &Record) -> Result<(), Failure> {
        // Nobody here takes an account out of the topic. If somebody else does, what it said last
        // goes on being so.
        let Some(value) = record.value.as_deref() else {
            tracing::warn!("{} has an empty record at {}", self.partition, record.offset);
            return Ok(());
        };
        let change = decode_account_change(value).map_err(|error| {
            let reason = format!("the record at offset {} cannot be read: {error}", record.offset);
            match error.class() {
                ErrorClass::Retry => Failure::Again(reason),
                ErrorClass::Reject => Failure::Stop(reason),
            }
        })?;
        if self.table.apply(&change) {
            self.metrics.changes.inc();
        } else {
            self.metrics.late.inc();
        }
        Ok(())
    }

    fn waits_for_stop(&self, timeout: Duration) -> bool {
        self.stopped.recv_timeout(timeout) != Err(RecvTimeoutError::Timeout)
    }

    fn set(&self, state: State) {
        let mut shown = self.state.lock();
        if *shown != state {
            *shown = state;
        }
    }
}
