//! Fenced writers: batches that count as a whole or not at all, and only from the newest holder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::group::check_metadata;
use super::network::BatchFate;
use super::storage::Fate;
use super::{Shared, State};
use crate::log::{Committed, FencedBatch, FencedWriter, LogError, LogErrorKind, TopicPartition};

/// All writer identities that were ever taken.
#[derive(Default)]
pub(super) struct Writers {
    identities: BTreeMap<String, Identity>,
    batches: u64,
}

#[derive(Default)]
struct Identity {
    epoch: u64,
    in_doubt: Option<InDoubt>,
}

/// A batch that is written and not decided.
struct InDoubt {
    batch: u64,
    places: BTreeSet<TopicPartition>,
    group: String,
    progress: Vec<(TopicPartition, Committed)>,
}

impl State {
    /// The new holder's epoch. What the one before left undecided is decided first.
    pub(super) fn take_identity(&mut self, identity: &str) -> u64 {
        self.decide_in_doubt(identity);
        let holder = self.writers.identities.entry(identity.to_owned()).or_default();
        holder.epoch += 1;
        holder.epoch
    }

    /// Identities with a batch in doubt.
    pub(super) fn identities_in_doubt(&self) -> Vec<String> {
        let in_doubt =
            |(name, holder): (&String, &Identity)| holder.in_doubt.is_some().then(|| name.clone());
        self.writers.identities.iter().filter_map(in_doubt).collect()
    }

    /// Decides the batch that an identity has in doubt, if there is one, by chance.
    pub(super) fn decide_in_doubt(&mut self, identity: &str) {
        let holder = self.writers.identities.get_mut(identity);
        let Some(in_doubt) = holder.and_then(|holder| holder.in_doubt.take()) else {
            return;
        };
        let counts = self.chance(|_| 0.5);
        self.decide(in_doubt, counts);
    }

    pub(super) fn decide_in_doubt_as(&mut self, identity: &str, counts: bool) {
        let holder = self.writers.identities.get_mut(identity);
        if let Some(in_doubt) = holder.and_then(|holder| holder.in_doubt.take()) {
            self.decide(in_doubt, counts);
        }
    }

    fn decide(&mut self, in_doubt: InDoubt, counts: bool) {
        let InDoubt { batch, places, group, progress } = in_doubt;
        for place in &places {
            self.storage.decide(place, batch, counts);
        }
        if counts && !progress.is_empty() {
            self.groups.entry(group).or_default().commit(progress);
        }
    }

    fn write(
        &mut self,
        identity: &str,
        epoch: u64,
        batch: FencedBatch,
        now_ms: i64,
    ) -> Result<(), LogError> {
        if self.writers.identities.get(identity).map_or(0, |holder| holder.epoch) != epoch {
            let message = format!("a newer holder took the identity {identity}, give up");
            return Err(LogError::new(LogErrorKind::Fenced, message));
        }
        for (place, record) in &batch.records {
            self.storage.check(place, [record])?;
        }
        for (place, _) in &batch.progress {
            self.storage.partition(place)?;
        }
        check_metadata(&batch.progress)?;

        let fate = self.simulation.as_mut().map_or(BatchFate::Counts, |it| it.batch_fate());
        if fate == BatchFate::Lost {
            return Err(failed(identity));
        }
        self.writers.batches += 1;
        let number = self.writers.batches;
        let places: BTreeSet<_> = batch.records.iter().map(|(place, _)| place.clone()).collect();
        for (place, record) in batch.records {
            self.storage.append(&place, [record], now_ms, Fate::Open(number))?;
        }
        for place in &places {
            if self.chance(|faults| faults.fenced_mark) {
                self.storage.mark(place);
            }
        }
        let FencedBatch { group, progress, .. } = batch;
        let in_doubt = InDoubt { batch: number, places, group, progress };
        match fate {
            BatchFate::Counts => {
                self.decide(in_doubt, true);
                return Ok(());
            }
            BatchFate::InDoubt => {
                let holder = self.writers.identities.entry(identity.to_owned()).or_default();
                holder.in_doubt = Some(in_doubt);
            }
            BatchFate::Aborted | BatchFate::Lost => self.decide(in_doubt, false),
        }
        Err(failed(identity))
    }
}

fn failed(identity: &str) -> LogError {
    let message = format!(
        "a batch of {identity} may count or not: take the identity again and read the progress"
    );
    LogError::new(LogErrorKind::TimedOut, message)
}

/// A fenced writer of a [`super::MemoryLog`].
pub(super) struct MemoryFencedWriter {
    shared: Arc<Shared>,
    identity: String,
    epoch: u64,
    broken: Option<LogError>,
}

impl MemoryFencedWriter {
    pub(super) fn new(shared: Arc<Shared>, identity: &str, epoch: u64) -> Self {
        Self { shared, identity: identity.to_owned(), epoch, broken: None }
    }
}

impl FencedWriter for MemoryFencedWriter {
    fn write(&mut self, batch: FencedBatch) -> Result<(), LogError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let now_ms = self.shared.clock.now_ms();
        let written = self.shared.change().write(&self.identity, self.epoch, batch, now_ms);
        self.broken = written.as_ref().err().cloned();
        written
    }
}
