//! Snapshots of a partition's state, through the `object_store` crate.
//!
//! A snapshot saves time and is never the truth: a damaged or unknown one is skipped with a
//! warning, the one before it is used, and with none the facts are folded from the beginning.
//!
//! Bytes of a file: magic, length of the description (u32, little endian), the description (JSON,
//! for people and tools), the state compressed with zstd, BLAKE3 of everything before.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use serde::{Deserialize, Serialize};

use crate::chain::Cursor;
use crate::follower::Position;

const MAGIC: &[u8; 8] = b"CESNAP\x00\x01";
const CHECKSUM_BYTES: usize = 32;
/// Fast, and small enough: a state is mostly random ids.
const ZSTD_LEVEL: i32 = 1;
/// A state larger than this is damage.
const STATE_BYTES_MAX: usize = 64 << 30;
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

/// A failure of the snapshot store.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store cannot be reached or refuses.
    #[error("snapshot store: {0}")]
    Store(#[from] object_store::Error),
    /// A folder cannot be used.
    #[error("snapshot folder: {0}")]
    Folder(#[from] std::io::Error),
    /// The file is no good snapshot.
    #[error("snapshot {name} is damaged: {reason}; it is skipped")]
    Damaged {
        /// Which file.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

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

/// Drives the store's futures for callers that block. Ends without waiting, so that the last store
/// may be dropped anywhere, inside another runtime too.
struct Driver(Option<tokio::runtime::Runtime>);

impl Driver {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            // Only while it is being dropped, and then nobody has it.
            None => futures::executor::block_on(future),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Where snapshots are kept.
#[derive(Clone)]
pub struct SnapshotStore {
    store: Arc<dyn ObjectStore>,
    runtime: Arc<Driver>,
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { store, runtime: Arc::new(Driver(Some(runtime))), kept: KEPT })
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
        self.runtime.block_on(self.store.put(&path, PutPayload::from(file)))?;
        if let Err(error) = self.prune(&Path::from(folder)) {
            tracing::warn!(%error, "old snapshots stay: {error}");
        }
        Ok(path.to_string())
    }

    fn prune(&self, folder: &Path) -> Result<(), SnapshotError> {
        for old in self.list_in(folder)?.iter().skip(self.kept) {
            self.runtime.block_on(self.store.delete(&path_of(&old.name)?))?;
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
        let objects: Vec<_> = self.runtime.block_on(self.store.list(Some(prefix)).try_collect())?;
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
        let file = self.runtime.block_on(async { self.store.get(&path).await?.bytes().await })?;
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

fn encode(description: &Description, state: &[u8]) -> Result<Bytes, SnapshotError> {
    let description = serde_json::to_vec(description).map_err(std::io::Error::from)?;
    let mut file = Vec::with_capacity(state.len() / 2 + description.len() + 64);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&(description.len() as u32).to_le_bytes());
    file.extend_from_slice(&description);
    file.extend_from_slice(&zstd::bulk::compress(state, ZSTD_LEVEL)?);
    let checksum = *blake3::hash(&file).as_bytes();
    file.extend_from_slice(&checksum);
    Ok(Bytes::from(file))
}

fn decode(name: &str, file: &[u8]) -> Result<(Description, Vec<u8>), SnapshotError> {
    let damaged = |reason| SnapshotError::Damaged { name: name.to_owned(), reason };
    let (body, checksum) =
        file.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| damaged("it is too short"))?;
    if blake3::hash(body).as_bytes() != checksum {
        return Err(damaged("its checksum does not fit"));
    }
    let rest = body
        .strip_prefix(MAGIC)
        .ok_or_else(|| damaged("it is no snapshot, or one of another format"))?;
    let (length, rest) =
        rest.split_first_chunk::<4>().ok_or_else(|| damaged("it ends in its head"))?;
    let (description, state) = rest
        .split_at_checked(u32::from_le_bytes(*length) as usize)
        .ok_or_else(|| damaged("it ends in its description"))?;
    let description: Description = serde_json::from_slice(description)
        .map_err(|_| damaged("its description cannot be read"))?;
    let length = usize::try_from(description.state_bytes)
        .ok()
        .filter(|length| *length <= STATE_BYTES_MAX)
        .ok_or_else(|| damaged("it claims an impossible length"))?;
    // Before memory for it is asked for.
    let told = zstd::zstd_safe::get_frame_content_size(state).ok().flatten();
    if told != Some(description.state_bytes) {
        return Err(damaged("its state has another length than its description says"));
    }
    let state = zstd::bulk::decompress(state, length)
        .map_err(|_| damaged("its state cannot be decompressed"))?;
    Ok((description, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(fact_offset: u64) -> Description {
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

    #[test]
    fn any_flipped_or_missing_byte_is_found() {
        let file = encode(&description(1), b"state").unwrap();
        for index in 0..file.len() {
            let mut damaged = file.to_vec();
            damaged[index] ^= 1;
            assert!(decode("x", &damaged).is_err(), "byte {index} flipped");
            assert!(decode("x", &file[..index]).is_err(), "cut at {index}");
        }
        assert!(decode("x", &file).is_ok());
    }
}
