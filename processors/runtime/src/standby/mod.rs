//! A fold of one partition that follows its facts: what restore makes, what a warm standby keeps
//! up to date, and what snapshots are taken from.

mod fold;
mod pool;
mod reading;

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

use self::fold::{Fold, unreadable};
pub use self::pool::{Lease, StandbyPool};
use self::reading::read_up_to;
use crate::chain::{ChainReader, Cursor, is_last};
use crate::follower::{Follower, LinkedRecord, Position};
use crate::log::clock::Clock;
use crate::log::{Log, LogError, PollLimit, TopicPartition, read_one};
use crate::metrics::RuntimeMetrics;
use crate::snapshot::{Description, SnapshotError, SnapshotStore};
use crate::topology::{Topology, Undecodable};

/// Longest wait for a link that is known to be there.
const LINK_WAIT: Duration = Duration::from_secs(5);

/// What a partition's fold needs to know of its surroundings.
#[derive(Clone)]
pub struct Source {
    /// Names the topology in snapshots, logs and metrics.
    pub topology: &'static str,
    /// The log.
    pub log: Arc<dyn Log>,
    /// Where commands come from.
    pub commands: Arc<str>,
    /// Where facts go.
    pub facts: Arc<str>,
    /// Where snapshots are, if there are any.
    pub snapshots: Option<SnapshotStore>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Figures.
    pub metrics: RuntimeMetrics,
}

/// Why a fold cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A fact that counts cannot be read: whoever passes it forks the state.
    #[error(
        "the fact at {partition} offset {offset} cannot be read: {error}; \
             upgrade this program before it goes on"
    )]
    Undecodable {
        /// Which partition.
        partition: TopicPartition,
        /// Which record.
        offset: u64,
        /// What is wrong with it.
        error: Undecodable,
    },
    /// What is needed to read a fact that counts is away. Folding begins anew when it is back.
    #[error("the fact at {partition} offset {offset} cannot be read now: {error}")]
    NotNow {
        /// Which partition.
        partition: TopicPartition,
        /// Which record.
        offset: u64,
        /// What is away.
        error: Undecodable,
    },
    /// The chain belongs to a command topic that is gone.
    #[error(
        "the facts of {partition} were decided from another command topic than the one that \
             is there now: the command topic was deleted and made anew. Restore it, or begin with \
             new topics"
    )]
    OtherCommands {
        /// Which partition.
        partition: TopicPartition,
    },
    /// A snapshot cannot be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// A fold that follows its facts.
pub struct Standby<T> {
    source: Source,
    partition: u32,
    fold: Fold<T>,
    follower: Follower,
    buffer: Vec<LinkedRecord>,
}

impl<T: Topology> Standby<T> {
    /// Restores: the newest good snapshot, then the facts up to the high watermark of now. `make`
    /// makes an empty state.
    ///
    /// # Errors
    /// When the log cannot be read or holds a fact that cannot be.
    pub fn restore(
        source: &Source,
        partition: u32,
        make: impl Fn() -> T,
    ) -> Result<Self, FoldError> {
        Self::restore_by(source, partition, make, ChainReader::new)
    }

    /// As [`Standby::restore`], without looking at digests: the simulator's negative control.
    ///
    /// # Errors
    /// As [`Standby::restore`].
    #[cfg(feature = "testing")]
    pub fn restore_without_digest(
        source: &Source,
        partition: u32,
        make: impl Fn() -> T,
    ) -> Result<Self, FoldError> {
        Self::restore_by(source, partition, make, ChainReader::without_digest)
    }

