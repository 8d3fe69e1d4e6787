//! Measures the log of one machine: appends, reads, restart, compaction.
//!
//! ```text
//! cargo run --release --example local_log_bench -- FOLDER append|topics|compact|sync [COUNT]
//! ```
#![allow(clippy::print_stdout, reason = "a measurement is there to be read")]

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::{
    Cleanup, Isolation, Log, Outgoing, PollLimit, Producer, TimestampKind, TopicPartition,
    TopicSpec,
};

const RECORD_BYTES: usize = 250;
const BURST: usize = 1_000;
const BURSTS_IN_FLIGHT: u64 = 32;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name a folder")?;
    let what = arguments.next().ok_or("name what to measure")?;
    let count = arguments.next().map_or(Ok(3_000_000), |count| count.parse())?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    match what.as_str() {
        "sync" => sync(folder),
        "append" => append(folder, count, &["facts"]),
        "topics" => append(folder, count, &["commands", "facts", "replies"]),
        "compact" => compact(folder, count),
        _ => Err(format!("there is no measurement {what}").into()),
    }
}

/// What one fdatasync costs here: after a small write, and after a large one.
fn sync(folder: &Path) -> Outcome {
    let mut file = File::create(folder.join("sync"))?;
    for bytes in [300, 300_000] {
        let block = vec![7; bytes];
        let mut took = Vec::new();
        for _ in 0..200 {
            file.write_all(&block)?;
            let begun = Instant::now();
            file.sync_data()?;
            took.push(begun.elapsed());
        }
        took.sort();
        println!("fdatasync after {bytes} bytes: p50 {:?}, p99 {:?}", took[100], took[198]);
    }
    Ok(std::fs::remove_file(folder.join("sync"))?)
}

fn open(folder: &Path) -> Result<Arc<LocalLog>, Box<dyn Error>> {
    let begun = Instant::now();
    let log = LocalLog::open(folder, LocalOptions::default())?;
    println!("open: {:?}", begun.elapsed());
    Ok(log)
}

fn topic(log: &LocalLog, name: &str, cleanup: Cleanup) -> Result<TopicPartition, Box<dyn Error>> {
    let name = Arc::from(name);
    let durable = &*name != "replies";
    let timestamps = TimestampKind::LogAppend;
    let spec = TopicSpec { name, partitions: 4, cleanup, timestamps, durable };
    let known = log.topics()?.iter().any(|topic| topic.spec.name == spec.name);
    if !known {
        log.create_topic(&spec)?;
    }
    Ok(TopicPartition::new(spec.name, 0))
}

fn append(folder: &Path, count: u64, names: &[&str]) -> Outcome {
    let log = open(folder)?;
    let kept = Cleanup::Delete { retention: None };
    let places: Result<Vec<_>, _> = names.iter().map(|name| topic(&log, name, kept)).collect();
    let places = places?;
    let mut value = vec![0; RECORD_BYTES - 36];
    for (byte, index) in value.iter_mut().zip(0_u32..) {
        *byte = (index.wrapping_mul(2_654_435_761) >> 13) as u8;
    }
    let value = Bytes::from(value);
    let key = Bytes::from_static(b"0190163d-8694-739b-aea5-966c26f8ad91");
    let begun = Instant::now();
    // Each round of a burst goes through all topics, as commands, facts and replies do.
    std::thread::scope(|scope| -> Outcome {
        let threads: Vec<_> = places
            .iter()
            .map(|place| {
                let mut producer = log.producer(&place.topic)?;
                let (key, value) = (key.clone(), value.clone());
                Ok(scope.spawn(move || {
                    let each = count / BURST as u64;
                    for _ in 0..each {
                        let record = Outgoing {
                            key: Some(key.clone()),
                            value: Some(value.clone()),
                            ..Outgoing::default()
                        };
                        producer.append(place, vec![record; BURST])?;
                        settle(&mut *producer, BURSTS_IN_FLIGHT * BURST as u64)?;
                    }
                    settle(&mut *producer, 0)
                }))
            })
            .collect::<Result<_, Box<dyn Error>>>()?;
        for thread in threads {
            thread.join().map_err(|_| "a producer panicked")??;
        }
        Ok(())
    })?;
    let took = begun.elapsed();
    let stats = log.stats();
    println!(
        "{} topics: {count} records of {RECORD_BYTES} bytes each in {took:?}: {:.0} records/s a topic",
        places.len(),
        count as f64 / took.as_secs_f64()
    );
    println!(
        "{stats:?}, mean sync {:?}",
        stats.sync_time_total / (stats.syncs_total.max(1) as u32)
    );
    println!("on the disk: {} MiB", log.disk_bytes()? >> 20);
    read(&log, &places[0], count)?;
    drop(log);
    let log = open(folder)?;
    read(&log, &places[0], count)
}

