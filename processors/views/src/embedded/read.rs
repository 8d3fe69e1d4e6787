//! Reading. A row is one look-up. A list is a range of places, each leading to its row; both are
//! read from one snapshot, so that they agree.

use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_domain::time::Timestamp;
use fjall::{Guard, Readable, Slice, Snapshot};
use futures::future::{BoxFuture, FutureExt};

use super::EmbeddedViews;
use super::keys::{self, Key, Span};
use crate::codec::{Damage, Table, decode};
use crate::error::ViewsError;
use crate::query::{
    OwnEventPosition, OwnEventsQuery, OwnJoinPosition, Page, ParticipantPosition, ParticipantsQuery,
};
use crate::row::{
    BanRow, CountersRow, EventRow, OutcomeRow, ProfileRow, ProgressRow, RegistrationRow,
    TrendEntry, TrendRow,
};
use crate::tables::{
    ReadBans, ReadCounters, ReadEvents, ReadOutcomes, ReadProfiles, ReadProgress,
    ReadRegistrations, ReadTrends, SCANNED_ROWS_MAX, page_limit,
};
use crate::text::fold;

type Answer<'a, T> = BoxFuture<'a, Result<T, ViewsError>>;

impl EmbeddedViews {
    fn row<R: Table>(&self, key: Key) -> Result<Option<R>, ViewsError> {
        let value = self.rows.get(&key.0).map_err(|source| self.engine(source))?;
        value.map(|value| decode(&value).map(|(row, _)| row)).transpose()
    }

    fn snapshot(&self) -> Look<'_> {
        Look { views: self, snapshot: self.database.snapshot() }
    }
}

/// One snapshot.
struct Look<'a> {
    views: &'a EmbeddedViews,
    snapshot: Snapshot,
}

impl Look<'_> {
    /// The row of a place, which must be there.
    fn row<R: Table>(&self, key: Key) -> Result<R, ViewsError> {
        let value = self.snapshot.get(&self.views.rows, &key.0);
        let value = value.map_err(|source| self.views.engine(source))?;
        match value {
            Some(value) => Ok(decode(&value)?.0),
            None => Err(ViewsError::DamagedRow { table: R::NAME, detail: "listed but missing" }),
        }
    }

    /// The keys and values of a span, in order.
    fn span(
        &self,
        span: Span,
    ) -> impl DoubleEndedIterator<Item = Result<(Slice, Slice), ViewsError>> {
        let range = span.bounds().map(|bounds| self.snapshot.range(&self.views.rows, bounds));
        let entry = |guard: Guard| guard.into_inner().map_err(|source| self.views.engine(source));
        range.into_iter().flatten().map(entry)
    }

    /// Takes a page off entries: `place_of` says where one stands, `row_of` gives its row, unless
    /// the filter does not let it pass.
    fn page<T, P: Copy>(
        &self,
        entries: impl Iterator<Item = Result<(Slice, Slice), ViewsError>>,
        limit: usize,
        place_of: impl Fn(&[u8]) -> Result<P, Damage>,
        row_of: impl Fn(P, &[u8]) -> Result<Option<T>, ViewsError>,
    ) -> Result<Page<T, P>, ViewsError> {
        let mut items = Vec::new();
        let mut last = None;
        for (seen, entry) in entries.enumerate() {
            if items.len() == page_limit(limit) || seen == SCANNED_ROWS_MAX {
                return Ok(Page { items, next: last });
            }
            let (key, value) = entry?;
            let place = place_of(&key)
                .map_err(|Damage(detail)| ViewsError::DamagedRow { table: "lists", detail })?;
            items.extend(row_of(place, &value)?);
            last = Some(place);
        }
        Ok(Page { items, next: None })
    }

    fn own_events(
        &self,
        query: OwnEventsQuery,
    ) -> Result<Page<EventRow, OwnEventPosition>, ViewsError> {
        let OwnEventsQuery { owner, statuses, after, limit } = query;
        let end = after.map(|place| keys::own_event(owner, place));
        self.page(
            self.span(keys::owned(owner).all().before(end)).rev(),
            limit,
            |key| {
                let (created_at, id) = keys::time_and_id(key)?;
                Ok(OwnEventPosition { created_at, event: EventId::from_bytes(id) })
            },
            |place, _| {
                let row: EventRow = self.row(keys::event(place.event))?;
                let wanted = |row: &EventRow| {
                    statuses.as_ref().is_none_or(|any| any.contains(&row.event.status))
                };
                Ok(Some(row).filter(wanted))
            },
        )
    }

    /// One state is one range. All states are all their ranges, merged.
    fn participants(
        &self,
        query: ParticipantsQuery,
    ) -> Result<Page<RegistrationRow, ParticipantPosition>, ViewsError> {
        let ParticipantsQuery { event, status, after, limit } = query;
        let one = status.map(|status| vec![status]);
        let statuses = one.unwrap_or_else(|| RegistrationStatus::ALL.to_vec());
        let place_of = |key: &[u8]| {
            let (joined_at, id) = keys::time_and_id(key)?;
            Ok(ParticipantPosition { joined_at, user: UserId::from_bytes(id) })
        };
        let ranges = statuses.into_iter().map(|status| {
            let behind = after.map(|place| keys::participant(event, status, place));
            self.span(keys::participants(event, status).all().behind(behind)).peekable()
        });
        let mut ranges: Vec<_> = ranges.collect();
        let merged = std::iter::from_fn(|| {
            let mut earliest: Option<(usize, ParticipantPosition)> = None;
            for (index, range) in ranges.iter_mut().enumerate() {
                let place = match range.peek() {
                    None => continue,
                    Some(Ok((key, _))) => place_of(key).ok(),
                    Some(Err(_)) => None,
                };
                // What cannot be read comes out as soon as it is met, and the page fails on it.
                let Some(place) = place else { return range.next() };
                if earliest.is_none_or(|(_, first)| place < first) {
                    earliest = Some((index, place));
                }
            }
            ranges.get_mut(earliest?.0)?.next()
        });
        self.page(merged, limit, place_of, |place, _| {
            self.row(keys::registration(event, place.user)).map(Some)
        })
    }

    fn own_joins(
        &self,
        user: UserId,
        after: Option<OwnJoinPosition>,
        limit: usize,
    ) -> Result<Page<RegistrationRow, OwnJoinPosition>, ViewsError> {
        let end = after.map(|place| keys::own_join(user, place));
        self.page(
            self.span(keys::joins(user).all().before(end)).rev(),
            limit,
            |key| {
                let (joined_at, id) = keys::time_and_id(key)?;
                Ok(OwnJoinPosition { joined_at, event: EventId::from_bytes(id) })
            },
            |place, _| self.row(keys::registration(place.event, user)).map(Some),
        )
    }

    fn waitlist(
        &self,
        event: EventId,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Page<RegistrationRow, u32>, ViewsError> {
        let behind = after.map(|ticket| keys::behind_ticket(event, ticket));
        let page = self.page(
            self.span(keys::line(event).all().behind(behind)),
            limit,
            keys::ticket_and_user,
            |(_, user), _| self.row(keys::registration(event, user)).map(Some),
        )?;
        Ok(Page { items: page.items, next: page.next.map(|(ticket, _)| ticket) })
    }

    fn bans(
        &self,
        event: EventId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Page<BanRow, UserId>, ViewsError> {
        let behind = after.map(|user| keys::ban(event, user));
        self.page(
            self.span(keys::bans(event).all().behind(behind)),
            limit,
            |key| {
                let id = key.last_chunk().ok_or(Damage("short place"))?;
                Ok(UserId::from_bytes(*id))
            },
            |_, value| Ok(Some(decode::<BanRow>(value)?.0).filter(|row| row.ban.is_some())),
        )
    }
}

impl ReadEvents for EmbeddedViews {
    fn event(&self, event: EventId) -> Answer<'_, Option<EventRow>> {
        async move { self.row(keys::event(event)) }.boxed()
    }

    fn own_events(&self, query: OwnEventsQuery) -> Answer<'_, Page<EventRow, OwnEventPosition>> {
        async move { self.snapshot().own_events(query) }.boxed()
    }
}

