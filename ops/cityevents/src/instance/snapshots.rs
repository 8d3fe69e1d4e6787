//! Takes snapshots off the way of a join: a fold of its own is restored from the last snapshot,
//! follows the facts that came since, is written, and is let go. Workers never stop for it.

use std::time::{Duration, Instant};

use cityevents_kit::Shutdown;
use cityevents_processors::registration::Registration;
use cityevents_runtime::log::TopicPartition;
use cityevents_runtime::standby::{FoldError, Source, Standby};

/// How often somebody looks whether a snapshot is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
}

/// Takes snapshots of all partitions until the shutdown.
pub fn run(source: &Source, partitions: u32, schedule: Schedule, shutdown: &Shutdown) {
    let mut last: Vec<Last> = (0..partitions)
        .map(|partition| Last { fact_offset: newest_offset(source, partition), at: Instant::now() })
        .collect();
    while !shutdown.wait_timeout(LOOK_EVERY) {
        for partition in 0..partitions {
            let known = &mut last[partition as usize];
            let facts = TopicPartition::new(source.facts.clone(), partition);
            let Ok(marks) = source.log.watermarks(&facts) else { continue };
            let new_facts = marks.high.saturating_sub(known.fact_offset);
            let is_due = new_facts >= schedule.every_facts
                || (new_facts > 0 && known.at.elapsed() >= schedule.every);
            if !is_due || shutdown.is_triggered() {
                continue;
            }
            *known = Last { fact_offset: marks.high, at: Instant::now() };
            match take(source, partition) {
                Ok(Some(name)) => {
                    tracing::info!(kafka.partition = partition, "took snapshot {name}");
                }
                Ok(None) => {}
                Err(error) => {
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
