//! The dedup window: the first outcome of every command of the last 24 hours of log time that
//! produced a fact, in about 45 bytes each.
//!
//! An entry past its time counts as absent whether it was removed or not, so when it is removed
//! makes no difference to any decision.

use std::collections::{BTreeMap, VecDeque};

use super::hash::fold;
use super::index::Index;
use crate::command::{Command, CommandKind};
use crate::fact::Outcome;
use crate::ids::{CommandId, UserId};
use crate::registration::RegistrationStatus;
use crate::time::{Millis, Timestamp};

/// How long a command is remembered, in log time.
pub const WINDOW: Millis = Millis::hours(24);
/// Entries in one chunk: memory grows in steps of 147 kB and never doubles.
const CHUNK_ENTRIES: usize = 4_096;
/// Entries removed at most for each one that comes, so that no command pays for many.
const EXPIRED_PER_INSERT_MAX: usize = 2;

const TAG_SHIFT: u32 = 28;
const VALUE_MASK: u32 = (1 << TAG_SHIFT) - 1;
const TAG_DONE: u32 = 8;
const TAG_WHOLE: u32 = 9;

/// One remembered command. Byte arrays keep it at 36 bytes without padding.
#[derive(Debug, Clone, Copy)]
struct Entry {
    id: CommandId,
    digest: [u8; 8],
    at: [u8; 8],
    /// Tag in the upper 4 bits: a registration status with the position below (0: none), done, or
    /// an outcome that is kept whole elsewhere.
    outcome: [u8; 4],
}

/// The window.
#[derive(Debug, Clone, Default)]
pub struct Dedup {
    chunks: VecDeque<Vec<Entry>>,
    /// Number of the first entry of the first chunk.
    base: u64,
    /// Number of the oldest entry that was not removed.
    oldest: u64,
    /// Entry numbers (lower 32 bits) by command id.
    index: Index,
    /// Outcomes too large for an entry, by entry number.
    whole: BTreeMap<u64, Outcome>,
}

/// What the window knows of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remembered {
    /// It was carried out with the same body, and this is what the caller was told.
    Same(Outcome),
    /// It was carried out with another body.
    OtherBody,
}

impl Dedup {
    /// Looks a command up, as of log time `now`.
    pub fn find(&self, command: &Command, now: Timestamp) -> Option<Remembered> {
        let number = self.number_of(&command.id)?;
        let entry = self.entry(number)?;
        if !is_living(entry, now) {
            return None;
        }
        if u64::from_le_bytes(entry.digest) != command.digest {
            return Some(Remembered::OtherBody);
        }
        Some(Remembered::Same(self.outcome(number, entry, concerned(command)?)))
    }

    /// Whether it is too large to stay in the processor's cache by itself.
    pub(super) const fn is_large(&self) -> bool {
        self.index.is_large()
    }

    /// Reads what a look-up of this command begins with.
    pub(super) fn touch(&self, id: &CommandId) -> u64 {
        self.index.touch(fold(id.as_bytes()))
    }

    /// Reads what a look-up of this command ends with.
    pub(super) fn touch_entry(&self, id: &CommandId) -> u64 {
        self.number_of(id).unwrap_or_default()
    }

    /// Whether a command is remembered as of `now`.
    pub fn contains(&self, id: &CommandId, now: Timestamp) -> bool {
        self.number_of(id)
            .and_then(|number| self.entry(number))
            .is_some_and(|entry| is_living(entry, now))
    }

