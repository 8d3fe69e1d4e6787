//! Why an event stands as it does: every command and what became of it, in log order.

mod because;

use std::time::Duration;

use anyhow::Context as _;
use cityevents_domain::fact::{Change, Fact, Outcome};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_processors::audit::{CommandReader, Found};
use cityevents_runtime::follower::Follower;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{PollLimit, Record, TopicPartition};
use cityevents_schemas::message::{Closed, ClosedVerdict, Link, decode_link};
use cityevents_schemas::rfc3339::Rfc3339;
use serde_json::{Value, json};

use self::because::Standing;
use super::find::{FoundCommand, find};
use super::{Context, Progress};

const READ: PollLimit = PollLimit { records: 8_192, bytes: 8 << 20 };
const READ_WAIT: Duration = Duration::from_secs(10);
/// How long a command is looked for on the command line, where one sees how far the search is.
const COMMAND_PATIENCE: Duration = Duration::from_secs(600);

/// What happened to an event, as far as it concerns one person or anybody.
pub struct Explained {
    /// Where it is.
    pub partition: u32,
    /// Every command and what became of it, in log order; none where nothing is known of the event.
    pub steps: Vec<Value>,
    /// What is missing in the steps.
    pub notes: Vec<String>,
}

pub(super) fn explain(
    context: &Context,
    event: &EventId,
    user: Option<&UserId>,
    progress: Progress<'_>,
) -> anyhow::Result<Value> {
    let Explained { partition, steps, notes } = steps(context, event, user, progress)?;
    anyhow::ensure!(!steps.is_empty(), "nothing in the log concerns event {event}");
    Ok(
        json!({ "event": event.to_string(), "partition": partition, "steps": steps, "notes": notes }),
    )
}

/// What became of one command: its step, of those of its event.
pub(super) fn explain_command(
    context: &Context,
    id: &CommandId,
    progress: Progress<'_>,
) -> anyhow::Result<Value> {
    let found = of_command(context, id, COMMAND_PATIENCE, progress)?;
    let (command, mut explained) =
        found.with_context(|| format!("no command that is still kept has the id {id}"))?;
    explained.steps.retain(|step| step["command_offset"] == command.offset);
    Ok(json!({
        "command": {
            "id": id.to_string(),
            "kind": command.kind,
            "partition": command.partition,
            "offset": command.offset,
            "at": text(Timestamp::from_millis(command.at_ms)),
            "is_decided": !explained.steps.is_empty(),
        },
        "event": command.event.to_string(),
        "partition": explained.partition,
        "steps": explained.steps,
        "notes": explained.notes,
    }))
}

/// Looks for a command, and follows its event through the log. `None`: it is not among the commands
/// that are kept.
///
/// # Errors
/// Those of [`find`] and [`steps`].
pub fn of_command(
    context: &Context,
    id: &CommandId,
    patience: Duration,
    progress: Progress<'_>,
) -> anyhow::Result<Option<(FoundCommand, Explained)>> {
    let Some(command) = find(context, id, patience, progress)? else { return Ok(None) };
    let explained = steps(context, &command.event, None, progress)?;
    Ok(Some((command, explained)))
}

/// Follows an event through the log.
///
/// # Errors
/// When the facts cannot be read from their beginning.
pub fn steps(
    context: &Context,
    event: &EventId,
    user: Option<&UserId>,
    progress: Progress<'_>,
) -> anyhow::Result<Explained> {
    let source = &context.source;
    let count = context.log().describe(&source.facts)?.spec.partitions;
    let number = partition_of(event.to_string().as_bytes(), count);
    let facts = TopicPartition::new(source.facts.clone(), number);
    let marks = context.log().watermarks(&facts)?;
    let high = marks.high;
    anyhow::ensure!(
        marks.low == 0,
        "the facts of {facts} before offset {} are gone, and the chain cannot be followed from its \
         middle; keep facts for ever: retention.ms=-1 on {}",
        marks.low,
        source.facts
    );
    let metrics = source.metrics.follower("explain");
    let mut follower =
        Follower::open(&**context.log(), &facts, None, source.clock.clone(), metrics)?;
    let mut commands = Commands::open(context, number)?;
    let mut told = Told { event, user, standing: Standing::default(), steps: Vec::new() };
    let mut links = Vec::new();
    while follower.poll_below(high, READ, READ_WAIT, &mut links)? {
        for linked in &links {
            let link = decode_link(linked.record.value.as_deref().unwrap_or_default())?;
            // What was decided in other topics has its command there.
            let last = (!linked.is_carried).then(|| linked.cursor.offset.max(0) as u64);
            told.take(&link, &linked.record, last, &mut commands)?;
        }
        progress(follower.offset(), high);
    }
    Ok(Explained { partition: number, steps: told.steps, notes: commands.notes() })
}

/// What is told of an event, link by link.
struct Told<'a> {
    event: &'a EventId,
    user: Option<&'a UserId>,
    standing: Standing,
    steps: Vec<Value>,
}

