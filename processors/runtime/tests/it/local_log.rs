//! The log of one machine beyond the contract: its folder, its disk, crashes, what it throws away.

mod crash;
mod damage;
mod disk;
mod folder;
mod kept;
mod writing;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::contract::{NO_LIMIT, text};
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::{
    Cleanup, Isolation, Log, LogError, Outgoing, Producer, Record, TimestampKind, TopicPartition,
    TopicSpec,
};

const KEPT: Cleanup = Cleanup::Delete { retention: None };

fn open(folder: &Path) -> Arc<LocalLog> {
    LocalLog::open(folder, LocalOptions::default()).unwrap()
}

fn open_at(folder: &Path, clock: &ManualClock) -> Arc<LocalLog> {
    let clock = Arc::new(clock.clone());
    LocalLog::open(folder, LocalOptions { clock, ..LocalOptions::default() }).unwrap()
}

fn topic(log: &LocalLog, name: &str, partitions: u32, cleanup: Cleanup) -> Arc<str> {
    let (name, timestamps) = (Arc::from(name), TimestampKind::LogAppend);
    let spec = TopicSpec { name, partitions, cleanup, timestamps, durable: true };
    log.create_topic(&spec).unwrap().spec.name
}

/// Appends and waits for the acknowledgement; returns the first offset.
fn append(log: &LocalLog, place: &TopicPartition, records: Vec<Outgoing>) -> Result<u64, LogError> {
    append_with(&mut *log.producer("test")?, place, records)
}

fn append_with(
    producer: &mut dyn Producer,
    place: &TopicPartition,
    records: Vec<Outgoing>,
) -> Result<u64, LogError> {
    producer.append(place, records)?;
    let mut deliveries = Vec::new();
    while producer.in_flight() > 0 {
        producer.poll(Duration::from_secs(60), &mut deliveries)?;
    }
    let first = deliveries.swap_remove(0).result?;
    Ok(first.unwrap())
}

/// Records of which each tells its place, so that a wrong one is found out.
fn telling(place: &TopicPartition, offsets: std::ops::Range<u64>) -> Vec<Outgoing> {
    offsets.map(|offset| text(&format!("key {offset}"), &tale(place, offset))).collect()
}

fn tale(place: &TopicPartition, offset: u64) -> String {
    let filling = "#".repeat((offset * 37 % 400) as usize);
    format!("{place} {offset} {filling}")
}

/// Reads from the low watermark to the end.
fn read(log: &LocalLog, place: &TopicPartition) -> Result<Vec<Record>, LogError> {
    let low = log.watermarks(place)?.low;
    let mut reader = log.reader(place, low, Isolation::Committed)?;
    let mut out = Vec::new();
    while !reader.poll(NO_LIMIT, Duration::ZERO, &mut out)?.end_of_partition {}
    Ok(out)
}

/// Checks that records count on from 0 without a gap and tell the right tale, and counts them.
fn check_tales(place: &TopicPartition, records: &[Record]) -> u64 {
    for (record, offset) in records.iter().zip(0..) {
        assert_eq!(record.offset, offset, "{place}");
        let value = String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
        assert_eq!(value, tale(place, offset));
    }
    records.len() as u64
}

/// Copies a folder as it is, also while a log writes to it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found.sort();
    found
}
