//! The way of signals into the log: a producer of their own, so that a crowd that looks does not
//! stand in front of a person who joins.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::clock::{Clock as _, SystemClock};
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Headers, Log, LogError, Outgoing, TopicPartition};
use cityevents_schemas::message::{Engagement, encode_engagement};
use cityevents_schemas::topic;
use tokio::sync::Semaphore;

use super::metrics::TrackMetrics;
use crate::client::appender::{Appender, HandOverError, Job};
use crate::client::batch::{Batch, Line, Until};
use crate::metrics::IngestMetrics;

/// Requests on their way; each has a few hundred signals at most.
const REQUESTS_MAX: usize = 512;
/// How long the log may take.
const APPEND_WAIT_MAX: Duration = Duration::from_secs(10);
/// When it is worth trying again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why signals are not known to be in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    /// Too many are on their way.
    #[error("too many signals are on their way to the log: send them again later")]
    Busy,
    /// The log did not take them, or did not say.
    #[error("the log does not take signals now: send them again later")]
    Unavailable,
    /// The process is stopping.
    #[error("this process is stopping: send them again")]
    Stopping,
}

impl TrackError {
    /// When it is worth trying again.
    pub const fn retry_after(self) -> Duration {
        RETRY_AFTER
    }
}

/// Appends signals. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct EngagementLog {
    shared: Arc<Shared>,
}

struct Shared {
    appender: Appender,
    partitions: u32,
    requests: Semaphore,
    metrics: TrackMetrics,
    clock: SystemClock,
}

impl EngagementLog {
    /// Starts on a log that has the topic.
    ///
    /// # Errors
    /// When the log cannot be reached or has no such topic.
    pub fn start(
        log: &Arc<dyn Log>,
        prefix: &str,
        metrics: TrackMetrics,
    ) -> Result<Self, LogError> {
        let topic: Arc<str> = topic::ENGAGEMENT.full_name(prefix).into();
        let partitions = log.describe(&topic)?.spec.partitions.max(1);
        let places = (0..partitions).map(|partition| TopicPartition::new(topic.clone(), partition));
        let appender = Appender::start(
            "track",
            Arc::clone(log),
            places.collect(),
            REQUESTS_MAX + 1,
            IngestMetrics::unregistered(),
        )?;
        let requests = Semaphore::new(REQUESTS_MAX);
        let shared = Shared { appender, partitions, requests, metrics, clock: SystemClock };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What time it is for signals that come now.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.shared.clock.now_ms())
    }

    /// Appends signals and waits until the log has them all.
    ///
    /// # Errors
    /// When it is not known that it has. Some of them may be in it.
    pub async fn append(&self, signals: &[Engagement]) -> Result<(), TrackError> {
        let shared = &self.shared;
        let _turn = shared.requests.try_acquire().map_err(|error| match error {
            tokio::sync::TryAcquireError::NoPermits => TrackError::Busy,
            tokio::sync::TryAcquireError::Closed => TrackError::Stopping,
        })?;
        let batch = Arc::new(Batch::new(signals.len()));
        let records = signals.iter().map(|signal| self.record(signal)).collect();
        let job = Job::Many(Arc::clone(&batch), records);
        shared.appender.hand_over(job).map_err(|error| match error {
            HandOverError::Full => TrackError::Busy,
            HandOverError::Ended => TrackError::Stopping,
        })?;
        let durable = tokio::time::timeout(APPEND_WAIT_MAX, batch.reached(Until::Durable)).await;
        let count = signals.len() as u64;
        shared.metrics.append_seconds.observe(batch.handed_over.elapsed().as_secs_f64());
        if durable.is_err() || batch.lines().iter().any(|line| *line != Line::Durable) {
            shared.metrics.unavailable.inc_by(count);
            return Err(TrackError::Unavailable);
        }
        shared.metrics.accepted.inc_by(count);
        Ok(())
    }

    fn record(&self, signal: &Engagement) -> (u32, Outgoing) {
        let key = signal.event.to_string();
        let partition = partition_of(key.as_bytes(), self.shared.partitions);
        let mut value = Vec::with_capacity(96);
        encode_engagement(signal, &mut value);
        let record = Outgoing {
            key: Some(Bytes::from(key)),
            value: Some(Bytes::from(value)),
            headers: Headers::empty(),
            timestamp_ms: None,
        };
        (partition, record)
    }

    /// Lets nothing more in, and waits up to `deadline` until the log has what was let in. Returns
    /// whether it has.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let all = self.shared.requests.acquire_many(REQUESTS_MAX as u32);
        let is_done = matches!(tokio::time::timeout(deadline, all).await, Ok(Ok(_)));
        self.shared.requests.close();
        let own = Arc::clone(&self.shared);
        let ended = tokio::task::spawn_blocking(move || own.appender.stop()).await;
        is_done && ended.is_ok()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.appender.stop();
    }
}
