//! What all handles of a local log share: topics, store, queue, and the two threads behind them.
//!
//! The threads know only [`Shared`]; the [`Engine`] around it belongs to the handles, and when the
//! last of them is dropped it ends the threads and closes the folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::{Mutex, RwLock};

use super::cleanup;
use super::folder::Folder;
use super::guard::DiskGuard;
use super::keys;
use super::member::Groups;
use super::options::LocalOptions;
use super::queue::{Answer, Job, Queue, closed};
use super::stats::Counters;
use super::store::{Store, cannot};
use super::topic::{Topic, unknown};
use super::witness::{Marks, Witness};
use super::writer::Writer;
use crate::log::{LogError, LogErrorKind, TopicDescription, TopicPartition, TopicSpec};

/// How often the file of durable watermarks is written while there is news.
const WITNESS_EVERY: Duration = Duration::from_secs(5);

/// State that handles and threads share.
pub(super) struct Shared {
    pub(super) options: LocalOptions,
    pub(super) store: Store,
    pub(super) queue: Queue,
    pub(super) groups: Groups,
    pub(super) guard: DiskGuard,
    pub(super) counters: Counters,
    topics: RwLock<BTreeMap<Arc<str>, Arc<Topic>>>,
    creating: Mutex<()>,
    witness: Mutex<Witness>,
    /// Why nothing can be written any more.
    fault: OnceLock<LogError>,
}

impl Shared {
    pub(super) fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics.read().values().cloned().collect()
    }

    /// Refuses when the log can no longer be written.
    pub(super) fn check_fault(&self) -> Result<(), LogError> {
        self.fault.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Ends all writing: what the disk holds is unknown from here on, so nothing may be
    /// acknowledged until the log was opened again.
    pub(super) fn poison(&self, cause: &LogError) -> LogError {
        let error = self.fault.get_or_init(|| {
            let message = format!("the log can no longer be written, restart the program: {cause}");
            tracing::error!(error = %cause, "the log can no longer be written");
            LogError::new(LogErrorKind::Unavailable, message)
        });
        error.clone()
    }

    /// Notes how far the partitions go, after making all of it durable.
    fn write_witness(&self) -> Result<(), LogError> {
        let mut marks = Marks::new();
        for topic in self.topics() {
            for (partition, number) in topic.partitions.iter().zip(0..) {
                marks.insert((topic.ordinal, number), partition.watermarks().high);
            }
        }
        let mut witness = self.witness.lock();
        if !witness.differs(&marks) || self.check_fault().is_err() {
            return Ok(());
        }
        self.store.sync().map_err(|error| self.poison(&cannot("make records durable", &error)))?;
        witness.write(marks).map_err(|error| {
            let message = format!("cannot write the file of durable watermarks: {error}");
            LogError::new(LogErrorKind::Unavailable, message)
        })
    }
}

/// What the handles of a log have in common.
pub(super) struct Engine {
    // The order matters: the store is closed before the folder is unlocked.
    shared: Arc<Shared>,
    stop: Option<Sender<()>>,
    janitor: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    folder: Folder,
}

