//! What a topology has to remember beside the log: records of the tables, as JSON.

use cityevents_domain::time::Timestamp;
use cityevents_runtime::host::TaskError;
use cityevents_views::ViewsError;
use cityevents_views::records::{Change, RecordKey, RecordKind, RecordValue, Records, Revision};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A record of mails under a name.
pub(crate) fn key(name: &[u8]) -> RecordKey {
    RecordKey::new(RecordKind::Mail, name)
}

/// A value, and the state that it was read in.
pub(crate) async fn read<T: DeserializeOwned>(
    records: &dyn Records,
    key: RecordKey,
) -> Result<Option<(Revision, T)>, TaskError> {
    let Some(record) = records.record(key).await.map_err(failed)? else { return Ok(None) };
    let value = serde_json::from_slice(&record.value.content).map_err(|error| {
        TaskError::Stop(format!("a record of mails is damaged or of a newer version: {error}"))
    })?;
    Ok(Some((record.revision, value)))
}

/// Writes a value over the state that is expected; `None` when somebody else was first.
pub(crate) async fn write<T: Serialize>(
    records: &dyn Records,
    key: RecordKey,
    expected: Option<Revision>,
    value: &T,
    expires_at: Option<Timestamp>,
) -> Result<Option<Revision>, TaskError> {
    let content = serde_json::to_vec(value).map_err(|error| {
        TaskError::Stop(format!("a record of mails cannot be written: {error}"))
    })?;
    let revision = revision()?;
    let value = Some(RecordValue { content, expires_at });
    let changed = records.change(Change { key, expected, revision, value }).await;
    Ok(changed.map_err(failed)?.then_some(revision))
}

/// Takes a record away if it has this state.
pub(crate) async fn remove(
    records: &dyn Records,
    key: RecordKey,
    expected: Revision,
) -> Result<(), TaskError> {
    let (expected, revision) = (Some(expected), revision()?);
    let change = Change { key, expected, revision, value: None };
    records.change(change).await.map(drop).map_err(failed)
}

/// A state that nobody else draws.
pub(crate) fn revision() -> Result<Revision, TaskError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| TaskError::Restart(format!("there are no random numbers: {error}")))?;
    Ok(Revision(bytes))
}

pub(crate) fn failed(error: ViewsError) -> TaskError {
    match error.is_transient() {
        true => TaskError::Restart(error.to_string()),
        false => TaskError::Stop(error.to_string()),
    }
}
