//! The promises, as predicates. The same ones serve unit tests, model tests, the simulator and a
//! counter in production.

use std::fmt;

use crate::event::{Capacity, Counters};
use crate::fact::{Change, Fact};
use crate::ids::EventId;
use crate::state::{EventState, Partition, Slot, Standing};

/// The promises that the state itself can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// INV-1.
    WithinCapacity,
    /// INV-2.
    OneRegistration,
    /// INV-3.
    FirstInFirstOut,
    /// INV-4.
    NobodyWaitsInVain,
    /// INV-5.
    CountersAddUp,
    /// INV-6.
    SequenceWithoutGap,
    /// INV-7.
    KeptOut,
    /// INV-8.
    OneFactPerCommand,
    /// INV-9.
    SameFold,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::WithinCapacity,
        Self::OneRegistration,
        Self::FirstInFirstOut,
        Self::NobodyWaitsInVain,
        Self::CountersAddUp,
        Self::SequenceWithoutGap,
        Self::KeptOut,
        Self::OneFactPerCommand,
        Self::SameFold,
    ];

    /// Its stable name.
    pub const fn id(self) -> &'static str {
        match self {
            Self::WithinCapacity => "INV-1",
            Self::OneRegistration => "INV-2",
            Self::FirstInFirstOut => "INV-3",
            Self::NobodyWaitsInVain => "INV-4",
            Self::CountersAddUp => "INV-5",
            Self::SequenceWithoutGap => "INV-6",
            Self::KeptOut => "INV-7",
            Self::OneFactPerCommand => "INV-8",
            Self::SameFold => "INV-9",
        }
    }

    /// The promise in one sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::WithinCapacity => {
                "no more people have a place than there are places, unless the capacity was \
                 lowered below them, and then nobody gets one until there is room again"
            }
            Self::OneRegistration => "a user has at most one registration per event",
            Self::FirstInFirstOut => {
                "the waiting line is in the order of the join commands in the log, and a \
                 promotion takes its head"
            }
            Self::NobodyWaitsInVain => {
                "somebody waits only while there is no free place or a promotion step is due"
            }
            Self::CountersAddUp => "the counters equal what the registrations add up to",
            Self::SequenceWithoutGap => "every fact raises the event's sequence by exactly one",
            Self::KeptOut => "a banned or removed user has neither a place nor waits for one",
            Self::OneFactPerCommand => "a command id has at most one fact",
            Self::SameFold => {
                "the fold of the facts is the same state however they are split, restored or \
                 replayed"
            }
        }
    }
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub invariant: Invariant,
    /// Of which event.
    pub event: EventId,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, sentence) = (self.invariant.id(), self.invariant.sentence());
        write!(formatter, "{id} broken for event {}: {} ({sentence})", self.event, self.seen)
    }
}

impl std::error::Error for Breach {}

/// What one fact may do to one event, in constant time: for production, before `apply`.
///
/// # Errors
/// The first broken promise.
pub fn check_fact(partition: &Partition, fact: &Fact) -> Result<(), Breach> {
    let breach = |invariant, seen| Err(Breach { invariant, event: fact.event, seen });
    let slot = partition.find(&fact.event);
    let (seq, before) = match slot {
        Some(Slot::Open(state)) => (state.seq(), Some(state)),
        Some(Slot::Closed(stub)) => (stub.seq, None),
        None => (0, None),
    };
    if fact.event_seq != seq + 1 {
        let seen = format!("fact {} follows {seq}", fact.event_seq);
        return breach(Invariant::SequenceWithoutGap, seen);
    }
    if partition.dedup().contains(&fact.command, fact.at) {
        let seen = format!("command {} has a second fact", fact.command);
        return breach(Invariant::OneFactPerCommand, seen);
    }
    if let Some(state) = before {
        let (old, new) = (state.counters(), fact.counters);
        let after = fact.changes.iter().rev().find_map(|change| match change {
            Change::Event { event, .. } => Some(event.fields.capacity),
            _ => None,
        });
        let capacity = after.unwrap_or(state.event().fields.capacity);
        if new.active > old.active && exceeds(capacity, new) {
            let seen = format!("{} people have a place of {}", new.active, capacity.to_wire());
            return breach(Invariant::WithinCapacity, seen);
        }
    }
    Ok(())
}

/// All that the state of one event must hold, by looking at everything: for tests and audits.
///
/// # Errors
/// The first broken promise.
pub fn check_event(state: &EventState) -> Result<(), Breach> {
    let event = state.event();
    let breach = |invariant, seen| Err(Breach { invariant, event: event.id, seen });
    let mut counted = Counters::default();
    let mut users = std::collections::BTreeSet::new();
    for entry in state.registrations().iter() {
        counted.active += u32::from(entry.standing() == Standing::Active);
        counted.waiting += u32::from(entry.standing() == Standing::Waitlisted);
        counted.checked_in += u32::from(entry.is_checked_in());
        if !users.insert(entry.user()) {
            return breach(Invariant::OneRegistration, format!("user {} twice", entry.user()));
        }
        if (entry.standing() == Standing::Waitlisted) != entry.ticket().is_some() {
            let seen = format!("user {} waits without a ticket or has one", entry.user());
            return breach(Invariant::FirstInFirstOut, seen);
        }
    }
    if counted != state.counters() {
        let seen = format!("counted {counted:?}, kept {:?}", state.counters());
        return breach(Invariant::CountersAddUp, seen);
    }
    if state.line().len() != counted.waiting {
        let seen = format!("{} in the line, {} waiting", state.line().len(), counted.waiting);
        return breach(Invariant::CountersAddUp, seen);
    }
    let mut last = None;
    for (ticket, slot) in state.line().iter() {
        let holder = state.registrations().at(slot).and_then(|entry| entry.ticket());
        if holder != Some(ticket) || last.is_some_and(|last| last >= ticket) {
            let seen = format!("ticket {ticket} is out of order or of nobody");
            return breach(Invariant::FirstInFirstOut, seen);
        }
        last = Some(ticket);
    }
    if state.has_step() != state.step_due().is_some() {
        let seen = format!("{counted:?}, step due {:?}", state.step_due());
        return breach(Invariant::NobodyWaitsInVain, seen);
    }
    let kept_out = state.bans().into_iter().flat_map(|bans| bans.iter()).find(|ban| {
        let entry = state.registrations().find(&ban.user).map(|(_, entry)| entry);
        // One whose ban ran out may have joined again before a tick took the ban away.
        entry.is_some_and(|entry| {
            entry.standing().is_living()
                && ban.expires_at.is_none_or(|expiry| entry.row().joined_at < expiry)
        })
    });
    if let Some(ban) = kept_out {
        return breach(Invariant::KeptOut, format!("user {} is banned and in", ban.user));
    }
    Ok(())
}

/// Whether more people have a place than there are.
pub fn exceeds(capacity: Capacity, counters: Counters) -> bool {
    match capacity {
        Capacity::Unlimited => false,
        Capacity::Limited(places) => counters.active > places,
    }
}

/// [`check_event`] for every event that can still change.
///
/// # Errors
/// The first broken promise.
pub fn check_partition(partition: &Partition) -> Result<(), Breach> {
    for slot in partition.iter() {
        if let Slot::Open(state) = slot {
            check_event(state)?;
        }
    }
    Ok(())
}
