//! One page of a feed: what is left of the candidates, in order, until the page is full.

use std::sync::Arc;

use cityevents_domain::event::{Event, EventStatus};
use cityevents_domain::time::Timestamp;
use cityevents_kit::Problem;
use cityevents_views::TrendEntry;
use cityevents_views::text::fold;

use super::Feed;
use super::cursor::{SHOWN_MAX, ShownItems};
use super::taste::{Raised, Taste};
use crate::index::Wanted as WantedWords;

/// Candidates of a city that a feed of what is talked about is made from.
const CANDIDATES_MAX: usize = 200;

/// What the items have to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) city: Option<String>,
    pub(super) category: Option<String>,
    /// What was typed; `None` where there is nothing to look for in it.
    pub(super) words: Option<String>,
}

/// An item, and its trend if it has one.
pub(super) struct Chosen {
    pub(super) event: Arc<Event>,
    pub(super) trend: Option<TrendEntry>,
    /// By which part of the score it was raised.
    pub(super) raised_by: Option<f64>,
}

/// A page: its items, and whether there are more.
pub(super) struct Page {
    pub(super) items: Vec<Chosen>,
    pub(super) has_more: bool,
}

/// Conditions made ready for many events.
struct Matcher {
    city: Option<String>,
    category: Option<String>,
    words: WantedWords,
    now: Timestamp,
}

impl Matcher {
    fn new(wanted: &Wanted, now: Timestamp) -> Self {
        Self {
            city: wanted.city.as_deref().map(fold),
            category: wanted.category.as_deref().map(fold),
            words: WantedWords::parse(wanted.words.as_deref().unwrap_or_default()),
            now,
        }
    }

    fn may_be(&self, entry: &TrendEntry) -> bool {
        let is_wanted = |category: &String| fold(&entry.category) == *category;
        entry.end_time > self.now && self.category.as_ref().is_none_or(is_wanted)
    }

    /// Slots may be a moment behind the event.
    fn is(&self, event: &Event) -> bool {
        let fields = &event.fields;
        let same = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| *wanted == fold(text))
        };
        event.status == EventStatus::Published
            && fields.end_time > self.now
            && same(&self.city, &fields.city)
            && same(&self.category, &fields.category)
            && self.words.is_in(&[&fields.title, &fields.city, &fields.description])
    }
}

impl Feed {
    /// What is talked about, by a person's taste if there is one.
    pub(super) async fn trending(
        &self,
        wanted: &Wanted,
        taste: &Taste,
        shown: &ShownItems,
        limit: usize,
    ) -> Result<Page, Problem> {
        let matcher = Matcher::new(wanted, self.reads.now());
        let trends = self.candidates.trends(&self.reads, wanted.city.as_deref()).await?;
        let candidates = trends
            .iter()
            .filter(|entry| matcher.may_be(entry))
            .take(CANDIDATES_MAX)
            .filter(|entry| !shown.has(&entry.event));
        let order: Vec<Raised<'_>> = if taste.is_empty() {
            candidates.map(|entry| Raised { entry, score: entry.score }).collect()
        } else {
            taste.order(candidates, shown.len())
        };
        let room = limit.min(SHOWN_MAX.saturating_sub(shown.len()));
        let id = |one: &Raised<'_>| one.entry.event;
        let is_wanted = |event: &Event| matcher.is(event);
        let mut chosen = self.reads.index.choose(order, id, is_wanted, room + 1);
        let has_more = chosen.len() > room && shown.len() + room < SHOWN_MAX;
        chosen.truncate(room);
        let items = chosen.into_iter().map(|(Raised { entry, score }, event)| {
            let raised_by = (!taste.is_empty() && entry.score > 0)
                .then(|| score.saturating_sub(entry.score) as f64 / entry.score as f64);
            Chosen { event, trend: Some(entry.clone()), raised_by }
        });
        let items = items.collect();
        Ok(Page { items, has_more })
    }
}
