//! A disk that fills up while the index is kept on it.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::{Cleanup, Log, Outgoing, TimestampKind, TopicPartition, TopicSpec};
use cityevents_schemas::message::encode_event;
use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, DirectoryLock, FileHandle, Lock, RamDirectory, TerminatingWrite, WatchCallback,
    WatchHandle, WritePtr,
};

use super::query::{Filter, Order, Search};
use super::testing::event;
use super::{Index, IndexMetrics, IndexOptions, IndexPlace};

const TOPIC: &str = "events";
const AT_MOST: Duration = Duration::from_secs(60);

/// A disk that takes nothing more when it is full.
#[derive(Debug, Clone)]
struct Disk {
    inner: RamDirectory,
    is_full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        match self.is_full.load(Ordering::SeqCst) {
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }
}

struct OnDisk {
    inner: WritePtr,
    disk: Disk,
}

impl Write for OnDisk {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.disk.room()?;
        self.inner.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.disk.room()?;
        self.inner.flush()
    }
}

impl TerminatingWrite for OnDisk {
    fn terminate_ref(&mut self, token: AntiCallToken) -> io::Result<()> {
        self.disk.room()?;
        self.inner.terminate_ref(token)
    }
}

impl Directory for Disk {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let full = |error| OpenWriteError::wrap_io_error(error, path.to_owned());
        self.room().map_err(full)?;
        let inner = self.inner.open_write(path)?;
        Ok(BufWriter::new(Box::new(OnDisk { inner, disk: self.clone() })))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.inner.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}

fn put(log: &Arc<dyn Log>, number: u8) -> u64 {
    let event = event(number, &format!("Fair {number}"));
    let mut value = Vec::new();
    encode_event(&event, &mut value);
    let key = Some(Bytes::from(event.id.to_string()));
    let record = Outgoing { key, value: Some(value.into()), ..Outgoing::default() };
    let place = TopicPartition::new(TOPIC, 0);
    log.producer("test").unwrap().append(&place, vec![record]).unwrap();
    log.watermarks(&place).unwrap().high - 1
}

async fn titles(index: &Index) -> Vec<String> {
    let order = Order::Start { after: None };
    let filter = Filter::default();
    let asked = Search { typed: "fair".into(), filter, order, limit: 10 };
    let found = index.search(asked).await.unwrap();
    found.events.iter().map(|event| event.fields.title.clone()).collect()
}

fn wait_for(index: &Index, is_wanted: impl Fn(Option<&str>) -> bool) -> Option<String> {
    let started = Instant::now();
    loop {
        let problem = index.problem();
        if is_wanted(problem.as_deref()) {
            return problem;
        }
        assert!(started.elapsed() < AT_MOST, "{problem:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_what_was_there_goes_on_being_the_answer_until_there_is_room() {
    let clock = ManualClock::new(1_790_000_000_000);
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(clock.clone()));
    let spec = TopicSpec {
        name: TOPIC.into(),
        partitions: 1,
        cleanup: Cleanup::Compact,
        timestamps: TimestampKind::Create,
        durable: true,
    };
    log.create_topic(&spec).unwrap();
    let is_full = Arc::new(AtomicBool::default());
    let disk = Disk { inner: RamDirectory::create(), is_full: is_full.clone() };
    let options = IndexOptions {
        log: log.clone(),
        topic: TOPIC.into(),
        place: IndexPlace::Given(Box::new(disk)),
        memory_bytes: 16 << 20,
        clock: Arc::new(clock),
        metrics: IndexMetrics::default(),
    };
    let first = put(&log, 1);
    let index = Index::start(options).unwrap();
    assert!(index.wait(0, first, true, AT_MOST).await, "{:?}", index.problem());
    wait_for(&index, |problem| problem.is_none());
    is_full.store(true, Ordering::SeqCst);
    let second = put(&log, 2);
    let told = wait_for(&index, |problem| problem.is_some_and(|text| text.contains("failed")));
    let told = told.unwrap();
    assert!(told.starts_with("index of events: "), "{told}");
    assert!(told.contains("written") || told.contains("opened"), "{told}");
    assert_eq!(titles(&index).await, ["Fair 1"]);
    is_full.store(false, Ordering::SeqCst);
    assert!(index.wait(0, second, true, AT_MOST).await);
    wait_for(&index, |problem| problem.is_none());
    assert_eq!(titles(&index).await, ["Fair 1", "Fair 2"]);
}
