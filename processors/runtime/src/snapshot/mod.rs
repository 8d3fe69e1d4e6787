//! Snapshots of a partition's state, through the `object_store` crate.
//!
//! A snapshot saves time and is never the truth: a damaged or unknown one is skipped with a
//! warning, the one before it is used, and with none the facts are folded from the beginning.
//! An outage of the store stops nobody: restores are slower, and snapshots are taken later.
//!
//! [`SnapshotStore::at`] knows folders and S3; every object is written in one atomic step.

mod driver;
mod error;
mod file;
mod location;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload,
};
use serde::{Deserialize, Serialize};

use self::driver::Driver;
pub use self::error::SnapshotError;
use self::error::is_outage;
use self::file::{decode, encode};
use self::location::PART_BYTES;
pub use self::location::{SnapshotOptions, object_store_at};
use crate::chain::Cursor;
use crate::follower::Position;

/// Snapshots kept per partition where nothing else is said.
const KEPT: usize = 3;

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Which topology's state.
    pub topology: String,
    /// Of its state and fold.
    pub fold_version: u32,
    /// The command topic, by the id it got at creation.
    pub command_topic_id: String,
    /// The chained topic, by the id it got at creation.
    pub fact_topic_id: String,
    /// Partition of both.
    pub partition: u32,
    /// The next offset to read in the chained topic.
    pub fact_offset: u64,
    /// Where the chain stands there.
    pub cursor: String,
    /// When it was taken, milliseconds since 1970.
    pub taken_at_ms: i64,
    /// Length of the state before compression.
    pub state_bytes: u64,
}

impl Description {
    /// From where a reader goes on.
    pub fn position(&self) -> Option<Position> {
        Some(Position { offset: self.fact_offset, cursor: Cursor::parse(&self.cursor)? })
    }
}

/// Lets a request to the store through, and hears whether the store answered; or says why there
/// is no use in asking now.
pub type Guard = dyn Fn() -> Result<Box<dyn FnOnce(bool)>, String> + Send + Sync;

/// A snapshot as the store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path in the store.
    pub name: String,
    /// The next offset to read in the chained topic, from its name.
    pub fact_offset: u64,
    /// Length of the file.
    pub bytes: u64,
}

/// Where snapshots are kept.
#[derive(Clone)]
pub struct SnapshotStore {
    store: Arc<dyn ObjectStore>,
    url: Arc<str>,
    driver: Arc<Driver>,
    guard: Option<Arc<Guard>>,
    /// Large objects are read and written with many requests.
    in_parts: bool,
    kept: usize,
}

