//! All public events, for lists, search and cards: built in every instance from the compacted topic
//! `events`, and never asked of the tables.
//!
//! - The rows are in memory, in the orders that lists have: all events, and those of each city,
//!   category, and both. A page costs the same wherever it begins.
//! - Text is found by an inverted index on the disk, committed every moment. Whether what it finds
//!   is still so is asked of the rows in memory, so that what is canceled is gone at once.
//! - The disk holds rows and terms with how far the topic was read. At the next start the rows come
//!   from there and the rest from the topic; what is damaged, or does not fit, is built anew.
//! - What people type is words and nothing else: there is no language of queries.
//!
//! Invariant: this only reads the log. It follows another topic than the rows of the tables do, and
//! may be a moment behind them; answers that must show an own write ask the tables.

mod cities;
mod directory;
mod documents;
mod fold;
mod folder;
#[cfg(test)]
mod full_disk;
mod metrics;
mod orders;
mod query;
mod reading;
mod score;
mod search;
mod segments;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;
mod words;
mod writing;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_domain::event::Event;
use cityevents_domain::ids::EventId;
use cityevents_runtime::log::clock::Clock;
use cityevents_runtime::log::{Log, LogError};
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};

pub use self::folder::IndexPlace;
pub use self::metrics::IndexMetrics;
pub use self::query::{
    ByPublication, ByStart, EventPosition, Filter, Found, Next, Order, PublicationPosition,
    RelevancePosition, Search,
};
pub(crate) use self::score::Weights;
use self::segments::Segments;
use self::table::Table;
pub(crate) use self::words::Wanted;
use crate::following::{Shown, Threads};

/// Most words and runs of one search.
pub(crate) const SEARCH_WORDS_MAX: usize = 16;

/// What the index is made of.
pub struct IndexOptions {
    /// Where the events are.
    pub log: Arc<dyn Log>,
    /// Full name of the topic with a row for each event.
    pub topic: Arc<str>,
    /// Where the text index is kept.
    pub place: IndexPlace,
    /// Memory of what is not on the disk yet.
    pub memory_bytes: usize,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Figures.
    pub metrics: IndexMetrics,
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Nothing was read yet.
    #[error("the index is not there yet")]
    NotReady,
    /// More than is looked for at once.
    #[error("at most {SEARCH_WORDS_MAX} words")]
    TooManyWords,
    /// The text index cannot be read.
    #[error("the text index cannot be read: {0}")]
    Unreadable(String),
}

/// The index, and the threads that keep it. Dropping this ends them.
pub struct Index {
    shared: Arc<Shared>,
    _threads: Threads,
}

/// What the threads share with those who ask.
struct Shared {
    options: IndexOptions,
    live: RwLock<Arc<Live>>,
    shown: Shown,
    readers: RwLock<Vec<Arc<Shown>>>,
    /// The first offset of each partition that is not in the lists, and that searches do not find.
    listed: watch::Sender<Vec<u64>>,
    searchable: watch::Sender<Vec<u64>>,
    /// Searches at the same time: they take the processor and wait for nothing.
    turns: Arc<Semaphore>,
}

/// The index as it is.
struct Live {
    table: RwLock<Table>,
    segments: RwLock<Option<Arc<Segments>>>,
}

