//! What was published last: a walk through the index in the order of publication.

use cityevents_kit::Problem;

use super::Feed;
use super::page::{Chosen, Wanted};
use crate::index::{ByPublication, Filter, Next, Order, PublicationPosition, Search};

/// A page, and where the next one begins if there is one.
pub(super) struct LatestPage {
    pub(super) items: Vec<Chosen>,
    pub(super) next: Option<PublicationPosition>,
}

impl Feed {
    /// What was published last and is not over.
    pub(super) async fn latest(
        &self,
        wanted: &Wanted,
        after: Option<PublicationPosition>,
        limit: usize,
    ) -> Result<LatestPage, Problem> {
        let reads = &self.reads;
        let filter = Filter {
            city: wanted.city.clone(),
            category: wanted.category.clone(),
            not_ended_at: Some(reads.now()),
            ..Filter::default()
        };
        let found = match wanted.words.clone() {
            None => reads.index.latest(&ByPublication { filter, after, limit }),
            Some(typed) => {
                let order = Order::Publication { after };
                let found = reads.index.search(Search { typed, filter, order, limit }).await;
                found.map_err(|error| reads.not_searched(&error))?
            }
        };
        let mut items = Vec::with_capacity(found.events.len());
        for event in found.events {
            let trends = self.candidates.trends(reads, Some(&event.fields.city)).await?;
            let trend = trends.iter().find(|entry| entry.event == event.id).cloned();
            items.push(Chosen { event, trend, raised_by: None });
        }
        let next = match found.next {
            Some(Next::Publication(place)) => Some(place),
            _ => None,
        };
        Ok(LatestPage { items, next })
    }
}
