//! Records and places, in an LSM tree of their own: nothing here can be rebuilt from the log, so it
//! stays when the rows are thrown away, and every write is on the disk when it returns. One thread
//! makes them all.

mod writer;

use std::ops::Bound;
use std::path::Path;

use cityevents_domain::time::Timestamp;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use futures::future::{BoxFuture, FutureExt};

use self::writer::Writer;
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

/// The tree.
pub(super) struct RecordTree {
    tree: Keyspace,
    writer: Writer,
}

impl RecordTree {
    /// Opens or makes the tree of a folder, which is one of the tables in `views`.
    pub(super) fn open(dir: &Path, views: &Path) -> Result<Self, fjall::Error> {
        let database = Database::builder(dir).cache_size(CACHE_BYTES).worker_threads(1).open()?;
        let tree = database.keyspace(TREE, KeyspaceCreateOptions::default)?;
        let writer = Writer::start(database, tree.clone(), views.to_owned())?;
        Ok(Self { tree, writer })
    }

    fn read(&self, key: &RecordKey) -> Result<Result<Option<Record>, ViewsError>, fjall::Error> {
        stored(&self.tree, &record_key(key))
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
}

/// The record of a key of the tree.
fn stored(tree: &Keyspace, key: &[u8]) -> Result<Result<Option<Record>, ViewsError>, fjall::Error> {
    Ok(tree.get(key)?.map(|bytes| decode(&bytes)).transpose())
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
        async move {
            let answers = self.records.writer.change(vec![change]).await?;
            answers.into_iter().next().unwrap_or(Ok(false))
        }
        .boxed()
    }

    fn change_all(&self, changes: Vec<Change>) -> BoxFuture<'_, Vec<Result<bool, ViewsError>>> {
        async move {
            let count = changes.len();
            self.records
                .writer
                .change(changes)
                .await
                .unwrap_or_else(|error| (0..count).map(|_| Err(writer::same(&error))).collect())
        }
        .boxed()
    }

    fn add_place(&self, place: Place, _at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>> {
        let key = place_key(&place.list, &place.position);
        self.records.writer.put_place(key, true).boxed()
    }

    fn remove_place(&self, place: Place, _at: Timestamp) -> BoxFuture<'_, Result<(), ViewsError>> {
        let key = place_key(&place.list, &place.position);
        self.records.writer.put_place(key, false).boxed()
    }

    fn places(&self, query: PlacesQuery) -> BoxFuture<'_, Result<Vec<Vec<u8>>, ViewsError>> {
        async move { self.records.places(&query).map_err(|source| self.engine(source)) }.boxed()
    }
}
