//! The storage engine below: one fjall database, with a keyspace of stored values for each topic.
//! Opens it, and checks what it finds.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::config::BlockSizePolicy;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions,
    OwnedWriteBatch, PersistMode,
};

use super::format::verify;
use super::journal::{self, STAMP_KEY, Stamp};
use super::keys::{self, Bounds};
use super::options::LocalOptions;
use super::rows;
use super::topic::{Next, Partition, Topic};
use crate::log::{Committed, LogError, LogErrorKind, TopicDescription, TopicPartition};

/// Journals beyond this are tidied up: what a start after a crash has to read again.
const JOURNAL_BYTES_MAX: u64 = 192 * 1024 * 1024;

/// Written records that wait in memory before they go to a table, per plain topic.
const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;

/// The same for compacted topics: small, so that superseded rows die in memory or soon after.
const MEMTABLE_COMPACTED_BYTES: u64 = 2 * 1024 * 1024;

/// Stored values from this size on lie in files of their own and are written once, instead of
/// again at every compaction.
const SEPARATE_FROM_BYTES: u32 = 4 * 1024;

/// How many of the newest stored values of a partition are checked at the start.
const CHECKED_VALUES: usize = 8;

/// Threads that tidy up tables. With more than one, the store's first thread hands each merge back
/// to the queue until another thread has taken it, and spins for as long as all others merge.
const WORKER_THREADS: usize = 1;

pub(super) struct Store {
    database: Database,
    meta: Keyspace,
}

/// Progress of all groups.
pub(super) type Progress = HashMap<String, HashMap<TopicPartition, Committed>>;

impl Store {
    /// Opens or makes the database. After a crash this reads the journal again.
    pub(super) fn open(folder: &Path, options: &LocalOptions) -> Result<Self, LogError> {
        journal::inspect(folder)?;
        let open = || {
            let database = Database::builder(folder)
                .cache_size(options.block_cache_bytes)
                .max_journaling_size(JOURNAL_BYTES_MAX)
                .journal_compression(CompressionType::None)
                .worker_threads(WORKER_THREADS)
                .open()?;
            let meta = database.keyspace("meta", || {
                KeyspaceCreateOptions::default().max_memtable_size(4 * 1024 * 1024)
            })?;
            Ok(Self { database, meta })
        };
        // The engine asserts some of what it expects of its files: a panic there is damaged data.
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(opened) => opened.map_err(|error| cannot("open the log's data", &error)),
            Err(_) => {
                let message = format!(
                    "the log's data in {} is damaged so that it cannot be opened; restore it from \
                     a backup",
                    folder.display()
                );
                Err(LogError::new(LogErrorKind::Corrupt, message))
            }
        }
    }

    pub(super) fn batch(&self) -> OwnedWriteBatch {
        self.database.batch().durability(Some(PersistMode::Buffer))
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&self) -> Result<(), fjall::Error> {
        self.database.persist(PersistMode::SyncData)
    }

    pub(super) fn meta(&self) -> &Keyspace {
        &self.meta
    }

    /// All topics that were made.
    pub(super) fn topics(&self) -> Result<Vec<(u32, TopicDescription)>, LogError> {
        self.entries(keys::TOPICS, "the description of a topic", keys::decode_topic)
    }

    /// Progress of all groups.
    pub(super) fn progress(&self) -> Result<Progress, LogError> {
        let mut progress = Progress::new();
        let all = self.entries(keys::PROGRESS, "the progress of a group", keys::decode_progress)?;
        for (group, place, committed) in all {
            progress.entry(group).or_default().insert(place, committed);
        }
        Ok(progress)
    }

    /// The stamp of the newest round.
    pub(super) fn stamp(&self) -> Result<Stamp, LogError> {
        let stored = self.meta.get(STAMP_KEY).map_err(|error| cannot("read", &error))?;
        Ok(stored.and_then(|bytes| Stamp::decode(&bytes)).unwrap_or_default())
    }

    /// The newest epoch of each writer identity.
    pub(super) fn epochs(&self) -> Result<HashMap<String, u64>, LogError> {
        let decode = |key: &[u8], mut value: &[u8]| {
            let identity = std::str::from_utf8(key.get(1..)?).ok()?.to_owned();
            Some((identity, u64::from_be_bytes(keys::take(&mut value)?)))
        };
        Ok(self.entries(keys::EPOCHS, "a writer identity", decode)?.into_iter().collect())
    }

    fn entries<T>(
        &self,
        prefix: u8,
        what: &str,
        decode: impl Fn(&[u8], &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, LogError> {
        let damaged = || {
            let message = format!(
                "{what} in the log's data folder is damaged; restore the folder from a backup"
            );
            LogError::new(LogErrorKind::Corrupt, message)
        };
        let entry = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner().map_err(|error| cannot("read", &error))?;
            decode(&key, &value).ok_or_else(damaged)
        };
        self.meta.prefix([prefix]).map(entry).collect()
    }

    /// Opens, or makes, what a topic needs in the store, and finds out how far it goes.
    pub(super) fn topic(
        &self,
        ordinal: u32,
        description: TopicDescription,
        tail_bytes_max: usize,
    ) -> Result<Topic, LogError> {
        let compacted = description.spec.cleanup == crate::log::Cleanup::Compact;
        let keyspace = |name: String, options: fn() -> KeyspaceCreateOptions| {
            let opened = self.database.keyspace(&name, options);
            opened.map_err(|error| cannot("open a topic's data", &error))
        };
        let options = if compacted { compacted_options } else { plain_options };
        let records = keyspace(format!("records-{ordinal}"), options)?;
        let order = match compacted {
            true => Some(keyspace(format!("order-{ordinal}"), compacted_options)?),
            false => None,
        };
        let partitions = description.spec.partitions;
        let mut topic = Topic { description, ordinal, records, order, partitions: Vec::new() };
        let tail_bytes_max = tail_bytes_max / (partitions as usize).max(1);
        for number in 0..partitions {
            let (low, next) = self.recover(&topic, number)?;
            topic.partitions.push(Partition::new(low, next, tail_bytes_max));
        }
        Ok(topic)
    }

    fn recover(&self, topic: &Topic, partition: u32) -> Result<(u64, Next), LogError> {
        let stored = self.meta.get(keys::bounds_key(topic.ordinal, partition));
        let bounds = match stored.map_err(|error| cannot("read", &error))? {
            None => Bounds::default(),
            Some(bytes) => Bounds::decode(&bytes)
                .ok_or_else(|| topic.corrupt(partition, 0, "its watermarks cannot be read"))?,
        };
        let mut next = Next { offset: bounds.next_offset_min, newest_ms: bounds.newest_ms };
        if topic.is_compacted() {
            if let Some((offset, newest_ms)) = rows::recover(topic, partition, CHECKED_VALUES)? {
                next.offset = next.offset.max(offset);
                next.newest_ms = next.newest_ms.max(newest_ms);
            }
            return Ok((bounds.low, next));
        }
        let mut following = None;
        let range = keys::record_key(partition, 0)..=keys::record_key(partition, u64::MAX);
        for guard in topic.records.range(range.clone()).rev().take(CHECKED_VALUES) {
            let (first, value) = entry(topic, partition, guard)?;
            let extent =
                verify(&value, first).map_err(|error| topic.corrupt(partition, first, error))?;
            match following {
                None => {
                    next.offset = next.offset.max(extent.next_offset);
                    next.newest_ms = next.newest_ms.max(extent.newest_ms);
                }
                Some(following) if following != extent.next_offset => {
                    return Err(topic.corrupt(
                        partition,
                        extent.next_offset,
                        "records are missing",
                    ));
                }
                Some(_) => {}
            }
            following = Some(first);
        }
        let oldest = match topic.records.range(range).next() {
            Some(guard) => entry(topic, partition, guard)?.0,
            None => next.offset,
        };
        if oldest != bounds.low {
            return Err(topic.corrupt(partition, bounds.low, "records are missing"));
        }
        Ok((bounds.low, next))
    }
}

