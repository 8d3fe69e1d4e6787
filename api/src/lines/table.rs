//! All events, in shards with a lock each: a thread that folds and many that ask seldom meet.

use std::collections::HashMap;

use cityevents_domain::event::Counters;
use cityevents_domain::fact::{Change, EventCause, Fact};
use cityevents_domain::ids::EventId;
use parking_lot::RwLock;

use super::LinesMemory;
use super::event::EventLine;

/// A power of two, well above the number of threads that fold.
const SHARDS: usize = 64;

/// The events by id.
#[derive(Debug)]
pub(super) struct Table {
    shards: Vec<RwLock<Shard>>,
}

#[derive(Debug, Default)]
struct Shard {
    events: HashMap<EventId, EventLine>,
    /// What is left of events that have ended: lists go on showing how many came.
    ended: HashMap<EventId, Ended>,
}

#[derive(Debug)]
struct Ended {
    partition: u32,
    counters: Counters,
}

impl Default for Table {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Table {
    /// Asks something of an event that is not over.
    pub(super) fn read<T>(&self, event: &EventId, ask: impl FnOnce(&EventLine) -> T) -> Option<T> {
        self.shard(event)?.read().events.get(event).map(ask)
    }

    /// What the registrations of an event that has ended added up to.
    pub(super) fn last_counters(&self, event: &EventId) -> Option<Counters> {
        self.shard(event)?.read().ended.get(event).map(|ended| ended.counters)
    }

    /// Folds a fact that counts.
    pub(super) fn apply(&self, partition: u32, fact: &Fact) {
        let Some(shard) = self.shard(&fact.event) else {
            return;
        };
        let mut shard = shard.write();
        let Shard { events, ended } = &mut *shard;
        if is_first(fact) {
            events.insert(fact.event, EventLine::new(partition));
        }
        let Some(event) = events.get_mut(&fact.event) else {
            if let Some(ended) = ended.get_mut(&fact.event) {
                ended.counters = fact.counters;
            }
            return;
        };
        if event.apply(fact) {
            if event.has_ended() {
                ended.insert(fact.event, Ended { partition, counters: fact.counters });
            }
            events.remove(&fact.event);
        }
    }

    /// Forgets what a partition told: it is read anew.
    pub(super) fn forget(&self, partition: u32) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.events.retain(|_, event| event.partition() != partition);
            shard.ended.retain(|_, event| event.partition != partition);
        }
    }

    /// See [`super::Lines::memory`].
    pub(super) fn memory(&self) -> LinesMemory {
        let mut memory = LinesMemory::default();
        for shard in &self.shards {
            let events = &shard.read().events;
            memory.events += events.len() as u64;
            for event in events.values() {
                memory.waiting += u64::from(event.waiting());
                memory.line_bytes += event.line_bytes();
            }
        }
        memory
    }

    fn shard(&self, event: &EventId) -> Option<&RwLock<Shard>> {
        // The last byte of an id is as good as chance; the version bits stand further left.
        let [.., last] = event.as_bytes();
        self.shards.get(usize::from(*last) % SHARDS)
    }
}

fn is_first(fact: &Fact) -> bool {
    fact.changes
        .iter()
        .any(|change| matches!(change, Change::Event { cause: EventCause::Created, .. }))
}
