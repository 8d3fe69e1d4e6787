//! The rows, and the orders that follow from them.

use std::collections::{BTreeMap, BTreeSet};

use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;

use crate::codec::{Table, encode};
use crate::query::{OwnEventPosition, OwnJoinPosition, ParticipantPosition};
use crate::row::{
    BanRow, CountersRow, EventRow, Mutation, OutcomeRow, PersonKey, ProfileRow, ProgressRow,
    RegistrationRow, Row, TrendRow, WriteTimestamp,
};
use crate::tables::EXPIRY_SLACK_MS;

/// A row and when it was written.
pub(super) type Written<R> = (R, WriteTimestamp);

#[derive(Default)]
pub(super) struct State {
    pub(super) events: BTreeMap<EventId, Written<EventRow>>,
    pub(super) owned: BTreeSet<(UserId, OwnEventPosition)>,
    pub(super) registrations: BTreeMap<(EventId, UserId), Written<RegistrationRow>>,
    pub(super) participants: BTreeSet<(EventId, ParticipantPosition)>,
    pub(super) joins: BTreeSet<(UserId, OwnJoinPosition)>,
    pub(super) line: BTreeSet<(EventId, u32, UserId)>,
    pub(super) bans: BTreeMap<(EventId, UserId), Written<BanRow>>,
    pub(super) counters: BTreeMap<EventId, Written<CountersRow>>,
    pub(super) outcomes: BTreeMap<CommandId, Written<OutcomeRow>>,
    pub(super) expiries: BTreeSet<(Timestamp, CommandId)>,
    pub(super) progress: BTreeMap<(String, u32), Written<ProgressRow>>,
    pub(super) trends: BTreeMap<(String, u32, u32), Written<TrendRow>>,
    pub(super) profiles: BTreeMap<[u8; 16], Written<ProfileRow>>,
    pub(super) person_keys: BTreeMap<UserId, Option<PersonKey>>,
}

impl State {
    pub(super) fn apply(&mut self, Mutation { row, timestamp }: Mutation) {
        match row {
            Row::Event(row) => self.apply_event(*row, timestamp),
            Row::Registration(row) => self.apply_registration(row, timestamp),
            Row::Ban(row) => {
                put(&mut self.bans, (row.event, row.user), row, timestamp);
            }
            Row::Counters(row) => {
                put(&mut self.counters, row.event, row, timestamp);
            }
            Row::Outcome(row) => self.apply_outcome(*row, timestamp),
            Row::Progress(row) => {
                put(&mut self.progress, (row.projection.clone(), row.partition), row, timestamp);
            }
            Row::Trend(row) => {
                let key = (row.list.clone(), row.partition, row.slot);
                put(&mut self.trends, key, *row, timestamp);
            }
            Row::Profile(row) => {
                put(&mut self.profiles, row.person, row, timestamp);
            }
        }
    }

    fn apply_event(&mut self, row: EventRow, timestamp: WriteTimestamp) {
        let event = row.event.clone();
        let Put::Written(before) = put(&mut self.events, event.id, row, timestamp) else { return };
        let own = |created_at| OwnEventPosition { created_at, event: event.id };
        if let Some(before) = before {
            self.owned.remove(&(before.event.owner, own(before.event.created_at)));
        }
        self.owned.insert((event.owner, own(event.created_at)));
    }

    fn apply_registration(&mut self, row: RegistrationRow, timestamp: WriteTimestamp) {
        let (event, now) = (row.event, row.registration);
        let user = now.user;
        let Put::Written(before) = put(&mut self.registrations, (event, user), row, timestamp)
        else {
            return;
        };
        let places = |joined_at| {
            (ParticipantPosition { joined_at, user }, OwnJoinPosition { joined_at, event })
        };
        if let Some(before) = before {
            let (in_event, own) = places(before.registration.joined_at);
            self.participants.remove(&(event, in_event));
            self.joins.remove(&(user, own));
            if let Some(ticket) = before.line_ticket() {
                self.line.remove(&(event, ticket, user));
            }
        }
        let (in_event, own) = places(now.joined_at);
        self.participants.insert((event, in_event));
        self.joins.insert((user, own));
        if let Some(ticket) = self.registrations[&(event, user)].0.line_ticket() {
            self.line.insert((event, ticket, user));
        }
    }

    fn apply_outcome(&mut self, row: OutcomeRow, timestamp: WriteTimestamp) {
        let (command, at, expires_at) = (row.command, row.at, row.expires_at);
        if let Put::Written(before) = put(&mut self.outcomes, command, row, timestamp) {
            if let Some(before) = before {
                self.expiries.remove(&(before.expires_at, command));
            }
            self.expiries.insert((expires_at, command));
        }
        while let Some(&(expired_at, command)) = self.expiries.first() {
            if expired_at.as_millis() >= at.as_millis().saturating_sub(EXPIRY_SLACK_MS) {
                break;
            }
            self.expiries.pop_first();
            self.outcomes.remove(&command);
        }
    }
}

enum Put<R> {
    Written(Option<R>),
    Outdated,
}

/// Last write wins.
fn put<K: Ord, R: Table>(
    table: &mut BTreeMap<K, Written<R>>,
    key: K,
    row: R,
    timestamp: WriteTimestamp,
) -> Put<R> {
    if let Some((present, written)) = table.get(&key)
        && (timestamp < *written
            || (timestamp == *written && encode(&row, timestamp) <= encode(present, timestamp)))
    {
        return Put::Outdated;
    }
    Put::Written(table.insert(key, (row, timestamp)).map(|(before, _)| before))
}
