//! The keys of persons: the one table that lightweight transactions write, and nobody else.
//!
//! A transaction that timed out, or whose answer was lost, may have been applied or not. It is never
//! sent again; what counts is read at serial consistency, which waits for no clock and finishes
//! what was begun.

use cityevents_domain::ids::UserId;
use futures::future::BoxFuture;
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};

use super::ScyllaViews;
use super::request::{Failure, collect, refused};
use super::statements::Statement;
use crate::error::ViewsError;
use crate::row::PersonKey;
use crate::tables::PersonKeys;

/// What is known of a person's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Living(PersonKey),
    Erased,
}

impl State {
    const fn key(self) -> Option<PersonKey> {
        match self {
            Self::Living(key) => Some(key),
            Self::Erased => None,
        }
    }
}

impl ScyllaViews {
    async fn key_state(
        &self,
        statement: Statement,
        user: &UserId,
    ) -> Result<Option<State>, ViewsError> {
        let rows = self.requests.rows(statement, (user.as_bytes().as_slice(),)).await?;
        let found: Vec<(Option<Vec<u8>>, Option<bool>)> = collect(&rows)?;
        let state = found.into_iter().next().map(|(key, erased)| match (key, erased) {
            (_, Some(true)) => Ok(State::Erased),
            (Some(key), _) => {
                let key = key.try_into().map_err(|_| "its length is not that of a key")?;
                Ok(State::Living(PersonKey(key)))
            }
            (None, _) => Err("it is neither there nor erased"),
        });
        state.transpose().map_err(|detail| ViewsError::DamagedRow { table: "person_keys", detail })
    }

    async fn insert_key(&self, user: UserId, key: PersonKey) -> Result<State, ViewsError> {
        let values = (user.as_bytes().as_slice(), key.0.as_slice());
        let sent = self.requests.send(Statement::InsertPersonKey, values).await;
        if applied(sent)? == Some(true) {
            return Ok(State::Living(key));
        }
        match self.key_state(Statement::DecidedPersonKey, &user).await? {
            Some(state) => Ok(state),
            None => Err(not_decided()),
        }
    }

    async fn erase_key(&self, user: UserId) -> Result<(), ViewsError> {
        let values = (user.as_bytes().as_slice(),);
        let sent = self.requests.send(Statement::ErasePersonKey, values).await;
        // Not applied: somebody has erased it before.
        if applied(sent)?.is_some() {
            return Ok(());
        }
        match self.key_state(Statement::DecidedPersonKey, &user).await? {
            Some(State::Erased) => Ok(()),
            Some(State::Living(_)) | None => Err(not_decided()),
        }
    }
}

fn not_decided() -> ViewsError {
    ViewsError::unavailable("whether the key of a person was written is not known")
}

/// Whether a transaction was applied; `None` when nobody knows.
pub(super) fn applied(sent: Result<QueryResult, Failure>) -> Result<Option<bool>, ViewsError> {
    let result = match sent {
        Ok(result) => result,
        // A lost connection leaves it as open as a timeout does.
        Err(Failure { verdict, .. }) if verdict.is_failure() => return Ok(None),
        Err(failure) => return Err(failure.into()),
    };
    let rows = result.into_rows_result().map_err(refused)?;
    // The first column says it on both databases; how many follow is different.
    let row: Row = rows.first_row().map_err(refused)?;
    match row.columns.into_iter().next() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(Some(applied)),
        _ => Err(refused("a lightweight transaction does not say whether it was applied")),
    }
}

impl PersonKeys for ScyllaViews {
    fn person_key(&self, user: UserId) -> BoxFuture<'_, Result<Option<PersonKey>, ViewsError>> {
        self.on_runtime(move |views| async move {
            let state = views.key_state(Statement::SelectPersonKey, &user).await?;
            Ok(state.and_then(State::key))
        })
    }

    fn insert_person_key_if_absent(
        &self,
        user: UserId,
        key: PersonKey,
    ) -> BoxFuture<'_, Result<Option<PersonKey>, ViewsError>> {
        self.on_runtime(move |views| async move { Ok(views.insert_key(user, key).await?.key()) })
    }

    fn erase_person_key(&self, user: UserId) -> BoxFuture<'_, Result<(), ViewsError>> {
        self.on_runtime(move |views| async move { views.erase_key(user).await })
    }
}
