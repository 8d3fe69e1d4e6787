//! A backlog of joins on the embedded log, drained by the workers that production runs: facts and
//! replies go out, facts are durable. Beside it a null loop on the same backlog: poll, and two
//! appends of the same sizes, without deciding anything.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::Capacity;
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_processors::registration::{self, Registration, key_of};
use cityevents_runtime::host::{Host, HostOptions, PanicPolicy};
use cityevents_runtime::log::clock::{Clock, SystemClock};
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Isolation, Log, Outgoing, PollLimit, Producer, Record, TopicPartition, TopicSpec,
};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::replies::{REPLY_TO_HEADER, ReplyTo};
use cityevents_runtime::standby::Source;
use cityevents_runtime::worker::{self, WorkerOptions};
use cityevents_schemas::message::encode_command;
use cityevents_schemas::{cloudevents, topic};

use super::Plan;
use super::measure::{Goal, Row, ThreadTimes, per_second, process_cpu, thread_cpu};
use super::workload::{command, event, user_of};
use crate::instance::topics;

const PARTITIONS: u32 = 4;
/// Events that joins are spread over.
const EVENTS: u64 = 64;
/// Commands of a backlog for each second asked for, and at most.
const BACKLOG_PER_SECOND: u64 = 100_000;
const BACKLOG_MAX: u64 = 3_000_000;
/// Commands handed to the log together.
const BURST: usize = 4_096;
const IN_FLIGHT_MAX: u64 = 64 * 1_024;
/// What the null loop polls at once: as `registration.burst_max`.
const NULL_BURST: PollLimit = PollLimit { records: 1_024, bytes: 4 << 20 };
const LOG_WAIT: Duration = Duration::from_secs(30);
/// How often somebody looks whether the backlog is drained.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// A drain that takes longer than this is stuck.
const DRAIN_MAX: Duration = Duration::from_secs(600);

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let seconds = plan.seconds.as_secs().max(1);
    let joins = (BACKLOG_PER_SECOND * seconds).min(BACKLOG_MAX);
    if !plan.warm_up.is_zero() {
        let _first = drain(plan, 64, joins.min(BACKLOG_PER_SECOND))?;
    }
    let mut rows = drain(plan, EVENTS, joins)?;
    rows.extend(drain(plan, 1, joins)?);
    Ok(rows)
}

/// Makes a backlog, drains it with workers, then with the null loop.
fn drain(plan: &Plan, events: u64, joins: u64) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    let stage = Backlog::write(folder.path(), events, joins)?;
    let decided = stage.decide()?;
    let null = stage.null_loop()?;
    let rate = per_second(stage.records, decided.took);
    let null_rate = per_second(stage.records, null.took);
    let what = if events == 1 { "one hot event".to_owned() } else { format!("{events} events") };
    let conditions = |times: &Times| {
        format!(
            "{} joins, {PARTITIONS} partitions, processor seconds {:.1}: {}",
            stage.records, times.cpu, times.threads
        )
    };
    Ok(vec![
        Row::new(format!("P4 backlog of joins of {what}, durable"), rate, "/s")
            .goal(Goal::AtLeast(100_000.0))
            .under(conditions(&decided)),
        Row::new("    null loop: poll and two appends", null_rate, "/s").under(conditions(&null)),
        Row::new("    of the null loop", rate / null_rate, "×").goal(Goal::AtLeast(0.8)),
    ])
}

struct Times {
    took: Duration,
    cpu: f64,
    threads: String,
}

/// Commands that wait to be decided.
struct Backlog {
    log: Arc<dyn Log>,
    records: u64,
}

impl Backlog {
    fn write(folder: &Path, events: u64, joins: u64) -> anyhow::Result<Self> {
        let log: Arc<dyn Log> = LocalLog::open(folder.join("log"), LocalOptions::default())?;
        topics::create_missing(&*log, "", PARTITIONS)?;
        let mut producer = log.producer("bench")?;
        let now_ms = SystemClock.now_ms();
        let mut ids: Vec<EventId> = Vec::new();
        let mut outbox = Outbox::default();
        let mut records = 0;
        for number in 0..events {
            let (id, commands) = event(number, Capacity::Unlimited, None, now_ms);
            for command in &commands {
                outbox.push(command, now_ms);
                records += 1;
            }
            ids.push(id);
        }
        for number in 0..joins {
            let id = ids[usize::try_from(number % events)?];
            let join = command(number + 1, id, user_of(number), CommandKind::Join);
            outbox.push(&join, now_ms);
            records += 1;
            if outbox.count >= BURST {
                outbox.send(&mut *producer)?;
                settle(&mut *producer, IN_FLIGHT_MAX)?;
            }
        }
        outbox.send(&mut *producer)?;
        settle(&mut *producer, 0)?;
        Ok(Self { log, records })
    }

