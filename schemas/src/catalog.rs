//! The topics: one catalogue, `topics.toml`, read when this crate is built. Each topic is a constant
//! of [`topic`], so a topic's name stands nowhere else.

/// One topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Its name, without a prefix.
    pub name: &'static str,
    /// Topics of one group have equal counts of partitions.
    pub group: &'static str,
    /// What the count of partitions asked for is divided by.
    pub divisor: u32,
    /// What its keys are.
    pub key: Key,
    /// What becomes of old records.
    pub cleanup: Cleanup,
    /// How long records are kept; `None`: for ever.
    pub retention_ms: Option<u64>,
    /// Whose clock stamps the records.
    pub timestamps: Timestamps,
    /// Whether a writer waits until a record is replicated.
    pub durable: bool,
    /// How readers tell which records count.
    pub discipline: Discipline,
    /// What its values are.
    pub value: Value,
    /// Roles that write it.
    pub writers: &'static [&'static str],
    /// Roles that read it.
    pub readers: &'static [&'static str],
    /// The topic whose records wait here for another attempt.
    pub retries: Option<&'static str>,
    /// How long they wait.
    pub delay_ms: Option<u64>,
    /// Where records go that cannot be handled; `None`: the reader stops.
    pub dead_letters: Option<&'static str>,
}

/// What the keys of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// An event's id.
    EventId,
    /// `event_id:user_id`.
    EventUser,
    /// A person's id.
    UserId,
    /// An account's id.
    AccountId,
    /// Hash of a recipient.
    Recipient,
    /// As in the topic whose records it takes.
    Source,
    /// No key: the writer says the partition.
    None,
}

/// What becomes of old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// They are deleted when their time is over.
    Delete,
    /// The last of each key stays.
    Compact,
}

/// Whose clock stamps the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamps {
    /// The broker's (`LogAppendTime`).
    Append,
    /// The writer's (`CreateTime`).
    Create,
}

/// How readers tell which records count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// All do.
    Plain,
    /// Those that are linked to the one before.
    Chained,
    /// Those of the one transactional writer: read with `read_committed`.
    Fenced,
}

/// What the values of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// An Avro record of this name.
    Record(&'static str),
    /// Whatever came.
    Raw,
}

impl Topic {
    /// The name on a broker that is shared under a prefix; empty for none.
    pub fn full_name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.name)
    }

    /// The subject of its values in a schema registry.
    pub fn subject(&self, prefix: &str) -> String {
        format!("{prefix}{}-value", self.name)
    }

    /// Its count of partitions when `asked` is the count of a full group, for instance
    /// [`topic::PARTITIONS`].
    pub const fn partitions(&self, asked: u32) -> u32 {
        let count = asked / self.divisor;
        if count == 0 { 1 } else { count }
    }

    /// Whether every reader must use `read_committed`.
    pub const fn is_fenced(&self) -> bool {
        matches!(self.discipline, Discipline::Fenced)
    }
}

/// All topics.
#[derive(Debug, Clone, Copy)]
pub struct Catalog(&'static [Topic]);

/// The catalogue.
pub fn catalog() -> Catalog {
    Catalog(&topic::ALL)
}

impl Catalog {
    /// All topics in the order of the file.
    pub fn topics(self) -> &'static [Topic] {
        self.0
    }

    /// The topic of a name without prefix.
    pub fn topic(self, name: &str) -> Option<&'static Topic> {
        self.0.iter().find(|topic| topic.name == name)
    }

    /// The topics where records of `topic` wait for another attempt, the shortest wait first.
    pub fn retry_tiers(self, topic: &Topic) -> Vec<&'static Topic> {
        let mut tiers: Vec<_> =
            self.0.iter().filter(|tier| tier.retries == Some(topic.name)).collect();
        tiers.sort_by_key(|tier| tier.delay_ms);
        tiers
    }
}

/// A constant for each topic.
pub mod topic {
    use super::{Cleanup, Discipline, Key, Timestamps, Topic, Value};

    include!(concat!(env!("OUT_DIR"), "/topic.rs"));
}
