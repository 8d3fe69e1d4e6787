//! The rows of one event, read by key or all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cityevents_domain::ids::{EventId, UserId};
use cityevents_runtime::host::TaskError;
use cityevents_views::codec::encode;
use cityevents_views::{ParticipantsQuery, Row, Views, WriteTimestamp};
use futures::executor::block_on;

use crate::from_views;

/// Rows read at once.
const PAGE: usize = 1_000;

/// Which row of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowKey {
    Event,
    Counters,
    Registration(UserId),
    Ban(UserId),
}

impl fmt::Display for RowKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event => formatter.write_str("event"),
            Self::Counters => formatter.write_str("counters"),
            Self::Registration(user) => write!(formatter, "registration of {user}"),
            Self::Ban(user) => write!(formatter, "ban of {user}"),
        }
    }
}

/// What tables say of an event.
pub(super) type Rows = BTreeMap<RowKey, Row>;

/// All rows of an event, as the lists of the tables have them, or only some of them by their keys.
pub(super) fn read(
    views: &Views,
    event: EventId,
    only: Option<&BTreeSet<RowKey>>,
) -> Result<Rows, TaskError> {
    let mut rows = Rows::new();
    if let Some(keys) = only {
        for key in keys {
            if let Some(row) = read_one(views, event, *key)? {
                rows.insert(*key, row);
            }
        }
        return Ok(rows);
    }
    for key in [RowKey::Event, RowKey::Counters] {
        if let Some(row) = read_one(views, event, key)? {
            rows.insert(key, row);
        }
    }
    read_registrations(views, event, &mut rows)?;
    read_bans(views, event, &mut rows)?;
    Ok(rows)
}

fn read_one(views: &Views, event: EventId, key: RowKey) -> Result<Option<Row>, TaskError> {
    let row = match key {
        RowKey::Event => block_on(views.events.event(event)).map(|row| row.map(Row::from)),
        RowKey::Counters => block_on(views.counters.counters(event)).map(|row| row.map(Row::from)),
        RowKey::Registration(user) => {
            block_on(views.registrations.registration(event, user)).map(|row| row.map(Row::from))
        }
        RowKey::Ban(user) => block_on(views.bans.ban(event, user)).map(|row| row.map(Row::from)),
    };
    row.map_err(from_views)
}

fn read_registrations(views: &Views, event: EventId, rows: &mut Rows) -> Result<(), TaskError> {
    let mut after = None;
    loop {
        let query = ParticipantsQuery { event, status: None, after, limit: PAGE };
        let page = block_on(views.registrations.participants(query)).map_err(from_views)?;
        for row in page.items {
            rows.insert(RowKey::Registration(row.registration.user), row.into());
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

fn read_bans(views: &Views, event: EventId, rows: &mut Rows) -> Result<(), TaskError> {
    let mut after = None;
    loop {
        let page = block_on(views.bans.bans(event, after, PAGE)).map_err(from_views)?;
        for row in page.items {
            rows.insert(RowKey::Ban(row.user), row.into());
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// Adds the rows of an event to the hash of a partition: the bytes that are stored, whatever table
/// they are in and whenever they were written there.
pub(super) fn hash(hasher: &mut blake3::Hasher, event: EventId, rows: &Rows) {
    hasher.update(event.as_bytes());
    for row in rows.values() {
        let at = WriteTimestamp(0);
        let bytes = match row {
            Row::Event(row) => encode(&**row, at),
            Row::Registration(row) => encode(row, at),
            Row::Ban(row) => encode(row, at),
            Row::Counters(row) => encode(row, at),
            // None of an event.
            Row::Outcome(_) | Row::Progress(_) | Row::Trend(_) | Row::Profile(_) => continue,
        };
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(&bytes);
    }
}