/// Waits until no more than `most` records are in flight.
fn settle(producer: &mut dyn Producer, most: u64) -> Result<(), cityevents_runtime::log::LogError> {
    let mut deliveries = Vec::new();
    while producer.in_flight() > most {
        producer.poll(Duration::from_secs(5), &mut deliveries)?;
        for delivery in deliveries.drain(..) {
            delivery.result?;
        }
    }
    Ok(())
}

fn read(log: &LocalLog, place: &TopicPartition, count: u64) -> Outcome {
    let begun = Instant::now();
    let mut reader = log.reader(place, 0, Isolation::Uncommitted)?;
    let limit = PollLimit { records: 10_000, bytes: 8 << 20 };
    let mut records = Vec::new();
    let (mut total, mut bytes) = (0, 0);
    while !reader.poll(limit, Duration::ZERO, &mut records)?.end_of_partition || total == 0 {
        total += records.len() as u64;
        bytes += records.iter().filter_map(|it| it.value.as_ref()).map(Bytes::len).sum::<usize>();
        records.clear();
    }
    total += records.len() as u64;
    let took = begun.elapsed();
    println!(
        "read {total} of {count} records, {} MiB of values, in {took:?}: {:.0} records/s",
        bytes >> 20,
        total as f64 / took.as_secs_f64()
    );
    Ok(())
}

/// Writes `count` rows over 100,000 keys and weighs what is left.
fn compact(folder: &Path, count: u64) -> Outcome {
    const KEYS: u64 = 100_000;
    let log = open(folder)?;
    let place = topic(&log, "events", Cleanup::Compact)?;
    let mut producer = log.producer("bench")?;
    let begun = Instant::now();
    let mut seed = 7_u64;
    for _ in 0..count / BURST as u64 {
        let record = |_| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let key = format!("event-{:08}", (seed >> 33) % KEYS);
            let value: Vec<u8> =
                (0..RECORD_BYTES as u64).map(|at| (seed >> (at % 40)) as u8).collect();
            Outgoing { key: Some(key.into()), value: Some(value.into()), ..Outgoing::default() }
        };
        producer.append(&place, (0..BURST).map(record).collect())?;
        settle(&mut *producer, BURSTS_IN_FLIGHT * BURST as u64)?;
    }
    settle(&mut *producer, 0)?;
    drop(producer);
    let took = begun.elapsed();
    println!("{count} rows in {took:?}: {:.0} rows/s", count as f64 / took.as_secs_f64());
    println!("{:?}", log.stats());
    let living = KEYS * (RECORD_BYTES as u64 + 14);
    let weigh = |log: &LocalLog| -> Outcome {
        let tables = folder_bytes(&folder.join("store/keyspaces"))?;
        let total = log.disk_bytes()?;
        println!(
            "living {} MiB, tables {} MiB ({:.2} x), with journals {} MiB",
            living >> 20,
            tables >> 20,
            tables as f64 / living as f64,
            total >> 20
        );
        Ok(())
    };
    weigh(&log)?;
    read(&log, &place, KEYS)?;
    drop(log);
    let log = open(folder)?;
    weigh(&log)?;
    read(&log, &place, KEYS)
}

fn folder_bytes(folder: &Path) -> Result<u64, Box<dyn Error>> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let known = entry?;
        let metadata = known.metadata()?;
        total += match metadata.is_dir() {
            true => folder_bytes(&known.path())?,
            false => metadata.len(),
        };
    }
    Ok(total)
}
