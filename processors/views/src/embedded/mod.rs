//! Tables in a folder of their own, on an LSM tree.
//!
//! ```text
//! <folder>/LOCK     held while a process has the folder open; its number stands inside
//! <folder>/FORMAT   which format the rest has
//! <folder>/rows/    all rows and lists, one LSM tree; can be thrown away and rebuilt from the log
//! <folder>/keys/    the keys of persons, one file each; can not
//! <folder>/records/ accounts and the like, an LSM tree of its own; can not either
//! ```
//!
//! Writers take turns; readers wait for nobody and see each write whole. The lists are rewritten in
//! the same batch as the rows that they follow from.
//!
//! A write outlives the process when it returns, and a power cut when the system or a flush has
//! brought it to the disk.
//!
//! **Progress is never durable before the rows it covers**, though no write waits for the disk. All
//! rows are in one tree with one journal and one memory table. One call of `write` is one batch of
//! the journal, with a checksum over the whole batch; recovery reads batches in order and stops at
//! the first that is not whole, so what the journal gives back is a beginning of what was written.
//! A table file holds a memory table, which is filled in the same order, and the journal is synced
//! before one is written. So after any crash the tree is what it was after some call of `write`:
//! where the progress row is there, so is everything written before it.

mod expiry;
mod folder;
mod keys;
mod person_keys;
mod read;
mod records;
mod write;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use fjall::config::{HashRatioPolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use futures::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;

use crate::error::ViewsError;
use crate::row::Mutation;
use crate::tables::WriteTables;
use folder::{Folder, create_dir};
use person_keys::KeyFiles;
use records::RecordTree;

/// The name of the one tree.
const TREE: &str = "rows";

/// Slots of the hash table of a block, for each row in it.
const HASH_SLOTS_A_ROW: f32 = 1.33;

/// How the tables use the machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for blocks read from disk.
    pub cache_bytes: u64,
    /// Memory for rows that are not yet in a table file, up to about three times this.
    pub write_buffer_bytes: u64,
    /// Disk for journals; above it, memory is written to table files early.
    pub journal_bytes_max: u64,
    /// Threads that write and merge table files. With more than one, the store's first thread
    /// spins while all others merge.
    pub worker_threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 128 << 20,
            write_buffer_bytes: 64 << 20,
            journal_bytes_max: 512 << 20,
            worker_threads: 1,
        }
    }
}

/// Tables in a folder.
pub struct EmbeddedViews {
    database: Database,
    rows: Keyspace,
    /// One write at a time: a write looks at the rows that it replaces.
    writing: Mutex<()>,
    /// The latest log time seen, in milliseconds: what expired long before it may go.
    horizon_ms: Arc<AtomicI64>,
    person_keys: KeyFiles,
    records: RecordTree,
    /// The last field, so that the folder is free only when the tree is closed.
    folder: Folder,
}

impl EmbeddedViews {
    /// Opens the tables of a folder, or makes them in an empty or a new one.
    pub fn open(dir: &Path, options: Options) -> Result<Self, ViewsError> {
        let folder = Folder::open(dir)?;
        let horizon_ms = Arc::new(AtomicI64::new(i64::MIN));
        let (database, rows) = without_panic(dir, || {
            let database = Database::builder(folder.rows())
                .cache_size(options.cache_bytes)
                .max_journaling_size(options.journal_bytes_max.max(MIN_JOURNAL_BYTES))
                .worker_threads(options.worker_threads.max(1))
                .with_compaction_filter_factories(expiry::assigner(horizon_ms.clone()))
                .open()?;
            let rows = database.keyspace(TREE, || {
                // Most reads are of one row by its key: filters and indexes stay in memory, and
                // blocks carry a small hash table.
                KeyspaceCreateOptions::default()
                    .max_memtable_size(options.write_buffer_bytes)
                    .index_block_pinning_policy(PinningPolicy::all(true))
                    .filter_block_pinning_policy(PinningPolicy::all(true))
                    .data_block_hash_ratio_policy(HashRatioPolicy::all(HASH_SLOTS_A_ROW))
            })?;
            Ok((database, rows))
        })?;
        let person_keys = KeyFiles::new(folder.keys());
        create_dir(&folder.records())?;
        let records = without_panic(dir, || RecordTree::open(&folder.records(), folder.dir()))?;
        tracing::info!(views.folder = %dir.display(), "opened the tables");
        let writing = Mutex::new(());
        Ok(Self { database, rows, writing, horizon_ms, person_keys, records, folder })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.folder.dir()
    }

    /// Bytes on disk, without the journal.
    pub fn disk_bytes(&self) -> u64 {
        self.rows.disk_space()
    }

    /// Merges all table files into as few as possible: for measurements and tests, since merging
    /// goes on by itself.
    pub fn compact(&self) -> Result<(), ViewsError> {
        let merged = self.rows.rotate_memtable_and_wait().and_then(|()| self.rows.major_compact());
        merged.map_err(|source| self.engine(source))
    }

    fn engine(&self, source: fjall::Error) -> ViewsError {
        engine_error(self.dir(), source)
    }

    fn pass_horizon(&self, now_ms: i64) {
        self.horizon_ms.fetch_max(now_ms, Ordering::Relaxed);
    }
}

/// The least that the engine takes.
const MIN_JOURNAL_BYTES: u64 = 64 << 20;

/// Throws all rows of a closed folder away, so that they are rebuilt from the log: what to do when
/// they are damaged. The keys of persons stay.
pub fn discard_rows(dir: &Path) -> Result<(), ViewsError> {
    Folder::open(dir)?.discard_rows()
}

/// Removes the folder of tables that nobody has open. One that is removed in part, after a kill, is not
/// there any more, and [`remove_leftovers`] finishes it.
pub fn remove(dir: &Path) -> Result<(), ViewsError> {
    Folder::open(dir)?.remove()
}

/// Finishes what [`remove`] began on folders in this one.
pub fn remove_leftovers(dir: &Path) -> Result<(), ViewsError> {
    folder::remove_leftovers(dir)
}

/// The engine panics on some damaged files where it should answer with an error.
fn without_panic<T>(
    dir: &Path,
    open: impl FnOnce() -> Result<T, fjall::Error>,
) -> Result<T, ViewsError> {
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(|source| engine_error(dir, source)),
        Err(_) => Err(ViewsError::DamagedFiles { dir: dir.to_owned() }),
    }
}

fn engine_error(dir: &Path, source: fjall::Error) -> ViewsError {
    let dir: PathBuf = dir.to_owned();
    let full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
    match source {
        fjall::Error::Io(error) if full(&error) => ViewsError::DiskFull { dir },
        fjall::Error::Storage(fjall::LsmError::Io(error)) if full(&error) => {
            ViewsError::DiskFull { dir }
        }
        fjall::Error::Locked => ViewsError::InUse { dir, holder: None },
        source => ViewsError::Engine { dir, source },
    }
}

impl WriteTables for EmbeddedViews {
    fn write(&self, mutations: Vec<Mutation>) -> BoxFuture<'_, Result<(), ViewsError>> {
        async move { self.write_now(mutations) }.boxed()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), ViewsError>> {
        async move {
            self.database.persist(PersistMode::SyncAll).map_err(|source| self.engine(source))
        }
        .boxed()
    }
}
