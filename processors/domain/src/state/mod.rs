//! The state of one partition: a fold over its facts, and nothing else.

mod apply;
mod dedup;
mod event;
mod hash;
mod index;
mod line;
mod registrations;
mod snapshot;
mod warm;

use std::collections::BTreeSet;

pub use self::dedup::{Dedup, Remembered, WINDOW};
pub use self::event::{Bans, EventState, Stub};
use self::index::Index;
pub use self::line::Line;
pub use self::registrations::{Entry, Registrations, Standing};
pub use self::snapshot::{FORMAT, SnapshotError};
use crate::ids::EventId;
use crate::time::Timestamp;

/// Raised with any change of what `apply` makes of a fact: snapshots of another version are not
/// read, and the facts are folded again.
pub const FOLD_VERSION: u32 = 1;

/// An event, or what is left of it.
#[derive(Debug, Clone)]
pub enum Slot {
    /// Can still change.
    Open(Box<EventState>),
    /// Is over.
    Closed(Stub),
}

impl Slot {
    /// Whose slot.
    pub fn id(&self) -> EventId {
        match self {
            Self::Open(state) => state.event().id,
            Self::Closed(stub) => stub.id,
        }
    }
}

/// What the registrations of a partition take on the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Registrations of open events, the left and removed ones too.
    pub registrations: u64,
    /// Bytes of their entries and indexes.
    pub registration_bytes: usize,
    /// People in a line.
    pub waiting: u64,
    /// Bytes of the lines.
    pub line_bytes: usize,
}

/// Everything that decisions of one partition need.
#[derive(Debug, Clone)]
pub struct Partition {
    /// In the order of creation.
    slots: Vec<Slot>,
    index: Index,
    timers: BTreeSet<(Timestamp, u32)>,
    dedup: Dedup,
    log_time: Timestamp,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            index: Index::default(),
            timers: BTreeSet::new(),
            dedup: Dedup::default(),
            log_time: Timestamp::MIN,
        }
    }
}

impl Partition {
    /// The time of the last fact.
    pub const fn log_time(&self) -> Timestamp {
        self.log_time
    }

    /// The remembered commands.
    pub const fn dedup(&self) -> &Dedup {
        &self.dedup
    }

    /// How many events there are, and were.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there never was an event.
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All events in the order of creation.
    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// An event.
    pub fn find(&self, event: &EventId) -> Option<&Slot> {
        self.slots.get(self.slot_of(event)? as usize)
    }

    /// An event that can still change.
    pub fn open(&self, event: &EventId) -> Option<&EventState> {
        match self.find(event)? {
            Slot::Open(state) => Some(state),
            Slot::Closed(_) => None,
        }
    }

    /// Events with a deadline at or before `now`, the earliest first: event, number of its last
    /// fact, deadline. The caller's clock only chooses when to ask; what happens then is decided
    /// by log time.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = (EventId, u64, Timestamp)> {
        let due = self.timers.iter().take_while(move |(deadline, _)| *deadline <= now);
        due.filter_map(|(deadline, slot)| match self.slots.get(*slot as usize)? {
            Slot::Open(state) => Some((state.event().id, state.seq(), *deadline)),
            Slot::Closed(_) => None,
        })
    }

    /// What the state of open events takes, by looking at each: for metrics and measurements, not
    /// for the way of a command.
    pub fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        for slot in &self.slots {
            if let Slot::Open(state) = slot {
                memory.registrations += state.registrations().len() as u64;
                memory.registration_bytes += state.registrations().heap_bytes();
                memory.waiting += u64::from(state.line().len());
                memory.line_bytes += state.line().heap_bytes();
            }
        }
        memory
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first().map(|(deadline, _)| *deadline)
    }

    fn slot_of(&self, event: &EventId) -> Option<u32> {
        self.index.find(hash::fold(event.as_bytes()), |slot| {
            self.slots.get(slot as usize).is_some_and(|known| known.id() == *event)
        })
    }

    fn push_slot(&mut self, slot: Slot) -> u32 {
        let number = self.slots.len() as u32;
        let hash = hash::fold(slot.id().as_bytes());
        self.slots.push(slot);
        self.index.insert(hash, number);
        number
    }
}
