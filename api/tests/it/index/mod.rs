//! The index by itself, over rows as the publisher writes them.

mod disk;
mod model;
mod relevance;
mod scripts;
mod walks;

use std::sync::Arc;
use std::time::Duration;

use cityevents_api::index::{
    ByPublication, ByStart, Filter, Found, Index, IndexMetrics, IndexOptions, IndexPlace, Next,
    Order, Search,
};
use cityevents_domain::event::{Capacity, Event, EventFields, EventStatus};
use cityevents_domain::ids::EventId;
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_runtime::log::Log;
use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::memory::MemoryLog;
use prometheus_client::registry::Registry;

use crate::support::facts::{HOUR_MS, NOW_MS, user};
use crate::support::published::{Published, TOPIC};

pub const AT_MOST: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 2;

/// A topic of rows, and an index of it.
pub struct Shelf {
    pub log: Arc<dyn Log>,
    pub clock: ManualClock,
    pub published: Published,
    place: IndexPlace,
    index: Option<Index>,
    figures: Registry,
}

impl Shelf {
    pub async fn new(place: IndexPlace) -> Self {
        let clock = ManualClock::new(NOW_MS);
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(clock.clone()));
        let published = Published::new(&log, PARTITIONS);
        let figures = Registry::default();
        let mut shelf = Self { log, clock, published, place, index: None, figures };
        shelf.restart().await;
        shelf
    }

    /// Ends the index in order and begins again.
    pub async fn restart(&mut self) {
        self.stop();
        self.begin();
        self.ready().await;
    }

    pub fn stop(&mut self) {
        self.index = None;
    }

    pub fn begin(&mut self) {
        self.figures = Registry::default();
        let options = IndexOptions {
            log: Arc::clone(&self.log),
            topic: TOPIC.into(),
            place: self.place.clone(),
            memory_bytes: 16 << 20,
            clock: Arc::new(self.clock.clone()),
            metrics: IndexMetrics::new(&mut self.figures),
        };
        self.index = Some(Index::start(options).unwrap());
    }

    pub async fn ready(&self) {
        let waited = tokio::time::Instant::now();
        while let Some(problem) = self.index().problem() {
            assert!(waited.elapsed() < AT_MOST, "{problem}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub fn index(&self) -> &Index {
        self.index.as_ref().unwrap()
    }

    /// A counter of the index since its last start.
    pub fn counted(&self, name: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.figures).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}_total ")));
        line.unwrap().parse().unwrap()
    }

    /// Writes rows, and waits until searches find them.
    pub async fn put(&self, events: &[Event]) {
        let places: Vec<_> = events.iter().map(|event| self.published.put(event)).collect();
        for (partition, offset) in places {
            let found = self.index().wait(partition, offset, true, AT_MOST).await;
            assert!(found, "{:?}", self.index().problem());
        }
    }

    pub async fn delete(&self, event: &EventId) {
        let (partition, offset) = self.published.delete(event);
        assert!(self.index().wait(partition, offset, true, AT_MOST).await);
    }

    /// Titles of what is found, in the order asked for.
    pub async fn titles(&self, typed: &str, order: Order) -> Vec<String> {
        let asked = Search { typed: typed.into(), filter: Filter::default(), order, limit: 100 };
        let found = self.index().search(asked).await.unwrap();
        assert_eq!(found.next, None);
        found.events.iter().map(|event| event.fields.title.clone()).collect()
    }

    /// One page: a list, or a search in an order.
    pub async fn page(&self, asked: &Asked, next: Option<&Next>, limit: usize) -> Found {
        let filter = asked.filter.clone();
        let by_start = match next {
            Some(Next::Start(place)) => Some(*place),
            _ => None,
        };
        let by_publication = match next {
            Some(Next::Publication(place)) => Some(*place),
            _ => None,
        };
        let order = match (asked.by, next) {
            (By::Start, _) => Order::Start { after: by_start },
            (By::Publication, _) => Order::Publication { after: by_publication },
            (By::Relevance, Some(Next::Relevance(place))) => {
                Order::Relevance { after: Some(place.clone()) }
            }
            (By::Relevance, _) => Order::Relevance { after: None },
        };
        match (asked.typed.clone(), asked.by) {
            (None, By::Publication) => {
                self.index().latest(&ByPublication { filter, after: by_publication, limit })
            }
            (None, _) => self.index().page(&ByStart { filter, after: by_start, limit }),
            (Some(typed), _) => {
                self.index().search(Search { typed, filter, order, limit }).await.unwrap()
            }
        }
    }

    /// All pages, one after the other.
    pub async fn walk(&self, asked: &Asked, limit: usize) -> Vec<EventId> {
        let (mut ids, mut next) = (Vec::new(), None);
        loop {
            let found = self.page(asked, next.as_ref(), limit).await;
            assert!(found.next.is_none() || found.events.len() == limit);
            ids.extend(found.events.iter().map(|event| event.id));
            next = found.next;
            if next.is_none() {
                return ids;
            }
        }
    }
}

/// What a list is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub filter: Filter,
    pub typed: Option<String>,
    pub by: By,
}

/// In which order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum By {
    #[default]
    Start,
    Publication,
    Relevance,
}

pub const BY_START: Order = Order::Start { after: None };
pub const BY_RELEVANCE: Order = Order::Relevance { after: None };

pub fn id(number: u32) -> EventId {
    let mut bytes = mixed(number);
    bytes[6] = 0x80;
    EventId::from_bytes(bytes)
}

/// Ids are in no order.
fn mixed(number: u32) -> [u8; 16] {
    let mixed = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    mixed.to_be_bytes()
}

/// A published event that starts in so many hours.
pub fn event(number: u32, title: &str, in_hours: i64) -> Event {
    let at = Timestamp::from_millis(NOW_MS);
    let start_time = Timestamp::from_millis(NOW_MS + in_hours * HOUR_MS);
    Event {
        id: id(number),
        owner: user(1),
        fields: EventFields {
            title: title.into(),
            description: String::new(),
            city: "Porto".into(),
            category: "music".into(),
            location: String::new(),
            start_time,
            end_time: start_time + Millis::hours(2),
            capacity: Capacity::Limited(10),
            waitlist_limit: None,
            opens_at: None,
            cover_image_ids: Vec::new(),
        },
        status: EventStatus::Published,
        version: 1,
        created_at: at,
        updated_at: at,
        published_at: Some(at),
        canceled_at: None,
    }
}
