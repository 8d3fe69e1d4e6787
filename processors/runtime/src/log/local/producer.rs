//! Appending: records are checked and encoded on the caller's thread, then queued.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::engine::Engine;
use super::format::Body;
use super::queue::{Append, Encoded, Job, Payload, Row};
use super::topic::Topic;
use crate::log::{Delivery, LogError, LogErrorKind, Outgoing, Producer, TopicPartition};

/// Records of one append are cut into values of about this size.
const VALUE_BYTES: usize = 512 * 1024;

/// Longest key in a compacted topic: keys are keys of the store there, which takes 64 KiB.
const COMPACTED_KEY_BYTES_MAX: usize = 32 * 1024;

/// What one producer has in flight, shared with the writer thread.
#[derive(Default)]
pub(super) struct Account {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    deliveries: Vec<Delivery>,
    in_flight_bytes: usize,
    broken: Option<LogError>,
}

impl Account {
    /// Why this producer is broken, if it is.
    pub(super) fn broken(&self) -> Option<LogError> {
        self.state.lock().broken.clone()
    }

    /// Reports records as appended.
    pub(super) fn succeed(&self, first_ticket: u64, count: u64, bytes: usize, offset: u64) {
        let delivery = Delivery { first_ticket, count, result: Ok(Some(offset)) };
        self.deliver(delivery, bytes);
    }

    /// Reports records as failed, and with them the producer.
    pub(super) fn fail(&self, first_ticket: u64, count: u64, bytes: usize, error: LogError) {
        self.break_with(&error);
        let delivery = Delivery { first_ticket, count, result: Err(error) };
        self.deliver(delivery, bytes);
    }

    fn break_with(&self, error: &LogError) {
        self.state.lock().broken.get_or_insert_with(|| error.clone());
    }

    fn deliver(&self, delivery: Delivery, bytes: usize) {
        let mut state = self.state.lock();
        state.in_flight_bytes = state.in_flight_bytes.saturating_sub(bytes);
        state.deliveries.push(delivery);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for room, and takes it.
    fn reserve(&self, bytes: usize, bytes_max: usize) -> Result<(), LogError> {
        let mut state = self.state.lock();
        loop {
            if let Some(error) = &state.broken {
                return Err(error.clone());
            }
            if state.in_flight_bytes == 0 || state.in_flight_bytes + bytes <= bytes_max {
                state.in_flight_bytes += bytes;
                return Ok(());
            }
            self.changed.wait(&mut state);
        }
    }
}

/// A producer of the local log.
pub(super) struct LocalProducer {
    engine: Arc<Engine>,
    account: Arc<Account>,
    topics: HashMap<Arc<str>, Arc<Topic>>,
    next_ticket: u64,
    in_flight: u64,
}

impl LocalProducer {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        let account = Arc::default();
        Self { engine, account, topics: HashMap::new(), next_ticket: 0, in_flight: 0 }
    }

    fn prepare(
        &mut self,
        place: &TopicPartition,
        records: &[Outgoing],
    ) -> Result<Encoded, LogError> {
        if let Some(error) = self.account.broken() {
            return Err(error);
        }
        let topic = match self.topics.get(&place.topic) {
            Some(topic) => topic.clone(),
            None => {
                let topic = self.engine.topic(place)?;
                self.topics.insert(place.topic.clone(), topic.clone());
                topic
            }
        };
        encode(&self.engine, topic, place.partition, records)
    }
}

impl Producer for LocalProducer {
    fn append(
        &mut self,
        partition: &TopicPartition,
        records: Vec<Outgoing>,
    ) -> Result<u64, LogError> {
        let first_ticket = self.next_ticket;
        let prepared = self.prepare(partition, &records).and_then(|prepared| {
            self.engine.check_writable(prepared.bytes as u64)?;
            self.account.reserve(prepared.bytes, self.engine.options().in_flight_bytes_max)?;
            Ok(prepared)
        });
        let records = prepared.inspect_err(|error| self.account.break_with(error))?;
        if records.count == 0 {
            return Ok(first_ticket);
        }
        self.next_ticket += records.count;
        self.in_flight += records.count;
        let account = self.account.clone();
        self.engine.push(Job::Append(Append { records, account, first_ticket }));
        Ok(first_ticket)
    }

