//! The logged commands decided once more, by this program: what it would have said.
//!
//! Each command is decided against the state that the facts before it came to, and what the log says
//! of it is applied then, whatever the program says: so one difference does not bring others with it.
//! Nothing is written.

use std::collections::BTreeMap;
use std::time::Duration;

use cityevents_domain::fact::{Fact, Verdict};
use cityevents_domain::state::Partition;
use cityevents_runtime::follower::{Follower, LinkedRecord};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::{PollLimit, TopicPartition};
use cityevents_runtime::standby::Source;
use cityevents_schemas::message::{Closed, ClosedVerdict, decode_link};
use serde::{Deserialize, Serialize};

use crate::audit::{CommandReader, Found};
use crate::unreadable_fact;

/// Facts read at once.
const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(10);
/// Differences of a partition that are told.
const TOLD_MAX: usize = 10;

/// What came of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Which.
    pub partition: u32,
    /// Commands that were decided once more.
    pub commands: u64,
    /// Commands that are not kept any more.
    pub expired: u64,
    /// Decisions that differ.
    pub differing: u64,
    /// The first that differ.
    pub differences: Vec<Deviation>,
}

/// A decision that this program would not have made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deviation {
    /// Where the command is.
    pub command_offset: u64,
    /// Where the link is that answers it.
    pub fact_offset: u64,
    /// Its event, if it can be read.
    pub event: Option<String>,
    /// What was asked.
    pub command: Option<String>,
    /// What the log says.
    pub logged: String,
    /// What this program says.
    pub now: String,
}

/// What somebody says of a command.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Fact(Box<Fact>),
    Closed(ClosedVerdict),
    /// The log closes it and does not say how.
    Nothing,
}

impl From<Verdict> for Said {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Fact(fact) => Self::Fact(fact),
            Verdict::Unchanged(outcome) => Self::Closed(ClosedVerdict::Unchanged(outcome)),
            Verdict::Refused(refusal) => Self::Closed(ClosedVerdict::Refused(refusal)),
        }
    }
}

/// Decides the commands of a partition once more, up to the end of the facts as it is now.
/// `progress` hears how far it is in the facts, of how far.
///
/// # Errors
/// When the log cannot be read.
pub fn decide_again(
    source: &Source,
    partition: u32,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Decided, TaskError> {
    let log = &*source.log;
    let facts = TopicPartition::new(source.facts.clone(), partition);
    let commands = TopicPartition::new(source.commands.clone(), partition);
    let marks = log.watermarks(&facts)?;
    if marks.low > 0 {
        return Err(TaskError::Stop(format!(
            "the facts of {facts} before offset {} are gone, and the state cannot be folded",
            marks.low
        )));
    }
    let metrics = source.metrics.follower(super::NAME);
    let mut follower = Follower::open(log, &facts, None, source.clock.clone(), metrics)?;
    let mut again = Again {
        source,
        commands: CommandReader::open(log, &commands)?,
        state: Partition::default(),
        before: -1,
        told: Decided { partition, ..Decided::default() },
    };
    let mut links = Vec::new();
    while follower.poll_below(marks.high, READ, READ_WAIT, &mut links)? {
        links.iter().try_for_each(|link| again.take(&facts, link))?;
        progress(follower.offset(), marks.high);
    }
    Ok(again.told)
}

struct Again<'a> {
    source: &'a Source,
    commands: CommandReader,
    state: Partition,
    /// The last command that the links before have closed.
    before: i64,
    told: Decided,
}

impl Again<'_> {
    fn take(&mut self, facts: &TopicPartition, linked: &LinkedRecord) -> Result<(), TaskError> {
        if linked.is_genesis {
            // Commands before it are of no chain.
            self.before = linked.cursor.offset.max(-1);
            return Ok(());
        }
        let value = linked.record.value.as_deref().unwrap_or_default();
        let place = linked.record.offset;
        let link = decode_link(value)
            .map_err(|error| unreadable_fact(&format!("{facts} offset {place}"), &error))?;
        let closed: BTreeMap<u64, Closed> =
            link.closed.into_iter().map(|closed| (closed.offset, closed)).collect();
        if linked.is_carried || linked.cursor.is_ended() {
            // Decided in other topics, or the word that it goes on there: no command is answered.
            self.before = linked.cursor.offset.max(-1);
            link.fact.iter().for_each(|fact| self.state.apply(fact));
            return Ok(());
        }
        let last = linked.cursor.offset;
        for offset in self.before + 1..=last {
            let logged = match (closed.get(&(offset as u64)), &link.fact) {
                (Some(closed), _) => Said::Closed(closed.verdict.clone()),
                (None, Some(fact)) if offset == last => Said::Fact(Box::new(fact.clone())),
                (None, _) => Said::Nothing,
            };
            self.decide(offset as u64, place, logged)?;
        }
        self.before = last;
        if let Some(fact) = &link.fact {
            self.state.apply(fact);
        }
        Ok(())
    }

    fn decide(&mut self, offset: u64, link: u64, logged: Said) -> Result<(), TaskError> {
        let (asked, now) = match self.commands.find(&*self.source.log, offset)? {
            Found::Command { command, taken_at } => {
                let now = self.state.decide(&command, taken_at).into();
                (Some(command), now)
            }
            Found::Undecodable => (None, Said::Closed(ClosedVerdict::Undecodable)),
            Found::Expired => {
                self.told.expired += 1;
                return Ok(());
            }
            Found::Away(error) => {
                return Err(TaskError::Restart(format!(
                    "the command at offset {offset} cannot be read now: {error}"
                )));
            }
            // Offsets without a record are gaps of the log itself.
            Found::Nothing => return Ok(()),
        };
        self.told.commands += 1;
        if now == logged {
            return Ok(());
        }
        self.told.differing += 1;
        if self.told.differences.len() < TOLD_MAX {
            let [logged, now] = describe(&logged, &now);
            self.told.differences.push(Deviation {
                command_offset: offset,
                fact_offset: link,
                event: asked.as_ref().map(|command| command.event.to_string()),
                command: asked.as_ref().map(|command| command.kind.as_str().to_owned()),
                logged,
                now,
            });
        }
        Ok(())
    }
}

/// What both say, so short that people see what is not the same.
fn describe(logged: &Said, now: &Said) -> [String; 2] {
    if let (Said::Fact(logged), Said::Fact(now)) = (logged, now) {
        let parts = |fact: &Fact| {
            [
                format!("event_seq {}", fact.event_seq),
                format!("at {:?}", fact.at),
                format!("changes {:?}", fact.changes),
                format!("{:?}", fact.counters),
                format!("outcome {:?}", fact.outcome),
                format!("{:?}", (fact.event, fact.command, fact.command_digest, &fact.actor)),
            ]
        };
        let (logged, now) = (parts(logged), parts(now));
        let differ = |mine: &[String; 6], other: &[String; 6]| {
            let parts = mine.iter().zip(other).filter(|(mine, other)| mine != other);
            parts.map(|(mine, _)| mine.as_str()).collect::<Vec<_>>().join(", ")
        };
        return [differ(&logged, &now), differ(&now, &logged)];
    }
    [logged, now].map(|said| match said {
        Said::Fact(fact) => format!("accepted: {:?}", fact.changes),
        Said::Closed(ClosedVerdict::Refused(refusal)) => format!("refused: {}", refusal.code()),
        Said::Closed(ClosedVerdict::Unchanged(outcome)) => format!("unchanged: {outcome:?}"),
        Said::Closed(ClosedVerdict::Undecodable) => "undecodable".to_owned(),
        Said::Nothing => "no verdict".to_owned(),
    })
}