    fn restore_by(
        source: &Source,
        partition: u32,
        make: impl Fn() -> T,
        rule: fn(Option<Cursor>) -> ChainReader,
    ) -> Result<Self, FoldError> {
        let started = Instant::now();
        let facts = TopicPartition::new(source.facts.clone(), partition);
        let high = source.log.watermarks(&facts)?.high;
        let restored = newest_snapshot(source, partition, &make, high)?;
        let (topology, from) = match restored {
            Some((topology, position)) => (topology, Some(position)),
            None => (make(), None),
        };
        let mut follower = Follower::open(
            &*source.log,
            &facts,
            from,
            source.clock.clone(),
            source.metrics.follower(source.topology),
        )?;
        follower.set_chain(rule(from.map(|position| position.cursor)));
        let mut standby = Self {
            source: source.clone(),
            partition,
            fold: Fold::new(topology, source.log.describe(&source.commands)?.id),
            follower,
            buffer: Vec::new(),
        };
        if let Some(position) = from.filter(|position| position.offset == high) {
            standby.check_last(position)?;
        }
        let start = from.map_or(0, |position| position.offset);
        let remaining = source.metrics.restoring(source.topology, partition);
        let folded = standby.catch_up_showing(high, &remaining);
        remaining.set(0);
        folded?;
        let seconds = started.elapsed().as_secs_f64();
        source.metrics.restore_seconds.observe(seconds);
        tracing::info!(
            kafka.partition = partition,
            facts = standby.follower.offset() - start,
            from_snapshot = from.is_some(),
            duration_ms = (seconds * 1000.0) as u64,
            "restored {} from offset {start}",
            facts
        );
        Ok(standby)
    }

    /// Where a snapshot leaves nothing to fold, reads the last link all the same: whoever cannot read facts,
    /// with the registry of somebody else for example, is refused here, and not after it took over.
    fn check_last(&self, position: Position) -> Result<(), FoldError> {
        let Some(offset) = position.offset.checked_sub(1) else { return Ok(()) };
        let partition = self.follower.partition();
        let last = read_one(&*self.source.log, partition, offset, LINK_WAIT)?;
        // Behind it there may be records that do not count, of programs that are not known here.
        let Some(last) = last.filter(|record| is_last(record, &position.cursor)) else {
            return Ok(());
        };
        let value = last.value.as_deref().unwrap_or_default();
        let checked = self.fold.topology.check(value);
        checked.map_err(|error| unreadable(partition.clone(), offset, error))
    }

