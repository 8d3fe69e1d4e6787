//! What waits for the writer thread.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex};

use super::format::Body;
use super::producer::Account;
use super::topic::Topic;
use crate::log::{Committed, LogError, LogErrorKind, TopicPartition};

/// A piece of work for the writer.
pub(super) enum Job {
    /// Records of a producer for one partition.
    Append(Append),
    /// A fenced batch.
    Fenced(Fenced),
    /// Somebody takes a writer identity; answered with his epoch.
    Identity { identity: String, answer: Answer<u64> },
    /// A topic was made.
    Describe { key: Vec<u8>, value: Vec<u8>, answer: Answer<()> },
    /// A member's progress.
    Commit {
        group: String,
        instance: u64,
        progress: Vec<(TopicPartition, Committed)>,
        answer: Answer<()>,
    },
    /// Old values of a partition may go.
    Trim { topic: Arc<Topic>, partition: u32, values: Vec<u64>, low: u64, answer: Answer<()> },
    /// Tombstones of a partition may go, where nothing newer took their place.
    Bury { topic: Arc<Topic>, partition: u32, tombstones: Vec<Tombstone>, answer: Answer<()> },
}

/// Records of a producer for one partition.
pub(super) struct Append {
    pub(super) records: Encoded,
    pub(super) account: Arc<Account>,
    pub(super) first_ticket: u64,
}

/// A fenced batch.
pub(super) struct Fenced {
    pub(super) identity: String,
    pub(super) epoch: u64,
    pub(super) records: Vec<Encoded>,
    pub(super) group: String,
    pub(super) progress: Vec<(TopicPartition, Committed)>,
    pub(super) answer: Answer<()>,
}

/// Encoded records for one partition.
pub(super) struct Encoded {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: u32,
    pub(super) count: u64,
    pub(super) bytes: usize,
    pub(super) payload: Payload,
}

pub(super) enum Payload {
    /// Several records in each.
    Values(Vec<Body>),
    /// One record each, for compacted topics.
    Rows(Vec<Row>),
}

pub(super) struct Row {
    pub(super) key: Bytes,
    pub(super) is_tombstone: bool,
    pub(super) body: Body,
}

pub(super) struct Tombstone {
    pub(super) offset: u64,
    pub(super) key: Bytes,
}

/// Where the writer answers a waiting thread.
pub(super) struct Answer<T>(Sender<Result<T, LogError>>);

impl<T> Answer<T> {
    pub(super) fn new() -> (Self, Receiver<Result<T, LogError>>) {
        let (sender, receiver) = bounded(1);
        (Self(sender), receiver)
    }

    /// Answers; nobody minds if the other side is gone.
    pub(super) fn give(self, result: Result<T, LogError>) {
        drop(self.0.send(result));
    }
}

impl Job {
    /// Bytes that it adds to the log.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append(append) => append.records.bytes,
            Self::Fenced(fenced) => {
                let progress = fenced.progress.iter().map(|(_, it)| it.metadata.len() + 64);
                fenced.records.iter().map(|it| it.bytes).chain(progress).sum()
            }
            Self::Commit { progress, .. } => {
                progress.iter().map(|(_, it)| it.metadata.len() + 64).sum()
            }
            Self::Describe { .. }
            | Self::Identity { .. }
            | Self::Trim { .. }
            | Self::Bury { .. } => 64,
        }
    }

    /// Whether it is work that makes the log larger, which a full disk refuses.
    pub(super) fn grows(&self) -> bool {
        matches!(self, Self::Append(_) | Self::Fenced(_) | Self::Commit { .. })
    }

    /// Ends it with an error.
    pub(super) fn fail(self, error: LogError) {
        match self {
            Self::Append(Append { records, account, first_ticket }) => {
                account.fail(first_ticket, records.count, records.bytes, error);
            }
            Self::Fenced(fenced) => fenced.answer.give(Err(error)),
            Self::Identity { answer, .. } => answer.give(Err(error)),
            Self::Describe { answer, .. }
            | Self::Commit { answer, .. }
            | Self::Trim { answer, .. }
            | Self::Bury { answer, .. } => answer.give(Err(error)),
        }
    }
}

/// The line in front of the writer thread.
#[derive(Default)]
pub(super) struct Queue {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    /// Adds work; after the end it fails.
    pub(super) fn push(&self, job: Job) {
        let mut line = self.line.lock();
        if line.closed {
            drop(line);
            job.fail(closed());
            return;
        }
        line.jobs.push_back(job);
        let was_empty = line.jobs.len() == 1;
        drop(line);
        if was_empty {
            self.changed.notify_one();
        }
    }

    /// Waits for work and takes what has come, up to about `bytes_max`; nothing at the end.
    pub(super) fn take(&self, bytes_max: usize, out: &mut Vec<Job>) {
        let mut line = self.line.lock();
        while line.jobs.is_empty() && !line.closed {
            self.changed.wait(&mut line);
        }
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(job) = line.jobs.pop_front() else {
                break;
            };
            bytes += job.bytes();
            out.push(job);
        }
    }

    /// No more work is taken in; what is there is still done.
    pub(super) fn close(&self) {
        self.line.lock().closed = true;
        self.changed.notify_all();
    }

    /// Fails everything that still waits.
    pub(super) fn fail_all(&self, error: &LogError) {
        let jobs = std::mem::take(&mut self.line.lock().jobs);
        for job in jobs {
            job.fail(error.clone());
        }
    }
}

/// The error after the end.
pub(super) fn closed() -> LogError {
    LogError::new(LogErrorKind::Unavailable, "the log is closed: open it again")
}
