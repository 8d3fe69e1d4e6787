//! The topology on a log in memory: crashed and taken over again and again, with and without a
//! snapshot, while an older holder still thinks that the partition is its own. What readers of the
//! topics see is what the model says, and no signal comes twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cityevents_domain::time::Timestamp;
use cityevents_processors::trending::{
    NAME, Options, Topics, Trending, TrendingMetrics, TrendingTask, Verdict,
};
use cityevents_runtime::chain::{ChainReader, ChainWriter};
use cityevents_runtime::host::{Task as _, TaskError};
use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::{
    Cleanup, Headers, Isolation, Log, Outgoing, PollLimit, Producer, Record, TimestampKind,
    TopicPartition, TopicSpec,
};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::snapshot::SnapshotStore;
use cityevents_runtime::standby::Source;
use cityevents_schemas::message::{
    Genesis, SignalKind, Trend, TrendState, decode_engagement, decode_link, decode_trend,
    decode_user_signal, encode_engagement, encode_link,
};

use super::Readers;
use super::world::{CITIES, Op, Random, World};
use crate::fixture::PATIENCE;

const LIMIT: PollLimit = PollLimit { records: 100_000, bytes: 64 << 20 };
const SLOTS: usize = 200;

/// One partition of everything.
pub struct Stage {
    pub log: Arc<dyn Log>,
    pub clock: ManualClock,
    pub source: Source,
    pub options: Options,
    producer: Box<dyn Producer>,
    chain: ChainWriter,
    links: u64,
}

impl Stage {
    fn new() -> Self {
        let clock = ManualClock::new(0);
        Self::on(Arc::new(MemoryLog::new(clock.clone())), clock)
    }

    /// On an empty log that goes by this clock.
    pub fn on(log: Arc<dyn Log>, clock: ManualClock) -> Self {
        for name in ["facts", "engagement", "dead", "trends", "signals"] {
            let timestamps = match name {
                "engagement" => TimestampKind::LogAppend,
                _ => TimestampKind::Create,
            };
            let cleanup = Cleanup::Delete { retention: None };
            let name = name.into();
            let spec = TopicSpec { name, partitions: 1, cleanup, timestamps, durable: true };
            log.create_topic(&spec).unwrap();
        }
        let mut producer = log.producer("facts").unwrap();
        let mut value = Vec::new();
        let genesis = Genesis { topic_id: "commands".into(), first_offset: 0 };
        encode_link(None, &[], Some(&genesis), Timestamp::from_millis(0), &mut value);
        let mut headers = HeadersBuilder::default();
        ChainWriter::genesis("commands", 0, &value, &mut headers);
        let record = outgoing(value, headers.build());
        producer.append(&TopicPartition::new("facts", 0), vec![record]).unwrap();
        settle(&mut *producer);
        let mut reader = ChainReader::new(None);
        for record in read(&*log, "facts") {
            reader.accept(&record);
        }
        let source = Source {
            topology: NAME,
            log: log.clone(),
            commands: "commands".into(),
            facts: "facts".into(),
            snapshots: Some(SnapshotStore::memory().unwrap()),
            clock: Arc::new(clock.clone()),
            metrics: RuntimeMetrics::unregistered(),
        };
        let options = Options {
            topics: Topics {
                facts: "facts".into(),
                engagement: "engagement".into(),
                dead_letters: ("dead".into(), 1),
                trends: ("trends".into(), 1),
                signals: ("signals".into(), 1),
            },
            group: "trending".into(),
            snapshot_every: Duration::ZERO,
            metrics: TrendingMetrics::unregistered(),
        };
        let chain = ChainWriter::new(reader.cursor().unwrap(), 1);
        Self { log, clock, source, options, producer, chain, links: 0 }
    }

    pub fn append(&mut self, op: &Op) {
        self.clock.set(op.at().as_millis());
        let mut value = Vec::new();
        match op {
            Op::Fact(fact) => {
                encode_link(Some(fact), &[], None, fact.at, &mut value);
                let mut headers = HeadersBuilder::default();
                self.chain.link(self.links, &value, &mut headers);
                self.links += 1;
                self.send("facts", outgoing(value, headers.build()));
            }
            Op::Engagement(engagement, _) => {
                encode_engagement(engagement, &mut value);
                self.send("engagement", outgoing(value, Headers::empty()));
            }
        }
    }

    /// Waits until the log has all of it.
    pub fn settle(&mut self) {
        settle(&mut *self.producer);
    }

    fn send(&mut self, topic: &str, record: Outgoing) {
        self.producer.append(&TopicPartition::new(topic, 0), vec![record]).unwrap();
    }

    fn start(&self) -> TrendingTask {
        TrendingTask::start(&self.source, &self.options, 0).unwrap()
    }

    /// Lets a task take all there is and publish it.
    fn run(&self, task: &mut TrendingTask) -> Result<(), TaskError> {
        while task.lag_records() != Some(0) {
            task.step(Duration::ZERO)?;
        }
        // What was read last may wait for its facts.
        task.step(Duration::ZERO)?;
        task.drain(Duration::ZERO)
    }
}

fn settle(producer: &mut dyn Producer) {
    let mut deliveries = Vec::new();
    while producer.in_flight() > 0 {
        producer.poll(PATIENCE, &mut deliveries).unwrap();
    }
}

