//! Joins and views of one event by the hour: what a rolling window is summed from. Pure.
//!
//! Four bytes an hour in which something happened, and nothing for the others: most events are quiet
//! most of the time. Entries are relative to the latest hour, so that they stay small.

use super::score::{Figures, begin_of_hour};

/// Hours that joins and views count in the short window.
pub(super) const DAY_HOURS: u32 = 24;
/// Hours that joins count in the long window.
pub(super) const WEEK_HOURS: u32 = 168;

/// Bits of an entry: the count, then how many hours before the latest one, then the kind.
const COUNT_BITS: u32 = 23;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
const AGE_MASK: u32 = 0xff;
const KIND_SHIFT: u32 = COUNT_BITS + 8;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// Somebody joined.
    Join,
    /// Somebody looked, for the first time that day.
    View,
}

/// What happened when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Buckets {
    /// The latest hour of all entries.
    latest: u32,
    entries: Vec<u32>,
}

const fn entry(kind: Happening, age: u32, count: u32) -> u32 {
    (kind as u32) << KIND_SHIFT | age << COUNT_BITS | count
}

const fn kind_of(entry: u32) -> Happening {
    if entry >> KIND_SHIFT == 0 { Happening::Join } else { Happening::View }
}

const fn age_of(entry: u32) -> u32 {
    entry >> COUNT_BITS & AGE_MASK
}

const fn count_of(entry: u32) -> u32 {
    entry & COUNT_MAX
}

const fn is_kept(kind: Happening, age: u32) -> bool {
    match kind {
        Happening::Join => age < WEEK_HOURS,
        Happening::View => age < DAY_HOURS,
    }
}

impl Buckets {
    /// Counts one more in an hour. What lies outside every window that ends with the latest hour is
    /// not kept.
    pub(super) fn add(&mut self, kind: Happening, hour: u32, count: u32) {
        self.turn_to(hour);
        let age = self.latest - hour;
        if !is_kept(kind, age) {
            return;
        }
        let mut left = count;
        for known in self.entries.iter_mut().rev() {
            if kind_of(*known) == kind && age_of(*known) == age {
                let fits = left.min(COUNT_MAX - count_of(*known));
                *known += fits;
                left -= fits;
                if left == 0 {
                    return;
                }
            }
        }
        while left > 0 {
            // One at a time: most events have few, and a vector that doubles is half empty.
            self.entries.reserve_exact(1 + self.entries.len() / 8);
            let fits = left.min(COUNT_MAX);
            self.entries.push(entry(kind, age, fits));
            left -= fits;
        }
    }

    /// Reads where counting begins to look.
    pub(super) fn touch(&self) -> u32 {
        self.entries.last().copied().unwrap_or_default()
    }

    /// Takes one back out of an hour. One that is not kept any more is gone anyway.
    pub(super) fn remove(&mut self, kind: Happening, hour: u32) {
        let Some(age) = self.latest.checked_sub(hour) else { return };
        let found = |known: &u32| kind_of(*known) == kind && age_of(*known) == age;
        if let Some(place) = self.entries.iter().rposition(found) {
            self.entries[place] -= 1;
            if count_of(self.entries[place]) == 0 {
                self.entries.swap_remove(place);
            }
        }
    }

    /// Makes a later hour the latest.
    fn turn_to(&mut self, hour: u32) {
        if hour <= self.latest {
            return;
        }
        let older = hour - self.latest;
        self.latest = hour;
        self.entries.retain_mut(|known| {
            let (kind, age) = (kind_of(*known), age_of(*known).saturating_add(older));
            let stays = is_kept(kind, age);
            if stays {
                *known = entry(kind, age, count_of(*known));
            }
            stays
        });
    }

    /// What counts in the hour `now`.
    pub(super) fn figures(&self, now: u32) -> Figures {
        let mut figures = Figures::default();
        for (kind, hour, count) in self.iter() {
            let Some(age) = now.checked_sub(hour) else { continue };
            match kind {
                Happening::Join => {
                    figures.joins_24h += if age < DAY_HOURS { count } else { 0 };
                    figures.joins_7d += if age < WEEK_HOURS { count } else { 0 };
                }
                Happening::View => {
                    figures.views_24h += if age < DAY_HOURS { count } else { 0 };
                }
            }
        }
        figures
    }