impl Index {
    /// Begins to open it and to follow the topic, in threads of its own.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(options: IndexOptions) -> Result<Self, LogError> {
        let searches = std::thread::available_parallelism().map_or(1, usize::from);
        let live = Live { table: RwLock::default(), segments: RwLock::default() };
        let shared = Arc::new(Shared {
            options,
            live: RwLock::new(Arc::new(live)),
            shown: Shown::default(),
            readers: RwLock::default(),
            listed: watch::Sender::default(),
            searchable: watch::Sender::default(),
            turns: Arc::new(Semaphore::new(searches)),
        });
        let mut threads = Threads::default();
        let kept = Arc::clone(&shared);
        threads.start("index".to_owned(), move |stop| writing::run(&kept, stop))?;
        Ok(Self { shared, _threads: threads })
    }

    /// An event that lists may show: published, and perhaps over.
    pub fn event(&self, id: &EventId) -> Option<Arc<Event>> {
        self.live().table.read().event(id).cloned()
    }

    /// The first `limit` candidates whose events lists may show and that are wanted, all as of one
    /// moment. `id` says which event a candidate is.
    pub(crate) fn choose<T>(
        &self,
        candidates: impl IntoIterator<Item = T>,
        id: impl Fn(&T) -> EventId,
        is_wanted: impl Fn(&Event) -> bool,
        limit: usize,
    ) -> Vec<(T, Arc<Event>)> {
        let live = self.live();
        let table = live.table.read();
        let shown = candidates.into_iter().filter_map(|candidate| {
            let event = table.event(&id(&candidate)).filter(|event| is_wanted(event))?;
            Some((candidate, Arc::clone(event)))
        });
        shown.take(limit).collect()
    }

    /// A page of public events by start.
    pub fn page(&self, asked: &ByStart) -> Found {
        self.live().table.read().page(asked)
    }

    /// A page of public events that are not over, the last published first.
    pub fn latest(&self, asked: &ByPublication) -> Found {
        self.live().table.read().latest(asked)
    }

    /// Whether there is anything to look for in what was typed.
    pub fn has_words(typed: &str) -> bool {
        !Wanted::parse(typed).is_empty()
    }

    /// A page of the events that have every word of what was typed: of titles, descriptions and
    /// cities, each from its beginning, or anywhere in unbroken text.
    ///
    /// # Errors
    /// When there are too many words, or the index cannot be read.
    pub async fn search(&self, asked: Search) -> Result<Found, SearchError> {
        let wanted = Wanted::parse(&asked.typed);
        if wanted.len() > SEARCH_WORDS_MAX {
            return Err(SearchError::TooManyWords);
        }
        let live = self.live();
        let segments = live.segments.read().clone().ok_or(SearchError::NotReady)?;
        let turns = Arc::clone(&self.shared.turns);
        // Closed never; a search without its turn would only be slower for the others.
        let turn = turns.acquire_owned().await.ok();
        let metrics = self.shared.options.metrics.clone();
        let searched = tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let found = search::search(&segments, &live.table, &asked, &wanted);
            metrics.searches.observe(started.elapsed().as_secs_f64());
            drop(turn);
            found
        });
        let found = searched.await.map_err(|error| SearchError::Unreadable(error.to_string()))?;
        found.map_err(|error| SearchError::Unreadable(error.to_string()))
    }

    /// Up to `limit` cities of public events whose names begin with what was typed, the most used
    /// ones first.
    pub fn cities(&self, typed: &str, limit: usize) -> Vec<String> {
        self.live().table.read().cities(typed, limit)
    }

    /// How many events lists may show.
    pub fn len(&self) -> usize {
        self.live().table.read().len()
    }

    /// Whether lists show nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last record of each partition of the topic that is taken in, as `partition.offset`;
    /// empty where there is none.
    pub fn as_of(&self) -> String {
        let mut text = String::new();
        for (partition, next) in self.shared.listed.borrow().iter().enumerate() {
            if let Some(offset) = next.checked_sub(1) {
                let comma = if text.is_empty() { "" } else { "," };
                // Writing to a text does not fail.
                let _written = write!(text, "{comma}{partition}.{offset}");
            }
        }
        text
    }

    /// Waits until lists show the record at `offset` of a partition of the topic, and searches find
    /// it too if `is_searched`, `at_most` so long. Returns whether they do.
    pub async fn wait(
        &self,
        partition: u32,
        offset: u64,
        is_searched: bool,
        at_most: Duration,
    ) -> bool {
        let shown = if is_searched { &self.shared.searchable } else { &self.shared.listed };
        let mut shown = shown.subscribe();
        let has_it = |next: &Vec<u64>| next.get(partition as usize).is_some_and(|it| *it > offset);
        matches!(tokio::time::timeout(at_most, shown.wait_for(has_it)).await, Ok(Ok(_)))
    }

    /// Why the index is not to be relied on, if so: it was not read to the end that the topic had
    /// at start, it cannot be kept, or a partition cannot be read.
    pub fn problem(&self) -> Option<String> {
        let so_far = || match self.is_empty() {
            true => "opening, and reading the events".to_owned(),
            false => format!("reading the events, {} so far", self.len()),
        };
        let topic = &self.shared.options.topic;
        let kept = self.shared.shown.problem(so_far);
        kept.map(|problem| format!("index of {topic}: {problem}")).or_else(|| {
            self.shared.readers.read().iter().enumerate().find_map(|(partition, shown)| {
                let problem = shown.problem(|| "reading what is there".to_owned())?;
                Some(format!("index of {topic}/{partition}: {problem}"))
            })
        })
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.shared.live.read())
    }
}