    /// Remembers a command that produced a fact at `at`, and forgets some that are past their time.
    pub(super) fn insert(&mut self, id: CommandId, digest: u64, at: Timestamp, outcome: &Outcome) {
        for _ in 0..EXPIRED_PER_INSERT_MAX {
            self.remove_oldest_if_expired(at);
        }
        if let Some(number) = self.number_of(&id) {
            // Past its time, else there would be no new fact: the newer entry takes its name.
            self.unindex(&id, number);
        }
        let number = self.next_number();
        let packed = match outcome {
            Outcome::Registration { status, position, .. } => {
                let tag = RegistrationStatus::ALL.iter().position(|known| known == status);
                ((tag.unwrap_or_default() as u32) << TAG_SHIFT)
                    | position.unwrap_or(0).min(VALUE_MASK)
            }
            Outcome::Done { .. } => TAG_DONE << TAG_SHIFT,
            Outcome::Event { .. } => {
                self.whole.insert(number, outcome.clone());
                TAG_WHOLE << TAG_SHIFT
            }
        };
        let entry = Entry {
            id,
            digest: digest.to_le_bytes(),
            at: at.as_millis().to_le_bytes(),
            outcome: packed.to_le_bytes(),
        };
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_ENTRIES) {
            self.chunks.push_back(Vec::with_capacity(CHUNK_ENTRIES));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(entry);
        }
        self.index.insert(fold(id.as_bytes()), number as u32);
    }

    /// The living entries as of `now`, oldest first: id, digest, time, outcome (with `user` unset
    /// in those of registrations, see [`Dedup::find`]).
    pub(super) fn living(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (CommandId, u64, Timestamp, Outcome)> {
        (self.oldest..self.next_number()).filter_map(move |number| {
            let entry = self.entry(number)?;
            let is_newest = self.number_of(&entry.id) == Some(number);
            (is_newest && is_living(entry, now)).then(|| {
                let outcome = self.outcome(number, entry, UserId::from_bytes([0; 16]));
                (entry.id, u64::from_le_bytes(entry.digest), time_of(entry), outcome)
            })
        })
    }

    /// Entries that were not removed.
    pub fn len(&self) -> u64 {
        self.next_number() - self.oldest
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap, without outcomes kept whole.
    pub fn heap_bytes(&self) -> usize {
        self.chunks.len() * CHUNK_ENTRIES * size_of::<Entry>() + self.index.heap_bytes()
    }

    fn outcome(&self, number: u64, entry: &Entry, user: UserId) -> Outcome {
        let packed = u32::from_le_bytes(entry.outcome);
        let at = time_of(entry);
        match packed >> TAG_SHIFT {
            TAG_WHOLE => self.whole.get(&number).cloned().unwrap_or(Outcome::Done { at }),
            TAG_DONE => Outcome::Done { at },
            tag => Outcome::Registration {
                user,
                status: RegistrationStatus::ALL
                    .get(tag as usize)
                    .copied()
                    .unwrap_or(RegistrationStatus::Canceled),
                position: Some(packed & VALUE_MASK).filter(|position| *position > 0),
                updated_at: at,
            },
        }
    }

    fn remove_oldest_if_expired(&mut self, now: Timestamp) {
        let Some(entry) = self.entry(self.oldest).copied() else {
            return;
        };
        if is_living(&entry, now) {
            return;
        }
        self.unindex(&entry.id, self.oldest);
        self.whole.remove(&self.oldest);
        self.oldest += 1;
        if self.oldest - self.base >= CHUNK_ENTRIES as u64 {
            self.chunks.pop_front();
            self.base += CHUNK_ENTRIES as u64;
        }
    }

    fn unindex(&mut self, id: &CommandId, number: u64) {
        self.index.remove(fold(id.as_bytes()), number as u32);
    }

    fn next_number(&self) -> u64 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_ENTRIES;
        self.base + (full + self.chunks.back().map_or(0, Vec::len)) as u64
    }

    fn number_of(&self, id: &CommandId) -> Option<u64> {
        let (chunks, base) = (&self.chunks, self.base);
        let found = self.index.find(fold(id.as_bytes()), |known| {
            entry_at(chunks, base, known).is_some_and(|entry| entry.id == *id)
        })?;
        Some(base + u64::from(found.wrapping_sub(base as u32)))
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        entry_at(&self.chunks, self.base, number as u32)
    }
}

/// The user that the outcome of a command about a registration speaks of.
const fn concerned(command: &Command) -> Option<UserId> {
    match &command.kind {
        CommandKind::Kick { user, .. } | CommandKind::CheckIn { user } => Some(*user),
        _ => command.actor.user(),
    }
}

fn entry_at(chunks: &VecDeque<Vec<Entry>>, base: u64, number: u32) -> Option<&Entry> {
    let distance = number.wrapping_sub(base as u32) as usize;
    chunks.get(distance / CHUNK_ENTRIES)?.get(distance % CHUNK_ENTRIES)
}

const fn time_of(entry: &Entry) -> Timestamp {
    Timestamp::from_millis(i64::from_le_bytes(entry.at))
}

fn is_living(entry: &Entry, now: Timestamp) -> bool {
    now < time_of(entry) + WINDOW
}
