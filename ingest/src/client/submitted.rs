//! What handing a command to the log can come to.

use std::time::Duration;

use cityevents_domain::ids::CommandId;
use cityevents_runtime::log::LogErrorKind;
use cityevents_schemas::message::Reply;

use crate::admission::Shed;

/// Largest record of a command: bounds what one caller can put into the log at once. The largest
/// event is a third of it.
pub(super) const RECORD_BYTES_MAX: usize = 64 << 10;
/// When a caller should come again who was not let in.
const RETRY_AFTER_BUSY: Duration = Duration::from_secs(1);

/// What became of a command that the log has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Decided.
    Decided(Reply),
    /// Durable, and the decision did not come within the wait.
    Pending(CommandId),
}

/// Why a command is not known to be in the log. Submitting it again with the same id is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many wait. Nothing was appended.
    #[error("too many commands are waiting: try again in {}", text(*.retry_after))]
    Busy {
        /// When to come again.
        retry_after: Duration,
    },
    /// The process is stopping. Nothing was appended.
    #[error("this instance is stopping: try again, another one will answer")]
    Stopping,
    /// The command is larger than a record may be. Nothing was appended.
    #[error("the command takes {bytes} bytes, at most {RECORD_BYTES_MAX} are possible: shorten it")]
    TooLarge {
        /// What it takes.
        bytes: usize,
    },
    /// The log did not take it, or does not say whether it did.
    #[error("the log does not take commands right now ({}): try again with the same key", kind.as_str())]
    Unavailable {
        /// What the log said.
        kind: LogErrorKind,
        /// When to come again.
        retry_after: Duration,
    },
}

fn text(duration: Duration) -> String {
    format!("{} s", duration.as_secs().max(1))
}

impl SubmitError {
    /// Bounded label.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Stopping => "stopping",
            Self::TooLarge { .. } => "too_large",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

impl From<Shed> for SubmitError {
    fn from(shed: Shed) -> Self {
        match shed {
            Shed::Busy => Self::Busy { retry_after: RETRY_AFTER_BUSY },
            Shed::Closed => Self::Stopping,
        }
    }
}
