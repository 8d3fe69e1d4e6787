//! The worker of one partition: poll a burst, decide it, append its links, wait for their
//! acknowledgement, hand on the answers.
//!
//! A decision is real when its link is acknowledged in sequence. Until then nobody hears of it;
//! when it does not come, the state is dropped and restored from the log. This is the only place
//! that writes facts.

mod burst;
mod gap;
mod held;
mod release;
mod side;
mod take_over;
mod ticks;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_trace::Span;

use self::held::Held;
use self::side::Side;
use self::ticks::{OUTSTANDING_MAX, TICK_HEADER, Ticks};
#[cfg(feature = "testing")]
use crate::chain::BrokenRule;
use crate::chain::{ChainWriter, Cursor};
use crate::dead_letter::{Circuit, CircuitPolicy};
use crate::host::{Lagging, MakeTask, Ownership, Task, TaskError};
use crate::lag::Backlog;
use crate::log::headers::HeadersBuilder;
use crate::log::{
    Committed, Delivery, Outgoing, PollLimit, Producer, Reader, Record, TopicPartition,
};
use crate::replies::ReplyTo;
use crate::spans::Spans;
use crate::standby::{Lease, Source, Standby, StandbyPool};
use crate::topology::Topology;

/// How a worker works.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Where answers go.
    pub replies: Arc<str>,
    /// Where commands go that cannot be read.
    pub dead_letters: Arc<str>,
    /// Commands decided at once.
    pub burst: PollLimit,
    /// Bytes of links in flight beyond which no new burst begins.
    pub in_flight_bytes_max: usize,
    /// When there are too many dead letters.
    pub circuit: CircuitPolicy,
    /// Goes on behind commands that the log threw away undecided, rather than stopping there.
    pub skip_expired: bool,
    /// Time between two steps of one long effect, so that what follows the facts keeps up and others
    /// get their turn.
    pub step_every: Duration,
    /// Spans of decisions whose traces are kept.
    pub spans: Spans,
    /// A rule left out on purpose.
    #[cfg(feature = "testing")]
    pub broken: Option<BrokenRule>,
}

impl WorkerOptions {
    /// With the usual limits.
    pub fn new(replies: impl Into<Arc<str>>, dead_letters: impl Into<Arc<str>>) -> Self {
        Self {
            replies: replies.into(),
            dead_letters: dead_letters.into(),
            burst: PollLimit { records: 8_192, bytes: 4 << 20 },
            in_flight_bytes_max: 16 << 20,
            circuit: CircuitPolicy::default(),
            skip_expired: false,
            step_every: Duration::ZERO,
            spans: Spans::off(),
            #[cfg(feature = "testing")]
            broken: None,
        }
    }
}

/// An answer that waits for a link at or behind its command.
struct Waiting<A> {
    command: u64,
    stamped_at_ms: i64,
    reply_to: Option<ReplyTo>,
    answer: A,
    span: Option<Span>,
}

/// Links handed to the log together.
struct Sent {
    links: u64,
    bytes: usize,
    at: Instant,
    /// Of the burst that they end.
    span: Option<Span>,
}

/// The owner of one partition.
pub struct Worker<T: Topology> {
    source: Source,
    options: WorkerOptions,
    partition: u32,
    ownership: Ownership,
    topology: T,
    writer: ChainWriter,
    producer: Box<dyn Producer>,
    commands: Box<dyn Reader>,
    backlog: Backlog,
    command_partition: TopicPartition,
    fact_partition: TopicPartition,
    side: Side,
    ticks: Ticks,
    circuit: Circuit,
    waiting: VecDeque<Waiting<T::Answer>>,
    sent: VecDeque<Sent>,
    in_flight_bytes: usize,
    burst: Vec<Record>,
    outbox: Vec<Outgoing>,
    deliveries: Vec<Delivery>,
    labels: BTreeMap<&'static str, u64>,
    /// What cannot be decided yet.
    held: Option<Held>,
    /// Why the partition stops as soon as everything decided is real.
    stopping: Option<String>,
}

impl<T: Topology> Worker<T> {
    /// The state as decided, acknowledged or not.
    pub const fn topology(&self) -> &T {
        &self.topology
    }

    /// Where the chain stands with everything that is real.
    pub const fn acknowledged(&self) -> Cursor {
        self.writer.acknowledged()
    }

    fn append_ticks(&mut self) {
        let now_ms = self.source.clock.now_ms();
        let due = self.topology.due(now_ms, OUTSTANDING_MAX);
        for due in self.ticks.choose(due, now_ms) {
            let mut headers = HeadersBuilder::from_headers(&due.headers);
            headers.push(TICK_HEADER, &due.deadline_ms.to_be_bytes());
            let tick = Outgoing {
                key: Some(due.key),
                value: Some(due.command),
                headers: headers.build(),
                timestamp_ms: Some(now_ms),
            };
            if self.side.append(&self.command_partition, tick) {
                self.source.metrics.ticks.inc();
            }
        }
    }
}

