//! Records and places, in an LSM tree of their own: nothing here can be rebuilt from the log, so it
//! stays when the rows are thrown away, and every write is on the disk when it returns.

use std::collections::HashSet;
use std::ops::Bound;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cityevents_domain::time::Timestamp;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use futures::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;

use super::EmbeddedViews;
use crate::error::ViewsError;
use crate::records::{
    Change, Place, PlacesQuery, Record, RecordKey, RecordValue, Records, Revision,
};

/// The name of the one tree.
const TREE: &str = "records";
/// Memory for blocks read from disk.
const CACHE_BYTES: u64 = 16 << 20;

/// What is in the tree. Numbers never change.
const RECORDS: u8 = 1;
const EXPIRIES: u8 = 2;
const PLACES: u8 = 3;

const RECORD_VERSION: u8 = 1;
/// Version, revision, expiry.
const HEAD_BYTES: usize = 1 + 16 + 8;
const NEVER: i64 = i64::MAX;
/// Expired records that a change takes away besides: more than one, so that none are left in the
/// long run.
const EXPIRED_TAKEN_MAX: usize = 4;
/// Readers' clocks may lag behind this one.
const EXPIRY_SLACK_MS: i64 = 3_600_000;

/// The tree.
pub(super) struct RecordTree {
    database: Database,
    tree: Keyspace,
    /// One change at a time: a change looks at the record that it replaces.
    writing: Mutex<()>,
}

impl RecordTree {
    pub(super) fn open(dir: &Path) -> Result<Self, fjall::Error> {
        let database = Database::builder(dir).cache_size(CACHE_BYTES).worker_threads(1).open()?;
        let tree = database.keyspace(TREE, KeyspaceCreateOptions::default)?;
        Ok(Self { database, tree, writing: Mutex::new(()) })
    }

    fn read(&self, key: &RecordKey) -> Result<Result<Option<Record>, ViewsError>, fjall::Error> {
        Ok(self.tree.get(record_key(key))?.map(|bytes| decode(&bytes)).transpose())
    }

    fn change(&self, change: Change) -> Result<Result<bool, ViewsError>, fjall::Error> {
        let _turn = self.writing.lock();
        let present = match self.read(&change.key)? {
            Ok(present) => present,
            Err(error) => return Ok(Err(error)),
        };
        if present.as_ref().map(|record| record.revision) != change.expected {
            return Ok(Ok(false));
        }
        let mut batch = self.batch();
        self.take_expired(&mut batch, |key| key == record_key(&change.key))?;
        self.put_record(&mut batch, present, change);
        batch.commit()?;
        Ok(Ok(true))
    }

    /// In one batch. Of several changes of one record the first is made, and the others with a batch
    /// each.
    fn change_all(
        &self,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<bool, ViewsError>>, fjall::Error> {
        let mut answers = Vec::with_capacity(changes.len());
        let mut later = Vec::new();
        {
            let _turn = self.writing.lock();
            let mut batch = self.batch();
            let mut keys = HashSet::with_capacity(changes.len());
            keys.extend(changes.iter().map(|change| record_key(&change.key)));
            self.take_expired(&mut batch, |key| keys.contains(key))?;
            for (place, change) in changes.into_iter().enumerate() {
                if !keys.remove(&record_key(&change.key)) {
                    later.push((place, change));
                    answers.push(Ok(false));
                    continue;
                }
                answers.push(self.read(&change.key)?.map(|present| {
                    let is_expected =
                        present.as_ref().map(|record| record.revision) == change.expected;
                    if is_expected {
                        self.put_record(&mut batch, present, change);
                    }
                    is_expected
                }));
            }
            batch.commit()?;
        }
        for (place, change) in later {
            answers[place] = self.change(change)?;
        }
        Ok(answers)
    }

    fn put_record(&self, batch: &mut OwnedWriteBatch, present: Option<Record>, change: Change) {
        let key = record_key(&change.key);
        if let Some(at) = present.and_then(|record| record.value.expires_at) {
            batch.remove(&self.tree, expiry_key(at.as_millis(), &key));
        }
        match change.value {
            Some(value) => {
                if let Some(at) = value.expires_at {
                    batch.insert(&self.tree, expiry_key(at.as_millis(), &key), []);
                }
                batch.insert(&self.tree, key, encode(change.revision, &value));
            }
            None => batch.remove(&self.tree, key),
        }
    }

    /// Takes some of what expired long ago away, but not what is being changed.
    fn take_expired(
        &self,
        batch: &mut OwnedWriteBatch,
        is_changed: impl Fn(&[u8]) -> bool,
    ) -> Result<(), fjall::Error> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = i64::try_from(since.as_millis()).unwrap_or(0).saturating_sub(EXPIRY_SLACK_MS);
        let range = expiry_key(0, &[])..expiry_key(before, &[]);
        for entry in self.tree.range(range).take(EXPIRED_TAKEN_MAX) {
            let expiry = entry.key()?;
            let key = expiry.get(9..).unwrap_or_default();
            if is_changed(key) {
                continue;
            }
            batch.remove(&self.tree, key);
            batch.remove(&self.tree, &*expiry);
        }
        Ok(())
    }

