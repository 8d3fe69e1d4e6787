//! What people know as the Kafka way: the same decisions, with facts, replies and progress of a
//! burst in one transaction of a transactional producer, and readers that read what is committed.
//!
//! Nothing of the product works like this on the way of a join; it is here to be compared.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use cityevents_domain::fact::Change;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_processors::registration::Registration;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::{
    Committed, FencedBatch, Isolation, Log, Outgoing, PollLimit, TopicPartition, TopicSpec,
};
use cityevents_runtime::replies::{ATTEMPT_HEADER, ReplyTo};
use cityevents_runtime::topology::{Input, LinkPosition, Topology as _};
use cityevents_schemas::message::decode_link;
use cityevents_schemas::topic;

use super::load::Told;
use crate::commands::bench::backlog::{Backlog, PARTITIONS, Seen, Times, time};
use crate::commands::bench::processes::Processes;
use crate::instance::topics;

/// Most commands of one transaction. Large, since each costs several trips to the broker.
const BURST: PollLimit = PollLimit { records: 8_192, bytes: 4 << 20 };
/// How often a loop looks whether it is to stop.
const POLL_WAIT: Duration = Duration::from_millis(50);
const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(10);

/// Loops that decide, one a partition.
pub(super) struct Transactions {
    names: Names,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Clone)]
struct Names {
    commands: String,
    facts: String,
    replies: String,
    group: String,
}

#[derive(Default)]
struct Shared {
    is_stopping: AtomicBool,
    decided: AtomicU64,
}

impl Transactions {
    /// Starts them on the commands of a backlog.
    ///
    /// # Errors
    /// When topics cannot be made.
    pub(super) fn start(backlog: &Backlog) -> anyhow::Result<Self> {
        let named = |name: &str| format!("{}{name}", backlog.prefix);
        let names = Names {
            commands: backlog.full_name(&topic::EVENT_COMMANDS),
            facts: named("transaction-facts"),
            replies: named("transaction-replies"),
            group: named("transactions"),
        };
        let made = [(&names.facts, &topic::EVENT_FACTS), (&names.replies, &topic::COMMAND_REPLIES)];
        for (name, like) in made {
            let spec = topics::spec_of(like, "", PARTITIONS);
            backlog.log.create_topic(&TopicSpec { name: name.as_str().into(), ..spec })?;
        }
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for partition in 0..PARTITIONS {
            let (log, names, shared) = (backlog.log.clone(), names.clone(), shared.clone());
            let thread = std::thread::Builder::new().name(format!("transaction-{partition}"));
            threads.push(thread.spawn(move || {
                let ended = decide(&*log, &names, partition, &shared);
                if let Err(error) = &ended {
                    tracing::error!(partition, "the loop of transactions ended: {error:#}");
                }
                ended
            })?);
        }
        Ok(Self { names, shared, threads })
    }

    /// Where its replies are.
    pub(super) fn replies(&self) -> &str {
        &self.names.replies
    }

    /// Times them until the backlog is drained.
    pub(super) fn await_drained(
        &self,
        backlog: &Backlog,
        processes: &Processes,
    ) -> anyhow::Result<Times> {
        time(processes, backlog.look_every, || {
            let has_ended = self.threads.iter().any(JoinHandle::is_finished);
            ensure!(!has_ended, "a loop of transactions has ended: see the log");
            let decided = self.shared.decided.load(Ordering::Relaxed);
            Ok(Seen { decided, is_done: decided >= backlog.records })
        })
    }

    /// Stops them, and counts who is in by what is committed.
    ///
    /// # Errors
    /// What one failed with; or when somebody is in twice, or a fact cannot be read.
    pub(super) fn finish(self, log: &dyn Log) -> anyhow::Result<Told> {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a loop of transactions panicked"))??;
        }
        let mut told = Told::default();
        for partition in 0..PARTITIONS {
            let place = TopicPartition::new(self.names.facts.as_str(), partition);
            let high = log.watermarks(&place)?.high;
            let mut reader = log.reader(&place, 0, Isolation::Committed)?;
            let mut people: HashMap<EventId, HashSet<UserId>> = HashMap::new();
            let mut records = Vec::new();
            while reader.position() < high {
                records.clear();
                let polled = reader.poll(READ, READ_WAIT, &mut records)?;
                for record in &records {
                    let link = decode_link(record.value.as_deref().unwrap_or_default())?;
                    let Some(fact) = link.fact else { continue };
                    for change in &fact.changes {
                        let Change::Registration { registration, .. } = change else { continue };
                        let is_new =
                            people.entry(fact.event).or_default().insert(registration.user);
                        ensure!(is_new, "{} is in event {} twice", registration.user, fact.event);
                        match registration.status {
                            RegistrationStatus::Active => told.active += 1,
                            RegistrationStatus::Waitlisted => told.waiting += 1,
                            other => bail!("nobody asked for {other:?}"),
                        }
                    }
                }
                // Behind the last record stands the mark of its commit.
                if polled.end_of_partition {
                    break;
                }
            }
        }
        Ok(told)
    }
}

fn decide(log: &dyn Log, names: &Names, partition: u32, shared: &Shared) -> anyhow::Result<()> {
    let commands = TopicPartition::new(names.commands.as_str(), partition);
    let facts = TopicPartition::new(names.facts.as_str(), partition);
    let mut registration = Registration::default();
    let mut writer = log.fenced(&format!("{}-{partition}", names.group))?;
    let mut reader = log.reader(&commands, 0, Isolation::Uncommitted)?;
    let mut records = Vec::new();
    while !shared.is_stopping.load(Ordering::Relaxed) {
        records.clear();
        reader.poll(BURST, POLL_WAIT, &mut records)?;
        let Some(last) = records.last() else { continue };
        let next = last.offset + 1;
        registration.look_ahead(&records);
        let mut batch = FencedBatch { group: names.group.clone(), ..FencedBatch::default() };
        let mut replies = Vec::with_capacity(records.len());
        for record in &records {
            let input = Input {
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                value: record.value.as_deref().unwrap_or_default(),
                headers: &record.headers,
            };
            let decision = registration.decide(&input)?;
            let link = decision.link.context("a command of the backlog changed nothing")?;
            let place = LinkPosition { partition, offset: record.offset };
            let (value, headers) = registration.encode_answer(&decision.answer, place);
            let fact = Outgoing {
                key: link.key,
                value: Some(link.value),
                headers: link.headers,
                timestamp_ms: None,
            };
            batch.records.push((facts.clone(), fact));
            if let Some(reply_to) = ReplyTo::of(&record.headers) {
                let mut headers = HeadersBuilder::from_headers(&headers);
                headers.push(ATTEMPT_HEADER, &reply_to.attempt);
                let headers = headers.build();
                let reply = Outgoing { key: None, value: Some(value), headers, timestamp_ms: None };
                let to = TopicPartition::new(names.replies.as_str(), reply_to.partition);
                replies.push((to, reply));
            }
        }
        batch.records.append(&mut replies);
        let progress = Committed { offset: next, metadata: String::new() };
        batch.progress.push((commands.clone(), progress));
        writer.write(batch)?;
        shared.decided.fetch_add(records.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}