impl Engine {
    /// Opens a folder and starts the threads.
    pub(super) fn open(path: &Path, options: LocalOptions) -> Result<Self, LogError> {
        let folder = Folder::open(path)?;
        let unreadable = |error: std::io::Error| {
            LogError::new(
                LogErrorKind::Unavailable,
                format!("cannot read {}: {error}", path.display()),
            )
        };
        let witness = Witness::open(path).map_err(unreadable)?;
        let store = Store::open(&folder.store(), &options)?;
        let mut topics = BTreeMap::new();
        for (ordinal, description) in store.topics()? {
            let name = description.spec.name.clone();
            let topic = store.topic(ordinal, description, options.tail_bytes_max)?;
            check_witness(&topic, &witness)?;
            topics.insert(name, Arc::new(topic));
        }
        let (epochs, stamp) = (store.epochs()?, store.stamp()?);
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            groups: Groups::new(store.progress()?, options.release_deadline),
            guard: DiskGuard::new(folder.path(), &options),
            counters: Counters::default(),
            topics: RwLock::new(topics),
            creating: Mutex::new(()),
            witness: Mutex::new(witness),
            fault: OnceLock::new(),
            options,
            store,
        });
        let (stop, stopped) = bounded(0);
        let mut engine =
            Self { shared: shared.clone(), stop: Some(stop), janitor: None, writer: None, folder };
        let writer = Writer::new(shared.clone(), epochs, stamp);
        engine.writer = Some(spawn("log-writer", || writer.run())?);
        engine.janitor = Some(spawn("log-janitor", move || tidy(&shared, &stopped))?);
        Ok(engine)
    }

    pub(super) fn options(&self) -> &LocalOptions {
        &self.shared.options
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.shared.groups
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) fn push(&self, job: Job) {
        self.shared.queue.push(job);
    }

    /// Refuses when the log cannot take `bytes` now.
    pub(super) fn check_writable(&self, bytes: u64) -> Result<(), LogError> {
        self.shared.check_fault()?;
        self.shared.guard.check(bytes)
    }

    /// The topic of a partition that there is.
    pub(super) fn topic(&self, place: &TopicPartition) -> Result<Arc<Topic>, LogError> {
        let topic = self.shared.topics.read().get(&place.topic).cloned();
        let topic = topic.filter(|topic| topic.partition(place.partition).is_ok());
        topic.ok_or_else(|| unknown(place))
    }

    /// Makes a topic, durably.
    pub(super) fn create(&self, spec: &TopicSpec) -> Result<TopicDescription, LogError> {
        let shared = &self.shared;
        let _one_at_a_time = shared.creating.lock();
        let topics = shared.topics();
        if topics.iter().any(|topic| topic.description.spec.name == spec.name) {
            let message = format!("topic {} is there already", spec.name);
            return Err(LogError::new(LogErrorKind::TopicExists, message));
        }
        if spec.partitions == 0 || spec.name.is_empty() {
            let message = format!("topic '{}' needs a name and at least one partition", spec.name);
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
        self.check_writable(0)?;
        let ordinal = topics.iter().map(|topic| topic.ordinal + 1).max().unwrap_or(0);
        let description = TopicDescription { id: random_id(), spec: spec.clone() };
        let tail_bytes_max = shared.options.tail_bytes_max;
        let topic = shared.store.topic(ordinal, description.clone(), tail_bytes_max)?;
        let (key, value) = (keys::topic_key(&spec.name), keys::encode_topic(ordinal, &description));
        let (answer, waiting) = Answer::new();
        self.push(Job::Describe { key, value, answer });
        waiting.recv().unwrap_or_else(|_| Err(closed()))?;
        shared.topics.write().insert(spec.name.clone(), Arc::new(topic));
        Ok(description)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.janitor.take().map(JoinHandle::join);
        self.shared.queue.close();
        let written = self.writer.take().map(JoinHandle::join);
        if matches!(ended, Some(Err(_))) || matches!(written, Some(Err(_))) {
            tracing::error!("a thread of the log panicked");
            return;
        }
        if let Err(error) = self.shared.write_witness() {
            tracing::error!(error = %error, "the log was not closed cleanly");
        }
    }
}

/// Tidies up now and then until it is told to stop.
fn tidy(shared: &Shared, stopped: &Receiver<()>) {
    let every = shared.options.retention_check;
    let mut cleaned = Instant::now();
    while stopped.recv_timeout(every.min(WITNESS_EVERY)) == Err(RecvTimeoutError::Timeout) {
        if let Err(error) = shared.write_witness() {
            tracing::warn!(error = %error, "the file of durable watermarks was not written");
        }
        if cleaned.elapsed() >= every {
            cleaned = Instant::now();
            if let Err(error) = cleanup::run(shared) {
                tracing::warn!(error = %error, "old records were not removed");
            }
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        LogError::new(LogErrorKind::Unavailable, format!("cannot start a thread: {error}"))
    })
}

fn check_witness(topic: &Topic, witness: &Witness) -> Result<(), LogError> {
    for (partition, number) in topic.partitions.iter().zip(0..) {
        let high = partition.watermarks().high;
        let durable = witness.mark(topic.ordinal, number);
        if high < durable {
            let why = format!("records up to offset {durable} were acknowledged and are gone");
            return Err(topic.corrupt(number, high, why));
        }
    }
    Ok(())
}

/// A random id in the form of a version 4 UUID.
fn random_id() -> String {
    let random: u128 = rand::random();
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_and_differ() {
        let (one, other) = (random_id(), random_id());
        assert_ne!(one, other);
        assert_eq!(one.len(), 36);
        assert_eq!(&one[14..15], "4");
        assert!(matches!(&one[19..20], "8" | "9" | "a" | "b"), "{one}");
    }
}