fn outgoing(value: Vec<u8>, headers: Headers) -> Outgoing {
    let (key, value) = (Some(Bytes::from_static(b"key")), Some(Bytes::from(value)));
    Outgoing { key, value, headers, timestamp_ms: None }
}

pub fn read(log: &dyn Log, topic: &str) -> Vec<Record> {
    let mut reader = log.reader(&TopicPartition::new(topic, 0), 0, Isolation::Committed).unwrap();
    let mut records = Vec::new();
    while !reader.poll(LIMIT, Duration::ZERO, &mut records).unwrap().end_of_partition {}
    records
}

#[test]
fn takeovers_at_any_moment_publish_every_change_once_and_no_signal_twice() {
    let mut random = Random::seeded();
    let (mut stage, mut world) = (Stage::new(), World::default());
    let mut task = stage.start();
    let mut zombies = Vec::new();
    let (mut joins, mut given_up) = (0, 0);
    for _ in 0..60 {
        for op in world.go_on(&mut random) {
            stage.append(&op);
            if let Op::Fact(fact) = &op {
                let is_join = |change: &_| format!("{change:?}").contains("cause: Joined");
                joins += fact.changes.iter().filter(|change| is_join(*change)).count();
            }
        }
        stage.clock.set(world.now().as_millis());
        match random.below(4) {
            // Read, and not published.
            0 => task.step(Duration::ZERO).unwrap(),
            1 => zombies.push(std::mem::replace(&mut task, stage.start())),
            2 => task = stage.start(),
            _ => stage.run(&mut task).unwrap(),
        }
        if let Some(mut zombie) = (random.below(3) == 0).then(|| zombies.pop()).flatten() {
            // It has something to say or it has not; either way nothing of it counts.
            match stage.run(&mut zombie) {
                Ok(()) => {}
                Err(TaskError::GiveUp(_)) => given_up += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    stage.run(&mut task).unwrap();
    println!("{given_up} zombies gave up");

    let mut model = super::model::Model::default();
    let mut counted = 0;
    replay(&stage, |op, verdict| {
        counted += usize::from(verdict == Some(Verdict::Counted));
        model.take(op, verdict);
    });
    let mut readers = Readers::default();
    for record in read(&*stage.log, "trends") {
        let trend = decode_trend(record.value.as_deref().unwrap()).unwrap();
        if let Some(before) = readers.last.get(&trend.event) {
            let same = |state| state == TrendState::Ranked && before.state == state;
            let again = Trend { updated_at: before.updated_at, ..trend.clone() };
            assert!(!same(trend.state) || again != *before, "published twice: {trend:?}");
        }
        readers.take(trend);
    }
    let now = world.now();
    for city in CITIES {
        let expected = model.first(Some(city), now, SLOTS);
        assert_eq!(readers.list(&city.to_lowercase()), expected, "{city}");
    }
    assert_eq!(readers.list(""), model.first(None, now, SLOTS));
    let signals = read(&*stage.log, "signals");
    let signals: Vec<_> = signals
        .iter()
        .map(|signal| decode_user_signal(signal.value.as_deref().unwrap()).unwrap())
        .collect();
    let told: BTreeSet<_> = signals.iter().map(|signal| format!("{signal:?}")).collect();
    assert_eq!(told.len(), signals.len(), "a signal comes twice");
    let joined = signals.iter().filter(|signal| signal.kind == SignalKind::Join).count();
    assert_eq!(joined, joins);
    // Views of events that were called off later are told, too.
    assert!(signals.len() - joined >= counted, "{} < {counted}", signals.len() - joined);
}

/// What the log has, folded in one go.
fn replay(stage: &Stage, mut take: impl FnMut(&Op, Option<Verdict>)) {
    let mut state = Trending::default();
    for record in read(&*stage.log, "facts") {
        let link = decode_link(record.value.as_deref().unwrap()).unwrap();
        if let Some(fact) = link.fact {
            state.fold_fact(&fact, &mut Vec::new());
            take(&Op::Fact(Box::new(fact)), None);
        }
    }
    for record in read(&*stage.log, "engagement") {
        let engagement = decode_engagement(record.value.as_deref().unwrap()).unwrap();
        let stamp = Timestamp::from_millis(record.timestamp_ms);
        let verdict = state.fold_engagement(&engagement, stamp, &mut Vec::new());
        take(&Op::Engagement(engagement, stamp), Some(verdict));
    }
}

#[test]
fn what_cannot_be_read_is_kept_with_the_batch_and_too_much_of_it_stops_the_partition() {
    let mut stage = Stage::new();
    let mut task = stage.start();
    stage.send("engagement", outgoing(b"nothing".to_vec(), Headers::empty()));
    stage.run(&mut task).unwrap();
    assert_eq!(stage.options.metrics.dead_letters.get(), 1);
    let letters = read(&*stage.log, "dead");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].headers.get_text("__connect.errors.topic"), Some("engagement"));
    // It is passed for good.
    let mut task = stage.start();
    stage.run(&mut task).unwrap();
    assert_eq!(read(&*stage.log, "dead").len(), 1);
    for _ in 0..30 {
        stage.send("engagement", outgoing(b"nothing".to_vec(), Headers::empty()));
    }
    let stopped = stage.run(&mut task);
    assert!(matches!(&stopped, Err(TaskError::Stop(_))), "{stopped:?}");
}
