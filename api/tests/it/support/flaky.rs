//! A log whose readers fail when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cityevents_runtime::log::{
    Committed, FencedWriter, Isolation, Log, LogError, LogErrorKind, Member, PollLimit, Polled,
    Producer, Reader, Record, TopicDescription, TopicPartition, TopicSpec, Watermarks,
};

pub struct FlakyLog {
    pub inner: Arc<dyn Log>,
    pub fails_once: Arc<AtomicBool>,
}

struct FlakyReader {
    inner: Box<dyn Reader>,
    fails_once: Arc<AtomicBool>,
}

impl Reader for FlakyReader {
    fn poll(
        &mut self,
        limit: PollLimit,
        timeout: Duration,
        out: &mut Vec<Record>,
    ) -> Result<Polled, LogError> {
        if self.fails_once.swap(false, Ordering::SeqCst) {
            let message = "the test says so";
            return Err(LogError::new(LogErrorKind::Unavailable, message));
        }
        self.inner.poll(limit, timeout, out)
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn seek(&mut self, offset: u64) {
        self.inner.seek(offset);
    }
}

impl Log for FlakyLog {
    fn topics(&self) -> Result<Vec<TopicDescription>, LogError> {
        self.inner.topics()
    }

    fn create_topic(&self, spec: &TopicSpec) -> Result<TopicDescription, LogError> {
        self.inner.create_topic(spec)
    }

    fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        self.inner.watermarks(partition)
    }

    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        self.inner.producer(name)
    }

    fn reader(
        &self,
        partition: &TopicPartition,
        offset: u64,
        isolation: Isolation,
    ) -> Result<Box<dyn Reader>, LogError> {
        let inner = self.inner.reader(partition, offset, isolation)?;
        let fails_once = Arc::clone(&self.fails_once);
        Ok(Box::new(FlakyReader { inner, fails_once }))
    }

    fn join(
        &self,
        group: &str,
        topics: &[Arc<str>],
        name: &str,
    ) -> Result<Box<dyn Member>, LogError> {
        self.inner.join(group, topics, name)
    }

    fn committed(
        &self,
        group: &str,
        partition: &TopicPartition,
    ) -> Result<Option<Committed>, LogError> {
        self.inner.committed(group, partition)
    }

    fn fenced(&self, identity: &str) -> Result<Box<dyn FencedWriter>, LogError> {
        self.inner.fenced(identity)
    }
}