impl SnapshotStore {
    /// A local folder, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(path: &std::path::Path) -> Result<Self, SnapshotError> {
        std::fs::create_dir_all(path)?;
        let store = object_store::local::LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Self::new(Arc::new(store))
    }

    /// In memory, for tests.
    ///
    /// # Errors
    /// When no runtime can be made.
    pub fn memory() -> Result<Self, SnapshotError> {
        Self::new(Arc::new(object_store::memory::InMemory::new()))
    }

    /// Any store.
    ///
    /// # Errors
    /// When no runtime can be made.
    pub fn new(store: Arc<dyn ObjectStore>) -> Result<Self, SnapshotError> {
        Ok(Self::with(store, Driver::on_callers_thread()?))
    }

    fn with(store: Arc<dyn ObjectStore>, driver: Driver) -> Self {
        let url = Arc::from(store.to_string());
        Self { store, url, driver: Arc::new(driver), guard: None, in_parts: false, kept: KEPT }
    }

    /// Asks the guard before every request.
    #[must_use]
    pub fn guarded(self, guard: Arc<Guard>) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// Looks whether the store answers and may be read: for the start, where a wrong address or key
    /// has to be found ([`SnapshotError::is_outage`] is none of these).
    ///
    /// # Errors
    /// When it does not, or may not.
    pub fn check(&self) -> Result<(), SnapshotError> {
        let Err(error) = self.run(self.store.list_with_delimiter(None)) else { return Ok(()) };
        if error.is_outage() {
            return Err(error);
        }
        let words = error.to_string();
        let reason = if words.contains("NoSuchBucket") {
            "there is no such bucket: make it, or correct snapshots.url".to_owned()
        } else if words.contains("status code: 401") || words.contains("status code: 403") {
            "the keys are not accepted there: correct snapshots.access_key_id and its secret, and \
             let them list, read, write and delete under the prefix"
                .to_owned()
        } else {
            words
        };
        Err(SnapshotError::Location { url: self.url.to_string(), reason })
    }

    fn run<T>(
        &self,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, SnapshotError> {
        let tell = self.guard.as_ref().map(|guard| guard()).transpose();
        let tell = tell.map_err(SnapshotError::Away)?;
        let result = self.driver.block_on(work);
        if let Some(tell) = tell {
            tell(!result.as_ref().is_err_and(is_outage));
        }
        Ok(result?)
    }

    /// Keeps so many snapshots per partition, and at least one.
    #[must_use]
    pub fn keeping(self, kept: usize) -> Self {
        Self { kept: kept.max(1), ..self }
    }

    /// Writes a snapshot in one atomic step, then removes all but the newest few of the same fold
    /// and the same facts. Those of others do not count: they may lie further on, and who goes back
    /// to the program before needs its own.
    ///
    /// # Errors
    /// When the store refuses it.
    pub fn put(&self, description: &Description, state: &[u8]) -> Result<String, SnapshotError> {
        let file = encode(description, state)?;
        let folder = folder_of(description);
        let path = Path::from(format!("{folder}/{:020}.snapshot", description.fact_offset));
        if self.in_parts && file.len() > PART_BYTES {
            self.put_in_parts(&path, &file)?;
        } else {
            self.run(self.store.put(&path, PutPayload::from(file)))?;
        }
        if let Err(error) = self.prune(&Path::from(folder)) {
            tracing::warn!(%error, "old snapshots stay: {error}");
        }
        Ok(path.to_string())
    }

    /// Nothing is there before the last part is.
    fn put_in_parts(&self, path: &Path, file: &Bytes) -> Result<(), SnapshotError> {
        let mut upload = self.run(self.store.put_multipart(path))?;
        let written = self.write_parts(&mut *upload, file);
        if written.is_err()
            && let Err(error) = self.run(upload.abort())
        {
            tracing::warn!(%error, "parts of {path} stay until the bucket's rules remove them: {error}");
        }
        written
    }

    fn write_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        file: &Bytes,
    ) -> Result<(), SnapshotError> {
        for start in (0..file.len()).step_by(PART_BYTES) {
            let part = file.slice(start..file.len().min(start + PART_BYTES));
            self.run(upload.put_part(PutPayload::from(part)))?;
        }
        self.run(upload.complete()).map(drop)
    }

    fn get_in_parts(&self, path: &Path) -> Result<Bytes, SnapshotError> {
        let part = PART_BYTES as u64;
        let options = GetOptions { range: Some(GetRange::Bounded(0..part)), ..Default::default() };
        let (size, first) = self.run(async {
            let first = self.store.get_opts(path, options).await?;
            Ok((first.meta.size, first.bytes().await?))
        })?;
        if first.len() as u64 == size {
            return Ok(first);
        }
        let mut file = BytesMut::from(first);
        while (file.len() as u64) < size {
            let start = file.len() as u64;
            let range = start..size.min(start + part);
            let next = self.run(self.store.get_range(path, range))?;
            file.extend_from_slice(&next);
            if next.is_empty() {
                break;
            }
        }
        Ok(file.freeze())
    }

    fn prune(&self, folder: &Path) -> Result<(), SnapshotError> {
        for old in self.list_in(folder)?.iter().skip(self.kept) {
            self.run(self.store.delete(&path_of(&old.name)?))?;
        }
        Ok(())
    }

    /// The snapshots of a partition, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, topology: &str, partition: u32) -> Result<Vec<Listed>, SnapshotError> {
        self.list_in(&Path::from(format!("{topology}/{partition:05}")))
    }

    fn list_in(&self, prefix: &Path) -> Result<Vec<Listed>, SnapshotError> {
        let objects: Vec<_> = self.run(self.store.list(Some(prefix)).try_collect())?;
        let mut listed: Vec<_> = objects
            .into_iter()
            .filter_map(|object| {
                let file = object.location.filename()?.strip_suffix(".snapshot")?;
                let fact_offset = file.parse().ok()?;
                let name = object.location.to_string();
                Some(Listed { name, fact_offset, bytes: object.size })
            })
            .collect();
        listed.sort_by_key(|listed| std::cmp::Reverse(listed.fact_offset));
        Ok(listed)
    }

    /// Reads one snapshot and checks it.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn get(&self, name: &str) -> Result<(Description, Vec<u8>), SnapshotError> {
        let path = path_of(name)?;
        let file = match self.in_parts {
            true => self.get_in_parts(&path)?,
            false => self.run(async { self.store.get(&path).await?.bytes().await })?,
        };
        decode(name, &file)
    }
}

/// The path of a name that the store told: its signs are encoded already.
fn path_of(name: &str) -> Result<Path, SnapshotError> {
    Ok(Path::parse(name).map_err(object_store::Error::from)?)
}

fn folder_of(description: &Description) -> String {
    let Description { topology, partition, fact_topic_id, fold_version, .. } = description;
    let usual = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let facts = fact_topic_id.replace(|letter| !usual(letter), "_");
    format!("{topology}/{partition:05}/{facts}-fold-{fold_version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn description(fact_offset: u64) -> Description {
        Description {
            topology: "registration".into(),
            fold_version: 1,
            command_topic_id: "c".into(),
            fact_topic_id: "f".into(),
            partition: 3,
            fact_offset,
            cursor: Cursor { offset: 4, digest: [5; 16] }.to_text(),
            taken_at_ms: 6,
            state_bytes: 5,
        }
    }

    #[test]
    fn the_newest_come_first_and_old_ones_go() {
        let store = SnapshotStore::memory().unwrap();
        for offset in [10, 30, 20, 40, 50] {
            store.put(&description(offset), b"state").unwrap();
        }
        let offsets: Vec<_> =
            store.list("registration", 3).unwrap().iter().map(|one| one.fact_offset).collect();
        assert_eq!(offsets, [50, 40, 30]);
        assert!(store.list("registration", 4).unwrap().is_empty());
        let name = &store.list("registration", 3).unwrap()[0].name;
        assert_eq!(store.get(name).unwrap(), (description(50), b"state".to_vec()));
    }

    #[test]
    fn snapshots_of_other_facts_or_folds_do_not_push_out_ours() {
        let store = SnapshotStore::memory().unwrap();
        for offset in [100, 200, 300] {
            let others = Description { fact_topic_id: "before".into(), ..description(offset) };
            store.put(&others, b"state").unwrap();
            let newer = Description { fold_version: 2, ..description(offset) };
            store.put(&newer, b"state").unwrap();
        }
        let ours = store.put(&description(5), b"state").unwrap();
        assert!(store.list("registration", 3).unwrap().iter().any(|one| one.name == ours));
        assert_eq!(store.get(&ours).unwrap().0, description(5));
    }

    #[test]
    fn a_store_may_be_dropped_in_an_async_task() {
        let store = SnapshotStore::memory().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move { drop(store) });
    }
}
