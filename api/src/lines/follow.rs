//! The threads that read the facts, one a partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cityevents_runtime::follower::{Follower, LinkedRecord};
use cityevents_runtime::log::clock::Clock;
use cityevents_runtime::log::{Log, LogError, TopicPartition};
use cityevents_runtime::metrics::FollowerMetrics;
use cityevents_schemas::message::decode_link;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::LinesOptions;
use super::table::Table;
use super::told::Listeners;
use crate::following::{Failure, POLL_LIMIT, POLL_WAIT, Shown, State, Stop, Supervision, Threads};

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

/// What the reading of a partition shows to others.
struct Progress {
    applied: watch::Sender<u64>,
    shown: Shown,
    /// Whether everything up to `applied` is in the table: not while it is read anew.
    is_current: AtomicBool,
}

/// The threads. Dropping this ends them.
pub(super) struct Followers {
    topic: Arc<str>,
    partitions: Vec<Arc<Progress>>,
    threads: Threads,
}

impl Followers {
    pub(super) fn start(
        log: &Arc<dyn Log>,
        options: &LinesOptions,
        clock: &Arc<dyn Clock>,
        dropped: FollowerMetrics,
        metrics: LinesMetrics,
        (table, listeners): (&Arc<Table>, &Arc<Listeners>),
    ) -> Result<Self, LogError> {
        let topic = Arc::clone(&options.topic);
        let mut followers = Self { topic, partitions: Vec::new(), threads: Threads::default() };
        for partition in 0..options.partitions {
            let progress = Arc::new(Progress {
                applied: watch::Sender::new(0),
                shown: Shown::default(),
                is_current: AtomicBool::new(false),
            });
            let reading = Reading {
                log: Arc::clone(log),
                partition: TopicPartition::new(Arc::clone(&options.topic), partition),
                clock: Arc::clone(clock),
                dropped: dropped.clone(),
                metrics: metrics.clone(),
                table: Arc::clone(table),
                listeners: Arc::clone(listeners),
                progress: Arc::clone(&progress),
            };
            let name = format!("lines-{partition}");
            followers.threads.start(name, move |stop| reading.run(stop))?;
            followers.partitions.push(progress);
        }
        Ok(followers)
    }

    pub(super) fn applied(&self, partition: u32) -> Option<u64> {
        let progress = self.partitions.get(partition as usize)?;
        Some(*progress.applied.borrow())
    }

    /// Whether what the table says of a partition's events is how they are, and not how they were.
    pub(super) fn is_current(&self, partition: u32) -> bool {
        let progress = self.partitions.get(partition as usize);
        progress.is_some_and(|progress| progress.is_current.load(Ordering::Acquire))
    }

    pub(super) async fn wait(&self, partition: u32, offset: u64, at_most: Duration) -> bool {
        let Some(progress) = self.partitions.get(partition as usize) else {
            return false;
        };
        let mut applied = progress.applied.subscribe();
        let passed = applied.wait_for(|next| *next > offset);
        matches!(tokio::time::timeout(at_most, passed).await, Ok(Ok(_)))
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.partitions.iter().enumerate().find_map(|(partition, progress)| {
            let so_far = || format!("reading the facts, at offset {}", *progress.applied.borrow());
            let what = progress.shown.problem(so_far)?;
            Some(format!("lines of {}/{partition}: {what}", self.topic))
        })
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
    listeners: Arc<Listeners>,
    progress: Arc<Progress>,
}

impl Reading {
    fn run(&self, stop: &Stop) {
        let what = format!("the lines of {}", self.partition);
        let (shown, restarts) = (&self.progress.shown, &self.metrics.restarts);
        let supervision = Supervision { what: &what, shown, restarts, stop };
        let applied = || *self.progress.applied.borrow();
        let mut before = applied();
        let has_advanced = || std::mem::replace(&mut before, applied()) < applied();
        supervision.run(|| self.read(stop), has_advanced);
    }

    /// Reads from the beginning until told to stop.
    fn read(&self, stop: &Stop) -> Result<(), Failure> {
        let number = self.partition.partition;
        self.progress.is_current.store(false, Ordering::Release);
        self.table.forget(number);
        let end = self.log.watermarks(&self.partition)?.high;
        let (clock, dropped) = (Arc::clone(&self.clock), self.dropped.clone());
        let mut follower = Follower::open(&*self.log, &self.partition, None, clock, dropped)?;
        let mut links = Vec::new();
        let mut has_caught_up = false;
        loop {
            follower.poll(POLL_LIMIT, POLL_WAIT, &mut links)?;
            for link in links.drain(..) {
                self.fold(number, &link, has_caught_up)?;
            }
            let next = follower.offset();
            has_caught_up |= next >= end;
            self.progress.shown.set(if follower.is_stuck() {
                State::Stuck
            } else if has_caught_up {
                State::Following
            } else {
                State::CatchingUp
            });
            if has_caught_up {
                self.progress.is_current.store(true, Ordering::Release);
            }
            // Last, so that who waited for it finds the rest. A reading that began anew says
            // nothing until it is where the one before was.
            self.progress.applied.send_if_modified(|applied| {
                let is_further = next > *applied;
                *applied = next.max(*applied);
                is_further
            });
            if stop.comes_within(Duration::ZERO) {
                return Ok(());
            }
        }
    }

    fn fold(&self, partition: u32, link: &LinkedRecord, is_news: bool) -> Result<(), Failure> {
        let value = link.record.value.as_deref().unwrap_or_default();
        let link = decode_link(value).map_err(|error| {
            let reason =
                format!("the fact at offset {} cannot be read: {error}", link.record.offset);
            Failure::unreadable(error.class(), reason)
        })?;
        if let Some(fact) = &link.fact {
            self.table.apply(partition, fact);
            if is_news {
                self.listeners.tell(fact);
            }
            self.metrics.facts.inc();
        }
        Ok(())
    }
}
