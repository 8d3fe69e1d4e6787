//! What can be wrong with a history.

use cityevents_processors::audit::AuditError;
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::LogError;
use cityevents_runtime::snapshot::SnapshotError;
use cityevents_runtime::standby::FoldError;

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The simulated log failed where no fault was asked for.
    #[error("the log failed: {0}")]
    Log(#[from] LogError),
    /// The snapshot store failed where no fault was asked for.
    #[error("the snapshot store failed: {0}")]
    Snapshot(#[from] SnapshotError),
    /// A fold failed where no fault was asked for.
    #[error("a fold failed: {0}")]
    Fold(#[from] FoldError),
    /// A worker stopped for good, or with an error that it must not have.
    #[error("the worker of partition {partition} stopped: {error}")]
    Stopped {
        /// Whose.
        partition: u32,
        /// Why.
        error: TaskError,
    },
    /// Without faults it does not come to rest.
    #[error("no rest after {rounds} rounds without faults: {seen}")]
    Restless {
        /// How long it was given.
        rounds: u32,
        /// What is still to be done.
        seen: String,
    },
    /// The chain and the commands do not fit together.
    #[error("chain of partition {partition}, link at {offset}: {seen}")]
    Chain {
        /// Where.
        partition: u32,
        /// The link.
        offset: u64,
        /// What was seen.
        seen: String,
    },
    /// A link that counts was not decided from the fold of the links before it.
    #[error("partition {partition}: the link at {offset} was decided from another state: {seen}")]
    Decision {
        /// Where.
        partition: u32,
        /// The link.
        offset: u64,
        /// What was seen.
        seen: String,
    },
    /// A command has no verdict.
    #[error("partition {partition}: command {command} has no verdict")]
    Lost {
        /// Where.
        partition: u32,
        /// The command.
        command: u64,
    },
    /// Somebody was told what the log contradicts.
    #[error("partition {partition}: an answer contradicts the log: {seen}")]
    Answer {
        /// Where.
        partition: u32,
        /// What was told, and what the log says.
        seen: String,
    },
    /// Two folds of the same facts differ.
    #[error("partition {partition}: {seen}")]
    Restore {
        /// Where.
        partition: u32,
        /// Which two.
        seen: String,
    },
    /// An invariant of the domain is broken.
    #[error("{0}")]
    Audit(#[from] AuditError),
}

impl Failure {
    /// A word for tables.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Log(_) => "log",
            Self::Snapshot(_) => "snapshot",
            Self::Fold(_) => "fold",
            Self::Stopped { .. } => "worker stopped",
            Self::Restless { .. } => "no rest",
            Self::Chain { .. } => "chain",
            Self::Decision { .. } => "decided from another state",
            Self::Lost { .. } => "command lost",
            Self::Answer { .. } => "answer contradicted",
            Self::Restore { .. } => "folds differ",
            Self::Audit(_) => "invariant",
        }
    }
}
