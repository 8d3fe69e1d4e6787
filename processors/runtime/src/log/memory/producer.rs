//! Producers: tickets, deliveries, and the rule that nothing succeeds after a failure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::storage::Fate;
use super::{Shared, State};
use crate::log::{Delivery, LogError, LogErrorKind, Outgoing, Producer, TopicPartition};

/// The log's side of all living producers.
#[derive(Default)]
pub(super) struct Producers {
    alive: BTreeMap<u64, Account>,
    made: u64,
    fail_next: Option<LogErrorKind>,
}

/// The log's side of one producer.
struct Account {
    name: String,
    next_ticket: u64,
    /// Records whose delivery the producer has not taken yet.
    in_flight: u64,
    deliveries: Vec<Delivery>,
    broken: Option<LogError>,
}

impl Producers {
    pub(super) fn add(&mut self, name: &str) -> u64 {
        self.made += 1;
        let account = Account {
            name: name.to_owned(),
            next_ticket: 0,
            in_flight: 0,
            deliveries: Vec::new(),
            broken: None,
        };
        self.alive.insert(self.made, account);
        self.made
    }

    pub(super) fn ids_of(&self, name: &str) -> Vec<u64> {
        let named = self.alive.iter().filter(|(_, account)| account.name == name);
        named.map(|(id, _)| *id).collect()
    }

    pub(super) fn bury(&mut self, id: u64) {
        self.alive.remove(&id);
    }

    pub(super) fn fail_next(&mut self, kind: LogErrorKind) {
        self.fail_next = Some(kind);
    }

    /// The failure that was asked for, once.
    pub(super) fn take_failure(&mut self) -> Option<LogErrorKind> {
        self.fail_next.take()
    }

    /// Tells a producer, if it lives, what an append came to. A failure breaks it.
    pub(super) fn tell(&mut self, id: u64, delivery: Delivery) {
        if let Some(account) = self.alive.get_mut(&id) {
            if let Err(error) = &delivery.result {
                account.broken.get_or_insert_with(|| error.clone());
            }
            account.deliveries.push(delivery);
        }
    }

    fn account(&mut self, id: u64) -> Result<&mut Account, LogError> {
        let dead = || LogError::new(LogErrorKind::Unavailable, "this producer was crashed");
        self.alive.get_mut(&id).ok_or_else(dead)
    }
}

impl State {
    fn append(
        &mut self,
        id: u64,
        place: &TopicPartition,
        records: Vec<Outgoing>,
        now_ms: i64,
    ) -> Result<u64, LogError> {
        if let Some(error) = &self.producers.account(id)?.broken {
            let message = format!("the producer is broken, make a new one: {error}");
            return Err(LogError::new(error.kind(), message));
        }
        self.storage.check(place, &records)?;
        let account = self.producers.account(id)?;
        let first_ticket = account.next_ticket;
        let count = records.len() as u64;
        account.next_ticket += count;
        account.in_flight += count;
        if records.is_empty() {
            return Ok(first_ticket);
        }
        if let Some(simulation) = &mut self.simulation {
            simulation.send(id, place, first_ticket, records);
            return Ok(first_ticket);
        }
        let result = match self.producers.take_failure() {
            Some(kind) => Err(failed(kind, place)),
            None => self.storage.append(place, records, now_ms, Fate::Counts).map(Some),
        };
        self.producers.tell(id, Delivery { first_ticket, count, result });
        Ok(first_ticket)
    }
}

/// What a producer hears of an append that failed.
pub(super) fn failed(kind: LogErrorKind, place: &TopicPartition) -> LogError {
    let message = format!("append to {place} failed ({}), make a new producer", kind.as_str());
    LogError::new(kind, message)
}

/// A producer of a [`super::MemoryLog`].
pub(super) struct MemoryProducer {
    shared: Arc<Shared>,
    id: u64,
}

impl MemoryProducer {
    pub(super) fn new(shared: Arc<Shared>, id: u64) -> Self {
        Self { shared, id }
    }
}

impl Producer for MemoryProducer {
    fn append(
        &mut self,
        partition: &TopicPartition,
        records: Vec<Outgoing>,
    ) -> Result<u64, LogError> {
        let now_ms = self.shared.clock.now_ms();
        self.shared.change().append(self.id, partition, records, now_ms)
    }

    /// Never waits: where it may, all deliveries are there as soon as an append returns.
    fn poll(&mut self, _timeout: Duration, out: &mut Vec<Delivery>) -> Result<(), LogError> {
        let mut state = self.shared.state.lock();
        let account = state.producers.account(self.id)?;
        let told: u64 = account.deliveries.iter().map(|delivery| delivery.count).sum();
        account.in_flight -= told;
        out.append(&mut account.deliveries);
        Ok(())
    }

    fn in_flight(&self) -> u64 {
        let state = self.shared.state.lock();
        state.producers.alive.get(&self.id).map_or(0, |account| account.in_flight)
    }
}

impl Drop for MemoryProducer {
    fn drop(&mut self) {
        self.shared.change().bury_producer(self.id);
    }
}
