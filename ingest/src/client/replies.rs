//! The thread that reads this instance's partition of the replies and completes who waits.
//!
//! Replies are the fast path only: one that is lost or skipped costs its caller a wait, and the
//! outcome is found by the command's id.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use cityevents_runtime::log::{
    Isolation, Log, LogError, LogErrorKind, PollLimit, Reader, Record, TopicPartition,
};
use cityevents_runtime::replies::attempt_of;
use parking_lot::Mutex;

use super::waiters::Waiters;
use crate::metrics::IngestMetrics;

/// Replies taken at once.
const POLL: PollLimit = PollLimit { records: 8_192, bytes: 4 << 20 };
/// How long to wait for replies before looking whether to stop.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Wait after a failed read.
const FAILURE_WAIT: Duration = Duration::from_millis(200);

/// The thread.
pub(super) struct Replies {
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Replies {
    /// Begins to read at the end of the partition as it is now: whoever is told to answer there
    /// afterwards is heard.
    pub(super) fn start(
        log: Arc<dyn Log>,
        partition: TopicPartition,
        waiters: Arc<Waiters>,
        metrics: IngestMetrics,
    ) -> Result<Self, LogError> {
        let reader = open(&*log, &partition)?;
        let stop = Arc::new(AtomicBool::new(false));
        let listener =
            Listener { log, partition, reader, waiters, metrics, stop: Arc::clone(&stop) };
        let spawned = std::thread::Builder::new().name("ingest-replies".to_owned());
        let thread = spawned.spawn(move || listener.run()).map_err(|error| {
            let message = format!("no thread for replies can be made: {error}");
            LogError::new(LogErrorKind::Unavailable, message)
        })?;
        Ok(Self { stop, thread: Mutex::new(Some(thread)) })
    }

    /// Stops reading.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads replies panicked");
        }
    }
}

fn open(log: &dyn Log, partition: &TopicPartition) -> Result<Box<dyn Reader>, LogError> {
    let end = log.watermarks(partition)?.high;
    log.reader(partition, end, Isolation::Uncommitted)
}

struct Listener {
    log: Arc<dyn Log>,
    partition: TopicPartition,
    reader: Box<dyn Reader>,
    waiters: Arc<Waiters>,
    metrics: IngestMetrics,
    stop: Arc<AtomicBool>,
}

impl Listener {
    fn run(mut self) {
        let mut records = Vec::new();
        let mut wakers = Vec::new();
        while !self.stop.load(Ordering::Acquire) {
            if let Err(error) = self.reader.poll(POLL, POLL_WAIT, &mut records) {
                self.recover(&error);
            }
            for record in records.drain(..) {
                wakers.extend(self.complete(record));
            }
            // All of a burst are completed before the first one is woken.
            wakers.drain(..).for_each(Waker::wake);
        }
    }

    fn complete(&self, record: Record) -> Option<Waker> {
        let attempt = attempt_of(&record.headers)?;
        match self.waiters.find(&attempt) {
            Some((batch, line)) => batch.replied(line, record.value.unwrap_or_default()),
            None => {
                if self.waiters.is_ours(&attempt) {
                    self.metrics.replies_unclaimed.inc();
                }
                None
            }
        }
    }

    /// Goes on from the end: what was missed is found by the commands' ids.
    fn recover(&mut self, error: &LogError) {
        self.metrics.reply_failures.inc();
        tracing::warn!(%error, "replies of {} cannot be read: {error}", self.partition);
        std::thread::park_timeout(FAILURE_WAIT);
        match open(&*self.log, &self.partition) {
            Ok(reader) => self.reader = reader,
            Err(error) => {
                tracing::warn!(%error, "{} cannot be opened: {error}", self.partition);
            }
        }
    }
}
