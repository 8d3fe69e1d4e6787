//! Who looked at what today: each pair of a person and an event once a UTC day. Pure.
//!
//! A pair is known by 64 bits of a hash, in one table a day with linear probing and nothing beside
//! the hashes: 10 to 15 bytes a pair. Two pairs that share a hash would count as one; among ten
//! million a day that happens once in three hundred thousand days.

use cityevents_domain::ids::EventId;
use xxhash_rust::xxh3::xxh3_64;

/// Room in a new table.
const SLOTS_MIN: usize = 64;
/// Of so many slots ...
const LOAD_OF: usize = 5;
/// ... so many are taken at most.
const LOAD_MAX: usize = 4;

/// Pairs of a few days.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    days: Vec<(i64, Table)>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    /// 0 stands for a free slot.
    slots: Vec<u64>,
    taken: usize,
}

/// What stands for a pair.
pub(super) fn mark_of(event: &EventId, person: &[u8; 16]) -> u64 {
    let mut pair = [0; 32];
    pair[..16].copy_from_slice(event.as_bytes());
    pair[16..].copy_from_slice(person);
    xxh3_64(&pair).max(1)
}

impl Seen {
    /// Remembers a pair of a day; whether it is the first time.
    pub(super) fn insert(&mut self, day: i64, mark: u64) -> bool {
        match self.days.iter_mut().find(|(known, _)| *known == day) {
            Some((_, table)) => table.insert(mark),
            None => {
                let mut table = Table::default();
                table.insert(mark);
                self.days.push((day, table));
                self.days.sort_unstable_by_key(|(day, _)| *day);
                true
            }
        }
    }

    /// Reads where [`Seen::insert`] begins to look.
    pub(super) fn touch(&self, day: i64, mark: u64) -> u64 {
        let table = self.days.iter().find(|(known, _)| *known == day);
        table.and_then(|(_, table)| table.slots.get(home(&table.slots, mark)).copied()).unwrap_or(0)
    }

    /// Forgets the days before this one.
    pub(super) fn forget_before(&mut self, day: i64) {
        if self.days.first().is_some_and(|(first, _)| *first < day) {
            self.days.retain(|(known, _)| *known >= day);
        }
    }

    /// Days, and the marks of each in no particular order.
    pub(super) fn days(&self) -> impl Iterator<Item = (i64, Vec<u64>)> {
        let marks = |table: &Table| table.slots.iter().copied().filter(|mark| *mark != 0).collect();
        self.days.iter().map(move |(day, table)| (*day, marks(table)))
    }

    /// How many pairs.
    pub(super) fn len(&self) -> usize {
        self.days.iter().map(|(_, table)| table.taken).sum()
    }

    /// Bytes that they take.
    pub(super) fn heap_bytes(&self) -> usize {
        self.days.iter().map(|(_, table)| table.slots.capacity() * size_of::<u64>()).sum()
    }
}

impl Table {
    fn insert(&mut self, mark: u64) -> bool {
        if (self.taken + 1) * LOAD_OF > self.slots.len() * LOAD_MAX {
            self.grow();
        }
        let is_new = put(&mut self.slots, mark);
        self.taken += usize::from(is_new);
        is_new
    }

    fn grow(&mut self) {
        let room = (self.slots.len() + self.slots.len() / 2).max(SLOTS_MIN);
        let mut slots = vec![0; room];
        for mark in self.slots.iter().copied().filter(|mark| *mark != 0) {
            put(&mut slots, mark);
        }
        self.slots = slots;
    }
}

/// Where to begin to look: the high bits say it, whatever the length is.
const fn home(slots: &[u64], mark: u64) -> usize {
    ((mark as u128 * slots.len() as u128) >> 64) as usize
}

/// There is a free slot.
fn put(slots: &mut [u64], mark: u64) -> bool {
    let mut place = home(slots, mark);
    loop {
        match slots[place] {
            0 => {
                slots[place] = mark;
                return true;
            }
            known if known == mark => return false,
            _ => place = if place + 1 == slots.len() { 0 } else { place + 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_pair_counts_once_a_day() {
        let mut seen = Seen::default();
        let event = EventId::from_bytes([1; 16]);
        let (ada, bob) = (mark_of(&event, &[2; 16]), mark_of(&event, &[3; 16]));
        assert_ne!(ada, bob);
        assert_ne!(ada, mark_of(&EventId::from_bytes([2; 16]), &[1; 16]));
        assert!(seen.insert(7, ada) && seen.insert(7, bob) && seen.insert(8, ada));
        assert!(!seen.insert(7, ada) && !seen.insert(8, ada));
        assert_eq!(seen.len(), 3);
        seen.forget_before(8);
        assert_eq!(seen.len(), 1);
        assert!(seen.insert(8, bob));
    }

    #[test]
    fn many_pairs_are_all_found_again_and_take_sixteen_bytes_at_most() {
        let mut seen = Seen::default();
        let mut expected = BTreeSet::new();
        for number in 0_u64..200_000 {
            let mark = xxh3_64(&number.to_be_bytes()).max(1);
            assert!(seen.insert(1, mark));
            expected.insert(mark);
            if number > 1_000 {
                assert!(seen.heap_bytes() <= 16 * seen.len(), "{number}");
            }
        }
        for mark in &expected {
            assert!(!seen.insert(1, *mark));
        }
        let (day, marks) = seen.days().next().unwrap();
        assert_eq!((day, marks.into_iter().collect::<BTreeSet<_>>()), (1, expected));
    }

    #[test]
    fn a_mark_at_either_end_of_the_range_finds_its_place() {
        let mut seen = Seen::default();
        for mark in [1, u64::MAX, u64::MAX - 1, 2] {
            assert!(seen.insert(0, mark));
            assert!(!seen.insert(0, mark));
        }
    }
}