    /// Records of a topic.
    fn high(&self, topic: &str) -> anyhow::Result<u64> {
        let partitions = self.log.describe(topic)?.spec.partitions;
        let mut sum = 0;
        for partition in 0..partitions {
            sum += self.log.watermarks(&TopicPartition::new(topic, partition))?.high;
        }
        Ok(sum)
    }

    fn decide(&self) -> anyhow::Result<Times> {
        let (commands, facts) =
            (topic::EVENT_COMMANDS.full_name(""), topic::EVENT_FACTS.full_name(""));
        let replies = topic::COMMAND_REPLIES.full_name("");
        let metrics = RuntimeMetrics::unregistered();
        let source = Source {
            topology: registration::NAME,
            log: self.log.clone(),
            commands: commands.as_str().into(),
            facts: facts.as_str().into(),
            snapshots: None,
            clock: Arc::new(SystemClock),
            metrics: metrics.clone(),
        };
        let mut options =
            WorkerOptions::new(replies.as_str(), topic::EVENT_COMMANDS_DLQ.full_name(""));
        options.burst.records = NULL_BURST.records;
        let make = worker::make_task(source, options, Registration::default);
        let options = HostOptions {
            name: registration::NAME,
            group: registration::NAME.to_owned(),
            topics: vec![commands.into()],
            member: "bench".to_owned(),
            panics: PanicPolicy::default(),
        };
        let (started, before, times) = (Instant::now(), process_cpu(), ThreadTimes::now());
        let host = Host::start(&self.log, options, metrics, make)?;
        let genesis = u64::from(PARTITIONS);
        while self.high(&facts)? < self.records + genesis || self.high(&replies)? < self.records {
            ensure!(started.elapsed() < DRAIN_MAX, "the workers do not drain: {:?}", host.states());
            std::thread::sleep(LOOK_EVERY);
        }
        let took = started.elapsed();
        let cpu = (process_cpu() - before).as_secs_f64();
        let threads = ThreadTimes::now().since(&times);
        host.stop();
        Ok(Times { took, cpu, threads })
    }

    /// Poll, and two appends with the sizes of facts and replies.
    fn null_loop(&self) -> anyhow::Result<Times> {
        let fact = self.sample(&topic::EVENT_FACTS.full_name(""))?;
        let reply = self.sample(&topic::COMMAND_REPLIES.full_name(""))?;
        for (name, like) in
            [("null-facts", &topic::EVENT_FACTS), ("null-replies", &topic::COMMAND_REPLIES)]
        {
            let spec = topics::spec_of(like, "", PARTITIONS);
            self.log.create_topic(&TopicSpec { name: name.into(), ..spec })?;
        }
        let (started, before) = (Instant::now(), process_cpu());
        let work = |partition| self.null_partition(partition, &fact, &reply);
        let loops = std::thread::scope(|scope| {
            let work = &work;
            let spawn = |partition| scope.spawn(move || work(partition).map(|()| thread_cpu()));
            let threads: Vec<_> = (0..PARTITIONS).map(spawn).collect();
            let mut spent = Duration::ZERO;
            for thread in threads {
                spent += thread.join().map_err(|_| anyhow!("the null loop panicked"))??;
            }
            anyhow::Ok(spent)
        })?;
        let took = started.elapsed();
        let cpu = (process_cpu() - before).as_secs_f64();
        let threads = format!("loops {:.1}, the log the rest", loops.as_secs_f64());
        Ok(Times { took, cpu, threads })
    }

