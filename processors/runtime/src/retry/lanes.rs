//! Keeps the order of records that belong together, while others overtake them.
//!
//! Records with the same [`OrderKey`] are in work one at a time. One that waits in a tier for another
//! try keeps those behind it back: they follow into the same tier. So along the tiers order is kept:
//! whatever waits in a later tier comes before what waits in an earlier one, and both before what is
//! still in the source.

use std::collections::{HashMap, VecDeque};

use super::OrderKey;

/// Something to be worked on, and from which stream it came.
#[derive(Debug)]
pub(super) struct Waiting<R> {
    pub(super) stream: usize,
    pub(super) record: R,
}

/// Lanes by key.
#[derive(Debug)]
pub(super) struct Lanes<R> {
    /// Keys in work, and what waits behind.
    busy: HashMap<OrderKey, VecDeque<Waiting<R>>>,
    /// How many records of a key wait in each tier, the first tier first.
    parked: HashMap<OrderKey, Vec<u32>>,
    tiers: usize,
}

impl<R> Lanes<R> {
    pub(super) fn new(tiers: usize) -> Self {
        Self { busy: HashMap::new(), parked: HashMap::new(), tiers }
    }

    /// Takes a lane: gives the record back if it may begin now.
    pub(super) fn enter(&mut self, key: OrderKey, waiting: Waiting<R>) -> Option<Waiting<R>> {
        match self.busy.get_mut(&key) {
            Some(queue) => {
                queue.push_back(waiting);
                None
            }
            None => {
                self.busy.insert(key, VecDeque::new());
                Some(waiting)
            }
        }
    }

    /// One of a key has ended; gives the next one of it.
    pub(super) fn leave(&mut self, key: OrderKey) -> Option<Waiting<R>> {
        let next = self.busy.get_mut(&key).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.busy.remove(&key);
        }
        next
    }

    /// The tier (its stream, from 1) that a record of `stream` has to follow into, because one that
    /// comes before it waits there.
    pub(super) fn follows_into(&self, key: OrderKey, stream: usize) -> Option<usize> {
        let parked = self.parked.get(&key)?;
        let later = parked.iter().enumerate().skip(stream);
        later.filter(|(_, count)| **count > 0).map(|(tier, _)| tier + 1).next()
    }

    /// A record of a key waits in the tier of this stream now.
    pub(super) fn park(&mut self, key: OrderKey, stream: usize) {
        let parked = self.parked.entry(key).or_insert_with(|| vec![0; self.tiers]);
        if let Some(count) = stream.checked_sub(1).and_then(|tier| parked.get_mut(tier)) {
            *count += 1;
        }
    }

    /// It does not any more.
    pub(super) fn unpark(&mut self, key: OrderKey, stream: usize) {
        let Some(parked) = self.parked.get_mut(&key) else { return };
        if let Some(count) = stream.checked_sub(1).and_then(|tier| parked.get_mut(tier)) {
            // What somebody else put there was never counted.
            *count = count.saturating_sub(1);
        }
        if parked.iter().all(|count| *count == 0) {
            self.parked.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: OrderKey = OrderKey(7);

    fn of(stream: usize, record: char) -> Waiting<char> {
        Waiting { stream, record }
    }

    #[test]
    fn of_one_key_one_is_in_work_and_others_are_not_held_up() {
        let mut lanes = Lanes::new(2);
        assert!(lanes.enter(KEY, of(0, 'a')).is_some());
        assert!(lanes.enter(KEY, of(0, 'b')).is_none());
        assert!(lanes.enter(OrderKey(8), of(0, 'c')).is_some());
        assert_eq!(lanes.leave(KEY).map(|next| next.record), Some('b'));
        assert!(lanes.leave(KEY).is_none());
        assert!(lanes.enter(KEY, of(0, 'd')).is_some());
    }

    #[test]
    fn who_comes_later_follows_into_the_tier_of_the_last_before_it() {
        let mut lanes: Lanes<char> = Lanes::new(3);
        assert_eq!(lanes.follows_into(KEY, 0), None);
        lanes.park(KEY, 1);
        lanes.park(KEY, 3);
        assert_eq!(lanes.follows_into(KEY, 0), Some(1), "behind the last one, not the first");
        assert_eq!(lanes.follows_into(KEY, 1), Some(3));
        assert_eq!(lanes.follows_into(KEY, 3), None);
        lanes.unpark(KEY, 1);
        assert_eq!(lanes.follows_into(KEY, 0), Some(3));
        lanes.unpark(KEY, 3);
        lanes.unpark(KEY, 3);
        assert_eq!(lanes.follows_into(KEY, 0), None);
    }
}
