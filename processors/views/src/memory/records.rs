//! Records and places, in maps.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use cityevents_domain::time::Timestamp;
use futures::future::{BoxFuture, FutureExt};

use super::MemoryViews;
use crate::error::ViewsError;
use crate::records::{Change, Place, PlacesQuery, Record, RecordKey, Records};

#[derive(Default)]
pub(super) struct RecordMaps {
    records: BTreeMap<RecordKey, Record>,
    places: BTreeSet<Place>,
}

impl RecordMaps {
    fn change(&mut self, change: Change) -> bool {
        let present = self.records.get(&change.key).map(|record| record.revision);
        if present != change.expected {
            return false;
        }
        match change.value {
            Some(value) => {
                let record = Record { revision: change.revision, value };
                self.records.insert(change.key, record);
            }
            None => {
                self.records.remove(&change.key);
            }
        }
        true
    }

    fn places(&self, query: &PlacesQuery) -> Vec<Vec<u8>> {
        let place = |position: &[u8]| Place { list: query.list.clone(), position: position.into() };
        let in_list = self
            .places
            .range((Bound::Included(place(&[])), Bound::Unbounded))
            .take_while(|place| place.list == query.list)
            .map(|place| place.position.clone());
        let mut positions: Vec<_> = in_list.collect();
        if query.descending {
            positions.reverse();
        }
        positions.retain(|position| match &query.after {
            None => true,
            Some(after) if query.descending => position < after,
            Some(after) => position > after,
        });
        positions.truncate(query.limit.max(1));
        positions
    }
}

impl Records for MemoryViews {
    fn record(&self, key: RecordKey) -> BoxFuture<'_, Result<Option<Record>, ViewsError>> {
        async move { Ok(self.records.read().records.get(&key).cloned()) }.boxed()
    }

    fn change(&self, change: Change) -> BoxFuture<'_, Result<bool, ViewsError>> {
        async move {
            self.fail_if_told()?;
            Ok(self.records.write().change(change))
        }
        .boxed()
    }

    fn add_place(&self, place: Place, _at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>> {
        async move {
            self.records.write().places.insert(place);
            Ok(())
        }
        .boxed()
    }

    fn remove_place(&self, place: Place, _at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>> {
        async move {
            self.records.write().places.remove(&place);
            Ok(())
        }
        .boxed()
    }

    fn places(&self, query: PlacesQuery) -> BoxFuture<'_, Result<Vec<Vec<u8>>, ViewsError>> {
        async move { Ok(self.records.read().places(&query)) }.boxed()
    }
}
