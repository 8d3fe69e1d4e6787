//! Records whose handling can fail for a while: retry tiers, dead letters, and the order of those
//! that belong together.
//!
//! A source topic has tiers, topics of their own with one constant delay each, so the head of a tier
//! is always the next that is due. A failed record goes to the next tier, with its tries in headers;
//! after the last it becomes a dead letter. A tier whose head is not due is not read on: a record is
//! never taken early. All topics have equal partition counts, and one task has the same number of
//! each, so order can be kept across them ([`Handler::order`]).
//!
//! Beside the source there may be one of *bulk*: records in such numbers that others must not wait
//! behind them. They are taken when nothing is left in the source, few at a time, and never before
//! what lay in the source when they were read: who writes a record behind another, acknowledged,
//! finds it handled behind it, whichever of the two topics each is in. Only the other way round
//! there is no order: what comes later to the source overtakes bulk.
//!
//! What must hold: a record's offset is passed only when its effects last: it was handled, or its
//! append to the next tier or to the dead letters was acknowledged. Offsets are committed from the
//! contiguous frontier ([`Offsets`]). So everything is handled at least once, and a handler has to
//! bear it twice. Handling a record is nobody's business here: a [`Handler`] begins it and tells
//! later what came of it.

mod consumer;
mod headers;
mod lanes;
mod offsets;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

pub use self::consumer::{RetryConsumer, make_task};
pub use self::headers::{DUE_HEADER, FAILURE_CLASS_HEADER, FAILURE_HEADER, Tries, without_tries};
pub use self::offsets::{OffsetError, Offsets};
use crate::dead_letter::CircuitPolicy;
use crate::log::clock::Clock;
use crate::log::{Log, Record, TopicPartition};

/// Longest reason of a failure that is kept beside a record, in bytes.
const REASON_BYTES_MAX: usize = 1_000;

/// Records that are handled in their order have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderKey(pub u128);

/// A topic where records wait.
#[derive(Debug, Clone)]
pub struct Tier {
    /// Its full name.
    pub topic: Arc<str>,
    /// For how long.
    pub delay: Duration,
}

/// A second source, for records in great numbers.
#[derive(Debug, Clone)]
pub struct Bulk {
    /// Its full name.
    pub topic: Arc<str>,
    /// Of its records, in work at once.
    pub in_work_max: usize,
}

/// What a consumer reads and writes.
#[derive(Clone)]
pub struct RetryOptions {
    /// Names it in logs and dead letters.
    pub name: &'static str,
    /// The log.
    pub log: Arc<dyn Log>,
    /// Its group.
    pub group: String,
    /// Where records come from.
    pub source: Arc<str>,
    /// Where those come from that let all others go first.
    pub bulk: Option<Bulk>,
    /// Where they wait, the shortest wait first.
    pub tiers: Vec<Tier>,
    /// Where they go that are given up, and how many partitions it has.
    pub dead_letters: (Arc<str>, u32),
    /// Records in work at once. What comes from the tiers leaves half of them to the source.
    pub in_work_max: usize,
    /// When there are too many records that cannot be read.
    pub poison: CircuitPolicy,
    /// When there are too many that were refused for good.
    pub refused: CircuitPolicy,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl RetryOptions {
    /// All topics that records come from, the source first.
    pub fn topics(&self) -> Vec<Arc<str>> {
        let tiers = self.tiers.iter().map(|tier| &tier.topic);
        let bulk = self.bulk.iter().map(|bulk| &bulk.topic);
        [&self.source].into_iter().chain(tiers).chain(bulk).cloned().collect()
    }
}

/// A failure, in a word for labels and in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Bounded label.
    pub class: &'static str,
    /// Why. Kept beside the record, so without secrets and without anything personal.
    pub reason: String,
}

impl Failure {
    /// A failure of a class, and why.
    pub fn new(class: &'static str, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into() }
    }

    /// The reason, cut to what is kept.
    fn brief(&self) -> &str {
        let mut end = self.reason.len().min(REASON_BYTES_MAX);
        while !self.reason.is_char_boundary(end) {
            end -= 1;
        }
        &self.reason[..end]
    }
}

/// What came of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is handled.
    Done,
    /// Another try, later, may do.
    Retry(Failure),
    /// Another try ends the same way.
    Refused(Failure),
    /// It makes no sense: nobody can handle it.
    Poison(Failure),
}

/// A record to be handled.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// From where it was taken.
    pub place: TopicPartition,
    /// The record.
    pub record: Record,
    /// How often it was tried.
    pub tries: Tries,
}

/// Something that happened, for figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened<'a> {
    /// A record failed and waits in this tier.
    Waits {
        /// Which tier.
        tier: &'a str,
        /// Of the failure; `None` for one that follows another.
        class: Option<&'static str>,
    },
    /// A record was given up.
    GivenUp {
        /// Of the failure.
        class: &'static str,
    },
    /// A record was taken from a tier, so long after it was due.
    Taken {
        /// Which tier.
        tier: &'a str,
        /// How late.
        late: Duration,
    },
}

/// Handles records.
pub trait Handler: Send {
    /// What keeps a record behind others; `None`: nothing. It may look at key and headers only: it
    /// has to say the same when what is needed to read the value is away.
    fn order(&self, record: &Record) -> Option<OrderKey>;

    /// Begins with a record. Must not wait: the verdict is told later, by `completion`.
    fn begin(&mut self, attempt: Attempt, completion: Completion);

    /// Nothing new begins from now on; what waits for something else to come back may be let go
    /// without a verdict.
    fn stop(&mut self) {}

    /// Something happened.
    fn happened(&self, _what: Happened<'_>) {}

    /// Why somebody should look although it goes on.
    fn problem(&self) -> Option<String> {
        None
    }
}

/// Tells what came of a record. One that is dropped instead tells that nobody knows: the task then
/// begins anew at the frontier.
#[derive(Debug)]
pub struct Completion {
    stream: usize,
    offset: u64,
    /// Taken when it is told.
    told: Option<Sender<Ended>>,
}

/// A record that has ended.
#[derive(Debug)]
struct Ended {
    stream: usize,
    offset: u64,
    /// `None`: nobody knows.
    verdict: Option<Verdict>,
}

impl Completion {
    /// Tells.
    pub fn tell(mut self, verdict: Verdict) {
        self.send(Some(verdict));
    }

    fn send(&mut self, verdict: Option<Verdict>) {
        if let Some(told) = self.told.take() {
            // The task may be gone, and whoever has the partition handles the record again.
            let _gone = told.send(Ended { stream: self.stream, offset: self.offset, verdict });
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.send(None);
    }
}
