//! The topics of a simulation.

use std::sync::Arc;

use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::{Cleanup, Log, LogError, TimestampKind, TopicPartition, TopicSpec};

/// Their names.
#[derive(Debug, Clone)]
pub struct Topics {
    /// Commands.
    pub commands: Arc<str>,
    /// Facts.
    pub facts: Arc<str>,
    /// Answers, of one partition.
    pub replies: Arc<str>,
    /// Commands that cannot be read.
    pub dead_letters: Arc<str>,
    /// Partitions of commands and facts.
    pub partitions: u32,
}

impl Topics {
    pub(crate) fn create(log: &MemoryLog, partitions: u32) -> Result<Self, LogError> {
        let create = |name: &str, partitions, timestamps| {
            let cleanup = Cleanup::Delete { retention: None };
            let spec =
                TopicSpec { name: name.into(), partitions, cleanup, timestamps, durable: true };
            log.create_topic(&spec).map(|topic| topic.spec.name)
        };
        Ok(Self {
            commands: create("event-commands", partitions, TimestampKind::LogAppend)?,
            facts: create("event-facts", partitions, TimestampKind::LogAppend)?,
            replies: create("command-replies", 1, TimestampKind::Create)?,
            dead_letters: create("dead-letters", 1, TimestampKind::Create)?,
            partitions,
        })
    }

    /// A partition of the commands.
    pub fn command_partition(&self, partition: u32) -> TopicPartition {
        TopicPartition::new(self.commands.clone(), partition)
    }

    /// A partition of the facts.
    pub fn fact_partition(&self, partition: u32) -> TopicPartition {
        TopicPartition::new(self.facts.clone(), partition)
    }

    /// The partition of the answers.
    pub fn reply_partition(&self) -> TopicPartition {
        TopicPartition::new(self.replies.clone(), 0)
    }

    /// All partitions of all topics.
    pub(crate) fn all(&self) -> Vec<TopicPartition> {
        let numbered = (0..self.partitions)
            .flat_map(|number| [self.command_partition(number), self.fact_partition(number)]);
        let letters = TopicPartition::new(self.dead_letters.clone(), 0);
        numbered.chain([self.reply_partition(), letters]).collect()
    }
}
