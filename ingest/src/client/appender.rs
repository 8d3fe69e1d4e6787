//! The thread that owns a producer: takes whatever waits, appends it, and tells the waiters what
//! the log says.
//!
//! Nothing is appended twice from here: after a failure the waiters are told, the producer is
//! dropped, and callers come again with the same command id.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cityevents_runtime::log::{
    Delivery, Log, LogError, LogErrorKind, Outgoing, Producer, TopicPartition,
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use super::batch::Batch;
use crate::metrics::IngestMetrics;

/// Most records taken at once, so that the first ones do not wait for the last ones.
const ROUND_RECORDS_MAX: usize = 8_192;
/// How long to wait for commands before looking at deliveries. Decisions come by another way, so
/// this delays nobody but who waits for durability alone.
const DELIVERY_WAIT: Duration = Duration::from_millis(1);
/// First wait before a failed producer is made anew; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a failed producer is made anew.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How long deliveries are waited for when a producer broke or the process stops.
const SETTLE_MAX: Duration = Duration::from_secs(3);

/// What is handed to the thread.
pub(crate) enum Job {
    /// One command: line 0 of its batch.
    One(Arc<Batch>, u32, Outgoing),
    /// Many, each with its partition, in the order of the batch's lines.
    Many(Arc<Batch>, Vec<(u32, Outgoing)>),
    /// Finish what is in flight and end.
    Stop,
}

/// The way to the thread.
pub(crate) struct Appender {
    jobs: Sender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Nothing can be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandOverError {
    /// Too many wait.
    Full,
    /// The thread has ended.
    Ended,
}

impl Appender {
    /// Starts the thread. `capacity` jobs may wait.
    pub(crate) fn start(
        name: &str,
        log: Arc<dyn Log>,
        partitions: Vec<TopicPartition>,
        capacity: usize,
        metrics: IngestMetrics,
    ) -> Result<Self, LogError> {
        let producer = Some(log.producer(name)?);
        let (jobs, waiting) = bounded(capacity);
        let count = partitions.len();
        let worker = Worker {
            name: name.to_owned(),
            log,
            partitions,
            producer,
            failures: 0,
            retry_at: Instant::now(),
            last_failure: LogErrorKind::Unavailable,
            outgoing: vec![Vec::new(); count],
            entries: vec![Vec::new(); count],
            ring: Ring::default(),
            deliveries: Vec::new(),
            wakers: Vec::new(),
            metrics,
        };
        let spawned = std::thread::Builder::new().name(name.to_owned());
        let thread = spawned.spawn(move || worker.run(&waiting)).map_err(|error| {
            let message = format!("no thread {name} can be made: {error}");
            LogError::new(LogErrorKind::Unavailable, message)
        })?;
        Ok(Self { jobs, thread: Mutex::new(Some(thread)) })
    }

    /// Hands a job over, without waiting.
    pub(crate) fn hand_over(&self, job: Job) -> Result<(), HandOverError> {
        self.jobs.try_send(job).map_err(|error| match error {
            crossbeam_channel::TrySendError::Full(_) => HandOverError::Full,
            crossbeam_channel::TrySendError::Disconnected(_) => HandOverError::Ended,
        })
    }

    /// Lets the thread finish what it has, and waits for it.
    pub(crate) fn stop(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        // Disconnected: it has ended already.
        let _ended = self.jobs.send(Job::Stop);
        if thread.join().is_err() {
            tracing::error!("an appending thread panicked");
        }
    }
}

/// Records on their way, by ticket.
#[derive(Default)]
struct Ring {
    first_ticket: u64,
    entries: VecDeque<Option<(Arc<Batch>, u32)>>,
}

impl Ring {
    fn take(&mut self, ticket: u64) -> Option<(Arc<Batch>, u32)> {
        let index = usize::try_from(ticket.checked_sub(self.first_ticket)?).ok()?;
        self.entries.get_mut(index)?.take()
    }

    fn forget_delivered(&mut self) {
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first_ticket += 1;
        }
    }
}