impl Told<'_> {
    fn take(
        &mut self,
        link: &Link,
        record: &Record,
        last: Option<u64>,
        commands: &mut Commands<'_>,
    ) -> anyhow::Result<()> {
        for closed in &link.closed {
            let concerns = closed.event.as_ref() == Some(self.event)
                && self.user.is_none_or(|user| closed.user.as_ref() == Some(user));
            if concerns {
                let asked = commands.find(closed.offset)?;
                self.steps.push(self.closed_step(closed, asked.as_ref(), record));
            }
        }
        let Some(fact) = link.fact.as_ref().filter(|fact| fact.event == *self.event) else {
            return Ok(());
        };
        if self.user.is_none_or(|user| is_about(fact, user)) {
            let asked = last.map(|last| commands.find(last)).transpose()?.flatten();
            self.steps.push(self.fact_step(fact, asked.as_ref(), last, record));
        }
        self.standing.take(fact, last);
        Ok(())
    }

    fn closed_step(&self, closed: &Closed, asked: Option<&Asked>, link: &Record) -> Value {
        let because = match &closed.verdict {
            ClosedVerdict::Refused(refusal) => self.standing.because(refusal, closed.user.as_ref()),
            ClosedVerdict::Unchanged(_) | ClosedVerdict::Undecodable => None,
        };
        let (verdict, reason) = match &closed.verdict {
            ClosedVerdict::Refused(refusal) => ("refused", refusal.code().to_owned()),
            ClosedVerdict::Unchanged(outcome) => ("unchanged", outcome_text(outcome)),
            ClosedVerdict::Undecodable => ("undecodable", "see the dead letters".to_owned()),
        };
        json!({
            "command_offset": closed.offset,
            "fact_offset": link.offset,
            "asked_at": asked.map(|asked| text(asked.taken_at)),
            "decided_at": text(Timestamp::from_millis(link.timestamp_ms)),
            "command": asked.map(|asked| asked.kind),
            "actor": closed.user.map(|user| user.to_string()),
            "verdict": verdict,
            "reason": reason,
            "because": because,
        })
    }

    fn fact_step(
        &self,
        fact: &Fact,
        asked: Option<&Asked>,
        offset: Option<u64>,
        link: &Record,
    ) -> Value {
        let changes = fact.changes.iter().filter(|change| concerns(change, self.user));
        let changes: Vec<_> = changes.map(change_text).collect();
        json!({
            "command_offset": offset,
            "fact_offset": link.offset,
            "event_seq": fact.event_seq,
            "at": text(fact.at),
            "asked_at": asked.map(|asked| text(asked.taken_at)),
            "decided_at": text(Timestamp::from_millis(link.timestamp_ms)),
            "command": asked.map(|asked| asked.kind),
            "actor": fact.actor.user().map_or("system".to_owned(), |user| user.to_string()),
            "verdict": "accepted",
            "changes": changes,
            "active": fact.counters.active,
            "waiting": fact.counters.waiting,
        })
    }
}

fn text(at: Timestamp) -> String {
    Rfc3339::new(at).as_str().to_owned()
}

fn is_about(fact: &Fact, user: &UserId) -> bool {
    fact.actor.user().as_ref() == Some(user)
        || fact.changes.iter().any(|change| concerns(change, Some(user)))
}

fn concerns(change: &Change, user: Option<&UserId>) -> bool {
    let Some(user) = user else { return true };
    match change {
        Change::Registration { registration, .. } => registration.user == *user,
        Change::Banned(ban) => ban.user == *user,
        Change::Unbanned { user: lifted } => lifted == user,
        Change::Event { .. } | Change::Message { .. } => true,
    }
}

fn change_text(change: &Change) -> String {
    match change {
        Change::Event { cause, event, .. } => {
            let places = event.fields.capacity.to_wire();
            format!("event {}: version {}, {places} places", cause.as_str(), event.version)
        }
        Change::Registration { cause, registration, position, .. } => {
            let position = position.map(|position| format!(" at position {position}"));
            format!(
                "{} {}: {}{}",
                registration.user,
                cause.as_str(),
                registration.status.as_str(),
                position.unwrap_or_default()
            )
        }
        Change::Banned(ban) => format!("{} banned", ban.user),
        Change::Unbanned { user } => format!("{user} unbanned"),
        Change::Message { to, .. } => format!("message to {}", to.as_str()),
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Registration { user, status, position, .. } => {
            let position = position.map(|position| format!(" at position {position}"));
            format!("{user} is {}{}", status.as_str(), position.unwrap_or_default())
        }
        Outcome::Event { event, .. } => format!("event is {}", event.status.as_str()),
        Outcome::Done { .. } => "done before".to_owned(),
    }
}

/// What was asked, and when the log took it.
struct Asked {
    kind: &'static str,
    taken_at: Timestamp,
}

/// The commands beside the facts, as far as they can be had.
struct Commands<'a> {
    context: &'a Context,
    reader: CommandReader,
    expired: u64,
    away: u64,
}

impl<'a> Commands<'a> {
    fn open(context: &'a Context, number: u32) -> anyhow::Result<Self> {
        let partition = TopicPartition::new(context.source.commands.clone(), number);
        let reader = CommandReader::open(&**context.log(), &partition)?;
        Ok(Self { context, reader, expired: 0, away: 0 })
    }

    fn find(&mut self, offset: u64) -> anyhow::Result<Option<Asked>> {
        match self.reader.find(&**self.context.log(), offset)? {
            Found::Command { command, taken_at } => {
                return Ok(Some(Asked { kind: command.kind.as_str(), taken_at }));
            }
            Found::Expired => self.expired += 1,
            Found::Away(_) => self.away += 1,
            Found::Undecodable | Found::Nothing => {}
        }
        Ok(None)
    }

    /// What is missing in the answer.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.expired > 0 {
            notes.push(format!(
                "{} of the commands are not kept any more, so what they asked for is not told; what \
                 became of them is in the facts",
                self.expired
            ));
        }
        if self.away > 0 {
            notes.push(format!(
                "{} of the commands cannot be read while the schema registry is away",
                self.away
            ));
        }
        notes
    }
}
