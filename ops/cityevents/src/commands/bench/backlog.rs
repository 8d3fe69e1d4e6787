//! A backlog of joins on a log, drained by the workers that production runs: facts and replies go
//! out, facts are durable. Beside it a null loop on the same backlog: poll, and two appends of the
//! same sizes, without deciding anything.
//!
//! Both are timed in the same way: from the first fact seen to the last reply.

use std::sync::Arc;
use std::thread;
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
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{
    Isolation, Log, Outgoing, PollLimit, Producer, Record, TopicPartition, TopicSpec, read_one,
};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::replies::{Attempt, REPLY_TO_HEADER, ReplyTo};
use cityevents_runtime::standby::Source;
use cityevents_runtime::worker::{self, WorkerOptions};
use cityevents_schemas::catalog::Topic;
use cityevents_schemas::message::encode_command;
use cityevents_schemas::{cloudevents, topic};

use super::measure::{ThreadTimes, thread_cpu};
use super::processes::{Processes, Spent, between};
use super::workload::{command, event, user_of};
use crate::instance::topics;

pub(super) const PARTITIONS: u32 = 4;
/// Commands handed to the log together.
const BURST: usize = 4_096;
const IN_FLIGHT_MAX: u64 = 64 * 1_024;
/// What is polled at once: as `registration.burst_max`.
const NULL_BURST: PollLimit = PollLimit { records: 1_024, bytes: 4 << 20 };
const LOG_WAIT: Duration = Duration::from_secs(30);
/// A drain that takes longer than this is stuck.
const DRAIN_MAX: Duration = Duration::from_secs(600);

/// What a drain took.
pub(super) struct Times {
    pub(super) took: Duration,
    /// Commands in that time.
    pub(super) records: u64,
    /// Processor seconds, this process included.
    pub(super) spent: Spent,
    /// Those of this process, by thread.
    pub(super) threads: String,
}

/// How far a drain is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) decided: u64,
    pub(super) is_done: bool,
}

/// Times a drain: from the moment that something is decided until it is done.
pub(super) fn time(
    processes: &Processes,
    look_every: Duration,
    mut look: impl FnMut() -> anyhow::Result<Seen>,
) -> anyhow::Result<Times> {
    let begun = Instant::now();
    let mut first = None;
    loop {
        let seen = look()?;
        if first.is_none() && seen.decided > 0 {
            first = Some((Instant::now(), seen.decided, processes.now(), ThreadTimes::now()));
        }
        if let (true, Some((since, before, spent, threads))) = (seen.is_done, &first) {
            return Ok(Times {
                took: since.elapsed(),
                records: seen.decided - before,
                spent: between(spent, &processes.now()),
                threads: ThreadTimes::now().since(threads),
            });
        }
        ensure!(begun.elapsed() < DRAIN_MAX, "nothing drains the backlog: {seen:?}");
        thread::sleep(look_every);
    }
}

/// Commands that wait to be decided.
pub(super) struct Backlog {
    pub(super) log: Arc<dyn Log>,
    /// In front of the names of its topics.
    pub(super) prefix: String,
    /// How often somebody looks whether it is drained.
    pub(super) look_every: Duration,
    /// All commands, of joins and of events.
    pub(super) records: u64,
    events: Vec<EventId>,
    joins: u64,
}

impl Backlog {
    /// Makes topics, events with so many places and room in the line, and joins to each in turn.
    pub(super) fn write(
        log: Arc<dyn Log>,
        prefix: &str,
        (events, joins): (u64, u64),
        (capacity, waitlist_limit): (Capacity, Option<u32>),
    ) -> anyhow::Result<Self> {
        topics::create_missing(&*log, prefix, PARTITIONS)?;
        let mut producer = log.producer("bench")?;
        let mut this = Self {
            log,
            prefix: prefix.to_owned(),
            look_every: Duration::from_millis(1),
            records: 0,
            events: Vec::new(),
            joins: 0,
        };
        let mut outbox = Outbox::new(&this.full_name(&topic::EVENT_COMMANDS));
        let now_ms = SystemClock.now_ms();
        for number in 0..events {
            let (id, commands) = event(number, capacity, waitlist_limit, now_ms);
            for command in &commands {
                outbox.push(command, *command.id.as_bytes(), now_ms);
                this.records += 1;
            }
            this.events.push(id);
        }
        for _ in 0..joins {
            this.push_join(&mut outbox, now_ms)?;
            if outbox.count >= BURST {
                outbox.send(&mut *producer)?;
                settle(&mut *producer, IN_FLIGHT_MAX)?;
            }
        }
        outbox.send(&mut *producer)?;
        settle(&mut *producer, 0)?;
        Ok(this)
    }

