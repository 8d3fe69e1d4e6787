//! Whether the new topics say of every event what the old ones say.

use std::collections::BTreeMap;

use cityevents_domain::ids::EventId;
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::TopicPartition;
use cityevents_runtime::standby::{Source, Standby};
use serde::{Deserialize, Serialize};

use super::Target;
use super::new::scan;
use crate::registration::Registration;
use crate::replay::NAME;

/// Events of a partition that are told.
const TOLD_MAX: usize = 10;

/// What came of one new partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedFacts {
    /// Which.
    pub partition: u32,
    /// Facts that were carried into it.
    pub facts: u64,
    /// Events in it.
    pub events: u64,
    /// Events whose state is another one, or that the old topics do not have there.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Unequal>,
    /// Events that are in no new partition; told with the first one.
    pub missing: u64,
}

impl ComparedFacts {
    /// Whether nothing differs.
    pub const fn is_same(&self) -> bool {
        self.differing == 0 && self.missing == 0
    }
}

/// An event whose state is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unequal {
    /// Which.
    pub event: String,
    /// Hash of its state by the old facts, if it has one.
    pub old: Option<String>,
    /// By the new ones, if it is there.
    pub new: Option<String>,
}

/// Folds both and compares the state of each event: of the old topics as far as they are carried, of the
/// new ones without what was decided there. `progress` hears of partitions done, of how many.
///
/// # Errors
/// When the log cannot be read.
pub fn compare(
    source: &Source,
    target: &Target,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<ComparedFacts>, TaskError> {
    let source = Source { topology: NAME, ..source.clone() };
    let partitions = source.log.describe(&source.facts)?.spec.partitions;
    let count = source.log.describe(&target.facts)?.spec.partitions;
    let (mut done, all) = (0, u64::from(partitions) + 2 * u64::from(count));
    let mut step = || {
        done += 1;
        progress(done, all);
    };
    let mut scanned = Vec::new();
    for partition in 0..count {
        let place = TopicPartition::new(target.facts.clone(), partition);
        scanned.push(scan(&source, &place, partitions)?);
        step();
    }
    let mut states = BTreeMap::new();
    for partition in 0..partitions {
        let known = scanned.iter().filter_map(|one| one.known[partition as usize]);
        let end = known.max().map_or(0, |last| last + 1);
        states.extend(hashes(&source, partition, end)?);
        step();
    }
    let new =
        Source { commands: target.commands.clone(), facts: target.facts.clone(), ..source.clone() };
    let mut compared = Vec::new();
    for (partition, one) in (0..count).zip(&scanned) {
        let mut told = ComparedFacts {
            partition,
            facts: one.facts,
            events: 0,
            differing: 0,
            differences: Vec::new(),
            missing: 0,
        };
        for (event, new) in hashes(&new, partition, one.end)? {
            told.events += 1;
            tell(&mut told, event, states.remove(&event), Some(new));
        }
        compared.push(told);
        step();
    }
    if let Some(first) = compared.first_mut() {
        first.missing = states.len() as u64;
        for (event, old) in states {
            tell(first, event, Some(old), None);
        }
    }
    Ok(compared)
}

fn tell(told: &mut ComparedFacts, event: EventId, old: Option<Hash>, new: Option<Hash>) {
    if old == new {
        return;
    }
    told.differing += u64::from(new.is_some());
    if told.differences.len() < TOLD_MAX {
        let text = |hash: Option<Hash>| hash.map(|hash| blake3::Hash::from(hash).to_string());
        let (old, new) = (text(old), text(new));
        told.differences.push(Unequal { event: event.to_string(), old, new });
    }
}

type Hash = [u8; 32];

/// The state of every event of a partition, by its facts up to an offset.
fn hashes(source: &Source, partition: u32, end: u64) -> Result<Vec<(EventId, Hash)>, TaskError> {
    let mut fold = Standby::empty(source, partition, Registration::default())?;
    fold.catch_up(end)?;
    let state = fold.topology().state();
    let ids = state.iter().map(|slot| slot.id());
    Ok(ids.filter_map(|id| Some((id, state.event_hash(&id)?))).collect())
}
