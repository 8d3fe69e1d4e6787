//! The registrations of one event, made for millions: 48 bytes an entry and a few for the index.
//!
//! Entries lie in the order of first joining and never move, so iteration is the same on every
//! machine. A small event is searched from end to end; a larger one has an index by user.

use super::hash::fold;
use super::index::Index;
use crate::ids::UserId;
use crate::registration::{Registration, RegistrationStatus};
use crate::time::Timestamp;

/// Up to here a linear search is faster than an index, and a million small events stay small.
const LINEAR_SEARCH_MAX: usize = 8;
/// Stands for "no ticket".
const NO_TICKET: u32 = u32::MAX;
/// Stands for "not checked in".
const NO_TIME: Timestamp = Timestamp::MIN;

/// Where somebody stands, with the two ways of being kept out told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// Has a place.
    Active,
    /// In the line.
    Waitlisted,
    /// Left.
    Canceled,
    /// Removed; kept out until lifted.
    Kicked,
    /// Removed by a ban; kept out as long as the ban lives.
    Banned,
    /// The event was canceled.
    Expired,
}

impl Standing {
    pub(super) const ALL: [Self; 6] =
        [Self::Active, Self::Waitlisted, Self::Canceled, Self::Kicked, Self::Banned, Self::Expired];

    /// What the log calls it.
    pub const fn status(self) -> RegistrationStatus {
        match self {
            Self::Active => RegistrationStatus::Active,
            Self::Waitlisted => RegistrationStatus::Waitlisted,
            Self::Canceled => RegistrationStatus::Canceled,
            Self::Kicked | Self::Banned => RegistrationStatus::Rejected,
            Self::Expired => RegistrationStatus::Expired,
        }
    }

    /// Whether the person has a place or waits for one.
    pub const fn is_living(self) -> bool {
        matches!(self, Self::Active | Self::Waitlisted)
    }
}

/// One registration, densely.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub(super) user: UserId,
    pub(super) joined_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) checked_in_at: Timestamp,
    pub(super) ticket: u32,
    pub(super) standing: Standing,
}

impl Entry {
    pub(super) fn new(row: &Registration, standing: Standing) -> Self {
        Self {
            user: row.user,
            joined_at: row.joined_at,
            updated_at: row.updated_at,
            checked_in_at: row.checked_in_at.unwrap_or(NO_TIME),
            ticket: row.ticket.unwrap_or(NO_TICKET),
            standing,
        }
    }

    /// Whose.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// Where the person stands.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// The number drawn on entering the line, while waiting.
    pub fn ticket(&self) -> Option<u32> {
        (self.ticket != NO_TICKET).then_some(self.ticket)
    }

    /// When the person came through the door.
    pub fn checked_in_at(&self) -> Option<Timestamp> {
        (self.checked_in_at != NO_TIME).then_some(self.checked_in_at)
    }

    /// Whether the person has a place and came through the door.
    pub fn is_checked_in(&self) -> bool {
        self.standing == Standing::Active && self.checked_in_at != NO_TIME
    }

    /// The row that the log tells.
    pub fn row(&self) -> Registration {
        Registration {
            user: self.user,
            status: self.standing.status(),
            joined_at: self.joined_at,
            updated_at: self.updated_at,
            ticket: self.ticket(),
            checked_in_at: self.checked_in_at(),
        }
    }
}

/// All registrations of one event.
#[derive(Debug, Clone, Default)]
pub struct Registrations {
    entries: Vec<Entry>,
    index: Index,
}

impl Registrations {
    /// With room for `count`.
    pub(super) fn with_capacity(count: usize) -> Self {
        let indexed = if count > LINEAR_SEARCH_MAX { count } else { 0 };
        Self { entries: Vec::with_capacity(count), index: Index::with_capacity(indexed) }
    }

    /// How many people ever registered.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody ever registered.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// In the order of first joining.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The entry at a place in that order.
    pub fn at(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize)
    }

    /// The registration of a user.
    pub fn find(&self, user: &UserId) -> Option<(u32, &Entry)> {
        let slot = if self.entries.len() <= LINEAR_SEARCH_MAX {
            self.entries.iter().position(|entry| entry.user == *user)? as u32
        } else {
            let entries = &self.entries;
            self.index.find(fold(user.as_bytes()), |slot| {
                entries.get(slot as usize).is_some_and(|entry| entry.user == *user)
            })?
        };
        Some((slot, self.entries.get(slot as usize)?))
    }

    /// Whether they are too many to stay in the processor's cache by themselves.
    pub(super) const fn is_large(&self) -> bool {
        self.index.is_large()
    }

    /// Reads what a look-up of this user begins with.
    pub(super) fn touch(&self, user: &UserId) -> u64 {
        if self.entries.len() <= LINEAR_SEARCH_MAX {
            // Every other entry: two are three lines of memory.
            let entries = self.entries.iter().step_by(2);
            return entries.fold(0, |sum, entry| sum ^ u64::from(entry.ticket));
        }
        let cell = self.index.touch(fold(user.as_bytes()));
        self.entries.last().map_or(cell, |entry| cell ^ u64::from(entry.ticket))
    }

    /// Replaces the registration at a place with another of the same user.
    pub(super) fn replace(&mut self, slot: u32, entry: Entry) {
        if let Some(known) = self.entries.get_mut(slot as usize) {
            *known = entry;
        }
    }

    /// Adds the registration of a user who has none.
    pub(super) fn push(&mut self, entry: Entry) -> u32 {
        let slot = self.entries.len() as u32;
        if self.entries.len() == self.entries.capacity() {
            // Grows by half instead of doubling, which bounds the memory of a registration.
            self.entries.reserve_exact(self.entries.len() / 2 + 4);
        }
        self.entries.push(entry);
        if self.entries.len() > LINEAR_SEARCH_MAX {
            let unindexed = if self.index.is_empty() { 0 } else { slot };
            for (slot, entry) in (unindexed..).zip(&self.entries[unindexed as usize..]) {
                self.index.insert(fold(entry.user.as_bytes()), slot);
            }
        }
        slot
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.index.heap_bytes()
    }
}
