//! From an id to a number, made for millions: one cache line for a look-up, about ten bytes each.
//!
//! An open-addressing table in which every cell is kept in the order of its hash (ordered linear
//! probing, Amble and Knuth 1974): a cell holds 31 bits of hash and 32 bits of number, so a look-up
//! that fails touches nothing else, and growing copies from front to back without asking for a
//! hash again. It grows by a fifth, never doubles. Whoever uses it compares the ids themselves.

const EMPTY: u64 = u64::MAX;
/// Fewest buckets of a table with something in it.
const BUCKETS_MIN: usize = 16;
/// Of a hundred buckets so many are used at most.
const LOAD_PERCENT_MAX: usize = 85;
/// Cells in one line of memory.
const CELLS_PER_LINE: usize = 8;
/// Cells that stay in a cache without help: half a megabyte.
const CELLS_CACHED_MAX: usize = 65_536;
/// Bits of hash in a cell. One less than would fit, which keeps [`EMPTY`] apart from every cell.
const HASH_BITS: u32 = 31;

/// Numbers by hash.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Buckets, and as many cells behind the last as those need that do not fit before them.
    cells: Vec<u64>,
    buckets: usize,
    len: usize,
}

impl Index {
    /// With room for `count`.
    pub(super) fn with_capacity(count: usize) -> Self {
        let mut index = Self::default();
        if count > 0 {
            index.rebuild(BUCKETS_MIN.max(count * 100 / LOAD_PERCENT_MAX + 1));
        }
        index
    }

    /// The number under this hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let wanted = hash >> (64 - HASH_BITS);
        for cell in self.cells.get(self.home(wanted)..)? {
            let found = cell >> 32;
            if found > wanted {
                return None;
            }
            if found == wanted && is_it(*cell as u32) {
                return Some(*cell as u32);
            }
        }
        None
    }

    /// Reads the lines of memory in which a look-up of this hash, or an addition, mostly ends.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u64 {
        let home = self.home(hash >> (64 - HASH_BITS));
        let read = |distance: usize| self.cells.get(home + distance).copied().unwrap_or_default();
        read(0) ^ read(CELLS_PER_LINE)
    }

    /// Adds a number that is not there.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        if (self.len + 1) * 100 > self.buckets * LOAD_PERCENT_MAX {
            self.grow();
        }
        let hash = hash >> (64 - HASH_BITS);
        self.len += 1;
        self.place(self.home(hash), (hash << 32) | u64::from(number));
    }

    /// Takes a number out. Returns whether it was there.
    pub(super) fn remove(&mut self, hash: u64, number: u32) -> bool {
        let wanted = hash >> (64 - HASH_BITS);
        let cell = (wanted << 32) | u64::from(number);
        let cells = self.cells.get(self.home(wanted)..).unwrap_or_default();
        let run = cells.iter().take_while(|known| **known >> 32 <= wanted);
        let Some(distance) = run.into_iter().position(|known| *known == cell) else {
            return false;
        };
        let mut at = self.home(wanted) + distance;
        // Whoever stands behind and not in their own bucket moves up.
        while let Some(next) = self.cells.get(at + 1).copied() {
            if next == EMPTY || self.home(next >> 32) == at + 1 {
                break;
            }
            self.cells[at] = next;
            at += 1;
        }
        self.cells[at] = EMPTY;
        self.len -= 1;
        true
    }

    /// Whether it is too large to stay in the processor's cache by itself.
    pub(super) const fn is_large(&self) -> bool {
        self.cells.len() > CELLS_CACHED_MAX
    }

    /// Whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap.
    pub(super) const fn heap_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<u64>()
    }

    /// The bucket of a hash: buckets are in the order of hashes.
    const fn home(&self, hash: u64) -> usize {
        ((hash * self.buckets as u64) >> HASH_BITS) as usize
    }

    /// Puts a cell in its place and moves those behind it by one.
    fn place(&mut self, home: usize, mut cell: u64) {
        for known in &mut self.cells[home..] {
            if *known > cell {
                std::mem::swap(known, &mut cell);
                if cell == EMPTY {
                    return;
                }
            }
        }
        self.cells.push(cell);
    }

    fn grow(&mut self) {
        self.rebuild(BUCKETS_MIN.max(self.buckets / 5 * 6 + 4));
    }

    fn rebuild(&mut self, buckets: usize) {
        self.buckets = buckets;
        let spare = (buckets / 4).clamp(8, 128);
        let before = std::mem::replace(&mut self.cells, vec![EMPTY; buckets + spare]);
        let mut next = 0;
        for cell in before.into_iter().filter(|cell| *cell != EMPTY) {
            let at = self.home(cell >> 32).max(next);
            match self.cells.get_mut(at) {
                Some(free) => *free = cell,
                None => self.cells.push(cell),
            }
            next = at + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn numbers(index: &Index, hash: u64) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let none = index.find(hash, |number| {
            found.insert(number);
            false
        });
        assert_eq!(none, None);
        found
    }

    proptest! {
        #[test]
        fn it_finds_what_a_plain_set_holds(
            spread in prop::sample::select(vec![1_u64, 7, 1_000, u64::MAX]),
            steps in prop::collection::vec((any::<u64>(), any::<u32>(), 0..4_u8), 1..600),
        ) {
            let mut index = Index::default();
            let mut plain = BTreeSet::new();
            for (hash, number, what) in steps {
                // Few different hashes, at both ends, make long runs.
                let hash = match hash % spread {
                    few if spread == u64::MAX => few,
                    few if few % 2 == 0 => few << 33,
                    few => u64::MAX - (few << 33),
                };
                let number = if what == 3 { number } else { number % 50 };
                let known = plain.contains(&(hash >> 33, number));
                if what == 0 {
                    prop_assert_eq!(index.remove(hash, number), known);
                    plain.remove(&(hash >> 33, number));
                } else if !known {
                    index.insert(hash, number);
                    plain.insert((hash >> 33, number));
                }
                let expected: BTreeSet<u32> = plain
                    .range((hash >> 33, 0)..=(hash >> 33, u32::MAX))
                    .map(|(_, number)| *number)
                    .collect();
                prop_assert_eq!(numbers(&index, hash), expected);
                prop_assert_eq!(index.len, plain.len());
                prop_assert_eq!(index.is_empty(), plain.is_empty());
            }
            for (hash, number) in plain {
                prop_assert_eq!(index.find(hash << 33, |found| found == number), Some(number));
            }
        }
    }

    #[test]
    fn a_large_one_stays_within_twelve_bytes_each() {
        let mut index = Index::default();
        for number in 0..200_000_u32 {
            let id = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            index.insert(super::super::hash::fold(&id.to_le_bytes()), number);
            if number > 1_000 {
                assert!(index.heap_bytes() <= number as usize * 12 + 2_048);
            }
        }
    }
}
