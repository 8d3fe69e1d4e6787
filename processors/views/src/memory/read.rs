//! Reading.

use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;
use futures::future::{BoxFuture, FutureExt};

use super::MemoryViews;
use super::state::Written;
use crate::error::ViewsError;
use crate::query::{
    OwnEventPosition, OwnEventsQuery, OwnJoinPosition, Page, ParticipantPosition, ParticipantsQuery,
};
use crate::row::{
    BanRow, CountersRow, EventRow, OutcomeRow, ProfileRow, ProgressRow, RegistrationRow, TrendEntry,
};
use crate::tables::{
    ReadBans, ReadCounters, ReadEvents, ReadOutcomes, ReadProfiles, ReadProgress,
    ReadRegistrations, ReadTrends, SCANNED_ROWS_MAX, page_limit,
};
use crate::text::fold;

type Answer<'a, T> = BoxFuture<'a, Result<T, ViewsError>>;

/// Takes a page off rows in order, each with its place, of which `None` does not pass the filter.
fn page<T, P: Copy>(
    rows: impl Iterator<Item = (P, Option<T>)>,
    limit: usize,
) -> Result<Page<T, P>, ViewsError> {
    let mut items = Vec::new();
    let mut last = None;
    for (seen, (place, item)) in rows.enumerate() {
        if items.len() == page_limit(limit) || seen == SCANNED_ROWS_MAX {
            return Ok(Page { items, next: last });
        }
        last = Some(place);
        items.extend(item);
    }
    Ok(Page { items, next: None })
}

fn row_of<R: Clone>(written: Option<&Written<R>>) -> Option<R> {
    written.map(|(row, _)| row.clone())
}

impl ReadEvents for MemoryViews {
    fn event(&self, event: EventId) -> Answer<'_, Option<EventRow>> {
        async move { Ok(row_of(self.state.read().events.get(&event))) }.boxed()
    }

    fn own_events(&self, query: OwnEventsQuery) -> Answer<'_, Page<EventRow, OwnEventPosition>> {
        async move {
            let OwnEventsQuery { owner, statuses, after, limit } = query;
            let state = self.state.read();
            let newest_first = state.owned.iter().rev().filter(|(whose, place)| {
                *whose == owner && after.is_none_or(|after| *place < after)
            });
            let rows = newest_first.map(|(_, place)| {
                let row = row_of(state.events.get(&place.event));
                let wanted = |row: &EventRow| {
                    statuses.as_ref().is_none_or(|any| any.contains(&row.event.status))
                };
                (*place, row.filter(wanted))
            });
            page(rows, limit)
        }
        .boxed()
    }
}

impl ReadRegistrations for MemoryViews {
    fn registration(&self, event: EventId, user: UserId) -> Answer<'_, Option<RegistrationRow>> {
        async move { Ok(row_of(self.state.read().registrations.get(&(event, user)))) }.boxed()
    }

    fn participants(
        &self,
        query: ParticipantsQuery,
    ) -> Answer<'_, Page<RegistrationRow, ParticipantPosition>> {
        async move {
            let ParticipantsQuery { event, status, after, limit } = query;
            let state = self.state.read();
            let first = ParticipantPosition {
                joined_at: Timestamp::MIN,
                user: UserId::from_bytes([0; 16]),
            };
            let places = state
                .participants
                .range((event, after.unwrap_or(first))..)
                .take_while(|(of, _)| *of == event)
                .filter(|(_, place)| Some(*place) != after);
            let rows = places.map(|(_, place)| {
                let row = row_of(state.registrations.get(&(event, place.user)));
                let wanted = |row: &RegistrationRow| {
                    status.is_none_or(|status| row.registration.status == status)
                };
                (*place, row.filter(wanted))
            });
            page(rows, limit)
        }
        .boxed()
    }

    fn own_joins(
        &self,
        user: UserId,
        after: Option<OwnJoinPosition>,
        limit: usize,
    ) -> Answer<'_, Page<RegistrationRow, OwnJoinPosition>> {
        async move {
            let state = self.state.read();
            let newest_first = state.joins.iter().rev().filter(|(whose, place)| {
                *whose == user && after.is_none_or(|after| *place < after)
            });
            let rows = newest_first
                .map(|(_, place)| (*place, row_of(state.registrations.get(&(place.event, user)))));
            page(rows, limit)
        }
        .boxed()
    }

    fn waitlist(
        &self,
        event: EventId,
        after: Option<u32>,
        limit: usize,
    ) -> Answer<'_, Page<RegistrationRow, u32>> {
        async move {
            let state = self.state.read();
            let tickets = state
                .line
                .range((event, 0, UserId::from_bytes([0; 16]))..)
                .take_while(|(of, ..)| *of == event)
                .filter(|(_, ticket, _)| after.is_none_or(|after| *ticket > after));
            let rows = tickets.map(|(_, ticket, user)| {
                (*ticket, row_of(state.registrations.get(&(event, *user))))
            });
            page(rows, limit)
        }
        .boxed()
    }
}

impl ReadBans for MemoryViews {
    fn ban(&self, event: EventId, user: UserId) -> Answer<'_, Option<BanRow>> {
        async move {
            let row = row_of(self.state.read().bans.get(&(event, user)));
            Ok(row.filter(|row| row.ban.is_some()))
        }
        .boxed()
    }

    fn bans(
        &self,
        event: EventId,
        after: Option<UserId>,
        limit: usize,
    ) -> Answer<'_, Page<BanRow, UserId>> {
        async move {
            let state = self.state.read();
            let rows = state
                .bans
                .iter()
                .filter(|((of, user), _)| *of == event && after.is_none_or(|after| *user > after))
                .map(|((_, user), (row, _))| {
                    (*user, Some(row.clone()).filter(|row| row.ban.is_some()))
                });
            page(rows, limit)
        }
        .boxed()
    }
}

impl ReadCounters for MemoryViews {
    fn counters(&self, event: EventId) -> Answer<'_, Option<CountersRow>> {
        async move { Ok(row_of(self.state.read().counters.get(&event))) }.boxed()
    }
}

impl ReadOutcomes for MemoryViews {
    fn outcome(&self, command: CommandId, now: Timestamp) -> Answer<'_, Option<OutcomeRow>> {
        async move {
            let row = row_of(self.state.read().outcomes.get(&command));
            Ok(row.filter(|row| row.expires_at > now))
        }
        .boxed()
    }
}

impl ReadProgress for MemoryViews {
    fn progress(&self, projection: String, partition: u32) -> Answer<'_, Option<ProgressRow>> {
        async move { Ok(row_of(self.state.read().progress.get(&(projection, partition)))) }.boxed()
    }
}

impl ReadTrends for MemoryViews {
    fn trends(&self, city: Option<String>) -> Answer<'_, Vec<TrendEntry>> {
        async move {
            let list = city.map(|city| fold(&city)).unwrap_or_default();
            let state = self.state.read();
            let rows = state.trends.iter().filter(|((of, ..), _)| *of == list);
            Ok(rows.filter_map(|(_, (row, _))| row.entry.clone()).collect())
        }
        .boxed()
    }
}

impl ReadProfiles for MemoryViews {
    fn profile(&self, person: [u8; 16], now: Timestamp) -> Answer<'_, Option<ProfileRow>> {
        async move {
            let row = row_of(self.state.read().profiles.get(&person));
            Ok(row.filter(|row| row.expires_at > now))
        }
        .boxed()
    }
}