    fn null_partition(
        &self,
        partition: u32,
        fact: &Outgoing,
        reply: &Outgoing,
    ) -> anyhow::Result<()> {
        let commands = TopicPartition::new(topic::EVENT_COMMANDS.full_name(""), partition);
        let high = self.log.watermarks(&commands)?.high;
        let facts = TopicPartition::new("null-facts", partition);
        let reply_partitions = self.log.describe("null-replies")?.spec.partitions;
        let replies = TopicPartition::new("null-replies", partition % reply_partitions);
        let mut reader = self.log.reader(&commands, 0, Isolation::Uncommitted)?;
        let (mut writer, mut side) = (self.log.producer("null")?, self.log.producer("null-side")?);
        let mut records = Vec::new();
        let mut deliveries = Vec::new();
        while reader.position() < high || writer.in_flight() > 0 {
            records.clear();
            if reader.position() < high {
                reader.poll(NULL_BURST, LOG_WAIT, &mut records)?;
                if !records.is_empty() {
                    writer.append(&facts, vec![fact.clone(); records.len()])?;
                }
            }
            // As a worker: replies go out once the facts are there.
            let wait = if reader.position() < high { Duration::ZERO } else { LOG_WAIT };
            writer.poll(wait, &mut deliveries)?;
            let mut real = 0;
            for delivery in deliveries.drain(..) {
                delivery.result?;
                real += usize::try_from(delivery.count)?;
            }
            if real > 0 {
                side.append(&replies, vec![reply.clone(); real])?;
            }
            side.poll(Duration::ZERO, &mut deliveries)?;
            deliveries.clear();
        }
        settle(&mut *side, 0)
    }

    /// The last record of a topic, to be written again.
    fn sample(&self, topic: &str) -> anyhow::Result<Outgoing> {
        for partition in 0..self.log.describe(topic)?.spec.partitions {
            let place = TopicPartition::new(topic, partition);
            let high = self.log.watermarks(&place)?.high;
            if high < 2 {
                continue;
            }
            let mut reader = self.log.reader(&place, high - 1, Isolation::Uncommitted)?;
            let mut records: Vec<Record> = Vec::new();
            reader.poll(PollLimit { records: 1, bytes: 1 << 20 }, LOG_WAIT, &mut records)?;
            let record = records.pop().with_context(|| format!("{topic} cannot be read"))?;
            let Record { key, value, headers, .. } = record;
            // Small buffers of their own, not views into what was read.
            let copy = |part: Option<Bytes>| part.map(|part| Bytes::copy_from_slice(&part));
            let headers = HeadersBuilder::from_headers(&headers).build();
            return Ok(Outgoing {
                key: copy(key),
                value: copy(value),
                headers,
                timestamp_ms: None,
            });
        }
        Err(anyhow!("{topic} is empty"))
    }
}

fn settle(producer: &mut dyn Producer, in_flight_max: u64) -> anyhow::Result<()> {
    let mut deliveries = Vec::new();
    while producer.in_flight() > in_flight_max {
        producer.poll(LOG_WAIT, &mut deliveries)?;
        for delivery in deliveries.drain(..) {
            delivery.result?;
        }
    }
    Ok(())
}

/// Commands on their way to their partitions, as the ingest writes them.
#[derive(Default)]
struct Outbox {
    partitions: [Vec<Outgoing>; PARTITIONS as usize],
    count: usize,
}

impl Outbox {
    fn push(&mut self, command: &Command, now_ms: i64) {
        let key = key_of(&command.event);
        let mut value = Vec::with_capacity(160);
        encode_command(command, &mut value);
        let mut headers = HeadersBuilder::with_capacity(320);
        let described = cloudevents::Headers {
            id: &command.id.to_string(),
            kind: "cityevents.command.join",
            source: "/cityevents/ingest",
            time: Timestamp::from_millis(now_ms),
            trace_parent: None,
            trace_state: None,
        };
        described.write(|name, value| {
            headers.push(name, value);
        });
        let reply_to = ReplyTo { partition: 0, attempt: *command.id.as_bytes() };
        headers.push(REPLY_TO_HEADER, &reply_to.to_bytes());
        let partition = partition_of(&key, PARTITIONS);
        let value = Some(Bytes::from(value));
        let record =
            Outgoing { key: Some(key), value, headers: headers.build(), timestamp_ms: None };
        self.partitions[partition as usize].push(record);
        self.count += 1;
    }

    fn send(&mut self, producer: &mut dyn Producer) -> anyhow::Result<()> {
        for (partition, records) in (0..).zip(&mut self.partitions) {
            if !records.is_empty() {
                let place = TopicPartition::new(topic::EVENT_COMMANDS.full_name(""), partition);
                producer.append(&place, std::mem::take(records))?;
            }
        }
        self.count = 0;
        Ok(())
    }
}
