//! Decides every command anew from the fold of the links before it.

use std::collections::BTreeMap;

use cityevents_domain::fact::{Change, Verdict};
use cityevents_domain::ids::{CommandId, EventId};
use cityevents_domain::state::Partition;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::Record;
use cityevents_runtime::replies::{Attempt, ReplyTo};
use cityevents_schemas::message::{
    Closed, ClosedVerdict, Link, ReplyVerdict, decode_command, decode_link,
};

use super::Seen;
use super::links::Linked;
use crate::failure::Failure;
use crate::program::Program;

/// The verdict on one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) command: Option<CommandId>,
    pub(super) event: Option<EventId>,
    pub(super) verdict: ReplyVerdict,
    pub(super) at: Timestamp,
    /// Offset of the link that says so.
    pub(super) link_offset: u64,
}

/// The verdicts of one partition.
pub(super) struct Verdicts {
    partition: u32,
    commands: Vec<Record>,
    fold: Partition,
    given: Vec<Given>,
    attempts: BTreeMap<Attempt, Vec<usize>>,
}

impl Verdicts {
    pub(super) fn new(partition: u32, commands: &[Record]) -> Self {
        let mut attempts: BTreeMap<Attempt, Vec<usize>> = BTreeMap::new();
        for (index, command) in commands.iter().enumerate() {
            if let Some(reply_to) = ReplyTo::of(&command.headers) {
                attempts.entry(reply_to.attempt).or_default().push(index);
            }
        }
        let (fold, given) = (Partition::default(), Vec::new());
        Self { partition, commands: commands.to_vec(), fold, given, attempts }
    }

    /// The facts so far, folded.
    pub(super) const fn fold(&self) -> &Partition {
        &self.fold
    }

    /// The first of so many commands that has no verdict.
    pub(super) fn first_without(&self, commands: u64) -> Option<u64> {
        let next = self.given.len() as u64;
        (next < commands).then_some(next)
    }

    /// The verdicts on the commands of one attempt; an append may land twice.
    pub(super) fn of_attempt(&self, attempt: &Attempt) -> impl Iterator<Item = &Given> {
        self.attempts.get(attempt).into_iter().flatten().filter_map(|index| self.given.get(*index))
    }

    /// Decides the commands of a link anew, and compares.
    pub(super) fn take(&mut self, linked: &Linked<'_>, seen: &mut Seen) -> Result<(), Failure> {
        let (partition, offset) = (self.partition, linked.record.offset);
        let chain = |seen: String| Failure::Chain { partition, offset, seen };
        let value = linked.record.value.as_deref().unwrap_or_default();
        let link = decode_link(value).map_err(|error| chain(error.to_string()))?;
        if linked.first != self.given.len() as u64 || linked.next > self.commands.len() as u64 {
            return Err(chain(format!("it closes {} to {}", linked.first, linked.next)));
        }
        let program = Program::of(&linked.record.headers);
        let expected = self.decide(linked, program)?;
        if link != expected {
            let seen = format!("it says {link:?}, and it should say {expected:?}");
            return Err(Failure::Decision { partition, offset, seen });
        }
        count(&link, program, seen);
        if let Some(fact) = &link.fact {
            self.fold.apply(fact);
        }
        Ok(())
    }

    /// The link as it has to be.
    fn decide(&mut self, linked: &Linked<'_>, program: Program) -> Result<Link, Failure> {
        let mut expected =
            Link { fact: None, closed: Vec::new(), genesis: None, at: Timestamp::MIN };
        for offset in linked.first..linked.next {
            let record = &self.commands[offset as usize];
            let stamped_at = Timestamp::from_millis(record.timestamp_ms);
            let at = stamped_at.max(self.fold.log_time());
            expected.at = at;
            let mut given = Given {
                command: None,
                event: None,
                verdict: ReplyVerdict::Undecodable,
                at,
                link_offset: linked.record.offset,
            };
            let mut user = None;
            let mut verdict = ClosedVerdict::Undecodable;
            if let Ok(command) = decode_command(record.value.as_deref().unwrap_or_default()) {
                let command = program.reading(&self.fold, command);
                (given.command, given.event) = (Some(command.id), Some(command.event));
                user = command.actor.user();
                match self.fold.decide(&command, stamped_at) {
                    Verdict::Fact(fact) if offset + 1 == linked.next => {
                        given.verdict = ReplyVerdict::Accepted(fact.outcome.clone());
                        expected.fact = Some(*fact);
                        self.given.push(given);
                        continue;
                    }
                    Verdict::Fact(fact) => {
                        return Err(Failure::Decision {
                            partition: self.partition,
                            offset: linked.record.offset,
                            seen: format!("command {offset} has no fact, and should: {fact:?}"),
                        });
                    }
                    Verdict::Unchanged(outcome) => {
                        given.verdict = ReplyVerdict::Unchanged(outcome.clone());
                        verdict = ClosedVerdict::Unchanged(outcome);
                    }
                    Verdict::Refused(refusal) => {
                        given.verdict = ReplyVerdict::Refused(refusal);
                        verdict = ClosedVerdict::Refused(refusal);
                    }
                }
            }
            let (command, event) = (given.command, given.event);
            expected.closed.push(Closed { offset, command, event, user, verdict });
            self.given.push(given);
        }
        Ok(expected)
    }
}

fn count(link: &Link, program: Program, seen: &mut Seen) {
    seen.links += 1;
    seen.strict_links += u64::from(program == Program::Strict);
    if let Some(fact) = &link.fact {
        seen.facts += 1;
        let people = fact.changes.iter().filter(|it| matches!(it, Change::Registration { .. }));
        seen.largest_fact = seen.largest_fact.max(people.count() as u64);
    }
    for closed in &link.closed {
        match closed.verdict {
            ClosedVerdict::Refused(_) => seen.refused += 1,
            ClosedVerdict::Unchanged(_) => seen.unchanged += 1,
            ClosedVerdict::Undecodable => seen.undecodable += 1,
        }
    }
}
