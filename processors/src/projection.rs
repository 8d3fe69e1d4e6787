//! Facts → tables.
//!
//! Changes of one batch are folded into one mutation a row first. Every mutation carries a write
//! timestamp from the log (`event_seq`, or the command's offset for outcomes), so replays and two
//! projections at once are harmless. Progress is written in the same call behind all rows up to it.
//!
//! What staff did to events of others is kept as records besides, before the progress that covers it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cityevents_domain::fact::{Change, EventCause, Fact};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::RegistrationCause;
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_runtime::chain::Cursor;
use cityevents_runtime::consumer::FactSink;
use cityevents_runtime::follower::{LinkedRecord, Position};
use cityevents_runtime::host::TaskError;
use cityevents_runtime::spans::Spans;
use cityevents_schemas::message::{Closed, ClosedVerdict, Link, decode_link};
use cityevents_trace::Tracer;
use cityevents_views::staff_acts::{StaffAct, StaffDeed};
use cityevents_views::{
    BanRow, CountersRow, EventRow, Mutation, OutcomeRow, OutcomeVerdict, ProgressRow,
    RegistrationRow, Row, Views, WriteTimestamp,
};
use futures::executor::block_on;

use crate::{from_views, unreadable_fact};

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
    spans: Spans,
}

impl Projection {
    /// For one partition of the facts.
    pub fn new(views: Views, partition: u32, on_progress: OnProgress) -> Self {
        Self { views, partition, on_progress, spans: Spans::off() }
    }

    /// With spans of facts whose traces are kept.
    #[must_use]
    pub fn traced(mut self, tracer: Tracer) -> Self {
        self.spans = Spans::new(tracer, "projection write", "projection batch");
        self
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
        let spans = self.spans.begin(self.partition, links.iter().map(|link| &link.record));
        let each = spans.each();
        let (mut rows, mut acts) = (Rows::default(), Vec::new());
        for linked in links {
            let value = linked.record.value.as_deref().unwrap_or_default();
            let link = decode_link(value).map_err(|error| {
                let place = format!("partition {} offset {}", self.partition, linked.record.offset);
                unreadable_fact(&place, &error)
            })?;
            acts.extend(link.fact.as_ref().and_then(act_of));
            rows.take(link, linked.cursor);
        }
        // Before the progress that covers them.
        for act in acts {
            self.keep(&act, &rows)?;
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
        spans.end(each);
        Ok(())
    }
}

impl Projection {
    /// Keeps what somebody of the staff did, if it was not to an event of their own. The same act is
    /// the same record, so that it may come again.
    fn keep(&self, act: &StaffAct, rows: &Rows) -> Result<(), TaskError> {
        let owner = match rows.0.get(&Key::Event(act.event)).map(|mutation| &mutation.row) {
            Some(Row::Event(row)) => Some(row.event.owner),
            _ => {
                let event = block_on(self.views.events.event(act.event)).map_err(from_views)?;
                event.map(|row| row.event.owner)
            }
        };
        if owner == Some(act.actor) {
            return Ok(());
        }
        for place in act.places() {
            block_on(self.views.records.add_place(place, act.at)).map_err(from_views)?;
        }
        // That it is there already is as good.
        block_on(self.views.records.change(act.to_change())).map_err(from_views)?;
        Ok(())
    }
}

/// What a fact says that somebody of the staff did to an event; whose it is, it may not say.
fn act_of(fact: &Fact) -> Option<StaffAct> {
    let actor = fact.actor.user().filter(|_| fact.actor.is_staff())?;
    let deed_of = |change: &Change| match change {
        Change::Event { cause, .. } => match cause {
            EventCause::Updated { .. } => Some((StaffDeed::Update, None)),
            EventCause::Published => Some((StaffDeed::Publish, None)),
            EventCause::Unpublished => Some((StaffDeed::Unpublish, None)),
            EventCause::Canceled => Some((StaffDeed::Cancel, None)),
            EventCause::Created | EventCause::Ended => None,
        },
        Change::Registration { cause, registration, .. } => {
            let person = Some(registration.user);
            match cause {
                RegistrationCause::Kicked => Some((StaffDeed::Kick, person)),
                RegistrationCause::Banned => Some((StaffDeed::Ban, person)),
                RegistrationCause::Lifted => Some((StaffDeed::Unban, person)),
                RegistrationCause::CheckedIn => Some((StaffDeed::CheckIn, person)),
                RegistrationCause::Joined
                | RegistrationCause::Promoted
                | RegistrationCause::Left
                | RegistrationCause::EventCanceled => None,
            }
        }
        Change::Banned(ban) => Some((StaffDeed::Ban, Some(ban.user))),
        Change::Unbanned { user } => Some((StaffDeed::Unban, Some(*user))),
        Change::Message { .. } => Some((StaffDeed::Message, None)),
    };
    let (deed, person) = fact.changes.iter().find_map(deed_of)?;
    let (id, at, event) = (fact.command, fact.at, fact.event);
    Some(StaffAct { id, at, actor, event, deed, person })
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

#[cfg(test)]
mod tests {
    use cityevents_domain::actor::{Actor, Role};
    use cityevents_domain::event::Counters;
    use cityevents_domain::fact::Outcome;
    use cityevents_domain::registration::{Registration, RegistrationStatus};

    use super::*;

    fn registration(cause: RegistrationCause, person: u8) -> Change {
        let at = Timestamp::from_millis(1);
        let registration = Registration {
            user: UserId::from_bytes([person; 16]),
            status: RegistrationStatus::Active,
            joined_at: at,
            updated_at: at,
            ticket: None,
            checked_in_at: None,
        };
        Change::Registration { cause, registration, position: None, reason: None }
    }

    fn act(role: Role, changes: Vec<Change>) -> Option<(StaffDeed, Option<UserId>)> {
        let fact = Fact {
            event: EventId::from_bytes([1; 16]),
            event_seq: 9,
            command: CommandId::from_bytes([2; 16]),
            command_digest: 0,
            at: Timestamp::from_millis(5),
            actor: Actor::Person { user: UserId::from_bytes([3; 16]), role },
            changes,
            counters: Counters::default(),
            outcome: Outcome::Done { at: Timestamp::from_millis(5) },
        };
        act_of(&fact).map(|act| (act.deed, act.person))
    }

    #[test]
    fn an_act_of_staff_is_told_from_what_people_do_themselves() {
        let kick = || {
            vec![
                registration(RegistrationCause::Kicked, 7),
                registration(RegistrationCause::Promoted, 8),
            ]
        };
        let kicked = Some((StaffDeed::Kick, Some(UserId::from_bytes([7; 16]))));
        assert_eq!(act(Role::Moderator, kick()), kicked);
        assert_eq!(act(Role::Admin, kick()), kicked);
        assert_eq!(act(Role::User, kick()), None, "an organiser");
        let left = registration(RegistrationCause::Left, 3);
        let promoted = registration(RegistrationCause::Promoted, 8);
        assert_eq!(act(Role::Admin, vec![left, promoted]), None, "somebody of the staff leaves");
        let lifted = Change::Unbanned { user: UserId::from_bytes([7; 16]) };
        assert_eq!(
            act(Role::Admin, vec![lifted]),
            Some((StaffDeed::Unban, Some(UserId::from_bytes([7; 16]))))
        );
        assert_eq!(act(Role::Admin, Vec::new()), None);
    }
}
