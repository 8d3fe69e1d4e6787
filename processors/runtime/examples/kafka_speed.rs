//! How fast the Kafka log is: `cargo run --release -p cityevents-runtime --example kafka_speed --
//! BROKERS [RECORDS] [NAME=VALUE …]`, properties of librdkafka at the end.
//!
//! Drain: one reader polls commands, two appends of the sizes of a fact and a reply for each, per
//! partition one thread, as a worker does. Round trip: append a command, another thread reads it
//! and appends the fact, waits for its acknowledgement, appends the reply, and a third reads that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a measurement")]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::kafka::{KafkaLog, KafkaMetrics, KafkaOptions};
use cityevents_runtime::log::{
    Cleanup, Isolation, Log, Outgoing, PollLimit, Producer, TimestampKind, TopicPartition,
    TopicSpec,
};

const BURST: PollLimit = PollLimit { records: 8_192, bytes: 4 << 20 };
const PARTITIONS: u32 = 4;
const ROUND_TRIPS: u64 = 2_000;
/// Round trips begun in a second.
const RATE: u64 = 500;

fn record(bytes: usize) -> Outgoing {
    let mut headers = HeadersBuilder::default();
    headers.push("link", &[7; 32]);
    Outgoing {
        key: Some(Bytes::from_static(b"event-0123456789abcdef")),
        value: Some(Bytes::from(vec![b'x'; bytes])),
        headers: headers.build(),
        timestamp_ms: None,
    }
}

fn topic(log: &KafkaLog, name: &str, durable: bool) -> Arc<str> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let name: Arc<str> = format!("speed-{}-{name}", now.as_millis()).into();
    let spec = TopicSpec {
        name: name.clone(),
        partitions: PARTITIONS,
        cleanup: Cleanup::Delete { retention: Some(Duration::from_secs(3_600)) },
        timestamps: TimestampKind::LogAppend,
        durable,
    };
    log.create_topic(&spec).unwrap();
    name
}

fn wait_for_all(producer: &mut dyn Producer) {
    let mut deliveries = Vec::new();
    while producer.in_flight() > 0 {
        producer.poll(Duration::from_secs(1), &mut deliveries).unwrap();
        deliveries.drain(..).for_each(|delivery| {
            delivery.result.unwrap();
        });
    }
}

fn per_second(records: u64, started: Instant) -> f64 {
    records as f64 / started.elapsed().as_secs_f64() / 1_000.0
}

