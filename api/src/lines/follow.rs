//! The threads that read the facts, one a partition.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use cityevents_runtime::follower::{Follower, LinkedRecord};
use cityevents_runtime::log::clock::Clock;
use cityevents_runtime::log::{Log, LogError, LogErrorKind, PollLimit, TopicPartition};
use cityevents_runtime::metrics::FollowerMetrics;
use cityevents_schemas::ErrorClass;
use cityevents_schemas::message::decode_link;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::LinesOptions;
use super::table::Table;

/// How much one poll may bring.
const POLL_LIMIT: PollLimit = PollLimit { records: 4_096, bytes: 4 << 20 };
/// How long one poll waits; also how long a thread takes to notice that it is to stop.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// First wait before a partition is read anew after a failure; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a partition is read anew.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The threads decode and fold; they do not recurse.
const STACK_BYTES: usize = 512 * 1024;

/// Figures of the lines.
#[derive(Debug, Clone, Default)]
pub struct LinesMetrics {
    facts: Counter,
    restarts: Counter,
}

impl LinesMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("lines_facts", "Facts folded into waiting lines", metrics.facts.clone());
        registry.register(
            "lines_restarts",
            "Partitions that were read anew for the waiting lines after a failure",
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
    /// Records lie ahead and nothing links to them.
    Stuck,
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
        if error.kind().is_transient() {
            Self::Again(error.to_string())
        } else {
            Self::Stop(error.to_string())
        }
    }
}

/// What the reading of a partition shows to others.
struct Shown {
    applied: watch::Sender<u64>,
    state: Mutex<State>,
    /// Whether everything up to `applied` is in the table: not while it is read anew.
    is_current: AtomicBool,
}

/// The threads. Dropping this ends them.
pub(super) struct Followers {
    topic: Arc<str>,
    shown: Vec<Arc<Shown>>,
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Followers {
    pub(super) fn start(
        log: &Arc<dyn Log>,
        options: &LinesOptions,
        clock: &Arc<dyn Clock>,
        dropped: FollowerMetrics,
        metrics: LinesMetrics,
        table: &Arc<Table>,
    ) -> Result<Self, LogError> {
        let (stop, stopped) = bounded(0);
        let mut followers = Self {
            topic: Arc::clone(&options.topic),
            shown: Vec::new(),
            stop: Some(stop),
            threads: Vec::new(),
        };
        for partition in 0..options.partitions {
            let shown = Arc::new(Shown {
                applied: watch::Sender::new(0),
                state: Mutex::new(State::CatchingUp),
                is_current: AtomicBool::new(false),
            });
            let reading = Reading {
                log: Arc::clone(log),
                partition: TopicPartition::new(Arc::clone(&options.topic), partition),
                clock: Arc::clone(clock),
                dropped: dropped.clone(),
                metrics: metrics.clone(),
                table: Arc::clone(table),
                shown: Arc::clone(&shown),
                stopped: stopped.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("lines-{partition}"))
                .stack_size(STACK_BYTES)
                .spawn(move || reading.run())
                .map_err(|error| {
                    let message = format!("no thread lines-{partition} can be made: {error}");
                    LogError::new(LogErrorKind::Unavailable, message)
                })?;
            followers.shown.push(shown);
            followers.threads.push(thread);
        }
        Ok(followers)
    }

    pub(super) fn applied(&self, partition: u32) -> Option<u64> {
        let shown = self.shown.get(partition as usize)?;
        Some(*shown.applied.borrow())
    }

    /// Whether what the table says of a partition's events is how they are, and not how they were.
    pub(super) fn is_current(&self, partition: u32) -> bool {
        let shown = self.shown.get(partition as usize);
        shown.is_some_and(|shown| shown.is_current.load(Ordering::Acquire))
    }

    pub(super) async fn wait(&self, partition: u32, offset: u64, at_most: Duration) -> bool {
        let Some(shown) = self.shown.get(partition as usize) else {
            return false;
        };
        let mut applied = shown.applied.subscribe();
        let passed = applied.wait_for(|next| *next > offset);
        matches!(tokio::time::timeout(at_most, passed).await, Ok(Ok(_)))
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.shown.iter().enumerate().find_map(|(partition, shown)| {
            let what = match &*shown.state.lock() {
                State::Following => return None,
                State::CatchingUp => {
                    let applied = *shown.applied.borrow();
                    format!("reading the facts, at offset {applied}")
                }
                State::Stuck => "records lie ahead that nothing links to".to_owned(),
                State::Failed(reason) => format!("failed and is tried again: {reason}"),
                State::Stopped(reason) => format!("stopped: {reason}"),
            };
            Some(format!("lines of {}/{partition}: {what}", self.topic))
        })
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        // Disconnecting the channel is the signal.
        self.stop = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the waiting lines panicked");
            }
        }
    }
}