    /// A fold of nothing, at the beginning of the facts: for tools that stop on the way.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn empty(source: &Source, partition: u32, topology: T) -> Result<Self, FoldError> {
        let facts = TopicPartition::new(source.facts.clone(), partition);
        let metrics = source.metrics.follower(source.topology);
        let clock = source.clock.clone();
        Ok(Self {
            follower: Follower::open(&*source.log, &facts, None, clock, metrics)?,
            source: source.clone(),
            partition,
            fold: Fold::new(topology, source.log.describe(&source.commands)?.id),
            buffer: Vec::new(),
        })
    }

    /// Folds everything up to `high`.
    ///
    /// # Errors
    /// As [`Standby::restore`].
    pub fn catch_up(&mut self, high: u64) -> Result<(), FoldError> {
        self.catch_up_showing(high, &Gauge::default())
    }

    fn catch_up_showing(&mut self, high: u64, remaining: &Gauge) -> Result<(), FoldError> {
        self.check_fold()?;
        let Self { follower, fold, .. } = self;
        read_up_to(follower, high, |left, links| {
            remaining.set(i64::try_from(left).unwrap_or(i64::MAX));
            fold.take(links)
        })?;
        self.check_fold()
    }

    /// Waits up to `timeout` for facts and folds them. Returns how many records were read.
    ///
    /// # Errors
    /// As [`Standby::restore`].
    pub fn poll(&mut self, limit: PollLimit, timeout: Duration) -> Result<usize, FoldError> {
        self.check_fold()?;
        self.buffer.clear();
        let followed = self.follower.poll(limit, timeout, &mut self.buffer)?;
        self.fold.take(self.buffer.drain(..));
        self.check_fold()?;
        Ok(followed.records)
    }

    fn check_fold(&self) -> Result<(), FoldError> {
        self.fold.check(self.follower.partition())
    }

    /// Whether the command topic is still the one that the facts were decided from.
    pub(crate) fn check_commands(&self) -> Result<(), FoldError> {
        if self.source.log.describe(&self.source.commands)?.id == self.fold.command_topic_id {
            return Ok(());
        }
        Err(FoldError::OtherCommands { partition: self.follower.partition().clone() })
    }

    /// Writes a snapshot of what is folded. `None` when there is nothing to write, or nowhere.
    ///
    /// # Errors
    /// When the store refuses it.
    pub fn take_snapshot(&mut self) -> Result<Option<String>, FoldError> {
        self.check_fold()?;
        let (Some(store), Some(position)) = (&self.source.snapshots, self.follower.position())
        else {
            return Ok(None);
        };
        let state = self.fold.topology.encode_state();
        let description = Description {
            topology: self.source.topology.to_owned(),
            fold_version: self.fold.topology.fold_version(),
            command_topic_id: self.fold.command_topic_id.clone(),
            fact_topic_id: self.source.log.describe(&self.source.facts)?.id,
            partition: self.partition,
            fact_offset: position.offset,
            cursor: position.cursor.to_text(),
            taken_at_ms: self.source.clock.now_ms(),
            state_bytes: state.len() as u64,
        };
        let name = store.put(&description, &state)?;
        self.fold.links_since_snapshot = 0;
        Ok(Some(name))
    }

    /// Links folded since the restore or the last snapshot.
    pub const fn links_since_snapshot(&self) -> u64 {
        self.fold.links_since_snapshot
    }

    /// Where the fold stands; `None` before the chain's genesis.
    pub fn position(&self) -> Option<Position> {
        self.follower.position()
    }

    /// Whether links are missing (see [`Follower::is_stuck`]).
    pub fn is_stuck(&self) -> bool {
        self.follower.is_stuck()
    }

    /// The folded state.
    pub const fn topology(&self) -> &T {
        &self.fold.topology
    }

    pub(crate) const fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) const fn partition(&self) -> u32 {
        self.partition
    }

    pub(crate) fn into_topology(self) -> T {
        self.fold.topology
    }
}

/// The newest snapshot that is good, of this fold, and not beyond the log's end.
fn newest_snapshot<T: Topology>(
    source: &Source,
    partition: u32,
    make: &impl Fn() -> T,
    high: u64,
) -> Result<Option<(T, Position)>, FoldError> {
    let Some(store) = &source.snapshots else {
        return Ok(None);
    };
    let listed = match store.list(source.topology, partition) {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "the snapshot store cannot be read; folding all facts: {error}");
            return Ok(None);
        }
    };
    let command_topic_id = source.log.describe(&source.commands)?.id;
    let fact_topic_id = source.log.describe(&source.facts)?.id;
    for candidate in listed {
        let name = &candidate.name;
        let skip = |reason: &str| {
            tracing::warn!(snapshot = %name, reason, "snapshot {name} is skipped: {reason}");
        };
        let (description, state) = match store.get(name) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                skip(&error.to_string());
                continue;
            }
        };
        let mut topology = make();
        let is_ours = description.topology == source.topology
            && description.partition == partition
            && description.command_topic_id == command_topic_id
            && description.fact_topic_id == fact_topic_id;
        let position = description.position();
        match position {
            _ if !is_ours => skip("it is of other topics, or of another partition"),
            _ if description.fold_version != topology.fold_version() => {
                skip("it is of another version of the fold");
            }
            Some(position) if position.offset > high => skip("it lies beyond the end of the log"),
            None => skip("its cursor cannot be read"),
            Some(position) => match topology.decode_state(&state) {
                Ok(()) => return Ok(Some((topology, position))),
                Err(error) => skip(&error.to_string()),
            },
        }
    }
    Ok(None)
}
