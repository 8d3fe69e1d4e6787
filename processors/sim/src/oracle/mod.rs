//! The oracle: reads the raw log as an outsider, after everything has come to rest.
//!
//! It has the reader rule in its own words, folds the facts that count, decides every command anew
//! at its place, and compares: what the links say, what anybody was ever told, and the invariants
//! as the audit's plain model sees them.

mod answers;
mod links;
mod verdicts;

use cityevents_domain::invariants::check_partition;
use cityevents_processors::audit::audit;
use cityevents_runtime::chain::BrokenRule;
use cityevents_runtime::log::Isolation;
use cityevents_runtime::log::memory::MemoryLog;

use self::verdicts::Verdicts;
use crate::failure::Failure;
use crate::topics::Topics;

/// What the oracle saw, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Records of the facts.
    pub records: u64,
    /// Links that count.
    pub links: u64,
    /// Facts.
    pub facts: u64,
    /// People whose registrations changed in the largest fact.
    pub largest_fact: u64,
    /// Commands refused.
    pub refused: u64,
    /// Commands without need of a change.
    pub unchanged: u64,
    /// Commands that cannot be read.
    pub undecodable: u64,
    /// Links by the strict version of the program.
    pub strict_links: u64,
    /// Answers in the log, heard or not.
    pub answers: u64,
}

impl Seen {
    pub(crate) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.links += other.links;
        self.facts += other.facts;
        self.largest_fact = self.largest_fact.max(other.largest_fact);
        self.refused += other.refused;
        self.unchanged += other.unchanged;
        self.undecodable += other.undecodable;
        self.strict_links += other.strict_links;
        self.answers += other.answers;
    }
}

/// See the module.
pub struct Oracle<'a> {
    log: &'a MemoryLog,
    topics: &'a Topics,
    /// A negative control without digests leaves them out for every reader.
    looks_at_digests: bool,
    /// A negative control without closing links names none in its answers: their verdicts count.
    looks_at_links: bool,
}

impl<'a> Oracle<'a> {
    /// For one log. `without` is the rule that its users left out.
    pub fn new(log: &'a MemoryLog, topics: &'a Topics, without: Option<BrokenRule>) -> Self {
        Self {
            log,
            topics,
            looks_at_digests: without != Some(BrokenRule::Digest),
            looks_at_links: without != Some(BrokenRule::ClosingLinks),
        }
    }

    /// Looks at everything. Returns the state of each partition, folded from the facts.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, seen: &mut Seen) -> Result<Vec<Vec<u8>>, Failure> {
        let mut states = Vec::new();
        let mut verdicts = Vec::new();
        for partition in 0..self.topics.partitions {
            let (state, given) = self.check_partition(partition, seen)?;
            states.push(state);
            verdicts.push(given);
        }
        let replies = self.log.records(&self.topics.reply_partition(), Isolation::Uncommitted)?;
        seen.answers += replies.len() as u64;
        answers::check(&replies, &verdicts, self.looks_at_links)?;
        if self.looks_at_digests {
            audit(self.log, &self.topics.commands, &self.topics.facts, |_, _| {})?;
        }
        Ok(states)
    }

    fn check_partition(
        &self,
        partition: u32,
        seen: &mut Seen,
    ) -> Result<(Vec<u8>, Verdicts), Failure> {
        let commands =
            self.log.records(&self.topics.command_partition(partition), Isolation::Uncommitted)?;
        let facts =
            self.log.records(&self.topics.fact_partition(partition), Isolation::Uncommitted)?;
        seen.records += facts.len() as u64;
        let chain = links::read_chain(partition, &facts, self.looks_at_digests)?;
        let mut verdicts = Verdicts::new(partition, &commands);
        for link in &chain {
            verdicts.take(link, seen)?;
        }
        if let Some(command) = verdicts.first_without(commands.len() as u64) {
            return Err(Failure::Lost { partition, command });
        }
        check_partition(verdicts.fold()).map_err(|breach| Failure::Chain {
            partition,
            offset: facts.len() as u64,
            seen: breach.to_string(),
        })?;
        let mut state = Vec::new();
        verdicts.fold().encode(&mut state);
        Ok((state, verdicts))
    }
}
