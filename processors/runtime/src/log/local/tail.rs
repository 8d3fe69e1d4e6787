//! The recent end of a partition in memory: what readers that keep up are served from, without a
//! look at the store and without copying.

use std::collections::VecDeque;

use bytes::Bytes;

/// A stored value and the offsets that it covers.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) first_offset: u64,
    pub(super) next_offset: u64,
    pub(super) value: Bytes,
}

/// Stored values without a gap up to the end of the partition; the oldest go when it gets too big.
#[derive(Debug)]
pub(super) struct Tail {
    values: VecDeque<Stored>,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { values: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub(super) fn push(&mut self, stored: Stored) {
        self.bytes += stored.value.len();
        self.values.push_back(stored);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.values.pop_front() else {
                break;
            };
            self.bytes -= oldest.value.len();
        }
    }

    /// Forgets everything below `low`.
    pub(super) fn trim(&mut self, low: u64) {
        while self.values.front().is_some_and(|oldest| oldest.next_offset <= low) {
            if let Some(oldest) = self.values.pop_front() {
                self.bytes -= oldest.value.len();
            }
        }
    }

    /// The value that covers `offset`, if it is still here.
    pub(super) fn find(&self, offset: u64) -> Option<&Stored> {
        let index = self.values.partition_point(|stored| stored.next_offset <= offset);
        self.values.get(index).filter(|stored| stored.first_offset <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(first_offset: u64, count: u64, bytes: usize) -> Stored {
        let value = Bytes::from(vec![0; bytes]);
        Stored { first_offset, next_offset: first_offset + count, value }
    }

    #[test]
    fn the_value_that_covers_an_offset_is_found_and_no_other() {
        let mut tail = Tail::new(1_000);
        tail.push(stored(10, 5, 10));
        tail.push(stored(15, 1, 10));
        let found = |offset| tail.find(offset).map(|stored| stored.first_offset);
        assert_eq!(found(9), None);
        assert_eq!(found(10), Some(10));
        assert_eq!(found(14), Some(10));
        assert_eq!(found(15), Some(15));
        assert_eq!(found(16), None);
    }

    #[test]
    fn the_oldest_values_go_when_it_gets_too_big() {
        let mut tail = Tail::new(100);
        for first in 0..20 {
            tail.push(stored(first, 1, 30));
        }
        assert!(tail.find(16).is_none());
        assert!(tail.find(17).is_some());
        assert_eq!(tail.bytes, 90);
        tail.push(stored(20, 1, 101));
        assert_eq!((tail.bytes, tail.values.len()), (0, 0));
    }

    #[test]
    fn what_lies_below_the_low_watermark_is_forgotten() {
        let mut tail = Tail::new(100);
        tail.push(stored(0, 4, 10));
        tail.push(stored(4, 4, 10));
        tail.trim(4);
        assert!(tail.find(3).is_none());
        assert!(tail.find(4).is_some());
        assert_eq!(tail.bytes, 10);
    }
}
