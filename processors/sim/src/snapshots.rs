//! A snapshot store that loses and damages what it keeps.

use std::sync::Arc;

use cityevents_processors::registration::NAME;
use cityevents_runtime::snapshot::{SnapshotError, SnapshotStore};
use futures::TryStreamExt as _;
use futures::executor::block_on;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};
use rand::RngExt as _;
use rand::rngs::SmallRng;

/// Snapshots in memory, and a hand on them.
pub(crate) struct Snapshots {
    files: Arc<InMemory>,
    pub(crate) store: SnapshotStore,
}

impl Snapshots {
    pub(crate) fn new() -> Result<Self, SnapshotError> {
        let files = Arc::new(InMemory::new());
        Ok(Self { store: SnapshotStore::new(files.clone())?, files })
    }

    /// The newest snapshot of a partition, good or not.
    pub(crate) fn newest(&self, partition: u32) -> Result<Option<String>, SnapshotError> {
        Ok(self.store.list(NAME, partition)?.into_iter().next().map(|listed| listed.name))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), SnapshotError> {
        Ok(block_on(self.files.delete(&Path::from(name)))?)
    }

    /// Tears, changes or removes one of the snapshots. Returns what it did to which.
    pub(crate) fn harm(&self, rng: &mut SmallRng) -> Result<Option<String>, SnapshotError> {
        let mut paths: Vec<Path> =
            block_on(self.files.list(None).map_ok(|object| object.location).try_collect())?;
        if paths.is_empty() {
            return Ok(None);
        }
        paths.sort();
        let path = &paths[rng.random_range(0..paths.len())];
        let bytes = block_on(async { self.files.get(path).await?.bytes().await })?;
        let mut file = bytes.to_vec();
        let harm = match rng.random_range(0..3) {
            0 => {
                block_on(self.files.delete(path))?;
                return Ok(Some(format!("{path} is gone")));
            }
            1 => {
                file.truncate(rng.random_range(0..file.len().max(1)));
                format!("{path} is torn at {}", file.len())
            }
            _ => {
                let index = rng.random_range(0..file.len().max(1));
                if let Some(byte) = file.get_mut(index) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
                format!("{path} has another byte at {index}")
            }
        };
        block_on(self.files.put(path, PutPayload::from(file)))?;
        Ok(Some(harm))
    }
}