    /// When the figures change next by the clock alone, after the hour `now`.
    pub(super) fn next_change(&self, now: u32) -> Option<i64> {
        let turns = self.iter().flat_map(|(kind, hour, _)| {
            let leaves_week = hour.saturating_add(WEEK_HOURS);
            let leaves_week = (kind == Happening::Join).then_some(leaves_week);
            // One of an hour that has not begun comes in with it.
            [Some(hour), Some(hour.saturating_add(DAY_HOURS)), leaves_week]
        });
        turns.flatten().filter(|turn| *turn > now).min().map(begin_of_hour)
    }

    /// Kind, hour and count, in no particular order; an hour may come more than once.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Happening, u32, u32)> {
        let of = |known: &u32| {
            (kind_of(*known), self.latest.saturating_sub(age_of(*known)), count_of(*known))
        };
        self.entries.iter().map(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(joins_24h: u32, joins_7d: u32, views_24h: u32) -> Figures {
        Figures { joins_24h, joins_7d, views_24h }
    }

    #[test]
    fn windows_have_24_and_168_hours() {
        let mut buckets = Buckets::default();
        buckets.add(Happening::Join, 1_000, 1);
        buckets.add(Happening::View, 1_000, 2);
        assert_eq!(buckets.figures(999), figures(0, 0, 0));
        assert_eq!(buckets.figures(1_000), figures(1, 1, 2));
        assert_eq!(buckets.figures(1_023), figures(1, 1, 2));
        assert_eq!(buckets.figures(1_024), figures(0, 1, 0));
        assert_eq!(buckets.figures(1_167), figures(0, 1, 0));
        assert_eq!(buckets.figures(1_168), figures(0, 0, 0));
        let changes: Vec<_> = [999, 1_000, 1_023, 1_024, 1_167, 1_168]
            .map(|hour| buckets.next_change(hour).map(|at| at / 3_600_000))
            .into();
        let (day, week) = (Some(1_024), Some(1_168));
        assert_eq!(changes, [Some(1_000), day, day, week, week, None]);
    }

    #[test]
    fn what_is_taken_back_was_in_its_own_hour() {
        let mut buckets = Buckets::default();
        for hour in [10, 12, 10, 11] {
            buckets.add(Happening::Join, hour, 1);
        }
        buckets.remove(Happening::Join, 10);
        assert_eq!(buckets.figures(33).joins_24h, 3);
        assert_eq!(buckets.figures(34).joins_24h, 2);
        buckets.remove(Happening::Join, 12);
        buckets.remove(Happening::Join, 12);
        buckets.remove(Happening::View, 11);
        buckets.remove(Happening::Join, 99);
        assert_eq!(buckets.figures(12), figures(2, 2, 0));
    }

    #[test]
    fn an_hour_may_be_busier_than_an_entry_can_say() {
        let mut buckets = Buckets::default();
        buckets.add(Happening::Join, 5, COUNT_MAX);
        buckets.add(Happening::Join, 5, COUNT_MAX);
        buckets.add(Happening::Join, 5, 1);
        assert_eq!(buckets.figures(5).joins_7d, 2 * COUNT_MAX + 1);
        for _ in 0..3 {
            buckets.remove(Happening::Join, 5);
        }
        assert_eq!(buckets.figures(5).joins_7d, 2 * COUNT_MAX - 2);
    }

    #[test]
    fn years_without_anything_leave_nothing_behind() {
        let mut buckets = Buckets::default();
        buckets.add(Happening::Join, 100, 7);
        assert_eq!(buckets.figures(100 + 256), figures(0, 0, 0));
        buckets.add(Happening::Join, 100_000, 1);
        assert_eq!(buckets.figures(100_000), figures(1, 1, 0));
        assert_eq!(buckets.iter().count(), 1);
        // Too late for any window.
        buckets.add(Happening::View, 100_000 - DAY_HOURS, 1);
        assert_eq!(buckets.iter().count(), 1);
    }
}
