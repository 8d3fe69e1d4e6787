//! What a simulated log in memory does to its users: every fault by itself, and all together.

mod appends;
mod fenced;
mod groups;
mod together;

use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::contract::{numbered, value_of};
use cityevents_runtime::log::memory::{Faults, MemoryLog};
use cityevents_runtime::log::{
    Cleanup, Delivery, Isolation, Log, Producer, TimestampKind, TopicPartition, TopicSpec,
};

fn simulated(seed: u64, faults: Faults) -> MemoryLog {
    MemoryLog::simulated(ManualClock::new(1_700_000_000_000), seed, faults)
}

fn topic(log: &MemoryLog, name: &str, partitions: u32) -> Arc<str> {
    let spec = TopicSpec {
        name: name.into(),
        partitions,
        cleanup: Cleanup::Delete { retention: None },
        timestamps: TimestampKind::LogAppend,
        durable: true,
    };
    log.create_topic(&spec).unwrap().spec.name
}

fn partition(log: &MemoryLog, name: &str) -> TopicPartition {
    TopicPartition::new(topic(log, name, 1), 0)
}

fn values(log: &MemoryLog, place: &TopicPartition, isolation: Isolation) -> Vec<String> {
    log.records(place, isolation).unwrap().iter().map(value_of).collect()
}

fn all(log: &MemoryLog, place: &TopicPartition) -> Vec<String> {
    values(log, place, Isolation::Uncommitted)
}

fn deliveries(producer: &mut dyn Producer) -> Vec<Delivery> {
    let mut out = Vec::new();
    producer.poll(Duration::ZERO, &mut out).unwrap();
    out
}

/// A producer that has handed in `count` records one by one.
fn sent(log: &MemoryLog, name: &str, place: &TopicPartition, count: u64) -> Box<dyn Producer> {
    let mut producer = log.producer(name).unwrap();
    for number in 0..count {
        producer.append(place, numbered(name, number..number + 1)).unwrap();
    }
    producer
}