    /// One more join, of somebody who has not joined yet. Its attempt begins with its number.
    pub(super) fn push_join(&mut self, outbox: &mut Outbox, now_ms: i64) -> anyhow::Result<u64> {
        let number = self.joins;
        let id = self.events[usize::try_from(number % self.events.len() as u64)?];
        let join = command(number + 1, id, user_of(number), CommandKind::Join);
        let mut attempt = *join.id.as_bytes();
        attempt[..8].copy_from_slice(&number.to_be_bytes());
        outbox.push(&join, attempt, now_ms);
        self.joins += 1;
        self.records += 1;
        Ok(number)
    }

    /// Joins written so far.
    pub(super) const fn joins(&self) -> u64 {
        self.joins
    }

    pub(super) fn full_name(&self, topic: &Topic) -> String {
        topic.full_name(&self.prefix)
    }

    /// Records of a topic.
    fn high(&self, topic: &str, partitions: u32) -> anyhow::Result<u64> {
        let mut sum = 0;
        for partition in 0..partitions {
            sum += self.log.watermarks(&TopicPartition::new(topic, partition))?.high;
        }
        Ok(sum)
    }

    fn partitions_of(&self, topic: &str) -> anyhow::Result<u32> {
        Ok(self.log.describe(topic)?.spec.partitions)
    }

    /// Starts the workers.
    pub(super) fn start_workers(&self) -> anyhow::Result<Host> {
        let commands = self.full_name(&topic::EVENT_COMMANDS);
        let metrics = RuntimeMetrics::unregistered();
        let source = Source {
            topology: registration::NAME,
            log: self.log.clone(),
            commands: commands.as_str().into(),
            facts: self.full_name(&topic::EVENT_FACTS).into(),
            snapshots: None,
            clock: Arc::new(SystemClock),
            metrics: metrics.clone(),
        };
        let mut options = WorkerOptions::new(
            self.full_name(&topic::COMMAND_REPLIES),
            self.full_name(&topic::EVENT_COMMANDS_DLQ),
        );
        options.burst.records = NULL_BURST.records;
        let make = worker::make_task(source, options, Registration::default);
        let options = HostOptions {
            name: registration::NAME,
            group: format!("{}{}", self.prefix, registration::NAME),
            topics: vec![commands.into()],
            member: "bench".to_owned(),
            panics: PanicPolicy::default(),
        };
        Ok(Host::start(&self.log, options, metrics, make)?)
    }

    /// Times the workers.
    pub(super) fn await_workers(
        &self,
        host: &Host,
        processes: &Processes,
    ) -> anyhow::Result<Times> {
        let look = self.look_at(&topic::EVENT_FACTS, &topic::COMMAND_REPLIES, PARTITIONS.into())?;
        time(processes, self.look_every, || {
            let problem = host.problem().filter(|problem| problem.contains(": stopped: "));
            ensure!(problem.is_none(), "the workers do not drain: {problem:?}");
            look()
        })
    }

    /// Looks at the ends of the topics of facts and replies.
    fn look_at(
        &self,
        facts: &Topic,
        replies: &Topic,
        beside: u64,
    ) -> anyhow::Result<impl Fn() -> anyhow::Result<Seen>> {
        self.look_at_named(self.full_name(facts), self.full_name(replies), beside)
    }

    fn look_at_named(
        &self,
        facts: String,
        replies: String,
        beside: u64,
    ) -> anyhow::Result<impl Fn() -> anyhow::Result<Seen>> {
        let counts = (self.partitions_of(&facts)?, self.partitions_of(&replies)?);
        Ok(move || {
            let decided = self.high(&facts, counts.0)?.saturating_sub(beside);
            let is_decided = decided >= self.records;
            let is_done = is_decided && self.high(&replies, counts.1)? >= self.records;
            Ok(Seen { decided, is_done })
        })
    }

