//! Lists of what is talked about as they were within this second.
//!
//! The second is a part of the key, so nothing has to be thrown away in time, and of many who ask at
//! once one reads and the others wait for it. Lists that are over go when others need their memory.
//! Seconds of different cities begin at different times, so that not all lists are read in the same
//! moment.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::Problem;
use cityevents_views::TrendEntry;
use cityevents_views::text::fold;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::state::Reads;

/// Memory of lists that are kept.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// About what the list of a city takes.
const LIST_BYTES: u64 = 256 << 10;
/// What an entry takes, with its place.
const ENTRY_BYTES: u64 = 192;
/// Of what a list takes beside its entries.
const OVERHEAD_BYTES: u64 = 512;
/// For how long.
const KEPT_MS: i64 = 1_000;

/// What is talked about, in order.
#[derive(Debug)]
pub(super) struct Trends {
    entries: Vec<TrendEntry>,
    /// Where each event stands.
    places: HashMap<EventId, usize>,
}

/// A list of a city, or of all of them, as of a second.
type ListKey = (Option<String>, i64);

pub(super) struct Candidates {
    trends: Cache<ListKey, Arc<Trends>, Sizes>,
}

#[derive(Debug, Clone)]
struct Sizes;

impl Weighter<ListKey, Arc<Trends>> for Sizes {
    fn weight(&self, (city, _): &ListKey, trends: &Arc<Trends>) -> u64 {
        let texts =
            trends.iter().map(|entry| entry.category.len()).chain(city.iter().map(String::len));
        OVERHEAD_BYTES + ENTRY_BYTES * trends.entries.len() as u64 + texts.sum::<usize>() as u64
    }
}

impl Default for Candidates {
    fn default() -> Self {
        let lists = usize::try_from(KEPT_BYTES_MAX / LIST_BYTES).unwrap_or(1);
        Self { trends: Cache::with_weighter(lists, KEPT_BYTES_MAX, Sizes) }
    }
}

impl Candidates {
    /// What is talked about in a city, or in all of them.
    pub(super) async fn trends(
        &self,
        reads: &Reads,
        city: Option<&str>,
    ) -> Result<Arc<Trends>, Problem> {
        let city = city.map(fold);
        let key = (city.clone(), second_of(city.as_deref(), reads.now()));
        let read = async {
            let entries = reads.views.trends.trends(city).await;
            let entries = entries.map_err(|error| reads.failed(&error))?;
            Ok(Arc::new(Trends::new(entries)))
        };
        self.trends.get_or_insert_async(&key, read).await
    }
}

/// Which second it is for what is made of the list of a city, as it is folded.
pub(super) fn second_of(city: Option<&str>, now: Timestamp) -> i64 {
    let mut hasher = DefaultHasher::new();
    city.hash(&mut hasher);
    let begins = hasher.finish() % KEPT_MS.unsigned_abs();
    now.as_millis().saturating_add_unsigned(begins).div_euclid(KEPT_MS)
}

impl Trends {
    /// The higher score first, then the earlier start, then the smaller id; each event once.
    fn new(mut entries: Vec<TrendEntry>) -> Self {
        // Where an event stands in two slots for a moment, the newer one tells more.
        entries.sort_unstable_by_key(|entry| Reverse(entry.updated_at));
        let mut known = HashSet::with_capacity(entries.len());
        entries.retain(|entry| known.insert(entry.event));
        entries.sort_unstable_by_key(|entry| (Reverse(entry.score), entry.start_time, entry.event));
        let places = entries.iter().zip(0..).map(|(entry, place)| (entry.event, place)).collect();
        Self { entries, places }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &TrendEntry> {
        self.entries.iter()
    }

    /// That of an event, if it is talked about.
    pub(super) fn of(&self, event: &EventId) -> Option<&TrendEntry> {
        self.entries.get(*self.places.get(event)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the slots of many partitions hold of a large city.
    fn large() -> Arc<Trends> {
        let entry = |number: u32| TrendEntry {
            event: EventId::from_bytes(u128::from(number).to_be_bytes()),
            category: "music".to_owned(),
            start_time: Timestamp::MIN,
            end_time: Timestamp::MIN,
            score: 1,
            joins_24h: 0,
            joins_7d: 0,
            views_24h: 0,
            updated_at: Timestamp::MIN,
        };
        Arc::new(Trends::new((0..10_000).map(entry).collect()))
    }

    #[test]
    fn lists_of_seconds_that_are_over_do_not_pile_up() {
        let candidates = Candidates::default();
        let lists: Vec<_> = (0..100).map(|_| large()).collect();
        for (second, list) in (0..).zip(&lists) {
            let key = (Some("bern".to_owned()), second);
            candidates.trends.insert(key.clone(), Arc::clone(list));
            assert!(candidates.trends.get(&key).is_some(), "the second {second} is not over");
        }
        let kept = lists.iter().filter(|list| Arc::strong_count(list) > 1).count() as u64;
        assert!(kept * 10_000 * ENTRY_BYTES <= KEPT_BYTES_MAX, "{kept} lists are kept");
        let entry = size_of::<TrendEntry>() + size_of::<(EventId, usize)>();
        assert!(entry as u64 <= ENTRY_BYTES);
    }
}
