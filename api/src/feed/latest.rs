//! What was published last: a walk through the index in the order of publication.

use std::sync::Arc;

use cityevents_domain::event::Event;
use cityevents_kit::Problem;

use super::Feed;
use super::candidates::Trends;
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
        // Mostly one city is asked for.
        let mut last: Option<(Arc<Event>, Arc<Trends>)> = None;
        for event in found.events {
            let city = &event.fields.city;
            let trends = match &last {
                Some((other, trends)) if other.fields.city == *city => Arc::clone(trends),
                _ => self.candidates.trends(reads, Some(city)).await?,
            };
            let trend = trends.of(&event.id).cloned();
            last = Some((Arc::clone(&event), trends));
            items.push(Chosen { event, trend, raised_by: None });
        }
        let next = match found.next {
            Some(Next::Publication(place)) => Some(place),
            _ => None,
        };
        Ok(LatestPage { items, next })
    }
}