impl<T: Topology> Task for Worker<T> {
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.collect(Duration::ZERO)?;
        if self.writer.has_gap() {
            return self.resolve_gap(timeout);
        }
        let mut began = false;
        if self.stopping.is_none() {
            self.append_ticks();
        }
        if self.stopping.is_none() && self.in_flight_bytes < self.options.in_flight_bytes_max {
            let wait = if self.writer.in_flight() > 0 { Duration::ZERO } else { timeout };
            self.poll_commands(wait)?;
            self.backlog.ask_retention(&*self.source.log, self.source.clock.now_ms());
            began = !self.burst.is_empty();
            if began {
                self.decide_burst()?;
            }
        }
        #[cfg(feature = "testing")]
        if self.options.broken == Some(BrokenRule::ClosingLinks) {
            self.release_refusals();
        }
        if !began && self.writer.in_flight() > 0 {
            self.collect(timeout)?;
        }
        let lost = self.side.poll();
        self.source.metrics.replies_lost.inc_by(lost);
        match &self.stopping {
            Some(reason) if self.writer.in_flight() == 0 && !self.writer.has_gap() => {
                Err(TaskError::Stop(reason.clone()))
            }
            _ => Ok(()),
        }
    }

    fn drain(&mut self, deadline: Duration) -> Result<(), TaskError> {
        let started = Instant::now();
        while self.writer.in_flight() > 0 || self.writer.has_gap() {
            let left = deadline.saturating_sub(started.elapsed());
            if left.is_zero() {
                let count = self.writer.in_flight();
                let reason = format!("{count} links were not acknowledged before the end");
                return Err(TaskError::Restart(reason));
            }
            if self.writer.has_gap() {
                self.resolve_gap(left)?;
            } else {
                self.collect(left)?;
            }
        }
        self.flush_replies();
        let lost = self.side.drain(deadline.saturating_sub(started.elapsed()));
        self.source.metrics.replies_lost.inc_by(lost);
        Ok(())
    }

    fn problem(&self) -> Option<String> {
        self.held.as_ref().map(|held| held.describe(&self.command_partition))
    }

    fn progress(&self) -> Option<(TopicPartition, Committed)> {
        let cursor = self.writer.acknowledged();
        let committed = Committed { offset: cursor.next_command(), metadata: cursor.to_text() };
        Some((self.command_partition.clone(), committed))
    }

    fn lag_records(&self) -> Option<u64> {
        let high = self.source.log.watermarks(&self.command_partition).ok()?.high;
        Some(high.saturating_sub(self.writer.acknowledged().next_command()))
    }

    fn lagging(&self) -> Option<Lagging> {
        self.backlog.lagging(self.source.clock.now_ms())
    }
}

#[cfg(feature = "testing")]
impl<T: Topology> Worker<T> {
    /// The negative control without closing links: an answer waits for the facts that it was
    /// decided from, and for no link at or behind its own command.
    fn release_refusals(&mut self) {
        if self.writer.in_flight() > 0 || self.writer.has_gap() {
            return;
        }
        if let Some(last) = self.waiting.back() {
            let offset = last.command as i64;
            let cursor = Cursor { offset, ..self.writer.acknowledged() };
            self.release(cursor, self.writer.expected_offset().saturating_sub(1));
        }
    }
}

/// Makes workers for a host from the standbys of a pool; where there is none: restore.
pub fn make_task_from<T: Topology + 'static>(
    pool: StandbyPool<T>,
    source: Source,
    options: WorkerOptions,
    make: impl Fn() -> T + Send + Sync + 'static,
) -> Arc<MakeTask> {
    Arc::new(move |partition, ownership| {
        let (standby, lease) = pool.take(partition);
        let standby = match standby {
            Some(standby) => standby,
            None => Standby::restore(&source, partition, &make)?,
        };
        let worker = Worker::take_over(standby, options.clone(), ownership.clone())?;
        Ok(Box::new(Leased { worker, _lease: lease }) as Box<dyn Task>)
    })
}

/// A worker, and its claim on the partition's standby: fields are dropped in this order.
struct Leased<T: Topology> {
    worker: Worker<T>,
    _lease: Lease,
}

impl<T: Topology> Task for Leased<T> {
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError> {
        self.worker.step(timeout)
    }

    fn drain(&mut self, deadline: Duration) -> Result<(), TaskError> {
        self.worker.drain(deadline)
    }

    fn progress(&self) -> Option<(TopicPartition, Committed)> {
        self.worker.progress()
    }

    fn lag_records(&self) -> Option<u64> {
        self.worker.lag_records()
    }

    fn problem(&self) -> Option<String> {
        self.worker.problem()
    }

    fn lagging(&self) -> Option<Lagging> {
        self.worker.lagging()
    }
}

/// Makes workers for a host: restore, then take over.
pub fn make_task<T: Topology + 'static>(
    source: Source,
    options: WorkerOptions,
    make: impl Fn() -> T + Send + Sync + 'static,
) -> Arc<MakeTask> {
    Arc::new(move |partition, ownership| {
        let standby = Standby::restore(&source, partition, &make)?;
        let worker = Worker::take_over(standby, options.clone(), ownership.clone())?;
        Ok(Box::new(worker) as Box<dyn Task>)
    })
}
