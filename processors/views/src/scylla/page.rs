//! A page of a list whose places are written before their rows and never taken away by writers.
//!
//! A place only leads to a row; where the row stands is what the row says. So a page looks up the
//! row of everything that has a place in a stretch of the list, once each, and shows those whose
//! row stands in that stretch, in order. A row that moves within the stretch meanwhile is shown at
//! its new place, once.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{StreamExt, TryStreamExt, iter};
use scylla::value::CqlValue;

use super::ScyllaViews;
use super::keys::cql_timestamp;
use super::read::Written;
use super::statements::Statement;
use crate::codec::{Table, encode};
use crate::error::ViewsError;
use crate::query::Page;
use crate::tables::{SCANNED_ROWS_MAX, page_limit};

/// Rows of one page looked up side by side.
const LOOKUPS_MAX: usize = 64;

/// A page reads at most so many places at a time.
const STRETCH_MAX: usize = 1_024;

/// A page takes away no more than this many places that are not true any more.
const REMOVALS_MAX: usize = 128;

/// A place as it was found.
pub(super) struct Spot<P, R> {
    pub(super) place: P,
    /// The write timestamp, as CQL counts.
    pub(super) written: i64,
    /// The row as it was when it got there, where a place carries that.
    pub(super) carried: Option<Written<R>>,
}

/// The places of a list, as they were found.
pub(super) type Spots<L> = Vec<Spot<<L as List>::Place, <L as List>::Row>>;

/// One list of one adapter.
pub(super) trait List: Send + Sync {
    /// A place, in the order of the list.
    type Place: Copy + Ord + Send + Sync;
    /// What it leads to.
    type Id: Copy + Ord + Send;
    /// The row.
    type Row: Table + Clone + Send;

    /// The first places behind one, `count` or all that there are.
    fn spots(
        &self,
        behind: Option<Self::Place>,
        count: usize,
    ) -> impl Future<Output = Result<Spots<Self>, ViewsError>> + Send
    where
        Self: Sized;

    /// What a place leads to.
    fn id(&self, place: Self::Place) -> Self::Id;

    /// The row; `None` as well where places carry all there is to know.
    fn row(
        &self,
        id: Self::Id,
    ) -> impl Future<Output = Result<Option<Written<Self::Row>>, ViewsError>> + Send;

    /// Where a row stands in this list.
    fn place_of(&self, row: &Self::Row) -> Option<Self::Place>;

    /// Whether the page shows a row.
    fn shows(&self, row: &Self::Row) -> bool;

    /// The statement that takes a place away.
    fn removal(&self, place: Self::Place, written: i64) -> Option<(Statement, Vec<CqlValue>)>;
}

impl ScyllaViews {
    /// A page of a list behind a place.
    pub(super) async fn page<L: List>(
        &self,
        list: &L,
        after: Option<L::Place>,
        limit: usize,
    ) -> Result<Page<L::Row, L::Place>, ViewsError> {
        let limit = page_limit(limit);
        let mut stretch_min = 1;
        let (mut items, mut shown) = (Vec::new(), BTreeSet::new());
        let (mut behind, mut looked_at) = (after, 0);
        loop {
            let wanted = (limit - items.len())
                .max(stretch_min)
                .min(STRETCH_MAX)
                .min(SCANNED_ROWS_MAX - looked_at);
            let mut spots = list.spots(behind, wanted + 1).await?;
            let is_more = spots.len() > wanted;
            spots.truncate(wanted);
            looked_at += spots.len();
            let last = spots.last().map(|spot| spot.place);
            let end = last.filter(|_| is_more);
            for (place, row) in self.rows_between(list, spots, behind, end).await? {
                if items.len() == limit {
                    let next = items.last().map(|(place, _)| *place);
                    return Ok(page_of(items, next));
                }
                if shown.insert(list.id(place)) {
                    items.push((place, row));
                }
            }
            if !is_more {
                return Ok(page_of(items, None));
            }
            if items.len() == limit || looked_at >= SCANNED_ROWS_MAX {
                return Ok(page_of(items, end));
            }
            behind = end;
            stretch_min = (wanted * 2).min(STRETCH_MAX);
        }
    }

    /// The rows that these places lead to and that stand behind `behind` and not behind `end`.
    async fn rows_between<L: List>(
        &self,
        list: &L,
        spots: Spots<L>,
        behind: Option<L::Place>,
        end: Option<L::Place>,
    ) -> Result<BTreeMap<L::Place, L::Row>, ViewsError> {
        let mut by_id: BTreeMap<L::Id, Spots<L>> = BTreeMap::new();
        for spot in spots {
            // What a place carries is as new as anything that can be said of it, or the row stands
            // elsewhere: either way it is not shown from here.
            if spot.carried.as_ref().is_none_or(|(row, _)| list.shows(row)) {
                by_id.entry(list.id(spot.place)).or_default().push(spot);
            }
        }
        let lookups = by_id
            .into_iter()
            .map(|(id, spots)| async move { Ok::<_, ViewsError>((list.row(id).await?, spots)) });
        let found: Vec<_> = iter(lookups).buffer_unordered(LOOKUPS_MAX).try_collect().await?;
        let (mut rows, mut removals) = (BTreeMap::new(), Vec::new());
        for (stored, spots) in found {
            if let Some((row, timestamp)) = &stored {
                let place = list.place_of(row);
                let untrue = |spot: &&Spot<L::Place, L::Row>| {
                    Some(spot.place) != place && spot.written < cql_timestamp(*timestamp)
                };
                let gone = spots.iter().filter(untrue);
                removals.extend(gone.filter_map(|spot| list.removal(spot.place, spot.written)));
            }
            let carried = spots.into_iter().filter_map(|spot| spot.carried);
            let Some((row, _)) = carried.chain(stored).reduce(newer) else { continue };
            let Some(place) = list.place_of(&row) else { continue };
            let in_stretch =
                behind.is_none_or(|behind| place > behind) && end.is_none_or(|end| place <= end);
            if in_stretch && list.shows(&row) {
                rows.insert(place, row);
            }
        }
        self.remove(removals);
        Ok(rows)
    }

    /// Takes places away by and by; what fails is met and tried again by later readers.
    fn remove(&self, mut removals: Vec<(Statement, Vec<CqlValue>)>) {
        removals.truncate(REMOVALS_MAX);
        if removals.is_empty() {
            return;
        }
        let requests = self.requests.clone();
        self.runtime.spawn(async move {
            for (statement, values) in removals {
                if let Err(error) = requests.write(statement, vec![values]).await {
                    tracing::debug!(error.kind = error.kind(), "a place was not removed: {error}");
                    return;
                }
                requests.metrics().places_removed.inc();
            }
        });
    }
}

fn page_of<R, P>(items: Vec<(P, R)>, next: Option<P>) -> Page<R, P> {
    Page { items: items.into_iter().map(|(_, row)| row).collect(), next }
}

/// Of two writes of one row the one that counts: last write wins, and between equal timestamps the
/// greater bytes.
fn newer<R: Table>(one: Written<R>, other: Written<R>) -> Written<R> {
    let rank = |(row, timestamp): &Written<R>| encode(row, *timestamp);
    let other_wins = match one.1.cmp(&other.1) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Greater => false,
        std::cmp::Ordering::Equal => rank(&other) > rank(&one),
    };
    if other_wins { other } else { one }
}
