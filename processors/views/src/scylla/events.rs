//! Events and their lists.

use std::cmp::Reverse;

use cityevents_domain::event::EventStatus;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::time::Timestamp;
use futures::future::try_join_all;
use futures::stream::{StreamExt, TryStreamExt, iter};
use scylla::value::CqlValue;

use super::ScyllaViews;
use super::keys::{BEFORE_IDS, BEHIND_IDS, CITIES_SHARD, EventList, blob, millis};
use super::lists::{count_column, id_of};
use super::page::{List, Spot, Spots};
use super::read::{Answer, Written};
use super::request::collect;
use super::statements::Statement;
use crate::error::ViewsError;
use crate::filter::{Matcher, is_listed, page_limit, position_of};
use crate::query::{
    EventFilter, EventPosition, EventsQuery, OwnEventPosition, OwnEventsQuery, Page,
};
use crate::row::EventRow;
use crate::tables::{ReadEvents, SCANNED_ROWS_MAX};
use crate::text::fold;

/// Names of cities read at a time.
const CITIES_STRETCH: usize = 256;

/// Cities looked up side by side.
const CITY_LOOKUPS_MAX: usize = 8;

/// A place as a bound in CQL: excluded, and an id of any length.
type Bound = (i64, Vec<u8>);

/// A list of public events.
struct Listed<'a> {
    views: &'a ScyllaViews,
    list: EventList<'a>,
    matcher: &'a Matcher,
    starts_from: Option<Timestamp>,
    starts_before: Option<Timestamp>,
}

impl Listed<'_> {
    async fn shard(
        &self,
        shard: i16,
        (from, from_id): &Bound,
        (to, to_id): &Bound,
        count: usize,
    ) -> Result<Spots<Self>, ViewsError> {
        let (list, name) = self.list.columns();
        let values = (list, name, shard, from, from_id, to, to_id, count_column(count));
        let rows = self.views.requests.rows(Statement::ListListed, values).await?;
        let found: Vec<(i64, Vec<u8>, i64)> = collect(&rows)?;
        let spot = |(start_time, event, written): (i64, Vec<u8>, i64)| {
            let start_time = Timestamp::from_millis(start_time);
            let place = EventPosition { start_time, event: EventId::from_bytes(id_of(event)?) };
            Ok(Spot { place, written, carried: None })
        };
        found.into_iter().map(spot).collect()
    }
}

impl List for Listed<'_> {
    type Place = EventPosition;
    type Id = EventId;
    type Row = EventRow;

    /// From all shards, merged.
    async fn spots(
        &self,
        behind: Option<Self::Place>,
        count: usize,
    ) -> Result<Spots<Self>, ViewsError> {
        let at = |time: Timestamp| (time.as_millis(), BEFORE_IDS.to_vec());
        let place =
            |place: EventPosition| (place.start_time.as_millis(), place.event.as_bytes().to_vec());
        // Whichever lies further on: the place behind which to go on, or the earliest start.
        let earliest = at(self.starts_from.unwrap_or(Timestamp::MIN));
        let from =
            behind.map_or_else(|| earliest.clone(), |behind| place(behind).max(earliest.clone()));
        let to = self.starts_before.map_or_else(|| (i64::MAX, BEHIND_IDS.to_vec()), at);
        if from >= to {
            return Ok(Vec::new());
        }
        let shards = self.list.shards().map(|shard| self.shard(shard, &from, &to, count));
        let mut spots: Vec<_> = try_join_all(shards).await?.into_iter().flatten().collect();
        spots.sort_unstable_by_key(|spot| spot.place);
        spots.truncate(count);
        Ok(spots)
    }

    fn id(&self, place: Self::Place) -> EventId {
        place.event
    }

    async fn row(&self, event: EventId) -> Result<Option<Written<EventRow>>, ViewsError> {
        self.views.event_row(event).await
    }

    fn place_of(&self, row: &EventRow) -> Option<Self::Place> {
        let fields = &row.event.fields;
        let of_list = match self.list {
            EventList::Whole => true,
            EventList::City(city) => fold(&fields.city) == city,
            EventList::Category(category) => fold(&fields.category) == category,
        };
        (of_list && is_listed(row.event.status)).then(|| position_of(&row.event))
    }

    fn shows(&self, row: &EventRow) -> bool {
        self.matcher.shows(&row.event)
    }

    fn removal(&self, place: Self::Place, written: i64) -> Option<(Statement, Vec<CqlValue>)> {
        let (list, name) = self.list.columns();
        let values = vec![
            CqlValue::BigInt(written),
            CqlValue::TinyInt(list),
            CqlValue::Text(name.to_owned()),
            CqlValue::SmallInt(self.list.shard(&place.event)),
            millis(place.start_time),
            blob(place.event.as_bytes()),
        ];
        Some((Statement::DeleteListed, values))
    }
}

/// The events of one person, the newest first.
struct Owned<'a> {
    views: &'a ScyllaViews,
    owner: UserId,
    statuses: Option<&'a [EventStatus]>,
}

