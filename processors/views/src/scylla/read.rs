//! Rows by key.

use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;
use futures::future::BoxFuture;
use scylla::serialize::row::SerializeRow;

use super::ScyllaViews;
use super::keys::{registration_bucket, trend_list};
use super::request::collect;
use super::statements::Statement;
use crate::codec::{Table, decode};
use crate::error::ViewsError;
use crate::row::{
    BanRow, CountersRow, EventRow, OutcomeRow, ProfileRow, ProgressRow, RegistrationRow,
    TrendEntry, TrendRow, WriteTimestamp,
};
use crate::tables::{ReadCounters, ReadOutcomes, ReadProfiles, ReadProgress, ReadTrends};
use crate::text::fold;

/// A row and when it was written.
pub(super) type Written<R> = (R, WriteTimestamp);

pub(super) type Answer<'a, T> = BoxFuture<'a, Result<T, ViewsError>>;

impl ScyllaViews {
    /// The one row that a statement finds.
    async fn row<R: Table>(
        &self,
        statement: Statement,
        key: impl SerializeRow,
    ) -> Result<Option<Written<R>>, ViewsError> {
        let rows = self.requests.rows(statement, key).await?;
        let contents: Vec<(Vec<u8>,)> = collect(&rows)?;
        contents.first().map(|(content,)| decode(content)).transpose()
    }

    pub(super) async fn event_row(
        &self,
        event: EventId,
    ) -> Result<Option<Written<EventRow>>, ViewsError> {
        self.row(Statement::SelectEvent, (event.as_bytes().as_slice(),)).await
    }

    pub(super) async fn registration_row(
        &self,
        event: EventId,
        user: UserId,
    ) -> Result<Option<Written<RegistrationRow>>, ViewsError> {
        let bucket = registration_bucket(&user);
        let key = (event.as_bytes().as_slice(), bucket, user.as_bytes().as_slice());
        self.row(Statement::SelectRegistration, key).await
    }

    pub(super) async fn ban_row(
        &self,
        event: EventId,
        user: UserId,
    ) -> Result<Option<BanRow>, ViewsError> {
        let key = (event.as_bytes().as_slice(), user.as_bytes().as_slice());
        let row: Option<Written<BanRow>> = self.row(Statement::SelectBan, key).await?;
        Ok(row.map(|(row, _)| row))
    }
}

impl ReadCounters for ScyllaViews {
    fn counters(&self, event: EventId) -> Answer<'_, Option<CountersRow>> {
        self.on_runtime(move |views| async move {
            let key = (event.as_bytes().as_slice(),);
            let row: Option<Written<CountersRow>> =
                views.row(Statement::SelectCounters, key).await?;
            Ok(row.map(|(row, _)| row))
        })
    }
}

impl ReadOutcomes for ScyllaViews {
    fn outcome(&self, command: CommandId, now: Timestamp) -> Answer<'_, Option<OutcomeRow>> {
        self.on_runtime(move |views| async move {
            let key = (command.as_bytes().as_slice(),);
            let row: Option<Written<OutcomeRow>> = views.row(Statement::SelectOutcome, key).await?;
            Ok(row.map(|(row, _)| row).filter(|row| row.expires_at > now))
        })
    }
}

impl ReadProgress for ScyllaViews {
    fn progress(&self, projection: String, partition: u32) -> Answer<'_, Option<ProgressRow>> {
        self.on_runtime(move |views| async move {
            let key = (projection, i64::from(partition));
            let row: Option<Written<ProgressRow>> =
                views.row(Statement::SelectProgress, key).await?;
            Ok(row.map(|(row, _)| row))
        })
    }
}

impl ReadTrends for ScyllaViews {
    fn trends(&self, city: Option<String>) -> Answer<'_, Vec<TrendEntry>> {
        self.on_runtime(move |views| async move {
            let list = city.map(|city| fold(&city)).unwrap_or_default();
            let rows = views.requests.rows(Statement::ListTrends, (trend_list(&list),)).await?;
            let contents: Vec<(Vec<u8>,)> = collect(&rows)?;
            let entry = |(content,): &(Vec<u8>,)| Ok(decode::<TrendRow>(content)?.0.entry);
            contents.iter().map(entry).filter_map(Result::transpose).collect()
        })
    }
}

impl ReadProfiles for ScyllaViews {
    fn profile(&self, person: [u8; 16], now: Timestamp) -> Answer<'_, Option<ProfileRow>> {
        self.on_runtime(move |views| async move {
            let key = (person.as_slice(),);
            let row: Option<Written<ProfileRow>> = views.row(Statement::SelectProfile, key).await?;
            Ok(row.map(|(row, _)| row).filter(|row| row.expires_at > now))
        })
    }
}
