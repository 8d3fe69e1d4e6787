//! All faults at once, over many seeds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::log::contract::{NO_LIMIT, numbered, text, value_of};
use cityevents_runtime::log::memory::{Faults, MemoryLog};
use cityevents_runtime::log::{
    Delivery, FencedBatch, Isolation, Log, MemberEvent, Producer, TopicPartition,
};

use super::{deliveries, simulated, topic};

const ROUNDS: u64 = 60;

/// Who wrote what, and what it was told.
struct Writer {
    name: String,
    producer: Box<dyn Producer>,
    told: Vec<Delivery>,
    sent: BTreeMap<u64, (TopicPartition, String)>,
}

/// Lets four writers, two members and a fenced writer loose on a log.
fn storm(log: &MemoryLog) -> Vec<Writer> {
    let topics: [Arc<str>; 1] = [topic(log, "t", 2)];
    let place = |number| TopicPartition::new(topics[0].clone(), number);
    let outputs = TopicPartition::new(topic(log, "out", 1), 0);
    let writer = |number: u64| {
        let name = format!("w{number}-");
        let producer = log.producer(&name).unwrap();
        Writer { name, producer, told: Vec::new(), sent: BTreeMap::new() }
    };
    let mut writers: Vec<_> = (0..4).map(writer).collect();
    let mut done = Vec::new();
    let mut members = ["a", "b"].map(|name| log.join("g", &topics, name).unwrap());
    let mut fenced = log.fenced("f").unwrap();
    for round in 0..ROUNDS {
        for (index, writer) in writers.iter_mut().enumerate() {
            let place = place((round as u32 + index as u32) % 2);
            let (first, count) = (writer.sent.len() as u64, 1 + round % 3);
            let records = numbered(&writer.name, first..first + count);
            if let Ok(ticket) = writer.producer.append(&place, records) {
                for number in 0..count {
                    let value = format!("{}{}", writer.name, first + number);
                    writer.sent.insert(ticket + number, (place.clone(), value));
                }
            }
            writer.told.extend(deliveries(&mut *writer.producer));
            let broken = writer.told.last().is_some_and(|delivery| delivery.result.is_err());
            if broken && writer.producer.in_flight() == 0 {
                let name = format!("w{}-", done.len() + 4);
                let producer = log.producer(&name).unwrap();
                let fresh = Writer { name, producer, told: Vec::new(), sent: BTreeMap::new() };
                done.push(std::mem::replace(writer, fresh));
            }
        }
        for member in &mut members {
            if let Some(MemberEvent::Revoked { partitions }) = member.poll(Duration::ZERO).unwrap()
            {
                member.release(&partitions).unwrap();
            }
        }
        let value = format!("out{round}");
        let records = vec![(outputs.clone(), text("k", &value))];
        let group = "f".to_owned();
        if fenced.write(FencedBatch { records, group, progress: Vec::new() }).is_err() {
            fenced = log.fenced("f").unwrap();
        }
        log.tick();
    }
    done.extend(writers);
    done
}

/// Everything that can be seen of a storm.
fn trace(seed: u64) -> String {
    let log = simulated(seed, Faults::hostile());
    let mut out = String::new();
    for writer in storm(&log) {
        for Delivery { first_ticket, count, result } in &writer.told {
            writeln!(out, "{} {first_ticket}+{count} {result:?}", writer.name).unwrap();
        }
    }
    for topic in log.topics().unwrap() {
        for partition in 0..topic.spec.partitions {
            let place = TopicPartition::new(topic.spec.name.clone(), partition);
            for isolation in [Isolation::Committed, Isolation::Uncommitted] {
                writeln!(out, "{place} {:?}", log.records(&place, isolation).unwrap()).unwrap();
            }
        }
    }
    writeln!(out, "{:?}", log.owners("g")).unwrap();
    out
}

#[test]
fn a_seed_always_gives_the_same() {
    for seed in 0..10 {
        assert!(trace(seed) == trace(seed), "seed {seed} gave two results");
    }
    assert!(trace(1) != trace(2), "another seed gives another result");
}

#[test]
fn what_was_acknowledged_is_where_it_was_said_to_be() {
    let (mut acknowledged, mut failed, mut somewhere) = (0, 0, 0);
    for seed in 0..200 {
        let log = simulated(seed, Faults::hostile());
        for writer in storm(&log) {
            let mut broken = false;
            let mut last_ticket: BTreeMap<TopicPartition, u64> = BTreeMap::new();
            for delivery in &writer.told {
                for index in 0..delivery.count {
                    let ticket = delivery.first_ticket + index;
                    let (place, value) = &writer.sent[&ticket];
                    let before = last_ticket.insert(place.clone(), ticket);
                    assert!(before < Some(ticket), "seed {seed}: tickets of {place} in order");
                    match delivery.result {
                        Err(_) => {
                            broken = true;
                            failed += 1;
                        }
                        Ok(offset) => {
                            assert!(!broken, "seed {seed}: a success after a failure");
                            let records = log.records(place, Isolation::Uncommitted).unwrap();
                            let found = records.iter().filter(|record| value_of(record) == *value);
                            let offsets: Vec<_> = found.map(|record| record.offset).collect();
                            assert!(!offsets.is_empty(), "seed {seed}: {value} is lost");
                            match offset {
                                Some(first) => {
                                    assert!(offsets.contains(&(first + index)), "seed {seed}");
                                    acknowledged += 1;
                                }
                                None => somewhere += 1,
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(acknowledged > 1000 && failed > 100 && somewhere > 100, "the storm was none");
}

#[test]
fn without_faults_a_simulation_comes_to_rest() {
    for seed in 0..50 {
        let log = simulated(seed, Faults::hostile());
        drop(storm(&log));
        log.set_faults(Faults { lands_late: 1.0, ..Faults::none() });
        for _ in 0..30 {
            log.tick();
        }
        assert_eq!(log.under_way(), 0, "seed {seed}");
        let outputs = TopicPartition::new("out", 0);
        let high = log.watermarks(&outputs).unwrap().high;
        let mut reader = log.reader(&outputs, 0, Isolation::Committed).unwrap();
        let mut out = Vec::new();
        let polled = reader.poll(NO_LIMIT, Duration::ZERO, &mut out).unwrap();
        assert!(polled.end_of_partition, "seed {seed}");
        assert_eq!(reader.position(), high, "seed {seed}: no batch is in doubt");
        let values: Vec<_> = out.iter().map(value_of).collect();
        assert!(values.len() > 40, "seed {seed}: {values:?}");
        assert!(log.owners("g").is_empty(), "seed {seed}: all members have gone");
    }
}
