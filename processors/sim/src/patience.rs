//! A simulated log in which waiting lets time pass.
//!
//! The memory log never blocks in a simulation. A worker that has to wait for an acknowledgement
//! (a genesis, a dead letter, its end) waits here by ticks of the log.

use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::{
    Committed, Delivery, FencedWriter, Isolation, Log, LogError, Member, Outgoing, Producer,
    Reader, TopicDescription, TopicPartition, TopicSpec, Watermarks,
};

/// Ticks that one wait lasts at most: more than a producer of the log waits.
const WAIT_TICKS: u32 = 60;
/// What one tick of waiting takes.
const TICK_MS: i64 = 5;

/// See the module.
pub(crate) struct PatientLog {
    pub(crate) log: MemoryLog,
    pub(crate) clock: ManualClock,
}

impl Log for PatientLog {
    fn topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        self.log.topics()
    }

    fn create_topic(&self, spec: &TopicSpec) -> Result<TopicDescription, LogError> {
        self.log.create_topic(spec)
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        self.log.watermarks(partition)
    }

    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        let inner = self.log.producer(name)?;
        let (log, clock) = (self.log.clone(), self.clock.clone());
        Ok(Box::new(PatientProducer { inner, log, clock }))
    }

    fn reader(
        &self,
        partition: &TopicPartition,
        offset: u64,
        isolation: Isolation,
    ) -> Result<Box<dyn Reader>, LogError> {
        self.log.reader(partition, offset, isolation)
    }

    fn join(
        &self,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
    ) -> Result<Box<dyn Member>, LogError> {
        self.log.join(group, topics, name)
    }

    fn committed(
        &self,
        group: &str,
        partition: &TopicPartition,
    ) -> Result<Option<Committed>, LogError> {
        self.log.committed(group, partition)
    }

    fn fenced(&self, identity: &str) -> Result<Box<dyn FencedWriter>, LogError> {
        self.log.fenced(identity)
    }
}

struct PatientProducer {
    inner: Box<dyn Producer>,
    log: MemoryLog,
    clock: ManualClock,
}

impl Producer for PatientProducer {
    fn append(
        &mut self,
        partition: &TopicPartition,
        records: Vec<Outgoing>,
    ) -> Result<u64, LogError> {
        self.inner.append(partition, records)
    }

    fn poll(&mut self, timeout: Duration, out: &mut Vec<Delivery>) -> Result<(), LogError> {
        let before = out.len();
        self.inner.poll(Duration::ZERO, out)?;
        if timeout.is_zero() {
            return Ok(());
        }
        for _ in 0..WAIT_TICKS {
            if out.len() > before || self.inner.in_flight() == 0 {
                break;
            }
            self.log.tick();
            self.clock.advance(TICK_MS);
            self.inner.poll(Duration::ZERO, out)?;
        }
        Ok(())
    }

    fn in_flight(&self) -> u64 {
        self.inner.in_flight()
    }
}
