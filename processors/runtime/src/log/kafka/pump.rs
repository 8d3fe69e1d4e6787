//! A client that produces, and the thread that polls it.
//!
//! rdkafka's own poll waits its whole timeout out, whatever has come by then. So each producer has
//! a thread that polls while something is in flight and leaves deliveries where the owner waits
//! for them; it sleeps when nothing is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig,
};

use super::client::{Core, client_context};
use super::errors::{failed, kind_of, with_code};
use super::metrics::KafkaMetrics;
use super::options::RECORD_OVERHEAD_BYTES;
use crate::log::{Delivery, LogError, LogErrorKind, Outgoing, TopicPartition};

/// How long one poll of the thread waits. rdkafka burns up to a millisecond at the end of each.
const POLL_SLICE: Duration = Duration::from_millis(100);
/// How often the thread of an idle producer looks for statistics and log lines.
const IDLE_LOOK: Duration = Duration::from_secs(1);
/// How long an append waits for room before it looks again.
const ROOM_WAIT: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    /// Deliveries that nobody took yet.
    deliveries: Vec<Delivery>,
    /// Why everything fails from now on.
    broken: Option<LogError>,
    /// Records handed to librdkafka and not delivered.
    queued: u64,
    queued_bytes: usize,
    /// Whether the owner waits for a delivery.
    owner_waits: bool,
    /// Whether the thread waits for something to be in flight.
    thread_waits: bool,
    stopped: bool,
}

/// What owner, thread and callback share.
struct Shared {
    state: Mutex<State>,
    delivered: Condvar,
    woken: Condvar,
}

/// Where librdkafka's deliveries arrive.
struct Context {
    core: Core,
    shared: Arc<Shared>,
}

client_context!(Context);

impl ProducerContext for Context {
    /// The record's ticket.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let (Ok(message) | Err((_, message))) = result;
        let bytes = message.payload_len() + message.key_len();
        let mut state = self.shared.state.lock();
        let state = &mut *state;
        state.queued -= 1;
        state.queued_bytes = state.queued_bytes.saturating_sub(bytes);
        if let Err((error, _)) = result
            && state.broken.is_none()
        {
            state.broken = Some(failed("an append", error));
        }
        let result = match &state.broken {
            Some(error) => Err(error.clone()),
            None => Ok(u64::try_from(message.offset()).ok()),
        };
        add(&mut state.deliveries, ticket as u64, result);
        if state.owner_waits {
            state.owner_waits = false;
            self.shared.delivered.notify_one();
        }
    }
}

/// Adds a delivery to those that wait, as part of the last one if it continues it.
fn add(deliveries: &mut Vec<Delivery>, ticket: u64, result: Result<Option<u64>, LogError>) {
    if let Some(last) = deliveries.last_mut()
        && last.first_ticket + last.count == ticket
    {
        let continues = match (&last.result, &result) {
            (Ok(Some(first)), Ok(Some(offset))) => first + last.count == *offset,
            (Ok(None), Ok(None)) | (Err(_), Err(_)) => true,
            _ => false,
        };
        if continues {
            last.count += 1;
            return;
        }
    }
    deliveries.push(Delivery { first_ticket: ticket, count: 1, result });
}

/// A client that produces, and the thread that polls it.
pub(super) struct Pump {
    client: Arc<BaseProducer<Context>>,
    shared: Arc<Shared>,
    record_bytes_max: usize,
    next_ticket: u64,
    delivered: u64,
    purged: bool,
}

