//! Lists and events as they were within this second.
//!
//! The second is a part of the key, so nothing has to be thrown away in time, and of many who ask at
//! once one reads and the others wait for it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use cityevents_domain::ids::EventId;
use cityevents_kit::Problem;
use cityevents_views::text::fold;
use cityevents_views::{EventRow, TrendEntry};
use quick_cache::sync::Cache;

use crate::state::Reads;

/// Lists of cities that are kept.
const LISTS_MAX: usize = 1_024;
/// Events that are kept.
const EVENTS_MAX: usize = 16_384;
/// For how long.
const KEPT_MS: i64 = 1_000;

/// What is talked about, in order.
pub(super) type Trends = Arc<Vec<TrendEntry>>;
/// What was published last.
pub(super) type Latest = Arc<Vec<Arc<EventRow>>>;
/// A list of a city, or of all of them, as of a second.
type ListKey = (Option<String>, i64);

pub(super) struct Candidates {
    trends: Cache<ListKey, Trends>,
    latest: Cache<ListKey, Latest>,
    events: Cache<(EventId, i64), Option<Arc<EventRow>>>,
}

impl Default for Candidates {
    fn default() -> Self {
        Self {
            trends: Cache::new(LISTS_MAX),
            latest: Cache::new(LISTS_MAX),
            events: Cache::new(EVENTS_MAX),
        }
    }
}

fn moment(reads: &Reads) -> i64 {
    reads.now().as_millis().div_euclid(KEPT_MS)
}

impl Candidates {
    /// What is talked about in a city, or in all of them.
    pub(super) async fn trends(
        &self,
        reads: &Reads,
        city: Option<&str>,
    ) -> Result<Trends, Problem> {
        let city = city.map(fold);
        let key = (city.clone(), moment(reads));
        let read = async {
            let entries = reads.views.trends.trends(city).await;
            let entries = entries.map_err(|error| reads.failed(&error))?;
            Ok(Arc::new(in_order(entries)))
        };
        self.trends.get_or_insert_async(&key, read).await
    }

    /// One event in any state.
    pub(super) async fn event(
        &self,
        reads: &Reads,
        event: EventId,
    ) -> Result<Option<Arc<EventRow>>, Problem> {
        let key = (event, moment(reads));
        let read = async {
            let row = reads.views.events.event(event).await;
            Ok(row.map_err(|error| reads.failed(&error))?.map(Arc::new))
        };
        self.events.get_or_insert_async(&key, read).await
    }

    /// What was published last in a city, or in all of them.
    pub(super) async fn latest(
        &self,
        reads: &Reads,
        city: Option<&str>,
    ) -> Result<Latest, Problem> {
        let city = city.map(fold);
        let key = (city.clone(), moment(reads));
        let read = async { super::latest::read(reads, city).await.map(Arc::new) };
        self.latest.get_or_insert_async(&key, read).await
    }
}

/// The higher score first, then the earlier start, then the smaller id; each event once.
fn in_order(mut entries: Vec<TrendEntry>) -> Vec<TrendEntry> {
    // Where an event stands in two slots for a moment, the newer one tells more.
    entries.sort_unstable_by_key(|entry| Reverse(entry.updated_at));
    let mut known = BTreeSet::new();
    entries.retain(|entry| known.insert(entry.event));
    entries.sort_unstable_by_key(|entry| (Reverse(entry.score), entry.start_time, entry.event));
    entries
}
