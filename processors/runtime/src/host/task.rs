//! What a host runs: the work of one partition, and how it may end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::log::{Committed, LogError, TopicPartition};
use crate::standby::FoldError;

/// Why a task ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// Its state is void: make it anew from the log.
    #[error("{0}")]
    Restart(String),
    /// There is no room for what it has to write. Nothing is wrong with it, and what was written can
    /// be read: it is made anew until there is room.
    #[error("{0}")]
    NoRoom(String),
    /// Going on would do harm: somebody has to look first.
    #[error("{0}")]
    Stop(String),
    /// Somebody newer has the partition: wait until the group says so too.
    #[error("{0}")]
    GiveUp(String),
}

impl From<LogError> for TaskError {
    fn from(error: LogError) -> Self {
        use crate::log::LogErrorKind as Kind;
        match error.kind() {
            Kind::TimedOut | Kind::Unavailable => Self::Restart(error.to_string()),
            Kind::DiskFull => Self::NoRoom(error.to_string()),
            Kind::Fenced => Self::GiveUp(error.to_string()),
            Kind::UnknownTopic
            | Kind::TopicExists
            | Kind::OffsetOutOfRange
            | Kind::RecordTooLarge
            | Kind::InUse
            | Kind::Corrupt
            | Kind::NotAuthorized
            | Kind::Configuration => Self::Stop(error.to_string()),
        }
    }
}

impl From<FoldError> for TaskError {
    fn from(error: FoldError) -> Self {
        match error {
            FoldError::Log(error) => error.into(),
            error @ (FoldError::Snapshot(_) | FoldError::NotNow { .. }) => {
                Self::Restart(error.to_string())
            }
            error @ (FoldError::Undecodable { .. } | FoldError::OtherCommands { .. }) => {
                Self::Stop(error.to_string())
            }
        }
    }
}

/// Whether a partition is still ours.
#[derive(Clone, Debug)]
pub struct Ownership(Arc<AtomicBool>);

impl Ownership {
    /// Ours until said otherwise.
    pub fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether the group counts it as ours.
    pub fn is_ours(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// It is not ours any more.
    pub fn give_up(&self) {
        self.set(false);
    }

    /// What the group says now.
    pub(super) fn set(&self, is_ours: bool) {
        self.0.store(is_ours, Ordering::SeqCst);
    }
}

impl Default for Ownership {
    fn default() -> Self {
        Self::new()
    }
}

/// A task that works and does not keep up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lagging {
    /// How long the oldest record waits.
    pub age: Duration,
    /// What to say of it.
    pub reason: String,
}

/// The work of one partition.
pub trait Task: Send {
    /// Does some work, waiting up to `timeout` for it.
    ///
    /// # Errors
    /// When the task cannot go on as it is.
    fn step(&mut self, timeout: Duration) -> Result<(), TaskError>;

    /// Finishes what is in flight, and begins nothing new.
    ///
    /// # Errors
    /// When it cannot, within `deadline`.
    fn drain(&mut self, deadline: Duration) -> Result<(), TaskError>;

    /// How far the task has come, for the group's offsets.
    fn progress(&self) -> Option<(TopicPartition, Committed)>;

    /// How far the task has come in every partition that it reads, for the group's offsets.
    fn all_progress(&self) -> Vec<(TopicPartition, Committed)> {
        self.progress().into_iter().collect()
    }

    /// How many records lie ahead of it, if it knows.
    fn lag_records(&self) -> Option<u64>;

    /// Why somebody should look although the task goes on.
    fn problem(&self) -> Option<String> {
        None
    }

    /// Since when what it works on has been waiting, and what to say of it, if that is too long.
    fn lagging(&self) -> Option<Lagging> {
        None
    }
}

/// Makes the task of a partition.
pub type MakeTask = dyn Fn(u32, &Ownership) -> Result<Box<dyn Task>, TaskError> + Send + Sync;
