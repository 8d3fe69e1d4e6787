//! What a topology makes of the links that count, and whether it can go on.

use crate::chain::COMMANDS_HEADER;
use crate::follower::LinkedRecord;
use crate::log::TopicPartition;
use crate::topology::{Topology, Undecodable};

use super::FoldError;

/// A topology with the links that it has folded.
pub(super) struct Fold<T> {
    pub(super) topology: T,
    /// The command topic as it was at the start.
    pub(super) command_topic_id: String,
    pub(super) links_since_snapshot: u64,
    /// Why this fold must not be used any more.
    broken: Option<Broken>,
}

/// A fold that did not take a link lacks it for ever.
#[derive(Debug, Clone)]
enum Broken {
    Undecodable { offset: u64, error: Undecodable },
    OtherCommands,
}

impl<T: Topology> Fold<T> {
    pub(super) const fn new(topology: T, command_topic_id: String) -> Self {
        Self { topology, command_topic_id, links_since_snapshot: 0, broken: None }
    }

    /// Folds links. Whether it could: see [`Fold::check`] for why not.
    pub(super) fn take(&mut self, links: impl IntoIterator<Item = LinkedRecord>) -> bool {
        for linked in links {
            if let Err(broken) = self.fold(&linked) {
                self.broken = Some(broken);
                return false;
            }
            self.links_since_snapshot += 1;
        }
        true
    }

    fn fold(&mut self, linked: &LinkedRecord) -> Result<(), Broken> {
        let record = &linked.record;
        // Only the genesis names the command topic.
        let commands = || record.headers.get_text(COMMANDS_HEADER);
        if linked.is_genesis && commands() != Some(&self.command_topic_id) {
            return Err(Broken::OtherCommands);
        }
        let folded = self.topology.fold(record.value.as_deref().unwrap_or_default());
        folded.map_err(|error| Broken::Undecodable { offset: record.offset, error })
    }

    /// Whether it has every link that it was given.
    pub(super) fn check(&self, partition: &TopicPartition) -> Result<(), FoldError> {
        let partition = partition.clone();
        match self.broken.clone() {
            None => Ok(()),
            Some(Broken::Undecodable { offset, error }) => {
                Err(unreadable(partition, offset, error))
            }
            Some(Broken::OtherCommands) => Err(FoldError::OtherCommands { partition }),
        }
    }
}

/// Why a fact that counts was not read.
pub(super) fn unreadable(partition: TopicPartition, offset: u64, error: Undecodable) -> FoldError {
    if error.is_temporary {
        FoldError::NotNow { partition, offset, error }
    } else {
        FoldError::Undecodable { partition, offset, error }
    }
}
