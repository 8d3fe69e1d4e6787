//! Fenced writers: the transactional producer.
//!
//! A batch is one transaction: outputs, and the group's progress with them. Whoever takes the
//! identity later shuts out whoever held it. Every failure ends the writer: after a timeout a late
//! commit could otherwise slip into the next batch. What the batch came to is then read from the
//! group's progress by whoever takes the identity next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;

use super::errors::{failed, kind_of};
use super::options::TRANSACTION_TIMEOUT;
use super::progress::progress_list;
use super::pump::Pump;
use crate::log::{
    Committed, Delivery, FencedBatch, FencedWriter, LogError, LogErrorKind, TopicPartition,
};

/// Longest wait for an identity: what an older holder left open is finished first.
const TAKE_PATIENCE: Duration = Duration::from_secs(30);
/// Longest wait for one step of a batch.
const STEP_PATIENCE: Duration = TRANSACTION_TIMEOUT;
/// Bytes of one batch that librdkafka may hold before more are handed over.
const BATCH_BYTES_MAX: usize = 32 << 20;
/// Between two tries of a step that may be tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Finds what proves that progress may be stored for a group.
pub(super) type FindMembership = dyn Fn(&str, &[(TopicPartition, Committed)]) -> Result<ConsumerGroupMetadata, LogError>
    + Send
    + Sync;

/// A writer under an identity.
pub(super) struct KafkaFencedWriter {
    pump: Pump,
    identity: String,
    membership: Arc<FindMembership>,
    ended: Option<LogError>,
    deliveries: Vec<Delivery>,
}

impl KafkaFencedWriter {
    /// Takes the identity.
    pub(super) fn take(
        pump: Pump,
        identity: &str,
        membership: Arc<FindMembership>,
    ) -> Result<Self, LogError> {
        let mut writer = Self {
            pump,
            identity: identity.to_owned(),
            membership,
            ended: None,
            deliveries: Vec::new(),
        };
        let deadline = Instant::now() + TAKE_PATIENCE;
        writer.step(deadline, "taking the identity", |pump, left| {
            pump.client().init_transactions(left)
        })?;
        Ok(writer)
    }

    fn write_batch(&mut self, batch: &FencedBatch) -> Result<(), LogError> {
        let bytes = check(&self.pump, batch)?;
        let progress = progress_list(&batch.progress)?;
        let deadline = Instant::now() + STEP_PATIENCE;
        self.step(deadline, "beginning a batch", |pump, _| pump.client().begin_transaction())?;
        if !batch.records.is_empty() {
            let records = batch.records.iter().map(|(place, record)| (place, record));
            let sent = self.pump.send(batch.records.len(), bytes, BATCH_BYTES_MAX, records);
            sent.map_err(|error| self.named(error))?;
            self.await_deliveries(deadline)?;
        }
        if !batch.progress.is_empty() {
            let membership = (self.membership)(&batch.group, &batch.progress)?;
            self.step(deadline, "storing progress", |pump, left| {
                pump.client().send_offsets_to_transaction(&progress, &membership, left)
            })?;
        }
        // Nothing is in flight, so this does not wait in slices.
        self.step(deadline, "committing a batch", |pump, left| {
            pump.client().commit_transaction(left)
        })
    }

    fn await_deliveries(&mut self, deadline: Instant) -> Result<(), LogError> {
        while self.pump.in_flight() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.too_late("an append"));
            }
            self.deliveries.clear();
            self.pump.take(left, &mut self.deliveries);
            let failure = self.deliveries.drain(..).find_map(|delivery| delivery.result.err());
            if let Some(failure) = failure {
                return Err(self.named(failure));
            }
        }
        // The last delivery is counted until its event is gone.
        while self.pump.client().in_flight_count() > 0 {
            if Instant::now() >= deadline {
                return Err(self.too_late("an append"));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// One call, again as long as librdkafka says that it may be tried again.
    fn step(
        &mut self,
        deadline: Instant,
        doing: &str,
        call: impl Fn(&Pump, Duration) -> KafkaResult<()>,
    ) -> Result<(), LogError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.too_late(doing));
            }
            match call(&self.pump, left) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable()
                        && !error.is_fatal()
                        && !error.txn_requires_abort()
                        && error.code() != Code::OperationTimedOut =>
                {
                    std::thread::park_timeout(TRY_AGAIN_AFTER);
                }
                Err(error) => return Err(self.named(failed(doing, &error))),
            }
        }
    }

    /// The failure that it really is: a writer that was shut out hears of it in many ways.
    fn named(&self, error: LogError) -> LogError {
        let fatal = self.pump.fatal_error();
        let is_fenced = error.kind() == LogErrorKind::Fenced
            || fatal.as_ref().is_some_and(|(code, _)| kind_of(*code) == LogErrorKind::Fenced);
        if is_fenced {
            let message = format!("a newer writer holds {}: this one gives up", self.identity);
            return LogError::new(LogErrorKind::Fenced, message);
        }
        match fatal {
            Some((code, reason)) => {
                LogError::new(kind_of(code), format!("writer {} ended: {reason}", self.identity))
            }
            None => LogError::new(error.kind(), format!("writer {}: {error}", self.identity)),
        }
    }

    fn too_late(&self, doing: &str) -> LogError {
        let message = format!("writer {}: {doing} took too long", self.identity);
        LogError::new(LogErrorKind::TimedOut, message)
    }

    /// So that nothing of the batch holds readers up until its time is over. Whether it works does
    /// not matter: whoever takes the identity next aborts what is open.
    fn abort(&self) {
        if self.pump.fatal_error().is_none()
            && let Err(error) = self.pump.client().abort_transaction(Duration::from_secs(2))
        {
            tracing::debug!(%error, "writer {}: a batch is left open", self.identity);
        }
    }
}

impl FencedWriter for KafkaFencedWriter {
    fn write(&mut self, batch: FencedBatch) -> Result<(), LogError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        // A transaction without anything in it would be an error to Kafka.
        if batch.records.is_empty() && batch.progress.is_empty() {
            return Ok(());
        }
        self.write_batch(&batch).inspect_err(|error| {
            self.ended = Some(error.clone());
            self.abort();
        })
    }
}

/// Refuses what is too large before anything is begun; returns the batch's bytes.
fn check(pump: &Pump, batch: &FencedBatch) -> Result<usize, LogError> {
    let mut bytes = 0;
    for (partition, record) in &batch.records {
        pump.check_size(partition, record)?;
        bytes += record.size_bytes();
    }
    Ok(bytes)
}
