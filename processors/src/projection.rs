//! Facts → tables.
//!
//! Changes of one batch are folded into one mutation a row first. Every mutation carries a write
//! timestamp from the log (`event_seq`, or the command's offset for outcomes), so replays and two
//! projections at once are harmless. Progress is written in the same call behind all rows up to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cityevents_domain::fact::{Change, Fact};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_runtime::chain::Cursor;
use cityevents_runtime::consumer::FactSink;
use cityevents_runtime::follower::{LinkedRecord, Position};
use cityevents_runtime::host::TaskError;
use cityevents_schemas::message::{Closed, ClosedVerdict, Link, decode_link};
use cityevents_views::{
    BanRow, CountersRow, EventRow, Mutation, OutcomeRow, OutcomeVerdict, ProgressRow,
    RegistrationRow, Row, Views, ViewsError, WriteTimestamp,
};
use futures::executor::block_on;

use crate::unreadable_fact;

/// Names this topology in groups, progress rows, logs and metrics.
pub const NAME: &str = "projection";
/// How long the outcome of a command can be asked for: as long as the command is remembered.
const OUTCOME_KEPT: Millis = Millis::hours(24);

/// Hears up to which offset of which partition the tables are written, and `None` when somebody
/// else may write on from now.
pub type OnProgress = Arc<dyn Fn(u32, Option<u64>) + Send + Sync>;

/// The sink of one partition.
pub struct Projection {
    views: Views,
    partition: u32,
    on_progress: OnProgress,
}

impl Projection {
    /// For one partition of the facts.
    pub fn new(views: Views, partition: u32, on_progress: OnProgress) -> Self {
        Self { views, partition, on_progress }
    }
}

impl Drop for Projection {
    fn drop(&mut self) {
        (self.on_progress)(self.partition, None);
    }
}

impl FactSink for Projection {
    fn start(&mut self) -> Result<Option<Position>, TaskError> {
        let progress = self.views.progress.progress(NAME.to_owned(), self.partition);
        let Some(row) = block_on(progress).map_err(from_views)? else { return Ok(None) };
        let cursor = Cursor::parse(&row.cursor).ok_or_else(|| {
            let partition = self.partition;
            TaskError::Stop(format!(
                "the progress of partition {partition} in the tables has no readable cursor: the \
                 tables are damaged; remove them and they are rebuilt from the log"
            ))
        })?;
        (self.on_progress)(self.partition, Some(row.next_offset));
        Ok(Some(Position { offset: row.next_offset, cursor }))
    }

    fn write(&mut self, links: &[LinkedRecord], after: Position) -> Result<(), TaskError> {
        let mut rows = Rows::default();
        for linked in links {
            let value = linked.record.value.as_deref().unwrap_or_default();
            let link = decode_link(value).map_err(|error| {
                let place = format!("partition {} offset {}", self.partition, linked.record.offset);
                unreadable_fact(&place, &error)
            })?;
            rows.take(link, linked.cursor);
        }
        let progress = ProgressRow {
            projection: NAME.to_owned(),
            partition: self.partition,
            next_offset: after.offset,
            cursor: after.cursor.to_text(),
        };
        let progress = Mutation::new(progress, WriteTimestamp(after.offset));
        let mut mutations: Vec<_> = rows.0.into_values().collect();
        mutations.push(progress);
        block_on(self.views.write.write(mutations)).map_err(from_views)?;
        (self.on_progress)(self.partition, Some(after.offset));
        Ok(())
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Event(EventId),
    Counters(EventId),
    Registration(EventId, UserId),
    Ban(EventId, UserId),
    Outcome(CommandId),
}

/// One mutation a row: within a batch the last change of a row is the one that counts.
#[derive(Default)]
struct Rows(BTreeMap<Key, Mutation>);

impl Rows {
    fn put(&mut self, key: Key, row: impl Into<Row>, timestamp: u64) {
        self.0.insert(key, Mutation::new(row, WriteTimestamp(timestamp)));
    }

    fn take(&mut self, link: Link, cursor: Cursor) {
        for closed in link.closed {
            self.take_closed(closed, link.at);
        }
        if let Some(fact) = link.fact {
            self.take_fact(fact, cursor);
        }
    }

    fn take_closed(&mut self, closed: Closed, at: Timestamp) {
        let (Some(command), Some(user)) = (closed.command, closed.user) else { return };
        let verdict = match closed.verdict {
            ClosedVerdict::Refused(refusal) => OutcomeVerdict::Refused(refusal),
            ClosedVerdict::Unchanged(outcome) => OutcomeVerdict::Unchanged(outcome),
            ClosedVerdict::Undecodable => OutcomeVerdict::Undecodable,
        };
        let row = OutcomeRow {
            command,
            event: closed.event,
            user: Some(user),
            verdict,
            at,
            expires_at: at + OUTCOME_KEPT,
        };
        self.put(Key::Outcome(command), row, closed.offset);
    }

    fn take_fact(&mut self, fact: Fact, cursor: Cursor) {
        let (event, seq) = (fact.event, fact.event_seq);
        for change in fact.changes {
            match change {
                Change::Event { event: row, .. } => {
                    self.put(Key::Event(event), EventRow { event: *row, event_seq: seq }, seq);
                }
                Change::Registration { cause, registration, position, reason } => {
                    let key = Key::Registration(event, registration.user);
                    let row = RegistrationRow { event, registration, cause, position, reason };
                    self.put(key, row, seq);
                }
                Change::Banned(ban) => {
                    let user = ban.user;
                    self.put(Key::Ban(event, user), BanRow { event, user, ban: Some(ban) }, seq);
                }
                Change::Unbanned { user } => {
                    self.put(Key::Ban(event, user), BanRow { event, user, ban: None }, seq);
                }
                Change::Message { .. } => {}
            }
        }
        let counters = CountersRow { event, counters: fact.counters, event_seq: seq };
        self.put(Key::Counters(event), counters, seq);
        if let Some(user) = fact.actor.user() {
            let row = OutcomeRow {
                command: fact.command,
                event: Some(event),
                user: Some(user),
                verdict: OutcomeVerdict::Accepted(fact.outcome),
                at: fact.at,
                expires_at: fact.at + OUTCOME_KEPT,
            };
            // The link closes this command last, so the cursor stands on it.
            self.put(Key::Outcome(fact.command), row, cursor.offset.max(0) as u64);
        }
    }
}

fn from_views(error: ViewsError) -> TaskError {
    if error.is_transient() {
        TaskError::Restart(error.to_string())
    } else {
        TaskError::Stop(error.to_string())
    }
}
