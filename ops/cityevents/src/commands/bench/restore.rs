//! Restore: from facts alone, and from snapshots, all partitions at once.
//!
//! The facts are those that workers write, decided and chained by the same code, without the
//! commands that led to them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::Capacity;
use cityevents_domain::ids::EventId;
use cityevents_processors::registration::{self, Registration};
use cityevents_runtime::chain::{ChainWriter, Cursor};
use cityevents_runtime::log::clock::SystemClock;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::{Headers, Log, Outgoing, Producer, TopicPartition};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::snapshot::SnapshotStore;
use cityevents_runtime::standby::{Source, Standby};
use cityevents_runtime::topology::{Input, LinkDraft, Topology as _};
use cityevents_schemas::message::encode_command;
use cityevents_schemas::topic;

use super::Plan;
use super::kafka::Cluster;
use super::measure::{Goal, Row, process_cpu, resident_bytes};
use super::workload::{START_MS, command, event, user_of};
use crate::instance::topics;

/// Of the log.
pub(super) const PARTITIONS: u32 = 4;
/// Registrations of one event.
const EVENT_REGISTRATIONS: u64 = 10_000;
/// Facts handed to the log together.
const BURST_FACTS: usize = 1_024;
/// Facts on their way.
const IN_FLIGHT_MAX: u64 = 16 * 1_024;
/// The registrations of a partition came over so many milliseconds of log time: ten days.
const SPAN_MS: u64 = 10 * 86_400_000;
/// Longest wait for the log.
const LOG_WAIT: Duration = Duration::from_secs(30);

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    // Removes its topics at the end.
    let cluster = plan.kafka.as_ref().map(Cluster::connect).transpose()?;
    let source = empty_log(folder.path(), cluster.as_ref())?;
    let each = u64::from(plan.registrations / PARTITIONS);
    let started = Instant::now();
    in_parallel(|partition| write(&source, partition, each))?;
    let written = started.elapsed();

    let (facts, states) = restore(&source)?;
    let resident = resident_bytes("self").unwrap_or(0);
    let made: u64 = states.iter().map(|one| one.topology().state().memory().registrations).sum();
    ensure!(made == each * u64::from(PARTITIONS), "{made} registrations were restored");
    let remembered: u64 = states.iter().map(|one| one.topology().state().dedup().len()).sum();
    drop(states);

    let store = SnapshotStore::folder(&folder.path().join("snapshots"))?;
    let kept = Source { snapshots: Some(store), ..source };
    let started = Instant::now();
    in_parallel(|partition| {
        let mut fold = Standby::restore(&kept, partition, Registration::default)?;
        fold.take_snapshot()?.context("no snapshot was written")
    })?;
    let snapshots = started.elapsed();
    let (from_snapshots, states) = restore(&kept)?;
    let again: u64 = states.iter().map(|one| one.topology().state().memory().registrations).sum();
    ensure!(again == made, "{again} registrations were restored from snapshots, not {made}");

    let million = made as f64 / 1e6;
    // The goals are for ten million.
    let scaled = |goal: f64| Goal::AtMost(goal * million / 10.0);
    let (place, facts_goal) =
        if cluster.is_some() { ("Kafka", 60.0) } else { ("the embedded log", 25.0) };
    let conditions = |restored: &Restored| {
        format!(
            "{million:.2} M registrations, {PARTITIONS} partitions of {place} at once, {remembered} \
             commands remembered, files in the page cache; goal scaled from 10 M; processor \
             seconds {:.1}",
            restored.cpu
        )
    };
    Ok(vec![
        Row::new("P8 restore from snapshots", from_snapshots.took.as_secs_f64(), "s")
            .goal(scaled(3.0))
            .under(conditions(&from_snapshots)),
        Row::new("P8 restore from facts alone", facts.took.as_secs_f64(), "s")
            .goal(scaled(facts_goal))
            .under(conditions(&facts)),
        Row::new("    memory after the restore from facts", resident as f64 / 1e6, "MB")
            .under("resident, log and its caches included"),
        Row::new("    restore from facts and snapshots written", snapshots.as_secs_f64(), "s"),
        Row::new("    facts decided, chained and written", million / written.as_secs_f64(), "M/s")
            .under("while the log was made, durable"),
    ])
}

/// A log without records: of a folder, or of a cluster.
pub(super) fn empty_log(folder: &Path, cluster: Option<&Cluster>) -> anyhow::Result<Source> {
    let (log, prefix): (Arc<dyn Log>, &str) = match cluster {
        Some(cluster) => (cluster.log.clone(), &cluster.prefix),
        None => (LocalLog::open(folder.join("log"), LocalOptions::default())?, ""),
    };
    topics::create_missing(&*log, prefix, PARTITIONS)?;
    Ok(Source {
        topology: registration::NAME,
        log,
        commands: topic::EVENT_COMMANDS.full_name(prefix).into(),
        facts: topic::EVENT_FACTS.full_name(prefix).into(),
        snapshots: None,
        clock: Arc::new(SystemClock),
        metrics: RuntimeMetrics::unregistered(),
    })
}