impl Pump {
    pub(super) fn start(
        config: &ClientConfig,
        name: &str,
        metrics: &KafkaMetrics,
    ) -> Result<Self, LogError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            delivered: Condvar::new(),
            woken: Condvar::new(),
        });
        let context = Context { core: Core::new(name, metrics), shared: Arc::clone(&shared) };
        let doing = format!("making producer {name}");
        let client: BaseProducer<Context> =
            config.create_with_context(context).map_err(|error| failed(&doing, &error))?;
        let record_bytes_max = config
            .create_native_config()
            .and_then(|native| native.get("message.max.bytes"))
            .map_err(|error| failed(&doing, &error))?
            .trim_end_matches('\0')
            .parse::<usize>()
            .map_err(|error| LogError::new(LogErrorKind::Configuration, error.to_string()))?;
        let client = Arc::new(client);
        let (polled, theirs) = (Arc::clone(&client), Arc::clone(&shared));
        std::thread::Builder::new()
            .name(format!("{name}-poll"))
            .spawn(move || poll_until_stopped(&polled, &theirs))
            .map_err(|error| {
                let message = format!("{doing} failed: no thread can be made: {error}");
                LogError::new(LogErrorKind::Unavailable, message)
            })?;
        Ok(Self {
            client,
            shared,
            record_bytes_max: record_bytes_max.saturating_sub(RECORD_OVERHEAD_BYTES),
            next_ticket: 0,
            delivered: 0,
            purged: false,
        })
    }

    pub(super) fn client(&self) -> &BaseProducer<impl ProducerContext> {
        &self.client
    }

    /// Why the client cannot go on, if it said so.
    pub(super) fn fatal_error(&self) -> Option<(Code, String)> {
        self.client.client().fatal_error()
    }

    /// Whether a record is larger than the client takes.
    pub(super) fn check_size(
        &self,
        partition: &TopicPartition,
        record: &Outgoing,
    ) -> Result<(), LogError> {
        let bytes = record.size_bytes();
        if bytes <= self.record_bytes_max {
            return Ok(());
        }
        let message = format!(
            "a record of {bytes} bytes for {partition} is larger than message.max.bytes lets \
             through, {}",
            self.record_bytes_max
        );
        Err(LogError::new(LogErrorKind::RecordTooLarge, message))
    }

    /// Hands records to librdkafka; waits while more than `bytes_max` are in flight.
    pub(super) fn send<'a>(
        &mut self,
        count: usize,
        bytes: usize,
        bytes_max: usize,
        records: impl Iterator<Item = (&'a TopicPartition, &'a Outgoing)>,
    ) -> Result<u64, LogError> {
        let first = self.next_ticket;
        self.begin(count as u64, bytes, bytes_max)?;
        for (handed_over, (partition, record)) in records.enumerate() {
            if let Err(error) = self.send_one(partition, record) {
                let mut state = self.shared.state.lock();
                state.queued -= (count - handed_over) as u64;
                // What came before it may be in the log, so nothing may follow.
                return Err(state.broken.get_or_insert(error).clone());
            }
        }
        Ok(first)
    }

    fn begin(&self, count: u64, bytes: usize, bytes_max: usize) -> Result<(), LogError> {
        let mut state = self.shared.state.lock();
        if self.client.context().core.is_stranded() {
            let lost = || LogError::new(LogErrorKind::Unavailable, "a producer lost every broker");
            return Err(state.broken.get_or_insert_with(lost).clone());
        }
        loop {
            if let Some(error) = &state.broken {
                return Err(error.clone());
            }
            if state.queued == 0 || state.queued_bytes < bytes_max {
                break;
            }
            state.owner_waits = true;
            self.shared.delivered.wait_for(&mut state, ROOM_WAIT);
        }
        state.owner_waits = false;
        state.queued += count;
        state.queued_bytes += bytes;
        if state.thread_waits {
            self.shared.woken.notify_one();
        }
        Ok(())
    }

    fn send_one(&mut self, partition: &TopicPartition, record: &Outgoing) -> Result<(), LogError> {
        let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(
            &partition.topic,
            self.next_ticket as usize,
        )
        .partition(partition.partition.cast_signed());
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.timestamp = record.timestamp_ms;
        message.headers = headers_of(record);
        loop {
            match self.client.send(message) {
                Ok(()) => {
                    self.next_ticket += 1;
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(Code::QueueFull), unsent)) => {
                    message = unsent;
                    let mut state = self.shared.state.lock();
                    state.owner_waits = true;
                    self.shared.delivered.wait_for(&mut state, ROOM_WAIT);
                }
                Err((KafkaError::MessageProduction(Code::Fatal), _)) => return Err(self.fatal()),
                Err((error, _)) => {
                    return Err(failed(&format!("an append to {partition}"), &error));
                }
            }
        }
    }

    /// The error behind `Code::Fatal`.
    fn fatal(&self) -> LogError {
        match self.fatal_error() {
            Some((code, reason)) => {
                LogError::new(kind_of(code), format!("the producer is broken: {reason}"))
            }
            None => with_code("an append", Code::Fatal),
        }
    }

    /// Waits up to `timeout` for at least one delivery and adds all that have come to `out`.
    pub(super) fn take(&mut self, timeout: Duration, out: &mut Vec<Delivery>) {
        let mut state = self.shared.state.lock();
        if state.deliveries.is_empty() && !timeout.is_zero() {
            let deadline = Instant::now() + timeout;
            while state.deliveries.is_empty() {
                state.owner_waits = true;
                if self.shared.delivered.wait_until(&mut state, deadline).timed_out() {
                    break;
                }
            }
            state.owner_waits = false;
        }
        let is_broken = state.broken.is_some();
        self.delivered += state.deliveries.iter().map(|delivery| delivery.count).sum::<u64>();
        out.append(&mut state.deliveries);
        drop(state);
        if is_broken {
            self.purge();
        }
    }

    /// Nothing that was not sent yet shall follow a failure.
    fn purge(&mut self) {
        if !self.purged {
            self.purged = true;
            self.client.purge(PurgeConfig::default().queue().inflight());
        }
    }

    pub(super) const fn in_flight(&self) -> u64 {
        self.next_ticket - self.delivered
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.purge();
        self.shared.state.lock().stopped = true;
        self.shared.woken.notify_one();
        // The thread ends by itself and takes the client with it.
    }
}

fn headers_of(record: &Outgoing) -> Option<OwnedHeaders> {
    if record.headers.as_bytes().is_empty() {
        return None;
    }
    let mut headers = OwnedHeaders::new_with_capacity(8);
    for (key, value) in record.headers.iter() {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    Some(headers)
}

fn poll_until_stopped(client: &BaseProducer<Context>, shared: &Shared) {
    loop {
        let mut state = shared.state.lock();
        if state.queued == 0 && !state.stopped {
            state.thread_waits = true;
            shared.woken.wait_for(&mut state, IDLE_LOOK);
            state.thread_waits = false;
        }
        if state.stopped {
            return;
        }
        let is_idle = state.queued == 0;
        drop(state);
        client.poll(if is_idle { Duration::ZERO } else { POLL_SLICE });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_that_continue_each_other_become_one() {
        let mut all = Vec::new();
        let broken = || Err(LogError::new(LogErrorKind::TimedOut, "too late"));
        let results =
            [Ok(Some(5)), Ok(Some(6)), Ok(Some(9)), Ok(None), Ok(None), broken(), broken()];
        for (ticket, result) in results.into_iter().enumerate() {
            add(&mut all, ticket as u64, result);
        }
        let shape: Vec<_> = all.iter().map(|one| (one.first_ticket, one.count)).collect();
        assert_eq!(shape, [(0, 2), (2, 1), (3, 2), (5, 2)]);
    }

    #[test]
    fn a_ticket_that_was_left_out_begins_a_new_delivery() {
        let mut all = Vec::new();
        add(&mut all, 0, Ok(Some(5)));
        add(&mut all, 2, Ok(Some(6)));
        assert_eq!(all.len(), 2);
    }
}