/// One partition's thread.
struct Reading {
    log: Arc<dyn Log>,
    partition: TopicPartition,
    clock: Arc<dyn Clock>,
    dropped: FollowerMetrics,
    metrics: LinesMetrics,
    table: Arc<Table>,
    shown: Arc<Shown>,
    stopped: Receiver<()>,
}

impl Reading {
    fn run(self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let before = *self.shown.applied.borrow();
            let reason = match std::panic::catch_unwind(AssertUnwindSafe(|| self.read())) {
                Ok(Ok(())) => return,
                Ok(Err(Failure::Stop(reason))) => {
                    tracing::error!("the lines of {} stopped: {reason}", self.partition);
                    self.set(State::Stopped(reason));
                    return;
                }
                Ok(Err(Failure::Again(reason))) => reason,
                Err(_) => "the thread panicked".to_owned(),
            };
            tracing::warn!("the lines of {} are read anew: {reason}", self.partition);
            self.metrics.restarts.inc();
            self.set(State::Failed(reason));
            if *self.shown.applied.borrow() > before {
                backoff = BACKOFF_MIN;
            }
            if self.waits_for_stop(backoff) {
                return;
            }
            backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
        }
    }

    /// Reads from the beginning until told to stop.
    fn read(&self) -> Result<(), Failure> {
        let number = self.partition.partition;
        self.shown.is_current.store(false, Ordering::Release);
        self.table.forget(number);
        let end = self.log.watermarks(&self.partition)?.high;
        let (clock, dropped) = (Arc::clone(&self.clock), self.dropped.clone());
        let mut follower = Follower::open(&*self.log, &self.partition, None, clock, dropped)?;
        let mut links = Vec::new();
        let mut has_caught_up = false;
        loop {
            follower.poll(POLL_LIMIT, POLL_WAIT, &mut links)?;
            for link in links.drain(..) {
                self.fold(number, &link)?;
            }
            let next = follower.offset();
            has_caught_up |= next >= end;
            self.set(if follower.is_stuck() {
                State::Stuck
            } else if has_caught_up {
                State::Following
            } else {
                State::CatchingUp
            });
            if has_caught_up {
                self.shown.is_current.store(true, Ordering::Release);
            }
            // Last, so that who waited for it finds the rest. A reading that began anew says
            // nothing until it is where the one before was.
            self.shown.applied.send_if_modified(|applied| {
                let is_further = next > *applied;
                *applied = next.max(*applied);
                is_further
            });
            if self.waits_for_stop(Duration::ZERO) {
                return Ok(());
            }
        }
    }

    fn fold(&self, partition: u32, link: &LinkedRecord) -> Result<(), Failure> {
        let value = link.record.value.as_deref().unwrap_or_default();
        let link = decode_link(value).map_err(|error| {
            let reason =
                format!("the fact at offset {} cannot be read: {error}", link.record.offset);
            match error.class() {
                ErrorClass::Retry => Failure::Again(reason),
                ErrorClass::Reject => Failure::Stop(reason),
            }
        })?;
        if let Some(fact) = &link.fact {
            self.table.apply(partition, fact);
            self.metrics.facts.inc();
        }
        Ok(())
    }

    fn waits_for_stop(&self, timeout: Duration) -> bool {
        self.stopped.recv_timeout(timeout) != Err(RecvTimeoutError::Timeout)
    }

    fn set(&self, state: State) {
        let mut shown = self.shown.state.lock();
        if *shown != state {
            *shown = state;
        }
    }
}