impl List for Owned<'_> {
    type Place = Reverse<OwnEventPosition>;
    type Id = EventId;
    type Row = EventRow;

    async fn spots(
        &self,
        behind: Option<Self::Place>,
        count: usize,
    ) -> Result<Spots<Self>, ViewsError> {
        let created_at = behind.map_or(i64::MAX, |Reverse(place)| place.created_at.as_millis());
        let event = behind.map(|Reverse(place)| place.event);
        let before = event.as_ref().map_or(BEHIND_IDS, |event| event.as_bytes());
        let values = (self.owner.as_bytes().as_slice(), created_at, before, count_column(count));
        let rows = self.views.requests.rows(Statement::ListOwned, values).await?;
        let found: Vec<(i64, Vec<u8>, i64)> = collect(&rows)?;
        let spot = |(created_at, event, written): (i64, Vec<u8>, i64)| {
            let created_at = Timestamp::from_millis(created_at);
            let place = OwnEventPosition { created_at, event: EventId::from_bytes(id_of(event)?) };
            Ok(Spot { place: Reverse(place), written, carried: None })
        };
        found.into_iter().map(spot).collect()
    }

    fn id(&self, Reverse(place): Self::Place) -> EventId {
        place.event
    }

    async fn row(&self, event: EventId) -> Result<Option<Written<EventRow>>, ViewsError> {
        self.views.event_row(event).await
    }

    fn place_of(&self, row: &EventRow) -> Option<Self::Place> {
        let event = &row.event;
        let place = OwnEventPosition { created_at: event.created_at, event: event.id };
        (event.owner == self.owner).then_some(Reverse(place))
    }

    fn shows(&self, row: &EventRow) -> bool {
        self.statuses.is_none_or(|any| any.contains(&row.event.status))
    }

    fn removal(
        &self,
        Reverse(place): Self::Place,
        written: i64,
    ) -> Option<(Statement, Vec<CqlValue>)> {
        let (owner, event) = (blob(self.owner.as_bytes()), blob(place.event.as_bytes()));
        let values = vec![CqlValue::BigInt(written), owner, millis(place.created_at), event];
        Some((Statement::DeleteOwned, values))
    }
}

impl ScyllaViews {
    async fn events_page(
        &self,
        query: EventsQuery,
    ) -> Result<Page<EventRow, EventPosition>, ViewsError> {
        let EventsQuery { filter, after, limit } = query;
        let (starts_from, starts_before) = (filter.starts_from, filter.starts_before);
        let matcher = &Matcher::new(filter);
        let list = match (&matcher.city, &matcher.category) {
            (Some(city), _) => EventList::City(city),
            (None, Some(category)) => EventList::Category(category),
            (None, None) => EventList::Whole,
        };
        let listed = Listed { views: self, list, matcher, starts_from, starts_before };
        self.page(&listed, after, limit).await
    }

    /// Goes through the names, and asks for the first event of each.
    async fn city_names(&self, prefix: &str, limit: usize) -> Result<Vec<String>, ViewsError> {
        let (prefix, limit) = (fold(prefix), page_limit(limit));
        let mut names = Vec::new();
        let (mut behind, mut looked_at): (Option<String>, _) = (None, 0);
        while names.len() < limit && looked_at < SCANNED_ROWS_MAX {
            let count = CITIES_STRETCH.min((limit - names.len()).saturating_mul(2));
            let (statement, from) = match &behind {
                Some(city) => (Statement::ListCitiesBehind, city),
                None => (Statement::ListCities, &prefix),
            };
            let values = (CITIES_SHARD, from, count_column(count));
            let rows = self.requests.rows(statement, values).await?;
            let found: Vec<(String,)> = collect(&rows)?;
            let is_end = found.len() < count;
            looked_at += found.len();
            behind = found.last().map(|(city,)| city.clone());
            let cities = found.into_iter().map(|(city,)| city);
            let with_prefix: Vec<_> = cities.filter(|city| city.starts_with(&prefix)).collect();
            let is_past = with_prefix.last() != behind.as_ref();
            let spelled: Vec<_> = iter(with_prefix.into_iter().map(|city| self.city_name(city)))
                .buffered(CITY_LOOKUPS_MAX)
                .try_collect()
                .await?;
            names.extend(spelled.into_iter().flatten());
            if is_end || is_past {
                break;
            }
        }
        names.truncate(limit);
        Ok(names)
    }

    /// A city as its first event spells it; `None` when no public event is there any more.
    async fn city_name(&self, city: String) -> Result<Option<String>, ViewsError> {
        let mut after = None;
        loop {
            let filter = EventFilter { city: Some(city.clone()), ..EventFilter::default() };
            let page = self.events_page(EventsQuery { filter, after, limit: 1 }).await?;
            if let Some(row) = page.items.into_iter().next() {
                return Ok(Some(row.event.fields.city));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(None),
            }
        }
    }
}

impl ReadEvents for ScyllaViews {
    fn event(&self, event: EventId) -> Answer<'_, Option<EventRow>> {
        self.on_runtime(move |views| async move {
            Ok(views.event_row(event).await?.map(|(row, _)| row))
        })
    }

    fn events(&self, query: EventsQuery) -> Answer<'_, Page<EventRow, EventPosition>> {
        self.on_runtime(move |views| async move { views.events_page(query).await })
    }

    fn own_events(&self, query: OwnEventsQuery) -> Answer<'_, Page<EventRow, OwnEventPosition>> {
        self.on_runtime(move |views| async move {
            let OwnEventsQuery { owner, statuses, after, limit } = query;
            let owned = Owned { views: &views, owner, statuses: statuses.as_deref() };
            let page = views.page(&owned, after.map(Reverse), limit).await?;
            Ok(Page { items: page.items, next: page.next.map(|Reverse(place)| place) })
        })
    }

    fn cities(&self, prefix: String, limit: usize) -> Answer<'_, Vec<String>> {
        self.on_runtime(move |views| async move { views.city_names(&prefix, limit).await })
    }
}