impl ReadRegistrations for EmbeddedViews {
    fn registration(&self, event: EventId, user: UserId) -> Answer<'_, Option<RegistrationRow>> {
        async move { self.row(keys::registration(event, user)) }.boxed()
    }

    fn participants(
        &self,
        query: ParticipantsQuery,
    ) -> Answer<'_, Page<RegistrationRow, ParticipantPosition>> {
        async move { self.snapshot().participants(query) }.boxed()
    }

    fn own_joins(
        &self,
        user: UserId,
        after: Option<OwnJoinPosition>,
        limit: usize,
    ) -> Answer<'_, Page<RegistrationRow, OwnJoinPosition>> {
        async move { self.snapshot().own_joins(user, after, limit) }.boxed()
    }

    fn waitlist(
        &self,
        event: EventId,
        after: Option<u32>,
        limit: usize,
    ) -> Answer<'_, Page<RegistrationRow, u32>> {
        async move { self.snapshot().waitlist(event, after, limit) }.boxed()
    }
}

impl ReadBans for EmbeddedViews {
    fn ban(&self, event: EventId, user: UserId) -> Answer<'_, Option<BanRow>> {
        async move {
            let row: Option<BanRow> = self.row(keys::ban(event, user))?;
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
        async move { self.snapshot().bans(event, after, limit) }.boxed()
    }
}

impl ReadCounters for EmbeddedViews {
    fn counters(&self, event: EventId) -> Answer<'_, Option<CountersRow>> {
        async move { self.row(keys::counters(event)) }.boxed()
    }
}

impl ReadOutcomes for EmbeddedViews {
    fn outcome(&self, command: CommandId, now: Timestamp) -> Answer<'_, Option<OutcomeRow>> {
        async move {
            let row: Option<OutcomeRow> = self.row(keys::outcome(command))?;
            Ok(row.filter(|row| row.expires_at > now))
        }
        .boxed()
    }
}

impl ReadProgress for EmbeddedViews {
    fn progress(&self, projection: String, partition: u32) -> Answer<'_, Option<ProgressRow>> {
        async move { self.row(keys::progress(&projection, partition)) }.boxed()
    }
}

impl ReadTrends for EmbeddedViews {
    fn trends(&self, city: Option<String>) -> Answer<'_, Vec<TrendEntry>> {
        async move {
            let list = city.map(|city| fold(&city)).unwrap_or_default();
            let mut entries = Vec::new();
            for entry in self.snapshot().span(keys::trends(&list).all()) {
                let (_, value) = entry?;
                entries.extend(decode::<TrendRow>(&value)?.0.entry);
            }
            Ok(entries)
        }
        .boxed()
    }
}

impl ReadProfiles for EmbeddedViews {
    fn profile(&self, person: [u8; 16], now: Timestamp) -> Answer<'_, Option<ProfileRow>> {
        async move {
            let row: Option<ProfileRow> = self.row(keys::profile(&person))?;
            Ok(row.filter(|row| row.expires_at > now))
        }
        .boxed()
    }
}