/// Runs something for every partition on a thread of its own.
fn everywhere(run: impl Fn(u32) + Send + Sync + 'static) {
    let run = Arc::new(run);
    let threads: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            let run = Arc::clone(&run);
            thread::spawn(move || run(partition))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn fill(log: &Arc<KafkaLog>, commands: &Arc<str>, each: u64) {
    let (log, commands) = (Arc::clone(log), commands.clone());
    everywhere(move |partition| {
        let place = TopicPartition::new(commands.clone(), partition);
        let mut producer = log.producer("fill").unwrap();
        let mut deliveries = Vec::new();
        for _ in 0..each / 1_000 {
            producer.append(&place, vec![record(150); 1_000]).unwrap();
            producer.poll(Duration::ZERO, &mut deliveries).unwrap();
            deliveries.clear();
        }
        wait_for_all(&mut *producer);
    });
}

fn read_all(log: &Arc<KafkaLog>, topic: &Arc<str>, each: u64) {
    let (log, topic) = (Arc::clone(log), topic.clone());
    everywhere(move |partition| {
        let place = TopicPartition::new(topic.clone(), partition);
        let mut reader = log.reader(&place, 0, Isolation::Uncommitted).unwrap();
        let mut out = Vec::new();
        while reader.position() < each {
            out.clear();
            reader.poll(BURST, Duration::from_secs(5), &mut out).unwrap();
        }
    });
}

fn drain(log: &Arc<KafkaLog>, topics: [Arc<str>; 3], each: u64) {
    let log = Arc::clone(log);
    everywhere(move |partition| {
        let [commands, facts, replies] =
            topics.clone().map(|topic| TopicPartition::new(topic, partition));
        let mut reader = log.reader(&commands, 0, Isolation::Uncommitted).unwrap();
        let mut producer = log.producer("worker").unwrap();
        let mut side = log.producer("worker-side").unwrap();
        let (fact, reply) = (record(300), record(120));
        let (mut burst, mut deliveries) = (Vec::new(), Vec::new());
        while reader.position() < each {
            burst.clear();
            reader.poll(BURST, Duration::from_secs(5), &mut burst).unwrap();
            producer.append(&facts, vec![fact.clone(); burst.len()]).unwrap();
            side.append(&replies, vec![reply.clone(); burst.len()]).unwrap();
            producer.poll(Duration::ZERO, &mut deliveries).unwrap();
            side.poll(Duration::ZERO, &mut deliveries).unwrap();
            deliveries.clear();
        }
        wait_for_all(&mut *producer);
        wait_for_all(&mut *side);
    });
}

fn round_trips(log: &Arc<KafkaLog>) -> Vec<Duration> {
    let topics = ["commands", "facts", "replies"].map(|name| topic(log, name, name != "replies"));
    let [commands, facts, replies] = topics.map(|topic| TopicPartition::new(topic, 0));
    let (theirs, from) = (Arc::clone(log), commands.clone());
    let to = replies.clone();
    let worker = thread::spawn(move || {
        let mut reader = theirs.reader(&from, 0, Isolation::Uncommitted).unwrap();
        let mut producer = theirs.producer("worker").unwrap();
        let mut side = theirs.producer("worker-side").unwrap();
        let mut burst = Vec::new();
        while reader.position() < ROUND_TRIPS {
            burst.clear();
            reader.poll(BURST, Duration::from_secs(5), &mut burst).unwrap();
            if burst.is_empty() {
                continue;
            }
            producer.append(&facts, vec![record(300); burst.len()]).unwrap();
            wait_for_all(&mut *producer);
            let answer = |one: &cityevents_runtime::log::Record| Outgoing {
                value: one.value.clone(),
                ..record(0)
            };
            side.append(&to, burst.iter().map(answer).collect()).unwrap();
        }
        wait_for_all(&mut *side);
    });
    let theirs = Arc::clone(log);
    let began = Instant::now();
    let asker = thread::spawn(move || {
        let mut reader = theirs.reader(&replies, 0, Isolation::Uncommitted).unwrap();
        let (mut out, mut times) = (Vec::new(), Vec::new());
        while reader.position() < ROUND_TRIPS {
            out.clear();
            reader.poll(BURST, Duration::from_secs(5), &mut out).unwrap();
            let now = began.elapsed();
            for record in &out {
                let sent =
                    u64::from_be_bytes(record.value.as_ref().unwrap()[..8].try_into().unwrap());
                times.push(now.saturating_sub(Duration::from_nanos(sent)));
            }
        }
        times
    });
    let mut producer = log.producer("ingest").unwrap();
    let mut deliveries = Vec::new();
    for number in 0..ROUND_TRIPS {
        let due =
            Duration::from_millis(500) + Duration::from_secs(1) * (number as u32) / (RATE as u32);
        thread::sleep(due.saturating_sub(began.elapsed()));
        let sent = began.elapsed().as_nanos() as u64;
        let mut command = record(150);
        let mut value = vec![0; 150];
        value[..8].copy_from_slice(&sent.to_be_bytes());
        command.value = Some(Bytes::from(value));
        producer.append(&commands, vec![command]).unwrap();
        producer.poll(Duration::ZERO, &mut deliveries).unwrap();
        deliveries.clear();
    }
    worker.join().unwrap();
    asker.join().unwrap()
}

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let brokers = arguments.next().expect("the address of a broker");
    let records = arguments
        .next_if(|next| !next.contains('='))
        .map_or(1_000_000, |count| count.parse::<u64>().expect("a number of records"));
    let properties = arguments
        .map(|one| one.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .expect("properties as NAME=VALUE");
    let options =
        KafkaOptions { replication: 1, min_insync: 1, properties, ..KafkaOptions::new(brokers) };
    let log = KafkaLog::connect(options, KafkaMetrics::unregistered()).unwrap();
    let topics = ["commands", "facts", "replies"].map(|name| topic(&log, name, name != "replies"));
    let each = records / u64::from(PARTITIONS) / 1_000 * 1_000;
    let all = each * u64::from(PARTITIONS);

    let started = Instant::now();
    fill(&log, &topics[0], each);
    println!("append       {:>8.0} k records/s", per_second(all, started));
    let started = Instant::now();
    read_all(&log, &topics[0], each);
    println!("read         {:>8.0} k records/s", per_second(all, started));
    let started = Instant::now();
    drain(&log, topics, each);
    println!("drain        {:>8.0} k commands/s (one read, two appends)", per_second(all, started));

    let mut times = round_trips(&log);
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1_000];
    println!(
        "round trip   p50 {:?} p90 {:?} p99 {:?} at {RATE}/s (command, fact, reply)",
        at(500),
        at(900),
        at(990)
    );
}