struct Worker {
    name: String,
    log: Arc<dyn Log>,
    partitions: Vec<TopicPartition>,
    producer: Option<Box<dyn Producer>>,
    failures: u32,
    retry_at: Instant,
    last_failure: LogErrorKind,
    outgoing: Vec<Vec<Outgoing>>,
    entries: Vec<Vec<(Arc<Batch>, u32)>>,
    ring: Ring,
    deliveries: Vec<Delivery>,
    wakers: Vec<Waker>,
    metrics: IngestMetrics,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let first = if self.ring.entries.is_empty() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(DELIVERY_WAIT)
            };
            let is_last = match first {
                Ok(job) => self.take(job, jobs),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.append();
            self.collect(Duration::ZERO);
            if is_last {
                self.settle();
                return;
            }
        }
    }

    /// Takes a job and all that wait behind it. Whether the last one was to stop.
    fn take(&mut self, first: Job, jobs: &Receiver<Job>) -> bool {
        let mut count = 0;
        for job in std::iter::once(first).chain(jobs.try_iter()) {
            match job {
                Job::One(batch, partition, record) => {
                    self.queue(batch, 0, partition, record);
                    count += 1;
                }
                Job::Many(batch, records) => {
                    count += records.len();
                    for (line, (partition, record)) in (0..).zip(records) {
                        self.queue(Arc::clone(&batch), line, partition, record);
                    }
                }
                Job::Stop => return true,
            }
            if count >= ROUND_RECORDS_MAX {
                break;
            }
        }
        self.metrics.append_commands.observe(count as f64);
        false
    }

    fn queue(&mut self, batch: Arc<Batch>, line: u32, partition: u32, record: Outgoing) {
        let index = partition as usize % self.partitions.len();
        self.outgoing[index].push(record);
        self.entries[index].push((batch, line));
    }

    fn append(&mut self) {
        for index in 0..self.partitions.len() {
            if self.outgoing[index].is_empty() {
                continue;
            }
            let records = std::mem::take(&mut self.outgoing[index]);
            let entries = std::mem::take(&mut self.entries[index]);
            let place = self.partitions[index].clone();
            let Some(producer) = self.producer() else {
                let kind = self.last_failure;
                self.fail(entries, kind);
                continue;
            };
            match producer.append(&place, records) {
                Ok(_first_ticket) => self.ring.entries.extend(entries.into_iter().map(Some)),
                Err(error) => {
                    self.fail(entries, error.kind());
                    self.give_up(&error);
                }
            }
        }
        self.wake();
    }

    /// The producer, made anew when it is time.
    fn producer(&mut self) -> Option<&mut Box<dyn Producer>> {
        if self.producer.is_none() && Instant::now() >= self.retry_at {
            match self.log.producer(&self.name) {
                Ok(producer) => {
                    self.ring = Ring::default();
                    self.producer = Some(producer);
                }
                Err(error) => self.note_failure(&error),
            }
        }
        self.producer.as_mut()
    }

    /// Takes what deliveries there are.
    fn collect(&mut self, timeout: Duration) {
        let Some(producer) = &mut self.producer else { return };
        if self.ring.entries.is_empty() {
            return;
        }
        let mut deliveries = std::mem::take(&mut self.deliveries);
        let polled = producer.poll(timeout, &mut deliveries);
        let mut failed = polled.err();
        for delivery in deliveries.drain(..) {
            let error = self.delivered(&delivery);
            failed = failed.or(error);
        }
        self.deliveries = deliveries;
        self.ring.forget_delivered();
        match failed {
            None => self.failures = 0,
            Some(error) => self.give_up_at_once(&error),
        }
        self.wake();
    }

    /// Tells the waiters of one delivery, those of one batch together.
    fn delivered(&mut self, delivery: &Delivery) -> Option<LogError> {
        let failure = delivery.result.as_ref().err();
        let tickets = delivery.first_ticket..delivery.first_ticket + delivery.count;
        let mut run: Option<(Arc<Batch>, Vec<u32>)> = None;
        for ticket in tickets {
            let Some((batch, line)) = self.ring.take(ticket) else { continue };
            match &mut run {
                Some((known, lines)) if Arc::ptr_eq(known, &batch) => lines.push(line),
                _ => {
                    let waited = batch.handed_over;
                    if let Some((before, lines)) = run.replace((batch, vec![line])) {
                        self.wakers.extend(tell(&before, lines, failure));
                    } else {
                        self.metrics.append_seconds.observe(waited.elapsed().as_secs_f64());
                    }
                }
            }
        }
        if let Some((batch, lines)) = run {
            self.wakers.extend(tell(&batch, lines, failure));
        }
        failure.cloned()
    }

    /// After a refused append: those before it may still be delivered.
    fn give_up(&mut self, error: &LogError) {
        self.settle();
        self.give_up_at_once(error);
    }

    fn give_up_at_once(&mut self, error: &LogError) {
        self.producer = None;
        self.note_failure(error);
        let entries = std::mem::take(&mut self.ring).entries;
        self.fail(entries.into_iter().flatten().collect(), error.kind());
        self.wake();
    }

    fn note_failure(&mut self, error: &LogError) {
        self.metrics.producer_failures.inc();
        self.last_failure = error.kind();
        let backoff = BACKOFF_MIN.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX);
        self.retry_at = Instant::now() + backoff;
        if self.failures == 0 {
            tracing::error!(%error, "{} cannot append commands: {error}", self.name);
        }
        self.failures += 1;
    }

    fn fail(&mut self, entries: Vec<(Arc<Batch>, u32)>, kind: LogErrorKind) {
        for (batch, line) in entries {
            self.wakers.extend(batch.failed([line], kind));
        }
    }

    /// Waits for the deliveries of what is in flight.
    fn settle(&mut self) {
        let deadline = Instant::now() + SETTLE_MAX;
        while self.producer.is_some() && !self.ring.entries.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!("{}: the log has not said what became of commands", self.name);
                break;
            }
            self.collect(left);
        }
    }

    fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }
}

fn tell(batch: &Batch, lines: Vec<u32>, failure: Option<&LogError>) -> Option<Waker> {
    match failure {
        None => batch.durable(lines),
        Some(error) => batch.failed(lines, error.kind()),
    }
}
