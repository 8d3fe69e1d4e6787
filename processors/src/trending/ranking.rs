//! Who is in front: the order of a city's events, and the slots of those that are shown. Pure.
//!
//! An event that comes among the first takes a slot and keeps it for as long as it stays among them,
//! whatever its rank. So a change of one score changes one row, rows are overwritten and never
//! deleted, and there are never more rows than slots.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;

/// Where an event stands: the higher score first, then the earlier start, then the smaller id.
pub(super) type Rank = (Reverse<u64>, Timestamp, EventId);

/// An event by its number in the state.
pub(super) type Number = u32;

/// A free slot.
const FREE: Number = Number::MAX;

/// Slots and who has them.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    taken: Vec<Number>,
    free: BTreeSet<u32>,
}

impl Slots {
    /// Takes the first free slot.
    pub(super) fn take(&mut self, event: Number) -> u32 {
        let slot = self.free.pop_first().unwrap_or_else(|| {
            self.taken.push(FREE);
            self.taken.len() as u32 - 1
        });
        self.taken[slot as usize] = event;
        slot
    }

    /// Takes a slot that is known to be the event's. Whether nobody else has it.
    pub(super) fn take_known(&mut self, slot: u32, event: Number) -> bool {
        while self.taken.len() <= slot as usize {
            self.free.insert(self.taken.len() as u32);
            self.taken.push(FREE);
        }
        let is_free = self.free.remove(&slot);
        if is_free {
            self.taken[slot as usize] = event;
        }
        is_free
    }

    /// Gives a slot back.
    pub(super) fn vacate(&mut self, slot: u32) {
        if let Some(taken) = self.taken.get_mut(slot as usize) {
            *taken = FREE;
            self.free.insert(slot);
        }
    }

    /// Whether nobody has a slot.
    pub(super) fn is_free(&self, slot: u32) -> bool {
        self.taken.get(slot as usize).is_none_or(|taken| *taken == FREE)
    }

    /// Who has a slot.
    pub(super) fn occupants(&self) -> impl Iterator<Item = Number> {
        self.taken.iter().copied().filter(|taken| *taken != FREE)
    }
}

/// The events of one city.
#[derive(Debug, Clone, Default)]
pub(super) struct City {
    /// All that can be shown, in order.
    pub(super) order: BTreeMap<Rank, Number>,
    /// Those that are shown.
    pub(super) slots: Slots,
    /// The rank of its first event as `Cities` has it.
    head: Option<Rank>,
    is_touched: bool,
}

/// All cities.
#[derive(Debug, Clone, Default)]
pub(super) struct Cities {
    all: Vec<City>,
    /// The first event of each city, in order.
    heads: BTreeMap<Rank, u32>,
    touched: Vec<u32>,
}

impl Cities {
    /// One of them, made if it is not there.
    pub(super) fn get_mut(&mut self, city: u32) -> &mut City {
        while self.all.len() <= city as usize {
            self.all.push(City::default());
        }
        &mut self.all[city as usize]
    }

    /// One of them.
    pub(super) fn get(&self, city: u32) -> Option<&City> {
        self.all.get(city as usize)
    }

    /// Puts an event into the order of its city.
    pub(super) fn place(&mut self, city: u32, rank: Rank, event: Number) {
        self.get_mut(city).order.insert(rank, event);
        self.touch(city);
    }

    /// Takes an event out of it.
    pub(super) fn displace(&mut self, city: u32, rank: &Rank) {
        self.get_mut(city).order.remove(rank);
        self.touch(city);
    }

    fn touch(&mut self, city: u32) {
        let known = self.get_mut(city);
        if !known.is_touched {
            known.is_touched = true;
            self.touched.push(city);
        }
    }

    /// The cities whose order changed since the last time.
    pub(super) fn take_touched(&mut self) -> Vec<u32> {
        let touched = std::mem::take(&mut self.touched);
        for city in &touched {
            let known = &mut self.all[*city as usize];
            known.is_touched = false;
            let head = known.order.first_key_value().map(|(rank, _)| *rank);
            if known.head != head {
                if let Some(before) = std::mem::replace(&mut known.head, head) {
                    self.heads.remove(&before);
                }
                if let Some(head) = head {
                    self.heads.insert(head, *city);
                }
            }
        }
        touched
    }

    /// The first events of a city.
    pub(super) fn first(&self, city: u32, count: usize) -> impl Iterator<Item = Number> {
        let order = self.get(city).map(|city| city.order.values().copied().take(count));
        order.into_iter().flatten()
    }

    /// The first events of all cities together. Only as many cities are looked at as events are
    /// asked for: whoever is behind so many heads is behind so many events.
    pub(super) fn first_of_all(&self, count: usize) -> Vec<Number> {
        let mut orders: Vec<_> = self
            .heads
            .values()
            .take(count)
            .filter_map(|city| self.get(*city).map(|city| city.order.iter()))
            .collect();
        let mut next: BinaryHeap<_> = orders
            .iter_mut()
            .enumerate()
            .filter_map(|(at, order)| {
                order.next().map(|(rank, event)| Reverse((*rank, *event, at)))
            })
            .collect();
        let mut first = Vec::with_capacity(count);
        while first.len() < count
            && let Some(Reverse((_, event, at))) = next.pop()
        {
            first.push(event);
            if let Some((rank, event)) = orders[at].next() {
                next.push(Reverse((*rank, *event, at)));
            }
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(score: u64, id: u8) -> Rank {
        (Reverse(score), Timestamp::from_millis(0), EventId::from_bytes([id; 16]))
    }

    #[test]
    fn a_slot_has_one_event_at_a_time() {
        let mut slots = Slots::default();
        assert_eq!([slots.take(7), slots.take(8), slots.take(9)], [0, 1, 2]);
        slots.vacate(1);
        assert!(slots.is_free(1) && slots.is_free(99) && !slots.is_free(0));
        assert_eq!(slots.take(10), 1);
        assert_eq!(slots.occupants().collect::<Vec<_>>(), [7, 10, 9]);
        assert!(slots.take_known(5, 11) && !slots.take_known(5, 12));
        assert_eq!([slots.take(13), slots.take(14), slots.take(15)], [3, 4, 6]);
    }

    #[test]
    fn the_first_of_all_cities_are_those_of_one_list() {
        let mut cities = Cities::default();
        let mut all = Vec::new();
        for number in 0_u8..60 {
            let score = u64::from(number) * 7 % 23;
            all.push((rank(score, number), u32::from(number)));
            cities.place(u32::from(number % 7), rank(score, number), number.into());
        }
        all.sort_unstable();
        assert_eq!(cities.take_touched().len(), 7);
        let expected: Vec<_> = all.iter().map(|(_, number)| *number).collect();
        for count in [0, 1, 5, 59, 60, 100] {
            assert_eq!(cities.first_of_all(count), expected[..count.min(60)]);
        }
        let (best, _) = all[0];
        let city = expected[0] % 7;
        cities.displace(city, &best);
        assert_eq!(cities.take_touched(), [city]);
        assert_eq!(cities.first_of_all(3), expected[1..4]);
    }
}
