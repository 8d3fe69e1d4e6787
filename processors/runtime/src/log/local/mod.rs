//! The log on one machine: durable, in one process, in one folder.
//!
//! One thread writes: all that waits at a moment goes into one atomic batch and is made durable by
//! one fsync. Readers are served from memory while they keep up and from the store below otherwise;
//! nobody polls, everybody is woken. What may be thrown away is looked for in the background.
//!
//! What must hold: nothing of a durable topic is acknowledged or shown to a reader before it is on
//! the disk; damaged data is an error and never a wrong record; a full disk stops writes before it
//! is full; after a failed write nothing is written any more until the log was opened again.
//!
//! Absent on purpose: batches that are visible but do not count (a fenced batch is one atomic write,
//! so [`Isolation::Committed`] and [`Isolation::Uncommitted`] read the same), and several processes
//! on one folder.

mod cleanup;
mod cursor;
mod engine;
mod fenced;
mod folder;
mod format;
mod group;
mod guard;
mod journal;
mod keys;
mod member;
mod options;
mod producer;
mod queue;
mod reader;
mod round;
mod rows;
mod stats;
mod store;
mod tail;
mod topic;
mod witness;
mod writer;

use std::path::Path;
use std::sync::Arc;

use self::engine::Engine;
use self::fenced::LocalFenced;
pub use self::guard::{FileSystem, SpaceProbe};
use self::member::LocalMember;
pub use self::options::LocalOptions;
use self::producer::LocalProducer;
use self::reader::LocalReader;
pub use self::stats::LocalStats;
use super::{
    Committed, FencedWriter, GroupMember, Isolation, Log, LogError, LogErrorKind, Member, Producer,
    Reader, TopicDescription, TopicPartition, TopicSpec, Watermarks,
};

/// A log in a folder of this machine. The folder is free again when the log and everything that
/// came from it (producers, readers, members, writers) is dropped.
pub struct LocalLog {
    engine: Arc<Engine>,
}

impl LocalLog {
    /// Opens the log in a folder, and makes both where they are missing.
    ///
    /// # Errors
    /// [`LogErrorKind::InUse`] when another process has the folder,
    /// [`LogErrorKind::Configuration`] when another version of the program wrote it,
    /// [`LogErrorKind::Corrupt`] when it is damaged, [`LogErrorKind::Unavailable`] when it cannot
    /// be read.
    pub fn open(directory: impl AsRef<Path>, options: LocalOptions) -> Result<Arc<Self>, LogError> {
        let engine = Arc::new(Engine::open(directory.as_ref(), options)?);
        Ok(Arc::new(Self { engine }))
    }

    /// Throws away now what the topics' settings let go, instead of when it is due.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub fn clean_up(&self) -> Result<(), LogError> {
        cleanup::run(self.engine.shared())
    }

    /// Bytes that the log takes up on the disk.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn disk_bytes(&self) -> Result<u64, LogError> {
        self.engine.folder().disk_bytes().map_err(|error| {
            let message = format!("cannot measure the log's data folder: {error}");
            LogError::new(LogErrorKind::Unavailable, message)
        })
    }

    /// What the log has done since it was opened.
    pub fn stats(&self) -> LocalStats {
        self.engine.shared().counters.read()
    }
}

impl Log for LocalLog {
    fn topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        let topics = self.engine.shared().topics();
        Ok(topics.iter().map(|topic| topic.description.clone()).collect())
    }

    fn create_topic(&self, spec: &TopicSpec) -> Result<TopicDescription, LogError> {
        self.engine.create(spec)
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        let topic = self.engine.topic(partition)?;
        Ok(topic.partition(partition.partition)?.watermarks())
    }

    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        tracing::debug!(producer = name, "a producer begins");
        Ok(Box::new(LocalProducer::new(self.engine.clone())))
    }

    fn reader(
        &self,
        partition: &TopicPartition,
        offset: u64,
        _isolation: Isolation,
    ) -> Result<Box<dyn Reader>, LogError> {
        let topic = self.engine.topic(partition)?;
        let reader = LocalReader::new(self.engine.clone(), topic, partition.partition, offset)?;
        Ok(Box::new(reader))
    }

    fn join(
        &self,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
    ) -> Result<Box<dyn Member>, LogError> {
        Ok(Box::new(LocalMember::join(self.engine.clone(), group, topics, name)?))
    }

    fn committed(
        &self,
        group: &str,
        partition: &TopicPartition,
    ) -> Result<Option<Committed>, LogError> {
        Ok(self.engine.groups().committed(group, partition))
    }

    fn members(&self, group: &str) -> Result<Option<Vec<GroupMember>>, LogError> {
        Ok(Some(self.engine.groups().members(group)))
    }

    fn fenced(&self, identity: &str) -> Result<Box<dyn FencedWriter>, LogError> {
        Ok(Box::new(LocalFenced::take(self.engine.clone(), identity)?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::log::{Cleanup, FencedBatch, Outgoing, PollLimit, TimestampKind};

    #[test]
    fn after_a_failed_write_nothing_is_written_any_more_and_reads_go_on() {
        let folder = tempfile::TempDir::new().unwrap();
        let log = LocalLog::open(folder.path(), LocalOptions::default()).unwrap();
        let spec = TopicSpec {
            name: "facts".into(),
            partitions: 1,
            cleanup: Cleanup::Delete { retention: None },
            timestamps: TimestampKind::LogAppend,
            durable: true,
        };
        log.create_topic(&spec).unwrap();
        let place = TopicPartition::new(spec.name.clone(), 0);
        let record = || vec![Outgoing { value: Some("v".into()), ..Outgoing::default() }];
        let mut producer = log.producer("test").unwrap();
        producer.append(&place, record()).unwrap();
        let mut deliveries = Vec::new();
        while producer.in_flight() > 0 {
            producer.poll(Duration::from_secs(20), &mut deliveries).unwrap();
        }
        let mut writer = log.fenced("writer").unwrap();
        let mut member = log.join("group", &[spec.name], "a").unwrap();

        let cause = LogError::new(LogErrorKind::Unavailable, "the disk is on fire");
        log.engine.shared().poison(&cause);
        let progress = vec![(place.clone(), Committed { offset: 1, metadata: String::new() })];
        let failures = [
            producer.append(&place, record()).map(drop),
            log.producer("other").unwrap().append(&place, record()).map(drop),
            writer.write(FencedBatch::default()),
            member.commit(&progress),
            log.fenced("other").map(drop),
            log.create_topic(&TopicSpec { name: "more".into(), ..spec_of(&log) }).map(drop),
        ];
        for failure in failures {
            let error = failure.unwrap_err();
            assert_eq!(error.kind(), LogErrorKind::Unavailable);
            assert!(error.to_string().contains("the disk is on fire"), "{error}");
        }
        assert_eq!(log.committed("group", &place).unwrap(), None);
        let mut reader = log.reader(&place, 0, Isolation::Committed).unwrap();
        let mut records = Vec::new();
        let limit = PollLimit { records: 10, bytes: 1_000 };
        reader.poll(limit, Duration::ZERO, &mut records).unwrap();
        assert_eq!(records.len(), 1);
    }

    fn spec_of(log: &LocalLog) -> TopicSpec {
        log.topics().unwrap().remove(0).spec
    }
}
