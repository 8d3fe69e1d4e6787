//! The waiting line of one event: first in, first out, with exact positions.
//!
//! Tickets rise along the line. Entries lie in ticket order in one array, and a binary indexed tree
//! (Fenwick 1994) over it counts the living ones, so entering, leaving from anywhere and asking for
//! a position are O(log n). Entries that left are holes until half of the array is holes.

/// Marks an entry whose person left the line.
const GONE: u32 = u32::MAX;
/// Holes that are not worth a compaction.
const HOLES_MIN: usize = 32;

#[derive(Debug, Clone, Copy)]
struct Entry {
    ticket: u32,
    slot: u32,
}

/// Who waits, in order. `slot` is whatever the owner of the line finds a person by.
#[derive(Debug, Clone, Default)]
pub struct Line {
    entries: Vec<Entry>,
    /// `tree[i]` counts the living among the entries `(i & (i + 1))..=i`.
    tree: Vec<u32>,
    living: u32,
    /// No entry before this one is living.
    first: usize,
}

impl Line {
    /// How many wait.
    pub const fn len(&self) -> u32 {
        self.living
    }

    /// Whether nobody waits.
    pub const fn is_empty(&self) -> bool {
        self.living == 0
    }

    /// Puts somebody at the end. `ticket` must be higher than every one before.
    pub fn push(&mut self, ticket: u32, slot: u32) {
        debug_assert!(self.entries.last().is_none_or(|last| last.ticket < ticket));
        let index = self.entries.len();
        self.entries.push(Entry { ticket, slot });
        let mut count = 1;
        let mut child = index;
        let start = index & (index + 1);
        while child > start {
            count += self.tree[child - 1];
            child &= child - 1;
        }
        self.tree.push(count);
        self.living += 1;
    }

    /// Takes somebody out, wherever they stand. Returns whether they stood in the line.
    pub fn remove(&mut self, ticket: u32) -> bool {
        let Some(index) = self.find(ticket) else {
            return false;
        };
        self.entries[index].slot = GONE;
        self.living -= 1;
        let mut node = index;
        while node < self.tree.len() {
            self.tree[node] -= 1;
            node |= node + 1;
        }
        while self.entries.get(self.first).is_some_and(|entry| entry.slot == GONE) {
            self.first += 1;
        }
        if self.entries.len() - self.living as usize > HOLES_MIN + self.living as usize {
            self.compact();
        }
        true
    }

    /// The 1-based position of a ticket.
    pub fn position(&self, ticket: u32) -> Option<u32> {
        let mut count = 0;
        let mut node = self.find(ticket)? + 1;
        while node > 0 {
            count += self.tree[node - 1];
            node &= node - 1;
        }
        Some(count)
    }

    /// Tickets and slots from the head on.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        let living = self.entries[self.first..].iter().filter(|entry| entry.slot != GONE);
        living.map(|entry| (entry.ticket, entry.slot))
    }

    /// Bytes on the heap.
    pub const fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.tree.capacity() * size_of::<u32>()
    }

    fn find(&self, ticket: u32) -> Option<usize> {
        let index = self.entries.binary_search_by_key(&ticket, |entry| entry.ticket).ok()?;
        (self.entries[index].slot != GONE).then_some(index)
    }

    fn compact(&mut self) {
        let mut compacted = Self::default();
        for (ticket, slot) in self.iter() {
            compacted.push(ticket, slot);
        }
        *self = compacted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn positions_are_those_of_a_plain_list(
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..400)
        ) {
            let mut line = Line::default();
            let mut plain: Vec<u32> = Vec::new();
            let mut ticket = 0;
            for (enters, whom) in steps {
                if enters || plain.is_empty() {
                    line.push(ticket, ticket + 7);
                    plain.push(ticket);
                    ticket += 1;
                } else {
                    let gone = plain.remove(whom.index(plain.len()));
                    prop_assert!(line.remove(gone));
                    prop_assert!(!line.remove(gone));
                    prop_assert_eq!(line.position(gone), None);
                }
                prop_assert_eq!(line.len() as usize, plain.len());
                for (index, waiting) in plain.iter().enumerate() {
                    prop_assert_eq!(line.position(*waiting), Some(index as u32 + 1));
                }
                let order: Vec<_> = line.iter().collect();
                let expected: Vec<_> = plain.iter().map(|ticket| (*ticket, ticket + 7)).collect();
                prop_assert_eq!(order, expected);
            }
        }
    }
}
