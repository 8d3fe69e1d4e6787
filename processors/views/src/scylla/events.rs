//! Events, and those of one person.

use std::cmp::Reverse;

use cityevents_domain::event::EventStatus;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::time::Timestamp;
use scylla::value::CqlValue;

use super::ScyllaViews;
use super::keys::{BEHIND_IDS, blob, millis};
use super::lists::{count_column, id_of};
use super::page::{List, Spot, Spots};
use super::read::{Answer, Written};
use super::request::collect;
use super::statements::Statement;
use crate::error::ViewsError;
use crate::query::{OwnEventPosition, OwnEventsQuery, Page};
use crate::row::EventRow;
use crate::tables::ReadEvents;

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

impl ReadEvents for ScyllaViews {
    fn event(&self, event: EventId) -> Answer<'_, Option<EventRow>> {
        self.on_runtime(move |views| async move {
            Ok(views.event_row(event).await?.map(|(row, _)| row))
        })
    }

    fn own_events(&self, query: OwnEventsQuery) -> Answer<'_, Page<EventRow, OwnEventPosition>> {
        self.on_runtime(move |views| async move {
            let OwnEventsQuery { owner, statuses, after, limit } = query;
            let owned = Owned { views: &views, owner, statuses: statuses.as_deref() };
            let page = views.page(&owned, after.map(Reverse), limit).await?;
            Ok(Page { items: page.items, next: page.next.map(|Reverse(place)| place) })
        })
    }
}
