//! How a worker begins: the tail of the facts, a genesis where there is none, and the commands
//! behind the cursor.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::side::Side;
use super::ticks::Ticks;
use super::{Worker, WorkerOptions};
use crate::chain::{ChainWriter, Cursor};
use crate::dead_letter::Circuit;
use crate::follower::Position;
use crate::host::{Ownership, TaskError};
use crate::lag::Backlog;
use crate::log::headers::HeadersBuilder;
use crate::log::{Isolation, Outgoing, TimestampKind, TopicPartition};
use crate::standby::{Source, Standby};
use crate::topology::Topology;

/// Longest wait for the acknowledgement of a genesis.
const GENESIS_WAIT: Duration = Duration::from_secs(10);

impl<T: Topology> Worker<T> {
    /// Takes a partition over from a fold of it: reads the tail of the facts and resumes the
    /// commands behind the cursor. Nothing that was folded is folded again.
    ///
    /// # Errors
    /// When the log cannot be read, or its topics do not fit together.
    pub fn take_over(
        mut standby: Standby<T>,
        options: WorkerOptions,
        ownership: Ownership,
    ) -> Result<Self, TaskError> {
        let source = standby.source().clone();
        let partition = standby.partition();
        let fact_partition = TopicPartition::new(source.facts.clone(), partition);
        let command_partition = TopicPartition::new(source.commands.clone(), partition);
        check_topics(&source)?;
        standby.check_commands()?;
        standby.catch_up(source.log.watermarks(&fact_partition)?.high)?;
        if standby.position().is_none() {
            write_genesis(&source, standby.topology(), &command_partition, &fact_partition)?;
            standby.catch_up(source.log.watermarks(&fact_partition)?.high)?;
        }
        let Some(Position { offset: high, cursor }) = standby.position() else {
            let reason = format!("the genesis of {fact_partition} is written but does not count");
            return Err(TaskError::Restart(reason));
        };
        check_chain(&fact_partition, cursor)?;
        let next = first_command(&source, &command_partition, cursor, options.skip_expired)?;
        let commands = source.log.reader(&command_partition, next, Isolation::Uncommitted)?;
        let name = format!("{}-{partition}", source.topology);
        #[cfg_attr(not(feature = "testing"), expect(unused_mut, reason = "tests break rules"))]
        let mut writer = ChainWriter::new(cursor, high);
        #[cfg(feature = "testing")]
        if let Some(rule) = options.broken {
            writer.break_rule(rule);
        }
        Ok(Self {
            producer: source.log.producer(&name)?,
            side: Side::new(source.log.clone(), format!("{name}-side"))?,
            circuit: Circuit::new(options.circuit),
            ticks: Ticks::paced(options.step_every),
            backlog: Backlog::new(source.commands.clone()),
            source,
            options,
            partition,
            ownership,
            topology: standby.into_topology(),
            writer,
            commands,
            command_partition,
            fact_partition,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            in_flight_bytes: 0,
            burst: Vec::new(),
            outbox: Vec::new(),
            deliveries: Vec::new(),
            labels: BTreeMap::new(),
            held: None,
            stopping: None,
        })
    }
}

/// Whether the chain is one that goes on here.
fn check_chain(facts: &TopicPartition, cursor: Cursor) -> Result<(), TaskError> {
    if cursor.is_carrying() {
        return Err(TaskError::Stop(format!(
            "facts are being carried into {facts} and not all are there: nothing is decided before \
             `cityevents replay facts PREFIX --switch` has sealed it"
        )));
    }
    if cursor.is_ended() {
        return Err(TaskError::Stop(format!(
            "the facts of {facts} were carried into other topics and go on there: start with the \
             log.prefix and the log.partitions of those"
        )));
    }
    Ok(())
}

/// Whether a link can go to the partition that has its command's number, and whether the log says
/// when commands came.
fn check_topics(source: &Source) -> Result<(), TaskError> {
    let commands = source.log.describe(&source.commands)?.spec;
    let facts = source.log.describe(&source.facts)?.spec;
    if commands.partitions != facts.partitions {
        return Err(TaskError::Stop(format!(
            "{} has {} partitions and {} has {}: a fact has to go to the partition with its \
             command's number, so make both topics with the same number",
            commands.name, commands.partitions, facts.name, facts.partitions
        )));
    }
    if commands.timestamps != TimestampKind::LogAppend {
        return Err(TaskError::Stop(format!(
            "the records of {0} are stamped by whoever writes them, and decisions need the log's \
             time: set message.timestamp.type=LogAppendTime on {0}, then start again",
            commands.name
        )));
    }
    Ok(())
}

fn write_genesis<T: Topology>(
    source: &Source,
    topology: &T,
    commands: &TopicPartition,
    facts: &TopicPartition,
) -> Result<(), TaskError> {
    let id = source.log.describe(&source.commands)?.id;
    let first_offset = source.log.watermarks(commands)?.low;
    let draft = topology.genesis(&id, first_offset);
    let mut headers = HeadersBuilder::from_headers(&draft.headers);
    ChainWriter::genesis(&id, first_offset, &draft.value, &mut headers);
    let genesis = Outgoing {
        key: draft.key,
        value: Some(draft.value),
        headers: headers.build(),
        timestamp_ms: None,
    };
    let name = format!("{}-{}-genesis", source.topology, facts.partition);
    Side::new(source.log.clone(), name)?.keep(facts, genesis, GENESIS_WAIT)
}

/// Where to go on. The commands behind the cursor have to be there still, unless somebody said that
/// those which are not may be left out.
fn first_command(
    source: &Source,
    commands: &TopicPartition,
    cursor: Cursor,
    skip_expired: bool,
) -> Result<u64, TaskError> {
    let marks = source.log.watermarks(commands)?;
    let next = cursor.next_command();
    if next < marks.low {
        let expired = format!(
            "commands {next} to {} of {commands} expired before they were decided",
            marks.low - 1
        );
        if skip_expired {
            tracing::error!("{expired}, and are left out");
            return Ok(marks.low);
        }
        return Err(TaskError::Stop(format!(
            "{expired}: raise the retention of the topic and tell the callers \
             (`cityevents explain` names the last decided one), then set \
             registration.skip_expired = true until this partition is ready again"
        )));
    }
    if next > marks.high {
        return Err(TaskError::Stop(format!(
            "the facts were decided up to command {} of {commands}, which ends at {}: the command \
             topic lost records or is another one",
            next - 1,
            marks.high
        )));
    }
    Ok(next)
}
