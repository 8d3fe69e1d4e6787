//! The audit: reads the whole log as an outsider and proves the invariants with a plain model of
//! its own. It trusts the log and the reader rule, and neither `decide` nor `apply`.
//!
//! Beside the nine invariants it checks that nothing is lost: every command up to the cursor of
//! the chain has exactly one verdict, the one of its own id, and none expired before it had one.
//! Commands are kept for a while only: how many could not be compared with their verdicts any more
//! stands in the report.

mod commands;
mod model;
mod report;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::fact::Fact;
use cityevents_domain::invariants::Invariant;
use cityevents_domain::state::{Partition, Slot};
use cityevents_runtime::chain::{COMMANDS_HEADER, ChainReader, Linked};
use cityevents_runtime::log::{
    Isolation, Log, LogError, PollLimit, Reader, Record, TopicPartition, poll_below,
};
use cityevents_schemas::message::{ClosedVerdict, Link, decode_link};

pub use self::commands::{CommandReader, Found};
pub use self::model::{Model, PlainEvent, Wrong};
pub use self::report::Report;

const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(10);

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A promise is broken.
    #[error("{} is broken at {partition} offset {offset}: {seen} ({})",
            .invariant.id(), .invariant.sentence())]
    Broken {
        /// Which.
        invariant: Invariant,
        /// Where.
        partition: TopicPartition,
        /// The first offending record.
        offset: u64,
        /// What was seen.
        seen: String,
    },
    /// The chain and the commands do not fit together.
    #[error("the chain at {partition} offset {offset} does not fit the commands: {seen}")]
    Chain {
        /// Where.
        partition: TopicPartition,
        /// The first offending record.
        offset: u64,
        /// What was seen.
        seen: String,
    },
    /// A fact that counts, or a command, cannot be read.
    #[error("the record at {partition} offset {offset} cannot be read: {reason}")]
    Undecodable {
        /// Where.
        partition: TopicPartition,
        /// Which record.
        offset: u64,
        /// Why.
        reason: String,
    },
    /// The facts do not begin at the beginning.
    #[error(
        "the facts of {partition} before offset {low} are gone: what they said cannot be proved. \
         Keep facts for ever: retention.ms=-1 on {}", .partition.topic
    )]
    Incomplete {
        /// Where.
        partition: TopicPartition,
        /// The first one kept.
        low: u64,
    },
    /// The facts belong to a command topic that is gone.
    #[error(
        "the facts of {partition} were decided from another command topic than the one that is \
         there now: the command topic was deleted and made anew"
    )]
    OtherCommands {
        /// Where.
        partition: TopicPartition,
    },
    /// Commands were thrown away before they were decided.
    #[error(
        "commands {first} to {last} of {partition} expired before they were decided: they are \
             lost, and whoever asked has to be told"
    )]
    Lost {
        /// Where.
        partition: TopicPartition,
        /// The first one.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Reads every partition of the facts, and the commands beside it. `progress` hears how many
/// records of how many were read.
///
/// # Errors
/// The first thing that is wrong.
pub fn audit(
    log: &dyn Log,
    commands: &Arc<str>,
    facts: &Arc<str>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, AuditError> {
    let count = log.describe(facts)?.spec.partitions;
    let mut report = Report { partitions: count, ..Report::default() };
    let mut total = 0;
    for partition in 0..count {
        total += log.watermarks(&TopicPartition::new(facts.clone(), partition))?.high;
    }
    let mut done = 0;
    for partition in 0..count {
        let mut auditor = PartitionAudit::new(log, commands, facts, partition)?;
        auditor.run(log, &mut report, |records| {
            done += records;
            progress(done, total);
        })?;
        auditor.finish(log, &mut report)?;
    }
    Ok(report)
}

struct PartitionAudit {
    facts: TopicPartition,
    commands: TopicPartition,
    high: u64,
    reader: Box<dyn Reader>,
    chain: ChainReader,
    command_reader: CommandReader,
    model: Model,
    fold: Partition,
    split_fold: Partition,
    folded: u64,
}

impl PartitionAudit {
    fn new(
        log: &dyn Log,
        commands: &Arc<str>,
        facts: &Arc<str>,
        partition: u32,
    ) -> Result<Self, AuditError> {
        let facts = TopicPartition::new(facts.clone(), partition);
        let commands = TopicPartition::new(commands.clone(), partition);
        let marks = log.watermarks(&facts)?;
        if marks.low > 0 {
            return Err(AuditError::Incomplete { partition: facts, low: marks.low });
        }
        Ok(Self {
            high: marks.high,
            reader: log.reader(&facts, 0, Isolation::Uncommitted)?,
            chain: ChainReader::default(),
            command_reader: CommandReader::open(log, &commands)?,
            facts,
            commands,
            model: Model::default(),
            fold: Partition::default(),
            split_fold: Partition::default(),
            folded: 0,
        })
    }

    fn run(
        &mut self,
        log: &dyn Log,
        report: &mut Report,
        mut progress: impl FnMut(u64),
    ) -> Result<(), AuditError> {
        let mut batch = Vec::new();
        while poll_below(&mut *self.reader, &self.facts, self.high, READ, READ_WAIT, &mut batch)? {
            for record in &batch {
                self.take(log, record, report)?;
            }
            progress(batch.len() as u64);
        }
        Ok(())
    }

    fn take(
        &mut self,
        log: &dyn Log,
        record: &Record,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        let before = self.chain.cursor();
        let linked = self.chain.accept(record);
        match linked {
            Linked::Dropped(_) => {
                report.unlinked += 1;
                return Ok(());
            }
            Linked::Genesis => {
                report.links += 1;
                let belongs_to = record.headers.get_text(COMMANDS_HEADER);
                let topic = log.describe(&self.commands.topic)?;
                if belongs_to != Some(&topic.id) {
                    let partition = self.facts.clone();
                    return Err(AuditError::OtherCommands { partition });
                }
                return Ok(());
            }
            Linked::Link | Linked::Carried => report.links += 1,
        }
        let value = record.value.as_deref().unwrap_or_default();
        let link = decode_link(value).map_err(|error| AuditError::Undecodable {
            partition: self.facts.clone(),
            offset: record.offset,
            reason: error.to_string(),
        })?;
        // What was decided in other topics has its commands there, and the end of a chain none.
        let is_ended = self.chain.cursor().is_some_and(|cursor| cursor.is_ended());
        if linked == Linked::Link && !is_ended {
            let first = before.map_or(0, |cursor| cursor.next_command());
            let last = self.chain.cursor().map_or(first, |cursor| cursor.next_command());
            self.check_verdicts(log, record.offset, &link, first..last, report)?;
        }
        if let Some(fact) = &link.fact {
            report.facts += 1;
            self.model
                .take(fact)
                .map_err(|(invariant, seen)| self.broken(invariant, record.offset, seen))?;
            self.fold_fact(fact);
        }
        Ok(())
    }

    /// Every one of these commands has exactly one verdict here, under its own id.
    fn check_verdicts(
        &mut self,
        log: &dyn Log,
        offset: u64,
        link: &Link,
        Range { start: first, end: last }: Range<u64>,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        let wrong = |partition: &TopicPartition, seen| {
            Err(AuditError::Chain { partition: partition.clone(), offset, seen })
        };
        let mut expected = first;
        let closed = link.closed.iter().map(|closed| (closed.offset, closed.command));
        // Nobody knew what it was, which may be known now.
        let unread = link.closed.iter().filter(|one| one.verdict == ClosedVerdict::Undecodable);
        let unread: Vec<_> = unread.map(|closed| closed.offset).collect();
        let fact = link.fact.as_ref().map(|fact| (last - 1, Some(fact.command)));
        for (command, id) in closed.chain(fact) {
            if command != expected {
                return Err(self.without_verdict(log, offset, expected..command)?);
            }
            expected += 1;
            let written = match self.command_reader.find(log, command)? {
                Found::Command { command, .. } => Some(command.id),
                Found::Undecodable => None,
                Found::Expired => {
                    report.expired += 1;
                    continue;
                }
                Found::Away(error) => {
                    return Err(AuditError::Undecodable {
                        partition: self.commands.clone(),
                        offset: command,
                        reason: error.to_string(),
                    });
                }
                Found::Nothing => {
                    let seen = format!("command {command} was never there");
                    return wrong(&self.facts, seen);
                }
            };
            if written.is_some() && unread.contains(&command) {
                report.readable += 1;
                continue;
            }
            if written != id {
                let seen = format!("command {command} is {written:?}, the verdict is for {id:?}");
                return wrong(&self.facts, seen);
            }
        }
        if expected != last {
            return Err(self.without_verdict(log, offset, expected..last)?);
        }
        report.commands += last - first;
        for closed in &link.closed {
            let code = match &closed.verdict {
                ClosedVerdict::Refused(refusal) => refusal.code(),
                ClosedVerdict::Unchanged(_) => "unchanged",
                ClosedVerdict::Undecodable => "undecodable",
            };
            *report.without_effect.entry(code.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    /// What is wrong with commands that a link went past: they expired, and somebody let the
    /// partition go on without them, or the chain is broken.
    fn without_verdict(
        &mut self,
        log: &dyn Log,
        offset: u64,
        commands: Range<u64>,
    ) -> Result<AuditError, AuditError> {
        let (first, last) = (commands.start, commands.end - 1);
        let newest = self.command_reader.find(log, last)?;
        if matches!(newest, Found::Expired) {
            return Ok(AuditError::Lost { partition: self.commands.clone(), first, last });
        }
        let seen = format!("command {first} of {} has no verdict", self.commands);
        Ok(AuditError::Chain { partition: self.facts.clone(), offset, seen })
    }

    /// Folds a fact twice; the second fold is taken apart and put together again now and then.
    fn fold_fact(&mut self, fact: &Fact) {
        self.fold.apply(fact);
        self.split_fold.apply(fact);
        self.folded += 1;
        if self.folded.is_power_of_two() {
            let mut state = Vec::new();
            self.split_fold.encode(&mut state);
            if let Ok(restored) = Partition::decode(&state) {
                self.split_fold = restored;
            }
        }
    }

    fn finish(self, log: &dyn Log, report: &mut Report) -> Result<(), AuditError> {
        let last = self.high.saturating_sub(1);
        if self.fold.hash() != self.split_fold.hash() {
            let seen = "a fold that was split has another hash".to_owned();
            return Err(self.broken(Invariant::SameFold, last, seen));
        }
        for (id, event) in self.model.events() {
            report.events += 1;
            let Some(slot) = self.fold.find(id) else {
                let seen = format!("event {id} is not in the fold");
                return Err(self.broken(Invariant::SameFold, last, seen));
            };
            let Slot::Open(state) = slot else { continue };
            report.active += u64::from(event.active);
            report.waiting += event.line.len() as u64;
            let people = state.registrations();
            let differs = people
                .iter()
                .any(|entry| event.people.get(&entry.user()) != Some(&entry.standing().status()));
            let slots = state.line().iter().map(|(_, slot)| slot);
            let line = slots.filter_map(|slot| people.at(slot)).map(|entry| entry.user());
            let is_same = !differs
                && people.len() == event.people.len()
                && line.eq(event.line.values().copied());
            if !is_same {
                let seen = format!("event {id} is not in the fold as the facts tell it");
                return Err(self.broken(Invariant::SameFold, last, seen));
            }
        }
        let marks = log.watermarks(&self.commands)?;
        let next = self.chain.cursor().map_or(marks.low, |cursor| cursor.next_command());
        if next < marks.low {
            let (partition, last) = (self.commands, marks.low - 1);
            return Err(AuditError::Lost { partition, first: next, last });
        }
        report.pending += marks.high.saturating_sub(next);
        Ok(())
    }

    fn broken(&self, invariant: Invariant, offset: u64, seen: String) -> AuditError {
        AuditError::Broken { invariant, partition: self.facts.clone(), offset, seen }
    }
}
