//! Calls that wait, with real threads: for logs that do their work by themselves.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::worker::{Worker, settle};
use super::{BRIEF, Fixture, NO_LIMIT, numbered, offsets_of, text, value_of};
use crate::log::{FencedBatch, Isolation, Log, MemberEvent, Record, TopicPartition};

/// Starts a reader at the end of an empty partition, lets `write` write once it is there, and
/// returns what the reader's next poll brought and how long it took.
fn woken(
    fixture: &Fixture,
    place: &TopicPartition,
    isolation: Isolation,
    write: impl FnOnce(),
) -> (Vec<Record>, Duration) {
    let mut reader = fixture.log.reader(place, 0, isolation).unwrap();
    let patience = fixture.patience;
    let at_end = Arc::new(Barrier::new(2));
    let waiting = at_end.clone();
    let thread = thread::spawn(move || {
        let mut out = Vec::new();
        while !reader.poll(NO_LIMIT, BRIEF, &mut out).unwrap().end_of_partition {}
        assert!(out.is_empty());
        waiting.wait();
        let started = Instant::now();
        while out.is_empty() && started.elapsed() < patience {
            reader.poll(NO_LIMIT, patience, &mut out).unwrap();
        }
        (out, started.elapsed())
    });
    at_end.wait();
    write();
    thread.join().unwrap()
}

/// Long before its time is up.
pub fn a_waiting_reader_wakes_at_an_append(fixture: Fixture) {
    let place = fixture.partition("orders");
    let (records, waited) = woken(&fixture, &place, Isolation::Uncommitted, || {
        fixture.append(&place, vec![text("k", "news")]);
    });
    assert_eq!(records.iter().map(value_of).collect::<Vec<_>>(), ["news"]);
    assert!(waited < fixture.patience / 2, "it took {waited:?}");
}

/// Long before its time is up.
pub fn a_waiting_reader_wakes_at_a_fenced_batch(fixture: Fixture) {
    let place = fixture.partition("events");
    let mut writer = fixture.log.fenced(&fixture.name("publisher-0")).unwrap();
    let (records, waited) = woken(&fixture, &place, Isolation::Committed, || {
        let records = vec![(place.clone(), text("k", "news"))];
        let group = fixture.name("publisher");
        writer.write(FencedBatch { records, group, progress: Vec::new() }).unwrap();
    });
    assert_eq!(records.iter().map(value_of).collect::<Vec<_>>(), ["news"]);
    assert!(waited < fixture.patience / 2, "it took {waited:?}");
}

/// When nothing comes: not before the time is up, and not long after.
pub fn a_reader_gives_up_waiting_in_time(fixture: Fixture) {
    let place = fixture.partition("orders");
    let mut reader = fixture.log.reader(&place, 0, Isolation::Uncommitted).unwrap();
    let mut out = Vec::new();
    while !reader.poll(NO_LIMIT, BRIEF, &mut out).unwrap().end_of_partition {}
    let started = Instant::now();
    let polled = reader.poll(NO_LIMIT, 3 * BRIEF, &mut out).unwrap();
    let waited = started.elapsed();
    assert!(polled.end_of_partition, "it still stands at the end");
    assert!(out.is_empty());
    assert!(waited >= 2 * BRIEF, "it waited {waited:?}");
    assert!(waited < fixture.patience, "it waited {waited:?}");
}

/// To be told what it has to give.
pub fn a_waiting_member_wakes_when_another_comes(fixture: Fixture) {
    let topics = [fixture.topic("commands", 2)];
    let mut one = Worker::join(&fixture, &topics, "a");
    settle(&fixture, &mut [&mut one], &[2]);
    let patience = fixture.patience;
    let ready = Arc::new(Barrier::new(2));
    let waiting = ready.clone();
    let thread = thread::spawn(move || {
        waiting.wait();
        let started = Instant::now();
        loop {
            match one.member.poll(patience).unwrap() {
                Some(MemberEvent::Revoked { partitions }) => {
                    return (partitions, started.elapsed());
                }
                other => assert!(started.elapsed() < patience, "{other:?}"),
            }
        }
    });
    ready.wait();
    let mut other = fixture.log.join(&fixture.name("group"), &topics, "b").unwrap();
    while !thread.is_finished() {
        other.poll(BRIEF).unwrap();
    }
    let (revoked, waited) = thread.join().unwrap();
    assert_eq!(revoked.len(), 1);
    assert!(waited < fixture.patience / 2, "it took {waited:?}");
}

fn append_singly(log: &dyn Log, place: &TopicPartition, name: &str, count: u64) -> Vec<u64> {
    let mut producer = log.producer(name).unwrap();
    let mut deliveries = Vec::new();
    for number in 0..count {
        producer.append(place, numbered(name, number..number + 1)).unwrap();
        producer.poll(Duration::ZERO, &mut deliveries).unwrap();
    }
    while producer.in_flight() > 0 {
        producer.poll(BRIEF, &mut deliveries).unwrap();
    }
    let mut offsets = Vec::new();
    for delivery in deliveries {
        assert_eq!(delivery.first_ticket, offsets.len() as u64);
        let first = delivery.result.unwrap().unwrap();
        offsets.extend(first..first + delivery.count);
    }
    offsets
}

/// Each keeps its order and knows its offsets.
pub fn many_producers_at_once_lose_nothing(fixture: Fixture) {
    const EACH: u64 = 200;
    let place = fixture.partition("orders");
    let names = ["a", "b", "c", "d"];
    let threads = names.map(|name| {
        let (log, place) = (fixture.log.clone(), place.clone());
        thread::spawn(move || append_singly(&*log, &place, name, EACH))
    });
    let offsets = threads.map(|thread| thread.join().unwrap());
    let records = fixture.read(&place, 0, Isolation::Uncommitted);
    assert_eq!(offsets_of(&records), (0..EACH * 4).collect::<Vec<_>>());
    for (name, offsets) in names.iter().zip(offsets) {
        assert_eq!(offsets.len() as u64, EACH);
        assert!(offsets.is_sorted());
        for (number, offset) in offsets.into_iter().enumerate() {
            assert_eq!(value_of(&records[offset as usize]), format!("{name}{number}"));
        }
    }
}

/// A reader that runs along sees every record once, in order, without gaps.
pub fn what_readers_follow_is_acknowledged_in_order(fixture: Fixture) {
    const COUNT: u64 = 500;
    let place = fixture.partition("orders");
    let mut reader = fixture.log.reader(&place, 0, Isolation::Uncommitted).unwrap();
    let patience = fixture.patience;
    let thread = thread::spawn(move || {
        let started = Instant::now();
        let mut out = Vec::new();
        while (out.len() as u64) < COUNT && started.elapsed() < patience {
            reader.poll(NO_LIMIT, patience, &mut out).unwrap();
        }
        out
    });
    append_singly(&*fixture.log, &place, "v", COUNT);
    let records = thread.join().unwrap();
    assert_eq!(offsets_of(&records), (0..COUNT).collect::<Vec<_>>());
    for (number, record) in records.iter().enumerate() {
        assert_eq!(value_of(record), format!("v{number}"));
    }
}