/// Stored values of a partition from the one that covers `offset` on, up to about `bytes_max`.
pub(super) fn scan(
    topic: &Topic,
    partition: u32,
    offset: u64,
    end: u64,
    bytes_max: usize,
) -> Result<Vec<(u64, Bytes)>, LogError> {
    if topic.is_compacted() {
        return rows::scan(topic, partition, offset, end, bytes_max);
    }
    // Mostly a reader stands at the beginning of a value; if not, the one before covers it.
    let range = keys::record_key(partition, 0)..=keys::record_key(partition, offset);
    let start = match topic.records.range(range).next_back() {
        Some(guard) => entry_key(topic, partition, guard)?,
        None => offset,
    };
    let mut found = Vec::new();
    let mut bytes = 0;
    for guard in
        topic.records.range(keys::record_key(partition, start)..keys::record_key(partition, end))
    {
        let (first, value) = entry(topic, partition, guard)?;
        bytes += value.len();
        found.push((first, value));
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(found)
}

/// First offset and bytes of a stored value.
pub(super) fn entry(
    topic: &Topic,
    partition: u32,
    guard: fjall::Guard,
) -> Result<(u64, Bytes), LogError> {
    let (key, value) = guard.into_inner().map_err(|error| unreadable(topic, partition, &error))?;
    let first = keys::record_offset(&key)
        .ok_or_else(|| topic.corrupt(partition, 0, "a key cannot be read"))?;
    Ok((first, Bytes::from_owner(value)))
}

fn entry_key(topic: &Topic, partition: u32, guard: fjall::Guard) -> Result<u64, LogError> {
    let key = guard.key().map_err(|error| unreadable(topic, partition, &error))?;
    keys::record_offset(&key).ok_or_else(|| topic.corrupt(partition, 0, "a key cannot be read"))
}

/// The error for a part of the store that cannot be read.
pub(super) fn unreadable(topic: &Topic, partition: u32, error: &fjall::Error) -> LogError {
    let base = cannot("read", error);
    let message = format!("{}: {base}", topic.place(partition));
    LogError::new(base.kind(), message)
}

/// An error of the engine as one of the log.
pub(super) fn cannot(what: &str, error: &fjall::Error) -> LogError {
    let kind = match error {
        fjall::Error::Locked => LogErrorKind::InUse,
        // Lengths that lead past the end of a file: no disk says that.
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error))
            if error.kind() == std::io::ErrorKind::UnexpectedEof =>
        {
            LogErrorKind::Corrupt
        }
        fjall::Error::Io(_) | fjall::Error::Storage(fjall::LsmError::Io(_)) => {
            LogErrorKind::Unavailable
        }
        fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted => LogErrorKind::Unavailable,
        _ => LogErrorKind::Corrupt,
    };
    LogError::new(kind, format!("cannot {what}: {error}"))
}

fn plain_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .data_block_size_policy(BlockSizePolicy::all(16 * 1024))
        .expect_point_read_hits(true)
        .with_kv_separation(Some(
            KvSeparationOptions::default().separation_threshold(SEPARATE_FROM_BYTES),
        ))
}

fn compacted_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_COMPACTED_BYTES)
        .compaction_strategy(Arc::new(
            Leveled::default().with_table_target_size(MEMTABLE_COMPACTED_BYTES),
        ))
}
