//! Takes snapshots off the way of a join: a fold of its own is restored from the last snapshot,
//! follows the facts that came since, is written, and is let go. Workers never stop for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cityevents_kit::Shutdown;
use cityevents_processors::registration::Registration;
use cityevents_runtime::host::Partitions;
use cityevents_runtime::log::TopicPartition;
use cityevents_runtime::snapshot::SnapshotStore;
use cityevents_runtime::standby::{FoldError, Source, Standby};

/// How often somebody looks whether a snapshot is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After a snapshot that could not be taken, the next attempt comes so much later.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// When a snapshot of a partition is due.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// After so many facts.
    pub every_facts: u64,
    /// After so much time, if there was a fact.
    pub every: Duration,
}

struct Last {
    fact_offset: u64,
    at: Instant,
    failed_at: Option<Instant>,
}

/// Takes snapshots of the partitions that are ours until the shutdown.
pub fn run(source: &Source, ours: &Partitions, schedule: Schedule, shutdown: &Shutdown) {
    let mut last: BTreeMap<u32, Last> = BTreeMap::new();
    while !shutdown.wait_timeout(LOOK_EVERY) {
        let running = ours.running();
        // Who had a partition meanwhile took its snapshots.
        last.retain(|partition, _| running.contains(partition));
        for partition in running {
            let known = last.entry(partition).or_insert_with(|| Last {
                fact_offset: newest_offset(source, partition),
                at: Instant::now(),
                failed_at: None,
            });
            let facts = TopicPartition::new(source.facts.clone(), partition);
            let Ok(marks) = source.log.watermarks(&facts) else { continue };
            let new_facts = marks.high.saturating_sub(known.fact_offset);
            let is_due = new_facts >= schedule.every_facts
                || (new_facts > 0 && known.at.elapsed() >= schedule.every);
            let waits = known.failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER);
            if !is_due || waits || shutdown.is_triggered() {
                continue;
            }
            let taken = Last { fact_offset: marks.high, at: Instant::now(), failed_at: None };
            match take(source, partition) {
                Ok(Some(name)) => {
                    *known = taken;
                    tracing::info!(kafka.partition = partition, "took snapshot {name}");
                }
                Ok(None) => *known = taken,
                Err(error) => {
                    known.failed_at = Some(Instant::now());
                    tracing::warn!(%error, kafka.partition = partition, "no snapshot: {error}");
                }
            }
        }
    }
}

/// Takes a snapshot of one partition now. `None` when it has no facts.
///
/// # Errors
/// When the facts cannot be folded or the store refuses.
pub fn take(source: &Source, partition: u32) -> Result<Option<String>, FoldError> {
    // Before everything is folded for nothing.
    source.snapshots.as_ref().map_or(Ok(()), SnapshotStore::check)?;
    Standby::restore(source, partition, Registration::default)?.take_snapshot()
}

/// Where the newest snapshot of these facts stands. One that lies beyond their end is of others.
fn newest_offset(source: &Source, partition: u32) -> u64 {
    let facts = TopicPartition::new(source.facts.clone(), partition);
    let high = source.log.watermarks(&facts).map_or(0, |marks| marks.high);
    let listed =
        source.snapshots.as_ref().and_then(|store| store.list(source.topology, partition).ok());
    let offsets = listed.into_iter().flatten().map(|snapshot| snapshot.fact_offset);
    offsets.filter(|offset| *offset <= high).max().unwrap_or(0)
}
