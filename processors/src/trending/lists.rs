//! The lists of a partition: which events stand in front, in which slots, and what of that is news.
//! Pure.
//!
//! A round looks at the events that changed, and at those for which the clock alone changes something
//! now: an hour leaves a window, a day less is left until the start, the end has come.

use std::cmp::Reverse;

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_schemas::message::{Trend, TrendState};
use cityevents_views::text::fold;

use super::known::{mark_of_trend, trend_of};
use super::ranking::Number;
use super::score::{Figures, hour_of, next_day};
use super::state::Trending;

/// An event that is in the list of its city no more, and what it leaves behind.
#[derive(Debug, Clone)]
pub(super) struct Leaving {
    trend: Trend,
    city: Option<(u32, u32)>,
    overall: Option<u32>,
}

impl Trending {
    /// Brings scores and lists to `now`, and adds what is to be published to `out`: in this order,
    /// and all of it together.
    pub fn advance(&mut self, now: Timestamp, out: &mut Vec<Trend>) {
        if now < self.advanced_to {
            // A clock that was ahead and is set right: nothing that it said holds any more.
            self.index.values().copied().collect::<Vec<_>>().into_iter().for_each(|number| {
                self.note(number);
            });
        }
        self.advanced_to = now;
        while let Some(Reverse((due_ms, number))) = self.due.peek().copied()
            && due_ms <= now.as_millis()
        {
            self.due.pop();
            if self.events.get(number as usize).is_some_and(|known| known.due_ms == due_ms) {
                self.note(number);
            }
        }
        let changed = std::mem::take(&mut self.changed);
        for number in &changed {
            self.rank(*number, now);
        }
        let touched = self.cities.take_touched();
        let mut told = changed.clone();
        for city in &touched {
            self.fill_city(*city, &mut told);
        }
        if !touched.is_empty() {
            self.fill_overall(&mut told);
        }
        self.tell_leaving(now, out);
        told.sort_unstable_by_key(|number| self.events[*number as usize].id);
        told.dedup();
        for number in told {
            self.tell(number, now, out);
        }
        for number in changed {
            self.forget_if_over(number);
        }
    }

    /// Works an event's score out anew and puts it where it belongs.
    fn rank(&mut self, number: Number, now: Timestamp) {
        let hour = hour_of(now);
        let known = &mut self.events[number as usize];
        known.has_changed = false;
        let can_be_shown = known.is_published && known.end > now;
        let score = known.buckets.figures(hour).score(known.start, now);
        if !can_be_shown || known.score != score {
            self.displace(number);
        }
        let known = &mut self.events[number as usize];
        known.score = score;
        if !can_be_shown {
            known.due_ms = i64::MAX;
            self.leave(number);
            return;
        }
        if !known.is_placed {
            known.is_placed = true;
            let (city, rank) = (known.city, known.rank());
            self.cities.place(city, rank, number);
        }
        let known = &mut self.events[number as usize];
        let turns = [
            Some(known.end.as_millis()),
            next_day(known.start, now),
            known.buckets.next_change(hour),
        ];
        let due_ms = turns.into_iter().flatten().min().unwrap_or(i64::MAX);
        if known.due_ms != due_ms {
            known.due_ms = due_ms;
            self.due.push(Reverse((due_ms, number)));
        }
    }

    /// Gives the slots of a city to those that are in front now.
    fn fill_city(&mut self, city: u32, told: &mut Vec<Number>) {
        let first: Vec<_> = self.cities.first(city, self.slots_max).collect();
        let stays = sorted(&first);
        let occupants: Vec<_> = self.cities.get_mut(city).slots.occupants().collect();
        for number in occupants {
            if stays.binary_search(&number).is_err() {
                self.leave(number);
            }
        }
        for number in first {
            let known = &mut self.events[number as usize];
            if known.city_slot.is_none() {
                let slot = self.cities.get_mut(city).slots.take(number);
                known.city_slot = u16::try_from(slot).ok();
                told.push(number);
            }
        }
    }

    /// The same for the list of all cities.
    fn fill_overall(&mut self, told: &mut Vec<Number>) {
        let first = self.cities.first_of_all(self.slots_max);
        let stays = sorted(&first);
        let occupants: Vec<_> = self.overall.occupants().collect();
        for number in occupants {
            if stays.binary_search(&number).is_err()
                && let Some(slot) = self.events[number as usize].overall_slot.take()
            {
                // It stays in the list of its city: only so many others can have pushed it out here,
                // and one of them takes the slot at once.
                self.overall.vacate(u32::from(slot));
                told.push(number);
            }
        }
        for number in first {
            let known = &mut self.events[number as usize];
            if known.overall_slot.is_none() {
                known.overall_slot = u16::try_from(self.overall.take(number)).ok();
                told.push(number);
            }
        }
    }