    fn put(&self, key: Vec<u8>, is_there: bool) -> Result<(), fjall::Error> {
        let mut batch = self.batch();
        match is_there {
            true => batch.insert(&self.tree, key, []),
            false => batch.remove(&self.tree, key),
        }
        batch.commit()
    }

    fn places(&self, query: &PlacesQuery) -> Result<Vec<Vec<u8>>, fjall::Error> {
        let start = place_key(&query.list, &[]);
        let position = |key: &[u8]| key.get(start.len()..).map(<[u8]>::to_vec).unwrap_or_default();
        let after = query.after.as_deref().map(|after| place_key(&query.list, after));
        let limit = query.limit.max(1);
        // The length of the list's name comes first, so no other list is between these two.
        let mut end = start.clone();
        end.extend_from_slice(&[0xff; crate::records::KEY_BYTES_MAX + 1]);
        if query.descending {
            let end = Bound::Excluded(after.unwrap_or(end));
            let range = self.tree.range((Bound::Included(start.clone()), end));
            range.rev().take(limit).map(|entry| Ok(position(&entry.key()?))).collect()
        } else {
            let from = after.map_or_else(|| Bound::Included(start.clone()), Bound::Excluded);
            let range = self.tree.range((from, Bound::Excluded(end)));
            range.take(limit).map(|entry| Ok(position(&entry.key()?))).collect()
        }
    }

    fn batch(&self) -> OwnedWriteBatch {
        self.database.batch().durability(Some(PersistMode::SyncAll))
    }
}

fn record_key(key: &RecordKey) -> Vec<u8> {
    [&[RECORDS, key.kind()], key.id()].concat()
}

/// Sorts by time; what expired before 1970 counts as expired in 1970.
fn expiry_key(at_ms: i64, key: &[u8]) -> Vec<u8> {
    let at = u64::try_from(at_ms).unwrap_or(0);
    [&[EXPIRIES], at.to_be_bytes().as_slice(), key].concat()
}

fn place_key(list: &[u8], position: &[u8]) -> Vec<u8> {
    let length = u16::try_from(list.len()).unwrap_or(u16::MAX);
    [&[PLACES], length.to_be_bytes().as_slice(), list, position].concat()
}

fn encode(revision: Revision, value: &RecordValue) -> Vec<u8> {
    let expires_ms = value.expires_at.map_or(NEVER, Timestamp::as_millis);
    let head = [&[RECORD_VERSION], revision.0.as_slice(), &expires_ms.to_be_bytes()].concat();
    [head, value.content.clone()].concat()
}

fn decode(bytes: &[u8]) -> Result<Record, ViewsError> {
    const TABLE: &str = "records";
    let damaged = |detail| ViewsError::DamagedRow { table: TABLE, detail };
    if let Some(&found) = bytes.first().filter(|version| **version > RECORD_VERSION) {
        return Err(ViewsError::NewerRow { table: TABLE, found, known: RECORD_VERSION });
    }
    let (head, content) = bytes.split_at_checked(HEAD_BYTES).ok_or(damaged("it is cut"))?;
    let (revision, expires) = head[1..].split_at(16);
    let revision = revision.try_into().map_err(|_| damaged("it is cut"))?;
    let expires_ms =
        expires.try_into().map(i64::from_be_bytes).map_err(|_| damaged("it is cut"))?;
    let expires_at = (expires_ms != NEVER).then(|| Timestamp::from_millis(expires_ms));
    let value = RecordValue { content: content.to_vec(), expires_at };
    Ok(Record { revision: Revision(revision), value })
}

impl Records for EmbeddedViews {
    fn record(&self, key: RecordKey) -> BoxFuture<'_, Result<Option<Record>, ViewsError>> {
        async move { self.records.read(&key).map_err(|source| self.engine(source))? }.boxed()
    }

    fn change(&self, change: Change) -> BoxFuture<'_, Result<bool, ViewsError>> {
        async move { self.records.change(change).map_err(|source| self.engine(source))? }.boxed()
    }

    fn change_all(&self, changes: Vec<Change>) -> BoxFuture<'_, Vec<Result<bool, ViewsError>>> {
        async move {
            let count = changes.len();
            match self.records.change_all(changes) {
                Ok(answers) => answers,
                // Whether it was made is not known of any.
                Err(source) => {
                    let error = self.engine(source);
                    let same = |_| Err(ViewsError::unavailable(error.to_string()));
                    (0..count).map(same).collect()
                }
            }
        }
        .boxed()
    }

    fn add_place(&self, place: Place, _at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>> {
        let key = place_key(&place.list, &place.position);
        async move { self.records.put(key, true).map_err(|source| self.engine(source)) }.boxed()
    }

    fn remove_place(&self, place: Place, _at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>> {
        let key = place_key(&place.list, &place.position);
        async move { self.records.put(key, false).map_err(|source| self.engine(source)) }.boxed()
    }

    fn places(&self, query: PlacesQuery) -> BoxFuture<'_, Result<Vec<Vec<u8>>, ViewsError>> {
        async move { self.records.places(&query).map_err(|source| self.engine(source)) }.boxed()
    }
}