    /// Poll, and two appends with the sizes of facts and replies. The workers have to be through,
    /// since a fact and a reply of theirs are what is written.
    pub(super) fn null_loop(&self, processes: &Processes) -> anyhow::Result<Times> {
        let fact = self.sample(&self.full_name(&topic::EVENT_FACTS))?;
        let reply = self.sample(&self.full_name(&topic::COMMAND_REPLIES))?;
        let (facts, replies) =
            (format!("{}null-facts", self.prefix), format!("{}null-replies", self.prefix));
        for (name, like) in [(&facts, &topic::EVENT_FACTS), (&replies, &topic::COMMAND_REPLIES)] {
            let spec = topics::spec_of(like, "", PARTITIONS);
            self.log.create_topic(&TopicSpec { name: name.as_str().into(), ..spec })?;
        }
        // Replies of the workers all go to the first partition, too.
        let replies_to = TopicPartition::new(replies.as_str(), 0);
        let look = self.look_at_named(facts.clone(), replies, 0)?;
        let work = |partition| {
            let facts = TopicPartition::new(facts.as_str(), partition);
            self.null_partition(partition, (&facts, &fact), (&replies_to, &reply))
        };
        thread::scope(|scope| {
            let work = &work;
            let spawn = |partition| scope.spawn(move || work(partition).map(|()| thread_cpu()));
            let threads: Vec<_> = (0..PARTITIONS).map(spawn).collect();
            let times = time(processes, self.look_every, || {
                let have_ended = threads.iter().all(thread::ScopedJoinHandle::is_finished);
                let seen = look()?;
                ensure!(seen.is_done || !have_ended, "the null loop ended early: {seen:?}");
                Ok(seen)
            });
            let mut loops = Duration::ZERO;
            for thread in threads {
                loops += thread.join().map_err(|_| anyhow!("the null loop panicked"))??;
            }
            let threads = format!("loops {:.1}, the log the rest", loops.as_secs_f64());
            Ok(Times { threads, ..times? })
        })
    }

    fn null_partition(
        &self,
        partition: u32,
        (facts, fact): (&TopicPartition, &Outgoing),
        (replies, reply): (&TopicPartition, &Outgoing),
    ) -> anyhow::Result<()> {
        let commands = TopicPartition::new(self.full_name(&topic::EVENT_COMMANDS), partition);
        let high = self.log.watermarks(&commands)?.high;
        let mut reader = self.log.reader(&commands, 0, Isolation::Uncommitted)?;
        let (mut writer, mut side) = (self.log.producer("null")?, self.log.producer("null-side")?);
        let mut records = Vec::new();
        let mut deliveries = Vec::new();
        while reader.position() < high || writer.in_flight() > 0 {
            records.clear();
            if reader.position() < high {
                reader.poll(NULL_BURST, LOG_WAIT, &mut records)?;
                if !records.is_empty() {
                    writer.append(facts, vec![fact.clone(); records.len()])?;
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
                side.append(replies, vec![reply.clone(); real])?;
            }
            side.poll(Duration::ZERO, &mut deliveries)?;
            for delivery in deliveries.drain(..) {
                delivery.result?;
            }
        }
        settle(&mut *side, 0)
    }

    /// The last record of a topic, to be written again.
    fn sample(&self, topic: &str) -> anyhow::Result<Outgoing> {
        for partition in 0..self.partitions_of(topic)? {
            let place = TopicPartition::new(topic, partition);
            let high = self.log.watermarks(&place)?.high;
            if high < 2 {
                continue;
            }
            let record = read_one(&*self.log, &place, high - 1, LOG_WAIT)?;
            let record = record.with_context(|| format!("{topic} cannot be read"))?;
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

/// Waits until not more than this is in flight, and hears of failures.
pub(super) fn settle(producer: &mut dyn Producer, in_flight_max: u64) -> anyhow::Result<()> {
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
pub(super) struct Outbox {
    topic: Arc<str>,
    partitions: [Vec<Outgoing>; PARTITIONS as usize],
    count: usize,
}

impl Outbox {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.into(), partitions: Default::default(), count: 0 }
    }

    fn push(&mut self, command: &Command, attempt: Attempt, now_ms: i64) {
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
        let reply_to = ReplyTo { partition: 0, attempt };
        headers.push(REPLY_TO_HEADER, &reply_to.to_bytes());
        let partition = partition_of(&key, PARTITIONS);
        let value = Some(Bytes::from(value));
        let record =
            Outgoing { key: Some(key), value, headers: headers.build(), timestamp_ms: None };
        self.partitions[partition as usize].push(record);
        self.count += 1;
    }

    pub(super) fn send(&mut self, producer: &mut dyn Producer) -> anyhow::Result<()> {
        for (partition, records) in (0..).zip(&mut self.partitions) {
            if !records.is_empty() {
                let place = TopicPartition::new(self.topic.clone(), partition);
                producer.append(&place, std::mem::take(records))?;
            }
        }
        self.count = 0;
        Ok(())
    }
}