    /// Says who is in no list any more, and which slots are empty now. It comes first: what takes a
    /// slot comes behind it.
    fn tell_leaving(&mut self, now: Timestamp, out: &mut Vec<Trend>) {
        for Leaving { trend, city, overall } in std::mem::take(&mut self.leaving) {
            let city_slot = city.filter(|(city, slot)| {
                self.cities.get(*city).is_none_or(|city| city.slots.is_free(*slot))
            });
            let overall_slot = overall.filter(|slot| self.overall.is_free(*slot));
            out.push(Trend {
                city_slot: city_slot.map(|(_, slot)| slot),
                overall_slot,
                updated_at: now,
                ..trend
            });
        }
    }

    /// Says how an event stands, if it is in a list and that is news.
    fn tell(&mut self, number: Number, now: Timestamp, out: &mut Vec<Trend>) {
        let known = &self.events[number as usize];
        if known.city_slot.is_none() {
            return;
        }
        let figures = known.buckets.figures(hour_of(now));
        let trend = Trend { updated_at: now, ..trend_of(&self.names, known, figures) };
        let mark = mark_of_trend(&trend);
        if known.shown != mark {
            self.events[number as usize].shown = mark;
            out.push(trend);
        }
    }

    /// The first events of a city, in order, as of the last [`Trending::advance`].
    pub fn first_of(&self, city: &str) -> Vec<EventId> {
        let city = self.city_numbers.get(&fold(city));
        let numbers = city.map(|city| self.cities.first(*city, self.slots_max));
        numbers.into_iter().flatten().map(|number| self.events[number as usize].id).collect()
    }

    /// The first events of all cities, in order, as of the last [`Trending::advance`].
    pub fn first(&self) -> Vec<EventId> {
        let numbers = self.cities.first_of_all(self.slots_max);
        numbers.into_iter().map(|number| self.events[number as usize].id).collect()
    }

    /// Takes an event out of the order of its city.
    pub(super) fn displace(&mut self, number: Number) {
        let known = &mut self.events[number as usize];
        if std::mem::take(&mut known.is_placed) {
            let (city, rank) = (known.city, known.rank());
            self.cities.displace(city, &rank);
        }
    }

    /// Takes an event's slots away, and notes that they may be empty now.
    pub(super) fn leave(&mut self, number: Number) {
        let known = &mut self.events[number as usize];
        let (city_slot, overall_slot) = (known.city_slot.take(), known.overall_slot.take());
        let city = known.city;
        if let Some(slot) = overall_slot {
            self.overall.vacate(u32::from(slot));
        }
        let Some(slot) = city_slot else { return };
        self.cities.get_mut(city).slots.vacate(u32::from(slot));
        let known = &mut self.events[number as usize];
        known.shown = 0;
        let trend = trend_of(&self.names, &self.events[number as usize], Figures::default());
        self.leaving.push(Leaving {
            trend: Trend { state: TrendState::Dropped, ..trend },
            city: Some((city, u32::from(slot))),
            overall: overall_slot.map(u32::from),
        });
    }

    /// Takes over what was published last of an event: its slots are its own, so that nothing is
    /// published twice and nothing stays that is not true any more. To be called for every event
    /// that is in the lists, before the first [`Trending::advance`].
    pub fn adopt(&mut self, trend: &Trend) {
        if trend.state != TrendState::Ranked {
            return;
        }
        let city = self.city_number(&trend.city);
        let number = self.index.get(&trend.event).copied();
        let number = number.filter(|number| self.events[*number as usize].city == city);
        let (Some(number), Some(city_slot)) = (number, trend.city_slot) else {
            self.leaving.push(Leaving {
                trend: Trend { state: TrendState::Dropped, ..trend.clone() },
                city: trend.city_slot.map(|slot| (city, slot)),
                overall: trend.overall_slot,
            });
            return;
        };
        let is_ours = self.cities.get_mut(city).slots.take_known(city_slot, number);
        let known = &mut self.events[number as usize];
        known.city_slot = u16::try_from(city_slot).ok().filter(|_| is_ours);
        if let (Some(slot), true) = (trend.overall_slot, is_ours)
            && self.overall.take_known(slot, number)
        {
            known.overall_slot = u16::try_from(slot).ok();
        }
        known.shown = mark_of_trend(trend);
        self.note(number);
    }
}

fn sorted(numbers: &[Number]) -> Vec<Number> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted
}