    fn poll(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<(), LogError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.account.state.lock();
        while state.deliveries.is_empty() {
            if self.account.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        let delivered: u64 = state.deliveries.iter().map(|delivery| delivery.count).sum();
        self.in_flight = self.in_flight.saturating_sub(delivered);
        out.append(&mut state.deliveries);
        Ok(())
    }

    fn in_flight(&self) -> u64 {
        self.in_flight
    }
}

/// Checks and encodes records for one partition.
pub(super) fn encode(
    engine: &Engine,
    topic: Arc<Topic>,
    partition: u32,
    records: &[Outgoing],
) -> Result<Encoded, LogError> {
    topic.partition(partition)?;
    let options = engine.options();
    let kind = topic.description.spec.timestamps;
    let now_ms = options.clock.now_ms();
    for record in records {
        check(&topic, partition, record, options.record_bytes_max)?;
    }
    let mut bytes = 0;
    let payload = if topic.is_compacted() {
        let row = |record: &Outgoing| {
            let body = Body::encode(std::slice::from_ref(record), kind, now_ms);
            bytes += body.frame_bytes();
            let key = record.key.clone().unwrap_or_default();
            Row { key, is_tombstone: record.value.is_none(), body }
        };
        Payload::Rows(records.iter().map(row).collect())
    } else {
        let body = |records: &[Outgoing]| {
            let body = Body::encode(records, kind, now_ms);
            bytes += body.frame_bytes();
            body
        };
        Payload::Values(cut(records, VALUE_BYTES).map(body).collect())
    };
    Ok(Encoded { topic, partition, count: records.len() as u64, bytes, payload })
}

/// Cuts records into runs of about `bytes_max`.
fn cut(mut rest: &[Outgoing], bytes_max: usize) -> impl Iterator<Item = &[Outgoing]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |record: &&Outgoing| {
            let first = bytes == 0;
            bytes += record.size_bytes() + 1;
            first || bytes <= bytes_max
        };
        let count = rest.iter().take_while(fits).count();
        let (run, after) = rest.split_at(count);
        rest = after;
        (!run.is_empty()).then_some(run)
    })
}

fn check(
    topic: &Topic,
    partition: u32,
    record: &Outgoing,
    bytes_max: usize,
) -> Result<(), LogError> {
    let place = || topic.place(partition);
    let bytes = record.size_bytes();
    if bytes > bytes_max {
        let message = format!(
            "a record of {bytes} bytes for {} is larger than {bytes_max}: make it smaller",
            place()
        );
        return Err(LogError::new(LogErrorKind::RecordTooLarge, message));
    }
    if !topic.is_compacted() {
        return Ok(());
    }
    match &record.key {
        None => {
            let message = format!("a record for {} needs a key: the topic is compacted", place());
            Err(LogError::new(LogErrorKind::Configuration, message))
        }
        Some(key) if key.len() > COMPACTED_KEY_BYTES_MAX => {
            let message = format!(
                "a key of {} bytes for {} is larger than {COMPACTED_KEY_BYTES_MAX}",
                key.len(),
                place()
            );
            Err(LogError::new(LogErrorKind::RecordTooLarge, message))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn records_are_cut_into_runs_and_none_is_lost() {
        let record = |bytes: usize| Outgoing {
            value: Some(Bytes::from(vec![7; bytes])),
            ..Outgoing::default()
        };
        let records = [record(10), record(900), record(20), record(30), record(40)];
        let runs: Vec<usize> = cut(&records, 60).map(<[Outgoing]>::len).collect();
        assert_eq!(runs, [1, 1, 2, 1]);
        assert_eq!(cut(&[], 60).count(), 0);
    }
}
