//! What a person likes, and what that does to the order of a feed. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use cityevents_domain::time::Timestamp;
use cityevents_views::text::fold;
use cityevents_views::{ProfileRow, TrendEntry};

/// What somebody did longer ago tells nothing any more.
const REMEMBERED_MS: i64 = 30 * 86_400_000;
/// What a join tells, against ...
const JOIN_WEIGHT: u64 = 10;
/// ... a look.
const VIEW_WEIGHT: u64 = 3;
/// Of so many places one is for something else.
const VARIETY_EVERY: usize = 5;

/// Weights by category.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taste {
    weights: BTreeMap<String, u64>,
}

/// A candidate, and its score for this person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raised<'a> {
    pub(super) entry: &'a TrendEntry,
    pub(super) score: u64,
}

impl Taste {
    /// What a profile tells at `now`.
    pub(super) fn of(profile: &ProfileRow, now: Timestamp) -> Self {
        let mut weights = BTreeMap::new();
        for signal in &profile.signals {
            let age_ms = now.as_millis().saturating_sub(signal.at.as_millis());
            if age_ms <= REMEMBERED_MS {
                let weight = if signal.is_join { JOIN_WEIGHT } else { VIEW_WEIGHT };
                *weights.entry(fold(&signal.category)).or_default() += weight;
            }
        }
        Self { weights }
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// The category that is liked best; of two, the first by name.
    fn favourite(&self) -> Option<&str> {
        let best = self.weights.iter().max_by_key(|(name, weight)| (**weight, Reverse(*name)));
        best.map(|(name, _)| name.as_str())
    }

    /// Raises a score by the weight of the category, by half at most: the favourite by half, one
    /// that is liked half as much by a quarter.
    fn raised(&self, entry: &TrendEntry) -> u64 {
        let most = self.weights.values().copied().max().unwrap_or(1).max(1);
        let weight = self.weights.get(&fold(&entry.category)).copied().unwrap_or(0);
        let more = u128::from(entry.score) * u128::from(weight) / (2 * u128::from(most));
        entry.score.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
    }

    /// Candidates in the order for this person, for the places from `begin` on: by the raised
    /// score, and every fifth place for a category that is not the favourite, as long as there is
    /// one.
    pub(super) fn order<'a>(
        &self,
        candidates: impl IntoIterator<Item = &'a TrendEntry>,
        begin: usize,
    ) -> Vec<Raised<'a>> {
        let raise = |entry| Raised { entry, score: self.raised(entry) };
        let mut rest: Vec<_> = candidates.into_iter().map(raise).collect();
        rest.sort_by_key(|one| (Reverse(one.score), one.entry.start_time, one.entry.event));
        let favourite = self.favourite();
        let is_other = |one: &Raised<'_>| Some(fold(&one.entry.category).as_str()) != favourite;
        let mut order = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            let is_for_others = (begin + order.len()) % VARIETY_EVERY == VARIETY_EVERY - 1;
            let next = if is_for_others { rest.iter().position(is_other) } else { None };
            order.push(rest.remove(next.unwrap_or(0)));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use cityevents_domain::ids::EventId;
    use cityevents_views::ProfileSignal;

    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn entry(number: u8, category: &str, score: u64) -> TrendEntry {
        TrendEntry {
            event: EventId::from_bytes([number; 16]),
            category: category.to_owned(),
            start_time: at(0),
            end_time: at(1),
            score,
            joins_24h: 0,
            joins_7d: 0,
            views_24h: 0,
            updated_at: at(0),
        }
    }

    fn profile(signals: &[(&str, bool, i64)]) -> ProfileRow {
        let signal = |(category, is_join, at_ms): &(&str, bool, i64)| ProfileSignal {
            at: at(*at_ms),
            is_join: *is_join,
            event: [0; 8],
            category: (*category).to_owned(),
        };
        let signals = signals.iter().map(signal).collect();
        ProfileRow { person: [1; 16], signals, at: at(0), expires_at: at(i64::MAX) }
    }

    #[test]
    fn a_join_weighs_more_than_three_views_and_a_month_ago_nothing() {
        let signals =
            [("music", true, 0), ("film", false, 0), ("Film", false, 1), ("film", false, 2)];
        let taste = Taste::of(&profile(&signals), at(2));
        assert_eq!(taste.weights["music"], 10);
        assert_eq!(taste.weights["film"], 9);
        assert_eq!(taste.favourite(), Some("music"));
        let later = Taste::of(&profile(&signals), at(REMEMBERED_MS + 1));
        assert_eq!(later.weights.get("music"), None);
        assert_eq!(later.weights["film"], 6);
        assert!(Taste::of(&profile(&signals), at(REMEMBERED_MS + 3)).is_empty());
    }

    #[test]
    fn a_score_rises_by_half_at_most() {
        let signals = [("music", true, 0), ("music", true, 0), ("film", true, 0)];
        let taste = Taste::of(&profile(&signals), at(0));
        assert_eq!(taste.raised(&entry(1, "MUSIC", 100)), 150);
        assert_eq!(taste.raised(&entry(1, "film", 100)), 125);
        assert_eq!(taste.raised(&entry(1, "sport", 100)), 100);
        assert_eq!(taste.raised(&entry(1, "music", u64::MAX)), u64::MAX);
    }

    #[test]
    fn every_fifth_place_is_for_another_category_over_pages_too() {
        let taste = Taste::of(&profile(&[("music", true, 0)]), at(0));
        let mut entries: Vec<_> = (0..12).map(|number| entry(number, "music", 1_000)).collect();
        entries.extend((12..15).map(|number| entry(number, "film", 1)));
        let names = |begin: usize, count: usize, without: &[EventId]| -> Vec<EventId> {
            let left = entries.iter().filter(|entry| !without.contains(&entry.event));
            let order = taste.order(left, begin);
            order.iter().take(count).map(|one| one.entry.event).collect()
        };
        let whole = names(0, 15, &[]);
        let others: Vec<_> = (0..15).filter(|place| whole[*place].as_bytes()[0] >= 12).collect();
        assert_eq!(others, [4, 9, 14]);
        let mut paged = Vec::new();
        while paged.len() < 15 {
            let page = names(paged.len(), 4, &paged);
            paged.extend(page);
        }
        assert_eq!(paged, whole);
    }

    #[test]
    fn where_there_is_nothing_else_the_favourite_has_all_places() {
        let taste = Taste::of(&profile(&[("music", true, 0)]), at(0));
        let entries: Vec<_> = (0..7).map(|number| entry(number, "music", 9)).collect();
        assert_eq!(taste.order(&entries, 0).len(), 7);
    }
}
