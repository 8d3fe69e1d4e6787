//! Records as values, changed by compare and set.

use std::sync::Arc;

use cityevents_domain::time::Timestamp;
use cityevents_kit::{ErrorCode, Problem};
use cityevents_runtime::log::clock::Clock;
use cityevents_views::ViewsError;
use cityevents_views::records::{
    Change, Place, PlacesQuery, Record, RecordKey, RecordValue, Records, Revision,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How often a change is tried again when somebody else was first.
const TRIES: u32 = 8;

/// Something of identity could not be done.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The tables did not do what was asked.
    #[error(transparent)]
    Tables(#[from] ViewsError),
    /// A record makes no sense.
    #[error("a record of {kind} is damaged or of a newer version: {reason}")]
    Damaged {
        /// Of what.
        kind: &'static str,
        /// What makes no sense. Without its contents.
        reason: String,
    },
    /// Others changed the record again and again.
    #[error("a record of {kind} was changed by others all the time: try again")]
    Contended {
        /// Of what.
        kind: &'static str,
    },
    /// The machine gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// A mail could not be asked for.
    #[error(transparent)]
    Mail(#[from] super::links::LinkMailError),
    /// An event could not be left.
    #[error(transparent)]
    Leaving(#[from] super::departures::LeaveError),
    /// A token cannot be signed.
    #[error(transparent)]
    Signing(#[from] cityevents_kit::keys::KeysError),
}

impl IdentityError {
    /// The answer to a request that met it; what it was goes to the log.
    pub(crate) fn into_problem(self) -> Problem {
        match &self {
            Self::Tables(error) if error.is_transient() => {
                tracing::warn!(%error, "identity: {error}");
                let retry_after = error.retry_after().unwrap_or(RETRY_AFTER);
                Problem::new(ErrorCode::Unavailable).with_retry_after(retry_after)
            }
            Self::Leaving(error) => {
                tracing::warn!(%error, "identity: {error}");
                Problem::unavailable(error.to_string(), error.retry_after)
            }
            Self::Contended { .. } => {
                Problem::new(ErrorCode::Unavailable).with_retry_after(RETRY_AFTER)
            }
            error => {
                tracing::error!(%error, "identity: {error}");
                Problem::new(ErrorCode::InternalError)
            }
        }
    }
}

/// When it is worth asking again after the tables could not be reached.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

/// A value that is kept as a record.
pub(crate) trait Kept: Serialize + DeserializeOwned {
    /// For errors.
    const KIND: &'static str;

    /// When it may be thrown away.
    fn expires_at(&self) -> Option<Timestamp> {
        None
    }
}

/// A value and the state of the record that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Stored<T> {
    pub(crate) revision: Revision,
    pub(crate) value: T,
}

/// Records as values.
pub(crate) struct Store {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

impl Store {
    pub(crate) fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now_ms())
    }

    /// A value, if it is there and its time has not passed.
    pub(crate) async fn read<T: Kept>(
        &self,
        key: RecordKey,
    ) -> Result<Option<Stored<T>>, IdentityError> {
        let Some(stored) = self.record(key).await? else { return Ok(None) };
        let stored = decode::<T>(&stored)?;
        let has_expired = stored.value.expires_at().is_some_and(|at| at <= self.now());
        Ok((!has_expired).then_some(stored))
    }

    async fn record(&self, key: RecordKey) -> Result<Option<Record>, IdentityError> {
        Ok(self.records.record(key).await?)
    }

    /// Makes a record, or replaces one whose time has passed; `false` when there is one.
    pub(crate) async fn insert<T: Kept>(
        &self,
        key: RecordKey,
        value: &T,
    ) -> Result<bool, IdentityError> {
        let now = self.now();
        let present = self.record(key.clone()).await?;
        let expected = match present {
            None => None,
            Some(record) if record.value.expires_at.is_some_and(|at| at <= now) => {
                Some(record.revision)
            }
            Some(_) => return Ok(false),
        };
        self.put(key, expected, value).await
    }

    /// Replaces a value if it is still the one that was read.
    pub(crate) async fn replace<T: Kept>(
        &self,
        key: RecordKey,
        read: &Stored<T>,
        value: &T,
    ) -> Result<bool, IdentityError> {
        self.put(key, Some(read.revision), value).await
    }

    /// Takes a record away if it is still the one that was read.
    pub(crate) async fn remove<T>(
        &self,
        key: RecordKey,
        read: &Stored<T>,
    ) -> Result<bool, IdentityError> {
        let expected = Some(read.revision);
        let change = Change { key, expected, revision: Revision(random()?), value: None };
        Ok(self.records.change(change).await?)
    }

    /// Takes a record away, whatever it says.
    pub(crate) async fn take_away(&self, key: RecordKey) -> Result<(), IdentityError> {
        if let Some(Record { revision, .. }) = self.record(key.clone()).await? {
            let expected = Some(revision);
            let change = Change { key, expected, revision: Revision(random()?), value: None };
            self.records.change(change).await?;
        }
        Ok(())
    }

    /// Changes a value, however often others do so meanwhile. `change` says with `None` that there
    /// is nothing to do; the answer is the value as it is then, and `None` if there is none.
    pub(crate) async fn update<T: Kept>(
        &self,
        key: RecordKey,
        mut change: impl FnMut(&T) -> Option<T>,
    ) -> Result<Option<T>, IdentityError> {
        for _ in 0..TRIES {
            let Some(read) = self.read::<T>(key.clone()).await? else { return Ok(None) };
            let Some(changed) = change(&read.value) else { return Ok(Some(read.value)) };
            if self.replace(key.clone(), &read, &changed).await? {
                return Ok(Some(changed));
            }
        }
        Err(IdentityError::Contended { kind: T::KIND })
    }

    /// Makes a value, or changes it, however often others do so meanwhile. `change` sees nothing where
    /// there is none or its time has passed, and says with an error that it stays as it is.
    pub(crate) async fn upsert<T: Kept + Clone, R>(
        &self,
        key: RecordKey,
        change: impl Fn(Option<T>) -> Result<T, R>,
    ) -> Result<Result<T, R>, IdentityError> {
        for _ in 0..TRIES {
            let (revision, present) = match self.record(key.clone()).await? {
                None => (None, None),
                Some(record) => {
                    let Stored { revision, value } = decode::<T>(&record)?;
                    let is_past = value.expires_at().is_some_and(|at| at <= self.now());
                    (Some(revision), (!is_past).then_some(value))
                }
            };
            let changed = match change(present) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Err(refused)),
            };
            if self.put(key.clone(), revision, &changed).await? {
                return Ok(Ok(changed));
            }
        }
        Err(IdentityError::Contended { kind: T::KIND })
    }

    pub(crate) async fn add_place(&self, place: Place) -> Result<(), IdentityError> {
        Ok(self.records.add_place(place, self.now()).await?)
    }

    pub(crate) async fn remove_place(&self, place: Place) -> Result<(), IdentityError> {
        Ok(self.records.remove_place(place, self.now()).await?)
    }

    pub(crate) async fn places(&self, query: PlacesQuery) -> Result<Vec<Vec<u8>>, IdentityError> {
        Ok(self.records.places(query).await?)
    }

    async fn put<T: Kept>(
        &self,
        key: RecordKey,
        expected: Option<Revision>,
        value: &T,
    ) -> Result<bool, IdentityError> {
        let content = serde_json::to_vec(value).map_err(|error| damaged::<T>(&error))?;
        let value = RecordValue { content, expires_at: value.expires_at() };
        let change = Change { key, expected, revision: Revision(random()?), value: Some(value) };
        Ok(self.records.change(change).await?)
    }
}

fn decode<T: Kept>(record: &Record) -> Result<Stored<T>, IdentityError> {
    let value =
        serde_json::from_slice(&record.value.content).map_err(|error| damaged::<T>(&error))?;
    Ok(Stored { revision: record.revision, value })
}

fn damaged<T: Kept>(error: &serde_json::Error) -> IdentityError {
    // Where, not what: the contents may be secret.
    let reason =
        format!("{:?} at line {} column {}", error.classify(), error.line(), error.column());
    IdentityError::Damaged { kind: T::KIND, reason }
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Of 256 draws a byte has about 162 values, and never as few as 100.
    #[test]
    fn what_is_random_is_so_in_every_byte() {
        let draws: Vec<[u8; 32]> = (0..256).map(|_| random().unwrap()).collect();
        for place in 0..32 {
            let values: BTreeSet<_> = draws.iter().map(|draw| draw[place]).collect();
            assert!(values.len() > 100, "byte {place} has {} values", values.len());
        }
    }
}
