//! Appends changes of accounts, from a thread of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Delivery, Log, LogError, LogErrorKind, Outgoing, Producer, TopicPartition,
};
use cityevents_schemas::message::{AccountChange, encode_account_change};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Most changes that wait; beyond it they are refused, and the sweeper brings them later.
const WAITING_MAX: usize = 4_096;
/// Most changes that are appended together.
const BATCH_MAX: usize = 512;
/// Longest wait for the log to acknowledge a batch.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(10);
/// One wait for deliveries.
const POLL_WAIT: Duration = Duration::from_millis(100);

/// A change was not appended, as far as is known. The row has it, and the sweeper appends it again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// The log did not take it.
    #[error("the change of an account was not appended: {0}")]
    Log(#[from] LogError),
    /// Too many wait already.
    #[error("too many changes of accounts wait to be appended; try again in a second")]
    Full,
    /// This instance stops.
    #[error("the instance stops")]
    Stopped,
}

struct Job {
    key: String,
    /// Nothing: what the key said before is taken away.
    value: Option<Bytes>,
    timestamp_ms: Option<i64>,
    done: oneshot::Sender<Result<(), PublishError>>,
}

/// In front of the id of a session, as a key.
const SESSION: &str = "session/";

/// The key of a change: the last one of each key stays in the topic.
fn key_of(change: &AccountChange) -> String {
    match change.ended_session {
        Some(session) => session_key(session),
        None => change.account.to_string(),
    }
}

fn session_key(session: [u8; 16]) -> String {
    format!("{SESSION}{}", Uuid::from_bytes(session))
}

/// The session of a key, if it is the key of one.
pub(super) fn session_of(key: &[u8]) -> Option<[u8; 16]> {
    let id = key.strip_prefix(SESSION.as_bytes())?;
    Uuid::try_parse_ascii(id).ok().map(Uuid::into_bytes)
}

/// Tells all instances of changes of accounts. Cheap to clone; the thread ends with the last clone.
#[derive(Clone)]
pub struct AccountChanges {
    jobs: Sender<Job>,
}

impl AccountChanges {
    /// Starts the thread. Blocks while it asks how many partitions the topic has.
    ///
    /// # Errors
    /// When the topic is not there, the log cannot be reached, or no thread can be made.
    pub fn start(log: Arc<dyn Log>, topic: Arc<str>) -> Result<Self, LogError> {
        let partitions = log.describe(&topic)?.spec.partitions;
        let (jobs, waiting) = bounded(WAITING_MAX);
        let worker = Worker { log, topic, partitions, producer: None };
        std::thread::Builder::new()
            .name("account-changes".to_owned())
            .spawn(move || worker.run(&waiting))
            .map_err(|error| {
                let message = format!("no thread account-changes can be made: {error}");
                LogError::new(LogErrorKind::Unavailable, message)
            })?;
        Ok(Self { jobs })
    }

    /// Appends a change that the row of the account has already, and waits until it is durable:
    /// then every instance that follows knows it within a second.
    ///
    /// # Errors
    /// When that is not certain. The row is right all the same, and [`super::sweep()`] goes on.
    pub async fn publish(&self, change: &AccountChange) -> Result<(), PublishError> {
        let mut value = Vec::new();
        encode_account_change(change, &mut value);
        let timestamp_ms = Some(change.updated_at.as_millis());
        self.append(key_of(change), Some(value.into()), timestamp_ms).await
    }

    /// Takes out of the topic that a session ended: none of its tokens is out any more.
    ///
    /// # Errors
    /// As [`Self::publish`]; somebody else takes it out later.
    pub async fn forget_session(&self, session: [u8; 16]) -> Result<(), PublishError> {
        self.append(session_key(session), None, None).await
    }

    async fn append(
        &self,
        key: String,
        value: Option<Bytes>,
        timestamp_ms: Option<i64>,
    ) -> Result<(), PublishError> {
        let (done, answer) = oneshot::channel();
        let job = Job { key, value, timestamp_ms, done };
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => PublishError::Full,
            TrySendError::Disconnected(_) => PublishError::Stopped,
        })?;
        answer.await.unwrap_or(Err(PublishError::Stopped))
    }
}

struct Worker {
    log: Arc<dyn Log>,
    topic: Arc<str>,
    partitions: u32,
    producer: Option<Box<dyn Producer>>,
}

impl Worker {
    fn run(mut self, waiting: &Receiver<Job>) {
        while let Ok(first) = waiting.recv() {
            let mut jobs = vec![first];
            jobs.extend(waiting.try_iter().take(BATCH_MAX - 1));
            let appended = self.append(&jobs);
            if let Err(error) = &appended {
                // A producer that failed once fails for ever.
                self.producer = None;
                tracing::warn!(error.kind = error.kind().as_str(), "{error}");
            }
            for job in jobs {
                // Who asked may have gone, which changes nothing.
                let _gone = job.done.send(appended.clone().map_err(PublishError::Log));
            }
        }
    }

    /// Appends changes in order and waits for all of them.
    fn append(&mut self, jobs: &[Job]) -> Result<(), LogError> {
        let producer = match &mut self.producer {
            Some(producer) => producer,
            None => self.producer.insert(self.log.producer("account-changes")?),
        };
        for Job { key, value, timestamp_ms, .. } in jobs {
            let number = partition_of(key.as_bytes(), self.partitions);
            let partition = TopicPartition::new(Arc::clone(&self.topic), number);
            let record = Outgoing {
                key: Some(Bytes::from(key.clone())),
                value: value.clone(),
                timestamp_ms: *timestamp_ms,
                ..Outgoing::default()
            };
            producer.append(&partition, vec![record])?;
        }
        let deadline = Instant::now() + ACKNOWLEDGE_MAX;
        let mut deliveries: Vec<Delivery> = Vec::new();
        let mut acknowledged = 0;
        while acknowledged < jobs.len() as u64 {
            if Instant::now() >= deadline {
                let message = "the log does not acknowledge changes of accounts";
                return Err(LogError::new(LogErrorKind::TimedOut, message));
            }
            producer.poll(POLL_WAIT, &mut deliveries)?;
            for delivery in deliveries.drain(..) {
                delivery.result?;
                acknowledged += delivery.count;
            }
        }
        Ok(())
    }
}