fn in_parallel<T: Send>(work: impl Fn(u32) -> anyhow::Result<T> + Sync) -> anyhow::Result<Vec<T>> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            (0..PARTITIONS).map(|partition| scope.spawn(move || work(partition))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|joined| joined.map_err(|_| anyhow!("a partition panicked"))?).collect()
    })
}

struct Restored {
    took: Duration,
    cpu: f64,
}

fn restore(source: &Source) -> anyhow::Result<(Restored, Vec<Standby<Registration>>)> {
    let (started, before) = (Instant::now(), process_cpu());
    let states =
        in_parallel(|partition| Ok(Standby::restore(source, partition, Registration::default)?))?;
    let cpu = (process_cpu() - before).as_secs_f64();
    Ok((Restored { took: started.elapsed(), cpu }, states))
}

/// Writes the facts of one partition.
pub(super) fn write(source: &Source, partition: u32, registrations: u64) -> anyhow::Result<()> {
    let topology = Registration::default();
    let id = source.log.describe(&source.commands)?.id;
    let draft = topology.genesis(&id, 0);
    let mut headers = HeadersBuilder::from_headers(&draft.headers);
    ChainWriter::genesis(&id, 0, &draft.value, &mut headers);
    let mut facts = Facts {
        place: TopicPartition::new(source.facts.clone(), partition),
        producer: source.log.producer("bench")?,
        topology,
        writer: ChainWriter::new(Cursor { offset: -1, digest: [0; 16] }, 1),
        outbox: vec![outgoing(draft, headers)],
        offset: 0,
        at_ms: START_MS as u64,
    };
    facts.settle(0)?;
    // The chain goes on from the genesis as readers see it.
    let begun = Standby::restore(source, partition, Registration::default)?;
    let begun = begun.position().context("the chain has no genesis")?;
    facts.writer = ChainWriter::new(begun.cursor, begun.offset);
    let mut id: Option<EventId> = None;
    for number in 0..registrations {
        let unique = u64::from(partition) << 40 | number;
        if number % EVENT_REGISTRATIONS == 0 {
            let (made, commands) =
                event(unique, Capacity::Unlimited, None, START_MS + SPAN_MS as i64);
            for command in &commands {
                facts.decide(command)?;
            }
            id = Some(made);
        }
        let id = id.context("no event")?;
        facts.at_ms = START_MS as u64 + number * SPAN_MS / registrations;
        facts.decide(&command(unique, id, user_of(unique), CommandKind::Join))?;
    }
    facts.settle(0)
}

/// Decides, chains and writes, as a worker does with commands that it reads.
struct Facts {
    place: TopicPartition,
    producer: Box<dyn Producer>,
    topology: Registration,
    writer: ChainWriter,
    outbox: Vec<Outgoing>,
    offset: u64,
    at_ms: u64,
}

impl Facts {
    fn decide(&mut self, command: &Command) -> anyhow::Result<()> {
        let mut value = Vec::with_capacity(160);
        encode_command(command, &mut value);
        let headers = Headers::empty();
        let input = Input {
            offset: self.offset,
            timestamp_ms: self.at_ms as i64,
            value: &value,
            headers: &headers,
        };
        let draft = self.topology.decide(&input)?.link.context("a command without a fact")?;
        let mut headers = HeadersBuilder::from_headers(&draft.headers);
        self.writer.link(self.offset, &draft.value, &mut headers);
        self.outbox.push(outgoing(draft, headers));
        self.offset += 1;
        if self.outbox.len() >= BURST_FACTS {
            self.settle(IN_FLIGHT_MAX)?;
        }
        Ok(())
    }

    /// Hands over what there is, and waits until no more than so many are on their way.
    fn settle(&mut self, in_flight_max: u64) -> anyhow::Result<()> {
        let outbox = std::mem::take(&mut self.outbox);
        if !outbox.is_empty() {
            self.producer.append(&self.place, outbox)?;
        }
        let mut deliveries = Vec::new();
        while self.producer.in_flight() > in_flight_max {
            self.producer.poll(LOG_WAIT, &mut deliveries)?;
            for delivery in deliveries.drain(..) {
                let first = delivery.result?;
                if self.offset > 0 {
                    for index in 0..delivery.count {
                        // Nobody else writes here; a gap would show in the restore.
                        let _acknowledged =
                            self.writer.acknowledge(first.map(|first| first + index));
                    }
                }
            }
        }
        Ok(())
    }
}

fn outgoing(draft: LinkDraft, headers: HeadersBuilder) -> Outgoing {
    let value: Option<Bytes> = Some(draft.value);
    Outgoing { key: draft.key, value, headers: headers.build(), timestamp_ms: None }
}
