//! Records by lightweight transactions, and places by plain writes.
//!
//! A transaction that timed out, or whose answer was lost, may have been applied or not. It is never
//! sent again: the record is read at serial consistency, which finishes or prevents what was begun,
//! and its revision tells.

use cityevents_domain::time::Timestamp;
use futures::future::BoxFuture;
use scylla::value::CqlValue;

use super::ScyllaViews;
use super::person_keys::applied;
use super::request::collect;
use super::statements::Statement;
use crate::error::ViewsError;
use crate::records::{
    Change, KEY_BYTES_MAX, Place, PlacesQuery, Record, RecordKey, RecordValue, Records, Revision,
};

/// Readers' clocks may lag behind this one.
const EXPIRY_SLACK_SECONDS: i64 = 3_600;
/// What lives longer is not thrown away: databases take no time to live that ends after 2038.
const TTL_SECONDS_MAX: i64 = 366 * 86_400;

/// Revision, content, expiry.
type Columns = (Option<Vec<u8>>, Option<Vec<u8>>, Option<i64>);

impl ScyllaViews {
    async fn read_record(&self, key: &RecordKey) -> Result<Option<Record>, ViewsError> {
        let values = (key.kind() as i8, key.id());
        let rows = self.requests.rows(Statement::SelectRecord, values).await?;
        let found: Vec<Columns> = collect(&rows)?;
        // A row without revision is the rest of one whose time has passed.
        let Some((Some(revision), content, expires_ms)) = found.into_iter().next() else {
            return Ok(None);
        };
        let damaged = |_| ViewsError::DamagedRow {
            table: "records",
            detail: "its revision has another length",
        };
        let revision = Revision(revision.try_into().map_err(damaged)?);
        let expires_at = expires_ms.map(Timestamp::from_millis);
        let value = RecordValue { content: content.unwrap_or_default(), expires_at };
        Ok(Some(Record { revision, value }))
    }

    async fn change_record(&self, change: Change) -> Result<bool, ViewsError> {
        let Change { key, expected, revision, value } = change;
        let removes = value.is_none();
        let sent = match (expected, value) {
            (None, Some(value)) => {
                // An update leaves no mark of a row behind that outlives its columns.
                let values = (
                    self.ttl_seconds(value.expires_at),
                    revision.0.as_slice(),
                    value.content.as_slice(),
                    value.expires_at.map(Timestamp::as_millis),
                    key.kind() as i8,
                    key.id(),
                );
                self.requests.send(Statement::InsertRecord, values).await
            }
            (Some(expected), Some(value)) => {
                let values = (
                    self.ttl_seconds(value.expires_at),
                    revision.0.as_slice(),
                    value.content.as_slice(),
                    value.expires_at.map(Timestamp::as_millis),
                    key.kind() as i8,
                    key.id(),
                    expected.0.as_slice(),
                );
                self.requests.send(Statement::UpdateRecord, values).await
            }
            (Some(expected), None) => {
                let values = (key.kind() as i8, key.id(), expected.0.as_slice());
                self.requests.send(Statement::DeleteRecord, values).await
            }
            (None, None) => return Ok(self.read_record(&key).await?.is_none()),
        };
        if let Some(applied) = applied(sent)? {
            return Ok(applied);
        }
        let now = self.read_record(&key).await?.map(|record| record.revision);
        match now {
            Some(now) if !removes && now == revision => Ok(true),
            now if now == expected => Ok(false),
            // Gone, but nobody knows by whom.
            _ => Err(ViewsError::unavailable("whether a record was changed is not known")),
        }
    }

    /// Zero: for ever.
    fn ttl_seconds(&self, expires_at: Option<Timestamp>) -> i32 {
        let Some(expires_at) = expires_at else { return 0 };
        let left_ms = expires_at.as_millis().saturating_sub((self.clock)().as_millis());
        let seconds = (left_ms / 1_000).saturating_add(EXPIRY_SLACK_SECONDS);
        if seconds > TTL_SECONDS_MAX {
            return 0;
        }
        i32::try_from(seconds.max(1)).unwrap_or(0)
    }

    async fn read_places(&self, query: PlacesQuery) -> Result<Vec<Vec<u8>>, ViewsError> {
        let limit = i32::try_from(query.limit.max(1)).unwrap_or(i32::MAX);
        let (statement, bound) = match (query.descending, query.after) {
            (false, after) => (Statement::ListPlaces, after.unwrap_or_default()),
            (true, Some(after)) => (Statement::ListPlacesBackwards, after),
            (true, None) => (Statement::ListPlacesBackwards, vec![0xff; KEY_BYTES_MAX + 1]),
        };
        let rows = self.requests.rows(statement, (query.list, bound, limit)).await?;
        let found: Vec<(Vec<u8>,)> = collect(&rows)?;
        Ok(found.into_iter().map(|(position,)| position).collect())
    }
}

/// Write timestamps are microseconds, by convention.
fn written(at: Timestamp) -> CqlValue {
    CqlValue::BigInt(at.as_millis().saturating_mul(1_000))
}

impl Records for ScyllaViews {
    fn record(&self, key: RecordKey) -> BoxFuture<'_, Result<Option<Record>, ViewsError>> {
        self.on_runtime(move |views| async move { views.read_record(&key).await })
    }

    fn change(&self, change: Change) -> BoxFuture<'_, Result<bool, ViewsError>> {
        self.on_runtime(move |views| async move { views.change_record(change).await })
    }

    fn add_place(&self, place: Place, at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>> {
        let Place { list, position } = place;
        let values = vec![CqlValue::Blob(list), CqlValue::Blob(position), written(at)];
        self.on_runtime(move |views| async move {
            views.requests.write(Statement::InsertPlace, vec![values]).await
        })
    }

    fn remove_place(&self, place: Place, at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>> {
        let Place { list, position } = place;
        let values = vec![written(at), CqlValue::Blob(list), CqlValue::Blob(position)];
        self.on_runtime(move |views| async move {
            views.requests.write(Statement::DeletePlace, vec![values]).await
        })
    }

    fn places(&self, query: PlacesQuery) -> BoxFuture<'_, Result<Vec<Vec<u8>>, ViewsError>> {
        self.on_runtime(move |views| async move { views.read_places(query).await })
    }
}
